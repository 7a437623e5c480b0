/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * slices.c: a contended lock is kept by one thread for a slice of time, so that it changes threads,
 * with all that it guards, once per slice and not once per operation. (A lock reservation with an
 * end: Kawachiya and others 2002. Threads that wait sleep meanwhile: Dice and Kogan, Malthusian
 * locks, 2017, and concurrency restriction, 2019.)
 *
 * A turn is the right of one thread to keep a lock until a time. It begins when an unlock finds
 * that a thread waits: the thread does not let go, but notes the object among its slices, and
 * enters by that note from then on, without a read-modify-write (locking_inline.h). The first
 * waiter sleeps until the slice is over and takes the lock as a bias is revoked: it deletes the
 * note, calls membarrier, and waits until the mark of the thread is another one. So no thread has
 * to give a lock up, and one that is blocked, stopped, or at work elsewhere delays no waiter
 * beyond the slice.
 *
 * A lock that one thread alone takes, and not the owner, is kept without an end: the thread looks
 * at every TALLY_LOCK_SAMPLE-th lock that it takes by compare-and-swap, and keeps one that it meets
 * twice in a row. The next thread that wants it takes it at once, and then the first keeps none in
 * this way for a while.
 *
 * A slice is of little use if the lock was taken seldom: then it costs less to let the line of the
 * lock go back and forth, and operations without the lock gain by running side by side. After IDLE
 * such slices the lock is not kept for a while.
 *
 * Invariants:
 *  - A thread's note of an object is set if and only if the object's bucket says `kept` for this
 *    object and thread. Both change under the bucket's mutex.
 *  - The byte of a kept lock has HELD, and PARKED, so that no other thread enters, and that an
 *    unlock comes here. The keeper is in the lock while its mark is the object.
 *  - A thread gives its slices up before it waits: so it keeps no lock that a thread which it waits
 *    for needs. A thread that is parked for a stop of the world may keep locks, and is in none.
 *  - The note is gone before the object's memory is freed (tally_lock_end).
 */
#include "locking_internal.h"

/* SLICE_NS: what a thread has read and written moves to the next processor in about 0.1 ms, so half
 * a millisecond loses a fifth; a slice of 0.1 ms loses half (dict-shared-mixed, cells). USES: one
 * entry per 150 ns, about what a transfer of the lock's line costs. */
enum { SLICE_NS = 500000, USES = 3300, IDLE = 4, COLD_NS = 100000000 };
static const uint64_t ALONE_AGAIN_NS = 20000000; /* to take one costs some 20 us */

static uint32_t uses_of(tally_thread_state *thread) {
    return tally_load_relaxed(&thread->locking.slice_uses);
}

void tally_slice_begin(tally_lock_bucket *bucket, tally_object *object,
                       tally_thread_state *thread) {
    bucket->object = object;
    bucket->thread = thread;
    bucket->end = tally_now() + SLICE_NS;
    bucket->uses = uses_of(thread);
    bucket->due = bucket->alone = false;
}

static bool is_turn_of(tally_lock_bucket *bucket, tally_object *object,
                       tally_thread_state *thread) {
    return bucket->object == object && bucket->thread == thread;
}

static void delete_note(tally_lock_bucket *bucket) {
    /* relaxed: the membarrier orders it before the look at the mark */
    if (bucket->kept)
        tally_store_relaxed(tally_slice_of(&bucket->thread->locking, bucket->object), NULL);
    bucket->kept = false;
}

/* At the end of a turn: the next thread is to have one. */
static bool pays(tally_lock_bucket *bucket) {
    if (uses_of(bucket->thread) - bucket->uses >= USES) {
        bucket->idle = 0;
    } else if (++bucket->idle == IDLE) {
        bucket->idle = 0;
        bucket->cold = bucket->object;
        bucket->cold_until = tally_now() + COLD_NS;
        return false;
    }
    return true;
}

/* ---- the thread that has the lock ---- */

/* By the thread that has just taken the lock. The bit makes the unlock come to the bucket; threads
 * that see it do not spin, so it is set only where the lock will most likely be kept. */
void tally_lock_sample(tally_object *object) {
    tally_locking_thread *self = &tally_thread_current()->locking;
    self->alone = self->sampled == object && !tally_load_relaxed(tally_slice_of(self, object)) &&
                  tally_now() >= tally_load_relaxed(&self->alone_from);
    self->sampled = object;
    /* relaxed: the unlock reads it, by compare-and-swap */
    if (self->alone) tally_or_relaxed(&object->lock, TALLY_LOCK_PARKED);
}

/* The thread keeps no lock alone for a while. relaxed: an old value keeps one early or late */
static void put_off_alone(tally_thread_state *thread) {
    tally_store_relaxed(&thread->locking.alone_from, tally_now() + ALONE_AGAIN_NS);
}

