// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Measures; see run.h.  Every block is a fresh process.  A round runs each
// workload and thread count once on every backend, in an order drawn anew, so a
// slow drift of the machine falls on all backends alike.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "run.h"

#include "machine.h"
#include "process.h"
#include "results.h"
#include "text.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// What an effort spends.  `seconds` covers warm-up and samples of all rounds.
struct budget {
    double seconds;
    int rounds, samples;
    int least_ms, most_ms; // of one sample
    long text_bytes;       // 0: the driver's default
};

static const struct budget budgets[] = {
    [QUICK] = {.seconds = 20, .rounds = 4, .samples = 3, .least_ms = 4, .most_ms = 200, .text_bytes = 4 << 20},
    [NORMAL] = {.seconds = 180, .rounds = 5, .samples = 5, .least_ms = 20, .most_ms = 500},
    [FULL] = {.seconds = 1200, .rounds = 10, .samples = 10, .least_ms = 50, .most_ms = 1000},
};

// Where a block's result goes.
enum kind { TIMED, COUNTED, VARIANT, PYTHON, KINDS };

enum { PROCESS_MS = 25 }; // a guess at start and setup, for the first estimate only

struct plan {
    const struct run_options *options;
    struct budget budget;
    int sample_ms, warmup_ms;
    size_t cells, variant_cells, python_cells, total, done;
    double started, last_line;
    bool terminal;
    uint64_t random;
    json_t *kept[KINDS], *failures;
};

static char *driver_path(const struct run_options *options, const char *backend, bool counted)
{
    return format("%s/tally-%s%s", options->drivers, backend, counted ? "-counted" : "");
}

static bool has_name(const struct names *names, const char *name)
{
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0)
            return true;
    return false;
}

void names_free(struct names *names)
{
    for (size_t i = 0; i < names->count; i++)
        free(names->items[i]);
    names->count = 0;
}

static void default_threads(struct run_options *options)
{
    int cores = machine_cores();
    for (int n = 1; n < cores; n *= 2)
        options->threads[options->thread_count++] = n;
    options->threads[options->thread_count++] = cores;
    options->threads[options->thread_count++] = 2 * cores;
}

// Says which of the names is not known, if one is not.
static bool names_known(const struct names *names, const struct names *known, const char *what)
{
    for (size_t i = 0; i < names->count; i++) {
        if (has_name(known, names->items[i]))
            continue;
        fprintf(stderr, "tally-compare: no %s '%s'; known are", what, names->items[i]);
        for (size_t k = 0; k < known->count; k++)
            fprintf(stderr, "%s %s", k ? "," : "", known->items[k]);
        fputc('\n', stderr);
        return false;
    }
    return true;
}

// Reads what the build wrote of its backends, and chooses those to be measured.
static bool choose_backends(struct run_options *options)
{
    char *path = format("%s/backends.json", options->drivers);
    json_t *list = options->known_backends = json_load_file(path, 0, NULL), *entry;
    struct names known = {0}, chosen = {0};
    size_t index;
    bool good = results_check_backends(list) && json_array_size(list) <= MAX_NAMES;
    if (!good)
        fprintf(stderr, "tally-compare: no list of backends in %s; name the build folder of the drivers with --drivers\n", path);
    free(path);
    json_array_foreach(list, index, entry)
    {
        if (!good)
            break;
        const char *name = object_string(entry, "name", "");
        known.items[known.count++] = checked_strdup(name);
        if (options->all_backends || strcmp(object_string(entry, "role", ""), "product") == 0)
            chosen.items[chosen.count++] = checked_strdup(name);
    }
    good = good && names_known(&options->backends, &known, "backend");
    names_free(&known);
    if (options->backends.count == 0)
        options->backends = chosen;
    else
        names_free(&chosen);
    return good;
}

static bool find_backends(struct run_options *options)
{
    if (!choose_backends(options))
        return false;
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = driver_path(options, options->backends.items[i], false);
        bool found = access(path, X_OK) == 0;
        if (!found)
            fprintf(stderr, "tally-compare: no driver %s; build backend %s (cmake -DTALLY_BACKEND=all) or leave it out\n",
                    path, options->backends.items[i]);
        free(path);
        if (!found)
            return false;
    }
    return true;
}

