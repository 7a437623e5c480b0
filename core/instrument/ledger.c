/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: where the resident memory of the process is, for a heap snapshot.
 *
 * The kernel tells what is resident: /proc/self/smaps per mapping, mincore per page of an arena or
 * a large block. The allocator tells what is in use, with the world stopped. smaps and malloc's own
 * account take time by the page and by the free chunk (33 ms per GiB), so they are read right
 * before the stop, and the memory of the snapshot itself counts nowhere.
 *
 * Invariant: nothing here changes the heap. Blocks on their way home stay there.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>
/* Before malloc is a macro, in builds whose allocations can be made to fail. */
#ifdef __GLIBC__
#    include <malloc.h>
#endif

#include "contract/reclaim.h"
#include "instrument/ledger.h"
#include "memory/arena.h"
#include "objects/object.h"

/* ---- the kernel's account ------------------------------------------------------ */

enum { LINE = 4096 };

/* Lines of a file in /proc, without memory of malloc. */
typedef struct lines {
    int file;
    size_t at, end;
    char bytes[LINE], line[LINE];
} lines;

/* The start of the next line; NULL: there is none. What is longer than the room is cut. */
static const char *next_line(lines *from) {
    for (size_t length = 0;;) {
        if (from->at == from->end) {
            ssize_t got = read(from->file, from->bytes, LINE);
            if (got <= 0) return NULL;
            from->at = 0;
            from->end = (size_t)got;
        }
        char byte = from->bytes[from->at++];
        if (byte == '\n') {
            from->line[length] = '\0';
            return from->line;
        }
        if (length + 1 < LINE) from->line[length++] = byte;
    }
}

static uint64_t kib_behind(const char *line, const char *name) {
    size_t length = strlen(name);
    return strncmp(line, name, length) == 0 ? strtoull(line + length, NULL, 10) * 1024 : 0;
}

typedef struct mapping {
    uintptr_t start, end;
    bool executable, file;
} mapping;

static bool lies_in(const mapping *mapping, const void *address) {
    return (uintptr_t)address >= mapping->start && (uintptr_t)address < mapping->end;
}

/* `before` is the mapping below it: a program's variables without a value follow its file. */
static enum tally_heap_part part_of(const mapping *mapping, const struct mapping *before,
                                    const char *name) {
    if (lies_in(mapping, tally_region) ||
        (mapping->start >= (uintptr_t)tally_region &&
         mapping->start - (uintptr_t)tally_region < tally_region_size))
        return TALLY_HEAP_ARENAS;
    uintptr_t marks = (uintptr_t)tally_side_marks;
    if (mapping->start >= marks && mapping->start - marks < tally_side_marks_size())
        return TALLY_HEAP_SIDE_MARKS;
    if (strcmp(name, "[heap]") == 0) return TALLY_HEAP_MALLOC;
    if (strncmp(name, "[stack", 6) == 0) return TALLY_HEAP_STACKS;
    if (*name == '/' || strcmp(name, "[vdso]") == 0)
        return mapping->executable ? TALLY_HEAP_CODE : TALLY_HEAP_DATA;
    if (*name == '\0' && before->file && before->end == mapping->start) return TALLY_HEAP_DATA;
    return TALLY_HEAP_ANONYMOUS;
}

/* 55dfe7033000-55dfe7034000 r--p 00000000 fe:00 10959794    /a/file */
static const char *read_mapping(const char *line, mapping *to) {
    char *at;
    to->start = strtoull(line, &at, 16);
    if (*at != '-') return NULL;
    to->end = strtoull(at + 1, &at, 16);
    if (strlen(at) < 6) return NULL;
    to->executable = at[3] == 'x';
    for (unsigned field = 0; field < 4; field++) {
        at += strspn(at, " ");
        at += strcspn(at, " ");
    }
    at += strspn(at, " ");
    to->file = *at == '/';
    return at;
}

/* It may be a stack. */
static void note_anonymous(tally_ledger *ledger, const mapping *mapping, uint64_t resident) {
    if (ledger->anonymous_count == ledger->anonymous_capacity) {
        size_t capacity = ledger->anonymous_capacity ? 2 * ledger->anonymous_capacity : 64;
        tally_ledger_mapping *at = realloc(ledger->anonymous, capacity * sizeof *at);
        if (!at) {
            ledger->failed = true;
            return;
        }
        ledger->anonymous = at;
        ledger->anonymous_capacity = capacity;
    }
    ledger->anonymous[ledger->anonymous_count++] =
        (tally_ledger_mapping){mapping->start, mapping->end, resident};
}

