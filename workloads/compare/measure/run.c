// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures; see run.h.  Runs the jobs of the plan one after the other.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "run.h"

#include "analysis.h"
#include "conditions.h"
#include "journal.h"
#include "machine.h"
#include "plan.h"
#include "process.h"
#include "results.h"
#include "statistics.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { LOOK_AGAIN = 20 }; // rounds at least
enum { PROCESS_MS = 67 }; // of start, setup and end, for the first estimate: the mean of 5,325 runs

struct session {
    struct plan *plan;
    size_t done, total;
    double started, last_line;
    bool terminal;
    json_t *results;
    struct journal *journal;
    bool *finished; // one a job
};

static double seconds_left(const struct session *session) {
    const struct plan *plan = session->plan;
    double elapsed = clock_seconds() - session->started;
    size_t left = session->total > session->done ? session->total - session->done : 0;
    double one = (plan->budget.samples * plan->sample_ms + plan->warmup_ms + PROCESS_MS) / 1000.0;
    if (session->done > 5) one = elapsed / (double)session->done;
    return one * (double)left;
}

// What is to be measured, how long that takes, and what spoils it.
static void preview(FILE *out, const struct session *session) {
    int seconds = (int)(seconds_left(session) + 0.5);
    struct conditions conditions = conditions_look("");
    char *line = conditions_line(&conditions);
    fprintf(out, "%zu runs, about %d:%02d\n", session->total, seconds / 60, seconds % 60);
    if (line)
        fprintf(out,
                "numbers are spoilt by: %s; %s tune --check tells what to do, and "
                "--wait-for-quiet waits for other load to end\n",
                line, script_name());
    free(line);
    conditions_free(&conditions);
}

// One rewritten line on a terminal; elsewhere a line every ten seconds.
static void show_progress(struct session *session, const struct job *job) {
    double now = clock_seconds();
    int left = (int)(seconds_left(session) + 0.5);
    if (!session->terminal && session->done && now - session->last_line < 10) return;
    session->last_line = now;
    fprintf(stderr, "%s%zu of %zu runs done, %zu left, about %d:%02d; now %s on %s, %d %s%s%s",
            session->terminal ? "\r\033[K" : "", session->done, session->total,
            session->total - session->done, left / 60, left % 60, job->workload, job->backend,
            job->threads, job->kind->processes ? "process" : "thread",
            job->threads == 1      ? ""
            : job->kind->processes ? "es"
                                   : "s",
            session->terminal ? "" : "\n");
    fflush(stderr);
}

static void add_failure(struct session *session, const struct job *job,
                        const struct process_result *result, const char *why) {
    struct text message = {0};
    if (why) text_add(&message, "%s\n", why);
    if (result->timed_out)
        text_add(&message, "no answer in time, ended\n");
    else if (result->status > 128)
        text_add(&message, "ended by signal %d (%s)\n", result->status - 128,
                 strsignal(result->status - 128));
    text_add(&message, "%s", text_string(&result->errors));
    json_t *shown = json_string(text_string(&message)); // NULL where it is no UTF-8
    json_t *failure =
        json_pack("{s:s, s:s, s:i, s:s, s:b, s:i, s:o}", "workload", job->workload, "backend",
                  job->backend, "threads", job->threads, "list", list_names[job->kind->list],
                  "counted", job->kind->counted, "status", result->status, "stderr",
                  shown ? shown : json_string("(a message that is no UTF-8)"));
    json_array_append(json_object_get(session->results, "failures"), failure);
    journal_add(session->journal,
                json_pack("{s:I, s:o}", "job", (json_int_t)(job - session->plan->jobs), "failure",
                          failure));
    if (session->terminal) fputs("\r\033[K", stderr);
    fprintf(stderr, "failed: %s on %s, %d threads (status %d): %.300s\n", job->workload,
            job->backend, job->threads, result->status, text_string(&message));
    text_free(&message);
}

// Marks the samples that were taken before the process was warm; they stay.
static void mark_warmup(json_t *run) {
    json_t *samples = json_object_get(run, "samples");
    size_t count = json_array_size(samples);
    double *rates = checked_calloc(count, sizeof *rates);
    for (size_t i = 0; i < count; i++) rates[i] = sample_rate(json_array_get(samples, i));
    size_t cold = warmup_length(rates, count);
    for (size_t i = 0; i < cold; i++)
        json_object_set_new(json_array_get(samples, i), "warmup", json_true());
    json_object_set_new(run, "warmup_samples", json_integer((json_int_t)cold));
    free(rates);
}

