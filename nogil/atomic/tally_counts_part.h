/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The atomic counts' side of the contract; core/backend.h says what each does. */
#ifndef TALLY_COUNTS_PART_H
#define TALLY_COUNTS_PART_H

typedef struct tally_counts_thread {
    char nothing[0];
} tally_counts_thread;

/* release: pairs with the acquire of a try-incref by a reader with a stale pointer to this block */
static inline void tally_counts_init(tally_counts *counts) {
    atomic_store_explicit(&counts->count, TALLY_COUNT_ONE, memory_order_release);
}
/* Of memory that is new. */
static inline void tally_counts_start_dead(tally_counts *counts) {
    atomic_store_explicit(&counts->count, TALLY_COUNT_DEAD, memory_order_relaxed);
}

static inline bool tally_counts_try_incref(tally_counts *counts) {
    TALLY_POINT(try_incref);
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    unsigned lost = 0;
    for (;;) {
        if ((int32_t)count >= TALLY_COUNT_LIMIT) {
            TALLY_DETAIL(immortal_skips);
            return true;
        }
        if ((int32_t)count < -1) return false; /* dead */
        TALLY_POINT(try_incref_swap);
        /* acquire: pairs with the release of init, if the block was made anew since the pointer was
         * read */
        if (atomic_compare_exchange_weak_explicit(&counts->count, &count, count + 1,
                                                  memory_order_acquire, memory_order_relaxed)) {
            TALLY_DETAIL(shared_increfs);
            if (TALLY_UNLIKELY(lost))
                tally_counts_fought(counts, lost); /* now that it cannot die */
            return true;
        }
        TALLY_DETAIL(lost_cas);
        lost++;
    }
}
static inline bool tally_counts_try_incref_weak(tally_counts *counts) {
    return tally_counts_try_incref(counts);
}
static inline void tally_counts_expose(tally_counts *counts) { (void)counts; }
static inline void tally_counts_expose_new(tally_counts *counts) { (void)counts; }
static inline void tally_counts_adopt(tally_counts *counts) { (void)counts; }
static inline bool tally_counts_is_immortal(tally_counts *counts) {
    return (int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) >= TALLY_COUNT_LIMIT;
}
static inline void tally_counts_make_immortal(tally_counts *counts) {
    atomic_store_explicit(&counts->count, TALLY_COUNT_IMMORTAL, memory_order_relaxed);
}
static inline void tally_counts_trial_add(tally_counts *counts, int32_t by) {
    if (TALLY_UNLIKELY(tally_counts_is_immortal(counts))) return;
    /* relaxed: one thread at a time has this object, and the world stands still */
    atomic_store_explicit(&counts->count,
                          atomic_load_explicit(&counts->count, memory_order_relaxed) + (uint32_t)by,
                          memory_order_relaxed);
}
/* By tally_object_zero. True: a reference was dropped while the count ran out of room, see
 * tally_counts.h. */
