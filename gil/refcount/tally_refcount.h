/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_refcount.h: plain refcounts: one word, which only the holder of the GIL touches. The top
 * bit marks an immortal object, whose count is never written. The incref of an object with 2^31 - 1
 * references sets that bit: a count that is out of room makes its object immortal (as PEP 683 has
 * it).
 */
/* That header includes this one where the functions below belong. */
#include "tally_object.h"

#ifndef TALLY_REFCOUNT_H
#    define TALLY_REFCOUNT_H

void tally_object_zero(tally_object *object); /* the last reference is gone */

static inline void tally_refcount_incref(tally_refcounts *refcount) {
    int32_t count = (int32_t)refcount->count;
    if (TALLY_UNLIKELY(count < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(local_increfs);
    refcount->count = (uint32_t)count + 1;
}

static inline void tally_refcount_decref(tally_refcounts *refcount) {
    int32_t count = (int32_t)refcount->count;
    if (TALLY_UNLIKELY(count < 0)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(local_decrefs);
    refcount->count = (uint32_t)--count;
    if (TALLY_UNLIKELY(count <= 0)) tally_object_zero((tally_object *)refcount);
}

#endif
