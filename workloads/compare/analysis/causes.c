// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the threads' time goes; causes.h has the formulas.
#include "causes.h"

#include <math.h>
#include <string.h>

// Below these parts of the threads' time and of the loss a cause is not named.
static const double LEAST_SHARE = 0.03, LEAST_OF_LOSS = 0.1;
// A price is not split where a factor has a larger standard error.
static const double MOST_PRICE_ERROR = 0.08;

// ---- what was removed -----------------------------------------------------------------

struct interval gain_without(const struct analysis *analysis, const char *workload,
                             const char *backend, const char *cause, int threads) {
    struct key key = {.list = LIST_WHAT_IF,
                      .workload = workload,
                      .without = cause,
                      .backend = backend,
                      .threads = threads};
    return cells_ratio(analysis, analysis_find(analysis, &key), analysis_unchanged(analysis, &key));
}

// The reference with the counts of a backend, on one thread.
static const struct cell *ablation_cell(const struct analysis *analysis, const char *workload,
                                        const char *backend) {
    const char *ablation = analysis_ablation_of(analysis, backend);
    struct key key = {
        .list = LIST_WHAT_IF, .workload = workload, .backend = ablation, .threads = 1};
    return ablation ? analysis_unchanged(analysis, &key) : NULL;
}

// ---- shares of the threads' time --------------------------------------------------------

static struct runs timed_runs(const struct analysis *analysis, const char *workload,
                              const char *backend, int threads) {
    const struct cell *cell = analysis_cell(analysis, workload, backend, threads);
    return cell ? cell->runs : (struct runs){NULL, 0};
}

// Of the counting run of the place; 0 where there is none.
static double counted_share(const struct analysis *analysis, const char *workload,
                            const char *backend, int threads, size_t at) {
    struct key key = {
        .list = LIST_COUNTED, .workload = workload, .backend = backend, .threads = threads};
    struct runs runs = runs_at(analysis->results, &key);
    double wall = SUM(runs, time.wall);
    return wall > 0 ? pool_sum(runs, at) / wall : 0;
}

// Moves what is left of a share from one cause to another, as far as there is.
static void carve(double *shares, enum cause from, enum cause to, double *left) {
    double moved = fmin(*left, shares[from]);
    shares[from] -= moved;
    shares[to] += moved;
    *left -= moved;
}

// What was timed, in shares of the runs' time; all else is own work.
static void time_shares(struct runs runs, double shares[CAUSES]) {
    double wall = SUM(runs, time.wall);
    shares[CAUSE_GIL] = SUM(runs, time.gil) / wall;
    shares[CAUSE_LOCKS] = (SUM(runs, time.lock) + SUM(runs, time.turn)) / wall;
    shares[CAUSE_KERNEL] = SUM(runs, time.system) / wall;
    shares[CAUSE_COLLECTOR] = (SUM(runs, time.gc) + SUM(runs, time.stopped)) / wall;
    shares[CAUSE_MERGES] = SUM(runs, time.grace) / wall;
    double waits = shares[CAUSE_GIL] + shares[CAUSE_LOCKS] + shares[CAUSE_MERGES] +
                   (SUM(runs, time.stopped) + SUM(runs, time.stop)) / wall;
    double off = 1 - SUM(runs, time.user) / wall - shares[CAUSE_KERNEL];
    double rest = fmax(0, off - waits);
    shares[CAUSE_NO_CORE] = fmin(rest, SUM(runs, time.ready) / wall);
    shares[CAUSE_SLEEP] = rest - shares[CAUSE_NO_CORE];
    shares[CAUSE_OWN] = 1;
    for (size_t c = CAUSE_OWN + 1; c < CAUSES; c++) shares[CAUSE_OWN] -= shares[c];
    // A wait for a core within a collection is in both: the collector's.
    shares[CAUSE_NO_CORE] = fmax(0, shares[CAUSE_NO_CORE] + fmin(0, shares[CAUSE_OWN]));
    shares[CAUSE_OWN] = fmax(0, shares[CAUSE_OWN]);
}

// Of the threads' time, that of counts; 0 where it may be none.
static double counts_share(const struct analysis *analysis, const char *workload,
                           const char *backend, int threads) {
    struct interval gain = gain_without(analysis, workload, backend, "counting", threads);
    return gain.known && gain.low > 1 ? 1 - 1 / gain.estimate : 0;
}

