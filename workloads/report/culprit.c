// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Who is to blame where a workload scales badly: the objects that were fought
// over, by type, owner and the place that made them, from the counting pass; and
// where nobody fought, what else it is.
#include "compose.h"
#include "results.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// Scales badly: the speedup is below this part of the threads.
static const double good_share = 0.7;
// Fewer fights than this in a second of one thread explain nothing: a lock wait,
// the dearest, takes some 10 us.
static const double least_fights = 1000;
// Below these a further cause is not named: parts of the time, pieces an operation.
static const double least_time = 0.05, least_pieces = 0.1;

enum { SHOWN_ROWS = 4 };

struct suspect {
    const char *backend;
    const json_t *block; // of the counting pass, or NULL
    struct interval speedup;
    double seconds, operations; // of that block: seconds of all threads together
};

static const char *const fights[] = {"lost_cas", "lock_waits", "revocations", "merges",
                                     "shared_counts"};
enum { FIGHTS = sizeof fights / sizeof *fights };

static const json_t *counted_block(const struct analysis *analysis, const char *workload,
                                   const char *backend) {
    const json_t *blocks = json_object_get(analysis->root, "counted"), *block;
    size_t index;
    json_array_foreach(blocks, index,
                       block) if (strcmp(object_string(block, "workload", ""), workload) == 0 &&
                                  strcmp(object_string(block, "backend", ""), backend) == 0 &&
                                  object_number(block, "threads", 0) ==
                                      analysis->scale_threads) return block;
    return NULL;
}

static bool scales_badly(const struct analysis *analysis, const char *workload, const char *backend,
                         struct suspect *suspect) {
    const json_t *sample;
    size_t index;
    *suspect =
        (struct suspect){.backend = backend, .block = counted_block(analysis, workload, backend)};
    suspect->speedup =
        cells_ratio(analysis_cell(analysis, workload, backend, analysis->scale_threads),
                    analysis_cell(analysis, workload, backend, 1));
    json_array_foreach(json_object_get(suspect->block, "samples"), index, sample) {
        suspect->seconds += object_number(sample, "seconds", 0) * analysis->scale_threads;
        suspect->operations += object_number(sample, "operations", 0);
    }
    return suspect->speedup.known &&
           suspect->speedup.estimate < good_share * analysis->scale_threads;
}

static double row_fights(const json_t *row) {
    double sum = 0;
    for (size_t i = 0; i < FIGHTS; i++) sum += object_number(row, fights[i], 0);
    return sum;
}

// In a second of one thread.
static double fight_rate(const struct suspect *suspect) {
    const json_t *row;
    size_t index;
    double sum = 0;
    json_array_foreach(json_object_get(suspect->block, "contention"), index, row) sum +=
        row_fights(row);
    return suspect->seconds > 0 ? sum / suspect->seconds : 0;
}

static double event(const struct suspect *suspect, const char *name) {
    return object_number(json_object_get(suspect->block, "stats"), name, 0);
}

static double per_operation(const struct suspect *suspect, double events) {
    return suspect->operations > 0 ? events / suspect->operations : 0;
}

static const char *comma(const struct text *causes) { return causes->length ? "; " : ""; }

// What the counters say beside fights over objects.
static void add_causes(const struct analysis *analysis, const struct suspect *suspect,
                       struct text *causes) {
    double wall = suspect->seconds / analysis->scale_threads * 1e9;
    if (json_is_true(json_object_get(suspect->block, "oversubscribed")))
        text_add(causes, "more threads than cores");
    if (json_is_object(json_object_get(suspect->block, "gil")))
        text_add(causes,
                 "%sthe GIL, which lets one thread run at a time (%.3g waits and %.3g handovers a "
                 "second)",
                 comma(causes), event(suspect, "gil_waits") / wall * 1e9,
                 event(suspect, "gil_handovers") / wall * 1e9);
    if (event(suspect, "gc_pause_ns") > least_time * wall)
        text_add(causes,
                 "%scollections, for which threads stood still %.0f %% of the time (%.3g of them)",
                 comma(causes), event(suspect, "gc_pause_ns") / wall * 100,
                 event(suspect, "collections"));
    if (event(suspect, "stop_ns") > least_time * wall)
        text_add(
            causes,
            "%sstops of the world, which took %.0f %% of the time to come about (%.3g of them)",
            comma(causes), event(suspect, "stop_ns") / wall * 100, event(suspect, "stops"));
    double remote = per_operation(suspect, event(suspect, "frees_remote")),
           retired = per_operation(suspect, event(suspect, "retired"));
    if (remote > least_pieces || retired > least_pieces)
        text_add(causes,
                 "%sthe allocator (an operation frees %.2g blocks of other threads' heaps, and "
                 "%.2g pieces wait "
                 "for a grace period)",
                 comma(causes), remote, retired);
}
static void say_owner(const json_t *row, char *owner, size_t size) {
    int id = (int)object_number(row, "owner", 0);
    if (id == 0)
        snprintf(owner, size, "no thread");
    else
        snprintf(owner, size, id == 1 ? "main thread" : "thread %d", id);
}

