// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the cycle collector did: in each workload, in the variants of its own workloads, and where
// weak references make it needless.  Runs of one place are pooled: sums are added, medians and
// quantiles are the median over runs, the longest is the longest.
#include "compose.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct sources TIMED = {LIST_TIMED, LIST_PYTHON};

static bool has_latency(struct runs runs) { return runs.count && LEAST(runs, latencies) > 0; }

// The median over runs of a latency, where each run carries it; the longest is the longest of all.
static double latency_of(struct runs runs, size_t q) {
    size_t at = offsetof(struct run, latency) + q * sizeof(double);
    if (!has_latency(runs)) return NAN;
    if (quantile_shares[q] == 1) return pool_most(runs, at);
    return carries_quantile(LEAST(runs, latencies), quantile_shares[q]) ? pool_median(runs, at)
                                                                        : NAN;
}

static double pause_share(struct runs runs) {
    return each(SUM(runs, collector.pause.total), SUM(runs, collector.watched));
}

// The median over the runs that collected: the others have no pause.
static double median_pause(struct runs runs) {
    double *medians = checked_calloc(runs.count, sizeof *medians);
    size_t count = 0;
    for (size_t i = 0; i < runs.count; i++)
        if (runs.items[i].collector.collections > 0)
            medians[count++] = runs.items[i].collector.pause.median;
    double middle = count ? median(medians, count) : NAN;
    free(medians);
    return middle;
}

struct pause_row {
    const char *backend;
    double latency[QUANTILES];
    double count, full, running, share, median, longest, object, stop, mark, check, free, reentry;
};

static struct pause_row pause_row(struct runs runs) {
    double count = SUM(runs, collector.collections);
    bool any = count > 0;
    struct pause_row row = {
        .backend = runs.items->backend,
        .count = count,
        .full = SUM(runs, collector.full),
        .running = each(SUM(runs, collector.collected_running), SUM(runs, collector.collected)),
        .share = any ? pause_share(runs) : 0,
        .median = median_pause(runs),
        .longest = any ? MOST(runs, collector.pause.longest) : NAN,
        .object = each(SUM(runs, collector.pause.total), SUM(runs, collector.examined)),
        .stop = each(SUM(runs, collector.stop.total), count),
        .mark = each(SUM(runs, collector.mark), count),
        .check = each(SUM(runs, collector.finalize) + SUM(runs, collector.check), count),
        .free = each(SUM(runs, collector.free), count),
        .reentry = each(SUM(runs, collector.reentry), count)};
    for (size_t q = 0; q < QUANTILES; q++) row.latency[q] = latency_of(runs, q);
    return row;
}

static size_t latency_columns(struct column *columns) {
    static const char *const names[QUANTILES] = {"operation\nmedian", "operation\n90 %",
                                                 "operation\n99 %", "operation\n99.9 %",
                                                 "operation\nlongest"};
    for (size_t q = 0; q < QUANTILES; q++)
        columns[q] = COLUMN_OF(names[q], TIME, pause_row, latency, q);
    return QUANTILES;
}

// Nothing where a workload has neither latencies nor collections.
PART(pauses) {
    size_t names = analysis->results->name_count, count = 0;
    struct pause_row *rows = checked_calloc(names, sizeof *rows);
    bool latencies = false, collections = false;
    double clock = 0;
    for (size_t p = 0; p < names; p++) {
        struct runs runs =
            runs_from(analysis, TIMED, p, workload->name, "", analysis->scale_threads);
        if (runs.count == 0) continue;
        rows[count++] = pause_row(runs);
        latencies = latencies || has_latency(runs);
        clock = fmax(clock, runs.items->clock_ns);
        collections = collections || SUM(runs, collector.collections) > 0;
    }
    static const struct column pauses[] = {
        COLUMN("backend", BACKEND, pause_row, backend, 0),
        COLUMN("collections\nall runs", COUNT, pause_row, count, 0),
        COLUMN("of them full", COUNT, pause_row, full, 0),
        COLUMN("garbage found\nwithout a pause", PERCENT, pause_row, running, 0),
        COLUMN("time in pauses\nof the wall time", PERCENT, pause_row, share, 0),
        COLUMN("pause\nmedian collection", TIME, pause_row, median, 0),
        COLUMN("pause\nlongest", TIME, pause_row, longest, 0),
        COLUMN("pause\nper object examined", TIME, pause_row, object, 0),
        COLUMN("stop\nmean", TIME, pause_row, stop, 0),
        COLUMN("mark\nmean", TIME, pause_row, mark, 0),
        COLUMN("finalize, recheck\nmean", TIME, pause_row, check, 0),
        COLUMN("free\nmean", TIME, pause_row, free, 0),
        COLUMN("re-entry\nmean", TIME, pause_row, reentry, 0),
    };
    const char *where =
        keep(document, "on %d thread%s", analysis->scale_threads, plural(analysis->scale_threads));
    struct column columns[1 + QUANTILES] = {COLUMN("backend", BACKEND, pause_row, backend, 0)};
    size_t used = 1 + latency_columns(columns + 1);
    if (latencies)
        document_table(document,
                       keep(document,
                            "How long an operation takes %s; a look at the clock, about %.0f ns, "
                            "is in every figure",
                            where, clock),
                       columns, used, rows, count, sizeof *rows);
    if (collections)
        TABLE_OF(document, keep(document, "Collections and their pauses %s", where), pauses, rows,
                 count);
    free(rows);
}

