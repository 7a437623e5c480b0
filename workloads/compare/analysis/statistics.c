// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Estimates, intervals and verdicts; statistics.h tells the method.
#include "statistics.h"

#include "text.h"

#include <gsl/gsl_cdf.h>
#include <gsl/gsl_errno.h>
#include <gsl/gsl_linalg.h>
#include <gsl/gsl_sf_psi.h>
#include <gsl/gsl_sort.h>
#include <gsl/gsl_statistics.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

// Clocks and schedulers do not repeat to a part in ten thousand: runs that agree better
// do so by chance.
static const double FINEST = 1e-4;

double median(double *values, size_t count) {
    return count ? gsl_stats_median(values, 1, count) : 0;
}

double quantile(const double *sorted, size_t count, double share) {
    return count ? gsl_stats_quantile_from_sorted_data(sorted, 1, count, share) : 0;
}

bool carries_quantile(double count, double share) { return (1 - share) * count >= 1 - 1e-9; }

// The t distribution's upper tail; with infinite freedom the normal one's.
static double tail(double t, double freedom) {
    return isfinite(freedom) ? gsl_cdf_tdist_Q(t, freedom) : gsl_cdf_ugaussian_Q(t);
}

static double tail_inverse(double p, double freedom) {
    return isfinite(freedom) ? gsl_cdf_tdist_Qinv(p, freedom) : gsl_cdf_ugaussian_Qinv(p);
}

struct interval ratio_of(double log_ratio, double error, double freedom, size_t rounds,
                         double margin) {
    struct interval result = {.p_differs = 1, .p_same = 1, .p_slower = 1, .rounds = rounds};
    if (!isfinite(log_ratio)) return result;
    result.estimate = result.low = result.high = exp(log_ratio);
    if (!(freedom >= 1) || !isfinite(error)) return result;
    result.error = fmax(error, FINEST);
    result.freedom = freedom;
    double reach = tail_inverse(0.025, freedom) * result.error, edge = log1p(margin);
    result.low = exp(log_ratio - reach);
    result.high = exp(log_ratio + reach);
    result.known = isfinite(result.high);
    result.p_differs = 2 * tail(fabs(log_ratio) / result.error, freedom);
    result.p_same = tail((edge - fabs(log_ratio)) / result.error, freedom);
    result.p_slower = tail((-log_ratio - edge) / result.error, freedom);
    return result;
}

// ---- the model -------------------------------------------------------------------

// The sums of a round over the groups that ran in it; false where fewer than two did.
static bool add_round(const double *logs, const bool *used, size_t groups, size_t rounds,
                      size_t round, gsl_matrix *normal, double *sums, double *squares,
                      double *freedom) {
    double mean = 0, present = 0;
    for (size_t g = 0; g < groups; g++)
        if (used[g] && !isnan(logs[g * rounds + round])) {
            mean += logs[g * rounds + round];
            present++;
        }
    if (present < 2) return false;
    mean /= present;
    for (size_t g = 0; g < groups; g++) {
        double value = logs[g * rounds + round];
        if (!used[g] || isnan(value)) continue;
        sums[g] += value - mean;
        *squares += (value - mean) * (value - mean);
        for (size_t h = 0; h < groups; h++)
            if (used[h] && !isnan(logs[h * rounds + round]))
                *gsl_matrix_ptr(normal, g, h) += (g == h) - 1 / present;
    }
    *freedom += present - 1;
    return true;
}

// A group without a run, or with a rate of zero, takes no part.
static size_t find_used(const double *logs, size_t groups, size_t rounds, bool *used) {
    size_t count = 0;
    for (size_t g = 0; g < groups; g++) {
        bool any = false, bad = false;
        for (size_t r = 0; r < rounds; r++) {
            any = any || isfinite(logs[g * rounds + r]);
            bad = bad || isinf(logs[g * rounds + r]);
        }
        count += used[g] = any && !bad;
    }
    return count;
}

