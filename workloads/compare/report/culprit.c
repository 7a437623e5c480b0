// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Why a workload scales badly: the contended objects, by type, owner and the place that
// made them, from the counting pass; and where none were, what else the counters say.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// Fewer contended events than this per second of one thread explain nothing: a wait for a
// lock, the dearest, takes some 10 us.
static const double LEAST_CONTENTION = 1000;
// Below these a further cause is not named: parts of the time, pieces per operation,
// context switches per second of one thread.
static const double LEAST_TIME = 0.05, LEAST_PIECES = 0.1, LEAST_SWITCHES = 500;
enum { SHOWN_ROWS = 4 };

static double row_events(const struct contention *row) {
    double sum = 0;
    for (size_t i = 0; i < CONTENTION_EVENTS; i++)
        sum += strcmp(contention_events[i], "handovers") == 0 ? 0 : row->events[i];
    return sum;
}

// Contended events per second of one thread.
static double contention_rate(const struct run *run) {
    double sum = 0;
    for (size_t i = 0; i < run->contention_count; i++) sum += row_events(&run->contention[i]);
    return run->seconds > 0 ? sum / run->seconds / run->threads : 0;
}

static double event(const struct run *run, const char *name) {
    return object_number(run->counters, name, 0);
}

static const char *semicolon(const struct text *causes) { return causes->length ? "; " : ""; }

// What the counters say beside contention.
static void add_causes(const struct run *run, struct runs timed, struct text *causes) {
    double wall = run->seconds * 1e9;
    if (run->oversubscribed) text_add(causes, "more threads than cores");
    if (json_is_object(run->gil))
        text_add(
            causes,
            "%sthe GIL, which lets one thread run at a time (%.3g waits and %.3g handovers per "
            "second)",
            semicolon(causes), event(run, "gil_waits") / run->seconds,
            event(run, "gil_handovers") / run->seconds);
    double pauses = SUM(timed, collector.pause.total) / SUM(timed, collector.watched);
    if (pauses > LEAST_TIME)
        text_add(causes, "%scollections, in whose pauses threads waited %.0f %% of the time",
                 semicolon(causes), pauses * 100);
    if (event(run, "stop_ns") > LEAST_TIME * wall)
        text_add(causes, "%sthe time until the world was stopped, %.0f %% of all (%.3g stops)",
                 semicolon(causes), event(run, "stop_ns") / wall * 100, event(run, "stops"));
    double remote = run_event(run, "frees_remote"), retired = run_event(run, "retired");
    if (remote > LEAST_PIECES || retired > LEAST_PIECES)
        text_add(causes,
                 "%smemory of other threads (per operation %.2g frees of it, and %.2g pieces that "
                 "wait for a grace period)",
                 semicolon(causes), remote, retired);
    double switches = 0, seconds = SUM(timed, seconds) * run->threads;
    for (size_t i = 0; i < timed.count; i++)
        switches += object_number(timed.items[i].perf_counts, "context_switches", 0);
    if (!json_is_object(run->gil) && !run->oversubscribed && switches / seconds > LEAST_SWITCHES)
        text_add(causes, "%sthreads that sleep (%.3g context switches per second of each)",
                 semicolon(causes), switches / seconds);
}

static const char *owner_of(struct document *document, const struct contention *row) {
    return row->owner == 0   ? "no thread"
           : row->owner == 1 ? "main thread"
                             : keep(document, "thread %d", row->owner);
}

static void say_culprit(struct document *document, const char *backend, struct interval speedup,
                        const struct run *run, struct runs timed) {
    struct text causes = {0};
    char *times = show_ratio(speedup), *rate = show_rate(run ? contention_rate(run) : 0);
    if (run) add_causes(run, timed, &causes);
    if (!run || !run->contention_told)
        document_bullet(document, "**%s** (%s times): contention was not counted.", backend, times);
    else if (contention_rate(run) >= LEAST_CONTENTION)
        document_bullet(document,
                        "**%s** (%s times): most contended are objects of type **%s**, of %s, made "
                        "in **%s**: %.0f %% of %s events per second of each thread.%s%s%s",
                        backend, times, run->contention[0].type,
                        owner_of(document, &run->contention[0]), run->contention[0].place,
                        run->contention[0].share * 100, rate, causes.length ? " Besides: " : "",
                        text_string(&causes), causes.length ? "." : "");
    else if (causes.length)
        document_bullet(document,
                        "**%s** (%s times): no object was contended. What was counted: %s.",
                        backend, times, text_string(&causes));
    else
        document_bullet(
            document,
            "**%s** (%s times): no object was contended, and none of the counters "
            "explains it. Memory bandwidth, caches, clocks and sleeping threads are not "
            "counted.",
            backend, times);
    free(rate);
    free(times);
    text_free(&causes);
}

struct culprit_row {
    const char *backend, *type, *owner, *place;
    double share, events[CONTENTION_EVENTS];
};

static size_t culprit_rows(struct document *document, const struct run *run,
                           struct culprit_row *rows) {
    size_t count = 0;
    for (size_t i = 0; i < run->contention_count && count < SHOWN_ROWS; i++) {
        const struct contention *row = &run->contention[i];
        if (row->share < 0.01) break;
        rows[count] = (struct culprit_row){.backend = run->backend,
                                           .type = row->type,
                                           .owner = owner_of(document, row),
                                           .place = row->place,
                                           .share = row->share};
        for (size_t e = 0; e < CONTENTION_EVENTS; e++)
            rows[count].events[e] = run->operations > 0 ? row->events[e] / run->operations : NAN;
        count++;
    }
    return count;
}

void part_culprit(struct document *document, const struct analysis *analysis,
                  const struct workload *workload) {
    static const char *const heads[CONTENTION_EVENTS] = {
        "lost swaps", "lock waits", "handovers", "biases taken", "merges", "counts by others"};
    int threads = analysis->scale_threads;
    size_t count = 0, bad = 0;
    struct culprit_row *rows = checked_calloc(analysis->backend_count * SHOWN_ROWS, sizeof *rows);
    for (size_t b = 0; threads > 1 && b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        const struct cell *many = analysis_cell(analysis, workload->name, backend, threads);
        struct interval speedup =
            cells_ratio(analysis, many, analysis_cell(analysis, workload->name, backend, 1));
        if (!speedup.known || speedup.high >= SCALES_BADLY * threads) continue;
        if (bad++ == 0)
            document_paragraph(document,
                               "%d threads do less than %.2g times the work of one:", threads,
                               SCALES_BADLY * threads);
        const struct run *run = counted_run(analysis, workload->name, backend, threads);
        say_culprit(document, backend, speedup, run, many->runs);
        if (run && contention_rate(run) >= LEAST_CONTENTION)
            count += culprit_rows(document, run, rows + count);
    }
    struct column columns[5 + CONTENTION_EVENTS] = {
        COLUMN("backend", BACKEND, culprit_row, backend, 0),
        COLUMN("type", TEXT, culprit_row, type, 0), COLUMN("owner", TEXT, culprit_row, owner, 0),
        COLUMN("made in", TEXT, culprit_row, place, 0),
        COLUMN("share", PERCENT, culprit_row, share, 0)};
    for (size_t e = 0; e < CONTENTION_EVENTS; e++)
        columns[5 + e] = (struct column){
            heads[e], NUMBER, offsetof(struct culprit_row, events) + e * sizeof(double), 0};
    TABLE_OF(document,
             "Contended objects, and events per operation of all threads, from the counting pass",
             columns, rows, count);
    free(rows);
}
