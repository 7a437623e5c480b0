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

/* Where the blocks of a pool begin. */
char *tally_pool_first_block(tally_pool *pool);
/* The next of the blocks on their way to a heap. */
char *tally_remote_next(char *block);
/* New memory for an object gets a header that readers with a stale pointer may look at. */
void tally_block_start_dead(void *block);

int tally_large_start(void); /* 0, or -1: no memory */
void tally_large_end(void);
void tally_large_reclaim(tally_retired *node);
void tally_large_stats(tally_memory_result *result);

#endif
