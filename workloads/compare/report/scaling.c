// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Both kinds of scaling, and how even the threads were served.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct fairness {
    double mean, slowest, fastest;
};

// Of the samples after the warm-up; medians.
static struct fairness fairness_of(struct runs runs) {
    double *values[3] = {NULL, NULL, NULL};
    size_t count = 0;
    for (size_t i = 0; i < runs.count; i++)
        for (size_t s = 0; s < runs.items[i].sample_count; s++) {
            const struct sample *sample = &runs.items[i].samples[s];
            if (sample->warmup || isnan(sample->mean)) continue;
            const double of[3] = {sample->mean, sample->slowest, sample->fastest};
            for (size_t k = 0; k < 3; k++) {
                values[k] = checked_realloc(values[k], (count + 1) * sizeof *values[k]);
                values[k][count] = of[k];
            }
            count++;
        }
    struct fairness result = {NAN, NAN, NAN};
    if (count)
        result = (struct fairness){median(values[0], count), median(values[1], count),
                                   median(values[2], count)};
    for (size_t k = 0; k < 3; k++) free(values[k]);
    return result;
}

struct scaling_row {
    const char *backend, *threads;
    struct interval same_time, same_total;
    struct fairness fairness;
};

static void scaling_table(struct document *document, const struct analysis *analysis,
                          const struct workload *workload) {
    size_t count = 0;
    struct scaling_row *rows =
        checked_calloc(analysis->backend_count * analysis->thread_count, sizeof *rows);
    for (size_t b = 0; b < analysis->backend_count; b++)
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const char *name = workload->name, *backend = analysis->backends[b];
            int threads = analysis->threads[t];
            const struct cell *cell = analysis_cell(analysis, name, backend, threads);
            if (cell == NULL) continue;
            rows[count++] = (struct scaling_row){
                backend, keep(document, "%d%s", threads, cell->oversubscribed ? " †" : ""),
                cells_ratio(analysis, cell, analysis_cell(analysis, name, backend, 1)),
                cells_ratio(analysis,
                            analysis_cell_of(analysis, LIST_TOTALS, name, backend, threads),
                            analysis_cell_of(analysis, LIST_TOTALS, name, backend, 1)),
                fairness_of(cell->runs)};
        }
    const struct column columns[] = {
        COLUMN("backend", BACKEND, scaling_row, backend, 0),
        COLUMN("threads", TEXT, scaling_row, threads, 0),
        COLUMN("same time\ntimes 1 thread, all threads", MARKED, scaling_row, same_time, 0),
        COLUMN("same total\ntimes 1 thread, all threads", MARKED, scaling_row, same_total, 0),
        COLUMN(keep(document, "mean thread\n%s per second, one thread", workload->unit), RATE,
               scaling_row, fairness.mean, 0),
        COLUMN("slowest\ntimes the mean, one thread", NUMBER, scaling_row, fairness.slowest, 2),
        COLUMN("fastest\ntimes the mean, one thread", NUMBER, scaling_row, fairness.fastest, 2),
    };
    document_details(document, "%s", workload->name);
    TABLE_OF(document, "", columns, rows, count);
    document_details_end(document);
    free(rows);
}

void section_scaling(struct document *document, const struct analysis *analysis) {
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    document_heading(document, 2, "Two kinds of scaling, and fairness");
    document_paragraph(
        document,
        "Same time: every thread works for as long as one alone did; more threads do more. Same "
        "total: the threads share out what one thread does in a sample, and the clock stops when "
        "the last is done; the ratio is of one thread's time over theirs.%s",
        cells_of(analysis, LIST_TOTALS)
            ? ""
            : " Only the first was measured; a default or full comparison measures both.");
    document_paragraph(
        document,
        "Fairness: the slowest and the fastest thread of a sample over its mean one, medians over "
        "the samples of the same time. 0 means that a thread only stood by. † more threads than "
        "cores.");
    for (size_t w = 0; w < analysis->results->workload_count; w++)
        scaling_table(document, analysis, &analysis->results->workloads[w]);
}
