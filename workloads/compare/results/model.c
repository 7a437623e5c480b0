// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reads a checked results file into typed runs; see results.h.
#include "results.h"

#include "statistics.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const list_names[LISTS] = {
    "runs",     "control", "against", "totals",   "processes", "variants", "python",
    "patterns", "convoy",  "servers", "findings", "what_if",   "counted",  "ledger",
};
const double quantile_shares[QUANTILES] = {0.5, 0.9, 0.99, 0.999, 1};
const char *const contention_events[CONTENTION_EVENTS] = {
    "lost_cas", "lock_waits", "handovers", "revocations", "merges", "shared_counts"};

// ---- fields ----------------------------------------------------------------------

// A path of keys with points between them; a number is a place in an array.
static const json_t *at_path(const json_t *json, const char *path) {
    char *copy = checked_strdup(path), *rest = NULL;
    for (char *key = strtok_r(copy, ".", &rest); key; key = strtok_r(NULL, ".", &rest))
        json = json_is_array(json) ? json_array_get(json, strtoul(key, NULL, 10))
                                   : json_object_get(json, key);
    free(copy);
    return json;
}

#define FIELD(path, member) \
    { path, offsetof(struct run, member) }

static const struct {
    const char *path;
    size_t at;
} numbers[] = {
    FIELD("peak_rss_kib", peak_kib),
    FIELD("setup_peak_rss_kib", setup_peak_kib),
    FIELD("pss_kib", pss_kib),
    FIELD("wall_seconds", wall_seconds),
    FIELD("live_at_finish", live_at_finish),
    FIELD("collector.collections", collector.collections),
    FIELD("collector.generations.2.collections", collector.full),
    FIELD("collector.watched_ns", collector.watched),
    FIELD("collector.mark_ns", collector.mark),
    FIELD("collector.finalize_ns", collector.finalize),
    FIELD("collector.check_ns", collector.check),
    FIELD("collector.free_ns", collector.free),
    FIELD("collector.reentry_ns", collector.reentry),
    FIELD("collector.examined", collector.examined),
    FIELD("collector.collected", collector.collected),
    FIELD("collector.collected_running", collector.collected_running),
    FIELD("collector.uncollectable", collector.uncollectable),
    FIELD("collector.helpers", collector.helpers),
    FIELD("collector.pause_ns.total", collector.pause.total),
    FIELD("collector.pause_ns.median", collector.pause.median),
    FIELD("collector.pause_ns.p99", collector.pause.p99),
    FIELD("collector.pause_ns.longest", collector.pause.longest),
    FIELD("collector.generations.2.pause_ns.total", collector.full_pause.total),
    FIELD("collector.stop_ns.total", collector.stop.total),
    FIELD("time.wall_ns", time.wall),
    FIELD("time.user_ns", time.user),
    FIELD("time.system_ns", time.system),
    FIELD("time.ready_ns", time.ready),
    FIELD("time.slept", time.slept),
    FIELD("stats.gil_wait_ns", time.gil),
    FIELD("stats.lock_wait_ns", time.lock),
    FIELD("stats.turn_wait_ns", time.turn),
    FIELD("stats.grace_wait_ns", time.grace),
    FIELD("stats.stopped_ns", time.stopped),
    FIELD("stats.stop_ns", time.stop),
    FIELD("stats.gc_ns", time.gc),
    FIELD("stats.merge_ns", time.merge),
    FIELD("stats.allocator_ns", time.allocator),
    FIELD("latency.p50_ns", latency[0]),
    FIELD("latency.p90_ns", latency[1]),
    FIELD("latency.p99_ns", latency[2]),
    FIELD("latency.p99_9_ns", latency[3]),
    FIELD("latency.max_ns", latency[4]),
    FIELD("latency.operations", latencies),
    FIELD("latency.clock_ns", clock_ns),
    FIELD("interval_us", interval_us),
    FIELD("connections", connections),
    FIELD("load.requests_per_second", server[REQUESTS]),
    FIELD("load.latency_us.p50", server[P50]),
    FIELD("load.latency_us.p90", server[P90]),
    FIELD("load.latency_us.p99", server[P99]),
    FIELD("load.latency_us.max", server[LONGEST]),
    FIELD("server.collections.count", server[COLLECTIONS]),
    FIELD("server.collections.pause_ms_max", server[PAUSE]),
    FIELD("server.peak_memory_bytes", server[MEMORY]),
};

