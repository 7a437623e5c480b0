// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which claims of the talks hold.  A ratio is estimated over rounds, as every other one.  The
// claim holds if the whole interval is on its side of the bound, does not hold if the whole
// interval is on the other, and is undecided if the bound lies inside.
#include "findings.h"
#include "claims.h"
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

const char *const claim_verdicts[CLAIM_VERDICTS] = {
    [CLAIM_HOLDS] = "holds", [CLAIM_FAILS] = "does not hold", [CLAIM_OPEN] = "undecided"};

struct finding_row {
    const char *name, *verdict;
    struct interval ratio;
    double cells[MOST_CELLS];
};

// ---- figures -----------------------------------------------------------------------

// Of a run; NAN: it has none of this name.
static double value_of(const struct run *run, const char *figure) {
    const struct {
        const char *name;
        double value;
    } known[] = {
        {"rate", run->rate},
        {"longest_ns", run->latencies > 0 ? run->latency[QUANTILES - 1] : NAN},
        {"memory_bytes", 1024 * (run->pss_kib > 0 ? run->pss_kib : run->peak_kib)},
        {"collections", run->collector.collections},
        {"full_collections", run->collector.full},
        {"collections_per_operation", run->collector.collections / run->operations},
        {"p50_ns", 1e6 * quantile(run->times, run->time_count, 0.5)},
        {"p90_ns", 1e6 * quantile(run->times, run->time_count, 0.9)},
    };
    if (run->list == LIST_FINDINGS) return object_number(run->figures, figure, NAN);
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        if (strcmp(known[i].name, figure) == 0) return known[i].value;
    return NAN;
}

static struct runs runs_in(const struct analysis *analysis, const struct place *place,
                           const char *backend) {
    struct key key = {.list = place->list,
                      .workload = place->workload,
                      .variant = place->variant,
                      .backend = place->backend ? place->backend : backend,
                      .threads = place->threads == MANY ? analysis->scale_threads : place->threads};
    return runs_at(analysis->results, &key);
}

static double median_of(struct runs runs, const char *figure) {
    double *values = checked_calloc(runs.count, sizeof *values);
    size_t count = 0;
    for (size_t i = 0; i < runs.count; i++)
        if (!isnan(value_of(&runs.items[i], figure)))
            values[count++] = value_of(&runs.items[i], figure);
    double middle = count ? median(values, count) : NAN;
    free(values);
    return middle;
}

// The logarithms by round.
static void read_logs(struct runs runs, const char *figure, double *logs, size_t rounds) {
    for (size_t r = 0; r < rounds; r++) logs[r] = NAN;
    for (size_t i = 0; i < runs.count; i++)
        logs[runs.items[i].round] = log(value_of(&runs.items[i], figure));
}

static bool all_zero(struct runs runs, const char *figure) {
    for (size_t i = 0; i < runs.count; i++)
        if (value_of(&runs.items[i], figure) != 0) return false;
    return runs.count > 0;
}

static struct interval ratio_of_claim(const struct claim *claim, struct runs over,
                                      struct runs under, size_t rounds) {
    double *logs = checked_calloc(2 * rounds, sizeof *logs);
    struct interval ratio = {0};
    read_logs(over, claim->over, logs, rounds);
    if (claim->under) read_logs(under, claim->under, logs + rounds, rounds);
    // A zero has no logarithm.
    if (all_zero(over, claim->over) && (!claim->under || median_of(under, claim->under) > 0))
        ratio.known = true;
    else if (claim->under)
        ratio = pair_ratio(logs, logs + rounds, rounds, DEFAULT_MARGIN);
    else
        ratio = mean_over_rounds(logs, rounds, DEFAULT_MARGIN);
    free(logs);
    return ratio;
}

enum claim_verdict claim_verdict(const struct interval *ratio, double bound, bool less) {
    if (!ratio->known) return CLAIM_OPEN;
    if (less)
        return ratio->high < bound ? CLAIM_HOLDS : ratio->low >= bound ? CLAIM_FAILS : CLAIM_OPEN;
    return ratio->low > bound ? CLAIM_HOLDS : ratio->high <= bound ? CLAIM_FAILS : CLAIM_OPEN;
}

