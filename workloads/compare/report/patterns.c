// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The patterns of CPython's scaling benchmark: each backend beside an interpreter.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct pattern_row {
    const char *workload, *backend;
    double rate;
    struct interval speedup;
};

void section_patterns(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct runs patterns = runs_of(results, LIST_PATTERNS);
    int threads = analysis->scale_threads;
    if (patterns.count == 0) return;
    const char *name = patterns.items[0].backend;
    size_t count = 0;
    struct pattern_row *rows =
        checked_calloc(results->workload_count * (analysis->backend_count + 1), sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t b = 0; b <= analysis->backend_count; b++) {
            bool other = b == analysis->backend_count;
            const char *workload = results->workloads[w].name,
                       *backend = other ? name : analysis->backends[b];
            enum list list = other ? LIST_PATTERNS : LIST_TIMED;
            const struct cell *one = analysis_cell_of(analysis, list, workload, backend, 1);
            const struct cell *many = analysis_cell_of(analysis, list, workload, backend, threads);
            if (!analysis_cell_of(analysis, LIST_PATTERNS, workload, name, 1) || !one) continue;
            rows[count++] = (struct pattern_row){workload, backend, one->rate.estimate,
                                                 threads > 1 ? cells_ratio(analysis, many, one)
                                                             : (struct interval){0}};
        }
    const struct column columns[] = {
        COLUMN("pattern", TEXT, pattern_row, workload, 0),
        COLUMN("backend", BACKEND, pattern_row, backend, 0),
        COLUMN(keep(document, "speedup on %d threads\ntimes one thread", threads), RATIO,
               pattern_row, speedup, 0),
        COLUMN("one thread\noperations per second", RATE, pattern_row, rate, 0),
    };
    document_heading(document, 2, "The patterns of CPython's scaling benchmark, and %s", name);
    document_paragraph(document,
                       "The same patterns as a script, run by %s, beside the workloads of these "
                       "names. An interpreter does more for an operation than the object model "
                       "alone: compare how they scale, not how fast one thread is.",
                       name);
    TABLE_OF(document, "", columns, rows, count);
    free(rows);
}
