/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* young_collection.h: a collection of a thread's own young objects. */
#ifndef TALLY_YOUNG_COLLECTION_H
#define TALLY_YOUNG_COLLECTION_H

#include "gc/collector.h"

typedef struct tally_young {
    tally_object **objects; /* the thread's; unreachable, first those to be freed */
    size_t count;
    size_t legacy_at, legacy; /* kept, as Python 2 did */
    tally_weakref *calls;     /* cleared references whose callbacks are still to be called */
    bool finalizers;          /* some have one that is to run; then no weak reference is cleared */
    bool stopped;             /* the world, by this thread */
    size_t examined;
    size_t early; /* old from now on, since other threads may use them */
} tally_young;

/* Finds the garbage of generation 0, or of 0 and 1, of the calling thread. The survivors are one
 * generation older, and so are the objects found, if they survive. The caller has to hold them. */
tally_young tally_young_find(int generation, tally_gc_info *info);
/* The array of objects is not used any more. */
void tally_young_end(void);

#endif
