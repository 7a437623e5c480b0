// SPDX-License-Identifier: LGPL-2.1-or-later
//
// This build against another one.  A row is a workload, backend and number of threads, and its
// rounds are pairs of runs, one of each build.
//
// An alarm ends somebody's build. So the first rounds only choose: what looks slower by more than
// the margin, without a correction, is measured again in rounds of its own. These alone say whether
// it is, and how much: the first ones were chosen for what they showed. One session in
// ALARMS_IN, at most, calls any of them slower wrongly. Where none was measured again, as in a run
// that was ended, the rounds that there are are judged, corrected for all rows.
#include "analysis.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>

enum { ALARMS_IN = 1000 };

void measure_rows(struct comparisons *list, size_t rounds, double margin) {
    double *variances = checked_calloc(list->count, sizeof *variances);
    size_t most = 0, alike = 0;
    for (size_t i = 0; i < list->count; i++) {
        struct comparison *row = &list->items[i];
        row->ratio = pair_ratio(row->over->logs, row->under->logs, rounds, margin);
        if (row->ratio.known && row->ratio.rounds > most) most = row->ratio.rounds;
    }
    for (size_t i = 0; i < list->count; i++) {
        const struct interval *ratio = &list->items[i].ratio;
        if (ratio->known && ratio->rounds == most)
            variances[alike++] = ratio->error * ratio->error * (double)most;
    }
    double freedom = alike ? moderate_variances(variances, alike, (double)most - 1) : NAN;
    for (size_t i = 0, next = 0; i < list->count; i++) {
        struct interval *ratio = &list->items[i].ratio;
        if (ratio->known && ratio->rounds == most)
            *ratio = ratio_of(log(ratio->estimate), sqrt(variances[next++] / (double)most), freedom,
                              most, margin);
    }
    free(variances);
}

// What the rounds that looked again say takes the place of what was measured first. Returns
// whether there are any.
static bool look_again(struct comparison *row, const struct analysis *analysis) {
    size_t first = analysis->first_rounds;
    struct interval again = pair_ratio(row->over->logs + first, row->under->logs + first,
                                       analysis->rounds - first, analysis->margin);
    if (again.known) row->ratio = again;
    return again.known;
}

void judge_against(struct analysis *analysis) {
    struct comparisons *list = &analysis->families[FAMILY_AGAINST];
    struct interval *ratios = checked_calloc(list->count, sizeof *ratios);
    size_t again = 0;
    measure_rows(list, analysis->first_rounds, analysis->margin);
    for (size_t i = 0; i < list->count; i++) {
        struct comparison *row = &list->items[i];
        row->looks_slower = row->ratio.known && row->ratio.p_slower <= LEVEL;
        if (row->looks_slower) again += look_again(row, analysis);
        ratios[i] = row->ratio;
    }
    list->judgement = judge(ratios, list->count, LEVEL, analysis->margin);
    if (again) list->judgement.slower_below = 1.0 / ALARMS_IN / (double)again;
    for (size_t i = 0; i < list->count; i++) {
        struct comparison *row = &list->items[i];
        row->slower = is_slower(&row->ratio, &list->judgement);
        row->ratio.finding = finding_of(&row->ratio, &list->judgement);
    }
    free(ratios);
}
