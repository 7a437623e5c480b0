/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread_state.h: what locks, reclamation and the collector keep per thread without a GIL. */
#ifndef TALLY_THREAD_STATE_H
#define TALLY_THREAD_STATE_H

#include "layout/heap.h"
#include "tally.h"

enum { TALLY_KEPT_LOCKS = 8 };

/* A field without another comment is its own thread's alone. */
typedef struct tally_locking_thread {
    /* The object whose lock it is in by bias or by its note; others read it to take the lock. */
    _Atomic(tally_object *) biased_hold;
    /* Objects whose locks it keeps, each where its address says. Changed under the mutex of the
     * object's bucket, by the thread itself or by the one that takes the lock: kept_lock.c. */
    _Atomic(tally_object *) kept[TALLY_KEPT_LOCKS];
    uint8_t taken;                 /* locks, by compare-and-swap; wraps */
    bool keeps;                    /* it is to keep the lock of the sampled object */
    _Atomic uint64_t keeps_from;   /* before then it keeps none */
    uint32_t contended;            /* slow paths since it looked at the clock; turns.c */
    uint64_t looked_at;            /* when that was */
    _Atomic uint64_t contended_at; /* when it last contended, 0: never; others read it */
    tally_object *sampled;         /* whose lock it took when it last looked; never followed */
    _Atomic uint8_t bias; /* a lock byte that is biased to this slot now; goes up while it lives */
    _Atomic uint8_t bias_over;    /* biases up to this one are over; 0: none is */
    _Atomic uint8_t lock_initial; /* byte of a new container: biased, unless many were revoked */
    _Atomic uint8_t revocations;
    bool claimed_by_stop;                     /* by the thread that stops the world */
    const char *_Atomic doing;                /* what it left RUNNING for last; static text */
    uint64_t left_at;                         /* when, if that is traced */
    tally_retired *retired;                   /* not yet flushed */
    tally_dead_list retired_dead;             /* objects, the same */
    size_t retired_count;                     /* of those that are no dead objects */
    _Atomic size_t retired_bytes;             /* read by statistics */
    tally_retired *throttled_list;            /* what it waits with */
    tally_dead_list throttled_dead;           /* both are read with the world stopped */
    tally_waiting throttled_about;            /* the same */
    bool throttled;                           /* it waits for a grace period itself */
    bool throttle_requested;                  /* it has to, at its next safepoint */
    struct tally_batch *batches, *last_batch; /* for grace periods, the oldest first; of any thread
                                               * with the world stopped */
    struct tally_locking_thread *laggard;     /* the one that its last look waited for */
    /* The clock of grace periods at its last quiescent state; 0: offline. In a line of its own:
     * others read it. */
    _Alignas(64) _Atomic uint64_t noted;
    uint64_t noted_online; /* the same before it went offline; others read it with the world stopped
                            */
} tally_locking_thread;

/*
 * Written by their own thread, or with the world stopped, but for `limit`; read by any thread. All
 * accesses are relaxed. They are volatile for the same reason as those of biased refcounts: behind
 * an atomic one the compiler loads tally_self again.
 *
 * Where refcounts have owners: births are the containers that the thread has made less freed since
 * its generation 0 was collected. A thread that has freed what survived may make as much again
 * before it looks, so births may be negative, but not below the floor; `older` has the rest, since
 * the last full collection. The birth that exceeds the limit looks whether a collection is due; so
 * any thread may set the limit to INT32_MIN.
 *
 * Where they have none: containers made less freed that are not flushed yet are births - ahead. A
 * thread that is nudged sets births ahead to one below the batch, so that its next birth looks.
 */
typedef struct tally_collector_thread {
    int32_t births, ahead, limit, floor;
    int32_t older;
    int32_t offered;      /* of the births: other threads may count them as theirs */
    int32_t survived;     /* of its young collections; a bound of the floor */
    bool nudged;          /* a collection may be due for another reason than births */
    int count[3];         /* [0] unused; collections of the generation below */
    size_t middle;        /* objects that have gone to generation 1 since that was collected */
    tally_object **young; /* room for the objects of a young collection, and as many behind them */
    size_t room;
} tally_collector_thread;

#ifdef TALLY_THREAD_SANITIZER
static inline int32_t tally_births_load(const int32_t *births) {
    return __atomic_load_n(births, __ATOMIC_RELAXED);
}
static inline void tally_births_store(int32_t *births, int32_t n) {
    __atomic_store_n(births, n, __ATOMIC_RELAXED);
}
#else
static inline int32_t tally_births_load(const int32_t *births) {
    return *(const volatile int32_t *)births;
}
static inline void tally_births_store(int32_t *births, int32_t n) {
    *(volatile int32_t *)births = n;
}
#endif

#endif
