/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The atomic counts' side of the contract; core/contract/ says what each does. */
#ifndef TALLY_REFCOUNT_PART_H
#define TALLY_REFCOUNT_PART_H

typedef struct tally_refcount_thread {
    char nothing[0];
} tally_refcount_thread;

/* release: pairs with the acquire of a try-incref by a reader with a stale pointer to this block */
static inline void tally_refcount_init(tally_refcounts *counts) {
    atomic_store_explicit(&counts->count, TALLY_REFCOUNT_ONE, memory_order_release);
}
/* Of memory that is new. */
static inline void tally_refcount_start_dead(tally_refcounts *counts) {
    atomic_store_explicit(&counts->count, TALLY_REFCOUNT_DEAD, memory_order_relaxed);
}

static inline bool tally_refcount_try_incref(tally_refcounts *counts) {
    TALLY_FAILPOINT(try_incref);
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    unsigned lost = 0;
    for (;;) {
        if ((int32_t)count >= TALLY_REFCOUNT_LIMIT) {
            TALLY_DETAIL(immortal_skips);
            return true;
        }
        if ((int32_t)count < -1) return false; /* dead */
        TALLY_FAILPOINT(try_incref_swap);
        /* acquire: pairs with the release of init, if the block was made anew since the pointer was
         * read */
        if (atomic_compare_exchange_weak_explicit(&counts->count, &count, count + 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
            TALLY_DETAIL(shared_increfs);
            if (TALLY_UNLIKELY(lost))
                tally_refcount_contended(counts, lost); /* now that it cannot die */
            return true;
        }
        TALLY_DETAIL(lost_cas);
        lost++;
    }
}
static inline bool tally_refcount_try_incref_weak(tally_refcounts *counts) {
    return tally_refcount_try_incref(counts);
}
static inline void tally_refcount_expose(tally_refcounts *counts) { (void)counts; }
static inline void tally_refcount_merge_and_expose(tally_refcounts *counts) { (void)counts; }
static inline void tally_refcount_adopt(tally_refcounts *counts) { (void)counts; }
static inline bool tally_refcount_is_immortal(tally_refcounts *counts) {
    return (int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) >= TALLY_REFCOUNT_LIMIT;
}
static inline void tally_refcount_make_immortal(tally_refcounts *counts) {
    atomic_store_explicit(&counts->count, TALLY_REFCOUNT_IMMORTAL_WORD, memory_order_relaxed);
}
static inline void tally_refcount_trial_add(tally_refcounts *counts, int32_t by) {
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(counts))) return;
    /* relaxed: one thread at a time has this object, and the world stands still */
    atomic_store_explicit(&counts->count,
                          atomic_load_explicit(&counts->count, memory_order_relaxed) + (uint32_t)by,
                          memory_order_relaxed);
}
/* By tally_object_zero. True: a reference was dropped while the count ran out of room, see
 * tally_refcount.h. */
