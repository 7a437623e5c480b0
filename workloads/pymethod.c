/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pymethod: counter.next_number(), which adds one to an attribute. It stands for
 * calls of methods written in Python.
 *
 * The instance is the worker's own; the method is a shared function object,
 * found in its class after the instance was looked at in vain. Its body is the
 * same two attribute operations and an addition.
 */
#include "patterns.h"

struct shared {
    tally_object *class_, *next_number, *i; /* the last two: names */
};

struct local {
    const struct shared *shared;
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

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    (void)context;
    shared->class_ = workload_object(tally_class_new(&(tally_class_spec){.name = "Counter"}));
    shared->next_number = pattern_name("next_number");
    shared->i = pattern_name("i");
    pattern_set(shared->class_, shared->next_number,
                pattern_function_new("next_number", counter_next_number));
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    (void)worker;
    local->shared = state;
    local->counter = workload_object(tally_instance_new(local->shared->class_));
    local->one = pattern_int(1);
    pattern_set(local->counter, local->shared->i, pattern_int(0));
    return local;
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    for (unsigned i = 0; i < PATTERN_ITERATIONS; i++) {
        tally_object *const arguments[] = {local->counter, local->shared->i, local->one};

        pattern_check_int(pattern_call(local->counter, local->shared->next_number, arguments),
                          ++local->calls);
        if (i % PATTERN_A_SAFEPOINT == 0) tally_safepoint();
    }
    return PATTERN_ITERATIONS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    workload_check_and_drop(&local->counter, 1, 1);
    tally_decref(local->one);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    tally_decref(shared->i);
    tally_decref(shared->next_number);
    tally_decref(shared->class_);
    free(shared);
}

const tally_workload workload_pymethod = {
    .name = "pymethod",
    .kind = SINGLE_OPERATIONS,
    .description =
        "Call a method, shared by its class, on one's own instance: object-oriented programs.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
