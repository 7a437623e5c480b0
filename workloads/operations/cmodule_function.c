/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cmodule-function: math.floor(i * i). It stands for calls of functions of a module written in C.
 *
 * `math` is an instance in the shared dict of globals, `floor` a function object among its
 * attributes; the numbers are the worker's own.
 */
#include "patterns.h"

#include <math.h>

struct shared {
    tally_object *globals, *math, *floor; /* the last two: names */
};

static tally_object *math_floor(tally_object *const *arguments) {
    return tally_int_new((int64_t)floor(tally_float_value(arguments[0])));
}

static void setup(struct shared *shared, const workload_context *context) {
    tally_object *class_ = workload_object(tally_class_new(&(tally_class_spec){.name = "module"}));
    tally_object *module = pattern_shared(tally_instance_new(class_));
    tally_decref(class_);
    shared->globals = workload_keep(context, tally_dict_new(), 1);
    shared->math = workload_name("math");
    shared->floor = workload_name("floor");
    pattern_set(module, shared->floor, pattern_function_new("floor", math_floor));
    workload_dict_put(shared->globals, shared->math, module);
}

static void iterate(const struct shared *shared, int64_t i) {
    tally_object *module = workload_object(tally_dict_get(shared->globals, shared->math));
    tally_object *number = workload_int(i);
    tally_object *square = workload_object(tally_multiply(number, number));
    pattern_check_int(pattern_call(module, shared->floor, &square), i * i);
    tally_decref(square);
    tally_decref(number);
    tally_decref(module);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    int64_t i = 0;
    PATTERN_LOOP() iterate(shared, i++);
    return PATTERN_ITERATIONS;
}

PATTERN(cmodule_function, .name = "cmodule-function",
        .description = "Call a function of a shared module, found by two lookups: code that uses "
                       "libraries.",
        .setup = setup);
