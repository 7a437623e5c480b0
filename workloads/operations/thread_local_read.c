/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread-local-read: read an attribute of a threading.local() five times. It stands for contexts
 * that are kept a thread: connections, requests, transactions.
 *
 * As in CPython, what the threads share is the key only: each has a dict from such objects to the
 * dict of its own attributes of them. A read is a lookup in each. An operation is one read.
 */
#include "patterns.h"

enum { READS = 5, ROUNDS = PATTERN_ITERATIONS / 4, ROUNDS_PER_SAFEPOINT = 8 };

/* Past the small ints: another worker's value is another object. */
#define FIRST_VALUE (INT64_C(1) << 20)

struct shared {
    tally_object *variable, *x; /* an instance; a name */
};

struct local {
    tally_object *thread; /* the thread's dict of dicts */
    tally_object *value;
};

static void setup(struct shared *shared, const workload_context *context) {
    tally_object *class_ = workload_object(tally_class_new(&(tally_class_spec){.name = "local"}));
    shared->variable = workload_keep(context, pattern_shared(tally_instance_new(class_)), 1);
    shared->x = workload_name("x");
    tally_decref(class_);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *attributes = workload_object(tally_dict_new());
    local->value = workload_keep(context, tally_int_new(FIRST_VALUE + context->worker), 1);
    local->thread = workload_keep(context, tally_dict_new(), 1);
    workload_done(tally_dict_set(attributes, shared->x, local->value));
    workload_dict_put(local->thread, shared->variable, attributes);
}

static void read_x(const struct shared *shared, const struct local *local) {
    tally_object *attributes = workload_object(tally_dict_get(local->thread, shared->variable));
    tally_object *value = workload_object(tally_dict_get(attributes, shared->x));
    if (value != local->value) workload_fail("a thread has the value of another");
    tally_decref(value);
    tally_decref(attributes);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    WORKLOAD_LOOP(ROUNDS, ROUNDS_PER_SAFEPOINT)
        for (unsigned i = 0; i < READS; i++) read_x(shared, local);
    return (uint64_t)ROUNDS * READS;
}

WORKLOAD(thread_local_read, .name = "thread-local-read",
         .description =
             "Read the thread's own attribute of an object that all threads share: contexts, "
             "connections.",
         .unit = "reads", LOCAL_STATE, .setup = setup, .enter = enter, PATTERN_COMMON);
