/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-own: append, get, set and pop on a list of one's own. It stands for the stack or the work
 * list of an algorithm that runs in one thread, and shows what a lock costs that nobody else ever
 * takes.
 */
#include "workload.h"

enum { ITEMS = 64, ROUNDS = 48 };

struct local {
    tally_object *list;
    tally_object *items[ITEMS];
};

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->list = workload_keep(context, tally_list_new(0), ANY_HOLDERS);
    workload_keep_floats(context, local->items, ITEMS, context->worker, 1);
}

/* Fills the list, turns it round, and empties it from the end: first to last. */
static void round_of_list(tally_object *list, tally_object *const *items) {
    for (unsigned i = 0; i < ITEMS; i++) workload_done(tally_list_append(list, items[i]));
    for (unsigned i = 0; i < ITEMS; i++)
        workload_done(tally_list_set(list, i, items[ITEMS - 1 - i]));
    tally_safepoint();
    for (unsigned i = 0; i < ITEMS; i++) {
        tally_object *item = workload_object(tally_list_get(list, i));
        if (item != items[ITEMS - 1 - i]) workload_fail("item %u of the list is another", i);
        tally_decref(item);
    }
    for (unsigned i = 0; i < ITEMS; i++) {
        tally_object *item = workload_object(tally_list_pop(list, -1));
        if (item != items[i]) workload_fail("pop %u gave another item", i);
        tally_decref(item);
    }
    tally_safepoint();
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned round = 0; round < ROUNDS; round++) round_of_list(local->list, local->items);
    if (tally_list_length(local->list) != 0)
        workload_fail("the emptied list has %td items", tally_list_length(local->list));
    return (uint64_t)ROUNDS * 4 * ITEMS;
}

WORKLOAD(list_own, .name = "list-own",
         .description =
             "Append, set, get and pop on a list of one's own: an algorithm's stack or work list.",
         .unit = "operations", .kind = OWN_OBJECTS, .read_only = true, LOCAL_STATE, .enter = enter,
         .run = run);
