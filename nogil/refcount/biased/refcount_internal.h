/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_internal.h: biased refcounts; core/contract/refcount.h says what each function does. */
#ifndef TALLY_REFCOUNT_INTERNAL_H
#define TALLY_REFCOUNT_INTERNAL_H

#include "layout/flags.h"
#include "layout/thread.h"
#include "tally_heap_format.h"

/* The caller's array of per-thread refcounts; false: no memory, without an error. */
bool tally_per_thread_allocate(void);

static inline int32_t tally_shared_count(uint32_t shared) { return (int32_t)shared >> 2; }
/* Full is from 2^28 to 3 * 2^28, in 30 bits; tally_refcount.h. */
enum { TALLY_SHARED_FULL = (1 << 28) + (1 << 27), TALLY_SHARED_FULL_FROM = 1 << 28 };
static inline bool tally_shared_is_full(uint32_t shared) {
    return shared - (UINT32_C(1) << 30) < UINT32_C(1) << 31;
}
/* A shared half of this many references: full if it is too many. */
static inline uint32_t tally_shared_of(int64_t references, uint32_t state) {
    return (uint32_t)(references < TALLY_SHARED_FULL_FROM ? references : TALLY_SHARED_FULL) << 2 |
           state;
}

/* An object that is counted per thread has none. */
static inline uint32_t tally_refcount_owner(tally_refcounts *refcount) {
    uint16_t owner = (uint16_t)tally_owned_load(refcount);
    return tally_owner_is_per_thread(owner) ? TALLY_OWNER_NONE : owner;
}
/* The local count; an object that is counted per thread has an index there. */
static inline int64_t tally_refcount_local(tally_refcounts *refcount) {
    return tally_refcount_owner(refcount) == TALLY_OWNER_NONE
               ? 0
               : (int64_t)(tally_owned_load(refcount) >> 16);
}
static inline enum tally_heap_state tally_refcount_state(tally_refcounts *refcount) {
    if (tally_owner_is_per_thread(tally_owned_load(refcount))) return TALLY_HEAP_PER_THREAD;
    return TALLY_HEAP_PRIVATE + (tally_load_relaxed(&refcount->shared) & TALLY_SHARED_STATE);
}
static inline bool tally_refcount_owned(tally_refcounts *refcount) {
    return (uint16_t)tally_owned_load(refcount) == tally_self.id;
}

/* The caller is the owner, and its half has all references. acquire: pairs with the release of the
 * decrefs of other threads that had some. */
static inline bool tally_refcount_is_unshared(tally_refcounts *refcount) {
    return tally_refcount_owned(refcount) &&
           tally_load_acquire(&refcount->shared) <= TALLY_SHARED_MAYBE;
}
/* By its owner. */
static inline void tally_refcount_local_add(tally_refcounts *refcount, int64_t n) {
    tally_owned_store(refcount, tally_owned_load(refcount) + (uint64_t)n * TALLY_OWNED_ONE);
}
/* By the owner of an unshared object: from now on the try-increfs of other threads fail, until it
 * is exposed again. False: another thread has got a reference. acquire: as above. */
static inline bool tally_refcount_close(tally_refcounts *refcount) {
    uint32_t shared = TALLY_SHARED_MAYBE;
    return tally_cas_acquire(&refcount->shared, &shared, TALLY_SHARED_PRIVATE) ||
           shared == TALLY_SHARED_PRIVATE;
}
static inline bool tally_refcount_is_closed(tally_refcounts *refcount) {
    return tally_load_relaxed(&refcount->shared) == TALLY_SHARED_PRIVATE;
}

static inline void tally_refcount_init(tally_refcounts *refcount) {
    tally_store_relaxed(&refcount->shared, TALLY_SHARED_PRIVATE);
    /* release: keeps the stores of the fields before it. No acquire needs it: in state private the
     * try-incref of every other thread fails. */
    tally_owned_publish(refcount, TALLY_OWNED_ONE | tally_self.id);
}
/* For new memory. */
static inline void tally_refcount_start_dead(tally_refcounts *refcount) {
    tally_owned_store(refcount, TALLY_OWNER_NONE);
    tally_store_relaxed(&refcount->shared, TALLY_SHARED_PRIVATE);
}
static inline bool tally_refcount_is_immortal(tally_refcounts *refcount) {
    return tally_refcount_owner(refcount) == TALLY_OWNER_IMMORTAL ||
           tally_shared_is_full(tally_load_relaxed(&refcount->shared));
}

