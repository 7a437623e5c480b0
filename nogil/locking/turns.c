/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * turns.c: threads that contend take turns, as long as that is faster.
 *
 * Threads that count, lock and replace the same objects move each cache line from one processor to
 * the other at every use, and may do less together than one of them alone. So the run time tries
 * whether they do more one after the other. A thread that contends then runs in its turn only, as
 * with a GIL; all other threads run beside it. (Generic concurrency restriction: Dice and Kogan,
 * 2019. There the lock that is contended for is known; here the gain is measured.)
 *
 * A thread contends while it comes to slow paths for shared objects (drops in a shared half, locks
 * taken by compare-and-swap, waits for locks) more than once per microsecond. Once two threads
 * contend, the safepoints that all threads pass are counted for a while side by side, and for a
 * while in turns. Turns stay if they have a tenth more. Both are measured again after a time that
 * doubles.
 *
 * Turns exclude no thread from anything; they only change who runs when. So a thread that comes to
 * no safepoint may be overtaken, and a thread that has waited for something else goes on without a
 * turn until its next safepoint.
 *
 * Invariants, under the mutex:
 *  - If a thread waits for its turn, turns are on and another thread is the holder. The first of
 *    those that wait asks the holder to end its turn, and goes on without its consent a slice
 * later.
 *  - The holder gives its turn up before it waits for anything. A thread joins the waiters after it
 *    has become BLOCKED, so that it does not give up the turn that it is granted meanwhile.
 */
#define _GNU_SOURCE
#include "locking_internal.h"

#if TALLY_TURNS

enum { TIMES = 1024 /* per look at the clock */ };

/* SLICE_NS: as the GIL's. Two threads of dict-shared-mixed do 15, 34 and 39 million operations per
 * second in slices of 1, 5 and 20 ms: what a thread has read and written moves at each change. */
static const uint64_t CONTENDS_NS = TIMES * UINT64_C(1000), RECENT_NS = 10000000,
                      SLICE_NS = 5000000, BESIDE_NS = 5000000, TRIAL_NS = 20000000,
                      FIRST_HOLD_NS = 50000000, CALM_NS = 100000000, LONGEST_HOLD_NS = 2000000000;
static const double GAIN = 1.1;

typedef struct turn_waiter {
    struct turn_waiter *next;
    tally_thread_state *thread;
    pthread_cond_t wake;
    bool granted;
} turn_waiter;

static struct {
    pthread_mutex_t mutex; /* guards all below */
    _Atomic(tally_thread_state *) holder;
    uint64_t since; /* when its turn began */
    turn_waiter *first;
    /* Turns are on from SETTLING. BESIDE and TRIAL measure. */
    enum { OFF, BESIDE, SETTLING, TRIAL, ON } phase;
    uint64_t began, safepoints; /* of the phase; passed by all threads when it began */
    double beside;              /* safepoints per nanosecond without turns */
    uint64_t hold, hold_until;  /* how long the last decision holds */
} turns = {.mutex = PTHREAD_MUTEX_INITIALIZER};

void tally_turns_start(void) {
    memset(&turns, 0, sizeof turns);
    pthread_mutex_init(&turns.mutex, NULL);
    turns.hold = FIRST_HOLD_NS;
}

/* ---- who has the turn; the mutex is held, here and below -------------------- */

static void grant(uint64_t now) {
    turn_waiter *next = turns.first;
    turns.since = now;
    tally_store_relaxed(&turns.holder, next ? next->thread : NULL);
    if (!next) return;
    turns.first = next->next;
    next->granted = true;
    pthread_cond_signal(&next->wake);
    /* It is the first now, which waits with a time. */
    if (turns.first) pthread_cond_signal(&turns.first->wake);
}

/* relaxed: an old value lets a thread go without a turn, or wait for one, once more. */
static bool contended_within(tally_thread_state *thread, uint64_t ns, uint64_t now) {
    return tally_load_relaxed(&thread->locking.contended_at) + ns > now;
}

static void begin(uint64_t now) {
    tally_each_thread(thread)
        if (contended_within(thread, CALM_NS, now)) tally_breaker_set(thread, TALLY_BREAK_TURN);
}
static void end(void) {
    turns.phase = OFF;
    while (turns.first) grant(0);
    tally_store_relaxed(&turns.holder, NULL);
}

/* ---- whether there are turns ------------------------------------------------ */

static uint64_t safepoints(void) {
    uint64_t sum = 0;
    tally_each_thread(thread)
        sum += tally_load_relaxed(&thread->head.events[TALLY_EVENT_safepoints]);
    return sum;
}

static bool two_contend(uint64_t now) {
    unsigned contending = 0;
    tally_each_thread(thread) contending += contended_within(thread, RECENT_NS, now);
    return contending >= 2;
}

static void enter_phase(int phase, uint64_t now) {
    turns.phase = phase;
    turns.began = now;
    turns.safepoints = safepoints();
}
static void hold(uint64_t now) {
    turns.hold_until = now + turns.hold;
    if (turns.hold < LONGEST_HOLD_NS) turns.hold *= 2;
}

