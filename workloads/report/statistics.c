// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates with bootstrap intervals; statistics.h tells the method.
#include "statistics.h"

#include "random.h"
#include "text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static int compare_doubles(const void *left, const void *right)
{
    double a = *(const double *)left, b = *(const double *)right;
    return (a > b) - (a < b);
}

// Insertion sort: most calls have under twenty values, and there are millions.
static void sort(double *values, size_t count)
{
    if (count > 32) {
        qsort(values, count, sizeof *values, compare_doubles);
        return;
    }
    for (size_t i = 1; i < count; i++) {
        double value = values[i];
        size_t j = i;
        for (; j > 0 && values[j - 1] > value; j--)
            values[j] = values[j - 1];
        values[j] = value;
    }
}

double median(double *values, size_t count)
{
    if (count == 0)
        return 0;
    sort(values, count);
    size_t middle = count / 2;
    return count % 2 ? values[middle] : (values[middle - 1] + values[middle]) / 2;
}

static size_t longest_block(const struct series *series)
{
    size_t longest = 0;
    for (size_t i = 0; i < series->count; i++)
        if (series->blocks[i].count > longest)
            longest = series->blocks[i].count;
    return longest;
}

double series_estimate(const struct series *series)
{
    double *medians = checked_calloc(series->count, sizeof *medians);
    double *samples = checked_calloc(longest_block(series), sizeof *samples);
    for (size_t i = 0; i < series->count; i++) {
        const struct block_rates *block = &series->blocks[i];
        if (block->count)
            memcpy(samples, block->rates, block->count * sizeof *samples);
        medians[i] = median(samples, block->count);
    }
    double estimate = median(medians, series->count);
    free(samples);
    free(medians);
    return estimate;
}

void series_bootstrap(const struct series *series, uint64_t seed, double *replicates)
{
    double *medians = checked_calloc(series->count, sizeof *medians);
    double *samples = checked_calloc(longest_block(series), sizeof *samples);
    uint64_t state = seed;
    for (size_t r = 0; r < RESAMPLES; r++) {
        for (size_t i = 0; i < series->count; i++) {
            const struct block_rates *block = &series->blocks[random_below(&state, series->count)];
            for (size_t k = 0; k < block->count; k++)
                samples[k] = block->rates[random_below(&state, block->count)];
            medians[i] = median(samples, block->count);
        }
        replicates[r] = median(medians, series->count);
    }
    free(samples);
    free(medians);
}

static double quantile(const double *sorted, size_t count, double fraction)
{
    double position = fraction * (double)(count - 1);
    size_t below = (size_t)position;
    size_t above = below + 1 < count ? below + 1 : below;
    double share = position - (double)below;
    return sorted[below] * (1 - share) + sorted[above] * share;
}

// How much a percentile interval must be widened; statistics.h says why.
static double widening(size_t n, size_t freedom)
{
    static const double student[] = {0,     12.706, 4.303, 3.182, 2.776, 2.571, 2.447,
                                     2.365, 2.306,  2.262, 2.228, 2.201, 2.179, 2.160,
                                     2.145, 2.131,  2.120, 2.110, 2.101, 2.093, 2.086};
    size_t entries = sizeof student / sizeof *student;
    double t = freedom < entries ? student[freedom] : 1.96 + 2.5 / (double)freedom;
    return t / 1.96 * sqrt((double)n / (double)(n - 1));
}

struct interval interval_of(double estimate, const double *replicates, size_t blocks, size_t freedom)
{
    struct interval result = {.estimate = estimate, .low = estimate, .high = estimate};
    if (blocks < 2 || freedom < 1 || !(estimate > 0) || !isfinite(estimate))
        return result;
    double *sorted = checked_calloc(RESAMPLES, sizeof *sorted);
    memcpy(sorted, replicates, RESAMPLES * sizeof *sorted);
    qsort(sorted, RESAMPLES, sizeof *sorted, compare_doubles);
    double low = quantile(sorted, RESAMPLES, 0.025);
    double high = quantile(sorted, RESAMPLES, 0.975);
    free(sorted);
    if (!(low > 0) || !isfinite(high))
        return result;
    double factor = widening(blocks, freedom);
    result.low = estimate * pow(fmin(low / estimate, 1), factor);
    result.high = estimate * pow(fmax(high / estimate, 1), factor);
    result.known = isfinite(result.high);
    return result;
}

bool interval_differs(struct interval ratio)
{
    if (!ratio.known || fabs(ratio.estimate - 1) < 0.01)
        return false;
    return ratio.low > 1 || ratio.high < 1;
}
