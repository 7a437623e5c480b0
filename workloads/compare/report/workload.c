// SPDX-License-Identifier: LGPL-2.1-or-later
//
// An entry for each workload: the verdicts in one line, and in it, folded away, its curve, its
// samples, throughput and scaling, and the parts that other files have.
#include "compose.h"

#include "causes.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct sources PATTERNS = {LIST_TIMED, LIST_PATTERNS};

// ---- plots -----------------------------------------------------------------------------

// The power of 1000 that keeps the axis in short numbers.
static double unit_of(double most, const char **name) {
    static const char *const names[] = {"", "thousand ", "million ", "billion "};
    double unit = 1;
    size_t power = 0;
    for (; power < 3 && most >= 1000 * unit; power++) unit *= 1000;
    *name = names[power];
    return unit;
}

static double highest_rate(const struct analysis *analysis, const char *workload) {
    double most = 0;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (analysis->cells[i].key.list == LIST_TIMED &&
            strcmp(analysis->cells[i].key.workload, workload) == 0)
            most = fmax(most, analysis->cells[i].rate.estimate);
    return most;
}

// Points of curves stand a little beside one another, so that their intervals can be seen.
static struct svg_line curve(struct document *document, const struct analysis *analysis,
                             const char *workload, size_t place, double unit, struct text *label) {
    const char *name = analysis->results->names[place];
    bool log = analysis->threads[analysis->thread_count - 1] > 8;
    double beside = ((double)place - (double)(analysis->results->name_count - 1) / 2) * 0.03;
    struct svg_line line = {
        .name = name, .place = place, .dashed = analysis_is_ablation(analysis, name)};
    for (size_t t = 0; t < analysis->thread_count; t++) {
        int threads = analysis->threads[t];
        const struct cell *cell = cell_from(analysis, PATTERNS, place, workload, "", threads);
        if (!cell || !(cell->rate.estimate > 0)) continue;
        struct svg_point point = {.x = log ? threads * exp2(beside) : threads + beside,
                                  .y = cell->rate.estimate / unit,
                                  .low = cell->rate.known ? cell->rate.low / unit : 0,
                                  .high = cell->rate.known ? cell->rate.high / unit : 0,
                                  .hollow = cell->oversubscribed};
        const char *shown = keep_rate(document, cell->rate.estimate);
        snprintf(point.title, sizeof point.title, "%s, %d thread%s: %s", name, threads,
                 plural(threads), shown);
        text_add(label, "%s%s%s on %d", line.count ? ", " : ". ",
                 line.count ? "" : keep(document, "%s: ", name), shown, threads);
        svg_add_point(&line, point);
    }
    return line;
}

static void plot_curves(struct document *document, const struct analysis *analysis,
                        const char *workload) {
    size_t names = analysis->results->name_count;
    int most = analysis->threads[analysis->thread_count - 1], scale = analysis->scale_threads;
    bool log = most > 8;
    const char *unit_name;
    double unit = unit_of(highest_rate(analysis, workload), &unit_name);
    struct svg_line *lines = checked_calloc(names, sizeof *lines);
    double *ticks = checked_calloc(analysis->thread_count, sizeof *ticks);
    struct text label = {0};
    for (size_t t = 0; t < analysis->thread_count; t++) ticks[t] = analysis->threads[t];
    for (size_t p = 0; p < names; p++)
        lines[p] = curve(document, analysis, workload, p, unit, &label);
    const struct svg_chart chart = {
        .x = {.label = "threads",
              .log = log,
              .low = log ? 0.85 : 0.75,
              .high = log ? most * 1.15 : most + 0.25,
              .ticks = ticks,
              .tick_count = analysis->thread_count},
        .y = {.label = keep(document, "%soperations per second", unit_name)},
        .edge = most > scale ? scale + (log ? 0.2 * scale : 0.3) : 0};
    document_plot(document, PLOT, svg_draw(&chart, lines, names), "%s: throughput of all threads%s",
                  workload, text_string(&label));
    text_free(&label);
    svg_free_lines(lines, names);
    free(ticks);
    free(lines);
}

