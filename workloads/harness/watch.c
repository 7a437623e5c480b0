/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.c: waits for a step that takes too long, and shows the threads' stacks.
 *
 * A thread is asked for its stack by a signal, whose handler unwinds it: no debugger, no permission
 * to trace, and a thread in a system call answers too. Whatever hangs may hold a lock of the C
 * library, so neither the handler nor the watch allocates memory or writes through stdio.
 */
#define _GNU_SOURCE 1 /* tgkill, gettid */

#include "watch.h"

#include <elf.h>
#include <errno.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"

enum { MOST_FRAMES = 48, OF_THE_SIGNAL = 2, ANSWER_MS = 500 };

static const uint64_t never = UINT64_MAX, nanoseconds = UINT64_C(1000000000);

static struct {
    uint64_t limit; /* nanoseconds */
    int ask;        /* the signal that asks for a stack */
    /* Relaxed both: a watch that sees one of them late shows another name. */
    _Atomic(const char *) step;
    atomic_uint_fast64_t deadline;
    /* One thread at a time answers. */
    void *frames[MOST_FRAMES];
    int frame_count;
    /* The thread that is asked, then 0: its release in the handler pairs with the acquire of the
     * watch, which reads the frames after it. */
    atomic_int asked;
} watch;

/* ---- a thread that is asked --------------------------------------------- */

static void answer(int signal) {
    int error = errno;
    int self = (int)gettid();
    /* An answer that comes too late is to nobody's question. */
    if (atomic_load_explicit(&watch.asked, memory_order_acquire) == self) {
        watch.frame_count = backtrace(watch.frames, MOST_FRAMES);
        atomic_store_explicit(&watch.asked, 0, memory_order_release);
    }
    errno = error;
}

/* ---- names of addresses ------------------------------------------------- */

/* This program as a file: static functions have names in its symbols only, which are not loaded. */
struct image {
    const char *data;
    size_t size;
    const Elf64_Sym *symbols;
    size_t symbol_count;
    const char *names;
    uintptr_t base, end; /* where it is loaded; what symbols are relative to */
};

extern const char __ehdr_start[], _end[]; /* of the linker: the program's first and last byte */

static struct image open_image(void) {
    struct image image = {.base = (uintptr_t)__ehdr_start, .end = (uintptr_t)_end};
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat status;
    if (file < 0 || fstat(file, &status) != 0) return image;
    /* Many processes of one run show their stacks one after the other. */
    flock(file, LOCK_EX);
    void *data = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (data == MAP_FAILED) return image;
    const Elf64_Ehdr *header = data;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)((const char *)data + header->e_shoff);
    for (unsigned i = 0; i < header->e_shnum; i++)
        if (sections[i].sh_type == SHT_SYMTAB) {
            image.symbols = (const Elf64_Sym *)((const char *)data + sections[i].sh_offset);
            image.symbol_count = sections[i].sh_size / sizeof *image.symbols;
            image.names = (const char *)data + sections[sections[i].sh_link].sh_offset;
        }
    if (header->e_type != ET_DYN) image.end -= image.base, image.base = 0;
    return image;
}

static const Elf64_Sym *find_symbol(const struct image *image, uintptr_t address) {
    for (size_t i = 0; i < image->symbol_count; i++) {
        const Elf64_Sym *symbol = &image->symbols[i];
        if (ELF64_ST_TYPE(symbol->st_info) == STT_FUNC &&
            address - image->base >= symbol->st_value &&
            address - image->base - symbol->st_value < symbol->st_size)
            return symbol;
    }
    return NULL;
}

static void show_frame(const struct image *image, void *frame, bool innermost) {
    /* A return address may be the first one of the next function. */
    uintptr_t address = (uintptr_t)frame - !innermost;
    const Elf64_Sym *symbol = find_symbol(image, address);
    if (symbol != NULL) {
        dprintf(STDERR_FILENO, "    %s+0x%zx\n", image->names + symbol->st_name,
                (size_t)(address - image->base - symbol->st_value));
    } else {
        dprintf(STDERR_FILENO, "    ");
        backtrace_symbols_fd(&frame, 1, STDERR_FILENO);
    }
}

/* ---- asking ------------------------------------------------------------- */

static bool ask(int thread) {
    const struct timespec pause = {.tv_nsec = 1000000};
    const uint64_t end = workload_clock() + ANSWER_MS * UINT64_C(1000000);
    atomic_store_explicit(&watch.asked, thread, memory_order_release);
    if (tgkill(getpid(), thread, watch.ask) != 0) return false;
    /* By the clock: a signal cuts a pause short. */
    while (workload_clock() < end) {
        if (atomic_load_explicit(&watch.asked, memory_order_acquire) == 0) return true;
        nanosleep(&pause, NULL);
    }
    /* If it answers just now, that is as good; else it must not any more. */
    return !atomic_compare_exchange_strong_explicit(&watch.asked, &thread, -1, memory_order_acquire,
                                                    memory_order_acquire);
}

