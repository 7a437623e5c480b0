// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fits the universal scalability law; see scalability.h.
#include "scalability.h"

#include "random.h"
#include "text.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_multifit.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// 1 / lambda, sigma / lambda, kappa / lambda.
enum { TERMS = 3 };

static double term_of(double threads, size_t term) {
    return term == 0 ? 1 : term == 1 ? threads - 1 : threads * (threads - 1);
}

// The least squares with the coefficients that are not in `used` at 0.  Infinite
// where there is no solution, or one that breaks a bound.
static double squares(const double *threads, const double *rates, size_t count,
                      const bool used[TERMS], double coefficients[TERMS]) {
    size_t index[TERMS], size = 0;
    double sum = INFINITY;
    for (size_t k = 0; k < TERMS; k++) {
        coefficients[k] = 0;
        if (used[k]) index[size++] = k;
    }
    gsl_multifit_linear_workspace *work = gsl_multifit_linear_alloc(count, size);
    gsl_matrix *terms = gsl_matrix_alloc(count, size), *covariance = gsl_matrix_alloc(size, size);
    gsl_vector *ones = gsl_vector_alloc(count), *solution = gsl_vector_alloc(size);
    // rate / threads * (sum of coefficients times terms) is to be 1.
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < size; k++)
            gsl_matrix_set(terms, i, k, rates[i] / threads[i] * term_of(threads[i], index[k]));
    gsl_vector_set_all(ones, 1);
    if (gsl_multifit_linear(terms, ones, solution, covariance, &sum, work) != 0) sum = INFINITY;
    for (size_t k = 0; k < size; k++) coefficients[index[k]] = gsl_vector_get(solution, k);
    gsl_vector_free(solution);
    gsl_vector_free(ones);
    gsl_matrix_free(covariance);
    gsl_matrix_free(terms);
    gsl_multifit_linear_free(work);
    bool bound = coefficients[0] > 0 && coefficients[1] >= 0 && coefficients[2] >= 0;
    return bound ? sum : INFINITY;
}

static bool points_are_good(const double *threads, const double *rates, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (!(threads[i] >= 1) || !(rates[i] > 0) || !isfinite(rates[i])) return false;
        for (size_t k = 0; k < i; k++)
            if (threads[k] == threads[i]) return false;
    }
    return count >= SCALABILITY_POINTS;
}

bool scalability_fit(const double *threads, const double *rates, size_t count,
                     struct scalability *fit) {
    static const bool choices[][TERMS] = {
        {true, false, false}, {true, true, false}, {true, false, true}, {true, true, true}};
    double best[TERMS] = {0}, least = INFINITY;
    if (!points_are_good(threads, rates, count)) return false;
    double scale = rates[0]; // rates near 1 keep the system well conditioned
    double *scaled = checked_calloc(count, sizeof *scaled);
    for (size_t i = 0; i < count; i++) scaled[i] = rates[i] / scale;
    for (size_t c = 0; c < sizeof choices / sizeof *choices; c++) {
        double coefficients[TERMS], sum = squares(threads, scaled, count, choices[c], coefficients);
        if (sum < least) {
            least = sum;
            memcpy(best, coefficients, sizeof best);
        }
    }
    *fit = (struct scalability){0};
    if (isfinite(least)) {
        *fit = (struct scalability){scale / best[0], best[1] / best[0], best[2] / best[0], 0};
        for (size_t i = 0; i < count; i++)
            fit->worst = fmax(fit->worst, fabs(rates[i] / scalability_rate(fit, threads[i]) - 1));
    }
    free(scaled);
    return isfinite(least);
}

enum { RESAMPLES = 2000 };

static struct span span_of(double estimate, double *replicates, size_t rounds) {
    double n = (double)rounds, low, high, factor = 1;
    if (rounds > 1)
        factor =
            gsl_cdf_tdist_Pinv(0.975, n - 1) / gsl_cdf_ugaussian_Pinv(0.975) * sqrt(n / (n - 1));
    gsl_sort(replicates, 1, RESAMPLES);
    low = gsl_stats_quantile_from_sorted_data(replicates, 1, RESAMPLES, 0.025);
    high = gsl_stats_quantile_from_sorted_data(replicates, 1, RESAMPLES, 0.975);
    return (struct span){fmax(0, estimate - factor * fmax(estimate - low, 0)),
                         estimate + factor * fmax(high - estimate, 0)};
}

// The geometric mean over the rounds drawn; of all where none of those has a rate.
static double mean_rate(const double *logs, const size_t *drawn, size_t rounds) {
    double sums[2] = {0, 0}, counts[2] = {0, 0};
    for (size_t r = 0; r < rounds; r++) {
        double values[2] = {logs[drawn[r]], logs[r]};
        for (int i = 0; i < 2; i++) {
            sums[i] += isnan(values[i]) ? 0 : values[i];
            counts[i] += !isnan(values[i]);
        }
    }
    return counts[0] > 0 ? exp(sums[0] / counts[0]) : exp(sums[1] / counts[1]);
}

bool scalability_intervals(const struct scalability *fit, const double *threads, const double *logs,
                           size_t count, size_t rounds, uint64_t seed, struct span *sigma,
                           struct span *kappa) {
    double *rates = checked_calloc(count, sizeof *rates);
    double *sigmas = checked_calloc(2 * RESAMPLES, sizeof *sigmas), *kappas = sigmas + RESAMPLES;
    size_t *drawn = checked_calloc(rounds, sizeof *drawn);
    bool good = rounds > 0;
    for (size_t i = 0; i < RESAMPLES && good; i++) {
        struct scalability again;
        for (size_t r = 0; r < rounds; r++) drawn[r] = random_below(&seed, rounds);
        for (size_t k = 0; k < count; k++) rates[k] = mean_rate(logs + k * rounds, drawn, rounds);
        good = scalability_fit(threads, rates, count, &again);
        sigmas[i] = good ? again.sigma : 0;
        kappas[i] = good ? again.kappa : 0;
    }
    if (good) {
        *sigma = span_of(fit->sigma, sigmas, rounds);
        *kappa = span_of(fit->kappa, kappas, rounds);
    }
    free(drawn);
    free(sigmas);
    free(rates);
    return good;
}

double scalability_rate(const struct scalability *fit, double threads) {
    return fit->lambda * threads /
           (1 + fit->sigma * (threads - 1) + fit->kappa * threads * (threads - 1));
}

double scalability_peak(const struct scalability *fit) {
    if (fit->sigma >= 1) return 1;
    return fit->kappa > 0 ? fmax(1, sqrt((1 - fit->sigma) / fit->kappa)) : INFINITY;
}
