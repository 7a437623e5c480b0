/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cells and cells-borrow: ten shared cells; nine operations in ten read the number in one of
 * them, the tenth stores a new one. It stands for shared state that is replaced as a whole:
 * settings, routes, prices. (The load and store benchmark of Anderson, Blelloch and Wei,
 * Concurrent deferred reference counting with constant-time overhead, PLDI 2021.)
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

static void store(tally_object *cells, unsigned cell, int64_t value) {
    tally_object *number = workload_object(tally_int_new(value));

    workload_done(tally_list_set(cells, cell, number));
    tally_decref(number);
}

static void setup(struct shared *shared, const workload_context *context) {
    shared->cells = workload_keep(context, tally_list_new(CELLS), 1);
    for (unsigned i = 0; i < CELLS; i++) {
        tally_object *number = workload_object(tally_int_new(FIRST));

        workload_done(tally_list_append(shared->cells, number));
        tally_decref(number);
    }
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = workload_seed(context);
    local->last = FIRST;
}

WORKLOAD_INLINE uint64_t operate(tally_object *cells, struct local *local, bool borrowed) {
    WORKLOAD_LOOP(OPERATIONS, PER_SAFEPOINT) {
        unsigned random = workload_random(&local->seed) % (CELLS * STORES_IN);
        unsigned cell = random % CELLS;

        if (random < CELLS) {
            store(cells, cell, ++local->last);
            continue;
        }
        tally_object *number = workload_object(workload_list_read(cells, cell, borrowed));
        int64_t value = tally_int_value(number);
        workload_read_end(number, borrowed);
        if (value < FIRST) workload_fail("cell %u has a number that nobody stored", cell);
    }
    return OPERATIONS;
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    return operate(shared->cells, local, false);
}

static uint64_t borrow(struct shared *shared, struct local *local,
                       const workload_context *context) {
    return operate(shared->cells, local, true);
}

#define COMMON                                                  \
    .unit = "operations", .shared_size = sizeof(struct shared), \
    .local_size = sizeof(struct local), .setup = setup, .enter = enter

WORKLOAD(cells) = {
    .name = "cells",
    .description = "Ten shared cells, read nine times in ten, stored the tenth: state that is "
                   "replaced as a whole.",
    .kind = SHARED_OBJECTS,
    .run = run,
    COMMON,
};

WORKLOAD(cells_borrow) = {
    .name = "cells-borrow",
    .description = "As cells, with borrowed references, which count nothing.",
    .kind = BORROWED_READS,
    .counterpart = "cells",
    .not_quick = true,
    .run = borrow,
    COMMON,
};
