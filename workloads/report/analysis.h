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
    struct series series;
    struct interval rate;     // operations a second, all threads together
    double *replicates;       // of rate.estimate
    double peak_kib;          // median over blocks
    const json_t *counters;   // of the counting pass, or NULL
    double counted_operations;
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
    int scale_threads; // the most threads that still have a core each
    const char *baseline; // the first of `backends`
};

struct analysis analysis_make(const json_t *root);
void analysis_free(struct analysis *analysis);

// NULL where it was not measured.
const struct cell *analysis_cell(const struct analysis *analysis, const char *workload, const char *backend,
                                 int threads);
// The backend that the results' list names first, measured or not.
const char *analysis_reference(const struct analysis *analysis);
// Whether a backend only takes another one apart.
bool analysis_is_ablation(const struct analysis *analysis, const char *backend);
// The measured ablation with the counts of `product` and the exclusion of the
// reference; NULL: there is none.
const char *analysis_ablation_of(const struct analysis *analysis, const char *product);

// Throughput of one over the other; unknown where either is NULL.
struct interval cells_ratio(const struct cell *over, const struct cell *under);

// Geometric mean of ratios over pairs of cells; skips pairs with a NULL.
struct interval cells_mean_ratio(const struct cell **over, const struct cell **under, size_t count);

#endif
