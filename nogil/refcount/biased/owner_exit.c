/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner_exit.c: merges in place of an owner that cannot: the owner is blocked or gone, or there is
 * no memory for an entry of its merge queue.
 *
 * Invariants:
 *  - An object of owner T is merged by T itself; by the thread that has claimed T while T is
 *    blocked (T cannot return before the claim ends); or by the holder of the thread list's lock
 *    while T is gone (no thread can attach as T); or while the world is stopped.
 *  - The queue of a slot without a thread is empty and closed. A thread detaches only if its queue
 *    is empty, and closes it in the same step.
 */
#include "merge_queue.h"

/* The thread list is locked: opens the queue of a slot, new or taken over. */
void tally_refcount_attach(tally_thread_state *thread) {
    tally_store_seq_cst(&thread->refcount.queue, NULL);
    tally_sampling_attach(thread);
}

/* The thread list is locked: closes the queue if it is empty; false: it is not. */
bool tally_refcount_detach(tally_thread_state *thread) {
    tally_merge_entry *none = NULL;
    if (thread->refcount.deferred) return false;
    if (!tally_sampling_detach(thread)) return false;
    /* seq_cst: pairs with push, which sees closed or is seen here */
    return tally_cas_seq_cst(&thread->refcount.queue, &none, TALLY_QUEUE_CLOSED);
}

/* The thread has published that it is blocked. An entry may have been pushed before that. */
bool tally_refcount_pending(tally_thread_state *thread) {
    return tally_load_seq_cst(&thread->refcount.queue) != NULL;
}

/* After a push, or the end of a claim: merges for the owner if it is blocked. A thread that finds
 * it claimed may leave, since the claimer comes here afterwards. */
static void merge_blocked(tally_thread_state *owner, void (*finish)(tally_merge_entry *dead)) {
    tally_merge_entry *head;
    /* seq_cst, after the push: pairs with blocking: status store, then look at the queue */
    while (tally_load_seq_cst(&owner->status) == TALLY_BLOCKED &&
           (head = tally_load_seq_cst(&owner->refcount.queue)) && head != TALLY_QUEUE_CLOSED &&
           tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        tally_merge_entry *dead = tally_merge_take_queue(owner);
        tally_claim_end(owner);
        finish(dead);
    }
}
void tally_refcount_merge_blocked(tally_thread_state *owner) {
    merge_blocked(owner, tally_merge_destroy);
}
/* The same where no foreign code may run. */
void tally_refcount_merge_blocked_later(tally_thread_state *owner) {
    merge_blocked(owner, tally_merge_defer);
}

static void tell(tally_thread_state *owner) {
    tally_breaker_set(owner, TALLY_BREAK_MERGE);
    tally_refcount_merge_blocked(owner);
}

static bool merge_for_gone(tally_thread_state *owner, tally_merge_entry *entry) {
    TALLY_FAILPOINT(merge_for_gone);
    tally_thread_list_lock();
    bool gone = tally_merge_push(owner, entry) == TALLY_PUSH_CLOSED;
    bool dead = gone && tally_merge_and_drop(&entry->object->refcount);
    tally_thread_current()->refcount.in_hand = NULL;
    pthread_mutex_unlock(&tally_process.thread_list);
    if (gone)
        tally_memory_free(TALLY_RAW, entry);
    else
        tell(owner); /* a thread has attached in the slot meanwhile */
    return dead;
}

/* There is no memory for an entry. */
static bool merge_stopped(tally_object *object) {
    TALLY_FAILPOINT(merge_stopped);
    tally_stop_the_world();
    bool dead = tally_merge_and_drop(&object->refcount);
    tally_thread_current()->refcount.in_hand = NULL;
    tally_resume_the_world();
    return dead;
}

bool tally_merge_by_owner(tally_object *object, uint32_t owner_id) {
    TALLY_EVENT(queued);
    tally_contended(object, TALLY_CONTENDED_MERGE);
    /* Until the entry is pushed, or the object merged, the owner may give it up, so that its state
     * does not tell of the entry. This tells sampling.c. */
    tally_object **in_hand = &tally_thread_current()->refcount.in_hand;
    *in_hand = object;
    tally_thread_state *owner = tally_thread_slot(owner_id);
    /* The owner is blocked: this thread merges for it, without an entry. */
    if (tally_load_relaxed(&owner->status) == TALLY_BLOCKED && tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        bool dead = tally_merge_and_drop(&object->refcount);
        *in_hand = NULL;
        tally_claim_end(owner);
        tally_refcount_merge_blocked(owner); /* entries that were pushed while it was claimed */
        return dead;
    }
    tally_merge_entry *entry = tally_memory_alloc(TALLY_RAW, sizeof *entry);
    if (!entry) return merge_stopped(object);
    entry->object = object;
    TALLY_DEBUG_ONLY(tally_debug_dropped(object));
    TALLY_FAILPOINT(queue_entry);
    enum tally_push pushed = tally_merge_push(owner, entry);
    if (pushed == TALLY_PUSH_CLOSED) return merge_for_gone(owner, entry);
    *in_hand = NULL;
    if (pushed == TALLY_PUSHED_BEHIND) return false;
    TALLY_FAILPOINT(pushed);
    tell(owner);
    return false;
}
