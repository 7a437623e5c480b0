// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Results files of several sessions; see diff.h.
#include "diff.h"

#include "analysis.h"
#include "document.h"

#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// A place that all files have.
struct row {
    const char *workload, *backend, *verdict;
    double threads, older, newer;
    size_t kind;
    struct interval ratio;
};

struct diff {
    struct results *results;
    struct analysis *sessions; // the last is the newest
    size_t count;              // of sessions
    struct row *rows;
    size_t row_count;
    double *logs;   // [row * count + session], the shift taken out
    double *shifts; // of each session from the mean of the old ones, as a logarithm
    struct judgement judgement;
};

static size_t newest(const struct diff *diff) { return diff->count - 1; }

// ---- the model -----------------------------------------------------------------------

static void find_rows(struct diff *diff) {
    const struct analysis *last = &diff->sessions[newest(diff)];
    diff->rows = checked_calloc(last->cell_count, sizeof *diff->rows);
    diff->logs = checked_calloc(last->cell_count * diff->count, sizeof *diff->logs);
    for (size_t i = 0; i < last->cell_count; i++) {
        const struct cell *cell = &last->cells[i];
        double *logs = diff->logs + diff->row_count * diff->count;
        bool everywhere = cell->key.list == LIST_TIMED;
        for (size_t s = 0; everywhere && s < diff->count; s++) {
            const struct cell *same = analysis_find(&diff->sessions[s], &cell->key);
            everywhere = same && same->rate.estimate > 0;
            if (everywhere) logs[s] = log(same->rate.estimate);
        }
        const struct workload *workload = workload_named(last->results, cell->key.workload);
        if (everywhere)
            diff->rows[diff->row_count++] = (struct row){.workload = cell->key.workload,
                                                         .backend = cell->key.backend,
                                                         .threads = cell->key.threads,
                                                         .newer = cell->rate.estimate,
                                                         .kind = kind_of(workload)};
    }
}

// The mean of a row over the old sessions.
static double old_mean(const struct diff *diff, size_t row) {
    return gsl_stats_mean(diff->logs + row * diff->count, 1, newest(diff));
}

// The median over rows of a session's distance from the old ones' mean: few rows that
// changed do not move it.
static void take_out_shifts(struct diff *diff) {
    double *distances = checked_calloc(diff->row_count * diff->count, sizeof *distances);
    diff->shifts = checked_calloc(diff->count, sizeof *diff->shifts);
    for (size_t s = 0; s < diff->count; s++) {
        for (size_t r = 0; r < diff->row_count; r++)
            distances[s * diff->row_count + r] =
                diff->logs[r * diff->count + s] - old_mean(diff, r);
        diff->shifts[s] = median(distances + s * diff->row_count, diff->row_count);
    }
    for (size_t r = 0; r < diff->row_count; r++)
        for (size_t s = 0; s < diff->count; s++) diff->logs[r * diff->count + s] -= diff->shifts[s];
    free(distances);
}

// The variance between sessions of each row.  What moves a workload on a day moves all its
// rows, so those count once: the variance is that of the workload, moderated over
// workloads, or the row's own where that is larger.  Returns the degrees of freedom.
static double find_variances(const struct diff *diff, double *variances) {
    const struct results *last = &diff->results[newest(diff)];
    double *means = checked_calloc(last->workload_count, sizeof *means);
    size_t *places = checked_calloc(last->workload_count, sizeof *places), used = 0;
    for (size_t w = 0; w < last->workload_count; w++) {
        double count = 0;
        for (size_t r = 0; r < diff->row_count; r++) {
            if (strcmp(diff->rows[r].workload, last->workloads[w].name) != 0) continue;
            variances[r] = gsl_stats_variance(diff->logs + r * diff->count, 1, newest(diff));
            means[used] += variances[r];
            count++;
        }
        if (count > 0) means[used] /= count;
        places[w] = used;
        used += count > 0;
    }
    double freedom = moderate_variances(means, used, (double)newest(diff) - 1);
    for (size_t r = 0; r < diff->row_count; r++) {
        const struct workload *workload = workload_named(last, diff->rows[r].workload);
        variances[r] = fmax(variances[r], means[places[workload - last->workloads]]);
    }
    free(places);
    free(means);
    return freedom;
}

