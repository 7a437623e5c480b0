/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * run.c: writes results as JSON.
 */
#include "run.h"

#include <stdio.h>
#include <string.h>

#include "causes.h"
#include "ledger.h"
#include "output.h"
#include "switching.h"

void run_init(run *run, unsigned workers, unsigned samples) {
    *run = (struct run){.workers = workers};
    run->seconds = workload_allocate(samples * sizeof *run->seconds);
    run->rates = workload_allocate(samples * sizeof *run->rates);
    run->operations = workload_allocate((size_t)samples * workers * sizeof *run->operations);
    run->worker_seconds =
        workload_allocate((size_t)samples * workers * sizeof *run->worker_seconds);
    run->pauses = workload_allocate(sizeof *run->pauses);
}

void run_free(run *run) {
    free(run->seconds);
    free(run->rates);
    free(run->operations);
    free(run->worker_seconds);
    free(run->pauses);
    free(run->latencies);
    contention_free(&run->contention);
}

static json_t *integer(uint64_t value) { return json_integer((json_int_t)value); }

static json_t *samples_to_json(const run *run) {
    json_t *samples = json_array();
    for (unsigned s = 0; s < run->samples; s++) {
        json_t *sample = json_object(), *each = json_array(), *times = json_array();
        uint64_t total = 0;
        for (unsigned w = 0; w < run->workers; w++) {
            uint64_t operations = run->operations[(size_t)s * run->workers + w];
            total += operations;
            json_array_append_new(each, integer(operations));
            json_array_append_new(times,
                                  json_real(run->worker_seconds[(size_t)s * run->workers + w]));
        }
        json_object_set_new(sample, "seconds", json_real(run->seconds[s]));
        json_object_set_new(sample, "operations", integer(total));
        json_object_set_new(sample, "rate", json_real(run->rates[s]));
        json_object_set_new(sample, "per_thread", each);
        json_object_set_new(sample, "per_thread_seconds", times);
        json_array_append_new(samples, sample);
    }
    return samples;
}

static json_t *stats_to_json(const tally_stats_result *stats) {
    json_t *result = json_object();

#define FIELD(name) json_object_set_new(result, #name, integer(stats->name));
    TALLY_STATS_CHEAP(FIELD)
    TALLY_STATS_DETAILED(FIELD)
#undef FIELD
    return result;
}

/* Whether the threads use the same objects: what a curve against threads can be expected to look
 * like depends on this. */
static const char *sharing_name(const tally_workload *workload) {
    bool shared = workload->kind == SHARED_OBJECTS || workload->kind == BORROWED_READS ||
                  workload->kind == SINGLE_OPERATIONS || workload->shares;
    return shared ? "shared" : "own";
}

static const char *const kind_names[KINDS] = {
    [PROGRAMS] = "programs",
    [OWN_OBJECTS] = "own objects",
    [SHARED_OBJECTS] = "shared objects",
    [BORROWED_READS] = "borrowed reads",
    [SINGLE_OPERATIONS] = "single operations",
    [CYCLE_COLLECTOR] = "cycle collector",
};

static void add_memory(json_t *result, const run *run) {
    json_t *kinds = json_object();
    json_object_set_new(result, "peak_rss_kib", json_integer(run->peak_rss_kib));
    json_object_set_new(result, "baseline_rss_kib", json_integer(run->baseline_rss_kib));
    json_object_set_new(result, "setup_peak_rss_kib", json_integer(run->setup_peak_rss_kib));
    json_object_set_new(result, "pss_kib", json_integer(run->pss_kib));
    json_object_set_new(result, "header_bytes",
                        json_pack("{s:I, s:I}", "plain", (json_int_t)tally_header_size(false),
                                  "container", (json_int_t)tally_header_size(true)));
    for (unsigned i = 0; i < FOOTPRINT_KINDS && run->kinds[i].name != NULL; i++)
        json_object_set_new(kinds, run->kinds[i].name, json_integer(run->kinds[i].bytes));
    json_object_set_new(result, "object_bytes", kinds);
#define FIELD(name) json_object_set_new(result, #name "_bytes", integer(run->stats.name));
    TALLY_STATS_LEVELS(FIELD)
#undef FIELD
}

