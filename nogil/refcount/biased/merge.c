/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counts.c: the slow half of biased counts: merging, and the queues by which
 * other threads ask an owner to merge. tally_refcount.h states the invariants,
 * docs/design/refcounts.md draws the states.
 *
 * To merge is to add `local` to `shared` and to give up the owner. The word of
 * owner and local is cleared *before* the compare-and-swap that makes the state
 * merged: from that moment another thread may free the object and its block be
 * another's. In between the total reads too low, which nobody acts on: objects
 * die from merged only.
 *
 * Who may merge an object of owner T:
 *   T itself, at a safepoint; or as it hands out what is new (tally_refcount_merge_and_expose);
 *   who has claimed T while it is blocked (T cannot return before the claim ends);
 *   who holds the registration lock while T is gone (nobody can attach as T).
 *
 * Bound of a queue: what T has while it is blocked is merged by who drops it. While T
 * runs, a thread that finds more than TALLY_BACKLOG_LIMIT in T's queue waits at its
 * next safepoint until T has been at one, and T merges there. So the limit is exceeded
 * by no more than what the droppers drop between two safepoints, twice, since T merges
 * just after its safepoint counts. A block counts, not what its object holds.
 */
#include "objects/object.h"

#define TALLY_QUEUE_CLOSED ((tally_merge_entry *)1)

/* Merges and gives back one reference, the queue's; true if that was the last. */
static bool merge_and_drop(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    uint64_t local = 0;
    /* Made immortal while its entry was in a pusher's hand. */
    if (TALLY_UNLIKELY((uint16_t)owned == TALLY_OWNER_IMMORTAL)) return false;
    /* It got hot while its entry was in a pusher's hand; the table's reference keeps it. */
    if (tally_owner_is_hot(owned)) {
        tally_hot_down(owned);
        return false;
    }
    /* Spread meanwhile: the table's reference keeps it. release: pairs with the stop in which
     * somebody frees it */
    if (tally_owner_is_per_thread(owned)) {
        if (!tally_per_thread_add(owned, -1))
            tally_sub_release(&refcount->shared, TALLY_SHARED_ONE);
        return false;
    }
    if ((uint16_t)owned != TALLY_OWNER_NONE) {
        local = owned / TALLY_OWNED_ONE;
        tally_lock_unbias((tally_object *)refcount);
        tally_owned_store(refcount, TALLY_OWNER_NONE);
    }
    TALLY_FAILPOINT(merge_swap);
    uint32_t shared = tally_load_relaxed(&refcount->shared), merged;
    do {
        merged = tally_shared_is_full(shared)
                     ? shared | TALLY_SHARED_MERGED
                     : tally_shared_of(tally_shared_count(shared) + (int64_t)local - 1,
                                       TALLY_SHARED_MERGED);
        /* acq_rel: release pairs with who frees it later; acquire with the decrefs of others before
         */
    } while (!tally_cas_weak_acq_rel(&refcount->shared, &shared, merged));
    TALLY_EVENT(merges);
    if (TALLY_UNLIKELY((int32_t)merged < 0 && !tally_shared_is_full(merged)))
        tally_fatal((tally_object *)refcount, "more references were dropped than there were");
    if (merged != TALLY_SHARED_MERGED) return false;
    /* Until it is destroyed others may be, whose finalizers may collect. */
    if (tally_is_tracked((tally_object *)refcount)) tally_untrack((tally_object *)refcount);
    return true;
}

static size_t entry_bytes(tally_object *object) {
    return sizeof(tally_merge_entry) + tally_memory_size(object);
}

/* Merges every entry; those that died are left in the list returned, so that
 * they can be destroyed once nothing is claimed or locked any more. *bytes: what they were counted
 * for. */
static tally_merge_entry *merge_all(tally_merge_entry *entry, size_t *bytes) {
    tally_merge_entry *dead = NULL;
    *bytes = 0;
    for (tally_merge_entry *next; entry; entry = next) {
        next = entry->next;
        *bytes += entry_bytes(entry->object);
        if (merge_and_drop(&entry->object->refcount)) {
            entry->next = dead;
            dead = entry;
        } else {
            tally_memory_free(TALLY_RAW, entry);
        }
    }
    return dead;
}

/* Until the next safepoint: this thread waits in a call that runs no foreign code; or what it has
 * retired is too much already, and it is about to wait for a grace period. */
