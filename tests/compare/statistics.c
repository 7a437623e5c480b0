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

enum { MOST_BLOCKS = 12, TRIALS = 2000 };

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

static struct moments draw(double (*noise)(void), size_t blocks, double shift, double drift) {
    double rates[MOST_BLOCKS];
    struct block_rates each[MOST_BLOCKS];
    for (size_t i = 0; i < blocks; i++) {
        rates[i] = exp(10 + shift + drift * (double)i + noise());
        each[i] = (struct block_rates){.rates = &rates[i], .count = 1};
    }
    return series_moments(&(struct series){.blocks = each, .count = blocks});
}

/* In how many of a hundred trials the interval misses the truth. The drift is
 * one of the machine, which falls on both. */
static double misses(double (*noise)(void), size_t blocks, double truth, double drift) {
    int missed = 0;
    for (int i = 0; i < TRIALS; i++) {
        struct interval ratio =
            compare_means(draw(noise, blocks, truth, drift), draw(noise, blocks, 0, drift), 0.02);
        missed += ratio.low > exp(truth) || ratio.high < exp(truth);
    }
    return 100.0 * missed / TRIALS;
}

static void intervals_cover_the_truth_with_few_blocks(void) {
    state = 1;
    for (size_t n = 0; n < sizeof noises / sizeof *noises; n++)
        for (size_t blocks = 3; blocks <= MOST_BLOCKS; blocks += blocks < 6 ? 1 : 3) {
            /* 5 and three standard errors of such a share of 2000. */
            check_that(misses(noises[n], blocks, 0.1, 0) < 6.5, "noise %zu, %zu blocks", n, blocks);
            check_that(misses(noises[n], blocks, 0, 0.01) < 6.5, "noise %zu, %zu blocks, drift", n,
                       blocks);
        }
}

/* A family of comparisons of equals: how often any is called different. Four
 * processes of two kinds of layout can be all of one kind, and the other four all
 * of the other: there the rate for one comparison holds, that for the whole
 * report only from some more processes up. */
static void a_report_of_equals_seldom_has_a_difference(void) {
    enum { FAMILY = 60, REPORTS = 300 };
    state = 2;
    for (size_t n = 0; n < sizeof noises / sizeof *noises; n++) {
        size_t reports = 0, called = 0, blocks = noises[n] == two_layouts ? 10 : 4;
        for (int r = 0; r < REPORTS; r++) {
            struct interval family[FAMILY];
            for (size_t i = 0; i < FAMILY; i++)
                family[i] = compare_means(draw(noises[n], blocks, 0, 0),
                                          draw(noises[n], blocks, 0, 0), 0.02);
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
        for (size_t blocks = 3; blocks <= 6; blocks++) {
            size_t called = 0;
            for (int r = 0; r < REPORTS; r++) {
                struct interval family[FAMILY];
                for (size_t i = 0; i < FAMILY; i++)
                    family[i] = compare_means(draw(noises[n], blocks, 0, 0),
                                              draw(noises[n], blocks, 0, 0), 0.02);
                called += judge(family, FAMILY, 0.05, 0.02).different;
            }
            check_that(called < REPORTS * FAMILY / 50, "noise %zu, %zu blocks: %zu differences", n,
                       blocks, called);
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
            family[i] = compare_means(draw(steady, 4, i % 2 ? log(1.3) : 0, 0),
                                      draw(steady, 4, 0, 0), 0.02);
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
        struct interval one =
            compare_means(draw(steady, 12, log1p(0.02), 0), draw(steady, 12, 0, 0), 0.02);
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
        struct interval one = compare_means(draw(quiet, 6, 0, 0), draw(quiet, 6, 0, 0), 0.02);
        struct judgement judgement = judge(&one, 1, 0.05, 0.02);
        same += finding_of(&one, &judgement) == FINDING_SAME;
    }
    check_that(same > TRIALS * 0.98, "%zu of %d", same, TRIALS);
}

/* As many blocks as were said to do, do in most of further runs. */
static void the_blocks_said_to_do_mostly_do(void) {
    struct moments over = {.mean = 0.1, .variance = 0.0025, .count = 4, .good = true};
    struct moments under = {.mean = 0, .variance = 0.0025, .count = 4, .good = true};
    struct judgement judgement = {
        .level = 0.05, .margin = 0.02, .comparisons = 1, .differs_below = 0.05};
    size_t needed = blocks_for_verdict(over, under, &judgement), settled = 0;
    state = 6;
    check_that(needed > 4, "%s", __func__);
    check_that(needed <= MOST_BLOCKS, "%s", __func__);
    for (int i = 0; i < TRIALS; i++) {
        over = draw(steady, needed, 0.04, 0);
        under = draw(steady, needed, 0, 0);
        settled += compare_means(over, under, 0.02).p_differs < 0.05;
    }
    /* The noise and the difference are both 0.4 of those that were asked about. */
    check_that(settled > TRIALS * 0.72, "%zu of %d with %zu blocks", settled, TRIALS, needed);
}

static void one_block_gives_no_verdict(void) {
    struct interval one = compare_means(draw(steady, 1, 0.5, 0), draw(steady, 1, 0, 0), 0.02);
    struct judgement judgement = judge(&one, 1, 0.05, 0.02);
    check_that(!one.known, "%s", __func__);
    check_that(finding_of(&one, &judgement) == FINDING_OPEN, "%s", __func__);
    check_that(blocks_for_verdict(draw(steady, 1, 0, 0), draw(steady, 4, 0, 0), &judgement) == 0,
               "%s", __func__);
}

static void a_bootstrap_resamples_blocks_alone(void) {
    double first[] = {100, 1, 1000}, second[] = {400, 4, 4000}, replicates[RESAMPLES];
    struct block_rates blocks[] = {{first, 3}, {second, 3}};
    struct series series = {blocks, 2};
    series_bootstrap(&series, 7, replicates);
    for (size_t i = 0; i < RESAMPLES; i++)
        check_that(fabs(replicates[i] - 100) < 1e-6 || fabs(replicates[i] - 200) < 1e-6 ||
                       fabs(replicates[i] - 400) < 1e-6,
                   "%s", __func__);
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
    intervals_cover_the_truth_with_few_blocks();
    a_report_of_equals_seldom_has_a_difference();
    each_comparison_of_equals_seldom_comes_out_different();
    differences_are_found_and_few_found_are_false();
    what_differs_by_the_margin_is_seldom_called_the_same();
    equals_on_a_quiet_machine_are_called_the_same();
    the_blocks_said_to_do_mostly_do();
    one_block_gives_no_verdict();
    a_bootstrap_resamples_blocks_alone();
    a_warm_up_is_found_and_noise_is_none();
    return check_failures() > 0;
}