// A dot for each sample after the warm-up, a line of dots for each run.
static struct svg_line dots_of(const struct results *results, struct runs runs, double unit) {
    const char *name = runs.items->backend;
    struct svg_line line = {.name = name, .place = backend_place(results, name)};
    for (size_t r = 0; r < runs.count; r++)
        for (size_t s = 0; s < runs.items[r].sample_count; s++)
            if (!runs.items[r].samples[s].warmup)
                svg_add_point(&line, (struct svg_point){.x = runs.items[r].samples[s].rate / unit,
                                                        .y = (double)r / (double)runs.count});
    return line;
}

static void plot_samples(struct document *document, const struct analysis *analysis,
                         const char *workload) {
    size_t count = 0;
    const char *unit_name;
    double unit = unit_of(highest_rate(analysis, workload), &unit_name);
    struct svg_line *lines = checked_calloc(analysis->backend_count, sizeof *lines);
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct cell *cell =
            analysis_cell(analysis, workload, analysis->backends[b], analysis->scale_threads);
        if (cell) lines[count++] = dots_of(analysis->results, cell->runs, unit);
    }
    const struct svg_chart chart = {
        .x = {.label = keep(document, "%soperations per second", unit_name)}};
    document_plot(document, PLOT, svg_dots(&chart, lines, count),
                  "%s: samples on %d thread%s, a row of dots for each process", workload,
                  analysis->scale_threads, plural(analysis->scale_threads));
    svg_free_lines(lines, count);
    free(lines);
}

// ---- throughput ------------------------------------------------------------------------

struct rate_row {
    const char *backend, *threads;
    double rate, peak;
    struct span interval, fairness;
    struct interval speedup, total, gain;
};

// The slowest and the fastest thread over the mean one: medians over the samples.
static struct span fairness_of(struct runs runs) {
    double *slowest = NULL, *fastest = NULL;
    size_t count = 0;
    for (size_t i = 0; i < runs.count; i++)
        for (size_t s = 0; s < runs.items[i].sample_count; s++) {
            const struct sample *sample = &runs.items[i].samples[s];
            if (sample->warmup || isnan(sample->mean)) continue;
            slowest = checked_realloc(slowest, (count + 1) * sizeof *slowest);
            fastest = checked_realloc(fastest, (count + 1) * sizeof *fastest);
            slowest[count] = sample->slowest;
            fastest[count++] = sample->fastest;
        }
    struct span fairness = {count ? median(slowest, count) : NAN,
                            count ? median(fastest, count) : NAN};
    free(slowest);
    free(fastest);
    return fairness;
}

static struct rate_row rate_row(struct document *document, const struct analysis *analysis,
                                const struct cell *cell) {
    const char *workload = cell->key.workload, *backend = cell->key.backend;
    int threads = cell->key.threads;
    size_t place = backend_place(analysis->results, backend);
    struct rate_row row = {
        .backend = backend,
        .threads = keep(document, "%d%s", threads, cell->oversubscribed ? " †" : ""),
        .rate = cell->rate.estimate,
        .interval = {cell->rate.known ? cell->rate.low : NAN, cell->rate.high},
        .fairness = {NAN, NAN},
        .speedup =
            cells_ratio(analysis, cell, cell_from(analysis, PATTERNS, place, workload, "", 1)),
        .peak = cell->peak_kib > 0 ? cell->peak_kib / 1024 : NAN};
    if (is_interpreter(analysis, backend)) return row;
    row.gain =
        cells_ratio(analysis, cell, analysis_cell(analysis, workload, analysis->baseline, threads));
    row.total =
        cells_ratio(analysis, analysis_cell_of(analysis, LIST_TOTALS, workload, backend, threads),
                    analysis_cell_of(analysis, LIST_TOTALS, workload, backend, 1));
    // Where a thread has the GIL a few times in a sample, its share is what it happened to get.
    if (threads > 1 && !cell->few_turns) row.fairness = fairness_of(cell->runs);
    return row;
}

