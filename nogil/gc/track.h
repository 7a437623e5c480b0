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
#include "memory/memory.h"

enum { TALLY_BIRTHS_BATCH = 64 };
void tally_births_flush(bool may_collect);
void tally_births_over(void);

/* Side mark bytes while no collection examines their objects. 0: old, or no tracked object. */
enum { TALLY_SIDE_MARK_MIDDLE = 1, TALLY_SIDE_MARK_YOUNG = 2 };

/* A large container is old from birth: its memory does not wait for its owner's collection. */
static inline void tally_young_add(void *object) {
    size_t at = (size_t)((char *)object - tally_region);
    if (TALLY_LIKELY(at < tally_region_size))
        tally_store_relaxed(&tally_side_marks[at >> TALLY_SIDE_MARK_SHIFT], TALLY_SIDE_MARK_YOUNG);
}
static inline void tally_track(void *object) {
    /* relaxed: its owner reads it, or a collector with the world stopped */
    tally_store_relaxed(&((tally_object *)object)->flags, TALLY_FLAG_TRACKED);
    if (TALLY_REFCOUNT_HAVE_OWNERS) tally_young_add(object);
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
static inline int32_t tally_births_add(int32_t *births, int32_t by) {
    int32_t n = tally_births_load(births) + by;
    tally_births_store(births, n);
    return n;
}
static inline void tally_collector_birth(void) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    int32_t n = tally_births_add(&self->births, 1);
    if (TALLY_REFCOUNT_HAVE_OWNERS) {
        if (TALLY_UNLIKELY(n > tally_births_load(&self->limit))) tally_births_over();
    } else if (TALLY_UNLIKELY(n >= TALLY_BIRTHS_BATCH)) {
        tally_births_flush(true);
    }
}
static inline void tally_collector_death(void) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    if (TALLY_REFCOUNT_HAVE_OWNERS) {
        bool young = tally_births_load(&self->births) > self->floor;
        tally_births_add(young ? &self->births : &self->older, -1);
    } else if (TALLY_UNLIKELY(tally_births_add(&self->births, -1) <= -TALLY_BIRTHS_BATCH)) {
        tally_births_flush(false);
    }
}

#endif
