/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * profile.h: --heap-profile [BYTES:]FILE, a heap profile from before setup until after the last
 * sample. Allocations take a slow path meanwhile, so the samples are slower.
 */
#ifndef TALLY_HARNESS_PROFILE_H
#define TALLY_HARNESS_PROFILE_H

#include <stdbool.h>

#include "options.h"

/* Of the option's text; false: it is wrong. */
bool profile_parse(options *options, const char *text);
/* Ends the driver if the file cannot be written. */
void profile_check(const options *options);

/* Before setup. */
void profile_begin(const options *options);
/* In a blocking region, which it leaves meanwhile: after the last sample, before the workload's
 * objects are dropped. */
void profile_end(const options *options);

#endif
