/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Plain counts: one word that only the holder of the one lock touches. The top
 * bit marks an immortal object, whose count is never written. The incref of an object with 2^31 - 1
 * references sets that bit, so a count that is out of room makes its object immortal (as PEP 683
 * has it).
 */
#ifndef TALLY_REFCOUNT_H
#define TALLY_REFCOUNT_H

#define TALLY_REFCOUNT_NAME        "plain"
#define TALLY_REFCOUNT_HAVE_OWNERS 0

typedef struct tally_refcounts {
    uint32_t count;
} tally_refcounts;

#define TALLY_REFCOUNT_IMMORTAL \
    { UINT32_C(1) << 31 }

void tally_object_zero(tally_object *object); /* the last reference is gone */

static inline void tally_refcount_incref(tally_refcounts *counts) {
    int32_t count = (int32_t)counts->count;
    if (TALLY_UNLIKELY(count < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(local_increfs);
    counts->count = (uint32_t)count + 1;
}

static inline void tally_refcount_decref(tally_refcounts *counts) {
    int32_t count = (int32_t)counts->count;
    if (TALLY_UNLIKELY(count < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(local_decrefs);
    counts->count = (uint32_t)--count;
    if (TALLY_UNLIKELY(count <= 0)) tally_object_zero((tally_object *)counts);
}

#endif
