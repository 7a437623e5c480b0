// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The task server under load: throughput and latency against worker threads, with the model as
// cycles and with weak references.  A row is the median over the runs of a place.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct server_row {
    const char *backend, *version;
    double threads, requests, p50, p90, p99, longest, collections, pause, memory;
    struct span each;
};

static struct server_row row_of(struct runs runs) {
    // A percentile takes answers that show it.
    bool carried = carries_quantile(LEAST(runs, operations), 0.99);
    return (struct server_row){
        .backend = runs.items->backend,
        .version = runs.items->variant,
        .threads = runs.items->threads,
        .requests = MEDIAN(runs, server[REQUESTS]),
        .each = {LEAST(runs, server[REQUESTS]), MOST(runs, server[REQUESTS])},
        .p50 = MEDIAN(runs, server[P50]) / 1e3,
        .p90 = carried ? MEDIAN(runs, server[P90]) / 1e3 : NAN,
        .p99 = carried ? MEDIAN(runs, server[P99]) / 1e3 : NAN,
        .longest = MEDIAN(runs, server[LONGEST]) / 1e3,
        .collections = MEDIAN(runs, server[COLLECTIONS]),
        .pause = MEDIAN(runs, server[PAUSE]),
        .memory = MEDIAN(runs, server[MEMORY]) / (1 << 20)};
}

// By backend, then version, then threads.
static size_t server_rows(const struct analysis *analysis, struct runs servers,
                          struct server_row *rows) {
    static const char *const versions[] = {"cycles", "weak references"};
    const struct results *results = analysis->results;
    size_t count = 0;
    for (size_t b = 0; b < results->backend_count; b++)
        for (size_t v = 0; v < 2; v++)
            for (size_t i = 0, next; i < servers.count; i = next) {
                struct key key = run_key(&servers.items[i]);
                struct runs runs = runs_at(results, &key);
                next = i + runs.count;
                if (strcmp(key.backend, results->backends[b].name) == 0 &&
                    strcmp(key.variant, versions[v]) == 0)
                    rows[count++] = row_of(runs);
            }
    return count;
}

static bool same_line(const struct server_row *one, const struct server_row *other) {
    return strcmp(one->backend, other->backend) == 0 && strcmp(one->version, other->version) == 0;
}

// Weak references against cycles, on the most workers of each backend.
static void say(struct document *document, const struct server_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) {
        const struct server_row *cycles = &rows[i], *weak = NULL;
        if (strcmp(cycles->version, "cycles") != 0 ||
            (i + 1 < count && same_line(cycles, &rows[i + 1])))
            continue;
        for (size_t k = i + 1; k < count; k++)
            if (strcmp(rows[k].backend, cycles->backend) == 0 && rows[k].threads == cycles->threads)
                weak = &rows[k];
        if (!weak) continue;
        document_bullet(
            document,
            "**%s** on %.0f worker%s: %s requests per second with cycles, longest pause "
            "%.2f ms; %s with weak references, %.2f ms.",
            cycles->backend, cycles->threads, plural(cycles->threads),
            keep_rate(document, cycles->requests), cycles->pause,
            keep_rate(document, weak->requests), weak->pause);
    }
}

void section_server(struct document *document, const struct analysis *analysis) {
    struct runs servers = runs_of(analysis->results, LIST_SERVERS);
    say_left_out(document, analysis, "task-server");
    if (servers.count == 0) return;
    struct server_row *rows = checked_calloc(servers.count, sizeof *rows);
    size_t count = server_rows(analysis, servers, rows);
    document_heading(document, 2, "A server: tasks over HTTP");
    document_paragraph(
        document,
        "A server of tasks and their subtasks under the load of wrk on loopback, "
        "%.0f connections for %.0f s per process. A subtask refers to its task "
        "plainly (**cycles**, left to the collector) or weakly. wrk runs on the same "
        "processors. Every answer was good: a run with one that is not fails.",
        servers.items->connections, servers.items->seconds);
    say(document, rows, count);
    const struct column columns[] = {
        COLUMN("backend", BACKEND, server_row, backend, 0),
        COLUMN("model", TEXT, server_row, version, 0),
        COLUMN("worker threads", COUNT, server_row, threads, 0),
        COLUMN("requests per second\nall threads", RATE, server_row, requests, 0),
        COLUMN("of each process\nleast to most", SPAN, server_row, each, 0),
        COLUMN("50 %\nms", NUMBER, server_row, p50, 2),
        COLUMN("90 %\nms", NUMBER, server_row, p90, 2),
        COLUMN("99 %\nms", NUMBER, server_row, p99, 2),
        COLUMN("longest\nms", NUMBER, server_row, longest, 2),
        COLUMN("collections", COUNT, server_row, collections, 0),
        COLUMN("longest pause\nms", NUMBER, server_row, pause, 2),
        COLUMN("peak memory\nMiB", NUMBER, server_row, memory, 1),
    };
    TABLE_OF(document, "Medians over processes", columns, rows, count);
    free(rows);
}
