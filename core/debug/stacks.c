/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stacks.c: where something happened: stacks of return addresses, and the names of these addresses.
 *
 * A build with TALLY_DEBUG keeps frame pointers, so a stack is read in a loop of loads. A caller
 * without them may end the loop early or add a wrong frame; the loop stays within the thread's
 * stack. Other builds keep none: there the C library unwinds the stack, which takes about a
 * microsecond per frame and is for samples alone.
 *
 * The checks keep each stack once under a number of 16 bits.
 *
 * Invariant: an entry that is READY never changes.
 */
#define _GNU_SOURCE
#include "debug/stacks.h"
#include "debug/debug.h"
#include <dlfcn.h>
#include <elf.h>
#include <execinfo.h>
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* ---- walking ------------------------------------------------------------ */

#ifdef TALLY_DEBUG

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
__attribute__((noinline, no_sanitize("address", "thread"))) unsigned tally_stack_walk(
    const void **frames, unsigned most) {
    unsigned count = 0;
    if (!stack_end) stack_end = find_stack_end();
    const uintptr_t *frame = __builtin_frame_address(0);
    while (count < most && frame[1]) {
        const uintptr_t *next = (const uintptr_t *)frame[0];
        frames[count++] = (const void *)frame[1];
        if (next <= frame || (uintptr_t)(next + 2) > stack_end || (uintptr_t)next % 8) break;
        frame = next;
    }
    return count;
}

#else

unsigned tally_stack_walk(const void **frames, unsigned most) {
    int count = backtrace((void **)(uintptr_t)frames, (int)most);
    return count > 0 ? (unsigned)count : 0;
}

#endif

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

bool tally_stack_place(const void *address, tally_place *place) {
    Dl_info info;
    /* A return address may be the first byte behind its function. */
    const void *call = (const char *)address - 1;
    *place->name = '\0';
    if (!dladdr(call, &info)) return false;
    place->path = info.dli_fname;
    place->base = (uintptr_t)info.dli_fbase;
    int file = open(info.dli_fname, O_RDONLY | O_CLOEXEC);
    if (file < 0) file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    struct stat about = {0};
    void *map = MAP_FAILED;
    if (file >= 0 && fstat(file, &about) == 0)
        map = mmap(NULL, (size_t)about.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    if (file >= 0) close(file);
    bool found = false;
    if (map != MAP_FAILED) {
        found = find_function(map, (size_t)about.st_size, place->base, (uintptr_t)call, place->name,
                              sizeof place->name);
        munmap(map, (size_t)about.st_size);
    }
    if (!found && info.dli_sname) snprintf(place->name, sizeof place->name, "%s", info.dli_sname);
    return true;
}

/* ---- numbers of stacks, and messages -------------------------------------- */

#ifdef TALLY_DEBUG

enum { FRAMES = 14, STACKS = 1 << 16, TRIES = 64 };
enum { EMPTY, FILLING, READY };

typedef struct stack {
    _Atomic uint32_t state;
    uint32_t thread;
    const void *frames[FRAMES]; /* NULL behind the last */
} stack;
static stack stacks[STACKS]; /* [0] is unused; memory is touched only where used */

__attribute__((noinline)) uint16_t tally_debug_stack(void) {
    const void *frames[FRAMES + 1] = {NULL}; /* and one of this file */
    uint64_t hash = tally_self.id + 1u;
    tally_stack_walk(frames, FRAMES + 1);
    const void *const *from = frames + 1;
    for (unsigned i = 0; i < FRAMES && from[i]; i++) {
        hash = (hash ^ (uintptr_t)from[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    for (unsigned tries = 0; tries < TRIES; tries++) {
        uint16_t at = (uint16_t)((hash >> 16) + tries);
        if (!at) continue;
        stack *s = &stacks[at];
        uint32_t state = EMPTY;
        if (tally_cas_acquire(&s->state, &state, FILLING)) {
            s->thread = tally_self.id;
            memcpy(s->frames, from, sizeof s->frames);
            /* release: pairs with the acquire below */
            tally_store_release(&s->state, READY);
            return at;
        }
        while (tally_load_acquire(&s->state) != READY) {}
        if (s->thread == tally_self.id && memcmp(s->frames, from, sizeof s->frames) == 0) return at;
    }
    return 0;
}

void tally_debug_print_place(const void *address) {
    tally_place place;
    if (!tally_stack_place(address, &place)) {
        fprintf(stderr, "    %p\n", address);
        return;
    }
    const char *slash = strrchr(place.path, '/');
    fprintf(stderr, "    %s (%s+%#tx)\n", *place.name ? place.name : "?",
            slash ? slash + 1 : place.path, (const char *)address - 1 - (const char *)place.base);
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
