// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Threads beside processes of one thread each with the reference, which took turns.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct process_row {
    const char *workload, *backend;
    double number, threads, processes, memory, apart, share;
    struct interval ratio;
};

static void say_shared(struct document *document, const struct analysis *analysis) {
    struct text names = {0};
    for (size_t w = 0; w < analysis->results->workload_count; w++)
        if (analysis->results->workloads[w].shared)
            text_add(&names, "%s%s", names.length ? ", " : "",
                     analysis->results->workloads[w].name);
    if (names.length)
        document_paragraph(
            document,
            "Left out, since their threads touch the same objects, which processes cannot: %s.",
            text_string(&names));
    text_free(&names);
}

void section_processes(struct document *document, const struct analysis *analysis) {
    size_t count = 0, most = cells_of(analysis, LIST_PROCESSES) * analysis->backend_count;
    struct process_row *rows = checked_calloc(most, sizeof *rows);
    const char *reference = "";
    for (size_t i = 0; i < analysis->cell_count; i++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const struct cell *process = &analysis->cells[i];
            if (process->key.list != LIST_PROCESSES) continue;
            const struct cell *thread = analysis_cell(analysis, process->key.workload,
                                                      analysis->backends[b], process->key.threads);
            if (!thread || analysis_is_ablation(analysis, analysis->backends[b])) continue;
            double memory = MEDIAN(thread->runs, pss_kib) / 1024,
                   apart = MEDIAN(process->runs, pss_kib) / 1024;
            reference = process->key.backend;
            rows[count++] = (struct process_row){.workload = process->key.workload,
                                                 .backend = thread->key.backend,
                                                 .number = thread->key.threads,
                                                 .threads = thread->rate.estimate,
                                                 .processes = process->rate.estimate,
                                                 .memory = memory,
                                                 .apart = apart,
                                                 .share = apart > 0 ? memory / apart : NAN,
                                                 .ratio = cells_ratio(analysis, thread, process)};
        }
    const struct column columns[] = {
        COLUMN("workload", TEXT, process_row, workload, 0),
        COLUMN("backend of the threads", BACKEND, process_row, backend, 0),
        COLUMN("number\nof threads, or processes", COUNT, process_row, number, 0),
        COLUMN("threads\noperations per second, all threads", RATE, process_row, threads, 0),
        COLUMN(keep(document, "processes with %s\noperations per second, all processes", reference),
               RATE, process_row, processes, 0),
        COLUMN("threads over processes\nthroughput, all", RATIO, process_row, ratio, 0),
        COLUMN("memory of threads\nMiB (PSS), all threads", NUMBER, process_row, memory, 1),
        COLUMN("memory of processes\nMiB (PSS), all processes", NUMBER, process_row, apart, 1),
        COLUMN("threads over processes\nmemory, all", NUMBER, process_row, share, 2),
    };
    if (count) {
        document_heading(document, 2, "Threads without a GIL beside processes with one");
        document_paragraph(
            document,
            "The same workload as threads of one process, and as processes of one thread each with "
            "%s, the way around its lock; all start every sample at one barrier. Memory is the "
            "proportional set size after the last sample: a page that several processes map counts "
            "once in their sum.",
            reference);
        TABLE_OF(document, "", columns, rows, count);
        say_shared(document, analysis);
    }
    free(rows);
}
