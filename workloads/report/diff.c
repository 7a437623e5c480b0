// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Two results files against each other; see diff.h.
#include "diff.h"

#include "compose.h"
#include "results.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct diff {
    struct analysis older, newer;
    struct comparison *comparisons;
    size_t count;
    struct judgement judgement;
};

static struct diff make_diff(const json_t *older, const json_t *newer, double margin) {
    struct diff diff = {.older = analysis_make(older, margin),
                        .newer = analysis_make(newer, margin)};
    margin = diff.newer.judgement->margin;
    diff.comparisons = checked_calloc(diff.newer.cell_count, sizeof *diff.comparisons);
    struct interval *ratios = checked_calloc(diff.newer.cell_count, sizeof *ratios);
    for (size_t i = 0; i < diff.newer.cell_count; i++) {
        const struct cell *over = &diff.newer.cells[i];
        const struct cell *under =
            analysis_cell(&diff.older, over->workload, over->backend, over->threads);
        if (under == NULL) continue;
        ratios[diff.count] = compare_means(over->moments, under->moments, margin);
        diff.comparisons[diff.count] =
            (struct comparison){.over = over, .under = under, .ratio = ratios[diff.count]};
        diff.count++;
    }
    diff.judgement = judge(ratios, diff.count, 0.05, margin);
    for (size_t i = 0; i < diff.count; i++) comparison_judge(&diff.comparisons[i], &diff.judgement);
    free(ratios);
    return diff;
}

static void free_diff(struct diff *diff) {
    analysis_free(&diff->older);
    analysis_free(&diff->newer);
    free(diff->comparisons);
}

static char *shown_value(const json_t *value) {
    char *dumped = json_is_string(value)
                       ? NULL
                       : json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT | JSON_REAL_PRECISION(6));
    char *shown = format("%s", json_is_string(value) ? json_string_value(value)
                               : dumped              ? dumped
                                                     : "unknown");
    free(dumped);
    return shown;
}

static void doubt(struct text *doubts, const char *what, const json_t *older, const json_t *newer) {
    if (older == newer || (older && newer && json_equal(older, newer))) return;
    char *before = shown_value(older), *after = shown_value(newer);
    text_add(doubts, "%s differs: %s, then %s\n", what, before, after);
    free(before);
    free(after);
}

static void machine_doubts(const struct diff *diff, struct text *doubts) {
    static const char *const facts[][3] = {
        {"machine", "cpu", "the processor"},
        {"machine", "cores", "the number of cores"},
        {"machine", "kernel", "the kernel"},
        {"machine", "governor", "the frequency governor"},
        {"machine", "turbo", "turbo"},
        {"machine", "randomize_va_space", "address randomisation"},
        {"build", "compiler", "the compiler"},
        {"build", "flags", "the compiler's flags"},
        {"build", "type", "the build type"},
    };
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        doubt(doubts, facts[i][2],
              json_object_get(json_object_get(diff->older.root, facts[i][0]), facts[i][1]),
              json_object_get(json_object_get(diff->newer.root, facts[i][0]), facts[i][1]));
    const char *names[] = {"older", "newer"};
    const struct analysis *both[] = {&diff->older, &diff->newer};
    for (size_t i = 0; i < 2; i++)
        if (json_is_true(json_object_get(both[i]->root, "incomplete")))
            text_add(doubts, "the %s run was stopped before its end\n", names[i]);
}

static const json_t *a_block(const struct analysis *analysis, const struct cell *cell) {
    const json_t *block;
    size_t index;
    json_array_foreach(
        json_object_get(analysis->root, "blocks"), index,
        block) if (strcmp(object_string(block, "workload", ""), cell->workload) == 0 &&
                   strcmp(object_string(block, "backend", ""), cell->backend) == 0 &&
                   (int)object_number(block, "threads", 1) == cell->threads) return block;
    return NULL;
}

// What a workload was measured with; said once a workload.
static void parameter_doubts(const struct diff *diff, struct text *doubts) {
    for (size_t i = 0; i < diff->count; i++) {
        const struct comparison *comparison = &diff->comparisons[i];
        bool said = false;
        for (size_t k = 0; k < i; k++)
            said = said ||
                   strcmp(diff->comparisons[k].over->workload, comparison->over->workload) == 0;
        if (said) continue;
        const json_t *before = a_block(&diff->older, comparison->under),
                     *after = a_block(&diff->newer, comparison->over);
        char *what = format("what %s was measured with", comparison->over->workload);
        doubt(doubts, what, json_object_get(before, "parameters"),
              json_object_get(after, "parameters"));
        free(what);
    }
    size_t alone = diff->older.cell_count - diff->count,
           new_ones = diff->newer.cell_count - diff->count;
    if (alone) text_add(doubts, "%zu points are in the older file alone\n", alone);
    if (new_ones) text_add(doubts, "%zu points are in the newer file alone\n", new_ones);
}

