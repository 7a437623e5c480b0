/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* locking_internal.h: what the files of this folder call in each other. */
#ifndef TALLY_LOCKING_INTERNAL_H
#define TALLY_LOCKING_INTERNAL_H

#include "internal.h"

enum { TALLY_LOCK_SPINS = 40 }; /* looks at a lock before the thread sleeps or yields */

/* biased_lock.c. The byte `lock` is biased: the caller gets the lock; false: the byte changed. */
bool tally_lock_revoke(tally_object *object, uint8_t lock);

bool tally_lock_can_bias(void);
/* The holder cannot enter by bias or by its note any more; returns when it is not inside. */
void tally_lock_wait_for_holder(tally_thread_state *holder, tally_object *object);

/* parking.c. Takes a lock that another thread holds; suspends the caller's critical sections
 * first, and runs no foreign code. */
void tally_lock_wait(tally_object *object);

/* Threads that wait for the locks of some objects, and the lock of one that a thread keeps. */
typedef struct tally_lock_waiter {
    struct tally_lock_waiter *next;
    tally_object *object;
    pthread_cond_t wake;
    bool woken, handed;
    uint64_t since;
} tally_lock_waiter;
typedef struct tally_lock_bucket {
    _Alignas(64) pthread_mutex_t mutex; /* guards all below */
    tally_lock_waiter *first;
    tally_object *object; /* whose lock a thread keeps; NULL: none. The address may be stale */
    tally_thread_state *keeper;
    bool kept; /* the keeper has the note; false: it is in a critical section */
} tally_lock_bucket;
tally_lock_bucket *tally_lock_bucket_of(tally_object *object);
/* The bucket's mutex is held, here and below. NULL: no thread waits for the object. */
tally_lock_waiter *tally_lock_first_waiter(tally_lock_bucket *bucket, tally_object *object);
/* Unlocks, for the first waiter if any; it is handed the lock if it waited long. */
void tally_lock_let_go(tally_lock_bucket *bucket, tally_object *object);

/* kept_lock.c. By the thread that holds the lock, instead of an unlock. False: it has to let go. */
bool tally_lock_keep(tally_lock_bucket *bucket, tally_object *object);
/* Another thread wants the lock, or the keeper gives it up. */
void tally_kept_lock_end(tally_lock_bucket *bucket);
/* Without the mutex. Takes the lock if another thread keeps it. */
bool tally_kept_lock_take(tally_object *object);
/* Without the mutex. This thread keeps the lock; true: from now on it holds it. */
bool tally_kept_lock_hold(tally_object *object);
/* Without the mutex: a lock whose note takes the place of this object's is given up. */
void tally_kept_lock_make_room(tally_object *object);

/* critical_section.c. A critical section of this thread holds the lock of the object. */
bool tally_critical_holds(tally_object *object);

static inline bool tally_lock_try(tally_object *object) {
    uint8_t lock = tally_load_relaxed(&object->lock);
    if (tally_lock_byte_is_biased(lock)) return tally_lock_revoke(object, lock);
    if (lock & TALLY_LOCK_HELD)
        return TALLY_REFCOUNT_HAVE_OWNERS && (lock & TALLY_LOCK_PARKED) &&
               tally_kept_lock_take(object);
    /* acquire: pairs with the release of unlock */
    return tally_cas_acquire(&object->lock, &lock, lock | TALLY_LOCK_HELD);
}

#endif
