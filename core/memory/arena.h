/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arena.h: the interface between the files of this folder: arenas, pools, large blocks.
 *
 * Invariant: `lock` guards the arenas and the free pools. A pool in use belongs to its heap.
 */
#ifndef TALLY_ARENA_H
#define TALLY_ARENA_H

#include "layout/thread.h"
#include "memory/memory.h"

extern struct tally_arenas {
    pthread_mutex_t lock;
    size_t reserved;       /* arenas that the region has room for */
    size_t used;           /* no arena from this number on was ever mapped */
    size_t live, empty;    /* mapped; of these, without a pool in use */
    uint16_t *free_pools;  /* by arena: pools not in use, or TALLY_NOT_MAPPED */
    tally_pool *free_list; /* all free pools of mapped arenas */
    size_t waiting;        /* pools that wait for a grace period */
} tally_arenas;
enum { TALLY_NOT_MAPPED = 0xffff };

static inline size_t tally_arena_of(const tally_pool *pool) {
    return (size_t)((const char *)pool - tally_region) >> TALLY_ARENA_SHIFT;
}
static inline tally_pool *tally_arena_pools(size_t arena) {
    return (tally_pool *)(tally_region + arena * TALLY_ARENA_SIZE);
}

static inline void tally_pool_list_push(tally_pool **list, tally_pool *pool) {
    pool->previous = NULL;
    pool->next = *list;
    if (pool->next) pool->next->previous = pool;
    *list = pool;
}
static inline void tally_pool_list_remove(tally_pool **list, tally_pool *pool) {
    if (pool->previous)
        pool->previous->next = pool->next;
    else
        *list = pool->next;
    if (pool->next) pool->next->previous = pool->previous;
}

/* A free pool, from a new arena if `map` and none is free; NULL: none. */
tally_pool *tally_arena_take_pool(bool map);
/* A pool that no heap uses; at once, or after a grace period. */
void tally_arena_give_pool_back(tally_pool *pool);
void tally_arena_retire_pool(tally_pool *pool);
void tally_arena_reclaim_pool(tally_retired *node);

/* Pool 0 begins behind the descriptors. The others begin one line behind the start of a page: a
 * processor takes two addresses for the same until it knows more than their last 12 bits, so the
 * first object of a pool would meet whatever a program aligns to pages. */
static inline char *tally_pool_first_block(tally_pool *pool) {
    enum { LINE = 64 };
    char *arena = tally_region + tally_arena_of(pool) * TALLY_ARENA_SIZE;
    size_t index = (size_t)(pool - (tally_pool *)arena);
    return arena +
           (index ? index * TALLY_POOL_SIZE + LINE : sizeof(tally_pool) * TALLY_ARENA_POOLS);
}

/* Of pool.c: a pool from an arena, of a new one if `map` and no pool is free; NULL: no memory. */
tally_pool *tally_pool_take(uint16_t owner, unsigned kind, unsigned class_, bool map);
/* Makes the next blocks; false: there is no room for one. */
bool tally_pool_carve(tally_pool *pool);
/* An empty pool, which is in no list. */
void tally_pool_release(tally_pool *pool);
/* While a heap profile is on: no pool is current, so that every allocation takes the slow path; a
 * block comes from the first pool of the queue. */
void tally_heap_queue_current(tally_heap *heap);
void *tally_heap_take_queued(tally_heap *heap, unsigned kind, unsigned class_);

/* The next of the blocks on their way to a heap. */
char *tally_remote_next(char *block);
/* New memory for an object gets a header that readers with a stale pointer may look at. */
void tally_block_start_dead(void *block);

int tally_large_start(void); /* 0, or -1: no memory */
void tally_large_end(void);
void tally_large_reclaim(tally_retired *node);
void tally_large_stats(tally_memory_result *result);

#endif
