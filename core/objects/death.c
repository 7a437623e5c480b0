/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * death.c: the order of an object's death, and its depth.
 *
 * An object dies in this order, as in CPython 3.11: its finalizer runs, with the object whole; its
 * weak references are cleared, then their callbacks are called; its contents are destroyed; its
 * memory is freed; an instance drops its class last. The collector does not look at the object from
 * the moment its refcount is 0, but while the finalizer runs. borrow.c has the dealloc of
 * borrowable objects.
 *
 * A dealloc is flat: it takes neither stack nor memory in proportion to the objects that die.
 *  - destroy_children goes down into a child that dies, and back up again, without a stack: the
 *    slot that held the child holds its parent meanwhile (Schorr and Waite 1967). Children are
 *    dropped by tally_refcount_drop, which leaves the end of the object to the caller. Objects that
 *    die otherwise meanwhile (in a native type's clear, by a merge) wait in the thread's list
 *    `dead`, linked through their own headers.
 *  - Objects that die in a finalizer or callback are destroyed in it, at once, while fewer than
 *    NESTED_DEALLOCS deallocs are on the stack. Beyond that they wait in `dead` for the innermost
 *    dealloc.
 *
 * Invariant: a thread that is in no dealloc has an empty list.
 */
#include "objects/object.h"
#include "objects/table.h"
#include <stdio.h>

#define NO_PARENT ((tally_object *)1) /* not NULL, so that its slot is found again */

static inline void free_block(tally_object *object, const tally_type *type) {
    if (type->flags & TALLY_TYPE_CONTAINER) {
        tally_collector_death();
        tally_lock_end(object);
        tally_memory_free(TALLY_CONTAINERS, object);
    } else {
        tally_memory_free(TALLY_PLAIN, object);
    }
}

/* CPython's limit is 50; here a stack of 128 KiB has to do. */
enum { NESTED_DEALLOCS = 16 };

/* A dealloc runs foreign code. An object that dies there has its own dealloc, or waits. */
typedef struct outer_dealloc {
    bool destroying;
    tally_dead_list dead;
} outer_dealloc;

static outer_dealloc foreign_code_begins(tally_thread_state *thread) {
    TALLY_CHECKED(tally_check_may_run_foreign_code());
    outer_dealloc outer = {thread->destroying, thread->dead};
    thread->destroying = false;
    if (thread->dealloc_depth < NESTED_DEALLOCS) thread->dead = (tally_dead_list){0};
    return outer;
}
static void foreign_code_ends(tally_thread_state *thread, outer_dealloc outer) {
    thread->destroying = outer.destroying;
    if (thread->dealloc_depth < NESTED_DEALLOCS) thread->dead = outer.dead;
}

/* True: the object lives on. */
inline bool tally_dealloc_finalize(tally_object *object, void (*finalizer)(tally_object *)) {
    uint8_t flags = tally_load_relaxed(&object->flags);
    if (flags & TALLY_FLAG_FINALIZED) return false;
    tally_thread_state *thread = tally_thread_current();
    tally_pending_error pending;
    tally_error_put_aside(&pending);
    tally_type *type = tally_type_entry(object);
    bool container = type->flags & TALLY_TYPE_CONTAINER && type->shape != TALLY_SHAPE_LEAF;
    if (container) tally_retrack(object);
    tally_or_relaxed(&object->flags, TALLY_FLAG_FINALIZED);
    tally_refcount_revive(&object->refcount);
    outer_dealloc outer = foreign_code_begins(thread);
    finalizer(object);
    foreign_code_ends(thread, outer);

    tally_error_report("a finalizer", object);
    tally_error_put_back(&pending);
    TALLY_FAILPOINT(drop_last);
    if (tally_is_immortal(object)) return true;
#if TALLY_LOCK_FREE_READS
    /* the finalizer made it counted per thread: the table's reference keeps it */
    if (tally_refcount_per_thread_index(&object->refcount)) {
        tally_refcount_drop(&object->refcount);
        return true;
    }
#endif
    if (!tally_refcount_drop_last(&object->refcount)) return true;
    if (container) tally_untrack(object);
    return false;
}

inline void tally_dealloc_weakrefs(tally_thread_state *thread, tally_object *object) {
    tally_weakref *calls = NULL;
    tally_weakrefs_clear(object, &calls, NULL);
    if (!calls) return;
    outer_dealloc outer = foreign_code_begins(thread);
    tally_weakrefs_call(calls);
    foreign_code_ends(thread, outer);
}

/* Frees an object that has no children left. */
inline void tally_dealloc_free(tally_object *object, tally_type *type) {
    if (TALLY_UNLIKELY(type->native)) {
        TALLY_CHECKED(tally_check_may_run_foreign_code());
        if (type->clear) type->clear(object);
        if (type->dealloc) type->dealloc(object);
    }
    if (type->release) type->release(object);
    tally_object *class_ = type->class_ ? type->object : NULL;
    free_block(object, type);
    if (class_) tally_class_decref(class_);
}

static inline tally_object **next_slot(tally_object *object, tally_type *type) {
    if (type->slots > 0) return tally_instance_first_slot(object, type->slots);
    return type->next_child ? type->next_child(object) : NULL;
}
/* Slots of children that are gone are NULL, so the first other one is the current one. */
static inline tally_object **current_slot(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    return type->slots > 0 ? tally_instance_first_slot(object, type->slots)
                           : type->current_child(object);
}

/* Drops children up to one that dies and has children itself; NULL: none is left. *at: its slot. */
static inline tally_object *next_dead(tally_thread_state *thread, tally_object *object,
                                      tally_type *type, tally_object ***at) {
    for (tally_object **slot; (slot = next_slot(object, type)); *slot = NULL) {
        tally_object *child = *slot;
        if (!tally_refcount_drop(&child->refcount)) continue;
        if (TALLY_UNLIKELY(tally_is_borrowable(child))) {
            tally_dead_untrack_and_push(&thread->dead, child);
            continue;
        }
        if (!(tally_type_entry(child)->flags & TALLY_TYPE_LEAF)) {
            *at = slot;
            return child;
        }
        tally_memory_free(TALLY_PLAIN, child);
    }
    return NULL;
}

static void destroy_children(tally_thread_state *thread, tally_object *object) {
    tally_object *parent = NO_PARENT;
    bool fresh = true;
    for (;;) {
        tally_type *type = tally_type_entry(object);
        if (fresh && tally_is_tracked(object)) tally_untrack(object);
        bool finalizes = fresh && type->finalize;
        bool lives = finalizes && tally_dealloc_finalize(object, type->finalize);
        if (finalizes && !lives && TALLY_UNLIKELY(tally_is_borrowable(object))) {
            /* The finalizer showed it to another thread, which may hold it borrowed. */
            tally_dead_untrack_and_push(&thread->dead, object);
        } else if (TALLY_LIKELY(!lives)) {
            if (fresh && type->weak_offset) tally_dealloc_weakrefs(thread, object);
            tally_object **slot, *child = next_dead(thread, object, type, &slot);
            if (child) {
                *slot = parent;
                parent = object;
                object = child;
                fresh = true;
                continue;
            }
            tally_dealloc_free(object, type);
        }
        if (parent == NO_PARENT) break;
        object = parent;
        tally_object **slot = current_slot(object);
        parent = *slot;
        *slot = NULL;
        fresh = false;
    }
}

void tally_dealloc_slow(tally_object *object) {
    tally_thread_state *thread = tally_thread_current();
    if (thread->destroying || thread->dealloc_depth == NESTED_DEALLOCS) {
        tally_dead_untrack_and_push(&thread->dead, object);
        return;
    }
    thread->destroying = true;
    thread->dealloc_depth++;
    do {
        if (tally_is_borrowable(object)) {
            if (tally_is_tracked(object)) tally_untrack(object);
            tally_dealloc_borrowable(thread, object);
        } else {
            destroy_children(thread, object);
        }
    } while ((object = tally_dead_pop(&thread->dead)));
    thread->dealloc_depth--;
    thread->destroying = false;
}

/* Plain and atomic refcounts come here at 0 and below, atomic ones also without room. */
static __attribute__((noinline, cold)) void is_not_zero(tally_object *object) {
    if (!tally_refcount_out_of_room(&object->refcount))
        tally_fatal(object, "a reference was dropped of an object that is dead");
}
void tally_object_zero(tally_object *object) {
    if (TALLY_LIKELY(tally_refcount_is_zero(&object->refcount)))
        tally_dealloc(object);
    else
        is_not_zero(object);
}

ptrdiff_t tally_refcount(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!object) return tally_expected("an object", NULL);
    if (tally_refcount_is_immortal(&object->refcount)) return PTRDIFF_MAX;
    /* Its parts are read one after another. While another thread counts, or merges, their sum may
     * be 0 or less; the caller's reference is there all the same. */
    ptrdiff_t count = tally_refcount_total(&object->refcount) + tally_class_instances(object);
    return count > 0 ? count : 1;
}
int tally_is_immortal(tally_object *object) {
    TALLY_PLAIN_CALL();
    return object ? tally_refcount_is_immortal(&object->refcount)
                  : tally_expected("an object", NULL);
}
