/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gil.c: the global interpreter lock, with the two schemes that the talks compare.
 *
 * Interval (CPython since 3.2, by Antoine Pitrou): who has waited for a switch
 * interval asks the holder to let go at its next safepoint; the holder then
 * waits until another thread has really taken the lock.
 * Deadline: a line of waiters, each with the time at which it may ask, an interval
 * after it came. The holder hands the lock to the first of the line and joins its
 * end, so a thread that came with k before it waits at most until its own deadline,
 * or until theirs. (CPython's waiter starts its interval anew when another one was
 * faster, so with two busy threads it may wait for many.)
 * Ticks (before 3.2): the holder lets go after so many safepoints and takes the
 * lock again at once if it is the faster: nobody is made to take turns.
 *
 * Invariant: a thread whose status is RUNNING holds the lock, or waits for it in
 * attach; everything else of the run time is guarded by it.
 */
#define _GNU_SOURCE
#include "objects/object.h"
#include <time.h>

tally_heap tally_one_heap;
/* Without a pool, so that who allocates outside of the run time is told so. */
__attribute__((constructor)) static void start_heap(void) { tally_heap_start(&tally_one_heap, 0); }

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t released; /* monotonic clock */
    pthread_cond_t taken;
    bool locked;
    unsigned waiters;
    tally_thread_state *last; /* who holds it, or held it last */
    uint64_t switches;        /* times that it went to another thread */
    unsigned interval_us, ticks;
    bool line;                  /* the policy is deadline */
    struct waiter *first, *end; /* its line; end: only if first is not NULL */
} gil;

/* A waiter of the deadline policy, on its stack. It leaves the line by being handed the lock. */
typedef struct waiter {
    struct waiter *next;
    tally_thread_state *thread;
    struct timespec until;
    bool is_stop_requested;
    pthread_cond_t turn; /* it has the lock now, or is the first of the line */
} waiter;

static void deadline(struct timespec *until) {
    clock_gettime(CLOCK_MONOTONIC, until);
    until->tv_nsec += (long)(gil.interval_us % 1000000) * 1000;
    until->tv_sec += gil.interval_us / 1000000 + until->tv_nsec / 1000000000;
    until->tv_nsec %= 1000000000;
}

/* gil.mutex held. Waits for an interval; asks the holder to let go if nothing moved meanwhile. */
static void wait_interval(void) {
    if (gil.ticks) {
        pthread_cond_wait(&gil.released, &gil.mutex);
        return;
    }
    uint64_t before = gil.switches;
    struct timespec until;
    deadline(&until);
    if (pthread_cond_timedwait(&gil.released, &gil.mutex, &until) != 0 && gil.locked &&
        gil.switches == before && gil.last) {
        tally_breaker_set(gil.last, TALLY_BREAK_GIL);
        TALLY_EVENT(gil_requests);
    }
}

/* gil.mutex held, the lock free: hands it to the first of the line, if there is one. */
static void flush_batch(void) {
    waiter *first = gil.first;
    if (!first) return;
    gil.first = first->next;
    gil.locked = true;
    gil.last = first->thread;
    gil.switches++;
    first->thread = NULL;
    pthread_cond_signal(&first->turn);
    if (gil.first) pthread_cond_signal(&gil.first->turn); /* it watches the time now */
}

/* gil.mutex held, the lock taken or others before: at the end of the line until it is handed over.
 */
static void wait_in_line(tally_thread_state *thread) {
    waiter self = {.thread = thread};
    deadline(&self.until);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&self.turn, &monotonic);
    pthread_condattr_destroy(&monotonic);
    if (gil.first)
        gil.end->next = &self;
    else
        gil.first = &self;
    gil.end = &self;
    while (self.thread) {
        if (gil.first != &self || self.is_stop_requested) {
            pthread_cond_wait(&self.turn, &gil.mutex);
            continue;
        }
        if (pthread_cond_timedwait(&self.turn, &gil.mutex, &self.until) == 0 || !self.thread)
            continue;
        self.is_stop_requested = true;
        if (gil.last) tally_breaker_set(gil.last, TALLY_BREAK_GIL);
        TALLY_EVENT(gil_requests);
    }
    pthread_cond_destroy(&self.turn);
    TALLY_EVENT(gil_handovers);
}

/* Traced by who holds the lock. */
static void taken(tally_thread_state *thread) {
    tally_trace_end(TALLY_TRACK_THREAD, "without the GIL", thread->locking.since);
    thread->locking.since = tally_trace_begin();
}

static void take(tally_thread_state *thread) {
    uint64_t begin = tally_trace_begin();
    pthread_mutex_lock(&gil.mutex);
    if (gil.line && (gil.locked || gil.first)) {
        TALLY_EVENT(gil_waits);
        wait_in_line(thread);
        pthread_mutex_unlock(&gil.mutex);
        tally_store_seq_cst(&thread->status, TALLY_RUNNING);
        tally_trace_end(TALLY_TRACK_THREAD, "waits for the GIL", begin);
        taken(thread);
        return;
    }
    if (gil.locked) {
        TALLY_EVENT(gil_waits);
        gil.waiters++;
        while (gil.locked) wait_interval();
        gil.waiters--;
    }
    gil.locked = true;
    if (gil.last != thread) {
        gil.last = thread;
        gil.switches++;
        TALLY_EVENT(gil_handovers);
    }
    pthread_cond_broadcast(&gil.taken);
    pthread_mutex_unlock(&gil.mutex);
    tally_store_seq_cst(&thread->status, TALLY_RUNNING);
    tally_trace_end(TALLY_TRACK_THREAD, "waits for the GIL", begin);
    taken(thread);
}

