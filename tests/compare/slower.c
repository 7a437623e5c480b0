/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * A build against another one, in made sessions whose rows differ in how much they vary: without
 * a difference few rows are measured again, and at most one session in a hundred says "slower"; a
 * row that is slower by a tenth is found, and no other one. And runs without a cause, whose rows
 * know their variances in the same way: three rounds find a gain of half.
 */
#include "analysis.h"
#include "check.h"
#include "random.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { ROWS = 60, SESSIONS = 100, FIRST = 4, AGAIN = 20 };

static uint64_t state = 20260101;

static double uniform(void) {
    return ((double)(random_next(&state) >> 11) + 1) / 9007199254740994.0;
}

static double gauss(void) { return sqrt(-2 * log(uniform())) * cos(6.283185307179586 * uniform()); }

/* Most rows vary by a few tenths of a percent to a few percent, one in twenty by half. */
static void draw_spreads(double *spreads) {
    for (int w = 0; w < ROWS; w++)
        spreads[w] = w % 20 == 19 ? 0.5 : exp(log(0.003) + uniform() * log(10));
}

static void add_run(json_t *runs, int row, int round, double log_rate) {
    char name[16];
    snprintf(name, sizeof name, "w%02d", row);
    double rate = exp(log_rate);
    json_array_append_new(
        runs,
        json_pack("{s:s, s:i, s:s, s:s, s:i, s:s, s:s, s:i, s:b, s:[{s:f, s:f, s:f}]}", "format",
                  "tally-run", "version", 1, "workload", name, "backend", "gil", "threads", 1,
                  "unit", "operations", "sharing", "own", "round", round, "pinned", 1, "samples",
                  "seconds", 0.1, "operations", rate / 10, "rate", rate));
}

/* Both builds in one round of a row; `change` is of this build's rate. */
static void add_round(json_t *root, int row, int round, double spread, double change) {
    double now = 14 + 0.25 * gauss();
    add_run(json_object_get(root, "runs"), row, round, now + spread * gauss() + log(change));
    add_run(json_object_get(root, "against"), row, round, now + spread * gauss());
}

static json_t *make_session(const double *spreads, int slow, double change) {
    json_t *workloads = json_array();
    for (int w = 0; w < ROWS; w++) {
        char name[16];
        snprintf(name, sizeof name, "w%02d", w);
        json_array_append_new(workloads, json_pack("{s:s, s:s, s:b}", "name", name, "kind",
                                                   "programs", "in_price", 1));
    }
    json_t *root = json_pack("{s:s, s:i, s:f, s:o, s:[{s:s, s:s}], s:{}, s:{}, s:[], s:[]}",
                             "format", "tally-results", "version", RESULTS_VERSION, "margin", 0.03,
                             "workloads", workloads, "backends", "name", "gil", "role", "product",
                             "machine", "build", "runs", "against");
    for (int w = 0; w < ROWS; w++)
        for (int round = 0; round < FIRST; round++)
            add_round(root, w, round, spreads[w], w == slow ? change : 1);
    return root;
}

/* Which rows are slower, one bit each; and which look so. */
static uint64_t slower_rows(const json_t *root, uint64_t *looks) {
    uint64_t found = 0;
    *looks = 0;
    struct results results = results_make(root);
    struct analysis analysis = analysis_make(&results, 0);
    const struct comparisons *list = &analysis.families[FAMILY_AGAINST];
    check_int(list->count, ROWS);
    for (size_t i = 0; i < list->count; i++) {
        int row = atoi(list->items[i].over->key.workload + 1);
        found |= (uint64_t)list->items[i].slower << row;
        *looks |= (uint64_t)list->items[i].looks_slower << row;
    }
    analysis_free(&analysis);
    results_free(&results);
    return found;
}

