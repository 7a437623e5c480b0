// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the results say; see analysis.h.
#include "analysis.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- pools -------------------------------------------------------------------------

static double number_at(const struct run *run, size_t at) {
    return *(const double *)((const char *)run + at);
}

double pool_sum(struct runs runs, size_t at) {
    double sum = 0;
    for (size_t i = 0; i < runs.count; i++) sum += number_at(&runs.items[i], at);
    return sum;
}

double pool_median(struct runs runs, size_t at) {
    double *values = checked_calloc(runs.count, sizeof *values);
    for (size_t i = 0; i < runs.count; i++) values[i] = number_at(&runs.items[i], at);
    double middle = median(values, runs.count);
    free(values);
    return middle;
}

double pool_most(struct runs runs, size_t at) {
    double most = 0;
    for (size_t i = 0; i < runs.count; i++) most = fmax(most, number_at(&runs.items[i], at));
    return most;
}

double pool_least(struct runs runs, size_t at) {
    double least = runs.count ? number_at(runs.items, at) : 0;
    for (size_t i = 1; i < runs.count; i++) least = fmin(least, number_at(&runs.items[i], at));
    return least;
}

// ---- cells and designs ---------------------------------------------------------------

static bool is_measured(const struct run *run) {
    return run->sample_count > 0 && run->list != LIST_COUNTED && run->list != LIST_LEDGER;
}

static struct cell make_cell(const struct analysis *analysis, struct runs runs) {
    struct cell cell = {.key = run_key(runs.items),
                        .runs = runs,
                        .logs = checked_calloc(analysis->rounds, sizeof *cell.logs),
                        .peak_kib = MEDIAN(runs, peak_kib),
                        .oversubscribed = runs.items->oversubscribed,
                        .pinned = runs.items->pinned};
    for (size_t r = 0; r < analysis->rounds; r++) cell.logs[r] = NAN;
    for (size_t i = 0; i < runs.count; i++) cell.few_turns |= runs.items[i].few_turns;
    // Of two runs of a round the later one is that which was not cut short.
    for (size_t i = 0; i < runs.count; i++)
        cell.logs[runs.items[i].round] = log(runs.items[i].rate);
    cell.rate = mean_over_rounds(cell.logs, analysis->rounds, analysis->margin);
    return cell;
}

static void make_cells(struct analysis *analysis) {
    const struct results *results = analysis->results;
    analysis->cells = checked_calloc(results->run_count, sizeof *analysis->cells);
    for (size_t i = 0, next; i < results->run_count; i = next) {
        struct key key = run_key(&results->runs[i]);
        for (next = i + 1;
             next < results->run_count && run_compare(&results->runs[next], &key) == 0;)
            next++;
        if (is_measured(&results->runs[i]))
            analysis->cells[analysis->cell_count++] =
                make_cell(analysis, (struct runs){&results->runs[i], next - i});
    }
}

// The control and another build take turns with the timed runs.
static enum list turns_with(enum list list) {
    return list == LIST_CONTROL || list == LIST_AGAINST ? LIST_TIMED : list;
}

// Runs without a cause take turns too, in some rounds, but may vary otherwise: each is a pair
// with its own.
static bool same_design(const struct key *one, const struct key *other) {
    return turns_with(one->list) == turns_with(other->list) && one->threads == other->threads &&
           strcmp(one->workload, other->workload) == 0 &&
           strcmp(one->variant, other->variant) == 0 &&
           (one->list != LIST_WHAT_IF || (strcmp(one->without, other->without) == 0 &&
                                          strcmp(one->backend, other->backend) == 0));
}

static void make_design(struct analysis *analysis, size_t first) {
    struct design *design = &analysis->designs[analysis->design_count];
    design->cells = checked_calloc(analysis->cell_count, sizeof *design->cells);
    for (size_t i = first; i < analysis->cell_count; i++) {
        struct cell *cell = &analysis->cells[i];
        if (!same_design(&cell->key, &analysis->cells[first].key)) continue;
        cell->design = analysis->design_count + 1;
        cell->group = design->count;
        design->cells[design->count++] = i;
    }
    double *logs = checked_calloc(design->count * analysis->rounds, sizeof *logs);
    for (size_t i = 0; i < design->count && analysis->rounds; i++)
        memcpy(logs + i * analysis->rounds, analysis->cells[design->cells[i]].logs,
               analysis->rounds * sizeof *logs);
    design->fit = fit_rounds(logs, design->count, analysis->rounds);
    analysis->design_count++;
    free(logs);
}

