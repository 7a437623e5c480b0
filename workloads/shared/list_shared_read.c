/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-shared-read and list-shared-borrow: all threads read one list of 100 ordinary items. It
 * stands for a table that is built once and then only looked at. Reads need no lock, but each takes
 * a reference to an item that all threads share; borrowed, it takes none.
 */
#include "workload.h"

enum { ITEMS = 100, ROUNDS = 40 };

struct shared {
    tally_object *list;
    tally_object *items[ITEMS];
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->list = workload_keep(context, tally_list_new(ITEMS), ANY_HOLDERS);
    workload_keep_floats(context, shared->items, ITEMS, 0, 2);
    for (unsigned i = 0; i < ITEMS; i++)
        workload_done(tally_list_append(shared->list, shared->items[i]));
}

WORKLOAD_INLINE uint64_t read_list(const struct shared *shared, struct local *local,
                                   bool borrowed) {
    for (unsigned round = 0; round < ROUNDS; round++) {
        for (unsigned i = 0; i < ITEMS; i++) {
            tally_object *item = workload_object(workload_list_read(shared->list, i, borrowed));
            if (item != shared->items[i]) workload_fail("item %u of the list is another", i);
            workload_read_end(item, borrowed);
        }
        tally_safepoint();
    }
    return (uint64_t)ROUNDS * ITEMS;
}

WORKLOAD_AND_BORROWED(list_shared_read, read_list, "list-shared-read", "list-shared-borrow",
                      "All threads read one list of 100 items: a table built once and looked at.",
                      .unit = "reads", .read_only = true, SHARED_STATE, .setup = setup);
