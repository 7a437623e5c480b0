// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where each workload's time goes, and which causes explain what more threads do not gain:
// each with its size, and their sum beside the loss.
#include "compose.h"

#include "causes.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *head, *words;
} causes[CAUSES] = {
    [CAUSE_OWN] = {"own work", "own work"},
    [CAUSE_GIL] = {"GIL", "waits for the GIL"},
    [CAUSE_LOCKS] = {"locks", "waits for locks of objects"},
    [CAUSE_COUNTS] = {"counts", "refcounts of shared objects"},
    [CAUSE_COLLECTOR] = {"collector", "the collector"},
    [CAUSE_MERGES] = {"merges, grace periods", "merges and grace periods"},
    [CAUSE_ALLOCATOR] = {"allocator", "the allocator's slow paths"},
    [CAUSE_SLEEP] = {"sleeping", "threads that sleep"},
    [CAUSE_KERNEL] = {"kernel", "the kernel"},
    [CAUSE_NO_CORE] = {"no free core", "other processes on the cores"},
};

// ---- sentences ----------------------------------------------------------------------------

// The named causes, the largest first.
static size_t named(const struct loss *loss, enum cause found[CAUSES]) {
    size_t count = 0;
    for (enum cause c = CAUSE_OWN + 1; c < CAUSES; c++) {
        if (!explains(loss, c)) continue;
        size_t at = count++;
        for (; at > 0 && loss->parts[found[at - 1]] < loss->parts[c]; at--)
            found[at] = found[at - 1];
        found[at] = c;
    }
    return count;
}

// What most contention was for, of all events of the counting pass.
static void add_object(struct text *line, const struct run *run) {
    if (!run || run->contention_count == 0) return;
    const struct contention *most = &run->contention[0];
    text_add(line, " Most contended are objects of type **%s**, made in **%s**: %.0f %% of events.",
             most->type, most->place, most->share * 100);
}

static bool is_contention(enum cause cause) {
    return cause == CAUSE_COUNTS || cause == CAUSE_LOCKS || cause == CAUSE_MERGES;
}

static void say_loss(struct document *document, const struct analysis *analysis,
                     const char *workload, const char *backend, const struct loss *loss) {
    enum cause found[CAUSES];
    size_t count = named(loss, found);
    struct split split = split_of(analysis, workload, backend, analysis->scale_threads);
    struct text line = {0};
    bool contended = false;
    for (size_t i = 0; i < count; i++) {
        text_add(&line, "%s%s %.0f %%", i ? ", " : "", causes[found[i]].words,
                 100 * loss->parts[found[i]]);
        if (found[i] == CAUSE_SLEEP || (found[i] == CAUSE_KERNEL && !explains(loss, CAUSE_SLEEP)))
            text_add(&line, " (each sleeps %.3g times per second)", split.sleeps);
        contended = contended || is_contention(found[i]);
    }
    if (count == 0) text_add(&line, "nothing that was measured is larger than 3 %%");
    text_add(&line, "; all measured causes together %.0f %%, own work that got slower %.0f %%.",
             100 * loss->explained, 100 * loss->parts[CAUSE_OWN]);
    if (contended)
        add_object(&line, counted_run(analysis, workload, backend, analysis->scale_threads));
    document_bullet(document, "**%s** loses %.0f %% of its threads' time: %s", backend,
                    100 * loss->whole, text_string(&line));
    text_free(&line);
}

// ---- the table ------------------------------------------------------------------------------

struct split_row {
    const char *backend;
    double shares[CAUSES], sleeps;
};

static bool is_shown(const struct split_row *rows, size_t count, enum cause cause) {
    bool shown = cause == CAUSE_OWN;
    for (size_t i = 0; i < count; i++) shown = shown || rows[i].shares[cause] >= 0.01;
    return shown;
}

static void split_table(struct document *document, const struct split_row *rows, size_t count,
                        int threads) {
    struct column columns[CAUSES + 2] = {COLUMN("backend", BACKEND, split_row, backend, 0)};
    size_t used = 1;
    for (enum cause c = CAUSE_OWN; c < CAUSES; c++)
        if (is_shown(rows, count, c))
            columns[used++] =
                (struct column){causes[c].head, PERCENT,
                                offsetof(struct split_row, shares) + c * sizeof(double), 0};
    columns[used++] =
        (struct column)COLUMN("sleeps\nper second of each", RATE, split_row, sleeps, 0);
    document_table(document,
                   keep(document, "Where the time of %d thread%s goes", threads, plural(threads)),
                   columns, used, rows, count, sizeof *rows);
}

void part_causes(struct document *document, const struct analysis *analysis,
                 const struct workload *workload) {
    int threads = analysis->scale_threads;
    struct split_row *rows = checked_calloc(analysis->backend_count, sizeof *rows);
    size_t count = 0, bad = 0;
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const char *backend = analysis->backends[b];
        struct split split = split_of(analysis, workload->name, backend, threads);
        struct loss loss = loss_of(analysis, workload->name, backend);
        if (split.told) {
            rows[count] = (struct split_row){.backend = backend, .sleeps = split.sleeps};
            memcpy(rows[count++].shares, split.shares, sizeof split.shares);
        }
        if (!loss.told || loss.speedup.high >= SCALES_BADLY * threads) continue;
        if (bad++ == 0)
            document_paragraph(document,
                               "%d threads do less than %.2g times the work of one:", threads,
                               SCALES_BADLY * threads);
        say_loss(document, analysis, workload->name, backend, &loss);
    }
    if (count) split_table(document, rows, count, threads);
    free(rows);
}
