/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What reports claim of their numbers, checked on numbers whose truth is known:
 * intervals cover it 95 times in a hundred or more, equal things are not called
 * different, different ones are not called the same. Seeds are fixed.
 */
#include <math.h>
#include <stdio.h>

#include "check.h"
#include "random.h"
#include "statistics.h"

enum { MOST_ROUNDS = 12, TRIALS = 2000 };

static uint64_t state;
static double uniform(void) {
    return ((double)(random_next(&state) >> 11) + 1) / 9007199254740994.0;
}

static double gauss(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

/* Noise of one process, on a log scale. */
static double steady(void) { return 0.02 * gauss(); }
static double student3(void) {
    double a = gauss(), b = gauss(), c = gauss();
    return 0.02 * gauss() / sqrt((a * a + b * b + c * c) / 3);
}
static double disturbed(void) { return 0.01 * gauss() - (uniform() < 0.1 ? 0.3 : 0); }
static double skewed(void) { return -0.03 * exp(gauss()); }
static double two_layouts(void) { return 0.01 * gauss() - (uniform() < 0.3 ? 0.06 : 0); }

static double (*const noises[])(void) = {steady, student3, disturbed, skewed, two_layouts};

/* Two series of rounds, one over the other; what a round does, it does to both. */
static struct interval compare(double (*noise)(void), size_t rounds, double shift, double spread) {
    double over[MOST_ROUNDS], under[MOST_ROUNDS];
    for (size_t r = 0; r < rounds; r++) {
        double round = 10 + spread * gauss();
        over[r] = round + shift + noise();
        under[r] = round + noise();
    }
    return pair_ratio(over, under, rounds, 0.02);
}

/* The same of two among several backends, by the model of all of them. */
static struct interval compare_among(size_t backends, double (*noise)(void), size_t rounds,
                                     double shift, double spread) {
    double logs[6 * MOST_ROUNDS];
    for (size_t r = 0; r < rounds; r++) {
        double round = 10 + spread * gauss();
        for (size_t b = 0; b < backends; b++)
            logs[b * rounds + r] = round + (b == 0 ? shift : 0) + noise();
    }
    struct fit fit = fit_rounds(logs, backends, rounds);
    struct interval ratio = fit_ratio(&fit, 0, 1, 0.02);
    fit_free(&fit);
    return ratio;
}

static bool covers(struct interval ratio, double truth) {
    return ratio.low <= exp(truth) && exp(truth) <= ratio.high;
}

/* In how many of a hundred trials the interval misses the truth. */
static double misses(double (*noise)(void), size_t rounds, double truth, double spread) {
    int missed = 0;
    for (int i = 0; i < TRIALS; i++)
        missed += !covers(compare(noise, rounds, truth, spread), truth);
    return 100.0 * missed / TRIALS;
}

static void intervals_cover_the_truth_with_few_rounds(void) {
    state = 1;
    for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
        for (size_t rounds = 3; rounds <= 12; rounds += rounds < 6 ? 1 : 3) {
            /* 5 and three standard errors of such a share of 2000. */
            check_that(misses(noises[n], rounds, 0.1, 0) < 6.5, "noise %zu, %zu rounds", n, rounds);
            check_that(misses(noises[n], rounds, 0, 0.25) < 6.5,
                       "noise %zu, %zu rounds, round effect", n, rounds);
        }
}

/* What a round does to all has a standard deviation of 0.25; the interval is as wide as the
 * noise beside it, and covers the truth 93 to 97 times in a hundred. */
static void a_round_effect_neither_widens_nor_spoils_intervals(void) {
    static const size_t backends[] = {2, 3, 6}, rounds[] = {4, 6, 12};
    state = 11;
    for (size_t b = 0; b < 3; b++)
        for (size_t n = 0; n < 3; n++) {
            int covered = 0;
            double width = 0, width_without = 0;
            for (int i = 0; i < 2 * TRIALS; i++) {
                struct interval one = compare_among(backends[b], steady, rounds[n], 0.1, 0.25);
                struct interval calm = compare_among(backends[b], steady, rounds[n], 0.1, 0);
                covered += covers(one, 0.1);
                width += log(one.high / one.low);
                width_without += log(calm.high / calm.low);
            }
            double share = 100.0 * covered / (2 * TRIALS);
            check_that(share > 93 && share < 97, "%zu backends, %zu rounds: %.1f %%", backends[b],
                       rounds[n], share);
            check_that(fabs(width / width_without - 1) < 0.05, "%zu backends, %zu rounds: %.2f",
                       backends[b], rounds[n], width / width_without);
        }
}

/* docs/reading-a-report.md: a difference of 5 % is found nine times in ten by six rounds of
 * three backends, if a run varies by 2 % beside what its round does. */
static void the_power_is_what_the_docs_state(void) {
    int found = 0;
    state = 12;
    for (int i = 0; i < TRIALS; i++)
        found += compare_among(3, steady, 6, log(1.05), 0.25).p_differs < 0.05;
    check_that(found > 0.9 * TRIALS, "%d of %d", found, TRIALS);
}

/* A run that failed leaves the others of its round to be compared. */
static void missing_runs_leave_the_truth_covered(void) {
    enum { ROUNDS = 6 };
    int covered = 0;
    state = 13;
    for (int i = 0; i < TRIALS; i++) {
        double logs[3 * ROUNDS];
        for (size_t r = 0; r < ROUNDS; r++) {
            double round = 0.25 * gauss();
            for (size_t b = 0; b < 3; b++)
                logs[b * ROUNDS + r] = uniform() < 0.2 ? NAN : round + 0.1 * (double)b + steady();
        }
        struct fit fit = fit_rounds(logs, 3, ROUNDS);
        struct interval ratio = fit_ratio(&fit, 2, 0, 0.02);
        covered += !ratio.known || covers(ratio, 0.2);
        fit_free(&fit);
    }
    check_that(covered > 0.93 * TRIALS && covered < 0.97 * TRIALS, "%d of %d", covered, TRIALS);
}

/* The mean over workloads, taken within each round. */
static void a_mean_over_rounds_covers_the_truth(void) {
    enum { ROUNDS = 6, WORKLOADS = 5 };
    int covered = 0;
    state = 14;
    for (int i = 0; i < TRIALS; i++) {
        double means[ROUNDS];
        for (size_t r = 0; r < ROUNDS; r++) {
            /* What a round does to a backend, it does to all its workloads. */
            means[r] = 0.1 + 0.03 * gauss();
            for (size_t w = 0; w < WORKLOADS; w++) means[r] += (steady() - steady()) / WORKLOADS;
        }
        covered += covers(mean_over_rounds(means, ROUNDS, 0.02), 0.1);
    }
    check_that(covered > 0.93 * TRIALS && covered < 0.97 * TRIALS, "%d of %d", covered, TRIALS);
}

/* A family of comparisons of equals: how often any is called different. Four
 * processes of two kinds of layout can be all of one kind, and the other four all
 * of the other: there the rate for one comparison holds, that for the whole
 * report only from some more processes up. */
static void a_report_of_equals_seldom_has_a_difference(void) {
    enum { FAMILY = 60, REPORTS = 300 };
    state = 2;
    for (size_t n = 0; n < sizeof noises / sizeof *noises; n++) {
        size_t reports = 0, called = 0, rounds = noises[n] == two_layouts ? 10 : 4;
        for (int r = 0; r < REPORTS; r++) {
            struct interval family[FAMILY];
            for (size_t i = 0; i < FAMILY; i++) family[i] = compare(noises[n], rounds, 0, 0.25);
            struct judgement judgement = judge(family, FAMILY, 0.05, 0.02);
            reports += judgement.different > 0;
            called += judgement.different;
        }
        check_that(reports < REPORTS * 0.09, "noise %zu: %zu of %d reports", n, reports, REPORTS);
        check_that(called < REPORTS * FAMILY / 100, "noise %zu: %zu differences", n, called);
    }
}

static void each_comparison_of_equals_seldom_comes_out_different(void) {
    enum { FAMILY = 60, REPORTS = 100 };
    state = 8;
    for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
        for (size_t rounds = 3; rounds <= 6; rounds++) {
            size_t called = 0;
            for (int r = 0; r < REPORTS; r++) {
                struct interval family[FAMILY];
                for (size_t i = 0; i < FAMILY; i++) family[i] = compare(noises[n], rounds, 0, 0.25);
                called += judge(family, FAMILY, 0.05, 0.02).different;
            }
            check_that(called < REPORTS * FAMILY / 50, "noise %zu, %zu rounds: %zu differences", n,
                       rounds, called);
        }
}

/* Half of the comparisons have a difference of 30 %, half none. */
static void differences_are_found_and_few_found_are_false(void) {
    enum { FAMILY = 60, REPORTS = 300 };
    size_t found = 0, wrong = 0;
    state = 3;
    for (int r = 0; r < REPORTS; r++) {
        struct interval family[FAMILY];
        for (size_t i = 0; i < FAMILY; i++)
            family[i] = compare(steady, 4, i % 2 ? log(1.3) : 0, 0.25);
        struct judgement judgement = judge(family, FAMILY, 0.05, 0.02);
        for (size_t i = 0; i < FAMILY; i++) {
            bool different = finding_of(&family[i], &judgement) == FINDING_DIFFERENT;
            found += different && i % 2;
            wrong += different && i % 2 == 0;
        }
    }
    check_that(found > REPORTS * FAMILY / 2 * 0.98, "%zu found", found);
    check_that((double)wrong / (double)(found + wrong) < 0.05, "%zu false", wrong);
}

/* Exactly at the margin, "the same" is wrong, and said at most one time in twenty. */
static void what_differs_by_the_margin_is_seldom_called_the_same(void) {
    size_t same = 0;
    state = 4;
    for (int i = 0; i < TRIALS; i++) {
        struct interval one = compare(steady, 12, log1p(0.02), 0.25);
        struct judgement judgement = judge(&one, 1, 0.05, 0.02);
        same += finding_of(&one, &judgement) == FINDING_SAME;
    }
    check_that(same < TRIALS * 0.065, "%zu of %d", same, TRIALS);
}

static double quiet(void) { return 0.003 * gauss(); }

static void equals_on_a_quiet_machine_are_called_the_same(void) {
    size_t same = 0;
    state = 5;
    for (int i = 0; i < TRIALS; i++) {
        struct interval one = compare(quiet, 6, 0, 0.25);
        struct judgement judgement = judge(&one, 1, 0.05, 0.02);
        same += finding_of(&one, &judgement) == FINDING_SAME;
    }
    check_that(same > TRIALS * 0.98, "%zu of %d", same, TRIALS);
}

/* Slower by the margin is no alarm; slower by 10 % is. */
static void an_alarm_is_seldom_false_and_finds_what_is_slower(void) {
    enum { FAMILY = 40, REPORTS = 300 };
    size_t false_alarms = 0, found = 0;
    state = 9;
    for (int r = 0; r < REPORTS; r++) {
        struct interval equal[FAMILY], slower[FAMILY];
        bool alarm = false;
        for (size_t i = 0; i < FAMILY; i++) {
            equal[i] = compare_among(6, steady, 6, 0, 0.25);
            slower[i] = i ? compare_among(6, steady, 6, 0, 0.25)
                          : compare_among(6, steady, 6, log(0.9), 0.25);
        }
        struct judgement judgement = judge(equal, FAMILY, 0.05, 0.02);
        for (size_t i = 0; i < FAMILY; i++) alarm = alarm || is_slower(&equal[i], &judgement);
        false_alarms += alarm;
        judgement = judge(slower, FAMILY, 0.05, 0.02);
        found += is_slower(&slower[0], &judgement);
    }
    check_that(false_alarms < REPORTS / 100, "%zu of %d", false_alarms, REPORTS);
    check_that(found > REPORTS * 0.95, "%zu of %d", found, REPORTS);
}

/* The difference that more rounds are said to resolve, they find four times in five. */
static void more_rounds_resolve_what_was_said(void) {
    enum { NOW = 6, MORE = 6 };
    double sum = 0;
    size_t found = 0;
    state = 6;
    for (int i = 0; i < TRIALS; i++) {
        struct interval now = compare_among(3, steady, NOW, 0, 0.25);
        struct judgement judgement = {
            .level = 0.05, .margin = 0.02, .comparisons = 1, .differs_below = 0.05};
        sum += difference_resolved(&now, MORE, &judgement) / TRIALS;
    }
    for (int i = 0; i < TRIALS; i++)
        found += compare_among(3, steady, NOW + MORE, log1p(sum), 0.25).p_differs < 0.05;
    check_that(found > TRIALS * 0.75 && found < TRIALS * 0.85, "%zu of %d find %.4f", found, TRIALS,
               sum);
}

static void one_round_gives_no_verdict(void) {
    struct interval one = compare(steady, 1, 0.5, 0);
    struct judgement judgement = judge(&one, 1, 0.05, 0.02);
    check_that(!one.known, "%s", __func__);
    check_that(finding_of(&one, &judgement) == FINDING_OPEN, "%s", __func__);
    check_that(isnan(difference_resolved(&one, 4, &judgement)), "%s", __func__);
}

static void a_rate_of_zero_gives_no_ratio(void) {
    double over[] = {1, -INFINITY, 1}, under[] = {1, 1, 1};
    struct interval ratio = pair_ratio(over, under, 3, 0.02);
    check_that(!ratio.known && ratio.estimate == 0, "%g", ratio.estimate);
}

static void a_quantile_takes_a_sample_that_shows_it(void) {
    check_that(carries_quantile(2, 0.5) && !carries_quantile(1, 0.5), "the median");
    check_that(carries_quantile(100, 0.99) && !carries_quantile(99, 0.99), "99 %%");
    check_that(carries_quantile(1000, 0.999) && !carries_quantile(999, 0.999), "99.9 %%");
}

/* Rows of one variance are given it; rows of their own keep it; few rows know it badly. */
static void variances_are_moderated_as_far_as_they_agree(void) {
    enum { ROWS = 200, FREEDOM = 2 };
    double alike[ROWS], apart[ROWS], mean = 0;
    state = 15;
    for (size_t i = 0; i < ROWS; i++) {
        double a = gauss(), b = gauss();
        alike[i] = (a * a + b * b) / 2;
        apart[i] = alike[i] * exp(4 * gauss());
        mean += alike[i] / ROWS;
    }
    double freedom = moderate_variances(alike, ROWS, FREEDOM);
    check_that(freedom > 20, "%g degrees of freedom", freedom);
    check_that(fabs(alike[0] / mean - 1) < 0.5, "%g of %g", alike[0], mean);
    freedom = moderate_variances(apart, ROWS, FREEDOM);
    check_that(freedom < FREEDOM + 2, "%g degrees of freedom", freedom);
    double few[] = {1, 1.1};
    freedom = moderate_variances(few, 2, FREEDOM);
    check_that(freedom == 2 * FREEDOM, "%g degrees of freedom", freedom);
}

static void a_warm_up_is_found_and_noise_is_none(void) {
    double slow_start[] = {50, 80, 95, 100, 101, 102, 100, 101}, level[] = {100, 101, 99, 100};
    double outlier_later[] = {100, 101, 60, 100, 99}, short_one[] = {10, 100, 101};
    double fast_start[] = {150, 100, 101, 100.5};
    check_that(warmup_length(slow_start, 8) == 3, "%s", __func__);
    check_that(warmup_length(level, 4) == 0, "%s", __func__);
    check_that(warmup_length(outlier_later, 5) == 0, "%s", __func__);
    check_that(warmup_length(short_one, 3) == 0, "%s", __func__);
    check_that(warmup_length(fast_start, 4) == 1, "%s", __func__);
    check_that(warmup_length(level, 0) == 0, "%s", __func__);
}

int main(void) {
    intervals_cover_the_truth_with_few_rounds();
    a_round_effect_neither_widens_nor_spoils_intervals();
    the_power_is_what_the_docs_state();
    missing_runs_leave_the_truth_covered();
    a_mean_over_rounds_covers_the_truth();
    a_report_of_equals_seldom_has_a_difference();
    each_comparison_of_equals_seldom_comes_out_different();
    differences_are_found_and_few_found_are_false();
    what_differs_by_the_margin_is_seldom_called_the_same();
    equals_on_a_quiet_machine_are_called_the_same();
    an_alarm_is_seldom_false_and_finds_what_is_slower();
    more_rounds_resolve_what_was_said();
    one_round_gives_no_verdict();
    a_rate_of_zero_gives_no_ratio();
    a_quantile_takes_a_sample_that_shows_it();
    variances_are_moderated_as_far_as_they_agree();
    a_warm_up_is_found_and_noise_is_none();
    return check_failures() > 0;
}
