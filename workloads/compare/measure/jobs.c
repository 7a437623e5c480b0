// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The jobs of the drivers and of interpreters.  A round runs each workload and number of
// threads once in every way that is to be compared, in an order drawn anew, so that what
// the machine does falls on all of them alike.  Beside the backends that are
//  - the control: a backend a second time, the first one, on one thread count of each
//    workload in turn, or with --self all, on each;
//  - the drivers of another build;
//  - processes of one thread each on the reference, the way around its lock; not where
//    threads touch the same objects, which processes cannot;
//  - an interpreter, which runs a script of the same name;
//  - runs without a cause of cost, see what_if.h.
// After these rounds come those of a fixed total, of variants, and the counting pass.
#include "plan.h"

#include "analysis.h"
#include "machine.h"
#include "results.h"
#include "statistics.h"
#include "text.h"
#include "what_if.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SHORT_SAMPLES = 3 }; // of a fixed total, and of a variant
enum { MOST_TURNS = (6 + WHAT_IF_CAUSES) * MAX_NAMES };

// What takes turns at one point.
struct turns {
    struct job jobs[MOST_TURNS];
    size_t count;
};

static void add_turn(struct turns *turns, const struct kind *kind, const char *backend) {
    turns->jobs[turns->count++] = (struct job){.kind = kind, .backend = backend};
}

static void add_backends(struct turns *turns, const struct run_options *options,
                         const struct kind *kind, size_t count) {
    for (size_t b = 0; b < count; b++) add_turn(turns, kind, options->backends.items[b]);
}

// In an order drawn anew.
static void add_point(struct plan *plan, const struct turns *turns, const char *workload,
                      const char *variant, int threads, int round) {
    size_t order[MOST_TURNS];
    plan_shuffle(plan, order, turns->count);
    for (size_t i = 0; i < turns->count; i++) {
        struct job job = turns->jobs[order[i]];
        job.workload = workload;
        job.variant = variant;
        job.threads = threads;
        job.round = round;
        plan_add(plan, job);
    }
}

// ---- the timed rounds --------------------------------------------------------------------

static bool lists(const json_t *about, const char *list, const char *word) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(about, list), index, entry) {
        if (json_is_string(entry) && strcmp(json_string_value(entry), word) == 0) return true;
    }
    return false;
}

// An interpreter takes seconds for each; a quick run asks it once.
// What another version of Python did cannot be had of this one.
static void add_collectors(struct turns *turns, const struct run_options *options,
                           const char *workload, const char *variant, int round) {
    for (size_t p = 0; p < options->pythons.count; p++) {
        const json_t *about = options->interpreters[p].collector;
        if (lists(about, "workloads", workload) && (options->effort != QUICK || round == 0) &&
            !(variant && lists(about, "lacks", variant)))
            add_turn(turns, &kind_python, interpreter_name(options, p));
    }
}

// The reference, if it is measured.
static const char *reference(const struct run_options *options) {
    const char *first = object_string(json_array_get(options->known_backends, 0), "name", "");
    return names_have(&options->backends, first) ? first : NULL;
}

static bool runs_as_processes(const struct run_options *options, const char *workload,
                              int threads) {
    bool wanted =
        options->mode == MODE_BOTH || (options->mode == MODE_DEFAULT && options->effort == FULL);
    return wanted && reference(options) && threads > 1 && threads <= machine_cores() &&
           strcmp(object_string(workload_description(options, workload), "sharing", ""), "own") ==
               0;
}

// How many of the backends have a control at this point.
static size_t controls_at(const struct run_options *options, size_t workload, size_t threads) {
    if (options->self) return options->backends.count;
    return workload % options->thread_count == threads;
}

static void add_without(struct turns *turns, const struct plan *plan, const char *workload,
                        int threads, int round) {
    struct without found[MAX_NAMES * WHAT_IF_CAUSES];
    size_t count = what_if_at(plan->options, workload, threads, round, plan->budget.rounds, found);
    for (size_t i = 0; i < count; i++) {
        add_turn(turns, &kind_what_if, found[i].backend);
        turns->jobs[turns->count - 1].without = found[i].cause;
    }
}

