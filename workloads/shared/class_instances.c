/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * class-instances: all threads make and drop instances of one class. Each instance is a reference
 * to the class and holds its own value, so that the class alone is shared: a runtime that counts it
 * like any object pays for that here.
 */
#include "workload.h"

enum { INSTANCES = 4096, AT_ONCE = 32 };

static const char *const slots[] = {"value", NULL};

struct shared {
    tally_object *class_;
};

struct local {
    tally_object *value;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Shared", slots);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->value = workload_keep(context, tally_float_new(context->worker), 1);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *made[AT_ONCE], *type;
    for (unsigned done = 0; done < INSTANCES; done += AT_ONCE) {
        for (unsigned i = 0; i < AT_ONCE; i++) {
            made[i] = workload_object(tally_instance_new(shared->class_));
            workload_done(tally_slot_set(made[i], 0, local->value));
        }
        type = tally_type_of(made[0]);
        if (type != shared->class_) workload_fail("an instance is of another class");
        tally_decref(type);
        for (unsigned i = 0; i < AT_ONCE; i++) tally_decref(made[i]);
        tally_safepoint();
    }
    return INSTANCES;
}

WORKLOAD(class_instances, .name = "class-instances",
         .description = "All threads make and drop instances of one class.", .unit = "instances",
         .kind = SHARED_OBJECTS, .read_only = true, SHARED_STATE, LOCAL_STATE, .setup = setup,
         .enter = enter, .run = run);
