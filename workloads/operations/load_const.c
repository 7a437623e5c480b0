/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * load-string-const and load-tuple-const: count the ints that are not equal to 'a string', or to
 * (1, 2). They stand for code that compares with names, or with constant tuples.
 *
 * The constant is an item of a tuple that all threads share. It is immortal, so nothing is counted
 * for it, and the str is interned, as CPython's are; with a GIL CPython counts the tuple.
 */
#include "patterns.h"

struct shared {
    tally_object *constants;
};

static void setup(struct shared *shared, const workload_context *context, tally_object *constant) {
    shared->constants = workload_keep(context, tally_tuple_new(&constant, 1), 1);
    tally_decref(constant);
}

static void set_up_string(struct shared *shared, const workload_context *context) {
    setup(shared, context, workload_name("a string"));
}

static void set_up_tuple(struct shared *shared, const workload_context *context) {
    tally_object *const items[] = {workload_int(1), workload_int(2)};
    setup(shared, context, pattern_constant(tally_tuple_new(items, 2)));
    tally_decref(items[0]);
    tally_decref(items[1]);
}

static void iterate(tally_object *constants, tally_object **sum, tally_object *one, int64_t i) {
    tally_object *number = workload_int(i);
    tally_object *constant = workload_object(tally_tuple_get(constants, 0));
    int equal = workload_done(tally_equal(number, constant));
    tally_decref(constant);
    tally_decref(number);
    if (equal != 0) workload_fail("an int is equal to a constant of another type");
    pattern_add(sum, one);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *sum = workload_int(0), *one = workload_int(1);
    int64_t i = 0;
    PATTERN_LOOP() iterate(shared->constants, &sum, one, i++);
    tally_decref(one);
    pattern_check_int(sum, PATTERN_ITERATIONS);
    return PATTERN_ITERATIONS;
}

PATTERN(load_string_const, .name = "load-string-const",
        .description = "Compare ints with an immortal constant that all threads load: code that "
                       "compares with names.",
        .setup = set_up_string);

PATTERN(load_tuple_const, .name = "load-tuple-const",
        .description = "Compare ints with an immortal constant that all threads load: code with "
                       "constant tuples.",
        .setup = set_up_tuple);
