/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept_lock.c: a lock that one thread alone takes, but not the owner of the object, is kept by that
 * thread, so that it need not compare and swap each time. (Lock reservation: Kawachiya and others,
 * 2002.)
 *
 * The thread looks at every TALLY_LOCK_SAMPLE-th lock that it takes by compare-and-swap. If it
 * meets one twice in a row, it does not let go of it, but notes the object, and enters by that note
 * from then on (locking_inline.h). The next thread that wants the lock takes it as a bias is
 * revoked: it deletes the note, calls membarrier, and waits until the mark of the keeper is another
 * one. So a keeper that is blocked, stopped, or at work elsewhere delays nobody. It then keeps no
 * lock for a while.
 *
 * Invariants:
 *  - A thread's note of an object is set if and only if the object's bucket says `kept` for this
 *    object and thread. Both change under the bucket's mutex.
 *  - The byte of a kept lock has HELD, and PARKED, so that no other thread enters, and that an
 *    unlock comes here. The keeper is in the lock while its mark is the object. No thread sleeps
 *    for a kept lock.
 *  - A thread gives its kept locks up before it waits: so it keeps no lock that a thread which it
 *    waits for needs. A thread that is parked for a stop of the world may keep locks, and is in
 *    none.
 *  - The note is gone before the object's memory is freed (tally_lock_end).
 */
#include "locking_internal.h"

static const uint64_t AGAIN_NS = 2000000; /* to take a kept lock costs some 20 us */

static void delete_note(tally_lock_bucket *bucket) {
    /* relaxed: the membarrier orders it before the look at the mark */
    if (bucket->kept)
        tally_store_relaxed(tally_kept_lock_of(&bucket->keeper->locking, bucket->object), NULL);
    bucket->kept = false;
}

/* The thread keeps no lock for a while. relaxed: an old value keeps one early or late */
static void put_off(tally_thread_state *thread) {
    tally_store_relaxed(&thread->locking.keeps_from, tally_now() + AGAIN_NS);
}

/* ---- the keeper ---- */

/* By the thread that has just taken the lock. The bit makes the unlock come to the bucket; threads
 * that see it do not spin, so it is set only where the lock will most likely be kept. */
void tally_lock_sample(tally_object *object) {
    tally_turns_contended(TALLY_LOCK_SAMPLE);
    tally_locking_thread *self = &tally_thread_current()->locking;
    self->keeps = self->sampled == object &&
                  !tally_load_relaxed(tally_kept_lock_of(self, object)) && tally_lock_can_bias() &&
                  tally_now() >= tally_load_relaxed(&self->keeps_from);
    self->sampled = object;
    /* relaxed: the unlock reads it, by compare-and-swap */
    if (self->keeps) tally_or_relaxed(&object->lock, TALLY_LOCK_PARKED);
}

bool tally_lock_keep(tally_lock_bucket *bucket, tally_object *object) {
    tally_thread_state *self = tally_thread_current();
    _Atomic(tally_object *) *note = tally_kept_lock_of(&self->locking, object);
    bool sampled = self->locking.keeps && self->locking.sampled == object;
    bool again = bucket->object == object && bucket->keeper == self; /* after a section */
    self->locking.keeps = false;
    if (!sampled && !again) return false;
    if (bucket->kept || tally_load_relaxed(note) || tally_lock_first_waiter(bucket, object)) {
        put_off(self);
        return false;
    }
    bucket->object = object;
    bucket->keeper = self;
    bucket->kept = true;
    tally_store_relaxed(note, object);
    TALLY_FAILPOINT(lock_kept);
    return true;
}

bool tally_kept_lock_hold(tally_object *object) {
    _Atomic(tally_object *) *note = tally_kept_lock_of(&tally_thread_current()->locking, object);
    if (TALLY_LIKELY(tally_load_relaxed(note) != object)) return false;
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    bool mine = tally_load_relaxed(note) == object;
    if (mine) delete_note(bucket);
    pthread_mutex_unlock(&bucket->mutex);
    return mine;
}

/* In one step: once the note is gone and the bucket is unlocked, the object may die, which resets
 * the bucket, and its block become another object, whose lock byte is not this thread's to store.
 */
static void give_up(tally_object *object) {
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    _Atomic(tally_object *) *note = tally_kept_lock_of(&tally_thread_current()->locking, object);
    if (tally_load_relaxed(note) == object) {
        delete_note(bucket);
        TALLY_FAILPOINT(kept_lock_given_up);
        tally_lock_let_go(bucket, object);
    }
    pthread_mutex_unlock(&bucket->mutex);
}

void tally_kept_locks_give_up(tally_thread_state *thread) {
    for (unsigned i = 0; i < TALLY_KEPT_LOCKS; i++) {
        tally_object *object = tally_load_relaxed(&thread->locking.kept[i]);
        if (TALLY_UNLIKELY(object != NULL)) give_up(object);
    }
}

void tally_kept_lock_make_room(tally_object *object) {
    tally_object *other =
        tally_load_relaxed(tally_kept_lock_of(&tally_thread_current()->locking, object));
    if (TALLY_UNLIKELY(other && other != object)) give_up(other);
}

/* ---- a thread that wants the lock ---- */

void tally_kept_lock_end(tally_lock_bucket *bucket) {
    put_off(bucket->keeper);
    bucket->object = NULL;
}

/* Not a wait: the keeper is in an operation at the most, so sections go on, as when a bias is
 * revoked. */
bool tally_kept_lock_take(tally_object *object) {
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    tally_thread_state *keeper = NULL;
    pthread_mutex_lock(&bucket->mutex);
    if (bucket->kept && bucket->object == object) {
        keeper = bucket->keeper;
        delete_note(bucket);
        tally_kept_lock_end(bucket);
        /* The byte stays held. relaxed: no other thread changes it meanwhile but under the mutex */
        tally_and_relaxed(&object->lock, (uint8_t)~TALLY_LOCK_PARKED);
    }
    pthread_mutex_unlock(&bucket->mutex);
    if (!keeper) return false;
    TALLY_FAILPOINT(kept_lock_taken);
    tally_lock_wait_for_holder(keeper, object);
    return true;
}

void tally_lock_forget(tally_object *object) {
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    if (bucket->object == object) {
        delete_note(bucket);
        bucket->object = NULL;
    }
    pthread_mutex_unlock(&bucket->mutex);
}
