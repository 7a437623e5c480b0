/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-shared-mixed: all threads use one dict, 95 % of the time to look a key up and 5 % to set it
 * to a new object. It stands for a cache that threads share: a read may run into a write, and may
 * hold a value that is just replaced.
 *
 * The value of key k is always congruent to k modulo KEYS: a read that gets another key's value, or
 * one that was freed under it, is found out.
 */
#include "workload.h"

enum { KEYS = 1024, OPERATIONS = 2048, PER_SAFEPOINT = 32, ONE_SET_IN = 20 };

/* Past the small ints, so that every value is an object of its own. */
#define FIRST_VALUE (INT64_C(1) << 20)

struct shared {
    tally_object *dict;
    tally_object *keys[KEYS];
};

struct local {
    uint64_t seed;
    int64_t generation;
};

static void set(const struct shared *shared, unsigned key, int64_t generation) {
    workload_dict_put(shared->dict, shared->keys[key],
                      tally_int_new(FIRST_VALUE + generation * KEYS + key));
}

static void check(const struct shared *shared, unsigned key) {
    tally_object *value = workload_object(tally_dict_get(shared->dict, shared->keys[key]));
    if (tally_int_value(value) % KEYS != key)
        workload_fail("key %u has the value %lld", key, (long long)tally_int_value(value));
    tally_decref(value);
}

static void setup(struct shared *shared, const workload_context *context) {
    shared->dict = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
    for (unsigned i = 0; i < KEYS; i++) {
        shared->keys[i] = workload_keep(context, workload_key(i), 2);
        set(shared, i, 0);
    }
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = workload_seed(context);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    WORKLOAD_LOOP(OPERATIONS, PER_SAFEPOINT) {
        uint64_t random = workload_random(&local->seed);
        unsigned key = random % KEYS;
        if ((random >> 32) % ONE_SET_IN == 0)
            set(shared, key, ++local->generation);
        else
            check(shared, key);
    }
    return OPERATIONS;
}

static void teardown(struct shared *shared, const workload_context *context) {
    if (tally_dict_length(shared->dict) != KEYS)
        workload_fail("the dict has %td keys, not %d", tally_dict_length(shared->dict), KEYS);
    for (unsigned i = 0; i < KEYS; i++) check(shared, i);
}

WORKLOAD(dict_shared_mixed, .name = "dict-shared-mixed",
         .description = "All threads use one dict, 95 % reads and 5 % sets: a shared cache.",
         .unit = "operations", .kind = SHARED_OBJECTS, SHARED_STATE, LOCAL_STATE, .setup = setup,
         .enter = enter, .run = run, .teardown = teardown);
