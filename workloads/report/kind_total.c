// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A fixed total shared out: one thread's work of about a sample, done by one
// thread and by as many as have a core each.  How much that is, the timed blocks
// of one thread tell, so this kind comes after them.  A quick run leaves it out.
#include "plan.h"

#include "results.h"
#include "statistics.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { TOTAL_SAMPLES = 3 };

static size_t chosen_threads(const struct run_options *options) {
    size_t chosen = 0;
    for (size_t t = 0; t < options->thread_count; t++) chosen += variant_threads(options, t);
    return chosen;
}

static void add_totals(struct plan *plan) {
    const struct run_options *options = plan->options;
    size_t order[MAX_NAMES];
    if (options->effort == QUICK || chosen_threads(options) < 2) return;
    for (int round = 0; round < plan->budget.rounds / 2 + 1; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t t = 0; t < options->thread_count; t++) {
                plan_shuffle(plan, order, options->backends.count);
                for (size_t b = 0; variant_threads(options, t) && b < options->backends.count; b++)
                    plan_add(plan, (struct job){.kind = &kind_total,
                                                .workload = options->workloads.items[w],
                                                .backend = options->backends.items[order[b]],
                                                .threads = options->threads[t],
                                                .round = round});
            }
}

// Operations a second on the fewest threads that gave samples; 0: none did.
static double slowest_rate(const json_t *results, const struct job *job) {
    const json_t *blocks = json_object_get(results, "blocks"), *block, *sample;
    double *rates = checked_calloc(json_array_size(blocks) + 1, sizeof *rates), fewest = INFINITY;
    size_t count = 0, b, s;
    json_array_foreach(blocks, b, block) {
        double threads = object_number(block, "threads", INFINITY), best = 0;
        if (strcmp(object_string(block, "workload", ""), job->workload) != 0 ||
            strcmp(object_string(block, "backend", ""), job->backend) != 0 || threads > fewest)
            continue;
        json_array_foreach(json_object_get(block, "samples"), s, sample) best =
            fmax(best, sample_rate(sample));
        count = threads < fewest ? 0 : count;
        fewest = threads;
        rates[count++] = best;
    }
    double rate = median(rates, count);
    free(rates);
    return rate;
}

static void add_total_arguments(const struct plan *plan, const struct job *job,
                                struct arguments *arguments) {
    double total = slowest_rate(plan->results, job) * plan->sample_ms / 1000;
    arguments_add(arguments, "--total=%.0f", fmin(fmax(total, 1), 1e15));
    arguments_add(arguments, "--samples=%d", TOTAL_SAMPLES);
}

const struct kind kind_total = {
    .list = "totals", .add_jobs = add_totals, .add_arguments = add_total_arguments, .warm = true};
