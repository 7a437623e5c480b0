// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The report's part on what would be gained without each cause; what_if.h says
// how it is measured.  Each comparison is of blocks without the cause over blocks
// of the same kind as they are; all of them are one family and judged together.
#include "what_if.h"

#include "compose.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

// The blocks of a workload on a backend without one cause, or as they are.
struct group {
    const char *workload, *backend, *without; // NULL: unchanged
    int threads;
    struct series series;
};

struct gain {
    const struct group *without;
    struct interval ratio;
};

struct gains {
    struct group *groups;
    size_t group_count;
    struct gain *items;
    size_t count;
};

static const char *shown_cause(const char *cause) {
    static const char *const shown[WHAT_IF_CAUSES] = {"a private copy for each thread",
                                                      "shared objects immortal",
                                                      "the collector off", "locks off"};
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        if (strcmp(what_if_causes[c], cause) == 0) return shown[c];
    return cause;
}

static bool same(const char *one, const char *other) {
    return one && other ? strcmp(one, other) == 0 : one == other;
}

static struct group *find_group(const struct gains *gains, const char *workload,
                                const char *backend, const char *without) {
    for (size_t i = 0; i < gains->group_count; i++) {
        struct group *group = &gains->groups[i];
        if (strcmp(group->workload, workload) == 0 && strcmp(group->backend, backend) == 0 &&
            same(group->without, without))
            return group;
    }
    return NULL;
}

static void add_block(struct gains *gains, const json_t *block) {
    const char *workload = object_string(block, "workload", ""),
               *backend = object_string(block, "backend", "");
    const char *without = object_string(block, "without", NULL);
    const json_t *samples = json_object_get(block, "samples"), *sample;
    struct group *group = find_group(gains, workload, backend, without);
    size_t index;
    if (json_array_size(samples) == 0) return;
    if (group == NULL) {
        gains->groups =
            checked_realloc(gains->groups, (gains->group_count + 1) * sizeof *gains->groups);
        group = &gains->groups[gains->group_count++];
        *group = (struct group){.workload = workload,
                                .backend = backend,
                                .without = without,
                                .threads = (int)object_number(block, "threads", 1)};
    }
    struct series *series = &group->series;
    series->blocks = checked_realloc(series->blocks, (series->count + 1) * sizeof *series->blocks);
    struct block_rates *rates = &series->blocks[series->count++];
    *rates = (struct block_rates){
        .rates = checked_calloc(json_array_size(samples), sizeof *rates->rates)};
    json_array_foreach(samples, index, sample) if (!json_is_true(json_object_get(sample, "warmup")))
        rates->rates[rates->count++] = sample_rate(sample);
}

static void judge_all(struct gains *gains, double margin) {
    struct interval *ratios = checked_calloc(gains->count ? gains->count : 1, sizeof *ratios);
    for (size_t i = 0; i < gains->count; i++) ratios[i] = gains->items[i].ratio;
    struct judgement judgement = judge(ratios, gains->count, 0.05, margin);
    for (size_t i = 0; i < gains->count; i++)
        gains->items[i].ratio.finding = finding_of(&ratios[i], &judgement);
    free(ratios);
}

static struct gains find_gains(const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "what_if"), *block;
    double margin = object_number(analysis->root, "margin", DEFAULT_MARGIN);
    struct gains gains = {0};
    const char *why;
    size_t index;
    json_array_foreach(blocks, index, block) if (results_check_block(block, &why))
        add_block(&gains, block);
    gains.items = checked_calloc(gains.group_count + 1, sizeof *gains.items);
    for (size_t i = 0; i < gains.group_count; i++) {
        const struct group *group = &gains.groups[i];
        const struct group *base = find_group(&gains, group->workload, group->backend, NULL);
        if (group->without && base)
            gains.items[gains.count++] =
                (struct gain){group, compare_means(series_moments(&group->series),
                                                   series_moments(&base->series), margin)};
    }
    judge_all(&gains, margin);
    return gains;
}

static void gains_free(struct gains *gains) {
    for (size_t i = 0; i < gains->group_count; i++) {
        for (size_t b = 0; b < gains->groups[i].series.count; b++)
            free(gains->groups[i].series.blocks[b].rates);
        free(gains->groups[i].series.blocks);
    }
    free(gains->groups);
    free(gains->items);
}

static const struct gain *find_gain(const struct gains *gains, const char *workload,
                                    const char *backend, const char *cause) {
    for (size_t i = 0; i < gains->count; i++) {
        const struct group *group = gains->items[i].without;
        if (strcmp(group->workload, workload) == 0 && strcmp(group->backend, backend) == 0 &&
            same(group->without, cause))
            return &gains->items[i];
    }
    return NULL;
}

