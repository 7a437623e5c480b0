/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locking_inline.h: short locks without a GIL: a lock of one byte per object.
 *
 * Where refcounts have owners, the lock of a new container is biased to its owner: the owner enters
 * by storing the object's address in its thread state and looking at the lock byte, both without
 * read-modify-write. Another thread that wants the lock takes the byte by compare-and-swap, calls
 * membarrier, and waits until the owner's mark is not this object. From then on the lock is an
 * ordinary one. (Kawachiya, Koseki, Onodera 2002, with membarrier in place of the owner's fence.) A
 * container with a biased lock is private: no other thread has used it, and readers without a lock
 * keep out until the bias is revoked.
 *
 * A biased byte has the epoch in which it was made, and the owner enters only if that is still its
 * slot's epoch. So the end of an epoch ends all biases of an owner at once, and containers that a
 * running owner made and hands over are not revoked one by one. (Bulk revocation: Russell and
 * Detlefs 2006.) Epochs of a slot only go up. After the last one it biases no more.
 *
 * A lock that one thread alone takes, but not the owner, is kept by that thread (kept_lock.c): the
 * byte stays held, and the thread enters as by bias, with its own note of the object in place of
 * the byte. Another thread takes the lock as a bias is revoked.
 *
 * Invariants:
 *  - The bias of a byte ends once in an object's life, by compare-and-swap. The bit BIASED stays
 *    until the owner has left the lock, and so readers keep out until then.
 *  - Under a short lock there is no safepoint, no foreign code and no other lock.
 *  - A thread that has stopped the world, or is not running, holds no short lock.
 */
#ifndef TALLY_LOCKING_INLINE_H
#define TALLY_LOCKING_INLINE_H

#include "layout/thread.h"
#include "layout/types.h"
#include "refcount_internal.h"
#include <stdlib.h>

enum {
    TALLY_LOCK_FREE = 0,
    TALLY_LOCK_HELD = 1,
    TALLY_LOCK_PARKED = 2 /* a thread waits */,
    TALLY_LOCK_BIASED = 4 /* with HELD: being revoked */
};
/* Above the bit BIASED a byte has the epoch of the bias. */
enum {
    TALLY_BIAS_FIRST = TALLY_LOCK_BIASED,
    TALLY_BIAS_EPOCH = 8,
    TALLY_BIAS_LAST = 0xf4,
    TALLY_BIAS_NONE = 0xfc /* no byte has it */
};
/* NESTED: a critical section of this thread has it. WAITED: the wait suspended sections. */
enum {
    TALLY_TOKEN_BIASED,
    TALLY_TOKEN_KEPT,
    TALLY_TOKEN_HELD,
    TALLY_TOKEN_NESTED,
    TALLY_TOKEN_WAITED
};

enum { TALLY_LOCK_SAMPLE = 64 /* locks taken per look at one of them; a power of two */ };
unsigned tally_lock_slow(tally_object *object);
void tally_lock_sample(tally_object *object);
void tally_unlock_slow(tally_object *object);
void tally_unlock_waited(tally_object *object);
void tally_lock_forget(tally_object *object);
static inline bool tally_lock_byte_is_biased(uint8_t lock) {
    return (lock & (TALLY_LOCK_BIASED | TALLY_LOCK_HELD)) == TALLY_LOCK_BIASED;
}

static inline uint8_t tally_lock_initial(void) {
    return TALLY_REFCOUNT_HAVE_OWNERS
               ? tally_load_relaxed(&tally_thread_current()->locking.lock_initial)
               : TALLY_LOCK_FREE;
}
static inline bool tally_is_private(unsigned token) {
    return TALLY_REFCOUNT_HAVE_OWNERS && token == TALLY_TOKEN_BIASED;
}

/* Where the thread says that it keeps the lock of this object. */
static inline _Atomic(tally_object *) *tally_kept_lock_of(tally_locking_thread *self,
                                                          tally_object *object) {
    return &self->kept[(uintptr_t)object / 32 % TALLY_KEPT_LOCKS];
}

#ifdef TALLY_LOCKS_OFF
/*
 * A what-if, never a product: short locks that exclude no thread, for workloads in which no thread
 * changes what another can reach. The owner of a container is in it as with a biased lock; all
 * other threads may read without the lock. Lock bytes stay as they were made.
 */
static inline unsigned tally_lock_object(tally_object *object) {
    return TALLY_REFCOUNT_HAVE_OWNERS && tally_refcount_owned(&object->refcount)
               ? TALLY_TOKEN_BIASED
               : TALLY_TOKEN_NESTED;
}
static inline void tally_unlock_object(tally_object *object, unsigned token) {}
static inline bool tally_lock_fast(tally_object *object) {
    return TALLY_REFCOUNT_HAVE_OWNERS && tally_refcount_owned(&object->refcount);
}
static inline void tally_unlock_fast(tally_object *object) {}
static inline bool tally_may_read_unlocked(tally_object *object) { return true; }
#else
static inline bool tally_lock_biased(tally_locking_thread *self, tally_object *object) {
    if (!TALLY_REFCOUNT_HAVE_OWNERS || TALLY_UNLIKELY(!tally_refcount_owned(&object->refcount)))
        return false;
    /* release: pairs with the revoker's acquire; costs nothing here */
    tally_store_release(&self->biased_hold, object);
    /* The revoker must see the store before this load: its membarrier sees to that. */
    atomic_signal_fence(memory_order_seq_cst);
    TALLY_FAILPOINT(bias_marked);
    if (TALLY_LIKELY(tally_load_acquire(&object->lock) == tally_load_relaxed(&self->bias))) {
        TALLY_DETAIL(locks_biased);
        TALLY_FAILPOINT(bias_inside);
        return true;
    }
    tally_store_release(&self->biased_hold, NULL);
    return false;
}

/* As by bias, with the thread's note in place of the lock byte. */
static inline bool tally_lock_kept(tally_locking_thread *self, tally_object *object) {
    _Atomic(tally_object *) *note = tally_kept_lock_of(self, object);
    if (TALLY_LIKELY(tally_load_relaxed(note) != object)) return false;
    /* release: pairs with the taker's acquire */
    tally_store_release(&self->biased_hold, object);
    /* The taker must see the store before this load: its membarrier sees to that. */
    atomic_signal_fence(memory_order_seq_cst);
    TALLY_FAILPOINT(kept_lock_marked);
    /* relaxed: the thread got the lock by itself, in its slow path */
    if (TALLY_LIKELY(tally_load_relaxed(note) == object)) {
        TALLY_FAILPOINT(kept_lock_inside);
        return true;
    }
    tally_store_release(&self->biased_hold, NULL);
    return false;
}

static inline unsigned tally_lock_object(tally_object *object) {
    TALLY_ENDS_BORROWS();
    TALLY_CHECKED(tally_check_may_wait());
    tally_locking_thread *self = &tally_thread_current()->locking;
    if (tally_lock_biased(self, object)) return TALLY_TOKEN_BIASED;
    if (TALLY_REFCOUNT_HAVE_OWNERS && tally_lock_kept(self, object)) return TALLY_TOKEN_KEPT;
    uint8_t expected = TALLY_LOCK_FREE;
    /* acquire: pairs with the release of unlock */
    if (TALLY_LIKELY(tally_cas_acquire(&object->lock, &expected, TALLY_LOCK_HELD))) {
        TALLY_DETAIL(locks_atomic);
        if (TALLY_REFCOUNT_HAVE_OWNERS && TALLY_UNLIKELY(++self->taken % TALLY_LOCK_SAMPLE == 0))
            tally_lock_sample(object);
        return TALLY_TOKEN_HELD;
    }
    return tally_lock_slow(object);
}

static inline bool tally_lock_fast(tally_object *object) {
    return tally_lock_biased(&tally_thread_current()->locking, object);
}
static inline void tally_unlock_fast(tally_object *object) {
    tally_store_release(&tally_thread_current()->locking.biased_hold, NULL);
}

static inline void tally_unlock_object(tally_object *object, unsigned token) {
    if (TALLY_REFCOUNT_HAVE_OWNERS && TALLY_LIKELY(token <= TALLY_TOKEN_KEPT)) {
        /* release: pairs with the acquire of the thread that takes the lock, which then sees all
         * that was done inside */
        tally_store_release(&tally_thread_current()->locking.biased_hold, NULL);
        return;
    }
    if (TALLY_UNLIKELY(token != TALLY_TOKEN_HELD)) {
        if (token == TALLY_TOKEN_WAITED) tally_unlock_waited(object);
        return;
    }
    uint8_t expected = TALLY_LOCK_HELD;
    /* release: pairs with the acquire of lock */
    if (TALLY_UNLIKELY(!tally_cas_release(&object->lock, &expected, TALLY_LOCK_FREE)))
        tally_unlock_slow(object);
}

#endif

/* Before the memory of a container is freed: no thread uses it, but one may keep its lock. */
static inline void tally_lock_end(tally_object *object) {
    if (TALLY_UNLIKELY(tally_load_relaxed(&object->lock) & TALLY_LOCK_HELD))
        tally_lock_forget(object);
}

/* By the owner before it gives the object up, or by another thread in its place. */
static inline void tally_lock_unbias(tally_object *object) {
    uint8_t expected = tally_load_relaxed(&object->lock);
    /* release: pairs with the acquire of the next lock */
    if (tally_lock_byte_is_biased(expected))
        tally_cas_release(&object->lock, &expected, TALLY_LOCK_FREE);
}

static inline bool tally_lock_is_biased(tally_object *object) {
    /* acquire: as in tally_may_read_unlocked */
    return tally_load_acquire(&object->lock) & TALLY_LOCK_BIASED;
}
#ifndef TALLY_LOCKS_OFF
static inline bool tally_may_read_unlocked(tally_object *object) {
    /* acquire: pairs with the revoker's release, after which arrays are retired, not freed */
    return !TALLY_REFCOUNT_HAVE_OWNERS || tally_refcount_owned(&object->refcount) ||
           !(tally_load_acquire(&object->lock) & TALLY_LOCK_BIASED);
}
#endif

/* References of instances to their class are counted per thread (per_thread.c). Only the thread
 * itself writes its counts. */
int tally_class_incref_slow(tally_object *class_); /* it has no array yet */
void tally_class_decref_slow(tally_object *class_);
static inline int tally_class_incref(tally_object *class_) {
    tally_per_thread_count *counts = tally_self.refcount.per_thread;
    if (TALLY_UNLIKELY(!counts)) return tally_class_incref_slow(class_);
    tally_count_own(&counts[((tally_type_object *)class_)->index].taken);
    return 0;
}
static inline void tally_class_decref(tally_object *class_) {
    tally_per_thread_count *counts = tally_self.refcount.per_thread;
    if (TALLY_LIKELY(counts))
        tally_count_own(&counts[((tally_type_object *)class_)->index].dropped);
    else
        tally_class_decref_slow(class_);
}

static inline void tally_class_refcounts_attach(tally_thread_state *thread) {
    tally_self.refcount.per_thread = tally_load_relaxed(&thread->head.refcount.per_thread);
}
static inline void tally_class_refcounts_free(tally_thread_state *thread) {
    free((void *)tally_load_relaxed(&thread->head.refcount.per_thread));
}

/* The heap of unattached threads has no pools. */
static inline void tally_locking_orphan(void) {}

#endif