struct fit fit_rounds(const double *logs, size_t groups, size_t rounds) {
    struct fit fit = {.groups = groups,
                      .effects = checked_calloc(groups, sizeof *fit.effects),
                      .inverse = checked_calloc(groups * groups, sizeof *fit.inverse)};
    bool *used = checked_calloc(groups, sizeof *used);
    double *sums = checked_calloc(groups, sizeof *sums), squares = 0;
    size_t count = find_used(logs, groups, rounds, used);
    gsl_matrix_view normal = gsl_matrix_view_array(fit.inverse, groups, groups);
    for (size_t r = 0; r < rounds; r++)
        fit.rounds +=
            add_round(logs, used, groups, rounds, r, &normal.matrix, sums, &squares, &fit.freedom);
    // The effects sum to 0; one more equation says so.
    for (size_t g = 0; g < groups; g++)
        for (size_t h = 0; h < groups; h++)
            *gsl_matrix_ptr(&normal.matrix, g, h) +=
                used[g] && used[h] ? 1 / (double)count : g == h;
    gsl_error_handler_t *handler = gsl_set_error_handler_off();
    bool good = fit.rounds > 0 && gsl_linalg_cholesky_decomp1(&normal.matrix) == GSL_SUCCESS &&
                gsl_linalg_cholesky_invert(&normal.matrix) == GSL_SUCCESS;
    gsl_set_error_handler(handler);
    fit.freedom -= (double)count - 1;
    for (size_t g = 0; g < groups; g++) {
        for (size_t h = 0; h < groups; h++)
            fit.effects[g] += gsl_matrix_get(&normal.matrix, g, h) * sums[h];
        squares -= good ? fit.effects[g] * sums[g] : 0;
    }
    for (size_t g = 0; g < groups; g++)
        if (!used[g] || !good) fit.effects[g] = NAN;
    fit.variance = fit.freedom >= 1 ? fmax(squares, 0) / fit.freedom : NAN;
    free(sums);
    free(used);
    return fit;
}

void fit_free(struct fit *fit) {
    free(fit->effects);
    free(fit->inverse);
    *fit = (struct fit){0};
}

struct interval fit_ratio(const struct fit *fit, size_t over, size_t under, double margin) {
    const double *inverse = fit->inverse;
    size_t n = fit->groups;
    double scale =
        inverse[over * n + over] + inverse[under * n + under] - 2 * inverse[over * n + under];
    return ratio_of(fit->effects[over] - fit->effects[under], sqrt(fit->variance * scale),
                    fit->freedom, fit->rounds, margin);
}

struct interval pair_ratio(const double *over, const double *under, size_t rounds, double margin) {
    double *logs = checked_calloc(2 * rounds, sizeof *logs);
    if (rounds) memcpy(logs, over, rounds * sizeof *logs);
    if (rounds) memcpy(logs + rounds, under, rounds * sizeof *logs);
    struct fit fit = fit_rounds(logs, 2, rounds);
    struct interval result = fit_ratio(&fit, 0, 1, margin);
    fit_free(&fit);
    free(logs);
    return result;
}

struct interval mean_over_rounds(const double *logs, size_t rounds, double margin) {
    double *present = checked_calloc(rounds, sizeof *present);
    size_t count = 0;
    for (size_t r = 0; r < rounds; r++)
        if (!isnan(logs[r])) present[count++] = logs[r];
    double mean = count ? gsl_stats_mean(present, 1, count) : NAN;
    double error = count > 1 && isfinite(mean)
                       ? sqrt(gsl_stats_variance(present, 1, count) / (double)count)
                       : NAN;
    free(present);
    return ratio_of(mean, error, (double)count - 1, count, margin);
}

// ---- verdicts --------------------------------------------------------------------

// The largest p that Benjamini and Hochberg's procedure rejects; 0: none.
static double discovery_threshold(double *p, size_t count, double level) {
    gsl_sort(p, 1, count);
    for (size_t i = count; i > 0; i--)
        if (p[i - 1] <= level * (double)i / (double)count) return p[i - 1];
    return 0;
}

