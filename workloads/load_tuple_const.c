/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-tuple-const: count the ints that are not equal to (1, 2). It stands for
 * code that compares with and returns constant tuples.
 *
 * The constant is an item of a tuple that all threads share. It is immortal, as in
 * CPython without a GIL; with one CPython counts it.
 */
#include "patterns.h"

static void *setup(const workload_context *context) {
    tally_object *const items[] = {pattern_int(1), pattern_int(2)};
    tally_object *constant = pattern_constant(tally_tuple_new(items, 2));
    tally_object *constants = workload_object(tally_tuple_new(&constant, 1));

    (void)context;
    tally_decref(constant);
    tally_decref(items[0]);
    tally_decref(items[1]);
    return constants;
}

static void iterate(tally_object *constants, tally_object **sum, tally_object *one, int64_t i) {
    tally_object *number = pattern_int(i);
    tally_object *constant = workload_object(tally_tuple_get(constants, 0));
    int equal = workload_done(tally_equal(number, constant));

    tally_decref(constant);
    tally_decref(number);
    if (equal != 0) workload_fail("an int is equal to a tuple");
    pattern_add(sum, one);
}

static uint64_t run(void *opaque) {
    tally_object *sum = pattern_int(0), *one = pattern_int(1);

    for (int64_t i = 0; i < PATTERN_ITERATIONS; i++) {
        iterate(opaque, &sum, one, i);
        if (i % PATTERN_A_SAFEPOINT == 0) tally_safepoint();
    }
    tally_decref(one);
    pattern_check_int(sum, PATTERN_ITERATIONS);
    return PATTERN_ITERATIONS;
}

static void teardown(void *state) { workload_check_and_drop((tally_object *[]){state}, 1, 1); }

const tally_workload workload_load_tuple_const = {
    .name = "load-tuple-const",
    .kind = SINGLE_OPERATIONS,
    .description =
        "Compare ints with an immortal constant that all threads load: code with constant tuples.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