// ---- rows --------------------------------------------------------------------------

static bool has_generations(const struct backend *backend) {
    return strncmp(backend->locking, "gil", 3) == 0 || strstr(backend->counts, "biased");
}

static void add_row(struct document *document, const struct analysis *analysis,
                    const struct claim *claim, size_t number, const char *backend,
                    struct finding_row *rows, size_t *count) {
    struct runs over = runs_in(analysis, &claim->cases[number].over, backend),
                under = runs_in(analysis, &claim->cases[number].under, backend);
    const char *name = claim->cases[number].name;
    if (!over.count || !under.count) return;
    struct finding_row *row = &rows[(*count)++];
    *row = (struct finding_row){.name = claim->cases[number].over.backend ? name
                                        : *name ? keep(document, "%s (%s)", backend, name)
                                                : backend,
                                .ratio = ratio_of_claim(claim, over, under, analysis->rounds)};
    row->verdict = claim_verdicts[claim_verdict(&row->ratio, claim->bound, claim->less)];
    for (size_t c = 0; c < MOST_CELLS && claim->cells[c].head; c++)
        row->cells[c] = median_of(claim->cells[c].of_under ? under : over, claim->cells[c].figure);
}

static size_t make_rows(struct document *document, const struct analysis *analysis,
                        const struct claim *claim, struct finding_row *rows) {
    const struct results *results = analysis->results;
    size_t count = 0;
    for (size_t n = 0; n < MOST_CASES && claim->cases[n].name; n++)
        if (claim->cases[n].over.backend)
            add_row(document, analysis, claim, n, NULL, rows, &count);
        else
            for (size_t b = 0; b < results->backend_count; b++)
                if (!claim->generations || has_generations(&results->backends[b]))
                    add_row(document, analysis, claim, n, results->backends[b].name, rows, &count);
    return count;
}

// Each verdict with the rows that have it, or alone if all have.
static const char *show_verdicts(struct document *document, const struct finding_row *rows,
                                 size_t count) {
    enum { NAMED = 3 };
    struct text line = {0};
    for (size_t v = 0; v < CLAIM_VERDICTS; v++) {
        size_t same = 0, named = 0;
        for (size_t i = 0; i < count; i++) same += rows[i].verdict == claim_verdicts[v];
        if (!same) continue;
        text_add(&line, "%s%s", line.length ? "; " : "", claim_verdicts[v]);
        if (same > NAMED && same < count) text_add(&line, ": %zu of %zu", same, count);
        for (size_t i = 0; i < count && same <= NAMED && same < count; i++)
            if (rows[i].verdict == claim_verdicts[v])
                text_add(&line, "%s %s", named++ ? "," : ":", rows[i].name);
    }
    return keep_text(document, &line);
}

// ---- the section -------------------------------------------------------------------

// By the unit at the end of its name; one that the head names is not shown with the figure.
static enum cell_type type_of(const char *head, const char *figure) {
    const char *unit = strrchr(figure, '_');
    if (strcmp(figure, "rate") == 0) return RATE;
    if (!unit || strchr(head, '\n')) return NUMBER;
    return strcmp(unit, "_ns") == 0 ? TIME : strcmp(unit, "_bytes") == 0 ? BYTES : NUMBER;
}

// Commands that measure the places again, one line each.
static void add_commands(struct document *document, const struct claim *claim) {
    struct text lines = {0};
    for (size_t n = 0; n < MOST_CASES && claim->cases[n].name; n++)
        for (size_t u = 0; u < 2; u++) {
            const struct place *place = u ? &claim->cases[n].under : &claim->cases[n].over;
            char *line = place->list == LIST_FINDINGS
                             ? format("build/release/workloads/experiments/findings/"
                                      "findings-biased %s%s%s",
                                      place->workload, place->variant ? " " : "",
                                      place->variant ? place->variant : "")
                             : format("./tally compare --workloads %s", place->workload);
            if (!strstr(text_string(&lines), line))
                text_add(&lines, "%s%s", lines.length ? "\n" : "", line);
            free(line);
        }
    document_say(document, VERBATIM, "%s", keep_text(document, &lines));
}

