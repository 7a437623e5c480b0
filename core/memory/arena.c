/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arena.c: the region of address space, the arenas in it, and the pools that no heap uses.
 * memory.h has the map.
 *
 * The lock is taken once per pool, that is once in hundreds of blocks.
 */
#define _GNU_SOURCE
#include "memory/arena.h"
#include "contract/reclaim.h"
#include "debug/debug.h"
#include <sys/mman.h>

char *tally_region;
size_t tally_region_size;
_Atomic uint8_t *tally_side_marks;
uint8_t *tally_pool_kinds;

_Static_assert(sizeof(tally_pool) * TALLY_ARENA_POOLS < TALLY_POOL_SIZE,
               "the descriptors leave room in the first pool");
_Static_assert((sizeof(tally_pool) & 15) == 0, "blocks stay aligned");

/* One empty arena is kept, for a heap that grows and shrinks around an arena's edge. */
enum { SPARE_ARENAS = 1 };
enum { HUGE_FROM = 4 }; /* arenas */

struct tally_arenas tally_arenas = {.lock = PTHREAD_MUTEX_INITIALIZER};

int tally_memory_start(void) {
    for (size_t size = (size_t)64 << 30; size >= (size_t)64 << 20; size /= 2) {
        char *map = mmap(NULL, size + TALLY_ARENA_SIZE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) continue;
        char *marks = mmap(NULL, size >> TALLY_SIDE_MARK_SHIFT, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (marks == MAP_FAILED) {
            munmap(map, size + TALLY_ARENA_SIZE);
            continue;
        }
        size_t count = (size < TALLY_REGION_LIMIT ? size : TALLY_REGION_LIMIT) / TALLY_ARENA_SIZE;
        uint16_t *free_pools = malloc(count * sizeof *free_pools);
        tally_pool_kinds = calloc(size >> TALLY_POOL_SHIFT, 1);
        if (!free_pools || !tally_pool_kinds || tally_large_start() != 0) {
            free(free_pools);
            free(tally_pool_kinds);
            munmap(marks, size >> TALLY_SIDE_MARK_SHIFT);
            munmap(map, size + TALLY_ARENA_SIZE);
            return -1;
        }
        for (size_t i = 0; i < count; i++) free_pools[i] = TALLY_NOT_MAPPED;
        /* Trim to an aligned region of `size`. */
        char *start = (char *)(((uintptr_t)map + TALLY_ARENA_SIZE - 1) & ~(TALLY_ARENA_SIZE - 1));
        if (start > map) munmap(map, (size_t)(start - map));
        size_t behind = (size_t)(map + TALLY_ARENA_SIZE - start);
        if (behind) munmap(start + size, behind);
        tally_region = start;
        tally_side_marks = (_Atomic uint8_t *)marks;
        tally_region_size = size;
        tally_arenas.reserved = count;
        tally_arenas.free_pools = free_pools;
        tally_arenas.used = tally_arenas.live = tally_arenas.empty = tally_arenas.waiting = 0;
        tally_arenas.free_list = NULL;
#ifdef TALLY_DEBUG
        if (tally_debug_start() != 0) {
            tally_memory_end();
            return -1;
        }
#endif
        return 0;
    }
    return -1;
}

void tally_memory_end(void) {
    TALLY_DEBUG_ONLY(tally_debug_end());
    tally_large_end();
    munmap(tally_region, tally_region_size);
    munmap((void *)tally_side_marks, tally_region_size >> TALLY_SIDE_MARK_SHIFT);
    tally_side_marks = NULL;
    free(tally_pool_kinds);
    tally_pool_kinds = NULL;
    free(tally_arenas.free_pools);
    tally_arenas.free_pools = NULL;
    tally_region = NULL;
    tally_region_size = 0;
}

/* ---- arenas; the lock is held ------------------------------------------- */

enum { ARENA_SIDE_MARKS = TALLY_ARENA_SIZE >> TALLY_SIDE_MARK_SHIFT };
static char *arena_side_marks(size_t number) {
    return (char *)tally_side_marks + number * ARENA_SIDE_MARKS;
}

static int arena_map(void) {
    size_t number = 0;
    while (number < tally_arenas.used && tally_arenas.free_pools[number] != TALLY_NOT_MAPPED)
        number++;
    if (number == tally_arenas.reserved) return -1;
    char *arena = tally_region + number * TALLY_ARENA_SIZE;
    if (mprotect(arena_side_marks(number), ARENA_SIDE_MARKS, PROT_READ | PROT_WRITE) != 0)
        return -1;
    if (mprotect(arena, TALLY_ARENA_SIZE, PROT_READ | PROT_WRITE) != 0) {
        mprotect(arena_side_marks(number), ARENA_SIDE_MARKS, PROT_NONE);
        return -1;
    }
    /* A collector visits a large heap at random. Pages of 2 MiB make that a fifth faster
     * (docs/design/collectors.md). A small heap stays small. */
    if (tally_arenas.live >= HUGE_FROM) {
        madvise(arena, TALLY_ARENA_SIZE, MADV_HUGEPAGE);
        madvise(arena_side_marks(number), ARENA_SIDE_MARKS, MADV_HUGEPAGE);
    }
    if (number == tally_arenas.used) tally_arenas.used++;
    tally_pool *pools = (tally_pool *)arena;
    for (size_t i = TALLY_ARENA_POOLS; i-- > 0;)
        tally_pool_list_push(&tally_arenas.free_list, &pools[i]);
    tally_arenas.free_pools[number] = TALLY_ARENA_POOLS;
    tally_arenas.live++;
    tally_arenas.empty++;
    return 0;
}

/* Mapping anew gives the memory back and keeps the address space. If the system refuses (too many
 * mappings), the range stays accessible, and its memory goes back all the same. */
static void give_back(char *start, size_t bytes) {
    if (mmap(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        madvise(start, bytes, MADV_DONTNEED);
}

static void arena_unmap(size_t number) {
    char *arena = tally_region + number * TALLY_ARENA_SIZE;
    tally_pool *pools = (tally_pool *)arena;
    for (size_t i = 0; i < TALLY_ARENA_POOLS; i++)
        tally_pool_list_remove(&tally_arenas.free_list, &pools[i]);
    give_back(arena, TALLY_ARENA_SIZE);
    give_back(arena_side_marks(number), ARENA_SIDE_MARKS);
    tally_arenas.free_pools[number] = TALLY_NOT_MAPPED;
    tally_arenas.live--;
    tally_arenas.empty--;
}

/* ---- pools that no heap uses --------------------------------------------- */

tally_pool *tally_arena_take_pool(bool map) {
    pthread_mutex_lock(&tally_arenas.lock);
    tally_pool *pool = NULL;
    if (tally_arenas.free_list || (map && arena_map() == 0)) {
        pool = tally_arenas.free_list;
        tally_pool_list_remove(&tally_arenas.free_list, pool);
        if (tally_arenas.free_pools[tally_arena_of(pool)]-- == TALLY_ARENA_POOLS)
            tally_arenas.empty--;
    }
    pthread_mutex_unlock(&tally_arenas.lock);
    return pool;
}

static void give_back_locked(tally_pool *pool) {
    tally_pool_list_push(&tally_arenas.free_list, pool);
    size_t number = tally_arena_of(pool);
    if (++tally_arenas.free_pools[number] == TALLY_ARENA_POOLS &&
        ++tally_arenas.empty > SPARE_ARENAS)
        arena_unmap(number);
}

void tally_arena_give_pool_back(tally_pool *pool) {
    pthread_mutex_lock(&tally_arenas.lock);
    give_back_locked(pool);
    pthread_mutex_unlock(&tally_arenas.lock);
}

void tally_arena_retire_pool(tally_pool *pool) {
    pthread_mutex_lock(&tally_arenas.lock);
    tally_arenas.waiting++;
    pthread_mutex_unlock(&tally_arenas.lock);
    tally_retire(&pool->retired, TALLY_RETIRED_POOL, TALLY_POOL_SIZE);
}
void tally_arena_reclaim_pool(tally_retired *node) {
    pthread_mutex_lock(&tally_arenas.lock);
    tally_arenas.waiting--;
    give_back_locked((tally_pool *)((char *)node - offsetof(tally_pool, retired)));
    pthread_mutex_unlock(&tally_arenas.lock);
}
