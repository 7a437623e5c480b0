/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start.h: the start and end of each part of core; runtime/start.c calls them. */
#ifndef TALLY_START_H
#define TALLY_START_H

#include "layout/thread.h"

/* 0, or -1 and an error. */
int tally_types_start(void);
void tally_types_end(void);
/* The object is dead: if it is an interned str, it is interned no more. */
void tally_interned_forget(tally_object *object);
/* At the end: the living ones become immortal. */
void tally_interned_keep(void);
void tally_interned_end(void);

/* runtime/threads.c. attach: the calling thread, while the phase is `wanted`; 0, or -1 and an
 * error. wrong_phase: the error of a thread that wanted another phase than `is`; -1. forget: the
 * calling thread is attached no more. */
int tally_attach(enum tally_phase wanted);
int tally_wrong_phase(int is);
void tally_thread_forget(void);
static inline bool tally_thread_runs(tally_thread_state *thread) {
    return tally_load_relaxed(&thread->status) == TALLY_RUNNING;
}

#endif
