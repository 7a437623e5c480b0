/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * switching.h: how the GIL changes hands, by the names of command lines.
 */
#ifndef TALLY_HARNESS_SWITCHING_H
#define TALLY_HARNESS_SWITCHING_H

#include <stdbool.h>

#include "tally.h"

enum { SWITCHING_TICKS = 100, SWITCHING_INTERVAL_US = 5000 }; /* where none are given; CPython's */
#define SWITCHING_NAMES "cpython, deadline or ticks"

/* The policy of that name; false: there is none. "ticks" keeps a number of ticks that is set. */
bool switching_set(tally_options *options, const char *name);
/* Static. */
const char *switching_name(const tally_options *options);
/* Whether this backend has a GIL. */
bool switching_applies(void);
/* How long a thread keeps the GIL that others wait for; 0: there is none, or ticks count. */
double switching_turn_seconds(const tally_options *options);

#endif
