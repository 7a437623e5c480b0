// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the cycle collector did: relying on it against weak references, every
// workload's collections and where a pause goes, and the variants of gc-live,
// gc-garbage and gc-growth.  Blocks of one place are pooled: sums are added,
// medians and quantiles are the median over blocks, the longest is the longest.
#include "compose.h"
#include "plots.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { QUANTILES = 5, MOST_BLOCKS = 64 };

static const char *const quantile_keys[QUANTILES] = {"p50_ns", "p90_ns", "p99_ns", "p99_9_ns",
                                                     "max_ns"};

struct pool {
    const char *name; // of the backend, or of the Python
    int threads;
    size_t blocks;
    double watched, operations, rate; // nanoseconds of all blocks; the median block's rate
    double collections, full, shared, pause, full_pause, median, p99, longest;
    double stop, mark, finalize, check, free, reentry;
    double examined, collected, uncollectable, helpers;
    double latency[QUANTILES];
    const char *last; // what the thread that came last was most often doing
    double last_times;
};

// ---- pooling -----------------------------------------------------------------

static bool is_at(const json_t *block, const char *workload, const char *variant,
                  const char *backend, int threads) {
    return strcmp(object_string(block, "workload", ""), workload) == 0 &&
           strcmp(object_string(block, "variant", ""), variant ? variant : "") == 0 &&
           strcmp(object_string(block, "backend", ""), backend) == 0 &&
           (int)object_number(block, "threads", 0) == threads;
}

static double spread(const json_t *collector, const char *what, const char *key) {
    return object_number(json_object_get(collector, what), key, 0);
}

static void add_last(struct pool *pool, const json_t *collector) {
    const char *was;
    json_t *times;
    json_object_foreach(json_object_get(collector, "last_was"), was,
                        times) if (json_number_value(times) > pool->last_times) {
        pool->last = was;
        pool->last_times = json_number_value(times);
    }
}

static void add_sums(struct pool *pool, const json_t *block) {
    const json_t *collector = json_object_get(block, "collector"), *sample;
    const json_t *full = json_array_get(json_object_get(collector, "generations"), 2);
    size_t index;
    json_array_foreach(json_object_get(block, "samples"), index, sample) pool->operations +=
        object_number(sample, "operations", 0);
    pool->watched += object_number(collector, "watched_ns", 0);
    pool->collections += object_number(collector, "collections", 0);
    pool->full += object_number(full, "collections", 0);
    pool->shared += object_number(collector, "shared", 0);
    pool->pause += spread(collector, "pause_ns", "total");
    pool->full_pause += spread(full, "pause_ns", "total");
    pool->longest = fmax(pool->longest, spread(collector, "pause_ns", "longest"));
    pool->stop += spread(collector, "stop_ns", "total");
    pool->mark += object_number(collector, "mark_ns", 0);
    pool->finalize += object_number(collector, "finalize_ns", 0);
    pool->check += object_number(collector, "check_ns", 0);
    pool->free += object_number(collector, "free_ns", 0);
    pool->reentry += object_number(collector, "reentry_ns", 0);
    pool->examined += object_number(collector, "examined", 0);
    pool->collected += object_number(collector, "collected", 0);
    pool->uncollectable += object_number(collector, "uncollectable", 0);
    pool->helpers += object_number(collector, "helpers", 0);
    add_last(pool, collector);
}

static double block_rate(const json_t *block) {
    double rates[MOST_BLOCKS];
    size_t count = 0, index;
    const json_t *sample;
    json_array_foreach(json_object_get(block, "samples"), index, sample) if (count < MOST_BLOCKS)
        rates[count++] = sample_rate(sample);
    return median(rates, count);
}

