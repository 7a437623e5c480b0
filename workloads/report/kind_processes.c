// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The same workload as processes of one worker each, on the backend with the
// GIL: the way around it.  Threads of one workload that touch the same objects
// have no counterpart among processes, which share none, so those are left out.
#include "plan.h"

#include "machine.h"
#include "results.h"

#include <string.h>

static const char *reference(const struct run_options *options) {
    const char *first = object_string(json_array_get(options->known_backends, 0), "name", "");
    for (size_t b = 0; b < options->backends.count; b++)
        if (strcmp(options->backends.items[b], first) == 0) return options->backends.items[b];
    return NULL;
}

static void add_processes(struct plan *plan) {
    const struct run_options *options = plan->options;
    const char *backend = reference(options);
    bool wanted =
        options->mode == MODE_BOTH || (options->mode == MODE_DEFAULT && options->effort == FULL);
    for (int round = 0; wanted && backend && round < plan->budget.rounds / 2 + 1; round++)
        for (size_t w = 0; w < options->workloads.count; w++) {
            const json_t *description = workload_description(options, options->workloads.items[w]);
            for (size_t t = 0; t < options->thread_count; t++)
                if (options->threads[t] > 1 && options->threads[t] <= machine_cores() &&
                    strcmp(object_string(description, "sharing", ""), "own") == 0)
                    plan_add(plan, (struct job){.kind = &kind_processes,
                                                .workload = options->workloads.items[w],
                                                .backend = backend,
                                                .threads = options->threads[t],
                                                .round = round});
        }
}

const struct kind kind_processes = {
    .list = "processes", .add_jobs = add_processes, .processes = true, .warm = true};
