// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the results say; see analysis.h.
#include "analysis.h"

#include "results.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static void add_name(const char ***names, size_t *count, const char *name)
{
    for (size_t i = 0; i < *count; i++)
        if (strcmp((*names)[i], name) == 0)
            return;
    *names = checked_realloc(*names, (*count + 1) * sizeof **names);
    (*names)[(*count)++] = name;
}

static void add_threads(struct analysis *analysis, int threads)
{
    size_t at = 0;
    while (at < analysis->thread_count && analysis->threads[at] < threads)
        at++;
    if (at < analysis->thread_count && analysis->threads[at] == threads)
        return;
    analysis->threads = checked_realloc(analysis->threads, (analysis->thread_count + 1) * sizeof *analysis->threads);
    memmove(analysis->threads + at + 1, analysis->threads + at,
            (analysis->thread_count - at) * sizeof *analysis->threads);
    analysis->threads[at] = threads;
    analysis->thread_count++;
}

const struct cell *analysis_cell(const struct analysis *analysis, const char *workload, const char *backend,
                                 int threads)
{
    for (size_t i = 0; i < analysis->cell_count; i++) {
        const struct cell *cell = &analysis->cells[i];
        if (cell->threads == threads && strcmp(cell->workload, workload) == 0 && strcmp(cell->backend, backend) == 0)
            return cell;
    }
    return NULL;
}

// Its place in the results' list; one past the end: it is not there.
static size_t backend_rank(const struct analysis *analysis, const char *backend)
{
    const json_t *list = json_object_get(analysis->root, "backends"), *entry;
    size_t index;
    json_array_foreach(list, index, entry)
        if (strcmp(object_string(entry, "name", ""), backend) == 0)
            break;
    return index;
}

static const char *backend_fact(const struct analysis *analysis, const char *backend, const char *fact)
{
    const json_t *list = json_object_get(analysis->root, "backends");
    return object_string(json_array_get(list, backend_rank(analysis, backend)), fact, "");
}

const char *analysis_reference(const struct analysis *analysis)
{
    return object_string(json_array_get(json_object_get(analysis->root, "backends"), 0), "name", "");
}

bool analysis_is_ablation(const struct analysis *analysis, const char *backend)
{
    return strcmp(backend_fact(analysis, backend, "role"), "ablation") == 0;
}

const char *analysis_ablation_of(const struct analysis *analysis, const char *product)
{
    const char *counts = backend_fact(analysis, product, "counts");
    const char *exclusion = backend_fact(analysis, analysis_reference(analysis), "exclusion");
    for (size_t i = 0; i < analysis->backend_count; i++) {
        const char *backend = analysis->backends[i];
        if (analysis_is_ablation(analysis, backend) && strcmp(backend_fact(analysis, backend, "counts"), counts) == 0 &&
            strcmp(backend_fact(analysis, backend, "exclusion"), exclusion) == 0)
            return backend;
    }
    return NULL;
}

static struct cell *cell_for_block(struct analysis *analysis, const json_t *block)
{
    const char *workload = object_string(block, "workload", ""), *backend = object_string(block, "backend", "");
    int threads = (int)object_number(block, "threads", 1);
    const struct cell *found = analysis_cell(analysis, workload, backend, threads);
    if (found)
        return &analysis->cells[found - analysis->cells];
    analysis->cells = checked_realloc(analysis->cells, (analysis->cell_count + 1) * sizeof *analysis->cells);
    struct cell *cell = &analysis->cells[analysis->cell_count++];
    *cell = (struct cell){.workload = workload,
                          .backend = backend,
                          .threads = threads,
                          .unit = object_string(block, "unit", "operations"),
                          .oversubscribed = json_is_true(json_object_get(block, "oversubscribed")),
                          .shared = strcmp(object_string(block, "sharing", "own"), "shared") == 0,
                          .pinned = json_is_true(json_object_get(block, "pinned"))};
    add_name(&analysis->workloads, &analysis->workload_count, workload);
    add_name(&analysis->backends, &analysis->backend_count, backend);
    add_threads(analysis, threads);
    return cell;
}

static void add_block(struct analysis *analysis, const json_t *block)
{
    const json_t *samples = json_object_get(block, "samples"), *sample;
    size_t count = json_array_size(samples), index;
    if (count == 0)
        return;
    struct series *series = &cell_for_block(analysis, block)->series;
    series->blocks = checked_realloc(series->blocks, (series->count + 1) * sizeof *series->blocks);
    struct block_rates *rates = &series->blocks[series->count++];
    rates->count = count;
    rates->rates = checked_calloc(count, sizeof *rates->rates);
    json_array_foreach(samples, index, sample)
        rates->rates[index] = sample_rate(sample);
}

