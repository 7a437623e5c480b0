/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mult-constant: x *= 1.01. It stands for arithmetic with constants.
 *
 * The constant is an item of a tuple that all threads share, as those of a
 * function are, and immortal, as in CPython without a GIL; x is the worker's own.
 */
#include "patterns.h"

#define CONSTANT 1.01

static void *setup(const workload_context *context) {
    tally_object *constant = pattern_constant(tally_float_new(CONSTANT));
    tally_object *constants = workload_object(tally_tuple_new(&constant, 1));

    (void)context;
    tally_decref(constant);
    return constants;
}

static tally_object *iterate(tally_object *constants, tally_object *x) {
    tally_object *constant = workload_object(tally_tuple_get(constants, 0));
    tally_object *product = workload_object(tally_multiply(x, constant));

    tally_decref(constant);
    tally_decref(x);
    return product;
}

static uint64_t run(void *opaque) {
    tally_object *x = workload_object(tally_float_new(1));
    double known = 1;

    for (unsigned i = 0; i < PATTERN_ITERATIONS; i++) {
        x = iterate(opaque, x);
        known *= CONSTANT;
        if (i % PATTERN_A_SAFEPOINT == 0) tally_safepoint();
    }
    if (tally_float_value(x) != known)
        workload_fail("the product is %.17g, not %.17g", tally_float_value(x), known);
    tally_decref(x);
    return PATTERN_ITERATIONS;
}

static void teardown(void *state) { workload_check_and_drop((tally_object *[]){state}, 1, 1); }

const tally_workload workload_mult_constant = {
    .name = "mult-constant",
    .kind = SINGLE_OPERATIONS,
    .description = "Multiply one's own float by an immortal constant that all threads load: "
                   "arithmetic in functions.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
