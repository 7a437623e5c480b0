/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run.h: the results of one call of the driver, and their JSON form, which --json prints.
 */
#ifndef TALLY_HARNESS_RUN_H
#define TALLY_HARNESS_RUN_H

#include <jansson.h>

#include "contention.h"
#include "footprint.h"
#include "options.h"
#include "pauses.h"
#include "perf.h"
#include "thread_time.h"

#define RUN_FORMAT "tally-run"
enum { RUN_VERSION = 1 };

typedef struct run {
    unsigned workers;
    unsigned samples; /* taken; fewer than asked for if incomplete */
    double *seconds;  /* of each sample: from the first worker's start to the last one's end */
    double *rates;    /* operations of all workers per second of these */
    /* A sample was too short for ten turns of each thread with the GIL: its shares, and how far
     * they vary, say little. */
    bool few_turns;
    /* Of worker w in sample s: [s * workers + w]. */
    uint64_t *operations;
    double *worker_seconds;
    tally_stats_result stats;          /* what was counted during the samples */
    contention contention;             /* what they contended for during the samples */
    pauses *pauses;                    /* the collections during them */
    histogram *latencies;              /* one a worker; NULL: not measured */
    perf_count perf[PERF_EVENT_COUNT]; /* of all workers, during the samples */
    thread_time time;                  /* of all workers; wall 0: a part was prepared, not timed */
    uint64_t clock_ns;                 /* what a look at the clock takes, if they are */
    long peak_rss_kib, baseline_rss_kib;
    long setup_peak_rss_kib; /* the peak until the first operation */
    long pss_kib;            /* after the last sample, each shared page divided among its users */
    footprint_kind kinds[FOOTPRINT_KINDS];
    ptrdiff_t live_at_finish;
    bool pinned, oversubscribed, incomplete;
} run;

void run_init(run *run, unsigned workers, unsigned samples);
void run_free(run *run);

/* The run as the JSON object that is printed. */
json_t *run_to_json(const run *run, const options *options);
/* Prints it on stdout, on one line; ends the driver if that fails. */
void run_print(const json_t *json);
/* All workloads and their parameters, one per line, or as a JSON list of their descriptors. */
void run_print_workloads(bool json);

#endif
