// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How verdicts are said and counted; the control that shows how far they can be trusted; and
// this build against another one, whose runs took turns with its own.
#include "compose.h"

#include <math.h>
#include <stdlib.h>

// "different", "the same within 2 %", or "not enough data" with what more rounds would resolve.
static const char *show_finding(struct document *document, const struct interval *ratio,
                                const struct judgement *judgement) {
    if (ratio->finding == FINDING_DIFFERENT) return "different";
    if (ratio->finding == FINDING_SAME)
        return keep(document, "the same within %g %%", judgement->margin * 100);
    double difference = difference_resolved(ratio, ratio->rounds, judgement);
    if (isnan(difference)) return "not enough data";
    return keep(document, "not enough data; %zu more rounds would resolve %.*f %%", ratio->rounds,
                difference < 0.0995 ? 1 : 0, difference * 100);
}

// ---- the control -----------------------------------------------------------------------

char *show_control(const struct analysis *analysis) {
    const struct judgement *judgement = &analysis->control.judgement;
    return format("Control: %zu of %zu comparisons of a backend with itself came out different; "
                  "%zu would have without the correction for many comparisons, where one in twenty "
                  "is to be expected",
                  judgement->different, analysis->control.count, analysis->controls_uncorrected);
}

static void say_counts(struct document *document, const struct analysis *analysis) {
    const struct judgement *backends = &analysis->families[FAMILY_BACKENDS].judgement,
                           *threads = &analysis->families[FAMILY_THREADS].judgement;
    if (backends->comparisons + threads->comparisons == 0) return;
    document_paragraph(
        document,
        "Of %zu comparisons of two backends %zu came out **different**, %zu **the same** within "
        "%g %%, and for %zu there is **not enough data**; of %zu of a backend with itself on one "
        "thread %zu, %zu and %zu. At most one in twenty of the differences found is expected to "
        "be none. A ratio is of throughput, all threads together, and its brackets are its 95 %% "
        "interval. A verdict asks for more than one interval does, since there are many.",
        backends->comparisons, backends->different, backends->same, backends->margin * 100,
        backends->open, threads->comparisons, threads->different, threads->same, threads->open);
}

void section_control(struct document *document, const struct analysis *analysis) {
    document_heading(document, 2, "The control");
    say_counts(document, analysis);
    if (analysis->control.count == 0) {
        document_paragraph(document, "No control was measured.");
        return;
    }
    char *shown = show_control(analysis);
    document_paragraph(document,
                       "In each round a backend was measured a second time, as if it were another "
                       "one. There is nothing to find, so a difference found there is a false "
                       "alarm. **%s.** comparisons.csv has each of them.",
                       shown);
    free(shown);
}

// ---- another build ---------------------------------------------------------------------

struct against_row {
    const char *workload, *backend, *finding;
    double threads;
    struct interval ratio;
};

char *show_against(const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    size_t slower = 0;
    for (size_t i = 0; i < list->count; i++) slower += list->items[i].slower;
    return format("Against %s: of %zu comparisons %zu are different, %zu the same within %g %%, "
                  "%zu lack data; %zu are slower by more than the margin",
                  object_string(json_object_get(analysis->results->root, "against_build"), "commit",
                                "another build"),
                  list->count, list->judgement.different, list->judgement.same,
                  analysis->margin * 100, list->judgement.open, slower);
}

void section_against(struct document *document, const struct analysis *analysis) {
    const struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    if (list->count == 0) return;
    char *shown = show_against(analysis);
    document_heading(document, 2, "This build against another");
    document_paragraph(document,
                       "**%s.** Both builds ran in each round, in an order drawn anew. A ratio is "
                       "of this build's throughput over the other's; below 1 is slower.",
                       shown);
    if (analysis->rounds > analysis->first_rounds)
        document_paragraph(document,
                           "What looked slower by more than the margin was measured again in %zu "
                           "more rounds, and these rounds alone are shown: the first ones were "
                           "chosen for what they showed.",
                           analysis->rounds - analysis->first_rounds);
    free(shown);
    struct against_row *rows = checked_calloc(list->count, sizeof *rows);
    for (size_t i = 0; i < list->count; i++) {
        const struct comparison *one = &list->items[i];
        rows[i] = (struct against_row){
            .workload = one->over->key.workload,
            .backend = one->over->key.backend,
            .threads = one->over->key.threads,
            .ratio = one->ratio,
            .finding = one->slower ? "slower by more than the margin"
                                   : show_finding(document, &one->ratio, &list->judgement)};
    }
    const struct column columns[] = {
        COLUMN("workload", LINK, against_row, workload, 0),
        COLUMN("backend", BACKEND, against_row, backend, 0),
        COLUMN("verdict", TEXT, against_row, finding, 0),
        COLUMN("threads", COUNT, against_row, threads, 0),
        COLUMN("throughput\ntimes the other build's", RATIO, against_row, ratio, 0),
    };
    TABLE_OF(document, "", columns, rows, list->count);
    free(rows);
}
