// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Where each workload's time goes, and which causes explain what more threads do not gain: each
// with its size, and their sum beside the loss; what is gained without a cause; and what happens
// in an operation.
#include "causes.h"
#include "compose.h"
#include "svg.h"
#include "what_if.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const struct {
    const char *head, *words;
} causes[CAUSES] = {
    [CAUSE_OWN] = {"own work", "own work"},
    [CAUSE_GIL] = {"GIL", "waits for the GIL"},
    [CAUSE_LOCKS] = {"locks", "waits for locks of objects, and turns"},
    [CAUSE_COUNTS] = {"counts", "refcounts of shared objects"},
    [CAUSE_MEMORY] = {"shared memory", "memory that threads share"},
    [CAUSE_COLLECTOR] = {"collector", "the collector"},
    [CAUSE_MERGES] = {"merges, grace periods", "merges and grace periods"},
    [CAUSE_ALLOCATOR] = {"allocator", "the allocator's slow paths"},
    [CAUSE_SLEEP] = {"sleeping", "threads that sleep"},
    [CAUSE_KERNEL] = {"kernel", "the kernel"},
    [CAUSE_NO_CORE] = {"no free core", "no free core"},
};

// ---- sentences ----------------------------------------------------------------------------

// It takes so much less of the time than on one thread that the sum of the others misleads.
static bool counts_against(const struct loss *loss, enum cause cause) {
    return loss->told && cause != CAUSE_OWN && loss->parts[cause] <= -0.05;
}

