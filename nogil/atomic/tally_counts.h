/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Atomic counts: one word that every thread changes by atomic
 * read-modify-writes. The top bit marks an immortal object, never written. The bit
 * below marks a dead one that is in a list (tally_counts_set_link).
 */
#ifndef TALLY_COUNTS_H
#define TALLY_COUNTS_H

#define TALLY_COUNTS_NAME "atomic"
#define TALLY_COUNTS_HAVE_OWNERS 0

typedef struct tally_counts {
    _Atomic uint32_t count; /* 0: dead; a try-incref fails */
} tally_counts;

#define TALLY_COUNTS_IMMORTAL { UINT32_C(1) << 31 }
#define TALLY_COUNT_LINK (UINT32_C(1) << 30)

void tally_object_zero(tally_object *object); /* the last reference is gone */

static inline void tally_counts_incref(tally_counts *counts) {
    if (TALLY_UNLIKELY((int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(shared_increfs);
    TALLY_SHARED_COUNT(counts);
    /* relaxed: the caller's own reference keeps the object alive */
    atomic_fetch_add_explicit(&counts->count, 1, memory_order_relaxed);
}

static inline void tally_counts_decref(tally_counts *counts) {
    if (TALLY_UNLIKELY((int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(shared_decrefs);
    /* acq_rel: release pairs with the acquire of the decref that reaches 0, so
     * that all uses of the object come before its destruction */
    if (atomic_fetch_sub_explicit(&counts->count, 1, memory_order_acq_rel) <= 1) tally_object_zero((tally_object *)counts);
}

#endif
