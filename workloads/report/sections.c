// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What one thread pays, and a section for each workload: table, plots, and the
// counters that explain the curve.
#include "compose.h"
#include "plots.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The workloads over which the price of one thread is averaged: everyday object
// work, without a container that all threads share.
static const char *const price_workloads[] = {"churn", "attributes", "binary-trees", "wordcount"};
enum { PRICE_WORKLOADS = sizeof price_workloads / sizeof *price_workloads };

static void ratio_cell(struct table *table, struct interval ratio) {
    char *shown = show_ratio(ratio);
    bool open = ratio.finding == FINDING_OPEN || ratio.finding == FINDING_NONE;
    bool none = ratio.known && !interval_differs(ratio);
    table_cell(table, "%s%s", shown, !none ? "" : open ? " ?" : " =");
    free(shown);
}

// Time of `slow` over time of `fast` on one thread.
static struct interval time_ratio(const struct analysis *analysis, const char *workload,
                                  const char *slow, const char *fast) {
    return cells_ratio(analysis_cell(analysis, workload, fast, 1),
                       analysis_cell(analysis, workload, slow, 1));
}

static struct interval mean_time_ratio(const struct analysis *analysis, const char *slow,
                                       const char *fast, size_t *used) {
    const struct cell *over[PRICE_WORKLOADS], *under[PRICE_WORKLOADS];
    *used = 0;
    for (size_t i = 0; i < PRICE_WORKLOADS; i++) {
        over[i] = analysis_cell(analysis, price_workloads[i], fast, 1);
        under[i] = analysis_cell(analysis, price_workloads[i], slow, 1);
        *used += over[i] && under[i];
    }
    return cells_mean_ratio(over, under, PRICE_WORKLOADS);
}

static void say_price(struct document *document, const struct analysis *analysis,
                      const char *backend) {
    size_t used;
    struct interval mean = mean_time_ratio(analysis, backend, analysis->baseline, &used);
    if (used == 0) return;
    const char *over = used == PRICE_WORKLOADS
                           ? "churn, attributes, binary-trees and wordcount"
                           : "those of churn, attributes, binary-trees and wordcount measured";
    char *shown = show_ratio(mean);
    if (!interval_differs(mean))
        document_bullet(document,
                        "**%s**: no difference from %s (time ratio %s, geometric mean over %s).",
                        backend, analysis->baseline, shown, over);
    else
        document_bullet(
            document,
            "**%s** takes **%.1f %% %s** time than %s (time ratio %s, geometric mean over %s).",
            backend, fabs(mean.estimate - 1) * 100, mean.estimate > 1 ? "more" : "less",
            analysis->baseline, shown, over);
    free(shown);
}

static void price_table(struct document *document, const struct analysis *analysis) {
    char *caption = format("Time on one thread over that of %s; above 1 is slower, = is the same "
                           "within the margin, ? is not enough data",
                           analysis->baseline);
    struct table table = table_make(caption, analysis->backend_count, 1);
    size_t used;
    free(caption);
    table_cell(&table, "workload");
    for (size_t b = 1; b < analysis->backend_count; b++)
        backend_cell(&table, analysis, analysis->backends[b]);
    for (size_t w = 0; w < analysis->workload_count; w++) {
        table_cell(&table, "%s", analysis->workloads[w]);
        for (size_t b = 1; b < analysis->backend_count; b++)
            ratio_cell(&table, time_ratio(analysis, analysis->workloads[w], analysis->backends[b],
                                          analysis->baseline));
    }
    table_cell(&table, "**geometric mean of the four**");
    for (size_t b = 1; b < analysis->backend_count; b++)
        ratio_cell(&table,
                   mean_time_ratio(analysis, analysis->backends[b], analysis->baseline, &used));
    document_table(document, table);
}

// baseline -> its ablation changes the counts alone; ablation -> product the rest.
static void split_table(struct document *document, const struct analysis *analysis,
                        const char *product) {
    const char *ablation = analysis_ablation_of(analysis, product);
    if (ablation && !analysis_is_ablation(analysis, product)) {
        char *caption = format("Where the time of %s goes: counts (%s → %s) times locks, reads and "
                               "allocator (%s → %s)",
                               product, analysis->baseline, ablation, ablation, product);
        struct table table = table_make(caption, 4, 1);
        size_t used;
        table_cell(&table, "workload");
        table_cell(&table, "counts");
        table_cell(&table, "locks, reads, allocator");
        table_cell(&table, "the whole");
        for (size_t w = 0; w < analysis->workload_count; w++) {
            const char *workload = analysis->workloads[w];
            table_cell(&table, "%s", workload);
            ratio_cell(&table, time_ratio(analysis, workload, ablation, analysis->baseline));
            ratio_cell(&table, time_ratio(analysis, workload, product, ablation));
            ratio_cell(&table, time_ratio(analysis, workload, product, analysis->baseline));
        }
        table_cell(&table, "**geometric mean of the four**");
        ratio_cell(&table, mean_time_ratio(analysis, ablation, analysis->baseline, &used));
        ratio_cell(&table, mean_time_ratio(analysis, product, ablation, &used));
        ratio_cell(&table, mean_time_ratio(analysis, product, analysis->baseline, &used));
        document_table(document, table);
        free(caption);
    }
}

