// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What may have spoilt the numbers, here and in a banner at the top; the machine and the build;
// bytes per object.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- doubts --------------------------------------------------------------------------

static const double STOLEN = 0.005;

static bool was_stolen(const json_t *machine) {
    return object_number(machine, "steal_share", 0) > STOLEN;
}

// What was found before the run; machine/conditions.c says what is looked at.  Time that was stolen
// in the run says more than what was stolen before.
static const json_t *spoilt(const json_t *machine, size_t index) {
    const json_t *condition = json_array_get(json_object_get(machine, "conditions"), index);
    if (was_stolen(machine) && strcmp(object_string(condition, "name", ""), "steal time") == 0)
        return NULL;
    return strcmp(object_string(condition, "state", ""), "spoils") == 0 ? condition : NULL;
}

void section_banner(struct document *document, const struct analysis *analysis) {
    const json_t *root = analysis->results->root, *machine = json_object_get(root, "machine");
    struct text names = {0};
    for (size_t i = 0; i < json_array_size(json_object_get(machine, "conditions")); i++)
        if (spoilt(machine, i))
            text_add(&names, "%s%s", names.length ? ", " : "",
                     object_string(spoilt(machine, i), "name", "?"));
    if (was_stolen(machine))
        text_add(&names, "%stime that the hypervisor took", names.length ? ", " : "");
    if (names.length)
        document_say(document, BANNER,
                     "**This machine spoils numbers:** %s. The end of the report says what to do.",
                     text_string(&names));
    text_free(&names);
    if (analysis->results->incomplete)
        document_say(document, BANNER,
                     "**Incomplete:** the run was stopped before its end. The report is from the "
                     "samples taken until then.");
    if (json_array_size(json_object_get(root, "failures")))
        document_say(document, BANNER,
                     "**Some runs failed.** Their samples are missing from every table.");
}

static void machine_doubts(struct document *document, const json_t *machine) {
    if (was_stolen(machine))
        document_bullet(document,
                        "The hypervisor took %.1f %% of the processor's time during the run. To "
                        "do: measure on a host of one's own, or when its other guests are idle.",
                        object_number(machine, "steal_share", 0) * 100);
    for (size_t i = 0; i < json_array_size(json_object_get(machine, "conditions")); i++) {
        const json_t *condition = spoilt(machine, i);
        const char *advice = object_string(condition, "advice", NULL);
        if (condition)
            document_bullet(document, "**%s**: %s%s%s.", object_string(condition, "name", "?"),
                            object_string(condition, "found", "?"), advice ? ". To do: " : "",
                            advice ? advice : "");
    }
}

