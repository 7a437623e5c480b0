/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The plan of a comparison: every way that is compared runs once in each round, side by
 * side, in orders that favour none, and the same seed gives the same plan.
 */
#include "plan.h"
#include "check.h"

#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct run_options make_options(uint64_t seed) {
    struct run_options options = {.drivers = "/nowhere",
                                  .effort = QUICK,
                                  .rounds = 200,
                                  .seed = seed,
                                  .against = "/elsewhere",
                                  .threads = {1, 2},
                                  .thread_count = 2};
    const char *workloads[] = {"one", "two"}, *backends[] = {"gil", "atomic", "biased"};
    for (size_t i = 0; i < 2; i++)
        options.workloads.items[options.workloads.count++] = checked_strdup(workloads[i]);
    for (size_t i = 0; i < 3; i++)
        options.backends.items[options.backends.count++] = checked_strdup(backends[i]);
    options.known_backends = json_pack("[{s:s}]", "name", "gil");
    options.descriptions = json_array();
    return options;
}

static void free_options(struct run_options *options) {
    names_free(&options->workloads);
    names_free(&options->backends);
    json_decref(options->known_backends);
    json_decref(options->descriptions);
}

/* The end of the jobs that take turns at the point of the first one. */
static size_t point_end(const struct plan *plan, size_t first) {
    const struct job *one = &plan->jobs[first];
    size_t end = first;
    while (end < plan->count && plan->jobs[end].kind->turns &&
           plan->jobs[end].round == one->round && plan->jobs[end].threads == one->threads &&
           strcmp(plan->jobs[end].workload, one->workload) == 0)
        end++;
    return end;
}

static void each_round_has_each_way_once_side_by_side(void) {
    struct run_options options = make_options(1);
    struct plan plan = plan_make(&options);
    size_t points = 0;
    for (size_t first = 0; first < plan.count && plan.jobs[first].kind->turns; points++) {
        size_t end = point_end(&plan, first), timed = 0, against = 0;
        for (size_t i = first; i < end; i++) {
            timed += plan.jobs[i].kind == &kind_timed;
            against += plan.jobs[i].kind == &kind_against;
            for (size_t k = first; k < i; k++)
                check_that(plan.jobs[i].kind != plan.jobs[k].kind ||
                               strcmp(plan.jobs[i].backend, plan.jobs[k].backend) != 0,
                           "job %zu is there twice", i);
        }
        check_that(timed == 3 && against == 3, "%zu and %zu at job %zu", timed, against, first);
        first = end;
    }
    check_that(points == 200 * 2 * 2, "%zu points", points);
    plan_free(&plan);
    free_options(&options);
}

/* Over many rounds each build of each backend is at each place about as often. */
static void no_place_in_the_order_is_favoured(void) {
    struct run_options options = make_options(2);
    struct plan plan = plan_make(&options);
    double places = 0, count = 0, first_half = 0;
    for (size_t first = 0; first < plan.count && plan.jobs[first].kind->turns;) {
        size_t end = point_end(&plan, first);
        for (size_t i = first; i < end; i++) {
            if (plan.jobs[i].kind != &kind_against) continue;
            places += (double)(i - first) / (double)(end - first - 1);
            first_half += 2 * (i - first) < end - first;
            count++;
        }
        first = end;
    }
    check_that(places / count > 0.47 && places / count < 0.53, "the mean place is %.3f",
               places / count);
    check_that(first_half / count > 0.45 && first_half / count < 0.55, "%.3f in the first half",
               first_half / count);
    plan_free(&plan);
    free_options(&options);
}

static void a_seed_gives_one_plan(void) {
    struct run_options options = make_options(3), other = make_options(4);
    struct plan one = plan_make(&options), again = plan_make(&options), another = plan_make(&other);
    size_t differ = 0;
    check_that(one.count == again.count && one.count == another.count, "counts");
    for (size_t i = 0; i < one.count; i++) {
        check_that(one.jobs[i].kind == again.jobs[i].kind &&
                       one.jobs[i].seed == again.jobs[i].seed &&
                       one.jobs[i].backend == again.jobs[i].backend,
                   "job %zu", i);
        differ += strcmp(one.jobs[i].backend, another.jobs[i].backend) != 0;
    }
    check_that(differ > one.count / 4, "%zu of %zu differ", differ, one.count);
    plan_free(&one);
    plan_free(&again);
    plan_free(&another);
    free_options(&options);
    free_options(&other);
}

/* The control is the first backend, on one thread count of each workload in turn. */
static void every_workload_has_a_control(void) {
    struct run_options options = make_options(5);
    struct plan plan = plan_make(&options);
    size_t controls[2] = {0, 0};
    for (size_t i = 0; i < plan.count; i++)
        if (plan.jobs[i].kind == &kind_control) {
            check_that(strcmp(plan.jobs[i].backend, "gil") == 0, "job %zu", i);
            controls[strcmp(plan.jobs[i].workload, "two") == 0]++;
        }
    check_that(controls[0] == 200 && controls[1] == 200, "%zu and %zu", controls[0], controls[1]);
    plan_free(&plan);
    free_options(&options);
}

