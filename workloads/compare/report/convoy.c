// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The convoy: how soon a thread that waits for a socket answers beside busy threads.
// The times of all runs of a place are pooled; how far the runs are apart stands beside.
#include "compose.h"

#include "svg.h"

#include <gsl/gsl_sort.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { SHOWN_BUSY = 2 };

struct convoy_row {
    const char *name, *backend;
    double busy, count, p50, p90, p99, longest, operations;
    struct span p50_each, p99_each;
    double *times; // ascending, milliseconds
    size_t time_count;
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

static struct convoy_row row_of(struct document *document, const struct results *results,
                                struct runs runs) {
    const struct run *first = runs.items;
    bool interpreter = backend_place(results, first->backend) == results->backend_count;
    struct convoy_row row = {.name = interpreter || strcmp(first->variant, "none") == 0
                                         ? first->backend
                                         : keep(document, "%s, %s", first->backend, first->variant),
                             .backend = first->backend,
                             .busy = first->threads,
                             .p50_each = each_of(runs, 0.5),
                             .p99_each = each_of(runs, 0.99),
                             .operations =
                                 first->threads ? SUM(runs, rate) / (double)runs.count : NAN};
    for (size_t i = 0; i < runs.count; i++) {
        const struct run *run = &runs.items[i];
        row.times =
            checked_realloc(row.times, (row.time_count + run->time_count) * sizeof *row.times);
        if (run->time_count)
            memcpy(row.times + row.time_count, run->times, run->time_count * sizeof *row.times);
        row.time_count += run->time_count;
    }
    gsl_sort(row.times, 1, row.time_count);
    row.count = (double)row.time_count;
    row.p50 = carried(row.times, row.time_count, 0.5);
    row.p90 = carried(row.times, row.time_count, 0.9);
    row.p99 = carried(row.times, row.time_count, 0.99);
    row.longest = row.time_count ? row.times[row.time_count - 1] : NAN;
    return row;
}

// The backends as they are listed, then interpreters.  Returns how many; the caller frees them.
static size_t names_of(const struct results *results, struct runs convoys, const char ***names) {
    size_t count = 0;
    *names = checked_calloc(results->backend_count + convoys.count, sizeof **names);
    for (size_t b = 0; b < results->backend_count; b++)
        (*names)[count++] = results->backends[b].name;
    for (size_t i = 0; i < convoys.count; i++) {
        bool known = false;
        for (size_t n = 0; n < count; n++)
            known = known || strcmp((*names)[n], convoys.items[i].backend) == 0;
        if (!known) (*names)[count++] = convoys.items[i].backend;
    }
    return count;
}

// By busy threads, then by names, then ticks, cpython, deadline.
static size_t convoy_rows(struct document *document, const struct analysis *analysis,
                          struct runs convoys, struct convoy_row *rows) {
    static const char *const schemes[] = {"ticks", "cpython", "deadline", "none"};
    const struct results *results = analysis->results;
    int most = 0;
    const char **names;
    size_t count = 0, name_count = names_of(results, convoys, &names);
    for (size_t i = 0; i < convoys.count; i++)
        most = convoys.items[i].threads > most ? convoys.items[i].threads : most;
    for (int busy = 0; busy <= most; busy++)
        for (size_t b = 0; b < name_count; b++)
            for (size_t s = 0; s < sizeof schemes / sizeof *schemes; s++) {
                struct key key = {.list = LIST_CONVOY,
                                  .workload = "convoy",
                                  .variant = schemes[s],
                                  .backend = names[b],
                                  .threads = busy};
                struct runs runs = runs_at(results, &key);
                if (runs.count) rows[count++] = row_of(document, results, runs);
            }
    free(names);
    return count;
}

void part_answers(struct document *document, const struct analysis *analysis) {
    struct runs convoys = runs_of(analysis->results, LIST_CONVOY);
    struct convoy_row *rows = checked_calloc(convoys.count, sizeof *rows);
    size_t count = convoy_rows(document, analysis, convoys, rows);
    struct text line = {0};
    bool rare = true;
    for (size_t i = 0; i < count; i++)
        rare = rare && (rows[i].busy != SHOWN_BUSY || !isnan(rows[i].p99));
    for (size_t i = 0; i < count; i++) {
        bool other = strstr(rows[i].name, ", ticks") || strstr(rows[i].name, ", deadline");
        if (rows[i].busy == SHOWN_BUSY && !other)
            text_add(&line, "%s**%s** %.3g ms", line.length ? ", " : "", rows[i].backend,
                     rare ? rows[i].p99 : rows[i].p50);
        free(rows[i].times);
    }
    if (line.length)
        document_bullet(document,
                        "The answer of a thread that waits, beside %d busy ones, %s times of 100 "
                        "within: %s.",
                        SHOWN_BUSY, rare ? "99" : "50", text_string(&line));
    text_free(&line);
    free(rows);
}

// Times against the share of answers that are as quick, beside two busy threads.
static void plot_shares(struct document *document, const struct convoy_row *rows, size_t count) {
    static const double shares[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    static const double ticks[] = {1, 2, 4, 10, 100, 1000};
    static const char *const names[] = {"quickest", "50 %", "75 %", "90 %", "99 %", "99.9 %"};
    struct svg_line *lines = checked_calloc(count, sizeof *lines);
    double most = 10;
    for (size_t i = 0; i < count; i++) {
        lines[i] = (struct svg_line){.name = rows[i].name, .place = i};
        for (size_t s = 0; rows[i].busy == SHOWN_BUSY && s < sizeof shares / sizeof *shares; s++) {
            double value = carried(rows[i].times, rows[i].time_count, shares[s]);
            if (isnan(value)) continue;
            most = fmax(most, 1 / (1 - shares[s]));
            svg_add_point(&lines[i], (struct svg_point){.x = 1 / (1 - shares[s]), .y = value});
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
    char *svg = svg_draw(&chart, lines, count);
    if (svg)
        document_plot(document, svg,
                      "The time of an answer against the share of answers as quick, beside %d busy "
                      "threads; the table has the numbers",
                      SHOWN_BUSY);
    svg_free_lines(lines, count);
    free(lines);
}

static void plot_tails(struct document *document, const struct convoy_row *rows, size_t count) {
    struct svg_line *lines = checked_calloc(count, sizeof *lines);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        size_t at = 0;
        while (at < used && strcmp(lines[at].name, rows[i].name) != 0) at++;
        if (at == used) lines[used++] = (struct svg_line){.name = rows[i].name, .place = at};
        if (!isnan(rows[i].p99))
            svg_add_point(&lines[at], (struct svg_point){.x = rows[i].busy, .y = rows[i].p99});
    }
    const struct svg_chart chart = {.x = {.label = "busy threads", .low = -0.2, .high = 4.2},
                                    .y = {.label = "99th percentile, milliseconds", .log = true}};
    char *svg = svg_draw(&chart, lines, used);
    if (svg)
        document_plot(document, svg,
                      "The 99th percentile of an answer's time against busy threads; the table has "
                      "the numbers");
    svg_free_lines(lines, used);
    free(lines);
}

void section_convoy(struct document *document, const struct analysis *analysis) {
    struct runs convoys = runs_of(analysis->results, LIST_CONVOY);
    part_left_out(document, analysis, "convoy");
    if (convoys.count == 0) return;
    struct convoy_row *rows = checked_calloc(convoys.count, sizeof *rows);
    size_t count = convoy_rows(document, analysis, convoys, rows);
    document_heading(document, 2, "Convoys: the answer of a thread that waits, beside busy ones");
    document_paragraph(document, "A thread waits for a socket and answers each byte after a little "
                                 "work on objects; others never wait. With a global lock the "
                                 "answer has to wait for the lock as well. **ticks**: the holder "
                                 "releases the lock after 100 safepoints, and the quickest thread "
                                 "takes it (before CPython 3.2). **cpython**: a waiter asks after "
                                 "an interval in which the lock has not changed hands, and any "
                                 "waiter may take it. **deadline**: each waiter's own interval "
                                 "after it came, first come, first served.");
    if (MOST(convoys, interval_us) > 0)
        document_paragraph(document, "The switch interval of cpython and deadline is %g ms.",
                           MOST(convoys, interval_us) / 1000);
    if (rows[0].busy != rows[count - 1].busy) {
        plot_shares(document, rows, count);
        plot_tails(document, rows, count);
    }
    const struct column columns[] = {
        COLUMN("scheme", TEXT, convoy_row, name, 0),
        COLUMN("busy threads", COUNT, convoy_row, busy, 0),
        COLUMN("answers", COUNT, convoy_row, count, 0),
        COLUMN("50 %\nms", NUMBER, convoy_row, p50, 3),
        COLUMN("50 % of each process\nms", RANGE, convoy_row, p50_each, 3),
        COLUMN("90 %\nms", NUMBER, convoy_row, p90, 3),
        COLUMN("99 %\nms", NUMBER, convoy_row, p99, 3),
        COLUMN("99 % of each process\nms", RANGE, convoy_row, p99_each, 3),
        COLUMN("longest\nms", NUMBER, convoy_row, longest, 3),
        COLUMN("their operations per second\nall busy threads", RATE, convoy_row, operations, 0),
    };
    TABLE_OF(document, "Milliseconds until an answer; of each process: least to most", columns,
             rows, count);
    for (size_t i = 0; i < count; i++) free(rows[i].times);
    free(rows);
}