// ---- relying on the collector --------------------------------------------------------------

static void say_tasks(struct document *document, struct runs plain, struct runs weak,
                      struct interval ratio) {
    double count = SUM(plain, collector.collections), without = SUM(weak, collector.collections);
    struct text line = {0};
    text_add(&line,
             "**%s**: %.0f collection%s with cycles, the longest pause %s; %.0f with weak "
             "references. The longest operation takes %s and %s",
             plain.items->backend, count, plural(count),
             keep_time(document, MOST(plain, collector.pause.longest)), without,
             keep_time(document, latency_of(plain, QUANTILES - 1)),
             keep_time(document, latency_of(weak, QUANTILES - 1)));
    if (ratio.estimate > 0)
        text_add(&line, "; with weak references throughput is %s times that with cycles",
                 keep_ratio(document, ratio));
    document_bullet(document, "%s.", keep_text(document, &line));
}

// Workloads that do the same in two ways and time each operation.
static void compare_ways(struct document *document, const struct analysis *analysis,
                         const struct workload *weak) {
    size_t names = analysis->results->name_count, count = 0;
    int threads = analysis->scale_threads;
    for (size_t p = 0; p < names; p++) {
        struct runs one = runs_from(analysis, TIMED, p, weak->counterpart, "", threads);
        struct runs other = runs_from(analysis, TIMED, p, weak->name, "", threads);
        if (!has_latency(one) || !has_latency(other)) continue;
        if (count++ == 0) {
            document_heading(document, 2, "The collector, or weak references");
            document_paragraph(document,
                               "In %s a part refers to its whole plainly, so a deleted whole is a "
                               "cycle and waits for the collector. In %s it refers weakly, and a "
                               "deleted whole is freed at once. On %d thread%s:",
                               weak->counterpart, weak->name, threads, plural(threads));
        }
        say_tasks(document, one, other,
                  cells_ratio(analysis, cell_from(analysis, TIMED, p, weak->name, "", threads),
                              cell_from(analysis, TIMED, p, weak->counterpart, "", threads)));
    }
}

void section_tasks(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    for (size_t w = 0; w < results->workload_count; w++)
        if (*results->workloads[w].counterpart)
            compare_ways(document, analysis, &results->workloads[w]);
}

// ---- variants --------------------------------------------------------------------------

struct variant_row {
    const char *backend, *variant;
    double threads, rate, object, pause, share, freed;
    struct span interval;
};

static const struct sources VARIANTS = {LIST_VARIANTS, LIST_PYTHON};

static struct variant_row variant_row(const struct analysis *analysis, struct runs runs) {
    struct key key = run_key(runs.items);
    const struct cell *cell = analysis_find(analysis, &key);
    double found = SUM(runs, collector.collected) + SUM(runs, collector.uncollectable);
    bool known = cell && cell->rate.known;
    return (struct variant_row){
        .backend = runs.items->backend,
        .variant = runs.items->variant,
        .threads = runs.items->threads,
        .rate = cell ? cell->rate.estimate : 0,
        .interval = {known ? cell->rate.low : NAN, known ? cell->rate.high : NAN},
        .object = each(SUM(runs, collector.pause.total), SUM(runs, collector.examined)),
        .pause = median_pause(runs),
        .share = pause_share(runs),
        .freed = each(SUM(runs, collector.collected), found)};
}

