// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the cycle collector did: relying on it against weak references, every workload's
// collections and where a pause goes.
// Runs of one place are pooled: sums are added, medians and quantiles are the median over
// runs, the longest is the longest.
#include "compose.h"
#include "sources.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static bool has_latency(struct runs runs) { return runs.count && LEAST(runs, latencies) > 0; }

// The median over runs of a latency, where each run carries it.
static double latency_of(struct runs runs, size_t q) {
    if (!has_latency(runs)) return NAN;
    if (quantile_shares[q] < 1 && !carries_quantile(LEAST(runs, latencies), quantile_shares[q]))
        return NAN;
    return pool_median(runs, offsetof(struct run, latency) + q * sizeof(double));
}

// ---- a workload's own ------------------------------------------------------------------

struct pause_row {
    const char *backend;
    double latency[QUANTILES], collections, share, median, longest;
};

// Latencies of its operations, and its collections; nothing where it has neither.
void part_pauses(struct document *document, const struct analysis *analysis,
                 const struct workload *workload) {
    struct source *sources;
    size_t count = sources_of(analysis, LIST_TIMED, LIST_PYTHON, &sources), used = 0;
    struct pause_row *rows = checked_calloc(count, sizeof *rows);
    bool latencies = false, collections = false;
    for (size_t s = 0; s < count; s++) {
        struct runs runs =
            runs_from(analysis, sources[s], workload->name, "", analysis->scale_threads);
        if (runs.count == 0) continue;
        bool any = SUM(runs, collector.collections) > 0;
        struct pause_row *row = &rows[used++];
        *row = (struct pause_row){.backend = sources[s].name,
                                  .collections = SUM(runs, collector.collections),
                                  .share = any ? pause_share(runs) : 0,
                                  .median = any ? MEDIAN(runs, collector.pause.median) : NAN,
                                  .longest = any ? MOST(runs, collector.pause.longest) : NAN};
        for (size_t q = 0; q < QUANTILES; q++) row->latency[q] = latency_of(runs, q);
        latencies = latencies || has_latency(runs);
        collections = collections || any;
    }
    static const char *const names[QUANTILES] = {"latency\nmedian", "latency\n90th percentile",
                                                 "latency\n99th percentile",
                                                 "latency\n99.9th percentile", "latency\nlongest"};
    struct column columns[QUANTILES + 5] = {COLUMN("backend", BACKEND, pause_row, backend, 0)};
    size_t column_count = 1;
    for (size_t q = 0; latencies && q < QUANTILES; q++)
        columns[column_count++] = (struct column){
            names[q], TIME, offsetof(struct pause_row, latency) + q * sizeof(double), 0};
    if (collections) {
        columns[column_count++] =
            (struct column)COLUMN("collections\nall runs", COUNT, pause_row, collections, 0);
        columns[column_count++] =
            (struct column)COLUMN("time in pauses\nof the wall time", PERCENT, pause_row, share, 0);
        columns[column_count++] =
            (struct column)COLUMN("pause\nmedian", TIME, pause_row, median, 0);
        columns[column_count++] =
            (struct column)COLUMN("pause\nlongest", TIME, pause_row, longest, 0);
    }
    if (latencies || collections)
        document_table(document,
                       keep(document, "%s on %d thread%s",
                            latencies && collections ? "Latency of an operation, and collections"
                            : latencies              ? "Latency of an operation"
                                                     : "Collections",
                            analysis->scale_threads, plural(analysis->scale_threads)),
                       columns, column_count, rows, used, sizeof *rows);
    free(rows);
    free(sources);
}

// ---- relying on the collector --------------------------------------------------------------

struct task_row {
    const char *backend, *version;
    double threads, rate, latency[QUANTILES], collections, full, longest, share;
};

static struct task_row task_row(struct runs runs, const char *version) {
    bool any = SUM(runs, collector.collections) > 0;
    struct task_row row = {.backend = runs.items->backend,
                           .version = version,
                           .threads = runs.items->threads,
                           .rate = MEDIAN(runs, rate),
                           .collections = SUM(runs, collector.collections),
                           .full = SUM(runs, collector.full),
                           .longest = any ? MOST(runs, collector.pause.longest) : NAN,
                           .share = any ? pause_share(runs) : 0};
    for (size_t q = 0; q < QUANTILES; q++) row.latency[q] = latency_of(runs, q);
    return row;
}

