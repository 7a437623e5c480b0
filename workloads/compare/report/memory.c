// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where the memory of workloads goes that grow while they run: the rows of the ledger over the time
// of one run, by backend.  What is dead in cycles is not told apart from what lives: that takes the
// trial collection of a heap snapshot.
#include "compose.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const double MIB = 1 << 20;

// Rows that are shown as one, the lowest in the picture first: what does not change, objects,
// what waits, what is free.
static const struct {
    const char *name;
    enum ledger_row last; // the first is behind the last of the layer before
    size_t colour;
} layers[] = {
    {"code, data, stacks", ROW_STACKS, 8},
    {"run time: malloc, side marks", ROW_SIDE_MARKS, 0},
    {"objects, live or dead in cycles", ROW_OBJECTS, 3},
    {"arrays and tables of objects", ROW_CONTENTS, 4},
    {"objects, arrays over 512 bytes", ROW_LARGE, 6},
    {"queued for a merge", ROW_MERGING, 5},
    {"awaiting a grace period", ROW_WAITING, 1},
    {"freed by another thread", ROW_REMOTE, 7},
    {"free blocks in pools", ROW_POOL_ROOM, 2},
    {"free pools, kept pools", ROW_FREE_POOLS, 10},
    {"malloc: free", ROW_MALLOC_FREE, 9},
};
enum { LAYERS = sizeof layers / sizeof *layers };

static double layer_of(const struct reading *reading, size_t layer) {
    double sum = 0;
    for (size_t row = layer ? layers[layer - 1].last + 1 : 0; row <= layers[layer].last; row++)
        sum += reading->rows[row];
    return sum;
}

static double rows_of(const struct reading *reading) {
    double sum = 0;
    for (size_t row = 0; row < LEDGER_ROWS; row++) sum += reading->rows[row];
    return sum;
}

// The run that read the ledger, or NULL; of several the last, which came to its end.
static const struct run *reading_run(const struct analysis *analysis, const char *workload,
                                     const char *backend) {
    struct runs all = runs_of(analysis->results, LIST_LEDGER);
    const struct run *found = NULL;
    for (size_t i = 0; i < all.count; i++)
        if (strcmp(all.items[i].workload, workload) == 0 &&
            strcmp(all.items[i].backend, backend) == 0 && all.items[i].reading_count > 1)
            found = &all.items[i];
    return found;
}

static const struct reading *last_of(const struct run *run) {
    return &run->readings[run->reading_count - 1];
}

// The reading nearest to the middle of the run.
static const struct reading *middle_of(const struct run *run) {
    double half = last_of(run)->seconds / 2;
    const struct reading *nearest = run->readings;
    for (size_t i = 1; i < run->reading_count; i++)
        if (fabs(run->readings[i].seconds - half) < fabs(nearest->seconds - half))
            nearest = &run->readings[i];
    return nearest;
}

// ---- the picture -----------------------------------------------------------------------

struct extent {
    double seconds, bytes; // the most of all backends: their pictures have the same axes
};

static struct extent extent_of(const struct run *const *runs, size_t count) {
    struct extent extent = {0, 0};
    for (size_t r = 0; r < count; r++)
        for (size_t i = 0; i < runs[r]->reading_count; i++) {
            const struct reading *reading = &runs[r]->readings[i];
            extent.seconds = fmax(extent.seconds, reading->seconds);
            extent.bytes = fmax(extent.bytes, fmax(reading->resident, rows_of(reading)));
        }
    return extent;
}

