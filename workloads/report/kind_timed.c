// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The timed blocks, the control, and the counting pass.  A round runs each
// workload and thread count once on every backend, in an order drawn anew, so a
// slow drift of the machine falls on all backends alike.  The control is one more
// backend among them, which is in truth one of the others: the first, on one
// thread count of each workload in turn, or with --self all, on each.
#include "plan.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

// How many of the backends have a control at this point.
static size_t controls_at(const struct run_options *options, size_t workload, size_t threads) {
    if (options->self) return options->backends.count;
    return workload % options->thread_count == threads;
}

static void add_round(struct plan *plan, const struct kind *kind, int round) {
    const struct run_options *options = plan->options;
    size_t order[2 * MAX_NAMES], backends = options->backends.count;
    for (size_t w = 0; w < options->workloads.count; w++)
        for (size_t t = 0; t < options->thread_count; t++) {
            size_t count = backends + (kind == &kind_timed ? controls_at(options, w, t) : 0);
            plan_shuffle(plan, order, count);
            for (size_t i = 0; i < count; i++)
                plan_add(plan, (struct job){.kind = order[i] < backends ? kind : &kind_control,
                                            .workload = options->workloads.items[w],
                                            .backend = options->backends.items[order[i] % backends],
                                            .threads = options->threads[t],
                                            .round = round});
        }
}

static void add_timed(struct plan *plan) {
    for (int round = 0; round < plan->budget.rounds; round++) add_round(plan, &kind_timed, round);
}

// They were added among the timed ones.
static void add_control(struct plan *plan) { (void)plan; }

static void add_counted(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = driver_path(options, options->backends.items[i], true);
        bool found = access(path, X_OK) == 0;
        free(path);
        if (!found) return;
    }
    add_round(plan, &kind_counted, 0);
}

const struct kind kind_timed = {.list = "blocks", .add_jobs = add_timed, .warm = true};
const struct kind kind_control = {.list = "control", .add_jobs = add_control, .warm = true};
const struct kind kind_counted = {.list = "counted", .add_jobs = add_counted, .counted = true};
