// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the results say; see analysis.h.
#include "analysis.h"

#include "results.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_name(const char ***names, size_t *count, const char *name) {
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*names)[i], name) == 0) return;
    *names = checked_realloc(*names, (*count + 1) * sizeof **names);
    (*names)[(*count)++] = name;
}

static void add_threads(struct analysis *analysis, int threads) {
    size_t at = 0;
    while (at < analysis->thread_count && analysis->threads[at] < threads) at++;
    if (at < analysis->thread_count && analysis->threads[at] == threads) return;
    analysis->threads = checked_realloc(analysis->threads,
                                        (analysis->thread_count + 1) * sizeof *analysis->threads);
    memmove(analysis->threads + at + 1, analysis->threads + at,
            (analysis->thread_count - at) * sizeof *analysis->threads);
    analysis->threads[at] = threads;
    analysis->thread_count++;
}

size_t analysis_place(const struct analysis *analysis, const char *backend) {
    const json_t *list = json_object_get(analysis->root, "backends"), *entry;
    size_t index;
    json_array_foreach(list, index,
                       entry) if (strcmp(object_string(entry, "name", ""), backend) == 0) break;
    return index;
}

static const char *backend_fact(const struct analysis *analysis, const char *backend,
                                const char *fact) {
    const json_t *list = json_object_get(analysis->root, "backends");
    return object_string(json_array_get(list, analysis_place(analysis, backend)), fact, "");
}

const char *analysis_reference(const struct analysis *analysis) {
    return object_string(json_array_get(json_object_get(analysis->root, "backends"), 0), "name",
                         "");
}

bool analysis_is_ablation(const struct analysis *analysis, const char *backend) {
    return strcmp(backend_fact(analysis, backend, "role"), "ablation") == 0;
}

const char *analysis_ablation_of(const struct analysis *analysis, const char *product) {
    const char *counts = backend_fact(analysis, product, "refcount");
    const char *exclusion = backend_fact(analysis, analysis_reference(analysis), "locking");
    for (size_t i = 0; i < analysis->backend_count; i++) {
        const char *backend = analysis->backends[i];
        if (analysis_is_ablation(analysis, backend) &&
            strcmp(backend_fact(analysis, backend, "refcount"), counts) == 0 &&
            strcmp(backend_fact(analysis, backend, "locking"), exclusion) == 0)
            return backend;
    }
    return NULL;
}

static struct cell make_cell(const json_t *block) {
    return (struct cell){.workload = object_string(block, "workload", ""),
                         .backend = object_string(block, "backend", ""),
                         .threads = (int)object_number(block, "threads", 1),
                         .unit = object_string(block, "unit", "operations"),
                         .oversubscribed = json_is_true(json_object_get(block, "oversubscribed")),
                         .shared = strcmp(object_string(block, "sharing", "own"), "shared") == 0,
                         .pinned = json_is_true(json_object_get(block, "pinned"))};
}

static struct cell *find_cell(struct cell *cells, size_t count, const char *workload,
                              const char *backend, int threads) {
    for (size_t i = 0; i < count; i++)
        if (cells[i].threads == threads && strcmp(cells[i].workload, workload) == 0 &&
            strcmp(cells[i].backend, backend) == 0)
            return &cells[i];
    return NULL;
}

static struct cell *cell_for_block(struct cell **cells, size_t *count, const json_t *block) {
    struct cell made = make_cell(block);
    struct cell *found = find_cell(*cells, *count, made.workload, made.backend, made.threads);
    if (found) return found;
    *cells = checked_realloc(*cells, (*count + 1) * sizeof **cells);
    (*cells)[*count] = made;
    return &(*cells)[(*count)++];
}

const struct cell *analysis_cell(const struct analysis *analysis, const char *workload,
                                 const char *backend, int threads) {
    return find_cell(analysis->cells, analysis->cell_count, workload, backend, threads);
}

