// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The jobs of a run; see plan.h.
#include "plan.h"

#include "machine.h"
#include "random.h"
#include "results.h"
#include "text.h"
#include "what_if.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct budget budgets[] = {
    [QUICK] = {.seconds = 20,
               .rounds = 4,
               .samples = 4,
               .least_ms = 3,
               .most_ms = 150,
               .text_bytes = 4 << 20},
    [NORMAL] = {.seconds = 180, .rounds = 6, .samples = 5, .least_ms = 15, .most_ms = 500},
    [FULL] = {.seconds = 1200, .rounds = 12, .samples = 8, .least_ms = 50, .most_ms = 1000},
};

const struct kind *const kinds[] = {
    &kind_timed,    &kind_control, &kind_against,  &kind_total,  &kind_processes,
    &kind_variants, &kind_python,  &kind_patterns, &kind_convoy, &kind_server,
    &kind_findings, &kind_what_if, &kind_counted,  &kind_ledger, NULL};

void plan_add(struct plan *plan, struct job job) {
    plan->jobs = checked_realloc(plan->jobs, (plan->count + 1) * sizeof *plan->jobs);
    job.seed = random_next(&plan->random) >> 33;
    plan->jobs[plan->count++] = job;
}

void plan_shuffle(struct plan *plan, size_t *order, size_t count) {
    for (size_t i = 0; i < count; i++) order[i] = i;
    for (size_t i = count; i > 1; i--) {
        size_t j = random_below(&plan->random, i);
        size_t held = order[i - 1];
        order[i - 1] = order[j];
        order[j] = held;
    }
}

size_t plan_cells(const struct plan *plan) {
    const struct run_options *options = plan->options;
    size_t points = options->workloads.count * options->thread_count;
    size_t control = options->self ? points * options->backends.count : options->workloads.count;
    return points * options->backends.count * (options->against ? 2 : 1) + control;
}

const json_t *workload_variants(const struct run_options *options, const char *workload) {
    return json_object_get(workload_description(options, workload),
                           options->effort == QUICK ? "quick_variants" : "variants");
}

bool variant_threads(const struct run_options *options, size_t index) {
    int most = 0, threads = options->threads[index];
    for (size_t t = 0; t < options->thread_count; t++)
        if (options->threads[t] <= machine_cores() && options->threads[t] > most)
            most = options->threads[t];
    return threads == 1 || threads == most;
}

int plan_scale_threads(const struct run_options *options) {
    int best = options->threads[0], cores = machine_cores();
    for (size_t t = 1; t < options->thread_count; t++) {
        int threads = options->threads[t];
        bool fits = threads <= cores;
        if (fits ? best > cores || threads > best : best > cores && threads < best) best = threads;
    }
    return best;
}

struct plan plan_make(const struct run_options *options) {
    struct plan plan = {
        .options = options, .budget = budgets[options->effort], .random = options->seed};
    if (options->rounds) plan.budget.rounds = options->rounds;
    // The claims' bounds are far apart; long samples would take most of the time.
    if (options->programs[FINDINGS] && plan.budget.most_ms > 100) plan.budget.most_ms = 100;
    size_t runs =
        plan_cells(&plan) * (size_t)plan.budget.rounds + what_if_runs(options, plan.budget.rounds);
    double sample_ms = plan.budget.seconds * 1000 / (double)runs / (plan.budget.samples + 0.6);
    sample_ms = fmax(fmin(sample_ms, plan.budget.most_ms), plan.budget.least_ms);
    plan.sample_ms = options->sample_ms ? options->sample_ms : (int)sample_ms;
    plan.warmup_ms = (int)(plan.sample_ms * 0.6) + 1;
    for (size_t k = 0; kinds[k]; k++)
        if (kinds[k]->add_jobs && (!options->self || kinds[k] == &kind_timed))
            kinds[k]->add_jobs(&plan);
    return plan;
}

void plan_free(struct plan *plan) {
    free(plan->jobs);
    plan->jobs = NULL;
    plan->count = 0;
}

void arguments_add(struct arguments *arguments, const char *pattern, ...) {
    va_list list;
    va_start(list, pattern);
    if (arguments->count + 1 < sizeof arguments->items / sizeof *arguments->items)
        arguments->items[arguments->count++] = format_list(pattern, list);
    va_end(list);
}

