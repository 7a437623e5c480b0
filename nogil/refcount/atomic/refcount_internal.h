/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_internal.h: atomic refcounts; core/contract/refcount.h says what each function does. */
#ifndef TALLY_REFCOUNT_INTERNAL_H
#define TALLY_REFCOUNT_INTERNAL_H

#include "contract/refcount_unowned.h"
#include "layout/flags.h"
#include "layout/thread.h"

/* release: pairs with the acquire of a try-incref by a reader with a stale pointer to this block */
static inline void tally_refcount_init(tally_refcounts *refcount) {
    tally_store_release(&refcount->count, TALLY_REFCOUNT_ONE);
}
static inline void tally_refcount_start_dead(tally_refcounts *refcount) {
    tally_store_relaxed(&refcount->count, TALLY_REFCOUNT_DEAD);
}

static inline bool tally_refcount_is_dead(tally_refcounts *refcount) {
    uint32_t count = tally_load_relaxed(&refcount->count);
    return count == TALLY_REFCOUNT_DEAD || count >> 30 == TALLY_REFCOUNT_LINK >> 30;
}

/* Without a call, so that the caller needs few registers. */
static inline int tally_refcount_try_incref_once(tally_refcounts *refcount) {
    TALLY_FAILPOINT(try_incref_once);
    TALLY_FAILPOINT(try_incref);
    uint32_t count = tally_load_relaxed(&refcount->count);
    if ((int32_t)count >= TALLY_REFCOUNT_LIMIT) {
        TALLY_DETAIL(immortal_skips);
        return TALLY_COUNTED;
    }
    if ((int32_t)count < -1) return TALLY_NOT_COUNTED; /* dead */
    TALLY_FAILPOINT(try_incref_swap);
    /* acquire: pairs with the release of init, if the block was made anew since the pointer was
     * read */
    if (!tally_cas_acquire(&refcount->count, &count, count + 1)) {
        TALLY_DETAIL(lost_cas);
        return TALLY_COUNT_LOST;
    }
    TALLY_DETAIL(shared_increfs);
    return TALLY_COUNTED;
}
static inline bool tally_refcount_try_incref(tally_refcounts *refcount) {
    int counted = tally_refcount_try_incref_once(refcount);
    if (TALLY_LIKELY(counted >= 0)) return counted;
    unsigned lost = 1;
    while ((counted = tally_refcount_try_incref_once(refcount)) < 0) lost++;
    if (counted) tally_refcount_contended(refcount, lost); /* now that it cannot die */
    return counted;
}
static inline bool tally_refcount_try_incref_weak(tally_refcounts *refcount) {
    return tally_refcount_try_incref(refcount);
}
static inline bool tally_refcount_is_immortal(tally_refcounts *refcount) {
    return (int32_t)tally_load_relaxed(&refcount->count) >= TALLY_REFCOUNT_LIMIT;
}
static inline void tally_refcount_make_immortal(tally_refcounts *refcount) {
    tally_store_relaxed(&refcount->count, TALLY_REFCOUNT_IMMORTAL_WORD);
}
static inline void tally_refcount_trial_add(tally_refcounts *refcount, int32_t by) {
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(refcount))) return;
    /* relaxed: one thread at a time has this object, and the world is stopped */
    tally_store_relaxed(&refcount->count, tally_load_relaxed(&refcount->count) + (uint32_t)by);
}
static inline bool tally_refcount_out_of_room(tally_refcounts *refcount) {
    int32_t count = (int32_t)tally_load_relaxed(&refcount->count);
    if (count < TALLY_REFCOUNT_LIMIT - (1 << 20)) return false;
    tally_refcount_make_immortal(refcount);
    return true;
}
/* Dead, and in no list. */
static inline bool tally_refcount_is_zero(tally_refcounts *refcount) {
    return tally_load_relaxed(&refcount->count) == TALLY_REFCOUNT_DEAD;
}
static inline bool tally_refcount_drop(tally_refcounts *refcount) {
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(refcount))) {
        TALLY_DETAIL(immortal_skips);
        return false;
    }
    TALLY_DETAIL(shared_decrefs);
    /* acq_rel: as a decref */
    uint32_t before = tally_sub_acq_rel(&refcount->count, 1);
    if (before < (uint32_t)TALLY_REFCOUNT_LIMIT) return false;
    if (TALLY_UNLIKELY(before != TALLY_REFCOUNT_ONE))
        tally_object_zero((tally_object *)refcount); /* out of room, or a drop too many */
    return before == TALLY_REFCOUNT_ONE;
}
static inline bool tally_refcount_try_drop(tally_refcounts *refcount) {
    uint32_t count = tally_load_relaxed(&refcount->count);
    for (;;) {
        if ((int32_t)count >= TALLY_REFCOUNT_LIMIT) return true;
        if (count == TALLY_REFCOUNT_ONE) return false;
        /* acq_rel: as a decref */
        if (tally_cas_weak_acq_rel(&refcount->count, &count, count - 1)) return true;
    }
}
/* release: a thread that gets a reference which the finalizer publishes sees the object whole */
static inline void tally_refcount_revive(tally_refcounts *refcount) {
    tally_store_release(&refcount->count, TALLY_REFCOUNT_ONE);
}
static inline bool tally_refcount_drop_last(tally_refcounts *refcount) {
    /* acq_rel: as a decref */
    return tally_sub_acq_rel(&refcount->count, 1) == TALLY_REFCOUNT_ONE;
}
static inline ptrdiff_t tally_refcount_total(tally_refcounts *refcount) {
    if (tally_refcount_is_immortal(refcount)) return PTRDIFF_MAX / 4;
    return tally_refcount_is_dead(refcount)
               ? 0
               : (ptrdiff_t)(int32_t)tally_load_relaxed(&refcount->count) + 2;
}
/*
 * A link has 32 bits. The word has room for 30 of them, since its top two bits say that it is a
 * link; the other two are in the highest flags, which mean something only for living objects.
 * relaxed: only the thread to which the dead object belongs reads the link; other threads see that
 * the object is dead, and the flag BORROWABLE.
 */
