/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.c: how an object dies, and what any object can be asked of its header.
 *
 * Order of death (as CPython 3.11): the finalizer, with the object whole; then
 * its contents; then its memory; an instance drops its class last.
 *
 * Taking apart goes down into a child that dies and back up again without a
 * stack: the slot that held the child holds its parent meanwhile (Schorr and
 * Waite 1967). While that happens the thread is `catching`: tally_object_zero
 * then only notes the object.
 */
#include <stdio.h>
#include "backend.h"

#define NO_PARENT ((tally_object *)1) /* not NULL, so that its slot is found again */

void tally_object_free(tally_object *object) {
    if (tally_type_entry(object)->flags & TALLY_TYPE_CONTAINER) tally_memory_free(TALLY_CONTAINERS, object);
    else tally_memory_free(TALLY_PLAIN, object);
}

/* True: the object lives on. */
static bool finalize(tally_object *object, void (*finalizer)(tally_object *)) {
    uint8_t flags = atomic_load_explicit(&object->flags, memory_order_relaxed);
    if (flags & TALLY_FLAG_FINALIZED) return false;
    atomic_store_explicit(&object->flags, flags | TALLY_FLAG_FINALIZED, memory_order_relaxed);
    tally_thread_state *thread = tally_thread_current();
    bool catching = thread->catching;
    tally_error kind = tally_error_kind();
    char message[256];
    snprintf(message, sizeof message, "%s", tally_error_message());
    tally_error_clear();

    tally_counts_revive(&object->counts);
    thread->catching = false;
    finalizer(object);
    thread->catching = catching;

    if (tally_error_kind()) fprintf(stderr, "tally: error ignored in a finalizer of type %s: %s\n", tally_type_name(object), tally_error_message());
    tally_error_clear();
    if (kind) tally_error_set(kind, "%s", message);
    TALLY_POINT(drop_last);
    return !tally_counts_drop_last(&object->counts);
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

static void take_apart(tally_thread_state *thread, tally_object *object);

/* Whatever else died is seen to later; without memory to note it, now, on top. */
static void put_off_caught(tally_thread_state *thread) {
    tally_object *object = thread->caught;
    thread->caught = NULL;
    if (object && !defer(thread, object)) take_apart(thread, object);
}

/* Frees an object with no children left. */
static void bury(tally_thread_state *thread, tally_object *object) {
    tally_type *type = tally_type_entry(object);
    if (type->native) {
        if (type->clear) type->clear(object);
        if (type->dealloc) type->dealloc(object);
    }
    if (type->release) type->release(object);
    tally_object *class_ = type->class_ ? type->object : NULL;
    tally_object_free(object);
    if (class_) tally_class_decref(class_);
    put_off_caught(thread);
}

/* The next child that dies by being dropped; NULL: none is left. Its slot is current_child's. */
static tally_object *next_dying(tally_thread_state *thread, tally_object *object, tally_type *type) {
    tally_object **slot;
    while (type->next_child && (slot = type->next_child(object))) {
        tally_object *child = *slot;
        tally_decref(child);
        if (thread->caught == child) {
            thread->caught = NULL;
            return child;
        }
        *slot = NULL;
        put_off_caught(thread);
    }
    return NULL;
}

static void take_apart(tally_thread_state *thread, tally_object *object) {
    bool outer_catching = thread->catching;
    tally_object *outer_caught = thread->caught;
    thread->catching = true;
    thread->caught = NULL;
    tally_object *parent = NO_PARENT;
    bool fresh = true;
    for (;;) {
        tally_type *type = tally_type_entry(object);
        bool lives = fresh && type->finalize && finalize(object, type->finalize);
        if (!lives) {
            tally_object *child = next_dying(thread, object, type);
            if (child) {
                *type->current_child(object) = parent;
                parent = object;
                object = child;
                fresh = true;
                continue;
            }
            bury(thread, object);
        }
        if (parent == NO_PARENT) break;
        object = parent;
        tally_object **slot = tally_type_entry(object)->current_child(object);
        parent = *slot;
        *slot = NULL;
        fresh = false;
    }
    thread->catching = outer_catching;
    thread->caught = outer_caught;
}

/* The count reached 0: by the thread that dropped the last reference, once. */
void tally_object_zero(tally_object *object) {
    tally_thread_state *thread = tally_thread_current();
    /* Plain and atomic counts come here for less than 0, too. */
    if (TALLY_UNLIKELY(!tally_counts_is_dead(&object->counts))) tally_fatal(object, "a reference was dropped of an object that is dead");
    if (thread->catching) {
        if (!thread->caught) { thread->caught = object; return; }
        if (defer(thread, object)) return;
    }
    if (tally_self.id == TALLY_OWNER_UNATTACHED) tally_thread_require();
    take_apart(thread, object);
    while (!thread->catching && thread->deferred_count) take_apart(thread, thread->deferred[--thread->deferred_count]);
}

/* ---- what the header tells ---------------------------------------------- */

ptrdiff_t tally_refcount(tally_object *object) {
    return tally_counts_is_immortal(&object->counts) ? PTRDIFF_MAX : tally_counts_total(&object->counts) + tally_class_instances(object);
}
int tally_is_immortal(tally_object *object) { return tally_counts_is_immortal(&object->counts); }
