/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally_refcount_types.h: the words of a plain refcount; tally_refcount.h explains them. */
#ifndef TALLY_REFCOUNT_TYPES_H
#define TALLY_REFCOUNT_TYPES_H

#include <stdint.h>

#define TALLY_REFCOUNT_HAVE_OWNERS 0

typedef struct tally_refcounts {
    uint32_t count;
} tally_refcounts;

#define TALLY_REFCOUNT_IMMORTAL \
    { UINT32_C(1) << 31 }

typedef struct tally_refcount_head {
    char nothing[0];
} tally_refcount_head, tally_refcount_self;

#endif
