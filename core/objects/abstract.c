/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * abstract.c: operations on an object of any type: type, size, hash, equality, and the order of
 * numbers.
 *
 * Invariants:
 *  - Equal and hashable objects have the same hash: 1, 1.0 and True.
 *  - An operation that succeeds leaves a pending error as it was.
 *  - Nesting is bounded, so no object can exhaust the stack.
 */
#include "abstract.h"
#include <math.h>

#define MOST_NESTED 1000

static _Thread_local unsigned nested;

int tally_recursion_enter(void) {
    if (nested < MOST_NESTED) {
        nested++;
        return 0;
    }
    return tally_fail(TALLY_RUNTIME_ERROR, "nested deeper than %d objects", MOST_NESTED);
}

void tally_recursion_leave(void) { nested--; }

/* ---- type and size ------------------------------------------------------ */

tally_object *tally_type_of(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!object) return tally_expected_null("an object", NULL);
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
    if (type->native) return tally_memory_size(object); /* its extra bytes are in no field */
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
    /* another thread might free its array */
    unsigned token = tally_lock_object(object);
    size_t size = tally_size_locked(object);
    tally_unlock_object(object, token);
    return (ptrdiff_t)size;
}

/* ---- hash --------------------------------------------------------------- */

/* A user's function that gives -1 without an error has not failed. */
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
    if (type->unhashable || (!type->hash && type->equal))
        return tally_fail(TALLY_TYPE_ERROR, "unhashable type: '%s'", type->name);
    if (!type->hash) return tally_identity_hash(object);
    if (tally_recursion_enter() < 0) return -1;
    int64_t hash = type->native ? hash_by_user(type, object) : type->hash(object);
    tally_recursion_leave();
    return hash;
}

/* ---- numbers ------------------------------------------------------------ */

static int sign_of(int64_t a, int64_t b) { return (a > b) - (a < b); }

/* Exact: no int is rounded. value is no NaN. */
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
    /* a native type knows the built-in ones, not the other way round */
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
