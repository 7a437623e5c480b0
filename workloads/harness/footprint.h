/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * footprint.h: how much memory this process uses, and an object of each kind.
 */
#ifndef TALLY_HARNESS_FOOTPRINT_H
#define TALLY_HARNESS_FOOTPRINT_H

#include <stddef.h>

/* KiB, 0 if the system does not tell. */
long footprint_resident(void);
long footprint_peak(void);
/* Each shared page divided among the processes that map it (PSS): sums over processes count no page
 * twice. */
long footprint_proportional(void);

/* Name and bytes of one object of each kind; the run time must be started. */
typedef struct footprint_kind {
    const char *name;
    ptrdiff_t bytes;
} footprint_kind;

enum { FOOTPRINT_KINDS = 6 };

void footprint_measure_kinds(footprint_kind kinds[FOOTPRINT_KINDS]);

#endif
