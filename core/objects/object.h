/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.h: how an object is made and deallocated, and how a slot is read that other threads may
 * store to.
 *
 * Invariants:
 *  - A constructor takes memory with tally_object_alloc, fills every field, and stores the refcount
 *    last, by tally_object_publish: a reader without a lock may hold a stale pointer to that very
 *    block. From then on a constructor undoes its work by tally_decref only.
 *  - The children of a dead object are dropped one after the other. The slot of the child that is
 *    being dropped keeps the way back to the parent (Schorr and Waite 1967), so a dealloc takes no
 *    stack and no memory.
 */
#ifndef TALLY_CORE_OBJECT_H
#define TALLY_CORE_OBJECT_H

#include "contract/collector.h"
#include "contract/locking.h"
#include "contract/reclaim.h"
#include "contract/refcount.h"
#include "contract/stop_the_world.h"
#include "instrument/contention.h"
#include "instrument/trace.h"
#include "layout/types.h"
#include "memory/alloc.h"
#include "objects/borrow.h"
#include "runtime/start.h"
#include <string.h>

/* A free entry with its type object, made and filled; the caller sets the functions. NULL and an
 * error. release: the entry is free again. */
tally_type *tally_type_allocate(const char *name, size_t size, unsigned flags, bool class_,
                                bool native);
void tally_type_release(tally_type *type);

static inline bool tally_has_type(const tally_object *object, uint16_t type) {
    TALLY_CHECK_OBJECT(object);
    return object && object->type == type;
}
/* Sets a type error "expected WHAT, got TYPE", or a memory error; -1. */
int tally_expected(const char *what, tally_object *got);
int tally_no_memory(void);
/* Sets the error; -1, or NULL from a function that returns a pointer. */
#define tally_fail(...)                (tally_error_set(__VA_ARGS__), -1)
#define tally_fail_null(...)           (tally_error_set(__VA_ARGS__), NULL)
#define tally_expected_null(what, got) (tally_expected(what, got), NULL)
#define tally_no_memory_null()         (tally_no_memory(), NULL)

/* Memory for an object, dead until published; NULL and a memory error. size: with the header. */
static inline void *tally_object_alloc(uint16_t type, size_t size, unsigned kind) {
    if (kind == TALLY_CONTAINERS) {
        TALLY_ENDS_BORROWS(); /* may collect */
        tally_collector_birth();
    }
    tally_object *object = tally_memory_alloc(kind, size);
    if (TALLY_UNLIKELY(!object)) return tally_no_memory_null();
    object->type = type;
    TALLY_DEBUG_ONLY(tally_debug_typed(object));
    tally_store_relaxed(&object->lock, kind == TALLY_CONTAINERS ? tally_lock_initial() : 0);
    tally_store_relaxed(&object->flags, 0);
    return object;
}
static inline __attribute__((always_inline)) tally_object *tally_object_publish(void *object) {
    TALLY_SITE(object);
    tally_refcount_init(&((tally_object *)object)->refcount);
    return object;
}
static inline __attribute__((always_inline)) tally_object *tally_container_publish(void *object) {
    tally_track(object);
    return tally_object_publish(object);
}
static inline bool tally_is_tracked(tally_object *object) {
    return tally_load_relaxed(&object->flags) & TALLY_FLAG_TRACKED;
}
void tally_dealloc_slow(tally_object *object);
/* The steps of a dealloc (death.c), which borrow.c shares. finalize: true: the object lives on. */
bool tally_dealloc_finalize(tally_object *object, void (*finalizer)(tally_object *));
void tally_dealloc_weakrefs(tally_thread_state *thread, tally_object *object);
void tally_dealloc_free(tally_object *object, tally_type *type);

/* Dead objects that wait; their thread alone touches the list. */
static inline void tally_dead_push(tally_dead_list *list, tally_object *object) {
    if (TALLY_LIKELY(tally_is_small(object))) {
        tally_refcount_set_link(&object->refcount, list->small);
        list->small = (uint32_t)((size_t)((char *)object - tally_region) >> 4);
    } else {
        *tally_large_link(object) = list->large;
        list->large = object;
    }
}
/* A dead object waits in the thread's list until it is destroyed. Foreign code may run before that,
 * and a collection in it, which is not to find the object. */
