/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* borrow.c: borrowed references, and the dealloc of objects that threads may hold borrowed.
 * docs/design/borrowing.md has the proof. */
#include "objects/children.h"
#include "objects/object.h"

void tally_borrowed_check(tally_borrowed borrowed) {
    if (borrowed.object && borrowed.epoch &&
        borrowed.epoch != (tally_self.thread->borrow_epoch << 16 | tally_self.id))
        tally_fatal(TALLY_DEBUG_OBJECT(borrowed.object),
                    "a borrowed reference was used after its end");
}

tally_object *tally_retain(tally_borrowed borrowed) {
    TALLY_PLAIN_CALL();
    tally_thread_require();
    tally_object *object = tally_borrowed_object(borrowed);
    /* The object is owned by this thread or borrowable: the try-incref fails only if it is dead. */
    return object && tally_refcount_try_incref(&object->refcount) ? object : NULL;
}

/*
 * A borrowable container that the caller holds borrowed can die at any time, so it is held. A
 * container that is not borrowable is counted by the caller or owned by this thread, so it is
 * alive, and a try-incref of an owned one succeeds. The flag is read first: with it a try-incref
 * fails only on a dead object.
 */
bool tally_borrow_secure(tally_object *container, bool *held) {
    bool borrowable = tally_is_borrowable(container);
    TALLY_FAILPOINT(borrow_secure);
    *held = tally_refcount_try_incref(&container->refcount);
    if (*held || !borrowable) return true;
    tally_error_set(TALLY_RUNTIME_ERROR, "the %s was borrowed and has died",
                    tally_type_entry(container)->name);
    return false;
}

/* Once another thread has used a container, the objects read from it are marked borrowable. A
 * container still private to its owner skips this. */
tally_borrowed tally_borrow_keep(tally_object *container, bool held, tally_object *object) {
    if (object && TALLY_LOCK_FREE_READS) {
        if (!tally_refcount_owned(&object->refcount)) tally_make_borrowable(object);
        if (!tally_lock_is_biased(container)) tally_make_borrowable(container);
    }
    if (held) tally_decref(container); /* may run foreign code; the object is counted */
    if (!object) return (tally_borrowed){0};
    tally_thread_state *thread = tally_thread_current();
    tally_drop_kept(thread);
    thread->kept = object;
    tally_breaker_set(thread, TALLY_BREAK_KEPT);
    return tally_borrow_of(object);
}

/* ---- dealloc ------------------------------------------------------------- */

static void mark_child(tally_object *child, void *nothing) { tally_make_borrowable(child); }
static void drop_child(tally_object *child, void *thread) {
    if (tally_refcount_drop(&child->refcount))
        tally_dead_untrack_and_push(&((tally_thread_state *)thread)->dead, child);
}

tally_borrowed tally_borrow_item_locked(tally_object *container, ptrdiff_t index,
                                        tally_object *(*get)(tally_object *, ptrdiff_t)) {
    bool held;
    if (!tally_borrow_secure(container, &held)) return (tally_borrowed){0};
    return tally_borrow_keep(container, held, get(container, index));
}

/*
 * A thread may hold the object borrowed, and borrow from it: its contents stay, and its memory
 * waits for a grace period. The children get the flag before they are dropped, and those that die
 * by that go the same way at once: one grace period for all. A native object is cleared and
 * deallocated after the grace period, since only its type knows its references.
 */
void tally_dealloc_borrowable(tally_thread_state *thread, tally_object *object) {
    tally_type *type = tally_type_entry(object);
    bool lives = type->finalize && tally_dealloc_finalize(object, type->finalize);
    if (!lives) {
        if (type->weak_offset) tally_dealloc_weakrefs(thread, object);
        if (object->type == TALLY_TYPE_WEAKREF) type->release(object);
        if (object->type == TALLY_TYPE_STR) tally_interned_forget(object);
        size_t bytes = tally_size_locked(object);
        if (type->shape != TALLY_SHAPE_LEAF && !type->native) {
            TALLY_FAILPOINT(dying_children);
            tally_children(object, type, mark_child, NULL);
            TALLY_FAILPOINT(dying_marked);
            tally_children(object, type, drop_child, thread);
        }
        tally_retire_object(object, bytes);
    }
}

void tally_object_free_borrowable(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    tally_table *table = type->shape == TALLY_SHAPE_TABLE
                             ? tally_load_relaxed(tally_table_place_in(object, type))
                             : NULL;
    if (table) tally_table_forget(table);
    tally_dealloc_free(object, type);
}
