/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-hot-read: all threads read the one item of a list, an ordinary object. It
 * stands for the current configuration, or the head of a queue, at which everybody
 * looks. Counted, it is as bad as refcount-shared; borrowed, nothing is written.
 */
#include "workload.h"

enum { READS = 8192, READS_A_SAFEPOINT = 64 };

struct shared {
    tally_object *list, *item;
};

static void *setup(const workload_context *context) {
    (void)context;
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->list = workload_object(tally_list_new(1));
    shared->item = workload_object(tally_float_new(0.5));
    workload_done(tally_list_append(shared->list, shared->item));
    return shared;
}

static uint64_t run_borrowed(void *opaque) {
    const struct shared *shared = opaque;

    for (unsigned done = 0; done < READS; done += READS_A_SAFEPOINT) {
        for (unsigned i = 0; i < READS_A_SAFEPOINT; i++)
            if (tally_borrowed_object(tally_list_borrow(shared->list, 0)) != shared->item)
                workload_fail("the item of the list is another");
        tally_safepoint();
    }
    return READS;
}

static uint64_t run(void *opaque) {
    const struct shared *shared = opaque;

    for (unsigned done = 0; done < READS; done += READS_A_SAFEPOINT) {
        for (unsigned i = 0; i < READS_A_SAFEPOINT; i++) {
            tally_object *item = workload_object(tally_list_get(shared->list, 0));

            if (item != shared->item) workload_fail("the item of the list is another");
            tally_decref(item);
        }
        tally_safepoint();
    }
    return READS;
}

static void teardown(void *state) {
    struct shared *shared = state;

    workload_check_and_drop(&shared->item, 1, 2);
    tally_decref(shared->list);
    free(shared);
}

const tally_workload workload_list_hot_read = {
    .name = "list-hot-read",
    .kind = SHARED_OBJECTS,
    .description =
        "All threads read the one item of a list, an ordinary object: what everybody looks at.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .setup = setup,
    .run = run,
    .teardown = teardown,
};

const tally_workload workload_list_hot_borrow = {
    .name = "list-hot-borrow",
    .kind = BORROWED_READS,
    .counterpart = "list-hot-read",
    .description = "As list-hot-read, with borrowed references, which count nothing.",
    .unit = "reads",
    .sharing = SHARED,
    .read_only = true,
    .not_quick = true,
    .setup = setup,
    .run = run_borrowed,
    .teardown = teardown,
};
