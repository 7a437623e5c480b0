/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * owner_exit.c: how an object that another thread has dropped gets to its owner, which may be about
 * to exit: to the owner's queue, by itself or in a batch, while the owner runs; else it is merged
 * in the owner's place. So it is where the owner is blocked or gone, or there is no memory for a
 * batch.
 *
 * Invariants:
 *  - An object of owner T is merged by T itself; by the thread that has claimed T while T is
 *    blocked (T cannot return before the claim ends); or by the holder of the thread-list lock
 *    while T is gone (no thread can attach as T); or while the world is stopped.
 *  - The queue of a slot without a thread is empty and closed. A thread detaches only if its queue
 *    is empty, and closes it in the same step.
 */
#include "merge_queue.h"

/* The thread list is locked: opens the queue of a slot, new or taken over. */
void tally_refcount_attach(tally_thread_state *thread) {
    tally_store_seq_cst(&thread->refcount.queue, NULL);
    thread->refcount.asked = NULL;
    tally_sampling_attach(thread);
}

/* The thread list is locked: closes the queue if it is empty; false: it is not. */
bool tally_refcount_detach(tally_thread_state *thread) {
    tally_merge_batch *none = NULL;
    if (tally_refcount_dealloc_pending(thread)) return false;
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
static void merge_blocked(tally_thread_state *owner, void (*finish)(tally_merge_batch *dead)) {
    tally_merge_batch *head;
    /* seq_cst, after the push: pairs with blocking: status store, then look at the queue */
    while (tally_load_seq_cst(&owner->status) == TALLY_BLOCKED &&
           (head = tally_load_seq_cst(&owner->refcount.queue)) && head != TALLY_QUEUE_CLOSED &&
           tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        tally_merge_batch *dead = tally_merge_take_queue(owner);
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

static void tell(tally_thread_state *owner, void (*finish)(tally_merge_batch *dead)) {
    tally_breaker_set(owner, TALLY_BREAK_MERGE);
    merge_blocked(owner, finish);
}

static bool merge_for_gone(tally_thread_state *owner, tally_merge_batch *batch) {
    TALLY_FAILPOINT(merge_for_gone);
    tally_thread_list_lock();
    bool gone = tally_merge_push(owner, batch) == TALLY_PUSH_CLOSED;
    bool dead = gone && tally_merge_and_drop(&batch->objects[0]->refcount);
    tally_thread_current()->refcount.in_hand = NULL;
    pthread_mutex_unlock(&tally_process.thread_list);
    if (gone)
        tally_memory_free(TALLY_RAW, batch);
    else
        tell(owner, tally_merge_destroy); /* a thread has attached in the slot meanwhile */
    return dead;
}

/* There is no memory for a batch. */
static bool merge_stopped(tally_object *object) {
    TALLY_FAILPOINT(merge_stopped);
    tally_stop_the_world();
    bool dead = tally_merge_and_drop(&object->refcount);
    tally_thread_current()->refcount.in_hand = NULL;
    tally_resume_the_world();
    return dead;
}

/* As merge_for_gone. Where the thread waits for the lock the world may be stopped, and the batch
 * taken. */
static void push_for_gone(tally_thread_state *owner, void (*finish)(tally_merge_batch *dead)) {
    tally_refcount_thread *self = &tally_thread_current()->refcount;
    tally_merge_batch *dead = NULL;
    bool pushed = false;
    TALLY_FAILPOINT(push_for_gone);
    tally_thread_list_lock();
    if (self->open) pushed = tally_merge_push(owner, self->open) != TALLY_PUSH_CLOSED;
    if (pushed)
        self->open = NULL;
    else
        dead = tally_merge_take_open(self);
    pthread_mutex_unlock(&tally_process.thread_list);
    if (pushed) tell(owner, finish);
    finish(dead);
}

void tally_merge_push_open(tally_thread_state *thread, void (*finish)(tally_merge_batch *dead)) {
    tally_refcount_thread *self = &thread->refcount;
    tally_thread_state *owner = self->asked;
    self->asked = NULL;
    if (!self->open) return;
    TALLY_FAILPOINT(push_open);
    enum tally_push pushed = tally_merge_push(owner, self->open);
    if (pushed == TALLY_PUSH_CLOSED) {
        push_for_gone(owner, finish);
        return;
    }
    self->open = NULL;
    if (pushed == TALLY_PUSHED_FIRST) tell(owner, finish);
}

/* The thread's next objects of this owner are collected, until its next safepoint at the latest. */
static void ask(tally_thread_state *thread, tally_thread_state *owner) {
    tally_merge_push_open(thread, tally_merge_destroy);
    if (thread->refcount.open) return; /* a finalizer has dropped objects of another owner */
    thread->refcount.asked = owner;
    tally_breaker_set(thread, TALLY_BREAK_MERGE);
}

/* Collects the object, if the owner runs and has not merged what it was asked to. False: it did, or
 * there is no memory for a batch. */
static bool collect(tally_thread_state *thread, tally_thread_state *owner, tally_object *object) {
    tally_refcount_thread *self = &thread->refcount;
    /* relaxed: an old value pushes a batch a little early or late */
    bool has_merged = !tally_load_relaxed(&owner->refcount.queue);
    if (self->asked != owner || (has_merged && !self->open)) return false;
    if (!self->open && !(self->open = tally_merge_new_batch(TALLY_MERGE_BATCH))) return false;
    tally_merge_add(self->open, object);
    self->in_hand = NULL;
    if (has_merged || self->open->count == TALLY_MERGE_BATCH) ask(thread, owner);
    return true;
}

bool tally_merge_by_owner(tally_object *object, uint32_t owner_id) {
    TALLY_EVENT(queued);
    tally_contended(object, TALLY_CONTENDED_MERGE);
    /* Until the object is in a batch, or merged, the owner may give it up, so that its state does
     * not tell of the entry. This tells sampling.c. */
    tally_thread_state *thread = tally_thread_current(), *owner = tally_thread_slot(owner_id);
    tally_refcount_thread *self = &thread->refcount;
    self->in_hand = object;
    int status = tally_load_relaxed(&owner->status);
    /* The owner is blocked: this thread merges for it, without an entry. */
    if (status == TALLY_BLOCKED && tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        bool dead = tally_merge_and_drop(&object->refcount);
        self->in_hand = NULL;
        tally_claim_end(owner);
        tally_refcount_merge_blocked(owner); /* entries that were pushed while it was claimed */
        return dead;
    }
    if (status == TALLY_RUNNING && collect(thread, owner, object)) return false;
    tally_merge_batch *batch = tally_merge_new_batch(1);
    if (!batch) return merge_stopped(object);
    tally_merge_add(batch, object);
    TALLY_FAILPOINT(queue_entry);
    enum tally_push pushed = tally_merge_push(owner, batch);
    if (pushed == TALLY_PUSH_CLOSED) return merge_for_gone(owner, batch);
    self->in_hand = NULL;
    TALLY_FAILPOINT(pushed);
    if (pushed == TALLY_PUSHED_FIRST) tell(owner, tally_merge_destroy);
    if (status == TALLY_RUNNING && self->asked != owner) ask(thread, owner);
    return false;
}
