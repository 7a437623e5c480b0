// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates, intervals and verdicts.
//
// The unit is the run: one process.  Its samples share that process' luck (address
// layout, page placement), so a run counts as one observation, the median of its
// samples, taken as a logarithm.  Nothing is left out, however far off.
//
// Rounds are pairs.  The runs of a round follow one another within a second, and what
// the machine does to one it does to all, so they are compared within the round:
//
//     log rate = backend + round + error
//
// over all backends of one workload and number of threads, by least squares.  The
// residuals of all of them give one variance.  With two backends this is the paired t
// test.  A mean over workloads is taken within each round, and its interval is that of
// a t test over rounds.  G. Box, J. Hunter, W. Hunter, "Statistics for Experimenters",
// chapter 4 (randomised block designs).
//
// That two are the same is tested by two one-sided tests against the margin (D. J.
// Schuirmann, 1987).  Both tests are corrected for the number of comparisons by the
// false discovery rate (Y. Benjamini, Y. Hochberg, 1995).
//
// No formula serves the scalability law: it is fitted to resampled rounds.
#ifndef TALLY_COMPARE_STATISTICS_H
#define TALLY_COMPARE_STATISTICS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DEFAULT_MARGIN 0.02
#define LEVEL          0.05

// OPEN: neither was shown.  NONE: it was not asked.
enum finding { FINDING_NONE, FINDING_DIFFERENT, FINDING_SAME, FINDING_OPEN };

// "different", "same", "not enough data", "".
const char *finding_name(enum finding finding);

// A rate, or a ratio of rates.
struct interval {
    double estimate, low, high; // 95 %; estimate 0: there is none
    bool known;                 // false: too few rounds, or zero rates, for an interval
    double error, freedom;      // the standard error of the logarithm, and its degrees of freedom
    size_t rounds;              // that it rests on
    double p_differs, p_same;   // of a ratio, not corrected; else 1
    double p_slower;            // that it is not below 1 by more than the margin
    enum finding finding;
};

// What the comparisons of a family are judged by.
struct judgement {
    double level, margin;                           // 0.05; 0.02: the same within 2 %
    double differs_below, same_below, slower_below; // the largest p that counts
    size_t comparisons, different, same, open;
};

// Reorders the values.  0 when there are none.
double median(double *values, size_t count);

// The model above.  logs[group * rounds + round]; NAN: there is no such run.
struct fit {
    size_t groups, rounds;
    double *effects, *inverse; // of the normal equations
    double variance, freedom;
};
struct fit fit_rounds(const double *logs, size_t groups, size_t rounds);
void fit_free(struct fit *fit);

// One group over another.
struct interval fit_ratio(const struct fit *fit, size_t over, size_t under, double margin);
// Two series of equal rounds, by the same model.
struct interval pair_ratio(const double *over, const double *under, size_t rounds, double margin);
// The mean over rounds, with its t interval; NANs are left out.
struct interval mean_over_rounds(const double *logs, size_t rounds, double margin);
// A ratio by its logarithm and standard error.
struct interval ratio_of(double log_ratio, double error, double freedom, size_t rounds,
                         double margin);

// Finds the corrected thresholds for `count` comparisons and counts the verdicts.
struct judgement judge(const struct interval *comparisons, size_t count, double level,
                       double margin);
// The questions in their order, here and everywhere: is the difference shown to lie within
// the margin, which is to say that nobody cares?  If not, is there a difference?
enum finding finding_of(const struct interval *comparison, const struct judgement *judgement);
// Whether it is shown to be below 1 by more than the margin, at a fifth of the level: an
// alarm ends a build.
bool is_slower(const struct interval *comparison, const struct judgement *judgement);

// The difference, 0.03 for 3 %, that `more` rounds beside those there are would find in
// four of five runs, if the noise stays as it is.
double difference_resolved(const struct interval *comparison, size_t more,
                           const struct judgement *judgement);

// Whether a sample of this size carries a quantile: 0.99 takes a hundred.
bool carries_quantile(double count, double share);
// Of ascending values.
double quantile(const double *sorted, size_t count, double share);

// How many of the first samples belong to the warm-up.  The first of those left
// is dropped while it lies further from all after it than these are apart, and
// more than 2 % from their median; at least three, and half of all, are kept.
size_t warmup_length(const double *rates, size_t count);

// The variances of many rows, each of `freedom` degrees of freedom, moved towards what
// they have in common (G. Smyth, "Linear Models and Empirical Bayes Methods", 2004).
// Returns the degrees of freedom to use with them, no more than all rows have together.
double moderate_variances(double *variances, size_t count, double freedom);

#endif
