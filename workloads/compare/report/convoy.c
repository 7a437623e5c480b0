// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The convoy: how soon a thread that waits for a socket answers beside busy threads.  The times
// of all runs of a place are pooled; how far the runs are apart stands beside.
#include "compose.h"
#include "svg.h"

#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BUSY = 2, SCHEMES = 4 };
static const char *const schemes[SCHEMES] = {"ticks", "cpython", "deadline", "none"};

struct convoy_row {
    const char *name, *backend, *scheme;
    double busy, count, p50, p90, p99, longest, operations;
    struct span p99_each;
    double *times; // ascending, milliseconds
    size_t time_count, place;
};

// Only where the sample carries it.
static double carried(const double *times, size_t count, double share) {
    return carries_quantile((double)count, share) ? quantile(times, count, share) : NAN;
}

static struct span each_of(struct runs runs, double share) {
    struct span span = {INFINITY, 0};
    for (size_t i = 0; i < runs.count; i++) {
        double value = carried(runs.items[i].times, runs.items[i].time_count, share);
        if (isnan(value)) return (struct span){NAN, NAN};
        span.low = fmin(span.low, value);
        span.high = fmax(span.high, value);
    }
    return span;
}

// The times of all runs, ascending; the caller frees them.
static double *pool_times(struct runs runs, size_t *count) {
    double *times = NULL;
    *count = 0;
    for (size_t i = 0; i < runs.count; i++) {
        const struct run *run = &runs.items[i];
        times = checked_realloc(times, (*count + run->time_count) * sizeof *times);
        if (run->time_count) memcpy(times + *count, run->times, run->time_count * sizeof *times);
        *count += run->time_count;
    }
    if (*count) gsl_sort(times, 1, *count);
    return times;
}

static struct convoy_row row_of(struct document *document, const struct analysis *analysis,
                                struct runs runs) {
    const struct run *first = runs.items;
    bool alone = is_interpreter(analysis, first->backend) || strcmp(first->variant, "none") == 0;
    struct convoy_row row = {
        .name = alone ? first->backend : keep(document, "%s, %s", first->backend, first->variant),
        .backend = first->backend,
        .scheme = alone ? NULL : first->variant,
        .busy = first->threads,
        .place = backend_place(analysis->results, first->backend),
        .p99_each = each_of(runs, 0.99),
        .operations = first->threads ? SUM(runs, rate) / (double)runs.count : NAN};
    row.times = pool_times(runs, &row.time_count);
    row.count = (double)row.time_count;
    row.p50 = carried(row.times, row.time_count, 0.5);
    row.p90 = carried(row.times, row.time_count, 0.9);
    row.p99 = carried(row.times, row.time_count, 0.99);
    row.longest = row.time_count ? row.times[row.time_count - 1] : NAN;
    return row;
}

static struct runs convoys_of(const struct analysis *analysis, const char *backend,
                              const char *scheme, int busy) {
    struct key key = {.list = LIST_CONVOY,
                      .workload = "convoy",
                      .variant = scheme,
                      .backend = backend,
                      .threads = busy};
    return runs_at(analysis->results, &key);
}

// By busy threads, then by names, then by schemes.
static size_t convoy_rows(struct document *document, const struct analysis *analysis,
                          struct runs convoys, struct convoy_row *rows) {
    const struct results *results = analysis->results;
    int most = 0;
    size_t count = 0;
    for (size_t i = 0; i < convoys.count; i++)
        most = convoys.items[i].threads > most ? convoys.items[i].threads : most;
    for (int busy = 0; busy <= most; busy++)
        for (size_t p = 0; p < results->name_count; p++)
            for (size_t s = 0; s < SCHEMES; s++) {
                struct runs runs = convoys_of(analysis, results->names[p], schemes[s], busy);
                if (runs.count) rows[count++] = row_of(document, analysis, runs);
            }
    return count;
}

// By CPython's policy where there is a lock.
double answer_of(const struct analysis *analysis, const char *backend, bool rare) {
    struct runs runs = convoys_of(analysis, backend, "cpython", SHOWN_BUSY);
    if (runs.count == 0) runs = convoys_of(analysis, backend, "none", SHOWN_BUSY);
    size_t count;
    double *times = pool_times(runs, &count), answer = carried(times, count, rare ? 0.99 : 0.5);
    free(times);
    return answer;
}

bool answers_are_rare(const struct analysis *analysis) {
    const struct results *results = analysis->results;
    for (size_t p = 0; p < results->name_count; p++)
        if (isnan(answer_of(analysis, results->names[p], true)) &&
            !isnan(answer_of(analysis, results->names[p], false)))
            return false;
    return true;
}