static const struct {
    const char *path;
    size_t at;
} objects[] = {
    FIELD("stats", counters),
    FIELD("perf.counts", perf_counts),
    FIELD("perf.unavailable", perf_lacks),
    FIELD("parameters", parameters),
    FIELD("gil", gil),
    FIELD("header_bytes", header_bytes),
    FIELD("object_bytes", object_bytes),
    FIELD("figures", figures),
};

// How evenly the threads were served.
static void read_threads(struct sample *sample, const json_t *json) {
    const json_t *operations = json_object_get(json, "per_thread"), *value;
    const json_t *seconds = json_object_get(json, "per_thread_seconds");
    size_t count = json_array_size(operations), index;
    double sum = 0, least = INFINITY, most = 0;
    sample->mean = sample->slowest = sample->fastest = NAN;
    if (count == 0 || json_array_size(seconds) != count) return;
    json_array_foreach(operations, index, value) {
        double rate = json_number_value(value) / json_number_value(json_array_get(seconds, index));
        sum += rate;
        least = fmin(least, rate);
        most = fmax(most, rate);
    }
    double mean = sum / (double)count;
    if (!(mean > 0) || !isfinite(mean)) return;
    sample->mean = mean;
    sample->slowest = least / mean;
    sample->fastest = most / mean;
}

static void read_samples(struct run *run, const json_t *json) {
    const json_t *samples = json_object_get(json, "samples"), *sample;
    size_t index, warm = 0;
    run->sample_count = json_array_size(samples);
    run->samples = checked_calloc(run->sample_count, sizeof *run->samples);
    double *rates = checked_calloc(run->sample_count, sizeof *rates);
    json_array_foreach(samples, index, sample) {
        struct sample *one = &run->samples[index];
        *one = (struct sample){.seconds = object_number(sample, "seconds", 0),
                               .operations = object_number(sample, "operations", 0),
                               .rate = sample_rate(sample),
                               .warmup = json_is_true(json_object_get(sample, "warmup"))};
        read_threads(one, sample);
        run->seconds += one->seconds;
        run->operations += one->operations;
        run->warmup_count += one->warmup;
        if (!one->warmup) rates[warm++] = one->rate;
    }
    run->rate = median(rates, warm);
    free(rates);
}

static void read_contention(struct run *run, const json_t *json) {
    const json_t *rows = json_object_get(json, "contention"), *row;
    size_t index;
    run->contention_told = rows != NULL;
    run->contention_count = json_array_size(rows);
    run->contention = checked_calloc(run->contention_count, sizeof *run->contention);
    json_array_foreach(rows, index, row) {
        struct contention *one = &run->contention[index];
        one->type = object_string(row, "type", "");
        one->place = object_string(row, "place", "");
        one->owner = (int)object_number(row, "owner", 0);
        one->share = object_number(row, "share", 0);
        for (size_t i = 0; i < CONTENTION_EVENTS; i++)
            one->events[i] = object_number(row, contention_events[i], 0);
    }
}

static void read_ledger(struct run *run, const json_t *json) {
    static const char *const names[LEDGER_ROWS] = {[ROW_CODE] = "code_bytes",
                                                   [ROW_STACKS] = "stacks_bytes",
                                                   [ROW_MALLOC_USED] = "malloc_used_bytes",
                                                   [ROW_SIDE_MARKS] = "side_marks_bytes",
                                                   [ROW_OBJECTS] = "objects_bytes",
                                                   [ROW_CONTENTS] = "contents_bytes",
                                                   [ROW_LARGE] = "large_bytes",
                                                   [ROW_MERGING] = "merging_bytes",
                                                   [ROW_WAITING] = "waiting_bytes",
                                                   [ROW_REMOTE] = "remote_bytes",
                                                   [ROW_FREE_BLOCKS] = "free_blocks_bytes",
                                                   [ROW_POOL_ROOM] = "pool_room_bytes",
                                                   [ROW_FREE_POOLS] = "free_pools_bytes",
                                                   [ROW_MALLOC_FREE] = "malloc_free_bytes"};
    const json_t *readings = json_object_get(json, "ledger"), *reading;
    size_t index;
    run->reading_count = json_array_size(readings);
    run->readings = checked_calloc(run->reading_count, sizeof *run->readings);
    json_array_foreach(readings, index, reading) {
        struct reading *one = &run->readings[index];
        one->seconds = object_number(reading, "seconds", 0);
        one->pause = object_number(reading, "pause_ns", 0);
        one->resident = object_number(reading, "resident_bytes", 0);
        for (size_t row = 0; row < LEDGER_ROWS; row++)
            one->rows[row] = object_number(reading, names[row], 0);
    }
}

