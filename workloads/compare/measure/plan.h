// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a run will do: a list of jobs, each one run in a fresh process.  The
// whole list follows from the options and the seed before the first job starts,
// so that a run that was ended can go on where it was.
//
// A kind of run adds its jobs and says what the driver is told beyond the usual; plan.c
// lists all kinds.
#ifndef TALLY_COMPARE_PLAN_H
#define TALLY_COMPARE_PLAN_H

#include "process.h"
#include "results.h"
#include "run.h"

// What an effort spends.  `seconds` covers warm-up and samples of all rounds.
struct budget {
    double seconds;
    int rounds, samples;
    int least_ms, most_ms; // of one sample
    long text_bytes;       // 0: the driver's default
};

struct analysis;
struct plan;
struct job;

struct arguments {
    char *items[64 + 2 * MAX_NAMES]; // owned
    size_t count;
};

struct kind {
    enum list list;                      // of the results, where its runs go
    void (*add_jobs)(struct plan *plan); // also of kinds among its own; NULL: another kind does
    // The program and what is its own; NULL: the driver of the backend.
    void (*add_program)(const struct plan *plan, const struct job *job,
                        struct arguments *arguments);
    // More arguments after the usual ones; NULL: none.
    void (*add_arguments)(const struct plan *plan, const struct job *job,
                          struct arguments *arguments);
    bool driver;        // add_program gives a driver, which takes all options of one
    bool turns;         // takes turns with the timed ones in each round
    bool counted;       // by the driver that counts every event, in one short sample
    bool warm;          // after a warm-up
    bool whole_command; // what add_program gives is all
    bool (*check)(const json_t *run,
                  const char **why); // of what it prints; NULL: that of a driver's run
    bool processes;                  // as many processes of one thread, not threads
};

struct job {
    const struct kind *kind;
    const char *workload, *backend, *variant; // of the options; no variant: NULL
    const char *without;                      // the cause that is removed; NULL: none
    int threads, round;
    uint64_t seed;
};

struct plan {
    const struct run_options *options;
    const json_t *results; // what was measured until now
    struct budget budget;
    int sample_ms, warmup_ms; // of a timed run
    struct job *jobs;
    size_t count;
    uint64_t random;
};

// What is random of a process beside what the kernel draws.
struct layout {
    int environment_bytes, heap_offset;
};
struct layout job_layout(const struct job *job);

struct plan plan_make(const struct run_options *options);
// Adds `rounds` rounds, from round `first`, of both builds at the rows that look slower than the
// other build's. The strings stay the caller's. Returns how many rows there are.
size_t plan_look_again(struct plan *plan, const struct analysis *analysis, int first, int rounds);
// Adds a run of each workload that grew while it was measured, on each backend, which reads the
// ledger over time.  Returns how many workloads these are.
size_t plan_read_ledgers(struct plan *plan);
void plan_free(struct plan *plan);

// For kinds: adds a job at the end; it gets its seed here.
void plan_add(struct plan *plan, struct job job);
// A random order of `count` indices.
void plan_shuffle(struct plan *plan, size_t *order, size_t count);
// How many runs a round has, those of the control and of another build too.
size_t plan_cells(const struct plan *plan);

// The command line of a job; arguments_free frees it.
struct arguments plan_arguments(const struct plan *plan, const struct job *job);
void arguments_add(struct arguments *arguments, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void arguments_free(struct arguments *arguments);

// The interpreter of a job, and the script.
void add_script(const struct plan *plan, const struct job *job, const char *script,
                struct arguments *arguments);

// What the drivers say of a workload, and its variants at this effort.
const json_t *workload_description(const struct run_options *options, const char *workload);
const json_t *workload_variants(const struct run_options *options, const char *workload);
// Variants are measured on one thread, and on the most that have a core each.
bool variant_threads(const struct run_options *options, size_t index);
// The most threads that still have a core each, or the fewest there are.
int plan_scale_threads(const struct run_options *options);
// What an interpreter calls itself.
const char *interpreter_name(const struct run_options *options, size_t index);
json_t *ask_driver(const struct run_options *options, const char *backend);
char *driver_path(const struct run_options *options, const char *backend, bool counted);

extern const struct kind kind_timed, kind_control, kind_against, kind_processes, kind_patterns,
    kind_python, kind_total, kind_variants, kind_convoy, kind_server, kind_findings, kind_what_if,
    kind_counted, kind_ledger;

// All kinds in the order in which they run, then NULL.
extern const struct kind *const kinds[];

#endif
