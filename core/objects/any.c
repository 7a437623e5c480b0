/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * any.c: what can be done with an object of any type: its type, hash, equality,
 * order, repr and size.
 *
 * Invariants:
 *  - Objects that are equal and hashable have the same hash: 1, 1.0 and True.
 *  - A list or dict that other threads may change is read by the public
 *    functions, an item at a time with a reference of its own; no lock is held
 *    while an item is hashed, compared or shown.
 *  - Nesting is bounded, so no object can exhaust the stack.
 */
#include <math.h>
#include <stdio.h>
#include "any.h"

#define MOST_NESTED 1000

/* A container whose repr is under way in this thread. */
typedef struct shown { tally_object *object; struct shown *outer; } shown;

static _Thread_local unsigned nested;
static _Thread_local shown *innermost;

int tally_recursion_enter(void) {
    if (nested < MOST_NESTED) {
        nested++;
        return 0;
    }
    tally_error_set(TALLY_RUNTIME_ERROR, "nested deeper than %d objects", MOST_NESTED);
    return -1;
}

void tally_recursion_leave(void) { nested--; }

/* ---- type and size ------------------------------------------------------ */

tally_object *tally_type_of(tally_object *object) {
    if (!object) { tally_expected("an object", NULL); return NULL; }
    tally_thread_require();
    tally_object *type = tally_type_entry(object)->object;
    tally_incref(type); /* the object keeps its type alive */
    return type;
}

const char *tally_type_name(tally_object *object) { return object ? tally_type_entry(object)->name : "NULL"; }

size_t tally_size_locked(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    if (type->native) return tally_memory_size(object); /* extra bytes are in no field of it */
    return type->size + (type->extra_size ? type->extra_size(object) : 0);
}

ptrdiff_t tally_sizeof(tally_object *object) {
    if (!object) return tally_expected("an object", NULL);
    tally_thread_require();
    if (!(tally_type_entry(object)->flags & TALLY_TYPE_CONTAINER)) return (ptrdiff_t)tally_size_locked(object);
    /* Its array might be freed by another thread while it is looked at. */
    unsigned token = tally_lock_object(object);
    size_t size = tally_size_locked(object);
    tally_unlock_object(object, token);
    return (ptrdiff_t)size;
}

/* ---- hash --------------------------------------------------------------- */

static int64_t hash_by_identity(tally_object *object) { return (int64_t)((uintptr_t)object >> 4); }

int64_t tally_hash(tally_object *object) { return TALLY_LIKELY(object != NULL) ? tally_hash_known(object) : tally_expected("an object", NULL); }

int64_t tally_hash_known(tally_object *object) {
    if (object->type == TALLY_TYPE_STR) return tally_str_hash((tally_str *)object);
    if (object->type == TALLY_TYPE_INT) return tally_int_hash(object);
    tally_type *type = tally_type_entry(object);
    if (type->unhashable || (!type->hash && type->equal)) {
        tally_error_set(TALLY_TYPE_ERROR, "unhashable type: '%s'", type->name);
        return -1;
    }
    if (!type->hash) return hash_by_identity(object);
    if (tally_recursion_enter() < 0) return -1;
    int64_t hash = type->hash(object);
    tally_recursion_leave();
    /* a user's function that gives -1 without an error means no failure */
    return hash == -1 && tally_error_kind() == TALLY_NO_ERROR ? -2 : hash;
}

/* ---- numbers ------------------------------------------------------------ */