void arguments_free(struct arguments *arguments) {
    for (size_t i = 0; i < arguments->count; i++) free(arguments->items[i]);
    arguments->count = 0;
}

// The values of a quick run, as --set takes them; NULL: the defaults.
static char *quick_values(const struct run_options *options, const char *workload) {
    const json_t *parameter;
    struct text values = {0};
    size_t index;
    if (options->effort != QUICK) return NULL;
    json_array_foreach(json_object_get(workload_description(options, workload), "parameters"),
                       index, parameter) {
        const json_t *value = json_object_get(parameter, "quick");
        text_add(&values, "%s%s=", values.length ? "," : "", object_string(parameter, "name", ""));
        if (json_is_string(value))
            text_add(&values, "%s", json_string_value(value));
        else
            text_add(&values, "%lld", (long long)json_integer_value(value));
    }
    return values.data;
}

// The size of the environment and the start of the heap, which move the stack and
// every object (T. Mytkowicz et al., "Producing Wrong Data Without Doing Anything
// Obviously Wrong!", 2009).
struct layout job_layout(const struct job *job) {
    uint64_t random = ~job->seed;
    size_t environment = random_below(&random, 4096), heap = 16 * random_below(&random, 4096);
    return (struct layout){.environment_bytes = (int)environment, .heap_offset = (int)heap};
}

// Events are counted, not timed: a short sample says as much as a long one.
static int job_sample_ms(const struct plan *plan, const struct job *job) {
    if (job->kind->counted) return plan->sample_ms > 50 ? 50 : plan->sample_ms;
    int least = (int)object_number(workload_description(plan->options, job->workload),
                                   "least_sample_ms", 0) *
                (plan->options->effort == QUICK ? 1 : 5);
    return least > plan->sample_ms ? least : plan->sample_ms;
}

struct arguments plan_arguments(const struct plan *plan, const struct job *job) {
    const struct run_options *options = plan->options;
    struct arguments arguments = {0};
    if (job->kind->whole_command) {
        job->kind->add_program(plan, job, &arguments);
        return arguments;
    }
    char *values = quick_values(options, job->workload);
    bool driver = job->kind->driver || !job->kind->add_program;
    bool text =
        json_is_true(json_object_get(workload_description(options, job->workload), "takes_text"));
    if (job->kind->add_program)
        job->kind->add_program(plan, job, &arguments);
    else
        arguments.items[arguments.count++] = driver_path(options, job->backend, job->kind->counted);
    if (driver && (job->kind != &kind_against || options->against_takes_json))
        arguments_add(&arguments, "--json");
    arguments_add(&arguments, "--workload=%s", job->workload);
    arguments_add(&arguments, "--%s=%d", job->kind->processes ? "processes" : "threads",
                  job->threads);
    arguments_add(&arguments, "--samples=%d", job->kind->counted ? 1 : plan->budget.samples);
    arguments_add(&arguments, "--sample-ms=%d", job_sample_ms(plan, job));
    arguments_add(&arguments, "--warmup-ms=%d", job->kind->warm ? plan->warmup_ms : 1);
    arguments_add(&arguments, "--seed=%llu", (unsigned long long)job->seed);
    if (values) arguments_add(&arguments, "--set=%s", values);
    if (job->variant) arguments_add(&arguments, "--set=%s", job->variant);
    free(values);
    for (size_t i = 0; text && i < options->texts.count; i++)
        arguments_add(&arguments, "--text=%s", options->texts.items[i]);
    if (text && plan->budget.text_bytes)
        arguments_add(&arguments, "--text-bytes=%ld", plan->budget.text_bytes);
    if (options->time_limit && driver)
        arguments_add(&arguments, "--time-limit=%d", options->time_limit);
    for (size_t i = 0; driver && i < options->switching.count; i++)
        arguments_add(&arguments, "%s", options->switching.items[i]);
    if (options->traces && job->kind->counted)
        arguments_add(&arguments, "--trace=%s/%s-%s-%d.json", options->traces, job->workload,
                      job->backend, job->threads);
    if (job->kind->add_arguments) job->kind->add_arguments(plan, job, &arguments);
    return arguments;
}
