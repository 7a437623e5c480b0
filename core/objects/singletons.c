/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* singletons.c: None, False and True. */
#include "abstract.h"

tally_object tally_singletons[3] = {
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_NONE, 0, 0},
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_BOOL, 0, 0},
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_BOOL, 0, 0},
};

static tally_object *none_repr(tally_object *object) { return tally_str_new("None", 4); }

static tally_object *bool_repr(tally_object *object) {
    return object == tally_true ? tally_str_new("True", 4) : tally_str_new("False", 5);
}

void tally_register_singletons(void) {
    tally_types[TALLY_TYPE_NONE].repr = none_repr;
    tally_type *bool_ = &tally_types[TALLY_TYPE_BOOL];
    bool_->hash = tally_int_hash;
    bool_->equal = tally_number_equal;
    bool_->repr = bool_repr;
}
