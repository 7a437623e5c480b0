// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The verdict on every comparison, and the control that shows how far verdicts
// can be trusted.
#include "compose.h"

#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static char *show_minutes(double minutes) {
    if (!isfinite(minutes)) return format("cannot tell how much more");
    if (minutes < 1) return format("under a minute more");
    if (minutes < 90) return format("about %.0f min more", ceil(minutes));
    return minutes < 60 * 48 ? format("about %.0f h more", ceil(minutes / 60))
                             : format("days more");
}

char *show_finding(const struct comparison *comparison, const struct judgement *judgement) {
    if (comparison->ratio.finding == FINDING_DIFFERENT) return format("different");
    if (comparison->ratio.finding == FINDING_SAME)
        return format("the same within %g %%", judgement->margin * 100);
    char *minutes = show_minutes(comparison->minutes),
         *shown = format("not enough data, %s", minutes);
    free(minutes);
    return shown;
}

static double minutes_in_all(const struct analysis *analysis) {
    double minutes = 0;
    for (size_t i = 0; i < analysis->comparison_count; i++)
        if (isfinite(analysis->comparisons[i].minutes)) minutes += analysis->comparisons[i].minutes;
    return minutes;
}

void compose_judgement(struct document *document, const struct analysis *analysis) {
    const struct judgement *judgement = analysis->judgement;
    if (judgement->comparisons == 0) return;
    char *minutes = show_minutes(minutes_in_all(analysis));
    document_paragraph(document,
                       "Of %zu comparisons, of backends with each other and of each with itself on "
                       "one thread, %zu came "
                       "out **different**, %zu **the same** within %g %%, and for %zu there is "
                       "**not enough data**%s%s%s.",
                       judgement->comparisons, judgement->different, judgement->same,
                       judgement->margin * 100, judgement->open, judgement->open ? " (" : "",
                       judgement->open ? minutes : "",
                       judgement->open ? " for all of these, if each is measured by itself)" : "");
    document_paragraph(document, "Ratios are of throughput, all threads together. In brackets "
                                 "stand 95 %% intervals; one process "
                                 "is one observation. At most one in twenty of the differences "
                                 "found is expected to be none.");
    free(minutes);
}

static void comparison_row(struct table *table, const struct comparison *comparison,
                           const struct judgement *judgement) {
    const struct cell *over = comparison->over, *under = comparison->under;
    char *ratio = show_ratio(comparison->ratio), *finding = show_finding(comparison, judgement);
    if (strcmp(over->backend, under->backend) == 0 && over->threads != under->threads)
        table_cell(table, "%s, %d threads over 1", over->backend, over->threads);
    else
        table_cell(table, "%s over %s, %d thread%s", over->backend, under->backend, over->threads,
                   over->threads == 1 ? "" : "s");
    table_cell(table, "%s", finding);
    table_cell(table, "%s", ratio);
    table_cell(table, "%zu, %zu", over->moments.count, under->moments.count);
    free(finding);
    free(ratio);
}

static struct table comparison_table(const char *caption) {
    struct table table = table_make(caption, 4, 2);
    table_cell(&table, "comparison");
    table_cell(&table, "verdict");
    table_cell(&table, "ratio of throughput");
    table_cell(&table, "processes");
    return table;
}

void compose_verdicts(struct document *document, const struct analysis *analysis,
                      const char *workload) {
    struct table table = comparison_table("");
    size_t rows = 0;
    for (size_t i = 0; i < analysis->comparison_count; i++) {
        const struct comparison *comparison = &analysis->comparisons[i];
        if (strcmp(comparison->over->workload, workload) != 0) continue;
        comparison_row(&table, comparison, analysis->judgement);
        rows++;
    }
    if (rows == 0) {
        table_free(&table);
        return;
    }
    document_details(document, "%s: the verdict on each of %zu comparisons", workload, rows);
    document_table(document, table);
    document_details_end(document);
}

char *show_control(const struct analysis *analysis) {
    return format("Control: %zu of %zu comparisons of a backend with itself came out different; "
                  "%zu would have without "
                  "the correction for many comparisons, where one in twenty is to be expected",
                  analysis->controls_different, analysis->control_count,
                  analysis->controls_uncorrected);
}

void compose_control(struct document *document, const struct analysis *analysis) {
    document_heading(document, 2, "The control: a backend against itself");
    if (analysis->control_count == 0) {
        document_paragraph(document, "No control was measured.");
        return;
    }
    char *shown = show_control(analysis);
    document_paragraph(document, "In the same session, among the other processes, a backend was "
                                 "measured a second time as if it "
                                 "were another one. There is nothing to find, so each of these "
                                 "that comes out different is a "
                                 "false alarm, and shows how many there may be among the rest.");
    document_paragraph(document, "**%s.**", shown);
    free(shown);
    struct table table = table_make("", 4, 2);
    table_cell(&table, "workload");
    table_cell(&table, "verdict");
    table_cell(&table, "ratio to itself");
    table_cell(&table, "processes");
    for (size_t i = 0; i < analysis->control_count; i++) {
        const struct comparison *control = &analysis->controls[i];
        char *ratio = show_ratio(control->ratio),
             *finding = show_finding(control, analysis->judgement);
        table_cell(&table, "%s, %s, %d thread%s", control->over->workload, control->over->backend,
                   control->over->threads, control->over->threads == 1 ? "" : "s");
        table_cell(&table, "%s", finding);
        table_cell(&table, "%s", ratio);
        table_cell(&table, "%zu, %zu", control->over->moments.count, control->under->moments.count);
        free(finding);
        free(ratio);
    }
    document_details(document, "Each of the %zu", analysis->control_count);
    document_table(document, table);
    document_details_end(document);
}

void compose_comparisons_csv(const struct analysis *analysis, struct text *out) {
    static const char *const names[] = {[FINDING_NONE] = "",
                                        [FINDING_DIFFERENT] = "different",
                                        [FINDING_SAME] = "same",
                                        [FINDING_OPEN] = "not enough data"};
    text_add(out, "workload,over_backend,over_threads,under_backend,under_threads,ratio,low,high,p_"
                  "differs,p_same,"
                  "verdict,minutes_more,control\n");
    for (size_t i = 0; i < analysis->comparison_count + analysis->control_count; i++) {
        bool control = i >= analysis->comparison_count;
        const struct comparison *comparison =
            control ? &analysis->controls[i - analysis->comparison_count]
                    : &analysis->comparisons[i];
        text_add(out, "\"%s\",\"%s\",%d,\"%s\",%d,%.9g,%.9g,%.9g,%.9g,%.9g,%s,",
                 comparison->over->workload, comparison->over->backend, comparison->over->threads,
                 comparison->under->backend, comparison->under->threads, comparison->ratio.estimate,
                 comparison->ratio.low, comparison->ratio.high, comparison->ratio.p_differs,
                 comparison->ratio.p_same, names[comparison->ratio.finding]);
        if (isfinite(comparison->minutes)) text_add(out, "%.3g", comparison->minutes);
        text_add(out, ",%d\n", control);
    }
}
