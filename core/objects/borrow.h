/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * borrow.h: borrowed references: reads that take no count. borrow.c has the slow half.
 *
 * Invariant: without a GIL an object is borrowable before a thread that does not own it holds it
 * borrowed. The contents and memory of a borrowable object outlive its refcount by a grace period.
 */
#ifndef TALLY_BORROW_H
#define TALLY_BORROW_H

#include "contract/locking.h"
#include "contract/refcount.h"
#include "layout/types.h"

/* Without a GIL, a thread may hold the object borrowed. The flag is set by a thread that holds a
 * counted reference, or the lock of a container that does. So the thread that drops the last
 * reference sees it. */
static inline bool tally_is_borrowable(tally_object *object) {
    /* acquire: pairs with the release of tally_make_borrowable, so that the recheck of a slot sees
     * what came before */
    return TALLY_LOCK_FREE_READS && tally_load_acquire(&object->flags) & TALLY_FLAG_BORROWABLE;
}
static inline void tally_make_borrowable(tally_object *object) {
    if (tally_is_borrowable(object)) return;
    /* first: a thread that sees the flag can tell a dead object by a try-incref */
    if (tally_type_entry(object)->flags & TALLY_TYPE_LEAF)
        tally_refcount_merge_and_expose(&object->refcount);
    else
        tally_refcount_expose(&object->refcount);
    /* release: pairs with tally_is_borrowable */
    tally_or_release(&object->flags, TALLY_FLAG_BORROWABLE);
}
/* Under the short lock of the container, where the item is stored: a container that was borrowed
 * from will be borrowed from again. */
static inline void tally_make_borrowable_in(tally_object *container, unsigned token,
                                            tally_object *item) {
    if (!tally_is_private(token) && tally_is_borrowable(container)) tally_make_borrowable(item);
}

/* The object in the slot without a count. NULL: the lock is needed. An object that this thread owns
 * needs no flag: only this thread can free it, and it does not before it drops it itself or comes
 * to a safepoint. */
static inline tally_object *tally_slot_try_borrow(tally_slot *slot) {
    /* acquire: pairs with the release store of the slot */
    tally_object *object = tally_load_acquire(slot);
    if (!TALLY_LOCK_FREE_READS || !object) return object;
    TALLY_FAILPOINT(borrow_read);
    if (!tally_is_borrowable(object) && !tally_refcount_owned(&object->refcount)) return NULL;
    TALLY_FAILPOINT(borrow_marked);
    if (TALLY_UNLIKELY(tally_load_acquire(slot) != object)) return NULL;
    return object;
}
/*
 * The lock path of a borrow is a counted read, whose reference is kept until the thread's next
 * safepoint. secure comes before it; false and an error: the container was borrowed itself, and has
 * died. keep comes after it, with the object that was read (NULL and an error: none), and the
 * `held` of secure.
 */
bool tally_borrow_secure(tally_object *container, bool *held);
tally_borrowed tally_borrow_keep(tally_object *container, bool held, tally_object *object);
/* The lock path for an item or slot; get is its counted read. */
tally_borrowed tally_borrow_item_locked(tally_object *container, ptrdiff_t index,
                                        tally_object *(*get)(tally_object *, ptrdiff_t));
static inline tally_borrowed tally_borrow_of(tally_object *object) {
#ifdef NDEBUG
    return (tally_borrowed){object, 0};
#else
    return (tally_borrowed){object, tally_self.thread->borrow_epoch << 16 | tally_self.id};
#endif
}
/* The dealloc of a borrowable object, and its end after a grace period: its finalizer and weak
 * references come at once, its contents and memory wait. */
void tally_dealloc_borrowable(tally_thread_state *thread, tally_object *object);
void tally_object_free_borrowable(tally_object *object);

#endif
