// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task server: workloads/experiments/server/measure.py starts task-server-<backend>, loads it
// with wrk and prints what both say.  A job's threads are the server's workers, its variant is the
// version of the model.  The first of each version on a backend has its answers compared with the
// model's before.
#include "extras.h"

#include "plan.h"
#include "results.h"
#include "text.h"

#include <string.h>

enum { VERSIONS = 2 };
static const char *const versions[VERSIONS] = {"1", "2"};

struct effort_of_server {
    int rounds, seconds, tasks;
};

static const struct effort_of_server efforts[] = {
    [QUICK] = {.rounds = 1, .seconds = 1, .tasks = 1000},
    [NORMAL] = {.rounds = 3, .seconds = 2, .tasks = 10000},
    [FULL] = {.rounds = 5, .seconds = 3, .tasks = 10000},
};

static void add_servers(struct plan *plan) {
    const struct run_options *options = plan->options;
    size_t order[VERSIONS * MAX_NAMES];
    for (int round = 0; options->servers && round < efforts[options->effort].rounds; round++)
        for (size_t t = 0; t < options->thread_count; t++) {
            plan_shuffle(plan, order, VERSIONS * options->backends.count);
            for (size_t i = 0; i < VERSIONS * options->backends.count; i++)
                plan_add(plan, (struct job){.kind = &kind_server,
                                            .workload = "task-server",
                                            .backend = options->backends.items[order[i] / VERSIONS],
                                            .variant = versions[order[i] % VERSIONS],
                                            .threads = options->threads[t],
                                            .round = round});
        }
}

static void add_server_program(const struct plan *plan, const struct job *job,
                               struct arguments *arguments) {
    const struct run_options *options = plan->options;
    const struct effort_of_server *effort = &efforts[options->effort];
    arguments_add(arguments, "python3");
    arguments_add(arguments, "-B"); // writes nothing beside the script
    arguments_add(arguments, "%s", options->server_script);
    arguments_add(arguments, "--programs=%s/workloads/experiments/server", options->drivers);
    arguments_add(arguments, "--backends=%s", job->backend);
    arguments_add(arguments, "--versions=%s", job->variant);
    arguments_add(arguments, "--threads=%d", job->threads);
    arguments_add(arguments, "--seconds=%d", effort->seconds);
    arguments_add(arguments, "--tasks=%d", effort->tasks);
    arguments_add(arguments, "--seed=%llu", (unsigned long long)job->seed);
    arguments_add(arguments, "--json");
    if (job->round > 0 || job->threads != options->threads[0])
        arguments_add(arguments, "--no-check");
}

bool server_check(const json_t *run, const char **why) {
    const json_t *load = json_object_get(run, "load"), *times = json_object_get(load, "latency_us");
    *why = "a task server names no backend, version or threads";
    if (!*object_string(run, "backend", "") || object_number(run, "version", 0) < 1 ||
        object_number(run, "threads", 0) < 1)
        return false;
    *why = "a task server's load or statistics are missing";
    if (!(object_number(load, "requests_per_second", 0) > 0) ||
        !json_is_object(json_object_get(run, "server")))
        return false;
    *why = "a task server's latencies are missing or in no order";
    double p50 = object_number(times, "p50", -1), p99 = object_number(times, "p99", -1),
           longest = object_number(times, "max", -1);
    return p50 >= 0 && p99 >= p50 && longest >= p99;
}

const struct kind kind_server = {.list = LIST_SERVERS,
                                 .add_jobs = add_servers,
                                 .add_program = add_server_program,
                                 .whole_command = true,
                                 .check = server_check};
