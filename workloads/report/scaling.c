// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Both kinds of scaling, how even the threads were served, the fit of the
// universal scalability law, and threads beside processes.
#include "compose.h"

#include "results.h"
#include "scalability.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// The analysis of another list of blocks of the same results; the caller frees both.
static struct analysis analysis_of(const struct analysis *analysis, const char *list,
                                   json_t **root) {
    json_t *blocks = json_object_get(analysis->root, list);
    *root = json_copy((json_t *)analysis->root);
    json_object_set_new(*root, "counted", json_array());
    json_object_set_new(*root, "control", json_array());
    if (blocks)
        json_object_set(*root, "blocks", blocks);
    else
        json_object_set_new(*root, "blocks", json_array());
    return analysis_make(*root, 0); // 0: the margin of the results
}

static bool is_of(const json_t *block, const struct cell *cell) {
    return strcmp(object_string(block, "workload", ""), cell->workload) == 0 &&
           strcmp(object_string(block, "backend", ""), cell->backend) == 0 &&
           (int)object_number(block, "threads", 0) == cell->threads;
}

// ---- fairness ---------------------------------------------------------------

// Of the threads of a sample: operations a second of the mean one, and the
// others over it; medians over samples.
struct fairness {
    double mean, slowest, fastest;
};

static bool sample_fairness(const json_t *sample, struct fairness *fairness) {
    const json_t *operations = json_object_get(sample, "per_thread"), *value;
    const json_t *seconds = json_object_get(sample, "per_thread_seconds");
    size_t count = json_array_size(operations), index;
    double sum = 0, least = INFINITY, most = 0;
    if (count == 0 || json_array_size(seconds) != count) return false;
    json_array_foreach(operations, index, value) {
        double rate = json_number_value(value) / json_number_value(json_array_get(seconds, index));
        sum += rate;
        least = fmin(least, rate);
        most = fmax(most, rate);
    }
    double mean = sum / (double)count;
    *fairness = (struct fairness){mean, least / mean, most / mean};
    return mean > 0 && isfinite(mean);
}

static struct fairness cell_fairness(const struct analysis *analysis, const struct cell *cell) {
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block, *sample;
    double *values[3] = {0};
    size_t count = 0, b, s;
    json_array_foreach(blocks, b, block)
        json_array_foreach(json_object_get(block, "samples"), s, sample) {
        struct fairness one;
        if (!is_of(block, cell) || !sample_fairness(sample, &one)) continue;
        for (size_t i = 0; i < 3; i++)
            values[i] = checked_realloc(values[i], (count + 1) * sizeof *values[i]);
        values[0][count] = one.mean;
        values[1][count] = one.slowest;
        values[2][count++] = one.fastest;
    }
    struct fairness result = {median(values[0], count), median(values[1], count),
                              median(values[2], count)};
    for (size_t i = 0; i < 3; i++) free(values[i]);
    return result;
}

// ---- both kinds of scaling --------------------------------------------------

static void scaling_row(struct table *table, const struct analysis *analysis,
                        const struct analysis *totals, const struct cell *cell) {
    const struct cell *one = analysis_cell(analysis, cell->workload, cell->backend, 1);
    const struct cell *total = analysis_cell(totals, cell->workload, cell->backend, cell->threads);
    const struct cell *total_one = analysis_cell(totals, cell->workload, cell->backend, 1);
    struct fairness fairness = cell_fairness(analysis, cell);
    char *speedup = show_ratio(cells_ratio(cell, one)),
         *shared_out = show_ratio(cells_ratio(total, total_one));
    char *mean = show_rate(fairness.mean);
    table_cell(table, "%s", cell->backend);
    table_cell(table, "%d%s", cell->threads, cell->oversubscribed ? " †" : "");
    table_cell(table, "%s", one == cell ? "1" : speedup);
    table_cell(table, "%s", total && total == total_one ? "1" : shared_out);
    table_cell(table, "%s", fairness.mean > 0 ? mean : "–");
    table_cell(table, "%.2f", fairness.slowest);
    table_cell(table, "%.2f", fairness.fastest);
    free(mean);
    free(shared_out);
    free(speedup);
}

static void scaling_table(struct document *document, const struct analysis *analysis,
                          const struct analysis *totals, const char *workload) {
    struct table table = table_make("", 7, 1);
    const char *unit = "operations";
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (strcmp(analysis->cells[i].workload, workload) == 0) unit = analysis->cells[i].unit;
    table_cell(&table, "backend");
    table_cell(&table, "threads");
    table_cell(&table, "same time\ntimes 1 thread, all threads");
    table_cell(&table, "same total\ntimes 1 thread, all threads");
    table_cell(&table, "mean thread\n%s a second, one thread", unit);
    table_cell(&table, "slowest\ntimes the mean, one thread");
    table_cell(&table, "fastest\ntimes the mean, one thread");
    for (size_t b = 0; b < analysis->backend_count; b++)
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const struct cell *cell =
                analysis_cell(analysis, workload, analysis->backends[b], analysis->threads[t]);
            if (cell) scaling_row(&table, analysis, totals, cell);
        }
    document_details(document, "%s", workload);
    document_table(document, table);
    document_details_end(document);
}

