/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * helpers.c: the collector's parallel work: threads that wait for the world to be resumed work
 * meanwhile for the thread that stopped it.
 *
 * Invariant: all of `team` is guarded by tally_world.mutex. The world is stopped from
 * tally_helpers_gather until after tally_helpers_dismiss.
 */
#define _GNU_SOURCE
#include "world.h"

enum { GATHER_NS = 2000000 }; /* a thread that has not joined by then has no core */

static struct {
    pthread_cond_t changed; /* a helper joined, or finished */
    unsigned wanted, joined, finished, of;
    bool open, go; /* helpers may join; those that joined may work */
    void (*work)(unsigned number, unsigned of, void *context);
    void *context;
} team = {.changed = PTHREAD_COND_INITIALIZER};

bool tally_helpers_join(void) {
    if (!team.open || team.joined + 1 >= team.wanted) return false;
    unsigned number = ++team.joined;
    pthread_cond_broadcast(&team.changed);
    while (!team.go) pthread_cond_wait(&tally_world.resumed, &tally_world.mutex);
    if (number < team.of) {
        pthread_mutex_unlock(&tally_world.mutex);
        team.work(number, team.of, team.context);
        pthread_mutex_lock(&tally_world.mutex);
    }
    team.finished++;
    pthread_cond_broadcast(&team.changed);
    return true;
}

/* Calls up to `most` - 1 of the parked threads, and waits until they have joined. Returns how many
 * there are with the caller: a power of two, 1 if no thread joined. */
unsigned tally_helpers_gather(unsigned most) {
    pthread_mutex_lock(&tally_world.mutex);
    team.wanted = most;
    team.joined = team.finished = 0;
    team.go = false;
    team.open = true;
    pthread_cond_broadcast(&tally_world.resumed);
    struct timespec until = tally_deadline(GATHER_NS);
    while (team.joined + 1 < most && team.joined < tally_world.resuming &&
           pthread_cond_clockwait(&team.changed, &tally_world.mutex, CLOCK_MONOTONIC, &until) ==
               0) {}
    team.open = false;
    for (team.of = 1; team.of * 2 <= team.joined + 1;) team.of *= 2;
    pthread_mutex_unlock(&tally_world.mutex);
    return team.of;
}

static void let_go(void (*work)(unsigned, unsigned, void *), void *context) {
    pthread_mutex_lock(&tally_world.mutex);
    team.work = work;
    team.context = context;
    team.go = true;
    if (!work) team.of = 0;
    pthread_cond_broadcast(&tally_world.resumed);
    pthread_mutex_unlock(&tally_world.mutex);
}

void tally_helpers_run(void (*work)(unsigned number, unsigned of, void *context), void *context) {
    let_go(work, context);
    work(0, team.of, context);
}

/* Waits until all threads that joined are parked again, whether they had work or not. */
void tally_helpers_dismiss(void) {
    if (!team.go) let_go(NULL, NULL);
    pthread_mutex_lock(&tally_world.mutex);
    while (team.finished < team.joined) pthread_cond_wait(&team.changed, &tally_world.mutex);
    pthread_mutex_unlock(&tally_world.mutex);
}
