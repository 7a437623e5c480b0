/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* debug_flags.c: what the debug flags print and keep. */
#include "cycles.h"

CYCLE_TEST(saveall_keeps_what_it_finds) {
    tally_object *list = list_of(1, 3), *dict = tally_dict_new();
    tally_list_append(list, dict);
    tally_dict_set(dict, field, list);
    drop(list, dict);
    drop_ring(finalized_node_type, 2);
    tally_gc_set_debug(TALLY_GC_DEBUG_SAVEALL);
    check_int(tally_gc_get_debug(), TALLY_GC_DEBUG_SAVEALL);
    check_int(tally_gc_collect(2), 4);
    tally_gc_set_debug(0);
    check_int(freed(), 0);
    check_int(finalized(), 2);
    tally_object *garbage = tally_gc_garbage();
    check_int(tally_list_length(garbage), 4);
    check_int(tally_list_length(list), 4);
    check_int(take_int(tally_list_get(list, 2)), 3);
    check_int(tally_gc_collect(2), 0);
    check_int(tally_list_clear(garbage), 0);
    tally_decref(garbage);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 2);
    check_int(finalized(), 2);
}

/* What a full collection that finds so many writes with this debug flag. */
static const char *collect_with(int flag, ptrdiff_t found) {
    tally_gc_set_debug(flag);
    capture_begin();
    ptrdiff_t really = tally_gc_collect(2);
    const char *written = capture_end();
    tally_gc_set_debug(0);
    check_int(really, found);
    return written;
}

TEST(collectable_objects_are_named_on_standard_error) {
    begin_cycles();
    tally_object *list = tally_list_new(0);
    tally_list_append(list, list);
    tally_decref(list);
    drop_ring(node_type, 3);
    const char *written = collect_with(TALLY_GC_DEBUG_COLLECTABLE, 4);
    check_int(occurrences(written, " collectable <node "), 3);
    check_int(occurrences(written, " collectable <list "), 1);
    check_int(occurrences(written, "\n"), 4);
    check_int(freed(), 3);
    end_cycles();
}

TEST(uncollectable_objects_are_named_on_standard_error) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin_cycles();
    drop_ring(finalized_node_type, 2);
    drop_ring(node_type, 2);
    const char *written = collect_with(TALLY_GC_DEBUG_UNCOLLECTABLE, 4);
    check_int(occurrences(written, " uncollectable <finalized node "), 2);
    check_int(occurrences(written, "\n"), 2);
    tally_object *garbage = tally_gc_garbage(), *one = tally_list_get(garbage, 0);
    tally_list_clear(garbage);
    node_set(one, 0, NULL);
    drop(one, garbage);
    check_int(freed(), 4);
    end_cycles();
    restart(NULL);
}

TEST(statistics_are_a_line_for_each_collection) {
    begin_cycles();
    drop_ring(node_type, 5);
    for (int unreachable = 5; unreachable >= 0; unreachable -= 5) {
        const char *written = collect_with(TALLY_GC_DEBUG_STATS, unreachable);
        check_int(occurrences(written, "\n"), 1);
        check_int(occurrences(written, "generation 2"), 1);
        check_int(occurrences(written, unreachable ? "5 unreachable" : " 0 unreachable"), 1);
        check_int(occurrences(written, "0 uncollectable"), 1);
    }
    end_cycles();
}
