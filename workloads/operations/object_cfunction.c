/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * object-cfunction: take the first item of a list of 100, append the number of the iteration, and
 * sum up the item in the middle. It stands for calls of methods that are built in.
 *
 * The methods are shared function objects, found as attributes of the one class `list`; the list
 * and the sum are the worker's own.
 */
#include "patterns.h"

enum { ITEMS = 100, MIDDLE = ITEMS / 2, FIRST_OUT = ITEMS - 1 - MIDDLE };

struct shared {
    tally_object *class_, *pop, *append, *zero; /* the names, and the argument */
};

static tally_object *list_pop(tally_object *const *arguments) {
    return tally_list_pop(arguments[0], (ptrdiff_t)tally_int_value(arguments[1]));
}

static tally_object *list_append(tally_object *const *arguments) {
    if (tally_list_append(arguments[0], arguments[1]) < 0) return NULL;
    tally_incref(tally_none);
    return tally_none;
}

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "list", NULL);
    shared->pop = workload_name("pop");
    shared->append = workload_name("append");
    shared->zero = workload_keep(context, tally_int_new(0), ANY_HOLDERS);
    pattern_set(shared->class_, shared->pop, pattern_function_new("pop", list_pop));
    pattern_set(shared->class_, shared->append, pattern_function_new("append", list_append));
}

static void iterate(const struct shared *shared, tally_object *list, tally_object **sum,
                    int64_t i) {
    tally_object *number = workload_int(i);
    tally_decref(pattern_call(shared->class_, shared->pop, (tally_object *[]){list, shared->zero}));
    tally_decref(pattern_call(shared->class_, shared->append, (tally_object *[]){list, number}));
    tally_object *middle = workload_object(tally_list_get(list, MIDDLE));
    pattern_add(sum, middle);
    tally_decref(middle);
    tally_decref(number);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    /* The first FIRST_OUT sums are ones of the list's beginning, then come 0, 1, 2 ... */
    enum { LATER = PATTERN_ITERATIONS - FIRST_OUT, KNOWN = FIRST_OUT + LATER * (LATER - 1) / 2 };
    tally_object *list = workload_object(tally_list_new(ITEMS)), *one = workload_int(1);
    tally_object *sum = workload_int(0);
    int64_t i = 0;
    for (unsigned k = 0; k < ITEMS; k++) workload_done(tally_list_append(list, one));
    tally_decref(one);
    PATTERN_LOOP() iterate(shared, list, &sum, i++);
    pattern_check_int(sum, KNOWN);
    pattern_check_int(workload_object(tally_list_get(list, 0)), PATTERN_ITERATIONS - ITEMS);
    workload_check_and_drop(&list, 1, 1);
    return PATTERN_ITERATIONS;
}

PATTERN(object_cfunction, .name = "object-cfunction",
        .description = "Call built-in methods, shared objects, on one's own list: most statements "
                       "of a program.",
        .setup = setup);