static void add_series(struct analysis *analysis, struct series *series, const json_t *block) {
    const json_t *samples = json_object_get(block, "samples"), *sample;
    size_t count = json_array_size(samples), index;
    series->blocks = checked_realloc(series->blocks, (series->count + 1) * sizeof *series->blocks);
    struct block_rates *rates = &series->blocks[series->count++];
    *rates = (struct block_rates){.rates = checked_calloc(count, sizeof *rates->rates)};
    json_array_foreach(samples, index, sample) {
        bool cold = json_is_true(json_object_get(sample, "warmup"));
        analysis->samples++;
        analysis->warmup_samples += cold;
        if (!cold) rates->rates[rates->count++] = sample_rate(sample);
    }
}

static void add_block(struct analysis *analysis, const json_t *block) {
    if (json_array_size(json_object_get(block, "samples")) == 0) return;
    struct cell *cell = cell_for_block(&analysis->cells, &analysis->cell_count, block);
    add_name(&analysis->workloads, &analysis->workload_count, cell->workload);
    add_name(&analysis->backends, &analysis->backend_count, cell->backend);
    add_threads(analysis, cell->threads);
    add_series(analysis, &cell->series, block);
}

// FNV-1a; gives every cell its own stream of the run's seed.
static uint64_t cell_seed(const struct cell *cell, uint64_t seed) {
    uint64_t hash = 0xcbf29ce484222325u ^ seed ^ ((uint64_t)cell->threads << 32);
    for (const char *c = cell->workload; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    for (const char *c = cell->backend; *c; c++) hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

// The median over the cell's blocks in `blocks` of a number that they have.
static double median_of(const json_t *blocks, const struct cell *cell, const char *name) {
    double *values = checked_calloc(json_array_size(blocks), sizeof *values);
    size_t count = 0, index;
    const json_t *block;
    json_array_foreach(blocks, index,
                       block) if (strcmp(object_string(block, "workload", ""), cell->workload) ==
                                      0 &&
                                  strcmp(object_string(block, "backend", ""), cell->backend) == 0 &&
                                  (int)object_number(block, "threads", 0) == cell->threads)
        values[count++] = object_number(block, name, 0);
    double middle = median(values, count);
    free(values);
    return middle;
}

static void finish_cell(const struct analysis *analysis, struct cell *cell, const json_t *blocks,
                        uint64_t seed) {
    cell->judgement = analysis->judgement;
    cell->moments = series_moments(&cell->series);
    cell->replicates = checked_calloc(RESAMPLES, sizeof *cell->replicates);
    series_bootstrap(&cell->series, cell_seed(cell, seed), cell->replicates);
    cell->rate = interval_of(series_estimate(&cell->series), cell->replicates, cell->series.count,
                             cell->series.count - 1);
    cell->peak_kib = median_of(blocks, cell, "peak_rss_kib");
    cell->block_seconds = median_of(blocks, cell, "wall_seconds");
}

static void add_counters(struct analysis *analysis, const json_t *block) {
    const struct cell *found =
        analysis_cell(analysis, object_string(block, "workload", ""),
                      object_string(block, "backend", ""), (int)object_number(block, "threads", 0));
    if (found == NULL) return;
    struct cell *cell = &analysis->cells[found - analysis->cells];
    const json_t *samples = json_object_get(block, "samples"), *sample;
    size_t index;
    cell->counters = json_object_get(block, "stats");
    cell->counted_operations = 0;
    json_array_foreach(samples, index, sample) cell->counted_operations +=
        object_number(sample, "operations", 0);
    cell->counted_operations = object_number(block, "stats_operations", cell->counted_operations);
}

// Rounds shuffle the backends, so their first appearance is no order.
static void sort_backends(struct analysis *analysis) {
    for (size_t i = 1; i < analysis->backend_count; i++) {
        const char *backend = analysis->backends[i];
        size_t at = i;
        for (; at > 0 && analysis_place(analysis, analysis->backends[at - 1]) >
                             analysis_place(analysis, backend);
             at--)
            analysis->backends[at] = analysis->backends[at - 1];
        analysis->backends[at] = backend;
    }
}

static void choose_scale_threads(struct analysis *analysis) {
    analysis->scale_threads = 1;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (!analysis->cells[i].oversubscribed &&
            analysis->cells[i].threads > analysis->scale_threads)
            analysis->scale_threads = analysis->cells[i].threads;
}

static double minutes_needed(const struct comparison *comparison,
                             const struct judgement *judgement) {
    const struct cell *over = comparison->over, *under = comparison->under;
    if (comparison->ratio.finding != FINDING_OPEN) return 0;
    size_t needed = blocks_for_verdict(over->moments, under->moments, judgement);
    double seconds = 0;
    if (needed > over->moments.count)
        seconds += (double)(needed - over->moments.count) * over->block_seconds;
    if (needed > under->moments.count)
        seconds += (double)(needed - under->moments.count) * under->block_seconds;
    return needed && seconds > 0 ? seconds / 60 : HUGE_VAL;
}

void comparison_judge(struct comparison *comparison, const struct judgement *judgement) {
    comparison->ratio.finding = finding_of(&comparison->ratio, judgement);
    comparison->minutes = minutes_needed(comparison, judgement);
}

static void add_comparison(struct comparison **list, size_t *count, const struct cell *over,
                           const struct cell *under, double margin) {
    if (over == NULL || under == NULL || over == under) return;
    *list = checked_realloc(*list, (*count + 1) * sizeof **list);
    (*list)[(*count)++] =
        (struct comparison){.over = over,
                            .under = under,
                            .ratio = compare_means(over->moments, under->moments, margin)};
}

// Every pair of backends with equal workload and threads, the later over the
// earlier; and every backend over itself on one thread.
static void add_comparisons(struct analysis *analysis) {
    double margin = analysis->judgement->margin;
    for (size_t w = 0; w < analysis->workload_count; w++)
        for (size_t t = 0; t < analysis->thread_count; t++)
            for (size_t b = 0; b < analysis->backend_count; b++) {
                const char *workload = analysis->workloads[w];
                const struct cell *over =
                    analysis_cell(analysis, workload, analysis->backends[b], analysis->threads[t]);
                for (size_t u = 0; u < b; u++)
                    add_comparison(&analysis->comparisons, &analysis->comparison_count, over,
                                   analysis_cell(analysis, workload, analysis->backends[u],
                                                 analysis->threads[t]),
                                   margin);
                add_comparison(&analysis->comparisons, &analysis->comparison_count, over,
                               analysis_cell(analysis, workload, analysis->backends[b], 1), margin);
            }
}

static void add_controls(struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "control"), *block;
    uint64_t seed = (uint64_t)json_integer_value(json_object_get(analysis->root, "seed"));
    size_t index, count = 0;
    json_array_foreach(blocks, index, block) if (json_array_size(json_object_get(block, "samples")))
        add_series(analysis, &cell_for_block(&analysis->control_cells, &count, block)->series,
                   block);
    for (size_t i = 0; i < count; i++) {
        struct cell *cell = &analysis->control_cells[i];
        finish_cell(analysis, cell, blocks, ~seed);
        add_comparison(&analysis->controls, &analysis->control_count, cell,
                       analysis_cell(analysis, cell->workload, cell->backend, cell->threads),
                       analysis->judgement->margin);
    }
    analysis->control_cell_count = count;
}

// One family: the report's comparisons, or, where a run has no others, the controls.
static void judge_all(struct analysis *analysis) {
    bool alone = analysis->comparison_count == 0;
    struct comparison *family = alone ? analysis->controls : analysis->comparisons;
    size_t count = alone ? analysis->control_count : analysis->comparison_count;
    struct interval *ratios = checked_calloc(count, sizeof *ratios);
    for (size_t i = 0; i < count; i++) ratios[i] = family[i].ratio;
    *analysis->judgement =
        judge(ratios, count, analysis->judgement->level, analysis->judgement->margin);
    free(ratios);
    for (size_t i = 0; i < analysis->comparison_count; i++) {
        comparison_judge(&analysis->comparisons[i], analysis->judgement);
    }
    for (size_t i = 0; i < analysis->control_count; i++) {
        struct comparison *control = &analysis->controls[i];
        comparison_judge(control, analysis->judgement);
        analysis->controls_different += control->ratio.finding == FINDING_DIFFERENT;
        analysis->controls_uncorrected += control->ratio.known && control->ratio.p_differs < 0.05;
    }
}

struct analysis analysis_make(const json_t *root, double margin) {
    struct analysis analysis = {.root = root, .baseline = ""};
    const json_t *blocks = json_object_get(root, "blocks"),
                 *counted = json_object_get(root, "counted"), *block;
    uint64_t seed = (uint64_t)json_integer_value(json_object_get(root, "seed"));
    size_t index;
    analysis.judgement = checked_calloc(1, sizeof *analysis.judgement);
    analysis.judgement->level = 0.05;
    analysis.judgement->margin =
        margin > 0 ? margin : object_number(root, "margin", DEFAULT_MARGIN);
    if (!(analysis.judgement->margin > 0)) analysis.judgement->margin = DEFAULT_MARGIN;
    json_array_foreach(blocks, index, block) add_block(&analysis, block);
    for (size_t i = 0; i < analysis.cell_count; i++)
        finish_cell(&analysis, &analysis.cells[i], blocks, seed);
    json_array_foreach(counted, index, block) add_counters(&analysis, block);
    if (analysis.backend_count) {
        sort_backends(&analysis);
        analysis.baseline = analysis.backends[0];
    }
    choose_scale_threads(&analysis);
    // A control run has nothing to say about backends.
    if (!json_is_true(json_object_get(root, "self"))) add_comparisons(&analysis);
    add_controls(&analysis);
    judge_all(&analysis);
    return analysis;
}

static void free_cells(struct cell *cells, size_t count) {
    for (size_t i = 0; i < count; i++) {
        for (size_t k = 0; k < cells[i].series.count; k++) free(cells[i].series.blocks[k].rates);
        free(cells[i].series.blocks);
        free(cells[i].replicates);
    }
    free(cells);
}

void analysis_free(struct analysis *analysis) {
    free_cells(analysis->cells, analysis->cell_count);
    free_cells(analysis->control_cells, analysis->control_cell_count);
    free(analysis->comparisons);
    free(analysis->controls);
    free(analysis->judgement);
    free(analysis->workloads);
    free(analysis->backends);
    free(analysis->threads);
    *analysis = (struct analysis){0};
}

struct interval cells_mean_ratio(const struct cell **over, const struct cell **under,
                                 size_t count) {
    double *replicates = checked_calloc(RESAMPLES, sizeof *replicates);
    double log_sum = 0;
    size_t used = 0, blocks = SIZE_MAX, freedom = 0;
    for (size_t i = 0; i < count; i++) {
        if (!over[i] || !under[i] || !(over[i]->rate.estimate > 0) ||
            !(under[i]->rate.estimate > 0))
            continue;
        used++;
        log_sum += log(over[i]->rate.estimate / under[i]->rate.estimate);
        blocks = over[i]->series.count < blocks ? over[i]->series.count : blocks;
        blocks = under[i]->series.count < blocks ? under[i]->series.count : blocks;
        freedom += over[i]->series.count + under[i]->series.count - 2;
        for (size_t r = 0; r < RESAMPLES; r++)
            replicates[r] += log(over[i]->replicates[r] / under[i]->replicates[r]);
    }
    struct interval result = {0};
    if (used) {
        for (size_t r = 0; r < RESAMPLES; r++) replicates[r] = exp(replicates[r] / (double)used);
        result = interval_of(exp(log_sum / (double)used), replicates, blocks, freedom);
    }
    free(replicates);
    return result;
}

struct interval cells_ratio(const struct cell *over, const struct cell *under) {
    if (over && over == under)
        return (struct interval){.estimate = 1, .low = 1, .high = 1, .known = true, .p_differs = 1};
    if (!over || !under) return (struct interval){.p_differs = 1, .p_same = 1};
    struct interval ratio = compare_means(over->moments, under->moments, over->judgement->margin);
    ratio.finding = finding_of(&ratio, over->judgement);
    return ratio;
}