static void make_designs(struct analysis *analysis) {
    analysis->designs = checked_calloc(analysis->cell_count, sizeof *analysis->designs);
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (analysis->cells[i].design == 0) make_design(analysis, i);
    for (size_t i = 0; i < analysis->cell_count; i++) analysis->cells[i].design--;
}

const struct cell *analysis_find(const struct analysis *analysis, const struct key *key) {
    size_t low = 0, high = analysis->cell_count;
    while (low < high) {
        size_t middle = (low + high) / 2;
        int order = run_compare(analysis->cells[middle].runs.items, key);
        if (order == 0) return &analysis->cells[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const struct cell *analysis_cell_of(const struct analysis *analysis, enum list list,
                                    const char *workload, const char *backend, int threads) {
    struct key key = {.list = list, .workload = workload, .backend = backend, .threads = threads};
    return analysis_find(analysis, &key);
}

const struct cell *analysis_cell(const struct analysis *analysis, const char *workload,
                                 const char *backend, int threads) {
    return analysis_cell_of(analysis, LIST_TIMED, workload, backend, threads);
}

const struct cell *analysis_unchanged(const struct analysis *analysis, const struct key *key) {
    struct key whole = *key;
    whole.without = "";
    const struct cell *cell = analysis_find(analysis, &whole);
    whole.list = LIST_TIMED;
    return cell ? cell : analysis_find(analysis, &whole);
}

size_t cells_of(const struct analysis *analysis, enum list list) {
    size_t count = 0;
    for (size_t i = 0; i < analysis->cell_count; i++) count += analysis->cells[i].key.list == list;
    return count;
}

// ---- what was measured -----------------------------------------------------------------

static void add_threads(struct analysis *analysis, int threads) {
    size_t at = analysis->thread_count;
    for (size_t i = 0; i < at; i++)
        if (analysis->threads[i] == threads) return;
    for (; at > 0 && analysis->threads[at - 1] > threads; at--)
        analysis->threads[at] = analysis->threads[at - 1];
    analysis->threads[at] = threads;
    analysis->thread_count++;
}

static void find_places(struct analysis *analysis) {
    const struct results *results = analysis->results;
    bool *found = checked_calloc(results->name_count + 1, sizeof *found);
    analysis->threads = checked_calloc(analysis->cell_count, sizeof *analysis->threads);
    analysis->backends = checked_calloc(results->backend_count, sizeof *analysis->backends);
    analysis->scale_threads = 1;
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *cell = &analysis->cells[i];
        if (cell->key.list != LIST_TIMED) continue;
        found[backend_place(results, cell->key.backend)] = true;
        add_threads(analysis, cell->key.threads);
        if (!cell->oversubscribed && cell->key.threads > analysis->scale_threads)
            analysis->scale_threads = cell->key.threads;
    }
    for (size_t b = 0; b < results->backend_count; b++)
        if (found[b]) analysis->backends[analysis->backend_count++] = results->backends[b].name;
    analysis->baseline = analysis->backend_count ? analysis->backends[0] : "";
    free(found);
}

const struct backend *analysis_backend(const struct analysis *analysis, const char *name) {
    static const struct backend unknown = {"", "", "", "", false};
    size_t place = backend_place(analysis->results, name);
    return place < analysis->results->backend_count ? &analysis->results->backends[place]
                                                    : &unknown;
}

bool analysis_is_ablation(const struct analysis *analysis, const char *backend) {
    return analysis_backend(analysis, backend)->ablation;
}

const char *analysis_ablation_of(const struct analysis *analysis, const char *product) {
    const struct backend *whole = analysis_backend(analysis, product),
                         *reference = &analysis->results->backends[0];
    for (size_t i = 0; i < analysis->results->backend_count; i++) {
        const struct backend *part = &analysis->results->backends[i];
        if (part->ablation && strcmp(part->counts, whole->counts) == 0 &&
            strcmp(part->locking, reference->locking) == 0)
            return part->name;
    }
    return NULL;
}

// ---- ratios ----------------------------------------------------------------------------

static struct interval measure(const struct analysis *analysis, const struct cell *over,
                               const struct cell *under) {
    if (over->design == under->design)
        return fit_ratio(&analysis->designs[over->design].fit, over->group, under->group,
                         analysis->margin);
    return pair_ratio(over->logs, under->logs, analysis->rounds, analysis->margin);
}

static enum family family_of(const struct cell *over, const struct cell *under) {
    bool same = over->key.threads == under->key.threads;
    if (over->key.list == LIST_AGAINST || under->key.list == LIST_AGAINST) return FAMILY_AGAINST;
    if (over->key.list == LIST_WHAT_IF) return FAMILY_WHAT_IF;
    if (turns_with(over->key.list) != turns_with(under->key.list)) return FAMILY_NONE;
    switch (over->key.list) {
    case LIST_TIMED:
    case LIST_CONTROL: return same ? FAMILY_BACKENDS : FAMILY_THREADS;
    case LIST_TOTALS: return same ? FAMILY_NONE : FAMILY_TOTALS;
    default: return FAMILY_NONE;
    }
}

// The rows of a family that share their variances are measured once.
static const struct comparison *row_of(const struct comparisons *list, const struct cell *over,
                                       const struct cell *under) {
    for (size_t i = 0; i < list->count; i++)
        if (list->items[i].over == over && list->items[i].under == under) return &list->items[i];
    return NULL;
}

struct interval cells_ratio(const struct analysis *analysis, const struct cell *over,
                            const struct cell *under) {
    if (!over || !under) return (struct interval){.p_differs = 1, .p_same = 1, .p_slower = 1};
    if (over == under)
        return (struct interval){.estimate = 1, .low = 1, .high = 1, .known = true, .p_differs = 1};
    enum family family = family_of(over, under);
    const struct comparison *row =
        family == FAMILY_WHAT_IF ? row_of(&analysis->families[family], over, under) : NULL;
    if (row) return row->ratio;
    struct interval ratio = measure(analysis, over, under);
    if (family != FAMILY_NONE)
        ratio.finding = finding_of(&ratio, &analysis->families[family].judgement);
    return ratio;
}

struct interval cells_mean_ratio(const struct analysis *analysis, const struct cell **over,
                                 const struct cell **under, size_t count) {
    double *means = checked_calloc(analysis->rounds, sizeof *means), used = 0;
    size_t last = 0;
    for (size_t i = 0; i < count; i++) {
        if (!over[i] || !under[i]) continue;
        last = i;
        used++;
        for (size_t r = 0; r < analysis->rounds; r++)
            means[r] += over[i]->logs[r] - under[i]->logs[r];
    }
    for (size_t r = 0; r < analysis->rounds; r++) means[r] = used > 0 ? means[r] / used : NAN;
    struct interval result = mean_over_rounds(means, analysis->rounds, analysis->margin);
    free(means);
    return used == 1 ? cells_ratio(analysis, over[last], under[last]) : result;
}

// ---- verdicts ----------------------------------------------------------------------------

static void compare(const struct analysis *analysis, struct comparisons *list,
                    const struct cell *over, const struct cell *under) {
    if (over == NULL || under == NULL || over == under) return;
    list->items = checked_realloc(list->items, (list->count + 1) * sizeof *list->items);
    list->items[list->count++] =
        (struct comparison){.over = over, .under = under, .ratio = measure(analysis, over, under)};
}

static struct key with(struct key key, enum list list, int threads) {
    key.list = list;
    key.threads = threads;
    return key;
}

static const struct cell *find_with(const struct analysis *analysis, struct key key) {
    return analysis_find(analysis, &key);
}

// All that a cell is set against; of two backends the later over the earlier.
static void add_comparisons(struct analysis *analysis, const struct cell *cell) {
    struct comparisons *families = analysis->families;
    struct key key = cell->key;
    const struct cell *timed = find_with(analysis, with(key, LIST_TIMED, key.threads));
    switch (key.list) {
    case LIST_CONTROL: compare(analysis, &analysis->control, cell, timed); break;
    case LIST_AGAINST: compare(analysis, &families[FAMILY_AGAINST], timed, cell); break;
    case LIST_TOTALS:
        compare(analysis, &families[FAMILY_TOTALS], cell,
                find_with(analysis, with(key, LIST_TOTALS, 1)));
        break;
    case LIST_WHAT_IF:
        compare(analysis, &families[FAMILY_WHAT_IF], cell, analysis_unchanged(analysis, &key));
        break;
    default: break;
    }
}

static void add_timed(struct analysis *analysis, const char *workload, int threads) {
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const struct cell *over = analysis_cell(analysis, workload, analysis->backends[b], threads);
        for (size_t u = 0; u < b; u++)
            compare(analysis, &analysis->families[FAMILY_BACKENDS], over,
                    analysis_cell(analysis, workload, analysis->backends[u], threads));
        compare(analysis, &analysis->families[FAMILY_THREADS], over,
                analysis_cell(analysis, workload, analysis->backends[b], 1));
    }
}

static void judge_list(struct comparisons *list, double margin) {
    struct interval *ratios = checked_calloc(list->count, sizeof *ratios);
    for (size_t i = 0; i < list->count; i++) ratios[i] = list->items[i].ratio;
    list->judgement = judge(ratios, list->count, LEVEL, margin);
    free(ratios);
}

static void set_findings(struct comparisons *list, const struct judgement *judgement) {
    for (size_t i = 0; i < list->count; i++)
        list->items[i].ratio.finding = finding_of(&list->items[i].ratio, judgement);
}

static void judge_all(struct analysis *analysis) {
    judge_against(analysis);
    measure_rows(&analysis->families[FAMILY_WHAT_IF], analysis->rounds, analysis->margin);
    for (size_t f = 0; f < FAMILIES; f++) {
        if (f == FAMILY_AGAINST) continue;
        judge_list(&analysis->families[f], analysis->margin);
        set_findings(&analysis->families[f], &analysis->families[f].judgement);
    }
    struct comparisons *control = &analysis->control;
    // Where a run has nothing else, the controls are a family of their own.
    judge_list(control, analysis->margin);
    if (analysis->families[FAMILY_BACKENDS].count) {
        struct judgement own = control->judgement;
        control->judgement = analysis->families[FAMILY_BACKENDS].judgement;
        control->judgement.comparisons = own.comparisons;
    }
    set_findings(control, &control->judgement);
    control->judgement.different = control->judgement.same = control->judgement.open = 0;
    for (size_t i = 0; i < control->count; i++) {
        const struct interval *ratio = &control->items[i].ratio;
        control->judgement.different += ratio->finding == FINDING_DIFFERENT;
        control->judgement.same += ratio->finding == FINDING_SAME;
        control->judgement.open += ratio->finding == FINDING_OPEN;
        analysis->controls_uncorrected += ratio->known && ratio->p_differs < LEVEL;
    }
}

struct analysis analysis_make(const struct results *results, double margin) {
    struct analysis analysis = {.results = results,
                                .margin = margin > 0 ? margin : results->margin};
    for (size_t i = 0; i < results->run_count; i++)
        if ((size_t)results->runs[i].round >= analysis.rounds)
            analysis.rounds = (size_t)results->runs[i].round + 1;
    analysis.first_rounds = (size_t)fmin(object_number(results->root, "first_rounds", INFINITY),
                                         (double)analysis.rounds);
    make_cells(&analysis);
    make_designs(&analysis);
    find_places(&analysis);
    for (size_t i = 0; i < analysis.cell_count; i++) add_comparisons(&analysis, &analysis.cells[i]);
    // A control run has nothing to say about backends.
    for (size_t w = 0; w < results->workload_count && !results->self; w++)
        for (size_t t = 0; t < analysis.thread_count; t++)
            add_timed(&analysis, results->workloads[w].name, analysis.threads[t]);
    judge_all(&analysis);
    return analysis;
}

void analysis_free(struct analysis *analysis) {
    for (size_t i = 0; i < analysis->cell_count; i++) free(analysis->cells[i].logs);
    for (size_t i = 0; i < analysis->design_count; i++) {
        fit_free(&analysis->designs[i].fit);
        free(analysis->designs[i].cells);
    }
    for (size_t f = 0; f < FAMILIES; f++) free(analysis->families[f].items);
    free(analysis->control.items);
    free(analysis->cells);
    free(analysis->designs);
    free(analysis->backends);
    free(analysis->threads);
    *analysis = (struct analysis){0};
}