// The blocks of a list at one place.  A list that is missing has none.
static struct pool pool_make(const struct analysis *analysis, const char *list,
                             const char *workload, const char *variant, const char *backend,
                             int threads) {
    struct pool pool = {.name = backend, .threads = threads, .last = ""};
    double rates[MOST_BLOCKS], medians[MOST_BLOCKS], p99s[MOST_BLOCKS],
        latencies[QUANTILES][MOST_BLOCKS];
    size_t index, with = 0;
    const json_t *block;
    json_array_foreach(json_object_get(analysis->root, list), index, block) {
        const json_t *collector = json_object_get(block, "collector");
        if (pool.blocks == MOST_BLOCKS || !is_at(block, workload, variant, backend, threads) ||
            collector == NULL)
            continue;
        rates[pool.blocks] = block_rate(block);
        if (object_number(collector, "collections", 0) > 0) {
            medians[with] = spread(collector, "pause_ns", "median");
            p99s[with++] = spread(collector, "pause_ns", "p99");
        }
        for (size_t q = 0; q < QUANTILES; q++)
            latencies[q][pool.blocks] =
                object_number(json_object_get(block, "latency"), quantile_keys[q], 0);
        add_sums(&pool, block);
        pool.blocks++;
    }
    pool.rate = median(rates, pool.blocks);
    pool.median = median(medians, with);
    pool.p99 = median(p99s, with);
    for (size_t q = 0; q < QUANTILES; q++) pool.latency[q] = median(latencies[q], pool.blocks);
    return pool;
}

// Pools of all backends, and of Python, on one number of threads; returns how many.
static size_t pools_of(const struct analysis *analysis, const char *list, const char *workload,
                       const char *variant, int threads, struct pool pools[], size_t room) {
    size_t count = 0;
    for (size_t b = 0; b < analysis->backend_count && count < room; b++) {
        struct pool pool =
            pool_make(analysis, list, workload, variant, analysis->backends[b], threads);
        if (pool.blocks) pools[count++] = pool;
    }
    const json_t *python = json_array_get(json_object_get(analysis->root, "python"), 0);
    if (python && count < room) {
        struct pool pool = pool_make(analysis, "python", workload, variant,
                                     object_string(python, "backend", ""), threads);
        if (pool.blocks) pools[count++] = pool;
    }
    return count;
}

enum { MOST_POOLS = 16 };

// One thread, and the most that have a core each.
static size_t thread_counts(const struct analysis *analysis, int counts[2]) {
    counts[0] = 1;
    counts[1] = analysis->scale_threads;
    return counts[1] > 1 ? 2 : 1;
}

// ---- cells --------------------------------------------------------------------

// "850 ns", "12.3 µs", "4.20 ms"; a dash where nothing was measured.
static void time_cell(struct table *table, double nanoseconds, bool measured) {
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    size_t unit = 0;
    while (nanoseconds >= 999.5 && unit < 3) {
        nanoseconds /= 1000;
        unit++;
    }
    if (!measured)
        table_cell(table, "–");
    else if (nanoseconds == 0)
        table_cell(table, "0");
    else
        table_cell(table, "%.*f %s",
                   unit == 0 || nanoseconds >= 100 ? 0
                   : nanoseconds >= 10             ? 1
                                                   : 2,
                   nanoseconds, units[unit]);
}

static void count_cell(struct table *table, double count) {
    char *shown = count > 0 ? show_rate(count) : format("0");
    table_cell(table, "%s", shown);
    free(shown);
}

static double each(double sum, double count) { return count > 0 ? sum / count : 0; }

static double pause_share(const struct pool *pool) {
    return 100 * each(pool->pause, pool->watched); // percent
}

// ---- tasks ---------------------------------------------------------------------

static void tasks_row(struct table *table, const struct analysis *analysis, const struct pool *pool,
                      const char *version) {
    char *rate = show_rate(pool->rate);
    backend_cell(table, analysis, pool->name);
    table_cell(table, "%s", version);
    table_cell(table, "%d", pool->threads);
    table_cell(table, "%s", rate);
    for (size_t q = 0; q < QUANTILES; q++) time_cell(table, pool->latency[q], true);
    table_cell(table, "%.0f", pool->collections);
    table_cell(table, "%.0f", pool->full);
    time_cell(table, pool->longest, pool->collections > 0);
    table_cell(table, pool->collections > 0 ? "%.1f %%" : "0", pause_share(pool));
    free(rate);
}