static json_t *value_to_json(const workload_parameter *parameter, uint64_t value) {
    const char *word = parameter->choices;
    if (word == NULL) return integer(value);
    for (; value > 0; value--) word += strcspn(word, ",") + 1;
    return json_stringn(word, strcspn(word, ","));
}

static json_t *parameters_to_json(const options *options) {
    const workload_parameter *each = options->workload->parameters;
    json_t *result = json_object();
    for (size_t i = 0; each != NULL && each[i].name != NULL; i++)
        json_object_set_new(result, each[i].name, value_to_json(&each[i], options->parameters[i]));
    return result;
}

/* Each operation's end is the next one's beginning: one look at the clock each. */
static json_t *latency_to_json(const run *run) {
    histogram *all = workload_allocate(sizeof *all);
    for (unsigned w = 0; w < run->workers; w++) histogram_merge(all, &run->latencies[w]);
    json_t *result =
        json_pack("{s:s, s:o, s:o}", "clock", "CLOCK_MONOTONIC, once an operation", "clock_ns",
                  integer(run->clock_ns), "operations", integer(all->count));
    json_object_set_new(result, "p50_ns", integer(histogram_quantile(all, 0.5)));
    json_object_set_new(result, "p90_ns", integer(histogram_quantile(all, 0.9)));
    json_object_set_new(result, "p99_ns", integer(histogram_quantile(all, 0.99)));
    json_object_set_new(result, "p99_9_ns", integer(histogram_quantile(all, 0.999)));
    json_object_set_new(result, "max_ns", integer(all->longest));
    free(all);
    return result;
}

/* How the GIL changed hands; null: there is none. */
static json_t *gil_to_json(const tally_options *runtime) {
    unsigned interval = runtime->switch_interval_us;
    if (!switching_applies()) return json_null();
    json_t *result = json_pack("{s:s}", "policy", switching_name(runtime));
    if (runtime->switch_ticks != 0)
        json_object_set_new(result, "ticks", json_integer(runtime->switch_ticks));
    else
        json_object_set_new(result, "interval_us",
                            json_integer(interval != 0 ? interval : SWITCHING_INTERVAL_US));
    return result;
}

json_t *run_to_json(const run *run, const options *options) {
    json_t *result = json_object();
    json_object_set_new(result, "format", json_string(RUN_FORMAT));
    json_object_set_new(result, "version", json_integer(RUN_VERSION));
    json_object_set_new(result, "workload", json_string(options->workload->name));
    json_object_set_new(result, "backend", json_string(tally_backend()));
    json_object_set_new(result, "mode", json_string(options->processes ? "processes" : "threads"));
    json_object_set_new(result, "threads", json_integer(run->workers));
    json_object_set_new(result, "unit", json_string(options->workload->unit));
    json_object_set_new(result, "sharing", json_string(sharing_name(options->workload)));
    json_object_set_new(result, "parameters", parameters_to_json(options));
    json_object_set_new(result, "gil", gil_to_json(&options->runtime));
    json_object_set_new(result, "without",
                        options->without < 0 ? json_null()
                                             : json_string(cause_name(options->without)));
    json_object_set_new(result, "samples", samples_to_json(run));
    if (options->total > 0) json_object_set_new(result, "total", integer(options->total));
    json_object_set_new(result, "warmup_ms", json_integer(options->warmup_ms));
    add_memory(result, run);
    json_object_set_new(result, "detailed", json_boolean(run->stats.detailed));
    json_object_set_new(result, "stats", stats_to_json(&run->stats));
    if (run->contention.rows != NULL)
        json_object_set_new(result, "contention", contention_to_json(&run->contention));
    json_object_set_new(result, "collector", pauses_to_json(run->pauses));
    json_object_set_new(result, "perf", perf_to_json(run->perf));
    if (run->time.wall > 0) json_object_set_new(result, "time", thread_time_to_json(&run->time));
    json_t *readings = ledger_to_json();
    if (readings != NULL) json_object_set_new(result, "ledger", readings);
    if (run->latencies != NULL) json_object_set_new(result, "latency", latency_to_json(run));
    json_object_set_new(result, "live_at_finish", json_integer(run->live_at_finish));
    json_object_set_new(result, "pinned", json_boolean(run->pinned));
    json_object_set_new(result, "oversubscribed", json_boolean(run->oversubscribed));
    json_object_set_new(result, "few_turns", json_boolean(run->few_turns));
    json_object_set_new(result, "incomplete", json_boolean(run->incomplete));
    return result;
}

