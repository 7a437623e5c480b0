/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampled.h: pools of the blocks that a heap profile samples, which belong to no heap.
 *
 * Every free in such a pool takes a slow path: without a GIL no thread owns the pool; with one the
 * pool's countdown `left` is 1 while blocks are in use, as if the pool had been full. All else is
 * as in any pool: collectors and statistics find the blocks, and a pool of objects changes its kind
 * or size only after a grace period.
 *
 * Invariants:
 *  - The caller holds the lock of the profile. With a GIL it holds that.
 *  - A pool that has a free block is in the list of its kind and class, and only then.
 */
#ifndef TALLY_SAMPLED_H
#define TALLY_SAMPLED_H

#include "memory/memory.h"

/* A block; NULL: no memory. */
void *tally_sampled_take(unsigned kind, unsigned class_);
/* Gives a block back; NULL: the first of pool->free, which a free path has just pushed. */
void tally_sampled_give_back(tally_pool *pool, void *block);
/* The pool has no block in use, and is not the only one of its kind and class that has room. */
bool tally_sampled_is_spare(const tally_pool *pool);
/* Takes an empty pool out of its list; tally_pool_release follows, without the lock. */
void tally_sampled_remove(tally_pool *pool);
/* Takes an empty pool out of its list, to be released without the lock; NULL: none is left. */
tally_pool *tally_sampled_take_empty(void);
/* The region goes. */
void tally_sampled_end(void);

#endif
