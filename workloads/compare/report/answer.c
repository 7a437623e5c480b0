// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first screen: the question, the answer in one sentence, three figures, and how each kind of
// workload scales; then the verdict for each kind.  choices.h decides.
#include "compose.h"

#include "causes.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// ---- means over workloads --------------------------------------------------------------

// Which workloads, and which of their cells.
struct selection {
    int kind; // -1: those in the price
    struct sources sources;
};
static const struct sources PATTERNS = {LIST_TIMED, LIST_PATTERNS};

static bool is_selected(const struct selection *selection, const struct workload *workload) {
    return selection->kind < 0 ? workload->in_price : (int)kind_of(workload) == selection->kind;
}

// Throughput of one place over that of another, the mean over workloads.
static struct interval mean_of(const struct analysis *analysis, const struct selection *selection,
                               size_t over, int over_threads, size_t under, int under_threads) {
    const struct results *results = analysis->results;
    const struct cell **cells = checked_calloc(2 * results->workload_count, sizeof *cells);
    size_t count = 0, all = results->workload_count;
    for (size_t w = 0; w < all; w++) {
        const struct workload *one = &results->workloads[w];
        if (!is_selected(selection, one)) continue;
        cells[count] = cell_from(analysis, selection->sources, over, one->name, "", over_threads);
        cells[all + count++] =
            cell_from(analysis, selection->sources, under, one->name, "", under_threads);
    }
    struct interval mean = cells_mean_ratio(analysis, cells, cells + all, count);
    free(cells);
    return mean;
}

// ---- the sentence ----------------------------------------------------------------------

static size_t kinds_with(const struct choices *choices, const char *backend, enum verdict verdict) {
    size_t count = 0;
    for (size_t c = 0; c < choices->count; c++)
        count += !choices->items[c].workload && choices->items[c].advice.verdict == verdict &&
                 strcmp(choices->items[c].backend, backend) == 0;
    return count;
}

// The backend to leave for: for most kinds, and against fewest.
static const char *best_of(const struct analysis *analysis, const struct choices *choices) {
    const char *best = NULL;
    for (size_t b = 0; b < analysis->backend_count; b++) {
        const char *one = analysis->backends[b];
        if (!competes(analysis, one)) continue;
        size_t better = kinds_with(choices, one, BETTER), worse = kinds_with(choices, one, WORSE);
        size_t best_better = best ? kinds_with(choices, best, BETTER) : 0;
        if (!best || better > best_better ||
            (better == best_better && worse <= kinds_with(choices, best, WORSE)))
            best = one;
    }
    return best;
}

static const char *list_kinds(struct document *document, const struct choices *choices,
                              const char *backend, enum verdict verdict) {
    struct text names = {0};
    size_t count = kinds_with(choices, backend, verdict), used = 0;
    for (size_t c = 0; c < choices->count; c++) {
        const struct choice *choice = &choices->items[c];
        if (choice->workload || choice->advice.verdict != verdict ||
            strcmp(choice->backend, backend) != 0)
            continue;
        text_add(&names, "%s%s",
                 used == 0           ? ""
                 : used + 1 == count ? " and "
                                     : ", ",
                 workload_kinds[choice->kind].name);
        used++;
    }
    return keep_text(document, &names);
}

static void say_answer(struct document *document, const struct analysis *analysis,
                       const struct choices *choices) {
    static const struct {
        enum verdict verdict;
        const char *words;
    } rest[] = {{WORSE, "stay for"},
                {SAME, "it makes no difference for"},
                {UNDECIDED, "not enough data for"}};
    const char *best = best_of(analysis, choices);
    struct text line = {0};
    bool better = kinds_with(choices, best, BETTER);
    if (better)
        text_add(&line, "**Leave %s for %s** on %d threads for %s", analysis->baseline, best,
                 analysis->scale_threads, list_kinds(document, choices, best, BETTER));
    else
        text_add(&line,
                 "**Not shown**: on %d threads no backend is faster than %s for a whole kind of "
                 "workload",
                 analysis->scale_threads, analysis->baseline);
    for (size_t i = 0; i < sizeof rest / sizeof *rest; i++)
        if (kinds_with(choices, best, rest[i].verdict)) {
            text_add(&line, "; %s%s %s", better ? "" : keep(document, "with %s: ", best),
                     rest[i].words, list_kinds(document, choices, best, rest[i].verdict));
            better = true;
        }
    document_paragraph(document, "%s.", keep_text(document, &line));
}

