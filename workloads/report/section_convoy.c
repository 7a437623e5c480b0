// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The convoy: how soon a thread that waits for a socket answers beside busy
// threads.  The times of all processes are pooled; how far the processes are
// apart is shown beside.
#include "compose.h"
#include "plots.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_POOLS = 128, SHOWN_BUSY = 2 };

struct pool {
    const char *backend, *scheme;
    int busy;
    size_t processes, count;
    double *times;          // milliseconds, ascending
    double low[2], high[2]; // over processes, of the median and the 99th percentile
    double operations;      // of the busy threads, a second; mean over processes
    double interval_us;
};

static const double spread_at[2] = {0.5, 0.99};

static int compare_doubles(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

// Nearest rank.
static double time_at(const double *times, size_t count, double share) {
    size_t rank = (size_t)(share * (double)count);
    return count == 0 ? 0 : times[rank < count ? rank : count - 1];
}

static double pool_at(const struct pool *pool, double share) {
    return time_at(pool->times, pool->count, share);
}

static struct pool *pool_of(struct pool pools[], size_t *count, const json_t *block) {
    const char *backend = object_string(block, "backend", ""),
               *scheme = object_string(block, "scheme", "");
    int busy = (int)object_number(block, "busy", 0);
    for (size_t i = 0; i < *count; i++)
        if (pools[i].busy == busy && strcmp(pools[i].backend, backend) == 0 &&
            strcmp(pools[i].scheme, scheme) == 0)
            return &pools[i];
    if (*count == MOST_POOLS) return NULL;
    pools[*count] = (struct pool){.backend = backend, .scheme = scheme, .busy = busy};
    return &pools[(*count)++];
}

static void pool_add(struct pool *pool, const json_t *block) {
    const json_t *times = json_object_get(block, "times_ms"), *time;
    size_t index, added = json_array_size(times);
    pool->times = checked_realloc(pool->times, (pool->count + added) * sizeof *pool->times);
    double *here = pool->times + pool->count;
    json_array_foreach(times, index, time) here[index] = json_number_value(time);
    for (size_t i = 0; i < 2; i++) {
        double value = time_at(here, added, spread_at[i]);
        pool->low[i] = pool->processes ? fmin(pool->low[i], value) : value;
        pool->high[i] = fmax(pool->high[i], value);
    }
    double operations = object_number(block, "busy_operations_per_second", 0);
    pool->operations =
        (pool->operations * (double)pool->processes + operations) / (double)(pool->processes + 1);
    pool->interval_us = object_number(block, "interval_us", 0);
    pool->count += added;
    pool->processes++;
}

static size_t backend_rank(const json_t *root, const char *backend) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(root, "backends"), index,
                       entry) if (strcmp(object_string(entry, "name", ""), backend) == 0) break;
    return index;
}

static const json_t *order_root;

// By busy threads, then as the backends, then ticks, cpython, deadline.
static int compare_pools(const void *a, const void *b) {
    const struct pool *x = a, *y = b;
    size_t rank_x = backend_rank(order_root, x->backend),
           rank_y = backend_rank(order_root, y->backend);
    if (x->busy != y->busy) return x->busy - y->busy;
    if (rank_x != rank_y) return rank_x < rank_y ? -1 : 1;
    if (strcmp(x->scheme, "ticks") == 0 || strcmp(y->scheme, "ticks") == 0)
        return strcmp(y->scheme, x->scheme);
    return strcmp(x->scheme, y->scheme);
}

static char *name_of(const struct pool *pool) {
    bool gil = strcmp(pool->scheme, "none") != 0;
    return gil ? format("%s, %s", pool->backend, pool->scheme) : checked_strdup(pool->backend);
}

static void add_table(struct document *document, const struct pool pools[], size_t count) {
    static const char *const heads[] = {"scheme",
                                        "busy threads",
                                        "answers",
                                        "50 %\nms",
                                        "50 % of each process\nms",
                                        "90 %\nms",
                                        "99 %\nms",
                                        "99 % of each process\nms",
                                        "longest\nms",
                                        "their operations a second\nall busy threads"};
    struct table table = table_make("Milliseconds until an answer; of each process: least to most",
                                    sizeof heads / sizeof *heads, 1);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < count; i++) {
        const struct pool *pool = &pools[i];
        char *name = name_of(pool), *rate = pool->busy ? show_rate(pool->operations) : format("–");
        table_cell(&table, "%s", name);
        table_cell(&table, "%d", pool->busy);
        table_cell(&table, "%zu", pool->count);
        table_cell(&table, "%.3f", pool_at(pool, 0.5));
        table_cell(&table, "%.3f to %.3f", pool->low[0], pool->high[0]);
        table_cell(&table, "%.3f", pool_at(pool, 0.9));
        table_cell(&table, "%.3f", pool_at(pool, 0.99));
        table_cell(&table, "%.3f to %.3f", pool->low[1], pool->high[1]);
        table_cell(&table, "%.3f", pool_at(pool, 1));
        table_cell(&table, "%s", rate);
        free(rate);
        free(name);
    }
    document_table(document, table);
}

static const struct pool *find(const struct pool pools[], size_t count, const struct pool *like,
                               int busy) {
    for (size_t i = 0; i < count; i++)
        if (pools[i].busy == busy && strcmp(pools[i].backend, like->backend) == 0 &&
            strcmp(pools[i].scheme, like->scheme) == 0)
            return &pools[i];
    return NULL;
}