static const char *commit_of(const struct analysis *analysis) {
    return object_string(json_object_get(analysis->root, "build"), "commit", "unknown");
}

static void compose_table(const struct diff *diff, struct text *out) {
    char *caption = format(
        "Operations a second, all threads together; newer (%s) over older (%s), 95 %% intervals",
        commit_of(&diff->newer), commit_of(&diff->older));
    struct table table = table_make(caption, 7, 2);
    static const char *const names[] = {"workload", "backend", "threads", "older",
                                        "newer",    "ratio",   "verdict"};
    free(caption);
    for (size_t i = 0; i < 7; i++) table_cell(&table, "%s", names[i]);
    for (size_t i = 0; i < diff->count; i++) {
        const struct comparison *comparison = &diff->comparisons[i];
        char *before = show_rate(comparison->under->rate.estimate),
             *after = show_rate(comparison->over->rate.estimate);
        char *ratio = show_ratio(comparison->ratio),
             *finding = show_finding(comparison, &diff->judgement);
        table_cell(&table, "%s", comparison->over->workload);
        table_cell(&table, "%s", comparison->over->backend);
        table_cell(&table, "%d", comparison->over->threads);
        table_cell(&table, "%s", before);
        table_cell(&table, "%s", after);
        table_cell(&table, "%s", ratio);
        table_cell(&table, "%s", finding);
        free(before);
        free(after);
        free(ratio);
        free(finding);
    }
    render_terminal_table(&table, out);
    table_free(&table);
    text_add(out,
             "Of %zu comparisons %zu are different, %zu the same within %g %%, %zu lack data.\n",
             diff->count, diff->judgement.different, diff->judgement.same,
             diff->judgement.margin * 100, diff->judgement.open);
}

static const char *finding_name(enum finding finding) {
    return finding == FINDING_DIFFERENT ? "different"
           : finding == FINDING_SAME    ? "same"
                                        : "not enough data";
}

static void compose_json(const struct diff *diff, const struct text *doubts, struct text *out) {
    json_t *list = json_array(), *lines = json_array();
    for (size_t i = 0; i < diff->count; i++) {
        const struct comparison *comparison = &diff->comparisons[i];
        const struct interval *ratio = &comparison->ratio;
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:o}", "workload",
                      comparison->over->workload, "backend", comparison->over->backend, "threads",
                      comparison->over->threads, "older", comparison->under->rate.estimate, "newer",
                      comparison->over->rate.estimate, "ratio", ratio->estimate, "low", ratio->low,
                      "high", ratio->high, "p_differs", ratio->p_differs, "p_same", ratio->p_same,
                      "verdict", finding_name(ratio->finding), "minutes_more",
                      isfinite(comparison->minutes) ? json_real(comparison->minutes)
                                                    : json_null()));
    }
    char *copy = checked_strdup(text_string(doubts)), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        json_array_append_new(lines, json_string(line));
    free(copy);
    json_t *root = json_pack("{s:s, s:i, s:f, s:s, s:s, s:o, s:o}", "format", "tally-diff",
                             "version", RESULTS_VERSION, "margin", diff->judgement.margin,
                             "older_commit", commit_of(&diff->older), "newer_commit",
                             commit_of(&diff->newer), "comparisons", list, "doubts", lines);
    char *dumped = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    text_add(out, "%s\n", dumped ? dumped : "{}");
    free(dumped);
    json_decref(root);
}

bool diff_compose(const json_t *older, const json_t *newer, double margin, bool as_json,
                  struct text *out, struct text *doubts) {
    struct diff diff = make_diff(older, newer, margin);
    bool common = diff.count > 0;
    if (common) {
        machine_doubts(&diff, doubts);
        parameter_doubts(&diff, doubts);
        if (as_json)
            compose_json(&diff, doubts, out);
        else
            compose_table(&diff, out);
    }
    free_diff(&diff);
    return common;
}
