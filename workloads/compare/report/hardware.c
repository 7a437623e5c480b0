// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the processor and the kernel counted of the workers during the timed samples, by
// perf events.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { EVENTS = 7 };

static const struct event {
    const char *name, *shown;
    double scale; // shown for so many operations
} events[EVENTS] = {
    {"instructions", "instructions\nper operation", 1},
    {"cycles", "cycles\nper operation", 1},
    {"cache_misses", "cache misses\nper 1000 operations", 1000},
    {"branch_misses", "branch misses\nper 1000 operations", 1000},
    {"context_switches", "context switches\nper million operations", 1e6},
    {"page_faults", "page faults\nper million operations", 1e6},
    {"migrations", "migrations\nper million operations", 1e6},
};

struct hardware_row {
    const char *workload, *backend;
    double counts[EVENTS];
};

// NAN where a run lacks the event.
static double count_of(const struct cell *cell, const struct event *event) {
    double sum = 0, operations = SUM(cell->runs, operations);
    for (size_t i = 0; i < cell->runs.count; i++)
        sum += object_number(cell->runs.items[i].perf_counts, event->name, NAN);
    return operations > 0 ? sum / operations * event->scale : NAN;
}

// Why there is no such count, by the first run that lacks it; NULL: all have it.
static const char *why_not(struct runs timed, const char *event) {
    for (size_t i = 0; i < timed.count; i++) {
        const char *why = object_string(timed.items[i].perf_lacks, event, NULL);
        if (why) return why;
    }
    return NULL;
}

static void say_unavailable(struct document *document, struct runs timed) {
    for (size_t i = 0; i < EVENTS; i++) {
        const char *why = why_not(timed, events[i].name);
        struct text names = {0};
        bool said = false;
        for (size_t j = 0; why && j < EVENTS; j++) {
            const char *other = why_not(timed, events[j].name);
            if (!other || strcmp(why, other) != 0) continue;
            said = said || j < i;
            text_add(&names, "%s%s", names.length ? ", " : "", events[j].name);
        }
        if (why && !said)
            document_paragraph(document, "Not available: %s: %s.", text_string(&names), why);
        text_free(&names);
    }
}

void section_hardware(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct runs timed = runs_of(results, LIST_TIMED);
    bool told = false, shown[EVENTS] = {false};
    for (size_t i = 0; i < timed.count; i++) {
        told = told || timed.items[i].perf_counts;
        for (size_t e = 0; e < EVENTS; e++)
            shown[e] |= json_object_get(timed.items[i].perf_counts, events[e].name) != NULL;
    }
    if (!told) return;
    struct column columns[2 + EVENTS] = {COLUMN("workload", TEXT, hardware_row, workload, 0),
                                         COLUMN("backend", BACKEND, hardware_row, backend, 0)};
    size_t column_count = 2, count = 0;
    for (size_t e = 0; e < EVENTS; e++)
        if (shown[e])
            columns[column_count++] =
                (struct column){events[e].shown, NUMBER,
                                offsetof(struct hardware_row, counts) + e * sizeof(double), 0};
    document_heading(document, 2, "What the processor and the kernel counted");
    say_unavailable(document, timed);
    struct hardware_row *rows =
        checked_calloc(results->workload_count * analysis->backend_count, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const struct cell *cell = analysis_cell(analysis, results->workloads[w].name,
                                                    analysis->backends[b], analysis->scale_threads);
            if (!cell || !cell->runs.items->perf_counts) continue;
            struct hardware_row *row = &rows[count++];
            row->workload = cell->key.workload;
            row->backend = cell->key.backend;
            for (size_t e = 0; e < EVENTS; e++) row->counts[e] = count_of(cell, &events[e]);
        }
    if (column_count > 2 && count) {
        document_details(document, "Counts of the workers, timed samples on %d thread%s",
                         analysis->scale_threads, plural(analysis->scale_threads));
        document_table(document, "", columns, column_count, rows, count, sizeof *rows);
        document_details_end(document);
    }
    free(rows);
}