// Asks a driver what workloads there are, or belong to a quick run if none is named.
static bool list_workloads(struct run_options *options, struct names *known)
{
    char *path = driver_path(options, options->backends.items[0], false);
    char *argv[] = {path, "--list", "--json", NULL};
    struct process_result result = process_run(argv, 20);
    json_t *list = json_loads(text_string(&result.output), 0, NULL), *workload;
    size_t index;
    known->count = 0;
    json_array_foreach(list, index, workload)
        if (known->count < MAX_NAMES && *object_string(workload, "name", "") &&
            (options->effort != QUICK || options->workloads.count || json_is_true(json_object_get(workload, "in_quick"))))
            known->items[known->count++] = checked_strdup(object_string(workload, "name", ""));
    options->descriptions = list ? list : json_array();
    bool good = result.status == 0 && known->count > 0;
    if (!good)
        fprintf(stderr, "tally-compare: %s --list named no workloads; build it again\n", path);
    text_free(&result.output);
    text_free(&result.errors);
    free(path);
    return good;
}

static bool find_workloads(struct run_options *options)
{
    struct names known;
    if (!list_workloads(options, &known))
        return false;
    if (options->workloads.count == 0) {
        options->workloads = known;
        return true;
    }
    bool good = names_known(&options->workloads, &known, "workload");
    names_free(&known);
    return good;
}

// Asks the interpreter what it is, and the script which workloads it has.
static bool find_python(struct run_options *options)
{
    if (options->python == NULL)
        return true;
    char *argv[] = {(char *)options->python, (char *)options->python_script, "--list", NULL};
    struct process_result result = process_run(argv, 20);
    options->python_name = json_loads(text_string(&result.output), 0, NULL);
    bool good = result.status == 0 && *object_string(options->python_name, "name", "");
    if (!good)
        fprintf(stderr, "tally-compare: '%s' does not run %s; name a Python 3 interpreter with --with-python\n",
                options->python, options->python_script);
    text_free(&result.output);
    text_free(&result.errors);
    return good;
}

bool run_complete_options(struct run_options *options)
{
    if (options->thread_count == 0)
        default_threads(options);
    return find_backends(options) && find_workloads(options) && find_python(options);
}

static uint64_t random_next(uint64_t *state)
{
    uint64_t z = *state += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static void shuffle(size_t *order, size_t count, uint64_t *random)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t j = (size_t)(random_next(random) % i);
        size_t held = order[i - 1];
        order[i - 1] = order[j];
        order[j] = held;
    }
}

static const json_t *described(const struct run_options *options, const char *workload)
{
    const json_t *entry;
    size_t index;
    json_array_foreach(options->descriptions, index, entry)
        if (strcmp(object_string(entry, "name", ""), workload) == 0)
            return entry;
    return NULL;
}

static const json_t *variants_of(const struct run_options *options, const char *workload)
{
    return json_object_get(described(options, workload), options->effort == QUICK ? "quick_variants" : "variants");
}

static size_t count_variants(const struct plan *plan)
{
    size_t count = 0;
    for (size_t w = 0; w < plan->options->workloads.count; w++)
        count += json_array_size(variants_of(plan->options, plan->options->workloads.items[w]));
    return count;
}

// Variants are measured on one thread, and on the most that have a core each.
static bool variant_threads(const struct run_options *options, size_t index)
{
    int most = 0, threads = options->threads[index];
    for (size_t t = 0; t < options->thread_count; t++)
        if (options->threads[t] <= machine_cores() && options->threads[t] > most)
            most = options->threads[t];
    return threads == 1 || threads == most;
}

static size_t variant_thread_counts(const struct run_options *options)
{
    size_t count = 0;
    for (size_t t = 0; t < options->thread_count; t++)
        count += variant_threads(options, t);
    return count;
}

static bool python_has(const struct run_options *options, const char *workload)
{
    const json_t *name;
    size_t index;
    json_array_foreach(json_object_get(options->python_name, "workloads"), index, name)
        if (strcmp(json_string_value(name) ? json_string_value(name) : "", workload) == 0)
            return true;
    return false;
}

