/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * churn: objects that live for a moment: ints past the small ones, floats, tuples of two and
 * instances with slots. It stands for arithmetic and for temporaries, which is where an
 * interpreter's allocator earns its keep. A few dozen objects live at any time, so that a block is
 * not simply handed back and forth.
 */
#include "workload.h"

enum { ROUNDS = 48, KIND = 16, SMALL_INTS_END = 1 << 20 };

static const char *const slots[] = {"x", "y", NULL};

struct shared {
    tally_object *class_;
};

struct local {
    int64_t next; /* the value of the next int */
    tally_object *made[4 * KIND];
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Point", slots);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->next = SMALL_INTS_END + (int64_t)context->worker;
}

static void make(const struct shared *shared, struct local *local) {
    for (unsigned i = 0; i < KIND; i++) {
        tally_object *number = workload_object(tally_int_new(local->next + i));
        tally_object *real = workload_object(tally_float_new((double)i));
        tally_object *pair = workload_object(tally_tuple_new((tally_object *[]){number, real}, 2));
        tally_object *point = workload_object(tally_instance_new(shared->class_));
        workload_done(tally_slot_set(point, 0, number));
        workload_done(tally_slot_set(point, 1, pair));
        local->made[4 * i] = number;
        local->made[4 * i + 1] = real;
        local->made[4 * i + 2] = pair;
        local->made[4 * i + 3] = point;
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

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        make(shared, local);
        check_and_drop(local);
        local->next += KIND;
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * 4 * KIND;
}

WORKLOAD(churn, .name = "churn",
         .description =
             "Make and drop ints, floats, tuples and instances: the temporaries of any program.",
         .unit = "objects", .kind = OWN_OBJECTS, .in_price = true, .read_only = true, SHARED_STATE,
         LOCAL_STATE, .setup = setup, .enter = enter, .run = run);
