// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The runs of --what-if.  A round runs each workload on each backend as it is
// and once without each cause that can be removed, in an order drawn anew, on as
// many threads as have a core each.
#include "plan.h"

#include "machine.h"
#include "results.h"
#include "text.h"
#include "what_if.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const what_if_causes[WHAT_IF_CAUSES] = {"sharing", "counting", "collector", "locks"};

static const char LOCKS[] = "locks";

// Object locks are compiled out of a driver of its own.
static char *unlocked_path(const struct run_options *options, const char *backend) {
    return format("%s/tally-%s-unlocked", options->drivers, backend);
}

const char *what_if_kept(const json_t *causes, const char *backend, const char *workload,
                         const char *cause) {
    const json_t *all = json_object_get(json_object_get(causes, backend), workload);
    const json_t *reason = json_object_get(all, cause);
    return json_is_null(reason)     ? NULL
           : json_is_string(reason) ? json_string_value(reason)
                                    : "the driver does not tell";
}

// {workload: {cause: reason or null}} of a backend, or NULL.
static json_t *causes_of(const struct run_options *options, const char *backend) {
    json_t *list = ask_driver(options, backend), *workload, *all = list ? json_object() : NULL;
    char *unlocked = unlocked_path(options, backend);
    size_t index;
    json_array_foreach(list, index, workload) {
        json_t *causes = json_incref(json_object_get(workload, "causes"));
        if (json_is_null(json_object_get(causes, LOCKS)) && access(unlocked, X_OK) != 0)
            json_object_set_new(causes, LOCKS,
                                json_sprintf("the driver tally-%s-unlocked is not built", backend));
        json_object_set_new(all, object_string(workload, "name", ""),
                            causes ? causes : json_object());
    }
    free(unlocked);
    json_decref(list);
    return all;
}

bool what_if_find(struct run_options *options) {
    if (!options->what_if) return true;
    options->causes = json_object();
    for (size_t b = 0; b < options->backends.count; b++) {
        json_t *causes = causes_of(options, options->backends.items[b]);
        if (causes == NULL) return false;
        json_object_set_new(options->causes, options->backends.items[b], causes);
    }
    return true;
}

// The most threads that still have a core each, or the fewest there are.
static int scale_threads(const struct run_options *options) {
    int best = options->threads[0], cores = machine_cores();
    for (size_t t = 1; t < options->thread_count; t++) {
        int threads = options->threads[t];
        bool fits = threads <= cores;
        if (fits ? best > cores || threads > best : best > cores && threads < best) best = threads;
    }
    return best;
}

size_t what_if_runs(const struct run_options *options) {
    size_t count = 0;
    for (size_t w = 0; options->what_if && w < options->workloads.count; w++)
        for (size_t b = 0; b < options->backends.count; b++) {
            size_t removed = 0;
            for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
                removed += !what_if_kept(options->causes, options->backends.items[b],
                                         options->workloads.items[w], what_if_causes[c]);
            count += removed ? removed + 1 : 0;
        }
    return count;
}

static void add_point(struct plan *plan, const char *workload, const char *backend, int round) {
    const char *without[WHAT_IF_CAUSES + 1] = {NULL}; // the first: unchanged
    size_t order[WHAT_IF_CAUSES + 1], count = 1;
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        if (!what_if_kept(plan->options->causes, backend, workload, what_if_causes[c]))
            without[count++] = what_if_causes[c];
    if (count == 1) return;
    plan_shuffle(plan, order, count);
    for (size_t i = 0; i < count; i++)
        plan_add(plan, (struct job){.kind = &kind_what_if,
                                    .workload = workload,
                                    .backend = backend,
                                    .without = without[order[i]],
                                    .threads = scale_threads(plan->options),
                                    .round = round});
}

static void add_what_if(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (int round = 0; options->what_if && round < plan->budget.rounds; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t b = 0; b < options->backends.count; b++)
                add_point(plan, options->workloads.items[w], options->backends.items[b], round);
}

static void add_program(const struct plan *plan, const struct job *job,
                        struct arguments *arguments) {
    bool unlocked = job->without && strcmp(job->without, LOCKS) == 0;
    arguments->items[arguments->count++] = unlocked
                                               ? unlocked_path(plan->options, job->backend)
                                               : driver_path(plan->options, job->backend, false);
}

static void add_without(const struct plan *plan, const struct job *job,
                        struct arguments *arguments) {
    (void)plan;
    if (job->without) arguments_add(arguments, "--without=%s", job->without);
}

const struct kind kind_what_if = {.list = LIST_WHAT_IF,
                                  .add_jobs = add_what_if,
                                  .add_program = add_program,
                                  .add_arguments = add_without,
                                  .warm = true};
