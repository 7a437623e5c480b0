/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* merge_queue.h: what the files of this folder call in each other. */
#ifndef TALLY_MERGE_QUEUE_H
#define TALLY_MERGE_QUEUE_H

#include "objects/object.h"

#define TALLY_QUEUE_CLOSED ((tally_merge_entry *)1) /* no thread is attached in the slot */

/* merge_queue.c. Merges an object and drops one reference, the queue's. True: it was the last. */
bool tally_merge_and_drop(tally_refcounts *refcount);
/* Merges the queue of a thread that cannot: it is claimed, or gone and the thread list locked.
 * Returns the entries of the objects that died; they are destroyed once nothing is claimed or
 * locked any more. */
tally_merge_entry *tally_merge_take_queue(tally_thread_state *thread);
enum tally_push {
    TALLY_PUSHED_FIRST,
    TALLY_PUSHED_BEHIND, /* of entries whose first pusher sees to it that all are merged */
    TALLY_PUSH_CLOSED
};
enum tally_push tally_merge_push(tally_thread_state *owner, tally_merge_entry *entry);
void tally_merge_destroy(tally_merge_entry *dead);
/* The objects are destroyed at this thread's next safepoint. */
void tally_merge_defer(tally_merge_entry *dead);

/* owner_exit.c. The object's owner gets the caller's reference, to merge the object. True: the
 * object is dead, and the caller destroys it. */
bool tally_merge_by_owner(tally_object *object, uint32_t owner_id);

#endif