static struct turns timed_turns(const struct plan *plan, size_t w, size_t t, int round) {
    const struct run_options *options = plan->options;
    const char *workload = options->workloads.items[w];
    int threads = options->threads[t];
    struct turns turns = {.count = 0};
    add_backends(&turns, options, &kind_timed, options->backends.count);
    add_backends(&turns, options, &kind_control, controls_at(options, w, t));
    if (options->self) return turns;
    add_without(&turns, plan, workload, threads, round);
    if (options->against) add_backends(&turns, options, &kind_against, options->backends.count);
    if (runs_as_processes(options, workload, threads))
        add_turn(&turns, &kind_processes, reference(options));
    for (size_t p = 0; p < options->pythons.count; p++)
        if (lists(options->interpreters[p].patterns, "workloads", workload))
            add_turn(&turns, &kind_patterns, interpreter_name(options, p));
    if (variant_threads(options, t) && json_array_size(workload_variants(options, workload)) == 0)
        add_collectors(&turns, options, workload, NULL, round);
    return turns;
}

static void add_timed(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (int round = 0; round < plan->budget.rounds; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t t = 0; t < options->thread_count; t++) {
                struct turns turns = timed_turns(plan, w, t, round);
                add_point(plan, &turns, options->workloads.items[w], NULL, options->threads[t],
                          round);
            }
}

size_t plan_look_again(struct plan *plan, const struct analysis *analysis, int first, int rounds) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    size_t rows = 0;
    for (size_t i = 0; i < list->count; i++) rows += list->items[i].looks_slower;
    for (int round = first; round < first + rounds; round++)
        for (size_t i = 0; i < list->count; i++) {
            const struct key *key = &list->items[i].over->key;
            struct turns turns = {.count = 0};
            add_turn(&turns, &kind_timed, key->backend);
            add_turn(&turns, &kind_against, key->backend);
            if (list->items[i].looks_slower)
                add_point(plan, &turns, key->workload, NULL, key->threads, round);
        }
    return rows;
}

// ---- the rounds after them ------------------------------------------------------------------

static void add_totals(struct plan *plan) {
    const struct run_options *options = plan->options;
    size_t chosen = 0;
    for (size_t t = 0; t < options->thread_count; t++) chosen += variant_threads(options, t);
    if (options->effort == QUICK || chosen < 2) return;
    struct turns turns = {.count = 0};
    add_backends(&turns, options, &kind_total, options->backends.count);
    for (int round = 0; round < plan->budget.rounds / 2 + 1; round++)
        for (size_t w = 0; w < options->workloads.count; w++)
            for (size_t t = 0; t < options->thread_count; t++)
                if (variant_threads(options, t))
                    add_point(plan, &turns, options->workloads.items[w], NULL, options->threads[t],
                              round);
}

static void add_variant(struct plan *plan, const char *workload, const char *variant, int round) {
    const struct run_options *options = plan->options;
    struct turns turns = {.count = 0};
    add_backends(&turns, options, &kind_variants, options->backends.count);
    add_collectors(&turns, options, workload, variant, round);
    for (size_t t = 0; t < options->thread_count; t++)
        if (variant_threads(options, t))
            add_point(plan, &turns, workload, variant, options->threads[t], round);
}

static void add_variants(struct plan *plan) {
    const struct run_options *options = plan->options;
    int rounds = plan->budget.rounds / 2 > 2 ? plan->budget.rounds / 2 : 2;
    for (int round = 0; round < rounds; round++)
        for (size_t w = 0; w < options->workloads.count; w++) {
            const json_t *variant;
            size_t index;
            json_array_foreach(workload_variants(options, options->workloads.items[w]), index,
                               variant) {
                add_variant(plan, options->workloads.items[w], json_string_value(variant), round);
            }
        }
}

