/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcount_unowned.h: the functions of refcount.h that have nothing to do where one word counts all
 * references: there is no owner, no state and no merge queue. For plain and atomic refcounts. */
#ifndef TALLY_REFCOUNT_UNOWNED_H
#define TALLY_REFCOUNT_UNOWNED_H

#include "layout/thread.h"
#include "tally_heap_format.h"

static inline void tally_refcount_expose(tally_refcounts *refcount) {}
static inline void tally_refcount_merge_and_expose(tally_refcounts *refcount) {}
static inline void tally_refcount_adopt(tally_refcounts *refcount) {}
static inline void tally_refcount_set_maybe_shared(tally_refcounts *refcount) {}
static inline bool tally_refcount_is_queued(tally_refcounts *refcount) { return false; }
static inline bool tally_refcount_owned(tally_refcounts *refcount) { return false; }
static inline int64_t tally_refcount_local(tally_refcounts *refcount) { return 0; }
static inline enum tally_heap_state tally_refcount_state(tally_refcounts *refcount) {
    return TALLY_HEAP_WHOLE;
}
static inline uint32_t tally_refcount_owner(tally_refcounts *refcount) { return TALLY_OWNER_NONE; }
static inline void tally_refcount_attach(struct tally_thread_state *thread) {}
static inline bool tally_refcount_detach(struct tally_thread_state *thread) { return true; }
static inline void tally_refcount_safepoint(struct tally_thread_state *thread) {}
static inline bool tally_refcount_pending(struct tally_thread_state *thread) { return false; }
static inline void tally_refcount_merge_blocked(struct tally_thread_state *thread) {}
static inline bool tally_refcount_dealloc_pending(struct tally_thread_state *thread) {
    return false;
}
static inline void tally_refcount_queued_bytes(size_t *bytes, size_t *most) { *bytes = *most = 0; }
static inline void tally_refcount_queue(struct tally_thread_state *thread, tally_waiting *about) {
    *about = (tally_waiting){0};
}

#endif
