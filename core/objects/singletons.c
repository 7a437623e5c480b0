/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * values.c: the start of the static values, and the entries of the types that
 * hold no references, in the table of types.
 *
 * Invariant: the static objects are the same for all run times of a process;
 * nothing writes them after the start.
 */
#include "abstract.h"

int tally_values_start(void) {
    tally_small_ints_start();
    tally_short_strs_start();
    return 0;
}

void tally_values_end(void) {} /* all static */

static tally_object *none_repr(tally_object *object) {
    (void)object;
    return tally_str_new("None", 4);
}

static tally_object *bool_repr(tally_object *object) {
    return object == tally_true ? tally_str_new("True", 4) : tally_str_new("False", 5);
}

static int64_t str_hash(tally_object *object) { return tally_str_hash((tally_str *)object); }

static tally_type *fill(int index, const char *name, size_t size,
                        tally_object *(*repr)(tally_object *)) {
    tally_type *type = &tally_types[index];
    if (!type->name) type->name = (char *)name; /* else whoever made the entry named it */
    type->size = size;
    type->repr = repr;
    return type;
}

static void fill_number(tally_type *type, int64_t (*hash)(tally_object *)) {
    type->hash = hash;
    type->equal = tally_number_equal;
}

void tally_register_values(void) {
    fill(TALLY_TYPE_NONE, "NoneType", sizeof(tally_object), none_repr);
    fill_number(fill(TALLY_TYPE_BOOL, "bool", sizeof(tally_object), bool_repr), tally_int_hash);
    fill_number(fill(TALLY_TYPE_INT, "int", sizeof(tally_int), tally_int_repr), tally_int_hash);
    fill_number(fill(TALLY_TYPE_FLOAT, "float", sizeof(tally_float), tally_float_repr),
                tally_float_hash);
    tally_type *str = fill(TALLY_TYPE_STR, "str", sizeof(tally_str), tally_str_repr);
    str->hash = str_hash;
    str->equal = tally_str_equal;
    str->extra_size = tally_str_extra_size;
}