void compose_price(struct document *document, const struct analysis *analysis) {
    if (analysis->cell_count == 0) return;
    document_heading(document, 2, "What one thread pays");
    if (analysis->backend_count < 2 ||
        strcmp(analysis->baseline, analysis_reference(analysis)) != 0) {
        document_paragraph(document, "Needs %s and another backend; measure both to see it.",
                           analysis_reference(analysis));
        return;
    }
    if (analysis->threads[0] != 1) {
        document_paragraph(document, "One thread was not measured; add 1 to --threads.");
        return;
    }
    for (size_t b = 1; b < analysis->backend_count; b++)
        say_price(document, analysis, analysis->backends[b]);
    price_table(document, analysis);
    for (size_t b = 1; b < analysis->backend_count; b++)
        split_table(document, analysis, analysis->backends[b]);
}

static void throughput_row(struct table *table, const struct analysis *analysis,
                           const struct cell *cell) {
    const struct cell *one = analysis_cell(analysis, cell->workload, cell->backend, 1);
    const struct cell *base =
        analysis_cell(analysis, cell->workload, analysis->baseline, cell->threads);
    char *rate = show_rate(cell->rate.estimate), *low = show_rate(cell->rate.low),
         *high = show_rate(cell->rate.high);
    char *speedup = show_ratio(cells_ratio(cell, one));
    backend_cell(table, analysis, cell->backend);
    table_cell(table, "%d%s", cell->threads, cell->oversubscribed ? " †" : "");
    table_cell(table, "%s", rate);
    if (cell->rate.known)
        table_cell(table, "%s to %s", low, high);
    else
        table_cell(table, "none");
    table_cell(table, "%s", one == cell ? "1" : speedup);
    if (base == cell)
        table_cell(table, "1");
    else
        ratio_cell(table, cells_ratio(cell, base));
    table_cell(table, "%.1f", cell->peak_kib / 1024);
    free(speedup);
    free(high);
    free(low);
    free(rate);
}

static void throughput_table(struct document *document, const struct analysis *analysis,
                             const char *workload) {
    struct table table = table_make("Throughput, speedup and memory", 7, 1);
    const char *unit = "operations";
    bool over = false;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (strcmp(analysis->cells[i].workload, workload) == 0) unit = analysis->cells[i].unit;
    table_cell(&table, "backend");
    table_cell(&table, "threads");
    table_cell(&table, "throughput\n%s a second, all threads", unit);
    table_cell(&table, "its 95 %% interval");
    table_cell(&table, "speedup\ntimes 1 thread");
    table_cell(&table, "gain\ntimes %s", analysis->baseline);
    table_cell(&table, "peak memory\nMiB, process");
    for (size_t b = 0; b < analysis->backend_count; b++)
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const struct cell *cell =
                analysis_cell(analysis, workload, analysis->backends[b], analysis->threads[t]);
            if (cell == NULL) continue;
            throughput_row(&table, analysis, cell);
            over = over || cell->oversubscribed;
        }
    document_table(document, table);
    document_paragraph(document, "%s= the same within the margin. ? not enough data.",
                       over ? "† more threads than cores. " : "");
}

struct rise {
    const char *name;
    double before, after;
};

static double per_operation(const struct cell *cell, const char *counter) {
    const json_t *value = json_object_get(cell->counters, counter);
    double count = json_is_number(value) ? json_number_value(value) : 0;
    return cell->counted_operations > 0 ? count / cell->counted_operations : 0;
}

// The counter that grows most, per operation, from one thread to many.
static struct rise largest_rise(const struct cell *one, const struct cell *many) {
    struct rise rise = {0};
    const char *name;
    json_t *value;
    json_object_foreach((json_t *)many->counters, name, value) {
        double before = per_operation(one, name), after = per_operation(many, name);
        if (after - before > rise.after - rise.before) rise = (struct rise){name, before, after};
    }
    return rise;
}

// A counter that adds less than this an operation explains nothing.
static const double TELLING_RISE = 1e-6;