// ---- three figures ---------------------------------------------------------------------

struct figure_row {
    const char *backend;
    struct interval price, gain;
    double answer;
    const char *counts;
};

// "12, 3 of 23".
static const char *count_workloads(struct document *document, const struct choices *choices,
                                   const char *backend) {
    size_t better = 0, worse = 0, count = 0;
    for (size_t c = 0; c < choices->count; c++) {
        const struct choice *choice = &choices->items[c];
        if (!choice->workload || strcmp(choice->backend, backend) != 0) continue;
        enum verdict verdict = verdict_of(&choice->gain, true);
        better += verdict == BETTER;
        worse += verdict == WORSE;
        count++;
    }
    return count ? keep(document, "%zu, %zu of %zu", better, worse, count) : NULL;
}

static const char *priced_workloads(struct document *document, const struct results *results) {
    struct text names = {0};
    for (size_t w = 0; w < results->workload_count; w++)
        if (results->workloads[w].in_price)
            text_add(&names, "%s%s", names.length ? ", " : "", results->workloads[w].name);
    return keep_text(document, &names);
}

static void figures(struct document *document, const struct analysis *analysis,
                    const struct choices *choices) {
    const struct results *results = analysis->results;
    const struct selection priced = {-1, {LIST_TIMED, LIST_TIMED}};
    size_t base = backend_place(results, analysis->baseline), count = 0;
    int threads = analysis->scale_threads;
    const char *names = priced_workloads(document, results);
    bool rare = answers_are_rare(analysis), any = false;
    struct figure_row *rows = checked_calloc(results->name_count, sizeof *rows);
    for (size_t p = 0; p < results->name_count; p++) {
        struct figure_row row = {.backend = results->names[p],
                                 .price = mean_of(analysis, &priced, base, 1, p, 1),
                                 .gain = mean_of(analysis, &priced, p, threads, base, threads),
                                 .answer = 1e6 * answer_of(analysis, results->names[p], rare),
                                 .counts = count_workloads(document, choices, results->names[p])};
        if (p == base && row.price.estimate > 0)
            row.price = row.gain =
                (struct interval){.estimate = 1, .low = 1, .high = 1, .known = true};
        if (p != base && analysis_is_ablation(analysis, row.backend)) continue;
        any = any || !isnan(row.answer);
        if ((p == base && *names) || row.counts || !isnan(row.answer)) rows[count++] = row;
    }
    const char *caption =
        *names ? keep(document, "Price and gain are geometric means over %s", names) : "";
    struct column columns[5] = {COLUMN("backend", BACKEND, figure_row, backend, 0)};
    size_t used = 1;
    if (*names) {
        columns[used++] = (struct column)COLUMN(
            keep(document, "price on one thread\ntime, times %s", analysis->baseline), RATIO,
            figure_row, price, 0);
        columns[used++] = (struct column)COLUMN(
            keep(document, "gain on %d threads\nthroughput, times %s", threads, analysis->baseline),
            RATIO, figure_row, gain, 0);
    }
    columns[used++] =
        (struct column)COLUMN(keep(document, "faster, slower\nworkloads on %d threads", threads),
                              TEXT, figure_row, counts, 0);
    if (any)
        columns[used++] =
            (struct column)COLUMN(keep(document,
                                       "answer beside 2 busy threads\n%s times of 100 "
                                       "within",
                                       rare ? "99" : "50"),
                                  TIME, figure_row, answer, 0);
    document_table(document, caption, columns, used, rows, count, sizeof *rows);
    free(rows);
}

// ---- how each kind scales --------------------------------------------------------------

// Times one thread of the reference; of an interpreter, times its own.
static struct svg_line kind_line(struct document *document, const struct analysis *analysis,
                                 size_t kind, size_t place, struct text *label) {
    const struct selection selection = {(int)kind, PATTERNS};
    const char *name = analysis->results->names[place];
    size_t base = is_interpreter(analysis, name)
                      ? place
                      : backend_place(analysis->results, analysis->baseline);
    struct svg_line line = {.name = name, .place = place};
    for (size_t t = 0; t < analysis->thread_count; t++) {
        int threads = analysis->threads[t];
        struct interval mean = mean_of(analysis, &selection, place, threads, base, 1);
        if (!(mean.estimate > 0)) continue;
        struct svg_point point = {
            .x = threads, .y = mean.estimate, .hollow = threads > analysis->scale_threads};
        const char *shown = keep_ratio(document, mean);
        snprintf(point.title, sizeof point.title, "%s, %d thread%s: %s", name, threads,
                 plural(threads), shown);
        text_add(label, "%s%s%.2f on %d", line.count ? ", " : ". ",
                 line.count ? "" : keep(document, "%s: ", name), mean.estimate, threads);
        svg_add_point(&line, point);
    }
    return line;
}