// The newest over the mean of the others.
static void judge_rows(struct diff *diff, double margin) {
    size_t old = newest(diff);
    double *variances = checked_calloc(diff->row_count, sizeof *variances);
    double freedom = old > 1 ? find_variances(diff, variances) : NAN;
    struct interval *ratios = checked_calloc(diff->row_count, sizeof *ratios);
    for (size_t r = 0; r < diff->row_count; r++) {
        double difference = diff->logs[r * diff->count + old] - old_mean(diff, r);
        ratios[r] =
            ratio_of(difference, sqrt(variances[r] * (1 + 1 / (double)old)), freedom, old, margin);
        // As fast as on the newest day.
        diff->rows[r].older = exp(old_mean(diff, r) + diff->shifts[old]);
    }
    diff->judgement = judge(ratios, diff->row_count, LEVEL, margin);
    for (size_t r = 0; r < diff->row_count; r++) {
        diff->rows[r].ratio = ratios[r];
        if (old > 1) diff->rows[r].ratio.finding = finding_of(&ratios[r], &diff->judgement);
        enum finding finding = diff->rows[r].ratio.finding;
        diff->rows[r].verdict = finding == FINDING_NONE   ? "no verdict"
                                : finding == FINDING_SAME ? "the same"
                                                          : finding_name(finding);
    }
    free(ratios);
    free(variances);
}

static struct diff make_diff(json_t *const *roots, size_t count, double margin) {
    struct diff diff = {.results = checked_calloc(count, sizeof *diff.results),
                        .sessions = checked_calloc(count, sizeof *diff.sessions),
                        .count = count};
    for (size_t s = 0; s < count; s++) {
        diff.results[s] = results_make(roots[s]);
        diff.sessions[s] = analysis_make(&diff.results[s], margin);
    }
    find_rows(&diff);
    if (diff.row_count) take_out_shifts(&diff);
    if (diff.row_count) judge_rows(&diff, diff.sessions[newest(&diff)].margin);
    return diff;
}

static void free_diff(struct diff *diff) {
    for (size_t s = 0; s < diff->count; s++) {
        analysis_free(&diff->sessions[s]);
        results_free(&diff->results[s]);
    }
    free(diff->results);
    free(diff->sessions);
    free(diff->rows);
    free(diff->logs);
    free(diff->shifts);
}

// ---- doubts --------------------------------------------------------------------------

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

static const json_t *condition_state(const json_t *machine, const char *name) {
    const json_t *condition;
    size_t index;
    json_array_foreach(json_object_get(machine, "conditions"), index, condition) {
        if (strcmp(object_string(condition, "name", ""), name) == 0)
            return json_object_get(condition, "state");
    }
    return NULL;
}

static void machine_doubts(const json_t *older, const json_t *newer, struct text *doubts) {
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
    static const double LOAD = 0.5, STOLEN = 0.005;
    for (size_t i = 0; i < sizeof facts / sizeof *facts; i++)
        doubt(doubts, facts[i][2],
              json_object_get(json_object_get(older, facts[i][0]), facts[i][1]),
              json_object_get(json_object_get(newer, facts[i][0]), facts[i][1]));
    const json_t *before = json_object_get(older, "machine"),
                 *after = json_object_get(newer, "machine"), *condition;
    double loads[] = {object_number(before, "load_before", 0),
                      object_number(after, "load_before", 0)};
    if (fabs(loads[0] - loads[1]) > LOAD)
        text_add(doubts, "the load before the run differs: %.2f, then %.2f\n", loads[0], loads[1]);
    double stolen[] = {object_number(before, "steal_share", 0),
                       object_number(after, "steal_share", 0)};
    if (fabs(stolen[0] - stolen[1]) > STOLEN)
        text_add(doubts, "the time that the hypervisor took differs: %.1f %%, then %.1f %%\n",
                 stolen[0] * 100, stolen[1] * 100);
    size_t index;
    json_array_foreach(json_object_get(after, "conditions"), index, condition) {
        const char *name = object_string(condition, "name", "");
        char *what = format("the state of '%s'", name);
        doubt(doubts, what, condition_state(before, name), json_object_get(condition, "state"));
        free(what);
    }
}