static void say_bends(struct document *document, const struct analysis *analysis,
                      const char *workload) {
    int threads = analysis->scale_threads;
    for (size_t b = 0; b < analysis->backend_count && threads > 1; b++) {
        const struct cell *one = analysis_cell(analysis, workload, analysis->backends[b], 1);
        const struct cell *many = analysis_cell(analysis, workload, analysis->backends[b], threads);
        if (!one || !many) continue;
        struct interval speedup = cells_ratio(many, one);
        struct text line = {0};
        char *shown = show_ratio(speedup);
        bool scales = interval_differs(speedup) && speedup.estimate >= 0.9 * threads;
        const char *verdict = scales           ? "scales with the threads"
                              : !speedup.known ? "has too few blocks to be judged"
                              : speedup.finding == FINDING_OPEN
                                  ? "has not enough data to tell what threads gain"
                              : !interval_differs(speedup) ? "gains nothing from more threads"
                              : speedup.estimate > 1       ? "gains less than the threads added"
                                                           : "loses by more threads";
        text_add(&line, "**%s** %s: %s times one thread on %d", analysis->backends[b], verdict,
                 shown, threads);
        struct rise rise =
            many->counters && one->counters ? largest_rise(one, many) : (struct rise){0};
        if (rise.name && rise.after - rise.before > TELLING_RISE && !scales)
            text_add(&line, "; what rises most per operation is %s, from %.2g to %.2g", rise.name,
                     rise.before, rise.after);
        document_bullet(document, "%s.", line.data);
        text_free(&line);
        free(shown);
    }
}

enum { SHOWN_COUNTERS = 8 };

// The most frequent counters over all backends, most frequent first.
static size_t top_counters(const struct cell **cells, size_t cell_count, struct rise *top) {
    size_t count = 0;
    for (size_t i = 0; i < cell_count; i++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(cells[i] ? cells[i]->counters : NULL), name, value) {
            double amount = per_operation(cells[i], name);
            size_t at = 0;
            while (at < count && strcmp(top[at].name, name) != 0) at++;
            if (amount <= 0 || (at < count && top[at].after >= amount)) continue;
            if (at == count && count < SHOWN_COUNTERS)
                count++;
            else if (at == count && top[--at].after >= amount)
                continue;
            for (; at > 0 && top[at - 1].after < amount; at--) top[at] = top[at - 1];
            top[at] = (struct rise){name, 0, amount};
        }
    }
    return count;
}

static void counter_table(struct document *document, const struct analysis *analysis,
                          const char *workload) {
    struct rise top[SHOWN_COUNTERS];
    const struct cell **cells = checked_calloc(analysis->backend_count, sizeof *cells);
    for (size_t b = 0; b < analysis->backend_count; b++)
        cells[b] =
            analysis_cell(analysis, workload, analysis->backends[b], analysis->scale_threads);
    size_t count = top_counters(cells, analysis->backend_count, top);
    if (count) {
        document_details(document, "Events an operation");
        char *caption =
            format("Events an operation, mean over all of %d thread%s, from the counting pass",
                   analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s");
        struct table table = table_make(caption, analysis->backend_count + 1, 1);
        free(caption);
        table_cell(&table, "event");
        for (size_t b = 0; b < analysis->backend_count; b++)
            backend_cell(&table, analysis, analysis->backends[b]);
        for (size_t i = 0; i < count; i++) {
            table_cell(&table, "%s", top[i].name);
            for (size_t b = 0; b < analysis->backend_count; b++)
                if (cells[b] && cells[b]->counters)
                    table_cell(&table, "%.3g", per_operation(cells[b], top[i].name));
                else
                    table_cell(&table, "–");
        }
        document_table(document, table);
        document_details_end(document);
    }
    free(cells);
}

static void say_description(struct document *document, const struct analysis *analysis,
                            const char *name) {
    const json_t *list = json_object_get(analysis->root, "workloads"), *workload;
    size_t index;
    json_array_foreach(list, index,
                       workload) if (strcmp(object_string(workload, "name", ""), name) == 0)
        document_paragraph(document, "%s", object_string(workload, "description", ""));
}

// The parameters that it ran with, which are alike in all its blocks.
static void say_parameters(struct document *document, const struct analysis *analysis,
                           const char *name) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index;
    json_array_foreach(blocks, index, block) {
        if (strcmp(object_string(block, "workload", ""), name) != 0) continue;
        struct text line = {0};
        const char *parameter;
        json_t *value;
        json_object_foreach(json_object_get(block, "parameters"), parameter, value) {
            text_add(&line, "%s%s=", line.length ? ", " : "", parameter);
            if (json_is_string(value))
                text_add(&line, "%s", json_string_value(value));
            else
                text_add(&line, "%lld", (long long)json_integer_value(value));
        }
        if (line.length) document_paragraph(document, "Measured with %s.", text_string(&line));
        text_free(&line);
        return;
    }
}

