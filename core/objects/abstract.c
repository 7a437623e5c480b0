/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * any.c: what can be done with an object of any type: its type, hash, equality,
 * order, repr and size.
 *
 * Invariants:
 *  - Objects that are equal and hashable have the same hash: 1, 1.0 and True.
 *  - A list or dict that other threads may change is copied as it is at one moment, and the
 *    copy is compared or shown. Of two, the first is looked at again after the second was copied:
 *    if it is still so, both were as their copies at that moment. One that foreign code alone may
 * change is read an item at a time, as it is then, each item with a reference of its own. So a
 * change meanwhile is no error. A comparison without memory for copies reads item by item, too. No
 * lock is held while an item is hashed, compared or shown.
 *  - What succeeds leaves a pending error as it was.
 *  - Nesting is bounded, so no object can exhaust the stack.
 */
#include "abstract.h"
#include "table.h"
#include <math.h>
#include <stdio.h>

#define MOST_NESTED 1000

/* A container whose repr is under way in this thread. */
typedef struct shown {
    tally_object *object;
    struct shown *outer;
} shown;

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
    TALLY_PLAIN_CALL();
    if (!object) {
        tally_expected("an object", NULL);
        return NULL;
    }
    tally_thread_require();
    tally_object *type = tally_type_entry(object)->object;
    tally_incref(type); /* the object keeps its type alive */
    return type;
}

const char *tally_type_name(tally_object *object) {
    TALLY_PLAIN_CALL();
    return object ? tally_type_entry(object)->name : "NULL";
}

size_t tally_size_locked(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    if (type->native) return tally_memory_size(object); /* extra bytes are in no field of it */
    return type->size + (type->extra_size ? type->extra_size(object) : 0);
}

ptrdiff_t tally_sizeof(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!object) return tally_expected("an object", NULL);
    tally_thread_require();
    tally_type *type = tally_type_entry(object);
    bool has_array = type->flags & TALLY_TYPE_CONTAINER && !type->native && type->extra_size &&
                     object->type != TALLY_TYPE_TUPLE;
    if (!has_array) return (ptrdiff_t)tally_size_locked(object);
    /* Its array might be freed by another thread while it is looked at. */
    unsigned token = tally_lock_object(object);
    size_t size = tally_size_locked(object);
    tally_unlock_object(object, token);
    return (ptrdiff_t)size;
}

/* ---- hash --------------------------------------------------------------- */

/* A user's function that gives -1 without an error means no failure. */
static __attribute__((noinline)) int64_t hash_by_user(tally_type *type, tally_object *object) {
    tally_pending_error pending;
    tally_error_put_aside(&pending);
    TALLY_CHECKED(tally_check_may_run_foreign_code());
    int64_t hash = type->hash(object);
    if (tally_error_kind() != TALLY_NO_ERROR) return hash;
    tally_error_put_back(&pending);
    return tally_valid_hash(hash);
}

int64_t tally_hash(tally_object *object) {
    return TALLY_LIKELY(object != NULL) ? tally_hash_known(object)
                                        : tally_expected("an object", NULL);
}

int64_t tally_hash_known(tally_object *object) {
    if (object->type == TALLY_TYPE_STR) return tally_str_hash((tally_str *)object);
    if (object->type == TALLY_TYPE_INT) return tally_int_hash(object);
    tally_type *type = tally_type_entry(object);
    if (type->unhashable || (!type->hash && type->equal)) {
        tally_error_set(TALLY_TYPE_ERROR, "unhashable type: '%s'", type->name);
        return -1;
    }
    if (!type->hash) return tally_identity_hash(object);
    if (tally_recursion_enter() < 0) return -1;
    int64_t hash = type->native ? hash_by_user(type, object) : type->hash(object);
    tally_recursion_leave();
    return hash;
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
    if (whole_a)
        *order = int_to_double_order(tally_integral_value(a), y);
    else if (whole_b)
        *order = -int_to_double_order(tally_integral_value(b), x);
    else
        *order = (x > y) - (x < y);
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
    if (type->native) TALLY_CHECKED(tally_check_may_run_foreign_code());
    int equal = type->equal(a, b);
    tally_recursion_leave();
    return equal < 0 ? -1 : equal > 0;
}

