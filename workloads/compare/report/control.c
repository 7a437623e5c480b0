// SPDX-License-Identifier: LGPL-2.1-or-later
//
// How verdicts are said and counted, and the control that shows how far they can be trusted.
#include "compose.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

struct comparison_row {
    const char *what, *finding;
    struct interval ratio;
    double rounds;
};

const char *show_finding(struct document *document, const struct interval *ratio,
                         const struct judgement *judgement, bool promise) {
    if (ratio->finding == FINDING_DIFFERENT) return "different";
    if (ratio->finding == FINDING_SAME)
        return keep(document, "the same within %g %%", judgement->margin * 100);
    double difference = difference_resolved(ratio, ratio->rounds, judgement);
    if (!promise || isnan(difference)) return "not enough data";
    return keep(document, "not enough data; %zu more rounds would resolve %.*f %%", ratio->rounds,
                difference < 0.0995 ? 1 : 0, difference * 100);
}

void part_judgement(struct document *document, const struct analysis *analysis) {
    const struct judgement *backends = &analysis->families[FAMILY_BACKENDS].judgement,
                           *threads = &analysis->families[FAMILY_THREADS].judgement;
    if (backends->comparisons + threads->comparisons == 0) return;
    document_paragraph(document,
                       "Of %zu comparisons of two backends %zu came out **different**, %zu **the "
                       "same** within %g %%, and for %zu there is **not enough data**; of %zu of a "
                       "backend with itself on one thread %zu, %zu and %zu.",
                       backends->comparisons, backends->different, backends->same,
                       backends->margin * 100, backends->open, threads->comparisons,
                       threads->different, threads->same, threads->open);
    document_paragraph(
        document, "Ratios are of throughput, all threads together. Brackets are 95 %% "
                  "intervals. One process is one observation, and is compared with the others "
                  "of its round. At most one in twenty of the differences found is expected to "
                  "be none. N more rounds would resolve a difference if it would be found in "
                  "four of five such runs.");
}

char *show_control(const struct analysis *analysis) {
    const struct judgement *judgement = &analysis->control.judgement;
    return format("Control: %zu of %zu comparisons of a backend with itself came out different; "
                  "%zu would have without the correction for many comparisons, where one in twenty "
                  "is to be expected",
                  judgement->different, analysis->control.count, analysis->controls_uncorrected);
}

void section_control(struct document *document, const struct analysis *analysis) {
    const struct comparisons *control = &analysis->control;
    document_heading(document, 2, "The control: a backend against itself");
    if (control->count == 0) {
        document_paragraph(document, "No control was measured.");
        return;
    }
    char *shown = show_control(analysis);
    document_paragraph(document, "In each round a backend was measured a second time, as if it "
                                 "were another one. There is nothing to find, so each of these "
                                 "that comes out different is a false alarm, and shows how many "
                                 "there may be among the rest.");
    document_paragraph(document, "**%s.**", shown);
    free(shown);
    struct comparison_row *rows = checked_calloc(control->count, sizeof *rows);
    for (size_t i = 0; i < control->count; i++) {
        const struct comparison *one = &control->items[i];
        const struct key *key = &one->over->key;
        rows[i] = (struct comparison_row){
            .what = keep(document, "%s, %s, %d thread%s", key->workload, key->backend, key->threads,
                         plural(key->threads)),
            .finding = show_finding(document, &one->ratio, &control->judgement, false),
            .ratio = one->ratio,
            .rounds = (double)one->ratio.rounds};
    }
    const struct column columns[] = {
        COLUMN("workload", TEXT, comparison_row, what, 0),
        COLUMN("verdict", TEXT, comparison_row, finding, 0),
        COLUMN("ratio to itself", RATIO, comparison_row, ratio, 0),
        COLUMN("rounds", COUNT, comparison_row, rounds, 0),
    };
    document_details(document, "Each of the %zu", control->count);
    TABLE_OF(document, "", columns, rows, control->count);
    document_details_end(document);
    free(rows);
}
