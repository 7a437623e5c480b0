// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The patterns of CPython's scaling benchmark: the backends, and the interpreters beside them.
#include "compose.h"
#include "sources.h"

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
    struct source *sources;
    size_t source_count = sources_of(analysis, LIST_TIMED, LIST_PATTERNS, &sources), count = 0;
    int threads = analysis->scale_threads;
    struct pattern_row *rows = checked_calloc(results->workload_count * source_count, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++) {
        const char *workload = results->workloads[w].name;
        // The interpreters come last.
        const struct source *last = source_count ? &sources[source_count - 1] : NULL;
        if (!last || last->list != LIST_PATTERNS ||
            !analysis_cell_of(analysis, LIST_PATTERNS, workload, last->name, 1))
            continue;
        for (size_t s = 0; s < source_count; s++) {
            const char *name = sources[s].name;
            enum list list = sources[s].list;
            const struct cell *one = analysis_cell_of(analysis, list, workload, name, 1);
            const struct cell *many = analysis_cell_of(analysis, list, workload, name, threads);
            if (one)
                rows[count++] = (struct pattern_row){workload, name, one->rate.estimate,
                                                     threads > 1 ? cells_ratio(analysis, many, one)
                                                                 : (struct interval){0}};
        }
    }
    free(sources);
    if (count == 0) {
        free(rows);
        return;
    }
    const struct column columns[] = {
        COLUMN("pattern", TEXT, pattern_row, workload, 0),
        COLUMN("backend", BACKEND, pattern_row, backend, 0),
        COLUMN(keep(document, "speedup on %d threads\ntimes one thread", threads), RATIO,
               pattern_row, speedup, 0),
        COLUMN("one thread\noperations per second", RATE, pattern_row, rate, 0),
    };
    document_heading(document, 2, "The patterns of CPython's scaling benchmark");
    document_paragraph(document,
                       "The same patterns as a script beside the workloads of these names. An "
                       "interpreter does more per operation than the object model alone: compare "
                       "how they scale, not how fast one thread is.");
    TABLE_OF(document, "", columns, rows, count);
    free(rows);
}