// The lines of the CSV file that are this workload's, under its first line.
static void samples(struct document *document, const struct analysis *analysis,
                    const char *workload) {
    struct text csv = {0}, own = {0};
    char *start = format("\"%s\",", workload);
    size_t count = 0;
    compose_csv(analysis, &csv);
    for (const char *line = text_string(&csv); *line;) {
        const char *end = strchr(line, '\n');
        size_t length = end ? (size_t)(end + 1 - line) : strlen(line);
        bool its = strncmp(line, start, strlen(start)) == 0;
        if (its || own.length == 0) text_add_bytes(&own, line, length);
        count += its;
        line += length;
    }
    document_samples(document, text_string(&own), "%zu samples", count);
    free(start);
    text_free(&own);
    text_free(&csv);
}

// The parts of a workload's own section that follow its plots, in order.
static void (*const workload_parts[])(struct document *, const struct analysis *,
                                      const char *workload) = {
    throughput_table,
    compose_verdicts,
    // fairness: the fastest and the slowest thread
    compose_pauses,
    // the fit of the scalability law
    compose_culprit,
    // what if a cause were removed
    counter_table,
    samples,
};

// What a plot shows, for those who cannot see it: every point of every curve.
static char *describe_plot(const struct analysis *analysis, const char *workload, bool speedup) {
    struct text label = {0};
    text_add(&label,
             speedup ? "Speedup: throughput of all threads, times that of one. %s."
                     : "Throughput of all threads together. %s.",
             workload);
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct cell *one = analysis_cell(analysis, workload, analysis->backends[b], 1);
        bool first = true;
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const struct cell *cell =
                analysis_cell(analysis, workload, analysis->backends[b], analysis->threads[t]);
            double value = cell == NULL ? 0
                           : speedup    ? cells_ratio(cell, one).estimate
                                        : cell->rate.estimate;
            if (!(value > 0)) continue;
            char *shown = speedup ? format("%.2f", value) : show_rate(value);
            if (first) text_add(&label, " %s: ", analysis->backends[b]);
            text_add(&label, "%s%s on %d", first ? "" : ", ", shown, cell->threads);
            first = false;
            free(shown);
        }
        if (!first) text_add(&label, ".");
    }
    return label.data;
}

// Without a sample on one thread there is no speedup.
static bool has_one_thread(const struct analysis *analysis, const char *workload) {
    for (size_t b = 0; b < analysis->backend_count; b++)
        if (analysis_cell(analysis, workload, analysis->backends[b], 1)) return true;
    return false;
}

static void workload_plot(struct document *document, const struct analysis *analysis,
                          const char *workload, const char *svg, bool speedup) {
    if (svg == NULL) return;
    char *label = describe_plot(analysis, workload, speedup);
    document_plot(document, svg, label);
    free(label);
}

void compose_workloads(struct document *document, const struct analysis *analysis) {
    if (analysis->cell_count == 0) return;
    struct workload_plots *plots = plots_make(analysis);
    document_heading(document, 2, "Each workload");
    if (plots == NULL)
        document_paragraph(
            document,
            "There are no plots, since gnuplot is missing or failed; every number is in the "
            "tables. Install gnuplot-nox and render results.json again to get them.");
    else
        document_paragraph(
            document,
            "In the plots bars are 95 %% intervals; one that leaves its plot goes on. Hollow "
            "points have more threads than cores. The thin line in a plot of speedups is as many "
            "times as there are threads. Ablations are dashed.");
    for (size_t w = 0; w < analysis->workload_count; w++) {
        const char *name = analysis->workloads[w];
        document_heading(document, 3, "%s", name);
        say_description(document, analysis, name);
        compose_ranking(document, analysis, name);
        say_parameters(document, analysis, name);
        if (plots) {
            workload_plot(document, analysis, name, plots[w].throughput, false);
            if (has_one_thread(analysis, name))
                workload_plot(document, analysis, name, plots[w].speedup, true);
        }
        say_bends(document, analysis, name);
        for (size_t i = 0; i < sizeof workload_parts / sizeof *workload_parts; i++)
            workload_parts[i](document, analysis, name);
    }
    if (json_array_size(json_object_get(analysis->root, "counted")) == 0)
        document_paragraph(
            document, "No events were counted: the counting drivers are missing or the run stopped "
                      "before them.");
    plots_free(plots, analysis->workload_count);
}
