/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pymethod: counter.next_number(), which adds one to an attribute. It stands for calls of methods
 * written in Python.
 *
 * The instance is the worker's own; the method is a shared function object, found in its class
 * after the instance was looked at in vain. Its body is the same two attribute operations and an
 * addition.
 */
#include "patterns.h"

struct shared {
    tally_object *class_, *next_number, *i; /* the last two: names */
};

struct local {
    tally_object *counter, *one;
    int64_t calls;
};

/* self, the name of the attribute, and 1: what the body has as constants. */
static tally_object *counter_next_number(tally_object *const *arguments) {
    tally_object *old = workload_object(tally_get_attr(arguments[0], arguments[1]));
    pattern_add(&old, arguments[2]);
    pattern_set(arguments[0], arguments[1], old);
    return tally_get_attr(arguments[0], arguments[1]);
}

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Counter", NULL);
    shared->next_number = workload_name("next_number");
    shared->i = workload_name("i");
    pattern_set(shared->class_, shared->next_number,
                pattern_function_new("next_number", counter_next_number));
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->counter = workload_keep(context, tally_instance_new(shared->class_), 1);
    local->one = workload_keep(context, tally_int_new(1), ANY_HOLDERS);
    pattern_set(local->counter, shared->i, workload_int(0));
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    PATTERN_LOOP() {
        tally_object *const arguments[] = {local->counter, shared->i, local->one};
        pattern_check_int(pattern_call(local->counter, shared->next_number, arguments),
                          ++local->calls);
    }
    return PATTERN_ITERATIONS;
}

PATTERN(pymethod, .name = "pymethod",
        .description = "Call a method, shared by its class, on one's own instance: object-oriented "
                       "programs.",
        .local_size = sizeof(struct local), .setup = setup, .enter = enter);