/* forced: does not return before another thread has had the lock, if one waits. */
static void release(tally_thread_state *thread, bool forced) {
    tally_trace_end(TALLY_TRACK_GIL, "holds the GIL", thread->locking.since);
    thread->locking.since = tally_trace_begin();
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
    pthread_mutex_lock(&gil.mutex);
    gil.locked = false;
    if (gil.line)
        flush_batch();
    else
        pthread_cond_signal(&gil.released);
    if (forced && !gil.line)
        while (gil.waiters && gil.last == thread) pthread_cond_wait(&gil.taken, &gil.mutex);
    pthread_mutex_unlock(&gil.mutex);
}

void tally_blocking_begin(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) != TALLY_RUNNING))
        tally_fatal(NULL, "a blocking region was begun inside another");
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    tally_heap_rest(&tally_one_heap);
    do {
        tally_drop_kept(thread);
        tally_refcount_safepoint(thread);
    } while (tally_keeps_any(thread));
    release(thread, false);
}
void tally_blocking_end(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) == TALLY_RUNNING))
        tally_fatal(NULL, "a blocking region was ended that was not begun");
    take(tally_thread_current());
}

void tally_locking_safepoint(tally_thread_state *thread) {
    if (gil.ticks) {
        if (--thread->locking.ticks_left > 0) return;
        thread->locking.ticks_left = gil.ticks;
        release(thread, false);
        take(thread);
    } else if (tally_load_relaxed(&thread->head.breaker) & TALLY_BREAK_GIL) {
        tally_breaker_clear(thread, TALLY_BREAK_GIL);
        release(thread, true);
        take(thread);
    }
}

int tally_locking_start(void) {
    memset(&gil, 0, sizeof gil);
    gil.interval_us =
        tally_process.options.switch_interval_us ? tally_process.options.switch_interval_us : 5000;
    gil.ticks = tally_process.options.switch_ticks;
    gil.line = !gil.ticks && tally_process.options.switch_policy == TALLY_SWITCH_DEADLINE;
    pthread_mutex_init(&gil.mutex, NULL);
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&gil.released, &monotonic);
    pthread_condattr_destroy(&monotonic);
    pthread_cond_init(&gil.taken, NULL);
    tally_heap_start(&tally_one_heap, 0);
    return 0;
}
void tally_locking_end(void) {
    tally_heap_start(&tally_one_heap, 0);
    pthread_cond_destroy(&gil.taken);
    pthread_cond_destroy(&gil.released);
    pthread_mutex_destroy(&gil.mutex);
}
void tally_locking_orphan(void) { tally_heap_start(&tally_one_heap, 0); }
void tally_locking_drain(tally_thread_state *thread) { tally_refcount_safepoint(thread); }

void tally_locking_attach(tally_thread_state *thread) {
    thread->locking.ticks_left = gil.ticks;
    thread->locking.since = 0;
    if (gil.ticks) tally_breaker_set(thread, TALLY_BREAK_GIL); /* every safepoint counts */
    take(thread);
}
void tally_locking_detach(tally_thread_state *thread) {
    release(thread, false);
    pthread_mutex_lock(&gil.mutex);
    if (gil.last == thread) gil.last = NULL; /* its slot may get another thread */
    pthread_mutex_unlock(&gil.mutex);
}

/* Who holds the lock has everybody else where they are. */
bool tally_claim(tally_thread_state *thread) {
    (void)thread;
    return true;
}
void tally_claim_end(tally_thread_state *thread) { (void)thread; }
void tally_stop_the_world(void) {
    TALLY_ENDS_BORROWS();
    TALLY_EVENT(stops);
    tally_thread_current()->world_stopped = true;
}
void tally_resume_the_world(void) { tally_thread_current()->world_stopped = false; }

/* Its holders may be waiting for the GIL: let go of that first. */
void tally_thread_list_lock(void) {
    if (pthread_mutex_trylock(&tally_process.thread_list) == 0) return;
    tally_thread_state *thread = tally_thread_current();
    release(thread, false);
    pthread_mutex_lock(&tally_process.thread_list);
    take(thread);
}

/* No reader is without the lock. */
void tally_retire(tally_retired *node, unsigned what, size_t bytes) {
    (void)bytes;
    tally_reclaim(node, what);
}

/* ---- critical sections: the GIL is one ---------------------------------- */

void tally_critical_begin(tally_critical *section, tally_object *object) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    *section =
        (tally_critical){.outer = tally_thread_current()->critical, .first = object, .held = true};
    TALLY_CHECKED(tally_thread_current()->critical = section); /* for who detaches in it */
}
void tally_critical_begin2(tally_critical *section, tally_object *a, tally_object *b) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    *section = (tally_critical){
        .outer = tally_thread_current()->critical, .first = a, .second = b, .held = true};
    TALLY_CHECKED(tally_thread_current()->critical = section);
}
void tally_critical_end(tally_critical *section) {
    TALLY_ENDS_BORROWS();
    section->held = false;
    TALLY_CHECKED(tally_thread_current()->critical = section->outer);
}