static void plot_run(struct document *document, const struct run *run, struct extent extent) {
    size_t count = run->reading_count;
    double *times = checked_calloc(count * (LAYERS + 2), sizeof *times), *whole = times + count;
    struct svg_layer stack[LAYERS];
    struct text label = {0};
    for (size_t i = 0; i < count; i++) {
        times[i] = run->readings[i].seconds;
        whole[i] = run->readings[i].resident / MIB;
    }
    for (size_t l = 0; l < LAYERS; l++) {
        double *values = whole + (l + 1) * count;
        for (size_t i = 0; i < count; i++) values[i] = layer_of(&run->readings[i], l) / MIB;
        stack[l] = (struct svg_layer){layers[l].name, layers[l].colour, values, ""};
        snprintf(stack[l].title, sizeof stack[l].title, "%s: %.1f to %.1f MiB", layers[l].name,
                 values[0], values[count - 1]);
        if (values[0] > 0 || values[count - 1] > 0) text_add(&label, "; %s", stack[l].title);
    }
    const struct svg_chart chart = {.x = {.label = "seconds", .high = extent.seconds},
                                    .y = {.label = "MiB", .high = 1.05 * extent.bytes / MIB}};
    document_plot(document, PLOT,
                  svg_layers(&chart, times, count, stack, LAYERS, whole, "resident, by the kernel"),
                  "%s: memory over time with %s. Resident: %.1f to %.1f MiB%s", run->workload,
                  run->backend, whole[0], whole[count - 1], text_string(&label));
    text_free(&label);
    free(times);
}

// ---- the table -------------------------------------------------------------------------

struct ledger_row_shown {
    const char *what;
    double start, middle, end; // MiB
};

static struct ledger_row_shown row_of(const char *what, const struct run *run,
                                      double (*value)(const struct reading *, size_t),
                                      size_t layer) {
    return (struct ledger_row_shown){what, value(run->readings, layer) / MIB,
                                     value(middle_of(run), layer) / MIB,
                                     value(last_of(run), layer) / MIB};
}

static double sum_of(const struct reading *reading, size_t unused) {
    (void)unused;
    return rows_of(reading);
}
static double resident_of(const struct reading *reading, size_t unused) {
    (void)unused;
    return reading->resident;
}

static void show_rows(struct document *document, const struct run *run) {
    struct ledger_row_shown rows[LAYERS + 2];
    size_t used = 0;
    for (size_t l = LAYERS; l-- > 0;) { // as in the picture, the highest first
        rows[used] = row_of(layers[l].name, run, layer_of, l);
        used += rows[used].start > 0 || rows[used].middle > 0 || rows[used].end > 0;
    }
    rows[used++] = row_of("sum of the rows", run, sum_of, 0);
    rows[used++] = row_of("resident, by the kernel", run, resident_of, 0);
    const struct column columns[] = {
        COLUMN("where", TEXT, ledger_row_shown, what, 0),
        COLUMN("start\nMiB", NUMBER, ledger_row_shown, start, 1),
        COLUMN("middle\nMiB", NUMBER, ledger_row_shown, middle, 1),
        COLUMN("end\nMiB", NUMBER, ledger_row_shown, end, 1),
    };
    document_say(document, DETAILS, "Rows of the ledger of %s with %s, in MiB", run->workload,
                 run->backend);
    document_table(document, "", columns, sizeof columns / sizeof *columns, rows, used,
                   sizeof *rows);
    document_details_end(document);
}

// ---- an entry --------------------------------------------------------------------------

// The peak of the resident size over that of the setup, KiB: the median over the timed runs.
static double growth_of(const struct analysis *analysis, const struct run *run) {
    const struct cell *cell = analysis_cell(analysis, run->workload, run->backend, run->threads);
    size_t all = cell ? cell->runs.count : 0, count = 0;
    double *growth = checked_calloc(all + 1, sizeof *growth);
    for (size_t i = 0; i < all; i++)
        if (!cell->runs.items[i].incomplete)
            growth[count++] = cell->runs.items[i].peak_kib - cell->runs.items[i].setup_peak_kib;
    double middle = count ? median(growth, count) : NAN;
    free(growth);
    return middle;
}

static double median_pause(const struct run *run) {
    double *pauses = checked_calloc(run->reading_count, sizeof *pauses);
    for (size_t i = 0; i < run->reading_count; i++) pauses[i] = run->readings[i].pause;
    double middle = median(pauses, run->reading_count);
    free(pauses);
    return middle;
}

