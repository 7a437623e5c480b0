/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_refcount.h: biased refcounts (Choi, Shull, Torrellas 2018; PEP 703). An object has an
 * owner, a thread that counts in `owned` without read-modify-writes; all other threads count in
 * `shared`, atomically. docs/design/refcounts.md draws the states and proves the memory orders.
 *
 * Invariants:
 *  - `owned` holds the local count and the owner. It is written by the owner, by a thread that has
 *    claimed the blocked owner, or, once the owner is gone, under the thread-list lock.
 *  - References = local + shared. In state queued, the queue's entry is one of them.
 *  - An object dies in state private, by its owner, or in state merged. Dead is: no owner, and
 *    shared merged with 0.
 *
 * Objects that all threads use, like classes and functions, are counted per thread: the owner field
 * has TALLY_OWNER_PER_THREAD, which is no thread's id, the local field has an index, and each
 * thread counts at this index of its own array.
 *  - The owner makes an object counted per thread, or any thread with the world stopped; the end
 *    comes with the world stopped. The shared half has state merged. Between the load of the owner
 *    and the count there is no safepoint.
 *  - References = shared + the sum over the arrays, whose counts have 64 bits and never overflow.
 *    One reference in shared is that of the table of indices, or of types. No part of the sum says
 *    that the object is dead: only a thread that has stopped the world adds it up, to free the
 *    object (nogil/refcount/per_thread.c).
 *  - A reference may be counted in shared instead: by a thread without an array, as long as it has
 *    only taken references, or for want of memory; and a reference that was on its way to the
 *    owner's merge queue.
 *
 * A count that is out of room makes its object immortal (as PEP 683 has it). The local half has 48
 * bits: one thread would need days to fill them. The shared half has 30 bits. It is *full* from
 * 2^28 to 3 * 2^28 (modulo 2^30; the upper part reads as negative), and its object is immortal:
 *  - A compare-and-swap on the half follows a load of it. A drop leaves a full half alone, and a
 *    merge keeps it full. So a full half becomes neither merged with 0 nor private.
 *  - The owner may give up its half as ever: the shared half is merged then, and full.
 *  - Only an incref by another thread than the owner counts on. The processor's flags tell whether
 *    the sum is negative, and the slow path then sets a full half back to FULL. A drop that finds a
 *    full half near an end of the range does the same. So the half leaves the range only by 2^28
 *    try-increfs in a row without an incref or drop by another thread than the owner.
 *  - If other threads drop references that the owner has counted, the half becomes negative, in
 *    state queued. By more than 2^28 of them it becomes full from below, and the object immortal.
 */
/* That header includes this one where the functions below belong. */
#include "tally_object.h"

#ifndef TALLY_REFCOUNT_H
#    define TALLY_REFCOUNT_H

/*
 * Relaxed load and store of `owned`. Compilers take an atomic access for one that may change any
 * memory, and load tally_self.id again after each, which makes the fast path a third slower. So
 * these are volatile accesses of an aligned word, which are single instructions; ThreadSanitizer
 * sees atomics.
 */
#    ifdef TALLY_THREAD_SANITIZER
static inline uint64_t tally_owned_load(const tally_refcounts *refcount) {
    return __atomic_load_n((const uint64_t *)__builtin_assume_aligned(refcount, _Alignof(uint64_t)),
                           __ATOMIC_RELAXED);
}
static inline void tally_owned_store(tally_refcounts *refcount, uint64_t word) {
    __atomic_store_n((uint64_t *)__builtin_assume_aligned(refcount, _Alignof(uint64_t)), word,
                     __ATOMIC_RELAXED);
}
#    else
static inline uint64_t tally_owned_load(const tally_refcounts *refcount) {
    return *(const volatile uint64_t *)&refcount->owned;
}
static inline void tally_owned_store(tally_refcounts *refcount, uint64_t word) {
    *(volatile uint64_t *)&refcount->owned = word;
}
#    endif

/* Publishes a new object. The cast through void tells clang, which goes by the type of the field,
 * that the header aligns it. */
static inline void tally_owned_publish(tally_refcounts *refcount, uint64_t word) {
    __atomic_store_n((uint64_t *)__builtin_assume_aligned((void *)refcount, _Alignof(uint64_t)),
                     word, __ATOMIC_RELEASE);
}

