/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sync.c: mutexes and conditions for programs; a wait is a blocked region.
 *
 * A wait for a condition looks for a signal before it sleeps: to be woken costs some 50 us where a
 * processor has gone to sleep, and a thread that hands objects over is most often answered sooner.
 * After a look in vain the next waits do not look, twice as many each time. (With a GIL the thread
 * that is waited for may need the lock; to look made handoff half as fast.)
 *
 * Invariant: no signal is missed. The looking thread does not hold the mutex, so the program's
 * predicate may change meanwhile, and the signal for that may come before the thread would sleep.
 * So it never sleeps after a look, but returns, and the program looks at its predicate.
 */
#include "objects/object.h"

enum { LOOK_NS = 50000, LOOKS = 16, MOST_IN_VAIN = 6 };

static void require_mutex(const void *mutex) {
    if (!mutex) tally_fatal(NULL, "NULL, where a mutex or condition is due");
}

void tally_mutex_init(tally_mutex *mutex) {
    require_mutex(mutex);
    pthread_mutex_init(&mutex->handle, NULL);
}
/* Held mutexes are counted, since a finalizer may want one that its own thread holds: no automatic
 * collection starts meanwhile. A wait for a condition changes nothing: the mutex is held before and
 * after, and the thread is blocked in between. An unattached thread has no state to count in. */
static void count_mutex(int by) {
    if (TALLY_UNLIKELY(!tally_thread_is_attached())) return;
    tally_thread_state *thread = tally_thread_current();
    /* Not below 0: the mutex may have been locked before the thread attached. */
    if (by > 0 || thread->mutexes_held) thread->mutexes_held += (unsigned)by;
    if (TALLY_LIKELY(!thread->collection_put_off) || thread->mutexes_held) return;
    thread->collection_put_off = false;
    tally_collector_nudge();
}
void tally_mutex_lock(tally_mutex *mutex) {
    require_mutex(mutex);
    TALLY_ENDS_BORROWS();
    if (pthread_mutex_trylock(&mutex->handle) != 0) {
        tally_blocking_begin();
        pthread_mutex_lock(&mutex->handle);
        /* Before the region ends, since foreign code there runs with the mutex held. */
        count_mutex(1);
        tally_blocking_end();
        return;
    }
    count_mutex(1);
}
void tally_mutex_unlock(tally_mutex *mutex) {
    require_mutex(mutex);
    pthread_mutex_unlock(&mutex->handle);
    count_mutex(-1);
}
void tally_condition_init(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_init(&condition->handle, NULL);
    condition->signals = condition->in_vain = condition->skip = 0;
}

/* relaxed: the mutex orders what the signal is about */
static unsigned signals_of(const tally_condition *condition) {
    return __atomic_load_n(&condition->signals, __ATOMIC_RELAXED);
}
static void count_signal(tally_condition *condition) {
    require_mutex(condition);
    if (TALLY_LOCK_FREE_READS) __atomic_fetch_add(&condition->signals, 1, __ATOMIC_RELAXED);
}

static bool look_for_signal(const tally_condition *condition, unsigned before) {
    uint64_t until = tally_now() + LOOK_NS;
    do {
        for (int i = 0; i < LOOKS; i++) {
            if (signals_of(condition) != before) return true;
            tally_pause();
        }
    } while (tally_now() < until);
    return false;
}

/* The mutex is held, which guards in_vain and skip. */
void tally_condition_wait(tally_condition *condition, tally_mutex *mutex) {
    require_mutex(condition);
    require_mutex(mutex);
    unsigned before = signals_of(condition);
    tally_blocking_begin();
    if (!TALLY_LOCK_FREE_READS || condition->skip) {
        condition->skip -= condition->skip > 0;
        pthread_cond_wait(&condition->handle, &mutex->handle);
    } else {
        pthread_mutex_unlock(&mutex->handle);
        bool signalled = look_for_signal(condition, before);
        pthread_mutex_lock(&mutex->handle);
        if (signalled)
            condition->in_vain = 0;
        else
            condition->skip = 1u << (condition->in_vain += condition->in_vain < MOST_IN_VAIN);
    }
    tally_blocking_end();
}
void tally_condition_signal(tally_condition *condition) {
    count_signal(condition);
    pthread_cond_signal(&condition->handle);
}
void tally_condition_broadcast(tally_condition *condition) {
    count_signal(condition);
    pthread_cond_broadcast(&condition->handle);
}