// What another version of Python did cannot be had of this one.
static bool python_lacks(const struct run_options *options, const char *variant)
{
    const json_t *lack;
    size_t index;
    json_array_foreach(json_object_get(options->python_name, "lacks"), index, lack)
        if (variant && strcmp(json_string_value(lack) ? json_string_value(lack) : "", variant) == 0)
            return true;
    return false;
}

// Once with each variant, or as it is where there are none.
static size_t python_variants(const struct run_options *options, const char *workload)
{
    size_t variants = json_array_size(variants_of(options, workload));
    return !python_has(options, workload) ? 0 : variants ? variants : 1;
}

static const char *python_variant(const struct run_options *options, const char *workload, size_t index)
{
    return json_string_value(json_array_get(variants_of(options, workload), index));
}

static size_t count_python(const struct plan *plan)
{
    size_t count = 0;
    for (size_t w = 0; w < plan->options->workloads.count; w++) {
        const char *workload = plan->options->workloads.items[w];
        for (size_t v = 0; v < python_variants(plan->options, workload); v++)
            count += !python_lacks(plan->options, python_variant(plan->options, workload, v));
    }
    return count * variant_thread_counts(plan->options);
}

static struct plan make_plan(const struct run_options *options)
{
    struct plan plan = {.options = options, .budget = budgets[options->effort], .random = options->seed};
    plan.cells = options->workloads.count * options->backends.count * options->thread_count;
    plan.variant_cells = count_variants(&plan) * options->backends.count * variant_thread_counts(options);
    plan.python_cells = options->python ? count_python(&plan) : 0;
    plan.total = plan.cells * ((size_t)plan.budget.rounds + 1) + plan.variant_cells + plan.python_cells;
    double block_ms = plan.budget.seconds * 1000 / (double)(plan.cells * (size_t)plan.budget.rounds);
    double sample_ms = block_ms / (plan.budget.samples + 0.6);
    sample_ms = fmax(fmin(sample_ms, plan.budget.most_ms), plan.budget.least_ms);
    plan.sample_ms = (int)sample_ms;
    plan.warmup_ms = (int)(sample_ms * 0.6) + 1;
    plan.terminal = isatty(STDERR_FILENO);
    for (int kind = 0; kind < KINDS; kind++)
        plan.kept[kind] = json_array();
    plan.failures = json_array();
    plan.started = clock_seconds();
    return plan;
}

static double seconds_left(const struct plan *plan)
{
    double elapsed = clock_seconds() - plan->started;
    size_t left = plan->total > plan->done ? plan->total - plan->done : 0;
    double one = (plan->budget.samples * plan->sample_ms + plan->warmup_ms + PROCESS_MS) / 1000.0;
    if (plan->done > 5)
        one = elapsed / (double)plan->done;
    return one * (double)left;
}

// One rewritten line on a terminal; elsewhere a line every ten seconds.
static void show_progress(struct plan *plan, const char *workload, const char *backend, int threads)
{
    double now = clock_seconds();
    int left = (int)(seconds_left(plan) + 0.5);
    if (!plan->terminal && plan->done && now - plan->last_line < 10)
        return;
    plan->last_line = now;
    fprintf(stderr, "%s%zu of %zu blocks done, %zu left, about %d:%02d; now %s on %s, %d thread%s%s",
            plan->terminal ? "\r\033[K" : "", plan->done, plan->total, plan->total - plan->done, left / 60, left % 60,
            workload, backend, threads, threads == 1 ? "" : "s", plan->terminal ? "" : "\n");
    fflush(stderr);
}

static void add_failure(struct plan *plan, const char *workload, const char *backend, int threads, bool counted,
                        const struct process_result *result, const char *why)
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
    json_t *failure = json_pack("{s:s, s:s, s:i, s:b, s:i, s:o}", "workload", workload, "backend", backend, "threads",
                                threads, "counted", counted, "status", result->status, "stderr",
                                shown ? shown : json_string("(a message that is no UTF-8)"));
    json_array_append_new(plan->failures, failure);
    if (plan->terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "failed: %s on %s, %d threads (status %d): %.300s\n", workload, backend, threads, result->status,
            text_string(&message));
    text_free(&message);
}

