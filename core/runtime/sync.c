/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sync.c: mutexes and conditions for programs; a wait is a blocked region. */
#include "objects/object.h"

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
}
void tally_condition_wait(tally_condition *condition, tally_mutex *mutex) {
    require_mutex(condition);
    require_mutex(mutex);
    tally_blocking_begin();
    pthread_cond_wait(&condition->handle, &mutex->handle);
    tally_blocking_end();
}
void tally_condition_signal(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_signal(&condition->handle);
}
void tally_condition_broadcast(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_broadcast(&condition->handle);
}
