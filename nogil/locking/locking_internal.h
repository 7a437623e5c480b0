/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* locking_internal.h: what the files of this folder call in each other. */
#ifndef TALLY_LOCKING_INTERNAL_H
#define TALLY_LOCKING_INTERNAL_H

#include "internal.h"

enum { TALLY_LOCK_SPINS = 40 }; /* looks at a lock before the thread sleeps or yields */

/* biased_lock.c. The byte `lock` is biased: the caller gets the lock; false: the byte changed. */
bool tally_lock_revoke(tally_object *object, uint8_t lock);

bool tally_lock_can_bias(void);
/* The holder cannot enter by bias or in a slice any more; returns when it is not inside. */
void tally_lock_wait_for_holder(tally_thread_state *holder, tally_object *object);

/* parking.c. Takes a lock that another thread holds; suspends the caller's critical sections
 * first, and runs no foreign code. */
void tally_lock_wait(tally_object *object);

/* Threads that wait for the locks of some objects, and the turn of one of these locks. */
typedef struct tally_lock_waiter {
    struct tally_lock_waiter *next;
    tally_object *object;
    tally_thread_state *thread;
    pthread_cond_t wake;
    bool woken, handed;
    bool timed; /* it looks by itself whether it can take the lock */
    uint64_t since;
} tally_lock_waiter;
typedef struct tally_lock_bucket {
    _Alignas(64) pthread_mutex_t mutex; /* guards all below */
    tally_lock_waiter *first;
    tally_object *object;       /* whose lock has a turn; NULL: none. The address may be stale */
    tally_thread_state *thread; /* whose turn it is */
    uint64_t end;               /* of the slice */
    uint32_t uses;              /* the thread's slice_uses at its begin */
    bool kept;                  /* the thread keeps the lock: it is in no operation, or by slice */
    bool due;           /* the slice was over and the lock in use: the next unlock hands it over */
    bool alone;         /* without an end: no other thread has wanted the lock since */
    unsigned idle;      /* slices, one after the other, that were of little use */
    tally_object *cold; /* its lock is not kept before then; never followed */
    uint64_t cold_until;
} tally_lock_bucket;
tally_lock_bucket *tally_lock_bucket_of(tally_object *object);
/* The bucket's mutex is held, here and below. NULL: no thread waits for the object. */
tally_lock_waiter *tally_lock_first_waiter(tally_lock_bucket *bucket, tally_object *object);
/* Unlocks, for the first waiter if any; it is handed the lock if it waited long. */
void tally_lock_let_go(tally_lock_bucket *bucket, tally_object *object);

/* slices.c. By the thread that holds the lock, instead of an unlock. False: it has to let go. */
bool tally_slice_keep(tally_lock_bucket *bucket, tally_object *object);
/* The calling thread unlocks, and `next` waits. True: the lock is handed to `next`, as its turn. */
bool tally_slice_pass(tally_lock_bucket *bucket, tally_lock_waiter *next);
/* The waiter, which is queued: how long it is to wait for its turn; 0: until it is woken. */
uint64_t tally_slice_patience(tally_lock_bucket *bucket, tally_lock_waiter *waiter);
/* The waiter's turn begins when it runs. */
void tally_slice_begin(tally_lock_bucket *bucket, tally_object *object, tally_thread_state *thread);
/* It is the waiter's turn: ends the slice. The thread that kept the lock; NULL: not yet. */
tally_thread_state *tally_slice_end(tally_lock_bucket *bucket, tally_lock_waiter *waiter);
/* Without the mutex. Takes the lock if another thread keeps it alone. */
bool tally_slice_take_alone(tally_object *object);
/* Without the mutex. This thread keeps the lock; true: from now on it holds it. */
bool tally_slice_hold(tally_object *object);
/* Without the mutex: a slice that takes the place of this object's in the thread is given up. */
void tally_slice_make_room(tally_object *object);

/* critical_section.c. A critical section of this thread holds the lock of the object. */
bool tally_critical_holds(tally_object *object);

static inline bool tally_lock_try(tally_object *object) {
    uint8_t lock = tally_load_relaxed(&object->lock);
    if (tally_lock_byte_is_biased(lock)) return tally_lock_revoke(object, lock);
    if (lock & TALLY_LOCK_HELD)
        return TALLY_REFCOUNT_HAVE_OWNERS && (lock & TALLY_LOCK_PARKED) &&
               tally_slice_take_alone(object);
    /* acquire: pairs with the release of unlock */
    return tally_cas_acquire(&object->lock, &lock, lock | TALLY_LOCK_HELD);
}

#endif
