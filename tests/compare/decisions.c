/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the first screen decides, and what diff says, of results made for the purpose:
 * three workloads, gil and biased, one and two threads, six rounds.
 */
#include "check.h"
#include "choices.h"
#include "diff.h"
#include "findings.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ROUNDS = 6 };

/* A figure of biased over gil for each workload, and the noise of a run. */
struct made {
    double gain[3], price[3]; /* throughput on two threads; time on one */
    double noise, shift;
};

static const char *const names[] = {"first", "second", "third"};
static const char *const kinds_of[] = {"programs", "programs", "shared objects"};

/* Balanced noise: over the rounds it sums to 0, so that estimates are exact. */
static double noise(size_t run, int round, double size) {
    static const double pattern[ROUNDS] = {1, -1, 0.5, -0.5, 1.5, -1.5};
    return size * pattern[(run * 5 + (size_t)round) % ROUNDS] * (run % 2 ? 1 : -1);
}

static json_t *make_run(size_t w, const char *backend, int threads, int round, double log_rate) {
    double rate = exp(log_rate);
    return json_pack("{s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:i, s:b, s:[{s:f, s:f, s:f}]}", "format",
                     "tally-run", "version", 1, "workload", names[w], "backend", backend, "threads",
                     threads, "unit", "operations", "sharing", "own", "round", round, "pinned", 1,
                     "samples", "seconds", 0.1, "operations", rate / 10, "rate", rate);
}

static json_t *make_results(const struct made *made) {
    json_t *runs = json_array(), *workloads = json_array();
    for (size_t w = 0; w < 3; w++) {
        json_array_append_new(workloads, json_pack("{s:s, s:s, s:b}", "name", names[w], "kind",
                                                   kinds_of[w], "in_price", 1));
        for (int round = 0; round < ROUNDS; round++)
            for (int threads = 1; threads <= 2; threads++)
                for (size_t b = 0; b < 2; b++) {
                    double figure = b == 0         ? 0
                                    : threads == 1 ? -log(made->price[w])
                                                   : log(made->gain[w]);
                    size_t run = 4 * w + 2 * b + (size_t)threads;
                    json_array_append_new(runs,
                                          make_run(w, b ? "biased" : "gil", threads, round,
                                                   14 + 0.25 * sin(round) + made->shift + figure +
                                                       noise(run, round, made->noise)));
                }
    }
    return json_pack("{s:s, s:i, s:f, s:o, s:[{s:s, s:s}, {s:s, s:s}], s:{}, s:{}, s:o}", "format",
                     "tally-results", "version", RESULTS_VERSION, "margin", 0.02, "workloads",
                     workloads, "backends", "name", "gil", "role", "product", "name", "biased",
                     "role", "product", "machine", "build", "runs", runs);
}

/* The advice on a kind, or on a workload. */
static struct choice choose(const struct made *made, size_t kind, const char *workload) {
    json_t *root = make_results(made);
    struct results results = results_make(root);
    struct analysis analysis = analysis_make(&results, 0);
    struct choices choices = choices_make(&analysis);
    struct choice found = {.advice.words = "none"};
    for (size_t i = 0; i < choices.count; i++) {
        const struct choice *one = &choices.items[i];
        if (one->kind == kind && (workload ? one->workload && strcmp(one->workload, workload) == 0
                                           : one->workload == NULL))
            found = *one;
    }
    choices_free(&choices);
    analysis_free(&analysis);
    results_free(&results);
    json_decref(root);
    return found;
}

#define ADVICE_IS(expected, made, kind, workload)                                                 \
    do {                                                                                          \
        struct choice choice = choose(made, kind, workload);                                      \
        check_that(strcmp(choice.advice.words, expected) == 0, "%s, gain %g (%g to %g)",          \
                   choice.advice.words, choice.gain.estimate, choice.gain.low, choice.gain.high); \
    } while (0)

