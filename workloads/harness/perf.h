/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf.h: what the kernel counts of the workers during the samples: hardware
 * counters where the machine has them, and what the scheduler and the memory
 * management did. Linux perf events (perf_event_open(2)), one set a worker.
 *
 * Invariant: a set is opened, switched and read by its own worker, and outside of
 * what that worker times; nothing is read while a sample runs.
 */
#ifndef TALLY_HARNESS_PERF_H
#define TALLY_HARNESS_PERF_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

/* name, type, config, and the place in rusage that has it too */
/* clang-format off */
#define PERF_EVENTS(X)                                           \
    X(instructions, HARDWARE, HW_INSTRUCTIONS, NOWHERE)          \
    X(cycles, HARDWARE, HW_CPU_CYCLES, NOWHERE)                  \
    X(cache_misses, HARDWARE, HW_CACHE_MISSES, NOWHERE)          \
    X(branch_misses, HARDWARE, HW_BRANCH_MISSES, NOWHERE)        \
    X(context_switches, SOFTWARE, SW_CONTEXT_SWITCHES, SWITCHES) \
    X(page_faults, SOFTWARE, SW_PAGE_FAULTS, FAULTS)             \
    X(migrations, SOFTWARE, SW_CPU_MIGRATIONS, NOWHERE)
/* clang-format on */

enum {
#define PERF_EVENT(name, type, config, usage) PERF_##name,
    PERF_EVENTS(PERF_EVENT)
#undef PERF_EVENT
        PERF_EVENT_COUNT
};

/* One event of a worker, or of all together. */
typedef struct perf_count {
    uint64_t count;
    int error;      /* why there is none: an errno, or PERF_OFF; 0: there is one */
    bool user_only; /* the kernel's part is not in it */
    bool estimated; /* it shared its counter with others: scaled up to the whole time */
    bool usage;     /* perf refused it; it is from getrusage(2) */
} perf_count;

enum { PERF_OFF = -1 };

typedef struct perf_set {
    perf_count counts[PERF_EVENT_COUNT];
    int files[PERF_EVENT_COUNT];       /* -1: not open */
    uint64_t before[PERF_EVENT_COUNT]; /* of those from getrusage, at the sample's start */
} perf_set;

/* All by the worker whose set it is. */
void perf_open(perf_set *set, bool wanted);
void perf_start(perf_set *set);
void perf_stop(perf_set *set);
void perf_close(perf_set *set); /* counts are complete from here on */

/* Adds a worker's counts to those of all; a count that one lacks, all lack. */
void perf_add(perf_count *all, const perf_count *one);

/* {"counts": {name: number}, "unavailable": {name: reason}, "user_only": [name],
 *  "estimated": [name], "from_getrusage": [name]} */
json_t *perf_to_json(const perf_count *counts);
/* Adds the counts of another process' object; what one lacks, both lack. */
void perf_merge(json_t *into, const json_t *from);

#endif
