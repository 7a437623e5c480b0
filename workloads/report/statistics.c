// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates, intervals and verdicts; statistics.h tells the method.
#include "statistics.h"

#include "random.h"
#include "text.h"

#include <gsl/gsl_cdf.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *left, const void *right) {
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// Insertion sort: most calls have under twenty values, and there are millions.
static void sort(double *values, size_t count) {
    if (count > 32) {
        qsort(values, count, sizeof *values, compare_doubles);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t j = i;
        for (; j > 0 && values[j - 1] > value; j--) values[j] = values[j - 1];
        values[j] = value;
    }
}

double median(double *values, size_t count) {
    if (count == 0) return 0;
    sort(values, count);
    size_t middle = count / 2;
    return count % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

struct moments series_moments(const struct series *series) {
    struct moments moments = {.count = series->count, .good = series->count >= 2};
    double *logs = checked_calloc(series->count, sizeof *logs);
    for (size_t i = 0; i < series->count; i++) {
        const struct block_rates *block = &series->blocks[i];
        double *samples = checked_calloc(block->count, sizeof *samples);
        if (block->count) memcpy(samples, block->rates, block->count * sizeof *samples);
        logs[i] = log(median(samples, block->count));
        free(samples);
    }
    for (size_t i = 0; i < series->count; i++) moments.mean += logs[i] / (double)series->count;
    for (size_t i = 0; i < series->count && series->count > 1; i++)
        moments.variance +=
            (logs[i] - moments.mean) * (logs[i] - moments.mean) / (double)(series->count - 1);
    moments.good = moments.good && isfinite(moments.mean) && isfinite(moments.variance);
    free(logs);
    return moments;
}

double series_estimate(const struct series *series) {
    double estimate = series->count ? exp(series_moments(series).mean) : 0;
    return isfinite(estimate) ? estimate : 0;
}

void series_bootstrap(const struct series *series, uint64_t seed, double *replicates) {
    double *logs = checked_calloc(series->count, sizeof *logs);
    uint64_t state = seed;
    for (size_t i = 0; i < series->count; i++) {
        struct series one = {.blocks = &series->blocks[i], .count = 1};
        logs[i] = series_moments(&one).mean;
    }
    for (size_t r = 0; r < RESAMPLES; r++) {
        double sum = 0;
        for (size_t i = 0; i < series->count; i++) sum += logs[random_below(&state, series->count)];
        replicates[r] = series->count ? exp(sum / (double)series->count) : 0;
    }
    free(logs);
}

static double quantile(const double *sorted, size_t count, double fraction) {
    double position = fraction * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    double share = position - (double)below;
    return sorted[below] * (1 - share) + sorted[above] * share;
}

// How much a percentile interval must be widened; statistics.h says why.
static double widening(size_t n, size_t freedom) {
    return gsl_cdf_tdist_Pinv(0.975, (double)freedom) / gsl_cdf_ugaussian_Pinv(0.975) *
           sqrt((double)n / (double)(n - 1));
}

struct interval interval_of(double estimate, const double *replicates, size_t blocks,
                            size_t freedom) {
    struct interval result = {
        .estimate = estimate, .low = estimate, .high = estimate, .p_differs = 1, .p_same = 1};
    if (blocks < 2 || freedom < 1 || !(estimate > 0) || !isfinite(estimate)) return result;
    double *sorted = checked_calloc(RESAMPLES, sizeof *sorted);
    memcpy(sorted, replicates, RESAMPLES * sizeof *sorted);
    qsort(sorted, RESAMPLES, sizeof *sorted, compare_doubles);
    double low = quantile(sorted, RESAMPLES, 0.025);
    double high = quantile(sorted, RESAMPLES, 0.975);
    free(sorted);
    if (!(low > 0) || !isfinite(high)) return result;
    double factor = widening(blocks, freedom);
    result.low = estimate * pow(fmin(low / estimate, 1), factor);
    result.high = estimate * pow(fmax(high / estimate, 1), factor);
    result.known = isfinite(result.high);
    return result;
}

// The squared standard error of a difference of means, and Welch's and
// Satterthwaite's degrees of freedom.
struct spread {
    double error, freedom;
};

static struct spread welch(struct moments over, struct moments under) {
    // Clocks and schedulers do not repeat to a part in ten thousand: blocks that
    // agree better do so by chance.
    static const double FINEST = 1e-4;
    double first = over.variance / (double)over.count,
           second = under.variance / (double)under.count;
    double parts =
        first * first / (double)(over.count - 1) + second * second / (double)(under.count - 1);
    double least = (double)(over.count < under.count ? over.count : under.count) - 1;
    return (struct spread){
        .error = fmax(sqrt(first + second), FINEST),
        .freedom = parts > 0 ? fmax((first + second) * (first + second) / parts, least) : least};
}

struct interval compare_means(struct moments over, struct moments under, double margin) {
    double difference = over.mean - under.mean;
    struct interval result = {.estimate = exp(difference), .p_differs = 1, .p_same = 1};
    if (!isfinite(difference) || over.count == 0 || under.count == 0) result.estimate = 0;
    result.low = result.high = result.estimate;
    if (!over.good || !under.good) return result;
    struct spread spread = welch(over, under);
    double reach = gsl_cdf_tdist_Pinv(0.975, spread.freedom) * spread.error;
    result.low = exp(difference - reach);
    result.high = exp(difference + reach);
    result.known = isfinite(result.high);
    result.p_differs = 2 * gsl_cdf_tdist_Q(fabs(difference) / spread.error, spread.freedom);
    result.p_same =
        gsl_cdf_tdist_Q((log1p(margin) - fabs(difference)) / spread.error, spread.freedom);
    return result;
}

// The largest p that Benjamini and Hochberg's procedure rejects; 0: none.
static double discovery_threshold(double *p, size_t count, double level) {
    sort(p, count);
    for (size_t i = count; i > 0; i--)
        if (p[i - 1] <= level * (double)i / (double)count) return p[i - 1];
    return 0;
}

struct judgement judge(const struct interval *comparisons, size_t count, double level,
                       double margin) {
    struct judgement judgement = {.level = level, .margin = margin, .comparisons = count};
    double *differs = checked_calloc(count, sizeof *differs),
           *same = checked_calloc(count, sizeof *same);
    for (size_t i = 0; i < count; i++) {
        differs[i] = comparisons[i].p_differs;
        same[i] = comparisons[i].p_same;
    }
    judgement.differs_below = discovery_threshold(differs, count, level);
    judgement.same_below = discovery_threshold(same, count, level);
    free(differs);
    free(same);
    for (size_t i = 0; i < count; i++) {
        enum finding finding = finding_of(&comparisons[i], &judgement);
        judgement.different += finding == FINDING_DIFFERENT;
        judgement.same += finding == FINDING_SAME;
        judgement.open += finding == FINDING_OPEN;
    }
    return judgement;
}

// A difference within the margin is one that the reader does not care about.
enum finding finding_of(const struct interval *comparison, const struct judgement *judgement) {
    if (comparison->known && comparison->p_same <= judgement->same_below) return FINDING_SAME;
    if (comparison->known && comparison->p_differs <= judgement->differs_below)
        return FINDING_DIFFERENT;
    return FINDING_OPEN;
}

// Blocks for a one-sided test at `level` to see `distance` in four of five runs.
static double blocks_to_see(double variance, double distance, double level) {
    double blocks = 3;
    for (int step = 0; step < 20; step++) {
        double reach =
            gsl_cdf_tdist_Qinv(level, fmax(2 * blocks - 2, 1)) + gsl_cdf_ugaussian_Pinv(0.8);
        blocks = fmax(reach * reach * variance / (distance * distance), 2);
    }
    return blocks;
}

size_t blocks_for_verdict(struct moments over, struct moments under,
                          const struct judgement *judgement) {
    if (!over.good || !under.good) return 0;
    double difference = fabs(over.mean - under.mean), variance = over.variance + under.variance;
    double single =
        judgement->level / (double)(judgement->comparisons ? judgement->comparisons : 1);
    double margin = log1p(judgement->margin), needed = HUGE_VAL;
    if (difference > 0)
        needed = blocks_to_see(variance, difference, fmax(judgement->differs_below, single) / 2);
    if (difference < margin)
        needed = fmin(needed, blocks_to_see(variance, margin - difference,
                                            fmax(judgement->same_below, single)));
    double now = (double)(over.count < under.count ? over.count : under.count);
    return needed < 1e9 ? (size_t)ceil(fmax(needed, now + 1)) : 0;
}

// Whether the first value belongs to the same process as those after it.
static bool is_warm(const double *rates, size_t count) {
    double *rest = checked_calloc(count - 1, sizeof *rest);
    memcpy(rest, rates + 1, (count - 1) * sizeof *rest);
    double middle = median(rest, count - 1); // sorts them
    double low = rest[0], high = rest[count - 2];
    free(rest);
    double away = rates[0] < low ? low - rates[0] : rates[0] - high;
    return away <= high - low || fabs(rates[0] - middle) <= 0.02 * middle;
}

size_t warmup_length(const double *rates, size_t count) {
    size_t dropped = 0;
    while (count - dropped > 3 && dropped < count / 2 && !is_warm(rates + dropped, count - dropped))
        dropped++;
    return dropped;
}

bool interval_differs(struct interval ratio) {
    if (ratio.finding != FINDING_NONE) return ratio.finding == FINDING_DIFFERENT;
    if (!ratio.known || fabs(ratio.estimate - 1) < 0.01) return false;
    return ratio.low > 1 || ratio.high < 1;
}