static inline bool tally_refcount_out_of_room(tally_refcounts *counts) {
    int32_t count = (int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed);
    if (count < TALLY_REFCOUNT_LIMIT - (1 << 20)) return false;
    tally_refcount_make_immortal(counts);
    return true;
}
/* Dead, and in no list. */
static inline bool tally_refcount_is_zero(tally_refcounts *counts) {
    return atomic_load_explicit(&counts->count, memory_order_relaxed) == TALLY_REFCOUNT_DEAD;
}
static inline bool tally_refcount_drop(tally_refcounts *counts) {
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(counts))) {
        TALLY_DETAIL(immortal_skips);
        return false;
    }
    TALLY_DETAIL(shared_decrefs);
    /* acq_rel: as a decref */
    uint32_t before = atomic_fetch_sub_explicit(&counts->count, 1, memory_order_acq_rel);
    if (before < (uint32_t)TALLY_REFCOUNT_LIMIT) return false;
    if (TALLY_UNLIKELY(before != TALLY_REFCOUNT_ONE))
        tally_object_zero((tally_object *)counts); /* out of room; or says what is wrong */
    return before == TALLY_REFCOUNT_ONE;
}
static inline bool tally_refcount_try_drop(tally_refcounts *counts) {
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    for (;;) {
        if ((int32_t)count >= TALLY_REFCOUNT_LIMIT) return true;
        if (count == TALLY_REFCOUNT_ONE) return false;
        /* acq_rel: as a decref */
        if (atomic_compare_exchange_weak_explicit(&counts->count, &count, count - 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
}
static inline void tally_refcount_set_maybe_shared(tally_refcounts *counts) { (void)counts; }
/* release, so that who gets a reference from the finalizer's publishing sees the object whole */
static inline void tally_refcount_revive(tally_refcounts *counts) {
    atomic_store_explicit(&counts->count, TALLY_REFCOUNT_ONE, memory_order_release);
}
static inline bool tally_refcount_drop_last(tally_refcounts *counts) {
    /* acq_rel: as a decref */
    return atomic_fetch_sub_explicit(&counts->count, 1, memory_order_acq_rel) == TALLY_REFCOUNT_ONE;
}
static inline bool tally_refcount_is_dead(tally_refcounts *counts) {
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    return count == TALLY_REFCOUNT_DEAD || count >> 30 == TALLY_REFCOUNT_LINK >> 30;
}
/* Of an immortal object more than any references that are counted against it. */
static inline ptrdiff_t tally_refcount_total(tally_refcounts *counts) {
    if (tally_refcount_is_immortal(counts)) return PTRDIFF_MAX / 4;
    return tally_refcount_is_dead(counts)
               ? 0
               : (ptrdiff_t)(int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) + 2;
}
/*
 * A link has 32 bits, the word 30 of them (the top two say that it is one): the other two are the
 * highest flags, which say something of living objects only. relaxed: the thread that the dead
 * object belongs to reads it; others see no more than that it is dead, and the flag HANDED_OUT.
 */
static inline void tally_refcount_set_link(tally_refcounts *counts, uint32_t link) {
    _Atomic uint8_t *flags = &((tally_object *)counts)->flags;
    atomic_store_explicit(
        flags,
        (uint8_t)((atomic_load_explicit(flags, memory_order_relaxed) & 0x3f) | link >> 30 << 6),
        memory_order_relaxed);
    atomic_store_explicit(&counts->count,
                          link ? TALLY_REFCOUNT_LINK | (link & (TALLY_REFCOUNT_LINK / 2 - 1))
                               : TALLY_REFCOUNT_DEAD,
                          memory_order_relaxed);
}
static inline uint32_t tally_refcount_link(tally_refcounts *counts) {
    uint32_t high =
        (uint32_t)atomic_load_explicit(&((tally_object *)counts)->flags, memory_order_relaxed) >> 6;
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    return count == TALLY_REFCOUNT_DEAD ? 0 : high << 30 | (count & (TALLY_REFCOUNT_LINK / 2 - 1));
}
static inline bool tally_refcount_is_queued(tally_refcounts *counts) {
    (void)counts;
    return false;
}
static inline uint32_t tally_refcount_per_thread_index(tally_refcounts *counts) {
    (void)counts;
    return 0;
}
static inline bool tally_refcount_make_per_thread(tally_refcounts *counts, uint32_t place, uint32_t more) {
    (void)counts, (void)place, (void)more;
    return false;
}
static inline void tally_refcount_end_per_thread(tally_refcounts *counts, int64_t elsewhere) {
    (void)counts, (void)elsewhere;
}
static inline bool tally_refcount_owned(tally_refcounts *counts) {
    (void)counts;
    return false;
}
static inline uint32_t tally_refcount_owner(tally_refcounts *counts) {
    (void)counts;
    return TALLY_OWNER_NONE;
}
typedef char tally_refcount_dead;
static inline tally_refcount_dead tally_refcount_merge_stopped(void) { return 0; }
static inline void tally_refcount_destroy(tally_refcount_dead dead) { (void)dead; }
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
static inline bool tally_refcount_is_queue_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_refcount_merge_later(struct tally_thread_state *thread) { (void)thread; }
static inline void tally_refcount_merge_blocked(struct tally_thread_state *thread) { (void)thread; }
static inline void tally_refcount_merge_blocked_later(struct tally_thread_state *thread) {
    (void)thread;
}
static inline bool tally_refcount_dealloc_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_refcount_queued_bytes(size_t *bytes, size_t *most) { *bytes = *most = 0; }

#endif
