// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's order, what its sections share, the terminal's table and the CSV files.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void (*const sections[])(struct document *, const struct analysis *) = {
    section_banner,   section_findings,  section_against, section_answer,
    section_failures, section_workloads, section_memory,  section_tasks,
    section_convoy,   section_server,    section_control, section_conditions,
};

// A run of the control alone has nothing to say about backends.
static bool belongs_to_control(void (*section)(struct document *, const struct analysis *)) {
    return section == section_banner || section == section_failures ||
           section == section_conditions || section == section_control;
}

struct document compose_report(const struct analysis *analysis) {
    struct document document = {.results = analysis->results};
    for (size_t i = 0; i < sizeof sections / sizeof *sections; i++)
        if (!analysis->results->self || belongs_to_control(sections[i]))
            sections[i](&document, analysis);
    return document;
}

// ---- what sections share -----------------------------------------------------------------

double each(double sum, double count) { return count > 0 ? sum / count : NAN; }

bool is_interpreter(const struct analysis *analysis, const char *name) {
    return backend_place(analysis->results, name) >= analysis->results->backend_count;
}

struct runs runs_from(const struct analysis *analysis, struct sources sources, size_t place,
                      const char *workload, const char *variant, int threads) {
    const struct results *results = analysis->results;
    struct key key = {.list =
                          place < results->backend_count ? sources.backends : sources.interpreters,
                      .workload = workload,
                      .variant = variant,
                      .backend = results->names[place],
                      .threads = threads};
    return runs_at(results, &key);
}

const struct cell *cell_from(const struct analysis *analysis, struct sources sources, size_t place,
                             const char *workload, const char *variant, int threads) {
    struct runs runs = runs_from(analysis, sources, place, workload, variant, threads);
    struct key key = runs.count ? run_key(runs.items) : (struct key){0};
    return runs.count ? analysis_find(analysis, &key) : NULL;
}

const struct run *counted_run(const struct analysis *analysis, const char *workload,
                              const char *backend, int threads) {
    struct key key = {
        .list = LIST_COUNTED, .workload = workload, .backend = backend, .threads = threads};
    struct runs runs = runs_at(analysis->results, &key);
    return runs.count ? runs.items : NULL;
}

struct column *backend_columns(const struct analysis *analysis, const struct column *first,
                               size_t first_count, enum cell_type type, size_t at, size_t size) {
    struct column *columns = checked_calloc(first_count + analysis->backend_count, sizeof *columns);
    for (size_t i = 0; i < first_count; i++) columns[i] = first[i];
    for (size_t b = 0; b < analysis->backend_count; b++)
        columns[first_count + b] = (struct column){analysis->backends[b], type, at + b * size, 0};
    return columns;
}

void say_left_out(struct document *document, const struct analysis *analysis,
                  const char *workload) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(analysis->results->root, "left_out"), index, entry) {
        if (strcmp(object_string(entry, "workload", ""), workload) == 0)
            document_paragraph(document, "%s was not measured: %s.", workload,
                               object_string(entry, "why", ""));
    }
}

// ---- failures --------------------------------------------------------------------------

// What kind of run it was, where it is not one of every table.
static const char *failed_pass(const char *list) {
    static const struct {
        enum list list;
        const char *shown;
    } passes[] = {{LIST_COUNTED, ", counting pass"},         {LIST_TOTALS, ", fixed total"},
                  {LIST_PROCESSES, ", as processes"},        {LIST_FINDINGS, ", experiment"},
                  {LIST_LEDGER, ", readings of the ledger"}, {LIST_AGAINST, ", the other build"}};
    for (size_t i = 0; i < sizeof passes / sizeof *passes; i++)
        if (strcmp(list, list_names[passes[i].list]) == 0) return passes[i].shown;
    return "";
}

void section_failures(struct document *document, const struct analysis *analysis) {
    enum { SHOWN = 20 };
    const json_t *failures = json_object_get(analysis->results->root, "failures"), *failure;
    size_t index, count = json_array_size(failures);
    if (count == 0) return;
    document_heading(document, 2, "Failed runs");
    document_paragraph(document, "%zu run%s failed. Their samples are missing from every table.",
                       count, plural((double)count));
    json_array_foreach(failures, index, failure) {
        if (index == SHOWN) break;
        document_paragraph(
            document, "**%s** on %s, %.0f threads%s: exit status %.0f",
            object_string(failure, "workload", "?"), object_string(failure, "backend", "?"),
            object_number(failure, "threads", 0), failed_pass(object_string(failure, "list", "")),
            object_number(failure, "status", -1));
        document_say(document, VERBATIM, "%s", object_string(failure, "stderr", ""));
    }
    if (count > SHOWN) document_paragraph(document, "The others are in results.json.");
}

// ---- the terminal ------------------------------------------------------------------------

struct terminal_row {
    const char *workload, *backend, *verdict;
    double one, many;
    struct interval speedup, gain;
};

