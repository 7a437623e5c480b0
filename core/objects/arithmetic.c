/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * arithmetic.c: arithmetic with Python's rounding: division rounds down, and a remainder has the
 * sign of the divisor.
 *
 * Invariant: a result of ints is exact, or there is an overflow error. An int is rounded to a
 * double first if the other operand is a float, or for a division.
 */
#include "abstract.h"
#include <math.h>

static tally_object *unsupported(const char *symbol, tally_object *a, tally_object *b) {
    return tally_fail_null(TALLY_TYPE_ERROR, "unsupported operand types for %s: '%s' and '%s'",
                           symbol, tally_type_name(a), tally_type_name(b));
}

static tally_object *overflow(void) {
    return tally_fail_null(TALLY_OVERFLOW_ERROR, "int too large");
}

static tally_object *zero_division(void) {
    return tally_fail_null(TALLY_ZERO_DIVISION_ERROR, "division by zero");
}

static bool both_integral(tally_object *a, tally_object *b) {
    return tally_is_integral(a) && tally_is_integral(b);
}

/* Gives both as doubles; false: one is no number. */
static bool as_doubles(tally_object *a, tally_object *b, double *x, double *y) {
    if (!tally_is_number(a) || !tally_is_number(b)) return false;
    *x = tally_float_value(a);
    *y = tally_float_value(b);
    return true;
}

/* Takes the references. */
static tally_object *list_of(tally_object **a, ptrdiff_t in_a, tally_object **b, ptrdiff_t in_b) {
    tally_object *list = tally_list_new(in_a + in_b);
    for (ptrdiff_t i = 0; list && i < in_a; i++) tally_list_put_new(list, a[i]);
    for (ptrdiff_t i = 0; list && i < in_b; i++) tally_list_put_new(list, b[i]);
    return list;
}

enum { JOIN_TRIES = 100 };

/* Both lists may change meanwhile. The copy of the first is rechecked after the second was copied,
 * so that both were so at one moment; after JOIN_TRIES changes they are taken as they are. */
static tally_object *list_merge(tally_object *a, tally_object *b) {
    for (unsigned tries = JOIN_TRIES;;) {
        ptrdiff_t in_a, in_b;
        tally_object **of_a = tally_list_copy(a, &in_a);
        TALLY_FAILPOINT(first_copied);
        tally_object **of_b = of_a ? tally_list_copy(b, &in_b) : NULL;
        if (of_a && !of_b) tally_list_drop_copy_later(of_a, in_a);
        if (!of_b) return tally_no_memory_null();
        if (!TALLY_LOCK_FREE_READS || --tries == 0 || tally_list_is_copy(a, of_a, in_a)) {
            tally_object *list = list_of(of_a, in_a, of_b, in_b);
            if (list) {
                tally_list_free_copy(of_a);
                tally_list_free_copy(of_b);
                return list;
            }
            tries = 0;
        }
        tally_list_drop_copy_later(of_a, in_a);
        tally_list_drop_copy_later(of_b, in_b);
        if (tries == 0) return NULL;
    }
}

static tally_object *str_join(tally_object *first, tally_object *second) {
    tally_str *a = (tally_str *)first, *b = (tally_str *)second;
    if (a->length == 0 || b->length == 0) {
        tally_object *whole = a->length ? first : second;
        tally_incref(whole);
        return whole;
    }
    size_t length = (size_t)a->length + b->length;
    /* the constructor knows the static strs and the longest */
    char two[2] = {a->data[0], b->data[0]};
    if (length == 2) return tally_str_new(two, 2);
    /* A value error: nothing is copied. */
    if (length > INT32_MAX) return tally_str_new(a->data, (ptrdiff_t)length);
    tally_str *str = tally_object_alloc(TALLY_TYPE_STR, sizeof *str + length + 1, TALLY_PLAIN);
    if (!str) return NULL;
    tally_str_begin(str, (uint32_t)length);
    memcpy(str->data, a->data, a->length);
    memcpy(str->data + a->length, b->data, b->length);
    return tally_object_publish(str);
}

