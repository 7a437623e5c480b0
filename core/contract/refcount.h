/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount.h: what a backend's refcounts provide, beside the public tally_refcount_incref and
 * tally_refcount_decref, which a thread calls that holds a reference.
 *
 * The backend's refcount_internal.h comes first. The compiler checks what it defines inline against
 * the prototypes below; whatever it leaves out is defined in one of the part's .c files. Any
 * attached thread may call each function, and none is a safepoint, if nothing else is said.
 */
#ifndef TALLY_CONTRACT_REFCOUNT_H
#define TALLY_CONTRACT_REFCOUNT_H

#include "layout/thread.h"
#include "refcount_internal.h"

/* init gives a new object one reference, the caller's, which is stored last, with release.
 * start_dead makes new memory a dead object. */
extern void tally_refcount_init(tally_refcounts *refcount);
extern void tally_refcount_start_dead(tally_refcounts *refcount);

/* A decref that leaves the end to the caller. True: the object is dead now. False: it lives, or
 * others see to its end. */
extern bool tally_refcount_drop(tally_refcounts *refcount);
/* A decref, unless it is the last or an owner has to merge. False: nothing has changed. */
extern bool tally_refcount_try_drop(tally_refcounts *refcount);

/* A reference, for a thread that may hold none; false: the object may be dead. The weak form is for
 * a thread that holds a weak reference. */
extern bool tally_refcount_try_incref(tally_refcounts *refcount);
extern bool tally_refcount_try_incref_weak(tally_refcounts *refcount);
/* The same on the shortest way, without a function call. NOT_COUNTED: the object may be dead, or
 * try_incref is needed. COUNT_LOST: another thread came in between. COUNTED_OWN: only this thread
 * can free the object, so the pointer has led to it since this thread's last safepoint. */
extern int tally_refcount_try_incref_once(tally_refcounts *refcount);

/* Under the lock of a container that holds it: later try-increfs of other threads can succeed. */
extern void tally_refcount_set_maybe_shared(tally_refcounts *refcount);
/* By a thread that holds a reference: from now on try-increfs of all threads fail only if the
 * object is dead. The second form is for an object without a lock: it also merges at once, so that
 * the last decref by another thread needs no merge queue. */
extern void tally_refcount_expose(tally_refcounts *refcount);
extern void tally_refcount_merge_and_expose(tally_refcounts *refcount);

/* ---- the last reference ---- */

/* A dead object gets one reference, for its finalizer. drop_last gives it back, by
 * compare-and-swap. True: it is dead again. False: others hold it now. */
extern void tally_refcount_revive(tally_refcounts *refcount);
extern bool tally_refcount_drop_last(tally_refcounts *refcount);
/* For tally_object_zero. is_zero: the last reference is gone, and no thread has dropped another.
 * out_of_room: it was no last reference, and the object is immortal now. */
extern bool tally_refcount_is_zero(tally_refcounts *refcount);
extern bool tally_refcount_out_of_room(tally_refcounts *refcount);
/* 32 bits in the words of a dead object, which stays dead to all other threads; 0: as death left
 * them. */
extern void tally_refcount_set_link(tally_refcounts *refcount, uint32_t link);
extern uint32_t tally_refcount_link(tally_refcounts *refcount);

/* ---- queries ---- */

/* The references that the words count. For an immortal object, or one whose words are out of room,
 * the number is so large that a collector never subtracts all of it. */
extern ptrdiff_t tally_refcount_total(tally_refcounts *refcount);
extern bool tally_refcount_is_dead(tally_refcounts *refcount);
extern bool tally_refcount_is_immortal(tally_refcounts *refcount);
extern void tally_refcount_make_immortal(tally_refcounts *refcount);
/* The caller owns it; false where there are no owners. The owner's id, or TALLY_OWNER_NONE. */
extern bool tally_refcount_owned(tally_refcounts *refcount);
extern uint32_t tally_refcount_owner(tally_refcounts *refcount);

