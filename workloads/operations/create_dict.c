/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * create-dict: d = {"key": "value"}. It stands for programs that pass records about as dicts.
 *
 * Key and value are interned strs, as constants are; the dict replaces the one of the iteration
 * before.
 */
#include "patterns.h"

struct shared {
    tally_object *key, *value;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->key = workload_name("key");
    shared->value = workload_name("value");
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

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    return pattern_replace(shared, make, check);
}

PATTERN(create_dict, .name = "create-dict",
        .description = "Make dicts of one constant key and value: programs that pass records as "
                       "dicts.",
        .setup = setup);
