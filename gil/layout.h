/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.h: the layout of memory under a GIL: one heap per process, and in the header of a
 * container the links of its generation. A link is the address in units of 16 bytes from the start
 * of the region, so that two fit into eight bytes. A large container and the head of a list are not
 * in the region. They have handles, indices in a table; links from TALLY_LINK_HANDLES on are
 * handles.
 */
#ifndef TALLY_LAYOUT_H
#define TALLY_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct tally_links {
    uint32_t next, previous;
} tally_links;

/* No thread reads without the GIL, so no memory has to wait. */
#define TALLY_LOCK_FREE_READS 0

/* 62 GiB of the region can be linked; the allocator uses no more of it. */
#define TALLY_LINK_HANDLES  UINT32_C(0xf8000000)
#define TALLY_REGION_LIMIT  ((size_t)TALLY_LINK_HANDLES * 16)
#define TALLY_FIXED_HANDLES 8 /* the heads' */

#define TALLY_RECENT_POOLS 0

#endif
