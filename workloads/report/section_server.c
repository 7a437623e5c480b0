// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task server under load: throughput and latency against worker threads, with
// the model as cycles and with weak references.  A row is the median over the
// processes of one place.
#include "compose.h"
#include "plots.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_ROWS = 256, MOST_BLOCKS = 64, VERSIONS = 2 };
enum figure { REQUESTS, P50, P90, P99, LONGEST, COLLECTIONS, PAUSE, MEMORY, FIGURES };

struct row {
    const char *backend;
    int version, threads;
    size_t count;
    double values[FIGURES][MOST_BLOCKS];
};

static const char *const version_names[] = {"", "cycles", "weak references"};

static void read_figures(struct row *row, const json_t *block) {
    const json_t *load = json_object_get(block, "load"),
                 *times = json_object_get(load, "latency_us");
    const json_t *server = json_object_get(block, "server"),
                 *collections = json_object_get(server, "collections");
    const double values[FIGURES] = {[REQUESTS] = object_number(load, "requests_per_second", 0),
                                    [P50] = object_number(times, "p50", 0) / 1e3,
                                    [P90] = object_number(times, "p90", 0) / 1e3,
                                    [P99] = object_number(times, "p99", 0) / 1e3,
                                    [LONGEST] = object_number(times, "max", 0) / 1e3,
                                    [COLLECTIONS] = object_number(collections, "count", 0),
                                    [PAUSE] = object_number(collections, "pause_ms_max", 0),
                                    [MEMORY] =
                                        object_number(server, "peak_memory_bytes", 0) / (1 << 20)};
    if (row->count == MOST_BLOCKS) return;
    for (size_t f = 0; f < FIGURES; f++) row->values[f][row->count] = values[f];
    row->count++;
}

static struct row *row_of(struct row *rows, size_t *count, const json_t *block) {
    const char *backend = object_string(block, "backend", "");
    int version = (int)object_number(block, "version", 0),
        threads = (int)object_number(block, "threads", 0);
    for (size_t i = 0; i < *count; i++)
        if (rows[i].version == version && rows[i].threads == threads &&
            strcmp(rows[i].backend, backend) == 0)
            return &rows[i];
    if (*count == MOST_ROWS) return NULL;
    rows[*count] = (struct row){.backend = backend, .version = version, .threads = threads};
    return &rows[(*count)++];
}

static double figure(const struct row *row, enum figure which) {
    double values[MOST_BLOCKS];
    memcpy(values, row->values[which], row->count * sizeof *values);
    return median(values, row->count);
}

static void range(const struct row *row, enum figure which, double *low, double *high) {
    *low = *high = row->values[which][0];
    for (size_t i = 1; i < row->count; i++) {
        *low = fmin(*low, row->values[which][i]);
        *high = fmax(*high, row->values[which][i]);
    }
}

static const json_t *order_root;

static size_t backend_rank(const char *backend) {
    const json_t *entry;
    size_t index;
    json_array_foreach(json_object_get(order_root, "backends"), index,
                       entry) if (strcmp(object_string(entry, "name", ""), backend) == 0) break;
    return index;
}

static int compare_rows(const void *a, const void *b) {
    const struct row *x = a, *y = b;
    size_t rank_x = backend_rank(x->backend), rank_y = backend_rank(y->backend);
    if (rank_x != rank_y) return rank_x < rank_y ? -1 : 1;
    return x->version != y->version ? x->version - y->version : x->threads - y->threads;
}

static void add_table(struct document *document, const struct row *rows, size_t count) {
    static const char *const heads[] = {"backend",
                                        "model",
                                        "worker threads",
                                        "requests a second\nall threads",
                                        "of each process\nleast to most",
                                        "50 %\nms",
                                        "90 %\nms",
                                        "99 %\nms",
                                        "longest\nms",
                                        "collections",
                                        "longest pause\nms",
                                        "peak memory\nMiB"};
    struct table table = table_make("Medians over processes", sizeof heads / sizeof *heads, 2);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&table, "%s", heads[i]);
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &rows[i];
        double least, most;
        range(row, REQUESTS, &least, &most);
        char *rate = show_rate(figure(row, REQUESTS)), *low = show_rate(least),
             *high = show_rate(most);
        table_cell(&table, "%s", row->backend);
        table_cell(&table, "%s", version_names[row->version <= VERSIONS ? row->version : 0]);
        table_cell(&table, "%d", row->threads);
        table_cell(&table, "%s", rate);
        table_cell(&table, "%s to %s", low, high);
        for (enum figure f = P50; f <= LONGEST; f++) table_cell(&table, "%.2f", figure(row, f));
        table_cell(&table, "%.0f", figure(row, COLLECTIONS));
        table_cell(&table, "%.2f", figure(row, PAUSE));
        table_cell(&table, "%.1f", figure(row, MEMORY));
        free(high);
        free(low);
        free(rate);
    }
    document_table(document, table);
}

