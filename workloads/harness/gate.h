/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gate.h: where all workers wait until the main thread lets them go at once.
 *
 * Not a pthread_barrier_t: the main thread prepares the next sample while the workers wait. The
 * gate knows nothing of Tally: attached threads use it within a blocked region.
 */
#ifndef TALLY_HARNESS_GATE_H
#define TALLY_HARNESS_GATE_H

#include <pthread.h>

typedef struct gate {
    pthread_mutex_t mutex; /* guards all below */
    pthread_cond_t opened, complete;
    unsigned workers, waiting;
    unsigned openings;
} gate;

void gate_init(gate *gate, unsigned workers);
/* A worker: until the gate is opened. */
void gate_wait(gate *gate);
/* The main thread: until all workers wait. */
void gate_collect(gate *gate);
/* The main thread, after gate_collect. */
void gate_open(gate *gate);

#endif
