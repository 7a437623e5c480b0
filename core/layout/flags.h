/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* flags.h: the flag bits in an object's header, and the outcomes of a try-incref. */
#ifndef TALLY_FLAGS_H
#define TALLY_FLAGS_H

enum {
    TALLY_FLAG_TRACKED = 1,     /* the collector examines it; never set in dead or free memory */
    TALLY_FLAG_FINALIZED = 2,   /* its finalizer has run */
    TALLY_FLAG_BORROWABLE = 4,  /* without a GIL: a thread may hold it borrowed; for good */
    TALLY_FLAG_DEAD_LINKED = 4, /* plain refcounts: the object is dead, and in a list */
    TALLY_FLAG_COLLECTING = 8,  /* the next five are the collector's: the object is examined now */
    TALLY_FLAG_MARKED = 16,     /* reached */
    TALLY_FLAG_PENDING = 32,    /* reached, its children not yet */
    TALLY_FLAG_FROZEN = 64,     /* tracked, but ignored */
    TALLY_FLAG_RECHECK = 128,   /* among the objects of the recheck under way */
};

/* Of tally_refcount_try_incref_once (contract/refcount.h). */
enum { TALLY_COUNT_LOST = -1, TALLY_NOT_COUNTED, TALLY_COUNTED, TALLY_COUNTED_OWN };

#endif