/* The shared half says that nobody may take a reference by a try-incref. */
static inline bool tally_shared_is_closed(uint32_t shared) {
    return shared == TALLY_SHARED_MERGED || (shared & TALLY_SHARED_STATE) == TALLY_SHARED_PRIVATE;
}
/* The part without a read-modify-write, which would need the register of the value that the caller
 * returns. */
static inline int tally_refcount_try_incref_once(tally_refcounts *refcount) {
    TALLY_FAILPOINT(try_incref_once);
    uint64_t owned = tally_owned_load(refcount);
    if (TALLY_LIKELY((uint16_t)owned == tally_self.id)) {
        /* Only this thread can free the object, so the object is alive. */
        TALLY_DETAIL(local_increfs);
        tally_owned_store(refcount, owned + TALLY_OWNED_ONE);
        return TALLY_COUNTED_OWN;
    }
    return tally_refcount_incref_special(owned) ? TALLY_COUNTED : TALLY_NOT_COUNTED;
}
/* One try in the shared half, for a thread that try_incref_once has sent here. */
static inline int tally_refcount_try_incref_shared(tally_refcounts *refcount) {
    TALLY_FAILPOINT(try_incref);
    uint64_t owned = tally_owned_load(refcount);
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    /* An object that is counted per thread, but not by a thread without an array: its shared half
     * is merged and has the table's reference. */
    if (tally_shared_is_closed(shared) && !tally_owner_is_per_thread(owned))
        return TALLY_NOT_COUNTED;
    TALLY_FAILPOINT(try_incref_swap);
    /* acquire: pairs with the release of the compare-and-swap that made the state maybe
     * shared or merged */
    if (!tally_cas_acquire(&refcount->shared, &shared, shared + TALLY_SHARED_ONE)) {
        TALLY_DETAIL(lost_cas);
        return TALLY_COUNT_LOST;
    }
    TALLY_DETAIL(shared_increfs);
    return TALLY_COUNTED;
}
bool tally_refcount_try_incref_again(tally_refcounts *refcount);
static inline bool tally_refcount_try_incref(tally_refcounts *refcount) {
    int counted = tally_refcount_try_incref_once(refcount);
    if (counted == TALLY_NOT_COUNTED) counted = tally_refcount_try_incref_shared(refcount);
    return TALLY_LIKELY(counted >= 0) ? counted : tally_refcount_try_incref_again(refcount);
}
static inline bool tally_refcount_try_incref_weak(tally_refcounts *refcount) {
    return tally_refcount_try_incref(refcount);
}

static inline void tally_refcount_expose(tally_refcounts *refcount) {
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    if (tally_refcount_owner(refcount) == TALLY_OWNER_IMMORTAL) return;
    /* release: as in tally_refcount_set_maybe_shared */
    while ((shared & TALLY_SHARED_STATE) == TALLY_SHARED_PRIVATE &&
           !tally_cas_weak_release(&refcount->shared, &shared, shared | TALLY_SHARED_MAYBE)) {}
}

/* A new object, which has no references but the caller's, two at most, is merged at once if the
 * caller owns it, so that the last drop needs no merge queue. Not for an object with a lock, whose
 * bias would have to end. */
static inline void tally_refcount_merge_and_expose(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    if ((uint16_t)owned != tally_self.id || owned >= 3 * TALLY_OWNED_ONE ||
        shared != TALLY_SHARED_PRIVATE) {
        tally_refcount_expose(refcount);
        return;
    }
    TALLY_FAILPOINT(merge_and_expose);
    /* The owner is given up first, as in every merge. Other threads may count meanwhile. */
    tally_owned_store(refcount, TALLY_OWNER_NONE);
    TALLY_FAILPOINT(merge_and_expose_swap);
    uint32_t local = (uint32_t)(owned / TALLY_OWNED_ONE);
    /* release: pairs with the acquire of try-increfs and of the last drop */
    while (!tally_cas_weak_release(&refcount->shared, &shared,
                                   (shared + local * TALLY_SHARED_ONE) | TALLY_SHARED_MERGED)) {}
    TALLY_EVENT(merges);
}

