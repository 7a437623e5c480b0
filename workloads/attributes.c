/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * attributes: get and set the attributes of one's own instances by name, half
 * of them in slots and half in an instance's dict. It stands for the methods of
 * object-oriented programs, which mostly move their object's fields about.
 */
#include "workload.h"

enum { INSTANCES = 16, ROUNDS = 64, FIELDS = 2 };

static const char *const slots[] = {"x", "y", NULL};

struct shared {
    tally_object *slotted, *open; /* the two classes */
    tally_object *names[FIELDS];
};

struct local {
    const struct shared *shared;
    tally_object *instances[INSTANCES]; /* even: slots, odd: dict */
    tally_object *values[FIELDS];
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    (void)context;
    shared->slotted =
        workload_object(tally_class_new(&(tally_class_spec){.name = "Slotted", .slots = slots}));
    shared->open = workload_object(tally_class_new(&(tally_class_spec){.name = "Open"}));
    for (unsigned i = 0; i < FIELDS; i++) {
        tally_object *name = workload_object(tally_str_new(slots[i], -1));

        shared->names[i] = workload_object(tally_str_intern(name));
        tally_immortalize(shared->names[i]); /* as a name in code */
        tally_decref(name);
    }
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);
    const struct shared *shared = state;

    local->shared = shared;
    workload_make_floats(local->values, FIELDS, worker);
    for (unsigned i = 0; i < INSTANCES; i++) {
        local->instances[i] =
            workload_object(tally_instance_new(i % 2 == 0 ? shared->slotted : shared->open));
        for (unsigned field = 0; field < FIELDS; field++)
            workload_done(
                tally_set_attr(local->instances[i], shared->names[field], local->values[field]));
    }
    return local;
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

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < INSTANCES; i++) swap(local->instances[i], local->shared->names);
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * INSTANCES * 2 * FIELDS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    /* ROUNDS is even: every run left each field where it was. */
    for (unsigned i = 0; i < INSTANCES; i++) {
        for (unsigned field = 0; field < FIELDS; field++) {
            tally_object *value =
                workload_object(tally_get_attr(local->instances[i], local->shared->names[field]));

            if (value != local->values[field])
                workload_fail("instance %u lost the value of %s", i, slots[field]);
            tally_decref(value);
        }
        tally_decref(local->instances[i]);
    }
    workload_check_and_drop(local->values, FIELDS, 1);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    for (unsigned i = 0; i < FIELDS; i++) tally_decref(shared->names[i]);
    tally_decref(shared->slotted);
    tally_decref(shared->open);
    free(shared);
}

const tally_workload workload_attributes = {
    .name = "attributes",
    .kind = OWN_OBJECTS,
    .in_price = true,
    .description = "Get and set attributes of instances with slots and with a dict, by name.",
    .unit = "accesses",
    .sharing = OWN,
    .read_only = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
