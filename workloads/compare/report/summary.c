// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The first screen: whether to leave the lock of the reference, by kind of workload and
// by workload; choices.h decides.
#include "compose.h"

#include "causes.h"

#include <stdlib.h>
#include <string.h>

struct choice_row {
    const char *name, *backend, *counts, *factors;
    struct advice advice;
    struct interval gain, price;
};

static void choice_table(struct document *document, const struct analysis *analysis,
                         const char *caption, const struct choice_row *rows, size_t count,
                         bool kinds) {
    bool split = false;
    for (size_t i = 0; i < count; i++) split = split || rows[i].factors;
    const struct column columns[] = {
        {kinds ? "kind of workload" : "workload", kinds ? TEXT : LINK,
         offsetof(struct choice_row, name), 0},
        COLUMN("backend", BACKEND, choice_row, backend, 0),
        COLUMN(keep(document, "leave %s?", analysis->baseline), ADVICE, choice_row, advice, 0),
        COLUMN(keep(document, "gain on %d threads\nthroughput of all, times %s",
                    analysis->scale_threads, analysis->baseline),
               BAR, choice_row, gain, 0),
        COLUMN(keep(document, "price on one thread\ntime, times %s", analysis->baseline), BAR,
               choice_row, price, 0),
        COLUMN("faster, slower\nof its workloads", TEXT, choice_row, counts, 0),
        COLUMN("price\ncounts × locks × collector", TEXT, choice_row, factors, 0),
    };
    document_table(document, caption, columns, kinds ? 6 + split : 5, rows, count, sizeof *rows);
}

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
    return show_price(document, &price);
}

static size_t choice_rows(struct document *document, const struct analysis *analysis,
                          const struct choices *choices, size_t kind, bool whole,
                          struct choice_row *rows) {
    size_t count = 0;
    for (size_t i = 0; i < choices->count; i++) {
        const struct choice *choice = &choices->items[i];
        if (choice->kind != kind || whole != (choice->workload == NULL)) continue;
        rows[count++] = (struct choice_row){
            .name = whole ? workload_kinds[kind].title : choice->workload,
            .backend = choice->backend,
            .counts = keep(document, "%zu, %zu of %zu", choice->better, choice->worse,
                           choice->better + choice->worse + choice->same + choice->open),
            .factors = whole ? kind_factors(document, analysis, choices, choice) : NULL,
            .advice = choice->advice,
            .gain = choice->gain,
            .price = choice->price};
    }
    return count;
}

// What to do, by backend: each kind stands in one of its lines.
static void say_answer(struct document *document, const struct analysis *analysis,
                       const struct choices *choices, const char *backend) {
    static const char *const words[] = {"Leave",         "Leave, if threaded", "Stay",
                                        "No difference", "Not enough data",    "Not measured"};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++) {
        struct text line = {0};
        for (size_t c = 0; c < choices->count; c++) {
            const struct choice *choice = &choices->items[c];
            if (choice->workload == NULL && strcmp(choice->backend, backend) == 0 &&
                strcmp(choice->advice.words, words[i]) == 0)
                text_add(&line, "%s%s (%.2f times)", line.length ? ", " : "",
                         workload_kinds[choice->kind].title, choice->gain.estimate);
        }
        if (line.length)
            document_bullet(document, "**%s** instead of %s: **%s** for %s.", backend,
                            analysis->baseline, words[i], text_string(&line));
        text_free(&line);
    }
}

static void say_counts(struct document *document, const struct analysis *analysis,
                       const struct choices *choices, const char *backend) {
    size_t better = 0, worse = 0, same = 0, open = 0;
    for (size_t i = 0; i < choices->count; i++) {
        const struct choice *choice = &choices->items[i];
        if (choice->workload || strcmp(choice->backend, backend) != 0) continue;
        better += choice->better;
        worse += choice->worse;
        same += choice->same;
        open += choice->open;
    }
    document_bullet(document,
                    "**%s** on %d threads is faster than %s on **%zu of %zu workloads**, slower on "
                    "%zu, the same on %zu; for %zu there is not enough data.",
                    backend, analysis->scale_threads, analysis->baseline, better,
                    analysis->results->workload_count, worse, same, open);
}

static void say_where(struct document *document, const struct analysis *analysis) {
    const json_t *root = analysis->results->root, *machine = json_object_get(root, "machine");
    size_t least = SIZE_MAX, workloads = analysis->results->workload_count;
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (analysis->cells[i].key.list == LIST_TIMED && analysis->cells[i].runs.count < least)
            least = analysis->cells[i].runs.count;
    double cores = object_number(machine, "cores", 0);
    document_paragraph(document,
                       "Measured on %s, %.0f core%s, %s: %zu workload%s, at least %zu round%s. It "
                       "holds for this machine and these workloads; the end of the report lists "
                       "what may spoil it.",
                       object_string(machine, "cpu", "an unknown processor"), cores, plural(cores),
                       object_string(root, "started", "?"), workloads, plural((double)workloads),
                       least, plural((double)least));
}

static void say_legend(struct document *document, const struct analysis *analysis) {
    document_paragraph(
        document,
        "**Leave**: faster on %d threads, and no slower on one. **Leave, if threaded**: faster on "
        "%d, and slower on one, or that is not known. **Stay**: slower, or a price without a gain. "
        "**No difference**: the same within %g %%. **Not enough data**: neither was shown. A "
        "kind's figures are geometric means over its workloads; a kind counts as faster or slower "
        "only if one of its workloads does. Brackets and bars are 95 %% intervals of single "
        "figures. A verdict asks for more, since there are many.",
        analysis->scale_threads, analysis->scale_threads, analysis->margin * 100);
}

void section_summary(struct document *document, const struct analysis *analysis) {
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
    if (choices.count == 0) {
        document_paragraph(document,
                           "That needs %s, another backend, and more than one thread with a core "
                           "each. Each workload's section says which backend is fastest.",
                           analysis->results->backends[0].name);
        say_where(document, analysis);
        return;
    }
    struct choice_row *rows = checked_calloc(choices.count, sizeof *rows);
    size_t count = 0;
    for (size_t b = 0; b < analysis->backend_count; b++)
        if (competes(analysis, analysis->backends[b])) {
            say_answer(document, analysis, &choices, analysis->backends[b]);
            say_counts(document, analysis, &choices, analysis->backends[b]);
        }
    part_answers(document, analysis);
    for (size_t k = 0; k < KINDS; k++)
        count += choice_rows(document, analysis, &choices, k, true, rows + count);
    choice_table(document, analysis, "", rows, count, true);
    say_legend(document, analysis);
    say_where(document, analysis);
    document_heading(document, 2, "Which backend for which workload");
    for (size_t k = 0; k < KINDS; k++) {
        count = choice_rows(document, analysis, &choices, k, false, rows);
        choice_table(
            document, analysis,
            keep(document, "**%s:** %s", workload_kinds[k].title, workload_kinds[k].meaning), rows,
            count, false);
    }
    part_judgement(document, analysis);
    free(rows);
    choices_free(&choices);
}
