/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-shared-mixed: all threads use one dict, 95 % of the time to look a key
 * up and 5 % to set it to a new object. It stands for a cache that threads
 * share: a read may run into a write, and may hold a value that is just
 * replaced.
 *
 * The value of key k is always congruent to k modulo KEYS: a read that gets
 * another key's value, or one that was freed under it, is found out.
 */
#include "workload.h"

enum { KEYS = 1024, OPERATIONS = 2048, OPERATIONS_A_SAFEPOINT = 32, ONE_SET_IN = 20 };

/* Past the small ints, so that every value is an object of its own. */
#define FIRST_VALUE (INT64_C(1) << 20)

struct shared {
    const workload_context *context;
    tally_object *dict;
    tally_object *keys[KEYS];
};

struct local {
    const struct shared *shared;
    uint64_t seed;
    int64_t generation;
};

static void set(const struct shared *shared, unsigned key, int64_t generation) {
    tally_object *value = workload_object(tally_int_new(FIRST_VALUE + generation * KEYS + key));

    workload_done(tally_dict_set(shared->dict, shared->keys[key], value));
    tally_decref(value);
}

static void check(const struct shared *shared, unsigned key) {
    tally_object *value = workload_object(tally_dict_get(shared->dict, shared->keys[key]));

    if (tally_int_value(value) % KEYS != key)
        workload_fail("key %u has the value %lld", key, (long long)tally_int_value(value));
    tally_decref(value);
}

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->dict = workload_object(tally_dict_new());
    for (unsigned i = 0; i < KEYS; i++) {
        shared->keys[i] = workload_key(i);
        set(shared, i, 0);
    }
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->seed = workload_seed(local->shared->context, worker);
    return local;
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    for (unsigned done = 0; done < OPERATIONS; done += OPERATIONS_A_SAFEPOINT) {
        for (unsigned i = 0; i < OPERATIONS_A_SAFEPOINT; i++) {
            uint64_t random = workload_random(&local->seed);
            unsigned key = random % KEYS;

            if ((random >> 32) % ONE_SET_IN == 0)
                set(local->shared, key, ++local->generation);
            else
                check(local->shared, key);
        }
        tally_safepoint();
    }
    return OPERATIONS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    if (tally_dict_length(shared->dict) != KEYS)
        workload_fail("the dict has %td keys, not %d", tally_dict_length(shared->dict), KEYS);
    for (unsigned i = 0; i < KEYS; i++) check(shared, i);
    workload_check_and_drop(shared->keys, KEYS, 2);
    tally_decref(shared->dict);
    free(shared);
}

const tally_workload workload_dict_shared_mixed = {
    .name = "dict-shared-mixed",
    .kind = SHARED_OBJECTS,
    .description = "All threads use one dict, 95 % reads and 5 % sets: a shared cache.",
    .unit = "operations",
    .sharing = SHARED,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = free,
    .teardown = teardown,
};