// One line for each place where the removal of a cause is sure to help: the one
// that helps most.
static void say_largest(struct document *document, const struct analysis *analysis,
                        const struct gains *gains, const char *workload) {
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct gain *largest = NULL;
        for (size_t c = 0; c < WHAT_IF_CAUSES; c++) {
            const struct gain *gain =
                find_gain(gains, workload, analysis->backends[b], what_if_causes[c]);
            if (gain && gain->ratio.finding == FINDING_DIFFERENT && gain->ratio.estimate > 1 &&
                (!largest || gain->ratio.estimate > largest->ratio.estimate))
                largest = gain;
        }
        if (largest == NULL) continue;
        char *ratio = show_ratio(largest->ratio);
        document_bullet(
            document, "**%s** on %s: what would gain most is %s, %s times the throughput.",
            workload, analysis->backends[b], shown_cause(largest->without->without), ratio);
        free(ratio);
    }
}

static void gain_cell(struct table *table, const struct gain *gain) {
    if (gain == NULL) {
        table_cell(table, "–");
        return;
    }
    char *ratio = show_ratio(gain->ratio);
    enum finding finding = gain->ratio.finding;
    table_cell(table, "%s%s", ratio,
               finding == FINDING_SAME   ? " ="
               : finding == FINDING_OPEN ? " ?"
                                         : "");
    table_verdict(table, finding == FINDING_SAME        ? SAME
                         : finding != FINDING_DIFFERENT ? UNDECIDED
                         : gain->ratio.estimate > 1     ? BETTER
                                                        : WORSE);
    free(ratio);
}

static void gains_row(struct table *table, const struct gains *gains, const char *workload,
                      const char *backend) {
    bool any = false;
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        any = any || find_gain(gains, workload, backend, what_if_causes[c]);
    if (!any) return;
    table_cell(table, "%s", workload);
    table_cell(table, "%s", backend);
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        gain_cell(table, find_gain(gains, workload, backend, what_if_causes[c]));
}

static void gains_table(struct document *document, const struct analysis *analysis,
                        const struct gains *gains) {
    struct table table = table_make(
        "Throughput without the cause over that with it; above 1 is gained", 2 + WHAT_IF_CAUSES, 2);
    table_cell(&table, "workload");
    table_cell(&table, "backend");
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
        table_cell(&table, "%s", shown_cause(what_if_causes[c]));
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++)
            gains_row(&table, gains, analysis->workloads[w], analysis->backends[b]);
    document_table(document, table);
    document_paragraph(
        document,
        "= the same within the margin; ? not enough data for a verdict; – cannot be removed.");
}

// The backends on which the cause stays for this reason, from the b-th on; empty
// where one before it has it too.
static void name_backends(struct text *names, const struct analysis *analysis, const json_t *causes,
                          size_t b, const char *workload, const char *cause) {
    const char *reason = what_if_kept(causes, analysis->backends[b], workload, cause);
    for (size_t i = 0; i < analysis->backend_count; i++) {
        const char *other = what_if_kept(causes, analysis->backends[i], workload, cause);
        if (!same(reason, other)) continue;
        if (i < b) {
            text_free(names);
            *names = (struct text){0};
            return;
        }
        text_add(names, "%s%s", names->length ? ", " : "", analysis->backends[i]);
    }
}

static void reasons_table(struct document *document, const struct analysis *analysis) {
    const json_t *causes = json_object_get(analysis->root, "causes");
    struct table table = table_make("", 4, 4);
    table_cell(&table, "workload");
    table_cell(&table, "cause");
    table_cell(&table, "stays on");
    table_cell(&table, "since");
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t c = 0; c < WHAT_IF_CAUSES; c++)
            for (size_t b = 0; b < analysis->backend_count; b++) {
                const char *workload = analysis->workloads[w], *cause = what_if_causes[c];
                const char *reason = what_if_kept(causes, analysis->backends[b], workload, cause);
                struct text names = {0};
                if (reason) name_backends(&names, analysis, causes, b, workload, cause);
                if (names.length) {
                    table_cell(&table, "%s", workload);
                    table_cell(&table, "%s", cause);
                    table_cell(&table, "%s", text_string(&names));
                    table_cell(&table, "%s", reason);
                }
                text_free(&names);
            }
    document_details(document, "Causes that cannot be removed, and why");
    document_table(document, table);
    document_details_end(document);
}

void compose_what_if(struct document *document, const struct analysis *analysis) {
    if (!json_is_object(json_object_get(analysis->root, "causes"))) return;
    struct gains gains = find_gains(analysis);
    document_heading(document, 2, "What if a cause were gone");
    if (gains.count) {
        int threads = gains.items[0].without->threads;
        document_paragraph(
            document,
            "Each workload again on %d thread%s with one cause of cost removed at a time, "
            "interleaved with unchanged runs. Gains do not add up.",
            threads, threads == 1 ? "" : "s");
        for (size_t w = 0; w < analysis->workload_count; w++)
            say_largest(document, analysis, &gains, analysis->workloads[w]);
        gains_table(document, analysis, &gains);
    } else {
        document_paragraph(document, "Nothing was measured without a cause.");
    }
    reasons_table(document, analysis);
    gains_free(&gains);
}
