/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: where the resident memory of the process is, for a heap snapshot, or as sums alone.
 *
 * The kernel tells what is resident: /proc/self/smaps per mapping, mincore per page of an arena or
 * a large block. The allocator tells what is in use, with the world stopped. smaps and malloc's own
 * account take time by the page and by the free chunk (33 ms per GiB), so a snapshot reads them
 * right before the stop, and the memory of the snapshot itself counts nowhere. The sums, which are
 * taken while memory grows, read them in the stop. They visit no object: `tally heap` tells more of
 * a snapshot's (workloads/heap/ledger.c has the same rows).
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

void tally_ledger_begin(tally_ledger *ledger) {
    *ledger = (tally_ledger){.resident = read_resident()};
    read_mappings(ledger);
#if defined __GLIBC__ && __GLIBC_PREREQ(2, 33)
    struct mallinfo2 about = mallinfo2();
    ledger->in_use = about.uordblks + about.hblkhd;
    /* Free chunks were in use once. The last one is new at its end, where no page is yet. */
    char *end = sbrk(0);
    ledger->unused =
        about.fordblks - about.keepcost + resident_bytes(end - about.keepcost, about.keepcost);
#endif
}

void tally_ledger_end(tally_ledger *ledger) { free(ledger->anonymous); }

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

_Static_assert((int)TALLY_LEDGER_KINDS == (int)TALLY_KINDS, "all kinds of blocks are counted");
typedef struct account {
    void (*put)(void *context, uint64_t number);
    void *context;
    uint16_t *coming; /* by pool: blocks on their way home */
    uint8_t *is_free; /* by pool */
    tally_ledger_large large[TALLY_LEDGER_KINDS];
    uint64_t small_waiting; /* raw blocks in pools that wait for a grace period */
    uint64_t small_dead;    /* blocks of dead objects in pools, the same */
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

/* The contents wait with the object. */
static void count_dead(tally_object *object, void *context) {
    account *a = context;
    size_t size = tally_size_locked(object), block = tally_memory_size(object);
    if (tally_is_small(object)) a->small_dead += block; /* a large one is found otherwise */
    if (size <= block) return;                          /* they are within the block */
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

/* Asks for a whole arena at once, not for each of its pools. */
static void read_pages(size_t arena, uint64_t resident[TALLY_ARENA_POOLS]) {
    enum { LEAST_PAGE = 4096 };
    unsigned char pages[TALLY_ARENA_SIZE / LEAST_PAGE];
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    bool told = mincore(tally_arena_pools(arena), TALLY_ARENA_SIZE, pages) == 0;
    memset(resident, 0, TALLY_ARENA_POOLS * sizeof *resident);
    for (size_t at = 0; at < TALLY_ARENA_SIZE; at += page)
        if (!told || pages[at / page] & 1) resident[at >> TALLY_POOL_SHIFT] += page;
}

static unsigned kind_of(const account *a, const tally_pool *pool) {
    return pool->in_use                  ? TALLY_HEAP_POOL_USED + pool->kind
           : a->is_free[number_of(pool)] ? TALLY_HEAP_POOL_FREE
                                         : TALLY_HEAP_POOL_WAITING;
}
static uint64_t blocks_made(tally_pool *pool) {
    return (uint64_t)(pool->bump - tally_pool_first_block(pool)) / pool->block_size;
}
static uint64_t blocks_used(const tally_pool *pool) { return pool->left + pool->notify; }

/* All but the pools themselves. True: the lock of the arenas is held, until end_account. False: no
 * memory. */
static bool begin_account(account *a, tally_ledger *ledger) {
    size_t pools = tally_memory_pools();
    a->coming = calloc(pools + 1, sizeof *a->coming);
    a->is_free = calloc(pools + 1, 1);
    if (!a->coming || !a->is_free) {
        free(a->coming);
        free(a->is_free);
        return false;
    }
    find_stacks(ledger);
    memcpy(a->large, ledger->large, sizeof a->large);
    tally_reclaim_each(&(tally_reclaim_visitor){count_retired, count_dead, a});
    pthread_mutex_lock(&tally_arenas.lock);
    for (tally_pool *pool = tally_arenas.free_list; pool; pool = pool->next)
        a->is_free[number_of(pool)] = 1;
    if (TALLY_LOCK_FREE_READS)
        tally_each_thread(thread) count_coming(a, &thread->heap);
    return true;
}
static void end_account(account *a) {
    pthread_mutex_unlock(&tally_arenas.lock);
    free(a->coming);
    free(a->is_free);
}

typedef void pool_visitor(account *a, tally_pool *pool, uint64_t resident);
static void each_pool(account *a, void (*arena)(account *a, size_t number), pool_visitor *visit) {
    uint64_t resident[TALLY_ARENA_POOLS];
    for (size_t number = 0; number < tally_arenas.used; number++) {
        if (tally_arenas.free_pools[number] == TALLY_NOT_MAPPED) continue;
        if (arena) arena(a, number);
        read_pages(number, resident);
        for (size_t i = 0; i < TALLY_ARENA_POOLS; i++)
            visit(a, &tally_arena_pools(number)[i], resident[i]);
    }
}

/* ---- for a snapshot -------------------------------------------------------------- */

static void put_pool(account *a, tally_pool *pool, uint64_t resident) {
    put(a, kind_of(a, pool));
    put(a, resident);
    if (!pool->in_use) return;
    put(a, pool->class_);
    put(a, tally_load_relaxed(&pool->owner));
    put(a, blocks_made(pool));
    put(a, blocks_used(pool));
    put(a, a->coming[number_of(pool)]);
}

static void put_arena(account *a, size_t number) { put(a, number); }

bool tally_ledger_put(tally_ledger *ledger, void (*to)(void *context, uint64_t number),
                      void *context) {
    account a = {.put = to, .context = context};
    if (ledger->failed || !begin_account(&a, ledger)) return false;
    put(&a, ledger->resident);
    for (size_t i = 0; i < TALLY_HEAP_PARTS; i++) put(&a, ledger->mapped[i]);
    put(&a, ledger->in_use);
    put(&a, ledger->unused);
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++) {
        put(&a, a.large[kind].blocks);
        put(&a, a.large[kind].bytes);
        put(&a, a.large[kind].resident);
        put(&a, a.large[kind].waiting);
    }
    put(&a, a.small_waiting);
    put(&a, (uint64_t)(uintptr_t)tally_region >> TALLY_ARENA_SHIFT);
    put(&a, sizeof(tally_pool) * TALLY_ARENA_POOLS);
    put(&a, tally_arenas.live);
    each_pool(&a, put_arena, put_pool);
    end_account(&a);
    return true;
}

/* ---- as sums --------------------------------------------------------------------- */

static size_t least(size_t a, size_t b) { return a < b ? a : b; }
/* A row that is less than nothing would hide another that is too large. */
static size_t less(size_t from, size_t bytes) { return from - least(from, bytes); }

/* Blocks that wait are taken off objects and contents later: here their pools do not tell. */
static void sum_pool(account *a, tally_pool *pool, uint64_t resident) {
    tally_ledger_result *to = a->context;
    bool is_first = pool == tally_arena_pools(tally_arena_of(pool));
    size_t descriptors = is_first ? least(sizeof *pool * TALLY_ARENA_POOLS, resident) : 0;
    size_t left = resident - descriptors;
    to->pool_room += descriptors;
    if (kind_of(a, pool) == TALLY_HEAP_POOL_WAITING) {
        to->waiting += left;
    } else if (!pool->in_use || blocks_used(pool) == 0) {
        to->free_pools += left;
    } else {
        size_t made = blocks_made(pool) * pool->block_size,
               used = blocks_used(pool) * pool->block_size,
               coming = a->coming[number_of(pool)] * (size_t)pool->block_size;
        *(pool->kind == TALLY_RAW ? &to->contents : &to->objects) += used - coming;
        to->remote += coming;
        to->free_blocks += made - used;
        to->pool_room += less(left, made);
    }
}

/* What waits for a grace period, or for an owner's merge, from the rows of what lives. */
static void take_off_waiting(const account *a, tally_ledger_result *to) {
    size_t queued, most, dead = least(a->small_dead, to->objects),
                         retired = least(a->small_waiting, to->contents);
    to->objects -= dead;
    to->contents -= retired;
    to->waiting += dead + retired;
    tally_refcount_queued_bytes(&queued, &most);
    to->merging = least(queued, to->objects);
    to->objects -= to->merging;
}

/* Large blocks are malloc's. */
static void sum_malloc(const account *a, const tally_ledger *ledger, tally_ledger_result *to) {
    size_t resident = 0, waiting = 0;
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++) {
        resident += a->large[kind].resident;
        waiting += a->large[kind].waiting;
    }
    waiting = least(waiting, resident);
    to->large = resident - waiting;
    to->waiting += waiting;
    size_t others =
        less(ledger->mapped[TALLY_HEAP_MALLOC] + ledger->mapped[TALLY_HEAP_ANONYMOUS], resident);
    to->malloc_free = least(others, ledger->unused);
    to->malloc_used = others - to->malloc_free;
}