static void say(struct document *document, const struct pool pools[], size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct pool *pool = &pools[i], *alone = find(pools, count, pool, 0);
        if (pool->busy != SHOWN_BUSY) continue;
        char *name = name_of(pool), *than = alone
                                                ? format("; beside none %.3f and %.3f ms",
                                                         pool_at(alone, 0.5), pool_at(alone, 0.99))
                                                : checked_strdup("");
        document_bullet(document,
                        "**%s**: beside %d busy threads half of the answers take up to %.3f ms, "
                        "one in a hundred more than %.3f ms%s.",
                        name, SHOWN_BUSY, pool_at(pool, 0.5), pool_at(pool, 0.99), than);
        free(than);
        free(name);
    }
}

// Times against the share of answers that are as quick, beside two busy threads.
static void plot_percentiles(struct document *document, const struct pool pools[], size_t count) {
    static const double shares[] = {0, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99, 0.999};
    struct plot_line lines[MOST_POOLS];
    char *names[MOST_POOLS];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        const struct pool *pool = &pools[i];
        if (pool->busy != SHOWN_BUSY) continue;
        struct plot_line *line = &lines[used];
        *line = (struct plot_line){.name = names[used] = name_of(pool), .place = used};
        used++;
        // A share that more answers than there are would have to show is left out.
        for (size_t s = 0; s < sizeof shares / sizeof *shares &&
                           shares[s] * (double)pool->count <= (double)pool->count - 1;
             s++) {
            line->x[line->count] = 1 / (1 - shares[s]);
            line->y[line->count++] = pool_at(pool, shares[s]);
        }
    }
    char *label = format("milliseconds, beside %d busy threads", SHOWN_BUSY);
    char *svg = plot_lines_with(lines, used, "answers as quick as this", label,
                                "set xtics ('quickest' 1, '50 %%' 2, '75 %%' 4, '90 %%' 10, '99 "
                                "%%' 100, '99.9 %%' 1000)\n");
    if (svg)
        document_plot(
            document, svg,
            "the time of an answer against the share of answers as quick, beside two busy threads");
    free(svg);
    free(label);
    for (size_t i = 0; i < used; i++) free(names[i]);
}

static void plot_tails(struct document *document, const struct pool pools[], size_t count) {
    struct plot_line lines[MOST_POOLS];
    char *names[MOST_POOLS];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        char *name = name_of(&pools[i]);
        size_t at = 0;
        while (at < used && strcmp(names[at], name) != 0) at++;
        if (at == used) {
            names[used] = name;
            lines[used] = (struct plot_line){.name = name, .place = used};
            used++;
        } else {
            free(name);
        }
        lines[at].x[lines[at].count] = pools[i].busy;
        lines[at].y[lines[at].count++] = pool_at(&pools[i], 0.99);
    }
    char *svg =
        plot_lines_with(lines, used, "busy threads", "99th percentile, milliseconds",
                        "unset logscale x\nset xrange [-0.2:4.2]\nset xtics (0, 1, 2, 4)\n");
    if (svg)
        document_plot(document, svg,
                      "the 99th percentile of an answer's time against busy threads");
    free(svg);
    for (size_t i = 0; i < used; i++) free(names[i]);
}

static double interval_of_all(const struct pool pools[], size_t count) {
    double interval = 0;
    for (size_t i = 0; i < count; i++) interval = fmax(interval, pools[i].interval_us);
    return interval;
}

// What could not be measured although it belongs to the run, of one workload.
void compose_left_out(struct document *document, const struct analysis *analysis,
                      const char *workload) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(analysis->root, "left_out"), index,
                       entry) if (strcmp(object_string(entry, "workload", ""), workload) == 0)
        document_paragraph(document, "%s was not measured: %s.", workload,
                           object_string(entry, "why", ""));
}

void compose_convoy(struct document *document, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "convoy"), *block;
    struct pool pools[MOST_POOLS];
    size_t count = 0, index;
    compose_left_out(document, analysis, "convoy");
    json_array_foreach(blocks, index, block) {
        struct pool *pool = pool_of(pools, &count, block);
        if (pool) pool_add(pool, block);
    }
    if (count == 0) return;
    for (size_t i = 0; i < count; i++)
        qsort(pools[i].times, pools[i].count, sizeof *pools[i].times, compare_doubles);
    order_root = analysis->root;
    qsort(pools, count, sizeof *pools, compare_pools);
    document_heading(document, 2, "Convoys: the answer of a thread that waits, beside busy ones");
    document_paragraph(document, "A thread waits for a socket and answers each byte after a little "
                                 "work on objects; others never wait. With a "
                                 "global lock the answer has to wait for the lock as well. "
                                 "**ticks**: the holder lets go after 100 safepoints, "
                                 "and whoever is quicker takes it (before CPython 3.2). "
                                 "**cpython**: a waiter asks after an interval in which the lock "
                                 "has not changed hands, and any waiter may take it. **deadline**: "
                                 "each waiter's own interval after it came, "
                                 "first come, first served.");
    say(document, pools, count);
    if (interval_of_all(pools, count) > 0)
        document_paragraph(document, "The switch interval of cpython and deadline is %g ms.",
                           interval_of_all(pools, count) / 1000);
    plot_percentiles(document, pools, count);
    plot_tails(document, pools, count);
    add_table(document, pools, count);
    for (size_t i = 0; i < count; i++) free(pools[i].times);
}
