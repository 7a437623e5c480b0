/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attributes: get and set the attributes of one's own instances by name, half of them in slots and
 * half in an instance's dict. It stands for the methods of object-oriented programs, which mostly
 * move their object's fields about.
 */
#include "workload.h"

enum { INSTANCES = 16, ROUNDS = 64, FIELDS = 2 };

static const char *const slots[] = {"x", "y", NULL};

struct shared {
    tally_object *slotted, *open; /* the two classes */
    tally_object *names[FIELDS];
};

struct local {
    tally_object *instances[INSTANCES]; /* even: slots, odd: dict */
    tally_object *values[FIELDS];
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->slotted = workload_keep_class(context, "Slotted", slots);
    shared->open = workload_keep_class(context, "Open", NULL);
    for (unsigned i = 0; i < FIELDS; i++) shared->names[i] = workload_name(slots[i]);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    workload_keep_floats(context, local->values, FIELDS, context->worker, 1);
    for (unsigned i = 0; i < INSTANCES; i++) {
        tally_object *class_ = i % 2 == 0 ? shared->slotted : shared->open;
        tally_object *instance = workload_keep(context, tally_instance_new(class_), ANY_HOLDERS);
        local->instances[i] = instance;
        for (unsigned field = 0; field < FIELDS; field++)
            workload_done(tally_set_attr(instance, shared->names[field], local->values[field]));
    }
}

/* Swaps x and y: two gets and two sets. */
static void swap(tally_object *instance, tally_object *const *names) {
    tally_object *x = workload_object(tally_get_attr(instance, names[0]));
    tally_object *y = workload_object(tally_get_attr(instance, names[1]));
    workload_done(tally_set_attr(instance, names[0], y));
    workload_done(tally_set_attr(instance, names[1], x));
    tally_decref(x);
    tally_decref(y);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < INSTANCES; i++) swap(local->instances[i], shared->names);
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * INSTANCES * 2 * FIELDS;
}

/* ROUNDS is even: every run left each field where it was. */
static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned i = 0; i < INSTANCES * FIELDS; i++) {
        tally_object *instance = local->instances[i / FIELDS];
        tally_object *value = workload_object(tally_get_attr(instance, shared->names[i % FIELDS]));
        if (value != local->values[i % FIELDS])
            workload_fail("instance %u lost the value of %s", i / FIELDS, slots[i % FIELDS]);
        tally_decref(value);
    }
}

WORKLOAD(attributes, .name = "attributes",
         .description = "Get and set attributes of instances with slots and with a dict, by name.",
         .unit = "accesses", .kind = OWN_OBJECTS, .in_price = true, .read_only = true, SHARED_STATE,
         LOCAL_STATE, .setup = setup, .enter = enter, .run = run, .leave = leave);
