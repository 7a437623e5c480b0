/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* merge_queue.h: what the files of this folder call in each other. */
#ifndef TALLY_MERGE_QUEUE_H
#define TALLY_MERGE_QUEUE_H

#include "objects/object.h"

#define TALLY_QUEUE_CLOSED ((tally_merge_batch *)1) /* no thread is attached in the slot */
enum { TALLY_MERGE_BATCH = 60 /* objects: a block of half a KiB */ };

/* merge_queue.c. Merges an object and drops one reference, the queue's. True: it was the last. */
bool tally_merge_and_drop(tally_refcounts *refcount);
/* Merges the queue of a thread that cannot: it is claimed, or gone and the thread-list lock held.
 * Returns the batches of the objects that died; they are destroyed once nothing is claimed or
 * locked any more. */
tally_merge_batch *tally_merge_take_queue(tally_thread_state *thread);
/* The same for what a thread has not pushed yet; with the world stopped, or the owner gone. */
tally_merge_batch *tally_merge_take_open(tally_refcount_thread *thread);
enum tally_push {
    TALLY_PUSHED_FIRST,
    TALLY_PUSHED_BEHIND, /* of entries whose first pusher sees to it that all are merged */
    TALLY_PUSH_CLOSED
};
enum tally_push tally_merge_push(tally_thread_state *owner, tally_merge_batch *batch);
tally_merge_batch *tally_merge_new_batch(uint32_t room); /* NULL: no memory, without an error */
void tally_merge_add(tally_merge_batch *batch, tally_object *object);
void tally_merge_destroy(tally_merge_batch *dead);
/* The objects are destroyed at this thread's next safepoint. */
void tally_merge_defer(tally_merge_batch *dead);

/* owner_exit.c. Pushes what the thread has not pushed yet. What dies by that is for `finish`. */
void tally_merge_push_open(tally_thread_state *thread, void (*finish)(tally_merge_batch *dead));
/* The object's owner gets the caller's reference, to merge the object. True: the
 * object is dead, and the caller destroys it. */
bool tally_merge_by_owner(tally_object *object, uint32_t owner_id);

#endif