static void defer(tally_merge_entry *dead) {
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

static void destroy_all(tally_merge_entry *dead) {
    for (tally_merge_entry *next; dead; dead = next) {
        next = dead->next;
        tally_object *object = dead->object;
        tally_memory_free(TALLY_RAW, dead);
        tally_dealloc(object);
        if (TALLY_LIKELY(tally_reclaim_throttle()) || !next) continue;
        defer(next);
        return;
    }
}

/* The owner drops the last reference of its half, and other threads have counted: true if that was
 * the last. */
static bool give_up(tally_refcounts *refcount) {
    tally_lock_unbias((tally_object *)refcount);
    tally_owned_store(refcount, TALLY_OWNER_NONE);
    TALLY_FAILPOINT(local_zero_swap);
    uint32_t shared = tally_load_relaxed(&refcount->shared), merged;
    do {
        merged = (shared & ~(uint32_t)TALLY_SHARED_STATE) | TALLY_SHARED_MERGED;
        /* acq_rel: as in merge_and_drop */
    } while (!tally_cas_weak_acq_rel(&refcount->shared, &shared, merged));
    TALLY_EVENT(merges);
    return merged == TALLY_SHARED_MERGED;
}

/* Merges what waits for a thread that cannot: it is claimed, or gone and the registration lock
 * held. */
static tally_merge_entry *take_queue(tally_thread_state *thread) {
    tally_merge_entry *all = tally_load_seq_cst(&thread->refcount.queue);
    if (!all || all == TALLY_QUEUE_CLOSED) return NULL;
    /* seq_cst: pairs with push: either this takes the entry, or the pusher sees the status after it
     */
    size_t bytes;
    tally_merge_entry *dead = merge_all(tally_swap_seq_cst(&thread->refcount.queue, NULL), &bytes);
    tally_sub_relaxed(&thread->refcount.waiting, bytes);
    return dead;
}

/* Before a push, so that it is never less than what is there. */
static void count_waiting(tally_refcount_thread *owner, size_t bytes) {
    size_t now = tally_add_relaxed(&owner->waiting, bytes) + bytes;
    size_t most = tally_load_relaxed(&owner->waiting_most);
    while (most < now && !tally_cas_weak_relaxed(&owner->waiting_most, &most, now)) {}
    if (TALLY_UNLIKELY(now > TALLY_BACKLOG_LIMIT)) tally_reclaim_request_throttle();
}

void tally_refcount_queued_bytes(size_t *bytes, size_t *most) {
    *bytes = *most = 0;
    for (uint32_t id = 1; id <= tally_load_acquire(&tally_process.slots_used); id++) {
        tally_refcount_thread *owner = &tally_thread_slot(id)->refcount;
        *bytes += tally_load_relaxed(&owner->waiting);
        size_t here = tally_load_relaxed(&owner->waiting_most);
        if (*most < here) *most = here;
    }
}

enum push {
    PUSHED_FIRST,
    PUSHED_BEHIND /* of entries whose first pusher sees to it that all are merged */,
    PUSH_CLOSED
};

static enum push push(tally_thread_state *owner, tally_merge_entry *entry) {
    size_t bytes =
        entry_bytes(entry->object); /* now: once it is pushed, it may be merged and die */
    count_waiting(&owner->refcount, bytes);
    tally_merge_entry *head = tally_load_relaxed(&owner->refcount.queue);
    do {
        if (head == TALLY_QUEUE_CLOSED) {
            tally_sub_relaxed(&owner->refcount.waiting, bytes);
            return PUSH_CLOSED;
        }
        entry->next = head;
        TALLY_FAILPOINT(push);
        /* seq_cst: before the look at the owner's status; pairs with blocked() */
    } while (!tally_cas_weak_seq_cst(&owner->refcount.queue, &head, entry));
    return head ? PUSHED_BEHIND : PUSHED_FIRST;
}

/* The owner is gone. Merges under the registration lock, so that nobody attaches in its slot
 * meanwhile. */
static bool merge_for_gone(tally_thread_state *owner, tally_merge_entry *entry) {
    TALLY_FAILPOINT(merge_for_gone);
    tally_thread_list_lock();
    bool gone = push(owner, entry) == PUSH_CLOSED,
         dead = gone && merge_and_drop(&entry->object->refcount);
    pthread_mutex_unlock(&tally_process.thread_list);
    if (gone) {
        tally_memory_free(TALLY_RAW, entry);
        return dead;
    }
    /* Somebody attached there in between, and does it, or is blocked already. */
    tally_breaker_set(owner, TALLY_BREAK_MERGE);
    tally_refcount_merge_blocked(owner);
    return false;
}

/* No memory for an entry: stop the world, in which every owner stands still, and merge here. */
static bool merge_stopped(tally_object *object) {
    TALLY_FAILPOINT(merge_stopped);
    tally_stop_the_world();
    bool dead = merge_and_drop(&object->refcount);
    tally_resume_the_world();
    return dead;
}

/* True: it is dead, which is the caller's affair, so that it dies in its turn among what dies with
 * it. */
static bool queue_object(tally_object *object, uint32_t owner_id) {
    TALLY_EVENT(queued);
    tally_contended(object, TALLY_CONTENDED_MERGE);
    tally_thread_state *owner = tally_thread_slot(owner_id);
    /* Blocked at this moment: merged in its stead, without an entry. */
    if (tally_load_relaxed(&owner->status) == TALLY_BLOCKED && tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        bool dead = merge_and_drop(&object->refcount);
        tally_claim_end(owner);
        tally_refcount_merge_blocked(owner); /* what was pushed while it was claimed */
        return dead;
    }
    tally_merge_entry *entry = tally_memory_alloc(TALLY_RAW, sizeof *entry);
    if (!entry) return merge_stopped(object);
    entry->object = object;
    TALLY_FAILPOINT(queue_entry);
    enum push pushed = push(owner, entry);
    if (pushed == PUSHED_BEHIND) return false;
    if (pushed == PUSH_CLOSED) return merge_for_gone(owner, entry);
    TALLY_FAILPOINT(pushed);
    tally_breaker_set(owner, TALLY_BREAK_MERGE);
    tally_refcount_merge_blocked(owner);
    return false;
}

/* After a push, or after somebody's claim has ended: merges for the owner if it
 * is blocked. Who finds it claimed may leave: the claimer comes here afterwards. */
void tally_refcount_merge_blocked(tally_thread_state *owner) {
    tally_merge_entry *head;
    /* seq_cst, after the push: pairs with blocking, which publishes its status and then looks at
     * the queue */
    while (tally_load_seq_cst(&owner->status) == TALLY_BLOCKED &&
           (head = tally_load_seq_cst(&owner->refcount.queue)) && head != TALLY_QUEUE_CLOSED &&
           tally_claim(owner)) {
        TALLY_EVENT(claims);
        TALLY_FAILPOINT(merge_claimed);
        tally_merge_entry *dead = take_queue(owner);
        tally_claim_end(owner);
        destroy_all(dead);
    }
}

/* Near an end of the range it goes back to FULL; what others count meanwhile does not matter any
 * more. */
void tally_refcount_saturate(tally_refcounts *refcount) {
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    while (
        tally_shared_is_full(shared) &&
        (unsigned)(tally_shared_count(shared) - TALLY_SHARED_FULL + (1 << 26)) >= 1u << 27 &&
        !tally_cas_weak_relaxed(&refcount->shared, &shared,
                                tally_shared_of(TALLY_SHARED_FULL, shared & TALLY_SHARED_STATE))) {}
}

/* The same where no foreign code may run: what dies is left for the caller's next safepoint. */
void tally_refcount_merge_blocked_later(tally_thread_state *owner) {
    tally_merge_entry *head;
    /* seq_cst: as above */
    while (tally_load_seq_cst(&owner->status) == TALLY_BLOCKED &&
           (head = tally_load_seq_cst(&owner->refcount.queue)) && head != TALLY_QUEUE_CLOSED &&
           tally_claim(owner)) {
        TALLY_EVENT(claims);
        tally_merge_entry *dead = take_queue(owner);
        tally_claim_end(owner);
        if (dead) defer(dead);
    }
}

/* A reference of another thread than the owner's goes; true if that was the last. */
static bool drop_shared(tally_refcounts *refcount) {
    /* Read first: once this reference is the queue's, the object may be merged at any time. */
    uint32_t owner = tally_refcount_owner(refcount);
    /* acquire: a merged state must not be seen with the owner from before the merge; the queue
     * needs the owner only in states in which it cannot have changed, see below */
    uint32_t shared = tally_load_acquire(&refcount->shared), next;
    TALLY_DETAIL(shared_decrefs);
    for (;;) {
        if (TALLY_UNLIKELY(shared == TALLY_SHARED_MERGED))
            tally_fatal((tally_object *)refcount,
                        "a reference was dropped of an object that is dead");
        if (TALLY_UNLIKELY(tally_shared_is_full(shared))) {
            tally_refcount_saturate(refcount);
            return false;
        }
        /* Would go negative for the first time: the reference becomes the queue's instead. */
        bool queue = shared == TALLY_SHARED_PRIVATE || shared == TALLY_SHARED_MAYBE;
        if (queue) {
            owner = tally_refcount_owner(refcount);
            /* The owner is merging at this moment: not its queue's business any more, count down.
             */
            if (owner == TALLY_OWNER_NONE) queue = false;
        }
        next = queue ? TALLY_SHARED_QUEUED : shared - TALLY_SHARED_ONE;
        TALLY_FAILPOINT(decref_shared);
        /* acq_rel: release pairs with the merge or the last decref; acquire for the one that frees
         */
        if (tally_cas_weak_acq_rel_acquire(&refcount->shared, &shared, next)) {
            if (queue) return queue_object((tally_object *)refcount, owner);
            return next == TALLY_SHARED_MERGED;
        }
        TALLY_DETAIL(lost_cas);
        tally_contended((tally_object *)refcount, TALLY_CONTENDED_LOST_CAS);
        TALLY_HOT_NOTE(refcount, 1); /* the reference is not dropped yet */
    }
}

#if TALLY_PER_THREAD_REFCOUNTS
/* By a thread that has no table of numbers yet. */
static __attribute__((noinline)) void drop_spread(tally_refcounts *refcount, uint64_t owned) {
    tally_thread_require();
    if (tally_per_thread_allocate() && tally_per_thread_add(owned, -1)) return;
    /* release: pairs with the stop in which somebody frees it */
    tally_sub_release(&refcount->shared, TALLY_SHARED_ONE);
}
#endif

bool tally_refcount_drop_slow(tally_refcounts *refcount) {
#if TALLY_PER_THREAD_REFCOUNTS
    uint64_t owned = tally_owned_load(refcount);
    if (tally_owner_is_per_thread(owned)) {
        TALLY_DETAIL(per_thread_decrefs);
        if (TALLY_UNLIKELY(!tally_per_thread_add(owned, -1))) drop_spread(refcount, owned);
        return false;
    }
#endif
    return tally_refcount_owned(refcount) ? give_up(refcount) : drop_shared(refcount);
}

void tally_refcount_decref_slow(tally_refcounts *refcount) {
    if (tally_refcount_drop(refcount)) tally_dealloc((tally_object *)refcount);
}

/* ---- hooks -------------------------------------------------------------- */

/* Registration lock held: opens the queue of a slot, new or taken over. */
void tally_refcount_attach(tally_thread_state *thread) {
    tally_store_seq_cst(&thread->refcount.queue, NULL);
#if TALLY_HOT_COUNTS
    tally_hot_attach(thread);
#endif
}

void tally_refcount_safepoint(tally_thread_state *thread) {
    tally_breaker_clear(thread, TALLY_BREAK_MERGE);
    TALLY_FAILPOINT(merge);
    tally_merge_entry *deferred = thread->refcount.deferred;
    thread->refcount.deferred = NULL;
    if (TALLY_UNLIKELY(deferred)) destroy_all(deferred);
    destroy_all(take_queue(thread));
#if TALLY_HOT_COUNTS
    tally_hot_safepoint(thread);
#endif
}

void tally_refcount_merge_later(tally_thread_state *thread) {
    tally_merge_entry *dead = take_queue(thread);
    if (dead) defer(dead);
}

/* The status says blocked; looks again at what was pushed before anybody could see that. */
bool tally_refcount_is_queue_pending(tally_thread_state *thread) {
    return tally_load_seq_cst(&thread->refcount.queue) != NULL;
}
bool tally_refcount_pending(tally_thread_state *thread) {
#if TALLY_HOT_COUNTS
    if (tally_hot_pending(thread)) return true;
#endif
    return tally_refcount_is_queue_pending(thread);
}

/* Registration lock held: closes the queue if it is empty; false: it is not. */
bool tally_refcount_detach(tally_thread_state *thread) {
    tally_merge_entry *none = NULL;
    if (thread->refcount.deferred) return false;
#if TALLY_HOT_COUNTS
    if (!tally_hot_detach(thread)) return false;
#endif
    /* seq_cst: pairs with push, which sees closed or is seen here */
    return tally_cas_seq_cst(&thread->refcount.queue, &none, TALLY_QUEUE_CLOSED);
}

#if !TALLY_HOT_COUNTS
static
#endif
    tally_merge_entry *
    tally_refcount_merge_queues(void) {
    tally_merge_entry *dead = NULL, **last = &dead;
    for (uint32_t id = 1; id <= tally_load_acquire(&tally_process.slots_used); id++) {
        if (!tally_thread_slot(id)) continue;
        *last = take_queue(tally_thread_slot(id));
        while (*last) last = &(*last)->next;
    }
    return dead;
}

/* World stopped: merges all that waits, for whomever. What died is destroyed by who
 * stopped the world, once it runs again. */
tally_refcount_dead tally_refcount_merge_stopped(void) {
    tally_refcount_dead dead = {.entries = tally_refcount_merge_queues()};
#if TALLY_HOT_COUNTS
    tally_hot_cool_all(&dead.cooled);
#endif
    return dead;
}
void tally_refcount_destroy(tally_refcount_dead dead) {
    destroy_all(dead.entries);
#if TALLY_HOT_COUNTS
    tally_hot_drop(&dead.cooled);
#endif
}
