/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gate.c: a counted gate of a mutex and two conditions.
 */
#include "gate.h"

#include <time.h>

void gate_init(gate *gate, unsigned workers)
{
    pthread_condattr_t monotonic;

    *gate = (struct gate){.workers = workers};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_condattr_init(&monotonic);
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_cond_init(&gate->opened, NULL);
    pthread_cond_init(&gate->complete, &monotonic);
    pthread_condattr_destroy(&monotonic);
}

void gate_wait(gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    unsigned openings = gate->openings;
    if (++gate->waiting == gate->workers)
        pthread_cond_signal(&gate->complete);
    while (gate->openings == openings)
        pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

bool gate_collect(gate *gate, unsigned seconds)
{
    struct timespec until;
    bool complete;

    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += seconds;
    pthread_mutex_lock(&gate->mutex);
    while (gate->waiting < gate->workers)
        if (pthread_cond_timedwait(&gate->complete, &gate->mutex, &until) != 0)
            break;
    complete = gate->waiting == gate->workers;
    pthread_mutex_unlock(&gate->mutex);
    return complete;
}

void gate_open(gate *gate)
{
    pthread_mutex_lock(&gate->mutex);
    gate->waiting = 0;
    gate->openings++;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}