int tally_item_equal(tally_object *a, tally_object *b) { return a == b ? 1 : tally_equal(a, b); }

/* ---- containers that change meanwhile ------------------------------------- */

/* Other threads may be in it. */
static bool is_shared(tally_object *container) {
    return TALLY_LOCK_FREE_READS &&
           !(tally_refcount_owned(&container->refcount) && tally_lock_is_biased(container));
}

/* Of this many tries to find both of two containers as they were copied. */
enum { COPY_TRIES = 100 };

/* A tuple or a list that is read item by item: a tuple's own items, or copied ones, or NULL: as
 * they are then. */
typedef struct sequence {
    tally_object *object;
    tally_object *const *items;
    tally_object **copy; /* NULL: none */
    ptrdiff_t length;    /* of items */
} sequence;

static sequence sequence_of(tally_object *object) {
    sequence s = {.object = object};
    if (object->type != TALLY_TYPE_TUPLE) return s;
    s.items = ((tally_tuple *)object)->items;
    s.length = ((tally_tuple *)object)->length;
    return s;
}
static void sequence_end(sequence *s) {
    if (s->copy) tally_list_drop_copy(s->copy, s->length);
    s->items = s->copy = NULL;
}
/* Of a list. Without memory it is read as it is then. */
static bool sequence_copy(sequence *s) {
    s->items = s->copy = tally_list_copy(s->object, &s->length);
    return s->copy != NULL;
}

/* Lists, or tuples. */
static void sequences_begin(sequence pair[2], tally_object *a, tally_object *b) {
    pair[0] = sequence_of(a);
    pair[1] = sequence_of(b);
    if (a->type == TALLY_TYPE_TUPLE || (!is_shared(a) && !is_shared(b))) return;
    for (unsigned tries = COPY_TRIES;;) {
        if (!sequence_copy(&pair[0])) break;
        TALLY_FAILPOINT(first_copied);
        if (!sequence_copy(&pair[1])) break;
        if (--tries == 0 || tally_list_is_copy(a, pair[0].copy, pair[0].length)) return;
        sequence_end(&pair[0]);
        sequence_end(&pair[1]);
    }
    sequence_end(&pair[0]);
}
static void sequences_end(sequence pair[2]) {
    sequence_end(&pair[0]);
    sequence_end(&pair[1]);
}

/* The item at index with a new reference; NULL: past the end. */
static tally_object *sequence_item(sequence *s, ptrdiff_t index) {
    if (!s->items) return tally_list_item(s->object, index);
    if (index >= s->length) return NULL;
    tally_incref(s->items[index]);
    return s->items[index];
}

/*
 * The first items of two sequences that differ, with new references: 1; 0: none,
 * *order says which is longer; -1.
 */
static int first_difference(sequence pair[2], tally_object *items[2], int *order) {
    for (ptrdiff_t i = 0;; i++) {
        items[0] = sequence_item(&pair[0], i);
        items[1] = sequence_item(&pair[1], i);
        *order = (items[0] != NULL) - (items[1] != NULL);
        int equal = items[0] && items[1] ? tally_item_equal(items[0], items[1]) : 2;
        if (equal == 0) return 1;
        tally_xdecref(items[0]);
        tally_xdecref(items[1]);
        if (equal != 1) return equal < 0 ? -1 : 0;
    }
}

static void drop_pair(tally_object *pair[2]) {
    tally_decref(pair[0]);
    tally_decref(pair[1]);
}

/* Lengths that are not the same were so at one moment, though read at two: one list changes at a
 * time. */
int tally_list_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_LIST) || tally_list_length(a) != tally_list_length(b))
        return 0;
    sequence pair[2];
    tally_object *items[2];
    sequences_begin(pair, a, b);
    int order, different = first_difference(pair, items, &order);
    if (different == 1) drop_pair(items);
    sequences_end(pair);
    if (different < 0) return -1;
    return different == 0 && order == 0;
}

static tally_table_place *table_of(tally_object *dict) { return &((tally_dict *)dict)->table; }

