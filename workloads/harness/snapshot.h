/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * snapshot.h: --snapshot WHEN:FILE, a heap snapshot at the end of the samples, so many seconds
 * after their start, or whenever SIGUSR2 comes. The main thread takes it, between two sleeps: no
 * handler runs, and no worker is at more than a safepoint.
 */
#ifndef TALLY_HARNESS_SNAPSHOT_H
#define TALLY_HARNESS_SNAPSHOT_H

#include <stdbool.h>

#include "options.h"

/* Of the option's text; false: it is wrong. */
bool snapshot_parse(options *options, const char *text);
/* Ends the driver if the file cannot be written. Before any thread is started: from here on a
 * signal waits. */
void snapshot_check(const options *options);

/* The seconds begin. */
void snapshot_begin(const options *options);
/* Milliseconds, at most `most`, until snapshot_poll is to be called. */
unsigned snapshot_wait(unsigned most);
/* In a blocked region, which it leaves meanwhile: takes the snapshot if it is due. */
void snapshot_poll(void);
/* The same after the last sample, before the workload's objects are dropped. */
void snapshot_end(void);

#endif
