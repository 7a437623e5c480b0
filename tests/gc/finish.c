/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* finish.c: what is alive at the end of the run time is freed. */
#include "cycles.h"

enum { THREADS = 8 };

TEST(finish_counts_and_frees_live_cycles_without_finalizers) {
    begin_cycles();
    end_cycles();
    drop_ring(node_type, 3);
    drop_ring(finalized_node_type, 4);
    tally_object *list = tally_list_new(0);
    tally_list_append(list, list);
    for (int i = 0; i < 1000; i++)
        append_new(list, text("a str that is long enough not to be shared by anybody"));
    check_int(tally_finish(), 3 + 4 + 1 + 1000);
    check_int(finalized(), 0);
    check_int(tally_init(NULL), 0);
}

static void make_and_keep(void *argument) {
    tally_object *dict = tally_dict_new(), *key = tally_int_new(100000);
    tally_dict_set(dict, key, dict);
    tally_decref(key);
    *(tally_object **)argument = ring_of(node_type, 10);
}

TEST(finish_frees_what_threads_that_have_exited_left) {
    begin_cycles();
    end_cycles();
    tally_object *kept[THREADS];
    run_threads(THREADS, make_and_keep, kept, sizeof kept[0]);
    check_int(tally_finish(), THREADS * 12); /* 10 nodes, a dict and its key */
    check_int(tally_init(NULL), 0);
}

static void never_called(tally_object *reference, void *context) {
    check(!"a callback after the end");
}

TEST(finish_frees_live_weak_references_and_calls_none) {
    begin_cycles();
    tally_object *object = tally_instance_new(open_class), *cycle = ring_of(finalized_node_type, 2),
                 *list = tally_list_new(0);
    append_new(list, tally_weakref_new(object, never_called, NULL));
    append_new(list, tally_weakref_new(object, NULL, NULL));
    append_new(list, tally_weakref_new(cycle, never_called, NULL));
    append_new(list, tally_weakref_new(cycle, NULL, NULL));
    end_cycles();
    /* Alive: the instance and through it its class, the ring, the list and what it has. */
    check_int(tally_finish(), 2 + 2 + 1 + 4);
    check_int(finalized(), 0);
    check_int(tally_init(NULL), 0);
}
