/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread_time.h: where the workers' time went during the samples, as the kernel tells it:
 * on a processor in user and in system mode, ready and without one, and how often a worker
 * slept or was taken off. What is left of the wall time a worker slept.
 *
 * Invariant: a clock is started and stopped by its own worker, outside of what it times.
 */
#ifndef TALLY_HARNESS_THREAD_TIME_H
#define TALLY_HARNESS_THREAD_TIME_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

typedef struct thread_time {
    uint64_t wall, user, system; /* nanoseconds */
    uint64_t ready;              /* waited for a processor */
    uint64_t slept, preempted;   /* context switches: voluntary, involuntary */
    bool ready_told;             /* the kernel tells it */
} thread_time;

/* The time of the calling thread until now. */
thread_time thread_time_now(void);
/* Adds what passed since `before`, by the same thread. */
void thread_time_add(thread_time *sum, const thread_time *before);
/* Adds a worker's sum to that of all. */
void thread_time_merge(thread_time *all, const thread_time *one);

json_t *thread_time_to_json(const thread_time *all);

#endif