static int sign_of(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* Exact: the double is never compared with a rounded int. value is no NaN. */
static int int_to_double_order(int64_t integer, double value) {
    if (value >= 0x1p63) return -1;
    if (value < -0x1p63) return 1;
    double whole = trunc(value);
    int order = sign_of(integer, (int64_t)whole);
    return order ? order : (whole > value) - (whole < value);
}

int tally_number_order(tally_object *a, tally_object *b, int *order) {
    bool whole_a = tally_is_integral(a), whole_b = tally_is_integral(b);
    if (whole_a && whole_b) {
        *order = sign_of(tally_integral_value(a), tally_integral_value(b));
        return 1;
    }
    double x = whole_a ? 0 : ((tally_float *)a)->value, y = whole_b ? 0 : ((tally_float *)b)->value;
    if (isnan(x) || isnan(y)) return 0;
    if (whole_a) *order = int_to_double_order(tally_integral_value(a), y);
    else if (whole_b) *order = -int_to_double_order(tally_integral_value(b), x);
    else *order = (x > y) - (x < y);
    return 1;
}

int tally_number_equal(tally_object *a, tally_object *b) {
    int order;
    return tally_is_number(b) && tally_number_order(a, b, &order) && order == 0;
}

/* ---- equality ----------------------------------------------------------- */

int tally_equal(tally_object *a, tally_object *b) {
    if (TALLY_UNLIKELY(!a || !b)) return tally_expected("an object", NULL);
    if (a->type == TALLY_TYPE_STR && b->type == TALLY_TYPE_STR) return tally_str_equal(a, b);
    tally_type *type = tally_type_entry(a), *other = tally_type_entry(b);
    /* a native type knows about built-in ones, not the other way round */
    if (other->native && other->equal && !(type->native && type->equal)) {
        tally_object *swapped = a;
        a = b;
        b = swapped;
        type = other;
    }
    if (!type->equal) return a == b;
    if (tally_recursion_enter() < 0) return -1;
    int equal = type->equal(a, b);
    tally_recursion_leave();
    return equal < 0 ? -1 : equal > 0;
}

int tally_item_equal(tally_object *a, tally_object *b) { return a == b ? 1 : tally_equal(a, b); }

/* The item at index with a new reference: 1, or 0 past the end, or -1. */
static int sequence_item(tally_object *sequence, ptrdiff_t index, tally_object **item) {
    *item = NULL;
    bool tuple = sequence->type == TALLY_TYPE_TUPLE;
    if (index >= (tuple ? tally_tuple_length(sequence) : tally_list_length(sequence))) return 0;
    *item = tuple ? tally_tuple_get(sequence, index) : tally_list_get(sequence, index);
    if (*item) return 1;
    if (tally_error_kind() != TALLY_INDEX_ERROR) return -1;
    tally_error_clear(); /* another thread shortened the list meanwhile */
    return 0;
}

/* The items of two sequences at index: 1 both are there, 0 not both, -1; *order:
 * which is longer, if not both. New references where there are items. */
static int item_pair(tally_object *a, tally_object *b, ptrdiff_t index, tally_object *pair[2], int *order) {
    int first = sequence_item(a, index, &pair[0]);
    int second = first < 0 ? -1 : sequence_item(b, index, &pair[1]);
    if (second < 0) {
        tally_xdecref(pair[0]);
        return -1;
    }
    *order = first - second;
    if (first && second) return 1;
    tally_xdecref(pair[0]);
    tally_xdecref(pair[1]);
    return 0;
}

static void drop_pair(tally_object *pair[2]) {
    tally_decref(pair[0]);
    tally_decref(pair[1]);
}

/*
 * The first items of two sequences that differ, with new references: 1; 0: none,
 * *order says which is longer; -1.
 */
static int first_difference(tally_object *a, tally_object *b, tally_object *pair[2], int *order) {
    for (ptrdiff_t i = 0;; i++) {
        int both = item_pair(a, b, i, pair, order);
        if (both <= 0) return both;
        int equal = tally_item_equal(pair[0], pair[1]);
        if (equal == 0) return 1;
        drop_pair(pair);
        if (equal < 0) return -1;
    }
}

int tally_list_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_LIST) || tally_list_length(a) != tally_list_length(b)) return 0;
    tally_object *pair[2];
    int order, different = first_difference(a, b, pair, &order);
    if (different < 0) return -1;
    if (different == 0) return order == 0;
    drop_pair(pair);
    return 0;
}

/* Whether dict has key with a value equal to this. */
static int dict_has_equal(tally_object *dict, tally_object *key, tally_object *value) {
    tally_error_clear(); /* to tell a missing key from a failure */
    tally_object *other = tally_dict_get(dict, key);
    if (!other) return tally_error_kind() == TALLY_NO_ERROR ? 0 : -1;
    int equal = tally_item_equal(value, other);
    tally_decref(other);
    return equal;
}

int tally_dict_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_DICT) || tally_dict_length(a) != tally_dict_length(b)) return 0;
    tally_object *key, *value;
    ptrdiff_t position = 0;
    int next;
    while ((next = tally_dict_next(a, &position, &key, &value)) == 1) {
        int equal = dict_has_equal(b, key, value);
        tally_decref(key);
        tally_decref(value);
        if (equal <= 0) return equal;
    }
    return next < 0 ? -1 : 1;
}

/* ---- order -------------------------------------------------------------- */

static int number_compare(tally_object *a, tally_object *b, int *order) {
    if (tally_number_order(a, b, order)) return 0;
    tally_error_set(TALLY_VALUE_ERROR, "a NaN has no order");
    return -1;
}

/* Bytes of UTF-8 are in the order of the characters. */
static int str_compare(tally_str *a, tally_str *b, int *order) {
    int difference = memcmp(a->data, b->data, a->length < b->length ? a->length : b->length);
    *order = difference ? (difference > 0) - (difference < 0) : sign_of(a->length, b->length);
    return 0;
}

static int sequence_compare(tally_object *a, tally_object *b, int *order) {
    if (tally_recursion_enter() < 0) return -1;
    tally_object *pair[2];
    int result = first_difference(a, b, pair, order);
    if (result == 1) {
        result = tally_compare(pair[0], pair[1], order);
        drop_pair(pair);
    }
    tally_recursion_leave();
    return result;
}

