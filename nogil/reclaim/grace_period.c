/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * grace_period.c: tells when no lock-free reader can still see memory that was retired, by
 * liburcu's QSBR flavour. A running thread is in a read-side section from one safepoint to the
 * next; a blocked thread is offline. A grace period has passed once every thread has been at a
 * safepoint or blocked.
 *
 * A thread of our own waits for grace periods, one for all the batches that it finds, and moves
 * these to `expired`, from which an attached thread frees them. (Not call_rcu: its thread cannot be
 * joined in liburcu 0.13, and a restart of the run time needs to know that it is idle.)
 *
 * Invariant: while a grace period is under way, every thread's safepoints take the slow path and
 * announce a quiescent state. So the fast path of a safepoint is one load of the breaker.
 *
 * Fork: the thread that waits does not exist in the child. The forking thread waits until it is
 * idle, so that nothing is lost. In the child the first batch starts it anew. As long as that fails
 * each thread waits for its own full lists as if the backlog were too large.
 *
 * liburcu is not built with ThreadSanitizer: `grace_period` stands for its synchronisation (release
 * at each quiescent state, acquire after a period).
 */
#include "reclaim_internal.h"
#include <urcu/urcu-qsbr.h>

#ifdef TALLY_THREAD_SANITIZER
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace_period;
#    define QUIESCENT()           __tsan_release(&grace_period)
#    define GRACE_PERIOD_PASSED() __tsan_acquire(&grace_period)
#else
#    define QUIESCENT()           ((void)0)
#    define GRACE_PERIOD_PASSED() ((void)0)
#endif

_Atomic size_t tally_grace_periods_under_way;

static struct {
    pthread_mutex_t mutex; /* of the next five */
    pthread_cond_t changed;
    tally_batch *queue;     /* waits for the next grace period */
    tally_batch *under_way; /* what the thread waits with */
    bool busy, ending;      /* the thread waits for a grace period; the thread is to end */
    _Atomic bool forked;    /* in a child that has not started the thread yet */
    pthread_t thread;
    _Atomic(tally_batch *) expired;
} rcu = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void wait_for_grace_period(void) {
    urcu_qsbr_synchronize_rcu();
    GRACE_PERIOD_PASSED();
}

void tally_grace_period_expire(tally_batch *first) {
    if (!first) return;
    tally_batch *last = first, *expired = tally_load_relaxed(&rcu.expired);
    while (last->next) last = last->next;
    do {
        last->next = expired;
        /* release: pairs with the acquire of tally_grace_period_take_expired */
    } while (!tally_cas_weak_release(&rcu.expired, &expired, first));
}

tally_batch *tally_grace_period_take_expired(void) {
    if (!tally_load_relaxed(&rcu.expired)) return NULL;
    /* acquire: pairs with the release of tally_grace_period_expire */
    return tally_swap_acquire(&rcu.expired, NULL);
}

/* ---- the thread that waits -------------------------------------------------- */

static void *wait_for_grace_periods(void *nothing) {
    pthread_mutex_lock(&rcu.mutex);
    for (;;) {
        while (!rcu.queue && !rcu.ending) pthread_cond_wait(&rcu.changed, &rcu.mutex);
        if (!rcu.queue) break;
        rcu.under_way = rcu.queue;
        rcu.queue = NULL;
        rcu.busy = true;
        pthread_mutex_unlock(&rcu.mutex);
        wait_for_grace_period();
        pthread_mutex_lock(&rcu.mutex);
        tally_grace_period_expire(rcu.under_way);
        rcu.under_way = NULL;
        rcu.busy = false;
        pthread_cond_broadcast(&rcu.changed);
    }
    pthread_mutex_unlock(&rcu.mutex);
    return nothing;
}

static bool start_thread(void) {
    return pthread_create(&rcu.thread, NULL, wait_for_grace_periods, NULL) == 0;
}

int tally_reclaim_start(void) {
    rcu.ending = rcu.busy = false;
    rcu.forked = false;
    return start_thread() ? 0 : -1;
}

void tally_grace_period_end(void) {
    pthread_mutex_lock(&rcu.mutex);
    rcu.ending = true;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    if (!rcu.forked) pthread_join(rcu.thread, NULL);
}

bool tally_grace_period_is_forked(void) { return rcu.forked; }

bool tally_grace_period_has_thread(void) {
    if (TALLY_LIKELY(!rcu.forked)) return true;
    pthread_mutex_lock(&rcu.mutex);
#ifndef TALLY_THREAD_SANITIZER /* lets no child of a process with several threads start one */
    if (rcu.forked && start_thread()) rcu.forked = false;
#endif
    pthread_mutex_unlock(&rcu.mutex);
    return !rcu.forked;
}

