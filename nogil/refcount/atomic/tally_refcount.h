/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Atomic refcounts: one word that every thread changes by atomic read-modify-writes. It holds the
 * references less 2, as a signed number:
 *
 *   -2^31 ... -2^30-1   dead, and in a list (tally_refcount_set_link)
 *   -2                  dead
 *   -1 ... LIMIT-1      alive: 1 to 2^29+1 references
 *   LIMIT ... 2^31-1    immortal; IMMORTAL is in the middle
 *
 * A count that is out of room makes its object immortal (as PEP 683 has it): each operation reads
 * the word first, and leaves a word of LIMIT or more alone. Proof that such an object never looks
 * dead again, although the read and the change are two steps:
 *  - A thread has one operation under way. So once the word is LIMIT, at most as many changes
 *    follow as there are threads, which are fewer than 2^16. The word stays far from 2^31, where
 *    the links begin.
 *  - Only a decref that read the word before it was LIMIT can bring it below LIMIT again. The value
 *    that its fetch_sub returns is LIMIT then. The comparison that finds the last reference (as
 *    unsigned, since a dead word is negative) finds that too, and the slow path stores IMMORTAL.
 *    From there fewer than 2^16 steps do not lead back.
 *  - Between that decref's two steps others may count, which does harm only if they drop 2^29
 *    references meanwhile.
 */
/* That header includes this one where the functions below belong. */
#include "tally_object.h"

#ifndef TALLY_REFCOUNT_H
#    define TALLY_REFCOUNT_H

void tally_object_zero(
    tally_object *object); /* the last reference is gone, or the count is out of room */

static inline void tally_refcount_incref(tally_refcounts *refcount) {
    if (TALLY_UNLIKELY((int32_t)tally_load_relaxed(&refcount->count) >= TALLY_REFCOUNT_LIMIT)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(shared_increfs);
    TALLY_COUNT_SHARED(refcount);
    /* relaxed: the caller's own reference keeps the object alive */
    tally_add_relaxed(&refcount->count, 1);
}

static inline void tally_refcount_decref(tally_refcounts *refcount) {
    if (TALLY_UNLIKELY((int32_t)tally_load_relaxed(&refcount->count) >= TALLY_REFCOUNT_LIMIT)) {
        TALLY_DETAIL(immortal_skips);
        return;
    }
    TALLY_DETAIL(shared_decrefs);
    /* acq_rel: release pairs with the acquire of the decref that reaches 0, so
     * that all uses of the object come before its destruction */
    if (tally_sub_acq_rel(&refcount->count, 1) >= (uint32_t)TALLY_REFCOUNT_LIMIT)
        tally_object_zero((tally_object *)refcount);
}

#endif
