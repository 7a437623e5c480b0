/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-pyobject: o = MyObject(). It stands for programs that make many instances of few classes.
 *
 * The class is looked up in the shared dict of globals, which gives a reference to it that is
 * counted beside the instance's; the instance, without attributes, replaces the one of the
 * iteration before.
 */
#include "patterns.h"

struct shared {
    tally_object *globals, *name;
};

static void setup(struct shared *shared, const workload_context *context) {
    tally_object *class_ = tally_class_new(&(tally_class_spec){.name = "MyObject"});
    shared->globals = workload_keep(context, tally_dict_new(), 1);
    shared->name = workload_name("MyObject");
    workload_dict_put(shared->globals, shared->name, workload_object(class_));
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

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    return pattern_replace(shared, make, check);
}

PATTERN(create_pyobject, .name = "create-pyobject",
        .description = "Make instances of one class that all threads look up: programs of many "
                       "small objects.",
        .setup = setup);
