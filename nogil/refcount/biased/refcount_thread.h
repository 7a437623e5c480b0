/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_thread.h: what biased refcounts keep per thread. */
#ifndef TALLY_REFCOUNT_THREAD_H
#define TALLY_REFCOUNT_THREAD_H

#include "sampling.h"
#include "tally.h"

/* An entry of a merge queue: objects with a counted reference each. */
typedef struct tally_merge_batch {
    struct tally_merge_batch *next;
    size_t bytes;   /* of the objects' blocks */
    uint32_t count; /* of the objects; of those that died, once they are merged */
    tally_object *objects[];
} tally_merge_batch;

typedef struct tally_refcount_thread {
    /* In a line that others write to: a stack; TALLY_QUEUE_CLOSED: the owner is gone. */
    _Alignas(64) _Atomic(tally_merge_batch *) queue;
    _Atomic size_t waiting, waiting_most; /* bytes of the blocks of the objects in it */
    _Atomic uint64_t since;               /* when the first of them came, by the coarse clock */
    /* The thread's own, in other lines. deferred: dead objects, destroyed at its next safepoint.
     * asked: the owner that it has pushed to since its last safepoint; open: what it has dropped
     * of that owner since, and not pushed. in_hand: the object that it is about to add to a batch,
     * or to merge instead. Others read in_hand, and read or take the open batch, with the world
     * stopped. */
    _Alignas(64) tally_merge_batch *deferred;
    struct tally_thread_state *asked;
    tally_merge_batch *open;
    tally_object *in_hand;
    tally_sampling sampling;
} tally_refcount_thread;

#endif