/* A phase that took far too long says nothing: the threads did other things meanwhile. */
static void decide(uint64_t now) {
    uint64_t took = now - turns.began;
    double rate = (double)(safepoints() - turns.safepoints) / (double)(took + 1);
    switch (turns.phase) {
    case OFF:
        if (now >= turns.hold_until && two_contend(now)) enter_phase(BESIDE, now);
        break;
    case BESIDE:
        if (took < BESIDE_NS) break;
        turns.beside = rate;
        enter_phase(took < 4 * BESIDE_NS ? SETTLING : OFF, now);
        if (turns.phase == SETTLING) begin(now);
        break;
    case SETTLING:
        if (took >= SLICE_NS) enter_phase(TRIAL, now);
        break;
    case TRIAL:
        if (took < TRIAL_NS) break;
        if (took < 4 * TRIAL_NS && rate > GAIN * turns.beside)
            enter_phase(ON, now);
        else
            end();
        hold(now);
        break;
    case ON:
        if (now < turns.hold_until) break;
        end();
        enter_phase(BESIDE, now);
        break;
    }
}

void tally_turns_contended(unsigned times) {
    tally_thread_state *thread = tally_thread_current();
    tally_locking_thread *self = &thread->locking;
    if ((self->contended += times) < TIMES) return;
    uint64_t now = tally_now();
    bool often = now - self->looked_at < CONTENDS_NS;
    self->contended = 0;
    self->looked_at = now;
    if (often) tally_store_relaxed(&self->contended_at, now);
    if (!often || pthread_mutex_trylock(&turns.mutex) != 0) return;
    decide(now);
    if (turns.phase >= SETTLING && turns.holder != thread)
        tally_breaker_set(thread, TALLY_BREAK_TURN);
    pthread_mutex_unlock(&turns.mutex);
}

/* ---- a thread's turn -------------------------------------------------------- */

static void wait_for_turn(tally_thread_state *thread) {
    turn_waiter self = {.thread = thread, .wake = PTHREAD_COND_INITIALIZER}, **last = &turns.first;
    bool held = tally_critical_suspend(thread);
    uint64_t began = tally_now();
    TALLY_FAILPOINT(turn_wait);
    thread->away = true; /* the others adopt the objects that they use */
    thread->away_since = tally_now_coarse();
    tally_wait_begin(thread, "waiting for its turn");
    pthread_mutex_lock(&turns.mutex);
    while (*last) last = &(*last)->next;
    *last = &self;
    if (turns.phase < SETTLING)
        end();
    else if (!turns.holder)
        grant(began);
    while (!self.granted) {
        if (turns.first != &self) {
            pthread_cond_wait(&self.wake, &turns.mutex);
            continue;
        }
        uint64_t now = tally_now(), over = turns.since + SLICE_NS;
        if (now >= over + SLICE_NS) {
            grant(now);
            break;
        }
        if (now >= over) {
            tally_breaker_set(turns.holder, TALLY_BREAK_TURN);
            over += SLICE_NS;
        }
        struct timespec until = tally_deadline(over - now);
        pthread_cond_clockwait(&self.wake, &turns.mutex, CLOCK_MONOTONIC, &until);
    }
    pthread_mutex_unlock(&turns.mutex);
    TALLY_FAILPOINT(turn_granted);
    TALLY_EVENT(turn_waits);
    TALLY_EVENT_ADD(TALLY_EVENT_turn_wait_ns, tally_now() - began);
    tally_wait_end();
    thread->away = false;
    thread->locking.looked_at = tally_now(); /* it did not contend meanwhile */
    thread->locking.contended = 0;
    if (held) tally_critical_resume(thread);
}

/* True: the thread has to wait. The mutex is held. */
static bool has_to_wait(tally_thread_state *thread, uint64_t now) {
    if (turns.phase < SETTLING) return false;
    /* It may contend for nothing for the sake of its turns, so it has them for a while longer. */
    bool contends = contended_within(thread, CALM_NS, now);
    if (turns.holder == thread) {
        if (contends && (!turns.first || now < turns.since + SLICE_NS)) return false;
        grant(now);
    } else if (contends && !turns.holder) {
        tally_store_relaxed(&turns.holder, thread);
        turns.since = now;
        return false;
    }
    return contends;
}

void tally_turns_safepoint(tally_thread_state *thread) {
    if (TALLY_LIKELY(!(tally_load_relaxed(&thread->head.breaker) & TALLY_BREAK_TURN))) return;
    tally_breaker_clear(thread, TALLY_BREAK_TURN);
    pthread_mutex_lock(&turns.mutex);
    uint64_t now = tally_now();
    decide(now);
    bool waits = has_to_wait(thread, now);
    pthread_mutex_unlock(&turns.mutex);
    if (waits) wait_for_turn(thread);
}

void tally_turns_leave(tally_thread_state *thread) {
    /* relaxed: only this thread ends its turn, but for a waiter that overtakes it, and it is
     * granted a turn only while it waits for one */
    if (TALLY_LIKELY(tally_load_relaxed(&turns.holder) != thread)) return;
    pthread_mutex_lock(&turns.mutex);
    if (turns.holder == thread) grant(tally_now());
    pthread_mutex_unlock(&turns.mutex);
    tally_breaker_set(thread, TALLY_BREAK_TURN);
}

#    ifdef TALLY_FAILPOINTS
void tally_turns_force(bool on) {
    uint64_t now = tally_now();
    pthread_mutex_lock(&turns.mutex);
    turns.hold_until = UINT64_MAX;
    if (!on) end();
    if (on && turns.phase != ON) enter_phase(ON, now);
    if (on) {
        tally_thread_state *thread = tally_thread_current();
        tally_store_relaxed(&thread->locking.contended_at, now + UINT32_MAX); /* for four seconds */
        tally_breaker_set(thread, TALLY_BREAK_TURN);
    }
    pthread_mutex_unlock(&turns.mutex);
}
#    endif

#endif
