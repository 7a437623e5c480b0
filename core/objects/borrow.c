/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * borrow.c: borrowed references, which take no count.
 */
#include "objects/children.h"
#include "objects/object.h"

void tally_borrowed_check(tally_borrowed borrowed) {
    if (borrowed.object && borrowed.epoch &&
        borrowed.epoch != (tally_self.thread->borrow_epoch << 16 | tally_self.id))
        tally_fatal(NULL, "a borrowed reference was used after its end");
}

tally_object *tally_retain(tally_borrowed borrowed) {
    TALLY_PLAIN_CALL();
    tally_thread_require();
    tally_object *object = tally_borrowed_object(borrowed);
    /* What is borrowed is owned by this thread or has been handed out: this fails on the dead
     * alone. */
    return object && tally_refcount_try_incref(&object->refcount) ? object : NULL;
}

/*
 * A container that is borrowed and was handed out can die at any time: so it is held.
 * What was not handed out is either counted by the caller, or owned by this thread, and so is
 * alive; a try-incref of an owned one succeeds. The flag is read first: with it a try-incref fails
 * on the dead alone.
 */
bool tally_borrow_secure(tally_object *container, bool *held) {
    bool handed_out = tally_is_borrowable(container);
    TALLY_FAILPOINT(borrow_secure);
    *held = tally_refcount_try_incref(&container->refcount);
    if (*held || !handed_out) return true;
    tally_error_set(TALLY_RUNTIME_ERROR, "the %s was borrowed and has died",
                    tally_type_entry(container)->name);
    return false;
}

/* What another thread has been in hands out what it holds from now on; what its owner
 * alone has been in pays nothing. */
tally_borrowed tally_borrow_keep(tally_object *container, bool held, tally_object *object) {
    if (object && TALLY_LOCK_FREE_READS) {
        if (!tally_refcount_owned(&object->refcount)) tally_make_borrowable(object);
        if (!tally_lock_is_biased(container)) tally_make_borrowable(container);
    }
    if (held) tally_decref(container); /* may run foreign code: the object is counted */
    if (!object) return (tally_borrowed){0};
    tally_thread_state *thread = tally_thread_current();
    tally_drop_kept(thread);
    thread->kept = object;
    tally_breaker_set(thread, TALLY_BREAK_KEPT);
    return tally_borrow_of(object);
}

/* ---- death of what has been handed out ---------------------------------- */

static void mark_child(tally_object *child, void *nothing) {
    (void)nothing;
    tally_make_borrowable(child);
}
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
 * A thread may hold it borrowed, and borrow from it: its contents stay, its memory waits
 * for a grace period. All that dies with it gets the flag before it dies, and goes the same
 * way at once: one grace period for the whole. A native object is cleared and deallocated
 * after it, since what it holds is its own affair.
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
    tally_table *table =
        type->shape == TALLY_SHAPE_TABLE
            ? tally_load_relaxed((_Atomic(tally_table *) *)((char *)object + type->table_offset))
            : NULL;
    if (table) tally_table_forget(table);
    tally_dealloc_free(object, type);
}
