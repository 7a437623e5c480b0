// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The patterns of CPython's scaling benchmark on an interpreter: with every
// number of threads, in as many processes as a driver.
#include "plan.h"

#include "results.h"
#include "text.h"

#include <string.h>

static bool is_pattern(const struct run_options *options, const char *workload) {
    const json_t *name;
    size_t index;
    json_array_foreach(json_object_get(options->patterns_name, "workloads"), index,
                       name) if (strcmp(json_string_value(name) ? json_string_value(name) : "",
                                        workload) == 0) return true;
    return false;
}

static void add_patterns(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (int round = 0; options->patterns_name && round < plan->budget.rounds; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t t = 0;
                 t < options->thread_count && is_pattern(options, options->workloads.items[w]); t++)
                plan_add(plan, (struct job){.kind = &kind_patterns,
                                            .workload = options->workloads.items[w],
                                            .backend = object_string(options->patterns_name, "name",
                                                                     "Python"),
                                            .threads = options->threads[t],
                                            .round = round});
}

static void add_patterns_program(const struct plan *plan, const struct job *job,
                                 struct arguments *arguments) {
    (void)job;
    arguments_add(arguments, "%s", plan->options->python);
    arguments_add(arguments, "%s", plan->options->patterns_script);
}

const struct kind kind_patterns = {.list = "patterns",
                                   .add_jobs = add_patterns,
                                   .add_program = add_patterns_program,
                                   .warm = true};