static void the_advice_follows_from_gain_and_price(void) {
    const struct {
        enum verdict gain, price;
        const char *words;
    } table[] = {{BETTER, BETTER, "Leave"},
                 {BETTER, SAME, "Leave"},
                 {BETTER, WORSE, "Leave, if threaded"},
                 {BETTER, UNDECIDED, "Leave, if threaded"},
                 {WORSE, BETTER, "Stay"},
                 {WORSE, SAME, "Stay"},
                 {SAME, WORSE, "Stay"},
                 {SAME, BETTER, "Leave"},
                 {SAME, SAME, "No difference"},
                 {SAME, UNDECIDED, "No difference"},
                 {UNDECIDED, BETTER, "Not enough data"},
                 {NO_VERDICT, SAME, "Not measured"}};
    for (size_t i = 0; i < sizeof table / sizeof *table; i++)
        check_that(strcmp(advise(table[i].gain, table[i].price).words, table[i].words) == 0,
                   "row %zu", i);
}

static void clear_figures_are_advised_on(void) {
    struct made made = {.gain = {1.9, 1.8, 0.5}, .price = {1, 1, 1.3}, .noise = 0.002};
    ADVICE_IS("Leave", &made, 0, NULL);
    ADVICE_IS("Leave", &made, 0, "first");
    ADVICE_IS("Stay", &made, 2, NULL);
    ADVICE_IS("Stay", &made, 2, "third");
    made.price[0] = made.price[1] = 1.2;
    ADVICE_IS("Leave, if threaded", &made, 0, NULL);
}

static void equals_are_no_difference_and_noise_is_not_enough_data(void) {
    struct made quiet = {.gain = {1, 1, 1}, .price = {1, 1, 1}, .noise = 0.002};
    ADVICE_IS("No difference", &quiet, 0, NULL);
    ADVICE_IS("No difference", &quiet, 0, "second");
    struct made noisy = {.gain = {1, 1, 1}, .price = {1, 1, 1}, .noise = 0.2};
    ADVICE_IS("Not enough data", &noisy, 0, NULL);
    ADVICE_IS("Not enough data", &noisy, 0, "first");
}

/* A difference inside the margin is the same, for a kind as for a workload. */
static void the_margin_is_the_same_for_kinds_and_workloads(void) {
    struct made made = {.gain = {1.01, 1.01, 1.01}, .price = {1, 1, 1}, .noise = 0.001};
    ADVICE_IS("No difference", &made, 0, NULL);
    ADVICE_IS("No difference", &made, 0, "first");
    ADVICE_IS("No difference", &made, 2, NULL);
}

/* What is faster by 10 % on average, and on no workload by itself. */
static void a_kind_is_not_left_for_without_a_workload_that_is(void) {
    for (double size = 0.01; size < 0.4; size += 0.01) {
        struct made made = {.gain = {1.1, 1.1, 1}, .price = {1, 1, 1}, .noise = size};
        struct choice kind = choose(&made, 0, NULL);
        bool leaves = strncmp(kind.advice.words, "Leave", 5) == 0;
        check_that(!leaves || kind.better > 0, "noise %g: %s on %zu", size, kind.advice.words,
                   kind.better);
    }
}

/* A kind of one workload has its figures. */
static void one_figure_has_one_value(void) {
    struct made made = {.gain = {1.9, 1.8, 0.5}, .price = {1, 1, 1.3}, .noise = 0.02};
    struct choice kind = choose(&made, 2, NULL), workload = choose(&made, 2, "third");
    check_that(kind.gain.low == workload.gain.low && kind.gain.high == workload.gain.high, "%g, %g",
               kind.gain.low, workload.gain.low);
    check_that(kind.price.low == workload.price.low, "%g, %g", kind.price.low, workload.price.low);
}

/* ---- diff ----------------------------------------------------------------------------- */

static json_t *diff_of(const struct made *days, size_t count) {
    json_t *roots[8] = {NULL};
    struct text out = {0}, doubts = {0};
    for (size_t i = 0; i < count; i++) roots[i] = make_results(&days[i]);
    check_that(diff_compose(roots, count, 0, true, &out, &doubts), "nothing in common");
    json_t *result = json_loads(text_string(&out), 0, NULL);
    for (size_t i = 0; i < count; i++) json_decref(roots[i]);
    text_free(&out);
    text_free(&doubts);
    return result;
}

