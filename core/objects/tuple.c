/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tuple.c: the type `tuple`.
 *
 * Invariants: the items of a living tuple never change, so reading them needs
 * no lock; the empty tuple is one static, immortal object. Only death shortens
 * a tuple, as it drops the items from the last to the first.
 */
#include "abstract.h"

static tally_tuple empty_tuple = {
    .container.base = {.refcount = TALLY_REFCOUNT_IMMORTAL, .type = TALLY_TYPE_TUPLE}};

#define MOST_ITEMS ((ptrdiff_t)((PTRDIFF_MAX - sizeof(tally_tuple)) / sizeof(tally_object *)))

/* A tuple for length > 0 items, not published. */
static tally_tuple *tuple_alloc(ptrdiff_t length) {
    if (length > MOST_ITEMS) return tally_no_memory_null();
    size_t size = sizeof(tally_tuple) + (size_t)length * sizeof(tally_object *);
    tally_tuple *tuple = tally_object_alloc(TALLY_TYPE_TUPLE, size, TALLY_CONTAINERS);
    if (tuple) tuple->length = length;
    return tuple;
}

static void take_items(tally_object **to, tally_object *const *items, ptrdiff_t length) {
    for (ptrdiff_t i = 0; i < length; i++) {
        tally_incref(items[i]);
        to[i] = items[i];
    }
}

/* A tuple whose items can be in no cycle is never in one itself: it is not tracked. */
static tally_object *publish(tally_tuple *tuple) {
    for (ptrdiff_t i = 0; i < tuple->length; i++)
        if (tally_is_tracked(tuple->items[i])) return tally_container_publish(tuple);
    return tally_object_publish(tuple);
}

tally_object *tally_tuple_new(tally_object *const *items, ptrdiff_t length) {
    if (length < 0) return tally_fail_null(TALLY_VALUE_ERROR, "negative length of a tuple");
    if (length == 0) return &empty_tuple.container.base;
    if (!items) return tally_fail_null(TALLY_VALUE_ERROR, "a tuple of %td items of NULL", length);
    tally_tuple *tuple = tuple_alloc(length);
    if (!tuple) return NULL;
    take_items(tuple->items, items, length);
    return publish(tuple);
}

/* Both are tuples. */
tally_object *tally_tuple_join(tally_object *first, tally_object *second) {
    tally_tuple *a = (tally_tuple *)first, *b = (tally_tuple *)second;
    if (a->length == 0 || b->length == 0) {
        tally_object *whole = a->length ? first : second;
        tally_incref(whole);
        return whole;
    }
    tally_tuple *tuple = tuple_alloc(a->length + b->length);
    if (!tuple) return NULL;
    take_items(tuple->items, a->items, a->length);
    take_items(tuple->items + a->length, b->items, b->length);
    return publish(tuple);
}

tally_object *tally_tuple_get(tally_object *object, ptrdiff_t index) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_TUPLE)) return tally_expected_null("a tuple", object);
    tally_tuple *tuple = (tally_tuple *)object;
    if (index < 0) index += tuple->length;
    if (index < 0 || index >= tuple->length)
        return tally_fail_null(TALLY_INDEX_ERROR, "tuple index out of range");
    tally_incref(tuple->items[index]);
    return tuple->items[index];
}

ptrdiff_t tally_tuple_length(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_TUPLE)) return tally_expected("a tuple", object);
    return ((tally_tuple *)object)->length;
}

/* ---- operations of the type --------------------------------------------- */

static tally_object **tuple_next_child(tally_object *object) {
    tally_tuple *tuple = (tally_tuple *)object;
    while (tuple->length > 0)
        if (tuple->items[--tuple->length]) return &tuple->items[tuple->length];
    return NULL;
}

static tally_object **tuple_current_child(tally_object *object) {
    tally_tuple *tuple = (tally_tuple *)object;
    return &tuple->items[tuple->length];
}

static size_t tuple_extra_size(tally_object *object) {
    return (size_t)((tally_tuple *)object)->length * sizeof(tally_object *);
}

/* The order of the items matters: rotate between them, as xxHash does. */
static int64_t tuple_hash(tally_object *object) {
    tally_tuple *tuple = (tally_tuple *)object;
    uint64_t hash = UINT64_C(0x27d4eb2f165667c5);
    for (ptrdiff_t i = 0; i < tuple->length; i++) {
        int64_t item = tally_hash(tuple->items[i]);
        if (item == -1) return -1;
        hash += (uint64_t)item * UINT64_C(0xc2b2ae3d27d4eb4f);
        hash = (hash << 31 | hash >> 33) * UINT64_C(0x9e3779b185ebca87);
    }
    return tally_valid_hash((int64_t)(hash + (uint64_t)tuple->length));
}

static int tuple_equal(tally_object *first, tally_object *second) {
    if (first == second) return 1;
    if (!tally_has_type(second, TALLY_TYPE_TUPLE)) return 0;
    tally_tuple *a = (tally_tuple *)first, *b = (tally_tuple *)second;
    ptrdiff_t shorter = a->length < b->length ? a->length : b->length;
    int equal = 1;
    /* As in CPython, items are compared although the lengths differ (those of lists are not). */
    for (ptrdiff_t i = 0; equal == 1 && i < shorter; i++)
        equal = tally_item_equal(a->items[i], b->items[i]);
    return equal == 1 ? a->length == b->length : equal;
}

void tally_register_tuple(void) {
    tally_type *type = &tally_types[TALLY_TYPE_TUPLE];
    type->shape = TALLY_SHAPE_TUPLE;
    type->next_child = tuple_next_child;
    type->current_child = tuple_current_child;
    type->extra_size = tuple_extra_size;
    type->hash = tuple_hash;
    type->equal = tuple_equal;
    type->repr = tally_tuple_repr;
}
