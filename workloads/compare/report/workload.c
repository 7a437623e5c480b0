// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A section for each workload: which backend is fastest, how it scales, plots, tables,
// and the counters that explain the curve.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- which is fastest ------------------------------------------------------------------

struct ranking {
    const struct cell **cells; // fastest first
    size_t count;
};

// Ablations do not compete.
static struct ranking rank(const struct analysis *analysis, const char *workload, int threads) {
    struct ranking ranking = {checked_calloc(analysis->backend_count, sizeof *ranking.cells), 0};
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct cell *cell = analysis_cell(analysis, workload, analysis->backends[b], threads);
        if (cell == NULL || analysis_is_ablation(analysis, analysis->backends[b])) continue;
        size_t at = ranking.count++;
        for (; at > 0 && ranking.cells[at - 1]->rate.estimate < cell->rate.estimate; at--)
            ranking.cells[at] = ranking.cells[at - 1];
        ranking.cells[at] = cell;
    }
    return ranking;
}

static void say_ranking(struct text *line, const struct analysis *analysis,
                        const struct ranking *ranking) {
    const struct cell *first = ranking->cells[0];
    if (ranking->count == 1) {
        text_add(line, "only %s was measured", first->key.backend);
        return;
    }
    for (size_t i = 1; i < ranking->count; i++) {
        const struct cell *other = ranking->cells[i];
        struct interval ratio = cells_ratio(analysis, first, other);
        char *shown = show_ratio(ratio);
        const char *words = ratio.finding == FINDING_DIFFERENT ? "is **faster** than"
                            : ratio.finding == FINDING_SAME    ? "is **the same** as"
                                                               : "is not shown to differ from";
        text_add(line, "%s%s %s %s, %s times", i == 1 ? "" : "; ",
                 i == 1 ? first->key.backend : "it", words, other->key.backend, shown);
        free(shown);
    }
}

static void say_rankings(struct document *document, const struct analysis *analysis,
                         const char *workload) {
    struct text line = {0};
    int counts[2] = {analysis->scale_threads, 1};
    for (int i = 0; i < (analysis->scale_threads > 1 ? 2 : 1); i++) {
        struct ranking ranking = rank(analysis, workload, counts[i]);
        if (ranking.count) {
            text_add(&line, "%sOn %d thread%s ", line.length ? ". " : "", counts[i],
                     plural(counts[i]));
            say_ranking(&line, analysis, &ranking);
        }
        free(ranking.cells);
    }
    document_paragraph(document, "%s.",
                       line.length ? line.data : "No samples on one thread or with a core each");
    text_free(&line);
}

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

// ---- how it scales ----------------------------------------------------------------------

static const char *speedup_words(const struct interval *speedup, int threads) {
    if (!speedup->known) return "has too few rounds to be judged";
    if (speedup->finding == FINDING_SAME) return "gains nothing from more threads";
    if (speedup->finding != FINDING_DIFFERENT)
        return speedup->high < SCALES_BADLY * threads
                   ? "gains little, if anything, from more threads"
                   : "has not enough data to tell what threads gain";
    if (speedup->estimate < 1) return "loses by more threads";
    return speedup->estimate >= 0.9 * threads ? "scales with the threads"
                                              : "gains less than the threads added";
}

static void say_speedups(struct document *document, const struct analysis *analysis,
                         const char *workload) {
    int threads = analysis->scale_threads;
    for (size_t b = 0; b < analysis->backend_count && threads > 1; b++) {
        const struct cell *one = analysis_cell(analysis, workload, analysis->backends[b], 1);
        const struct cell *many = analysis_cell(analysis, workload, analysis->backends[b], threads);
        if (!one || !many) continue;
        struct interval speedup = cells_ratio(analysis, many, one);
        char *shown = show_ratio(speedup);
        document_bullet(document, "**%s** %s: %s times one thread on %d.", analysis->backends[b],
                        speedup_words(&speedup, threads), shown, threads);
        free(shown);
    }
}