/* Whether dict has the key with an equal value. */
static int dict_has_equal(tally_object *dict, tally_object *key, int64_t hash,
                          tally_object *value) {
    int error;
    tally_object *other = tally_table_get_hashed(dict, table_of(dict), key, hash, &error);
    if (!other) return error;
    int equal = tally_item_equal(value, other);
    tally_decref(other);
    return equal;
}

/* Entry by entry, as they are then. */
static int dicts_equal(tally_object *a, tally_object *b) {
    tally_object *key, *value;
    uint32_t at = 0;
    int64_t hash;
    while (tally_table_step(a, table_of(a), &at, &hash, &key, &value)) {
        int equal = dict_has_equal(b, key, hash, value);
        tally_decref(key);
        tally_decref(value);
        if (equal <= 0) return equal;
    }
    return 1;
}

static tally_object *read(tally_slot *slot) { return tally_load_relaxed(slot); }

static void free_copy(tally_table *copy) {
    if (copy) tally_table_free(copy);
}

/* Copies have a reference to each key and value. */
static int copies_equal(tally_table *a, tally_table *b) {
    uint32_t at = 0;
    for (tally_entry *entry; (entry = tally_table_next_entry(a, &at));) {
        int error;
        tally_object *other = tally_table_find_value(b, read(&entry->key), entry->hash, &error);
        int equal = other ? tally_item_equal(read(&entry->value), other) : error;
        if (equal <= 0) return equal;
    }
    return 1;
}

/* False: no memory. */
static bool copy_dicts(tally_object *a, tally_object *b, tally_table *copies[2]) {
    for (unsigned tries = COPY_TRIES;;) {
        if (tally_table_copy(a, table_of(a), &copies[0]) < 0) return false;
        TALLY_FAILPOINT(first_copied);
        if (tally_table_copy(b, table_of(b), &copies[1]) < 0) {
            free_copy(copies[0]);
            return false;
        }
        if (--tries == 0 || tally_table_is_copy(a, table_of(a), copies[0])) return true;
        free_copy(copies[0]);
        free_copy(copies[1]);
    }
}

int tally_dict_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_DICT) || tally_dict_length(a) != tally_dict_length(b))
        return 0;
    tally_table *copies[2];
    if ((!is_shared(a) && !is_shared(b)) || !copy_dicts(a, b, copies)) return dicts_equal(a, b);
    bool same_length = tally_table_length(copies[0]) == tally_table_length(copies[1]);
    int equal = same_length ? copies_equal(copies[0], copies[1]) : 0;
    free_copy(copies[0]);
    free_copy(copies[1]);
    return equal;
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
    sequence pair[2];
    tally_object *items[2];
    sequences_begin(pair, a, b);
    int result = first_difference(pair, items, order);
    if (result == 1) {
        result = tally_compare(items[0], items[1], order);
        drop_pair(items);
    }
    sequences_end(pair);
    tally_recursion_leave();
    return result;
}

int tally_compare(tally_object *a, tally_object *b, int *order) {
    if (TALLY_UNLIKELY(!a || !b || !order))
        return tally_expected("two objects and a place for their order", NULL);
    if (tally_is_number(a) && tally_is_number(b)) return number_compare(a, b, order);
    if (a->type == b->type) {
        if (a->type == TALLY_TYPE_STR) return str_compare((tally_str *)a, (tally_str *)b, order);
        if (a->type == TALLY_TYPE_TUPLE || a->type == TALLY_TYPE_LIST)
            return sequence_compare(a, b, order);
    }
    tally_error_set(TALLY_TYPE_ERROR, "no order between '%s' and '%s'", tally_type_name(a),
                    tally_type_name(b));
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
    tally_text text = {0};
    char address[40];
    bool is_type = object->type == TALLY_TYPE_TYPE;
    const char *name =
        is_type ? tally_types[((tally_type_object *)object)->index].name : tally_type_name(object);
    int length = is_type ? snprintf(address, sizeof address, "'>")
                         : snprintf(address, sizeof address, " object at %p>", (void *)object);
    bool failed = tally_text_add(&text, is_type ? "<class '" : "<", is_type ? 8 : 1) < 0 ||
                  tally_text_add(&text, name, strlen(name)) < 0 ||
                  tally_text_add(&text, address, (size_t)length) < 0;
    return tally_text_finish(&text, failed);
}

