/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * churn: objects that live for a moment: ints past the small ones, floats,
 * tuples of two and instances with slots. It stands for arithmetic and for
 * temporaries, which is where an interpreter's allocator earns its keep.
 *
 * A few dozen objects live at any time, so that a block is not simply handed
 * back and forth.
 */
#include "workload.h"

enum { ROUNDS = 48, KIND = 16, SMALL_INTS_END = 1 << 20 };

static const char *const slots[] = {"x", "y", NULL};

struct local {
    tally_object *class_;
    int64_t next; /* the value of the next int */
    tally_object *made[4 * KIND];
};

static void *setup(const workload_context *context) {
    (void)context;
    return workload_object(tally_class_new(&(tally_class_spec){.name = "Point", .slots = slots}));
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->class_ = state;
    local->next = SMALL_INTS_END + (int64_t)worker;
    return local;
}

static void make(struct local *local) {
    tally_object **made = local->made;

    for (unsigned i = 0; i < KIND; i++) {
        tally_object *number = workload_object(tally_int_new(local->next + i));
        tally_object *real = workload_object(tally_float_new((double)i));
        tally_object *pair = workload_object(tally_tuple_new((tally_object *[]){number, real}, 2));
        tally_object *point = workload_object(tally_instance_new(local->class_));

        workload_done(tally_slot_set(point, 0, number));
        workload_done(tally_slot_set(point, 1, pair));
        made[4 * i] = number;
        made[4 * i + 1] = real;
        made[4 * i + 2] = pair;
        made[4 * i + 3] = point;
    }
}

static void check_and_drop(struct local *local) {
    for (unsigned i = 0; i < KIND; i++) {
        tally_object **made = &local->made[4 * i];

        if (tally_int_value(made[0]) != local->next + i || tally_float_value(made[1]) != (double)i)
            workload_fail("a fresh number has changed its value");
        for (unsigned kind = 0; kind < 4; kind++) tally_decref(made[kind]);
    }
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    for (unsigned round = 0; round < ROUNDS; round++) {
        make(local);
        check_and_drop(local);
        local->next += KIND;
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * 4 * KIND;
}

static void teardown(void *state) {
    tally_object *point = workload_object(tally_instance_new(state));

    workload_check_count(point, 1);
    tally_decref(point);
    tally_decref(state);
}

const tally_workload workload_churn = {
    .name = "churn",
    .kind = OWN_OBJECTS,
    .in_price = true,
    .description =
        "Make and drop ints, floats, tuples and instances: the temporaries of any program.",
    .unit = "objects",
    .sharing = OWN,
    .read_only = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = free,
    .teardown = teardown,
};
