// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the results say: an estimate with its interval for every workload,
// backend and thread count, and ratios between them.  Keeps pointers into the
// JSON that it was made from.
#ifndef TALLY_REPORT_ANALYSIS_H
#define TALLY_REPORT_ANALYSIS_H

#include "statistics.h"

#include <jansson.h>

struct cell {
    const char *workload, *backend, *unit;
    int threads;
    bool oversubscribed, shared, pinned;
    struct series series; // without the samples of warm-ups
    struct moments moments;
    const struct judgement *judgement; // of the whole report
    double block_seconds;              // median wall time of one of its processes
    struct interval rate;              // operations a second, all threads together
    double *replicates;                // of rate.estimate
    double peak_kib;                   // median over blocks
    const json_t *counters;            // of the counting pass, or NULL
    double counted_operations;
};

// Two cells that the report compares: two backends with equal workload and
// threads, or a backend with itself on one thread.
struct comparison {
    const struct cell *over, *under;
    struct interval ratio;
    double
        minutes; // about how many more a verdict needs; 0: there is one; infinite: cannot be told
};

struct analysis {
    const json_t *root;
    const char **workloads; // in order of first appearance
    const char **backends;  // in the order of the results' list of them
    size_t workload_count, backend_count;
    int *threads; // ascending
    size_t thread_count;
    struct cell *cells;
    size_t cell_count;
    struct comparison *comparisons; // one family: all are corrected together
    size_t comparison_count;
    struct comparison *controls; // a backend against itself, in the same session
    size_t control_count;
    struct cell *control_cells;
    size_t control_cell_count;
    struct judgement *judgement;
    size_t controls_different;   // by the measure that the comparisons are judged by
    size_t controls_uncorrected; // with p < 0.05
    size_t warmup_samples, samples;
    int scale_threads;    // the most threads that still have a core each
    const char *baseline; // the first of `backends`
};

// `margin` within which two are the same, 0.02 for 2 %; 0: as the results say.
struct analysis analysis_make(const json_t *root, double margin);
void analysis_free(struct analysis *analysis);

// NULL where it was not measured.
const struct cell *analysis_cell(const struct analysis *analysis, const char *workload,
                                 const char *backend, int threads);
// The backend that the results' list names first, measured or not.
const char *analysis_reference(const struct analysis *analysis);
// Its place in that list, which is its colour's number; one past the end: it is not there.
size_t analysis_place(const struct analysis *analysis, const char *backend);
// Whether a backend only takes another one apart.
bool analysis_is_ablation(const struct analysis *analysis, const char *backend);
// The measured ablation with the counts of `product` and the exclusion of the
// reference; NULL: there is none.
const char *analysis_ablation_of(const struct analysis *analysis, const char *product);

// Throughput of one over the other, judged as all of the report are; unknown
// where either is NULL.
struct interval cells_ratio(const struct cell *over, const struct cell *under);

// Sets the verdict, and the minutes that one would take where there is none.
void comparison_judge(struct comparison *comparison, const struct judgement *judgement);

// Geometric mean of ratios over pairs of cells; skips pairs with a NULL.
struct interval cells_mean_ratio(const struct cell **over, const struct cell **under, size_t count);

#endif
