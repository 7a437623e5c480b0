// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Bytes an object and a header, the machine and the build, and what may have
// spoilt the numbers.
#include "compose.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

// The sizes are constants of a backend, so any of its blocks tells them.
static const json_t *sizes_of(const struct analysis *analysis, const char *backend,
                              const char *what) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index;
    json_array_foreach(blocks, index,
                       block) if (strcmp(object_string(block, "backend", ""), backend) == 0 &&
                                  json_object_get(block, what)) return json_object_get(block, what);
    return NULL;
}

static void size_rows(struct table *table, const struct analysis *analysis, const char *what,
                      const char *prefix) {
    json_t *kinds = NULL, *value;
    const char *kind;
    for (size_t b = 0; b < analysis->backend_count && !json_object_size(kinds); b++)
        kinds = (json_t *)sizes_of(analysis, analysis->backends[b], what);
    json_object_foreach(kinds, kind, value) {
        table_cell(table, "%s%s", prefix, kind);
        for (size_t b = 0; b < analysis->backend_count; b++)
            table_cell(table, "%g",
                       object_number(sizes_of(analysis, analysis->backends[b], what), kind, 0));
    }
}

void compose_sizes(struct document *document, const struct analysis *analysis) {
    if (analysis->cell_count == 0) return;
    struct table table = table_make("Bytes; objects with their header, as tally_sizeof gives them",
                                    analysis->backend_count + 1, 1);
    document_heading(document, 2, "Bytes an object");
    table_cell(&table, "what");
    for (size_t b = 0; b < analysis->backend_count; b++)
        backend_cell(&table, analysis, analysis->backends[b]);
    size_rows(&table, analysis, "header_bytes", "header, ");
    size_rows(&table, analysis, "object_bytes", "");
    document_table(document, table);
}

static void fact_row(struct table *table, const json_t *facts, const char *key, const char *shown) {
    const json_t *value = json_object_get(facts, key);
    if (value == NULL) return;
    table_cell(table, "%s", shown);
    if (json_is_string(value))
        table_cell(table, "%s", json_string_value(value));
    else
        table_cell(table, "%g", json_number_value(value));
}

// Every process has a layout of its own; this says what of it was random.
static void layout_row(struct table *table, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index, told = 0, fixed = 0;
    json_array_foreach(blocks, index, block) {
        const json_t *randomised = json_object_get(block, "addresses_randomised");
        told += randomised != NULL;
        fixed += json_is_false(randomised);
    }
    if (told == 0) return;
    table_cell(table, "layout of each process");
    if (fixed)
        table_cell(table,
                   "addresses not randomised in %zu of %zu; environment size and heap start random",
                   fixed, told);
    else
        table_cell(table, "addresses, environment size and heap start random");
}

static void warmup_row(struct table *table, const struct analysis *analysis) {
    table_cell(table, "samples dropped as warm-up");
    table_cell(table, "%zu of %zu", analysis->warmup_samples, analysis->samples);
}

// How the GIL changed hands, which is alike in all blocks that have one.
static void gil_row(struct table *table, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block, *gil = NULL;
    size_t index;
    json_array_foreach(blocks, index,
                       block) if (gil == NULL && json_is_object(json_object_get(block, "gil")))
        gil = json_object_get(block, "gil");
    if (gil == NULL) return;
    table_cell(table, "GIL hand-over; without one ignored");
    if (json_object_get(gil, "ticks"))
        table_cell(table, "%s, %.0f safepoints", object_string(gil, "policy", ""),
                   object_number(gil, "ticks", 0));
    else
        table_cell(table, "%s, interval %.0f us", object_string(gil, "policy", ""),
                   object_number(gil, "interval_us", 0));
}

