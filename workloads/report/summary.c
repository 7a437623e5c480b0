// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first screen: whether to leave the lock of the reference, by kind of
// workload and by workload: what many threads gain, what one thread pays, and the
// verdict that follows from the two.  Also which backend wins, in words.
#include "compose.h"
#include "groups.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

struct ranking {
    const struct cell *cells[64]; // fastest first
    size_t count;
};

// Ablations do not compete.
static struct ranking rank(const struct analysis *analysis, const char *workload, int threads) {
    struct ranking ranking = {0};
    for (size_t b = 0; b < analysis->backend_count && ranking.count < 64; b++) {
        const struct cell *cell = analysis_cell(analysis, workload, analysis->backends[b], threads);
        if (cell == NULL || analysis_is_ablation(analysis, analysis->backends[b])) continue;
        size_t at = ranking.count++;
        for (; at > 0 && ranking.cells[at - 1]->rate.estimate < cell->rate.estimate; at--)
            ranking.cells[at] = ranking.cells[at - 1];
        ranking.cells[at] = cell;
    }
    return ranking;
}

// How many of the first ones cannot be told from the first.
static size_t tied(const struct ranking *ranking) {
    size_t count = 1;
    while (count < ranking->count &&
           !interval_differs(cells_ratio(ranking->cells[0], ranking->cells[count])))
        count++;
    return count;
}

// Whether each was found the same as the first, within the margin.
static bool all_same(const struct ranking *ranking) {
    for (size_t i = 1; i < ranking->count; i++)
        if (cells_ratio(ranking->cells[0], ranking->cells[i]).finding != FINDING_SAME) return false;
    return true;
}

// With a single block a point there is no interval, and nothing to judge by.
static bool can_be_judged(const struct ranking *ranking) {
    for (size_t i = 1; i < ranking->count; i++)
        if (!cells_ratio(ranking->cells[0], ranking->cells[i]).known) return false;
    return ranking->count > 1;
}

static void say_ranking(struct text *line, const struct ranking *ranking) {
    size_t best = tied(ranking);
    if (ranking->count == 1) {
        text_add(line, "only %s was measured", ranking->cells[0]->backend);
        return;
    }
    if (!can_be_judged(ranking)) {
        text_add(line, "too few blocks to judge");
        return;
    }
    if (best == ranking->count) {
        text_add(line, all_same(ranking) ? "the same: " : "not enough data to tell apart ");
        for (size_t i = 0; i < best; i++)
            text_add(line, "%s%s",
                     i == 0          ? ""
                     : i + 1 == best ? " and "
                                     : ", ",
                     ranking->cells[i]->backend);
        return;
    }
    for (size_t i = 0; i < best; i++)
        text_add(line, "%s**%s**",
                 i == 0          ? ""
                 : i + 1 == best ? " and "
                                 : ", ",
                 ranking->cells[i]->backend);
    text_add(line, best > 1 ? " (no difference found between them)" : "");
    for (size_t i = best; i < ranking->count; i++) {
        char *ratio = show_ratio(cells_ratio(ranking->cells[0], ranking->cells[i]));
        text_add(line, "%s %s times %s", i == best ? "" : ",", ratio, ranking->cells[i]->backend);
        free(ratio);
    }
}

// A workload's own line, where its section begins.
void compose_ranking(struct document *document, const struct analysis *analysis,
                     const char *workload) {
    struct text line = {0};
    int counts[2] = {analysis->scale_threads, 1};
    for (int i = 0; i < (analysis->scale_threads > 1 ? 2 : 1); i++) {
        struct ranking ranking = rank(analysis, workload, counts[i]);
        if (ranking.count == 0) continue;
        text_add(&line, "%sOn %d thread%s: ", line.length ? ". " : "", counts[i],
                 counts[i] == 1 ? "" : "s");
        say_ranking(&line, &ranking);
    }
    document_paragraph(document, "%s.",
                       line.length ? line.data : "No samples at one thread or at a core each");
    text_free(&line);
}

// ---- whether to leave ------------------------------------------------------------

