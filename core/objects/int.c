/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * int.c: the type `int`, 64 bits wide.
 *
 * Invariant: an int from -5 to 256 is always the one immortal object of its
 * value, as in CPython; an int's value never changes.
 */
#include "abstract.h"
#include <inttypes.h>
#include <stdio.h>

#define SMALLEST (-5)
#define LARGEST  256

/* They have a page of their own, which nothing writes, so no line of theirs is shared. */
static _Alignas(4096) tally_int small_ints[LARGEST - SMALLEST + 1];

static void small_ints_start(void) {
    for (int i = 0; i <= LARGEST - SMALLEST; i++) {
        tally_int *small = &small_ints[i];
        small->base.refcount = (tally_refcounts)TALLY_REFCOUNT_IMMORTAL;
        small->base.type = TALLY_TYPE_INT;
        small->value = i + SMALLEST;
    }
}

tally_object *tally_int_new(int64_t value) {
    TALLY_PLAIN_CALL();
    if (value >= SMALLEST && value <= LARGEST) return &small_ints[value - SMALLEST].base;
    tally_int *object = tally_object_alloc(TALLY_TYPE_INT, sizeof *object, TALLY_PLAIN);
    if (!object) return NULL;
    object->value = value;
    return tally_object_publish(object);
}

int64_t tally_int_value(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_is_integral(object)) return tally_expected("an int", object);
    return tally_integral_value(object);
}

int64_t tally_int_hash(tally_object *object) {
    return tally_valid_hash(tally_integral_value(object));
}

static tally_object *int_repr(tally_object *object) {
    char text[24];
    return tally_str_new(text,
                         snprintf(text, sizeof text, "%" PRId64, ((tally_int *)object)->value));
}

void tally_register_int(void) {
    small_ints_start();
    tally_type *type = &tally_types[TALLY_TYPE_INT];
    type->hash = tally_int_hash;
    type->equal = tally_number_equal;
    type->repr = int_repr;
}