static void facts_table(struct document *document, const struct analysis *analysis) {
    const json_t *machine = json_object_get(analysis->root, "machine");
    const json_t *build = json_object_get(analysis->root, "build");
    struct table table = table_make("", 2, 2);
    table_cell(&table, "fact");
    table_cell(&table, "value");
    fact_row(&table, analysis->root, "started", "started");
    fact_row(&table, machine, "cpu", "processor");
    fact_row(&table, machine, "cores", "cores this run may use");
    table_cell(&table, "memory");
    table_cell(&table, "%.1f GiB", object_number(machine, "memory_mib", 0) / 1024);
    fact_row(&table, machine, "kernel", "kernel");
    fact_row(&table, machine, "governor", "frequency governor");
    fact_row(&table, machine, "turbo", "turbo");
    fact_row(&table, machine, "load_before", "load before");
    layout_row(&table, analysis);
    warmup_row(&table, analysis);
    fact_row(&table, build, "compiler", "compiler");
    fact_row(&table, build, "flags", "flags");
    fact_row(&table, build, "type", "build type");
    fact_row(&table, build, "commit", "commit");
    gil_row(&table, analysis);
    table_cell(&table, "seed");
    table_cell(&table, "%lld",
               (long long)json_integer_value(json_object_get(analysis->root, "seed")));
    document_table(document, table);
}

// What was found before the run; stable.c says what is looked at.
static void machine_doubts(struct document *document, const json_t *machine) {
    const json_t *conditions = json_object_get(machine, "conditions"), *condition;
    double steal = object_number(machine, "steal_share", 0);
    size_t index;
    if (steal > 0.005)
        document_bullet(document,
                        "The hypervisor took %.1f %% of the processor's time during the run.",
                        steal * 100);
    json_array_foreach(conditions, index, condition) {
        const char *advice = object_string(condition, "advice", NULL);
        if (strcmp(object_string(condition, "state", ""), "spoils") == 0)
            document_bullet(document, "**%s**: %s%s%s.", object_string(condition, "name", "?"),
                            object_string(condition, "found", "?"), advice ? ". To do: " : "",
                            advice ? advice : "");
    }
}

static void block_doubts(struct document *document, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index, detailed = 0, alive = 0;
    json_array_foreach(blocks, index, block) {
        detailed += json_is_true(json_object_get(block, "detailed"));
        alive += object_number(block, "live_at_finish", 0) != 0;
    }
    if (detailed)
        document_bullet(document, "%zu timed blocks came from drivers that count every event.",
                        detailed);
    if (alive)
        document_bullet(
            document, "**%zu blocks left live objects behind**: the run time or a workload leaks.",
            alive);
}

static void sample_doubts(struct document *document, const struct analysis *analysis) {
    size_t wide = 0, few = 0, loose = 0, over = 0;
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *cell = &analysis->cells[i];
        wide += cell->rate.known && cell->rate.high > 1.1 * cell->rate.low;
        few += cell->series.count < 5;
        loose += !cell->pinned && !cell->oversubscribed;
        over += cell->oversubscribed;
    }
    if (few)
        document_bullet(
            document,
            "%zu of %zu points rest on fewer than five processes; a longer run narrows them.", few,
            analysis->cell_count);
    if (wide)
        document_bullet(document, "%zu of %zu points have an interval wider than 10 %%.", wide,
                        analysis->cell_count);
    if (loose)
        document_bullet(document, "%zu points were measured with threads that were not pinned.",
                        loose);
    if (over)
        document_bullet(document, "%zu points have more threads than cores (marked †).", over);
}

void compose_conditions(struct document *document, const struct analysis *analysis) {
    document_heading(document, 2, "The machine and the build");
    facts_table(document, analysis);
    document_heading(document, 3, "What may spoil these numbers");
    size_t before = document->count;
    machine_doubts(document, json_object_get(analysis->root, "machine"));
    block_doubts(document, analysis);
    sample_doubts(document, analysis);
    if (json_array_size(json_object_get(analysis->root, "failures")))
        document_bullet(document, "Some blocks failed; they are listed above.");
    if (document->count == before)
        document_paragraph(document, "Nothing that this program looks for.");
}