static void say_tasks(struct document *document, const struct analysis *analysis,
                      const struct pool *cycle, const struct pool *weak) {
    struct text line = {0};
    struct interval ratio =
        cells_ratio(analysis_cell(analysis, "tasks-weakref", weak->name, weak->threads),
                    analysis_cell(analysis, "tasks-cycle", cycle->name, cycle->threads));
    char *shown =
        ratio.estimate > 0 ? show_ratio(ratio) : format("%.2f", each(weak->rate, cycle->rate));
    text_add(&line, "**%s** on %d thread%s: ", cycle->name, cycle->threads,
             cycle->threads == 1 ? "" : "s");
    if (cycle->full > 0)
        text_add(&line,
                 "%.0f of %.0f collections were full and took %.0f %% of their time; the longest "
                 "pause is %.1f ms",
                 cycle->full, cycle->collections, 100 * each(cycle->full_pause, cycle->pause),
                 cycle->longest / 1e6);
    else
        text_add(&line, "%.0f collections, none of them full; the longest pause is %.1f ms",
                 cycle->collections, cycle->longest / 1e6);
    text_add(&line,
             ". With weak references there %s %.0f collection%s; the longest operation takes %.2f "
             "ms instead of %.2f ms, "
             "and throughput is %s times that with cycles%s.",
             weak->collections == 1 ? "is" : "are", weak->collections,
             weak->collections == 1 ? "" : "s", weak->latency[QUANTILES - 1] / 1e6,
             cycle->latency[QUANTILES - 1] / 1e6, shown,
             ratio.known && !interval_differs(ratio) ? " (no difference)" : "");
    free(shown);
    document_bullet(document, "%s", text_string(&line));
    text_free(&line);
}

static void compose_tasks(struct document *document, const struct analysis *analysis) {
    struct pool cycle[MOST_POOLS], weak[MOST_POOLS];
    struct table table = table_make(
        "How long an operation takes, and the collections beside it. Medians over blocks; "
        "the counts and the longest pause are of all blocks together",
        13, 2);
    static const char *const heads[] = {
        "backend",       "reference", "threads", "operations a second", "50 %", "90 %",
        "99 %",          "99.9 %",    "longest", "collections",         "full", "longest pause",
        "time in pauses"};
    int threads[2];
    size_t rows = 0, thread_count = thread_counts(analysis, threads);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&table, "%s", heads[i]);
    for (size_t t = thread_count; t-- > 0;) {
        size_t cycles =
            pools_of(analysis, "blocks", "tasks-cycle", NULL, threads[t], cycle, MOST_POOLS);
        size_t weaks =
            pools_of(analysis, "blocks", "tasks-weakref", NULL, threads[t], weak, MOST_POOLS);
        for (size_t c = 0; c < cycles; c++) {
            tasks_row(&table, analysis, &cycle[c], "plain");
            rows++;
            for (size_t w = 0; w < weaks; w++) {
                if (strcmp(cycle[c].name, weak[w].name) != 0) continue;
                if (rows == 1)
                    document_heading(document, 3,
                                     "Relying on the collector, or on weak references");
                if (rows == 1)
                    document_paragraph(
                        document, "In tasks-cycle a subtask refers to its task plainly, so a "
                                  "deleted task is a cycle "
                                  "and waits for the collector. In tasks-weakref it refers weakly, "
                                  "and a deleted task "
                                  "dies at once. The claim under test: relying on the collector is "
                                  "expensive, full "
                                  "collections are rare and long, and weak references avoid them.");
                tasks_row(&table, analysis, &weak[w], "weak");
                if (t + 1 == thread_count) say_tasks(document, analysis, &cycle[c], &weak[w]);
            }
        }
    }
    if (rows)
        document_table(document, table);
    else
        table_free(&table);
    const json_t *blocks = json_object_get(analysis->root, "blocks"), *block;
    size_t index;
    json_array_foreach(blocks, index, block) if (rows && json_object_get(block, "latency")) {
        document_paragraph(document,
                           "Each operation is timed from the end of the one before, by one look at "
                           "CLOCK_MONOTONIC, "
                           "which takes about %.0f ns here and is in every figure.",
                           object_number(json_object_get(block, "latency"), "clock_ns", 0));
        break;
    }
}