static size_t runs_that_read(const struct analysis *analysis, const char *workload,
                             const struct run **runs) {
    size_t count = 0;
    for (size_t b = 0; b < analysis->backend_count; b++)
        if ((runs[count] = reading_run(analysis, workload, analysis->backends[b]))) count++;
    return count;
}

PART(memory) {
    const struct run **runs = checked_calloc(analysis->backend_count + 1, sizeof *runs);
    size_t count = runs_that_read(analysis, workload->name, runs);
    struct text growth = {0}, pauses = {0};
    for (size_t r = 0; r < count; r++) {
        text_add(&growth, "%s%.1f MiB with %s", r ? ", " : "", growth_of(analysis, runs[r]) / 1024,
                 runs[r]->backend);
        text_add(&pauses, "%s%s with %s", r ? ", " : "", keep_time(document, median_pause(runs[r])),
                 runs[r]->backend);
    }
    if (count) {
        document_paragraph(document,
                           "It grows while it runs, past the peak of its setup: by %s. Below is "
                           "where the memory of one more run is, on %d thread%s; a reading stopped "
                           "them for %s (medians).",
                           text_string(&growth), runs[0]->threads, plural(runs[0]->threads),
                           text_string(&pauses));
        struct extent extent = extent_of(runs, count);
        for (size_t r = 0; r < count; r++) {
            plot_run(document, runs[r], extent);
            show_rows(document, runs[r]);
        }
    }
    text_free(&growth);
    text_free(&pauses);
    free(runs);
}

// ---- the section -----------------------------------------------------------------------

struct grown_row {
    const char *workload, *backend, *most;
    double start, end, growth;
};

// The layer that grew most from the first reading to the last.
static const char *grown_most(struct document *document, const struct run *run) {
    size_t most = 0;
    double growth[LAYERS];
    for (size_t l = 0; l < LAYERS; l++) {
        growth[l] = layer_of(last_of(run), l) - layer_of(run->readings, l);
        if (growth[l] > growth[most]) most = l;
    }
    return growth[most] > 0 ? keep(document, "%s: +%.1f MiB", layers[most].name, growth[most] / MIB)
                            : "none";
}

void section_memory(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct runs all = runs_of(results, LIST_LEDGER);
    struct grown_row *rows = checked_calloc(all.count + 1, sizeof *rows);
    size_t count = 0;
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const struct run *run =
                reading_run(analysis, results->workloads[w].name, analysis->backends[b]);
            if (run)
                rows[count++] = (struct grown_row){run->workload,
                                                   run->backend,
                                                   grown_most(document, run),
                                                   run->readings->resident,
                                                   last_of(run)->resident,
                                                   growth_of(analysis, run) * 1024};
        }
    struct column columns[] = {
        COLUMN("workload", LINK, grown_row, workload, 0),
        COLUMN("backend", BACKEND, grown_row, backend, 0),
        COLUMN("growth\npast the peak of setup", BYTES, grown_row, growth, 0),
        COLUMN("resident\nat the start", BYTES, grown_row, start, 0),
        COLUMN("resident\nat the end", BYTES, grown_row, end, 0),
        COLUMN("what grew most\nfrom start to end", TEXT, grown_row, most, 0),
    };
    if (count) {
        document_heading(document, 2, "Workloads that grow");
        document_paragraph(document,
                           "The resident size of these goes past the peak of their setup by %d MiB "
                           "or more while they run, with one of the backends. Their entries show "
                           "where the memory is over the time of a run.",
                           LEDGER_GROWTH_KIB / 1024);
        TABLE_OF(document, "", columns, rows, count);
        document_last(document)->page_only = true;
        columns[0].type = TEXT; // there a link leads to headings alone
        TABLE_OF(document, "", columns, rows, count);
        document_last(document)->markdown_only = true;
    }
    free(rows);
}