static void read_mappings(tally_ledger *ledger) {
    lines from = {.file = open("/proc/self/smaps", O_RDONLY | O_CLOEXEC)};
    mapping before = {0}, now = {0};
    enum tally_heap_part part = TALLY_HEAP_ANONYMOUS;
    if (from.file < 0) return;
    for (const char *line; (line = next_line(&from));) {
        /* "Size: ..." begins with a capital, an address with none. */
        if ((*line >= '0' && *line <= '9') || (*line >= 'a' && *line <= 'f')) {
            before = now;
            const char *name = read_mapping(line, &now);
            part = name ? part_of(&now, &before, name) : TALLY_HEAP_ANONYMOUS;
            continue;
        }
        uint64_t resident = kib_behind(line, "Rss:");
        ledger->mapped[part] += resident;
        if (resident && part == TALLY_HEAP_ANONYMOUS) note_anonymous(ledger, &now, resident);
    }
    close(from.file);
}

static uint64_t read_resident(void) {
    lines from = {.file = open("/proc/self/status", O_RDONLY | O_CLOEXEC)};
    uint64_t resident = 0;
    if (from.file < 0) return 0;
    for (const char *line; resident == 0 && (line = next_line(&from));)
        resident = kib_behind(line, "VmRSS:");
    close(from.file);
    return resident;
}

void tally_ledger_begin(tally_ledger *ledger) {
    *ledger = (tally_ledger){.resident = read_resident()};
    read_mappings(ledger);
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 about = mallinfo2();
    ledger->in_use = about.uordblks + about.hblkhd;
    ledger->unused = about.fordblks;
#endif
}

void tally_ledger_end(tally_ledger *ledger) { free(ledger->anonymous); }

/* ---- pages ---------------------------------------------------------------------- */

/* The bytes of a range that are in resident pages. */
static uint64_t resident_bytes(const char *start, size_t bytes) {
    enum { PAGES = 512 };
    unsigned char resident[PAGES];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    uintptr_t from = (uintptr_t)start & ~(page - 1), end = (uintptr_t)start + bytes;
    uint64_t sum = 0;
    for (; from < end; from += PAGES * page) {
        size_t length = end - from < PAGES * page ? end - from : PAGES * page;
        if (mincore((void *)from, length, resident) != 0) return bytes;
        for (size_t i = 0; i < (length + page - 1) / page; i++) {
            uintptr_t low = from + i * page, high = low + page;
            if (low < (uintptr_t)start) low = (uintptr_t)start;
            if (high > end) high = end;
            if (resident[i] & 1) sum += high - low;
        }
    }
    return sum;
}

static bool has_a_stack(const tally_ledger_mapping *mapping) {
    tally_each_thread(thread) {
        uintptr_t stack = (uintptr_t)thread->stack;
        if (tally_load_relaxed(&thread->status) != TALLY_VACANT && stack >= mapping->start &&
            stack < mapping->end)
            return true;
    }
    return false;
}
static void find_stacks(tally_ledger *ledger) {
    for (size_t i = 0; i < ledger->anonymous_count; i++) {
        if (!has_a_stack(&ledger->anonymous[i])) continue;
        ledger->mapped[TALLY_HEAP_ANONYMOUS] -= ledger->anonymous[i].resident;
        ledger->mapped[TALLY_HEAP_STACKS] += ledger->anonymous[i].resident;
    }
}

/* ---- what the allocator says ----------------------------------------------------- */

typedef struct account {
    void (*put)(void *context, uint64_t number);
    void *context;
    uint16_t *coming; /* by pool: blocks on their way home */
    uint8_t *is_free; /* by pool */
    tally_ledger_large large[TALLY_KINDS];
    uint64_t small_waiting; /* raw blocks in pools that wait for a grace period */
} account;

static void put(account *a, uint64_t number) { a->put(a->context, number); }

/* A large block that is not so large has few pages of its own: to ask costs more than it tells. */
enum { ASKED_FROM = 16384 };
static uint64_t resident_large(const void *block) {
    size_t bytes = tally_memory_size(block), before = tally_large_overhead();
    return bytes < ASKED_FROM ? bytes + before
                              : resident_bytes((const char *)block - before, bytes + before);
}

void tally_ledger_count(tally_ledger *ledger, tally_object *block) {
    unsigned kind = tally_large_kind(block);
    tally_ledger_large *large = &ledger->large[kind];
    uint64_t resident = resident_large(block);
    large->blocks++;
    large->bytes += tally_memory_size(block);
    large->resident += resident;
    if (kind != TALLY_RAW && tally_refcount_is_dead(&block->refcount)) large->waiting += resident;
}

