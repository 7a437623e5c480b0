// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Workloads with programs of their own, and their jobs:
//  - convoy: answers of a thread that waits for a socket beside busy threads, by
//    convoy-<backend>; with a GIL once for each way that it changes hands.  A job's threads are
//    the busy ones, its variant is the scheme.
//  - task-server: workloads/experiments/server/load.py starts task-server-<backend>, loads it
//    with wrk and prints what both say.  A job's threads are the server's workers, its variant
//    is the version of the model.  The first job of each version on a backend compares the
//    answers with the model's before.
//  - findings: experiments on memory and refcounts, by findings-<backend>.  A job's workload and
//    variant are the experiment's.
// Each round has all jobs of a workload, in an order drawn anew.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "programs.h"

#include "machine.h"
#include "plan.h"
#include "results.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

const char *const program_names[PROGRAMS] = {
    [CONVOY] = "convoy", [TASK_SERVER] = "task-server", [FINDINGS] = "findings"};

static const struct effort_of_programs {
    struct {
        int rounds, requests, pause_us;
    } convoy;
    struct {
        int rounds, seconds, tasks;
    } server;
    int findings_percent;
} efforts[] = {
    [QUICK] = {{2, 60, 2000}, {1, 1, 1000}, 30},
    [NORMAL] = {{3, 60, 5000}, {3, 2, 10000}, 100},
    [FULL] = {{5, 200, 10000}, {5, 3, 10000}, 100},
};

// ---- which are measured ------------------------------------------------------------------

// Whether it was there; then it is not any more.
static bool take_name(struct names *names, const char *name) {
    size_t i = names_find(names, name);
    if (i == names->count) return false;
    free(names->items[i]);
    memmove(&names->items[i], &names->items[i + 1], (--names->count - i) * sizeof *names->items);
    return true;
}

// What the claims compare beside the experiments: cycles and weak references, the convoy, and
// threads and processes on as many processors as there are, 4 at the most.
static void add_compared(struct run_options *options) {
    static const char *const compared[] = {"tasks-cycle", "tasks-weakref", "churn", "wordcount"};
    for (size_t i = 0; i < sizeof compared / sizeof *compared; i++) {
        take_name(&options->workloads, compared[i]);
        if (options->workloads.count < MAX_NAMES) names_add(&options->workloads, compared[i]);
    }
    if (options->mode == MODE_DEFAULT) options->mode = MODE_BOTH;
    options->programs[CONVOY] = true;
    if (options->thread_count) return;
    int cores = machine_cores();
    options->threads[options->thread_count++] = 1;
    if (cores > 1) options->threads[options->thread_count++] = cores < 4 ? cores : 4;
}

void programs_choose(struct run_options *options) {
    options->workloads_named = options->workloads.count > 0;
    for (size_t p = 0; p < PROGRAMS; p++)
        options->programs[p] = take_name(&options->workloads, program_names[p]);
    if (!options->workloads_named) {
        options->programs[CONVOY] = true;
        options->programs[TASK_SERVER] = options->effort == FULL;
    }
    if (options->programs[FINDINGS]) add_compared(options);
    options->no_drivers = options->workloads_named && options->workloads.count == 0;
}

static char *program_path(const struct run_options *options, enum program program,
                          const char *backend) {
    static const char *const folders[PROGRAMS] = {
        [CONVOY] = "convoy", [TASK_SERVER] = "server", [FINDINGS] = "findings"};
    return format("%s/workloads/experiments/%s/%s-%s", options->drivers, folders[program],
                  program_names[program], backend);
}

static bool on_path(const char *program) {
    char *folders = checked_strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = NULL;
    bool found = false;
    for (char *folder = strtok_r(folders, ":", &rest); folder && !found;
         folder = strtok_r(NULL, ":", &rest)) {
        char *path = format("%s/%s", folder, program);
        found = access(path, X_OK) == 0;
        free(path);
    }
    free(folders);
    return found;
}

