// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The ledger over time: one more run of each workload that grows, on each backend, in which the
// driver reads the ledger again and again.  The timed runs on as many threads as have a core each
// tell which workloads grow: the peak of the resident size is over the peak of the setup by
// LEDGER_GROWTH_KIB or more, the median over the runs of any backend.  The runs come last, and are
// in no other figure, since each reading stops the threads.
#include "plan.h"

#include "results.h"
#include "statistics.h"

#include <stdlib.h>
#include <string.h>

// How long it reads, and how often.
static const struct {
    int run_ms, between_ms;
} efforts[] = {[QUICK] = {150, 5}, [NORMAL] = {500, 10}, [FULL] = {2000, 20}};

static double growth_on(const json_t *runs, const char *workload, const char *backend,
                        int threads) {
    double *growth = checked_calloc(json_array_size(runs), sizeof *growth);
    const json_t *run;
    size_t count = 0, index;
    json_array_foreach(runs, index, run) {
        double peak = object_number(run, "peak_rss_kib", 0);
        if (strcmp(object_string(run, "workload", ""), workload) == 0 &&
            strcmp(object_string(run, "backend", ""), backend) == 0 &&
            object_number(run, "threads", 0) == threads &&
            !json_is_true(json_object_get(run, "incomplete")))
            growth[count++] = peak - object_number(run, "setup_peak_rss_kib", peak);
    }
    double middle = count ? median(growth, count) : 0;
    free(growth);
    return middle;
}

static bool grows(const struct plan *plan, const char *workload, int threads) {
    const struct names *backends = &plan->options->backends;
    const json_t *runs = json_object_get(plan->results, list_names[LIST_TIMED]);
    for (size_t b = 0; b < backends->count; b++)
        if (growth_on(runs, workload, backends->items[b], threads) >= LEDGER_GROWTH_KIB)
            return true;
    return false;
}

size_t plan_read_ledgers(struct plan *plan) {
    const struct run_options *options = plan->options;
    int threads = plan_scale_threads(options);
    size_t count = 0;
    for (size_t w = 0; w < options->workloads.count; w++) {
        if (!grows(plan, options->workloads.items[w], threads)) continue;
        count++;
        for (size_t b = 0; b < options->backends.count; b++)
            plan_add(plan, (struct job){.kind = &kind_ledger,
                                        .workload = options->workloads.items[w],
                                        .backend = options->backends.items[b],
                                        .threads = threads});
    }
    return count;
}

static void add_arguments(const struct plan *plan, const struct job *job,
                          struct arguments *arguments) {
    (void)job;
    arguments_add(arguments, "--samples=1");
    arguments_add(arguments, "--sample-ms=%d", efforts[plan->options->effort].run_ms);
    arguments_add(arguments, "--warmup-ms=0");
    arguments_add(arguments, "--ledger-ms=%d", efforts[plan->options->effort].between_ms);
}

const struct kind kind_ledger = {.list = LIST_LEDGER, .add_arguments = add_arguments};
