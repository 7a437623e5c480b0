/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* layout.h: the layout of memory without a GIL: one heap per thread slot. The collector finds
 * containers by a walk over the pools, so their headers have no links. */
#ifndef TALLY_LAYOUT_H
#define TALLY_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct tally_links {
    char nothing[0];
} tally_links;

/* Readers without a lock may still see an array that has been replaced. */
#define TALLY_LOCK_FREE_READS 1

/* Owners collect their young objects, in the pools that they took blocks from of late. */
#define TALLY_RECENT_POOLS TALLY_REFCOUNT_HAVE_OWNERS

/* Large containers are found in the list of large blocks: no handles. */
#define TALLY_REGION_LIMIT  SIZE_MAX
#define TALLY_FIXED_HANDLES 0

#endif
