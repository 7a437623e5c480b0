/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount-own: the bare price of counting references, on objects that no
 * other thread has. It stands for what an interpreter does at nearly every
 * step: push a reference, pop it again.
 *
 * All objects are counted up before the first is counted down, because a
 * decref right after the incref of the same object would measure how fast the
 * processor forwards one store to the next load.
 */
#include "workload.h"

enum { OBJECTS = 256, ROUNDS = 512 };

struct local {
    tally_object *objects[OBJECTS];
};

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    (void)state;
    workload_make_floats(local->objects, OBJECTS, worker);
    return local;
}

static uint64_t run(void *opaque) {
    tally_object *const *objects = ((struct local *)opaque)->objects;

    for (unsigned round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++) tally_incref(objects[i]);
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++) tally_decref(objects[i]);
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * OBJECTS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    workload_check_and_drop(local->objects, OBJECTS, 1);
    free(local);
}

const tally_workload workload_refcount_own = {
    .name = "refcount-own",
    .kind = OWN_OBJECTS,
    .description = "Count 256 objects of one's own up and down: the bare price of a reference.",
    .unit = "pairs",
    .sharing = OWN,
    .read_only = true,
    .enter = enter,
    .run = run,
    .leave = leave,
};
