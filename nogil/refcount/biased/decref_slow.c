/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * decref_slow.c: the decrefs that the inline path leaves: the owner's last one, and all by other
 * threads; and try-increfs that meet other threads. tally_refcount.h states the invariants.
 */
#include "merge_queue.h"

/* The owner drops its last reference, and other threads have counted. True: it was the last. */
static bool give_up(tally_refcounts *refcount) {
    tally_lock_unbias((tally_object *)refcount);
    tally_owned_store(refcount, TALLY_OWNER_NONE);
    TALLY_FAILPOINT(local_zero_swap);
    uint32_t shared = tally_load_relaxed(&refcount->shared), merged;
    do {
        merged = (shared & ~(uint32_t)TALLY_SHARED_STATE) | TALLY_SHARED_MERGED;
        /* acq_rel: as in tally_merge_and_drop */
    } while (!tally_cas_weak_acq_rel(&refcount->shared, &shared, merged));
    TALLY_EVENT(merges);
    return merged == TALLY_SHARED_MERGED;
}

/* Sets a shared half that is near an end of the full range back to FULL. The counts of other
 * threads meanwhile do not matter any more. */
void tally_refcount_saturate(tally_refcounts *refcount) {
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    while (
        tally_shared_is_full(shared) &&
        (unsigned)(tally_shared_count(shared) - TALLY_SHARED_FULL + (1 << 26)) >= 1u << 27 &&
        !tally_cas_weak_relaxed(&refcount->shared, &shared,
                                tally_shared_of(TALLY_SHARED_FULL, shared & TALLY_SHARED_STATE))) {}
}

/* After a compare-and-swap was lost. */
bool tally_refcount_try_incref_again(tally_refcounts *refcount) {
    int counted;
    unsigned lost = 0;
    do {
        lost++;
        counted = tally_refcount_try_incref_once(refcount);
        if (counted == TALLY_NOT_COUNTED) counted = tally_refcount_try_incref_shared(refcount);
    } while (counted < 0);
    if (counted) tally_refcount_contended(refcount, lost); /* now that it cannot die */
    return counted;
}

/* Another thread than the owner drops a reference; true if that was the last. */
static bool drop_shared(tally_refcounts *refcount) {
    /* Read first: once this reference is the queue's, the object may be merged at any time. */
    uint32_t owner = tally_refcount_owner(refcount);
    /* acquire: a merged state must not be seen with the owner from before the merge; the queue
     * needs the owner only in states in which it cannot have changed, see below */
    uint32_t shared = tally_load_acquire(&refcount->shared), next;
    TALLY_DETAIL(shared_decrefs);
    if (TALLY_SAMPLING &&
        TALLY_UNLIKELY(--tally_thread_current()->refcount.sampling.countdown == 0) &&
        tally_sample(refcount))
        return tally_refcount_drop(refcount);
    for (;;) {
        if (TALLY_UNLIKELY(shared == TALLY_SHARED_MERGED))
            tally_fatal((tally_object *)refcount,
                        "a reference was dropped of an object that is dead");
        if (TALLY_UNLIKELY(tally_shared_is_full(shared))) {
            tally_refcount_saturate(refcount);
            return false;
        }
        /* The half would go negative for the first time: the queue gets the reference instead. */
        bool queue = shared == TALLY_SHARED_PRIVATE || shared == TALLY_SHARED_MAYBE;
        if (queue) {
            owner = tally_refcount_owner(refcount);
            /* The owner is merging at this moment: this thread counts down. */
            if (owner == TALLY_OWNER_NONE) queue = false;
        }
        next = queue ? TALLY_SHARED_QUEUED : shared - TALLY_SHARED_ONE;
        TALLY_FAILPOINT(decref_shared);
        /* acq_rel: release pairs with the merge or the last decref; acquire for the one that frees
         */
        if (tally_cas_weak_acq_rel_acquire(&refcount->shared, &shared, next)) {
            if (queue) return tally_merge_by_owner((tally_object *)refcount, owner);
            return next == TALLY_SHARED_MERGED;
        }
        TALLY_DETAIL(lost_cas);
        tally_contended((tally_object *)refcount, TALLY_CONTENDED_LOST_CAS);
    }
}

#if TALLY_PER_THREAD_REFCOUNTS
/* By a thread that has no refcount array yet. */
static __attribute__((noinline)) void drop_per_thread(tally_refcounts *refcount, uint64_t owned) {
    tally_thread_require();
    if (tally_per_thread_allocate() && tally_per_thread_drop(owned)) return;
    /* release: pairs with the stop in which the object is freed */
    tally_sub_release(&refcount->shared, TALLY_SHARED_ONE);
}
#endif

bool tally_refcount_drop_slow(tally_refcounts *refcount) {
#if TALLY_PER_THREAD_REFCOUNTS
    uint64_t owned = tally_owned_load(refcount);
    if (tally_owner_is_per_thread(owned)) {
        TALLY_DETAIL(per_thread_decrefs);
        if (TALLY_UNLIKELY(!tally_per_thread_drop(owned))) drop_per_thread(refcount, owned);
        return false;
    }
#endif
    return tally_refcount_owned(refcount) ? give_up(refcount) : drop_shared(refcount);
}

void tally_refcount_decref_slow(tally_refcounts *refcount) {
    if (tally_refcount_drop(refcount)) tally_dealloc((tally_object *)refcount);
}