// ---- a workload's own ----------------------------------------------------------

// Latencies of its operations, and its collections; nothing where it has neither.
void compose_pauses(struct document *document, const struct analysis *analysis,
                    const char *workload) {
    struct pool pools[MOST_POOLS];
    size_t count =
        pools_of(analysis, "blocks", workload, NULL, analysis->scale_threads, pools, MOST_POOLS);
    bool latencies = false, collections = false;
    for (size_t i = 0; i < count; i++) {
        latencies = latencies || pools[i].latency[0] > 0;
        collections = collections || pools[i].collections > 0;
    }
    if (!latencies && !collections) return;
    char *caption = format("%s on %d thread%s",
                           latencies && collections ? "Latency of an operation, and collections"
                           : latencies              ? "Latency of an operation"
                                                    : "Collections",
                           analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s");
    struct table table =
        table_make(caption, 1 + (latencies ? QUANTILES : 0) + (collections ? 4 : 0), 1);
    static const char *const quantiles[QUANTILES] = {
        "latency\nmedian", "latency\n90th percentile", "latency\n99th percentile",
        "latency\n99.9th percentile", "latency\nlongest"};
    free(caption);
    table_cell(&table, "backend");
    for (size_t q = 0; latencies && q < QUANTILES; q++) table_cell(&table, "%s", quantiles[q]);
    if (collections) {
        table_cell(&table, "collections\nall blocks");
        table_cell(&table, "time in pauses\nof the wall time");
        table_cell(&table, "pause\nmedian");
        table_cell(&table, "pause\nlongest");
    }
    for (size_t i = 0; i < count; i++) {
        const struct pool *pool = &pools[i];
        backend_cell(&table, analysis, pool->name);
        for (size_t q = 0; latencies && q < QUANTILES; q++)
            time_cell(&table, pool->latency[q], pool->latency[0] > 0);
        if (!collections) continue;
        table_cell(&table, "%.0f", pool->collections);
        table_cell(&table, pool->collections > 0 ? "%.1f %%" : "0", pause_share(pool));
        time_cell(&table, pool->median, pool->collections > 0);
        time_cell(&table, pool->longest, pool->collections > 0);
    }
    document_table(document, table);
}

// ---- all collections -------------------------------------------------------------

static void collections_row(struct table *table, const struct analysis *analysis,
                            const char *workload, const struct pool *pool) {
    table_cell(table, "%s", workload);
    backend_cell(table, analysis, pool->name);
    table_cell(table, "%.0f", pool->collections);
    table_cell(table, "%.0f", pool->full);
    table_cell(table, "%.1f %%", pause_share(pool));
    time_cell(table, pool->median, true);
    time_cell(table, pool->p99, true);
    time_cell(table, pool->longest, true);
    if (pool->examined > 0)
        count_cell(table, each(pool->examined, pool->collections));
    else
        table_cell(table, "–"); // Python does not tell
    count_cell(table, each(pool->collected + pool->uncollectable, pool->collections));
    time_cell(table, each(pool->pause, pool->examined), pool->examined > 0);
}

// Python tells none of this.
static bool is_split(const struct pool *pool) { return pool->mark > 0; }

static void split_row(struct table *table, const struct analysis *analysis, const char *workload,
                      const struct pool *pool) {
    const double parts[] = {pool->stop,  pool->mark, pool->finalize,
                            pool->check, pool->free, pool->reentry};
    table_cell(table, "%s", workload);
    backend_cell(table, analysis, pool->name);
    for (size_t i = 0; i < sizeof parts / sizeof *parts; i++)
        time_cell(table, each(parts[i], pool->collections), true);
    table_cell(table, "%.2g", each(pool->helpers, pool->collections));
    table_cell(table, "%s", *pool->last ? pool->last : "–");
}

static void compose_collections(struct document *document, const struct analysis *analysis) {
    struct table pauses = table_make(
        "Collections during the samples of all blocks; sizes are means, the median and the "
        "99th percentile medians over blocks",
        11, 2);
    struct table split = table_make(
        "Where a collection's time goes, means; and what the thread that came last to a stop "
        "was doing most often",
        10, 2);
    static const char *const heads[] = {"workload",       "backend",      "collections", "full",
                                        "time in pauses", "median pause", "99 %",        "longest",
                                        "examined",       "found",        "an object"};
    static const char *const split_heads[] = {"workload", "backend",  "stop", "mark",
                                              "finalize", "check",    "free", "re-entry",
                                              "helpers",  "came last"};
    struct pool pools[MOST_POOLS];
    size_t rows = 0;
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&pauses, "%s", heads[i]);
    for (size_t i = 0; i < sizeof split_heads / sizeof *split_heads; i++)
        table_cell(&split, "%s", split_heads[i]);
    for (size_t w = 0; w < analysis->workload_count; w++) {
        size_t count = pools_of(analysis, "blocks", analysis->workloads[w], NULL,
                                analysis->scale_threads, pools, MOST_POOLS);
        for (size_t i = 0; i < count; i++) {
            if (pools[i].collections == 0) continue;
            collections_row(&pauses, analysis, analysis->workloads[w], &pools[i]);
            if (is_split(&pools[i])) split_row(&split, analysis, analysis->workloads[w], &pools[i]);
            rows++;
        }
    }
    document_heading(document, 3, "Collections");
    if (rows) {
        document_paragraph(document,
                           "Of the blocks on %d thread%s. Workloads without a collection are left "
                           "out. With a GIL a pause is "
                           "the whole collection; without, from the request until the world ran "
                           "again, and finalizers and "
                           "frees run beside the other threads.",
                           analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s");
        document_table(document, pauses);
        document_table(document, split);
    } else {
        document_paragraph(document, "There was no collection on %d thread%s.",
                           analysis->scale_threads, analysis->scale_threads == 1 ? "" : "s");
        table_free(&pauses);
        table_free(&split);
    }
}

// ---- variants ------------------------------------------------------------------

static size_t variants_of(const struct analysis *analysis, const char *workload,
                          const char *variants[MOST_POOLS]) {
    const json_t *block;
    size_t count = 0, index;
    json_array_foreach(json_object_get(analysis->root, "variants"), index, block) {
        const char *variant = object_string(block, "variant", "");
        bool known = strcmp(object_string(block, "workload", ""), workload) != 0;
        for (size_t i = 0; i < count; i++) known = known || strcmp(variants[i], variant) == 0;
        if (!known && count < MOST_POOLS) variants[count++] = variant;
    }
    return count;
}

// A row a backend and thread count, a column a variant; what a cell shows is the caller's.
static bool variants_table(struct document *document, const struct analysis *analysis,
                           const char *workload, const char *caption,
                           void (*cell)(struct table *, const struct pool *)) {
    const char *variants[MOST_POOLS];
    size_t count = variants_of(analysis, workload, variants);
    int threads[2];
    size_t thread_count = thread_counts(analysis, threads);
    if (count == 0) return false;
    struct table table = table_make(caption, count + 2, 1);
    table_cell(&table, "backend");
    table_cell(&table, "threads");
    for (size_t v = 0; v < count; v++) table_cell(&table, "%s", variants[v]);
    const json_t *python = json_array_get(json_object_get(analysis->root, "python"), 0);
    for (size_t t = 0; t < thread_count; t++)
        for (size_t b = 0; b < analysis->backend_count + (python != NULL); b++) {
            bool own = b < analysis->backend_count;
            const char *name = own ? analysis->backends[b] : object_string(python, "backend", "");
            struct pool pools[MOST_POOLS];
            bool any = false;
            for (size_t v = 0; v < count; v++) {
                pools[v] = pool_make(analysis, own ? "variants" : "python", workload, variants[v],
                                     name, threads[t]);
                any = any || pools[v].blocks;
            }
            if (!any) continue;
            backend_cell(&table, analysis, name);
            table_cell(&table, "%d", threads[t]);
            for (size_t v = 0; v < count; v++) cell(&table, &pools[v]);
        }
    document_table(document, table);
    return true;
}

static void live_cell(struct table *table, const struct pool *pool) {
    if (pool->blocks && pool->examined > 0)
        table_cell(table, "%.0f ns (%.2f ms)", pool->pause / pool->examined, pool->median / 1e6);
    else
        table_cell(table, "–");
}

static void garbage_cell(struct table *table, const struct pool *pool) {
    if (pool->blocks && pool->rate > 0)
        table_cell(table, "%.0f ns (%.0f %% freed)", 1e9 / pool->rate,
                   100 * each(pool->collected, pool->collected + pool->uncollectable));
    else
        table_cell(table, "–");
}

static void growth_cell(struct table *table, const struct pool *pool) {
    if (pool->blocks && pool->operations > 0)
        table_cell(table, "%.1f ns of %.0f", pool->pause / pool->operations, each(1e9, pool->rate));
    else
        table_cell(table, "–");
}

// Points are the variants that set nodes and nothing else.
static void plot_live(struct document *document, const struct analysis *analysis) {
    const char *variants[MOST_POOLS];
    size_t count = variants_of(analysis, "gc-live", variants), lines = 0;
    struct plot_line line[MOST_POOLS];
    int threads = analysis->scale_threads;
    struct pool pools[MOST_POOLS];
    for (size_t v = 0; v < count; v++) {
        if (strncmp(variants[v], "nodes=", 6) != 0 || strchr(variants[v], ',')) continue;
        size_t found =
            pools_of(analysis, "variants", "gc-live", variants[v], threads, pools, MOST_POOLS);
        for (size_t i = 0; i < found; i++) {
            size_t at = 0;
            while (at < lines && strcmp(line[at].name, pools[i].name) != 0) at++;
            if (at == lines)
                line[lines++] = (struct plot_line){
                    .name = pools[i].name, .place = analysis_place(analysis, pools[i].name)};
            line[at].x[line[at].count] = strtod(variants[v] + 6, NULL);
            line[at].y[line[at].count++] = pools[i].median / 1e6;
        }
    }
    char *svg = plot_lines(line, lines, "live objects", "median pause in milliseconds");
    if (svg)
        document_plot(
            document, svg,
            "the pause of a full collection against live objects; the table has the numbers");
    free(svg);
}

static void compose_variants(struct document *document, const struct analysis *analysis) {
    const char *variants[MOST_POOLS];
    if (variants_of(analysis, "gc-live", variants)) {
        document_heading(document, 3, "A pause against live objects");
        document_paragraph(
            document,
            "Full collections of a graph that is all alive, by gc-live. A pause grows with what "
            "is alive, not with what is garbage. With more than one thread the others are parked "
            "in the pause, and without a GIL they may help to mark.");
        plot_live(document, analysis);
        variants_table(document, analysis, "gc-live",
                       "Nanoseconds of pause an object examined, and the median pause", live_cell);
    }
    if (variants_of(analysis, "gc-garbage", variants)) {
        document_heading(document, 3, "Garbage, and finalizers in it");
        document_paragraph(document, "Dead cycles of two instances, by gc-garbage: without "
                                     "finalizers; with, as since PEP 442; "
                                     "and as in Python 2, where a cycle with a finalizer was never "
                                     "freed but put on a list.");
        variants_table(
            document, analysis, "gc-garbage",
            "Nanoseconds of a collection an object found, and how many of those it freed",
            garbage_cell);
    }
    if (variants_of(analysis, "gc-growth", variants)) {
        document_heading(document, 3, "A heap that grows");
        document_paragraph(
            document,
            "Lists that all stay alive, made with automatic collection on, by gc-growth. Where the "
            "figures of a row rise with the size, the work grows faster than the heap.");
        variants_table(document, analysis, "gc-growth",
                       "Nanoseconds in pauses a list made, of all the time a list takes",
                       growth_cell);
    }
}

void compose_collector(struct document *document, const struct analysis *analysis) {
    if (analysis->cell_count == 0) return;
    document_heading(document, 2, "The cycle collector");
    compose_tasks(document, analysis);
    compose_collections(document, analysis);
    compose_variants(document, analysis);
}
