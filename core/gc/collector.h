/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collector.h: what both cycle collectors share: the steps of a collection that run foreign code,
 * and side marks. contract/collector.h has the functions that each provides.
 *
 * A collector finds the tracked objects that only unreachable objects hold, in its own way. Then it
 * runs their finalizers; rechecks, if any ran; clears the weak references to the rest; calls
 * callbacks; rechecks, if any was called; and clears the rest, which dies by its refcounts
 * (docs/design/collectors.md, also on when a collection starts).
 *
 * Invariants:
 *  - tally_children visits all children of a tracked object but its class. An untracked object
 *    holds its children as if from outside.
 *  - An object is tracked from its publishing until its refcount reaches 0, and while its finalizer
 *    runs.
 */
#ifndef TALLY_GC_COLLECTOR_H
#define TALLY_GC_COLLECTOR_H

#include "objects/children.h"
#include "objects/object.h"

/* ---- state of the interface (gc.c) -------------------------------------- */

struct tally_gc {
    _Atomic bool enabled;
    _Atomic int threshold[3];
    _Atomic unsigned debug;
    _Atomic uint64_t collections[3], collected[3], uncollectable[3];
    tally_object *garbage;
};
extern struct tally_gc tally_gc;

static inline unsigned tally_gc_debugging(unsigned flag) {
    return tally_load_relaxed(&tally_gc.debug) & flag;
}

int tally_gc_start(void);
void tally_gc_end(void);
/* Collects because of an allocation; the pending error stays. */
void tally_gc_automatic(int generation);
/* A collection is due, but none may start here. The end of the reason nudges the thread. */
static inline bool tally_gc_put_off(tally_thread_state *thread) {
    if (!thread->mutexes_held) return thread->collecting;
    thread->collection_put_off = true;
    return true;
}

/* ---- steps --------------------------------------------------------------- */

/* Runs the finalizer of an unreachable object, if it has one that has not run; true: it ran. The
 * caller holds a reference. */
bool tally_gc_finalize(tally_object *object);
/* Drops the object's references, which breaks its cycles. The caller holds a reference. */
void tally_gc_clear(tally_object *object);
/* Puts the object into tally_gc_garbage(); without memory it stays where it is. */
void tally_gc_save(tally_object *object);
/* Writes a line about the object if a debug flag asks for it. */
void tally_gc_tell(tally_object *object, bool uncollectable);
static inline bool tally_gc_has_finalizer(tally_object *object) {
    return tally_type_entry(object)->finalize &&
           !(tally_load_relaxed(&object->flags) & TALLY_FLAG_FINALIZED);
}

/* ---- children ------------------------------------------------------------ */

/* True: an object at this address is never tracked. The object is not read. */
TALLY_INLINE bool tally_is_plain_block(const tally_object *object) {
    return tally_is_small(object) &&
           tally_pool_kinds[(size_t)((const char *)object - tally_region) >> TALLY_POOL_SHIFT] ==
               TALLY_PLAIN;
}

/* The byte in `marks` of a child that may be tracked; NULL: it never is. `marks` is
 * tally_side_marks or has its layout; `which` is the number of a large block's mark. An object in a
 * pool of containers has a mark, tracked or not. */
TALLY_INLINE _Atomic uint8_t *tally_side_mark_in(_Atomic uint8_t *marks, unsigned which,
                                                 tally_object *object) {
    size_t at = (size_t)((const char *)object - tally_region);
    if (TALLY_LIKELY(at < tally_region_size))
        return tally_pool_kinds[at >> TALLY_POOL_SHIFT] == TALLY_CONTAINERS
                   ? &marks[at >> TALLY_SIDE_MARK_SHIFT]
                   : NULL;
    return tally_is_tracked(object) ? &tally_large_side_marks(object)[which] : NULL;
}
TALLY_INLINE uint8_t tally_side_mark_load(_Atomic uint8_t *mark) {
    return tally_load_relaxed(mark);
}
TALLY_INLINE void tally_side_mark_store(_Atomic uint8_t *mark, unsigned value) {
    tally_store_relaxed(mark, (uint8_t)value);
}
/* A collector does not read a child's mark when it finds the child. It prefetches the mark, and
 * reads the one that has been in the buffer longest, which has come from memory meanwhile. */
enum { TALLY_PREFETCH_BUFFER = 16 };
typedef struct tally_prefetch_buffer {
    _Atomic uint8_t *at[TALLY_PREFETCH_BUFFER];
    unsigned next;
} tally_prefetch_buffer;
TALLY_INLINE _Atomic uint8_t *tally_prefetch_swap(tally_prefetch_buffer *buffer,
                                                  _Atomic uint8_t *mark) {
    __builtin_prefetch((const void *)mark, 1);
    unsigned next = buffer->next;
    _Atomic uint8_t *old = buffer->at[next];
    buffer->at[next] = mark;
    buffer->next = (next + 1) % TALLY_PREFETCH_BUFFER;
    return old;
}
/* NULL: the buffer is empty. */
TALLY_INLINE _Atomic uint8_t *tally_prefetch_take(tally_prefetch_buffer *buffer) {
    for (unsigned i = 0; i < TALLY_PREFETCH_BUFFER; i++) {
        unsigned next = buffer->next;
        _Atomic uint8_t *old = buffer->at[next];
        buffer->at[next] = NULL;
        buffer->next = (next + 1) % TALLY_PREFETCH_BUFFER;
        if (old) return old;
    }
    return NULL;
}

/* The mark of a container, tracked or not, in a pool or a large block. */
TALLY_INLINE _Atomic uint8_t *tally_side_mark_of(_Atomic uint8_t *marks, unsigned which,
                                                 const tally_object *object) {
    size_t at = (size_t)((const char *)object - tally_region);
    return TALLY_LIKELY(at < tally_region_size) ? &marks[at >> TALLY_SIDE_MARK_SHIFT]
                                                : &tally_large_side_marks(object)[which];
}

/* References that a mark has no room for. Each entry stands for TALLY_OVERFLOW of them, which are
 * subtracted from the object's refcount while the collector looks at refcounts. Without memory for
 * an entry they stay uncounted, as external references: a later collection frees the object. */
enum { TALLY_OVERFLOW = 64 };
typedef struct tally_overflow {
    tally_object **at;
    size_t count, capacity;
} tally_overflow;
bool tally_overflow_entry(tally_overflow *list, tally_object *object);
static inline void tally_overflow_add(const tally_overflow *list, int32_t by) {
    for (size_t i = 0; i < list->count; i++) tally_refcount_trial_add(&list->at[i]->refcount, by);
}

/* Store 0 in the side marks of all containers in pools; of all large containers. */
void tally_side_marks_clear_pools(void);
void tally_side_marks_clear_large(void);

#endif