// Times against the share of answers that are as quick, beside two busy threads.
static void plot_shares(struct document *document, const struct convoy_row *rows, size_t count) {
    static const double shares[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    static const double ticks[] = {1, 2, 4, 10, 100, 1000};
    static const char *const names[] = {"quickest", "50 %", "75 %", "90 %", "99 %", "99.9 %"};
    struct svg_line *lines = checked_calloc(count, sizeof *lines);
    double most = 10;
    for (size_t i = 0; i < count; i++) {
        const char *scheme = rows[i].scheme;
        lines[i] = (struct svg_line){.name = rows[i].name,
                                     .place = rows[i].place,
                                     .dashed = scheme && strcmp(scheme, "cpython") != 0};
        for (size_t s = 0; rows[i].busy == SHOWN_BUSY && s < sizeof shares / sizeof *shares; s++) {
            struct svg_point point = {.x = 1 / (1 - shares[s]),
                                      .y = carried(rows[i].times, rows[i].time_count, shares[s])};
            if (isnan(point.y)) continue;
            most = fmax(most, point.x);
            snprintf(point.title, sizeof point.title, "%s: %.4g %% within %.3g ms", rows[i].name,
                     100 * shares[s], point.y);
            svg_add_point(&lines[i], point);
        }
    }
    size_t shown = 0;
    while (shown < sizeof ticks / sizeof *ticks && ticks[shown] <= most * 1.01) shown++;
    const struct svg_chart chart = {.x = {.label = "answers as quick as this",
                                          .log = true,
                                          .ticks = ticks,
                                          .names = names,
                                          .tick_count = shown},
                                    .y = {.label = "milliseconds", .log = true}};
    document_plot(document, PLOT, svg_draw(&chart, lines, count),
                  "The time of an answer beside %d busy threads. The table has the numbers",
                  SHOWN_BUSY);
    svg_free_lines(lines, count);
    free(lines);
}

void section_convoy(struct document *document, const struct analysis *analysis) {
    struct runs convoys = runs_of(analysis->results, LIST_CONVOY);
    say_left_out(document, analysis, "convoy");
    if (convoys.count == 0) return;
    struct convoy_row *rows = checked_calloc(convoys.count, sizeof *rows);
    size_t count = convoy_rows(document, analysis, convoys, rows);
    document_heading(document, 2, "Convoys: answers beside busy threads");
    document_paragraph(
        document, "A thread waits for a socket and answers each byte after a little work on "
                  "objects; others never wait. With a GIL the answer has to wait for the lock "
                  "as well. **ticks**: the holder releases it after 100 safepoints, and the "
                  "quickest thread takes it, as before CPython 3.2. **cpython**: a waiter asks "
                  "once the lock has not changed hands for an interval, and any waiter may "
                  "take it. **deadline**: each waiter asks an interval after it came, first "
                  "come, first served.");
    if (MOST(convoys, interval_us) > 0)
        document_paragraph(document, "The interval is %g ms.", MOST(convoys, interval_us) / 1000);
    plot_shares(document, rows, count);
    bool each = false;
    for (size_t i = 0; i < count; i++) each = each || !isnan(rows[i].p99_each.low);
    struct column columns[10] = {
        COLUMN("backend", BACKEND, convoy_row, backend, 0),
        COLUMN("scheme", TEXT, convoy_row, scheme, 0),
        COLUMN("busy threads", COUNT, convoy_row, busy, 0),
        COLUMN("answers", COUNT, convoy_row, count, 0),
        COLUMN("50 %\nms", NUMBER, convoy_row, p50, 3),
        COLUMN("90 %\nms", NUMBER, convoy_row, p90, 3),
        COLUMN("99 %\nms", NUMBER, convoy_row, p99, 3),
    };
    size_t used = 7;
    if (each)
        columns[used++] =
            (struct column)COLUMN("99 % of each process\nms", RANGE, convoy_row, p99_each, 3);
    columns[used++] = (struct column)COLUMN("longest\nms", NUMBER, convoy_row, longest, 3);
    columns[used++] = (struct column)COLUMN("busy threads' operations\nper second, all", RATE,
                                            convoy_row, operations, 0);
    document_table(document, "Milliseconds until an answer", columns, used, rows, count,
                   sizeof *rows);
    for (size_t i = 0; i < count; i++) free(rows[i].times);
    free(rows);
}