int tally_compare(tally_object *a, tally_object *b, int *order) {
    if (TALLY_UNLIKELY(!a || !b || !order)) return tally_expected("two objects and a place for their order", NULL);
    if (tally_is_number(a) && tally_is_number(b)) return number_compare(a, b, order);
    if (a->type == b->type) {
        if (a->type == TALLY_TYPE_STR) return str_compare((tally_str *)a, (tally_str *)b, order);
        if (a->type == TALLY_TYPE_TUPLE || a->type == TALLY_TYPE_LIST) return sequence_compare(a, b, order);
    }
    tally_error_set(TALLY_TYPE_ERROR, "no order between '%s' and '%s'", tally_type_name(a), tally_type_name(b));
    return -1;
}

/* ---- text under construction -------------------------------------------- */

int tally_text_add(tally_text *text, const char *data, size_t length) {
    if (length == 0) return 0;
    if (length > text->capacity - text->length) {
        size_t capacity = (text->length + length) * 2;
        char *grown = realloc(text->data, capacity);
        if (!grown) return tally_no_memory();
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    return 0;
}

tally_object *tally_text_finish(tally_text *text, bool failed) {
    tally_object *str = failed ? NULL : tally_str_new(text->data, (ptrdiff_t)text->length);
    free(text->data);
    return str;
}

/* ---- repr --------------------------------------------------------------- */

static tally_object *default_repr(tally_object *object) {
    tally_text text = { 0 };
    char address[40];
    bool is_type = object->type == TALLY_TYPE_TYPE;
    const char *name = is_type ? tally_types[((tally_type_object *)object)->index].name : tally_type_name(object);
    int length = is_type ? snprintf(address, sizeof address, "'>") : snprintf(address, sizeof address, " object at %p>", (void *)object);
    bool failed = tally_text_add(&text, is_type ? "<class '" : "<", is_type ? 8 : 1) < 0 ||
                  tally_text_add(&text, name, strlen(name)) < 0 || tally_text_add(&text, address, (size_t)length) < 0;
    return tally_text_finish(&text, failed);
}

tally_object *tally_repr(tally_object *object) {
    if (!object) { tally_expected("an object", NULL); return NULL; }
    tally_thread_require();
    tally_type *type = tally_type_entry(object);
    if (!type->repr) return default_repr(object);
    if (tally_recursion_enter() < 0) return NULL;
    tally_object *str = type->repr(object);
    tally_recursion_leave();
    if (!str || str->type == TALLY_TYPE_STR) return str;
    tally_error_set(TALLY_TYPE_ERROR, "the repr of a '%s' is no str but a '%s'", type->name, tally_type_name(str));
    tally_decref(str);
    return NULL;
}

static bool being_shown(tally_object *object) {
    for (shown *at = innermost; at; at = at->outer)
        if (at->object == object) return true;
    return false;
}

static int add_repr(tally_text *text, tally_object *object) {
    tally_object *repr = tally_repr(object);
    if (!repr) return -1;
    int result = tally_text_add(text, tally_str_data(repr), (size_t)tally_str_length(repr));
    tally_decref(repr);
    return result;
}

static int add_separator(tally_text *text, ptrdiff_t index) { return index ? tally_text_add(text, ", ", 2) : 0; }

static int add_items(tally_text *text, tally_object *sequence) {
    for (ptrdiff_t i = 0;; i++) {
        tally_object *item;
        int found = sequence_item(sequence, i, &item);
        if (found < 0) return -1;
        if (!found) return i == 1 && sequence->type == TALLY_TYPE_TUPLE ? tally_text_add(text, ",", 1) : 0;
        int added = add_separator(text, i) < 0 ? -1 : add_repr(text, item);
        tally_decref(item);
        if (added < 0) return -1;
    }
}

static int add_entry(tally_text *text, tally_object *key, tally_object *value) {
    if (add_repr(text, key) < 0 || tally_text_add(text, ": ", 2) < 0) return -1;
    return add_repr(text, value);
}

static int add_entries(tally_text *text, tally_object *dict) {
    tally_object *key, *value;
    ptrdiff_t position = 0;
    int next;
    for (ptrdiff_t i = 0; (next = tally_dict_next(dict, &position, &key, &value)) == 1; i++) {
        int added = add_separator(text, i) < 0 ? -1 : add_entry(text, key, value);
        tally_decref(key);
        tally_decref(value);
        if (added < 0) return -1;
    }
    return next;
}

/* What add adds for a container, in brackets; a container within itself is shown as dots. */
static tally_object *container_repr(tally_object *object, const char brackets[2], int (*add)(tally_text *, tally_object *)) {
    char dots[5] = { brackets[0], '.', '.', '.', brackets[1] };
    if (being_shown(object)) return tally_str_new(dots, 5);
    shown self = { object, innermost };
    innermost = &self;
    tally_text text = { 0 };
    bool failed = tally_text_add(&text, &brackets[0], 1) < 0 || add(&text, object) < 0 || tally_text_add(&text, &brackets[1], 1) < 0;
    innermost = self.outer;
    return tally_text_finish(&text, failed);
}

tally_object *tally_tuple_repr(tally_object *object) { return container_repr(object, "()", add_items); }
tally_object *tally_list_repr(tally_object *object) { return container_repr(object, "[]", add_items); }
tally_object *tally_dict_repr(tally_object *object) { return container_repr(object, "{}", add_entries); }
