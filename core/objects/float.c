/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * float.c: the type `float`, a double.
 *
 * Invariants: a float that equals an int has the int's hash; a NaN equals nothing and has a hash by
 * its identity; a float's repr is the shortest text that reads back as the same double.
 */
#include "abstract.h"
#include <float.h>
#include <math.h>
#include <stdio.h>

tally_object *tally_float_new(double value) {
    TALLY_PLAIN_CALL();
    tally_float *object = tally_object_alloc(TALLY_TYPE_FLOAT, sizeof *object, TALLY_PLAIN);
    if (!object) return NULL;
    object->value = value;
    return tally_object_publish(object);
}

double tally_float_value(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (tally_has_type(object, TALLY_TYPE_FLOAT)) return ((tally_float *)object)->value;
    if (tally_is_integral(object)) return (double)tally_integral_value(object);
    return tally_expected("a float", object);
}

static int64_t float_hash(tally_object *object) {
    double value = ((tally_float *)object)->value;
    /* n NaNs in a dict are to have n hashes */
    if (isnan(value)) return tally_identity_hash(object);
    if (value >= -0x1p63 && value < 0x1p63 && (double)(int64_t)value == value)
        return tally_valid_hash((int64_t)value);
    uint64_t bits;
    memcpy(&bits, &value, sizeof bits);
    /* fractions differ in few high bits, which are spread over the low ones */
    bits = (bits ^ bits >> 32) * UINT64_C(0x9e3779b97f4a7c15);
    return tally_valid_hash((int64_t)(bits ^ bits >> 29));
}

/* The fewest decimal digits that read back as value, a finite number above 0;
 * value = 0.d1d2d3… * 10^point. Returns how many digits. */
static int shortest_digits(double value, char digits[18], int *point) {
    char text[40];
    /* normal numbers keep any 15 digits, so of 15 only trailing zeros can be too many */
    for (int precision = value < DBL_MIN ? 1 : 15;; precision++) {
        snprintf(text, sizeof text, "%.*e", precision - 1, value);
        if (precision == 17 || strtod(text, NULL) == value) break;
    }
    int count = 0;
    const char *at = text;
    for (; *at != 'e'; at++) /* the locale's point is no digit */
        if (*at >= '0' && *at <= '9') digits[count++] = *at;
    *point = atoi(at + 1) + 1;
    while (count > 1 && digits[count - 1] == '0') count--;
    return count;
}

/* Python's layout: plain from 1e-4 up to 1e16, else with an exponent. */
static size_t lay_out(char *out, const char *digits, int count, int point) {
    char *at = out;
    if (point > 16 || point < -3) {
        *at++ = digits[0];
        if (count > 1) *at++ = '.';
        for (int i = 1; i < count; i++) *at++ = digits[i];
        return (size_t)(at - out) + (size_t)sprintf(at, "e%+03d", point - 1);
    }
    if (point <= 0) {
        *at++ = '0';
        *at++ = '.';
        for (int i = point; i < 0; i++) *at++ = '0';
        for (int i = 0; i < count; i++) *at++ = digits[i];
        return (size_t)(at - out);
    }
    for (int i = 0; i < point; i++) *at++ = i < count ? digits[i] : '0';
    *at++ = '.';
    if (count <= point) *at++ = '0';
    for (int i = point; i < count; i++) *at++ = digits[i];
    return (size_t)(at - out);
}

static tally_object *float_repr(tally_object *object) {
    double value = ((tally_float *)object)->value;
    if (isnan(value)) return tally_str_new("nan", 3);
    char text[48], digits[18] = "0";
    size_t length = 0;
    if (signbit(value)) text[length++] = '-';
    value = fabs(value);
    if (isinf(value)) {
        memcpy(text + length, "inf", 3);
        return tally_str_new(text, (ptrdiff_t)length + 3);
    }
    int point = 1, count = value == 0 ? 1 : shortest_digits(value, digits, &point);
    length += lay_out(text + length, digits, count, point);
    return tally_str_new(text, (ptrdiff_t)length);
}

void tally_register_float(void) {
    tally_type *type = &tally_types[TALLY_TYPE_FLOAT];
    type->hash = float_hash;
    type->equal = tally_number_equal;
    type->repr = float_repr;
}