// ---- tables -------------------------------------------------------------------------------

struct rate_row {
    const char *backend, *threads;
    double rate, peak;
    struct span interval;
    struct interval speedup, gain;
};

static void rate_table(struct document *document, const struct analysis *analysis,
                       const struct workload *workload) {
    size_t count = 0;
    bool over = false, short_ones = false;
    struct rate_row *rows =
        checked_calloc(analysis->backend_count * analysis->thread_count, sizeof *rows);
    for (size_t b = 0; b < analysis->backend_count; b++)
        for (size_t t = 0; t < analysis->thread_count; t++) {
            const char *backend = analysis->backends[b];
            int threads = analysis->threads[t];
            const struct cell *cell = analysis_cell(analysis, workload->name, backend, threads);
            if (cell == NULL) continue;
            const struct cell *one = analysis_cell(analysis, workload->name, backend, 1);
            const struct cell *base =
                analysis_cell(analysis, workload->name, analysis->baseline, threads);
            over = over || cell->oversubscribed;
            short_ones = short_ones || cell->few_turns;
            rows[count++] = (struct rate_row){
                .backend = backend,
                .threads = keep(document, "%d%s%s", threads, cell->oversubscribed ? " †" : "",
                                cell->few_turns ? " §" : ""),
                .rate = cell->rate.estimate,
                .interval = {cell->rate.known ? cell->rate.low : NAN, cell->rate.high},
                .speedup = cells_ratio(analysis, cell, one),
                .gain = cells_ratio(analysis, cell, base),
                .peak = cell->peak_kib / 1024};
        }
    const struct column columns[] = {
        COLUMN("backend", BACKEND, rate_row, backend, 0),
        COLUMN("threads", TEXT, rate_row, threads, 0),
        COLUMN(keep(document, "throughput\n%s per second, all threads", workload->unit), RATE,
               rate_row, rate, 0),
        COLUMN("its 95 % interval", SPAN, rate_row, interval, 0),
        COLUMN("speedup\ntimes 1 thread", MARKED, rate_row, speedup, 0),
        COLUMN(keep(document, "gain\ntimes %s", analysis->baseline), MARKED, rate_row, gain, 0),
        COLUMN("peak memory\nMiB, process", NUMBER, rate_row, peak, 1),
    };
    TABLE_OF(document, "Throughput, speedup and memory", columns, rows, count);
    document_paragraph(document, "%s%s= the same within the margin. ? not enough data.",
                       over ? "† more threads than cores. " : "",
                       short_ones ? "§ samples too short for every thread to have the GIL ten "
                                    "times. "
                                  : "");
    free(rows);
}

enum { SHOWN_COUNTERS = 8 };

struct counter {
    const char *name;
    double most; // per operation, on any backend
};

static int compare_counters(const void *a, const void *b) {
    const struct counter *one = a, *other = b;
    return one->most < other->most   ? 1
           : one->most > other->most ? -1
                                     : strcmp(one->name, other->name);
}

// The counters of all backends, most frequent first.
static size_t find_counters(const struct run **runs, size_t run_count, struct counter **counters) {
    size_t count = 0;
    for (size_t i = 0; i < run_count; i++) {
        const char *name;
        json_t *value;
        json_object_foreach((json_t *)(runs[i] ? runs[i]->counters : NULL), name, value) {
            double each = run_event(runs[i], name);
            size_t at = 0;
            bool time = strlen(name) > 3 && strcmp(name + strlen(name) - 3, "_ns") == 0;
            if (time || !(each > 0)) continue; // times are shares, in a table of their own
            while (at < count && strcmp((*counters)[at].name, name) != 0) at++;
            if (at == count) {
                *counters = checked_realloc(*counters, (count + 1) * sizeof **counters);
                (*counters)[count++] = (struct counter){name, 0};
            }
            (*counters)[at].most = fmax((*counters)[at].most, each);
        }
    }
    if (count) qsort(*counters, count, sizeof **counters, compare_counters);
    return count < SHOWN_COUNTERS ? count : SHOWN_COUNTERS;
}

