/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heaps.h: with one lock the process has one heap. */
#ifndef TALLY_HEAPS_H
#define TALLY_HEAPS_H

#include "layout/heap.h"

extern tally_heap tally_one_heap;
static inline tally_heap *tally_heap_current(void) { return &tally_one_heap; }
static inline bool tally_pool_is_mine(tally_pool *pool) { return true; }
static inline tally_heap *tally_pool_heap(tally_pool *pool) { return &tally_one_heap; }

#endif
