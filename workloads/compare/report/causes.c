// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where each workload's time goes, and which causes explain what more threads do not gain:
// each with its size, and their sum beside the loss.
#include "compose.h"

#include "causes.h"
#include "what_if.h"

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
    [CAUSE_NO_CORE] = {"no free core", "no free core"},
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

// Fewer events per second of one thread explain nothing: a wait for a lock, the dearest, takes
// some 10 us.
static const double LEAST_CONTENTION = 1000;

// Contended events per second of one thread, by the counting pass; 0: too few to matter.
static double contention_rate(const struct run *run) {
    double events = 0;
    for (size_t i = 0; run && i < run->contention_count; i++)
        for (size_t e = 0; e < CONTENTION_EVENTS; e++)
            if (strcmp(contention_events[e], "handovers") != 0)
                events += run->contention[i].events[e];
    double rate = events > 0 ? events / run->seconds / run->threads : 0;
    return rate < LEAST_CONTENTION ? 0 : rate;
}

// What most contention was for.
static void add_object(struct text *line, const struct run *run) {
    char *rate = show_rate(contention_rate(run));
    text_add(line,
             " Of %s contended events per second of each thread %.0f %% are for objects of type "
             "**%s**, made in **%s**.",
             rate, run->contention[0].share * 100, run->contention[0].type,
             run->contention[0].place);
    free(rate);
}

// Most of the loss has no name.
static void add_unexplained(struct text *line, const char *kept, bool contended) {
    text_add(line, " The rest is own work that takes longer");
    if (contended && kept) text_add(line, "; how much of it are counts is not known (%s)", kept);
    text_add(line, ".");
}

static bool is_contention(enum cause cause) {
    return cause == CAUSE_COUNTS || cause == CAUSE_LOCKS || cause == CAUSE_MERGES;
}

static void say_loss(struct document *document, const struct analysis *analysis,
                     const char *workload, const char *backend, const struct loss *loss) {
    enum cause found[CAUSES];
    size_t count = named(loss, found);
    struct split split = split_of(analysis, workload, backend, analysis->scale_threads);
    char *sleeps = show_rate(split.sleeps);
    struct text line = {0};
    bool open = loss->parts[CAUSE_OWN] > loss->whole / 2, contended = open;
    for (size_t i = 0; i < count; i++) {
        text_add(&line, "%s%s %.0f %%", i ? ", " : ": ", causes[found[i]].words,
                 100 * loss->parts[found[i]]);
        if (found[i] == CAUSE_SLEEP || (found[i] == CAUSE_KERNEL && !explains(loss, CAUSE_SLEEP)))
            text_add(&line, " (each sleeps %s times per second)", sleeps);
        contended = contended || is_contention(found[i]);
    }
    text_add(&line, ".");
    const struct run *run = counted_run(analysis, workload, backend, analysis->scale_threads);
    bool rate = contention_rate(run) > 0;
    if (open)
        add_unexplained(&line,
                        what_if_kept(json_object_get(analysis->results->root, "causes"), backend,
                                     workload, "counting"),
                        rate);
    if (contended && rate) add_object(&line, run);
    document_bullet(document,
                    "**%s** loses **%.0f %%** of its threads' time; measured causes explain "
                    "**%.0f %%**%s",
                    backend, 100 * loss->whole, 100 * loss->explained, text_string(&line));
    text_free(&line);
    free(sleeps);
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