// Why a workload cannot be measured; NULL: it can.
static char *lacks(const struct run_options *options, enum program program) {
    bool server = program == TASK_SERVER;
    if (server && !options->server_script)
        return format("it needs --server-script, workloads/experiments/server/load.py");
    if (server && !on_path("wrk"))
        return format("it needs wrk, which is not installed (Debian: apt-get install wrk)");
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = program_path(options, program, options->backends.items[i]), *why = NULL;
        if (access(path, X_OK) != 0)
            why = format("there is no program %s; build it%s", path,
                         server ? ", with libmicrohttpd (Debian: apt-get install libmicrohttpd-dev)"
                                : "");
        free(path);
        if (why) return why;
    }
    return NULL;
}

bool programs_find(struct run_options *options) {
    for (size_t p = 0; p < PROGRAMS; p++) {
        char *why = options->programs[p] ? lacks(options, p) : NULL;
        if (!why) continue;
        fprintf(stderr, "tally-compare: %s%s: %s\n", options->workloads_named ? "" : "leaves out ",
                program_names[p], why);
        if (!options->left_out) options->left_out = json_array();
        json_array_append_new(options->left_out,
                              json_pack("{s:s, s:s}", "workload", program_names[p], "why", why));
        options->programs[p] = false;
        free(why);
        if (options->workloads_named) return false;
    }
    return true;
}

// ---- jobs ----------------------------------------------------------------------------------

struct jobs {
    struct job *items;
    size_t count;
};

static void add_job(struct jobs *jobs, struct job job) {
    jobs->items = checked_realloc(jobs->items, (jobs->count + 1) * sizeof *jobs->items);
    jobs->items[jobs->count++] = job;
}

// Frees the jobs.
static void plan_rounds(struct plan *plan, struct jobs *jobs, int rounds) {
    size_t *order = checked_calloc(jobs->count, sizeof *order);
    for (int round = 0; round < rounds; round++) {
        plan_shuffle(plan, order, jobs->count);
        for (size_t i = 0; i < jobs->count; i++) {
            jobs->items[order[i]].round = round;
            plan_add(plan, jobs->items[order[i]]);
        }
    }
    free(order);
    free(jobs->items);
}

bool backend_has_gil(const struct run_options *options, const char *backend) {
    const json_t *entry;
    size_t index;
    json_array_foreach(options->known_backends, index, entry)
        if (strcmp(object_string(entry, "name", ""), backend) == 0)
            return strncmp(object_string(entry, "locking", ""), "gil", 3) == 0;
    return false;
}

// A quick run has what the summary shows; the claims compare two busy threads with none.
static void add_convoys(struct plan *plan) {
    static const int busy_counts[] = {2, 0, 1, 4};
    static const char *const schemes[] = {"cpython", "ticks", "deadline"};
    const struct run_options *options = plan->options;
    bool brief = options->effort == QUICK && !options->workloads_named;
    size_t counts = brief ? 1 : options->programs[FINDINGS] ? 2 : 4, kinds = brief ? 1 : 3;
    size_t pythons = options->convoy_script ? options->pythons.count : 0;
    struct jobs jobs = {0};
    for (size_t n = 0; options->programs[CONVOY] && n < counts; n++) {
        struct job job = {.kind = &kind_convoy, .workload = "convoy", .threads = busy_counts[n]};
        for (size_t b = 0; b < options->backends.count; b++) {
            job.backend = options->backends.items[b];
            bool gil = backend_has_gil(options, job.backend);
            for (size_t s = 0; s < (gil ? kinds : 1); s++) {
                job.variant = gil ? schemes[s] : NULL;
                add_job(&jobs, job);
            }
        }
        job.variant = NULL;
        for (size_t p = 0; p < pythons; p++) {
            job.backend = interpreter_name(options, p);
            add_job(&jobs, job);
        }
    }
    // With findings as many as its experiments have, so that each round has a pair.
    plan_rounds(plan, &jobs,
                options->programs[FINDINGS] ? plan->budget.rounds
                                            : efforts[options->effort].convoy.rounds);
}

static void add_servers(struct plan *plan) {
    static const char *const versions[] = {"1", "2"};
    const struct run_options *options = plan->options;
    struct jobs jobs = {0};
    for (size_t b = 0; options->programs[TASK_SERVER] && b < options->backends.count; b++)
        for (size_t t = 0; t < options->thread_count; t++)
            for (size_t v = 0; v < sizeof versions / sizeof *versions; v++)
                add_job(&jobs, (struct job){.kind = &kind_server,
                                            .workload = "task-server",
                                            .backend = options->backends.items[b],
                                            .variant = versions[v],
                                            .threads = options->threads[t]});
    plan_rounds(plan, &jobs, efforts[options->effort].server.rounds);
}