static void run_doubts(struct document *document, struct runs timed) {
    size_t detailed = 0, alive = 0;
    struct text leaking = {0};
    const char *last = "";
    for (size_t i = 0; i < timed.count; i++) {
        const struct run *run = &timed.items[i];
        detailed += run->detailed;
        if (run->live_at_finish == 0) continue;
        alive++;
        // The runs of a workload follow each other.
        if (strcmp(run->workload, last) != 0)
            text_add(&leaking, "%s%s", leaking.length ? ", " : "", run->workload);
        last = run->workload;
    }
    if (detailed)
        document_bullet(document, "%zu timed runs came from drivers that count every event.",
                        detailed);
    if (alive)
        document_bullet(document, "**%zu runs left live objects behind** and so leak: %s.", alive,
                        text_string(&leaking));
    text_free(&leaking);
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

// ---- facts ---------------------------------------------------------------------------

struct fact_row {
    const char *name, *value;
};

struct facts {
    struct document *document;
    struct fact_row rows[24];
    size_t count;
};

static void add_fact(struct facts *facts, const char *name, const char *value) {
    if (value && facts->count < sizeof facts->rows / sizeof *facts->rows)
        facts->rows[facts->count++] = (struct fact_row){name, value};
}

// What processes had in common, or in how many it was otherwise.
static void run_facts(struct facts *facts, struct runs timed) {
    size_t told = 0, fixed = 0, samples = 0, dropped = 0;
    const json_t *gil = NULL, *lacks = NULL;
    for (size_t i = 0; i < timed.count; i++) {
        const struct run *run = &timed.items[i];
        told += run->layout_told;
        fixed += run->layout_fixed;
        samples += run->sample_count;
        dropped += run->warmup_count;
        gil = gil ? gil : json_is_object(run->gil) ? run->gil : NULL;
        lacks = lacks ? lacks : run->perf_lacks;
    }
    struct document *document = facts->document;
    if (told)
        add_fact(facts, "layout of each process",
                 fixed == 0 ? "addresses, environment size and heap start random"
                            : keep(document,
                                   "addresses not randomised in %zu of %zu; environment size and "
                                   "heap start random",
                                   fixed, told));
    add_fact(facts, "samples dropped as warm-up", keep(document, "%zu of %zu", dropped, samples));
    bool ticks = json_object_get(gil, "ticks");
    if (gil)
        add_fact(facts, "GIL hand-over",
                 keep(document, "%s, %.0f %s", object_string(gil, "policy", ""),
                      object_number(gil, ticks ? "ticks" : "interval_us", 0),
                      ticks ? "safepoints" : "µs"));
    struct text names = {0};
    const char *name, *why = NULL;
    json_t *reason;
    json_object_foreach((json_t *)lacks, name, reason) {
        text_add(&names, "%s%s", names.length ? ", " : "", name);
        why = json_string_value(reason);
    }
    if (why) {
        text_add(&names, ": %s", why);
        add_fact(facts, "not counted by the processor", keep(document, "%s", text_string(&names)));
    }
    text_free(&names);
}

static void facts_table(struct document *document, const struct analysis *analysis) {
    static const char *const known[][3] = {
        {NULL, "started", "started"},
        {NULL, "seed", "seed"},
        {"machine", "cpu", "processor"},
        {"machine", "cores", "cores this run may use"},
        {"machine", "memory_mib", "memory, MiB"},
        {"machine", "kernel", "kernel"},
        {"machine", "governor", "frequency governor"},
        {"machine", "turbo", "turbo"},
        {"machine", "load_before", "load before"},
        {"build", "compiler", "compiler"},
        {"build", "flags", "flags"},
        {"build", "type", "build type"},
        {"build", "commit", "commit"},
        {"against_build", "commit", "the other build's commit"},
    };
    const json_t *root = analysis->results->root;
    struct facts facts = {.document = document};
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        const json_t *from = known[i][0] ? json_object_get(root, known[i][0]) : root;
        const json_t *value = json_object_get(from, known[i][1]);
        add_fact(&facts, known[i][2],
                 json_is_string(value) ? json_string_value(value)
                 : json_is_integer(value)
                     ? keep(document, "%lld", (long long)json_integer_value(value))
                 : json_is_real(value) ? keep(document, "%.3g", json_real_value(value))
                                       : NULL);
    }
    run_facts(&facts, runs_of(analysis->results, LIST_TIMED));
    const struct column columns[] = {
        COLUMN("fact", TEXT, fact_row, name, 0),
        COLUMN("value", TEXT, fact_row, value, 0),
    };
    const struct fact_row *rows = facts.rows;
    TABLE_OF(document, "", columns, rows, facts.count);
}

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

static void sizes_table(struct document *document, const struct analysis *analysis) {
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
    const struct column what[] = {{"bytes, objects with their header", TEXT, 0, 0}};
    struct column *columns =
        backend_columns(analysis, what, 1, COUNT, offsetof(struct size_row, bytes), sizeof(double));
    if (count) document_say(document, DETAILS, "Bytes per object");
    document_table(document, "", columns, analysis->backend_count + 1, rows, count, size);
    if (count) document_details_end(document);
    free(columns);
    free(rows);
}

void section_conditions(struct document *document, const struct analysis *analysis) {
    document_heading(document, 2, "What may spoil these numbers");
    size_t before = document->count;
    machine_doubts(document, json_object_get(analysis->results->root, "machine"));
    run_doubts(document, runs_of(analysis->results, LIST_TIMED));
    cell_doubts(document, analysis);
    if (document->count == before)
        document_paragraph(document, "Nothing that this program looks for.");
    document_say(document, DETAILS, "The machine and the build");
    facts_table(document, analysis);
    document_details_end(document);
    sizes_table(document, analysis);
}