// A backend set beside the reference over some workloads.
struct choice {
    const char *backend;
    struct interval gain;             // throughput on scale_threads, of this over the reference
    struct interval price;            // time on one thread, of this over the reference
    size_t better, worse, same, open; // of the workloads, by their gain
};

static struct interval mean_gain(const struct analysis *analysis, const struct choice *choice,
                                 const char *const *workloads, size_t count) {
    const struct cell **over = checked_calloc(count, sizeof *over),
                      **under = checked_calloc(count, sizeof *under);
    for (size_t w = 0; w < count; w++) {
        over[w] = analysis_cell(analysis, workloads[w], choice->backend, analysis->scale_threads);
        under[w] =
            analysis_cell(analysis, workloads[w], analysis->baseline, analysis->scale_threads);
    }
    struct interval mean =
        count == 1 ? cells_ratio(*over, *under) : cells_mean_ratio(over, under, count);
    free(over);
    free(under);
    return mean;
}

static struct interval mean_price(const struct analysis *analysis, const struct choice *choice,
                                  const char *const *workloads, size_t count) {
    const struct cell **over = checked_calloc(count, sizeof *over),
                      **under = checked_calloc(count, sizeof *under);
    for (size_t w = 0; w < count; w++) {
        over[w] = analysis_cell(analysis, workloads[w], analysis->baseline, 1);
        under[w] = analysis_cell(analysis, workloads[w], choice->backend, 1);
    }
    struct interval mean =
        count == 1 ? cells_ratio(*over, *under) : cells_mean_ratio(over, under, count);
    free(over);
    free(under);
    return mean;
}

static struct choice choose(const struct analysis *analysis, const char *backend,
                            const char *const *workloads, size_t count) {
    struct choice choice = {.backend = backend};
    choice.gain = mean_gain(analysis, &choice, workloads, count);
    choice.price = mean_price(analysis, &choice, workloads, count);
    for (size_t w = 0; w < count; w++) {
        struct interval gain = mean_gain(analysis, &choice, &workloads[w], 1);
        enum verdict verdict = verdict_of(gain, true);
        choice.better += verdict == BETTER;
        choice.worse += verdict == WORSE;
        choice.same += verdict == SAME;
        choice.open += verdict == UNDECIDED;
    }
    return choice;
}

enum verdict verdict_of(struct interval ratio, bool high_is_good) {
    if (!(ratio.estimate > 0)) return NO_VERDICT;
    if (!ratio.known || ratio.finding == FINDING_OPEN) return UNDECIDED;
    if (interval_differs(ratio)) return (ratio.estimate > 1) == high_is_good ? BETTER : WORSE;
    bool within = ratio.low > 1 - DEFAULT_MARGIN && ratio.high < 1 / (1 - DEFAULT_MARGIN);
    return ratio.finding == FINDING_SAME || within ? SAME : UNDECIDED;
}

// What a choice comes to, in words; *verdict is its colour.
static const char *advice(const struct choice *choice, enum verdict *verdict) {
    enum verdict gain = verdict_of(choice->gain, true), price = verdict_of(choice->price, false);
    *verdict = gain;
    switch (gain) {
    case BETTER: return price == BETTER || price == SAME ? "Leave" : "Leave, if threaded";
    case WORSE: return "Stay";
    case SAME:
        if (price == BETTER) *verdict = BETTER;
        return price == WORSE ? "Stay" : price == BETTER ? "Leave" : "No difference";
    case UNDECIDED: return "Not enough data";
    case NO_VERDICT: break;
    }
    return "Not measured";
}

static void ratio_cell(struct table *table, const struct analysis *analysis, struct interval ratio,
                       const char *backend) {
    char *shown = show_ratio(ratio);
    table_cell(table, "%s", shown);
    if (ratio.estimate > 0)
        table_strip(table, ratio.known ? ratio.low : 0, ratio.estimate, ratio.high,
                    analysis_place(analysis, backend));
    free(shown);
}

// Products other than the reference.
static bool competes(const struct analysis *analysis, size_t backend) {
    return backend > 0 && !analysis_is_ablation(analysis, analysis->backends[backend]);
}

