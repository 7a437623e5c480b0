/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locking_inline.h: one lock, the GIL. A thread that runs holds it, so the contract's locking,
 * reclaim and stop_the_world ask nothing more of most operations. gil.c has the lock.
 */
#ifndef TALLY_LOCKING_INLINE_H
#define TALLY_LOCKING_INLINE_H

#include "layout/thread.h"

static inline uint8_t tally_lock_initial(void) { return 0; }
static inline unsigned tally_lock_object(tally_object *object) {
    TALLY_ENDS_BORROWS();
    return 0;
}
static inline void tally_unlock_object(tally_object *object, unsigned token) {}
static inline bool tally_lock_fast(tally_object *object) {
    TALLY_ENDS_BORROWS();
    return true;
}
static inline void tally_unlock_fast(tally_object *object) {}
static inline bool tally_is_private(unsigned token) { return true; }
/* No foreign code and no safepoint inside: the GIL is enough. */
static inline void tally_weak_lock(const void *address) {}
static inline void tally_weak_unlock(const void *address) {}
static inline void tally_lock_unbias(tally_object *object) {}
static inline void tally_lock_end(tally_object *object) {}
static inline bool tally_lock_is_biased(tally_object *object) { return true; }
static inline bool tally_may_read_unlocked(tally_object *object) { return true; }

/* With one lock, an instance counts its class like any object. */
static inline int tally_class_incref(tally_object *class_) {
    tally_incref(class_);
    return 0;
}
static inline void tally_class_decref(tally_object *class_) { tally_decref(class_); }

static inline void tally_class_refcounts_attach(tally_thread_state *thread) {}
static inline void tally_class_refcounts_free(tally_thread_state *thread) {}

/* The forking thread is the only one: no thread waits for the lock, and its holder stays. */
static inline void tally_locking_after_fork(void) {}

/* No other thread runs, so nothing waits for a grace period, and nothing is borrowable. */
static inline void tally_reclaim_request_throttle(void) {}
static inline bool tally_reclaim_throttle(void) { return true; }
static inline void tally_reclaim_backlog(size_t *bytes, size_t *most) { *bytes = *most = 0; }
static inline void tally_retire_object(tally_object *object, size_t bytes) {}

#endif