static void keep_run(struct session *session, const struct job *job,
                     const struct process_result *result, double seconds) {
    const char *why = NULL;
    json_error_t error;
    json_t *run = json_loads(text_string(&result->output), 0, &error);
    bool good = run && (job->kind->check ? job->kind->check : results_check_run)(run, &why);
    bool stopped = process_stop_asked();
    if (good && (result->status == 0 || stopped)) {
        struct layout layout = job_layout(job);
        json_object_set_new(run, "round", json_integer(job->round));
        json_object_set_new(run, "seed", json_integer((json_int_t)job->seed));
        json_object_set_new(run, "environment_bytes", json_integer(layout.environment_bytes));
        json_object_set_new(run, "wall_seconds", json_real(seconds));
        if (job->kind == &kind_control) json_object_set_new(run, "control", json_true());
        mark_warmup(run);
        if (stopped) json_object_set_new(run, "incomplete", json_true());
        if (job->variant) json_object_set_new(run, "variant", json_string(job->variant));
        json_array_append(json_object_get(session->results, list_names[job->kind->list]), run);
        // One that was cut short keeps its samples, and its job is done again.
        journal_add(session->journal,
                    json_pack("{s:I, s:s, s:O, s:b}", "job",
                              (json_int_t)(job - session->plan->jobs), "list",
                              list_names[job->kind->list], "run", run, "again", stopped));
    } else if (!stopped) {
        add_failure(session, job, result,
                    result->status ? NULL
                    : why          ? why
                                   : "the driver printed no JSON");
    }
    json_decref(run);
}

static void run_job(struct session *session, const struct job *job) {
    struct arguments arguments = plan_arguments(session->plan, job);
    // The driver ends by itself where a step of its takes too long; this is for one that cannot.
    int limit =
        session->plan->options->time_limit ? session->plan->options->time_limit : TIME_LIMIT;
    double timeout = 2 * limit + 0.05 * session->plan->budget.samples * session->plan->sample_ms;
    show_progress(session, job);
    struct layout layout = job_layout(job);
    char *environment[] = {format("TALLY_LAYOUT=%0*d", layout.environment_bytes + 1, 0),
                           format("TALLY_HEAP_OFFSET=%d", layout.heap_offset), NULL};
    double before = clock_seconds();
    struct process_result result = process_run(arguments.items, environment, timeout);
    keep_run(session, job, &result, clock_seconds() - before);
    free(environment[0]);
    free(environment[1]);
    session->done++;
    text_free(&result.output);
    text_free(&result.errors);
    arguments_free(&arguments);
}

// Rounds past the third are left out where a quick run would take too long.
static bool takes_too_long(const struct session *session, int round) {
    double elapsed = clock_seconds() - session->started;
    return session->plan->options->effort == QUICK && !session->plan->options->rounds &&
           round >= 3 && elapsed / round * (round + 1) > 26;
}

// From job `first` on, up to round `last_round`.
static void run_jobs(struct session *session, size_t first, int last_round) {
    int round = 0;
    for (size_t i = first;
         i < session->plan->count && !process_stop_asked() && !session->journal->failed; i++) {
        const struct job *job = &session->plan->jobs[i];
        bool timed = job->kind->turns;
        if (first == 0 && timed && job->round != round && takes_too_long(session, job->round) &&
            job->round < last_round)
            last_round = job->round;
        round = timed ? job->round : round;
        if (session->finished[i]) continue;
        if (timed && job->round >= last_round)
            session->total--;
        else if (journal_is_there(session->journal))
            run_job(session, job);
    }
}

static bool failure_is_good(const json_t *failure, const struct job *job) {
    return strcmp(object_string(failure, "workload", ""), job->workload) == 0 &&
           strcmp(object_string(failure, "backend", ""), job->backend) == 0 &&
           object_number(failure, "threads", 0) == job->threads &&
           json_is_string(json_object_get(failure, "list")) &&
           json_is_boolean(json_object_get(failure, "counted")) &&
           json_is_integer(json_object_get(failure, "status")) &&
           json_is_string(json_object_get(failure, "stderr"));
}

// Whether a line of the journal is a run that this job prints, in the list where the job's runs
// are.
static bool run_is_good(const json_t *entry, const json_t *run, const struct job *job) {
    const struct kind *kind = job->kind;
    const char *why;
    if (!run || strcmp(object_string(entry, "list", ""), list_names[kind->list]) != 0) return false;
    if (kind->check) return kind->check(run, &why);
    return results_check_run(run, &why) &&
           strcmp(object_string(run, "workload", ""), job->workload) == 0 &&
           strcmp(object_string(run, "backend", ""), job->backend) == 0 &&
           object_number(run, "threads", 0) == job->threads;
}

