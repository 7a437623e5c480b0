/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recent.h: where the layout has TALLY_RECENT_POOLS, the pools of containers that a heap's thread
 * took blocks from of late. Its young objects are there (nogil/gc/young_collection.c).
 *
 * Invariant: a pool in the list `recent` of a heap belongs to that heap.
 */
#ifndef TALLY_RECENT_H
#define TALLY_RECENT_H

#include "memory/memory.h"
#include <string.h>

/* A block is about to be taken from the pool. */
static inline void tally_recent_add(tally_heap *heap, tally_pool *pool) {
    if (!TALLY_RECENT_POOLS || pool->kind != TALLY_CONTAINERS) return;
    pool->recent_used = true;
    if (pool->recent) return;
    pool->recent = true;
    pool->recent_previous = NULL;
    pool->recent_next = heap->recent;
    if (heap->recent) heap->recent->recent_previous = pool;
    heap->recent = pool;
}

/* By whoever has the heap. */
static inline void tally_pool_forget_recent(tally_heap *heap, tally_pool *pool) {
    if (!TALLY_RECENT_POOLS || !pool->recent) return;
    pool->recent = false;
    if (pool->recent_next) pool->recent_next->recent_previous = pool->recent_previous;
    if (pool->recent_previous)
        pool->recent_previous->recent_next = pool->recent_next;
    else
        heap->recent = pool->recent_next;
}

/* A new pool of containers: blocks of another size have left their marks. */
static inline void tally_recent_start(tally_pool *pool) {
    if (!TALLY_RECENT_POOLS) return;
    pool->recent = false;
    if (pool->kind != TALLY_CONTAINERS) return;
    size_t at = (size_t)(pool->bump - tally_region) >> TALLY_SIDE_MARK_SHIFT;
    memset((void *)&tally_side_marks[at], 0,
           (size_t)(pool->end - pool->bump) >> TALLY_SIDE_MARK_SHIFT);
}

#endif
