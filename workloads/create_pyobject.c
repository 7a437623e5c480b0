/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-pyobject: o = MyObject(). It stands for programs that make many
 * instances of few classes.
 *
 * The class is looked up in the shared dict of globals, which gives a reference to it
 * that is counted beside the instance's; the instance, without attributes, replaces the one of the
 * iteration before.
 */
#include "patterns.h"

struct shared {
    tally_object *globals, *name;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    (void)context;
    shared->globals = workload_object(tally_dict_new());
    shared->name = pattern_name("MyObject");
    pattern_set_global(shared->globals, shared->name,
                       workload_object(tally_class_new(&(tally_class_spec){.name = "MyObject"})));
    return shared;
}

static tally_object *make(const struct shared *shared) {
    tally_object *class_ = workload_object(tally_dict_get(shared->globals, shared->name));
    tally_object *instance = workload_object(tally_instance_new(class_));

    tally_decref(class_);
    return instance;
}

static void check(const struct shared *shared, tally_object *instance) {
    tally_object *class_ = workload_object(tally_dict_get(shared->globals, shared->name));
    tally_object *type = tally_type_of(instance);

    if (type != class_) workload_fail("an instance is of another class");
    workload_check_count(instance, 1);
    tally_decref(type);
    tally_decref(class_);
}

static uint64_t run(void *opaque) {
    tally_object *last = make(opaque);

    for (unsigned i = 1; i < PATTERN_ITERATIONS; i++) {
        tally_object *instance = make(opaque);

        tally_decref(last);
        last = instance;
        if (i % PATTERN_A_SAFEPOINT == 0) {
            check(opaque, last);
            tally_safepoint();
        }
    }
    tally_decref(last);
    return PATTERN_ITERATIONS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_and_drop(&shared->globals, 1, 1);
    tally_decref(shared->name);
    free(shared);
}

const tally_workload workload_create_pyobject = {
    .name = "create-pyobject",
    .kind = SINGLE_OPERATIONS,
    .description =
        "Make instances of one class that all threads look up: programs of many small objects.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
