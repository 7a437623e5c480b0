// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The two plots of a workload: throughput and speedup against threads.
#include "compose.h"

#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static struct interval plotted(const struct analysis *analysis, const struct cell *cell,
                               bool speedup) {
    if (!speedup) return cell->rate;
    return cells_ratio(analysis, cell,
                       analysis_cell(analysis, cell->key.workload, cell->key.backend, 1));
}

// Curves stand a little beside one another, so that their intervals can be seen.
static double beside(const struct analysis *analysis, int threads, size_t backend, bool log) {
    double step = ((double)backend - ((double)analysis->backend_count - 1) / 2) * 0.03;
    return log ? threads * exp2(step) : threads + step;
}

// The power of 1000 that keeps the axis in short numbers.
static double unit_of(const struct analysis *analysis, const char *workload, const char **name) {
    static const char *const names[] = {"", "thousand ", "million ", "billion "};
    double most = 0, unit = 1;
    size_t power = 0;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (analysis->cells[i].key.list == LIST_TIMED &&
            strcmp(analysis->cells[i].key.workload, workload) == 0)
            most = fmax(most, analysis->cells[i].rate.estimate);
    for (; power < 3 && most >= 1000 * unit; power++) unit *= 1000;
    *name = names[power];
    return unit;
}

static void plot(struct document *document, const struct analysis *analysis, const char *workload,
                 bool speedup) {
    int most = analysis->threads[analysis->thread_count - 1], scale = analysis->scale_threads;
    bool log = most > 8;
    const char *unit_name = "";
    double unit = speedup ? 1 : unit_of(analysis, workload, &unit_name);
    struct svg_line *lines = checked_calloc(analysis->backend_count, sizeof *lines);
    double *ticks = checked_calloc(analysis->thread_count, sizeof *ticks);
    // What a plot shows, for those who cannot see it: every point of every curve.
    struct text label = {0};
    text_add(&label,
             speedup ? "Speedup: throughput of all threads, times that of one. %s."
                     : "Throughput of all threads together. %s.",
             workload);
    for (size_t t = 0; t < analysis->thread_count; t++) ticks[t] = analysis->threads[t];
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        lines[b] = (struct svg_line){.name = backend,
                                     .place = backend_place(analysis->results, backend),
                                     .dashed = analysis_is_ablation(analysis, backend)};
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const struct cell *cell =
                analysis_cell(analysis, workload, backend, analysis->threads[t]);
            struct interval value = cell ? plotted(analysis, cell, speedup) : (struct interval){0};
            if (!(value.estimate > 0)) continue;
            char *shown = speedup ? format("%.2f", value.estimate) : show_rate(value.estimate);
            text_add(&label, "%s%s on %d", lines[b].count ? ", " : " ",
                     lines[b].count ? shown : keep(document, "%s: %s", backend, shown),
                     cell->key.threads);
            free(shown);
            svg_add_point(&lines[b],
                          (struct svg_point){.x = beside(analysis, cell->key.threads, b, log),
                                             .y = value.estimate / unit,
                                             .low = value.known ? value.low / unit : 0,
                                             .high = value.known ? value.high / unit : 0,
                                             .hollow = cell->oversubscribed});
        }
        if (lines[b].count) text_add(&label, ".");
    }
    const struct svg_chart chart = {
        .x = {.label = "threads",
              .log = log,
              .low = log ? 0.85 : 0.75,
              .high = log ? most * 1.15 : most + 0.25,
              .ticks = ticks,
              .tick_count = analysis->thread_count},
        .y = {.label = speedup ? "times one thread"
                               : keep(document, "%soperations per second", unit_name)},
        .edge = most > scale ? scale + (log ? 0.2 * scale : 0.3) : 0,
        .edge_name = "more threads than cores",
        .ideal = speedup ? scale : 0};
    char *svg = svg_draw(&chart, lines, analysis->backend_count);
    if (svg) document_plot(document, svg, "%s", text_string(&label));
    text_free(&label);
    svg_free_lines(lines, analysis->backend_count);
    free(ticks);
    free(lines);
}

void part_plots(struct document *document, const struct analysis *analysis,
                const struct workload *workload) {
    plot(document, analysis, workload->name, false);
    plot(document, analysis, workload->name, true);
}
