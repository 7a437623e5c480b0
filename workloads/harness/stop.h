/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop.h: SIGINT and SIGTERM ask the driver to end with what it has. They are blocked in every
 * thread and only taken while the main thread sleeps, so that no handler can interrupt anything
 * else and none is missed.
 */
#ifndef TALLY_HARNESS_STOP_H
#define TALLY_HARNESS_STOP_H

#include <signal.h>
#include <stdbool.h>

/* Before any thread is started: they inherit the mask. */
void stop_block(void);
/* The two signals. */
const sigset_t *stop_signals(void);
/* Sleeps; true at once if one of the two came. */
bool stop_sleep(unsigned milliseconds);
/* Sleeps until a worker calls stop_rouse; true at once if one of the two came. */
bool stop_wait(void);
void stop_rouse(void);
/* A call that nobody has waited for is forgotten; no worker calls meanwhile. */
void stop_forget(void);

#endif
