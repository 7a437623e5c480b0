/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-shared-read and dict-shared-borrow: all threads look up keys of one dict that nobody
 * changes. It stands for the globals of a module, a configuration, a loaded dictionary. Borrowed, a
 * value that is read takes no reference.
 */
#include "workload.h"

enum { KEYS = 1024, READS = 2048, READS_PER_SAFEPOINT = 32 };

struct shared {
    tally_object *dict;
    tally_object *keys[KEYS];
    tally_object *values[KEYS];
};

struct local {
    uint64_t seed;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->dict = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
    for (unsigned i = 0; i < KEYS; i++) {
        shared->keys[i] = workload_keep(context, workload_key(i), 2);
        shared->values[i] = workload_keep(context, tally_float_new(i), 2);
        workload_done(tally_dict_set(shared->dict, shared->keys[i], shared->values[i]));
    }
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = workload_seed(context);
}

WORKLOAD_INLINE uint64_t read_dict(const struct shared *shared, struct local *local,
                                   bool borrowed) {
    WORKLOAD_LOOP(READS, READS_PER_SAFEPOINT) {
        unsigned key = workload_random(&local->seed) % KEYS;
        tally_object *value = workload_dict_read(shared->dict, shared->keys[key], borrowed);
        if (value != shared->values[key]) workload_fail("key %u has the value of another", key);
        workload_read_end(value, borrowed);
    }
    return READS;
}

WORKLOAD_AND_BORROWED(dict_shared_read, read_dict, "dict-shared-read", "dict-shared-borrow",
                      "All threads look up keys of one dict that nobody changes: globals, "
                      "configuration.",
                      .unit = "reads", .read_only = true, SHARED_STATE, LOCAL_STATE, .setup = setup,
                      .enter = enter);