static void say_tasks(struct document *document, struct runs plain, struct runs weak,
                      struct interval ratio) {
    double count = SUM(plain, collector.collections), full = SUM(plain, collector.full),
           without = SUM(weak, collector.collections);
    char *shown = show_ratio(ratio);
    struct text line = {0};
    text_add(&line, "**%s** on %d thread%s: %.0f collections", plain.items->backend,
             plain.items->threads, plural(plain.items->threads), count);
    if (full > 0)
        text_add(
            &line, ", %.0f of them full, which took %.0f %% of their time", full,
            100 * each(SUM(plain, collector.full_pause.total), SUM(plain, collector.pause.total)));
    else
        text_add(&line, ", none of them full");
    text_add(&line,
             "; the longest pause is %.1f ms. With weak references there %s %.0f; the "
             "longest operation takes %.2f ms instead of %.2f ms",
             MOST(plain, collector.pause.longest) / 1e6, without == 1 ? "is" : "are", without,
             latency_of(weak, QUANTILES - 1) / 1e6, latency_of(plain, QUANTILES - 1) / 1e6);
    if (ratio.estimate > 0) text_add(&line, ", and throughput is %s times that with cycles", shown);
    document_bullet(document, "%s.", text_string(&line));
    text_free(&line);
    free(shown);
}

// Workloads that do the same in two ways and time each operation.
static void compare_ways(struct document *document, const struct analysis *analysis,
                         const struct workload *weak) {
    const char *plain = weak->counterpart;
    struct source *sources;
    size_t count = sources_of(analysis, LIST_TIMED, LIST_PYTHON, &sources), used = 0;
    struct task_row *rows = checked_calloc(4 * count, sizeof *rows);
    int threads[2] = {analysis->scale_threads, 1};
    double clock = 0;
    for (int t = 0; t < (analysis->scale_threads > 1 ? 2 : 1); t++)
        for (size_t s = 0; s < count; s++) {
            struct runs one = runs_from(analysis, sources[s], plain, "", threads[t]);
            struct runs other = runs_from(analysis, sources[s], weak->name, "", threads[t]);
            if (!has_latency(one) || !has_latency(other)) continue;
            if (used == 0) {
                document_heading(document, 3, "Relying on the collector, or on weak references");
                document_paragraph(
                    document,
                    "In %s a part refers to its whole plainly, so a deleted whole is "
                    "a cycle and waits for the collector. In %s it refers weakly, "
                    "and a deleted whole is freed at once. The claim under test: "
                    "relying on the collector is expensive, full collections are "
                    "rare and long, and weak references avoid them.",
                    plain, weak->name);
            }
            rows[used++] = task_row(one, "plain");
            rows[used++] = task_row(other, "weak");
            clock = clock > 0 ? clock : one.items->clock_ns;
            if (t == 0)
                say_tasks(document, one, other,
                          cells_ratio(analysis, cell_of(analysis, other), cell_of(analysis, one)));
        }
    struct column columns[QUANTILES + 8] = {
        COLUMN("backend", BACKEND, task_row, backend, 0),
        COLUMN("reference", TEXT, task_row, version, 0),
        COLUMN("threads", COUNT, task_row, threads, 0),
        COLUMN("operations per second", RATE, task_row, rate, 0)};
    static const char *const names[QUANTILES] = {"50 %", "90 %", "99 %", "99.9 %", "longest"};
    for (size_t q = 0; q < QUANTILES; q++)
        columns[4 + q] = (struct column){
            names[q], TIME, offsetof(struct task_row, latency) + q * sizeof(double), 0};
    columns[9] = (struct column)COLUMN("collections", COUNT, task_row, collections, 0);
    columns[10] = (struct column)COLUMN("full", COUNT, task_row, full, 0);
    columns[11] = (struct column)COLUMN("longest pause", TIME, task_row, longest, 0);
    columns[12] = (struct column)COLUMN("time in pauses", PERCENT, task_row, share, 0);
    TABLE_OF(document,
             "How long an operation takes, and the collections beside it. Medians over runs; the "
             "counts and the longest pause are of all runs together",
             columns, rows, used);
    if (used)
        document_paragraph(
            document,
            "Each operation is timed from the end of the one before, by one look at "
            "CLOCK_MONOTONIC, which takes about %.0f ns here and is in every figure.",
            clock);
    free(rows);
    free(sources);
}

// ---- all collections ---------------------------------------------------------------------

struct collection_row {
    const char *workload, *backend, *last;
    double count, full, share, median, p99, longest, examined, found, object;
    double stop, mark, finalize, check, free, reentry, helpers;
};

