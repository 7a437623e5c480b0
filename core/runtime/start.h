/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start.h: the start and end of each part of core; runtime/start.c calls them. */
#ifndef TALLY_START_H
#define TALLY_START_H

#include "layout/thread.h"

/* 0, or -1 and an error. */
int tally_types_start(void);
void tally_types_end(void);
void tally_interned_forget(
    tally_object *object); /* an object that is dead: if it is an interned str, it is so no more */
void tally_interned_keep(void); /* at the end: those that are alive are immortal from now on */
void tally_interned_end(void);  /* forgets the interned strs */

/* runtime/threads.c: attaches the calling thread while the phase is this one; 0, or -1 and an
 * error. The error of a thread that wanted another phase than `is`; -1. */
int tally_attach(enum tally_phase wanted);
int tally_wrong_phase(int is);
void tally_thread_forget(void); /* the calling thread is attached no more */
static inline bool tally_thread_runs(tally_thread_state *thread) {
    return tally_load_relaxed(&thread->status) == TALLY_RUNNING;
}

#endif
