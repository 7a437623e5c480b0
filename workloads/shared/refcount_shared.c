/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * refcount-shared: all threads take and drop references to one object. It stands for the objects
 * that everybody uses, a module or a configuration, and is the worst case of a count: one cache
 * line that every core wants to write.
 *
 * The barriers are for plain refcounts: the compiler sees that a pair changes nothing, and would
 * write no count at all.
 */
#include "workload.h"

enum { PAIRS = 16384, PAIRS_PER_SAFEPOINT = 64 };

struct shared {
    tally_object *object;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->object = workload_keep(context, tally_float_new(0.5), 1);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *object = shared->object;
    WORKLOAD_LOOP(PAIRS, PAIRS_PER_SAFEPOINT) {
        tally_incref(object);
        workload_compiler_barrier();
        tally_decref(object);
        workload_compiler_barrier();
    }
    return PAIRS;
}

WORKLOAD(refcount_shared, .name = "refcount-shared",
         .description = "All threads count one object up and down: what everybody uses at once.",
         .unit = "pairs", .kind = SHARED_OBJECTS, .read_only = true, SHARED_STATE, .setup = setup,
         .run = run);
