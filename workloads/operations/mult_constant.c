/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mult-constant: x *= 1.01. It stands for arithmetic with constants.
 *
 * The constant is an item of a tuple that all threads share, as those of a function are, and
 * immortal, as in CPython without a GIL; x is the worker's own.
 */
#include "patterns.h"

#define CONSTANT 1.01

struct shared {
    tally_object *constants;
};

static void setup(struct shared *shared, const workload_context *context) {
    tally_object *constant = pattern_constant(tally_float_new(CONSTANT));
    shared->constants = workload_keep(context, tally_tuple_new(&constant, 1), 1);
    tally_decref(constant);
}

static tally_object *iterate(tally_object *constants, tally_object *x) {
    tally_object *constant = workload_object(tally_tuple_get(constants, 0));
    tally_object *product = workload_object(tally_multiply(x, constant));
    tally_decref(constant);
    tally_decref(x);
    return product;
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *x = workload_object(tally_float_new(1));
    double known = 1;
    PATTERN_LOOP() {
        x = iterate(shared->constants, x);
        known *= CONSTANT;
    }
    if (tally_float_value(x) != known)
        workload_fail("the product is %.17g, not %.17g", tally_float_value(x), known);
    tally_decref(x);
    return PATTERN_ITERATIONS;
}

PATTERN(mult_constant, .name = "mult-constant",
        .description = "Multiply one's own float by an immortal constant that all threads load: "
                       "arithmetic in functions.",
        .setup = setup);
