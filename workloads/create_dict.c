/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-dict: d = {"key": "value"}. It stands for programs that pass records
 * about as dicts.
 *
 * Key and value are interned strs, as constants are; the dict replaces the one
 * of the iteration before.
 */
#include "patterns.h"

struct shared {
    tally_object *key, *value;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    (void)context;
    shared->key = pattern_name("key");
    shared->value = pattern_name("value");
    return shared;
}

static tally_object *make(const struct shared *shared) {
    tally_object *dict = workload_object(tally_dict_new());

    workload_done(tally_dict_set(dict, shared->key, shared->value));
    return dict;
}

static void check(const struct shared *shared, tally_object *dict) {
    tally_object *value = workload_object(tally_dict_get(dict, shared->key));

    if (value != shared->value || tally_dict_length(dict) != 1)
        workload_fail("a dict of %td keys has another value", tally_dict_length(dict));
    tally_decref(value);
}

static uint64_t run(void *opaque) {
    tally_object *last = make(opaque);

    for (unsigned i = 1; i < PATTERN_ITERATIONS; i++) {
        tally_object *dict = make(opaque);

        tally_decref(last);
        last = dict;
        if (i % PATTERN_A_SAFEPOINT == 0) {
            check(opaque, last);
            tally_safepoint();
        }
    }
    tally_decref(last);
    return PATTERN_ITERATIONS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    tally_decref(shared->value);
    tally_decref(shared->key);
    free(shared);
}

const tally_workload workload_create_dict = {
    .name = "create-dict",
    .kind = SINGLE_OPERATIONS,
    .description = "Make dicts of one constant key and value: programs that pass records as dicts.",
    .unit = "iterations",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