// Takes over what was finished before of the jobs from `first` on.  What does not fit its job is
// measured again.
static void restore(struct session *session, size_t first) {
    const json_t *entry;
    size_t index;
    json_array_foreach(session->journal->entries, index, entry) {
        json_t *run = json_object_get(entry, "run"), *failure = json_object_get(entry, "failure");
        double number = object_number(entry, "job", -1);
        if (!(number >= (double)first) || number >= (double)session->plan->count) continue;
        const struct job *job = &session->plan->jobs[(size_t)number];
        if (run_is_good(entry, run, job))
            json_array_append(json_object_get(session->results, list_names[job->kind->list]), run);
        else if (failure && failure_is_good(failure, job))
            json_array_append(json_object_get(session->results, "failures"), failure);
        else
            continue;
        session->started -= object_number(run, "wall_seconds", 0);
        if (json_is_true(json_object_get(entry, "again")) || session->finished[(size_t)number])
            continue;
        session->finished[(size_t)number] = true;
        session->done++;
    }
}

// The jobs that were added to the plan from `first` on. Which these are follows from the results,
// so a run that goes on finds the same ones.
static void run_added(struct session *session, size_t first, int last_round) {
    struct plan *plan = session->plan;
    session->finished = checked_realloc(session->finished, plan->count * sizeof *session->finished);
    memset(session->finished + first, 0, (plan->count - first) * sizeof *session->finished);
    session->total += plan->count - first;
    restore(session, first);
    run_jobs(session, first, last_round);
}

// What looks slower than the other build is measured again; see analysis/against.c.
static void look_again(struct session *session) {
    struct plan *plan = session->plan;
    int rounds = plan->budget.rounds > LOOK_AGAIN ? plan->budget.rounds : LOOK_AGAIN;
    size_t first = plan->count;
    struct results results = results_make(session->results);
    struct analysis analysis = analysis_make(&results, plan->options->margin);
    size_t rows = plan_look_again(plan, &analysis, plan->budget.rounds, rounds);
    if (rows) {
        json_object_set_new(session->results, "first_rounds", json_integer(plan->budget.rounds));
        if (session->terminal) fputs("\r\033[K", stderr);
        fprintf(stderr, "%zu of %zu comparisons look slower: %d more rounds of these\n", rows,
                analysis.families[FAMILY_AGAINST].count, rounds);
        run_added(session, first, plan->budget.rounds + rounds);
    }
    analysis_free(&analysis);
    results_free(&results);
}

// Where the memory of each workload goes that grew while it was measured.
static void read_ledgers(struct session *session) {
    size_t first = session->plan->count;
    if (plan_read_ledgers(session->plan)) run_added(session, first, 1);
}

// All that decides what the jobs are, as a number.
static char *plan_fingerprint(const struct plan *plan) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (size_t i = 0; i < plan->count; i++) {
        struct arguments arguments = plan_arguments(plan, &plan->jobs[i]);
        // Without the program, whose path may change and whose content is compared.
        for (size_t k = 1; k < arguments.count; k++)
            for (const char *c = arguments.items[k]; *c; c++)
                hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        for (const char *c = plan->jobs[i].backend; *c; c++)
            hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
        arguments_free(&arguments);
    }
    return format("%016llx", (unsigned long long)hash);
}

// Takes the path over.
static void add_program(json_t *programs, const char *build, char *path) {
    char *print = file_fingerprint(path), *name = format("%s%s", build, strrchr(path, '/') + 1);
    json_object_set_new(programs, name, json_string(print));
    free(name);
    free(print);
    free(path);
}

// What must be as it was for a run to go on.
static json_t *run_identity(const struct plan *plan, const json_t *machine) {
    const struct run_options *options = plan->options;
    json_t *programs = json_object();
    for (size_t i = 0; i < options->backends.count; i++)
        for (int counted = 0; counted < 2; counted++)
            add_program(programs, "", driver_path(options, options->backends.items[i], counted));
    for (size_t i = 0; options->against && i < options->backends.count; i++)
        add_program(programs, "against ",
                    format("%s/tally-%s", options->against, options->backends.items[i]));
    char *jobs = plan_fingerprint(plan);
    json_t *identity =
        json_pack("{s:s, s:o, s:s, s:s, s:f}", "jobs", jobs, "programs", programs, "cpu",
                  object_string(machine, "cpu", ""), "kernel", object_string(machine, "kernel", ""),
                  "cores", object_number(machine, "cores", 0));
    free(jobs);
    return identity;
}

static json_t *make_header(const struct run_options *options, const json_t *identity,
                           json_t *machine, const char *started) {
    struct text backends = {0};
    for (size_t i = 0; i < options->backends.count; i++)
        text_add(&backends, "%s%s", i ? "," : "", options->backends.items[i]);
    json_t *header =
        json_pack("{s:s, s:i, s:O, s:s, s:I, s:s, s:O, s:O}", "format", "tally-journal", "version",
                  RESULTS_VERSION, "arguments", options->arguments, "backends",
                  text_string(&backends), "seed", (json_int_t)options->seed, "started", started,
                  "machine", machine, "identity", identity);
    text_free(&backends);
    return header;
}