static const json_t *parameters_of(const struct results *results, const char *workload) {
    struct runs timed = runs_of(results, LIST_TIMED);
    for (size_t i = 0; i < timed.count; i++)
        if (strcmp(timed.items[i].workload, workload) == 0) return timed.items[i].parameters;
    return NULL;
}

// What a workload was measured with.
static void parameter_doubts(const struct results *older, const struct results *newer,
                             struct text *doubts) {
    for (size_t w = 0; w < newer->workload_count; w++) {
        const char *name = newer->workloads[w].name;
        if (!workload_named(older, name)) continue;
        char *what = format("what %s was measured with", name);
        doubt(doubts, what, parameters_of(older, name), parameters_of(newer, name));
        free(what);
    }
}

static void add_doubts(const struct diff *diff, struct text *doubts) {
    size_t last = newest(diff);
    for (size_t s = 0; s < diff->count; s++) {
        const struct analysis *session = &diff->sessions[s];
        if (session->results->incomplete)
            text_add(doubts, "the %s run was stopped before its end\n",
                     s == last ? "newest" : "older");
        size_t alone = cells_of(session, LIST_TIMED) - diff->row_count;
        if (alone)
            text_add(doubts, "%zu points of the %s file are not in all files\n", alone,
                     s == last ? "newest" : "older");
        if (s == last) continue;
        machine_doubts(session->results->root, diff->results[last].root, doubts);
        parameter_doubts(session->results, &diff->results[last], doubts);
    }
}

// ---- output --------------------------------------------------------------------------

static const char *commit_of(const struct diff *diff, size_t session) {
    return object_string(json_object_get(diff->results[session].root, "build"), "commit",
                         "unknown");
}

static void say_shift(const struct diff *diff, struct text *out) {
    double shift = exp(diff->shifts[newest(diff)]);
    text_add(out,
             "All rows together are %.1f %% %s than in the old file%s; this is taken out below.\n",
             fabs(shift - 1) * 100, shift < 1 ? "slower" : "faster", plural((double)newest(diff)));
    if (newest(diff) == 1)
        text_add(out, "One old file does not tell how much sessions differ, so there are no "
                      "verdicts: give several (diff OLD... NEW), or measure both builds in one "
                      "session (compare --against).\n");
}

// Geometric means of the ratios by kind of workload.
static void say_kinds(const struct diff *diff, struct text *out) {
    for (size_t k = 0; k < KINDS; k++) {
        double sum = 0, least = INFINITY, most = 0;
        size_t count = 0, slower = 0, faster = 0;
        for (size_t r = 0; r < diff->row_count; r++) {
            const struct row *row = &diff->rows[r];
            if (row->kind != k) continue;
            sum += log(row->ratio.estimate);
            least = fmin(least, row->ratio.estimate);
            most = fmax(most, row->ratio.estimate);
            slower += row->ratio.finding == FINDING_DIFFERENT && row->ratio.estimate < 1;
            faster += row->ratio.finding == FINDING_DIFFERENT && row->ratio.estimate > 1;
            count++;
        }
        if (count == 0) continue;
        text_add(out, "%s: %.3f times as fast, rows from %.2f to %.2f", workload_kinds[k].title,
                 exp(sum / (double)count), least, most);
        if (newest(diff) > 1)
            text_add(out, "; %zu slower and %zu faster of %zu", slower, faster, count);
        text_add(out, "\n");
    }
}

