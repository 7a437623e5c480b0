/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.c: how an object dies, and what any object can be asked of its header.
 *
 * Order of death (as CPython 3.11): the finalizer, with the object whole; then its
 * weak references are cleared, then their callbacks called; then its contents go;
 * then its memory; an instance drops its class last. The collector does not look
 * at it from the moment its count is 0, but while the finalizer runs.
 *
 * Taking apart goes down into a child that dies and back up again without a
 * stack: the slot that held the child holds its parent meanwhile (Schorr and
 * Waite 1967). Its children are dropped by tally_counts_drop, which leaves their
 * end to it. What dies by other hands meanwhile (a native type's clear, a merge)
 * is put off, so that it is not taken apart on top: the thread is `taking_apart`.
 */
#include <stdio.h>
#include "backend.h"

#define NO_PARENT ((tally_object *)1) /* not NULL, so that its slot is found again */

static inline void free_block(tally_object *object, const tally_type *type) {
    if (type->flags & TALLY_TYPE_CONTAINER) {
        tally_collector_death();
        tally_memory_free(TALLY_CONTAINERS, object);
    } else {
        tally_memory_free(TALLY_PLAIN, object);
    }
}
void tally_object_free(tally_object *object) { free_block(object, tally_type_entry(object)); }

/* True: the object lives on. */
static bool finalize(tally_object *object, void (*finalizer)(tally_object *)) {
    uint8_t flags = atomic_load_explicit(&object->flags, memory_order_relaxed);
    if (flags & TALLY_FLAG_FINALIZED) return false;
    tally_thread_state *thread = tally_thread_current();
    bool taking_apart = thread->taking_apart;
    tally_dead_list dying = thread->dying;
    tally_pending_error pending;
    tally_error_put_aside(&pending);
    bool container = tally_type_entry(object)->flags & TALLY_TYPE_CONTAINER && tally_type_entry(object)->traverse;

    if (container) tally_track_again(object);
    atomic_fetch_or_explicit(&object->flags, TALLY_FLAG_FINALIZED, memory_order_relaxed);
    tally_counts_revive(&object->counts);
    thread->taking_apart = false;
    thread->dying = (tally_dead_list){ 0 };
    finalizer(object);
    thread->taking_apart = taking_apart;
    thread->dying = dying;

    tally_error_report("a finalizer", object);
    tally_error_put_back(&pending);
    TALLY_POINT(drop_last);
    if (tally_is_immortal(object)) return true;
#if TALLY_READERS_WITHOUT_LOCK
    if (tally_counts_place(&object->counts)) { /* spread by its finalizer: the table's reference keeps it */
        tally_counts_drop(&object->counts);
        return true;
    }
#endif
    if (!tally_counts_drop_last(&object->counts)) return true;
    if (container) tally_untrack(object);
    return false;
}

/* Callbacks are foreign code: what dies in them is taken apart in them. */
static void drop_weakrefs(tally_thread_state *thread, tally_object *object) {
    tally_weakref *calls = NULL;
    tally_weakrefs_clear(object, &calls, NULL);
    if (!calls) return;
    bool taking_apart = thread->taking_apart;
    tally_dead_list dying = thread->dying;
    thread->taking_apart = false;
    thread->dying = (tally_dead_list){ 0 };
    tally_weakrefs_call(calls);
    thread->taking_apart = taking_apart;
    thread->dying = dying;
}

static bool defer(tally_thread_state *thread, tally_object *object) {
    if (thread->deferred_count == thread->deferred_capacity) {
        size_t capacity = thread->deferred_capacity ? thread->deferred_capacity * 2 : 32;
        tally_object **deferred = realloc(thread->deferred, capacity * sizeof *deferred);
        if (!deferred) return false;
        thread->deferred = deferred;
        thread->deferred_capacity = capacity;
    }
    thread->deferred[thread->deferred_count++] = object;
    return true;
}

/* Frees an object with no children left. */
static void bury(tally_object *object, tally_type *type) {
    if (TALLY_UNLIKELY(type->native)) {
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
/* A slot whose child is gone is NULL: the first that is not is the current one, too. */
static inline tally_object **current_slot(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    return type->slots > 0 ? tally_instance_first_slot(object, type->slots) : type->current_child(object);
}

/* Drops children up to one that dies and has to be taken apart; NULL: none is left. *at: its slot. */
static inline tally_object *next_dying(tally_thread_state *thread, tally_object *object, tally_type *type, tally_object ***at) {
    for (tally_object **slot; (slot = next_slot(object, type)); *slot = NULL) {
        tally_object *child = *slot;
        if (!tally_counts_drop(&child->counts)) continue;
        if (TALLY_UNLIKELY(tally_is_handed_out(child))) { tally_dying_push(&thread->dying, child); continue; }
        if (!(tally_type_entry(child)->flags & TALLY_TYPE_LEAF)) { *at = slot; return child; }
        tally_memory_free(TALLY_PLAIN, child);
    }
    return NULL;
}

static void take_apart(tally_thread_state *thread, tally_object *object) {
    bool outer = thread->taking_apart;
    thread->taking_apart = true;
    tally_object *parent = NO_PARENT;
    bool fresh = true;
    for (;;) {
        tally_type *type = tally_type_entry(object);
        if (fresh && tally_is_tracked(object)) tally_untrack(object);
        bool lives = fresh && type->finalize && finalize(object, type->finalize);
        if (TALLY_LIKELY(!lives)) {
            if (fresh && type->weak_offset) drop_weakrefs(thread, object);
            tally_object **slot, *child = next_dying(thread, object, type, &slot);
            if (child) {
                *slot = parent;
                parent = object;
                object = child;
                fresh = true;
                continue;
            }
            bury(object, type);
        }
        if (parent == NO_PARENT) break;
        object = parent;
        tally_object **slot = current_slot(object);
        parent = *slot;
        *slot = NULL;
        fresh = false;
    }
    thread->taking_apart = outer;
}

/* ---- death of what has been handed out ---------------------------------- */

static void mark_child(tally_object *child, void *nothing) {
    (void)nothing;
    tally_hand_out(child);
}
static void drop_child(tally_object *child, void *thread) {
    if (tally_counts_drop(&child->counts)) tally_dying_push(&((tally_thread_state *)thread)->dying, child);
}

/*
 * A thread may hold it borrowed, and borrow from it: its contents stay, its memory waits
 * for a grace period. All that dies with it gets the flag before it dies, and goes the same
 * way at once: one grace period for the whole. A native object is cleared and deallocated
 * after it, since what it holds is its own affair.
 */
static void end_handed_out(tally_thread_state *thread, tally_object *object) {
    thread->taking_apart = true;
    tally_type *type = tally_type_entry(object);
    bool lives = type->finalize && finalize(object, type->finalize);
    if (!lives) {
        if (type->weak_offset) drop_weakrefs(thread, object);
        if (object->type == TALLY_TYPE_WEAKREF) type->release(object);
        size_t bytes = tally_size_locked(object);
        if (type->traverse && !type->native) {
            TALLY_POINT(dying_children);
            type->traverse(object, mark_child, NULL);
            TALLY_POINT(dying_marked);
            type->traverse(object, drop_child, thread);
        }
        tally_retire_object(object, bytes);
    }
    thread->taking_apart = false;
}

void tally_object_free_handed_out(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    tally_table *table = type->shape == TALLY_SHAPE_TABLE ?
        atomic_load_explicit((_Atomic(tally_table *) *)((char *)object + type->table_offset), memory_order_relaxed) : NULL;
    if (table) tally_table_forget(table);
    bury(object, type);
}

void tally_object_end(tally_object *object) {
    tally_thread_state *thread = tally_thread_current();
    if (tally_is_handed_out(object)) {
        tally_dying_push(&thread->dying, object);
    } else {
        if (tally_is_tracked(object)) tally_untrack(object);
        /* Without memory to note it, now, on top. */
        if (thread->taking_apart && defer(thread, object)) return;
        take_apart(thread, object);
    }
    while (!thread->taking_apart) {
        if (thread->deferred_count) take_apart(thread, thread->deferred[--thread->deferred_count]);
        else if ((object = tally_dead_pop(&thread->dying))) end_handed_out(thread, object);
        else break;
    }
}

/* ---- borrowed references ------------------------------------------------ */

void tally_borrowed_check(tally_borrowed borrowed) {
    if (borrowed.object && borrowed.epoch && borrowed.epoch != (tally_self.thread->borrow_epoch << 16 | tally_self.id))
        tally_fatal(NULL, "a borrowed reference was used after its end");
}

tally_object *tally_retain(tally_borrowed borrowed) {
    tally_thread_require();
    tally_object *object = tally_borrowed_object(borrowed);
    /* What is borrowed is owned by this thread or has been handed out: this fails on the dead alone. */
    return object && tally_counts_try_incref(&object->counts) ? object : NULL;
}

/*
 * A container that is borrowed and was handed out can die at any time: so it is held.
 * What was not handed out is either counted by the caller, or owned by this thread, and so is alive;
 * a try-incref of an owned one succeeds. The flag is read first: with it a try-incref fails on the dead alone.
 */
bool tally_borrow_secure(tally_object *container, bool *held) {
    bool handed_out = tally_is_handed_out(container);
    TALLY_POINT(borrow_secure);
    *held = tally_counts_try_incref(&container->counts);
    if (*held || !handed_out) return true;
    tally_error_set(TALLY_RUNTIME_ERROR, "the %s was borrowed and has died", tally_type_entry(container)->name);
    return false;
}

/* What another thread has been in hands out what it holds from now on; what its owner
 * alone has been in pays nothing. */
tally_borrowed tally_borrow_keep(tally_object *container, bool held, tally_object *object) {
    if (object && tally_unlocked_recheck) {
        if (!tally_counts_owned(&object->counts)) tally_hand_out(object);
        if (!tally_lock_is_biased(container)) tally_hand_out(container);
    }
    if (held) tally_decref(container); /* may run foreign code: the object is counted */
    if (!object) return (tally_borrowed){ 0 };
    tally_thread_state *thread = tally_thread_current();
    tally_borrow_drop_kept(thread);
    thread->kept = object;
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
    return tally_borrow_of(object);
}

void tally_borrow_drop_kept(tally_thread_state *thread) {
    /* Again and again: finalizers may borrow. */
    while (TALLY_UNLIKELY(thread->kept != NULL)) {
        tally_object *kept = thread->kept;
        thread->kept = NULL;
        tally_decref(kept);
    }
}

/* Plain and atomic counts come here for 0 and for less. */
void tally_object_zero(tally_object *object) {
    if (TALLY_UNLIKELY(!tally_counts_is_dead(&object->counts))) tally_fatal(object, "a reference was dropped of an object that is dead");
    tally_object_dies(object);
}

/* ---- what the header tells ---------------------------------------------- */

ptrdiff_t tally_refcount(tally_object *object) {
    return tally_counts_is_immortal(&object->counts) ? PTRDIFF_MAX : tally_counts_total(&object->counts) + tally_class_instances(object);
}
int tally_is_immortal(tally_object *object) { return tally_counts_is_immortal(&object->counts); }
