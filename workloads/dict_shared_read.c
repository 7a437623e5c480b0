/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-shared-read: all threads look up keys of one dict that nobody changes.
 * It stands for the globals of a module, a configuration, a loaded dictionary.
 * Borrowed, a value that is read takes no reference.
 */
#include "workload.h"

enum { KEYS = 1024, READS = 2048, READS_A_SAFEPOINT = 32 };

struct shared {
    const workload_context *context;
    tally_object *dict;
    tally_object *keys[KEYS];
    tally_object *values[KEYS];
};

struct local {
    const struct shared *shared;
    uint64_t seed;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->dict = workload_object(tally_dict_new());
    for (unsigned i = 0; i < KEYS; i++) {
        shared->keys[i] = workload_key(i);
        shared->values[i] = workload_object(tally_float_new(i));
        workload_done(tally_dict_set(shared->dict, shared->keys[i], shared->values[i]));
    }
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->seed = workload_seed(local->shared->context, worker);
    return local;
}

static uint64_t run_borrowed(void *opaque) {
    struct local *local = opaque;
    const struct shared *shared = local->shared;

    for (unsigned done = 0; done < READS; done += READS_A_SAFEPOINT) {
        for (unsigned i = 0; i < READS_A_SAFEPOINT; i++) {
            unsigned key = workload_random(&local->seed) % KEYS;

            if (tally_borrowed_object(tally_dict_borrow(shared->dict, shared->keys[key])) !=
                shared->values[key])
                workload_fail("key %u has the value of another", key);
        }
        tally_safepoint();
    }
    return READS;
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;
    const struct shared *shared = local->shared;

    for (unsigned done = 0; done < READS; done += READS_A_SAFEPOINT) {
        for (unsigned i = 0; i < READS_A_SAFEPOINT; i++) {
            unsigned key = workload_random(&local->seed) % KEYS;
            tally_object *value = workload_object(tally_dict_get(shared->dict, shared->keys[key]));

            if (value != shared->values[key]) workload_fail("key %u has the value of another", key);
            tally_decref(value);
        }
        tally_safepoint();
    }
    return READS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_and_drop(shared->keys, KEYS, 2);
    workload_check_and_drop(shared->values, KEYS, 2);
    tally_decref(shared->dict);
    free(shared);
}

const tally_workload workload_dict_shared_read = {
    .name = "dict-shared-read",
    .kind = SHARED_OBJECTS,
    .description =
        "All threads look up keys of one dict that nobody changes: globals, configuration.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = free,
    .teardown = teardown,
};

const tally_workload workload_dict_shared_borrow = {
    .name = "dict-shared-borrow",
    .kind = BORROWED_READS,
    .counterpart = "dict-shared-read",
    .description = "As dict-shared-read, with borrowed references, which count nothing.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .enter = enter,
    .run = run_borrowed,
    .leave = free,
    .teardown = teardown,
};