static void add_counted(struct plan *plan) {
    const struct run_options *options = plan->options;
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = driver_path(options, options->backends.items[i], true);
        bool found = access(path, X_OK) == 0;
        free(path);
        if (!found) return;
    }
    struct turns turns = {.count = 0};
    add_backends(&turns, options, &kind_counted, options->backends.count);
    for (size_t w = 0; w < options->workloads.count; w++)
        for (size_t t = 0; t < options->thread_count; t++)
            add_point(plan, &turns, options->workloads.items[w], NULL, options->threads[t], 0);
}

// ---- what a job is told -----------------------------------------------------------------------

static void add_other_build(const struct plan *plan, const struct job *job,
                            struct arguments *arguments) {
    arguments_add(arguments, "%s/tally-%s", plan->options->against, job->backend);
}

void add_script(const struct plan *plan, const struct job *job, const char *script,
                struct arguments *arguments) {
    size_t p = 0;
    while (strcmp(interpreter_name(plan->options, p), job->backend) != 0) p++;
    arguments_add(arguments, "%s", plan->options->pythons.items[p]);
    arguments_add(arguments, "-B"); // writes nothing beside the script
    arguments_add(arguments, "%s", script);
}

static void add_collector_script(const struct plan *plan, const struct job *job,
                                 struct arguments *arguments) {
    add_script(plan, job, plan->options->python_script, arguments);
}

static void add_patterns_script(const struct plan *plan, const struct job *job,
                                struct arguments *arguments) {
    add_script(plan, job, plan->options->patterns_script, arguments);
}

static void add_short(const struct plan *plan, const struct job *job, struct arguments *arguments) {
    (void)plan;
    (void)job;
    arguments_add(arguments, "--samples=%d", SHORT_SAMPLES);
}

// Operations per second of the best samples on the fewest threads that gave any; 0: none did.
static double best_rate(const json_t *results, const struct job *job) {
    const json_t *runs = json_object_get(results, list_names[LIST_TIMED]), *run, *sample;
    double *rates = checked_calloc(json_array_size(runs), sizeof *rates), fewest = INFINITY;
    size_t count = 0, r, s;
    json_array_foreach(runs, r, run) {
        double threads = object_number(run, "threads", INFINITY), best = 0;
        if (strcmp(object_string(run, "workload", ""), job->workload) != 0 ||
            strcmp(object_string(run, "backend", ""), job->backend) != 0 || threads > fewest)
            continue;
        json_array_foreach(json_object_get(run, "samples"), s, sample)
            best = fmax(best, sample_rate(sample));
        count = threads < fewest ? 0 : count;
        fewest = threads;
        rates[count++] = best;
    }
    double rate = median(rates, count);
    free(rates);
    return rate;
}

// A total that one thread does in about a sample; how much that is, the timed rounds tell.
static void add_total(const struct plan *plan, const struct job *job, struct arguments *arguments) {
    double total = best_rate(plan->results, job) * plan->sample_ms / 1000;
    arguments_add(arguments, "--total=%.0f", fmin(fmax(total, 1), 1e15));
    add_short(plan, job, arguments);
}

const struct kind kind_timed = {
    .list = LIST_TIMED, .add_jobs = add_timed, .turns = true, .warm = true};
const struct kind kind_control = {.list = LIST_CONTROL, .turns = true, .warm = true};
const struct kind kind_against = {.list = LIST_AGAINST,
                                  .add_program = add_other_build,
                                  .driver = true,
                                  .turns = true,
                                  .warm = true};
const struct kind kind_processes = {
    .list = LIST_PROCESSES, .processes = true, .turns = true, .warm = true};
const struct kind kind_patterns = {
    .list = LIST_PATTERNS, .add_program = add_patterns_script, .turns = true, .warm = true};
const struct kind kind_python = {.list = LIST_PYTHON, .add_program = add_collector_script};
const struct kind kind_total = {
    .list = LIST_TOTALS, .add_jobs = add_totals, .add_arguments = add_total, .warm = true};
const struct kind kind_variants = {
    .list = LIST_VARIANTS, .add_jobs = add_variants, .add_arguments = add_short};
const struct kind kind_counted = {.list = LIST_COUNTED, .add_jobs = add_counted, .counted = true};