static void read_last(struct collector *collector, const json_t *json) {
    const char *was;
    json_t *times;
    collector->last = "";
    json_object_foreach((json_t *)at_path(json, "collector.last_was"), was, times) {
        if (json_number_value(times) <= collector->last_times) continue;
        collector->last = was;
        collector->last_times = json_number_value(times);
    }
}

static void read_times(struct run *run, const json_t *json) {
    const json_t *times = json_object_get(json, "times_ms"), *time;
    size_t index;
    run->time_count = json_array_size(times);
    run->times = checked_calloc(run->time_count, sizeof *run->times);
    json_array_foreach(times, index, time) run->times[index] = json_number_value(time);
}

// What programs other than the drivers call by other names.
static void read_extras(struct run *run, const json_t *json) {
    if (run->list == LIST_CONVOY) {
        run->workload = "convoy";
        run->variant = object_string(json, "scheme", "");
        run->threads = (int)object_number(json, "busy", 0);
        run->rate = object_number(json, "busy_operations_per_second", 0);
    } else if (run->list == LIST_SERVERS) {
        run->workload = "task-server";
        run->variant = object_number(json, "version", 0) == 2 ? "weak references" : "cycles";
        run->rate = run->server[REQUESTS];
        run->seconds = object_number(json, "seconds", 0);
        run->operations = object_number(json_object_get(json, "load"), "requests", 0);
    } else if (run->list == LIST_FINDINGS) {
        run->workload = object_string(json, "experiment", "");
    }
}

static struct run read_run(enum list list, const json_t *json) {
    const json_t *randomised = json_object_get(json, "addresses_randomised");
    struct run run = {.list = list,
                      .workload = object_string(json, "workload", ""),
                      .backend = object_string(json, "backend", ""),
                      .variant = object_string(json, "variant", ""),
                      .without = object_string(json, "without", ""),
                      .unit = object_string(json, "unit", "operations"),
                      .threads = (int)object_number(json, "threads", 1),
                      .round = (int)object_number(json, "round", 0),
                      .shared = strcmp(object_string(json, "sharing", "own"), "shared") == 0,
                      .pinned = json_is_true(json_object_get(json, "pinned")),
                      .oversubscribed = json_is_true(json_object_get(json, "oversubscribed")),
                      .incomplete = json_is_true(json_object_get(json, "incomplete")),
                      .few_turns = json_is_true(json_object_get(json, "few_turns")),
                      .detailed = json_is_true(json_object_get(json, "detailed")),
                      .layout_told = randomised != NULL,
                      .layout_fixed = json_is_false(randomised),
                      .collector.told = json_object_get(json, "collector") != NULL};
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const json_t *value = at_path(json, numbers[i].path);
        *(double *)((char *)&run + numbers[i].at) =
            json_is_number(value) ? json_number_value(value) : 0;
    }
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++)
        *(const json_t **)((char *)&run + objects[i].at) = at_path(json, objects[i].path);
    read_samples(&run, json);
    read_contention(&run, json);
    read_ledger(&run, json);
    read_last(&run.collector, json);
    read_times(&run, json);
    read_extras(&run, json);
    run.stats_operations = object_number(json, "stats_operations", run.operations);
    return run;
}

// ---- order -----------------------------------------------------------------------

struct key run_key(const struct run *run) {
    return (struct key){run->list,    run->workload, run->variant,
                        run->without, run->backend,  run->threads};
}

static int compare_names(const char *one, const char *other) {
    return strcmp(one ? one : "", other ? other : "");
}

int run_compare(const struct run *run, const struct key *key) {
    int order = (int)run->list - (int)key->list;
    if (!order) order = compare_names(run->workload, key->workload);
    if (!order) order = compare_names(run->variant, key->variant);
    if (!order) order = compare_names(run->without, key->without);
    if (!order) order = compare_names(run->backend, key->backend);
    return order ? order : run->threads - key->threads;
}

static int compare_runs(const void *a, const void *b) {
    const struct run *one = a, *other = b;
    struct key key = run_key(other);
    int order = run_compare(one, &key);
    if (!order) order = one->round - other->round;
    // One that was cut short comes before the one that was measured in its stead.
    return order ? order : (int)other->incomplete - (int)one->incomplete;
}

