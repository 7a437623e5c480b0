/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plain counts' side of the contract; core/contract/refcount.h says what each does. */
#ifndef TALLY_REFCOUNT_INTERNAL_H
#define TALLY_REFCOUNT_INTERNAL_H

#include "layout/flags.h"
#include "layout/thread.h"

static inline void tally_refcount_init(tally_refcounts *refcount) { refcount->count = 1; }
/* Of memory that is new. */
static inline void tally_refcount_start_dead(tally_refcounts *refcount) { refcount->count = 0; }
static inline bool tally_refcount_try_incref(tally_refcounts *refcount) {
    tally_refcount_incref(refcount);
    return true;
}
/*
 * A dead object in a list has the link where the count was, and says so by a flag that is of
 * no use with one lock: nothing is borrowed while another thread runs.
 */
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
/* Here the dead are told from the living only where a weak reference may lead to one: no slot does.
 */
static inline bool tally_refcount_try_incref_weak(tally_refcounts *refcount) {
    if (refcount->count == 0 || TALLY_UNLIKELY(tally_refcount_has_link(refcount))) return false;
    tally_refcount_incref(refcount);
    return true;
}
static inline void tally_refcount_expose(tally_refcounts *refcount) { (void)refcount; }
static inline void tally_refcount_merge_and_expose(tally_refcounts *refcount) { (void)refcount; }
static inline void tally_refcount_adopt(tally_refcounts *refcount) { (void)refcount; }
static inline bool tally_refcount_is_immortal(tally_refcounts *refcount) {
    return (int32_t)refcount->count < 0;
}
static inline void tally_refcount_trial_add(tally_refcounts *refcount, int32_t by) {
    if (TALLY_LIKELY(!tally_refcount_is_immortal(refcount))) refcount->count += (uint32_t)by;
}
static inline bool tally_refcount_out_of_room(tally_refcounts *refcount) {
    (void)refcount;
    return false;
}
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
        tally_object_zero((tally_object *)refcount); /* says what is wrong */
    return count == 0;
}
static inline bool tally_refcount_try_drop(tally_refcounts *refcount) {
    if ((int32_t)refcount->count < 0) return true;
    if (refcount->count == 1) return false;
    refcount->count--;
    return true;
}
static inline void tally_refcount_set_maybe_shared(tally_refcounts *refcount) { (void)refcount; }
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
static inline bool tally_refcount_is_queued(tally_refcounts *refcount) {
    (void)refcount;
    return false;
}
static inline bool tally_refcount_owned(tally_refcounts *refcount) {
    (void)refcount;
    return false;
}
static inline uint32_t tally_refcount_owner(tally_refcounts *refcount) {
    (void)refcount;
    return TALLY_OWNER_NONE;
}
static inline void tally_refcount_attach(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_refcount_detach(struct tally_thread_state *thread) {
    (void)thread;
    return true;
}
static inline void tally_refcount_safepoint(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_refcount_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_refcount_merge_blocked(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_refcount_dealloc_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_refcount_queued_bytes(size_t *bytes, size_t *most) { *bytes = *most = 0; }

#endif
