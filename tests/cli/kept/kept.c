/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * kept.c: workloads that keep a class, and an object that instances of the class hold. In the end
 * the instances are dead, but not yet freed; or one reference is never dropped.
 */
#include "workload.h"

enum { INSTANCES = 3 };

static const char *const slots[] = {"held", NULL};

struct shared {
    tally_object *class_, *value;
};

static void set_up(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Holder", slots);
    shared->value = workload_keep(context, tally_float_new(0.5), 1);
}

static tally_object *holder_of(struct shared *shared, tally_object *held) {
    tally_object *holder = workload_object(tally_instance_new(shared->class_));
    workload_done(tally_slot_set(holder, 0, held));
    return holder;
}

/* With `biased` they are counted per thread, as if several threads had been seen to count them. */
static tally_object *counted_per_thread(tally_object *object) {
    workload_done(tally_defer_count(object));
    return object;
}

static void set_up_dead(struct shared *shared, const workload_context *context) {
    set_up(shared, context);
    for (unsigned i = 0; i < INSTANCES; i++)
        workload_keep(context, counted_per_thread(holder_of(shared, shared->value)), 1);
}

/* Each of them is held by the one that was made after it. */
static void set_up_chain(struct shared *shared, const workload_context *context) {
    set_up(shared, context);
    tally_object *last = counted_per_thread(holder_of(shared, shared->value));
    for (unsigned i = 1; i < INSTANCES; i++) {
        tally_object *next = counted_per_thread(holder_of(shared, last));
        tally_decref(last);
        last = next;
    }
    workload_keep(context, last, 1);
}

static void set_up_leaked_value(struct shared *shared, const workload_context *context) {
    set_up_dead(shared, context);
    tally_incref(shared->value);
}

static void set_up_leaked_instance(struct shared *shared, const workload_context *context) {
    set_up_dead(shared, context);
    holder_of(shared, tally_none);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    return workload_stand_by() + 1;
}

#define KEPT(variable, text, set_up)                                              \
    WORKLOAD(variable, .name = text, .description = "Of a test.", .unit = "runs", \
             .kind = OWN_OBJECTS, SHARED_STATE, .setup = set_up, .run = run)

KEPT(kept_dead, "kept-dead", set_up_dead);
KEPT(kept_chain, "kept-chain", set_up_chain);
KEPT(kept_leaked_value, "kept-leaked-value", set_up_leaked_value);
KEPT(kept_leaked_instance, "kept-leaked-instance", set_up_leaked_instance);
