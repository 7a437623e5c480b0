// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The convoy: answers of a thread that waits for a socket beside busy threads, by
// the program convoy-<backend>; with a GIL once for each way that it changes hands.
// A job's threads are the busy ones, its variant is the scheme.
#include "extras.h"

#include "plan.h"
#include "results.h"
#include "text.h"

#include <string.h>

static const int busy_counts[] = {0, 1, 2, 4};
static const char *const schemes[] = {"ticks", "cpython", "deadline"};
enum {
    BUSY_COUNTS = sizeof busy_counts / sizeof *busy_counts,
    SCHEMES = sizeof schemes / sizeof *schemes,
    SHORT_BUSY = 2,
    SHORT_SCHEME = 1,
};

struct effort_of_convoy {
    int rounds, requests, pause_us;
};

static const struct effort_of_convoy efforts[] = {
    [QUICK] = {.rounds = 2, .requests = 60, .pause_us = 2000},
    [NORMAL] = {.rounds = 3, .requests = 60, .pause_us = 5000},
    [FULL] = {.rounds = 5, .requests = 200, .pause_us = 10000},
};

// What the first screen says, and no more.
static bool is_short(const struct run_options *options) {
    return options->effort == QUICK && !options->extras_named;
}

static void add_convoys(struct plan *plan) {
    const struct run_options *options = plan->options;
    struct job jobs[BUSY_COUNTS * SCHEMES * MAX_NAMES];
    size_t order[BUSY_COUNTS * SCHEMES * MAX_NAMES], count = 0;
    for (size_t b = 0; options->convoy && b < options->backends.count; b++)
        for (size_t n = 0; n < BUSY_COUNTS; n++) {
            bool gil = extras_backend_has_gil(options, options->backends.items[b]);
            for (size_t s = 0; s < (gil ? SCHEMES : 1); s++) {
                if (is_short(options) &&
                    (busy_counts[n] != SHORT_BUSY || (gil && s != SHORT_SCHEME)))
                    continue;
                jobs[count++] = (struct job){.kind = &kind_convoy,
                                             .workload = "convoy",
                                             .backend = options->backends.items[b],
                                             .variant = gil ? schemes[s] : NULL,
                                             .threads = busy_counts[n]};
            }
        }
    for (int round = 0; round < efforts[options->effort].rounds; round++) {
        plan_shuffle(plan, order, count);
        for (size_t i = 0; i < count; i++) {
            jobs[order[i]].round = round;
            plan_add(plan, jobs[order[i]]);
        }
    }
}

static void add_convoy_program(const struct plan *plan, const struct job *job,
                               struct arguments *arguments) {
    const struct effort_of_convoy *effort = &efforts[plan->options->effort];
    arguments->items[arguments->count++] = extras_program(plan->options, "convoy", job->backend);
    arguments_add(arguments, "--busy=%d", job->threads);
    arguments_add(arguments, "--requests=%d", effort->requests);
    arguments_add(arguments, "--pause=%d", effort->pause_us);
    if (plan->options->switch_interval_us)
        arguments_add(arguments, "--interval=%u", plan->options->switch_interval_us);
    if (job->variant) arguments_add(arguments, "--scheme=%s", job->variant);
    arguments_add(arguments, "--times");
}

bool convoy_check(const json_t *run, const char **why) {
    const json_t *times = json_object_get(run, "times_ms"), *time;
    double before = 0;
    size_t index;
    *why = "a convoy names no backend or scheme, or its number of busy threads is wrong";
    if (!*object_string(run, "backend", "") || !*object_string(run, "scheme", "") ||
        object_number(run, "busy", -1) < 0)
        return false;
    *why = "a convoy's times are missing or in no order";
    if (json_array_size(times) == 0 ||
        (double)json_array_size(times) != object_number(run, "requests", 0))
        return false;
    json_array_foreach(times, index, time) {
        if (!json_is_number(time) || json_number_value(time) < before) return false;
        before = json_number_value(time);
    }
    return true;
}

const struct kind kind_convoy = {.list = LIST_CONVOY,
                                 .add_jobs = add_convoys,
                                 .add_program = add_convoy_program,
                                 .whole_command = true,
                                 .check = convoy_check};
