/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * world.c: where threads are: running, blocked, or claimed where they are
 * blocked; and how one of them stops all others.
 *
 *            blocking_begin, or a safepoint while the world is to stop
 *   RUNNING ---------------------------------------------------------> BLOCKED
 *           <---------------------------------------------------------   |  ^
 *            the thread itself, not while the world is to stop           v  |
 *                                                                      CLAIMED
 *            by who merges for it (short), or who stops the world
 *
 * Invariants:
 *  - A thread leaves RUNNING and BLOCKED by itself only; CLAIMED is left by the claimer.
 *  - The one who stops the world holds `stopper`, and the registration lock until
 *    it starts the world again: nobody attaches or detaches meanwhile.
 *  - Who waits for either of these while attached is BLOCKED meanwhile.
 *  - A thread that waited for the world to start is back before the world is
 *    stopped again (`entering`), however fast stops follow each other. Who wants to
 *    stop it waits for them; meanwhile (`asked`) those that are back park at their
 *    next safepoint, so that each of them gets a core soon, and not only after the
 *    time slices of all others.
 *
 * Threads that wait for the world to start can be gathered to work for the one
 * who stopped it.
 */
#define _GNU_SOURCE
#include "internal.h"
#include "objects/object.h"
#include <sched.h>
#include <time.h>

static struct {
    pthread_mutex_t stopper; /* one stop at a time */
    pthread_mutex_t mutex;   /* for the conditions */
    pthread_cond_t parked;   /* a thread has left RUNNING */
    pthread_cond_t started;
    _Atomic bool stopping;
    _Atomic bool asked; /* to be stopped as soon as nobody is entering; changed under mutex */
    unsigned entering;  /* threads that wait for the start, or have not run since; mutex */
    uint64_t starts;    /* mutex */
    unsigned early;     /* parked while it is asked: they will wait for the start, too; mutex */
    /* Work for them; mutex. */
    pthread_cond_t gathered; /* somebody joined, or finished */
    unsigned wanted, joined, of, finished;
    bool open, go;
    void (*work)(unsigned number, unsigned of, void *context);
    void *context;
    /* About the last stop and the last start. */
    unsigned last_thread;
    const char *last_was;
    uint64_t stopped_at;
    _Atomic uint64_t started_at, reentry;
} world = {.stopper = PTHREAD_MUTEX_INITIALIZER,
           .mutex = PTHREAD_MUTEX_INITIALIZER,
           .parked = PTHREAD_COND_INITIALIZER,
           .started = PTHREAD_COND_INITIALIZER,
           .gathered = PTHREAD_COND_INITIALIZER};

/* seq_cst, all of it: the status is stored, then the queue and `stopping` are read;
 * others store those and then read the status. One of the two sees the other. */
static void become_blocked(tally_thread_state *thread, const char *doing) {
    TALLY_CHECKED(tally_check_may_wait());
    tally_reclaim_offline();
    tally_store_relaxed(&thread->locking.doing, doing);
    thread->locking.left_at = tally_trace_begin();
    TALLY_FAILPOINT(blocking);
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
    TALLY_FAILPOINT(blocked);
    if (tally_load_seq_cst(&world.stopping)) {
        pthread_mutex_lock(&world.mutex);
        pthread_cond_broadcast(&world.parked);
        pthread_mutex_unlock(&world.mutex);
    }
}

/* world.mutex held, and released meanwhile. */
static void join_work(void) {
    unsigned number = ++world.joined;
    pthread_cond_broadcast(&world.gathered);
    while (!world.go) pthread_cond_wait(&world.started, &world.mutex);
    if (number < world.of) {
        pthread_mutex_unlock(&world.mutex);
        world.work(number, world.of, world.context);
        pthread_mutex_lock(&world.mutex);
    }
    world.finished++;
    pthread_cond_broadcast(&world.gathered);
}

static bool has_to_wait(bool parked) {
    return tally_load_seq_cst(&world.stopping) || (parked && tally_load_seq_cst(&world.asked));
}