void run_print(const json_t *json) {
    json_dumpf(json, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    if (!output_written("the result is lost")) exit(EXIT_FAILURE);
}

static void print_lines(void) {
    for (const tally_workload **each = options_workloads; *each != NULL; each++) {
        printf("%-19s %s\n", (*each)->name, (*each)->description);
        for (const workload_parameter *p = (*each)->parameters; p != NULL && p->name != NULL; p++) {
            json_t *value = value_to_json(p, p->value);
            char *shown = json_dumps(value, JSON_ENCODE_ANY);
            printf("%-19s   --set %s=%s: %s", "", p->name,
                   json_is_string(value) ? json_string_value(value) : shown, p->help);
            if (p->choices != NULL)
                printf("; one of %s\n", p->choices);
            else
                printf("; %llu to %llu\n", (unsigned long long)p->least,
                       (unsigned long long)p->most);
            free(shown);
            json_decref(value);
        }
    }
}

static json_t *variants_to_json(const char *const *variants) {
    json_t *result = json_array();
    for (; variants != NULL && *variants != NULL; variants++)
        json_array_append_new(result, json_string(*variants));
    return result;
}

static json_t *declared_to_json(const workload_parameter *parameters) {
    json_t *result = json_array();
    for (const workload_parameter *p = parameters; p != NULL && p->name != NULL; p++)
        json_array_append_new(result,
                              json_pack("{s:s, s:s, s:o, s:o}", "name", p->name, "help", p->help,
                                        "default", value_to_json(p, p->value), "quick",
                                        value_to_json(p, p->quick != 0 ? p->quick : p->value)));
    return result;
}

static json_t *about_variants_to_json(const tally_workload *workload) {
    if (workload->about_variants.title == NULL) return json_null();
    return json_pack("{s:s, s:s, s:s, s:s?}", "title", workload->about_variants.title, "text",
                     workload->about_variants.text, "caption", workload->about_variants.caption,
                     "axis", workload->about_variants.axis);
}

static json_t *workload_to_json(const tally_workload *workload) {
    return json_pack(
        "{s:s, s:s, s:s, s:s, s:s, s:b, s:b, s:b, s:b, s:b, s:b, s:s?, s:i, s:o, s:o, s:o, s:o, "
        "s:o}",
        "name", workload->name, "description", workload->description, "unit", workload->unit,
        "kind", kind_names[workload->kind], "sharing", sharing_name(workload), "in_price",
        workload->in_price, "takes_text", workload->takes_text, "makes_garbage",
        workload->makes_garbage, "in_quick", !workload->not_quick, "json_option", true, "latency",
        workload->latency, "counterpart", workload->counterpart, "least_sample_ms",
        (int)workload->least_sample_ms, "causes", causes_to_json(workload), "parameters",
        declared_to_json(workload->parameters), "variants", variants_to_json(workload->variants),
        "quick_variants", variants_to_json(workload->quick_variants), "about_variants",
        about_variants_to_json(workload));
}

void run_print_workloads(bool json) {
    if (!json) {
        print_lines();
        return;
    }
    json_t *list = json_array();
    for (const tally_workload **each = options_workloads; *each != NULL; each++)
        json_array_append_new(list, workload_to_json(*each));
    run_print(list);
    json_decref(list);
}
