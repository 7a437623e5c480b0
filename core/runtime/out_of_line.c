/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * out_of_line.c: the inline functions of the public headers once more, as symbols of the library,
 * for languages that cannot include a C header. A program in C never refers to them.
 */
#define tally_incref          inline_incref
#define tally_decref          inline_decref
#define tally_xincref         inline_xincref
#define tally_xdecref         inline_xdecref
#define tally_safepoint       inline_safepoint
#define tally_borrowed_object inline_borrowed_object
#include "tally.h"
#undef tally_incref
#undef tally_decref
#undef tally_xincref
#undef tally_xdecref
#undef tally_safepoint
#undef tally_borrowed_object

void tally_incref(tally_object *object) { inline_incref(object); }
void tally_decref(tally_object *object) { inline_decref(object); }
void tally_xincref(tally_object *object) { inline_xincref(object); }
void tally_xdecref(tally_object *object) { inline_xdecref(object); }
void tally_safepoint(void) { inline_safepoint(); }
tally_object *tally_borrowed_object(tally_borrowed borrowed) {
    return inline_borrowed_object(borrowed);
}

/* What the macros of the same names give. */
#undef tally_none
#undef tally_false
#undef tally_true
tally_object *tally_none(void) { return &tally_singletons[0]; }
tally_object *tally_false(void) { return &tally_singletons[1]; }
tally_object *tally_true(void) { return &tally_singletons[2]; }
