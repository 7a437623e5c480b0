/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gate.c: a counted gate of a mutex and two conditions.
 */
#include "gate.h"

void gate_init(gate *gate, unsigned workers) {
    *gate = (struct gate){.workers = workers};
    pthread_mutex_init(&gate->mutex, NULL);
    pthread_cond_init(&gate->opened, NULL);
    pthread_cond_init(&gate->complete, NULL);
}

void gate_wait(gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    unsigned openings = gate->openings;
    if (++gate->waiting == gate->workers) pthread_cond_signal(&gate->complete);
    while (gate->openings == openings) pthread_cond_wait(&gate->opened, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_collect(gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    while (gate->waiting < gate->workers) pthread_cond_wait(&gate->complete, &gate->mutex);
    pthread_mutex_unlock(&gate->mutex);
}

void gate_open(gate *gate) {
    pthread_mutex_lock(&gate->mutex);
    gate->waiting = 0;
    gate->openings++;
    pthread_cond_broadcast(&gate->opened);
    pthread_mutex_unlock(&gate->mutex);
}
