/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_thread.h: what biased refcounts keep per thread. */
#ifndef TALLY_REFCOUNT_THREAD_H
#define TALLY_REFCOUNT_THREAD_H

#include "sampling.h"
#include "tally.h"

/* An entry of a merge queue; a counted reference. */
typedef struct tally_merge_entry {
    struct tally_merge_entry *next;
    tally_object *object;
} tally_merge_entry;

typedef struct tally_refcount_thread {
    /* In a line that others write to: a stack; TALLY_QUEUE_CLOSED: the owner is gone. */
    _Alignas(64) _Atomic(tally_merge_entry *) queue;
    _Atomic size_t waiting, waiting_most; /* bytes of the blocks of the objects in it */
    /* Its own, in other lines. Dead: destroyed at the next safepoint. */
    _Alignas(64) tally_merge_entry *deferred;
    tally_object
        *in_hand; /* to be pushed, or merged instead; others read it with the world stopped */
    tally_sampling sampling;
} tally_refcount_thread;

#endif