/* The owner drops the last reference of its half, or another thread drops one. One call for both,
 * as each costs the caller registers. */
void tally_refcount_decref_slow(tally_refcounts *refcount) __attribute__((cold));
/* The shared half is negative, or full: if it is full, it is kept so. */
void tally_refcount_saturate(tally_refcounts *refcount) __attribute__((cold));

/*
 * Counts of the calling thread, one per index, for objects that are counted per thread. Only the
 * thread itself writes them, so a relaxed load and store do. A thread that acts on the counts of
 * others has stopped the world.
 */
static inline _Bool tally_owner_is_per_thread(uint64_t owned) {
    return TALLY_PER_THREAD_REFCOUNTS && (uint16_t)owned == TALLY_OWNER_PER_THREAD;
}
/* False: the thread has no array. */
static inline __attribute__((always_inline)) _Bool tally_per_thread_take(uint64_t owned) {
    tally_per_thread_count *counts = tally_self.refcount.per_thread;
    if (TALLY_UNLIKELY(!counts)) return 0;
    tally_count_own(&counts[owned >> 16].taken);
    return 1;
}
static inline __attribute__((always_inline)) _Bool tally_per_thread_drop(uint64_t owned) {
    tally_per_thread_count *counts = tally_self.refcount.per_thread;
    if (TALLY_UNLIKELY(!counts)) return 0;
    tally_count_own(&counts[owned >> 16].dropped);
    return 1;
}

/*
 * The dispatch for an object that this thread does not own. True: the object is immortal, or
 * counted per thread and has been counted. It lives and stays so until this thread's next
 * safepoint, since the table that lists it holds a reference. False: the shared half counts it. One
 * comparison tells the special objects from the rest.
 */
static inline _Bool tally_refcount_incref_special(uint64_t owned) {
    if (TALLY_LIKELY((uint16_t)owned < TALLY_OWNER_PER_THREAD)) return 0;
    if (tally_owner_is_per_thread(owned)) {
        if (!tally_per_thread_take(owned)) return 0;
        TALLY_DETAIL(per_thread_increfs);
    } else {
        TALLY_DETAIL(immortal_skips);
    }
    return 1;
}
/* The same for a decref. Objects that are counted per thread are left to the slow path: inline they
 * would cost all others a register. */
static inline _Bool tally_refcount_decref_special(uint64_t owned) {
    if (TALLY_LIKELY((uint16_t)owned < TALLY_OWNER_PER_THREAD)) return 0;
    if ((uint16_t)owned == TALLY_OWNER_IMMORTAL) {
        TALLY_DETAIL(immortal_skips);
        return 1;
    }
    if (tally_owner_is_per_thread(owned)) {
        TALLY_DETAIL(per_thread_decrefs);
        return tally_per_thread_drop(owned);
    }
    return 0;
}

static inline void tally_refcount_incref(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    if (TALLY_LIKELY((uint16_t)owned == tally_self.id)) {
        TALLY_DETAIL(local_increfs);
        tally_owned_store(refcount, owned + TALLY_OWNED_ONE);
        return;
    }
    if (tally_refcount_incref_special(owned)) return;
    TALLY_DETAIL(shared_increfs);
    TALLY_COUNT_SHARED(refcount);
    /* relaxed: the caller's own reference keeps the object alive */
    if (TALLY_UNLIKELY((int32_t)(tally_add_relaxed(&refcount->shared, TALLY_SHARED_ONE) +
                                 TALLY_SHARED_ONE) < 0))
        tally_refcount_saturate(refcount);
}

static inline void tally_refcount_decref(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    if (TALLY_LIKELY((uint16_t)owned == tally_self.id)) {
        if (TALLY_LIKELY(owned >= 2 * TALLY_OWNED_ONE)) {
            TALLY_DETAIL(local_decrefs);
            tally_owned_store(refcount, owned - TALLY_OWNED_ONE);
            return;
        }
    } else if (tally_refcount_decref_special(owned)) {
        return;
    }
    tally_refcount_decref_slow(refcount);
}

#endif
