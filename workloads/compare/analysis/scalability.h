// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The universal scalability law of N. J. Gunther ("Guerrilla Capacity Planning",
// 2007): throughput of N threads
//
//     X(N) = lambda N / (1 + sigma (N - 1) + kappa N (N - 1))
//
// lambda is what one thread does a second.  sigma is the share of the work that
// is done one thread at a time (contention); kappa is what each pair of threads
// costs (coherence), and bends the curve down.
//
// N / X(N) is linear in 1 / lambda, sigma / lambda and kappa / lambda, so the
// least squares of the relative errors 1 - X / X(N) have a closed form; throughput
// scatters in proportion to itself, so relative errors weigh all N alike.  The
// coefficients are bounded below by 0: of the four problems with each of them
// free or 0, the best solution that keeps the bounds is the answer, since the
// sum of squares is convex.
#ifndef TALLY_COMPARE_SCALABILITY_H
#define TALLY_COMPARE_SCALABILITY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Three coefficients go through any three points; a fourth can contradict.
enum { SCALABILITY_POINTS = 4 };

struct scalability {
    double lambda, sigma, kappa;
    double worst; // the largest relative error of a point
};

// Fits `count` points of distinct thread counts and positive rates.  False: there
// are fewer than SCALABILITY_POINTS, or they are not such.
bool scalability_fit(const double *threads, const double *rates, size_t count,
                     struct scalability *fit);

// The 95 % intervals of sigma and kappa, from fits to rounds that are drawn again, the same
// ones for all thread counts: logs[point * rounds + round] of a rate, NAN where there is
// none.  Such an interval is too narrow for few rounds, so its ends are moved away from the
// estimate (T. Hesterberg, "What Teachers Should Know about the Bootstrap", 2015); not below
// 0.  False: a resample could not be fitted.
struct span {
    double low, high;
};
bool scalability_intervals(const struct scalability *fit, const double *threads, const double *logs,
                           size_t count, size_t rounds, uint64_t seed, struct span *sigma,
                           struct span *kappa);

double scalability_rate(const struct scalability *fit, double threads);

// The number of threads with the highest throughput; infinite where more threads
// always give more.
double scalability_peak(const struct scalability *fit);

#endif
