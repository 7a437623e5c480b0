/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object.h: the layout of every built-in type, the table of types, and how an
 * object is made and dies.
 *
 * Invariants:
 *  - A constructor takes memory with tally_object_alloc, fills every field, and
 *    stores the count last, by tally_object_publish: a reader without a lock may
 *    hold a stale pointer to that very block. From then on it undoes itself by
 *    tally_decref only.
 *  - The table of types never moves and an entry in use never changes, but for
 *    its class's attributes.
 *  - A dead object's children are dropped one after the other, the way back kept
 *    in the slot of the child being dropped (Schorr and Waite 1967): no stack, no memory.
 */
#ifndef TALLY_CORE_OBJECT_H
#define TALLY_CORE_OBJECT_H

#include "layout/thread.h"
#include <string.h>

typedef struct tally_container {
    tally_object base;
    tally_links links;
} tally_container;

/* Fixed indices of the built-in types; classes and native types follow. */
enum {
    TALLY_TYPE_NONE = 1,
    TALLY_TYPE_BOOL,
    TALLY_TYPE_TYPE,
    TALLY_TYPE_INT,
    TALLY_TYPE_FLOAT,
    TALLY_TYPE_STR,
    TALLY_TYPE_TUPLE,
    TALLY_TYPE_LIST,
    TALLY_TYPE_DICT,
    TALLY_TYPE_WEAKREF,
    TALLY_TYPE_FIRST_FREE
};
#define TALLY_MAX_TYPES 65536

typedef struct tally_int {
    tally_object base;
    int64_t value;
} tally_int;
typedef struct tally_float {
    tally_object base;
    double value;
} tally_float;
typedef struct tally_str {
    tally_object base;
    uint32_t length;
    _Atomic uint32_t hash; /* 0: not computed yet */
    char data[];
} tally_str;

/* Children's slots are atomic where other threads may store them meanwhile. */
typedef _Atomic(tally_object *) tally_slot;

typedef struct tally_tuple {
    tally_container container;
    ptrdiff_t length;
    tally_object *items[];
} tally_tuple;

/* An array that readers without a lock may still see after it was replaced. */
typedef struct tally_array {
    tally_retired retired;
    size_t bytes; /* of the whole block */
} tally_array;

typedef struct tally_items {
    tally_array array;
    tally_slot at[];
} tally_items;
static inline ptrdiff_t tally_items_capacity(const tally_items *items) {
    return (ptrdiff_t)((items->array.bytes - sizeof(tally_items)) / sizeof(tally_slot));
}
typedef struct tally_list {
    tally_container container;
    _Atomic ptrdiff_t length;
    _Atomic(tally_items *) items; /* NULL: no capacity */
} tally_list;

/* The hash table of a dict, of an instance, of a class: core/objects/table.c. */
typedef struct tally_table tally_table;
typedef struct tally_dict {
    tally_container container;
    _Atomic(tally_table *) table; /* NULL: empty */
} tally_dict;

/* A weak reference: core/objects/weakref.c. */
typedef struct tally_weakref {
    tally_container container;
    tally_slot referent; /* holds no count; NULL: cleared */
    struct tally_weakref *next, *previous;
    tally_object *home; /* the referent's address, for the lock; never followed */
    void (*callback)(tally_object *reference, void *context);
    void *context;
    _Atomic int64_t hash;
    _Atomic bool hashed;
} tally_weakref;
/* The word that an object has which allows weak references. */
typedef _Atomic(tally_weakref *) tally_weak_word;

/* With slots; the weak word, if its class allows weak references, is behind the last slot. */
typedef struct tally_instance {
    tally_container container;
    tally_slot slots[];
} tally_instance;
typedef struct tally_open_instance {
    tally_container container;
    _Atomic(tally_table *) table;
    tally_weak_word weak;
} tally_open_instance;
/* The type `type`: built-in types, native types and classes are objects of it. */
typedef struct tally_type_object {
    tally_container container;
    uint16_t index;
    _Atomic(tally_table *) attributes;
    tally_weak_word weak;
} tally_type_object;

enum {
    TALLY_SHAPE_LEAF,
    TALLY_SHAPE_SLOTS,
    TALLY_SHAPE_TUPLE,
    TALLY_SHAPE_LIST,
    TALLY_SHAPE_TABLE,
    TALLY_SHAPE_NATIVE
};

/* Beside the flags of tally.h: death is no more than giving the memory back. */
#define TALLY_TYPE_LEAF 0x8000u

