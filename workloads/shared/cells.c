/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cells and cells-borrow: ten shared cells; nine operations in ten read the number in one of them,
 * the tenth stores a new one. It stands for shared state that is replaced as a whole: settings,
 * routes, prices. (The load and store benchmark of Anderson, Blelloch and Wei, Concurrent deferred
 * reference counting with constant-time overhead, PLDI 2021.)
 */
#include "workload.h"

enum { CELLS = 10, OPERATIONS = 2560, PER_SAFEPOINT = 64, STORES_IN = 10, FIRST = 1000000 };

struct shared {
    tally_object *cells;
};

struct local {
    uint64_t seed;
    int64_t last; /* number stored */
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->cells = workload_keep(context, tally_list_new(CELLS), 1);
    for (unsigned i = 0; i < CELLS; i++) workload_append(shared->cells, tally_int_new(FIRST));
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = workload_seed(context);
    local->last = FIRST;
}

WORKLOAD_INLINE uint64_t operate(const struct shared *shared, struct local *local, bool borrowed) {
    tally_object *cells = shared->cells;
    WORKLOAD_LOOP(OPERATIONS, PER_SAFEPOINT) {
        unsigned random = workload_random(&local->seed) % (CELLS * STORES_IN);
        unsigned cell = random % CELLS;
        if (random < CELLS) {
            workload_list_put(cells, cell, tally_int_new(++local->last));
            continue;
        }
        tally_object *number = workload_object(workload_list_read(cells, cell, borrowed));
        int64_t value = tally_int_value(number);
        workload_read_end(number, borrowed);
        if (value < FIRST) workload_fail("cell %u has a number that nobody stored", cell);
    }
    return OPERATIONS;
}

WORKLOAD_AND_BORROWED(cells, operate, "cells", "cells-borrow",
                      "Ten shared cells, read nine times in ten, stored the tenth: state that is "
                      "replaced as a whole.",
                      .unit = "operations", SHARED_STATE, LOCAL_STATE, .setup = setup,
                      .enter = enter);
