/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-string-const: count the ints that are not equal to 'a string'. It stands
 * for code that compares with names.
 *
 * The constant is an item of a tuple that all threads share. It is interned
 * and immortal, as CPython's are: nothing is counted for it.
 */
#include "patterns.h"

static void *setup(const workload_context *context) {
    tally_object *constant = pattern_name("a string");
    tally_object *constants = workload_object(tally_tuple_new(&constant, 1));

    (void)context;
    tally_decref(constant);
    return constants;
}

static void iterate(tally_object *constants, tally_object **sum, tally_object *one, int64_t i) {
    tally_object *number = pattern_int(i);
    tally_object *constant = workload_object(tally_tuple_get(constants, 0));
    int equal = workload_done(tally_equal(number, constant));

    tally_decref(constant);
    tally_decref(number);
    if (equal != 0) workload_fail("an int is equal to a str");
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

const tally_workload workload_load_string_const = {
    .name = "load-string-const",
    .kind = SINGLE_OPERATIONS,
    .description = "Compare ints with an immortal constant that all threads load: code that "
                   "compares with names.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
