/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Exclusion without a global lock: a lock of one byte in every object.
 *
 * Where counts have owners, the lock of a new container is biased: its owner
 * enters by storing the object's address in its thread state and looking at the
 * lock byte, both plain. Another thread that wants in takes the byte by
 * compare-and-swap, calls membarrier, and waits until the owner's mark is not
 * this object; from then on the lock is an ordinary one. (Kawachiya, Koseki,
 * Onodera 2002, with membarrier in place of the owner's fence.)
 * A biased container is private: no other thread has ever been in it, and
 * readers without a lock keep out until it has been revoked.
 *
 * A biased byte has the epoch of its slot in which it was made, and the owner enters only if
 * that is the slot's epoch still. So all biases of an owner end at once, by the end of an
 * epoch: what a running owner has made and hands over is not revoked one by one. (Bulk
 * revocation: Russell and Detlefs 2006.) Epochs of a slot only go up; after the last it biases no
 * more.
 *
 * Invariants:
 *  - The byte leaves TALLY_LOCK_BIASED once in an object's life, by compare-and-swap;
 *    the bit stays until the owner is out of its section, and readers with it.
 *  - In a leaf section there is no safepoint, no foreign code and no other lock.
 *  - In none of them while the world is stopped by this thread, or while it is not running.
 */
#ifndef TALLY_LOCKING_INLINE_H
#define TALLY_LOCKING_INLINE_H

#include "refcount_internal.h"

#define TALLY_LOCKING_NAME "lock an object"

enum {
    TALLY_LOCK_FREE = 0,
    TALLY_LOCK_HELD = 1,
    TALLY_LOCK_PARKED = 2 /* somebody waits */,
    TALLY_LOCK_BIASED = 4 /* with HELD: being revoked */
};
/* Above the bit BIASED a byte has the epoch of the bias. */
enum {
    TALLY_BIAS_FIRST = TALLY_LOCK_BIASED,
    TALLY_BIAS_EPOCH = 8,
    TALLY_BIAS_LAST = 0xf4,
    TALLY_BIAS_NONE = 0xfc /* no byte has it */
};
/* NESTED: a critical section of this thread holds the lock. WAITED: the wait for it let the
 * sections go. */
enum { TALLY_TOKEN_BIASED, TALLY_TOKEN_HELD, TALLY_TOKEN_NESTED, TALLY_TOKEN_WAITED };

typedef struct tally_locking_thread {
    _Atomic(tally_object *) biased_hold; /* the object whose biased lock its owner is in */
    _Atomic uint8_t bias; /* a lock byte that is biased to this slot now; goes up, for as long as
                             the slot is there */
    _Atomic uint8_t bias_over; /* biases up to this one are over; 0: none is */
    _Atomic uint8_t
        lock_initial; /* of its new containers: biased, unless they keep being revoked */
    _Atomic uint8_t revocations;
    bool claimed_by_stop;         /* by who stops the world */
    const char *_Atomic doing;    /* what it left RUNNING for last; static text */
    uint64_t left_at;             /* when, if that is traced; own thread */
    tally_retired *retired;       /* not yet handed over; own thread */
    tally_dead_list retired_dead; /* objects, the same */
    size_t retired_count;         /* of those that are no dead objects */
    _Atomic size_t retired_bytes; /* own thread; read by statistics */
    bool helping;                 /* waits for a grace period; own thread */
    bool throttle_requested;      /* for a grace period, at the next safepoint; own thread */
} tally_locking_thread;

enum { TALLY_LOCK_FREE_READS = 1 };

struct tally_thread_state;
unsigned tally_lock_slow(tally_object *object);
void tally_unlock_slow(tally_object *object);
void tally_unlock_waited(tally_object *object);
/* With HELD it is being revoked. */
static inline bool tally_lock_byte_is_biased(uint8_t lock) {
    return (lock & (TALLY_LOCK_BIASED | TALLY_LOCK_HELD)) == TALLY_LOCK_BIASED;
}

#define tally_lock_initial()                                                   \
    (TALLY_REFCOUNT_HAVE_OWNERS                                                \
         ? atomic_load_explicit(&tally_thread_current()->locking.lock_initial, \
                                memory_order_relaxed)                          \
         : TALLY_LOCK_FREE)

#define tally_lock_object(object)            tally_lock_object_of(tally_thread_current(), object)
#define tally_lock_object_of(thread, object) tally_lock_inline(&(thread)->locking, object)

/* In a leaf section entered with this token. */
#define tally_is_private(token) (TALLY_REFCOUNT_HAVE_OWNERS && (token) == TALLY_TOKEN_BIASED)

#ifdef TALLY_LOCKS_OFF
#    include "locks_off.h"
#else
static inline bool tally_lock_biased(tally_locking_thread *self, tally_object *object) {
    if (!TALLY_REFCOUNT_HAVE_OWNERS || TALLY_UNLIKELY(!tally_refcount_owned(&object->refcount)))
        return false;
    /* release: pairs with the revoker's acquire; costs nothing here */
    tally_store_release(&self->biased_hold, object);
    /* The store must come before this load for the revoker's eyes: its membarrier sees to that. */
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

static inline unsigned tally_lock_inline(tally_locking_thread *self, tally_object *object) {
    TALLY_ENDS_BORROWS();
    TALLY_CHECKED(tally_check_may_wait());
    if (tally_lock_biased(self, object)) return TALLY_TOKEN_BIASED;
    uint8_t expected = TALLY_LOCK_FREE;
    /* acquire: pairs with the release of unlock */
    if (TALLY_LIKELY(tally_cas_acquire(&object->lock, &expected, TALLY_LOCK_HELD))) {
        TALLY_DETAIL(locks_atomic);
        return TALLY_TOKEN_HELD;
    }
    return tally_lock_slow(object);
}

/* Enters by bias, or not at all. */
#    define tally_lock_fast(object) tally_lock_biased(&tally_thread_current()->locking, object)
#    define tally_unlock_fast(object) \
        ((void)(object), tally_store_release(&tally_thread_current()->locking.biased_hold, NULL))

#    define tally_unlock_object(object, token) \
        tally_unlock_inline(&tally_thread_current()->locking, object, token)
static inline void tally_unlock_inline(tally_locking_thread *self, tally_object *object,
                                       unsigned token) {
    if (TALLY_LIKELY(tally_is_private(token))) {
        /* release: pairs with the acquire of the revoker, who then sees all that was done inside */
        tally_store_release(&self->biased_hold, NULL);
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

/* The owner gives up a bias before it gives up the object (or in the owner's stead). */
static inline void tally_lock_unbias(tally_object *object) {
    uint8_t expected = tally_load_relaxed(&object->lock);
    /* release: pairs with the acquire of the next who locks */
    if (tally_lock_byte_is_biased(expected))
        tally_cas_release(&object->lock, &expected, TALLY_LOCK_FREE);
}

/* No other thread than the owner has ever been in it. */
static inline bool tally_lock_is_biased(tally_object *object) {
    return tally_load_relaxed(&object->lock) & TALLY_LOCK_BIASED;
}
#ifndef TALLY_LOCKS_OFF
static inline bool tally_may_read_unlocked(tally_object *object) {
    /* acquire: pairs with the revoker's release, after which arrays are retired, not freed */
    return !TALLY_REFCOUNT_HAVE_OWNERS || tally_refcount_owned(&object->refcount) ||
           !(tally_load_acquire(&object->lock) & TALLY_LOCK_BIASED);
}
#endif

void tally_weak_lock(const void *address);
void tally_weak_unlock(const void *address);
/* References of instances to their class are counted in a table of each thread; classes.c.
 * Its thread alone writes an entry: load and store. False: no table yet. */
static inline bool tally_class_count(tally_thread_head *head, uint16_t index, int64_t by) {
    _Atomic int64_t *numbers = tally_load_relaxed(&head->per_thread_refcounts);
    if (TALLY_UNLIKELY(!numbers)) return false;
    tally_store_relaxed(&numbers[index], tally_load_relaxed(&numbers[index]) + by);
    return true;
}
void tally_per_thread_start(void);
bool tally_per_thread_allocate(void); /* the caller's table; false: no memory, without an error */
bool tally_per_thread_seem_unused(void); /* spread objects seem to be unused; a snapshot */
size_t tally_per_thread_sweep(void);     /* as tally_classes_sweep, of those that are no classes */
int tally_class_incref_slow(tally_object *class_);
void tally_class_decref_slow(tally_object *class_);
#define tally_class_incref(class_)                                                   \
    (tally_class_count(tally_self.thread, ((tally_type_object *)(class_))->index, 1) \
         ? 0                                                                         \
         : tally_class_incref_slow(class_))
#define tally_class_decref(class_)                                                    \
    (tally_class_count(tally_self.thread, ((tally_type_object *)(class_))->index, -1) \
         ? (void)0                                                                    \
         : tally_class_decref_slow(class_))

/* The parts of this folder, to each other. */
void tally_locks_start(void);
void tally_locks_attach(tally_locking_thread *self);
void tally_critical_suspend(struct tally_thread_state *thread);
void tally_critical_resume(struct tally_thread_state *thread);
/* Around a wait of the run time itself: runs no foreign code. Critical sections are the caller's
 * business. */
void tally_wait_begin(struct tally_thread_state *thread, const char *doing);
void tally_wait_end(void);
int tally_reclaim_start(void);
void tally_reclaim_end(void);
void tally_reclaim_attach(void);
void tally_reclaim_detach(struct tally_thread_state *thread);
void tally_reclaim_safepoint(struct tally_thread_state *thread);
void tally_reclaim_offline(void);
void tally_reclaim_online(void);
void tally_reclaim_before_fork(bool reader);
void tally_reclaim_after_fork(bool reader, bool child);
void tally_reclaim_drain(struct tally_thread_state *thread); /* contract: tally_locking_drain */
void tally_reclaim_flush(struct tally_thread_state *thread);
void tally_reclaim_before_blocking(struct tally_thread_state *thread);

/* The contract; core/contract/. */
int tally_locking_start(void);
void tally_locking_end(void);
void tally_locking_before_fork(bool running);
void tally_locking_after_fork(bool running, bool child);
static inline void tally_locking_orphan(void) {} /* the heap of unattached threads has no pools */
void tally_locking_drain(struct tally_thread_state *thread);
void tally_locking_attach(struct tally_thread_state *thread);
void tally_locking_detach(struct tally_thread_state *thread);
void tally_locking_safepoint(struct tally_thread_state *thread);
bool tally_claim(struct tally_thread_state *thread);
void tally_claim_end(struct tally_thread_state *thread);
void tally_thread_list_lock(void); /* by an attached thread: a blocking region while it waits */
void tally_stop_the_world(void);
void tally_resume_the_world(void);
unsigned tally_helpers_gather(unsigned most);
void tally_helpers_run(void (*work)(unsigned number, unsigned of, void *context), void *context);
void tally_helpers_dismiss(void);
void tally_last_stop(unsigned *thread, const char **was);
uint64_t tally_last_resume_ns(void); /* nanoseconds */
void tally_retire(tally_retired *node, unsigned what, size_t bytes);
void tally_reclaim_stopped(void);
void tally_reclaim_free(void);
void tally_reclaim_request_throttle(void);
bool tally_reclaim_throttle(void);
void tally_reclaim_backlog(size_t *bytes, size_t *most);
void tally_retire_object(tally_object *object, size_t bytes);

#endif
