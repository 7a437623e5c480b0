/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * scalability.c: the fit of the universal scalability law finds known
 * coefficients again, keeps its bounds, covers them with its intervals, and
 * refuses what it cannot fit.
 */
#include "scalability.h"
#include "check.h"

#include <math.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

static const double threads[] = {1, 2, 4, 8, 16, 32, 48, 64};
enum { POINTS = sizeof threads / sizeof *threads };

static void make_rates(double lambda, double sigma, double kappa, double *rates) {
    const struct scalability law = {lambda, sigma, kappa, 0};
    for (size_t i = 0; i < POINTS; i++) rates[i] = scalability_rate(&law, threads[i]);
}

static double random_share(uint64_t *state) {
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (double)(*state >> 11) / 9007199254740992.0;
}

/* Of twelve, about normal with deviation 1. */
static double random_normal(uint64_t *state) {
    double sum = -6;
    for (int i = 0; i < 12; i++) sum += random_share(state);
    return sum;
}

static void exact_data_give_their_coefficients(void) {
    static const double laws[][3] = {{1e6, 0, 0},       {3e8, 0.05, 0},      {1, 0, 0.001},
                                     {5e7, 0.1, 0.002}, {2e5, 0.9, 0.00001}, {7e6, 0.3, 0.05}};
    for (size_t i = 0; i < sizeof laws / sizeof *laws; i++)
        for (size_t points = SCALABILITY_POINTS; points <= POINTS; points++) {
            double rates[POINTS];
            struct scalability fit;
            make_rates(laws[i][0], laws[i][1], laws[i][2], rates);
            bool good = scalability_fit(threads, rates, points, &fit);
            check_that(good, "law %zu", i);
            check_that(fabs(fit.lambda / laws[i][0] - 1) < 1e-6, "lambda %g", fit.lambda);
            check_that(fabs(fit.sigma - laws[i][1]) < 1e-6, "sigma %g", fit.sigma);
            check_that(fabs(fit.kappa - laws[i][2]) < 1e-6, "kappa %g", fit.kappa);
            check_that(fit.worst < 1e-6, "worst %g", fit.worst);
        }
}

/* More than linear gains would need a negative coefficient. */
static void coefficients_are_never_negative(void) {
    double rates[POINTS];
    struct scalability fit;
    for (size_t i = 0; i < POINTS; i++) rates[i] = pow(threads[i], 1.2);
    check_that(scalability_fit(threads, rates, POINTS, &fit), "no fit");
    check_that(fit.sigma == 0 && fit.kappa == 0, "sigma %g, kappa %g", fit.sigma, fit.kappa);
    uint64_t state = 1;
    for (unsigned trial = 0; trial < 1000; trial++) {
        for (size_t i = 0; i < POINTS; i++) rates[i] = 1 + 100 * random_share(&state);
        check_that(scalability_fit(threads, rates, POINTS, &fit), "trial %u", trial);
        check_that(fit.lambda > 0 && fit.sigma >= 0 && fit.kappa >= 0, "sigma %g, kappa %g",
                   fit.sigma, fit.kappa);
    }
}

/* No neighbour of the answer has a smaller sum. */
static double sum_of_squares(const struct scalability *law, const double *rates) {
    double sum = 0;
    for (size_t i = 0; i < POINTS; i++)
        sum += pow(1 - rates[i] / scalability_rate(law, threads[i]), 2);
    return sum;
}

static void the_answer_is_the_least(void) {
    uint64_t state = 2;
    for (unsigned trial = 0; trial < 200; trial++) {
        double rates[POINTS];
        struct scalability fit;
        make_rates(1e6, 0.2 * random_share(&state), 0.01 * random_share(&state), rates);
        for (size_t i = 0; i < POINTS; i++) rates[i] *= 1 + 0.05 * random_normal(&state);
        check_that(scalability_fit(threads, rates, POINTS, &fit), "trial %u", trial);
        double least = sum_of_squares(&fit, rates);
        for (int direction = 0; direction < 6; direction++) {
            struct scalability near = fit;
            double step = direction % 2 ? 1e-3 : -1e-3;
            if (direction / 2 == 0)
                near.lambda *= 1 + step;
            else if (direction / 2 == 1)
                near.sigma = fmax(0, near.sigma + step);
            else
                near.kappa = fmax(0, near.kappa + step / 10);
            check_that(sum_of_squares(&near, rates) >= least - 1e-12, "trial %u, direction %d",
                       trial, direction);
        }
    }
}

/* Runs of six rounds with noise of 5 %, and a round effect on all of them. */
static void intervals_hold_the_truth(void) {
    enum { TRIALS = 100, ROUNDS = 6 };
    uint64_t state = 3;
    unsigned held = 0;
    for (unsigned trial = 0; trial < TRIALS; trial++) {
        double rates[POINTS], logs[POINTS * ROUNDS];
        struct scalability fit;
        struct span sigma = {0, 0}, kappa = {0, 0};
        make_rates(1e6, 0.08, 0.0005, rates);
        for (size_t r = 0; r < ROUNDS; r++) {
            double round = 0.25 * random_normal(&state);
            for (size_t i = 0; i < POINTS; i++)
                logs[i * ROUNDS + r] = log(rates[i]) + round + 0.05 * random_normal(&state);
        }
        for (size_t i = 0; i < POINTS; i++) {
            double sum = 0;
            for (size_t r = 0; r < ROUNDS; r++) sum += logs[i * ROUNDS + r] / ROUNDS;
            rates[i] = exp(sum);
        }
        check_that(scalability_fit(threads, rates, POINTS, &fit), "trial %u", trial);
        check_that(
            scalability_intervals(&fit, threads, logs, POINTS, ROUNDS, trial, &sigma, &kappa),
            "trial %u", trial);
        check_that(sigma.low <= sigma.high && kappa.low <= kappa.high && sigma.low >= 0 &&
                       kappa.low >= 0,
                   "trial %u", trial);
        held +=
            sigma.low <= 0.08 && 0.08 <= sigma.high && kappa.low <= 0.0005 && 0.0005 <= kappa.high;
    }
    check_that(held >= 85, "%u of %d", held, TRIALS);
}

static void peaks(void) {
    check_that(fabs(scalability_peak(&(struct scalability){1, 0.1, 0.001, 0}) - 30) < 1e-9,
               "sqrt(0.9 / 0.001) is 30");
    check_that(isinf(scalability_peak(&(struct scalability){1, 0.1, 0, 0})),
               "no coherence, no peak");
    check_that(scalability_peak(&(struct scalability){1, 0, 4, 0}) == 1, "never under one thread");
    check_that(scalability_peak(&(struct scalability){1, 1.5, 0, 0}) == 1,
               "all is done one at a time");
}

static void bad_points_are_refused(void) {
    double rates[POINTS];
    struct scalability fit;
    make_rates(1, 0.1, 0.001, rates);
    check_that(!scalability_fit(threads, rates, SCALABILITY_POINTS - 1, &fit), "too few");
    const double twice[] = {1, 2, 2, 4, 8};
    check_that(!scalability_fit(twice, rates, 5, &fit), "one count twice");
    rates[2] = 0;
    check_that(!scalability_fit(threads, rates, POINTS, &fit), "a rate of 0");
    rates[2] = NAN;
    check_that(!scalability_fit(threads, rates, POINTS, &fit), "no rate");
}

int main(void) {
    exact_data_give_their_coefficients();
    coefficients_are_never_negative();
    the_answer_is_the_least();
    intervals_hold_the_truth();
    peaks();
    bad_points_are_refused();
    return check_failures() > 0;
}