static inline void tally_refcount_set_link(tally_refcounts *refcount, uint32_t link) {
    _Atomic uint8_t *flags = &((tally_object *)refcount)->flags;
    tally_store_relaxed(flags, (uint8_t)((tally_load_relaxed(flags) & 0x3f) | link >> 30 << 6));
    tally_store_relaxed(&refcount->count,
                        link ? TALLY_REFCOUNT_LINK | (link & (TALLY_REFCOUNT_LINK / 2 - 1))
                             : TALLY_REFCOUNT_DEAD);
}
static inline uint32_t tally_refcount_link(tally_refcounts *refcount) {
    uint32_t high = (uint32_t)tally_load_relaxed(&((tally_object *)refcount)->flags) >> 6;
    uint32_t count = tally_load_relaxed(&refcount->count);
    return count == TALLY_REFCOUNT_DEAD ? 0 : high << 30 | (count & (TALLY_REFCOUNT_LINK / 2 - 1));
}
static inline uint32_t tally_refcount_per_thread_index(tally_refcounts *refcount) { return 0; }
static inline bool tally_refcount_make_per_thread(tally_refcounts *refcount, uint32_t index,
                                                  uint32_t more) {
    return false;
}
static inline void tally_refcount_end_per_thread(tally_refcounts *refcount, int64_t sum) {}
typedef char tally_refcount_dead;
static inline tally_refcount_dead tally_refcount_merge_stopped(void) { return 0; }
static inline void tally_refcount_destroy(tally_refcount_dead dead) {}
static inline void tally_refcount_merge_later(struct tally_thread_state *thread) {}
static inline void tally_refcount_push(struct tally_thread_state *thread) {}
static inline void tally_refcount_merge_blocked_later(struct tally_thread_state *thread) {}

#endif
