/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_internal.h: plain refcounts; core/contract/refcount.h says what each function does. */
#ifndef TALLY_REFCOUNT_INTERNAL_H
#define TALLY_REFCOUNT_INTERNAL_H

#include "contract/refcount_unowned.h"
#include "layout/flags.h"
#include "layout/thread.h"

static inline void tally_refcount_init(tally_refcounts *refcount) { refcount->count = 1; }
static inline void tally_refcount_start_dead(tally_refcounts *refcount) { refcount->count = 0; }
static inline int tally_refcount_try_incref_once(tally_refcounts *refcount) {
    tally_refcount_incref(refcount);
    return TALLY_COUNTED_OWN;
}
static inline bool tally_refcount_try_incref(tally_refcounts *refcount) {
    tally_refcount_incref(refcount);
    return true;
}
/* A dead object in a list has the link in place of the count. A flag says so; without a GIL the
 * same bit means borrowable. */
static inline bool tally_refcount_has_link(tally_refcounts *refcount) {
    return tally_load_relaxed(&((tally_object *)refcount)->flags) & TALLY_FLAG_DEAD_LINKED;
}
static inline void tally_refcount_set_link(tally_refcounts *refcount, uint32_t link) {
    _Atomic uint8_t *flags = &((tally_object *)refcount)->flags;
    uint8_t others = (uint8_t)(tally_load_relaxed(flags) & ~TALLY_FLAG_DEAD_LINKED);
    tally_store_relaxed(flags, link ? others | TALLY_FLAG_DEAD_LINKED : others);
    refcount->count = link;
}
static inline uint32_t tally_refcount_link(tally_refcounts *refcount) { return refcount->count; }
/* Only a weak reference may lead to a dead object here; no slot does. */
static inline bool tally_refcount_try_incref_weak(tally_refcounts *refcount) {
    if (refcount->count == 0 || TALLY_UNLIKELY(tally_refcount_has_link(refcount))) return false;
    tally_refcount_incref(refcount);
    return true;
}
static inline bool tally_refcount_is_immortal(tally_refcounts *refcount) {
    return (int32_t)refcount->count < 0;
}
static inline void tally_refcount_trial_add(tally_refcounts *refcount, int32_t by) {
    if (TALLY_LIKELY(!tally_refcount_is_immortal(refcount))) refcount->count += (uint32_t)by;
}
static inline bool tally_refcount_out_of_room(tally_refcounts *refcount) { return false; }
static inline bool tally_refcount_is_zero(tally_refcounts *refcount) {
    return refcount->count == 0;
}
static inline bool tally_refcount_drop(tally_refcounts *refcount) {
    int32_t count = (int32_t)refcount->count;
    if (TALLY_UNLIKELY(count < 0)) {
        TALLY_DETAIL(immortal_skips);
        return false;
    }
    TALLY_DETAIL(local_decrefs);
    refcount->count = (uint32_t)--count;
    if (TALLY_UNLIKELY(count < 0))
        tally_object_zero((tally_object *)refcount); /* ends the program with a message */
    return count == 0;
}
static inline bool tally_refcount_try_drop(tally_refcounts *refcount) {
    if ((int32_t)refcount->count < 0) return true;
    if (refcount->count == 1) return false;
    refcount->count--;
    return true;
}
static inline void tally_refcount_revive(tally_refcounts *refcount) { refcount->count = 1; }
static inline bool tally_refcount_drop_last(tally_refcounts *refcount) {
    return --refcount->count == 0;
}
static inline void tally_refcount_make_immortal(tally_refcounts *refcount) {
    refcount->count = UINT32_C(1) << 31;
}
static inline bool tally_refcount_is_dead(tally_refcounts *refcount) {
    return refcount->count == 0 || tally_refcount_has_link(refcount);
}
static inline ptrdiff_t tally_refcount_total(tally_refcounts *refcount) {
    return tally_refcount_is_dead(refcount) ? 0 : (ptrdiff_t)refcount->count;
}

#endif
