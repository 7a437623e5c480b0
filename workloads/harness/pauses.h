/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pauses.h: what the cycle collector did during the samples, from a callback after each collection:
 * how often, how long, where the time went, which thread came last.
 */
#ifndef TALLY_HARNESS_PAUSES_H
#define TALLY_HARNESS_PAUSES_H

#include <jansson.h>
#include <pthread.h>

#include "../workload.h"

enum { PAUSES_LONGEST = 8, PAUSES_REASONS = 16 };

/* The collections of one generation, summed; times are nanoseconds. */
typedef struct pauses_part {
    histogram pause, stop;
    uint64_t automatic, mark, finalize, check, free, reentry;
    uint64_t examined, collected, uncollectable, helpers;
    uint64_t collected_running; /* of the collected, by collections that stopped nobody */
} pauses_part;

/* Collections of several threads may overlap: the mutex guards all. */
typedef struct pauses {
    pthread_mutex_t mutex;
    bool recording;
    uint64_t began, watched; /* workload_clock at the beginning; nanoseconds until the end */
    uint64_t shared;         /* requests that another thread's collection served */
    pauses_part generations[3];
    tally_gc_info longest[PAUSES_LONGEST]; /* by pause, the longest first */
    unsigned longest_count;
    struct {
        const char *was;
        uint64_t times;
    } last[PAUSES_REASONS]; /* what the last thread was doing */
} pauses;

/* Registers the callback; the run time has started. *pauses lives as long as it. */
void pauses_watch(pauses *pauses);
/* From now on collections count; from nothing. */
void pauses_begin(pauses *pauses);
void pauses_end(pauses *pauses);

json_t *pauses_to_json(const pauses *pauses);
/* {count, total, median, p99, longest}. */
json_t *pauses_spread(const histogram *histogram);

#endif
