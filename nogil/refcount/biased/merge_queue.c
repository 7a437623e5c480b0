/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * merge_queue.c: merging, and the queue by which other threads ask an owner to merge: only the
 * owner may write its half of a refcount, so a thread that drops more references than the shared
 * half has leaves the object in the queue of the owner.
 *
 * To merge is to add `local` to `shared` and to give up the owner. The word of owner and local is
 * cleared *before* the compare-and-swap that makes the state merged: from that moment another
 * thread may free the object, and its block may become another object. In between the total reads
 * too low. No thread acts on that, since objects die from merged only. owner_exit.c says which
 * thread may merge.
 *
 * To push an object by itself moves the owner's line, and the entry's, between processors. So while
 * the owner has not merged what a thread has pushed since its last safepoint, the thread collects
 * what it drops of that owner in a batch. It pushes the batch when that is full, when it drops an
 * object once the owner has merged, when it drops one of another owner that runs, at its next
 * safepoint, and before it blocks.
 *
 * Bound of a queue: an object of a blocked owner T is merged by the thread that drops it. While T
 * runs, a thread that finds more than TALLY_WAITING_LIMIT bytes in T's queue waits at its next
 * safepoint until T has been at one, and T merges there. So the queue exceeds the limit by no more
 * than twice the bytes that the droppers drop between two safepoints, since T merges just after
 * its safepoint counts. The blocks of the objects count, not what the objects hold.
 */
#include "merge_queue.h"

bool tally_merge_and_drop(tally_refcounts *refcount) {
    tally_object *object = (tally_object *)refcount;
    uint64_t owned = tally_owned_load(refcount);
    uint64_t local = 0;
    /* The object may have changed its owner while a pusher had the entry in its hand. */
    if (TALLY_UNLIKELY((uint16_t)owned == TALLY_OWNER_IMMORTAL)) return false;
    if (tally_owner_is_per_thread(owned)) { /* the table's reference keeps it */
        /* release: pairs with the stop in which the object is freed */
        if (!tally_per_thread_drop(owned)) tally_sub_release(&refcount->shared, TALLY_SHARED_ONE);
        return false;
    }
    if ((uint16_t)owned != TALLY_OWNER_NONE) {
        local = owned / TALLY_OWNED_ONE;
        tally_lock_unbias(object);
        tally_owned_store(refcount, TALLY_OWNER_NONE);
    }
    TALLY_FAILPOINT(merge_swap);
    uint32_t shared = tally_load_relaxed(&refcount->shared), merged;
    do {
        merged = tally_shared_is_full(shared)
                     ? shared | TALLY_SHARED_MERGED
                     : tally_shared_of(tally_shared_count(shared) + (int64_t)local - 1,
                                       TALLY_SHARED_MERGED);
        /* acq_rel: release pairs with the thread that frees the object later; acquire with the
         * decrefs of others before */
    } while (!tally_cas_weak_acq_rel(&refcount->shared, &shared, merged));
    TALLY_EVENT(merges);
    if (TALLY_UNLIKELY((int32_t)merged < 0 && !tally_shared_is_full(merged)))
        tally_fatal(object, "more references were dropped than there were");
    if (merged != TALLY_SHARED_MERGED) return false;
    /* Finalizers of objects that are destroyed before this one may collect. */
    if (tally_is_tracked(object)) tally_untrack(object);
    return true;
}

/* ---- batches -------------------------------------------------------------- */

enum { AHEAD = 4 }; /* another processor has the lines of the objects */

/* The objects that died stay in the batch. False: there are none, and the batch is gone. */
static bool merge_batch(tally_merge_batch *batch) {
    uint32_t dead = 0;
    for (uint32_t i = 0; i < batch->count; i++) {
        if (i + AHEAD < batch->count) __builtin_prefetch(batch->objects[i + AHEAD], 1);
        if (tally_merge_and_drop(&batch->objects[i]->refcount))
            batch->objects[dead++] = batch->objects[i];
    }
    batch->count = dead;
    if (!dead) tally_memory_free(TALLY_RAW, batch);
    return dead;
}

tally_merge_batch *tally_merge_take_queue(tally_thread_state *thread) {
    tally_merge_batch *batch = tally_load_seq_cst(&thread->refcount.queue), *dead = NULL;
    if (!batch || batch == TALLY_QUEUE_CLOSED) return NULL;
    /* seq_cst: pairs with push: either this takes the batch, or the pusher sees the status after it
     */
    batch = tally_swap_seq_cst(&thread->refcount.queue, NULL);
    size_t bytes = 0;
    uint64_t began = TALLY_DETAILED ? tally_now() : 0;
    for (tally_merge_batch *next; batch; batch = next) {
        next = batch->next;
        bytes += batch->bytes;
        if (!merge_batch(batch)) continue;
        batch->next = dead;
        dead = batch;
    }
    size_t before = tally_sub_relaxed(&thread->refcount.waiting, bytes);
    /* Only pushes come between two takes, of which one thread at a time is in one: the most there
     * was since the last is what there is now. */
    if (tally_load_relaxed(&thread->refcount.waiting_most) < before)
        tally_store_relaxed(&thread->refcount.waiting_most, before);
    if (TALLY_DETAILED) TALLY_EVENT_ADD(TALLY_EVENT_merge_ns, tally_now() - began);
    return dead;
}

tally_merge_batch *tally_merge_take_open(tally_refcount_thread *self) {
    tally_merge_batch *batch = self->open;
    self->open = NULL;
    if (!batch || !merge_batch(batch)) return NULL;
    batch->next = NULL;
    return batch;
}

tally_merge_batch *tally_merge_new_batch(uint32_t room) {
    tally_merge_batch *batch =
        tally_memory_alloc(TALLY_RAW, sizeof *batch + room * sizeof *batch->objects);
    if (batch) batch->bytes = batch->count = 0;
    return batch;
}