// The first run that is not before the key; `past`: that is after it.
static size_t bound(const struct results *results, const struct key *key, bool past) {
    size_t low = 0, high = results->run_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = run_compare(&results->runs[middle], key);
        if (order < 0 || (past && order == 0))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

struct runs runs_at(const struct results *results, const struct key *key) {
    size_t first = bound(results, key, false);
    return (struct runs){results->runs + first, bound(results, key, true) - first};
}

struct runs runs_of(const struct results *results, enum list list) {
    struct key from = {.list = list}, to = {.list = list + 1};
    size_t first = bound(results, &from, false);
    return (struct runs){results->runs + first, bound(results, &to, false) - first};
}

// ---- the whole -------------------------------------------------------------------

size_t backend_place(const struct results *results, const char *name) {
    size_t place = 0;
    while (place < results->name_count && strcmp(results->names[place], name) != 0) place++;
    return place;
}

const struct workload *workload_named(const struct results *results, const char *name) {
    for (size_t w = 0; w < results->workload_count; w++)
        if (strcmp(results->workloads[w].name, name) == 0) return &results->workloads[w];
    return NULL;
}

static void read_backends(struct results *results) {
    const json_t *list = json_object_get(results->root, "backends"), *entry;
    size_t index;
    results->backends = checked_calloc(json_array_size(list), sizeof *results->backends);
    json_array_foreach(list, index, entry) {
        const char *role = object_string(entry, "role", "");
        results->backends[results->backend_count++] =
            (struct backend){.name = object_string(entry, "name", ""),
                             .role = role,
                             .counts = object_string(entry, "refcount", ""),
                             .locking = object_string(entry, "locking", ""),
                             .ablation = strcmp(role, "ablation") == 0};
    }
}

static void add_name(struct results *results, const char *name) {
    if (backend_place(results, name) < results->name_count) return;
    results->names =
        checked_realloc(results->names, (results->name_count + 1) * sizeof *results->names);
    results->names[results->name_count++] = name;
}

static bool from_interpreters(enum list list) {
    return list == LIST_PYTHON || list == LIST_PATTERNS || list == LIST_CONVOY;
}

static const json_t *description_of(const json_t *root, const char *name) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(root, "workloads"), index, entry) {
        if (strcmp(object_string(entry, "name", ""), name) == 0) return entry;
    }
    return NULL;
}

static void add_workload(struct results *results, const struct run *run) {
    if (workload_named(results, run->workload)) return;
    const json_t *about = description_of(results->root, run->workload),
                 *variants = json_object_get(about, "about_variants");
    results->workloads = checked_realloc(results->workloads, (results->workload_count + 1) *
                                                                 sizeof *results->workloads);
    results->workloads[results->workload_count++] =
        (struct workload){.name = run->workload,
                          .description = object_string(about, "description", ""),
                          .kind = object_string(about, "kind", ""),
                          .unit = run->unit,
                          .counterpart = object_string(about, "counterpart", ""),
                          .variants_title = object_string(variants, "title", ""),
                          .variants_text = object_string(variants, "text", ""),
                          .variants_axis = object_string(variants, "axis", ""),
                          .in_price = json_is_true(json_object_get(about, "in_price")),
                          .shared = run->shared};
}

struct results results_make(const json_t *root) {
    struct results results = {.root = root,
                              .margin = object_number(root, "margin", DEFAULT_MARGIN),
                              .self = json_is_true(json_object_get(root, "self")),
                              .incomplete = json_is_true(json_object_get(root, "incomplete"))};
    size_t count = 0, index;
    const json_t *json;
    if (!(results.margin > 0)) results.margin = DEFAULT_MARGIN;
    for (size_t l = 0; l < LISTS; l++)
        count += json_array_size(json_object_get(root, list_names[l]));
    results.runs = checked_calloc(count, sizeof *results.runs);
    read_backends(&results);
    for (size_t b = 0; b < results.backend_count; b++) add_name(&results, results.backends[b].name);
    for (size_t l = 0; l < LISTS; l++)
        json_array_foreach(json_object_get(root, list_names[l]), index, json) {
            struct run *run = &results.runs[results.run_count++];
            *run = read_run(l, json);
            if (l == LIST_TIMED && run->sample_count) add_workload(&results, run);
            if (from_interpreters(l)) add_name(&results, run->backend);
        }
    qsort(results.runs, results.run_count, sizeof *results.runs, compare_runs);
    return results;
}

void results_free(struct results *results) {
    for (size_t i = 0; i < results->run_count; i++) {
        free(results->runs[i].samples);
        free(results->runs[i].contention);
        free(results->runs[i].readings);
        free(results->runs[i].times);
    }
    free(results->runs);
    free(results->workloads);
    free(results->backends);
    free(results->names);
    *results = (struct results){0};
}
