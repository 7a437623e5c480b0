/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h: where things lie in this process. Times depend on it, so a comparison starts every
 * process with another layout: the kernel's address randomisation, an environment of random size,
 * and a heap that starts at a random offset.
 */
#ifndef TALLY_HARNESS_LAYOUT_H
#define TALLY_HARNESS_LAYOUT_H

#include <jansson.h>

/* First thing in main: moves the start of the heap by the bytes that the environment's
 * TALLY_HEAP_OFFSET names, if it does. Ends the driver where that is no number from 0 to
 * 1048576. */
void layout_shift(void);

/* Adds heap_offset, and whether the kernel randomises this process' addresses. */
void layout_to_json(json_t *result);

#endif
