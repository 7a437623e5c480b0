/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * types.h: the layout of every built-in type, and the table of types.
 *
 * Invariant: the table never moves, and an entry in use never changes, but for the attributes of
 * its class.
 */
#ifndef TALLY_TYPES_H
#define TALLY_TYPES_H

#include "layout/check.h"
#include "layout/flags.h"
#include "layout/heap.h"
#include "tally.h"

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
    void (*traverse)(tally_object *self, tally_visit visit, void *context); /* of a native type */
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
    TALLY_CHECK_OBJECT(object);
    return &tally_types[object->type];
}
/* Of a dying instance: the first child that is left; NULL: none is. */
static inline tally_object **tally_instance_first_slot(tally_object *object, ptrdiff_t slots) {
    tally_object **slot = (tally_object **)((tally_instance *)object)->slots;
    for (tally_object **end = slot + slots; slot < end; slot++)
        if (*slot) return slot;
    return NULL;
}

#endif