static struct collection_row collection_row(struct runs runs) {
    double count = SUM(runs, collector.collections), examined = SUM(runs, collector.examined),
           times = 0;
    struct collection_row row = {
        .workload = runs.items->workload,
        .backend = runs.items->backend,
        .count = count,
        .full = SUM(runs, collector.full),
        .share = pause_share(runs),
        .median = MEDIAN(runs, collector.pause.median),
        .p99 = carries_quantile(LEAST(runs, collector.collections), 0.99)
                   ? MEDIAN(runs, collector.pause.p99)
                   : NAN,
        .longest = MOST(runs, collector.pause.longest),
        .examined = examined > 0 ? each(examined, count) : NAN, // an interpreter does not tell
        .found = each(SUM(runs, collector.collected) + SUM(runs, collector.uncollectable), count),
        .object = each(SUM(runs, collector.pause.total), examined),
        .stop = each(SUM(runs, collector.stop.total), count),
        .mark = each(SUM(runs, collector.mark), count),
        .finalize = each(SUM(runs, collector.finalize), count),
        .check = each(SUM(runs, collector.check), count),
        .free = each(SUM(runs, collector.free), count),
        .reentry = each(SUM(runs, collector.reentry), count),
        .helpers = each(SUM(runs, collector.helpers), count)};
    for (size_t i = 0; i < runs.count; i++)
        if (runs.items[i].collector.last_times > times) {
            times = runs.items[i].collector.last_times;
            row.last = runs.items[i].collector.last;
        }
    return row;
}

static void add_collections(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct source *sources;
    size_t source_count = sources_of(analysis, LIST_TIMED, LIST_PYTHON, &sources), count = 0,
           split = 0;
    struct collection_row *rows =
        checked_calloc(results->workload_count * source_count, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t s = 0; s < source_count; s++) {
            struct runs runs = runs_from(analysis, sources[s], results->workloads[w].name, "",
                                         analysis->scale_threads);
            if (runs.count && SUM(runs, collector.collections) > 0)
                rows[count++] = collection_row(runs);
        }
    const struct column pauses[] = {
        COLUMN("workload", TEXT, collection_row, workload, 0),
        COLUMN("backend", BACKEND, collection_row, backend, 0),
        COLUMN("collections", COUNT, collection_row, count, 0),
        COLUMN("full", COUNT, collection_row, full, 0),
        COLUMN("time in pauses", PERCENT, collection_row, share, 0),
        COLUMN("median pause", TIME, collection_row, median, 0),
        COLUMN("99 %", TIME, collection_row, p99, 0),
        COLUMN("longest", TIME, collection_row, longest, 0),
        COLUMN("examined", RATE, collection_row, examined, 0),
        COLUMN("found", RATE, collection_row, found, 0),
        COLUMN("per object", TIME, collection_row, object, 0),
    };
    const struct column parts[] = {
        COLUMN("workload", TEXT, collection_row, workload, 0),
        COLUMN("backend", BACKEND, collection_row, backend, 0),
        COLUMN("came last", TEXT, collection_row, last, 0),
        COLUMN("stop", TIME, collection_row, stop, 0),
        COLUMN("mark", TIME, collection_row, mark, 0),
        COLUMN("finalize", TIME, collection_row, finalize, 0),
        COLUMN("check", TIME, collection_row, check, 0),
        COLUMN("free", TIME, collection_row, free, 0),
        COLUMN("re-entry", TIME, collection_row, reentry, 0),
        COLUMN("helpers", NUMBER, collection_row, helpers, 0),
    };
    document_heading(document, 3, "Collections");
    document_paragraph(document,
                       count
                           ? "Of the runs on %d thread%s. Workloads without a collection are left "
                             "out. With a GIL a pause is the whole collection; without, from the "
                             "request until the world ran again, and finalizers and frees run "
                             "beside the other threads."
                           : "There was no collection on %d thread%s.",
                       analysis->scale_threads, plural(analysis->scale_threads));
    TABLE_OF(document,
             "Collections during the samples of all runs; sizes are means, the median and the 99th "
             "percentile medians over runs. A run with fewer than 100 collections has no 99th "
             "percentile",
             pauses, rows, count);
    for (size_t i = 0; i < count; i++)
        if (rows[i].mark > 0) rows[split++] = rows[i]; // an interpreter tells none of this
    TABLE_OF(document,
             "Where a collection's time goes, means; and what the thread that came last to a stop "
             "was doing most often",
             parts, rows, split);
    free(rows);
    free(sources);
}

void section_collector(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    document_heading(document, 2, "The cycle collector");
    for (size_t w = 0; w < results->workload_count; w++)
        if (*results->workloads[w].counterpart)
            compare_ways(document, analysis, &results->workloads[w]);
    add_collections(document, analysis);
}
