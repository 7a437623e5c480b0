/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Biased counts (Choi, Shull, Torrellas 2018; PEP 703): an object has an owner,
 * who counts in `owned` without read-modify-writes; all others count in
 * `shared`, atomically. docs/design.md draws the states and proves the orders.
 *
 * Invariants:
 *  - Only the owner, or who claimed it while blocked, or who holds the
 *    registration lock once it is gone, writes `owned`: the local count and the owner.
 *  - References = local + shared. In state queued, the queue's entry is one of them.
 *  - An object dies only in state default by its owner, or in state merged.
 *    Dead is: owner none, shared merged with 0.
 *
 * What all threads use by its nature, as a class or a function, is *spread*: its owner is
 * TALLY_OWNER_PER_THREAD, which no thread is, its place in the tables of numbers is where
 * the local count was, and each thread counts it in the number at that place of a table of its own.
 *  - The owner makes an object spread, or any thread with the world stopped; it
 *    ceases to be with the world stopped. Its shared half has state merged. Between a look
 *    at the owner and the count there is no safepoint.
 *  - References = shared + the sum of the threads' numbers, which have 64 bits and never run over.
 * Shared counts one that is the table's of places, or of types. No sum of a part says that the
 * object is dead, and nobody but who has stopped the world looks at the whole to free it
 * (nogil/refcount/per_thread.c).
 *  - Any count may go to shared instead: that of a thread that has no table, as long as it has only
 * taken references, or for want of memory; an entry's that was on its way to the owner's queue.
 *
 * A count that is out of room makes its object immortal (as PEP 683 has it). The local half has 48
 * bits: to fill them takes 2^48 increments by one thread, which is days of nothing else. The shared
 * half has 30 bits. It is *full* from 2^28 to 3 * 2^28 (modulo 2^30; what is above reads as a
 * negative count). The object of a full half is immortal:
 *  - Who changes the half by compare-and-swap reads it first. A drop leaves a full half alone, a
 * merge keeps it full. So nothing leads from a full half to the state merged with 0, nor to
 * default.
 *  - The owner's half may be given up as ever: what is left is merged, and full.
 *  - Only an incref by another thread than the owner goes on to count. The processor tells whether
 * its sum is negative, and the slow path then sets a full half back to FULL. A drop that finds a
 * full half near an end of the range does the same. So the half leaves the range only by 2^28
 * try-increfs in a row without an incref or drop by another thread than the owner.
 *  - References that the owner has counted and others drop make the half negative, in state queued.
 * If they are more than 2^28, it becomes full from below, and the object immortal.
 */
#ifndef TALLY_REFCOUNT_H
#define TALLY_REFCOUNT_H

#define TALLY_REFCOUNT_NAME        "biased"
#define TALLY_REFCOUNT_HAVE_OWNERS 1

/* One word, local << 16 | owner: the owner's way is a load, a comparison and a
 * store, and giving up an object is one store. Aligned to 4 that no padding
 * follows `shared`; the header itself is aligned to 8. */
typedef uint64_t tally_owned __attribute__((aligned(4)));
#define TALLY_OWNED_ONE ((uint64_t)1 << 16)

typedef struct tally_refcounts {
    tally_owned owned;
    _Atomic uint32_t shared; /* two state bits below a signed count */
} tally_refcounts;

#define TALLY_REFCOUNT_IMMORTAL \
    { TALLY_OWNER_IMMORTAL, 0 }

/*
 * Relaxed load and store of `owned`. Compilers take an atomic access for one
 * that may change any memory, and load tally_self.id again after each, which
 * makes the fast path a third slower. So they are volatile accesses of an
 * aligned word, which are single instructions; ThreadSanitizer sees atomics.
 */
#ifdef TALLY_THREAD_SANITIZER
static inline uint64_t tally_owned_load(const tally_refcounts *refcount) {
    return __atomic_load_n((const uint64_t *)__builtin_assume_aligned(refcount, _Alignof(uint64_t)),
                           __ATOMIC_RELAXED);
}
static inline void tally_owned_store(tally_refcounts *refcount, uint64_t word) {
    __atomic_store_n((uint64_t *)__builtin_assume_aligned(refcount, _Alignof(uint64_t)), word,
                     __ATOMIC_RELAXED);
}
#else
static inline uint64_t tally_owned_load(const tally_refcounts *refcount) {
    return *(const volatile uint64_t *)&refcount->owned;
}
static inline void tally_owned_store(tally_refcounts *refcount, uint64_t word) {
    *(volatile uint64_t *)&refcount->owned = word;
}
#endif

