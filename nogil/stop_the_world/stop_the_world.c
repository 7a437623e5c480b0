/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop_the_world.c: the handshake by which one thread stops all others: it announces the stop, sets
 * every thread's breaker, and claims each thread once that is blocked or parked at a safepoint.
 *
 * Invariants:
 *  - The thread that stops the world holds `stopper`, and the thread-list lock until it resumes
 *    the world. So no thread attaches or detaches meanwhile.
 *  - A thread that waited for a resume runs before the world is stopped again (`resuming`), however
 *    fast stops follow each other. The next stop waits for such threads. Meanwhile
 *    (`stop_requested`) the threads that run already park at their next safepoint, so that each
 *    resuming thread soon gets a core, and not only after the time slices of all others.
 */
#define _GNU_SOURCE
#include "world.h"

struct tally_world tally_world = {.stopper = PTHREAD_MUTEX_INITIALIZER,
                                  .mutex = PTHREAD_MUTEX_INITIALIZER,
                                  .parked = PTHREAD_COND_INITIALIZER,
                                  .resumed = PTHREAD_COND_INITIALIZER};

enum { CLAIM_AGAIN_NS = 200000 };

/* About the last stop, and the last resume. */
static struct {
    unsigned thread; /* the last one that was claimed late; 0: none was */
    const char *was; /* its `doing`; static text */
    uint64_t stopped_at;
    _Atomic uint64_t resumed_at, longest_resume;
} last;

void tally_last_stop(unsigned *thread, const char **was) {
    *thread = last.thread;
    *was = last.was;
}
uint64_t tally_last_resume_ns(void) { return tally_load_relaxed(&last.longest_resume); }

/* ---- a thread that waits for the resume ----------------------------------- */

bool tally_world_wait_for_resume(bool parked) {
    pthread_mutex_lock(&tally_world.mutex);
    bool waits = tally_world_has_to_wait(parked);
    if (waits) {
        uint64_t since = tally_now();
        uint64_t resumes = tally_world.resumes;
        if (tally_load_relaxed(&tally_world.stopping))
            tally_world.resuming++;
        else
            tally_world.parked_early++;
        while (tally_world.resumes == resumes)
            if (!tally_helpers_join()) pthread_cond_wait(&tally_world.resumed, &tally_world.mutex);
        /* A collecting thread's time is in gc_ns. */
        if (!tally_thread_current()->collecting)
            TALLY_EVENT_ADD(TALLY_EVENT_stopped_ns, tally_now() - since);
    }
    pthread_mutex_unlock(&tally_world.mutex);
    return waits;
}

void tally_world_has_resumed(void) {
    uint64_t took = tally_now() - tally_load_relaxed(&last.resumed_at);
    uint64_t longest = tally_load_relaxed(&last.longest_resume);
    while (longest < took && !tally_cas_weak_relaxed(&last.longest_resume, &longest, took)) {}
    pthread_mutex_lock(&tally_world.mutex);
    if (--tally_world.resuming == 0) pthread_cond_broadcast(&tally_world.parked);
    pthread_mutex_unlock(&tally_world.mutex);
}

/* ---- the thread that stops the world -------------------------------------- */

/* Claims the threads that it can; true if all others are claimed. late: it had to wait for those
 * that it claims now. */
static bool claim_all(tally_thread_state *self, bool late) {
    bool all = true;
    tally_each_thread(thread) {
        if (thread == self || thread->locking.claimed_by_stop) continue;
        if (tally_load_seq_cst(&thread->status) == TALLY_VACANT) continue;
        if (!tally_claim(thread)) {
            all = false;
            continue;
        }
        thread->locking.claimed_by_stop = true;
        if (!late) continue;
        last.thread = thread->head.id;
        last.was = tally_load_relaxed(&thread->locking.doing);
    }
    return all;
}