// ---- the law ----------------------------------------------------------------

static void law_row(struct table *table, const char *workload, const char *backend,
                    const double *threads, const double *rates, const double *const *replicates,
                    size_t count, double most) {
    struct scalability fit;
    struct scalability_interval sigma, kappa;
    if (!scalability_fit(threads, rates, count, &fit) ||
        !scalability_intervals(threads, replicates, count, RESAMPLES, &sigma, &kappa))
        return;
    char *lambda = show_rate(fit.lambda);
    double peak = scalability_peak(&fit);
    table_cell(table, "%s", workload);
    table_cell(table, "%s", backend);
    table_cell(table, "%zu", count);
    table_cell(table, "%s", lambda);
    table_cell(table, "%.4f (%.4f to %.4f)", fit.sigma, sigma.low, sigma.high);
    table_cell(table, "%.5f (%.5f to %.5f)", fit.kappa, kappa.low, kappa.high);
    if (isfinite(peak)) {
        char *rate = show_rate(scalability_rate(&fit, peak));
        table_cell(table, "%s on %.0f%s", rate, peak, peak > most ? " ‡" : "");
        free(rate);
    } else {
        table_cell(table, "none");
    }
    table_cell(table, "%.1f %%", fit.worst * 100);
    free(lambda);
}

// True where there were points enough; adds a row then.
static bool fit_law(struct table *table, const struct analysis *analysis, const char *workload,
                    const char *backend) {
    double *threads = checked_calloc(analysis->thread_count, sizeof *threads);
    double *rates = checked_calloc(analysis->thread_count, sizeof *rates), most = 0;
    const double **replicates = checked_calloc(analysis->thread_count, sizeof *replicates);
    size_t count = 0;
    for (size_t t = 0; t < analysis->thread_count; t++) {
        const struct cell *cell = analysis_cell(analysis, workload, backend, analysis->threads[t]);
        if (!cell || cell->oversubscribed || !cell->rate.known) continue;
        threads[count] = most = cell->threads;
        rates[count] = cell->rate.estimate;
        replicates[count++] = cell->replicates;
    }
    if (count >= SCALABILITY_POINTS)
        law_row(table, workload, backend, threads, rates, replicates, count, most);
    free(replicates);
    free(rates);
    free(threads);
    return count >= SCALABILITY_POINTS;
}

static void compose_law(struct document *document, const struct analysis *analysis) {
    struct table table = table_make("", 8, 2);
    bool any = false;
    table_cell(&table, "workload");
    table_cell(&table, "backend");
    table_cell(&table, "points");
    table_cell(&table, "λ\noperations a second, one thread");
    table_cell(&table, "σ, contention\nshare of the work");
    table_cell(&table, "κ, coherence\nshare of the work, a pair of threads");
    table_cell(&table, "peak\noperations a second on threads, all threads");
    table_cell(&table, "worst point\noff the law by");
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            any = fit_law(&table, analysis, analysis->workloads[w], analysis->backends[b]) || any;
    document_heading(document, 3, "The universal scalability law");
    if (!any) {
        size_t counts = 0;
        for (size_t t = 0; t < analysis->thread_count; t++)
            counts += analysis->threads[t] <= analysis->scale_threads;
        document_paragraph(document,
                           "No fit: %zu thread count%s with a core for each thread and an "
                           "interval; the law has three "
                           "coefficients, so it takes %d to tell whether it holds.",
                           counts, counts == 1 ? "" : "s", SCALABILITY_POINTS);
        table_free(&table);
        return;
    }
    document_paragraph(
        document,
        "Throughput of N threads is λN / (1 + σ(N−1) + κN(N−1)): least squares of relative "
        "errors, σ and κ not below 0; in brackets 95 %% bootstrap intervals over processes. "
        "‡ past what was measured.");
    document_table(document, table);
}

