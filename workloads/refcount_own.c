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

static void *setup(const workload_context *context)
{
    return (void *)context;
}

static void *enter(void *state, unsigned worker)
{
    struct local *local = workload_allocate(sizeof *local);

    (void)state;
    for (unsigned i = 0; i < OBJECTS; i++)
        local->objects[i] = workload_object(tally_float_new(worker + i));
    return local;
}

static uint64_t run(void *opaque)
{
    tally_object *const *objects = ((struct local *)opaque)->objects;

    for (unsigned round = 0; round < ROUNDS; round++) {
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++)
            tally_incref(objects[i]);
#pragma GCC unroll 4
        for (unsigned i = 0; i < OBJECTS; i++)
            tally_decref(objects[i]);
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * OBJECTS;
}

static void leave(void *opaque)
{
    struct local *local = opaque;

    for (unsigned i = 0; i < OBJECTS; i++) {
        workload_check_count(local->objects[i], 1);
        tally_decref(local->objects[i]);
    }
    free(local);
}

static void teardown(void *state)
{
    (void)state;
}

const tally_workload workload_refcount_own = {
    .name = "refcount-own",
    .description = "Count 256 objects of one's own up and down: the bare price of a reference.",
    .unit = "pairs",
    .sharing = OWN,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
