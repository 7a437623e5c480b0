/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * track.h: the inline half of the stop-the-world collector: a flag says that a container is
 * tracked, and births are counted per thread.
 *
 * Invariants:
 *  - Free memory, and memory of no object yet, has no flag TRACKED. So a walk over the blocks of
 * the pools finds the tracked objects by that flag alone.
 *  - While the world is stopped, a recheck may have subtracted internal references from refcounts.
 *    They are whole again before the world runs.
 */
#ifndef TALLY_TRACK_H
#define TALLY_TRACK_H

#include "layout/thread.h"
#include "layout/types.h"

enum { TALLY_BIRTHS_BATCH = 64 };
void tally_births_flush(bool may_collect);

static inline void tally_track(void *object) {
    /* relaxed: the collector reads it with the world stopped */
    tally_store_relaxed(&((tally_object *)object)->flags, TALLY_FLAG_TRACKED);
}
/* A dead object whose finalizer may resurrect it: its other flags stay. */
static inline void tally_retrack(tally_object *object) {
    tally_or_relaxed(&object->flags, TALLY_FLAG_TRACKED);
}
static inline void tally_untrack(tally_object *object) {
    uint8_t flags = tally_load_relaxed(&object->flags);
    tally_store_relaxed(&object->flags, flags & (TALLY_FLAG_FINALIZED | TALLY_FLAG_BORROWABLE));
}
/* A load and a store do: only the thread itself writes its births. */
static inline int32_t tally_births_add(int32_t by) {
    int32_t *births = &tally_thread_current()->collector.births, n = tally_births_load(births) + by;
    tally_births_store(births, n);
    return n;
}
static inline void tally_collector_birth(void) {
    if (TALLY_UNLIKELY(tally_births_add(1) >= TALLY_BIRTHS_BATCH)) tally_births_flush(true);
}
static inline void tally_collector_death(void) {
    if (TALLY_UNLIKELY(tally_births_add(-1) <= -TALLY_BIRTHS_BATCH)) tally_births_flush(false);
}

#endif
