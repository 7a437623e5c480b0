// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The fit of the universal scalability law, with intervals from rounds drawn again.
#include "compose.h"

#include "scalability.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct law_row {
    const char *workload, *backend, *sigma, *kappa, *peak;
    double points, lambda, worst;
};

// The cells of a backend that the law is fitted to.
struct curve {
    const struct cell **cells;
    double *threads;
    size_t count;
};

static struct curve curve_of(const struct analysis *analysis, const char *workload,
                             const char *backend) {
    struct curve curve = {checked_calloc(analysis->thread_count, sizeof *curve.cells),
                          checked_calloc(analysis->thread_count, sizeof *curve.threads), 0};
    for (size_t t = 0; t < analysis->thread_count; t++) {
        const struct cell *cell = analysis_cell(analysis, workload, backend, analysis->threads[t]);
        if (!cell || cell->oversubscribed || !cell->rate.known) continue;
        curve.threads[curve.count] = cell->key.threads;
        curve.cells[curve.count++] = cell;
    }
    return curve;
}

static bool law_row(struct document *document, const struct analysis *analysis,
                    const char *workload, const char *backend, struct law_row *row) {
    struct curve curve = curve_of(analysis, workload, backend);
    double *rates = checked_calloc(curve.count, sizeof *rates);
    double *logs = checked_calloc(curve.count * analysis->rounds, sizeof *logs);
    struct scalability fit;
    struct span sigma, kappa;
    for (size_t i = 0; i < curve.count; i++) {
        rates[i] = curve.cells[i]->rate.estimate;
        memcpy(logs + i * analysis->rounds, curve.cells[i]->logs, analysis->rounds * sizeof *logs);
    }
    uint64_t seed = (uint64_t)object_number(analysis->results->root, "seed", 0);
    bool good = scalability_fit(curve.threads, rates, curve.count, &fit) &&
                scalability_intervals(&fit, curve.threads, logs, curve.count, analysis->rounds,
                                      seed, &sigma, &kappa);
    if (good) {
        double peak = scalability_peak(&fit), most = curve.threads[curve.count - 1];
        char *rate = show_rate(isfinite(peak) ? scalability_rate(&fit, peak) : 0);
        *row = (struct law_row){
            .workload = workload,
            .backend = backend,
            .points = (double)curve.count,
            .lambda = fit.lambda,
            .sigma = keep(document, "%.4f (%.4f to %.4f)", fit.sigma, sigma.low, sigma.high),
            .kappa = keep(document, "%.5f (%.5f to %.5f)", fit.kappa, kappa.low, kappa.high),
            .peak = isfinite(peak)
                        ? keep(document, "%s on %.0f%s", rate, peak, peak > most ? " ‡" : "")
                        : "none",
            .worst = fit.worst};
        free(rate);
    }
    free(logs);
    free(rates);
    free(curve.threads);
    free(curve.cells);
    return good;
}

void section_law(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    struct law_row *rows =
        checked_calloc(results->workload_count * analysis->backend_count, sizeof *rows);
    size_t count = 0, counts = 0;
    for (size_t t = 0; t < analysis->thread_count; t++)
        counts += analysis->threads[t] <= analysis->scale_threads;
    for (size_t w = 0; w < results->workload_count && counts >= SCALABILITY_POINTS; w++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            count += law_row(document, analysis, results->workloads[w].name, analysis->backends[b],
                             &rows[count]);
    document_heading(document, 3, "The universal scalability law");
    if (count)
        document_paragraph(
            document,
            "Throughput of N threads is λN / (1 + σ(N−1) + κN(N−1)): least squares of relative "
            "errors, σ and κ not below 0; brackets are 95 %% intervals from rounds drawn again. ‡ "
            "past what was measured.");
    else
        document_paragraph(document,
                           "No fit: %zu thread count%s with a core for each thread and an "
                           "interval; the law has three coefficients, so it takes %d to tell "
                           "whether it holds.",
                           counts, plural((double)counts), SCALABILITY_POINTS);
    const struct column columns[] = {
        COLUMN("workload", TEXT, law_row, workload, 0),
        COLUMN("backend", BACKEND, law_row, backend, 0),
        COLUMN("points", COUNT, law_row, points, 0),
        COLUMN("λ\noperations per second, one thread", RATE, law_row, lambda, 0),
        COLUMN("σ, contention\nshare of the work", TEXT, law_row, sigma, 0),
        COLUMN("κ, coherence\nshare of the work, per pair of threads", TEXT, law_row, kappa, 0),
        COLUMN("peak\noperations per second on threads, all threads", TEXT, law_row, peak, 0),
        COLUMN("worst point\noff the law by", PERCENT, law_row, worst, 0),
    };
    TABLE_OF(document, "", columns, rows, count);
    free(rows);
}
