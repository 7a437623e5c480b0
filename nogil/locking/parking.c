/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parking.c: how a thread waits for the lock of an object, and how an unlock wakes it.
 *
 * The lock is one byte, which has no room for a queue. So a waiter sleeps in a bucket that the
 * lock's address chooses (WebKit's Parking Lot). A waiter that has waited for a millisecond is
 * handed the lock, so that others do not overtake it for ever (Go's mutex). An unlock that finds a
 * waiter may keep the lock for a slice instead: slices.c.
 *
 * Invariant: the byte has TALLY_LOCK_PARKED set, under the bucket's mutex, before its waiter
 * sleeps. An unlock that finds the bit set takes that mutex.
 */
#define _GNU_SOURCE
#include "locking_internal.h"

enum { BUCKETS = 251, HAND_OVER_NS = 1000000 };
static tally_lock_bucket buckets[BUCKETS] = {
    [0 ... BUCKETS - 1] = {.mutex = PTHREAD_MUTEX_INITIALIZER}};

tally_lock_bucket *tally_lock_bucket_of(tally_object *object) {
    return &buckets[((uintptr_t)object >> 4) % BUCKETS];
}
tally_lock_waiter *tally_lock_first_waiter(tally_lock_bucket *bucket, tally_object *object) {
    tally_lock_waiter *waiter = bucket->first;
    while (waiter && waiter->object != object) waiter = waiter->next;
    return waiter;
}
static void remove_waiter(tally_lock_bucket *bucket, tally_lock_waiter *waiter) {
    tally_lock_waiter **link = &bucket->first;
    while (*link != waiter) link = &(*link)->next;
    *link = waiter->next;
}

/* Takes the lock from the thread that keeps it; false: not yet. Releases the mutex if it does. */
static bool take(tally_lock_bucket *bucket, tally_lock_waiter *self) {
    tally_thread_state *holder = tally_slice_end(bucket, self);
    if (!holder) return false;
    remove_waiter(bucket, self);
    /* The byte stays held. The bit stays in a turn, so that the unlock comes to the bucket. */
    if (bucket->object != self->object && !tally_lock_first_waiter(bucket, self->object))
        tally_and_relaxed(&self->object->lock, (uint8_t)~TALLY_LOCK_PARKED);
    pthread_mutex_unlock(&bucket->mutex);
    TALLY_FAILPOINT(slice_taken);
    tally_lock_wait_for_holder(holder, self->object);
    return true;
}

/* Sleeps until an unlock wakes this thread or it takes the lock; true if it has the lock. */
static bool park(tally_object *object, uint64_t since) {
    TALLY_FAILPOINT(park);
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    uint8_t lock = tally_load_relaxed(&object->lock);
    do {
        if (!(lock & TALLY_LOCK_HELD)) {
            pthread_mutex_unlock(&bucket->mutex);
            return false;
        }
    } while (!(lock & TALLY_LOCK_PARKED) &&
             !tally_cas_weak_relaxed(&object->lock, &lock, lock | TALLY_LOCK_PARKED));
    TALLY_FAILPOINT(parking);
    tally_lock_waiter self = {.object = object,
                              .thread = tally_thread_current(),
                              .wake = PTHREAD_COND_INITIALIZER,
                              .since = since};
    tally_lock_waiter **last = &bucket->first;
    while (*last) last = &(*last)->next;
    *last = &self;
    while (!self.woken) {
        if (take(bucket, &self)) return true;
        uint64_t patience = tally_slice_patience(bucket, &self);
        struct timespec until = tally_deadline(patience);
        self.timed = patience != 0;
        if (self.timed)
            pthread_cond_clockwait(&self.wake, &bucket->mutex, CLOCK_MONOTONIC, &until);
        else
            pthread_cond_wait(&self.wake, &bucket->mutex);
    }
    if (self.handed && bucket->object == object && bucket->thread == self.thread)
        tally_slice_begin(bucket, object, self.thread);
    pthread_mutex_unlock(&bucket->mutex);
    return self.handed;
}

void tally_lock_let_go(tally_lock_bucket *bucket, tally_object *object) {
    tally_lock_waiter *first = tally_lock_first_waiter(bucket, object);
    uint8_t after = TALLY_LOCK_FREE;
    if (first) {
        remove_waiter(bucket, first);
        bool turn = tally_slice_pass(bucket, first);
        if (turn || tally_lock_first_waiter(bucket, object)) after |= TALLY_LOCK_PARKED;
        first->handed = turn || tally_now() - first->since > HAND_OVER_NS;
        if (first->handed) after |= TALLY_LOCK_HELD;
        first->woken = true;
    }
    /* release: pairs with the acquire of lock; the mutex does the same for a hand-over */
    tally_store_release(&object->lock, after);
    if (first) pthread_cond_signal(&first->wake);
}

void tally_unlock_slow(tally_object *object) {
    TALLY_FAILPOINT(unlock_slow);
    tally_slice_make_room(object);
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    if (!tally_slice_keep(bucket, object)) tally_lock_let_go(bucket, object);
    pthread_mutex_unlock(&bucket->mutex);
}

void tally_lock_wait(tally_object *object) {
    for (unsigned spins = 0; spins < TALLY_LOCK_SPINS; spins++) {
        if (tally_lock_try(object)) return;
        if (tally_load_relaxed(&object->lock) & TALLY_LOCK_PARKED) break;
        tally_pause();
    }
    TALLY_EVENT(lock_waits);
    tally_contended(object, TALLY_CONTENDED_LOCK_WAIT);
    tally_critical_suspend(tally_thread_current());
    tally_wait_begin(tally_thread_current(), "waiting for the lock of an object");
    uint64_t since = tally_now();
    bool handed = false;
    while (!handed) {
        uint8_t lock = tally_load_relaxed(&object->lock);
        handed = !tally_lock_byte_is_biased(lock) && park(object, since);
        if (!handed && tally_lock_try(object)) break;
    }
    TALLY_EVENT_ADD(TALLY_EVENT_lock_wait_ns, tally_now() - since);
    /* Not tally_blocking_end: the sections stay suspended while this lock is held. */
    tally_wait_end();
    if (handed) {
        TALLY_EVENT(lock_handovers);
        tally_contended(object, TALLY_CONTENDED_HANDOVER);
    }
}

unsigned tally_lock_slow(tally_object *object) {
    if (!TALLY_REFCOUNT_HAVE_OWNERS && tally_lock_sliced(&tally_thread_current()->locking, object))
        return TALLY_TOKEN_SLICED;
    if (tally_critical_holds(object)) return TALLY_TOKEN_NESTED;
    if (tally_lock_try(object)) return TALLY_TOKEN_HELD;
    tally_lock_wait(object);
    return tally_thread_current()->critical ? TALLY_TOKEN_WAITED : TALLY_TOKEN_HELD;
}

/* The wait for this lock suspended the thread's sections. */
void tally_unlock_waited(tally_object *object) {
    tally_unlock_object(object, TALLY_TOKEN_HELD);
    TALLY_FAILPOINT(unlock_waited);
    tally_critical_resume(tally_thread_current());
}