struct table compose_terminal_table(const struct analysis *analysis) {
    const struct results *results = analysis->results;
    int threads = analysis->scale_threads;
    size_t count = 0;
    struct terminal_row *rows =
        checked_calloc(results->workload_count * analysis->backend_count, sizeof *rows);
    for (size_t w = 0; w < results->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const char *workload = results->workloads[w].name, *backend = analysis->backends[b];
            const struct cell *one = analysis_cell(analysis, workload, backend, 1);
            const struct cell *many = analysis_cell(analysis, workload, backend, threads);
            const struct cell *base =
                analysis_cell(analysis, workload, analysis->baseline, threads);
            struct terminal_row *row = &rows[count++];
            *row = (struct terminal_row){.workload = workload,
                                         .backend = backend,
                                         .one = one ? one->rate.estimate : NAN,
                                         .many = many ? many->rate.estimate : NAN,
                                         .speedup = cells_ratio(analysis, many, one),
                                         .gain = cells_ratio(analysis, many, base)};
            row->verdict = finding_name(row->gain.finding);
        }
    char *many = format("%d thread%s", threads, plural(threads));
    char *times = format("times %s", analysis->baseline);
    const struct column columns[] = {
        COLUMN("workload", TEXT, terminal_row, workload, 0),
        COLUMN("backend", TEXT, terminal_row, backend, 0),
        COLUMN("1 thread", RATE, terminal_row, one, 0),
        COLUMN(many, RATE, terminal_row, many, 0),
        COLUMN("times 1 thread", RATIO, terminal_row, speedup, 0),
        COLUMN(times, RATIO, terminal_row, gain, 0),
        COLUMN("verdict", TEXT, terminal_row, verdict, 0),
    };
    struct table table =
        table_make(results, "Operations per second; 95 % intervals in brackets", columns,
                   sizeof columns / sizeof *columns, rows, count, sizeof *rows);
    free(times);
    free(many);
    free(rows);
    return table;
}

// ---- CSV ---------------------------------------------------------------------------------

// A field in quotes, as RFC 4180.
static void csv_string(struct text *out, const char *string) {
    text_add(out, "\"");
    for (const char *c = string; *c; c++) text_add(out, *c == '"' ? "\"\"" : "%c", *c);
    text_add(out, "\"");
}

static void csv_run(const struct run *run, struct text *out) {
    for (size_t s = 0; s < run->sample_count; s++) {
        const struct sample *sample = &run->samples[s];
        csv_string(out, run->workload);
        text_add(out, ",");
        csv_string(out, run->backend);
        text_add(out, ",%d,%d,%zu,%.9g,%.17g,%.9g,", run->threads, run->round, s, sample->seconds,
                 sample->operations, sample->rate);
        csv_string(out, run->unit);
        text_add(out, ",%d,%d,%.0f,%d,%d,%d\n", run->oversubscribed, run->incomplete, run->peak_kib,
                 run->list == LIST_AGAINST, sample->warmup, run->list == LIST_CONTROL);
    }
}

// One line per sample of the runs that took turns.
void compose_csv(const struct results *results, struct text *out) {
    text_add(out, "workload,backend,threads,round,sample,seconds,operations,rate,unit,"
                  "oversubscribed,incomplete,peak_rss_kib,against,warmup,control\n");
    for (size_t i = 0; i < results->run_count; i++)
        if (results->runs[i].list <= LIST_AGAINST) csv_run(&results->runs[i], out);
}

void compose_summary_csv(const struct analysis *analysis, struct text *out) {
    text_add(out, "workload,backend,threads,rate,low,high,rounds,unit,oversubscribed\n");
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *cell = &analysis->cells[i];
        if (cell->key.list != LIST_TIMED || *cell->key.variant) continue;
        csv_string(out, cell->key.workload);
        text_add(out, ",");
        csv_string(out, cell->key.backend);
        text_add(out, ",%d,%.9g,%.9g,%.9g,%zu,", cell->key.threads, cell->rate.estimate,
                 cell->rate.low, cell->rate.high, cell->runs.count);
        csv_string(out, cell->runs.items->unit);
        text_add(out, ",%d\n", cell->oversubscribed);
    }
}

static void csv_comparisons(const struct comparisons *list, const char *family, struct text *out) {
    for (size_t i = 0; i < list->count; i++) {
        const struct comparison *one = &list->items[i];
        const struct interval *ratio = &one->ratio;
        double more = ratio->finding == FINDING_OPEN
                          ? difference_resolved(ratio, ratio->rounds, &list->judgement)
                          : NAN;
        text_add(out, "\"%s\",\"%s\",%d,\"%s\",%d,\"%s\",%.9g,%.9g,%.9g,%zu,%.9g,%.9g,%s,",
                 one->over->key.workload, one->over->key.backend, one->over->key.threads,
                 one->under->key.backend, one->under->key.threads, one->over->key.without,
                 ratio->estimate, ratio->low, ratio->high, ratio->rounds, ratio->p_differs,
                 ratio->p_same, finding_name(ratio->finding));
        if (!isnan(more)) text_add(out, "%.3g", more);
        text_add(out, ",%s\n", family);
    }
}

void compose_comparisons_csv(const struct analysis *analysis, struct text *out) {
    static const char *const names[FAMILIES] = {[FAMILY_BACKENDS] = "backends",
                                                [FAMILY_THREADS] = "threads",
                                                [FAMILY_AGAINST] = "against",
                                                [FAMILY_TOTALS] = "totals",
                                                [FAMILY_WHAT_IF] = "what_if"};
    text_add(out,
             "workload,over_backend,over_threads,under_backend,under_threads,without,"
             "ratio,low,high,rounds,p_differs,p_same,verdict,resolved_by_as_many_rounds,family\n");
    for (size_t f = 0; f < FAMILIES; f++) csv_comparisons(&analysis->families[f], names[f], out);
    csv_comparisons(&analysis->control, "control", out);
}