static struct table choice_table(const struct analysis *analysis, const char *caption,
                                 const char *first, bool counts) {
    struct table table = table_make(caption, counts ? 6 : 5, 3);
    table_cell(&table, "%s", first);
    table_cell(&table, "backend");
    table_cell(&table, "leave %s?", analysis->baseline);
    table_cell(&table, "gain on %d threads\nthroughput of all, times %s", analysis->scale_threads,
               analysis->baseline);
    table_cell(&table, "price on one thread\ntime, times %s", analysis->baseline);
    if (counts) table_cell(&table, "faster on\nworkloads");
    return table;
}

static void choice_row(struct table *table, const struct analysis *analysis, const char *first,
                       bool linked, const struct choice *choice, bool counts) {
    enum verdict verdict;
    const char *words = advice(choice, &verdict);
    table_cell(table, "%s", first);
    if (linked) table_link(table, first);
    backend_cell(table, analysis, choice->backend);
    table_cell(table, "%s", words);
    table_verdict(table, verdict ? verdict : UNDECIDED);
    ratio_cell(table, analysis, choice->gain, choice->backend);
    ratio_cell(table, analysis, choice->price, choice->backend);
    if (counts)
        table_cell(table, "%zu of %zu", choice->better,
                   choice->better + choice->worse + choice->same + choice->open);
}

static void group_table(struct document *document, const struct analysis *analysis,
                        const struct group *groups) {
    struct table table = choice_table(analysis, "", "kind of workload", true);
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            if (groups[g].count && competes(analysis, b)) {
                struct choice choice =
                    choose(analysis, analysis->backends[b], groups[g].workloads, groups[g].count);
                choice_row(&table, analysis, groups[g].name, false, &choice, true);
            }
    document_table(document, table);
}

static void workload_table(struct document *document, const struct analysis *analysis,
                           const struct group *groups) {
    document_heading(document, 2, "Which backend for which workload");
    for (size_t g = 0; g < GROUPS; g++) {
        if (groups[g].count == 0) continue;
        char *caption = format("**%s:** %s", groups[g].name, groups[g].meaning);
        struct table table = choice_table(analysis, caption, "workload", false);
        free(caption);
        for (size_t w = 0; w < groups[g].count; w++)
            for (size_t b = 0; b < analysis->backend_count; b++)
                if (competes(analysis, b)) {
                    struct choice choice =
                        choose(analysis, analysis->backends[b], &groups[g].workloads[w], 1);
                    choice_row(&table, analysis, groups[g].workloads[w], true, &choice, false);
                }
        document_table(document, table);
    }
}

static void say_kinds(struct document *document, const char *pattern, const struct text *kinds) {
    if (kinds->length) document_bullet(document, pattern, text_string(kinds));
}

// The kinds to leave for, with the backend that gains most; those to stay for;
// those that are open.
static void say_answer(struct document *document, const struct analysis *analysis,
                       const struct group *groups) {
    struct text leave = {0}, stay = {0}, same = {0}, open = {0};
    for (size_t g = 0; g < GROUPS; g++) {
        struct choice best = {0};
        bool undecided = false, alike = false;
        for (size_t b = 0; b < analysis->backend_count && groups[g].count; b++) {
            enum verdict verdict;
            if (!competes(analysis, b)) continue;
            struct choice choice =
                choose(analysis, analysis->backends[b], groups[g].workloads, groups[g].count);
            advice(&choice, &verdict);
            undecided = undecided || verdict == UNDECIDED || verdict == NO_VERDICT;
            alike = alike || verdict == SAME;
            if (verdict == BETTER && choice.gain.estimate > best.gain.estimate) best = choice;
        }
        if (groups[g].count == 0) continue;
        struct text *line = best.backend ? &leave : undecided ? &open : alike ? &same : &stay;
        text_add(line, "%s**%s** (%s)", line->length ? "; " : "", groups[g].name,
                 groups[g].meaning);
        if (best.backend) {
            char *gain = show_ratio(best.gain);
            text_add(line, " with %s: %s times %s on %d threads", best.backend, gain,
                     analysis->baseline, analysis->scale_threads);
            free(gain);
        }
    }
    say_kinds(document, "Leave for %s.", &leave);
    say_kinds(document, "Stay for %s.", &stay);
    say_kinds(document, "No difference for %s.", &same);
    say_kinds(document, "Not enough data for %s.", &open);
    text_free(&leave);
    text_free(&stay);
    text_free(&same);
    text_free(&open);
}