static void plot(struct document *document, const struct row *rows, size_t count, enum figure which,
                 const char *label, const char *about) {
    struct plot_line lines[MOST_ROWS];
    char *names[MOST_ROWS];
    size_t used = 0;
    for (size_t i = 0; i < count; i++) {
        if (i == 0 || rows[i].version != rows[i - 1].version ||
            strcmp(rows[i].backend, rows[i - 1].backend) != 0) {
            names[used] = format("%s, %s", rows[i].backend,
                                 version_names[rows[i].version <= VERSIONS ? rows[i].version : 0]);
            lines[used] = (struct plot_line){.name = names[used], .place = used};
            used++;
        }
        struct plot_line *line = &lines[used - 1];
        if (line->count == sizeof line->x / sizeof *line->x) continue;
        line->x[line->count] = rows[i].threads;
        line->y[line->count++] = figure(&rows[i], which);
    }
    char *svg = plot_lines_with(lines, used, "worker threads", label,
                                which == REQUESTS ? "unset logscale y\nset yrange [0:*]\n" : "");
    if (svg) document_plot(document, svg, about);
    free(svg);
    for (size_t i = 0; i < used; i++) free(names[i]);
}

// Weak references against cycles, on the most workers of each backend.
static void say(struct document *document, const struct row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct row *cycles = &rows[i], *weak = NULL;
        bool most = i + 1 == count || rows[i + 1].version != cycles->version ||
                    strcmp(rows[i + 1].backend, cycles->backend) != 0;
        for (size_t k = i + 1; k < count && !weak; k++)
            if (rows[k].version == 2 && rows[k].threads == cycles->threads &&
                strcmp(rows[k].backend, cycles->backend) == 0)
                weak = &rows[k];
        if (cycles->version != 1 || !most || !weak) continue;
        char *with = show_rate(figure(cycles, REQUESTS)),
             *without = show_rate(figure(weak, REQUESTS));
        document_bullet(document,
                        "**%s** on %d worker%s: %s requests a second with cycles, 99 %% answered "
                        "in %.2f ms, longest pause %.2f ms; %s "
                        "with weak references, %.2f ms, %.2f ms.",
                        cycles->backend, cycles->threads, cycles->threads == 1 ? "" : "s", with,
                        figure(cycles, P99), figure(cycles, PAUSE), without, figure(weak, P99),
                        figure(weak, PAUSE));
        free(without);
        free(with);
    }
}

void compose_server(struct document *document, const struct analysis *analysis) {
    const json_t *blocks = json_object_get(analysis->root, "servers"), *block,
                 *first = json_array_get(blocks, 0);
    struct row *rows = checked_calloc(MOST_ROWS, sizeof *rows);
    size_t count = 0, index;
    compose_left_out(document, analysis, "task-server");
    json_array_foreach(blocks, index, block) {
        struct row *row = row_of(rows, &count, block);
        if (row) read_figures(row, block);
    }
    if (count) {
        order_root = analysis->root;
        qsort(rows, count, sizeof *rows, compare_rows);
        document_heading(document, 2, "A server: tasks over HTTP");
        document_paragraph(document,
                           "A server of tasks and their subtasks under the load of wrk on "
                           "loopback, %.0f connections for %.0f s a process. A "
                           "subtask refers to its task plainly (**cycles**, left to the collector) "
                           "or weakly. wrk runs on the same "
                           "processors. Every answer was good: one that is not makes a block fail.",
                           object_number(first, "connections", 0),
                           object_number(first, "seconds", 0));
        say(document, rows, count);
        plot(document, rows, count, REQUESTS, "requests a second",
             "requests a second against worker threads");
        plot(document, rows, count, P99, "99th percentile, milliseconds",
             "the 99th percentile of latency against worker threads");
        add_table(document, rows, count);
    }
    free(rows);
}