// The variants of a workload in the order of the driver.
static size_t variants_of(const struct analysis *analysis, const char *workload,
                          const char ***variants) {
    const json_t *runs = json_object_get(analysis->results->root, list_names[LIST_VARIANTS]), *run;
    size_t count = 0, index;
    *variants = checked_calloc(json_array_size(runs), sizeof **variants);
    json_array_foreach(runs, index, run) {
        const char *variant = object_string(run, "variant", "");
        bool known = strcmp(object_string(run, "workload", ""), workload) != 0;
        for (size_t i = 0; i < count; i++) known = known || strcmp((*variants)[i], variant) == 0;
        if (!known) (*variants)[count++] = variant;
    }
    return count;
}

// Points are the variants that set the axis and nothing else.
static void plot_variants(struct document *document, const struct analysis *analysis,
                          const struct workload *workload, const struct variant_row *rows,
                          size_t count) {
    const struct results *results = analysis->results;
    const char *axis = workload->variants_axis;
    struct svg_line *lines = checked_calloc(results->name_count, sizeof *lines);
    for (size_t i = 0; *axis && i < count; i++) {
        const struct variant_row *row = &rows[i];
        bool on_axis = strncmp(row->variant, axis, strlen(axis)) == 0 &&
                       row->variant[strlen(axis)] == '=' && !strchr(row->variant, ',');
        if (!on_axis || row->threads != analysis->scale_threads || isnan(row->pause)) continue;
        size_t place = backend_place(results, row->backend);
        struct svg_point point = {.x = strtod(row->variant + strlen(axis) + 1, NULL),
                                  .y = row->pause / 1e6};
        snprintf(point.title, sizeof point.title, "%s, %s: %.3g ms", row->backend, row->variant,
                 point.y);
        lines[place].name = row->backend;
        lines[place].place = place;
        svg_add_point(&lines[place], point);
    }
    const struct svg_chart chart = {.x = {.label = axis, .log = true},
                                    .y = {.label = "median pause in milliseconds", .log = true}};
    document_plot(document, PLOT, svg_draw(&chart, lines, results->name_count),
                  "%s: the median pause against %s. The table has the numbers", workload->name,
                  axis);
    svg_free_lines(lines, results->name_count);
    free(lines);
}

PART(variants) {
    const char **variants;
    size_t names = analysis->results->name_count, count = 0,
           variant_count = variants_of(analysis, workload->name, &variants);
    int threads[2] = {1, analysis->scale_threads};
    struct variant_row *rows = checked_calloc(2 * variant_count * names, sizeof *rows);
    for (int t = 0; t < (analysis->scale_threads > 1 ? 2 : 1); t++)
        for (size_t p = 0; p < names; p++)
            for (size_t v = 0; v < variant_count; v++) {
                struct runs runs =
                    runs_from(analysis, VARIANTS, p, workload->name, variants[v], threads[t]);
                if (runs.count) rows[count++] = variant_row(analysis, runs);
            }
    const struct column columns[] = {
        COLUMN("backend", BACKEND, variant_row, backend, 0),
        COLUMN("threads", COUNT, variant_row, threads, 0),
        COLUMN("variant", TEXT, variant_row, variant, 0),
        COLUMN(keep(document, "throughput\n%s per second", workload->unit), RATE, variant_row, rate,
               0),
        COLUMN("its 95 % interval", SPAN, variant_row, interval, 0),
        COLUMN("pause\nper object examined", TIME, variant_row, object, 0),
        COLUMN("pause\nmedian collection", TIME, variant_row, pause, 0),
        COLUMN("time in pauses\nof the wall time", PERCENT, variant_row, share, 0),
        COLUMN("freed\nof the garbage found", PERCENT, variant_row, freed, 0),
    };
    if (count) {
        document_heading(document, 4, "%s",
                         *workload->variants_title
                             ? workload->variants_title
                             : keep(document, "Variants of %s", workload->name));
        if (*workload->variants_text) document_paragraph(document, "%s", workload->variants_text);
        plot_variants(document, analysis, workload, rows, count);
        TABLE_OF(document, "", columns, rows, count);
    }
    free(rows);
    free(variants);
}