void tally_grace_period_queue(tally_batch *batch) {
    pthread_mutex_lock(&rcu.mutex);
    batch->next = rcu.queue;
    rcu.queue = batch;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    tally_grace_period_announce();
}

void tally_grace_period_expire_queue(void) {
    pthread_mutex_lock(&rcu.mutex);
    tally_batch *first = rcu.queue;
    rcu.queue = NULL;
    pthread_mutex_unlock(&rcu.mutex);
    tally_grace_period_expire(first);
}

/* The lock keeps the thread that waits from moving a batch. Attached threads take expired ones, and
 * they are stopped. */
void tally_grace_period_lists(const tally_batch *lists[TALLY_BATCH_LISTS]) {
    pthread_mutex_lock(&rcu.mutex);
    lists[0] = rcu.queue;
    lists[1] = rcu.under_way;
    lists[2] = tally_load_acquire(&rcu.expired); /* pairs with tally_grace_period_expire */
}
void tally_grace_period_lists_end(void) { pthread_mutex_unlock(&rcu.mutex); }

void tally_grace_period_wait_for_queue(void) {
    tally_reclaim_offline(); /* or the grace period would wait for this thread */
    pthread_mutex_lock(&rcu.mutex);
    while (rcu.queue || rcu.busy) pthread_cond_wait(&rcu.changed, &rcu.mutex);
    pthread_mutex_unlock(&rcu.mutex);
    tally_reclaim_online();
}

/* The caller is the only attached thread, and holds the thread list's lock. */
void tally_reclaim_before_fork(bool reader) {
    if (reader) tally_reclaim_offline(); /* or the grace period would wait for this thread */
    pthread_mutex_lock(&rcu.mutex);
    while (!rcu.forked && (rcu.queue || rcu.busy)) pthread_cond_wait(&rcu.changed, &rcu.mutex);
}
void tally_reclaim_after_fork(bool reader, bool child) {
    if (child) {
        rcu.forked = true;
        pthread_cond_init(&rcu.changed, NULL); /* the thread waited for it */
    }
    pthread_mutex_unlock(&rcu.mutex);
    if (reader) tally_reclaim_online();
}

/* ---- readers ----------------------------------------------------------------- */

void tally_reclaim_attach(void) { urcu_qsbr_register_thread(); }
void tally_grace_period_detach(void) {
    QUIESCENT();
    urcu_qsbr_unregister_thread();
}
void tally_grace_period_quiescent(void) {
    QUIESCENT();
    urcu_qsbr_quiescent_state();
}
void tally_reclaim_offline(void) {
    QUIESCENT();
    urcu_qsbr_thread_offline();
}
void tally_reclaim_online(void) {
    urcu_qsbr_thread_online();
    TALLY_FAILPOINT(online);
    /* seq_cst, after the status: pairs with the announcement, which leaves out blocked threads.
     * A grace period that began before the announcement saw this thread run is seen here. */
    if (tally_load_seq_cst(&tally_grace_periods_under_way))
        tally_breaker_set(tally_thread_current(), TALLY_BREAK_QUIESCE);
}

/* A blocked thread hinders no grace period. When it comes back it looks itself, by one load. */
void tally_grace_period_announce(void) {
    /* tally_each_thread's seq_cst: after the count; pairs with slot_take: a
     * slot that is not seen here belongs to a thread whose safepoints see the count */
    tally_each_thread(thread) {
        /* seq_cst, after the count; pairs with tally_reclaim_online */
        if (tally_load_seq_cst(&thread->status) == TALLY_RUNNING)
            tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
    }
}

/* Blocked meanwhile: a thread that waits to stop the world is in a read-side section. */
void tally_grace_period_wait(tally_thread_state *thread) {
    /* seq_cst: pairs with tally_reclaim_safepoint. This may be the only grace period under way, so
     * the others have to be told. */
    tally_add_seq_cst(&tally_grace_periods_under_way, 1);
    tally_grace_period_announce();
    tally_wait_begin(thread, "waiting for a grace period");
    TALLY_FAILPOINT(grace_wait);
    uint64_t since = tally_now();
    wait_for_grace_period();
    TALLY_EVENT_ADD(TALLY_EVENT_grace_wait_ns, tally_now() - since);
    tally_wait_end();
    tally_sub_seq_cst(&tally_grace_periods_under_way, 1);
}
