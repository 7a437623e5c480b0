/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fights.h: what the workers fought over during the samples, as JSON; by the
 * drivers that count every event, which know the places too.
 */
#ifndef TALLY_HARNESS_FIGHTS_H
#define TALLY_HARNESS_FIGHTS_H

#include <jansson.h>

#include "tally.h"

typedef struct fights {
    tally_contention_row *rows; /* NULL: not counted */
    size_t count;
} fights;

/* Between two calls lie the samples. Attached, and not in a blocking region; the
 * second call takes what was counted before the first one off. */
void fights_begin(fights *fights);
void fights_end(fights *fights);
/* The worst first, at most 32; looks the places up, as "function at file:line". */
json_t *fights_to_json(const fights *fights);
void fights_free(fights *fights);

#endif
