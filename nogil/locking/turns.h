/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* turns.h: threads that contend take turns, as long as that is faster; turns.c has the invariants.
 */
#ifndef TALLY_TURNS_H
#define TALLY_TURNS_H

#include "layout/thread.h"

#if TALLY_TURNS
void tally_turns_start(void); /* no other thread is attached */
/* The calling thread has come to slow paths for objects that threads share, so many times. */
void tally_turns_contended(unsigned times);
/* The thread may wait for its turn. Its critical sections are suspended meanwhile. */
void tally_turns_safepoint(tally_thread_state *thread);
/* The thread is about to wait for something, or to detach. */
void tally_turns_leave(tally_thread_state *thread);
#    ifdef TALLY_FAILPOINTS
/* From now on there are turns, and the caller contends; or there are none. Nothing is measured. */
void tally_turns_force(bool turns);
#    endif
#else
static inline void tally_turns_start(void) {}
static inline void tally_turns_contended(unsigned times) { (void)times; }
static inline void tally_turns_safepoint(tally_thread_state *thread) { (void)thread; }
static inline void tally_turns_leave(tally_thread_state *thread) { (void)thread; }
#endif

#endif
