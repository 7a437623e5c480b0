/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop_the_world.h: how one thread keeps the others where they are.
 *
 * While the world is stopped, the thread that stopped it waits for nothing, takes no lock,
 * allocates no object and runs no foreign code; builds with assertions check it
 * (tally_check_may_wait).
 */
#ifndef TALLY_CONTRACT_STOP_THE_WORLD_H
#define TALLY_CONTRACT_STOP_THE_WORLD_H

#include "layout/thread.h"
#include "locking_inline.h"

/* Every other thread is parked at a safepoint or claimed in its blocked region between the two. */
extern void tally_stop_the_world(void);
extern void tally_resume_the_world(void);

/* Keeps a blocked thread blocked; false: it is not. */
extern bool tally_claim(tally_thread_state *thread);
extern void tally_claim_end(tally_thread_state *thread);

/* ---- without a GIL only ---- */

/* Between stop and resume: parked threads run work(0 ... n - 1, n, context) together with the
 * caller; n is at most `most`. */
extern unsigned tally_helpers_gather(unsigned most);
extern void tally_helpers_run(void (*work)(unsigned number, unsigned of, void *context),
                              void *context);
extern void tally_helpers_dismiss(void);
/* The thread that the last stop waited for, and what it was doing. Nanoseconds from the last resume
 * until the last thread ran again. */
extern void tally_last_stop(unsigned *thread, const char **was);
extern uint64_t tally_last_resume_ns(void);

#endif
