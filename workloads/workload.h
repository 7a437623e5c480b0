/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workload.h: what a workload is, and what the harness gives it.
 *
 * A workload is one file that defines one `tally_workload`, and one line in
 * workloads.def. Its life, in this order:
 *
 *   setup      once, on the main thread: makes what the workers share
 *   enter      once on each worker's own attached thread: makes what is its own
 *   prepare    before each run; its time is not measured
 *   run        again and again on that thread, until the sample ends
 *   leave      once on each worker: checks and drops what enter made
 *   teardown   once, on the main thread, when no worker is left: checks and
 *              drops what setup made
 *
 * The invariant that a workload keeps: everything it computed is checked, in
 * run, leave or teardown. A wrong result ends the driver through workload_fail.
 */
#ifndef TALLY_WORKLOAD_H
#define TALLY_WORKLOAD_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "harness/histogram.h"
#include "tally.h"

/* Two lines, since x86's prefetcher fetches lines in pairs. */
#define WORKLOAD_LINE 128

/* Whether the threads of a workload touch the same objects: what its curve
 * against threads can be expected to look like hangs on this. */
enum sharing { OWN, SHARED };

/* What the report groups workloads by, in its order. */
enum kind {
    PROGRAMS,
    OWN_OBJECTS,
    SHARED_OBJECTS,
    BORROWED_READS,
    SINGLE_OPERATIONS,
    CYCLE_COLLECTOR,
    KINDS
};

/* What --without takes from a workload, to see what it costs. */
enum cause {
    CAUSE_SHARING,   /* each worker sets up a state of its own */
    CAUSE_COUNTING,  /* what setup made is immortal */
    CAUSE_COLLECTOR, /* no automatic collection */
    CAUSE_LOCKS,     /* a driver without object locks */
    CAUSES
};

/* What a user may set with --set name=value. */
typedef struct workload_parameter {
    const char *name, *help;
    const char
        *choices;   /* words with commas between: the value is the place of one; NULL: a number */
    uint64_t value; /* the default */
    uint64_t least, most; /* of a number */
    uint64_t quick;       /* of a quick comparison; 0: the default */
} workload_parameter;

enum { WORKLOAD_PARAMETERS = 4 };

typedef struct workload_context {
    unsigned workers;
    uint64_t seed;
    const uint64_t *parameters; /* in the order of their declaration */
    const char *const *texts;   /* files given by the user */
    size_t text_count;          /* 0: the system's licence texts */
    size_t text_bytes;          /* repeat the text until it has about so many */
    /* True once the sample is over. Only a run that waits for other workers has
     * to look at it: those may have stopped already. */
    const atomic_bool *stop;
    histogram *latencies; /* one a worker, if the workload measures them */
} workload_context;

typedef struct tally_workload {
    const char *name;
    const char *description; /* one sentence: what it measures and what it stands for */
    const char *unit;        /* what run counts, in the plural */
    enum kind kind;
    bool in_price;           /* the report's price of one thread averages over it */
    bool takes_text;         /* it reads the files of --text */
    const char *counterpart; /* the workload that does the same in another way; NULL: none */
    enum sharing sharing;
    /* No worker changes what another can reach: needs no locks once it is set up. */
    bool read_only;
    /* Why a cause cannot be taken from it; NULL: it can, where harness/causes.c sees nothing
     * against it. */
    const char *kept[CAUSES];
    /* Ends with one that has no name; NULL: none. */
    const workload_parameter *parameters;
    /* What a comparison gives to --set to measure the workload so too, and a quick
     * one; end with NULL. NULL: nothing. */
    const char *const *variants, *const *quick_variants;
    /* The report's section on the variants; without a title there is none. */
    struct {
        const char *title, *text;
        const char *caption; /* of the table */
        const char *axis;    /* the parameter that a plot of the variants goes by; NULL: no plot */
    } about_variants;
    bool not_quick; /* a quick comparison leaves it out unless it is named */
    /* Run adds the nanoseconds of each operation to the worker's histogram. */
    bool latency;
    /* A shorter sample says little, since what is measured is rare; 0: any will do.
     * A quick comparison heeds it, others take five times as long, the driver does
     * not care. */
    unsigned least_sample_ms;

    /* All but run may be NULL: there is nothing to do then. */

    /* Before the run time starts: options that hang on parameters. */
    void (*configure)(const uint64_t *parameters, tally_options *options);
    /* The state that all workers share; the context lives as long. NULL: no state. */
    void *(*setup)(const workload_context *context);
    /* The worker's own state, which the next two get. NULL: they get the shared one. */
    void *(*enter)(void *state, unsigned worker);
    /* What a run needs but does not measure: with one, only the time in run counts. */
    void (*prepare)(void *local);
    /* Works for 0.1 to 2 ms, with a tally_safepoint() every few dozen
     * operations; returns how many operations it did. */
    uint64_t (*run)(void *local);
    void (*leave)(void *local); /* free does, where there is nothing to check */
    void (*teardown)(void *state);
    /* Wakes the workers that wait in run, when *context->stop is set;
     * on the main thread. */
    void (*wake)(void *state);
} tally_workload;

/* Says on stderr what is wrong, and ends the driver with status 1. Any thread. */
_Noreturn void workload_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Zeroed memory of its own cache lines, so that two workers never write the
 * same one; free() it. */
void *workload_allocate(size_t bytes);

/* The object, or the end of the driver with the run time's error. */
static inline tally_object *workload_object(tally_object *object) {
    if (__builtin_expect(object == NULL, 0)) workload_fail("no object: %s", tally_error_message());
    return object;
}

/* The same for a call that results in -1 when it fails. */
static inline int workload_done(int result) {
    if (__builtin_expect(result < 0, 0)) workload_fail("a call failed: %s", tally_error_message());
    return result;
}

/* What setup made is immortal: its counts say nothing. Set before the workers start. */
extern bool workload_immortal;

/* Fails unless nobody but `expected` known holders refers to the object. */
static inline void workload_check_count(tally_object *object, ptrdiff_t expected) {
    ptrdiff_t count = tally_refcount(object);

    if (count != expected && !(workload_immortal && tally_is_immortal(object)))
        workload_fail("an object has %td references, not %td", count, expected);
}

/* A run of a worker that only has to be there while another is measured:
 * safepoints, for about 0.1 ms, and no operation. */
uint64_t workload_stand_by(void);

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t workload_clock(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* Makes objects[i] the float first + i. */
void workload_make_floats(tally_object **objects, size_t count, double first);

/* A new str that differs for every number. */
tally_object *workload_key(unsigned number);

/* Checks each object's count, then drops the caller's reference to it. */
void workload_check_and_drop(tally_object *const *objects, size_t count, ptrdiff_t holders);

/* The compiler must have written all before it to memory, and read all after it anew. */
static inline void workload_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

static inline uint64_t workload_seed(const workload_context *context, unsigned worker) {
    uint64_t seed = (context->seed + worker + 1) * UINT64_C(0x9e3779b97f4a7c15);

    return seed != 0 ? seed : 1; /* 0 would stay 0 for ever */
}

/* Marsaglia's xorshift64: good enough to pick keys with, and a few instructions. */
static inline uint64_t workload_random(uint64_t *seed) {
    uint64_t x = *seed;

    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *seed = x;
}

#endif