typedef struct tally_type {
    /* What birth and death ask, in one line of the cache. */
    uint16_t flags; /* TALLY_TYPE_CONTAINER … */
    bool class_, native;
    uint8_t shape;         /* TALLY_SHAPE_…: how the collector finds the children */
    uint16_t table_offset; /* of the table's place, where the shape is a table */
    uint32_t weak_offset;  /* of its tally_weak_word; 0: none */
    int32_t slots;         /* of a class with slots; -1: open instances; 0 for other types */
    size_t size;           /* of an instance, header included, without extra bytes */
    tally_object *object;  /* its tally_type_object */
    void (*finalize)(tally_object *self);
    /* Death of built-in containers. next_child: the address of the next non-NULL child's
     * slot in an order of its own, NULL when none is left. current_child: that address again.
     * Instances with slots have neither: tally_instance_first_slot is both. */
    tally_object **(*next_child)(tally_object *self);
    tally_object **(*current_child)(tally_object *self);
    void (*release)(tally_object *self); /* frees its arrays */

    char *name;              /* NULL: entry not in use */
    tally_table *slot_names; /* str -> int index; never changes once made */
    void (*traverse)(tally_object *self, tally_visit visit, void *context);
    void (*clear)(tally_object *self);
    void (*dealloc)(tally_object *self);
    int64_t (*hash)(tally_object *self); /* NULL: by identity */
    bool unhashable;
    int (*equal)(tally_object *self, tally_object *other); /* NULL: by identity */
    tally_object *(*repr)(tally_object *self);             /* NULL: <name object at address> */
    size_t (*extra_size)(
        tally_object *self); /* bytes beyond `size`: arrays and items; lock held; NULL: none */
} __attribute__((aligned(64))) tally_type;

extern tally_type tally_types[TALLY_MAX_TYPES];
uint32_t tally_types_used(void); /* no entry from here on has ever been used; world stopped */
static inline tally_type *tally_type_entry(const tally_object *object) {
    TALLY_CHECKED(tally_thread_require());
    return &tally_types[object->type];
}
/* Of a dying instance: the first child that is left; NULL: none is. */
static inline tally_object **tally_instance_first_slot(tally_object *object, ptrdiff_t slots) {
    tally_object **slot = (tally_object **)((tally_instance *)object)->slots;
    for (tally_object **end = slot + slots; slot < end; slot++)
        if (*slot) return slot;
    return NULL;
}

#include "track.h"

/* A free entry with its type object made and filled; the caller sets the functions. NULL and an
 * error. */
void tally_type_release(tally_type *type);
tally_type *tally_type_allocate(const char *name, size_t size, unsigned flags, bool class_,
                                bool native);

static inline bool tally_has_type(const tally_object *object, uint16_t type) {
    TALLY_CHECKED(tally_thread_require());
    return object && object->type == type;
}
/* Sets a type error "expected …, got …" and returns -1. */
int tally_expected(const char *what, tally_object *got);
int tally_no_memory(void); /* sets a memory error, returns -1 */

/* Memory for an object, dead until published; NULL and a memory error. size: bytes with header. */
static inline void *tally_object_alloc(uint16_t type, size_t size, unsigned kind) {
    if (kind == TALLY_CONTAINERS) {
        TALLY_ENDS_BORROWS(); /* may collect */
        tally_collector_birth();
    }
    tally_object *object = tally_memory_alloc(kind, size);
    if (TALLY_UNLIKELY(!object)) {
        tally_no_memory();
        return NULL;
    }
    object->type = type;
    tally_store_relaxed(&object->lock, kind == TALLY_CONTAINERS ? tally_lock_initial() : 0);
    tally_store_relaxed(&object->flags, 0);
    return object;
}
static inline __attribute__((always_inline)) tally_object *tally_object_publish(void *object) {
    TALLY_SITE(object);
    tally_refcount_init(&((tally_object *)object)->refcount);
    return object;
}
/* A container, which the collector is to look at. */
static inline __attribute__((always_inline)) tally_object *tally_container_publish(void *object) {
    tally_track(object);
    return tally_object_publish(object);
}
static inline bool tally_is_tracked(tally_object *object) {
    return tally_load_relaxed(&object->flags) & TALLY_FLAG_TRACKED;
}
void tally_dealloc_slow(tally_object *object);

/*
 * Without a GIL, a thread may hold the object borrowed: it has been handed out. Set by
 * who holds a counted reference or the lock of a container that does, so who sees its
 * count reach 0 sees the flag, too.
 */
