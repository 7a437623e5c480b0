/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gil.c: the global interpreter lock. A thread that waits gets it from a thread that runs for long
 * by one of three policies, two of them those that the talks compare.
 *
 * Interval (CPython since 3.2, by Antoine Pitrou): a thread that has waited for a switch interval
 * asks the holder to let go at its next safepoint. The holder then waits until another thread has
 * taken the lock.
 * Deadline: the waiters stand in a line. Each has a time at which it may ask, an interval after it
 * came. The holder hands the lock to the first of the line and joins its end. So a thread that came
 * when k stood before it waits at most until its own deadline, or theirs. (A waiter of CPython
 * starts its interval anew when another was faster, so beside two busy threads it may wait for many
 * intervals.)
 * Ticks (before 3.2): the holder lets go after so many safepoints and takes the lock again at once
 * if it is faster: no thread is made to take turns.
 *
 * Invariant: a thread whose status is RUNNING holds the lock, or waits for it in attach. The lock
 * guards everything else of the run time.
 */
#define _GNU_SOURCE
#include "objects/object.h"

tally_heap tally_one_heap;
/* The heap has no pool, so that an allocation before the run time's start is told so. */
__attribute__((constructor)) static void start_heap(void) { tally_heap_start(&tally_one_heap, 0); }

static struct {
    pthread_mutex_t mutex;
    pthread_cond_t released; /* monotonic clock */
    pthread_cond_t taken;
    bool locked;
    unsigned waiters;
    tally_thread_state *last; /* the holder, or the last one */
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
    bool asked_holder;
    pthread_cond_t turn; /* it has the lock now, or is the first of the line */
} waiter;

static struct timespec deadline(void) { return tally_deadline(gil.interval_us * UINT64_C(1000)); }

/* A condition whose timed waits are by the monotonic clock. */
static void start_condition(pthread_cond_t *condition) {
    pthread_condattr_t monotonic;
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(condition, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

/* gil.mutex held. Waits for an interval; asks the holder to let go if nothing moved meanwhile. */
static void wait_interval(void) {
    if (gil.ticks) {
        pthread_cond_wait(&gil.released, &gil.mutex);
        return;
    }
    uint64_t before = gil.switches;
    struct timespec until = deadline();
    if (pthread_cond_timedwait(&gil.released, &gil.mutex, &until) != 0 && gil.locked &&
        gil.switches == before && gil.last) {
        tally_breaker_set(gil.last, TALLY_BREAK_GIL);
        TALLY_EVENT(gil_requests);
    }
}

/* gil.mutex held, the lock free: hands it to the first of the line, if there is one. */
static void hand_to_first(void) {
    waiter *first = gil.first;
    if (!first) return;
    gil.first = first->next;
    gil.locked = true;
    gil.last = first->thread;
    gil.switches++;
    first->thread = NULL;
    pthread_cond_signal(&first->turn);
    if (gil.first) pthread_cond_signal(&gil.first->turn); /* it watches its deadline now */
}

/* gil.mutex held; the lock is taken, or others are before. Waits at the end of the line until this
 * thread is handed the lock. */
static void wait_in_line(tally_thread_state *thread) {
    waiter self = {.thread = thread, .until = deadline()};
    start_condition(&self.turn);
    if (gil.first)
        gil.end->next = &self;
    else
        gil.first = &self;
    gil.end = &self;
    while (self.thread) {
        if (gil.first != &self || self.asked_holder) {
            pthread_cond_wait(&self.turn, &gil.mutex);
            continue;
        }
        if (pthread_cond_timedwait(&self.turn, &gil.mutex, &self.until) == 0 || !self.thread)
            continue;
        self.asked_holder = true;
        if (gil.last) tally_breaker_set(gil.last, TALLY_BREAK_GIL);
        TALLY_EVENT(gil_requests);
    }
    pthread_cond_destroy(&self.turn);
    TALLY_EVENT(gil_handovers);
}

static void take(tally_thread_state *thread) {
    uint64_t begin = tally_trace_begin();
    pthread_mutex_lock(&gil.mutex);
    bool in_line = gil.line && (gil.locked || gil.first), waits = in_line || gil.locked;
    uint64_t since = waits ? tally_now() : 0;
    if (in_line) {
        TALLY_EVENT(gil_waits);
        wait_in_line(thread);
    } else if (gil.locked) {
        TALLY_EVENT(gil_waits);
        gil.waiters++;
        while (gil.locked) wait_interval();
        gil.waiters--;
    }
    if (!in_line) {
        gil.locked = true;
        if (gil.last != thread) {
            gil.last = thread;
            gil.switches++;
            TALLY_EVENT(gil_handovers);
        }
        pthread_cond_broadcast(&gil.taken);
    }
    pthread_mutex_unlock(&gil.mutex);
    if (waits) TALLY_EVENT_ADD(TALLY_EVENT_gil_wait_ns, tally_now() - since);
    tally_store_seq_cst(&thread->status, TALLY_RUNNING);
    tally_trace_end(TALLY_TRACK_THREAD, "waits for the GIL", begin);
    tally_trace_end(TALLY_TRACK_THREAD, "without the GIL", thread->locking.since);
    thread->locking.since = tally_trace_begin();
}

/* forced: does not return before another thread has had the lock, if one waits. */
static void release(tally_thread_state *thread, bool forced) {
    tally_trace_end(TALLY_TRACK_GIL, "holds the GIL", thread->locking.since);
    thread->locking.since = tally_trace_begin();
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
    pthread_mutex_lock(&gil.mutex);
    gil.locked = false;
    if (gil.line)
        hand_to_first();
    else
        pthread_cond_signal(&gil.released);
    if (forced && !gil.line && gil.waiters && gil.last == thread) {
        uint64_t since = tally_now();
        while (gil.waiters && gil.last == thread) pthread_cond_wait(&gil.taken, &gil.mutex);
        TALLY_EVENT_ADD(TALLY_EVENT_gil_wait_ns, tally_now() - since);
    }
    pthread_mutex_unlock(&gil.mutex);
}

void tally_blocking_begin(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) != TALLY_RUNNING))
        tally_fatal(NULL, "a blocked region was begun inside another");
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    tally_heap_rest(&tally_one_heap);
    TALLY_DEBUG_ONLY(thread->region_begun = tally_debug_stack());
    do {
        tally_drop_kept(thread);
        tally_refcount_safepoint(thread);
    } while (tally_keeps_any(thread));
    release(thread, false);
}
void tally_blocking_end(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) == TALLY_RUNNING))
        tally_fatal(NULL, "a blocked region was ended that was not begun");
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
    start_condition(&gil.released);
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