static void say_suspect(struct document *document, const struct analysis *analysis,
                        const struct suspect *suspect) {
    const json_t *worst = json_array_get(json_object_get(suspect->block, "contention"), 0);
    double rate = fight_rate(suspect);
    struct text causes = {0};
    char *speedup = show_ratio(suspect->speedup), *shown = show_rate(rate), owner[32];
    add_causes(analysis, suspect, &causes);
    if (json_object_get(suspect->block, "contention") == NULL)
        document_bullet(document, "**%s** (%s times): what was fought over was not counted.",
                        suspect->backend, speedup);
    else if (rate >= least_fights) {
        say_owner(worst, owner, sizeof owner);
        document_bullet(document,
                        "**%s** (%s times): most over objects of type **%s**, of %s, made in "
                        "**%s**: %.0f %% of "
                        "%s fights in a second of each thread.%s%s%s",
                        suspect->backend, speedup, object_string(worst, "type", ""), owner,
                        object_string(worst, "place", ""), object_number(worst, "share", 0) * 100,
                        shown, causes.length ? " Besides: " : "", text_string(&causes),
                        causes.length ? "." : "");
    } else if (causes.length)
        document_bullet(document, "**%s** (%s times): nothing was fought over. It is %s.",
                        suspect->backend, speedup, text_string(&causes));
    else
        document_bullet(
            document,
            "**%s** (%s times): nothing was fought over, and it is neither a GIL, nor collections, "
            "nor the allocator. Left are memory bandwidth, caches and clocks, which are not "
            "measured.",
            suspect->backend, speedup);
    free(shown);
    free(speedup);
    text_free(&causes);
}

static void add_rows(struct table *table, const struct suspect *suspect) {
    static const char *const events[] = {"lost_cas",    "lock_waits", "handovers",
                                         "revocations", "merges",     "shared_counts"};
    const json_t *row;
    size_t index;
    json_array_foreach(json_object_get(suspect->block, "contention"), index, row) {
        char owner[32];
        if (index == SHOWN_ROWS || object_number(row, "share", 0) < 0.01) break;
        say_owner(row, owner, sizeof owner);
        table_cell(table, "%s", suspect->backend);
        table_cell(table, "%s", object_string(row, "type", ""));
        table_cell(table, "%s", owner);
        table_cell(table, "%s", object_string(row, "place", ""));
        table_cell(table, "%.1f %%", object_number(row, "share", 0) * 100);
        for (size_t i = 0; i < sizeof events / sizeof *events; i++)
            table_cell(table, "%.3g", per_operation(suspect, object_number(row, events[i], 0)));
    }
}

static struct table make_table(void) {
    static const char *const heads[] = {
        "backend",    "type",      "owner",        "made in", "share",           "lost swaps",
        "lock waits", "handovers", "biases taken", "merges",  "counts by others"};
    struct table table =
        table_make("Objects fought over, and events an operation of all threads, from the counting "
                   "pass",
                   sizeof heads / sizeof *heads, 4);
    for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) table_cell(&table, "%s", heads[i]);
    return table;
}

void compose_culprit(struct document *document, const struct analysis *analysis,
                     const char *workload) {
    struct table table = make_table();
    size_t header = table.count, bad = 0;
    for (size_t b = 0; analysis->scale_threads > 1 && b < analysis->backend_count; b++) {
        struct suspect suspect;
        if (!scales_badly(analysis, workload, analysis->backends[b], &suspect)) continue;
        if (bad++ == 0)
            document_paragraph(
                document,
                "Scales badly, which is to say that %d threads do less than %.2g times what one "
                "does:",
                analysis->scale_threads, good_share * analysis->scale_threads);
        say_suspect(document, analysis, &suspect);
        if (fight_rate(&suspect) >= least_fights) add_rows(&table, &suspect);
    }
    if (table.count > header)
        document_table(document, table);
    else
        table_free(&table);
}