// Of the threads' time, the own work that goes with a private copy for each; 0 where it may be
// none.
static double sharing_share(const struct analysis *analysis, const char *workload,
                            const char *backend, int threads, double own) {
    struct key key = {.list = LIST_WHAT_IF,
                      .workload = workload,
                      .without = "sharing",
                      .backend = backend,
                      .threads = threads};
    struct interval gain = gain_without(analysis, workload, backend, key.without, threads);
    if (!gain.known || gain.low <= 1) return 0;
    struct runs runs = runs_at(analysis->results, &key);
    double shares[CAUSES] = {0};
    if (!(LEAST(runs, time.wall) > 0)) return 0;
    time_shares(runs, shares);
    return own - shares[CAUSE_OWN] / gain.estimate;
}

struct split split_of(const struct analysis *analysis, const char *workload, const char *backend,
                      int threads) {
    struct runs runs = timed_runs(analysis, workload, backend, threads);
    struct split split = {.told = runs.count && LEAST(runs, time.wall) > 0};
    if (!split.told) return split;
    double wall = SUM(runs, time.wall), *shares = split.shares;
    time_shares(runs, shares);
    double own = shares[CAUSE_OWN];
    double allocator =
        counted_share(analysis, workload, backend, threads, offsetof(struct run, time.allocator));
    carve(shares, CAUSE_KERNEL, CAUSE_ALLOCATOR, &allocator); // it asks the kernel for memory
    carve(shares, CAUSE_OWN, CAUSE_ALLOCATOR, &allocator);
    double merges =
        counted_share(analysis, workload, backend, threads, offsetof(struct run, time.merge));
    double merged = fmin(merges, shares[CAUSE_OWN]);
    carve(shares, CAUSE_OWN, CAUSE_MERGES, &merges);
    double counts = counts_share(analysis, workload, backend, threads);
    carve(shares, CAUSE_OWN, CAUSE_COUNTS, &counts);
    double memory =
        sharing_share(analysis, workload, backend, threads, own) - merged - shares[CAUSE_COUNTS];
    memory = fmax(0, memory);
    carve(shares, CAUSE_OWN, CAUSE_MEMORY, &memory);
    split.sleeps = SUM(runs, time.slept) / (wall / 1e9);
    return split;
}

// ---- the loss -------------------------------------------------------------------------------

struct loss loss_of(const struct analysis *analysis, const char *workload, const char *backend) {
    int threads = analysis->scale_threads;
    struct loss loss = {.speedup = cells_ratio(analysis,
                                               analysis_cell(analysis, workload, backend, threads),
                                               analysis_cell(analysis, workload, backend, 1))};
    struct split many = split_of(analysis, workload, backend, threads),
                 one = split_of(analysis, workload, backend, 1);
    loss.told = many.told && one.told && loss.speedup.known && threads > 1;
    loss.whole = 1 - loss.speedup.estimate / threads;
    for (size_t c = 0; loss.told && c < CAUSES; c++) {
        loss.parts[c] = many.shares[c] - one.shares[c] * loss.speedup.estimate / threads;
        if (c != CAUSE_OWN) loss.explained += loss.parts[c];
    }
    return loss;
}

bool explains(const struct loss *loss, enum cause cause) {
    return loss->told && cause != CAUSE_OWN && loss->parts[cause] >= LEAST_SHARE &&
           loss->parts[cause] >= LEAST_OF_LOSS * loss->whole;
}

// ---- the price ------------------------------------------------------------------------------

static double square(double x) { return x * x; }

struct price price_of(const struct analysis *analysis, const char *const *workloads, size_t count,
                      const char *backend) {
    double counts = 0, collector = 0, whole = 0, used = 0, variance = 0;
    for (size_t w = 0; w < count; w++) {
        const struct cell *base = analysis_cell(analysis, workloads[w], analysis->baseline, 1);
        struct interval all =
            cells_ratio(analysis, base, analysis_cell(analysis, workloads[w], backend, 1));
        struct interval counted =
            cells_ratio(analysis, base, ablation_cell(analysis, workloads[w], backend));
        struct interval own = gain_without(analysis, workloads[w], backend, "collector", 1);
        struct interval its =
            gain_without(analysis, workloads[w], analysis->baseline, "collector", 1);
        if (!all.known || !counted.known || !own.known || !its.known) continue;
        variance += fmax(fmax(square(all.error), square(counted.error)),
                         square(own.error) + square(its.error));
        whole += log(all.estimate);
        counts += log(counted.estimate);
        collector += log(own.estimate / its.estimate);
        used++;
    }
    if (!(sqrt(variance) / used < MOST_PRICE_ERROR)) used = NAN;
    return (struct price){exp(counts / used), exp(collector / used),
                          exp((whole - counts - collector) / used)};
}
