// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The timed blocks and the counting pass.  A round runs each workload and thread
// count once on every backend, in an order drawn anew, so a slow drift of the
// machine falls on all backends alike.
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static void add_round(struct plan *plan, const struct kind *kind, int round)
{
    const struct run_options *options = plan->options;
    size_t order[MAX_NAMES];
    for (size_t w = 0; w < options->workloads.count; w++)
        for (size_t t = 0; t < options->thread_count; t++) {
            plan_shuffle(plan, order, options->backends.count);
            for (size_t b = 0; b < options->backends.count; b++)
                plan_add(plan, (struct job){.kind = kind,
                                            .workload = options->workloads.items[w],
                                            .backend = options->backends.items[order[b]],
                                            .threads = options->threads[t],
                                            .round = round});
        }
}

static void add_timed(struct plan *plan)
{
    for (int round = 0; round < plan->budget.rounds; round++)
        add_round(plan, &kind_timed, round);
}

static void add_counted(struct plan *plan)
{
    const struct run_options *options = plan->options;
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = driver_path(options, options->backends.items[i], true);
        bool found = access(path, X_OK) == 0;
        free(path);
        if (!found)
            return;
    }
    add_round(plan, &kind_counted, 0);
}

const struct kind kind_timed = {.list = "blocks", .add_jobs = add_timed, .warm = true};
const struct kind kind_counted = {.list = "counted", .add_jobs = add_counted, .counted = true};
