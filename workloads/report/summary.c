// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The summary in words: for each workload the backend that wins and by how
// much, that they are the same, or that there is not enough data.
#include "compose.h"

#include <stdlib.h>
#include <string.h>

struct ranking {
    const struct cell *cells[64]; // fastest first
    size_t count;
};

// Ablations do not compete.
static struct ranking rank(const struct analysis *analysis, const char *workload, int threads)
{
    struct ranking ranking = {0};
    for (size_t b = 0; b < analysis->backend_count && ranking.count < 64; b++) {
        const struct cell *cell = analysis_cell(analysis, workload, analysis->backends[b], threads);
        if (cell == NULL || analysis_is_ablation(analysis, analysis->backends[b]))
            continue;
        size_t at = ranking.count++;
        for (; at > 0 && ranking.cells[at - 1]->rate.estimate < cell->rate.estimate; at--)
            ranking.cells[at] = ranking.cells[at - 1];
        ranking.cells[at] = cell;
    }
    return ranking;
}

// How many of the first ones cannot be told from the first.
static size_t tied(const struct ranking *ranking)
{
    size_t count = 1;
    while (count < ranking->count && !interval_differs(cells_ratio(ranking->cells[0], ranking->cells[count])))
        count++;
    return count;
}

// Whether each was found the same as the first, within the margin.
static bool all_same(const struct ranking *ranking)
{
    for (size_t i = 1; i < ranking->count; i++)
        if (cells_ratio(ranking->cells[0], ranking->cells[i]).finding != FINDING_SAME)
            return false;
    return true;
}

// With a single block a point there is no interval, and nothing to judge by.
static bool can_be_judged(const struct ranking *ranking)
{
    for (size_t i = 1; i < ranking->count; i++)
        if (!cells_ratio(ranking->cells[0], ranking->cells[i]).known)
            return false;
    return ranking->count > 1;
}

static void say_ranking(struct text *line, const struct ranking *ranking)
{
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
            text_add(line, "%s%s", i == 0 ? "" : i + 1 == best ? " and " : ", ", ranking->cells[i]->backend);
        return;
    }
    for (size_t i = 0; i < best; i++)
        text_add(line, "%s**%s**", i == 0 ? "" : i + 1 == best ? " and " : ", ", ranking->cells[i]->backend);
    text_add(line, best > 1 ? " (no difference found between them)" : "");
    for (size_t i = best; i < ranking->count; i++) {
        char *ratio = show_ratio(cells_ratio(ranking->cells[0], ranking->cells[i]));
        text_add(line, "%s %s times %s", i == best ? "" : ",", ratio, ranking->cells[i]->backend);
        free(ratio);
    }
}

static void say_workload(struct document *document, const struct analysis *analysis, const char *workload)
{
    struct text line = {0};
    int counts[2] = {analysis->scale_threads, 1};
    for (int i = 0; i < (analysis->scale_threads > 1 ? 2 : 1); i++) {
        struct ranking ranking = rank(analysis, workload, counts[i]);
        if (ranking.count == 0)
            continue;
        text_add(&line, "%s%d thread%s: ", line.length ? ". " : "", counts[i], counts[i] == 1 ? "" : "s");
        say_ranking(&line, &ranking);
    }
    document_bullet(document, "**%s** · %s.", workload, line.length ? line.data : "no samples at these thread counts");
    text_free(&line);
}

// "Of 13 workloads: one is fastest on 9, …"
static void say_overall(struct document *document, const struct analysis *analysis)
{
    size_t *wins = checked_calloc(analysis->backend_count, sizeof *wins);
    size_t open = 0, judged = 0;
    struct text line = {0};
    for (size_t w = 0; w < analysis->workload_count; w++) {
        struct ranking ranking = rank(analysis, analysis->workloads[w], analysis->scale_threads);
        if (!can_be_judged(&ranking))
            continue;
        judged++;
        bool single = tied(&ranking) == 1;
        open += !single;
        for (size_t b = 0; single && b < analysis->backend_count; b++)
            wins[b] += strcmp(analysis->backends[b], ranking.cells[0]->backend) == 0;
    }
    for (size_t b = 0; b < analysis->backend_count; b++)
        if (wins[b])
            text_add(&line, "%s**%s** is fastest on %zu", line.length ? ", " : "", analysis->backends[b], wins[b]);
    if (open)
        text_add(&line, "%s%zu ha%s no single winner", line.length ? ", " : "", open, open == 1 ? "s" : "ve");
    if (judged)
        document_paragraph(document, "Of %zu workload%s on %d thread%s: %s.", judged, judged == 1 ? "" : "s",
                           analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s", text_string(&line));
    text_free(&line);
    free(wins);
}

void compose_summary(struct document *document, const struct analysis *analysis)
{
    // A run of the convoy or the task server alone has none, and says so itself.
    if (analysis->cell_count == 0 && (json_array_size(json_object_get(analysis->root, "convoy")) ||
                                      json_array_size(json_object_get(analysis->root, "servers"))))
        return;
    document_heading(document, 2, "Which backend for which workload");
    if (analysis->cell_count == 0) {
        document_paragraph(document, "No block gave a sample, so nothing can be said.");
        return;
    }
    say_overall(document, analysis);
    for (size_t w = 0; w < analysis->workload_count; w++)
        say_workload(document, analysis, analysis->workloads[w]);
    compose_judgement(document, analysis);
}