static inline bool tally_is_borrowable(tally_object *object) {
    /* acquire: pairs with the release of tally_make_borrowable, so that a second look at a slot
     * sees what came before */
    return TALLY_LOCK_FREE_READS && tally_load_acquire(&object->flags) & TALLY_FLAG_BORROWABLE;
}
static inline void tally_make_borrowable(tally_object *object) {
    if (tally_is_borrowable(object)) return;
    /* first: who sees the flag can tell the dead by a try-incref */
    if (tally_type_entry(object)->flags & TALLY_TYPE_LEAF)
        tally_refcount_merge_and_expose(&object->refcount);
    else
        tally_refcount_expose(&object->refcount);
    /* release: pairs with tally_is_borrowable */
    tally_or_release(&object->flags, TALLY_FLAG_BORROWABLE);
}
/* By who stores the item in a leaf section of the container: one that was borrowed from will be
 * again. */
#define tally_make_borrowable_in(container, token, item)                                 \
    (TALLY_LOCK_FREE_READS && !tally_is_private(token) && tally_is_borrowable(container) \
         ? tally_make_borrowable(item)                                                   \
         : (void)0)

/* The waiting dead; their thread alone touches the list. */
static inline void tally_dead_push(tally_dead_list *list, tally_object *object) {
    if (TALLY_LIKELY(tally_is_small(object))) {
        tally_refcount_set_link(&object->refcount, list->small);
        list->small = (uint32_t)((size_t)((char *)object - tally_region) >> 4);
    } else {
        *tally_large_link(object) = list->large;
        list->large = object;
    }
}
/* Dead: it waits in the thread's list until it is taken apart. Foreign code may run before
 * that, and a collection in it: it is not to be found. */
static inline void tally_dead_untrack_and_push(tally_dead_list *dying, tally_object *object) {
    if (tally_is_tracked(object)) tally_untrack(object);
    tally_dead_push(dying, object);
}
/* NULL: none is left. Its count words are those of any dead object. */
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
/* After a grace period: frees a dead object that had been handed out; its children have been
 * dropped. */
void tally_object_free_borrowable(tally_object *object);
/* By the thread that dropped the last reference, once; the count says dead. */
static inline void tally_dealloc(tally_object *object) {
    if (TALLY_UNLIKELY(tally_self.id == TALLY_OWNER_UNATTACHED)) tally_thread_require();
    if (tally_type_entry(object)->flags & TALLY_TYPE_LEAF && !tally_is_borrowable(object))
        tally_memory_free(TALLY_PLAIN, object);
    else
        tally_dealloc_slow(object);
}
void tally_object_free(tally_object *object); /* the memory alone, of a dead object */

/* An instance's reference to its class; the exclusion part's (tally_class_incref and
 * _decref, in locking_inline.h), since many threads make instances of one class. */
void tally_class_born(tally_object *class_); /* made, not yet known to anybody */
/* What a class's own count leaves out: references of instances, and those that threads have in
 * their numbers, of other spread objects as well; less what it has too many. */
ptrdiff_t tally_class_instances(tally_object *object);
size_t tally_classes_sweep(void); /* frees classes and spread objects that nothing uses; how many */
bool tally_class_is_unused(
    tally_object *object); /* a class that the next sweep would free; world stopped */
/* tally_sizeof, by who holds the object's lock or has stopped the world. */
size_t tally_size_locked(tally_object *object);
/* Bytes of the object's block. */
size_t tally_memory_size(const void *block);

/* ---- death of referents (weakref.c) ------------------------------------- */

void tally_weakrefs_clear(tally_object *object, tally_weakref **calls,
                          bool (*spare)(tally_object *reference));
void tally_weakrefs_call(tally_weakref *calls);

/* ---- errors around foreign code ----------------------------------------- */

typedef struct tally_pending_error {
    tally_error kind;
    char message[256];
} tally_pending_error;
void tally_error_put_aside(tally_pending_error *pending); /* and clears it */
void tally_error_put_back(const tally_pending_error *pending);
void tally_error_report(
    const char *where,
    tally_object *object); /* on standard error, if there is one, and clears it */

/* ---- references that a plain call has to drop --------------------------- */

/*
 * A function marked [plain] runs no foreign code. A decref may run some, even if it is not the
 * last: it may merge for another thread. So what such a function has to drop goes to its thread's
 * list, which is emptied at the next safepoint (tally_drop_kept).
 */
typedef struct tally_reference_batch {
    struct tally_reference_batch *next;
    ptrdiff_t count;
    tally_object *at[];
} tally_reference_batch;
void tally_drop_later(tally_object *object) __attribute__((cold));
void tally_drop_batch_later(tally_reference_batch *batch); /* of malloc; takes it */

/* ---- reads of a slot that others may store to --------------------------- */

/*
 * The object in *slot with a new reference, or NULL: empty, or not to be had
 * without the lock. If the slot is in an array that can be replaced, the caller
 * looks afterwards whether the array is still the same.
 */