/* world.mutex held. Counted for the start of the stop that is on, or to come; until it is over. */
static void wait_for_start(void) {
    uint64_t starts = world.starts;
    if (tally_load_relaxed(&world.stopping))
        world.entering++;
    else
        world.early++;
    while (world.starts == starts) {
        if (world.open && world.joined + 1 < world.wanted)
            join_work();
        else
            pthread_cond_wait(&world.started, &world.mutex);
    }
}

/* The thread runs again, after it waited for the start. */
static void has_resumed(void) {
    uint64_t took = tally_now() - tally_load_relaxed(&world.started_at);
    uint64_t longest = tally_load_relaxed(&world.reentry);
    while (longest < took && !tally_cas_weak_relaxed(&world.reentry, &longest, took)) {}
    pthread_mutex_lock(&world.mutex);
    if (--world.entering == 0) pthread_cond_broadcast(&world.parked);
    pthread_mutex_unlock(&world.mutex);
}

/* parked: at a safepoint, which also heeds that the world has been asked to stop. */
static void become_running_from(tally_thread_state *thread, bool parked) {
    bool waited = false; /* once: the next stop waits for this thread */
    for (;;) {
        if (!waited && has_to_wait(parked)) {
            pthread_mutex_lock(&world.mutex);
            if (has_to_wait(parked)) {
                wait_for_start();
                waited = true;
            }
            pthread_mutex_unlock(&world.mutex);
        }
        int expected = TALLY_BLOCKED;
        TALLY_FAILPOINT(running);
        /* seq_cst: acquire pairs with the end of a claim */
        if (tally_cas_seq_cst(&thread->status, &expected, TALLY_RUNNING)) break;
        TALLY_FAILPOINT(running_claimed);
        sched_yield(); /* a claim to merge is short */
    }
    if (waited) has_resumed();
    tally_trace_end(TALLY_TRACK_THREAD, tally_load_relaxed(&thread->locking.doing),
                    thread->locking.left_at);
    tally_reclaim_online();
}

static void become_running(tally_thread_state *thread) { become_running_from(thread, false); }

/* What died in the queue waits for the thread's next safepoint. */
void tally_wait_begin(tally_thread_state *thread, const char *doing) {
    tally_reclaim_flush(thread);
    for (;;) {
        become_blocked(thread, doing);
        if (!tally_refcount_is_queue_pending(thread)) return;
        become_running(thread);
        tally_refcount_merge_later(thread);
    }
}
void tally_wait_end(void) { become_running(tally_thread_current()); }

/*
 * The sections go last: finalizers that run here may begin sections of their own, whose ends take
 * the program's sections again.
 */
void tally_blocking_begin(void) {
    tally_thread_require();
    tally_thread_state *thread = tally_thread_current();
    if (TALLY_UNLIKELY(tally_load_relaxed(&thread->status) != TALLY_RUNNING))
        tally_fatal(NULL, "a blocking region was begun inside another");
    TALLY_ENDS_BORROWS();
    for (;;) {
        do {
            tally_drop_kept(thread);
            tally_reclaim_before_blocking(thread);
            tally_refcount_safepoint(thread);
        } while (tally_keeps_any(thread) || tally_refcount_dealloc_pending(thread));
        tally_critical_suspend(thread);
        tally_reclaim_flush(thread);
        become_blocked(thread, "in a blocking region");
        if (!tally_refcount_pending(thread)) return;
        become_running(thread);
    }
}
void tally_blocking_end(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) == TALLY_RUNNING))
        tally_fatal(NULL, "a blocking region was ended that was not begun");
    tally_wait_end();
    tally_critical_resume(tally_thread_current());
}

bool tally_claim(tally_thread_state *thread) {
    int expected = TALLY_BLOCKED;
    /* seq_cst: acquire pairs with the thread's store of blocked */
    return tally_cas_seq_cst(&thread->status, &expected, TALLY_CLAIMED);
}
void tally_claim_end(tally_thread_state *thread) {
    /* seq_cst: release pairs with become_running */
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
}

/* ---- stop the world ----------------------------------------------------- */

