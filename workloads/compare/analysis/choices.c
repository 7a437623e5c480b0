// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Whether to leave; see choices.h.
#include "choices.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

const struct kind_of_workload workload_kinds[KINDS] = {
    {"programs", "Programs", "work like that of a whole program"},
    {"own objects", "Own objects", "loops in which each thread uses objects of its own"},
    {"shared objects", "Shared objects", "loops in which all threads use the same objects"},
    {"borrowed reads", "Borrowed reads",
     "the same reads of shared objects without counts, which CPython does not have"},
    {"single operations", "Single operations", "the patterns of CPython's scaling benchmark"},
    {"cycle collector", "Cycle collector",
     "much garbage in cycles, or many live objects to examine"},
};

size_t kind_of(const struct workload *workload) {
    for (size_t k = 0; k < KINDS; k++)
        if (strcmp(workload_kinds[k].name, workload->kind) == 0) return k;
    return workload->shared ? 2 : 1;
}

enum verdict verdict_of(const struct interval *ratio, bool high_is_good) {
    if (!(ratio->estimate > 0)) return NO_VERDICT;
    if (ratio->finding == FINDING_SAME) return SAME;
    if (ratio->finding != FINDING_DIFFERENT) return UNDECIDED;
    return (ratio->estimate > 1) == high_is_good ? BETTER : WORSE;
}

struct advice advise(enum verdict gain, enum verdict price) {
    bool free = price == BETTER || price == SAME;
    switch (gain) {
    case BETTER: return (struct advice){free ? "Leave" : "Leave, if threaded", BETTER};
    case WORSE: return (struct advice){"Stay", WORSE};
    case SAME:
        if (price == WORSE) return (struct advice){"Stay", WORSE};
        if (price == BETTER) return (struct advice){"Leave", BETTER};
        return (struct advice){"No difference", SAME};
    case UNDECIDED: return (struct advice){"Not enough data", UNDECIDED};
    default: return (struct advice){"Not measured", UNDECIDED};
    }
}

bool competes(const struct analysis *analysis, const char *backend) {
    return strcmp(backend, analysis->baseline) != 0 && !analysis_is_ablation(analysis, backend);
}

static struct interval gain_of(const struct analysis *analysis, const char *workload,
                               const char *backend) {
    int threads = analysis->scale_threads;
    return cells_ratio(analysis, analysis_cell(analysis, workload, backend, threads),
                       analysis_cell(analysis, workload, analysis->baseline, threads));
}

static struct interval price_of(const struct analysis *analysis, const char *workload,
                                const char *backend) {
    return cells_ratio(analysis, analysis_cell(analysis, workload, analysis->baseline, 1),
                       analysis_cell(analysis, workload, backend, 1));
}

static struct interval mean_of(const struct analysis *analysis, const char **workloads,
                               size_t count, const char *over, const char *under, int threads) {
    const struct cell **cells = checked_calloc(2 * count, sizeof *cells);
    for (size_t w = 0; w < count; w++) {
        cells[w] = analysis_cell(analysis, workloads[w], over, threads);
        cells[count + w] = analysis_cell(analysis, workloads[w], under, threads);
    }
    struct interval mean = cells_mean_ratio(analysis, cells, cells + count, count);
    free(cells);
    return mean;
}

static struct choice *add(struct choices *choices, struct choice choice) {
    choices->items = checked_realloc(choices->items, (choices->count + 1) * sizeof *choices->items);
    choices->items[choices->count] = choice;
    return &choices->items[choices->count++];
}

static void add_kind(struct choices *choices, const struct analysis *analysis, size_t kind,
                     const char **workloads, size_t count) {
    for (size_t b = 0; count && b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        if (!competes(analysis, backend)) continue;
        struct choice whole = {.kind = kind, .backend = backend};
        for (size_t w = 0; w < count; w++) {
            struct interval gain = gain_of(analysis, workloads[w], backend);
            enum verdict verdict = verdict_of(&gain, true);
            whole.better += verdict == BETTER;
            whole.worse += verdict == WORSE;
            whole.same += verdict == SAME;
            whole.open += verdict == UNDECIDED;
        }
        whole.gain = mean_of(analysis, workloads, count, backend, analysis->baseline,
                             analysis->scale_threads);
        whole.price = mean_of(analysis, workloads, count, analysis->baseline, backend, 1);
        add(choices, whole);
    }
    for (size_t w = 0; w < count; w++)
        for (size_t b = 0; b < analysis->backend_count; b++) {
            const char *backend = analysis->backends[b];
            if (!competes(analysis, backend)) continue;
            struct choice *one =
                add(choices,
                    (struct choice){.kind = kind, .workload = workloads[w], .backend = backend});
            one->gain = gain_of(analysis, workloads[w], backend);
            one->price = price_of(analysis, workloads[w], backend);
        }
}

// Whether it is a mean over workloads, which nothing has judged yet.
static bool is_mean(const struct choice *choice) {
    return choice->workload == NULL && choice->gain.finding == FINDING_NONE;
}

static void judge_kinds(struct choices *choices, double margin) {
    struct interval *figures = checked_calloc(2 * choices->count, sizeof *figures);
    size_t count = 0;
    for (size_t i = 0; i < choices->count; i++) {
        if (!is_mean(&choices->items[i])) continue;
        figures[count++] = choices->items[i].gain;
        figures[count++] = choices->items[i].price;
    }
    choices->judgement = judge(figures, count, LEVEL, margin);
    free(figures);
    for (size_t i = 0; i < choices->count; i++) {
        struct choice *choice = &choices->items[i];
        if (!is_mean(choice)) continue;
        choice->price.finding = finding_of(&choice->price, &choices->judgement);
        choice->gain.finding = finding_of(&choice->gain, &choices->judgement);
        bool shown = choice->gain.estimate > 1 ? choice->better : choice->worse;
        if (choice->gain.finding == FINDING_DIFFERENT && !shown)
            choice->gain.finding = FINDING_OPEN;
    }
}

struct choices choices_make(const struct analysis *analysis) {
    const struct results *results = analysis->results;
    struct choices choices = {0};
    if (analysis->scale_threads < 2 || results->backend_count == 0 ||
        strcmp(analysis->baseline, results->backends[0].name) != 0)
        return choices;
    const char **names = checked_calloc(results->workload_count, sizeof *names);
    for (size_t k = 0; k < KINDS; k++) {
        size_t count = 0;
        for (size_t w = 0; w < results->workload_count; w++)
            if (kind_of(&results->workloads[w]) == k) names[count++] = results->workloads[w].name;
        add_kind(&choices, analysis, k, names, count);
    }
    free(names);
    judge_kinds(&choices, analysis->margin);
    for (size_t i = 0; i < choices.count; i++) {
        struct choice *choice = &choices.items[i];
        choice->advice = advise(verdict_of(&choice->gain, true), verdict_of(&choice->price, false));
    }
    return choices;
}

void choices_free(struct choices *choices) {
    free(choices->items);
    *choices = (struct choices){0};
}