struct judgement judge(const struct interval *comparisons, size_t count, double level,
                       double margin) {
    struct judgement judgement = {.level = level, .margin = margin, .comparisons = count};
    double *differs = checked_calloc(3 * count, sizeof *differs), *same = differs + count,
           *slower = same + count;
    for (size_t i = 0; i < count; i++) {
        differs[i] = comparisons[i].p_differs;
        same[i] = comparisons[i].p_same;
        slower[i] = comparisons[i].p_slower;
    }
    judgement.differs_below = discovery_threshold(differs, count, level);
    judgement.same_below = discovery_threshold(same, count, level);
    judgement.slower_below = discovery_threshold(slower, count, level / 5);
    free(differs);
    for (size_t i = 0; i < count; i++) {
        enum finding finding = finding_of(&comparisons[i], &judgement);
        judgement.different += finding == FINDING_DIFFERENT;
        judgement.same += finding == FINDING_SAME;
        judgement.open += finding == FINDING_OPEN;
    }
    return judgement;
}

const char *finding_name(enum finding finding) {
    static const char *const names[] = {[FINDING_NONE] = "",
                                        [FINDING_DIFFERENT] = "different",
                                        [FINDING_SAME] = "same",
                                        [FINDING_OPEN] = "not enough data"};
    return names[finding];
}

enum finding finding_of(const struct interval *comparison, const struct judgement *judgement) {
    if (comparison->known && comparison->p_same <= judgement->same_below) return FINDING_SAME;
    if (comparison->known && comparison->p_differs <= judgement->differs_below)
        return FINDING_DIFFERENT;
    return FINDING_OPEN;
}

bool is_slower(const struct interval *comparison, const struct judgement *judgement) {
    return comparison->known && comparison->p_slower <= judgement->slower_below;
}

double difference_resolved(const struct interval *comparison, size_t more,
                           const struct judgement *judgement) {
    size_t now = comparison->rounds, then = now + more;
    if (!comparison->known || now < 2) return NAN;
    double single = judgement->level / fmax((double)judgement->comparisons, 1);
    double level = fmin(judgement->level, fmax(judgement->differs_below, single));
    double freedom = comparison->freedom * (double)(then - 1) / (double)(now - 1);
    double reach = tail_inverse(level / 2, freedom) + tail_inverse(0.2, freedom);
    return expm1(reach * comparison->error * sqrt((double)now / (double)then));
}

// ---- warm-up ---------------------------------------------------------------------

// Whether the first value belongs to the same process as those after it.
static bool is_warm(const double *rates, size_t count) {
    double *rest = checked_calloc(count - 1, sizeof *rest), low, high;
    memcpy(rest, rates + 1, (count - 1) * sizeof *rest);
    gsl_stats_minmax(&low, &high, rest, 1, count - 1);
    double middle = median(rest, count - 1);
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

// ---- rows of many sessions ---------------------------------------------------------

// x with trigamma(x) = value, by Newton's method on 1 / trigamma, which is nearly linear.
static double trigamma_inverse(double value) {
    double x = 0.5 + 1 / value;
    for (int step = 0; step < 50; step++) {
        double here = gsl_sf_psi_1(x);
        double move = here * (1 - here / value) / gsl_sf_psi_n(2, x);
        x += move;
        if (fabs(move) < 1e-9 * x) break;
    }
    return x;
}

double moderate_variances(double *variances, size_t count, double freedom) {
    double *logs = checked_calloc(count, sizeof *logs);
    for (size_t i = 0; i < count; i++)
        logs[i] =
            log(fmax(variances[i], FINEST * FINEST)) - gsl_sf_psi(freedom / 2) + log(freedom / 2);
    double mean = gsl_stats_mean(logs, 1, count);
    double excess = count > 1 ? gsl_stats_variance(logs, 1, count) - gsl_sf_psi_1(freedom / 2) : 0;
    double prior = excess > 0 ? 2 * trigamma_inverse(excess) : INFINITY;
    double common = exp(isfinite(prior) ? mean + gsl_sf_psi(prior / 2) - log(prior / 2) : mean);
    for (size_t i = 0; i < count; i++)
        variances[i] = isfinite(prior)
                           ? (prior * common + freedom * variances[i]) / (prior + freedom)
                           : common;
    free(logs);
    return fmin(prior, (double)(count - 1) * freedom) + freedom;
}
