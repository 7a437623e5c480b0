/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heaps.h: without a GIL each thread slot has a heap. */
#ifndef TALLY_HEAPS_H
#define TALLY_HEAPS_H

#include "layout/thread.h"

static inline tally_heap *tally_heap_current(void) { return &tally_thread_current()->heap; }
/* relaxed: a pool changes owner between two other heaps, or to this thread by itself; never away
 * from a thread that runs. */
static inline uint16_t tally_pool_owner(tally_pool *pool) {
    return tally_load_relaxed(&pool->owner);
}
static inline bool tally_pool_is_mine(tally_pool *pool) {
    return tally_pool_owner(pool) == tally_self.id;
}
static inline tally_heap *tally_pool_heap(tally_pool *pool) {
    return &tally_thread_slot(tally_pool_owner(pool))->heap;
}

#endif