static inline tally_object *tally_slot_try_read(tally_slot *slot) {
    /* acquire: pairs with the release store of the slot, so the object's fields are there */
    tally_object *object = tally_load_acquire(slot);
    if (!object || !tally_refcount_try_incref(&object->refcount)) return NULL;
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_load_acquire(slot) != object)) {
        tally_drop_later(object);
        return NULL;
    }
    return object;
}

/*
 * The same without a count: NULL: not to be had without the lock. What this thread
 * owns cannot die before its next safepoint unless it drops it itself, so that is not marked.
 */
static inline tally_object *tally_slot_try_borrow(tally_slot *slot) {
    /* acquire: as above */
    tally_object *object = tally_load_acquire(slot);
    if (!TALLY_LOCK_FREE_READS || !object) return object;
    TALLY_FAILPOINT(borrow_read);
    if (!tally_is_borrowable(object) && !tally_refcount_owned(&object->refcount)) return NULL;
    TALLY_FAILPOINT(borrow_marked);
    if (TALLY_UNLIKELY(tally_load_acquire(slot) != object)) return NULL;
    return object;
}
/*
 * The lock path of a borrow is a counted read, whose reference is kept until the thread's next
 * safepoint. secure: before it; false and an error: the container was borrowed itself, and has
 * died. keep: after it, with what was read (NULL and an error: nothing), and what `held` said.
 */
bool tally_borrow_secure(tally_object *container, bool *held);
tally_borrowed tally_borrow_keep(tally_object *container, bool held, tally_object *object);
/* To the caller, from now on. */
static inline tally_borrowed tally_borrow_of(tally_object *object) {
#ifdef NDEBUG
    return (tally_borrowed){object, 0};
#else
    return (tally_borrowed){object, tally_self.thread->borrow_epoch << 16 | tally_self.id};
#endif
}

/* Under the lock: the object with a new reference, readable without it from now on; NULL: empty. */
static inline tally_object *tally_slot_locked_read(tally_slot *slot) {
    tally_object *object = tally_load_relaxed(slot);
    if (!object) return NULL;
    tally_refcount_set_maybe_shared(&object->refcount);
    tally_incref(object);
    return object;
}

/* ---- tables (table.c): keys to values, insertion-ordered ---------------- */

/*
 * `holder` is the object whose lock guards the table at *place. A lookup in a table whose
 * keys are strs runs no foreign code.
 */
tally_object *tally_table_get(tally_object *holder, _Atomic(tally_table *) *place,
                              tally_object *key, int *error);
int tally_table_set(tally_object *holder, _Atomic(tally_table *) *place, tally_object *key,
                    tally_object *value);
int tally_table_delete(tally_object *holder, _Atomic(tally_table *) *place,
                       tally_object *key); /* 1 deleted, 0 missing, -1 */
ptrdiff_t tally_table_find_index(
    tally_table *table,
    tally_object *key); /* the int value of a str key in a table that never changes; -1 */
void tally_table_traverse(tally_table *table, tally_visit visit, void *context);
tally_object **tally_table_next_child(tally_table *table);
tally_object **tally_table_current_child(tally_table *table);
tally_borrowed tally_table_borrow(tally_object *holder, _Atomic(tally_table *) *place,
                                  tally_object *key);
void tally_table_forget(tally_table *table); /* its children have been dropped */
void tally_table_free(tally_table *table);   /* nobody reads it any more */
size_t tally_table_bytes(tally_table *table);

/* Start of each part of core; 0 or -1. */
int tally_types_start(void);
void tally_types_end(void);
int tally_values_start(void); /* small ints, one-letter strs */
void tally_values_end(void);
void tally_register_values(void), tally_register_tuple(void), tally_register_list(void),
    tally_register_dict(void);
void tally_interned_forget(
    tally_object *object); /* an object that is dead: if it is an interned str, it is so no more */
void tally_interned_keep(void); /* at the end: those that are alive are immortal from now on */
void tally_interned_end(void);  /* forgets the interned strs */
void tally_register_weakref(void);
/* An item for a list with room for it that no other thread knows; takes the reference. */
void tally_list_put_new(tally_object *list, tally_object *item);
/* Equality and hash of strs without type checks. */
uint32_t tally_str_hash(tally_str *str); /* never 0 */

/* Makes an object immortal; no other thread knows it yet, or the world stands. */
static inline void tally_make_immortal(tally_object *object) {
    if (tally_is_tracked(object)) tally_untrack(object);
    tally_lock_unbias(object); /* of no owner from now on */
    tally_refcount_make_immortal(&object->refcount);
}

#endif