static inline size_t block_size(tally_object *object) {
#ifndef TALLY_DEBUG /* where a block has a guard */
    if (TALLY_LIKELY(tally_is_small(object))) return tally_pool_of(object)->block_size;
#endif
    return tally_memory_size(object);
}

void tally_merge_add(tally_merge_batch *batch, tally_object *object) {
    TALLY_DEBUG_ONLY(tally_debug_dropped(object));
    batch->bytes += sizeof object + block_size(object);
    batch->objects[batch->count++] = object;
}

/* Before the push, so that the sum is never less than what is in the queue. */
static void count_waiting(tally_refcount_thread *owner, size_t bytes) {
    size_t now = tally_add_relaxed(&owner->waiting, bytes) + bytes;
    if (TALLY_UNLIKELY(now > TALLY_WAITING_LIMIT)) tally_reclaim_request_throttle();
}

void tally_refcount_queued_bytes(size_t *bytes, size_t *most) {
    *bytes = *most = 0;
    tally_each_thread(thread) {
        size_t now = tally_load_relaxed(&thread->refcount.waiting);
        size_t here = tally_load_relaxed(&thread->refcount.waiting_most);
        *bytes += now;
        if (*most < here) *most = here;
        if (*most < now) *most = now;
    }
}

void tally_refcount_queue(tally_thread_state *owner, tally_waiting *about) {
    tally_merge_batch *batch = tally_load_relaxed(&owner->refcount.queue);
    *about = (tally_waiting){.bytes = tally_load_relaxed(&owner->refcount.waiting),
                             .since = tally_load_relaxed(&owner->refcount.since)};
    if (batch == TALLY_QUEUE_CLOSED) batch = NULL;
    for (; batch; batch = batch->next) about->count += batch->count;
    tally_each_thread(thread) {
        if (!thread->refcount.open || thread->refcount.asked != owner) continue;
        about->count += thread->refcount.open->count;
        about->bytes += thread->refcount.open->bytes;
    }
}

enum tally_push tally_merge_push(tally_thread_state *owner, tally_merge_batch *batch) {
    size_t bytes = batch->bytes; /* once it is pushed, the batch may be gone */
    count_waiting(&owner->refcount, bytes);
    tally_merge_batch *head = tally_load_relaxed(&owner->refcount.queue);
    do {
        if (head == TALLY_QUEUE_CLOSED) {
            tally_sub_relaxed(&owner->refcount.waiting, bytes);
            return TALLY_PUSH_CLOSED;
        }
        /* relaxed: for a snapshot; a pusher that is overtaken stores about the same time */
        if (!head) tally_store_relaxed(&owner->refcount.since, tally_now_coarse());
        batch->next = head;
        TALLY_FAILPOINT(push);
        /* seq_cst: before the look at the owner's status; pairs with become_blocked */
    } while (!tally_cas_weak_seq_cst(&owner->refcount.queue, &head, batch));
    return head ? TALLY_PUSHED_BEHIND : TALLY_PUSHED_FIRST;
}

/* ---- objects that died ------------------------------------------------------ */

void tally_merge_defer(tally_merge_batch *dead) {
    if (!dead) return;
    tally_thread_state *thread = tally_thread_current();
    tally_merge_batch *last = dead;
    while (last->next) last = last->next;
    last->next = thread->refcount.deferred;
    thread->refcount.deferred = dead;
    tally_breaker_set(thread, TALLY_BREAK_MERGE);
}
/* Or objects wait that this thread has dropped, which may die by the push. */
bool tally_refcount_dealloc_pending(tally_thread_state *thread) {
    return thread->refcount.deferred || thread->refcount.open;
}

void tally_merge_destroy(tally_merge_batch *dead) {
    while (dead) {
        tally_merge_batch *batch = dead;
        tally_object *object = batch->objects[--batch->count];
        if (!batch->count) {
            dead = batch->next;
            tally_memory_free(TALLY_RAW, batch);
        }
        if (TALLY_UNLIKELY(tally_load_relaxed(&tally_heap_profiling)))
            tally_heap_profile_dropped(object);
        tally_dealloc(object);
        if (TALLY_LIKELY(tally_reclaim_throttle()) || !dead) continue;
        /* This thread is over its limit, and about to wait for a grace period. */
        tally_merge_defer(dead);
        return;
    }
}

void tally_refcount_safepoint(tally_thread_state *thread) {
    tally_breaker_clear(thread, TALLY_BREAK_MERGE);
    TALLY_FAILPOINT(merge);
    tally_merge_push_open(thread, tally_merge_destroy);
    tally_merge_batch *deferred = thread->refcount.deferred;
    thread->refcount.deferred = NULL;
    tally_merge_destroy(deferred);
    tally_merge_destroy(tally_merge_take_queue(thread));
    tally_sampling_safepoint(thread);
}

void tally_refcount_push(tally_thread_state *thread) {
    tally_merge_push_open(thread, tally_merge_defer);
}

void tally_refcount_merge_later(tally_thread_state *thread) {
    tally_refcount_push(thread);
    tally_merge_defer(tally_merge_take_queue(thread));
}

/* ---- with the world stopped: the queues of all threads ---------------------- */

tally_refcount_dead tally_refcount_merge_stopped(void) {
    tally_merge_batch *dead = NULL, **last = &dead;
    tally_each_thread(thread) {
        *last = tally_merge_take_queue(thread);
        while (*last) last = &(*last)->next;
        *last = tally_merge_take_open(&thread->refcount);
        if (*last) last = &(*last)->next;
    }
    return dead;
}

/* Once the world runs. */
void tally_refcount_destroy(tally_refcount_dead dead) { tally_merge_destroy(dead); }