static inline void tally_refcount_adopt(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    /* An object counted per thread stays so: no count of it is atomic, and the sweep frees it. */
    if ((uint16_t)owned == tally_self.id || (uint16_t)owned == TALLY_OWNER_IMMORTAL ||
        tally_owner_is_per_thread(owned))
        return;
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    if (TALLY_UNLIKELY(tally_shared_is_full(shared))) return;
    uint64_t total = owned / TALLY_OWNED_ONE + (uint64_t)(int64_t)tally_shared_count(shared);
    tally_store_relaxed(&refcount->shared, (shared & TALLY_SHARED_STATE) == TALLY_SHARED_PRIVATE
                                               ? TALLY_SHARED_PRIVATE
                                               : TALLY_SHARED_MAYBE);
    tally_owned_store(refcount, total * TALLY_OWNED_ONE + tally_self.id);
}
/* As adopt, for an object in any state to which others hold references. */
static inline void tally_refcount_take_over(tally_refcounts *refcount) {
    tally_refcount_adopt(refcount);
    tally_store_relaxed(&refcount->shared, TALLY_SHARED_MAYBE);
}
static inline void tally_refcount_trial_add(tally_refcounts *refcount, int32_t by) {
    /* relaxed: one thread at a time has this object, and the world is stopped */
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    if (TALLY_UNLIKELY(tally_shared_is_full(shared))) return;
    tally_store_relaxed(&refcount->shared, shared + (uint32_t)by * TALLY_SHARED_ONE);
}
bool tally_refcount_drop_slow(tally_refcounts *refcount);
static inline __attribute__((always_inline)) bool tally_refcount_drop(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    if (TALLY_LIKELY((uint16_t)owned == tally_self.id)) {
        TALLY_DETAIL(local_decrefs);
        if (owned >= 2 * TALLY_OWNED_ONE) {
            tally_owned_store(refcount, owned - TALLY_OWNED_ONE);
            return false;
        }
        TALLY_FAILPOINT(local_zero);
        /* The last of the owner's half. acquire: pairs with the release of other threads' decrefs,
         * which brought shared back to 0 */
        if (TALLY_LIKELY(tally_load_acquire(&refcount->shared) == TALLY_SHARED_PRIVATE)) {
            /* No other thread has a reference or can get one: private, so try-increfs fail. */
            tally_store_relaxed(&refcount->shared, TALLY_SHARED_MERGED);
            tally_owned_store(refcount, TALLY_OWNER_NONE);
            return true;
        }
    } else if (tally_refcount_decref_special(owned)) {
        return false;
    }
    return tally_refcount_drop_slow(refcount);
}
static inline bool tally_refcount_try_drop(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    if ((uint16_t)owned == TALLY_OWNER_IMMORTAL) return true;
    if ((uint16_t)owned == tally_self.id) {
        if (owned < 2 * TALLY_OWNED_ONE) return false;
        tally_owned_store(refcount, owned - TALLY_OWNED_ONE);
        return true;
    }
    if (tally_owner_is_per_thread(owned))
        return !tally_refcount_drop(refcount); /* never the last */
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    for (;;) {
        if (TALLY_UNLIKELY(tally_shared_is_full(shared))) return true;
        uint32_t state = shared & TALLY_SHARED_STATE;
        if (state != TALLY_SHARED_QUEUED &&
            tally_shared_count(shared) <= (state == TALLY_SHARED_MERGED))
            return false;
        TALLY_FAILPOINT(decref_shared);
        /* acq_rel: as every decref */
        if (tally_cas_weak_acq_rel(&refcount->shared, &shared, shared - TALLY_SHARED_ONE))
            return true;
    }
}
static inline void tally_refcount_set_maybe_shared(tally_refcounts *refcount) {
    uint32_t owner = tally_refcount_owner(refcount);
    if (owner == tally_self.id || owner == TALLY_OWNER_IMMORTAL) return;
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    /* release: pairs with the acquire of try-increfs */
    while ((shared & TALLY_SHARED_STATE) == TALLY_SHARED_PRIVATE &&
           !tally_cas_weak_release(&refcount->shared, &shared, shared | TALLY_SHARED_MAYBE)) {}
}

/* From merged with 0 to merged with 1. release: pairs with the acquire of a try-incref */
static inline void tally_refcount_revive(tally_refcounts *refcount) {
    tally_store_release(&refcount->shared, TALLY_SHARED_MERGED + TALLY_SHARED_ONE);
}
static inline bool tally_refcount_drop_last(tally_refcounts *refcount) {
    /* acq_rel: as a decref */
    return tally_sub_acq_rel(&refcount->shared, TALLY_SHARED_ONE) ==
           TALLY_SHARED_MERGED + TALLY_SHARED_ONE;
}
static inline void tally_refcount_make_immortal(tally_refcounts *refcount) {
    tally_owned_store(refcount, TALLY_OWNER_IMMORTAL);
}
static inline uint32_t tally_refcount_per_thread_index(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    return tally_owner_is_per_thread(owned) ? (uint32_t)(owned >> 16) : 0;
}
/* The owner gives the object up as in a merge: its word first, then its half goes to shared in one
 * compare-and-swap, whatever other threads count there meanwhile. */
