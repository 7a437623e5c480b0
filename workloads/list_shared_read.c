/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-shared-read: all threads read one list of 100 ordinary items. It stands
 * for a table that is built once and then only looked at. Reads need no lock,
 * but each takes a reference to an item that all threads share; borrowed, it takes none.
 */
#include "workload.h"

enum { ITEMS = 100, ROUNDS = 40 };

struct shared {
    tally_object *list;
    tally_object *items[ITEMS];
};

static void *setup(const workload_context *context) {
    (void)context;
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->list = workload_object(tally_list_new(ITEMS));
    workload_make_floats(shared->items, ITEMS, 0);
    for (unsigned i = 0; i < ITEMS; i++)
        workload_done(tally_list_append(shared->list, shared->items[i]));
    return shared;
}

static uint64_t run_borrowed(void *opaque) {
    const struct shared *shared = opaque;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < ITEMS; i++) {
            tally_object *item =
                workload_object(tally_borrowed_object(tally_list_borrow(shared->list, i)));

            if (item != shared->items[i]) workload_fail("item %u of the list is another", i);
        }
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * ITEMS;
}

static uint64_t run(void *opaque) {
    const struct shared *shared = opaque;

    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < ITEMS; i++) {
            tally_object *item = workload_object(tally_list_get(shared->list, i));

            if (item != shared->items[i]) workload_fail("item %u of the list is another", i);
            tally_decref(item);
        }
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * ITEMS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_and_drop(shared->items, ITEMS, 2);
    tally_decref(shared->list);
    free(shared);
}

const tally_workload workload_list_shared_read = {
    .name = "list-shared-read",
    .kind = SHARED_OBJECTS,
    .description = "All threads read one list of 100 items: a table built once and looked at.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};

const tally_workload workload_list_shared_borrow = {
    .name = "list-shared-borrow",
    .kind = BORROWED_READS,
    .counterpart = "list-shared-read",
    .description = "As list-shared-read, with borrowed references, which count nothing.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run_borrowed,
    .teardown = teardown,
};
