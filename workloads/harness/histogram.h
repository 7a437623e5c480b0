/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.h: counts of nanoseconds in buckets that are linear within a power of two and
 * logarithmic over all of them, after G. Tene's HdrHistogram: 32 buckets a power, so a quantile is
 * at most 1/32 above the value it stands for. One thread writes; the sums and the longest are
 * exact.
 */
#ifndef TALLY_HARNESS_HISTOGRAM_H
#define TALLY_HARNESS_HISTOGRAM_H

#include <stdalign.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BITS = 5, HISTOGRAM_BUCKETS = (64 - HISTOGRAM_BITS + 1) << HISTOGRAM_BITS };

/* Aligned so that two threads' histograms in an array share no line. */
typedef struct histogram {
    alignas(128) uint64_t count, total, longest;
    uint64_t buckets[HISTOGRAM_BUCKETS];
} histogram;

static inline void histogram_add(histogram *histogram, uint64_t value) {
    /* The highest bit and the five below it name the bucket. */
    int shift = 63 - HISTOGRAM_BITS - __builtin_clzll(value | 1u << HISTOGRAM_BITS);

    histogram->buckets[((size_t)shift << HISTOGRAM_BITS) + (size_t)(value >> shift)]++;
    histogram->count++;
    histogram->total += value;
    if (value > histogram->longest) histogram->longest = value;
}

void histogram_merge(histogram *into, const histogram *from);

/* The value that `share` of all, 0 to 1, do not exceed; 0 if there are none. */
uint64_t histogram_quantile(const histogram *histogram, double share);

#endif
