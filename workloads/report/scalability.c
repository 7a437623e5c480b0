// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Fits the universal scalability law; see scalability.h.
#include "scalability.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// 1 / lambda, sigma / lambda, kappa / lambda.
enum { TERMS = 3 };

static void terms_of(double threads, double terms[TERMS]) {
    terms[0] = 1;
    terms[1] = threads - 1;
    terms[2] = threads * (threads - 1);
}

static void swap_rows(double system[TERMS][TERMS + 1], size_t a, size_t b) {
    double held[TERMS + 1];
    memcpy(held, system[a], sizeof held);
    memcpy(system[a], system[b], sizeof held);
    memcpy(system[b], held, sizeof held);
}

// Gauss-Jordan with row pivots.  False: singular.
static bool solve(double system[TERMS][TERMS + 1], size_t size, double *solution) {
    for (size_t column = 0; column < size; column++) {
        size_t pivot = column;
        for (size_t row = column + 1; row < size; row++)
            if (fabs(system[row][column]) > fabs(system[pivot][column])) pivot = row;
        if (!(fabs(system[pivot][column]) > 0)) return false;
        swap_rows(system, pivot, column);
        for (size_t row = 0; row < size; row++) {
            double factor = row == column ? 0 : system[row][column] / system[column][column];
            for (size_t k = column; k <= size; k++) system[row][k] -= factor * system[column][k];
        }
    }
    for (size_t i = 0; i < size; i++) solution[i] = system[i][size] / system[i][i];
    return true;
}

static double relative_error(double threads, double rate, const double coefficients[TERMS]) {
    double terms[TERMS], sum = 0;
    terms_of(threads, terms);
    for (size_t k = 0; k < TERMS; k++) sum += coefficients[k] * terms[k];
    return 1 - rate / threads * sum;
}

// The least squares with the coefficients that are not in `used` at 0.  Infinite
// where there is no solution, or one that breaks a bound.
static double squares(const double *threads, const double *rates, size_t count,
                      const bool used[TERMS], double coefficients[TERMS]) {
    double system[TERMS][TERMS + 1] = {0}, solution[TERMS], sum = 0;
    size_t index[TERMS], size = 0;
    for (size_t k = 0; k < TERMS; k++)
        if (used[k]) index[size++] = k;
    for (size_t i = 0; i < count; i++) {
        double terms[TERMS], weight = rates[i] / threads[i];
        terms_of(threads[i], terms);
        for (size_t row = 0; row < size; row++) {
            for (size_t k = 0; k < size; k++)
                system[row][k] += weight * weight * terms[index[row]] * terms[index[k]];
            system[row][size] += weight * terms[index[row]];
        }
    }
    if (!solve(system, size, solution)) return INFINITY;
    for (size_t k = 0; k < TERMS; k++) coefficients[k] = 0;
    for (size_t k = 0; k < size; k++) coefficients[index[k]] = solution[k];
    if (!(coefficients[0] > 0) || coefficients[1] < 0 || coefficients[2] < 0) return INFINITY;
    for (size_t i = 0; i < count; i++) {
        double error = relative_error(threads[i], rates[i], coefficients);
        sum += error * error;
    }
    return sum;
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

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

static struct scalability_interval percentiles(double *values, size_t count) {
    qsort(values, count, sizeof *values, compare_doubles);
    size_t cut = (size_t)(0.025 * (double)count);
    return (struct scalability_interval){values[cut], values[count - 1 - cut]};
}

bool scalability_intervals(const double *threads, const double *const *replicates, size_t count,
                           size_t resamples, struct scalability_interval *sigma,
                           struct scalability_interval *kappa) {
    double *rates = checked_calloc(count, sizeof *rates);
    double *sigmas = checked_calloc(resamples, sizeof *sigmas),
           *kappas = checked_calloc(resamples, sizeof *kappas);
    bool good = resamples > 0;
    for (size_t r = 0; r < resamples && good; r++) {
        struct scalability fit;
        for (size_t i = 0; i < count; i++) rates[i] = replicates[i][r];
        good = scalability_fit(threads, rates, count, &fit);
        sigmas[r] = good ? fit.sigma : 0;
        kappas[r] = good ? fit.kappa : 0;
    }
    if (good) {
        *sigma = percentiles(sigmas, resamples);
        *kappa = percentiles(kappas, resamples);
    }
    free(kappas);
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
