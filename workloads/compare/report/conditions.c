// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Bytes per object and header, the machine and the build, and what may have spoilt the
// numbers.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- sizes ---------------------------------------------------------------------------

// The sizes are constants of a backend, so any of its runs tells them.
static const struct run *a_run(const struct analysis *analysis, const char *backend) {
    struct runs timed = runs_of(analysis->results, LIST_TIMED);
    for (size_t i = 0; i < timed.count; i++)
        if (strcmp(timed.items[i].backend, backend) == 0) return &timed.items[i];
    return NULL;
}

struct size_row {
    const char *what;
    double bytes[];
};

void section_sizes(struct document *document, const struct analysis *analysis) {
    size_t count = 0, size = sizeof(struct size_row) + analysis->backend_count * sizeof(double);
    const struct run *first = analysis->backend_count ? a_run(analysis, analysis->baseline) : NULL;
    if (first == NULL) return;
    char *rows = checked_calloc(
        json_object_size(first->header_bytes) + json_object_size(first->object_bytes), size);
    for (size_t objects = 0; objects < 2; objects++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(objects ? first->object_bytes : first->header_bytes), name,
                            value) {
            struct size_row *row = (struct size_row *)(rows + count++ * size);
            row->what = keep(document, "%s%s", objects ? "" : "header, ", name);
            for (size_t b = 0; b < analysis->backend_count; b++) {
                const struct run *run = a_run(analysis, analysis->backends[b]);
                row->bytes[b] =
                    object_number(objects ? run->object_bytes : run->header_bytes, name, NAN);
            }
        }
    }
    const struct column what[] = {{"what", TEXT, 0, 0}};
    struct column *columns = backend_columns(analysis, what, 1, 0, COUNT,
                                             offsetof(struct size_row, bytes), sizeof(double));
    document_heading(document, 2, "Bytes per object");
    document_table(document, "Bytes; objects with their header, as tally_sizeof gives them",
                   columns, analysis->backend_count + 1, rows, count, size);
    free(columns);
    free(rows);
}

// ---- facts ---------------------------------------------------------------------------

struct fact_row {
    const char *name, *value;
};

enum { MOST_FACTS = 24 };

struct facts {
    struct document *document;
    struct fact_row rows[MOST_FACTS];
    size_t count;
};

static void add_fact(struct facts *facts, const char *name, const char *value) {
    if (value && facts->count < MOST_FACTS)
        facts->rows[facts->count++] = (struct fact_row){name, value};
}

static void add_known(struct facts *facts, const json_t *object, const char *key,
                      const char *shown) {
    const json_t *value = json_object_get(object, key);
    if (json_is_string(value))
        add_fact(facts, shown, json_string_value(value));
    else if (value)
        add_fact(facts, shown, keep(facts->document, "%g", json_number_value(value)));
}

// Every process has a layout of its own; this says what of it was random.
static const char *layout_of(struct document *document, struct runs timed) {
    size_t told = 0, fixed = 0;
    for (size_t i = 0; i < timed.count; i++) {
        told += timed.items[i].layout_told;
        fixed += timed.items[i].layout_fixed;
    }
    if (told == 0) return NULL;
    if (fixed == 0) return "addresses, environment size and heap start random";
    return keep(document,
                "addresses not randomised in %zu of %zu; environment size and heap start random",
                fixed, told);
}

static const char *warmup_of(struct document *document, struct runs timed) {
    size_t samples = 0, dropped = 0;
    for (size_t i = 0; i < timed.count; i++) {
        samples += timed.items[i].sample_count;
        dropped += timed.items[i].warmup_count;
    }
    return keep(document, "%zu of %zu", dropped, samples);
}

// How the GIL changed hands, which is alike in all runs that have one.
static const char *gil_of(struct document *document, struct runs timed) {
    for (size_t i = 0; i < timed.count; i++) {
        const json_t *gil = timed.items[i].gil;
        if (!json_is_object(gil)) continue;
        if (json_object_get(gil, "ticks"))
            return keep(document, "%s, %.0f safepoints", object_string(gil, "policy", ""),
                        object_number(gil, "ticks", 0));
        return keep(document, "%s, interval %.0f us", object_string(gil, "policy", ""),
                    object_number(gil, "interval_us", 0));
    }
    return NULL;
}