/* A session that measures again what looks slower: *looks. Returns what it says. */
static uint64_t look_twice(const double *spreads, int slow, double change, uint64_t *looks) {
    json_t *root = make_session(spreads, slow, change);
    slower_rows(root, looks);
    for (int w = 0; w < ROWS; w++)
        for (int round = FIRST; round < FIRST + AGAIN && *looks >> w & 1; round++)
            add_round(root, w, round, spreads[w], w == slow ? change : 1);
    if (*looks) json_object_set_new(root, "first_rounds", json_integer(FIRST));
    uint64_t found = slower_rows(root, looks);
    json_decref(root);
    return found;
}

static void a_build_is_not_slower_than_itself(void) {
    int looks_slower = 0, alarms = 0;
    double spreads[ROWS];
    for (int s = 0; s < SESSIONS; s++) {
        uint64_t looks;
        draw_spreads(spreads);
        alarms += look_twice(spreads, -1, 1, &looks) != 0;
        looks_slower += __builtin_popcountll(looks);
    }
    printf("a build against itself: %d of %d rows measured again, %d of %d sessions say slower\n",
           looks_slower, SESSIONS * ROWS, alarms, SESSIONS);
    check_that(looks_slower <= SESSIONS * ROWS / 50, "%d rows", looks_slower);
    check_that(alarms <= SESSIONS / 100, "%d of %d sessions", alarms, SESSIONS);
}

static void a_tenth_is_found(void) {
    int found = 0, others = 0;
    double spreads[ROWS];
    for (int s = 0; s < SESSIONS; s++) {
        uint64_t looks;
        draw_spreads(spreads);
        int slow = s % 19; /* not a row that varies by half */
        spreads[slow] = 0.01;
        uint64_t says = look_twice(spreads, slow, 0.9, &looks);
        found += says >> slow & 1;
        others += (says & ~((uint64_t)1 << slow)) != 0;
    }
    printf("a tenth slower: found in %d of %d sessions, others in %d\n", found, SESSIONS, others);
    check_that(found >= SESSIONS * 95 / 100, "%d of %d sessions", found, SESSIONS);
    check_that(others <= SESSIONS / 100, "%d of %d sessions", others, SESSIONS);
}

/* Half of the rows gain by half. */
static json_t *make_runs_without(void) {
    double spreads[ROWS] = {0};
    json_t *root = make_session(spreads, -1, 1), *runs = json_object_get(root, "runs"),
           *without = json_array();
    json_array_clear(runs);
    json_object_set_new(root, "what_if", without);
    for (int w = 0; w < ROWS; w++)
        for (int round = 0; round < 3; round++) {
            double now = 14 + 0.25 * gauss(), gain = w % 2 ? 1.5 : 1;
            add_run(runs, w, round, now + 0.08 * gauss());
            add_run(without, w, round, now + 0.08 * gauss() + log(gain));
            json_object_set_new(json_array_get(without, json_array_size(without) - 1), "without",
                                json_string("counting"));
        }
    return root;
}

static void three_rounds_find_what_is_gained_without_a_cause(void) {
    int found = 0, others = 0;
    for (int s = 0; s < SESSIONS; s++) {
        json_t *root = make_runs_without();
        struct results results = results_make(root);
        struct analysis analysis = analysis_make(&results, 0);
        const struct comparisons *list = &analysis.families[FAMILY_WHAT_IF];
        check_int(list->count, ROWS);
        for (size_t i = 0; i < list->count; i++) {
            const struct comparison *row = &list->items[i];
            bool gains = atoi(row->over->key.workload + 1) % 2;
            struct interval shown = cells_ratio(&analysis, row->over, row->under);
            check_that(shown.p_differs == row->ratio.p_differs, "row %zu", i);
            *(gains ? &found : &others) += shown.finding == FINDING_DIFFERENT;
        }
        analysis_free(&analysis);
        results_free(&results);
        json_decref(root);
    }
    printf("without a cause: found %d of %d gains, and %d of others\n", found, SESSIONS * ROWS / 2,
           others);
    check_that(found >= SESSIONS * ROWS / 2 * 95 / 100, "%d", found);
    check_that(others <= found / 15, "%d", others);
}

int main(void) {
    a_build_is_not_slower_than_itself();
    a_tenth_is_found();
    three_rounds_find_what_is_gained_without_a_cause();
    return check_failures() > 0;
}
