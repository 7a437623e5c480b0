/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount-own: the bare price of counting references, on objects that no other thread has. It
 * stands for what an interpreter does at nearly every step: push a reference, pop it again.
 *
 * All objects are counted up before the first is counted down, because a decref right after the
 * incref of the same object would measure how fast the processor forwards one store to the next
 * load.
 */
#include "workload.h"

enum { OBJECTS = 256, ROUNDS = 512 };

struct local {
    tally_object *objects[OBJECTS];
};

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    workload_keep_floats(context, local->objects, OBJECTS, context->worker, 1);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *const *objects = local->objects;
    for (unsigned round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++) tally_incref(objects[i]);
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++) tally_decref(objects[i]);
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * OBJECTS;
}

WORKLOAD(refcount_own, .name = "refcount-own",
         .description = "Count 256 objects of one's own up and down: the bare price of a "
                        "reference.",
         .unit = "pairs", .kind = OWN_OBJECTS, .read_only = true, LOCAL_STATE, .enter = enter,
         .run = run);