static void rate_table(struct document *document, const struct analysis *analysis,
                       const struct workload *workload) {
    size_t names = analysis->results->name_count, count = 0, used = 5;
    bool totals = false, fair = false;
    struct rate_row *rows = checked_calloc(names * analysis->thread_count, sizeof *rows);
    for (size_t p = 0; p < names; p++)
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const struct cell *cell =
                cell_from(analysis, PATTERNS, p, workload->name, "", analysis->threads[t]);
            if (cell == NULL) continue;
            rows[count] = rate_row(document, analysis, cell);
            totals = totals || rows[count].total.estimate > 0;
            fair = fair || !isnan(rows[count].fairness.low);
            count++;
        }
    struct column columns[9] = {
        COLUMN("backend", BACKEND, rate_row, backend, 0),
        COLUMN("threads", TEXT, rate_row, threads, 0),
        COLUMN(keep(document, "throughput\n%s per second, all threads", workload->unit), RATE,
               rate_row, rate, 0),
        COLUMN("its 95 % interval", SPAN, rate_row, interval, 0),
        COLUMN("speedup\ntimes 1 thread", MARKED, rate_row, speedup, 0),
    };
    if (totals)
        columns[used++] = (struct column)COLUMN("speedup, work shared out\ntimes 1 thread", MARKED,
                                                rate_row, total, 0);
    columns[used++] = (struct column)COLUMN(keep(document, "gain\ntimes %s", analysis->baseline),
                                            MARKED, rate_row, gain, 0);
    if (fair)
        columns[used++] = (struct column)COLUMN("slowest to fastest thread\ntimes the mean", RANGE,
                                                rate_row, fairness, 2);
    columns[used++] = (struct column)COLUMN("peak memory\nMiB, process", NUMBER, rate_row, peak, 1);
    document_table(document, "", columns, used, rows, count, sizeof *rows);
    free(rows);
}

// ---- beside processes ------------------------------------------------------------------

static void say_processes(struct document *document, const struct analysis *analysis,
                          const char *workload) {
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *apart = &analysis->cells[i];
        if (apart->key.list != LIST_PROCESSES || strcmp(apart->key.workload, workload) != 0)
            continue;
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const char *backend = analysis->backends[b];
            const struct cell *thread =
                analysis_cell(analysis, workload, backend, apart->key.threads);
            if (!thread || analysis_is_ablation(analysis, backend)) continue;
            document_bullet(document,
                            "%d threads of **%s** beside as many processes with %s: %s times the "
                            "throughput, with %.2f times the memory.",
                            apart->key.threads, backend, apart->key.backend,
                            keep_ratio(document, cells_ratio(analysis, thread, apart)),
                            MEDIAN(thread->runs, pss_kib) / MEDIAN(apart->runs, pss_kib));
        }
    }
}

// ---- the law ---------------------------------------------------------------------------

struct law_row {
    const char *backend, *sigma, *kappa, *peak;
    double worst;
};

static bool law_row(struct document *document, const struct analysis *analysis,
                    const char *workload, const char *backend, struct law_row *row) {
    size_t rounds = analysis->rounds, count = 0;
    double *threads = checked_calloc(2 * analysis->thread_count, sizeof *threads),
           *rates = threads + analysis->thread_count,
           *logs = checked_calloc(analysis->thread_count * rounds, sizeof *logs);
    for (size_t t = 0; t < analysis->thread_count; t++) {
        const struct cell *cell = analysis_cell(analysis, workload, backend, analysis->threads[t]);
        if (!cell || cell->oversubscribed || !cell->rate.known) continue;
        threads[count] = cell->key.threads;
        rates[count] = cell->rate.estimate;
        memcpy(logs + count++ * rounds, cell->logs, rounds * sizeof *logs);
    }
    struct scalability fit;
    struct span sigma, kappa;
    uint64_t seed = (uint64_t)object_number(analysis->results->root, "seed", 0);
    bool good = scalability_fit(threads, rates, count, &fit) &&
                scalability_intervals(&fit, threads, logs, count, rounds, seed, &sigma, &kappa);
    if (good) {
        double peak = scalability_peak(&fit);
        *row = (struct law_row){
            backend, keep(document, "%.4f (%.4f to %.4f)", fit.sigma, sigma.low, sigma.high),
            keep(document, "%.5f (%.5f to %.5f)", fit.kappa, kappa.low, kappa.high),
            isfinite(peak)
                ? keep(document, "%s on %.0f%s", keep_rate(document, scalability_rate(&fit, peak)),
                       peak, peak > threads[count - 1] ? " ‡" : "")
                : "none",
            fit.worst};
    }
    free(logs);
    free(threads);
    return good;
}

