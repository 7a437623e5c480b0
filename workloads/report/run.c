// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures; see run.h.  Runs the jobs of the plan one after the other.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "run.h"

#include "machine.h"
#include "plan.h"
#include "process.h"
#include "results.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { PROCESS_MS = 25 }; // a guess at start and setup, for the first estimate only

struct run {
    const struct plan *plan;
    size_t done, total;
    double started, last_line;
    bool terminal;
    json_t *results;
};

static double seconds_left(const struct run *run)
{
    const struct plan *plan = run->plan;
    double elapsed = clock_seconds() - run->started;
    size_t left = run->total > run->done ? run->total - run->done : 0;
    double one = (plan->budget.samples * plan->sample_ms + plan->warmup_ms + PROCESS_MS) / 1000.0;
    if (run->done > 5)
        one = elapsed / (double)run->done;
    return one * (double)left;
}

// One rewritten line on a terminal; elsewhere a line every ten seconds.
static void show_progress(struct run *run, const struct job *job)
{
    double now = clock_seconds();
    int left = (int)(seconds_left(run) + 0.5);
    if (!run->terminal && run->done && now - run->last_line < 10)
        return;
    run->last_line = now;
    fprintf(stderr, "%s%zu of %zu blocks done, %zu left, about %d:%02d; now %s on %s, %d thread%s%s",
            run->terminal ? "\r\033[K" : "", run->done, run->total, run->total - run->done, left / 60, left % 60,
            job->workload, job->backend, job->threads, job->threads == 1 ? "" : "s", run->terminal ? "" : "\n");
    fflush(stderr);
}

static void add_failure(struct run *run, const struct job *job, const struct process_result *result, const char *why)
{
    struct text message = {0};
    if (why)
        text_add(&message, "%s\n", why);
    if (result->timed_out)
        text_add(&message, "no answer in time, ended\n");
    else if (result->status > 128)
        text_add(&message, "ended by signal %d (%s)\n", result->status - 128, strsignal(result->status - 128));
    text_add(&message, "%s", text_string(&result->errors));
    json_t *shown = json_string(text_string(&message)); // NULL where it is no UTF-8
    json_t *failure = json_pack("{s:s, s:s, s:i, s:b, s:i, s:o}", "workload", job->workload, "backend", job->backend,
                                "threads", job->threads, "counted", job->kind->counted, "status", result->status,
                                "stderr", shown ? shown : json_string("(a message that is no UTF-8)"));
    json_array_append_new(json_object_get(run->results, "failures"), failure);
    if (run->terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "failed: %s on %s, %d threads (status %d): %.300s\n", job->workload, job->backend, job->threads,
            result->status, text_string(&message));
    text_free(&message);
}

static void keep_block(struct run *run, const struct job *job, const struct process_result *result)
{
    const char *why = NULL;
    json_error_t error;
    json_t *block = json_loads(text_string(&result->output), 0, &error);
    bool good = block && (job->kind->check ? job->kind->check : results_check_block)(block, &why);
    bool stopped = process_stop_asked();
    if (good && (result->status == 0 || stopped)) {
        json_object_set_new(block, "round", json_integer(job->round));
        if (stopped)
            json_object_set_new(block, "incomplete", json_true());
        if (job->variant)
            json_object_set_new(block, "variant", json_string(job->variant));
        json_array_append(json_object_get(run->results, job->kind->list), block);
    } else if (!stopped) {
        add_failure(run, job, result, result->status ? NULL : why ? why : "the driver printed no JSON");
    }
    json_decref(block);
}

static void run_job(struct run *run, const struct job *job)
{
    struct arguments arguments = plan_arguments(run->plan, job);
    double timeout = 60 + 0.05 * run->plan->budget.samples * run->plan->sample_ms;
    show_progress(run, job);
    struct process_result result = process_run(arguments.items, timeout);
    keep_block(run, job, &result);
    run->done++;
    text_free(&result.output);
    text_free(&result.errors);
    arguments_free(&arguments);
}

// Rounds past the third are left out where a quick run would take too long.
static bool takes_too_long(const struct run *run, int round)
{
    double elapsed = clock_seconds() - run->started;
    return run->plan->options->effort == QUICK && round >= 3 && elapsed / round * (round + 1) > 26;
}

static void run_jobs(struct run *run)
{
    int last_round = run->plan->budget.rounds, round = 0;
    for (size_t i = 0; i < run->plan->count && !process_stop_asked(); i++) {
        const struct job *job = &run->plan->jobs[i];
        bool timed = job->kind == &kind_timed;
        if (timed && job->round != round && takes_too_long(run, job->round) && job->round < last_round)
            last_round = job->round;
        round = timed ? job->round : round;
        if (timed && job->round >= last_round)
            run->total--;
        else
            run_job(run, job);
    }
}

json_t *run_measure(const struct run_options *options)
{
    char started[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts))
        strftime(started, sizeof started, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *machine = machine_facts();
    struct plan plan = plan_make(options);
    json_t *results = json_pack("{s:s, s:i, s:s, s:I, s:O, s:O, s:o, s:o, s:b}", "format", "tally-results", "version",
                                RESULTS_VERSION, "started", started, "seed", (json_int_t)options->seed, "workloads",
                                options->descriptions, "backends", options->known_backends, "machine", machine,
                                "build", build_facts(), "incomplete", 0);
    for (size_t k = 0; kinds[k]; k++)
        json_object_set_new(results, kinds[k]->list, json_array());
    json_object_set_new(results, "failures", json_array());
    json_object_set(results, "left_out", options->left_out); // nothing where it is NULL
    struct run run = {.plan = &plan,
                      .total = plan.count,
                      .terminal = isatty(STDERR_FILENO),
                      .started = clock_seconds(),
                      .results = results};
    double stolen[2], ticks[2];
    machine_steal(&stolen[0], &ticks[0]);
    run_jobs(&run);
    machine_steal(&stolen[1], &ticks[1]);
    if (ticks[1] > ticks[0])
        json_object_set_new(machine, "steal_share", json_real((stolen[1] - stolen[0]) / (ticks[1] - ticks[0])));
    json_object_set_new(results, "incomplete", json_boolean(process_stop_asked()));
    if (run.terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%zu of %zu blocks done in %.0f s\n", run.done, run.total, clock_seconds() - run.started);
    plan_free(&plan);
    return results;
}