// True where the journal can be added to; *machine and *started become
// those of a run that goes on.
static bool open_journal(struct journal *journal, const char *folder, const struct plan *plan,
                         json_t **machine, const char **started) {
    json_t *identity = run_identity(plan, *machine);
    bool good = false, same = journal->header == NULL ||
                              json_equal(json_object_get(journal->header, "identity"), identity);
    if (!same) {
        fprintf(stderr,
                "tally-compare: the run in %s was begun with other programs, texts or options, or "
                "on another "
                "machine; start anew in another folder\n",
                folder);
    } else if (journal->header == NULL) {
        good = journal_begin(journal, make_header(plan->options, identity, *machine, *started));
    } else {
        json_decref(*machine);
        *machine = json_incref(json_object_get(journal->header, "machine"));
        good = journal_continue(journal, json_pack("{s:s}", "resumed", *started));
        *started = object_string(journal->header, "started", "");
    }
    json_decref(identity);
    return good;
}

static size_t times_resumed(const struct journal *journal) {
    const json_t *entry;
    size_t index, times = 1;
    json_array_foreach(journal->entries, index, entry)
        times += json_object_get(entry, "resumed") != NULL;
    return times;
}

void run_preview(const struct run_options *options) {
    struct plan plan = plan_make(options);
    const struct session session = {.plan = &plan, .total = plan.count};
    preview(stdout, &session);
    plan_free(&plan);
}

json_t *run_measure(const struct run_options *options, struct journal *journal,
                    const char *folder) {
    char clock[32] = "";
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts)) strftime(clock, sizeof clock, "%Y-%m-%dT%H:%M:%SZ", &parts);
    json_t *machine = machine_facts();
    struct plan plan = plan_make(options);
    const char *started = clock;
    bool goes_on = journal->header != NULL;
    if (!open_journal(journal, folder, &plan, &machine, &started)) {
        plan_free(&plan);
        json_decref(machine);
        return NULL;
    }
    json_t *results =
        json_pack("{s:s, s:i, s:s, s:I, s:O, s:O, s:o, s:o, s:b}", "format", "tally-results",
                  "version", RESULTS_VERSION, "started", started, "seed", (json_int_t)options->seed,
                  "workloads", options->descriptions, "backends", options->known_backends,
                  "machine", machine, "build", build_facts(), "incomplete", 0);
    json_object_set_new(results, "margin", json_real(options->margin));
    json_object_set_new(results, "self", json_boolean(options->self));
    for (size_t k = 0; kinds[k]; k++)
        json_object_set_new(results, list_names[kinds[k]->list], json_array());
    json_object_set_new(results, "failures", json_array());
    const char *commit = getenv("TALLY_AGAINST_COMMIT");
    if (options->against)
        json_object_set_new(
            results, "against_build",
            json_pack("{s:s}", "commit", commit && *commit ? commit : "another build"));
    json_object_set(results, "left_out", options->left_out); // nothing where it is NULL
    json_object_set(results, "causes", options->causes);     // the same
    json_object_set_new(results, "every_cause", json_boolean(options->what_if));
    plan.results = results;
    struct session session = {.plan = &plan,
                              .total = plan.count,
                              .terminal = isatty(STDERR_FILENO),
                              .started = clock_seconds(),
                              .results = results,
                              .journal = journal,
                              .finished = checked_calloc(plan.count, sizeof *session.finished)};
    if (goes_on) {
        restore(&session, 0);
        json_object_set_new(results, "resumed", json_integer((json_int_t)times_resumed(journal)));
        fprintf(stderr, "going on with the run in %s: %zu of %zu runs are there\n", folder,
                session.done, session.total);
    }
    if (!goes_on) preview(stderr, &session);
    struct ticks before, after;
    machine_ticks("", &before);
    run_jobs(&session, 0, plan.budget.rounds);
    bool goes_to_end = !process_stop_asked() && !journal->failed;
    if (options->against && goes_to_end) look_again(&session);
    if (!options->against && !options->self && goes_to_end) read_ledgers(&session);
    machine_ticks("", &after);
    if (after.total > before.total)
        json_object_set_new(
            machine, "steal_share",
            json_real((after.stolen - before.stolen) / (after.total - before.total)));
    json_object_set_new(results, "incomplete", json_boolean(process_stop_asked()));
    if (session.terminal) fputs("\r\033[K", stderr);
    fprintf(stderr, "%zu of %zu runs done in %.0f s\n", session.done, session.total,
            clock_seconds() - session.started);
    free(session.finished);
    plan_free(&plan);
    if (journal->failed) {
        json_decref(results);
        return NULL;
    }
    return results;
}
