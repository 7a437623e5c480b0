/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * What the layout of memory is with one lock: one heap for the process, and in
 * a container's header the links of its generation. A link is the address in
 * units of 16 bytes from the start of the small-object region, so that two fit
 * in eight bytes. What is not in the region (a large container, the head of a
 * list) has a handle: a number in a table, and links from TALLY_LINK_HANDLES on
 * are handles.
 */
#ifndef TALLY_LAYOUT_H
#define TALLY_LAYOUT_H

#include <stddef.h>
#include <stdint.h>

typedef struct tally_links {
    uint32_t next, previous;
} tally_links;

/* No reader comes without the lock, so no memory has to wait. */
#define TALLY_LOCK_FREE_READS 0

/* 62 GiB of the region can be linked; the allocator uses no more of it. */
#define TALLY_LINK_HANDLES  UINT32_C(0xf8000000)
#define TALLY_REGION_LIMIT  ((size_t)TALLY_LINK_HANDLES * 16)
#define TALLY_FIXED_HANDLES 8 /* the heads' */

#endif