static size_t counts_with_cores(const struct analysis *analysis) {
    size_t count = 0;
    for (size_t t = 0; t < analysis->thread_count; t++)
        count += analysis->threads[t] <= analysis->scale_threads;
    return count;
}

static void law_table(struct document *document, const struct analysis *analysis,
                      const char *workload) {
    struct law_row *rows = checked_calloc(analysis->backend_count, sizeof *rows);
    size_t count = 0, enough = counts_with_cores(analysis) >= SCALABILITY_POINTS;
    for (size_t b = 0; enough && b < analysis->backend_count; b++)
        count += law_row(document, analysis, workload, analysis->backends[b], &rows[count]);
    const struct column columns[] = {
        COLUMN("backend", BACKEND, law_row, backend, 0),
        COLUMN("σ, contention\nshare of the work", TEXT, law_row, sigma, 0),
        COLUMN("κ, coherence\nshare of the work, per pair of threads", TEXT, law_row, kappa, 0),
        COLUMN("peak\noperations per second on threads", TEXT, law_row, peak, 0),
        COLUMN("worst point\noff the law by", PERCENT, law_row, worst, 0),
    };
    TABLE_OF(document,
             "The universal scalability law: N threads do λN / (1 + σ(N−1) + κN(N−1)). ‡ past what "
             "was measured",
             columns, rows, count);
    free(rows);
}

// ---- entries ---------------------------------------------------------------------------

// The parameters that it ran with, which are alike in all its runs.
static void say_parameters(struct document *document, const struct analysis *analysis,
                           const char *workload) {
    struct runs timed = runs_of(analysis->results, LIST_TIMED);
    size_t i = 0;
    while (i < timed.count && strcmp(timed.items[i].workload, workload) != 0) i++;
    if (i == timed.count) return;
    struct text line = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)timed.items[i].parameters, name, value) {
        text_add(&line, "%s%s=", line.length ? ", " : "", name);
        if (json_is_string(value))
            text_add(&line, "%s", json_string_value(value));
        else
            text_add(&line, "%lld", (long long)json_integer_value(value));
    }
    if (line.length) document_paragraph(document, "Measured with %s.", text_string(&line));
    text_free(&line);
}

static void say_prices(struct document *document, const struct analysis *analysis,
                       const char *workload) {
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        struct price price = price_of(analysis, &workload, 1, backend);
        double product = price.counts * price.rest * price.collector;
        struct interval whole =
            cells_ratio(analysis, analysis_cell(analysis, workload, analysis->baseline, 1),
                        analysis_cell(analysis, workload, backend, 1));
        // There is nothing to split in what may be no price.
        if (competes(analysis, backend) && whole.finding == FINDING_DIFFERENT && !isnan(product))
            document_bullet(document,
                            "One thread of **%s** takes %.2f times the time of %s: counts %.2f × "
                            "rest %.2f × collector %.2f.",
                            backend, product, analysis->baseline, price.counts, price.rest,
                            price.collector);
    }
}

static void add_content(struct document *document, const struct analysis *analysis,
                        const struct workload *workload) {
    if (*workload->description) document_paragraph(document, "%s", workload->description);
    say_parameters(document, analysis, workload->name);
    plot_curves(document, analysis, workload->name);
    plot_samples(document, analysis, workload->name);
    say_prices(document, analysis, workload->name);
    part_causes(document, analysis, workload);
    say_processes(document, analysis, workload->name);
    rate_table(document, analysis, workload);
    law_table(document, analysis, workload->name);
    part_pauses(document, analysis, workload);
    part_memory(document, analysis, workload);
    part_variants(document, analysis, workload);
    part_what_if(document, analysis, workload);
    part_operations(document, analysis, workload);
}

struct entry_row {
    const char *name, *kind;
    struct side {
        struct advice advice;
        struct interval gain, price;
        double rate;
    } sides[]; // one per column of a backend
};

#define SIDE(head, type, number, member)                                         \
    (struct column) {                                                            \
        head, type,                                                              \
            offsetof(struct entry_row, sides) + (number) * sizeof(struct side) + \
                offsetof(struct side, member),                                   \
            0                                                                    \
    }

