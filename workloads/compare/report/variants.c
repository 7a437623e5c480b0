// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The variants of the workloads that have some: throughput and pauses, and a plot along the
// parameter that the workload names.
#include "compose.h"
#include "sources.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct variant_row {
    const char *backend, *variant;
    double threads, rate, operation, object, pause, share, freed;
    struct span interval;
};

static struct variant_row variant_row(const struct analysis *analysis, struct runs runs) {
    const struct cell *cell = cell_of(analysis, runs);
    double found = SUM(runs, collector.collected) + SUM(runs, collector.uncollectable);
    double rate = cell ? cell->rate.estimate : 0;
    bool known = cell && cell->rate.known;
    return (struct variant_row){
        .backend = runs.items->backend,
        .variant = runs.items->variant,
        .threads = runs.items->threads,
        .rate = rate,
        .interval = {known ? cell->rate.low : NAN, known ? cell->rate.high : NAN},
        .operation = each(1e9, rate),
        .object = each(SUM(runs, collector.pause.total), SUM(runs, collector.examined)),
        .pause = SUM(runs, collector.collections) > 0 ? MEDIAN(runs, collector.pause.median) : NAN,
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
    const char *axis = workload->variants_axis;
    struct svg_line *lines = checked_calloc(count, sizeof *lines);
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        bool on_axis = strncmp(rows[i].variant, axis, strlen(axis)) == 0 &&
                       rows[i].variant[strlen(axis)] == '=' && !strchr(rows[i].variant, ',');
        if (!on_axis || rows[i].threads != analysis->scale_threads || isnan(rows[i].pause))
            continue;
        size_t at = 0;
        while (at < used && strcmp(lines[at].name, rows[i].backend) != 0) at++;
        if (at == used)
            lines[used++] =
                (struct svg_line){.name = rows[i].backend,
                                  .place = backend_place(analysis->results, rows[i].backend)};
        svg_add_point(&lines[at],
                      (struct svg_point){.x = strtod(rows[i].variant + strlen(axis) + 1, NULL),
                                         .y = rows[i].pause / 1e6});
    }
    const struct svg_chart chart = {.x = {.label = axis, .log = true},
                                    .y = {.label = "median pause in milliseconds", .log = true}};
    char *svg = *axis ? svg_draw(&chart, lines, used) : NULL;
    if (svg)
        document_plot(document, svg, "The median pause of %s against %s; the table has the numbers",
                      workload->name, axis);
    svg_free_lines(lines, used);
    free(lines);
}

static void add_variants(struct document *document, const struct analysis *analysis,
                         const struct workload *workload) {
    const char **variants;
    struct source *sources;
    size_t variant_count = variants_of(analysis, workload->name, &variants),
           source_count = sources_of(analysis, LIST_VARIANTS, LIST_PYTHON, &sources), count = 0;
    int threads[2] = {1, analysis->scale_threads};
    struct variant_row *rows = checked_calloc(2 * variant_count * source_count, sizeof *rows);
    for (int t = 0; t < (analysis->scale_threads > 1 ? 2 : 1); t++)
        for (size_t s = 0; s < source_count; s++)
            for (size_t v = 0; v < variant_count; v++) {
                struct runs runs =
                    runs_from(analysis, sources[s], workload->name, variants[v], threads[t]);
                if (runs.count) rows[count++] = variant_row(analysis, runs);
            }
    const struct column columns[] = {
        COLUMN("backend", BACKEND, variant_row, backend, 0),
        COLUMN("threads", COUNT, variant_row, threads, 0),
        COLUMN("variant", TEXT, variant_row, variant, 0),
        COLUMN(keep(document, "throughput\n%s per second", workload->unit), RATE, variant_row, rate,
               0),
        COLUMN("its 95 % interval", SPAN, variant_row, interval, 0),
        COLUMN("one operation", TIME, variant_row, operation, 0),
        COLUMN("pause\nper object examined", TIME, variant_row, object, 0),
        COLUMN("pause\nmedian", TIME, variant_row, pause, 0),
        COLUMN("time in pauses\nof the wall time", PERCENT, variant_row, share, 0),
        COLUMN("freed\nof the garbage found", PERCENT, variant_row, freed, 0),
    };
    if (count) {
        document_heading(document, 3, "%s",
                         *workload->variants_title
                             ? workload->variants_title
                             : keep(document, "Variants of %s", workload->name));
        if (*workload->variants_text) document_paragraph(document, "%s", workload->variants_text);
        plot_variants(document, analysis, workload, rows, count);
        TABLE_OF(document, "", columns, rows, count);
    }
    free(rows);
    free(sources);
    free(variants);
}

void section_variants(struct document *document, const struct analysis *analysis) {
    for (size_t w = 0; w < analysis->results->workload_count; w++)
        add_variants(document, analysis, &analysis->results->workloads[w]);
}