tally_object *tally_repr(tally_object *object) {
    if (!object) {
        tally_expected("an object", NULL);
        return NULL;
    }
    tally_thread_require();
    tally_type *type = tally_type_entry(object);
    if (!type->repr) return default_repr(object);
    if (tally_recursion_enter() < 0) return NULL;
    if (type->native) TALLY_CHECKED(tally_check_may_run_foreign_code());
    tally_object *str = type->repr(object);
    tally_recursion_leave();
    if (!str || str->type == TALLY_TYPE_STR) return str;
    tally_error_set(TALLY_TYPE_ERROR, "the repr of a '%s' is no str but a '%s'", type->name,
                    tally_type_name(str));
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

static int add_separator(tally_text *text, ptrdiff_t index) {
    return index ? tally_text_add(text, ", ", 2) : 0;
}

static int add_item(tally_text *text, ptrdiff_t index, tally_object *item) {
    return add_separator(text, index) < 0 ? -1 : add_repr(text, item);
}

static int add_items(tally_text *text, tally_object *object) {
    sequence s = sequence_of(object);
    int result = 0;
    if (!s.items && is_shared(object) && !sequence_copy(&s)) return tally_no_memory();
    ptrdiff_t i = 0;
    for (tally_object *item; result == 0 && (item = sequence_item(&s, i)); i++) {
        result = add_item(text, i, item);
        tally_decref(item);
    }
    sequence_end(&s);
    return result == 0 && i == 1 && object->type == TALLY_TYPE_TUPLE ? tally_text_add(text, ",", 1)
                                                                     : result;
}

static int add_entry(tally_text *text, ptrdiff_t index, tally_object *key, tally_object *value) {
    if (add_item(text, index, key) < 0 || tally_text_add(text, ": ", 2) < 0) return -1;
    return add_repr(text, value);
}

static int add_entries_now(tally_text *text, tally_object *dict) {
    tally_object *key, *value;
    uint32_t at = 0;
    int64_t hash;
    for (ptrdiff_t i = 0; tally_table_step(dict, table_of(dict), &at, &hash, &key, &value); i++) {
        int added = add_entry(text, i, key, value);
        tally_decref(key);
        tally_decref(value);
        if (added < 0) return -1;
    }
    return 0;
}

static int add_entries(tally_text *text, tally_object *dict) {
    tally_table *copy;
    if (!is_shared(dict)) return add_entries_now(text, dict);
    if (tally_table_copy(dict, table_of(dict), &copy) < 0) return tally_no_memory();
    int result = 0;
    uint32_t at = 0;
    ptrdiff_t i = 0;
    for (tally_entry *entry; result == 0 && (entry = tally_table_next_entry(copy, &at));)
        result = add_entry(text, i++, read(&entry->key), read(&entry->value));
    free_copy(copy);
    return result;
}

/* What add adds for a container, in brackets; a container within itself is shown as dots. */
static tally_object *container_repr(tally_object *object, const char brackets[2],
                                    int (*add)(tally_text *, tally_object *)) {
    char dots[5] = {brackets[0], '.', '.', '.', brackets[1]};
    if (being_shown(object)) return tally_str_new(dots, 5);
    shown self = {object, innermost};
    innermost = &self;
    tally_text text = {0};
    bool failed = tally_text_add(&text, &brackets[0], 1) < 0 || add(&text, object) < 0 ||
                  tally_text_add(&text, &brackets[1], 1) < 0;
    innermost = self.outer;
    return tally_text_finish(&text, failed);
}

tally_object *tally_tuple_repr(tally_object *object) {
    return container_repr(object, "()", add_items);
}
tally_object *tally_list_repr(tally_object *object) {
    return container_repr(object, "[]", add_items);
}
tally_object *tally_dict_repr(tally_object *object) {
    return container_repr(object, "{}", add_entries);
}
