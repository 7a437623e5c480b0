/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * abstract.h: what the built-in types share: numbers as C values, the depth of recursion, text
 * under construction, and each other's functions.
 *
 * Invariant: the thread that enters a recursion leaves it, in reverse order.
 */
#ifndef TALLY_ABSTRACT_H
#define TALLY_ABSTRACT_H

#include "objects/object.h"

/* A bool counts as the int 0 or 1. */
static inline bool tally_is_integral(const tally_object *object) {
    return object && (object->type == TALLY_TYPE_INT || object->type == TALLY_TYPE_BOOL);
}
static inline int64_t tally_integral_value(const tally_object *object) {
    return object->type == TALLY_TYPE_INT ? ((const tally_int *)object)->value
                                          : object == tally_true;
}
static inline bool tally_is_number(const tally_object *object) {
    return tally_is_integral(object) || tally_has_type(object, TALLY_TYPE_FLOAT);
}
/* -1 means an error, so it is no hash. */
static inline int64_t tally_valid_hash(int64_t hash) { return hash == -1 ? -2 : hash; }

/* For objects that equal only themselves. */
static inline int64_t tally_identity_hash(const tally_object *object) {
    return (int64_t)((uintptr_t)object >> 4);
}

/* Hashes, comparisons and reprs nest. Entering fails with a run-time error beyond 1000 of them. */
int tally_recursion_enter(void);
void tally_recursion_leave(void);

/* Text that grows; data is from malloc, NULL at first. A failed add leaves it as it was. */
typedef struct tally_text {
    char *data;
    size_t length, capacity;
} tally_text;
int tally_text_add(tally_text *text, const char *data, size_t length);
/* A str of the text, which is freed. failed: only frees it and gives NULL. */
tally_object *tally_text_finish(tally_text *text, bool failed);

/* Equal as items of a container: an object equals itself, even a NaN. */
int tally_item_equal(tally_object *a, tally_object *b);
/* The order of two numbers of any type: 1 and *order; 0: one is a NaN. */
int tally_number_order(tally_object *a, tally_object *b, int *order);

/* ---- functions of the built-in types ---- */

int tally_number_equal(tally_object *a, tally_object *b);
int tally_str_equal(tally_object *a, tally_object *b);
int tally_list_equal(tally_object *a, tally_object *b);
int tally_dict_equal(tally_object *a, tally_object *b);

int64_t tally_int_hash(tally_object *object);

tally_object *tally_tuple_repr(tally_object *object);
tally_object *tally_list_repr(tally_object *object);
tally_object *tally_dict_repr(tally_object *object);

/* Each fills the entry of its type in the table of types. */
void tally_register_singletons(void), tally_register_int(void), tally_register_float(void),
    tally_register_str(void), tally_register_tuple(void), tally_register_list(void),
    tally_register_dict(void), tally_register_weakref(void);

tally_object *tally_tuple_join(tally_object *a, tally_object *b);

/* The item; NULL without an error: the list has no such index. */
tally_object *tally_list_item(tally_object *list, ptrdiff_t index);
/* New references to all items at one moment; NULL without an error set: no memory. A copy is
 * dropped now, or at the next safepoint; or only its memory is freed, once its references have gone
 * elsewhere. */
tally_object **tally_list_copy(tally_object *list, ptrdiff_t *length);
void tally_list_drop_copy(tally_object **items, ptrdiff_t length);
void tally_list_drop_copy_later(tally_object **items, ptrdiff_t length);
void tally_list_free_copy(tally_object **items);
/* The list had exactly these items at one moment of the call. The caller holds references to them;
 * no lock is taken. */
bool tally_list_is_copy(tally_object *list, tally_object *const *items, ptrdiff_t length);

/* The fields of a new str; its maker fills the data and publishes it. */
static inline void tally_str_begin(tally_str *str, uint32_t length) {
    str->length = length;
    tally_store_relaxed(&str->hash, 0);
    str->data[length] = 0;
}
bool tally_str_is_short(const tally_object *object); /* one of the static strs */

int64_t tally_hash_known(tally_object *object); /* tally_hash of an object that is not NULL */

#endif