static void facts_table(struct document *document, const struct analysis *analysis) {
    const json_t *root = analysis->results->root, *machine = json_object_get(root, "machine"),
                 *build = json_object_get(root, "build");
    struct runs timed = runs_of(analysis->results, LIST_TIMED);
    struct facts facts = {.document = document};
    add_known(&facts, root, "started", "started");
    add_known(&facts, machine, "cpu", "processor");
    add_known(&facts, machine, "cores", "cores this run may use");
    add_fact(&facts, "memory",
             keep(document, "%.1f GiB", object_number(machine, "memory_mib", 0) / 1024));
    add_known(&facts, machine, "kernel", "kernel");
    add_known(&facts, machine, "governor", "frequency governor");
    add_known(&facts, machine, "turbo", "turbo");
    add_known(&facts, machine, "load_before", "load before");
    add_fact(&facts, "layout of each process", layout_of(document, timed));
    add_fact(&facts, "samples dropped as warm-up", warmup_of(document, timed));
    add_known(&facts, build, "compiler", "compiler");
    add_known(&facts, build, "flags", "flags");
    add_known(&facts, build, "type", "build type");
    add_known(&facts, build, "commit", "commit");
    add_known(&facts, json_object_get(root, "against_build"), "commit", "the other build's commit");
    add_fact(&facts, "GIL hand-over; without one ignored", gil_of(document, timed));
    add_fact(&facts, "seed", keep(document, "%.0f", object_number(root, "seed", 0)));
    const struct column columns[] = {
        COLUMN("fact", TEXT, fact_row, name, 0),
        COLUMN("value", TEXT, fact_row, value, 0),
    };
    const struct fact_row *rows = facts.rows;
    TABLE_OF(document, "", columns, rows, facts.count);
}

// ---- doubts --------------------------------------------------------------------------

// What was found before the run; conditions.c says what is looked at.
static void machine_doubts(struct document *document, const json_t *machine) {
    const json_t *condition;
    double steal = object_number(machine, "steal_share", 0);
    size_t index;
    if (steal > 0.005)
        document_bullet(document,
                        "The hypervisor took %.1f %% of the processor's time during the run.",
                        steal * 100);
    json_array_foreach(json_object_get(machine, "conditions"), index, condition) {
        const char *advice = object_string(condition, "advice", NULL);
        if (strcmp(object_string(condition, "state", ""), "spoils") == 0)
            document_bullet(document, "**%s**: %s%s%s.", object_string(condition, "name", "?"),
                            object_string(condition, "found", "?"), advice ? ". To do: " : "",
                            advice ? advice : "");
    }
}

static void run_doubts(struct document *document, struct runs timed) {
    size_t detailed = 0, alive = 0;
    for (size_t i = 0; i < timed.count; i++) {
        detailed += timed.items[i].detailed;
        alive += timed.items[i].live_at_finish != 0;
    }
    if (detailed)
        document_bullet(document, "%zu timed runs came from drivers that count every event.",
                        detailed);
    if (alive)
        document_bullet(document,
                        "**%zu runs left live objects behind**: the run time or a workload leaks.",
                        alive);
}

static void cell_doubts(struct document *document, const struct analysis *analysis) {
    size_t cells = 0, wide = 0, few = 0, loose = 0, over = 0;
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *cell = &analysis->cells[i];
        if (cell->key.list != LIST_TIMED) continue;
        cells++;
        wide += cell->rate.known && cell->rate.high > 1.1 * cell->rate.low;
        few += cell->rate.rounds < 5;
        loose += !cell->pinned && !cell->oversubscribed;
        over += cell->oversubscribed;
    }
    if (few)
        document_bullet(document, "%zu of %zu rates rest on fewer than five rounds.", few, cells);
    if (wide)
        document_bullet(document,
                        "%zu of %zu rates have an interval wider than 10 %%; ratios within rounds "
                        "may be closer.",
                        wide, cells);
    if (loose)
        document_bullet(document, "%zu rates were measured with threads that were not pinned.",
                        loose);
    if (over) document_bullet(document, "%zu rates have more threads than cores (marked †).", over);
}

void section_conditions(struct document *document, const struct analysis *analysis) {
    const json_t *root = analysis->results->root;
    document_heading(document, 2, "The machine and the build");
    facts_table(document, analysis);
    document_heading(document, 3, "What may spoil these numbers");
    size_t before = document->count;
    machine_doubts(document, json_object_get(root, "machine"));
    run_doubts(document, runs_of(analysis->results, LIST_TIMED));
    cell_doubts(document, analysis);
    if (json_array_size(json_object_get(root, "failures")))
        document_bullet(document, "Some runs failed; they are listed above.");
    if (document->count == before)
        document_paragraph(document, "Nothing that this program looks for.");
}