void compose_scaling(struct document *document, const struct analysis *analysis) {
    json_t *root;
    if (analysis->cell_count == 0) return;
    struct analysis totals = analysis_of(analysis, "totals", &root);
    document_heading(document, 2, "Two kinds of scaling, and fairness");
    document_paragraph(
        document,
        "Same time: every thread works for as long as one alone did; more threads do more. Same "
        "total: the threads share out what one thread does in a sample, and the clock stops "
        "when the last is done; the ratio is of one thread's time over theirs.%s",
        totals.cell_count
            ? ""
            : " Only the first was measured; a default or full comparison measures both.");
    document_paragraph(
        document,
        "Fairness: the slowest and the fastest thread of a sample over its mean one, medians over "
        "all samples of the same time. 0 means that a thread only stood by. † more threads than "
        "cores.");
    for (size_t w = 0; w < analysis->workload_count; w++)
        scaling_table(document, analysis, &totals, analysis->workloads[w]);
    compose_law(document, analysis);
    analysis_free(&totals);
    json_decref(root);
}

// ---- threads beside processes -----------------------------------------------

// MiB with each shared page divided among its users: median over blocks.
static double proportional_mib(const json_t *blocks, const struct cell *cell) {
    const json_t *block;
    double *values = checked_calloc(json_array_size(blocks) + 1, sizeof *values);
    size_t count = 0, index;
    json_array_foreach(blocks, index,
                       block) if (is_of(block, cell) && object_number(block, "pss_kib", 0) > 0)
        values[count++] = object_number(block, "pss_kib", 0) / 1024;
    double result = median(values, count);
    free(values);
    return result;
}

static void process_row(struct table *table, const struct analysis *analysis,
                        const struct analysis *processes, const struct cell *process,
                        const struct cell *thread) {
    char *theirs = show_rate(process->rate.estimate), *ours = show_rate(thread->rate.estimate);
    char *ratio = show_ratio(cells_ratio(thread, process));
    double memory = proportional_mib(json_object_get(analysis->root, "blocks"), thread);
    double apart = proportional_mib(json_object_get(processes->root, "blocks"), process);
    table_cell(table, "%s", process->workload);
    table_cell(table, "%s", thread->backend);
    table_cell(table, "%d", thread->threads);
    table_cell(table, "%s", ours);
    table_cell(table, "%s", theirs);
    table_cell(table, "%s", ratio);
    table_cell(table, "%.1f", memory);
    table_cell(table, "%.1f", apart);
    if (apart > 0)
        table_cell(table, "%.2f", memory / apart);
    else
        table_cell(table, "–");
    free(ratio);
    free(ours);
    free(theirs);
}

static void say_shared(struct document *document, const struct analysis *analysis) {
    struct text names = {0};
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t i = 0; i < analysis->cell_count; i++)
            if (strcmp(analysis->cells[i].workload, analysis->workloads[w]) == 0 &&
                analysis->cells[i].shared) {
                text_add(&names, "%s%s", names.length ? ", " : "", analysis->workloads[w]);
                break;
            }
    if (names.length)
        document_paragraph(
            document,
            "Left out, since their threads touch the same objects, which processes cannot: %s.",
            text_string(&names));
    text_free(&names);
}

static struct table process_table(const char *reference) {
    struct table table = table_make("", 9, 2);
    table_cell(&table, "workload");
    table_cell(&table, "backend of the threads");
    table_cell(&table, "number\nof threads, or processes");
    table_cell(&table, "threads\noperations a second, all threads");
    table_cell(&table, "processes with %s\noperations a second, all processes", reference);
    table_cell(&table, "threads over processes\nthroughput, all");
    table_cell(&table, "memory of threads\nMiB (PSS), all threads");
    table_cell(&table, "memory of processes\nMiB (PSS), all processes");
    table_cell(&table, "threads over processes\nmemory, all");
    return table;
}

void compose_processes(struct document *document, const struct analysis *analysis) {
    json_t *root;
    struct analysis processes = analysis_of(analysis, "processes", &root);
    if (processes.cell_count) {
        struct table table = process_table(processes.baseline);
        for (size_t i = 0; i < processes.cell_count; i++)
            for (size_t b = 0; b < analysis->backend_count; b++) {
                const struct cell *process = &processes.cells[i];
                const struct cell *thread = analysis_cell(analysis, process->workload,
                                                          analysis->backends[b], process->threads);
                if (thread && !analysis_is_ablation(analysis, analysis->backends[b]))
                    process_row(&table, analysis, &processes, process, thread);
            }
        document_heading(document, 2, "Threads without a GIL beside processes with one");
        document_paragraph(
            document,
            "The same workload as threads of one process, and as processes of one thread each with "
            "%s, the way around its lock; all start every sample at one barrier. Memory is the "
            "proportional set size after the last sample: a page that several processes map "
            "counts once in their sum.",
            processes.baseline);
        document_table(document, table);
        say_shared(document, analysis);
    }
    analysis_free(&processes);
    json_decref(root);
}