bool tally_slice_keep(tally_lock_bucket *bucket, tally_object *object) {
    tally_thread_state *self = tally_thread_current();
    _Atomic(tally_object *) *note = tally_slice_of(&self->locking, object);
    tally_lock_waiter *first = tally_lock_first_waiter(bucket, object);
    uint64_t now = tally_now();
    bool mine = is_turn_of(bucket, object, self);
    bool goes_on = mine && (bucket->alone || now < bucket->end + SLICE_NS);
    bool alone = self->locking.alone && self->locking.sampled == object;
    if (alone) put_off_alone(self); /* unless it is kept */
    self->locking.alone = false;
    alone = alone && !goes_on && !first;
    if (bucket->kept || tally_load_relaxed(note) || !tally_lock_can_bias()) return false;
    if (bucket->cold == object && now < bucket->cold_until) return false;
    if (goes_on && (bucket->alone ? first != NULL : bucket->due)) return false;
    if (!goes_on) tally_slice_begin(bucket, object, self);
    bucket->alone |= alone;
    /* No unlock wakes the waiter from now on: it waits for the end. */
    if (first && !first->timed) pthread_cond_signal(&first->wake);
    bucket->kept = true;
    tally_store_relaxed(&self->locking.slice_uses, uses_of(self) + 1);
    tally_store_relaxed(note, object);
    TALLY_FAILPOINT(slice_kept);
    return true;
}

static void end_alone(tally_lock_bucket *bucket) {
    put_off_alone(bucket->thread);
    bucket->alone = false;
    bucket->object = NULL;
}

/* The turn ends; true: the next thread has one. */
static bool next_turn(tally_lock_bucket *bucket, tally_lock_waiter *next) {
    if (bucket->alone) {
        end_alone(bucket);
        return false;
    }
    bool goes_on = pays(bucket);
    if (goes_on)
        tally_slice_begin(bucket, next->object, next->thread);
    else
        bucket->object = NULL;
    return goes_on;
}

bool tally_slice_pass(tally_lock_bucket *bucket, tally_lock_waiter *next) {
    return is_turn_of(bucket, next->object, tally_thread_current()) && next_turn(bucket, next);
}

bool tally_slice_hold(tally_object *object) {
    _Atomic(tally_object *) *note = tally_slice_of(&tally_thread_current()->locking, object);
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
    _Atomic(tally_object *) *note = tally_slice_of(&tally_thread_current()->locking, object);
    if (tally_load_relaxed(note) == object) {
        delete_note(bucket);
        TALLY_FAILPOINT(slice_given_up);
        tally_lock_let_go(bucket, object);
    }
    pthread_mutex_unlock(&bucket->mutex);
}

void tally_slices_give_up(tally_thread_state *thread) {
    for (unsigned i = 0; i < TALLY_SLICES; i++) {
        tally_object *object = tally_load_relaxed(&thread->locking.slices[i]);
        if (TALLY_UNLIKELY(object != NULL)) give_up(object);
    }
}

void tally_slice_make_room(tally_object *object) {
    tally_object *other =
        tally_load_relaxed(tally_slice_of(&tally_thread_current()->locking, object));
    if (TALLY_UNLIKELY(other && other != object)) give_up(other);
}

/* ---- a thread that waits ---- */

uint64_t tally_slice_patience(tally_lock_bucket *bucket, tally_lock_waiter *waiter) {
    if (bucket->object != waiter->object || bucket->alone) return 0;
    uint64_t now = tally_now(), ahead = 0;
    for (tally_lock_waiter *other = bucket->first; other != waiter; other = other->next)
        ahead += other->object == waiter->object;
    uint64_t until = bucket->end + ahead * SLICE_NS;
    if (!ahead && now >= until) bucket->due = true;
    /* A turn takes longer: the thread holds the lock in a section. */
    return until > now ? until - now : now - waiter->since + SLICE_NS;
}

tally_thread_state *tally_slice_end(tally_lock_bucket *bucket, tally_lock_waiter *waiter) {
    tally_object *object = waiter->object;
    if (!bucket->kept || bucket->object != object ||
        tally_lock_first_waiter(bucket, object) != waiter)
        return NULL;
    if (!bucket->alone && tally_now() < bucket->end) return NULL;
    tally_thread_state *holder = bucket->thread;
    delete_note(bucket);
    next_turn(bucket, waiter);
    return holder;
}

/* Not a wait: the keeper is in an operation at the most, so sections go on, as when a bias is
 * revoked.
 */
bool tally_slice_take_alone(tally_object *object) {
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    tally_thread_state *holder = NULL;
    pthread_mutex_lock(&bucket->mutex);
    if (bucket->kept && bucket->alone && bucket->object == object) {
        holder = bucket->thread;
        delete_note(bucket);
        end_alone(bucket);
        /* The byte stays held. relaxed: only waiters change it meanwhile, under the mutex */
        if (!tally_lock_first_waiter(bucket, object))
            tally_and_relaxed(&object->lock, (uint8_t)~TALLY_LOCK_PARKED);
    }
    pthread_mutex_unlock(&bucket->mutex);
    if (!holder) return false;
    TALLY_FAILPOINT(slice_taken);
    tally_lock_wait_for_holder(holder, object);
    return true;
}

void tally_lock_forget(tally_object *object) {
    tally_lock_bucket *bucket = tally_lock_bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    if (bucket->object == object) {
        delete_note(bucket);
        bucket->object = NULL;
        bucket->alone = false;
        bucket->idle = 0;
    }
    if (bucket->cold == object) bucket->cold = NULL;
    pthread_mutex_unlock(&bucket->mutex);
}
