/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * parking.c: how a thread waits for the lock of an object, and how an unlock wakes it.
 *
 * The lock is one byte, which has no room for a queue. So a waiter sleeps in a bucket that the
 * lock's address chooses (WebKit's Parking Lot). A waiter that has waited for a millisecond is
 * handed the lock, so that others do not overtake it for ever (Go's mutex).
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

/* Sleeps until an unlock wakes this thread; true if it was handed the lock. */
static bool park(tally_object *object, uint64_t since) {
    TALLY_FAILPOINT(park);
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    uint8_t lock = tally_load_relaxed(&object->lock);
    do {
        if (!(lock & TALLY_LOCK_HELD) || (bucket->kept && bucket->object == object)) {
            pthread_mutex_unlock(&bucket->mutex);
            return false;
        }
    } while (!(lock & TALLY_LOCK_PARKED) &&
             !tally_cas_weak_relaxed(&object->lock, &lock, lock | TALLY_LOCK_PARKED));
    TALLY_FAILPOINT(parking);
    tally_lock_waiter self = {.object = object, .wake = PTHREAD_COND_INITIALIZER, .since = since};
    tally_lock_waiter **last = &bucket->first;
    while (*last) last = &(*last)->next;
    *last = &self;
    while (!self.woken) pthread_cond_wait(&self.wake, &bucket->mutex);
    pthread_mutex_unlock(&bucket->mutex);
    return self.handed;
}

void tally_lock_let_go(tally_lock_bucket *bucket, tally_object *object) {
    tally_lock_waiter *first = tally_lock_first_waiter(bucket, object);
    uint8_t after = TALLY_LOCK_FREE;
    if (bucket->object == object) tally_kept_lock_end(bucket);
    if (first) {
        remove_waiter(bucket, first);
        if (tally_lock_first_waiter(bucket, object)) after |= TALLY_LOCK_PARKED;
        first->handed = tally_now() - first->since > HAND_OVER_NS;
        if (first->handed) after |= TALLY_LOCK_HELD;
        first->woken = true;
    }
    /* release: pairs with the acquire of lock; the mutex does the same for a hand-over */
    tally_store_release(&object->lock, after);
    if (first) pthread_cond_signal(&first->wake);
}

void tally_unlock_slow(tally_object *object) {
    TALLY_FAILPOINT(unlock_slow);
    tally_kept_lock_make_room(object);
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    if (!tally_lock_keep(bucket, object)) tally_lock_let_go(bucket, object);
    pthread_mutex_unlock(&bucket->mutex);
}

void tally_lock_wait(tally_object *object) {
    tally_turns_contended(TALLY_LOCK_SAMPLE); /* it costs as much as that many locks taken */
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
