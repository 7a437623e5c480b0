/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cells: ten shared cells; nine operations in ten read the number in one of them, the
 * tenth stores a new one. It stands for shared state that is replaced as a whole:
 * settings, routes, prices. (The load and store benchmark of Anderson, Blelloch and Wei,
 * Concurrent deferred reference counting with constant-time overhead, PLDI 2021.)
 */
#include "workload.h"

enum {
    CELLS = 10,
    OPERATIONS = 2560,
    OPERATIONS_A_SAFEPOINT = 64,
    STORES_IN = 10,
    FIRST = 1000000
};

struct shared {
    const workload_context *context;
    tally_object *cells;
};

struct local {
    const struct shared *shared;
    uint64_t seed;
    int64_t next;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->cells = workload_object(tally_list_new(CELLS));
    for (unsigned i = 0; i < CELLS; i++) {
        tally_object *number = workload_object(tally_int_new(FIRST));

        workload_done(tally_list_append(shared->cells, number));
        tally_decref(number);
    }
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->seed = workload_seed(local->shared->context, worker);
    local->next = FIRST;
    return local;
}

static void store(struct local *local, unsigned cell) {
    tally_object *number = workload_object(tally_int_new(++local->next));

    workload_done(tally_list_set(local->shared->cells, cell, number));
    tally_decref(number);
}

/* Inlined in both, so that neither asks which it is. */
static inline __attribute__((always_inline)) uint64_t operate(struct local *local, bool borrowed) {
    tally_object *cells = local->shared->cells;

    for (unsigned done = 0; done < OPERATIONS; done += OPERATIONS_A_SAFEPOINT) {
        for (unsigned i = 0; i < OPERATIONS_A_SAFEPOINT; i++) {
            unsigned random = workload_random(&local->seed) % (CELLS * STORES_IN),
                     cell = random % CELLS;
            int64_t value;

            if (random < CELLS) {
                store(local, cell);
                continue;
            }
            if (borrowed) {
                value = tally_int_value(
                    workload_object(tally_borrowed_object(tally_list_borrow(cells, cell))));
            } else {
                tally_object *number = workload_object(tally_list_get(cells, cell));

                value = tally_int_value(number);
                tally_decref(number);
            }
            if (value < FIRST) workload_fail("cell %u has a number that nobody stored", cell);
        }
        tally_safepoint();
    }
    return OPERATIONS;
}

static uint64_t run(void *local) { return operate(local, false); }
static uint64_t run_borrowed(void *local) { return operate(local, true); }

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_count(shared->cells, 1);
    tally_decref(shared->cells);
    free(shared);
}

const tally_workload workload_cells = {
    .name = "cells",
    .kind = SHARED_OBJECTS,
    .description = "Ten shared cells, read nine times in ten, stored the tenth: state that is "
                   "replaced as a whole.",
    .unit = "operations",
    .sharing = SHARED,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = free,
    .teardown = teardown,
};

const tally_workload workload_cells_borrow = {
    .name = "cells-borrow",
    .kind = BORROWED_READS,
    .counterpart = "cells",
    .description = "As cells, with borrowed references, which count nothing.",
    .unit = "operations",
    .sharing = SHARED,
    .not_quick = true,
    .setup = setup,
    .enter = enter,
    .run = run_borrowed,
    .leave = free,
    .teardown = teardown,
};