/* False: not all threads were claimed by the deadline. 0: no deadline. */
static bool wait_for_all(tally_thread_state *self, uint64_t deadline) {
    last.thread = 0;
    last.was = "";
    bool all, late = false;
    pthread_mutex_lock(&tally_world.mutex);
    while (!(all = claim_all(self, late)) && (!deadline || tally_now() < deadline)) {
        late = true;
        TALLY_FAILPOINT(world_claiming);
        /* A timeout, since a merger's claim ends without a signal. */
        struct timespec until = tally_deadline(CLAIM_AGAIN_NS);
        pthread_cond_clockwait(&tally_world.parked, &tally_world.mutex, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&tally_world.mutex);
    return all;
}

static void break_all(tally_thread_state *self) {
    tally_each_thread(thread)
        if (thread != self) tally_breaker_set(thread, TALLY_BREAK_STOP);
}

/* stopper held. Afterwards all threads that waited for the last resume have run. */
static void wait_for_resuming(tally_thread_state *self) {
    pthread_mutex_lock(&tally_world.mutex);
    if (tally_world.resuming) {
        tally_store_seq_cst(&tally_world.stop_requested, true);
        break_all(self);
        while (tally_world.resuming) pthread_cond_wait(&tally_world.parked, &tally_world.mutex);
    }
    pthread_mutex_unlock(&tally_world.mutex);
}

/* stopper held, and no thread waits for the last resume. False: not by the deadline. */
static bool stop(tally_thread_state *self, uint64_t asked, uint64_t deadline) {
    pthread_mutex_lock(&tally_process.thread_list); /* its holders wait for no thread */
    pthread_mutex_lock(&tally_world.mutex);
    tally_store_seq_cst(&tally_world.stopping, true);
    tally_store_seq_cst(&tally_world.stop_requested, false);
    tally_world.resuming += tally_world.parked_early;
    tally_world.parked_early = 0;
    pthread_mutex_unlock(&tally_world.mutex);
    break_all(self);
    bool stopped = wait_for_all(self, deadline);
    self->world_stopped = true;
    TALLY_FAILPOINT(world_stopped);
    TALLY_EVENT(stops);
    last.stopped_at = tally_now();
    TALLY_EVENT_ADD(TALLY_EVENT_stop_ns, last.stopped_at - asked);
    if (tally_load_relaxed(&tally_tracing))
        tally_trace_add(TALLY_TRACK_WORLD, "asks the world to stop", asked, last.stopped_at);
    if (!stopped) tally_resume_the_world();
    return stopped;
}

void tally_stop_the_world(void) {
    tally_thread_state *self = tally_thread_current();
    TALLY_ENDS_BORROWS();
    uint64_t asked = tally_now();
    if (pthread_mutex_trylock(&tally_world.stopper) != 0) {
        tally_wait_begin(self, "waiting to stop the world");
        pthread_mutex_lock(&tally_world.stopper);
        tally_become_running(self);
    }
    wait_for_resuming(self);
    stop(self, asked, 0);
}

bool tally_try_stop_the_world(uint64_t ns) {
    TALLY_ENDS_BORROWS();
    if (pthread_mutex_trylock(&tally_world.stopper) != 0) return false;
    pthread_mutex_lock(&tally_world.mutex);
    bool resuming = tally_world.resuming;
    pthread_mutex_unlock(&tally_world.mutex);
    uint64_t begin = tally_now();
    if (!resuming) return stop(tally_thread_current(), begin, begin + ns);
    pthread_mutex_unlock(&tally_world.stopper);
    return false;
}

void tally_resume_the_world(void) {
    tally_thread_current()->world_stopped = false;
    if (tally_load_relaxed(&tally_tracing))
        tally_trace_add(TALLY_TRACK_WORLD, "the world is stopped", last.stopped_at, tally_now());
    tally_each_thread(thread) {
        tally_breaker_clear(thread, TALLY_BREAK_STOP);
        if (thread->locking.claimed_by_stop) {
            thread->locking.claimed_by_stop = false;
            tally_claim_end(thread);
        }
    }
    pthread_mutex_lock(&tally_world.mutex);
    tally_store_relaxed(&last.resumed_at, tally_now());
    tally_store_relaxed(&last.longest_resume, 0);
    tally_store_seq_cst(&tally_world.stopping, false);
    tally_world.resumes++;
    pthread_cond_broadcast(&tally_world.resumed);
    pthread_mutex_unlock(&tally_world.mutex);
    pthread_mutex_unlock(&tally_process.thread_list);
    pthread_mutex_unlock(&tally_world.stopper);
    TALLY_FAILPOINT(world_started);
    /* A thread that queued an object for a claimed owner has left the merge to this thread. */
    tally_each_thread(thread) tally_refcount_merge_blocked(thread);
}