static json_t *make_causes(void) {
    return json_pack("{s:{s:n, s:n, s:n, s:s}}", "one", "counting", "collector", "sharing", "locks",
                     "it needs them");
}

/* What explains the first screen is removed in half of the rounds: counts on one thread and on
 * two without the GIL, the collector on one, and the ablations, in turns with the timed runs. */
static void causes_are_removed_in_half_of_the_rounds(void) {
    struct run_options options = make_options(6);
    size_t counting = 0, collector = 0, ablations = 0;
    options.rounds = 10;
    options.against = NULL;
    json_decref(options.known_backends);
    options.known_backends = json_pack("[{s:s, s:s}, {s:s, s:s}]", "name", "gil", "locking",
                                       "gil/locking", "name", "atomic", "locking", "nogil/locking");
    options.causes = json_pack("{s:o, s:o, s:o}", "gil", make_causes(), "atomic", make_causes(),
                               "biased", make_causes());
    options.ablations.items[options.ablations.count++] = checked_strdup("gil-atomic");
    struct plan plan = plan_make(&options);
    for (size_t i = 0; i < plan.count; i++) {
        const struct job *job = &plan.jobs[i];
        if (job->kind != &kind_what_if) continue;
        check_that(job->round < 5 && job->kind->turns, "job %zu", i);
        counting += job->without && strcmp(job->without, "counting") == 0;
        collector += job->without && strcmp(job->without, "collector") == 0;
        ablations += job->without == NULL && strcmp(job->backend, "gil-atomic") == 0;
        check_that(job->without || job->threads == 1, "job %zu", i);
    }
    check_that(counting == 5 * 2 * 2, "%zu without counting", counting);
    check_that(collector == 5 * 3, "%zu without a collector", collector);
    check_that(ablations == 5 * 2, "%zu ablations", ablations);
    plan_free(&plan);
    names_free(&options.ablations);
    json_decref(options.causes);
    free_options(&options);
}

static void add_run(json_t *runs, const char *workload, const char *backend, int threads,
                    int growth) {
    json_array_append_new(runs,
                          json_pack("{s:s, s:s, s:i, s:i, s:i}", "workload", workload, "backend",
                                    backend, "threads", threads, "setup_peak_rss_kib", 90000,
                                    "peak_rss_kib", 90000 + growth));
}

/* By the median of the runs of any backend, on the threads that are asked about. */
static void workloads_that_grow_have_their_ledger_read(void) {
    struct run_options options = make_options(7);
    options.against = NULL;
    options.thread_count = 1;
    struct plan plan = plan_make(&options);
    size_t first = plan.count;
    json_t *runs = json_array();
    static const int biased[] = {2048, 5000, 10}, steady[] = {2047, 0, 900000};
    for (size_t i = 0; i < 3; i++) {
        add_run(runs, "one", "gil", 1, 0);
        add_run(runs, "one", "biased", 1, biased[i]);
        add_run(runs, "two", "gil", 1, steady[i]);
        add_run(runs, "two", "biased", 2, 900000);
    }
    add_run(runs, "two", "biased", 1, 900000); /* cut short by Ctrl-C */
    json_object_set_new(json_array_get(runs, json_array_size(runs) - 1), "incomplete", json_true());
    /* As an older driver tells, which knows no peak of the setup. */
    json_array_append_new(runs, json_pack("{s:s, s:s, s:i, s:i}", "workload", "two", "backend",
                                          "atomic", "threads", 1, "peak_rss_kib", 900000));
    plan.results = json_pack("{s:o}", "runs", runs);
    check_that(plan_read_ledgers(&plan) == 1, "how many grow");
    check_that(plan.count == first + 3, "%zu jobs more", plan.count - first);
    for (size_t i = first; i < plan.count; i++) {
        const struct job *job = &plan.jobs[i];
        struct arguments arguments = plan_arguments(&plan, job);
        check_that(job->kind == &kind_ledger && strcmp(job->workload, "one") == 0 &&
                       strcmp(job->backend, options.backends.items[i - first]) == 0 &&
                       job->threads == 1,
                   "job %zu", i);
        check_that(strncmp(arguments.items[arguments.count - 1], "--ledger-ms=", 12) == 0,
                   "what the driver is told");
        arguments_free(&arguments);
    }
    json_decref((json_t *)plan.results);
    plan_free(&plan);
    free_options(&options);
}

int main(void) {
    workloads_that_grow_have_their_ledger_read();
    causes_are_removed_in_half_of_the_rounds();
    each_round_has_each_way_once_side_by_side();
    no_place_in_the_order_is_favoured();
    a_seed_gives_one_plan();
    every_workload_has_a_control();
    return check_failures() > 0;
}
