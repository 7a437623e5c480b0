/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * class-instances: all threads make and drop instances of one class. Each
 * instance is a reference to the class and holds its own value, so that the class
 * alone is shared: a runtime that counts it like any object pays for that here.
 */
#include "workload.h"

enum { INSTANCES = 4096, INSTANCES_A_SAFEPOINT = 32 };

static const char *const slots[] = {"value", NULL};

struct local {
    tally_object *class_, *value;
};

static void *setup(const workload_context *context) {
    (void)context;
    return workload_object(tally_class_new(&(tally_class_spec){.name = "Shared", .slots = slots}));
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->class_ = state;
    local->value = workload_object(tally_float_new(worker));
    return local;
}

static uint64_t run(void *opaque) {
    const struct local *local = opaque;
    tally_object *made[INSTANCES_A_SAFEPOINT], *type;

    for (unsigned done = 0; done < INSTANCES; done += INSTANCES_A_SAFEPOINT) {
        for (unsigned i = 0; i < INSTANCES_A_SAFEPOINT; i++) {
            made[i] = workload_object(tally_instance_new(local->class_));
            workload_done(tally_slot_set(made[i], 0, local->value));
        }
        type = tally_type_of(made[0]);
        if (type != local->class_) workload_fail("an instance is of another class");
        tally_decref(type);
        for (unsigned i = 0; i < INSTANCES_A_SAFEPOINT; i++) tally_decref(made[i]);
        tally_safepoint();
    }
    return INSTANCES;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    workload_check_count(local->value, 1);
    tally_decref(local->value);
    free(local);
}

/* One reference is the caller's; without a GIL the table of types has one more. */
static void teardown(void *state) {
    ptrdiff_t before = tally_refcount(state);
    tally_object *one = workload_object(tally_instance_new(state));

    workload_check_count(
        state, before == PTRDIFF_MAX ? before : before + 1); /* made immortal: not counted */
    tally_decref(one);
    if (before > 2 && before != PTRDIFF_MAX)
        workload_fail("the class has %td references, and no instance", before);
    tally_decref(state);
}

const tally_workload workload_class_instances = {
    .name = "class-instances",
    .kind = SHARED_OBJECTS,
    .description = "All threads make and drop instances of one class.",
    .unit = "instances",
    .sharing = SHARED,
    .read_only = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