/* Claims whom it can; true if all others are claimed. late: they had to be waited for. */
static bool claim_all(tally_thread_state *self, bool late) {
    bool all = true;
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_thread_slot(id);
        if (!thread || thread == self || thread->locking.claimed_by_stop) continue;
        if (tally_load_seq_cst(&thread->status) == TALLY_VACANT) continue;
        if (!tally_claim(thread)) {
            all = false;
            continue;
        }
        thread->locking.claimed_by_stop = true;
        if (!late) continue;
        world.last_thread = id;
        world.last_was = tally_load_relaxed(&thread->locking.doing);
    }
    return all;
}

static void wait_for_all(tally_thread_state *self) {
    world.last_thread = 0;
    world.last_was = "";
    pthread_mutex_lock(&world.mutex);
    for (bool late = false; !claim_all(self, late); late = true) {
        TALLY_FAILPOINT(world_claiming);
        /* A timeout, since a merger's claim ends without a signal. */
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += 200000;
        if (until.tv_nsec >= 1000000000) {
            until.tv_nsec -= 1000000000;
            until.tv_sec++;
        }
        pthread_cond_clockwait(&world.parked, &world.mutex, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&world.mutex);
}

static void break_all(tally_thread_state *self) {
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++)
        if (tally_thread_slot(id) && tally_thread_slot(id) != self)
            tally_breaker_set(tally_thread_slot(id), TALLY_BREAK_STOP);
}

/* stopper held: all who waited for the last start have run since. */
static void wait_for_resuming(tally_thread_state *self) {
    pthread_mutex_lock(&world.mutex);
    if (world.entering) {
        tally_store_seq_cst(&world.asked, true);
        break_all(self);
        while (world.entering) pthread_cond_wait(&world.parked, &world.mutex);
    }
    pthread_mutex_unlock(&world.mutex);
}

void tally_stop_the_world(void) {
    tally_thread_state *self = tally_thread_current();
    TALLY_ENDS_BORROWS();
    if (pthread_mutex_trylock(&world.stopper) != 0) {
        tally_wait_begin(self, "waiting to stop the world");
        pthread_mutex_lock(&world.stopper);
        become_running(self);
    }
    uint64_t begin = tally_now();
    wait_for_resuming(self);
    pthread_mutex_lock(&tally_process.thread_list); /* its holders wait for nobody */
    pthread_mutex_lock(&world.mutex);
    tally_store_seq_cst(&world.stopping, true);
    tally_store_seq_cst(&world.asked, false);
    world.entering += world.early;
    world.early = 0;
    pthread_mutex_unlock(&world.mutex);
    break_all(self);
    wait_for_all(self);
    self->world_stopped = true;
    TALLY_FAILPOINT(world_stopped);
    TALLY_EVENT(stops);
    world.stopped_at = tally_now();
    TALLY_EVENT_ADD(TALLY_EVENT_stop_ns, world.stopped_at - begin);
    if (tally_load_relaxed(&tally_tracing))
        tally_trace_add(TALLY_TRACK_WORLD, "asks the world to stop", begin, world.stopped_at);
}

void tally_resume_the_world(void) {
    tally_thread_current()->world_stopped = false;
    if (tally_load_relaxed(&tally_tracing))
        tally_trace_add(TALLY_TRACK_WORLD, "the world stands still", world.stopped_at, tally_now());
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_thread_slot(id);
        if (!thread) continue;
        tally_breaker_clear(thread, TALLY_BREAK_STOP);
        if (thread->locking.claimed_by_stop) {
            thread->locking.claimed_by_stop = false;
            tally_claim_end(thread);
        }
    }
    pthread_mutex_lock(&world.mutex);
    tally_store_relaxed(&world.started_at, tally_now());
    tally_store_relaxed(&world.reentry, 0);
    tally_store_seq_cst(&world.stopping, false);
    world.starts++;
    pthread_cond_broadcast(&world.started);
    pthread_mutex_unlock(&world.mutex);
    pthread_mutex_unlock(&tally_process.thread_list);
    pthread_mutex_unlock(&world.stopper);
    TALLY_FAILPOINT(world_started);
    /* Who queued an object meanwhile for a thread that was claimed has left it to us. */
    for (uint32_t id = 1; id <= used; id++)
        if (tally_thread_slot(id)) tally_refcount_merge_blocked(tally_thread_slot(id));
}

