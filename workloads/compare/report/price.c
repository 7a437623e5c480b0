// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What one thread pays: time over that of the reference, and how it splits into counts,
// locks and the collector.
#include "compose.h"

#include "causes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Time of `slow` over time of `fast` on one thread.
static struct interval time_ratio(const struct analysis *analysis, const char *workload,
                                  const char *slow, const char *fast) {
    return cells_ratio(analysis, analysis_cell(analysis, workload, fast, 1),
                       analysis_cell(analysis, workload, slow, 1));
}

// Over the workloads that are in the price.
static struct interval mean_time_ratio(const struct analysis *analysis, const char *slow,
                                       const char *fast) {
    const struct results *results = analysis->results;
    const struct cell **cells = checked_calloc(2 * results->workload_count, sizeof *cells);
    size_t count = 0;
    for (size_t w = 0; w < results->workload_count; w++) {
        if (!results->workloads[w].in_price) continue;
        cells[count] = analysis_cell(analysis, results->workloads[w].name, fast, 1);
        cells[results->workload_count + count++] =
            analysis_cell(analysis, results->workloads[w].name, slow, 1);
    }
    struct interval mean =
        cells_mean_ratio(analysis, cells, cells + results->workload_count, count);
    // One mean alone is judged by its own test.
    struct judgement judgement = judge(&mean, 1, LEVEL, analysis->margin);
    if (mean.finding == FINDING_NONE) mean.finding = finding_of(&mean, &judgement);
    free(cells);
    return mean;
}

static const char *priced_workloads(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct text names = {0};
    for (size_t w = 0; w < results->workload_count; w++)
        if (results->workloads[w].in_price)
            text_add(&names, "%s%s", names.length ? ", " : "", results->workloads[w].name);
    const char *kept = keep(document, "%s", text_string(&names));
    text_free(&names);
    return kept;
}

static void say_price(struct document *document, const struct analysis *analysis,
                      const char *backend, const char *names) {
    struct interval mean = mean_time_ratio(analysis, backend, analysis->baseline);
    if (!(mean.estimate > 0)) return;
    char *shown = show_ratio(mean);
    if (mean.finding == FINDING_DIFFERENT)
        document_bullet(document,
                        "**%s** takes **%.1f %% %s** time than %s: %s times, geometric mean over "
                        "%s.",
                        backend, fabs(mean.estimate - 1) * 100, mean.estimate > 1 ? "more" : "less",
                        analysis->baseline, shown, names);
    else
        document_bullet(
            document, "**%s** takes %s times the time of %s, %s; geometric mean over %s.", backend,
            shown, analysis->baseline,
            mean.finding == FINDING_SAME ? "which is the same within the margin"
                                         : "which is not enough data to tell them apart",
            names);
    free(shown);
}

// "1.05 × 1.20 × 0.87", or NULL.
const char *show_price(struct document *document, const struct price *price) {
    double product = price->counts * price->rest * price->collector;
    return isnan(product)
               ? NULL
               : keep(document, "%.2f × %.2f × %.2f", price->counts, price->rest, price->collector);
}

// A ratio and its factors for each backend but the first.
struct price_row {
    const char *workload;
    struct whole_price {
        struct interval ratio;
        const char *factors;
    } prices[];
};

static struct column *price_columns(struct document *document, const struct analysis *analysis,
                                    bool split) {
    size_t others = analysis->backend_count - 1;
    struct column *columns = checked_calloc(1 + 2 * others, sizeof *columns);
    *columns = (struct column){"workload", TEXT, 0, 0};
    for (size_t b = 0; b < others; b++) {
        size_t at = offsetof(struct price_row, prices) + b * sizeof(struct whole_price);
        const char *backend = analysis->backends[b + 1];
        columns[1 + (split ? 2 : 1) * b] = (struct column){backend, MARKED, at, 0};
        if (split)
            columns[2 + 2 * b] =
                (struct column){keep(document, "%s\ncounts × locks × collector", backend), TEXT,
                                at + offsetof(struct whole_price, factors), 0};
    }
    return columns;
}

static void price_table(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    size_t others = analysis->backend_count - 1;
    size_t size = sizeof(struct price_row) + others * sizeof(struct whole_price);
    char *rows = checked_calloc(results->workload_count, size);
    bool split = false;
    for (size_t w = 0; w < results->workload_count; w++) {
        struct price_row *row = (struct price_row *)(rows + w * size);
        row->workload = results->workloads[w].name;
        for (size_t b = 0; b < others; b++) {
            const char *backend = analysis->backends[b + 1];
            struct price price = price_of(analysis, &row->workload, 1, backend);
            row->prices[b] = (struct whole_price){
                time_ratio(analysis, row->workload, backend, analysis->baseline),
                show_price(document, &price)};
            split = split || row->prices[b].factors;
        }
    }
    struct column *columns = price_columns(document, analysis, split);
    document_table(document,
                   keep(document,
                        "Time on one thread over that of %s; above 1 is slower, = is the same "
                        "within the margin, ? is not enough data",
                        analysis->baseline),
                   columns, 1 + (split ? 2 : 1) * others, rows, results->workload_count, size);
    if (split)
        document_paragraph(document,
                           "The factors: %s with the counts of the backend; its locks, lock-free "
                           "reads and heaps; and what its collector's schedule adds, by runs "
                           "without a collector. A dash: one of them could not be measured.",
                           analysis->baseline);
    free(columns);
    free(rows);
}

void section_price(struct document *document, const struct analysis *analysis) {
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    const char *reference = analysis->results->backends[0].name;
    document_heading(document, 2, "What one thread pays");
    if (analysis->backend_count < 2 || strcmp(analysis->baseline, reference) != 0) {
        document_paragraph(document, "Needs %s and another backend; measure both to see it.",
                           reference);
        return;
    }
    if (analysis->threads[0] != 1) {
        document_paragraph(document, "One thread was not measured; add 1 to --threads.");
        return;
    }
    const char *names = priced_workloads(document, analysis);
    for (size_t b = 1; b < analysis->backend_count; b++)
        say_price(document, analysis, analysis->backends[b], names);
    price_table(document, analysis);
}