static void compose_table(const struct diff *diff, struct text *out) {
    char *caption =
        format("Operations per second, all threads together; newest (%s) over %zu older "
               "(%s%s)",
               commit_of(diff, newest(diff)), newest(diff), commit_of(diff, 0),
               newest(diff) > 1 ? ", ..." : "");
    const struct column columns[] = {
        COLUMN("workload", TEXT, row, workload, 0),
        COLUMN("backend", TEXT, row, backend, 0),
        COLUMN("threads", COUNT, row, threads, 0),
        COLUMN("older, shifted", RATE, row, older, 0),
        COLUMN("newest", RATE, row, newer, 0),
        {"ratio", newest(diff) > 1 ? RATIO : NUMBER,
         newest(diff) > 1 ? offsetof(struct row, ratio) : offsetof(struct row, ratio.estimate), 2},
        COLUMN("verdict", TEXT, row, verdict, 0),
    };
    struct table table =
        table_make(&diff->results[newest(diff)], caption, columns, sizeof columns / sizeof *columns,
                   diff->rows, diff->row_count, sizeof *diff->rows);
    free(caption);
    say_shift(diff, out);
    render_terminal_table(&table, out);
    table_free(&table);
    if (newest(diff) > 1)
        text_add(
            out,
            "Of %zu comparisons %zu are different, %zu the same within %g %%, %zu lack data.\n",
            diff->row_count, diff->judgement.different, diff->judgement.same,
            diff->judgement.margin * 100, diff->judgement.open);
    say_kinds(diff, out);
}

static void compose_json(const struct diff *diff, const struct text *doubts, struct text *out) {
    json_t *list = json_array(), *lines = json_array();
    for (size_t r = 0; r < diff->row_count; r++) {
        const struct row *row = &diff->rows[r];
        const struct interval *ratio = &row->ratio;
        json_array_append_new(
            list,
            json_pack("{s:s, s:s, s:i, s:f, s:f, s:f, s:f, s:f, s:f, s:f, s:s, s:s}", "workload",
                      row->workload, "backend", row->backend, "threads", (int)row->threads, "older",
                      row->older, "newer", row->newer, "ratio", ratio->estimate, "low", ratio->low,
                      "high", ratio->high, "p_differs", ratio->p_differs, "p_same", ratio->p_same,
                      "verdict", row->verdict, "kind", workload_kinds[row->kind].name));
    }
    char *copy = checked_strdup(text_string(doubts)), *rest = NULL;
    for (char *line = strtok_r(copy, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest))
        json_array_append_new(lines, json_string(line));
    free(copy);
    json_t *root = json_pack(
        "{s:s, s:i, s:f, s:f, s:i, s:s, s:s, s:o, s:o}", "format", "tally-diff", "version",
        RESULTS_VERSION, "margin", diff->judgement.margin, "shift", exp(diff->shifts[newest(diff)]),
        "old_files", (int)newest(diff), "older_commit", commit_of(diff, 0), "newer_commit",
        commit_of(diff, newest(diff)), "comparisons", list, "doubts", lines);
    char *dumped = json_dumps(root, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    text_add(out, "%s\n", dumped ? dumped : "{}");
    free(dumped);
    json_decref(root);
}

bool diff_compose(json_t *const *roots, size_t count, double margin, bool as_json, struct text *out,
                  struct text *doubts) {
    struct diff diff = make_diff(roots, count, margin);
    bool common = diff.row_count > 0;
    if (common) {
        add_doubts(&diff, doubts);
        if (as_json)
            compose_json(&diff, doubts, out);
        else
            compose_table(&diff, out);
    }
    free_diff(&diff);
    return common;
}
