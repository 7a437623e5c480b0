/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* The plain counts' side of the contract; core/backend.h says what each does. */
#ifndef TALLY_COUNTS_PART_H
#define TALLY_COUNTS_PART_H

typedef struct tally_counts_thread { char nothing[0]; } tally_counts_thread;

static inline void tally_counts_init(tally_counts *counts) { counts->count = 1; }
static inline bool tally_counts_try_incref(tally_counts *counts) { tally_counts_incref(counts); return true; }
/* Here the dead are told from the living only where a weak reference may lead to one: no slot does. */
static inline bool tally_counts_try_incref_weak(tally_counts *counts) {
    if (counts->count == 0) return false;
    tally_counts_incref(counts);
    return true;
}
static inline void tally_counts_expose(tally_counts *counts) { (void)counts; }
static inline void tally_counts_expose_new(tally_counts *counts) { (void)counts; }
static inline void tally_counts_adopt(tally_counts *counts) { (void)counts; }
static inline void tally_counts_trial_add(tally_counts *counts, int32_t by) { counts->count += (uint32_t)by; }
static inline bool tally_counts_drop(tally_counts *counts) {
    int32_t count = (int32_t)counts->count;
    if (TALLY_UNLIKELY(count < 0)) { TALLY_DETAIL(immortal_skips); return false; }
    TALLY_DETAIL(local_decrefs);
    counts->count = (uint32_t)--count;
    if (TALLY_UNLIKELY(count < 0)) tally_object_zero((tally_object *)counts); /* says what is wrong */
    return count == 0;
}
static inline void tally_counts_share(tally_counts *counts) { (void)counts; }
static inline void tally_counts_revive(tally_counts *counts) { counts->count = 1; }
static inline bool tally_counts_drop_last(tally_counts *counts) { return --counts->count == 0; }
static inline bool tally_counts_is_immortal(tally_counts *counts) { return (int32_t)counts->count < 0; }
static inline void tally_counts_make_immortal(tally_counts *counts) { counts->count = UINT32_C(1) << 31; }
static inline ptrdiff_t tally_counts_total(tally_counts *counts) { return (ptrdiff_t)counts->count; }
static inline bool tally_counts_is_dead(tally_counts *counts) { return counts->count == 0; }
static inline bool tally_counts_is_queued(tally_counts *counts) { (void)counts; return false; }
static inline bool tally_counts_owned(tally_counts *counts) { (void)counts; return false; }
static inline uint32_t tally_counts_owner(tally_counts *counts) { (void)counts; return TALLY_OWNER_NONE; }
static inline void tally_counts_attach(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_counts_detach(struct tally_thread_state *thread) { (void)thread; return true; }
static inline void tally_counts_safepoint(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_counts_pending(struct tally_thread_state *thread) { (void)thread; return false; }
static inline void tally_counts_merge_blocked(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_counts_deferred(struct tally_thread_state *thread) { (void)thread; return false; }
static inline void tally_counts_waiting(size_t *bytes, size_t *most) { *bytes = *most = 0; }

#endif
