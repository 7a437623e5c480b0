/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locking.h: what a backend provides to exclude other threads from an object. The public critical
 * sections and blocked regions of tally.h belong to this part, too.
 *
 * The backend's locking_inline.h comes first. The compiler checks what it defines inline against
 * the prototypes below.
 *
 * A short lock holds for one operation: between lock and unlock there is no safepoint, no foreign
 * code and no other lock of an object.
 */
#ifndef TALLY_CONTRACT_LOCKING_H
#define TALLY_CONTRACT_LOCKING_H

#include "layout/types.h"
#include "locking_inline.h"

/* The token goes to the unlock. */
extern unsigned tally_lock_object(tally_object *object);
extern void tally_unlock_object(tally_object *object, unsigned token);
/* Locks if that costs nothing, to be left by the second; false: use tally_lock_object. */
extern bool tally_lock_fast(tally_object *object);
extern void tally_unlock_fast(tally_object *object);
extern uint8_t tally_lock_initial(void); /* the lock byte of a new container */

/* Under the short lock of this token: no reader without a lock can be there. */
extern bool tally_is_private(unsigned token);
/* A reader may try without the lock. Where TALLY_LOCK_FREE_READS is 1, what it read may have
 * changed meanwhile, and it looks again. */
extern bool tally_may_read_unlocked(tally_object *object);

/* No thread but the owner has ever locked it. Before its owner is given up: ends the bias. */
extern bool tally_lock_is_biased(tally_object *object);
extern void tally_lock_unbias(tally_object *object);
/* Before the memory of a container is freed. */
extern void tally_lock_end(tally_object *object);

/* A short lock of the weak references to the object that was made at this address. */
extern void tally_weak_lock(const void *address);
extern void tally_weak_unlock(const void *address);

/* ---- threads ---- */

extern int tally_locking_start(void); /* 0 or -1 */
extern void tally_locking_end(void);
extern void tally_locking_attach(tally_thread_state *thread);
extern void tally_locking_detach(tally_thread_state *thread);
extern void tally_locking_safepoint(tally_thread_state *thread);
/* By the last thread: frees all that waits for a grace period. */
extern void tally_locking_drain(tally_thread_state *thread);
/* By an attached thread: it is blocked while it waits. */
extern void tally_thread_list_lock(void);
/* In the child. The forking thread was the only one attached, if any, and held the thread-list
 * lock. orphan: in a child that cannot use the run time; no allocation may pass unnoticed. */
extern void tally_locking_after_fork(void);
extern void tally_locking_orphan(void);

#endif