/* ---- with the world stopped ---- */

/* The local count, a part of the total, and the state of a mortal object: for a snapshot. */
extern int64_t tally_refcount_local(tally_refcounts *refcount);
extern enum tally_heap_state tally_refcount_state(tally_refcounts *refcount);

extern bool tally_refcount_is_queued(tally_refcounts *refcount); /* in a merge queue */
/* Of an object in no merge queue: the caller becomes the owner. */
extern void tally_refcount_adopt(tally_refcounts *refcount);
/* n on top of the total; n may be negative. */
extern void tally_refcount_trial_add(tally_refcounts *refcount, int32_t n);

/* ---- threads ---- */

/* The thread-list lock is held. detach: false: objects wait, go to the safepoint first. */
extern void tally_refcount_attach(tally_thread_state *thread);
extern bool tally_refcount_detach(tally_thread_state *thread);
/* Merges what waits for the thread, and destroys what dies by that: runs foreign code. */
extern void tally_refcount_safepoint(tally_thread_state *thread);
/* After blocked was published: objects wait that perhaps no thread has seen. */
extern bool tally_refcount_pending(tally_thread_state *thread);
/* Merges for a blocked thread that the caller has claimed. */
extern void tally_refcount_merge_blocked(tally_thread_state *thread);
/* Dead objects are left for the thread's next tally_refcount_safepoint. */
extern bool tally_refcount_dealloc_pending(tally_thread_state *thread);
/* Bytes of the blocks of objects in merge queues now; at most so far for one owner. */
extern void tally_refcount_queued_bytes(size_t *bytes, size_t *most);
/* World stopped: what is in the thread's merge queue. */
extern void tally_refcount_queue(tally_thread_state *thread, tally_waiting *about);

/* ---- without a GIL only ---- */

/* As _safepoint and _merge_blocked, but what dies is left for the next safepoint, so no foreign
 * code runs. */
extern void tally_refcount_merge_later(tally_thread_state *thread);
/* What the thread has dropped of others reaches their queues; the same for what dies by that. */
extern void tally_refcount_push(tally_thread_state *thread);
extern void tally_refcount_merge_blocked_later(tally_thread_state *thread);
/* World stopped: all queues are merged. Once the world runs: what died by that is destroyed.
 *     tally_refcount_dead tally_refcount_merge_stopped(void);
 *     void tally_refcount_destroy(tally_refcount_dead dead); */

/* make: by the owner, or with the world stopped. From now on each thread counts the object in its
 * own array at this index; the shared count gets `more` references. False: nothing has changed.
 * index: 0 if the object is not counted so. end: with the world stopped, the sum of the arrays goes
 * back to the object's own words. */
extern bool tally_refcount_make_per_thread(tally_refcounts *refcount, uint32_t index,
                                           uint32_t more);
extern uint32_t tally_refcount_per_thread_index(tally_refcounts *refcount);
extern void tally_refcount_end_per_thread(tally_refcounts *refcount, int64_t sum);

/* ---- classes: many threads make instances of one, so those are counted per thread ---- */

/* An instance's reference to its class; 0, or -1 and a memory error. */
extern int tally_class_incref(tally_object *class_);
extern void tally_class_decref(tally_object *class_);
extern void tally_class_refcounts_attach(tally_thread_state *thread); /* the caller is the thread */
extern void tally_class_refcounts_free(tally_thread_state *thread);   /* at the end */
extern void tally_class_born(tally_object *class_); /* no other thread knows it yet */
/* The references in per-thread arrays, less those that the class's own refcount has too many. */
extern ptrdiff_t tally_class_instances(tally_object *object);
/* Frees the classes and per-thread counted objects that nothing uses; how many. */
extern size_t tally_classes_sweep(void);
extern bool tally_class_is_unused(
    tally_object *object); /* world stopped: the sweep would free it */

#endif
