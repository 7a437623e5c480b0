// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What would be gained without each cause; what_if.h says how it is measured.
#include "what_if.h"
#include "causes.h"
#include "compose.h"

#include <stdlib.h>
#include <string.h>

static const char *const shown_causes[WHAT_IF_CAUSES] = {
    "a private copy for each thread", "shared objects immortal", "the collector off", "locks off"};

struct gain_row {
    const char *workload, *backend;
    struct interval gains[WHAT_IF_CAUSES];
};

// The cause whose removal is sure to help, and helps most.
static void say_largest(struct document *document, const struct gain_row *row) {
    size_t largest = WHAT_IF_CAUSES;
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        if (verdict_of(&row->gains[c], true) == BETTER &&
            (largest == WHAT_IF_CAUSES || row->gains[c].estimate > row->gains[largest].estimate))
            largest = c;
    if (largest == WHAT_IF_CAUSES) return;
    char *ratio = show_ratio(row->gains[largest]);
    document_bullet(document, "**%s** on %s would gain most by %s: %s times the throughput.",
                    row->workload, row->backend, shown_causes[largest], ratio);
    free(ratio);
}

static void gains_table(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    size_t count = 0;
    struct gain_row *rows =
        checked_calloc(results->workload_count * analysis->backend_count, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            struct gain_row row = {.workload = results->workloads[w].name,
                                   .backend = analysis->backends[b]};
            bool any = false;
            for (size_t c = 0; c < WHAT_IF_CAUSES; c++) {
                row.gains[c] = gain_without(analysis, row.workload, row.backend, what_if_causes[c],
                                            analysis->scale_threads);
                any = any || row.gains[c].estimate > 0;
            }
            if (any) rows[count++] = row;
        }
    for (size_t i = 0; i < count; i++) say_largest(document, &rows[i]);
    struct column columns[2 + WHAT_IF_CAUSES] = {COLUMN("workload", TEXT, gain_row, workload, 0),
                                                 COLUMN("backend", BACKEND, gain_row, backend, 0)};
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        columns[2 + c] =
            (struct column){shown_causes[c], GAIN,
                            offsetof(struct gain_row, gains) + c * sizeof(struct interval), 0};
    TABLE_OF(document, "Throughput without the cause over that with it; above 1 is gained", columns,
             rows, count);
    document_paragraph(document, "= the same within the margin; ? not enough data for a verdict; – "
                                 "cannot be removed.");
    free(rows);
}

struct reason_row {
    const char *workload, *cause, *backends, *reason;
};

// The backends on which the cause stays for this reason, from the b-th on; NULL where one
// before it has it too.
static const char *backends_with(struct document *document, const struct analysis *analysis,
                                 const char *workload, const char *cause, size_t b,
                                 const char *reason) {
    const json_t *causes = json_object_get(analysis->results->root, "causes");
    struct text names = {0};
    bool earlier = false;
    for (size_t i = 0; i < analysis->backend_count; i++) {
        const char *other = what_if_kept(causes, analysis->backends[i], workload, cause);
        if (!other || strcmp(other, reason) != 0) continue;
        earlier = earlier || i < b;
        text_add(&names, "%s%s", names.length ? ", " : "", analysis->backends[i]);
    }
    const char *kept = earlier ? NULL : keep(document, "%s", text_string(&names));
    text_free(&names);
    return kept;
}

static void reasons_table(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    const json_t *causes = json_object_get(results->root, "causes");
    size_t count = 0;
    struct reason_row *rows = checked_calloc(
        results->workload_count * analysis->backend_count * WHAT_IF_CAUSES, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
            for (size_t b = 0; b < analysis->backend_count; b++) {
                const char *workload = results->workloads[w].name, *cause = what_if_causes[c];
                const char *reason = what_if_kept(causes, analysis->backends[b], workload, cause);
                const char *names =
                    reason ? backends_with(document, analysis, workload, cause, b, reason) : NULL;
                if (names) rows[count++] = (struct reason_row){workload, cause, names, reason};
            }
    const struct column columns[] = {
        COLUMN("workload", TEXT, reason_row, workload, 0),
        COLUMN("cause", TEXT, reason_row, cause, 0),
        COLUMN("stays on", TEXT, reason_row, backends, 0),
        COLUMN("since", TEXT, reason_row, reason, 0),
    };
    document_details(document, "Causes that cannot be removed, and why");
    TABLE_OF(document, "", columns, rows, count);
    document_details_end(document);
    free(rows);
}

void section_what_if(struct document *document, const struct analysis *analysis) {
    // A default run removes some, which the causes and the price show.
    if (!json_is_true(json_object_get(analysis->results->root, "every_cause"))) return;
    document_heading(document, 2, "What if a cause were gone");
    if (cells_of(analysis, LIST_WHAT_IF))
        document_paragraph(document,
                           "Each workload again on %d thread%s with one cause of cost removed at a "
                           "time, in turns with the timed runs. Gains do not add up.",
                           analysis->scale_threads, plural(analysis->scale_threads));
    else
        document_paragraph(document, "Nothing was measured without a cause.");
    gains_table(document, analysis);
    reasons_table(document, analysis);
}
