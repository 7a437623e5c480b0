/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grace_period.c: tells when no lock-free reader can still see memory that was retired: by
 * quiescent states (McKenney and Slingwine 1998). A running thread is in a read section from
 * one safepoint to the next; a blocked thread is offline. A grace period has passed once every
 * thread has been at a safepoint or blocked.
 *
 * There is no thread to wait for that: a clock ticks for each batch of retired memory, a thread
 * notes at each quiescent state what the clock says, and a batch is free once no running thread has
 * noted less than its tick. (So do FreeBSD's SMR and CPython's QSBR.) The thread that retired the
 * batch looks at its own safepoints, where memory that it has freed is still in its cache. A thread
 * that goes offline leaves its batches to all others.
 *
 * A thread that has retired too much sleeps for a grace period in liburcu, to which the threads are
 * readers as well.
 *
 * Invariants:
 *  - While a batch is under way, every thread's safepoints take the slow path and note the clock.
 *    So the fast path of a safepoint is one load of the breaker.
 *  - The batches of a thread are its own, in the order of their ticks, or with the world stopped
 *    the stopper's. A thread that is offline has none.
 *
 * liburcu is not built with ThreadSanitizer: `slept` stands for its synchronisation (release at
 * each quiescent state, acquire after a period).
 */
#include "reclaim_internal.h"
#include <urcu/urcu-qsbr.h>

#ifdef TALLY_THREAD_SANITIZER
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char slept;
#    define QUIESCENT()           __tsan_release(&slept)
#    define GRACE_PERIOD_PASSED() __tsan_acquire(&slept)
#else
#    define QUIESCENT()           ((void)0)
#    define GRACE_PERIOD_PASSED() ((void)0)
#endif

_Atomic size_t tally_grace_periods_under_way;

/* In a line of its own: all safepoints read it while a batch is under way. */
static struct {
    _Alignas(64) _Atomic uint64_t ticks;
    char line[64 - sizeof(uint64_t)];
} now_ = {.ticks = 1};

/* The batches that threads left when they went offline, or that a stop of the world took from all.
 * The mutex guards all changes; no lock is taken under it. All safepoints read the other fields
 * while a batch is under way. */
static struct {
    pthread_mutex_t mutex;
    _Alignas(64) _Atomic(tally_batch *) first; /* in no order */
    _Atomic uint64_t lowest;                   /* of their ticks */
} left = {.mutex = PTHREAD_MUTEX_INITIALIZER};

static uint64_t ticks(void) {
    /* acquire: pairs with the tick of a batch; what that thread had unlinked before is not found
     * from here on */
    return tally_load_acquire(&now_.ticks);
}

/* ---- batches ------------------------------------------------------------------- */

void tally_grace_period_queue(tally_batch *batch) {
    tally_locking_thread *self = &tally_thread_current()->locking;
    /* seq_cst: after the memory was unlinked and before the looks at what others have noted; the
     * other side are ticks() and tally_reclaim_online */
    batch->tick = tally_add_seq_cst(&now_.ticks, 1) + 1;
    batch->next = NULL;
    if (self->batches)
        self->last_batch->next = batch;
    else
        self->batches = batch;
    self->last_batch = batch;
    tally_grace_period_announce();
}

/* With left.mutex, or the world stopped. */
static void leave(tally_batch *first, uint64_t lowest) {
    tally_batch *last = first;
    while (last->next) last = last->next;
    tally_batch *others = tally_load_relaxed(&left.first);
    if (!others || lowest < tally_load_relaxed(&left.lowest))
        tally_store_relaxed(&left.lowest, lowest);
    last->next = others;
    tally_store_relaxed(&left.first, first);
}

static void leave_all(tally_locking_thread *self) {
    if (TALLY_LIKELY(!self->batches)) return;
    pthread_mutex_lock(&left.mutex);
    leave(self->batches, self->batches->tick);
    pthread_mutex_unlock(&left.mutex);
    self->batches = NULL;
}

void tally_grace_period_expire(tally_batch *first) {
    if (!first) return;
    for (tally_batch *batch = first; batch; batch = batch->next) batch->tick = 0;
    leave(first, 0);
}

void tally_grace_period_expire_all(void) {
    tally_batch *others = tally_load_relaxed(&left.first);
    tally_store_relaxed(&left.first, NULL);
    tally_grace_period_expire(others);
    tally_each_thread(thread) {
        tally_grace_period_expire(thread->locking.batches);
        thread->locking.batches = NULL;
    }
}

/* The thread that a look waited for last still keeps this tick from all. */
static bool lags(tally_locking_thread *self, uint64_t tick) {
    uint64_t noted = self->laggard ? tally_load_seq_cst(&self->laggard->noted) : 0;
    return noted && noted < tick;
}

/* What all running threads have noted, at least; 0: one has noted less than `tick`. */
static uint64_t noted_by_all(tally_locking_thread *self, uint64_t tick) {
    uint64_t least = UINT64_MAX;
    if (lags(self, tick)) return 0;
    tally_each_thread(thread) {
        /* acquire pairs with the release at a quiescent state: that thread's reads are over.
         * seq_cst: if it is offline here, it sees after tally_reclaim_online what was unlinked
         * before the tick (on x86 and ARMv8, where the tick is a full barrier) */
        uint64_t noted = tally_load_seq_cst(&thread->locking.noted);
        if (!noted) continue;
        if (noted < tick) {
            self->laggard = &thread->locking;
            return 0;
        }
        if (noted < least) least = noted;
    }
    return least;
}

