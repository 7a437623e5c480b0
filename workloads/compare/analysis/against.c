// SPDX-License-Identifier: LGPL-2.1-or-later
//
// This build against another one.  A row is a workload, backend and number of threads, and its
// rounds are pairs of runs, one of each build.
//
// Some rows vary a hundred times as much as others, and a few rounds say little of how much. So
// each row has a variance of its own, moved towards those of all rows as far as these are alike.
//
// An alarm ends somebody's build. So the first rounds only choose: what looks slower by more than
// the margin, without a correction, is measured again in rounds of its own. These alone say whether
// it is, and how much: the first ones were chosen for what they showed. One session in
// ALARMS_IN, at most, calls any of them slower wrongly. Where none was measured again, as in a run
// that was ended, the rounds that there are are judged, corrected for all rows.
#include "analysis.h"

#include "text.h"

#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>

enum { ALARMS_IN = 1000 };

// The rounds from `first` to `end` that ran with both builds.
struct pairs {
    double *logs; // of the ratios
    size_t count;
    double mean, variance; // NAN where there are too few
};

static struct pairs pairs_of(const struct comparison *row, size_t first, size_t end) {
    struct pairs pairs = {.logs = checked_calloc(end - first, sizeof *pairs.logs)};
    for (size_t r = first; r < end; r++) {
        double log_ratio = row->over->logs[r] - row->under->logs[r];
        if (!isnan(log_ratio)) pairs.logs[pairs.count++] = log_ratio;
    }
    pairs.mean = pairs.count ? gsl_stats_mean(pairs.logs, 1, pairs.count) : NAN;
    pairs.variance = pairs.count > 1 && isfinite(pairs.mean)
                         ? gsl_stats_variance(pairs.logs, 1, pairs.count)
                         : NAN;
    return pairs;
}

static struct interval ratio_of_pairs(const struct pairs *pairs, double variance, double freedom,
                                      double margin) {
    return ratio_of(pairs->mean, sqrt(variance / (double)pairs->count), freedom, pairs->count,
                    margin);
}

// The rows with as many rounds as any share what they know of their variances.
static void measure_rows(struct comparisons *list, size_t rounds, double margin) {
    struct pairs *pairs = checked_calloc(list->count, sizeof *pairs);
    double *variances = checked_calloc(list->count, sizeof *variances);
    size_t most = 0, alike = 0;
    for (size_t i = 0; i < list->count; i++) {
        pairs[i] = pairs_of(&list->items[i], 0, rounds);
        if (!isnan(pairs[i].variance) && pairs[i].count > most) most = pairs[i].count;
    }
    for (size_t i = 0; i < list->count; i++)
        if (pairs[i].count == most && !isnan(pairs[i].variance))
            variances[alike++] = pairs[i].variance;
    double freedom = alike ? moderate_variances(variances, alike, (double)most - 1) : NAN;
    for (size_t i = 0, next = 0; i < list->count; i++) {
        bool shares = pairs[i].count == most && !isnan(pairs[i].variance);
        list->items[i].ratio =
            ratio_of_pairs(&pairs[i], shares ? variances[next++] : pairs[i].variance,
                           shares ? freedom : (double)pairs[i].count - 1, margin);
        free(pairs[i].logs);
    }
    free(variances);
    free(pairs);
}

// What the rounds that looked again say takes the place of what was measured first. Returns
// whether there are any.
static bool look_again(struct comparison *row, const struct analysis *analysis) {
    struct pairs again = pairs_of(row, analysis->first_rounds, analysis->rounds);
    bool found = again.count > 1;
    if (found)
        row->ratio =
            ratio_of_pairs(&again, again.variance, (double)again.count - 1, analysis->margin);
    free(again.logs);
    return found;
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