static void add_findings(struct plan *plan) {
    static const struct {
        const char *name, *variant;
    } experiments[] = {{"counting", "time"},     {"generations", NULL},   {"slots", NULL},
                       {"range", "whole"},       {"range", "lazy"},       {"memory", "none"},
                       {"memory", "thousandth"}, {"memory", "hundredth"}, {"freeing", "owner"},
                       {"freeing", "other"},     {"freeing", "cycle"}};
    const struct run_options *options = plan->options;
    struct jobs jobs = {0};
    for (size_t b = 0; options->programs[FINDINGS] && b < options->backends.count; b++)
        for (size_t e = 0; e < sizeof experiments / sizeof *experiments; e++)
            add_job(&jobs, (struct job){.kind = &kind_findings,
                                        .workload = experiments[e].name,
                                        .backend = options->backends.items[b],
                                        .variant = experiments[e].variant,
                                        .threads = 1});
    plan_rounds(plan, &jobs, plan->budget.rounds);
}

// ---- what a job is told ----------------------------------------------------------------------

static void add_program(const struct plan *plan, const struct job *job, enum program program,
                        struct arguments *arguments) {
    arguments->items[arguments->count++] = program_path(plan->options, program, job->backend);
}

static void add_convoy_words(const struct plan *plan, const struct job *job,
                             struct arguments *arguments) {
    const struct effort_of_programs *effort = &efforts[plan->options->effort];
    if (names_have(&plan->options->backends, job->backend))
        add_program(plan, job, CONVOY, arguments);
    else
        add_script(plan, job, plan->options->convoy_script, arguments);
    arguments_add(arguments, "--busy=%d", job->threads);
    arguments_add(arguments, "--requests=%d", effort->convoy.requests);
    arguments_add(arguments, "--pause=%d", effort->convoy.pause_us);
    if (plan->options->switch_interval_us)
        arguments_add(arguments, "--interval=%u", plan->options->switch_interval_us);
    if (job->variant) arguments_add(arguments, "--scheme=%s", job->variant);
    arguments_add(arguments, "--times");
}

static void add_server_words(const struct plan *plan, const struct job *job,
                             struct arguments *arguments) {
    const struct effort_of_programs *effort = &efforts[plan->options->effort];
    arguments_add(arguments, "python3");
    arguments_add(arguments, "-B"); // writes nothing beside the script
    arguments_add(arguments, "%s", plan->options->server_script);
    arguments->items[arguments->count++] = program_path(plan->options, TASK_SERVER, job->backend);
    arguments_add(arguments, "--version=%s", job->variant);
    arguments_add(arguments, "--threads=%d", job->threads);
    arguments_add(arguments, "--seconds=%d", effort->server.seconds);
    arguments_add(arguments, "--tasks=%d", effort->server.tasks);
    arguments_add(arguments, "--seed=%llu", (unsigned long long)job->seed);
    if (job->round == 0 && job->threads == plan->options->threads[0])
        arguments_add(arguments, "--check");
}

static void add_findings_words(const struct plan *plan, const struct job *job,
                               struct arguments *arguments) {
    add_program(plan, job, FINDINGS, arguments);
    arguments_add(arguments, "%s", job->workload);
    if (job->variant) arguments_add(arguments, "%s", job->variant);
    arguments_add(arguments, "--size=%d", efforts[plan->options->effort].findings_percent);
}

const struct kind kind_convoy = {.list = LIST_CONVOY,
                                 .add_jobs = add_convoys,
                                 .add_program = add_convoy_words,
                                 .whole_command = true,
                                 .check = convoy_check};
const struct kind kind_server = {.list = LIST_SERVERS,
                                 .add_jobs = add_servers,
                                 .add_program = add_server_words,
                                 .whole_command = true,
                                 .check = server_check};
const struct kind kind_findings = {.list = LIST_FINDINGS,
                                   .add_jobs = add_findings,
                                   .add_program = add_findings_words,
                                   .whole_command = true,
                                   .check = findings_check};
