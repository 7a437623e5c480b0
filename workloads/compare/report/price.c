// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What one thread pays: time over that of the reference, and with the ablations how it
// splits into counts and the rest.
#include "compose.h"

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

// A row: a name and ratios.
struct price_row {
    const char *workload;
    struct interval ratios[];
};

static size_t row_size(size_t ratios) {
    return sizeof(struct price_row) + ratios * sizeof(struct interval);
}

static void price_table(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    size_t others = analysis->backend_count - 1, size = row_size(others);
    char *rows = checked_calloc(results->workload_count + 1, size);
    for (size_t w = 0; w <= results->workload_count; w++) {
        struct price_row *row = (struct price_row *)(rows + w * size);
        bool mean = w == results->workload_count;
        row->workload =
            mean ? "**geometric mean of those in the price**" : results->workloads[w].name;
        for (size_t b = 0; b < others; b++)
            row->ratios[b] =
                mean ? mean_time_ratio(analysis, analysis->backends[b + 1], analysis->baseline)
                     : time_ratio(analysis, row->workload, analysis->backends[b + 1],
                                  analysis->baseline);
    }
    const struct column first[] = {{"workload", TEXT, 0, 0}};
    struct column *columns = backend_columns(
        analysis, first, 1, 1, MARKED, offsetof(struct price_row, ratios), sizeof(struct interval));
    document_table(document,
                   keep(document,
                        "Time on one thread over that of %s; above 1 is slower, = is the same "
                        "within the margin, ? is not enough data",
                        analysis->baseline),
                   columns, others + 1, rows, results->workload_count + 1, size);
    free(columns);
    free(rows);
}

struct split_row {
    const char *workload;
    struct interval counts, rest, whole;
};

// baseline -> its ablation changes the counts alone; ablation -> product the rest.
static void split_table(struct document *document, const struct analysis *analysis,
                        const char *product) {
    const struct results *results = analysis->results;
    const char *ablation = analysis_ablation_of(analysis, product), *base = analysis->baseline;
    if (!ablation || analysis_is_ablation(analysis, product)) return;
    struct split_row *rows = checked_calloc(results->workload_count + 1, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++) {
        const char *name = results->workloads[w].name;
        rows[w] = (struct split_row){name, time_ratio(analysis, name, ablation, base),
                                     time_ratio(analysis, name, product, ablation),
                                     time_ratio(analysis, name, product, base)};
    }
    rows[results->workload_count] = (struct split_row){
        "**geometric mean of those in the price**", mean_time_ratio(analysis, ablation, base),
        mean_time_ratio(analysis, product, ablation), mean_time_ratio(analysis, product, base)};
    const struct column columns[] = {
        COLUMN("workload", TEXT, split_row, workload, 0),
        COLUMN("counts", MARKED, split_row, counts, 0),
        COLUMN("locks, reads, allocator", MARKED, split_row, rest, 0),
        COLUMN("the whole", MARKED, split_row, whole, 0),
    };
    TABLE_OF(document,
             keep(document,
                  "Where the time of %s goes: counts (%s → %s) times locks, reads and allocator "
                  "(%s → %s)",
                  product, base, ablation, ablation, product),
             columns, rows, results->workload_count + 1);
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
    for (size_t b = 1; b < analysis->backend_count; b++)
        split_table(document, analysis, analysis->backends[b]);
}