tally_object *tally_add(tally_object *a, tally_object *b) {
    if (both_integral(a, b)) {
        int64_t sum;
        return __builtin_add_overflow(tally_integral_value(a), tally_integral_value(b), &sum)
                   ? overflow()
                   : tally_int_new(sum);
    }
    double x, y;
    if (as_doubles(a, b, &x, &y)) return tally_float_new(x + y);
    if (tally_has_type(a, TALLY_TYPE_STR) && tally_has_type(b, TALLY_TYPE_STR))
        return str_join(a, b);
    if (tally_has_type(a, TALLY_TYPE_TUPLE) && tally_has_type(b, TALLY_TYPE_TUPLE))
        return tally_tuple_join(a, b);
    if (tally_has_type(a, TALLY_TYPE_LIST) && tally_has_type(b, TALLY_TYPE_LIST))
        return list_merge(a, b);
    return unsupported("+", a, b);
}

tally_object *tally_subtract(tally_object *a, tally_object *b) {
    if (both_integral(a, b)) {
        int64_t difference;
        return __builtin_sub_overflow(tally_integral_value(a), tally_integral_value(b), &difference)
                   ? overflow()
                   : tally_int_new(difference);
    }
    double x, y;
    return as_doubles(a, b, &x, &y) ? tally_float_new(x - y) : unsupported("-", a, b);
}

tally_object *tally_multiply(tally_object *a, tally_object *b) {
    if (both_integral(a, b)) {
        int64_t product;
        return __builtin_mul_overflow(tally_integral_value(a), tally_integral_value(b), &product)
                   ? overflow()
                   : tally_int_new(product);
    }
    double x, y;
    return as_doubles(a, b, &x, &y) ? tally_float_new(x * y) : unsupported("*", a, b);
}

tally_object *tally_divide(tally_object *a, tally_object *b) {
    double x, y;
    if (!as_doubles(a, b, &x, &y)) return unsupported("/", a, b);
    return y == 0 ? zero_division() : tally_float_new(x / y);
}

/* The quotient, rounded down, and the remainder of doubles, y not 0, as CPython's float_divmod. */
static double double_divide(double x, double y, double *remainder) {
    double rest = fmod(x, y);
    double quotient = (x - rest) / y; /* nearly whole */
    if (rest == 0)
        rest = copysign(0, y);
    else if ((y < 0) != (rest < 0)) {
        rest += y;
        quotient -= 1;
    }
    *remainder = rest;
    if (quotient == 0) return copysign(0, x / y);
    double whole = floor(quotient);
    return quotient - whole > 0.5 ? whole + 1 : whole;
}

/* b is not 0; C rounds towards 0. */
static tally_object *int_floor_divide(int64_t a, int64_t b) {
    if (a == INT64_MIN && b == -1) return overflow();
    int64_t quotient = a / b;
    return tally_int_new(quotient - (a % b != 0 && (a < 0) != (b < 0)));
}

static tally_object *int_remainder(int64_t a, int64_t b) {
    if (b == -1) return tally_int_new(0); /* INT64_MIN % -1 traps */
    int64_t rest = a % b;
    return tally_int_new(rest != 0 && (rest < 0) != (b < 0) ? rest + b : rest);
}

tally_object *tally_floor_divide(tally_object *a, tally_object *b) {
    double x, y, remainder;
    if (both_integral(a, b)) {
        int64_t divisor = tally_integral_value(b);
        return divisor ? int_floor_divide(tally_integral_value(a), divisor) : zero_division();
    }
    if (!as_doubles(a, b, &x, &y)) return unsupported("//", a, b);
    return y == 0 ? zero_division() : tally_float_new(double_divide(x, y, &remainder));
}

tally_object *tally_remainder(tally_object *a, tally_object *b) {
    double x, y, remainder;
    if (both_integral(a, b)) {
        int64_t divisor = tally_integral_value(b);
        return divisor ? int_remainder(tally_integral_value(a), divisor) : zero_division();
    }
    if (!as_doubles(a, b, &x, &y)) return unsupported("%", a, b);
    if (y == 0) return zero_division();
    double_divide(x, y, &remainder);
    return tally_float_new(remainder);
}
