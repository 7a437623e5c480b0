/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * dict-own: get, set, delete and set again on a dict of one's own, with str keys and int keys. It
 * stands for the local tables of programs that run in one thread, and shows what a lock costs that
 * nobody else ever takes.
 */
#include "workload.h"

enum { KEYS = 256, ROUNDS = 8, DELETED_EVERY = 16 };

struct local {
    tally_object *dict;
    tally_object *keys[KEYS]; /* even: str, odd: int */
    tally_object *values[KEYS];
};

/* Deleted keys may wait for a grace period in the end. */
static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->dict = workload_keep(context, tally_dict_new(), ANY_HOLDERS);
    for (unsigned i = 0; i < KEYS; i++) {
        tally_object *key = i % 2 == 0 ? workload_key(i) : tally_int_new(1000003 * (int64_t)i);
        local->keys[i] = workload_keep(context, key, ANY_HOLDERS);
        local->values[i] = workload_keep(context, tally_float_new(context->worker + i), 2);
        workload_done(tally_dict_set(local->dict, local->keys[i], local->values[i]));
    }
}

static uint64_t round_of_dict(struct local *local) {
    uint64_t done = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        tally_object *value = workload_object(tally_dict_get(local->dict, local->keys[i]));
        if (value != local->values[i]) workload_fail("key %u has the value of another", i);
        if (i % DELETED_EVERY == 0) {
            workload_done(tally_dict_delete(local->dict, local->keys[i]));
            done++;
        }
        workload_done(tally_dict_set(local->dict, local->keys[i], value));
        tally_decref(value);
        done += 2;
        if (i % 32 == 0) tally_safepoint();
    }
    return done;
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t done = 0;
    for (unsigned round = 0; round < ROUNDS; round++) done += round_of_dict(local);
    if (tally_dict_length(local->dict) != KEYS)
        workload_fail("the dict has %td keys, not %d", tally_dict_length(local->dict), KEYS);
    return done;
}

WORKLOAD(dict_own, .name = "dict-own",
         .description = "Get, set and delete str and int keys of a dict of one's own: local "
                        "tables.",
         .unit = "operations", .kind = OWN_OBJECTS, .read_only = true, LOCAL_STATE, .enter = enter,
         .run = run);
