/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Leaf sections that exclude nobody, in place of those of locking_inline.h: for
 * what-if experiments with workloads in which no thread changes what another can
 * reach. A product is never built with it.
 *
 * The owner of a container is in a private section, as with a biased lock; all
 * others may always read without the lock. Lock bytes stay as they were made.
 */
#ifndef TALLY_LOCKS_OFF_H
#define TALLY_LOCKS_OFF_H

static inline unsigned tally_lock_inline(tally_locking_thread *self, tally_object *object) {
    (void)self;
    return TALLY_REFCOUNT_HAVE_OWNERS && tally_refcount_owned(&object->counts) ? TALLY_TOKEN_BIASED
                                                                           : TALLY_TOKEN_NESTED;
}
#define tally_unlock_object(object, token) \
    tally_unlock_inline(&tally_thread_current()->locking, object, token)
static inline void tally_unlock_inline(tally_locking_thread *self, tally_object *object,
                                       unsigned token) {
    (void)self;
    (void)object;
    (void)token;
}
static inline bool tally_lock_fast_inline(tally_object *object) {
    return TALLY_REFCOUNT_HAVE_OWNERS && tally_refcount_owned(&object->counts);
}
#define tally_lock_fast(object)   tally_lock_fast_inline(object)
#define tally_unlock_fast(object) ((void)(object))
static inline bool tally_may_read_unlocked(tally_object *object) {
    (void)object;
    return true;
}

#endif
