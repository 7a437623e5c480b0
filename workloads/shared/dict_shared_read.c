/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-shared-read and dict-shared-borrow: all threads look up keys of one dict that nobody
 * changes. It stands for the globals of a module, a configuration, a loaded dictionary.
 * Borrowed, a value that is read takes no reference.
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

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    return read_dict(shared, local, false);
}

static uint64_t borrow(struct shared *shared, struct local *local,
                       const workload_context *context) {
    return read_dict(shared, local, true);
}

#define COMMON                                                                \
    .unit = "reads", .read_only = true, .shared_size = sizeof(struct shared), \
    .local_size = sizeof(struct local), .setup = setup, .enter = enter

WORKLOAD(dict_shared_read) = {
    .name = "dict-shared-read",
    .description =
        "All threads look up keys of one dict that nobody changes: globals, configuration.",
    .kind = SHARED_OBJECTS,
    .run = run,
    COMMON,
};

WORKLOAD(dict_shared_borrow) = {
    .name = "dict-shared-borrow",
    .description = "As dict-shared-read, with borrowed references, which count nothing.",
    .kind = BORROWED_READS,
    .counterpart = "dict-shared-read",
    .not_quick = true,
    .run = borrow,
    COMMON,
};