static void small_multiples(struct document *document, const struct analysis *analysis) {
    const struct results *results = analysis->results;
    size_t names = results->name_count;
    struct svg_line *lines = checked_calloc(KINDS * names, sizeof *lines);
    struct text labels[KINDS] = {0};
    double most = analysis->scale_threads;
    for (size_t k = 0; k < KINDS; k++)
        for (size_t p = 0; p < names; p++) {
            struct svg_line *line = &lines[k * names + p];
            if (analysis_is_ablation(analysis, results->names[p])) continue;
            *line = kind_line(document, analysis, k, p, &labels[k]);
            for (size_t i = 0; i < line->count; i++) most = fmax(most, line->points[i].y);
        }
    int last = analysis->threads[analysis->thread_count - 1];
    double *ticks = checked_calloc(analysis->thread_count, sizeof *ticks);
    for (size_t t = 0; t < analysis->thread_count; t++) ticks[t] = analysis->threads[t];
    const struct svg_chart chart = {
        .x = {.log = last > 8,
              .low = 0.8,
              .high = last > 8 ? last * 1.15 : last + 0.2,
              .ticks = ticks,
              .tick_count = analysis->thread_count},
        .y = {.high = most * 1.05},
        .small = true,
        .edge = last > analysis->scale_threads ? analysis->scale_threads + 0.3 : 0,
        .ideal = analysis->scale_threads};
    for (size_t k = 0; k < KINDS; k++)
        document_plot(document, SMALL_PLOT, svg_draw(&chart, lines + k * names, names), "%s%s",
                      workload_kinds[k].title, text_string(&labels[k]));
    for (size_t k = 0; k < KINDS; k++) text_free(&labels[k]);
    svg_free_lines(lines, KINDS * names);
    free(ticks);
    free(lines);
    struct text note = {0};
    text_add(&note,
             "Throughput against threads, times one thread of %s. The thin lines are as many times "
             "as there are threads, and once.",
             analysis->baseline);
    if (last > analysis->scale_threads)
        text_add(&note, " Hollow points have more threads than cores.");
    if (results->name_count > results->backend_count)
        text_add(&note, " An interpreter is shown times its own one thread.");
    document_paragraph(document, "%s", keep_text(document, &note));
    document_last(document)->page_only = true;
}

// ---- the verdicts ----------------------------------------------------------------------

struct choice_row {
    const char *name, *backend, *counts, *factors;
    struct advice advice;
    struct interval gain, price;
};

// Of the workloads of a kind; NULL where not all of it was measured.
static const char *kind_factors(struct document *document, const struct analysis *analysis,
                                const struct choices *choices, const struct choice *kind) {
    const char **names = checked_calloc(choices->count, sizeof *names);
    size_t count = 0;
    for (size_t i = 0; i < choices->count; i++) {
        const struct choice *one = &choices->items[i];
        if (one->kind == kind->kind && one->workload && strcmp(one->backend, kind->backend) == 0)
            names[count++] = one->workload;
    }
    struct price price = price_of(analysis, names, count, kind->backend);
    free(names);
    double product = price.counts * price.rest * price.collector;
    return isnan(product)
               ? NULL
               : keep(document, "%.2f × %.2f × %.2f", price.counts, price.rest, price.collector);
}

