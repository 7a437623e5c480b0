/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * workload.h: what a workload is, and what the harness does for it.
 *
 * A workload is one file in the folder of its kind, and nothing else: WORKLOAD(name) registers its
 * descriptor. The file defines `struct shared`, the state that all workers share, and `struct
 * local`, the state of one worker, where it has such state. The harness allocates both, zeroed and
 * on cache lines of their own, passes them to the functions below, and frees them. The life of a
 * workload, in this order:
 *
 *   setup      once, on the main thread: makes what the workers share
 *   enter      once per worker, on its own attached thread: makes what is its own
 *   prepare    before each run; its time is not measured
 *   run        again and again on that thread, until the sample ends
 *   leave      once per worker: checks the results
 *   teardown   once, on the main thread, when no worker is left: checks the results
 *
 * Objects and memory that setup and enter hand to the harness (workload_keep) are checked and
 * dropped by it, after teardown and leave.
 *
 * The invariant that a workload keeps: everything it computed is checked, in run, leave or
 * teardown. A wrong result ends the driver through workload_fail.
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

/* Each workload's own. */
struct shared;
struct local;

typedef struct workload_context {
    unsigned workers;
    unsigned worker; /* which of them this is; 0 in setup, teardown and wake */
    uint64_t seed;
    const uint64_t *parameters; /* in the order of their declaration */
    const char *const *texts;   /* files given by the user */
    size_t text_count;          /* 0: the system's licence texts */
    size_t text_bytes;          /* repeat the text until it has about so many */
    /* True once the sample is over. Only a run that waits for other workers has to look at it:
     * those may have stopped already. */
    const atomic_bool *stop;
    histogram *latency;         /* the worker's, if the workload measures latencies */
    struct workload_kept *kept; /* the harness's list of what workload_keep got */
} workload_context;

typedef struct tally_workload {
    const char *name;
    const char *description; /* one sentence: what it measures and what it stands for */
    const char *unit;        /* what run counts, in the plural */
    enum kind kind;
    bool shares;        /* a program whose threads use the same objects; the other kinds tell */
    bool in_price;      /* the report's price of one thread averages over it */
    bool takes_text;    /* it reads the files of --text */
    bool makes_garbage; /* in cycles; without, the collector must find nothing */
    const char *counterpart; /* the workload that does the same in another way; NULL: none */
    /* No worker changes what another can reach: the workload needs no locks after setup. */
    bool read_only;
    /* Why a cause cannot be removed; NULL: it can, unless harness/causes.c knows a reason. */
    const char *needs[CAUSES];
    /* Ends with one that has no name; NULL: none. */
    const workload_parameter *parameters;
    /* What a comparison gives to --set to measure the workload so too, and a quick one; end with
     * NULL. NULL: nothing. */
    const char *const *variants, *const *quick_variants;
    /* The report's section on the variants; without a title there is none. */
    struct {
        const char *title, *text;
        const char *caption; /* of the table */
        const char *axis;    /* the parameter that a plot of the variants goes by; NULL: no plot */
    } about_variants;
    bool not_quick; /* a quick comparison leaves it out unless it is named */
    /* Run adds the nanoseconds of each operation to context->latency. */
    bool latency;
    /* A shorter sample says little, since what is measured is rare; 0: any will do. A quick
     * comparison heeds it, others take five times as long, the driver does not care. */
    unsigned least_sample_ms;
    /* sizeof(struct shared), sizeof(struct local); 0: no such state. */
    size_t shared_size, local_size;

    /* All but run may be NULL: there is nothing to do then. */

    /* Before the run time starts: options that depend on parameters. */
    void (*configure)(const uint64_t *parameters, tally_options *options);
    void (*setup)(struct shared *shared, const workload_context *context);
    void (*enter)(struct shared *shared, struct local *local, const workload_context *context);
    /* What a run needs but does not measure: with one, only the time in run counts. */
    void (*prepare)(struct shared *shared, struct local *local, const workload_context *context);
    /* Works for 0.1 to 2 ms, with a tally_safepoint() every few dozen operations; returns how many
     * operations it did. */
    uint64_t (*run)(struct shared *shared, struct local *local, const workload_context *context);
    void (*leave)(struct shared *shared, struct local *local, const workload_context *context);
    void (*teardown)(struct shared *shared, const workload_context *context);
    /* Wakes the workers that wait in run, when *context->stop is set; on the main thread. */
    void (*wake)(struct shared *shared, const workload_context *context);
} tally_workload;

/* WORKLOAD(variable, .name = ..., ...); defines a workload, and adds it to the driver's. */
#define WORKLOAD(variable, ...)                                                                  \
    static const tally_workload variable = {__VA_ARGS__};                                        \
    __attribute__((                                                                              \
        used, section("tally_workloads"))) static const tally_workload *const variable##_entry = \
        &variable
/* For the descriptor: the file defines the struct. */
#define SHARED_STATE .shared_size = sizeof(struct shared)
#define LOCAL_STATE  .local_size = sizeof(struct local)

/*
 * Two workloads that do the same reads: `counted`, and `borrowing`, whose references count nothing.
 * reads(shared, local, borrowed) is a WORKLOAD_INLINE function that does one run. What follows the
 * description is in both descriptors.
 */