static size_t verdicts(const json_t *diff, const char *verdict) {
    const json_t *row;
    size_t index, count = 0;
    json_array_foreach(json_object_get(diff, "comparisons"), index, row) {
        count += strcmp(object_string(row, "verdict", ""), verdict) == 0;
    }
    return count;
}

static void a_shift_of_all_is_taken_out_and_said(void) {
    const struct made days[] = {
        {.gain = {1.5, 1.5, 1}, .price = {1, 1, 1}, .noise = 0.01},
        {.gain = {1.5, 1.5, 1}, .price = {1, 1, 1}, .noise = 0.01, .shift = 0.3}};
    json_t *diff = diff_of(days, 2);
    const json_t *row;
    size_t index;
    check_that(fabs(object_number(diff, "shift", 0) / exp(0.3) - 1) < 1e-6, "shift %g",
               object_number(diff, "shift", 0));
    json_array_foreach(json_object_get(diff, "comparisons"), index, row) {
        check_that(fabs(object_number(row, "ratio", 0) - 1) < 1e-6, "row %zu", index);
    }
    check_that(verdicts(diff, "no verdict") == 12, "%zu of 12 without",
               verdicts(diff, "no verdict"));
    json_decref(diff);
}

/* Three old sessions that vary by 3 %: one more of the kind is not different; one in which a
 * workload is half as fast is, there alone. */
static void old_sessions_tell_what_is_different(void) {
    struct made days[4];
    static const double moved[4][3] = {
        {1.5, 1.52, 1}, {1.54, 1.5, 0.98}, {1.49, 1.55, 1.02}, {1.53, 1.5, 1.01}};
    for (size_t d = 0; d < 4; d++) {
        days[d] = (struct made){.price = {1, 1, 1}, .noise = 0.01, .shift = 0.1 * (double)d};
        memcpy(days[d].gain, moved[d], sizeof days[d].gain);
        for (size_t w = 0; w < 3; w++) days[d].price[w] = 1 + 0.02 * ((d + w) % 3);
    }
    json_t *diff = diff_of(days, 4);
    check_that(verdicts(diff, "different") == 0, "%zu different", verdicts(diff, "different"));
    json_decref(diff);
    days[3].gain[1] = 0.75;
    diff = diff_of(days, 4);
    check_that(verdicts(diff, "different") == 1, "%zu different", verdicts(diff, "different"));
    json_decref(diff);
}

static void a_claim_holds_if_the_whole_interval_is_on_its_side(void) {
    static const struct {
        double low, high;
        bool less;
        enum claim_verdict wanted;
    } cases[] = {{1.5, 3, false, CLAIM_HOLDS}, {0.5, 3, false, CLAIM_OPEN},
                 {0.1, 1, false, CLAIM_FAILS}, {0.1, 0.9, true, CLAIM_HOLDS},
                 {0.1, 1, true, CLAIM_OPEN},   {1, 3, true, CLAIM_FAILS}};
    struct interval unknown = {.estimate = 2, .low = 2, .high = 2};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        struct interval ratio = {.known = true, .low = cases[i].low, .high = cases[i].high};
        check_int(claim_verdict(&ratio, 1, cases[i].less), cases[i].wanted);
    }
    check_int(claim_verdict(&unknown, 1, false), CLAIM_OPEN);
}

int main(void) {
    the_advice_follows_from_gain_and_price();
    clear_figures_are_advised_on();
    equals_are_no_difference_and_noise_is_not_enough_data();
    the_margin_is_the_same_for_kinds_and_workloads();
    a_kind_is_not_left_for_without_a_workload_that_is();
    one_figure_has_one_value();
    a_shift_of_all_is_taken_out_and_said();
    old_sessions_tell_what_is_different();
    a_claim_holds_if_the_whole_interval_is_on_its_side();
    return check_failures() > 0;
}