/* The first line of a file of the thread in /proc, or "?". */
static const char *thread_file(int thread, const char *name, char *text, size_t size) {
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d/%s", thread, name);
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t got = file < 0 ? -1 : read(file, text, size - 1);
    if (file >= 0) close(file);
    text[got > 0 ? got : 0] = '\0';
    text[strcspn(text, "\n")] = '\0';
    return *text != '\0' ? text : "?";
}

static void show_thread(const struct image *image, int thread) {
    char name[64], where[64];
    dprintf(STDERR_FILENO, "  thread %d, %s, in the kernel: %s\n", thread,
            thread_file(thread, "comm", name, sizeof name),
            thread_file(thread, "wchan", where, sizeof where));
    if (!ask(thread)) {
        dprintf(STDERR_FILENO, "    it does not answer\n");
        return;
    }
    for (int i = OF_THE_SIGNAL; i < watch.frame_count; i++)
        show_frame(image, watch.frames[i], i == OF_THE_SIGNAL);
}

/* By the system call: opendir allocates. */
static void show_threads(const struct image *image) {
    struct entry {
        uint64_t inode;
        int64_t next;
        unsigned short size;
        unsigned char type;
        char name[];
    };
    alignas(struct entry) char buffer[4096];
    int tasks = open("/proc/self/task", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    long got;
    while ((got = syscall(SYS_getdents64, tasks, buffer, sizeof buffer)) > 0)
        for (long at = 0; at < got; at += ((struct entry *)(buffer + at))->size) {
            const struct entry *entry = (struct entry *)(buffer + at);
            int thread = 0;
            for (const char *digit = entry->name; *digit >= '0' && *digit <= '9'; digit++)
                thread = thread * 10 + (*digit - '0');
            if (thread != 0 && thread != (int)gettid()) show_thread(image, thread);
        }
}

/* ---- the watch ---------------------------------------------------------- */

static _Noreturn void end(int status, bool asked) {
    struct image image = open_image();
    const char *step = atomic_load_explicit(&watch.step, memory_order_relaxed);
    dprintf(STDERR_FILENO, "tally-%s: %s: ", tally_backend(), fail_workload());
    if (asked)
        dprintf(STDERR_FILENO, "SIGQUIT in %s", step);
    else
        dprintf(STDERR_FILENO, "hangs: %s is not over %u s after its time", step,
                (unsigned)(watch.limit / nanoseconds));
    dprintf(STDERR_FILENO, "; the threads of process %d:\n", (int)getpid());
    show_threads(&image);
    fail_clean_up();
    _Exit(status);
}

static void *keep_watch(void *argument) {
    uint64_t earliest = 0; /* before it nothing hangs */
    sigset_t quit;
    pthread_setname_np(pthread_self(), "watch");
    sigemptyset(&quit);
    sigaddset(&quit, SIGQUIT);
    for (;;) {
        uint64_t now = workload_clock(),
                 deadline = atomic_load_explicit(&watch.deadline, memory_order_relaxed);
        if (deadline < earliest) deadline = earliest;
        if (now >= deadline) end(WATCH_HUNG, false);
        /* A step that ends meanwhile moves the deadline to later, never to before now and the
         * limit: it is soon enough to look again then. */
        uint64_t left = deadline - now < watch.limit ? deadline - now : watch.limit;
        struct timespec time = {(time_t)(left / nanoseconds), (long)(left % nanoseconds)};
        if (sigtimedwait(&quit, NULL, &time) == SIGQUIT) end(128 + SIGQUIT, true);
        /* It woke late: the whole process was stopped (SIGSTOP, Ctrl-Z), so the step had not that
         * time. */
        if (workload_clock() - now > left + nanoseconds) earliest = workload_clock() + watch.limit;
    }
    return argument;
}

void watch_start(unsigned limit_seconds) {
    struct sigaction action = {.sa_handler = answer, .sa_flags = SA_RESTART};
    sigset_t quit;
    pthread_t thread;
    void *frame[1];
    watch.limit = limit_seconds * nanoseconds;
    watch.ask = SIGRTMIN;
    watch_step("the start", 0);
    backtrace(frame, 1); /* the first call loads a library, which allocates */
    sigemptyset(&action.sa_mask);
    sigaction(watch.ask, &action, NULL);
    sigemptyset(&quit);
    sigaddset(&quit, SIGQUIT);
    pthread_sigmask(SIG_BLOCK, &quit, NULL);
    int error = pthread_create(&thread, NULL, keep_watch, NULL);
    if (error != 0) workload_fail("cannot start the thread that watches: %s", strerror(error));
    pthread_detach(thread);
}

void watch_step(const char *name, unsigned milliseconds) {
    uint64_t deadline = workload_clock() + milliseconds * UINT64_C(1000000) + watch.limit;
    atomic_store_explicit(&watch.step, name, memory_order_relaxed);
    atomic_store_explicit(&watch.deadline, deadline, memory_order_relaxed);
}

void watch_rest(void) { atomic_store_explicit(&watch.deadline, never, memory_order_relaxed); }