static inline bool tally_refcount_make_per_thread(tally_refcounts *refcount, uint32_t index,
                                                  uint32_t more) {
    uint64_t owned = tally_owned_load(refcount);
    uint32_t shared = tally_load_relaxed(&refcount->shared), merged;
    uint64_t most = (uint16_t)owned == TALLY_OWNER_NONE ? 0 : owned / TALLY_OWNED_ONE;
    if (!TALLY_PER_THREAD_REFCOUNTS || most >= TALLY_SHARED_FULL_FROM / 2) return false;
    uint32_t local = (uint32_t)most;
    /* The owner first: a thread that gets a reference in state merged, by a stale pointer to this
     * block, sees the owner when it drops that reference. */
    tally_owned_store(refcount, (uint64_t)index << 16 | TALLY_OWNER_PER_THREAD);
    TALLY_FAILPOINT(per_thread_swap);
    do {
        /* A thread that had seen the owner may have queued it: tally_merge_and_drop sees to that.
         */
        merged = ((shared & ~(uint32_t)TALLY_SHARED_STATE) + (local + more) * TALLY_SHARED_ONE) |
                 TALLY_SHARED_MERGED;
        /* release: pairs with the acquire of a try-incref */
    } while (!tally_cas_weak_release(&refcount->shared, &shared, merged));
    return true;
}
/* World stopped: the shared half counts these references from now on. */
static inline void tally_refcount_fold(tally_refcounts *refcount, int64_t references) {
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    if (TALLY_UNLIKELY(tally_shared_is_full(shared))) return;
    tally_store_relaxed(&refcount->shared, tally_shared_of(tally_shared_count(shared) + references,
                                                           shared & TALLY_SHARED_STATE));
}
static inline void tally_refcount_end_per_thread(tally_refcounts *refcount, int64_t sum) {
    tally_refcount_fold(refcount, sum);
    tally_owned_store(refcount, TALLY_OWNER_NONE);
}
static inline ptrdiff_t tally_refcount_total(tally_refcounts *refcount) {
    if (TALLY_UNLIKELY(tally_shared_is_full(tally_load_relaxed(&refcount->shared))))
        return PTRDIFF_MAX / 4;
    uint64_t owned = tally_owned_load(refcount);
    uint64_t local = tally_owner_is_per_thread(owned) ? 0 : owned / TALLY_OWNED_ONE;
    return (ptrdiff_t)local + tally_shared_count(tally_load_relaxed(&refcount->shared));
}
static inline bool tally_refcount_is_dead(tally_refcounts *refcount) {
    uint32_t shared = tally_load_relaxed(&refcount->shared);
    return (uint16_t)tally_owned_load(refcount) == TALLY_OWNER_NONE &&
           (shared == TALLY_SHARED_PRIVATE || shared == TALLY_SHARED_MERGED);
}
/* No decref calls tally_object_zero. */
static inline bool tally_refcount_out_of_room(tally_refcounts *refcount) { return false; }
static inline bool tally_refcount_is_zero(tally_refcounts *refcount) {
    return tally_refcount_is_dead(refcount);
}
static inline bool tally_refcount_is_queued(tally_refcounts *refcount) {
    return (tally_load_relaxed(&refcount->shared) & TALLY_SHARED_STATE) == TALLY_SHARED_QUEUED;
}
/* A dead object does not use the owner's half. */
static inline void tally_refcount_set_link(tally_refcounts *refcount, uint32_t link) {
    tally_owned_store(refcount, (uint64_t)link << 16 | TALLY_OWNER_NONE);
}
static inline uint32_t tally_refcount_link(tally_refcounts *refcount) {
    return (uint32_t)(tally_owned_load(refcount) >> 16);
}
typedef tally_merge_batch *tally_refcount_dead;
tally_refcount_dead tally_refcount_merge_stopped(void);
void tally_refcount_destroy(tally_refcount_dead dead);
void tally_refcount_attach(struct tally_thread_state *thread);
bool tally_refcount_detach(struct tally_thread_state *thread);
void tally_refcount_safepoint(struct tally_thread_state *thread);
bool tally_refcount_pending(struct tally_thread_state *thread);
void tally_refcount_merge_later(struct tally_thread_state *thread);
void tally_refcount_push(struct tally_thread_state *thread);
void tally_refcount_merge_blocked(struct tally_thread_state *thread);
void tally_refcount_merge_blocked_later(struct tally_thread_state *thread);
bool tally_refcount_dealloc_pending(struct tally_thread_state *thread);
void tally_refcount_queued_bytes(size_t *bytes, size_t *most);

#endif