// "biased on 2 threads: faster than gil on 9 of 20 workloads, …"
static void say_overall(struct document *document, const struct analysis *analysis) {
    for (size_t b = 0; b < analysis->backend_count; b++) {
        if (!competes(analysis, b)) continue;
        struct choice choice =
            choose(analysis, analysis->backends[b], analysis->workloads, analysis->workload_count);
        struct text line = {0};
        text_add(&line,
                 "**%s** on %d threads is faster than %s on **%zu of %zu workloads**, slower on "
                 "%zu, the same on %zu",
                 choice.backend, analysis->scale_threads, analysis->baseline, choice.better,
                 analysis->workload_count, choice.worse, choice.same);
        if (choice.open) text_add(&line, "; for %zu there is not enough data", choice.open);
        document_bullet(document, "%s.", text_string(&line));
        text_free(&line);
    }
}

static void say_where(struct document *document, const struct analysis *analysis) {
    const json_t *machine = json_object_get(analysis->root, "machine");
    size_t least = SIZE_MAX;
    for (size_t i = 0; i < analysis->cell_count; i++)
        least = analysis->cells[i].series.count < least ? analysis->cells[i].series.count : least;
    document_paragraph(document,
                       "Measured on %s, %.0f core%s, %s: %zu workload%s, at least %zu process%s a "
                       "point. It holds for this "
                       "machine and these workloads; what may spoil it stands at the end.",
                       object_string(machine, "cpu", "an unknown processor"),
                       object_number(machine, "cores", 0),
                       object_number(machine, "cores", 0) == 1 ? "" : "s",
                       object_string(analysis->root, "started", "?"), analysis->workload_count,
                       analysis->workload_count == 1 ? "" : "s", least, least == 1 ? "" : "es");
}

static bool can_advise(const struct analysis *analysis) {
    size_t others = 0;
    for (size_t b = 0; b < analysis->backend_count; b++) others += competes(analysis, b);
    return others && strcmp(analysis->baseline, analysis_reference(analysis)) == 0 &&
           analysis->scale_threads > 1;
}

void compose_summary(struct document *document, const struct analysis *analysis) {
    // A run of the convoy or the task server alone has none, and says so itself.
    if (analysis->cell_count == 0 && (json_array_size(json_object_get(analysis->root, "convoy")) ||
                                      json_array_size(json_object_get(analysis->root, "servers"))))
        return;
    document_heading(document, 2, "Should you leave the GIL for this?");
    if (analysis->cell_count == 0) {
        document_paragraph(document, "No block gave a sample, so nothing can be said.");
        return;
    }
    if (!can_advise(analysis)) {
        document_paragraph(
            document,
            "That needs %s, another backend, and more than one thread with a core each; which "
            "backend is fastest stands with each workload.",
            analysis_reference(analysis));
        say_where(document, analysis);
        return;
    }
    struct group groups[GROUPS];
    groups_make(analysis, groups);
    say_answer(document, analysis, groups);
    group_table(document, analysis, groups);
    document_paragraph(document,
                       "**Leave**: faster on %d threads, and no slower on one. **Leave, if "
                       "threaded**: faster on %d, and "
                       "slower on one, or that is not known. **Stay**: slower, or a price without "
                       "a gain. **Not enough "
                       "data**: neither a difference nor sameness was shown. A kind's figures are "
                       "geometric means over "
                       "its workloads. In brackets and as bars stand 95 %% intervals of single "
                       "figures, the thin line is "
                       "1; a verdict on a workload asks for more, since there are many of them.",
                       analysis->scale_threads, analysis->scale_threads);
    say_overall(document, analysis);
    say_where(document, analysis);
    workload_table(document, analysis, groups);
    compose_judgement(document, analysis);
    groups_free(groups);
}