static inline void tally_dead_untrack_and_push(tally_dead_list *list, tally_object *object) {
    if (tally_is_tracked(object)) tally_untrack(object);
    tally_dead_push(list, object);
}
/* NULL: the list is empty. The count words are those of any dead object again. */
static inline tally_object *tally_dead_pop(tally_dead_list *list) {
    tally_object *object = list->large;
    if (list->small) {
        object = (tally_object *)(tally_region + ((size_t)list->small << 4));
        list->small = tally_refcount_link(&object->refcount);
        tally_refcount_set_link(&object->refcount, 0);
        return object;
    }
    if (object) list->large = *tally_large_link(object);
    return object;
}
static inline bool tally_dead_any(const tally_dead_list *list) {
    return list->small || list->large;
}
/* By the thread that dropped the last reference, once; the refcount says dead. */
static inline void tally_dealloc(tally_object *object) {
    if (TALLY_UNLIKELY(tally_self.id == TALLY_OWNER_UNATTACHED)) tally_thread_require();
    if (tally_type_entry(object)->flags & TALLY_TYPE_LEAF && !tally_is_borrowable(object))
        tally_memory_free(TALLY_PLAIN, object);
    else
        tally_dealloc_slow(object);
}

/* tally_sizeof, for a thread that holds the object's lock or has stopped the world. */
size_t tally_size_locked(tally_object *object);
size_t tally_memory_size(const void *block);

/* ---- death of referents (weakref.c) ------------------------------------- */

void tally_weakrefs_clear(tally_object *object, tally_weakref **calls,
                          bool (*spare)(tally_object *reference));
/* By the holder of the object's weak lock; the object has a word for weak references. */
void tally_weakrefs_clear_locked(tally_object *object, tally_weakref **calls,
                                 bool (*spare)(tally_object *reference));
void tally_weakrefs_call(tally_weakref *calls);
bool tally_has_weakrefs(tally_object *object); /* world stopped, or a hint */

/* ---- errors around foreign code ----------------------------------------- */

typedef struct tally_pending_error {
    tally_error kind;
    char message[256];
} tally_pending_error;
void tally_error_put_aside(tally_pending_error *pending);
void tally_error_put_back(const tally_pending_error *pending);
/* Writes the pending error to standard error, if there is one, and clears it. */
void tally_error_report(const char *where, tally_object *object);

/* ---- references that a plain call has to drop --------------------------- */

/* A function marked [plain] may not run foreign code, and any decref may run some (drop_later.c).
 * So it leaves its references to the thread, which drops them at its next safepoint
 * (tally_drop_kept). */
typedef struct tally_reference_batch {
    struct tally_reference_batch *next;
    ptrdiff_t count;
    tally_object *at[];
} tally_reference_batch;
void tally_drop_later(tally_object *object) __attribute__((cold));
void tally_drop_batch_later(tally_reference_batch *batch); /* takes it; from malloc */

/* ---- reads of a slot that others may store to --------------------------- */

/*
 * Keeps a pointer in the register in which it is returned. Processors that forward a store to a
 * load by the address's register (AMD's since Zen 2) do so from the count of a read to the caller's
 * decref; from another register a read and a drop take up to a fifth more time.
 */
#ifdef __x86_64__
#    define TALLY_WILL_RETURN(pointer) __asm__("" : "+a"(pointer))
#else
#    define TALLY_WILL_RETURN(pointer) ((void)0)
#endif

/* The object in *slot with a new reference. NULL: the slot is empty, or the lock is needed. If the
 * slot is in an array that can be replaced, the caller checks afterwards that it was not. */
static inline tally_object *tally_slot_try_read(tally_slot *slot) {
    /* acquire: pairs with the release store of the slot, so the object's fields are there */
    tally_object *object = tally_load_acquire(slot);
    if (!object) return NULL;
    int counted = tally_refcount_try_incref_once(&object->refcount);
    if (TALLY_LIKELY(counted == TALLY_COUNTED_OWN)) return object;
    if (counted <= 0 && !tally_refcount_try_incref(&object->refcount)) return NULL;
    if (TALLY_UNLIKELY(counted < 0)) tally_refcount_contended(&object->refcount, 1);
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_load_acquire(slot) != object)) {
        tally_drop_later(object);
        return NULL;
    }
    return object;
}

/* Under the lock: the object with a new reference; NULL: the slot is empty. From now on reads
 * without the lock succeed. */
static inline tally_object *tally_slot_locked_read(tally_slot *slot) {
    tally_object *object = tally_load_relaxed(slot);
    if (!object) return NULL;
    tally_refcount_set_maybe_shared(&object->refcount);
    tally_incref(object);
    return object;
}

/* Appends to a list that has room for it and that no other thread knows; takes the reference. */
void tally_list_put_new(tally_object *list, tally_object *item);
uint32_t tally_str_hash(tally_str *str); /* never 0 */
uint64_t tally_hash_bytes(const char *data, size_t length);

/* Makes an object immortal. No other thread knows it yet, or the world is stopped. */
static inline void tally_make_immortal(tally_object *object) {
    if (tally_is_tracked(object)) tally_untrack(object);
    tally_lock_unbias(object); /* it has no owner from now on */
    tally_refcount_make_immortal(&object->refcount);
}

#endif
