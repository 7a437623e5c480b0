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

/* ---- entries -------------------------------------------------------------- */

static size_t entry_bytes(tally_object *object) {
    return sizeof(tally_merge_entry) + tally_memory_size(object);
}

tally_merge_entry *tally_merge_take_queue(tally_thread_state *thread) {
    tally_merge_entry *entry = tally_load_seq_cst(&thread->refcount.queue), *dead = NULL;
    if (!entry || entry == TALLY_QUEUE_CLOSED) return NULL;
    /* seq_cst: pairs with push: either this takes the entry, or the pusher sees the status after it
     */
    entry = tally_swap_seq_cst(&thread->refcount.queue, NULL);
    size_t bytes = 0;
    uint64_t began = TALLY_DETAILED ? tally_now() : 0;
    for (tally_merge_entry *next; entry; entry = next) {
        next = entry->next;
        bytes += entry_bytes(entry->object);
        if (tally_merge_and_drop(&entry->object->refcount)) {
            entry->next = dead;
            dead = entry;
        } else {
            tally_memory_free(TALLY_RAW, entry);
        }
    }
    size_t before = tally_sub_relaxed(&thread->refcount.waiting, bytes);
    /* Only pushes come between two takes, of which one thread at a time is in one: the most there
     * was since the last is what there is now. */
    if (tally_load_relaxed(&thread->refcount.waiting_most) < before)
        tally_store_relaxed(&thread->refcount.waiting_most, before);
    if (TALLY_DETAILED) TALLY_EVENT_ADD(TALLY_EVENT_merge_ns, tally_now() - began);
    return dead;
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

enum tally_push tally_merge_push(tally_thread_state *owner, tally_merge_entry *entry) {
    size_t bytes = entry_bytes(entry->object); /* once it is pushed, the object may die */
    count_waiting(&owner->refcount, bytes);
    tally_merge_entry *head = tally_load_relaxed(&owner->refcount.queue);
    do {
        if (head == TALLY_QUEUE_CLOSED) {
            tally_sub_relaxed(&owner->refcount.waiting, bytes);
            return TALLY_PUSH_CLOSED;
        }
        entry->next = head;
        TALLY_FAILPOINT(push);
        /* seq_cst: before the look at the owner's status; pairs with become_blocked */
    } while (!tally_cas_weak_seq_cst(&owner->refcount.queue, &head, entry));
    return head ? TALLY_PUSHED_BEHIND : TALLY_PUSHED_FIRST;
}

/* ---- objects that died ------------------------------------------------------ */

void tally_merge_defer(tally_merge_entry *dead) {
    if (!dead) return;
    tally_thread_state *thread = tally_thread_current();
    tally_merge_entry *last = dead;
    while (last->next) last = last->next;
    last->next = thread->refcount.deferred;
    thread->refcount.deferred = dead;
    tally_breaker_set(thread, TALLY_BREAK_MERGE);
}
bool tally_refcount_dealloc_pending(tally_thread_state *thread) {
    return thread->refcount.deferred != NULL;
}

void tally_merge_destroy(tally_merge_entry *dead) {
    for (tally_merge_entry *next; dead; dead = next) {
        next = dead->next;
        tally_object *object = dead->object;
        tally_memory_free(TALLY_RAW, dead);
        tally_dealloc(object);
        if (TALLY_LIKELY(tally_reclaim_throttle()) || !next) continue;
        /* This thread is over its limit, and about to wait for a grace period. */
        tally_merge_defer(next);
        return;
    }
}

void tally_refcount_safepoint(tally_thread_state *thread) {
    tally_breaker_clear(thread, TALLY_BREAK_MERGE);
    TALLY_FAILPOINT(merge);
    tally_merge_entry *deferred = thread->refcount.deferred;
    thread->refcount.deferred = NULL;
    tally_merge_destroy(deferred);
    tally_merge_destroy(tally_merge_take_queue(thread));
    tally_sampling_safepoint(thread);
}

void tally_refcount_merge_later(tally_thread_state *thread) {
    tally_merge_defer(tally_merge_take_queue(thread));
}

/* ---- with the world stopped: the queues of all threads ---------------------- */

tally_refcount_dead tally_refcount_merge_stopped(void) {
    tally_merge_entry *dead = NULL, **last = &dead;
    tally_each_thread(thread) {
        *last = tally_merge_take_queue(thread);
        while (*last) last = &(*last)->next;
    }
    return dead;
}

/* Once the world runs. */
void tally_refcount_destroy(tally_refcount_dead dead) { tally_merge_destroy(dead); }
