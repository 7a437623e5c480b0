/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contention.h: what the workers contended for during the samples, as JSON; by the drivers that
 * count every event, which know the places too.
 */
#ifndef TALLY_HARNESS_CONTENTION_H
#define TALLY_HARNESS_CONTENTION_H

#include <jansson.h>

#include "tally.h"

typedef struct contention {
    tally_contention_row *rows; /* NULL: not counted */
    size_t count;
} contention;

/* Between two calls lie the samples. Attached, and not in a blocked region; the second call takes
 * what was counted before the first one off. */
void contention_begin(contention *contention);
void contention_end(contention *contention);
/* The worst first, at most 32; looks the places up, as "function at file:line". */
json_t *contention_to_json(const contention *contention);
void contention_free(contention *contention);

#endif
