/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stacks.c: where something happened: stacks of return addresses, each kept once under a number of
 * 16 bits, and turned into names when a message needs them.
 *
 * A build with TALLY_DEBUG keeps frame pointers, so a stack is read in a loop of loads. A caller
 * without them may end the loop early or add a wrong frame; the loop stays within the thread's
 * stack.
 *
 * Invariant: an entry that is READY never changes.
 */
#define _GNU_SOURCE
#include "debug/debug.h"

#ifdef TALLY_DEBUG
#    include <dlfcn.h>
#    include <elf.h>
#    include <fcntl.h>
#    include <pthread.h>
#    include <string.h>
#    include <sys/mman.h>
#    include <sys/stat.h>
#    include <unistd.h>

enum { FRAMES = 14, STACKS = 1 << 16, TRIES = 64 };
enum { EMPTY, FILLING, READY };

typedef struct stack {
    _Atomic uint32_t state;
    uint32_t thread;
    const void *frames[FRAMES]; /* NULL behind the last */
} stack;
static stack stacks[STACKS]; /* [0] is unused; memory is touched only where used */

static _Thread_local uintptr_t stack_end;

static uintptr_t find_stack_end(void) {
    pthread_attr_t attributes;
    void *start = NULL;
    size_t size = 0;
    if (pthread_getattr_np(pthread_self(), &attributes) != 0) return 1;
    pthread_attr_getstack(&attributes, &start, &size);
    pthread_attr_destroy(&attributes);
    return (uintptr_t)start + size;
}

/* Words of other frames are read, which a sanitizer would take for a mistake. */
__attribute__((noinline, no_sanitize("address", "thread"))) uint16_t tally_debug_stack(void) {
    const void *frames[FRAMES] = {NULL};
    uint64_t hash = tally_self.id + 1u;
    if (!stack_end) stack_end = find_stack_end();
    const uintptr_t *frame = __builtin_frame_address(0);
    for (unsigned i = 0; i < FRAMES; i++) {
        const uintptr_t *next = (const uintptr_t *)frame[0];
        if (!frame[1]) break;
        frames[i] = (const void *)frame[1];
        hash = (hash ^ frame[1]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
        if (next <= frame || (uintptr_t)(next + 2) > stack_end || (uintptr_t)next % 8) break;
        frame = next;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint16_t at = (uint16_t)((hash >> 16) + tries);
        if (!at) continue;
        stack *s = &stacks[at];
        uint32_t state = EMPTY;
        if (tally_cas_acquire(&s->state, &state, FILLING)) {
            s->thread = tally_self.id;
            memcpy(s->frames, frames, sizeof frames);
            /* release: pairs with the acquire below */
            tally_store_release(&s->state, READY);
            return at;
        }
        while (tally_load_acquire(&s->state) != READY) {}
        if (s->thread == tally_self.id && memcmp(s->frames, frames, sizeof frames) == 0) return at;
    }
    return 0;
}

/* ---- names -------------------------------------------------------------- */

/* The function of an ELF file at a distance from where the file is mapped. */
static bool find_function(const char *map, size_t bytes, uintptr_t base, uintptr_t address,
                          char *name, size_t room) {
    const Elf64_Ehdr *head = (const Elf64_Ehdr *)map;
    if (bytes < sizeof *head || memcmp(head->e_ident, ELFMAG, SELFMAG) != 0) return false;
    if (head->e_shoff + (size_t)head->e_shnum * sizeof(Elf64_Shdr) > bytes) return false;
    const Elf64_Shdr *sections = (const Elf64_Shdr *)(map + head->e_shoff);
    uintptr_t value = head->e_type == ET_EXEC ? address : address - base;
    for (unsigned i = 0; i < head->e_shnum; i++) {
        const Elf64_Shdr *s = &sections[i];
        if (s->sh_type != SHT_SYMTAB && s->sh_type != SHT_DYNSYM) continue;
        const Elf64_Sym *symbols = (const Elf64_Sym *)(map + s->sh_offset);
        const char *names = map + sections[s->sh_link].sh_offset;
        for (size_t j = 0; j < s->sh_size / sizeof *symbols; j++) {
            const Elf64_Sym *symbol = &symbols[j];
            if (ELF64_ST_TYPE(symbol->st_info) != STT_FUNC || value < symbol->st_value ||
                value >= symbol->st_value + symbol->st_size)
                continue;
            snprintf(name, room, "%s", names + symbol->st_name);
            return true;
        }
    }
    return false;
}

void tally_debug_print_place(const void *address) {
    char name[128] = "?";
    Dl_info info;
    /* A return address may be the first byte behind its function. */
    const void *call = (const char *)address - 1;
    if (dladdr(call, &info)) {
        const char *slash = strrchr(info.dli_fname, '/');
        int file = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
        if (file < 0) file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
        struct stat about = {0};
        void *map = MAP_FAILED;
        if (file >= 0 && fstat(file, &about) == 0)
            map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
        if (file >= 0) close(file);
        bool found = false;
        if (map != MAP_FAILED) {
            found = find_function(map, (size_t)about.st_size, (uintptr_t)info.dli_fbase,
                                  (uintptr_t)call, name, sizeof name);
            munmap(map, (size_t)about.st_size);
        }
        if (!found && info.dli_sname) snprintf(name, sizeof name, "%s", info.dli_sname);
        fprintf(stderr, "    %s (%s+%#tx)\n", name, slash ? slash + 1 : info.dli_fname,
                (const char *)call - (const char *)info.dli_fbase);
    } else {
        fprintf(stderr, "    %p\n", address);
    }
}

/* The frames of this folder say nothing. */
void tally_debug_print_stack(uint16_t number) {
    const stack *s = &stacks[number];
    if (!number) {
        fprintf(stderr, " (not known)\n");
        return;
    }
    if (s->thread == TALLY_OWNER_UNATTACHED)
        fprintf(stderr, " by a thread that is not attached:\n");
    else
        fprintf(stderr, " by thread %u:\n", s->thread);
    for (unsigned i = 1; i < FRAMES && s->frames[i]; i++) tally_debug_print_place(s->frames[i]);
}

#endif
