// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the processor and the kernel counted of the workers during the timed
// samples, by perf events.
#include "compose.h"

#include "results.h"

#include <stdlib.h>
#include <string.h>

enum { EVENTS = 7 };

static const struct event {
    const char *name, *shown;
    double scale; // shown for so many operations
} events[EVENTS] = {
    {"instructions", "instructions\nan operation", 1},
    {"cycles", "cycles\nan operation", 1},
    {"cache_misses", "cache misses\n1000 operations", 1000},
    {"branch_misses", "branch misses\n1000 operations", 1000},
    {"context_switches", "context switches\na million operations", 1e6},
    {"page_faults", "page faults\na million operations", 1e6},
    {"migrations", "migrations\na million operations", 1e6},
};

struct sums {
    double counts[EVENTS], operations;
    bool lacks[EVENTS];
    size_t blocks;
};

static double operations_of(const json_t *block) {
    const json_t *sample;
    size_t index;
    double sum = 0;
    json_array_foreach(json_object_get(block, "samples"), index, sample) sum +=
        object_number(sample, "operations", 0);
    return sum;
}

static struct sums sum_up(const struct analysis *analysis, const char *workload,
                          const char *backend, int threads) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    struct sums sums = {0};
    size_t index;
    json_array_foreach(blocks, index, block) {
        const json_t *counts = json_object_get(json_object_get(block, "perf"), "counts");
        if (!counts || strcmp(object_string(block, "workload", ""), workload) != 0 ||
            strcmp(object_string(block, "backend", ""), backend) != 0 ||
            (int)object_number(block, "threads", 0) != threads)
            continue;
        sums.blocks++;
        sums.operations += operations_of(block);
        for (size_t i = 0; i < EVENTS; i++) {
            sums.lacks[i] |= !json_is_number(json_object_get(counts, events[i].name));
            sums.counts[i] += object_number(counts, events[i].name, 0);
        }
    }
    return sums;
}

// Why there is no such count, by the first block that lacks it; NULL: all have it.
static const char *why_not(const struct analysis *analysis, const char *event) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index;
    json_array_foreach(blocks, index, block) {
        const json_t *reasons = json_object_get(json_object_get(block, "perf"), "unavailable");
        if (json_object_get(reasons, event)) return object_string(reasons, event, "?");
    }
    return NULL;
}

static void say_unavailable(struct document *document, const struct analysis *analysis) {
    for (size_t i = 0; i < EVENTS; i++) {
        const char *why = why_not(analysis, events[i].name);
        struct text names = {0};
        bool said = false;
        for (size_t j = 0; why && j < EVENTS; j++) {
            const char *other = why_not(analysis, events[j].name);
            if (!other || strcmp(why, other) != 0) continue;
            said = said || j < i;
            text_add(&names, "%s%s", names.length ? ", " : "", events[j].name);
        }
        if (why && !said)
            document_paragraph(document, "Not available: %s: %s.", text_string(&names), why);
        text_free(&names);
    }
}

static void add_row(struct table *table, const struct analysis *analysis, const char *workload,
                    const char *backend, const bool *shown) {
    struct sums sums = sum_up(analysis, workload, backend, analysis->scale_threads);
    if (sums.blocks == 0 || sums.operations <= 0) return;
    table_cell(table, "%s", workload);
    table_cell(table, "%s", backend);
    for (size_t i = 0; i < EVENTS; i++)
        if (shown[i] && sums.lacks[i])
            table_cell(table, "–");
        else if (shown[i])
            table_cell(table, "%.3g", sums.counts[i] / sums.operations * events[i].scale);
}

void compose_hardware(struct document *document, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    bool shown[EVENTS] = {false}, any = false;
    size_t index, columns = 2;
    json_array_foreach(blocks, index, block) {
        const json_t *perf = json_object_get(block, "perf");
        any = any || perf;
        for (size_t i = 0; i < EVENTS; i++)
            shown[i] |= json_object_get(json_object_get(perf, "counts"), events[i].name) != NULL;
    }
    if (!any) return;
    for (size_t i = 0; i < EVENTS; i++) columns += shown[i];
    document_heading(document, 2, "What the processor and the kernel counted");
    say_unavailable(document, analysis);
    if (columns == 2) return;
    document_details(document, "Counts of the workers, timed samples on %d thread%s",
                     analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s");
    struct table table = table_make("", columns, 2);
    table_cell(&table, "workload");
    table_cell(&table, "backend");
    for (size_t i = 0; i < EVENTS; i++)
        if (shown[i]) table_cell(&table, "%s", events[i].shown);
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            add_row(&table, analysis, analysis->workloads[w], analysis->backends[b], shown);
    document_table(document, table);
    document_details_end(document);
}
