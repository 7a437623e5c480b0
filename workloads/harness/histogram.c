/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * histogram.c: sums and quantiles of histograms.
 */
#include "histogram.h"

#include <math.h>

void histogram_merge(histogram *into, const histogram *from) {
    into->count += from->count;
    into->total += from->total;
    if (from->longest > into->longest) into->longest = from->longest;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++) into->buckets[i] += from->buckets[i];
}

/* The largest value that falls into the bucket. */
static uint64_t upper_end(size_t bucket) {
    size_t shift = bucket >> HISTOGRAM_BITS;
    if (shift == 0) return bucket;
    shift--; /* the buckets of the first two powers are single values */
    return (((bucket - (shift << HISTOGRAM_BITS)) + 1) << shift) - 1;
}

uint64_t histogram_quantile(const histogram *histogram, double share) {
    uint64_t rank = (uint64_t)ceil(share * (double)histogram->count), passed = 0;
    if (rank == 0) rank = 1;
    for (size_t i = 0; i < HISTOGRAM_BUCKETS; i++)
        if ((passed += histogram->buckets[i]) >= rank) {
            uint64_t end = upper_end(i);
            return end < histogram->longest ? end : histogram->longest;
        }
    return histogram->longest;
}