static void keep_block(struct plan *plan, const char *workload, const char *backend, int threads, enum kind kind,
                       const char *variant, int round, const struct process_result *result)
{
    const char *why = NULL;
    json_error_t error;
    json_t *block = json_loads(text_string(&result->output), 0, &error);
    bool good = block && results_check_block(block, &why);
    bool stopped = process_stop_asked();
    if (good && (result->status == 0 || stopped)) {
        json_object_set_new(block, "round", json_integer(round));
        if (stopped)
            json_object_set_new(block, "incomplete", json_true());
        if (variant)
            json_object_set_new(block, "variant", json_string(variant));
        json_array_append(plan->kept[kind], block);
    } else if (!stopped) {
        add_failure(plan, workload, backend, threads, kind == COUNTED, result,
                    result->status ? NULL : why ? why : "the driver printed no JSON");
    }
    json_decref(block);
}

// The values of a quick run, as --set takes them; NULL: the defaults.
static char *quick_values(const struct run_options *options, const char *workload)
{
    const json_t *parameter;
    struct text values = {0};
    size_t index;
    if (options->effort != QUICK)
        return NULL;
    json_array_foreach(json_object_get(described(options, workload), "parameters"), index, parameter)
    {
        const json_t *value = json_object_get(parameter, "quick");
        text_add(&values, "%s%s=", values.length ? "," : "", object_string(parameter, "name", ""));
        if (json_is_string(value))
            text_add(&values, "%s", json_string_value(value));
        else
            text_add(&values, "%lld", (long long)json_integer_value(value));
    }
    return values.data;
}

static void run_block(struct plan *plan, const char *workload, const char *backend, int threads, enum kind kind,
                      const char *variant, int round)
{
    const struct run_options *options = plan->options;
    char *argv[32 + 2 * MAX_NAMES], *values = quick_values(options, workload);
    bool counted = kind == COUNTED, text = strcmp(workload, "wordcount") == 0;
    int least = (int)object_number(described(options, workload), "least_sample_ms", 0) * (options->effort == QUICK ? 1 : 5);
    size_t n = 0, owned;
    show_progress(plan, workload, backend, threads);
    if (kind == PYTHON) {
        argv[n++] = checked_strdup(options->python);
        argv[n++] = checked_strdup(options->python_script);
    } else {
        argv[n++] = driver_path(options, backend, counted);
    }
    argv[n++] = format("--workload=%s", workload);
    argv[n++] = format("--threads=%d", threads);
    argv[n++] = format("--samples=%d", counted ? 1 : plan->budget.samples);
    argv[n++] = format("--sample-ms=%d", !counted && least > plan->sample_ms ? least : plan->sample_ms);
    argv[n++] = format("--warmup-ms=%d", kind == TIMED ? plan->warmup_ms : 1);
    argv[n++] = format("--seed=%llu", (unsigned long long)(random_next(&plan->random) >> 33));
    if (values)
        argv[n++] = format("--set=%s", values);
    if (variant)
        argv[n++] = format("--set=%s", variant);
    free(values);
    for (size_t i = 0; text && i < options->texts.count; i++)
        argv[n++] = format("--text=%s", options->texts.items[i]);
    if (text && plan->budget.text_bytes)
        argv[n++] = format("--text-bytes=%ld", plan->budget.text_bytes);
    owned = n;
    argv[n] = NULL;
    double timeout = 60 + 0.05 * plan->budget.samples * plan->sample_ms;
    struct process_result result = process_run(argv, timeout);
    keep_block(plan, workload, backend, threads, kind, variant, round, &result);
    plan->done++;
    text_free(&result.output);
    text_free(&result.errors);
    for (size_t i = 0; i < owned; i++)
        free(argv[i]);
}

