/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * watch.h: ends a driver that hangs, after it has shown where: the stacks of all its threads, on
 * stderr.
 *
 * What is limited is not the run but each of its steps, over the time that the step takes by
 * itself, so that a long run is no hanging one. A thread of the watch's own waits for that; it
 * takes no part in the run time, and sleeps. SIGQUIT, as Ctrl-\ sends it, shows the stacks and ends
 * the driver at any time.
 */
#ifndef TALLY_HARNESS_WATCH_H
#define TALLY_HARNESS_WATCH_H

enum {
    WATCH_HUNG = 124,
    WATCH_LIMIT_SECONDS = 60
}; /* the exit status, as timeout(1)'s; the default limit */

/* Starts the watch; the calling thread has no other yet, since they inherit its mask. */
void watch_start(unsigned limit_seconds);

/* The step that begins takes so long if all is well. The name is a literal. Main thread. */
void watch_step(const char *name, unsigned milliseconds);

/* Until the next step the driver waits for something that is watched elsewhere. */
void watch_rest(void);

#endif