static void add_claim(struct document *document, const struct claim *claim,
                      const struct finding_row *rows, size_t count) {
    struct column columns[MOST_CELLS + 3] = {COLUMN("backend", TEXT, finding_row, name, 0)};
    size_t used = 1;
    for (size_t c = 0; c < MOST_CELLS && claim->cells[c].head; c++)
        columns[used++] = (struct column){
            claim->cells[c].head, type_of(claim->cells[c].head, claim->cells[c].figure),
            offsetof(struct finding_row, cells) + c * sizeof(double), 0};
    if (claim->under)
        columns[used++] = (struct column)COLUMN("ratio", RATIO, finding_row, ratio, 0);
    columns[used++] = (struct column)COLUMN("verdict", TEXT, finding_row, verdict, 0);
    document_paragraph(document, "“%s” (%s)", claim->quote, claim->talk);
    document_paragraph(document, "Measured: %s", claim->measured);
    document_paragraph(document, "**Rule:** it holds if %s %s than %g %s.", claim->subject,
                       claim->less ? "less" : "more", claim->bound, claim->predicate);
    document_table(document, "", columns, used, rows, count, sizeof *rows);
    add_commands(document, claim);
}

enum { MOST_ROWS = 512 };
struct summary_row {
    const char *title, *verdict;
    const struct claim *claim;
};

size_t findings_count(const struct analysis *analysis) {
    return runs_of(analysis->results, LIST_FINDINGS).count;
}

// The claims and their verdicts; returns how many.
static size_t summarize(struct document *document, const struct analysis *analysis,
                        struct summary_row *summary) {
    struct finding_row *rows = checked_calloc(MOST_ROWS, sizeof *rows);
    size_t used = 0;
    for (size_t c = 0; c < claim_count; c++) {
        size_t count = make_rows(document, analysis, &claims[c], rows);
        if (count)
            summary[used++] = (struct summary_row){
                claims[c].title, show_verdicts(document, rows, count), &claims[c]};
    }
    free(rows);
    return used;
}

static const struct column summary_columns[] = {COLUMN("claim", TEXT, summary_row, title, 0),
                                                COLUMN("verdict", TEXT, summary_row, verdict, 0)};

struct table compose_findings_table(struct document *document, const struct analysis *analysis) {
    struct summary_row *summary = checked_calloc(claim_count, sizeof *summary);
    size_t used = summarize(document, analysis, summary);
    struct table table =
        table_make(analysis->results, "", summary_columns, 2, summary, used, sizeof *summary);
    free(summary);
    return table;
}

void section_findings(struct document *document, const struct analysis *analysis) {
    say_left_out(document, analysis, "findings");
    if (!findings_count(analysis)) return;
    document_heading(document, 2, "Findings: what talks on CPython's memory claim");
    document_paragraph(
        document, "Figures are medians over rounds, each from a process of its own; ratios are "
                  "formed within rounds. A claim **holds** if the whole 95 %% interval is on its "
                  "side of the bound that its rule names, **does not hold** if the whole interval "
                  "is on the other, and is **undecided** if the bound lies inside. The claims are "
                  "about CPython; the figures are of Tally's object model, whose parts are built "
                  "alike.");
    struct summary_row *summary = checked_calloc(claim_count, sizeof *summary);
    struct finding_row *rows = checked_calloc(MOST_ROWS, sizeof *rows);
    size_t used = summarize(document, analysis, summary);
    document_table(document, "", summary_columns, 2, summary, used, sizeof *summary);
    document_last(document)->markdown_only = true;
    for (size_t i = 0; i < used; i++) {
        document_entry(document, summary_columns, 2, &summary[i], sizeof *summary);
        add_claim(document, summary[i].claim, rows,
                  make_rows(document, analysis, summary[i].claim, rows));
        document_details_end(document);
    }
    free(rows);
    free(summary);
}