int tally_heap_ledger(tally_ledger_result *result) {
    tally_thread_require();
    if (!result) return tally_fail(TALLY_VALUE_ERROR, "a ledger needs a place for its rows");
    tally_ledger ledger;
    tally_ledger_result sums = {0};
    account a = {.context = &sums};
    uint64_t began = tally_now();
    tally_stop_the_world();
    tally_ledger_begin(&ledger);
    tally_large_walk at = {0};
    for (tally_object *block; (block = tally_memory_next_large(&at, TALLY_KINDS));)
        tally_ledger_count(&ledger, block);
    bool good = !ledger.failed && begin_account(&a, &ledger);
    if (good) {
        each_pool(&a, NULL, sum_pool);
        end_account(&a);
        take_off_waiting(&a, &sums);
        sum_malloc(&a, &ledger, &sums);
    }
    tally_resume_the_world();
    sums.pause = tally_now() - began;
    tally_ledger_end(&ledger);
    if (!good) return tally_no_memory();
    sums.resident = ledger.resident;
    sums.side_marks = ledger.mapped[TALLY_HEAP_SIDE_MARKS];
    sums.stacks = ledger.mapped[TALLY_HEAP_STACKS];
    sums.code = ledger.mapped[TALLY_HEAP_CODE] + ledger.mapped[TALLY_HEAP_DATA];
    *result = sums;
    return 0;
}