// The advice on each backend, or its throughput where there is none to give.
static size_t entry_columns(struct document *document, const struct analysis *analysis,
                            const struct choices *choices, struct column *columns) {
    size_t used = 0;
    columns[used++] = (struct column)COLUMN("workload", TEXT, entry_row, name, 0);
    columns[used++] = (struct column)COLUMN("kind", TEXT, entry_row, kind, 0);
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        if (choices->count == 0) {
            columns[used++] = SIDE(backend, RATE, b, rate);
        } else if (competes(analysis, backend)) {
            columns[used++] = SIDE(backend, ADVICE, b, advice);
            columns[used++] = SIDE(keep(document, "gain\non %d threads", analysis->scale_threads),
                                   SHORT, b, gain);
            columns[used++] = SIDE("price\non one", SHORT, b, price);
        }
    }
    return used;
}

static void fill_entry(const struct analysis *analysis, const struct choices *choices,
                       const struct workload *workload, struct entry_row *row) {
    row->name = workload->name;
    row->kind = workload_kinds[kind_of(workload)].name;
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct cell *cell =
            analysis_cell(analysis, workload->name, analysis->backends[b], analysis->scale_threads);
        row->sides[b].rate = cell ? cell->rate.estimate : NAN;
        for (size_t c = 0; c < choices->count; c++) {
            const struct choice *choice = &choices->items[c];
            if (choice->workload && strcmp(choice->workload, workload->name) == 0 &&
                strcmp(choice->backend, analysis->backends[b]) == 0)
                row->sides[b] = (struct side){choice->advice, choice->gain, choice->price, NAN};
        }
    }
}

// What was left out of all entries, and why.
static void say_rest(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct text shared = {0};
    for (size_t w = 0; w < results->workload_count; w++)
        if (results->workloads[w].shared)
            text_add(&shared, "%s%s", shared.length ? ", " : "", results->workloads[w].name);
    if (cells_of(analysis, LIST_PROCESSES) && shared.length)
        document_paragraph(document,
                           "Left out beside processes, since their threads touch the same objects: "
                           "%s.",
                           text_string(&shared));
    text_free(&shared);
    if (counts_with_cores(analysis) < SCALABILITY_POINTS)
        document_paragraph(document,
                           "The universal scalability law is not fitted: it takes %d thread counts "
                           "with a core for each thread.",
                           SCALABILITY_POINTS);
    if (runs_of(results, LIST_COUNTED).count == 0)
        document_paragraph(document, "What happens in an operation was not counted: the counting "
                                     "drivers are missing, or the run stopped before them.");
}

void section_workloads(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    struct choices choices = choices_make(analysis);
    struct column *columns = checked_calloc(2 + 3 * analysis->backend_count, sizeof *columns);
    size_t used = entry_columns(document, analysis, &choices, columns),
           size = sizeof(struct entry_row) + analysis->backend_count * sizeof(struct side);
    char *rows = checked_calloc(results->workload_count, size);
    for (size_t w = 0; w < results->workload_count; w++)
        fill_entry(analysis, &choices, &results->workloads[w], (void *)(rows + w * size));
    document_heading(document, 2, "Each workload");
    document_paragraph(document,
                       "%s In it are the curve, the samples, where the time goes, and what "
                       "happens in an operation. Everywhere **=** is the same within the margin, "
                       "**?** is not enough data, and **†** is more threads than cores.",
                       choices.count
                           ? keep(document,
                                  "A workload opens. Gain is throughput on %d threads, price is "
                                  "time on one, both times %s.",
                                  analysis->scale_threads, analysis->baseline)
                           : keep(document,
                                  "A workload opens. Figures are operations per second "
                                  "on %d thread%s.",
                                  analysis->scale_threads, plural(analysis->scale_threads)));
    document_table(document, "", columns, used, rows, results->workload_count, size);
    document_last(document)->markdown_only = true;
    for (size_t w = 0; w < results->workload_count; w++) {
        document_entry(document, columns, used, rows + w * size, size);
        add_content(document, analysis, &results->workloads[w]);
        document_details_end(document);
    }
    say_rest(document, analysis);
    free(rows);
    free(columns);
    choices_free(&choices);
}