static void run_round(struct plan *plan, bool counted, int round)
{
    const struct run_options *options = plan->options;
    size_t order[MAX_NAMES];
    for (size_t w = 0; w < options->workloads.count; w++)
        for (size_t t = 0; t < options->thread_count; t++) {
            shuffle(order, options->backends.count, &plan->random);
            for (size_t b = 0; b < options->backends.count; b++) {
                if (process_stop_asked())
                    return;
                run_block(plan, options->workloads.items[w], options->backends.items[order[b]], options->threads[t],
                          counted ? COUNTED : TIMED, NULL, round);
            }
        }
}

static void run_variants(struct plan *plan)
{
    const struct run_options *options = plan->options;
    size_t order[MAX_NAMES], index;
    const json_t *variant;
    for (size_t w = 0; w < options->workloads.count; w++)
        json_array_foreach(variants_of(options, options->workloads.items[w]), index, variant)
            for (size_t t = 0; t < options->thread_count; t++) {
                shuffle(order, options->backends.count, &plan->random);
                for (size_t b = 0; variant_threads(options, t) && b < options->backends.count; b++) {
                    if (process_stop_asked())
                        return;
                    run_block(plan, options->workloads.items[w], options->backends.items[order[b]],
                              options->threads[t], VARIANT, json_string_value(variant), 0);
                }
            }
}

static void run_python(struct plan *plan)
{
    const struct run_options *options = plan->options;
    for (size_t w = 0; options->python && w < options->workloads.count; w++) {
        const char *workload = options->workloads.items[w];
        for (size_t v = 0; v < python_variants(options, workload); v++) {
            const char *variant = python_variant(options, workload, v);
            for (size_t t = 0; t < options->thread_count && !process_stop_asked(); t++)
                if (variant_threads(options, t) && !python_lacks(options, variant))
                    run_block(plan, workload, object_string(options->python_name, "name", "Python"),
                              options->threads[t], PYTHON, variant, 0);
        }
    }
}

static bool counting_drivers_exist(const struct run_options *options)
{
    bool all = true;
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = driver_path(options, options->backends.items[i], true);
        all = all && access(path, X_OK) == 0;
        free(path);
    }
    return all;
}

// Rounds past the third are left out where a quick run would take too long.
static void run_rounds(struct plan *plan)
{
    for (int round = 0; round < plan->budget.rounds && !process_stop_asked(); round++) {
        double elapsed = clock_seconds() - plan->started;
        if (plan->options->effort == QUICK && round >= 3 && elapsed / round * (round + 1) > 26) {
            plan->total -= plan->cells * (size_t)(plan->budget.rounds - round);
            break;
        }
        run_round(plan, false, round);
    }
    run_variants(plan);
    run_python(plan);
    if (counting_drivers_exist(plan->options)) {
        // Events are counted, not timed: a short sample says as much as a long one.
        plan->sample_ms = plan->sample_ms > 50 ? 50 : plan->sample_ms;
        plan->warmup_ms = 1;
        run_round(plan, true, 0);
    } else {
        plan->total -= plan->cells;
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
    struct plan plan = make_plan(options);
    double stolen[2], ticks[2];
    machine_steal(&stolen[0], &ticks[0]);
    run_rounds(&plan);
    machine_steal(&stolen[1], &ticks[1]);
    if (ticks[1] > ticks[0])
        json_object_set_new(machine, "steal_share", json_real((stolen[1] - stolen[0]) / (ticks[1] - ticks[0])));
    if (plan.terminal)
        fputs("\r\033[K", stderr);
    fprintf(stderr, "%zu of %zu blocks done in %.0f s\n", plan.done, plan.total, clock_seconds() - plan.started);
    return json_pack("{s:s, s:i, s:s, s:I, s:O, s:O, s:o, s:o, s:b, s:o, s:o, s:o, s:o, s:o}", "format", "tally-results", "version",
                     RESULTS_VERSION, "started", started, "seed", (json_int_t)options->seed, "workloads",
                     options->descriptions, "backends", options->known_backends, "machine", machine, "build", build_facts(), "incomplete", process_stop_asked(), "blocks", plan.kept[TIMED], "counted",
                     plan.kept[COUNTED], "variants", plan.kept[VARIANT], "python", plan.kept[PYTHON], "failures",
                     plan.failures);
}
