// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates with bootstrap intervals.
//
// A block is one run of one process; its samples share that process' luck
// (address layout, page placement), so a block counts as one observation: its
// median.  The estimate is the median over blocks.  A resample draws blocks
// with replacement, then samples within each drawn block, so both sources of
// noise are in the interval.
//
// A percentile interval from few blocks is too narrow.  Its ends are moved
// away from the estimate (on a log scale) by t(f) / 1.96 * sqrt(n / (n-1)), with
// n blocks and f degrees of freedom (n-1 for each series that takes part), after T. Hesterberg, "What Teachers Should Know about the Bootstrap", 2015.
// Comparing a backend with itself must find nothing; without this it would.
#ifndef TALLY_REPORT_STATISTICS_H
#define TALLY_REPORT_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { RESAMPLES = 2000 };

struct interval {
    double estimate, low, high;
    bool known; // false: too few blocks, or zero rates, for an interval
};

struct block_rates {
    double *rates; // operations a second, one a sample
    size_t count;
};

struct series {
    struct block_rates *blocks;
    size_t count;
};

// Reorders the values.  0 when there are none.
double median(double *values, size_t count);
double series_estimate(const struct series *series);

// Fills replicates[RESAMPLES]; equal seeds give equal replicates.
void series_bootstrap(const struct series *series, uint64_t seed, double *replicates);

// The 95 % interval around an estimate whose replicates came from series of at
// least `blocks` blocks, with `freedom` degrees of freedom in all.
struct interval interval_of(double estimate, const double *replicates, size_t blocks, size_t freedom);

// True when the difference from 1 is outside the noise and at least 1 %.
bool interval_differs(struct interval ratio);

#endif