void tally_last_stop(unsigned *thread, const char **was) {
    *thread = world.last_thread;
    *was = world.last_was;
}
uint64_t tally_last_resume_ns(void) { return tally_load_relaxed(&world.reentry); }

/* ---- work for parked threads; the world is stopped ----------------------- */

/* Calls up to `most` - 1 of the parked threads, and waits until they have come.
 * How many there are with the caller: a power of two, 1 if nobody came. */
unsigned tally_helpers_gather(unsigned most) {
    pthread_mutex_lock(&world.mutex);
    world.wanted = most;
    world.joined = world.finished = 0;
    world.go = false;
    world.open = true;
    pthread_cond_broadcast(&world.started);
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += 2000000; /* who has not come by then has no core */
    if (until.tv_nsec >= 1000000000) {
        until.tv_nsec -= 1000000000;
        until.tv_sec++;
    }
    while (world.joined + 1 < most && world.joined < world.entering &&
           pthread_cond_clockwait(&world.gathered, &world.mutex, CLOCK_MONOTONIC, &until) == 0) {}
    world.open = false;
    for (world.of = 1; world.of * 2 <= world.joined + 1;) world.of *= 2;
    pthread_mutex_unlock(&world.mutex);
    return world.of;
}

static void let_go(void (*work)(unsigned, unsigned, void *), void *context) {
    pthread_mutex_lock(&world.mutex);
    world.work = work;
    world.context = context;
    world.go = true;
    if (!work) world.of = 0;
    pthread_cond_broadcast(&world.started);
    pthread_mutex_unlock(&world.mutex);
}

void tally_helpers_run(void (*work)(unsigned number, unsigned of, void *context), void *context) {
    let_go(work, context);
    work(0, world.of, context);
}

/* Until all who were gathered are parked again, whether they had work or not. */
void tally_helpers_dismiss(void) {
    if (!world.go) let_go(NULL, NULL);
    pthread_mutex_lock(&world.mutex);
    while (world.finished < world.joined) pthread_cond_wait(&world.gathered, &world.mutex);
    pthread_mutex_unlock(&world.mutex);
}

/* ---- hooks -------------------------------------------------------------- */

int tally_locking_start(void) {
    tally_locks_start();
    tally_per_thread_start();
    return tally_reclaim_start();
}
void tally_locking_end(void) { tally_reclaim_end(); }
void tally_locking_before_fork(bool running) { tally_reclaim_before_fork(running); }
void tally_locking_after_fork(bool running, bool child) {
    if (child) tally_locks_start(); /* membarrier is registered for a process */
    tally_reclaim_after_fork(running, child);
}

void tally_locking_attach(tally_thread_state *thread) {
    tally_locks_attach(&thread->locking);
    tally_reclaim_attach();
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE); /* a grace period may be under way */
}
void tally_locking_detach(tally_thread_state *thread) { tally_reclaim_detach(thread); }

void tally_thread_list_lock(void) {
    if (pthread_mutex_trylock(&tally_process.thread_list) == 0) return;
    tally_thread_state *thread = tally_thread_current();
    become_blocked(thread, "waiting to attach, detach or merge");
    pthread_mutex_lock(&tally_process.thread_list);
    become_running(thread);
}

void tally_locking_safepoint(tally_thread_state *thread) {
    if (has_to_wait(true)) {
        become_blocked(thread, "parked at a safepoint");
        become_running_from(thread, true);
    }
    tally_reclaim_safepoint(thread);
}

/* The last thread, before the end: all that waits is freed. */
void tally_locking_drain(tally_thread_state *thread) {
#if TALLY_HOT_COUNTS
    tally_stop_the_world();
    tally_refcount_dead dead = tally_refcount_merge_stopped();
    tally_resume_the_world();
    tally_refcount_destroy(dead);
#endif
    tally_reclaim_drain(thread);
}
