// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the results say: a cell for every place that was measured, with the rate of its
// runs by round; the model of statistics.h for the cells that ran in turns; ratios of
// cells, and the verdicts on all that the report compares.
#ifndef TALLY_COMPARE_ANALYSIS_H
#define TALLY_COMPARE_ANALYSIS_H

#include "results.h"
#include "statistics.h"

// Cells whose runs took turns in each round: of one workload and number of threads.
struct design {
    size_t *cells; // by their numbers
    size_t count;
    struct fit fit;
};

struct cell {
    struct key key;
    struct runs runs; // never empty
    double *logs;     // of the rate, one per round; NAN: no run
    size_t design, group;
    struct interval rate; // operations a second, all threads together
    double peak_kib, pss_kib;
    bool oversubscribed, pinned, few_turns;
};

// What is judged together.
enum family {
    FAMILY_BACKENDS, // two backends on the same workload and threads; the control too
    FAMILY_THREADS,  // a backend against itself on one thread
    FAMILY_AGAINST,  // this build against another one
    FAMILY_TOTALS,   // as THREADS, with the total given
    FAMILY_WHAT_IF,  // a backend without a cause against itself
    FAMILIES,
    FAMILY_NONE
};

struct comparison {
    const struct cell *over, *under;
    struct interval ratio;
    bool looks_slower, slower; // of FAMILY_AGAINST: by more than the margin, see against.c
};

struct comparisons {
    struct comparison *items;
    size_t count;
    struct judgement judgement;
};

struct analysis {
    const struct results *results;
    size_t rounds, first_rounds; // those after first_rounds looked again, see against.c
    struct cell *cells;          // in the order of the results' runs
    size_t cell_count;
    struct design *designs;
    size_t design_count;
    const char **backends; // those with a timed run, in the results' order
    size_t backend_count;
    int *threads; // of timed runs, ascending
    size_t thread_count;
    struct comparisons families[FAMILIES];
    struct comparisons control;  // judged by the thresholds of FAMILY_BACKENDS
    size_t controls_uncorrected; // with p < 0.05
    double margin;
    int scale_threads;    // the most threads that still have a core each
    const char *baseline; // the first of `backends`; "": there is none
};

// `margin` within which two are the same, 0.02 for 2 %; 0: as the results say.
struct analysis analysis_make(const struct results *results, double margin);
void analysis_free(struct analysis *analysis);

// NULL where it was not measured.
const struct cell *analysis_find(const struct analysis *analysis, const struct key *key);
// Of the timed runs.
const struct cell *analysis_cell(const struct analysis *analysis, const char *workload,
                                 const char *backend, int threads);
const struct cell *analysis_cell_of(const struct analysis *analysis, enum list list,
                                    const char *workload, const char *backend, int threads);
// As it is, where a what-if run has a cause removed: taken in turns with it, or the timed one.
const struct cell *analysis_unchanged(const struct analysis *analysis, const struct key *key);
const struct backend *analysis_backend(const struct analysis *analysis, const char *name);
bool analysis_is_ablation(const struct analysis *analysis, const char *backend);
// The ablation with the counts of `product` and the locking of the reference; NULL: there is
// none.
const char *analysis_ablation_of(const struct analysis *analysis, const char *product);
size_t cells_of(const struct analysis *analysis, enum list list);
// The verdicts on FAMILY_AGAINST.
void judge_against(struct analysis *analysis);
// The ratios of rows that are pairs.  Some rows vary a hundred times as much as others, and a
// few rounds say little of how much.  So each row has a variance of its own, moved towards those
// of all rows with as many rounds, as far as these are alike.
void measure_rows(struct comparisons *list, size_t rounds, double margin);

// Throughput of one over the other, with its verdict; unknown where either is NULL.
struct interval cells_ratio(const struct analysis *analysis, const struct cell *over,
                            const struct cell *under);
// The mean over pairs of cells: within each round, then over rounds; not judged.  Pairs with
// a NULL are left out; a single pair has its own ratio and verdict.
struct interval cells_mean_ratio(const struct analysis *analysis, const struct cell **over,
                                 const struct cell **under, size_t count);

// Pools of runs: over all of them, of the number at an offset.
double pool_sum(struct runs runs, size_t at);
double pool_median(struct runs runs, size_t at); // 0 without runs
double pool_most(struct runs runs, size_t at);
double pool_least(struct runs runs, size_t at);
#define SUM(runs, member)    pool_sum(runs, offsetof(struct run, member))
#define MEDIAN(runs, member) pool_median(runs, offsetof(struct run, member))
#define MOST(runs, member)   pool_most(runs, offsetof(struct run, member))
#define LEAST(runs, member)  pool_least(runs, offsetof(struct run, member))

#endif