/* With left.mutex. */
static tally_batch *take_left(tally_locking_thread *self) {
    uint64_t passed = noted_by_all(self, tally_load_relaxed(&left.lowest)), lowest = UINT64_MAX;
    if (!passed) return NULL;
    tally_batch *expired = NULL, *stay = NULL;
    for (tally_batch *batch = tally_load_relaxed(&left.first), *next; batch; batch = next) {
        next = batch->next;
        bool free = batch->tick <= passed;
        batch->next = free ? expired : stay;
        *(free ? &expired : &stay) = batch;
        if (!free && batch->tick < lowest) lowest = batch->tick;
    }
    tally_store_relaxed(&left.lowest, lowest);
    tally_store_relaxed(&left.first, stay);
    return expired;
}

tally_batch *tally_grace_period_take_expired(tally_thread_state *thread) {
    tally_locking_thread *self = &thread->locking;
    tally_batch *expired = NULL;
    /* relaxed: looked at again under the mutex. The thread that has the mutex takes them. */
    if (tally_load_relaxed(&left.first) && !lags(self, tally_load_relaxed(&left.lowest)) &&
        pthread_mutex_trylock(&left.mutex) == 0) {
        if (tally_load_relaxed(&left.first)) expired = take_left(self);
        pthread_mutex_unlock(&left.mutex);
    }
    uint64_t passed = self->batches ? noted_by_all(self, self->batches->tick) : 0;
    for (tally_batch *batch; passed && (batch = self->batches) && batch->tick <= passed;) {
        self->batches = batch->next;
        batch->next = expired;
        expired = batch;
    }
    return expired;
}

tally_batch *tally_grace_period_take_all(void) {
    tally_batch *all = tally_load_relaxed(&left.first);
    tally_store_relaxed(&left.first, NULL);
    return all;
}

/* A thread that the stop has parked was online until then. */
bool tally_reclaim_lags(tally_thread_state *thread, uint64_t tick) {
    const tally_locking_thread *about = &thread->locking;
    uint64_t noted = tally_load_relaxed(&about->noted);
    if (!noted && tally_load_relaxed(&thread->status) != TALLY_VACANT &&
        tally_load_relaxed(&about->doing) == tally_parked)
        noted = about->noted_online;
    return noted && noted < tick;
}

const tally_batch *tally_grace_period_left(void) { return tally_load_relaxed(&left.first); }

/* ---- readers ----------------------------------------------------------------- */

static void note(tally_locking_thread *self) {
    uint64_t noted = ticks();
    if (tally_load_relaxed(&self->noted) == noted) return;
    /* release: pairs with noted_by_all */
    tally_store_release(&self->noted, noted);
}

void tally_reclaim_attach(tally_thread_state *thread) {
    note(&thread->locking);
    urcu_qsbr_register_thread(); /* with a full fence, as below */
}
void tally_grace_period_detach(tally_thread_state *thread) {
    leave_all(&thread->locking);
    /* release: as in note */
    tally_store_release(&thread->locking.noted, 0);
    QUIESCENT();
    urcu_qsbr_unregister_thread();
}
void tally_grace_period_quiescent(tally_thread_state *thread) {
    note(&thread->locking);
    QUIESCENT();
    urcu_qsbr_quiescent_state();
}
void tally_reclaim_offline(tally_thread_state *thread) {
    leave_all(&thread->locking);
    thread->locking.noted_online = tally_load_relaxed(&thread->locking.noted);
    /* release: as in note */
    tally_store_release(&thread->locking.noted, 0);
    QUIESCENT();
    urcu_qsbr_thread_offline();
}
void tally_reclaim_online(tally_thread_state *thread) {
    note(&thread->locking);
    /* With a full fence: the note goes before all that the thread reads from now on. Pairs with the
     * tick and noted_by_all. */
    urcu_qsbr_thread_online();
    TALLY_FAILPOINT(online);
    /* seq_cst, after the status: pairs with the announcement, which leaves out blocked threads.
     * A grace period that began before the announcement saw this thread run is seen here. */
    if (tally_load_seq_cst(&tally_grace_periods_under_way))
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* A blocked thread hinders no grace period. When it comes back it looks itself, by one load. */
void tally_grace_period_announce(void) {
    /* tally_each_thread's seq_cst: after the count; pairs with slot_take: a
     * slot that is not seen here belongs to a thread whose safepoints see the count */
    tally_each_thread(thread) {
        /* seq_cst, after the count; pairs with tally_reclaim_online, and with the thread that
         * clears the bit and then reads the count */
        if (tally_load_seq_cst(&thread->status) == TALLY_RUNNING &&
            !(tally_load_seq_cst(&thread->head.breaker) & TALLY_BREAK_QUIESCE))
            tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
    }
}

/* The thread is blocked meanwhile. A thread that stops the world waits for this one inside a read
 * section, for whose end the grace period waits: if this one ran, neither would end. */
void tally_grace_period_wait(tally_thread_state *thread) {
    /* seq_cst: pairs with tally_reclaim_safepoint. This may be the only grace period under way, so
     * the others have to be told. */
    tally_add_seq_cst(&tally_grace_periods_under_way, 1);
    tally_grace_period_announce();
    tally_wait_begin(thread, "waiting for a grace period");
    TALLY_FAILPOINT(grace_wait);
    uint64_t since = tally_now();
    urcu_qsbr_synchronize_rcu();
    GRACE_PERIOD_PASSED();
    TALLY_EVENT_ADD(TALLY_EVENT_grace_wait_ns, tally_now() - since);
    tally_wait_end();
    tally_sub_seq_cst(&tally_grace_periods_under_way, 1);
}