static void count_retired(tally_retired *node, unsigned what, void *context) {
    account *a = context;
    if (what == TALLY_RETIRED_POOL || what == TALLY_RETIRED_LARGE) return; /* found otherwise */
    if (tally_is_small(node))
        a->small_waiting += tally_memory_size(node);
    else
        a->large[TALLY_RAW].waiting += resident_large(node);
}

/* The contents wait with the object; the block of the object is found otherwise. */
static void count_dead(tally_object *object, void *context) {
    account *a = context;
    size_t size = tally_size_locked(object), block = tally_memory_size(object);
    if (size <= block) return; /* they are within the block */
    size_t contents = (size - block + 15) & ~(size_t)15;
    if (contents <= TALLY_SMALL_LIMIT)
        a->small_waiting += contents;
    else
        a->large[TALLY_RAW].waiting += contents + tally_large_overhead();
}

static size_t number_of(const tally_pool *pool) {
    size_t arena = tally_arena_of(pool);
    return arena * TALLY_ARENA_POOLS + (size_t)(pool - tally_arena_pools(arena));
}

static void count_coming(account *a, tally_heap *heap) {
    /* acquire: pairs with push_remote */
    char *block = tally_remote_block(tally_load_acquire(&heap->remote));
    for (; block; block = tally_remote_next(block)) a->coming[number_of(tally_pool_of(block))]++;
}

static void put_pool(account *a, tally_pool *pool) {
    size_t arena = tally_arena_of(pool), number = number_of(pool), index = number & 63;
    const char *start = (const char *)tally_arena_pools(arena) + index * TALLY_POOL_SIZE;
    put(a, pool->in_use         ? TALLY_HEAP_POOL_USED + pool->kind
           : a->is_free[number] ? TALLY_HEAP_POOL_FREE
                                : TALLY_HEAP_POOL_WAITING);
    put(a, resident_bytes(start, TALLY_POOL_SIZE));
    if (!pool->in_use) return;
    put(a, pool->class_);
    put(a, tally_load_relaxed(&pool->owner));
    put(a, (uint64_t)(pool->bump - tally_pool_first_block(pool)) / pool->block_size);
    put(a, pool->left + pool->notify);
    put(a, a->coming[number]);
}

static void put_arenas(account *a) {
    put(a, (uint64_t)(uintptr_t)tally_region >> TALLY_ARENA_SHIFT);
    put(a, sizeof(tally_pool) * TALLY_ARENA_POOLS);
    put(a, tally_arenas.live);
    for (size_t number = 0; number < tally_arenas.used; number++) {
        if (tally_arenas.free_pools[number] == TALLY_NOT_MAPPED) continue;
        put(a, number);
        for (size_t i = 0; i < TALLY_ARENA_POOLS; i++) put_pool(a, &tally_arena_pools(number)[i]);
    }
}

bool tally_ledger_put(tally_ledger *ledger, void (*to)(void *context, uint64_t number),
                      void *context) {
    account a = {.put = to, .context = context};
    size_t pools = tally_memory_pools();
    a.coming = calloc(pools + 1, sizeof *a.coming);
    a.is_free = calloc(pools + 1, 1);
    bool good = a.coming && a.is_free && !ledger->failed;
    if (good) {
        find_stacks(ledger);
        put(&a, ledger->resident);
        for (size_t i = 0; i < TALLY_HEAP_PARTS; i++) put(&a, ledger->mapped[i]);
        put(&a, ledger->in_use);
        put(&a, ledger->unused);
        memcpy(a.large, ledger->large, sizeof a.large);
        tally_reclaim_each(&(tally_reclaim_visitor){count_retired, count_dead, &a});
        for (unsigned kind = 0; kind < TALLY_KINDS; kind++) {
            put(&a, a.large[kind].blocks);
            put(&a, a.large[kind].bytes);
            put(&a, a.large[kind].resident);
            put(&a, a.large[kind].waiting);
        }
        put(&a, a.small_waiting);
        pthread_mutex_lock(&tally_arenas.lock);
        for (tally_pool *pool = tally_arenas.free_list; pool; pool = pool->next)
            a.is_free[number_of(pool)] = 1;
        if (TALLY_LOCK_FREE_READS)
            tally_each_thread(thread) count_coming(&a, &thread->heap);
        put_arenas(&a);
        pthread_mutex_unlock(&tally_arenas.lock);
    }
    free(a.coming);
    free(a.is_free);
    return good;
}