static inline bool tally_counts_out_of_room(tally_counts *counts) {
    int32_t count = (int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed);
    if (count < TALLY_COUNT_LIMIT - (1 << 20)) return false;
    tally_counts_make_immortal(counts);
    return true;
}
/* Dead, and in no list. */
static inline bool tally_counts_is_zero(tally_counts *counts) {
    return atomic_load_explicit(&counts->count, memory_order_relaxed) == TALLY_COUNT_DEAD;
}
static inline bool tally_counts_drop(tally_counts *counts) {
    if (TALLY_UNLIKELY(tally_counts_is_immortal(counts))) {
        TALLY_DETAIL(immortal_skips);
        return false;
    }
    TALLY_DETAIL(shared_decrefs);
    /* acq_rel: as a decref */
    uint32_t before = atomic_fetch_sub_explicit(&counts->count, 1, memory_order_acq_rel);
    if (before < (uint32_t)TALLY_COUNT_LIMIT) return false;
    if (TALLY_UNLIKELY(before != TALLY_COUNT_ONE))
        tally_object_zero((tally_object *)counts); /* out of room; or says what is wrong */
    return before == TALLY_COUNT_ONE;
}
static inline bool tally_counts_try_drop(tally_counts *counts) {
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    for (;;) {
        if ((int32_t)count >= TALLY_COUNT_LIMIT) return true;
        if (count == TALLY_COUNT_ONE) return false;
        /* acq_rel: as a decref */
        if (atomic_compare_exchange_weak_explicit(&counts->count, &count, count - 1,
                                                  memory_order_acq_rel, memory_order_relaxed))
            return true;
    }
}
static inline void tally_counts_share(tally_counts *counts) { (void)counts; }
/* release, so that who gets a reference from the finalizer's publishing sees the object whole */
static inline void tally_counts_revive(tally_counts *counts) {
    atomic_store_explicit(&counts->count, TALLY_COUNT_ONE, memory_order_release);
}
static inline bool tally_counts_drop_last(tally_counts *counts) {
    /* acq_rel: as a decref */
    return atomic_fetch_sub_explicit(&counts->count, 1, memory_order_acq_rel) == TALLY_COUNT_ONE;
}
static inline bool tally_counts_is_dead(tally_counts *counts) {
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    return count == TALLY_COUNT_DEAD || count >> 30 == TALLY_COUNT_LINK >> 30;
}
/* Of an immortal object more than any references that are counted against it. */
static inline ptrdiff_t tally_counts_total(tally_counts *counts) {
    if (tally_counts_is_immortal(counts)) return PTRDIFF_MAX / 4;
    return tally_counts_is_dead(counts)
               ? 0
               : (ptrdiff_t)(int32_t)atomic_load_explicit(&counts->count, memory_order_relaxed) + 2;
}
/*
 * A link has 32 bits, the word 30 of them (the top two say that it is one): the other two are the
 * highest flags, which say something of living objects only. relaxed: the thread that the dead
 * object belongs to reads it; others see no more than that it is dead, and the flag HANDED_OUT.
 */
static inline void tally_counts_set_link(tally_counts *counts, uint32_t link) {
    _Atomic uint8_t *flags = &((tally_object *)counts)->flags;
    atomic_store_explicit(
        flags,
        (uint8_t)((atomic_load_explicit(flags, memory_order_relaxed) & 0x3f) | link >> 30 << 6),
        memory_order_relaxed);
    atomic_store_explicit(&counts->count,
                          link ? TALLY_COUNT_LINK | (link & (TALLY_COUNT_LINK / 2 - 1))
                               : TALLY_COUNT_DEAD,
                          memory_order_relaxed);
}
static inline uint32_t tally_counts_link(tally_counts *counts) {
    uint32_t high =
        (uint32_t)atomic_load_explicit(&((tally_object *)counts)->flags, memory_order_relaxed) >> 6;
    uint32_t count = atomic_load_explicit(&counts->count, memory_order_relaxed);
    return count == TALLY_COUNT_DEAD ? 0 : high << 30 | (count & (TALLY_COUNT_LINK / 2 - 1));
}
static inline bool tally_counts_is_queued(tally_counts *counts) {
    (void)counts;
    return false;
}
static inline uint32_t tally_counts_place(tally_counts *counts) {
    (void)counts;
    return 0;
}
static inline bool tally_counts_spread(tally_counts *counts, uint32_t place, uint32_t more) {
    (void)counts, (void)place, (void)more;
    return false;
}
static inline void tally_counts_gather(tally_counts *counts, int64_t elsewhere) {
    (void)counts, (void)elsewhere;
}
static inline bool tally_counts_owned(tally_counts *counts) {
    (void)counts;
    return false;
}
static inline uint32_t tally_counts_owner(tally_counts *counts) {
    (void)counts;
    return TALLY_OWNER_NONE;
}
typedef char tally_counts_dead;
static inline tally_counts_dead tally_counts_merge_stopped(void) { return 0; }
static inline void tally_counts_destroy(tally_counts_dead dead) { (void)dead; }
static inline void tally_counts_attach(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_counts_detach(struct tally_thread_state *thread) {
    (void)thread;
    return true;
}
static inline void tally_counts_safepoint(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_counts_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline bool tally_counts_is_queue_pending(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_counts_merge_later(struct tally_thread_state *thread) { (void)thread; }
static inline void tally_counts_merge_blocked(struct tally_thread_state *thread) { (void)thread; }
static inline void tally_counts_merge_blocked_later(struct tally_thread_state *thread) {
    (void)thread;
}
static inline bool tally_counts_deferred(struct tally_thread_state *thread) {
    (void)thread;
    return false;
}
static inline void tally_counts_waiting(size_t *bytes, size_t *most) { *bytes = *most = 0; }

#endif
