// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates, intervals and verdicts.
//
// The unit is the block: one run of one process.  Its samples share that
// process' luck (address layout, page placement), so a block counts as one
// observation: the median of its samples.  An estimate is the geometric mean
// over blocks; no block is left out of it, however far off.
//
// Two series are compared by Welch's t test on the logarithms of their blocks'
// medians, which keeps its level from three blocks up, also with heavy tails,
// skew and outliers (tests/compare/statistics.c); tests on ranks cannot reach a
// corrected level with so few.  That two are the same is tested by two one-sided
// tests against the margin (D. J. Schuirmann, "A Comparison of the Two
// One-Sided Tests Procedure and the Power Approach", 1987).  Both tests are
// corrected for the number of comparisons by the false discovery rate
// (Y. Benjamini, Y. Hochberg, "Controlling the False Discovery Rate", 1995).
//
// What is made of more than two series has a bootstrap interval over blocks.
// Such an interval is too narrow for few of them.  Its ends are moved away from
// the estimate (on a log scale) by t(f) / 1.96 * sqrt(n / (n-1)), with n blocks
// and f degrees of freedom (n-1 for each series that takes part), after T.
// Hesterberg, "What Teachers Should Know about the Bootstrap", 2015.
#ifndef TALLY_REPORT_STATISTICS_H
#define TALLY_REPORT_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESAMPLES = 2000 };

#define DEFAULT_MARGIN 0.02

enum finding { FINDING_NONE, FINDING_DIFFERENT, FINDING_SAME, FINDING_OPEN };

struct interval {
    double estimate, low, high; // 95 %
    bool known;                 // false: too few blocks, or zero rates, for an interval
    double p_differs, p_same;   // of a comparison of two series, not corrected; else 1
    enum finding finding;       // the verdict on a comparison; NONE: it was not judged
};

struct block_rates {
    double *rates; // operations a second, one a sample
    size_t count;
};

struct series {
    struct block_rates *blocks;
    size_t count;
};

// Of the logarithms of the blocks' medians.
struct moments {
    double mean, variance;
    size_t count;
    bool good; // false: fewer than two blocks, or rates of zero
};

// What all comparisons of a report are judged by.
struct judgement {
    double level, margin;             // 0.05; 0.02: the same within 2 %
    double differs_below, same_below; // the largest p that counts, after correction
    size_t comparisons, different, same, open;
};

// Reorders the values.  0 when there are none.
double median(double *values, size_t count);

struct moments series_moments(const struct series *series);
double series_estimate(const struct series *series);

// Fills replicates[RESAMPLES]; equal seeds give equal replicates.
void series_bootstrap(const struct series *series, uint64_t seed, double *replicates);

// The 95 % interval around an estimate whose replicates came from series of at
// least `blocks` blocks, with `freedom` degrees of freedom in all.
struct interval interval_of(double estimate, const double *replicates, size_t blocks,
                            size_t freedom);

// One over the other, with its p values against `margin`; not judged.
struct interval compare_means(struct moments over, struct moments under, double margin);

// Finds the corrected thresholds for `count` comparisons and counts verdicts.
struct judgement judge(const struct interval *comparisons, size_t count, double level,
                       double margin);
enum finding finding_of(const struct interval *comparison, const struct judgement *judgement);

// About how many blocks each of two series would need, in all, for a verdict in
// four of five runs, if they go on as they were; 0: cannot be told.
size_t blocks_for_verdict(struct moments over, struct moments under,
                          const struct judgement *judgement);

// How many of the first samples belong to the warm-up.  The first of those left
// is dropped while it lies further from all after it than these are apart, and
// more than 2 % from their median; at least three, and half of all, are kept.
size_t warmup_length(const double *rates, size_t count);

// True when the verdict is "different", or, where there is none, when the
// interval excludes 1 and the difference is at least 1 %.
bool interval_differs(struct interval ratio);

#endif
