// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The patterns of CPython's scaling benchmark: each backend beside an
// interpreter, which counts here as one more backend.
#include "compose.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

static bool measured(const json_t *patterns, const char *workload) {
    const json_t *block;
    size_t index;
    json_array_foreach(patterns, index, block) if (strcmp(object_string(block, "workload", ""),
                                                          workload) == 0) return true;
    return false;
}

// The results with the interpreter as a backend, and these workloads alone.
static json_t *joined(const json_t *root, const json_t *patterns) {
    json_t *copy = json_copy((json_t *)root), *blocks = json_array(), *block, *known;
    json_t *backends = json_copy(json_object_get(root, "backends"));
    const char *name = object_string(json_array_get(patterns, 0), "backend", "");
    size_t index;
    json_array_foreach(json_object_get(root, "blocks"), index,
                       block) if (measured(patterns, object_string(block, "workload", "")))
        json_array_append(blocks, block);
    json_array_extend(blocks, (json_t *)patterns);
    known = json_pack("{s:s, s:s}", "name", name, "role", "interpreter");
    json_array_append_new(backends, known);
    json_object_set_new(copy, "blocks", blocks);
    json_object_set_new(copy, "backends", backends);
    json_object_set_new(copy, "counted", json_array());
    return copy;
}

static void head(struct table *table, const struct analysis *analysis, const char *unit) {
    table_cell(table, "pattern");
    for (size_t b = 0; b < analysis->backend_count; b++)
        table_cell(table, "%s\n%s", analysis->backends[b], unit);
}

static void add_rates(struct document *document, const struct analysis *analysis) {
    struct table table =
        table_make("One thread: operations a second", analysis->backend_count + 1, 1);
    head(&table, analysis, "operations a second");
    for (size_t w = 0; w < analysis->workload_count; w++) {
        table_cell(&table, "%s", analysis->workloads[w]);
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const struct cell *cell =
                analysis_cell(analysis, analysis->workloads[w], analysis->backends[b], 1);
            char *rate = cell ? show_rate(cell->rate.estimate) : format("–");
            table_cell(&table, "%s", rate);
            free(rate);
        }
    }
    document_table(document, table);
}

static void add_speedups(struct document *document, const struct analysis *analysis) {
    int threads = analysis->scale_threads;
    char *caption = format(
        "%d threads: throughput of all over that of one thread, with its 95 %% interval", threads);
    struct table table = table_make(caption, analysis->backend_count + 1, 1);
    free(caption);
    head(&table, analysis, "times one thread");
    for (size_t w = 0; w < analysis->workload_count; w++) {
        table_cell(&table, "%s", analysis->workloads[w]);
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const char *workload = analysis->workloads[w], *backend = analysis->backends[b];
            char *ratio =
                show_ratio(cells_ratio(analysis_cell(analysis, workload, backend, threads),
                                       analysis_cell(analysis, workload, backend, 1)));
            table_cell(&table, "%s", ratio);
            free(ratio);
        }
    }
    document_table(document, table);
}

void compose_patterns(struct document *document, const struct analysis *analysis) {
    const json_t *patterns = json_object_get(analysis->root, "patterns");
    if (json_array_size(patterns) == 0) return;
    json_t *root = joined(analysis->root, patterns);
    struct analysis both = analysis_make(root, 0);
    const char *name = object_string(json_array_get(patterns, 0), "backend", "");
    document_heading(document, 2, "The patterns of CPython's scaling benchmark, and %s", name);
    document_paragraph(document,
                       "The same patterns as a script, run by %s, beside the workloads of these "
                       "names. An interpreter does more for "
                       "an operation than the object model alone: compare how they scale, not how "
                       "fast one thread is.",
                       name);
    if (both.scale_threads > 1) add_speedups(document, &both);
    add_rates(document, &both);
    analysis_free(&both);
    json_decref(root);
}