static void kinds_table(struct document *document, const struct analysis *analysis,
                        const struct choices *choices) {
    struct choice_row *rows = checked_calloc(choices->count, sizeof *rows);
    size_t count = 0;
    bool split = false;
    for (size_t i = 0; i < choices->count; i++) {
        const struct choice *choice = &choices->items[i];
        if (choice->workload) continue;
        rows[count] = (struct choice_row){
            .name = workload_kinds[choice->kind].title,
            .backend = choice->backend,
            .counts = keep(document, "%zu, %zu of %zu", choice->better, choice->worse,
                           choice->better + choice->worse + choice->same + choice->open),
            .factors = kind_factors(document, analysis, choices, choice),
            .advice = choice->advice,
            .gain = choice->gain,
            .price = choice->price};
        split = split || rows[count].factors;
        count++;
    }
    const struct column columns[] = {
        COLUMN("kind of workload", TEXT, choice_row, name, 0),
        COLUMN("backend", BACKEND, choice_row, backend, 0),
        COLUMN(keep(document, "leave %s?", analysis->baseline), ADVICE, choice_row, advice, 0),
        COLUMN(keep(document, "gain on %d threads\nthroughput, times %s", analysis->scale_threads,
                    analysis->baseline),
               RATIO, choice_row, gain, 0),
        COLUMN(keep(document, "price on one thread\ntime, times %s", analysis->baseline), RATIO,
               choice_row, price, 0),
        COLUMN("faster, slower\nof its workloads", TEXT, choice_row, counts, 0),
        COLUMN("price\ncounts × rest × collector", TEXT, choice_row, factors, 0),
    };
    document_table(document, "", columns, 6 + split, rows, count, sizeof *rows);
    free(rows);
    document_paragraph(
        document,
        "**Leave**: faster on %d threads and not slower on one, or faster on one and the same on "
        "%d. **Leave, if threaded**: faster on %d threads, and slower or undecided on one. "
        "**Stay**: slower on %d threads, or slower on one and the same on %d. **No difference**: "
        "the same within %g %%. A kind's figures are geometric means, and it counts as faster or "
        "slower only if one of its workloads does.%s",
        analysis->scale_threads, analysis->scale_threads, analysis->scale_threads,
        analysis->scale_threads, analysis->scale_threads, analysis->margin * 100,
        split ? " The price's factors are the backend's counts, under a GIL; the rest, which is "
                "locks, lock-free reads, heaps and counts per thread; and its collector's "
                "schedule, over the workloads that have all three. A dash: not measured, or too "
                "unsteady to tell."
              : "");
}

static void say_where(struct document *document, const struct analysis *analysis) {
    const json_t *root = analysis->results->root, *machine = json_object_get(root, "machine");
    size_t least = SIZE_MAX, most = 0, workloads = analysis->results->workload_count;
    for (size_t i = 0; i < analysis->cell_count; i++) {
        if (analysis->cells[i].key.list != LIST_TIMED) continue;
        size_t rounds = analysis->cells[i].runs.count;
        least = rounds < least ? rounds : least;
        most = rounds > most ? rounds : most;
    }
    double cores = object_number(machine, "cores", 0);
    document_paragraph(document,
                       "Measured on %s, %.0f core%s, %s: %zu workload%s, %zu round%s%s. It "
                       "holds for this machine and these workloads.",
                       object_string(machine, "cpu", "an unknown processor"), cores, plural(cores),
                       object_string(root, "started", "?"), workloads, plural((double)workloads),
                       least, plural((double)least), most > least ? " or more" : "");
}

struct document compose_answer(const struct analysis *analysis) {
    struct document document = {.results = analysis->results};
    struct choices choices = choices_make(analysis);
    if (choices.count) {
        say_answer(&document, analysis, &choices);
        figures(&document, analysis, &choices);
    }
    choices_free(&choices);
    return document;
}

void section_answer(struct document *document, const struct analysis *analysis) {
    size_t timed = cells_of(analysis, LIST_TIMED);
    // A run of the convoy or the task server alone has none, and says so itself.
    if (timed == 0 && (runs_of(analysis->results, LIST_CONVOY).count ||
                       runs_of(analysis->results, LIST_SERVERS).count))
        return;
    document_heading(document, 2, "Should you leave the GIL for this?");
    if (timed == 0) {
        document_paragraph(document, "No run gave a sample, so nothing can be said.");
        return;
    }
    struct choices choices = choices_make(analysis);
    if (choices.count) {
        say_answer(document, analysis, &choices);
        figures(document, analysis, &choices);
        small_multiples(document, analysis);
        document_heading(document, 2, "By kind of workload");
        kinds_table(document, analysis, &choices);
    } else {
        document_paragraph(document,
                           "That needs %s, another backend, and more than one thread with a core "
                           "each.",
                           analysis->results->backends[0].name);
    }
    say_where(document, analysis);
    choices_free(&choices);
}
