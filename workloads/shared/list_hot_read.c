/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-hot-read and list-hot-borrow: all threads read the one item of a list, an ordinary object.
 * It stands for the current configuration, or the head of a queue, at which everybody looks.
 * Counted, it is as bad as refcount-shared; borrowed, nothing is written.
 */
#include "workload.h"

enum { READS = 8192, READS_PER_SAFEPOINT = 64 };

struct shared {
    tally_object *list, *item;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->list = workload_keep(context, tally_list_new(1), ANY_HOLDERS);
    shared->item = workload_keep(context, tally_float_new(0.5), 2);
    workload_done(tally_list_append(shared->list, shared->item));
}

WORKLOAD_INLINE uint64_t read_item(const struct shared *shared, struct local *local,
                                   bool borrowed) {
    WORKLOAD_LOOP(READS, READS_PER_SAFEPOINT) {
        tally_object *item = workload_list_read(shared->list, 0, borrowed);
        if (item != shared->item) workload_fail("the item of the list is another");
        workload_read_end(item, borrowed);
    }
    return READS;
}

WORKLOAD_AND_BORROWED(list_hot_read, read_item, "list-hot-read", "list-hot-borrow",
                      "All threads read the one item of a list, an ordinary object: what "
                      "everybody looks at.",
                      .unit = "reads", .read_only = true, SHARED_STATE, .setup = setup);
