/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread-local-read: read an attribute of a threading.local() five times. It
 * stands for contexts that are kept a thread: connections, requests, transactions.
 *
 * As in CPython, what the threads share is the key only: each has a dict from
 * such objects to the dict of its own attributes of them. A read is a lookup in
 * each. An operation is one read.
 */
#include "patterns.h"

enum { READS = 5, ROUNDS = PATTERN_ITERATIONS / 4, ROUNDS_A_SAFEPOINT = 8 };

/* Past the small ints: another worker's value is another object. */
#define FIRST_VALUE (INT64_C(1) << 20)

struct shared {
    tally_object *variable, *x; /* an instance; a name */
};

struct local {
    const struct shared *shared;
    tally_object *thread; /* the thread's dict of dicts */
    tally_object *value;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);
    tally_object *class_ = workload_object(tally_class_new(&(tally_class_spec){.name = "local"}));

    (void)context;
    shared->variable = pattern_shared(tally_instance_new(class_));
    shared->x = pattern_name("x");
    tally_decref(class_);
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);
    tally_object *attributes = workload_object(tally_dict_new());

    local->shared = state;
    local->thread = workload_object(tally_dict_new());
    local->value = pattern_int(FIRST_VALUE + worker);
    workload_done(tally_dict_set(attributes, local->shared->x, local->value));
    pattern_set_global(local->thread, local->shared->variable, attributes);
    return local;
}

static void read_x(const struct local *local) {
    tally_object *attributes =
        workload_object(tally_dict_get(local->thread, local->shared->variable));
    tally_object *value = workload_object(tally_dict_get(attributes, local->shared->x));

    if (value != local->value) workload_fail("a thread has the value of another");
    tally_decref(value);
    tally_decref(attributes);
}

static uint64_t run(void *opaque) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < READS; i++) read_x(opaque);
        if (round % ROUNDS_A_SAFEPOINT == 0) tally_safepoint();
    }
    return (uint64_t)ROUNDS * READS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    workload_check_and_drop((tally_object *[]){local->thread, local->value}, 2, 1);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_and_drop(&shared->variable, 1, 1);
    tally_decref(shared->x);
    free(shared);
}

const tally_workload workload_thread_local_read = {
    .name = "thread-local-read",
    .kind = SINGLE_OPERATIONS,
    .description = "Read the thread's own attribute of an object that all threads share: contexts, "
                   "connections.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