/* The holder of the lock keeps all other threads where they are. */
bool tally_claim(tally_thread_state *thread) { return true; }
void tally_claim_end(tally_thread_state *thread) {}
void tally_stop_the_world(void) {
    TALLY_ENDS_BORROWS();
    TALLY_EVENT(stops);
    tally_thread_current()->world_stopped = true;
}
void tally_resume_the_world(void) { tally_thread_current()->world_stopped = false; }

/* Lets go of the GIL: the thread list's holder may be waiting for it. */
void tally_thread_list_lock(void) {
    if (pthread_mutex_trylock(&tally_process.thread_list) == 0) return;
    tally_thread_state *thread = tally_thread_current();
    release(thread, false);
    pthread_mutex_lock(&tally_process.thread_list);
    take(thread);
}

/* There are no lock-free readers. */
void tally_retire(tally_retired *node, unsigned what, size_t bytes) { tally_reclaim(node, what); }
void tally_reclaim_each(const tally_reclaim_visitor *visitor) {}
void tally_reclaim_each_batch(void (*visit)(const tally_waiting *batch, uint64_t tick,
                                            void *context),
                              void *context) {}
void tally_reclaim_lists(tally_thread_state *thread, tally_waiting *list,
                         tally_waiting *throttled) {
    *list = *throttled = (tally_waiting){0};
}
bool tally_reclaim_lags(tally_thread_state *thread, uint64_t tick) { return false; }

/* ---- critical sections: the GIL is one ---------------------------------- */

void tally_critical_begin2(tally_critical *section, tally_object *a, tally_object *b) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    *section = (tally_critical){
        .outer = tally_thread_current()->critical, .first = a, .second = b, .held = true};
    TALLY_CHECKED(tally_thread_current()->critical = section); /* a detach inside it aborts */
}
void tally_critical_begin(tally_critical *section, tally_object *object) {
    tally_critical_begin2(section, object, NULL);
}
void tally_critical_end(tally_critical *section) {
    TALLY_ENDS_BORROWS();
    section->held = false;
    TALLY_CHECKED(tally_thread_current()->critical = section->outer);
}
