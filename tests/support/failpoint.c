/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* failpoint.c: what a thread does at a failpoint. core/instrument/failpoint.h says what a test can
 * ask for. */
#undef TALLY_FAILPOINTS_INSIDE /* its own memory never fails */
#include "instrument/failpoint.h"

#include <sched.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

enum { PLACES = 16, WAIT_SECONDS = 60 };
enum { UNUSED, ARMED, REACHED, RELEASED, ALWAYS };

/* Armed failpoints. A test arms a failpoint before it starts what leads there; that start orders
 * the fields of a place before they are read. */
static struct {
    _Atomic int state, role;
    _Atomic(const char *) point;
    void (*_Atomic function)(void *);
    _Atomic(void *) argument;
} places[PLACES];

_Atomic bool tally_failpoints_on;
_Atomic int64_t tally_failpoint_countdown;
static _Atomic int64_t failures_more, failures;
static _Atomic uint64_t delays_seed, threads_seeded;
static _Atomic int late;
static _Thread_local int own_role;
static _Thread_local uint64_t random_state;

#define GET(object)        atomic_load_explicit(&(object), memory_order_relaxed)
#define SET(object, value) atomic_store_explicit(&(object), (value), memory_order_relaxed)

static double seconds(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Polls until the place has the state; false: not in time. */
static bool poll_state(int place, int state, const char *what) {
    double end = seconds() + WAIT_SECONDS;
    while (GET(places[place].state) < state) {
        if (seconds() > end) {
            fprintf(stderr, "%s: thread %d at %s\n", what, GET(places[place].role),
                    GET(places[place].point));
            atomic_fetch_add_explicit(&late, 1, memory_order_relaxed);
            return false;
        }
        usleep(100);
    }
    return true;
}

static void delay(uint64_t seed) {
    if (!random_state)
        random_state =
            (seed + atomic_fetch_add_explicit(&threads_seeded, 1, memory_order_relaxed)) *
                UINT64_C(0x9e3779b97f4a7c15) |
            1;
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    unsigned draw = (unsigned)(random_state >> 40) & 1023;
    if (draw < 4)
        usleep(draw * 50);
    else if (draw < 64)
        sched_yield();
    else if (draw < 128)
        for (volatile unsigned i = draw * 4; i; i--) {}
}

void tally_failpoint_reached(const char *point) {
    if (GET(delays_seed)) delay(GET(delays_seed));
    if (!own_role) return;
    for (int i = 0; i < PLACES; i++) {
        int armed = ARMED;
        const char *name = GET(places[i].point);
        int state = GET(places[i].state);
        if ((state != ARMED && state != ALWAYS) || GET(places[i].role) != own_role || !name ||
            strcmp(name, point) != 0)
            continue;
        if (state == ARMED &&
            !atomic_compare_exchange_strong_explicit(&places[i].state, &armed, REACHED,
                                                     memory_order_relaxed, memory_order_relaxed))
            continue;
        void (*function)(void *) = GET(places[i].function);
        if (function)
            function(GET(places[i].argument));
        else
            poll_state(i, RELEASED, "nobody released it in time");
        return;
    }
}

static void arm(int role, const char *point, int state, void (*function)(void *), void *argument) {
    for (int i = 0; i < PLACES; i++) {
        if (GET(places[i].state) != UNUSED) continue;
        SET(places[i].role, role);
        SET(places[i].point, point);
        SET(places[i].function, function);
        SET(places[i].argument, argument);
        SET(places[i].state, state);
        SET(tally_failpoints_on, true);
        return;
    }
    fprintf(stderr, "no more than %d failpoints at a time\n", PLACES);
    abort();
}

static int place_of(int role, const char *point) {
    for (int i = 0; i < PLACES; i++)
        if (GET(places[i].state) != UNUSED && GET(places[i].role) == role &&
            strcmp(GET(places[i].point), point) == 0)
            return i;
    fprintf(stderr, "%s is not armed\n", point);
    abort();
}

void tally_failpoint_role(int role) { own_role = role; }
void tally_failpoint_hold(int role, const char *point) { arm(role, point, ARMED, NULL, NULL); }
void tally_failpoint_call(int role, const char *point, void (*function)(void *), void *argument) {
    arm(role, point, ARMED, function, argument);
}
void tally_failpoint_call_always(int role, const char *point, void (*function)(void *),
                                 void *argument) {
    arm(role, point, ALWAYS, function, argument);
}
bool tally_failpoint_is_held(int role, const char *point) {
    return GET(places[place_of(role, point)].state) == REACHED;
}
bool tally_failpoint_await(int role, const char *point) {
    return poll_state(place_of(role, point), REACHED, "did not come in time");
}
void tally_failpoint_release(int role, const char *point) {
    SET(places[place_of(role, point)].state, RELEASED);
}

int tally_failpoint_reset(void) {
    for (int i = 0; i < PLACES; i++) SET(places[i].state, UNUSED);
    SET(tally_failpoints_on, GET(delays_seed) != 0);
    return atomic_exchange_explicit(&late, 0, memory_order_relaxed);
}

void tally_failpoint_delays(uint64_t seed) {
    SET(delays_seed, seed);
    SET(tally_failpoints_on, seed != 0);
}

/* ---- allocations -------------------------------------------------------- */

void tally_failpoint_failure(int64_t nth, int64_t more) {
    SET(failures_more, more);
    SET(failures, 0);
    SET(tally_failpoint_countdown, nth);
}

/* Counts down to 1, where an allocation fails; stays there while more are to. */
bool tally_failpoint_fails(void) {
    int64_t left = GET(tally_failpoint_countdown);
    while (left > 0) {
        bool fails = left == 1;
        int64_t next =
            fails && atomic_fetch_sub_explicit(&failures_more, 1, memory_order_relaxed) > 0
                ? 1
                : left - 1;
        if (!atomic_compare_exchange_weak_explicit(&tally_failpoint_countdown, &left, next,
                                                   memory_order_relaxed, memory_order_relaxed))
            continue;
        if (fails) atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed);
        return fails;
    }
    return false;
}

bool tally_failpoint_failed(void) {
    SET(tally_failpoint_countdown, 0);
    return GET(failures) > 0;
}
