/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount-shared: all threads take and drop references to one object. It
 * stands for the objects that everybody uses, a module or a configuration, and
 * is the worst case of a count: one cache line that every core wants to write.
 *
 * The barriers are for plain counts: the compiler sees that a pair changes
 * nothing, and would write no count at all.
 */
#include "workload.h"

enum { PAIRS = 16384, PAIRS_A_SAFEPOINT = 64 };

static void *setup(const workload_context *context) {
    (void)context;
    return workload_object(tally_float_new(0.5));
}

static uint64_t run(void *opaque) {
    tally_object *object = opaque;

    for (unsigned done = 0; done < PAIRS; done += PAIRS_A_SAFEPOINT) {
        for (unsigned i = 0; i < PAIRS_A_SAFEPOINT; i++) {
            tally_incref(object);
            workload_compiler_barrier();
            tally_decref(object);
            workload_compiler_barrier();
        }
        tally_safepoint();
    }
    return PAIRS;
}

static void teardown(void *state) {
    workload_check_count(state, 1);
    tally_decref(state);
}

const tally_workload workload_refcount_shared = {
    .name = "refcount-shared",
    .kind = SHARED_OBJECTS,
    .description = "All threads count one object up and down: what everybody uses at once.",
    .unit = "pairs",
    .sharing = SHARED,
    .read_only = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};
