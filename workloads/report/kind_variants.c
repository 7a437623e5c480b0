// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The variants that a workload names: once each, on every backend and, where
// --with-python is given, on an interpreter.
#include "plan.h"

#include "results.h"
#include "text.h"

#include <string.h>

static void add_variants(struct plan *plan) {
    const struct run_options *options = plan->options;
    size_t order[MAX_NAMES], index;
    const json_t *variant;
    for (size_t w = 0; w < options->workloads.count; w++)
        json_array_foreach(workload_variants(options, options->workloads.items[w]), index,
                           variant) for (size_t t = 0; t < options->thread_count; t++) {
            plan_shuffle(plan, order, options->backends.count);
            for (size_t b = 0; variant_threads(options, t) && b < options->backends.count; b++)
                plan_add(plan, (struct job){.kind = &kind_variants,
                                            .workload = options->workloads.items[w],
                                            .backend = options->backends.items[order[b]],
                                            .variant = json_string_value(variant),
                                            .threads = options->threads[t]});
        }
}

static bool python_lists(const struct run_options *options, const char *list, const char *word) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(options->python_name, list), index,
                       entry) if (strcmp(json_string_value(entry) ? json_string_value(entry) : "",
                                         word) == 0) return true;
    return false;
}

// Once with each variant, or as it is where there are none.  What another
// version of Python did cannot be had of this one.
static void add_python_workload(struct plan *plan, const char *workload) {
    const struct run_options *options = plan->options;
    const json_t *variants = workload_variants(options, workload);
    size_t count = json_array_size(variants);
    for (size_t v = 0; v < (count ? count : 1); v++) {
        const char *variant = json_string_value(json_array_get(variants, v));
        if (variant && python_lists(options, "lacks", variant)) continue;
        for (size_t t = 0; t < options->thread_count; t++)
            if (variant_threads(options, t))
                plan_add(plan, (struct job){
                                   .kind = &kind_python,
                                   .workload = workload,
                                   .backend = object_string(options->python_name, "name", "Python"),
                                   .variant = variant,
                                   .threads = options->threads[t]});
    }
}

static void add_python(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (size_t w = 0; options->python && w < options->workloads.count; w++)
        if (python_lists(options, "workloads", options->workloads.items[w]))
            add_python_workload(plan, options->workloads.items[w]);
}

static void add_python_program(const struct plan *plan, const struct job *job,
                               struct arguments *arguments) {
    (void)job;
    arguments_add(arguments, "%s", plan->options->python);
    arguments_add(arguments, "%s", plan->options->python_script);
}

const struct kind kind_variants = {.list = "variants", .add_jobs = add_variants};
const struct kind kind_python = {
    .list = "python", .add_jobs = add_python, .add_program = add_python_program};