// FNV-1a; gives every cell its own stream of the run's seed.
static uint64_t cell_seed(const struct cell *cell, uint64_t seed)
{
    uint64_t hash = 0xcbf29ce484222325u ^ seed ^ ((uint64_t)cell->threads << 32);
    for (const char *c = cell->workload; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    for (const char *c = cell->backend; *c; c++)
        hash = (hash ^ (unsigned char)*c) * 0x100000001b3u;
    return hash;
}

static double peak_of(const json_t *blocks, const struct cell *cell)
{
    double *peaks = checked_calloc(json_array_size(blocks), sizeof *peaks);
    size_t count = 0, index;
    const json_t *block;
    json_array_foreach(blocks, index, block)
        if (strcmp(object_string(block, "workload", ""), cell->workload) == 0 &&
            strcmp(object_string(block, "backend", ""), cell->backend) == 0 &&
            (int)object_number(block, "threads", 0) == cell->threads)
            peaks[count++] = object_number(block, "peak_rss_kib", 0);
    double peak = median(peaks, count);
    free(peaks);
    return peak;
}

static void finish_cell(struct cell *cell, const json_t *blocks, uint64_t seed)
{
    cell->replicates = checked_calloc(RESAMPLES, sizeof *cell->replicates);
    series_bootstrap(&cell->series, cell_seed(cell, seed), cell->replicates);
    cell->rate = interval_of(series_estimate(&cell->series), cell->replicates, cell->series.count, cell->series.count - 1);
    cell->peak_kib = peak_of(blocks, cell);
}

static void add_counters(struct analysis *analysis, const json_t *block)
{
    const struct cell *found = analysis_cell(analysis, object_string(block, "workload", ""),
                                             object_string(block, "backend", ""),
                                             (int)object_number(block, "threads", 0));
    if (found == NULL)
        return;
    struct cell *cell = &analysis->cells[found - analysis->cells];
    const json_t *samples = json_object_get(block, "samples"), *sample;
    size_t index;
    cell->counters = json_object_get(block, "stats");
    cell->counted_operations = 0;
    json_array_foreach(samples, index, sample)
        cell->counted_operations += object_number(sample, "operations", 0);
    cell->counted_operations = object_number(block, "stats_operations", cell->counted_operations);
}

// Rounds shuffle the backends, so their first appearance is no order.
static void sort_backends(struct analysis *analysis)
{
    for (size_t i = 1; i < analysis->backend_count; i++) {
        const char *backend = analysis->backends[i];
        size_t at = i;
        for (; at > 0 && backend_rank(analysis, analysis->backends[at - 1]) > backend_rank(analysis, backend); at--)
            analysis->backends[at] = analysis->backends[at - 1];
        analysis->backends[at] = backend;
    }
}

static void choose_scale_threads(struct analysis *analysis)
{
    analysis->scale_threads = 1;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (!analysis->cells[i].oversubscribed && analysis->cells[i].threads > analysis->scale_threads)
            analysis->scale_threads = analysis->cells[i].threads;
}

struct analysis analysis_make(const json_t *root)
{
    struct analysis analysis = {.root = root, .baseline = ""};
    const json_t *blocks = json_object_get(root, "blocks"), *counted = json_object_get(root, "counted"), *block;
    uint64_t seed = (uint64_t)json_integer_value(json_object_get(root, "seed"));
    size_t index;
    json_array_foreach(blocks, index, block)
        add_block(&analysis, block);
    for (size_t i = 0; i < analysis.cell_count; i++)
        finish_cell(&analysis.cells[i], blocks, seed);
    json_array_foreach(counted, index, block)
        add_counters(&analysis, block);
    if (analysis.backend_count) {
        sort_backends(&analysis);
        analysis.baseline = analysis.backends[0];
    }
    choose_scale_threads(&analysis);
    return analysis;
}

void analysis_free(struct analysis *analysis)
{
    for (size_t i = 0; i < analysis->cell_count; i++) {
        struct cell *cell = &analysis->cells[i];
        for (size_t k = 0; k < cell->series.count; k++)
            free(cell->series.blocks[k].rates);
        free(cell->series.blocks);
        free(cell->replicates);
    }
    free(analysis->cells);
    free(analysis->workloads);
    free(analysis->backends);
    free(analysis->threads);
    *analysis = (struct analysis){0};
}

struct interval cells_mean_ratio(const struct cell **over, const struct cell **under, size_t count)
{
    double *replicates = checked_calloc(RESAMPLES, sizeof *replicates);
    double log_sum = 0;
    size_t used = 0, blocks = SIZE_MAX, freedom = 0;
    for (size_t i = 0; i < count; i++) {
        if (!over[i] || !under[i] || !(over[i]->rate.estimate > 0) || !(under[i]->rate.estimate > 0))
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
        for (size_t r = 0; r < RESAMPLES; r++)
            replicates[r] = exp(replicates[r] / (double)used);
        result = interval_of(exp(log_sum / (double)used), replicates, blocks, freedom);
    }
    free(replicates);
    return result;
}

struct interval cells_ratio(const struct cell *over, const struct cell *under)
{
    if (over && over == under)
        return (struct interval){1, 1, 1, true};
    return cells_mean_ratio(&over, &under, 1);
}