// The named causes, the largest first.
static size_t named(const struct loss *loss, enum cause found[CAUSES]) {
    size_t count = 0;
    for (enum cause c = CAUSE_OWN + 1; c < CAUSES; c++) {
        if (!explains(loss, c) && !counts_against(loss, c)) continue;
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
static void add_object(struct document *document, struct text *line, const struct run *run) {
    text_add(line,
             " Of %s contended events per second of each thread %.0f %% are for objects of type "
             "**%s**",
             keep_rate(document, contention_rate(run)), run->contention[0].share * 100,
             run->contention[0].type);
    // The counting run keeps no place of an object that was made before it watched.
    if (run->contention[0].place[0] != '(')
        text_add(line, ", made in **%s**", run->contention[0].place);
    text_add(line, ".");
}

// Most of the loss has no name.
static void add_unexplained(struct text *line, const char *kept, bool contended) {
    text_add(line, " The rest is own work that takes longer");
    if (contended && kept) text_add(line, "; how much of it are counts is not known (%s)", kept);
    text_add(line, ".");
}

static bool is_contention(enum cause cause) {
    return cause == CAUSE_COUNTS || cause == CAUSE_MEMORY || cause == CAUSE_LOCKS ||
           cause == CAUSE_MERGES;
}

static void say_loss(struct document *document, const struct analysis *analysis,
                     const char *workload, const char *backend, const struct loss *loss) {
    enum cause found[CAUSES];
    size_t count = named(loss, found);
    struct split split = split_of(analysis, workload, backend, analysis->scale_threads);
    struct text line = {0};
    bool open = loss->parts[CAUSE_OWN] > loss->whole / 2, contended = open;
    for (size_t i = 0; i < count; i++) {
        double part = loss->parts[found[i]];
        text_add(&line, "%s%s %s%.0f %%", i ? ", " : ": ", causes[found[i]].words,
                 part < 0 ? "−" : "", 100 * fabs(part));
        if (part > 0 &&
            (found[i] == CAUSE_SLEEP || (found[i] == CAUSE_KERNEL && !explains(loss, CAUSE_SLEEP))))
            text_add(&line, " (each sleeps %s times per second)",
                     keep_rate(document, split.sleeps));
        contended = contended || (part > 0 && is_contention(found[i]));
    }
    // Without it the causes would seem to explain more than there is.
    if (loss->parts[CAUSE_OWN] <= -0.03)
        text_add(&line, "; own work takes %.0f %% less", -100 * loss->parts[CAUSE_OWN]);
    text_add(&line, ".");
    const struct run *run = counted_run(analysis, workload, backend, analysis->scale_threads);
    bool rate = contention_rate(run) > 0;
    if (open)
        add_unexplained(&line,
                        what_if_kept(json_object_get(analysis->results->root, "causes"), backend,
                                     workload, "counting"),
                        rate);
    if (contended && rate) add_object(document, &line, run);
    document_bullet(document,
                    "**%s** loses **%.0f %%** of its threads' time; measured causes explain "
                    "**%.0f %%**%s",
                    backend, 100 * loss->whole, 100 * loss->explained, text_string(&line));
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

// On the page as bars, in Markdown as a table.
static void show_splits(struct document *document, const char *workload,
                        const struct split_row *rows, size_t count, int threads) {
    struct column columns[CAUSES + 2] = {COLUMN("backend", BACKEND, split_row, backend, 0)};
    size_t used = 1;
    for (enum cause c = CAUSE_OWN; c < CAUSES; c++)
        if (is_shown(rows, count, c))
            columns[used++] = COLUMN_OF(causes[c].head, PERCENT, split_row, shares, c);
    columns[used++] =
        (struct column)COLUMN("sleeps\nper second and thread", RATE, split_row, sleeps, 0);
    document_table(document,
                   keep(document, "Where the time of %d thread%s goes", threads, plural(threads)),
                   columns, used, rows, count, sizeof *rows);
    document_last(document)->markdown_only = true;
    struct svg_bar *bars = checked_calloc(count, sizeof *bars);
    const char *heads[CAUSES];
    struct text label = {0};
    for (size_t c = 0; c < CAUSES; c++) heads[c] = causes[c].head;
    for (size_t i = 0; i < count; i++) {
        bars[i] = (struct svg_bar){rows[i].backend, rows[i].shares};
        text_add(&label, ". %s:", rows[i].backend);
        for (size_t c = 0; c < CAUSES; c++)
            if (rows[i].shares[c] >= 0.005)
                text_add(&label, " %s %.1f %%", heads[c], 100 * rows[i].shares[c]);
    }
    document_plot(document, PLOT, svg_bars(bars, count, heads, CAUSES),
                  "%s: where the time of %d thread%s goes%s", workload, threads, plural(threads),
                  text_string(&label));
    text_free(&label);
    free(bars);
}

PART(causes) {
    int threads = analysis->scale_threads;
    struct split_row *rows = checked_calloc(analysis->backend_count, sizeof *rows);
    size_t count = 0, bad = 0;
    for (size_t b = 0; b < analysis->backend_count; b++) {
        struct split split = split_of(analysis, workload->name, analysis->backends[b], threads);
        if (!split.told) continue;
        rows[count] = (struct split_row){analysis->backends[b], {0}, split.sleeps};
        memcpy(rows[count++].shares, split.shares, sizeof split.shares);
    }
    if (count) show_splits(document, workload->name, rows, count, threads);
    for (size_t b = 0; b < analysis->backend_count; b++) {
        struct loss loss = loss_of(analysis, workload->name, analysis->backends[b]);
        if (!loss.told || loss.speedup.high >= SCALES_BADLY * threads) continue;
        if (bad++ == 0)
            document_paragraph(document,
                               "%d threads do less than %.2g times the work of one:", threads,
                               SCALES_BADLY * threads);
        say_loss(document, analysis, workload->name, analysis->backends[b], &loss);
    }
    free(rows);
}

// ---- without a cause --------------------------------------------------------------------

// The gain, or why the cause stays; NULL: neither was asked.
static const char *gain_text(struct document *document, const struct analysis *analysis,
                             const char *workload, const char *backend, const char *cause) {
    const json_t *root = analysis->results->root;
    struct interval gain =
        gain_without(analysis, workload, backend, cause, analysis->scale_threads);
    if (gain.estimate > 0) return keep_marked(document, gain);
    // A default run removes few of them, which is no news.
    return json_is_true(json_object_get(root, "every_cause"))
               ? what_if_kept(json_object_get(root, "causes"), backend, workload, cause)
               : NULL;
}

PART(what_if) {
    static const char *const shown[WHAT_IF_CAUSES] = {"a private copy for each thread",
                                                      "shared objects immortal",
                                                      "the collector off", "locks off"};
    size_t width = 1 + analysis->backend_count, count = 0;
    const char **cells = checked_calloc(WHAT_IF_CAUSES * width, sizeof *cells);
    for (size_t c = 0; c < WHAT_IF_CAUSES; c++) {
        const char **row = cells + count * width;
        bool any = false;
        *row = shown[c];
        for (size_t b = 0; b < analysis->backend_count; b++) {
            row[1 + b] = gain_text(document, analysis, workload->name, analysis->backends[b],
                                   what_if_causes[c]);
            any = any || row[1 + b];
        }
        count += any;
    }
    const struct column first[] = {{"instead", TEXT, 0, 0}};
    struct column *columns =
        backend_columns(analysis, first, 1, TEXT, sizeof *cells, sizeof *cells);
    document_table(document,
                   keep(document,
                        "Throughput on %d thread%s without a cause of cost, over that with it; "
                        "gains do not add up",
                        analysis->scale_threads, plural(analysis->scale_threads)),
                   columns, width, cells, count, width * sizeof *cells);
    free(columns);
    free(cells);
}

// ---- in an operation --------------------------------------------------------------------

// What the counting drivers count, and what the processor and the kernel do, in plain words.
static const struct {
    const char *names[2], *words;
    bool of_machine;
} events[] = {
    {{"local_increfs", "local_decrefs"}, "counts without an atomic instruction", false},
    {{"shared_increfs", "shared_decrefs"}, "counts with one", false},
    {{"per_thread_increfs", "per_thread_decrefs"}, "counts in the thread's own array", false},
    {{"lost_cas"}, "counts that another thread's count made repeat", false},
    {{"locks_biased"}, "locks of objects, taken plainly", false},
    {{"locks_atomic"}, "locks of objects, taken with an atomic instruction", false},
    {{"lock_waits"}, "waits for a lock", false},
    {{"lock_revocations"}, "locks taken from a running owner", false},
    {{"reads_unlocked"}, "reads of containers without a lock", false},
    {{"reads_locked"}, "reads of containers with one", false},
    {{"queued"}, "last references dropped by another thread", false},
    {{"merges"}, "merges of an object's two counts", false},
    {{"adopted"}, "objects that move to a thread that uses them", false},
    {{"made_per_thread"}, "objects that move to counts per thread", false},
    {{"allocations"}, "allocations", false},
    {{"frees_remote"}, "frees of memory of another thread", false},
    {{"retired"}, "pieces of memory that wait for a grace period", false},
    {{"gil_waits"}, "waits for the GIL", false},
    {{"gil_handovers"}, "hand-overs of the GIL", false},
    {{"stops"}, "stops of all threads", false},
    {{"instructions"}, "instructions", true},
    {{"cycles"}, "cycles", true},
    {{"cache_misses"}, "cache misses", true},
    {{"branch_misses"}, "branch misses", true},
    {{"context_switches"}, "context switches", true},
    {{"page_faults"}, "page faults", true},
    {{"migrations"}, "moves to another core", true},
};
enum { EVENTS = sizeof events / sizeof *events };

// Per operation; NAN: it was not counted.
static double event_of(const struct analysis *analysis, const char *workload, const char *backend,
                       size_t event) {
    int threads = analysis->scale_threads;
    const struct run *run = counted_run(analysis, workload, backend, threads);
    const struct cell *cell = analysis_cell(analysis, workload, backend, threads);
    double sum = 0;
    if (events[event].of_machine) {
        for (size_t i = 0; cell && i < cell->runs.count; i++)
            sum += object_number(cell->runs.items[i].perf_counts, events[event].names[0], NAN);
        return cell ? each(sum, SUM(cell->runs, operations)) : NAN;
    }
    for (size_t n = 0; n < 2 && events[event].names[n]; n++)
        sum += run ? object_number(run->counters, events[event].names[n], 0) : NAN;
    return run ? each(sum, run->stats_operations) : NAN;
}

struct operation_row {
    const char *words;
    double counts[];
};

PART(operations) {
    size_t size = sizeof(struct operation_row) + analysis->backend_count * sizeof(double),
           count = 0;
    char *rows = checked_calloc(EVENTS, size);
    for (size_t e = 0; e < EVENTS; e++) {
        struct operation_row *row = (void *)(rows + count * size);
        bool any = false;
        row->words = events[e].words;
        for (size_t b = 0; b < analysis->backend_count; b++) {
            row->counts[b] = event_of(analysis, workload->name, analysis->backends[b], e);
            any = any || row->counts[b] > 0;
        }
        count += any;
    }
    const struct column first[] = {{"event", TEXT, 0, 0}};
    struct column *columns = backend_columns(
        analysis, first, 1, NUMBER, offsetof(struct operation_row, counts), sizeof(double));
    document_table(document,
                   keep(document, "What happens in an operation, the mean on %d thread%s",
                        analysis->scale_threads, plural(analysis->scale_threads)),
                   columns, 1 + analysis->backend_count, rows, count, size);
    if (count) document_last(document)->page_only = true;
    free(columns);
    free(rows);
}
