/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* internal.h: what the parts without a GIL offer each other, beyond the contract. */
#ifndef TALLY_NOGIL_INTERNAL_H
#define TALLY_NOGIL_INTERNAL_H

#include "locking/turns.h"
#include "objects/object.h"

/* The locks of the weak references to several objects; a set has the bits of their locks. */
uint64_t tally_weak_lock_bit(const void *address);
void tally_weak_lock_all(uint64_t bits);
void tally_weak_unlock_all(uint64_t bits);

void tally_locks_start(void);
void tally_locks_attach(tally_locking_thread *self);
/* False: they held nothing, and need no resume. */
bool tally_critical_suspend(tally_thread_state *thread);
void tally_kept_locks_give_up(tally_thread_state *thread); /* it keeps no lock any more */
void tally_critical_resume(tally_thread_state *thread);
/* Around a wait of the run time: runs no foreign code. The caller suspends critical sections. */
void tally_wait_begin(tally_thread_state *thread, const char *doing);
void tally_wait_end(void);
extern const char tally_parked[]; /* what a thread does that a stop of the world keeps waiting */
void tally_reclaim_end(void);
void tally_reclaim_attach(tally_thread_state *thread);
void tally_reclaim_detach(tally_thread_state *thread);
void tally_reclaim_safepoint(tally_thread_state *thread);
void tally_reclaim_offline(tally_thread_state *thread);
void tally_reclaim_online(tally_thread_state *thread);
void tally_reclaim_drain(tally_thread_state *thread); /* contract: tally_locking_drain */
void tally_reclaim_flush(tally_thread_state *thread);
void tally_reclaim_before_blocking(tally_thread_state *thread);

/* As tally_stop_the_world; false: another thread stops it, or not all threads came to a safepoint
 * within this time, and the world runs. */
bool tally_try_stop_the_world(uint64_t ns);

/* Per-thread refcounts. allocate: the caller's array; false: no memory, without an error. */
void tally_per_thread_start(void);
bool tally_per_thread_allocate(void);
bool tally_per_thread_used(void);        /* any object but classes is counted so */
bool tally_per_thread_seem_unused(void); /* some counted objects seem to be unused; a snapshot */
/* As tally_classes_sweep, of those that are no classes. patience: nanoseconds to wait for the other
 * threads, and then nothing is freed; 0: no limit. */
size_t tally_per_thread_sweep(uint64_t patience);
/* World stopped, not queued: it is counted per thread from now on; false: it is not. */
bool tally_per_thread_move(tally_object *object);

#endif