/* The word of a new object. The cast through void tells clang, which goes by the
 * type of the field, that the header aligns it. */
static inline void tally_owned_publish(tally_refcounts *refcount, uint64_t word) {
    __atomic_store_n((uint64_t *)__builtin_assume_aligned((void *)refcount, _Alignof(uint64_t)),
                     word, __ATOMIC_RELEASE);
}

enum {
    TALLY_SHARED_PRIVATE,
    TALLY_SHARED_MAYBE,
    TALLY_SHARED_QUEUED,
    TALLY_SHARED_MERGED,
    TALLY_SHARED_STATE = 3,
    TALLY_SHARED_ONE = 4
};

/* The owner drops the last reference of its half, or another thread drops one. One
 * call for both, as each costs the caller registers. */
void tally_refcount_decref_slow(tally_refcounts *refcount) __attribute__((cold));
/* The shared half is negative, or full: if it is full, it is kept so. */
void tally_refcount_saturate(tally_refcounts *refcount) __attribute__((cold));

/* Hot (hot.h): counted in a number of the thread; the place is in `owned`. Looked at behind the
 * owner's and the immortals' ways, in front of a read-modify-write, so that nobody else pays. */
#if TALLY_HOT_COUNTS
#    define tally_owner_is_hot(owned) ((uint16_t)(owned) == TALLY_OWNER_HOT)
/* Load and store, both relaxed: its thread alone writes the number, and who reads it to act on it
 * has stopped the world. */
#    define TALLY_HOT_ADD(owned, way)                                                          \
        atomic_store_explicit(&tally_self.thread->hot[(owned) >> 16].way,                      \
                              atomic_load_explicit(&tally_self.thread->hot[(owned) >> 16].way, \
                                                   memory_order_relaxed) +                     \
                                  1,                                                           \
                              memory_order_relaxed)
#else
#    define tally_owner_is_hot(owned) 0
#    define TALLY_HOT_ADD(owned, way) ((void)0)
#endif

/* 0: under one lock nobody contends. */
#ifndef TALLY_PER_THREAD_REFCOUNTS
#    define TALLY_PER_THREAD_REFCOUNTS 1
#endif
#if TALLY_PER_THREAD_REFCOUNTS
#    define tally_owner_is_per_thread(owned) ((uint16_t)(owned) == TALLY_OWNER_PER_THREAD)
/* Load and store, both relaxed, as of a hot one. False: the thread has no table. Decrefs of spread
 * objects are left to the slow path: inline, they cost others a register. */
static inline _Bool tally_per_thread_add(uint64_t owned, int64_t by) {
    _Atomic int64_t *numbers = tally_load_relaxed(&tally_self.thread->refcount.per_thread);
    if (TALLY_UNLIKELY(!numbers)) return 0;
    tally_store_relaxed(&numbers[owned >> 16], tally_load_relaxed(&numbers[owned >> 16]) + by);
    return 1;
}
#else
#    define tally_owner_is_per_thread(owned) 0
#    define tally_per_thread_add(owned, by)  ((void)(owned), 0)
#endif

static inline void tally_refcount_incref(tally_refcounts *refcount) {
    uint64_t owned = tally_owned_load(refcount);
    if (TALLY_LIKELY((uint16_t)owned == tally_self.id)) {
        TALLY_DETAIL(local_increfs);
        tally_owned_store(refcount, owned + TALLY_OWNED_ONE);
        return;
    }
    if (tally_owner_is_hot(owned)) {
        TALLY_DETAIL(per_thread_increfs);
        tally_hot_up(owned);
        return;
    }
    /* One comparison tells an immortal object, a spread one, and any other; that pays for the look
     * at the sum below. */
    if ((uint16_t)owned > TALLY_OWNER_PER_THREAD) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    if (tally_owner_is_per_thread(owned) && tally_per_thread_add(owned, 1)) {
        TALLY_DETAIL(per_thread_increfs);
        return;
    }
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
    } else if ((uint16_t)owned == TALLY_OWNER_IMMORTAL) {
        TALLY_DETAIL(immortal_skips);
        return;
    } else if (tally_owner_is_hot(owned)) {
        TALLY_DETAIL(per_thread_decrefs);
        tally_hot_down(owned);
        return;
    }
    tally_refcount_decref_slow(refcount);
}

#endif