void part_counters(struct document *document, const struct analysis *analysis,
                   const struct workload *workload) {
    const struct run **runs = checked_calloc(analysis->backend_count, sizeof *runs);
    struct counter *counters = NULL;
    for (size_t b = 0; b < analysis->backend_count; b++)
        runs[b] =
            counted_run(analysis, workload->name, analysis->backends[b], analysis->scale_threads);
    size_t count = find_counters(runs, analysis->backend_count, &counters);
    // A row is a name and a number for each backend.
    size_t size = sizeof(const char *) + analysis->backend_count * sizeof(double);
    char *rows = checked_calloc(count, size);
    for (size_t i = 0; i < count; i++) {
        memcpy(rows + i * size, &counters[i].name, sizeof(const char *));
        for (size_t b = 0; b < analysis->backend_count; b++) {
            double each = runs[b] ? run_event(runs[b], counters[i].name) : NAN;
            memcpy(rows + i * size + sizeof(const char *) + b * sizeof each, &each, sizeof each);
        }
    }
    const struct column first[] = {{"event", TEXT, 0, 0}};
    struct column *columns =
        backend_columns(analysis, first, 1, 0, NUMBER, sizeof(const char *), sizeof(double));
    if (count) {
        document_details(document, "Events per operation");
        document_table(document,
                       keep(document,
                            "Events per operation, mean over all of %d thread%s, from the counting "
                            "pass",
                            analysis->scale_threads, plural(analysis->scale_threads)),
                       columns, analysis->backend_count + 1, rows, count, size);
        document_details_end(document);
    }
    free(columns);
    free(rows);
    free(counters);
    free(runs);
}

// The lines of the CSV file that are this workload's, under its first line.
static void add_samples(struct document *document, const struct analysis *analysis,
                        const char *workload) {
    struct text csv = {0}, own = {0};
    char *start = format("\"%s\",", workload);
    size_t count = 0;
    compose_csv(analysis->results, &csv);
    for (const char *line = text_string(&csv); *line;) {
        const char *end = strchr(line, '\n');
        size_t length = end ? (size_t)(end + 1 - line) : strlen(line);
        bool its = strncmp(line, start, strlen(start)) == 0;
        if (its || own.length == 0) text_add_bytes(&own, line, length);
        count += its;
        line += length;
    }
    document_samples(document, text_string(&own), count);
    free(start);
    text_free(&own);
    text_free(&csv);
}

void section_workloads(struct document *document, const struct analysis *analysis) {
    if (cells_of(analysis, LIST_TIMED) == 0) return;
    document_heading(document, 2, "Each workload");
    document_paragraph(
        document,
        "In the plots bars are 95 %% intervals; one that leaves its plot goes on. Hollow points "
        "have more threads than cores. The thin line in a plot of speedups is as many times as "
        "there are threads. Ablations are dashed.");
    for (size_t w = 0; w < analysis->results->workload_count; w++) {
        const struct workload *workload = &analysis->results->workloads[w];
        document_heading(document, 3, "%s", workload->name);
        if (*workload->description) document_paragraph(document, "%s", workload->description);
        say_rankings(document, analysis, workload->name);
        say_parameters(document, analysis, workload->name);
        part_plots(document, analysis, workload);
        say_speedups(document, analysis, workload->name);
        rate_table(document, analysis, workload);
        part_verdicts(document, analysis, workload);
        part_pauses(document, analysis, workload);
        part_causes(document, analysis, workload);
        part_counters(document, analysis, workload);
        add_samples(document, analysis, workload->name);
    }
    if (runs_of(analysis->results, LIST_COUNTED).count == 0)
        document_paragraph(document, "No events were counted: the counting drivers are missing or "
                                     "the run stopped before them.");
}