#define WORKLOAD_AND_BORROWED(variable, reads, counted, borrowing, text, ...)                 \
    static uint64_t variable##_run(struct shared *shared, struct local *local,                \
                                   const workload_context *context) {                         \
        return reads(shared, local, false);                                                   \
    }                                                                                         \
    static uint64_t variable##_borrow(struct shared *shared, struct local *local,             \
                                      const workload_context *context) {                      \
        return reads(shared, local, true);                                                    \
    }                                                                                         \
    WORKLOAD(variable, .name = counted, .description = text, .kind = SHARED_OBJECTS,          \
             .run = variable##_run, __VA_ARGS__);                                             \
    WORKLOAD(variable##_borrowed, .name = borrowing,                                          \
             .description = "As " counted ", with borrowed references, which count nothing.", \
             .kind = BORROWED_READS, .counterpart = counted, .not_quick = true,               \
             .run = variable##_borrow, __VA_ARGS__)

/*
 * Runs the statement `count` times, with a safepoint after every `step`, of which count is a
 * multiple. The safepoint is outside of the inner loop, which a break leaves alone.
 */
#define WORKLOAD_LOOP(count, step)                                                    \
    for (unsigned steps_ = 0; steps_ < (count) / (step); steps_++, tally_safepoint()) \
        for (unsigned step_ = 0; step_ < (step); step_++)

/* A function whose constant arguments make a run without a branch on them. */
#define WORKLOAD_INLINE static inline __attribute__((always_inline))

/* Says on stderr what is wrong, and ends the driver with status 1. Any thread. */
_Noreturn void workload_fail(const char *format, ...) __attribute__((format(printf, 1, 2)));

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

/* tally_refcount gave another number. */
void workload_check_count_slow(tally_object *object, ptrdiff_t expected) __attribute__((cold));

/* Fails unless nobody but `expected` known holders refers to the object. If there are more
 * references, it collects, and waits for what has died and is not yet freed. */
static inline void workload_check_count(tally_object *object, ptrdiff_t expected) {
    if (__builtin_expect(tally_refcount(object) != expected, 0))
        workload_check_count_slow(object, expected);
}

/* A run of a worker that only has to be there while another is measured: safepoints, for about 0.1
 * ms, and no operation. */
uint64_t workload_stand_by(void);

/* CLOCK_MONOTONIC in nanoseconds. */
static inline uint64_t workload_clock(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * UINT64_C(1000000000) + (uint64_t)time.tv_nsec;
}

/* ---- what the harness keeps for a workload ------------------------------------- */

/*
 * The harness gets the reference to the object, which is returned, and drops it after the
 * workload's leave or teardown, the last kept first. Before that the object must have so many
 * holders, the harness among them, or any number.
 */
enum { ANY_HOLDERS = -1 };
tally_object *workload_keep(const workload_context *context, tally_object *object,
                            ptrdiff_t holders);

/* A class, which must have no living instance in the end. */
tally_object *workload_keep_class(const workload_context *context, const char *name,
                                  const char *const *slots);

/* objects[i] is the float first + i. */
void workload_keep_floats(const workload_context *context, tally_object **objects, size_t count,
                          double first, ptrdiff_t holders);

/* Zeroed memory on cache lines of its own, so that two workers never write the same one. */
void *workload_memory(const workload_context *context, size_t bytes);

/* The same without a harness: free() it. */
void *workload_allocate(size_t bytes);

/* ---- what workloads make and check alike ----------------------------------------- */

/* A new str that differs for every number. */
tally_object *workload_key(unsigned number);

/* A name in a program's code: interned, and immortal as CPython's are. */
tally_object *workload_name(const char *text);

/* Checks each object's count, then drops the caller's reference to it. */
void workload_check_and_drop(tally_object *const *objects, size_t count, ptrdiff_t holders);

/* list[i] or dict[key]: a new reference or, if borrowed, none. workload_read_end drops it. */
WORKLOAD_INLINE tally_object *workload_list_read(tally_object *list, ptrdiff_t i, bool borrowed) {
    return borrowed ? tally_borrowed_object(tally_list_borrow(list, i))
                    : workload_object(tally_list_get(list, i));
}

WORKLOAD_INLINE tally_object *workload_dict_read(tally_object *dict, tally_object *key,
                                                 bool borrowed) {
    return borrowed ? tally_borrowed_object(tally_dict_borrow(dict, key))
                    : workload_object(tally_dict_get(dict, key));
}

WORKLOAD_INLINE void workload_read_end(tally_object *object, bool borrowed) {
    if (!borrowed) tally_decref(object);
}

/* Each passes on the caller's reference to the object; NULL ends the driver. */
static inline void workload_append(tally_object *list, tally_object *object) {
    workload_done(tally_list_append(list, workload_object(object)));
    tally_decref(object);
}
static inline void workload_list_put(tally_object *list, ptrdiff_t i, tally_object *object) {
    workload_done(tally_list_set(list, i, workload_object(object)));
    tally_decref(object);
}
static inline void workload_dict_put(tally_object *dict, tally_object *key, tally_object *object) {
    workload_done(tally_dict_set(dict, key, workload_object(object)));
    tally_decref(object);
}
static inline void workload_slot_put(tally_object *instance, ptrdiff_t slot, tally_object *object) {
    workload_done(tally_slot_set(instance, slot, workload_object(object)));
    tally_decref(object);
}

static inline tally_object *workload_int(int64_t value) {
    return workload_object(tally_int_new(value));
}

/* Whether the referent of a weak reference is dead. */
bool workload_is_dead(tally_object *reference);

/* Lets a canary, a weak reference or NULL, watch the object if the one before is dead. */
void workload_watch(tally_object **canary, tally_object *object);

/* In teardown: collects, checks that nothing watched is alive, and drops the canaries. */
void workload_check_canaries(tally_object **canaries, unsigned count);

/* The compiler must have written all before it to memory, and read all after it anew. */
static inline void workload_compiler_barrier(void) { __asm__ volatile("" ::: "memory"); }

static inline uint64_t workload_seed(const workload_context *context) {
    uint64_t seed = (context->seed + context->worker + 1) * UINT64_C(0x9e3779b97f4a7c15);
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
