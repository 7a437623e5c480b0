// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The results file, read once: every run of every list as a struct with typed fields,
// in an order that finds the runs of one place by bisection.  What is loaded has been
// checked, so the rest of the program trusts it.
#ifndef TALLY_COMPARE_RESULTS_H
#define TALLY_COMPARE_RESULTS_H

#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { RESULTS_VERSION = 4, MOST_ROUNDS = 10000 };

// The lists of a results file, by the kind of job that fills them.
enum list {
    LIST_TIMED,
    LIST_CONTROL,
    LIST_AGAINST,
    LIST_TOTALS,
    LIST_PROCESSES,
    LIST_VARIANTS,
    LIST_PYTHON,
    LIST_PATTERNS,
    LIST_CONVOY,
    LIST_SERVERS,
    LIST_FINDINGS,
    LIST_WHAT_IF,
    LIST_COUNTED,
    LIST_LEDGER,
    LISTS
};
extern const char *const list_names[LISTS];

struct sample {
    double seconds, operations, rate; // operations a second, all threads together
    bool warmup;
    double mean, slowest, fastest; // of the threads: their mean rate, the others over it; or NAN
};

struct spread {
    double total, median, p99, longest;
};

// What the collector did in a run, in nanoseconds and objects.
struct collector {
    bool told;
    double collections, full, watched, mark, finalize, check, free, reentry;
    double examined, collected, collected_running, uncollectable, helpers; // running: no pause
    struct spread pause, full_pause, stop;
    const char *last; // what the thread that came last was most often doing, or ""
    double last_times;
};

// Of all workers of a run during its samples, nanoseconds; the last two in a counting run alone.
struct times {
    double wall, user, system;     // wall 0: not told
    double ready;                  // waited for a processor
    double slept;                  // how often a worker slept
    double gil, lock, turn, grace; // waits
    double stopped, stop, gc;      // held by a stop; waited for one; in collections
    double merge, allocator;
};

enum { QUANTILES = 5 };
extern const double quantile_shares[QUANTILES]; // 0.5, 0.9, 0.99, 0.999, 1

enum { CONTENTION_EVENTS = 6 };
extern const char *const contention_events[CONTENTION_EVENTS];
struct contention {
    const char *type, *place;
    int owner; // 0: no thread, 1: the main thread
    double share, events[CONTENTION_EVENTS];
};

// Rows of the ledger, where the resident memory is, in the order in which they are stacked.
enum ledger_row {
    ROW_CODE,
    ROW_STACKS,
    ROW_MALLOC_USED,
    ROW_SIDE_MARKS,
    ROW_OBJECTS,
    ROW_CONTENTS,
    ROW_LARGE,
    ROW_MERGING,
    ROW_WAITING,
    ROW_REMOTE,
    ROW_FREE_BLOCKS,
    ROW_POOL_ROOM,
    ROW_FREE_POOLS,
    ROW_MALLOC_FREE,
    LEDGER_ROWS
};
// A workload grows if its peak is so much over that of its setup.
enum { LEDGER_GROWTH_KIB = 2048 };
// One reading; bytes, and nanoseconds of its pause.
struct reading {
    double seconds, pause, resident, rows[LEDGER_ROWS];
};

enum server_figure { REQUESTS, P50, P90, P99, LONGEST, COLLECTIONS, PAUSE, MEMORY, SERVER_FIGURES };

// One process of a measurement.  Strings are never NULL; one that is not told is "".
struct run {
    enum list list;
    const char *workload, *backend, *variant, *without, *unit;
    int threads, round; // the convoy's busy threads, the server's workers
    bool shared, pinned, oversubscribed, incomplete, detailed;
    bool few_turns; // too short for every thread to have the GIL several times
    bool layout_told, layout_fixed;
    struct sample *samples;
    size_t sample_count, warmup_count;
    double rate;                // the median of the samples after the warm-up
    double seconds, operations; // of all samples together
    double peak_kib, setup_peak_kib, pss_kib, wall_seconds, live_at_finish, stats_operations;
    struct collector collector;
    struct times time;
    double latency[QUANTILES], latencies, clock_ns; // nanoseconds; how many there are
    struct contention *contention;
    size_t contention_count;
    bool contention_told;
    struct reading *readings; // of the ledger, by their times
    size_t reading_count;
    double *times; // of a convoy, milliseconds, ascending
    size_t time_count;
    double interval_us, connections, server[SERVER_FIGURES];
    // Names and values that the drivers choose.
    const json_t *counters, *perf_counts, *perf_lacks, *parameters, *gil;
    const json_t *header_bytes, *object_bytes, *figures;
};

struct backend {
    const char *name, *role, *counts, *locking;
    bool ablation;
};

struct workload {
    const char *name, *description, *kind, *unit;
    const char *counterpart; // the workload that does the same in another way, or ""
    const char *variants_title, *variants_text, *variants_axis; // of its section, or ""
    bool in_price, shared;
};

struct results {
    const json_t *root;
    struct run *runs;
    size_t run_count;
    struct workload *workloads; // those with a timed run, in the order of the file
    size_t workload_count;
    struct backend *backends; // as the file lists them; the first is the reference
    size_t backend_count;
    const char **names; // of the backends, then of the interpreters that were measured beside them
    size_t name_count;
    double margin;
    bool self, incomplete;
};

// A slice of the runs.
struct runs {
    const struct run *items;
    size_t count;
};

struct key {
    enum list list;
    const char *workload, *variant, *without, *backend; // NULL: ""
    int threads;
};

// NULL after one line on stderr.  The caller owns the reference.
json_t *results_load(const char *path);
// The model of a root that has been checked; it keeps pointers into the root.
struct results results_make(const json_t *root);
void results_free(struct results *results);

// The runs at one place, in the order of their rounds; a whole list.
struct runs runs_at(const struct results *results, const struct key *key);
struct runs runs_of(const struct results *results, enum list list);
int run_compare(const struct run *run, const struct key *key);
struct key run_key(const struct run *run);

// The place of a backend, or of an interpreter, among the names, which is its colour; one past the
// end: not there.
size_t backend_place(const struct results *results, const char *name);
const struct workload *workload_named(const struct results *results, const char *name);

// Checks one run as a driver prints it; *why tells what is wrong.
bool results_check_run(const json_t *run, const char **why);
// The same of what convoy, the task server and an experiment of findings print.
bool convoy_check(const json_t *run, const char **why);
bool server_check(const json_t *run, const char **why);
bool findings_check(const json_t *run, const char **why);
// Whether it is a list of backends, each with a name and a role.
bool results_check_backends(const json_t *list);

const char *object_string(const json_t *object, const char *key, const char *fallback);
double object_number(const json_t *object, const char *key, double fallback);
// The driver's own rate, or operations over seconds.
double sample_rate(const json_t *sample);

#endif
