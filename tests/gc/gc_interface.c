/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc_interface.c: settings, counts, statistics, queries, freezing and
 * callbacks of the cycle collector.
 */
#include "cycles.h"

static const int defaults[3] = {700, 10, 10}, never[3] = {0, 10, 10};

/* The list is a new reference, which is dropped. */
static int contains_once(tally_object *list, tally_object *wanted) {
    int found = times_in(list, wanted);
    tally_decref(list);
    return found == 1;
}

static ptrdiff_t length_of(tally_object *list) {
    ptrdiff_t length = tally_list_length(list);
    tally_decref(list);
    return length;
}

/* ---- settings ---- */

TEST(thresholds_are_700_10_10_and_can_be_set) {
    int thresholds[3] = {0};
    tally_gc_get_threshold(thresholds);
    for (int i = 0; i < 3; i++) check_int(thresholds[i], defaults[i]);
    check_int(tally_gc_set_threshold((int[]){1, 2, 3}), 0);
    tally_gc_get_threshold(thresholds);
    for (int i = 0; i < 3; i++) check_int(thresholds[i], i + 1);
    for (int bad = 0; bad < 3; bad++) {
        int negative[3] = {5, 5, 5};
        negative[bad] = -1;
        check_fails(tally_gc_set_threshold(negative), TALLY_VALUE_ERROR);
        tally_gc_get_threshold(thresholds);
        for (int i = 0; i < 3; i++) check_int(thresholds[i], i + 1);
    }
    check_int(tally_finish(), 0);
    check_int(tally_init(NULL), 0);
    tally_gc_get_threshold(thresholds);
    for (int i = 0; i < 3; i++) check_int(thresholds[i], defaults[i]); /* a restart forgets them */
}

static int64_t collections_so_far(void) {
    tally_gc_generation_stats stats[3];
    tally_gc_get_stats(stats);
    return (int64_t)(stats[0].collections + stats[1].collections + stats[2].collections);
}

NODE_TEST(a_first_threshold_of_0_turns_automatic_collection_off) {
    tally_gc_enable();
    check_int(tally_gc_set_threshold(never), 0);
    int64_t before = collections_so_far();
    for (int i = 0; i < 5000; i++) drop_ring(node_type, 2);
    check_int(collections_so_far(), before);
    check_int(freed(), 0);
    check_int(tally_gc_set_threshold(defaults), 0);
    for (int i = 0; i < 5000; i++) drop_ring(node_type, 2);
    check(collections_so_far() > before);
    check(freed() > 10000);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 20000);
}

TEST(disable_stops_automatic_collection_only) {
    check_int(tally_gc_is_enabled(), 1);
    begin_nodes();
    check_int(tally_gc_is_enabled(), 0);
    int64_t before = collections_so_far();
    for (int i = 0; i < 5000; i++) drop_ring(node_type, 2);
    check_int(collections_so_far(), before);
    check_int(tally_gc_collect(2), 10000);
    tally_gc_enable();
    check_int(tally_gc_is_enabled(), 1);
    for (int i = 0; i < 5000; i++) drop_ring(node_type, 2);
    check(collections_so_far() > before + 1);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 20000);
}

TEST(debug_flags_are_kept) {
    check_int(tally_gc_get_debug(), 0);
    tally_gc_set_debug(TALLY_GC_DEBUG_LEAK);
    check_int(tally_gc_get_debug(),
              TALLY_GC_DEBUG_COLLECTABLE | TALLY_GC_DEBUG_UNCOLLECTABLE | TALLY_GC_DEBUG_SAVEALL);
    tally_gc_set_debug(0);
    check_int(tally_gc_get_debug(), 0);
}

TEST(there_are_three_generations) {
    check_fails(tally_gc_collect(-1), TALLY_VALUE_ERROR);
    check_fails(tally_gc_collect(3), TALLY_VALUE_ERROR);
    check_null(tally_gc_get_objects(-2), TALLY_VALUE_ERROR);
    check_null(tally_gc_get_objects(3), TALLY_VALUE_ERROR);
}

/* ---- counts and statistics ---- */

NODE_TEST(the_first_count_is_of_containers_made_less_freed) {
    tally_object *made[100];
    int counts[3], before[3];
    tally_gc_get_count(before);
    for (int i = 0; i < 100; i++) made[i] = node_new(node_type);
    tally_gc_get_count(counts);
    check_int(counts[0], before[0] + 100);
    tally_gc_get_count(counts);
    check_int(counts[0], before[0] + 100);
    for (int i = 0; i < 100; i++) tally_decref(made[i]);
    tally_gc_get_count(counts);
    check_int(counts[0], before[0]);
    tally_object *kept = node_new(node_type);
    check_int(tally_gc_collect(2), 0);
    tally_gc_get_count(counts);
    check_int(counts[0], 0);
    tally_decref(kept);
}

NODE_TEST(the_other_counts_are_of_younger_collections) {
    int counts[3];
    check_int(tally_gc_collect(2), 0);
    for (int i = 1; i <= 3; i++) {
        check_int(tally_gc_collect(0), 0);
        tally_gc_get_count(counts);
        check_int(counts[1], has_generations() ? i : 0); /* else there is one generation */
        check_int(counts[2], 0);
    }
    check_int(tally_gc_collect(1), 0);
    tally_gc_get_count(counts);
    check_int(counts[1], 0);
    check_int(counts[2], has_generations() ? 1 : 0);
    check_int(tally_gc_collect(2), 0);
    tally_gc_get_count(counts);
    check_int(counts[1], 0);
    check_int(counts[2], 0);
}

NODE_TEST(statistics_tell_of_each_generation) {
    tally_gc_generation_stats before[3], after[3];
    tally_gc_get_stats(before);
    drop_ring(node_type, 3);
    check_int(tally_gc_collect(0), 3);
    drop_ring(node_type, 4);
    check_int(tally_gc_collect(1), 4);
    drop_ring(node_type, 5);
    check_int(tally_gc_collect(2), 5);
    tally_gc_get_stats(after);
    for (int i = 0; i < 3; i++) {
        int one = has_generations() || i < 2 ? has_generations() : 3;
        int found = has_generations() ? 3 + i : i < 2 ? 0 : 12;
        check_int(after[i].collections - before[i].collections, one);
        check_int(after[i].collected - before[i].collected, found);
        check_int(after[i].uncollectable, 0);
    }
    tally_stats_result events = stats_now();
    check(events.collections >= 3);
    check(events.gc_found >= 12);
    check(events.gc_examined >= 12);
}

/* ---- generations ---- */

static int generation_of(tally_object *object) {
    int found = -1;
    for (int i = 0; i < 3; i++)
        if (contains_once(tally_gc_get_objects(i), object)) found = found < 0 ? i : 100;
    return found;
}

NODE_TEST(survivors_go_to_the_next_generation) {
    tally_object *object = tally_list_new(0);
    int steps = has_generations();
    check_int(generation_of(object), steps ? 0 : 2);
    check_int(tally_gc_collect(0), 0);
    check_int(generation_of(object), steps ? 1 : 2);
    check_int(tally_gc_collect(0), 0);
    check_int(generation_of(object), steps ? 1 : 2);
    check_int(tally_gc_collect(1), 0);
    check_int(generation_of(object), 2);
    check_int(tally_gc_collect(2), 0);
    check_int(generation_of(object), 2);
    tally_decref(object);
}

NODE_TEST(garbage_of_an_older_generation_waits_for_its_collection) {
    tally_object *ring = ring_of(node_type, 4);
    check_int(tally_gc_collect(1), 0);
    tally_decref(ring);
    if (has_generations()) {
        check_int(tally_gc_collect(0), 0);
        check_int(tally_gc_collect(1), 0);
        check_int(freed(), 0);
    }
    check_int(tally_gc_collect(has_generations() ? 2 : 0), 4);
    check_int(freed(), 4);
}

typedef struct trace {
    int count;
    int generations[4096];
    tally_gc_info last_before, last_after;
    int before, after;
} trace;

static void note(const tally_gc_info *info, void *context) {
    trace *t = context;
    if (!info->finished) {
        t->before++;
        t->last_before = *info;
        return;
    }
    t->after++;
    t->last_after = *info;
    if (t->count < 4096) t->generations[t->count++] = info->generation;
}

TEST(generation_1_follows_10_collections_of_generation_0) {
    static trace t;
    memset(&t, 0, sizeof t);
    begin_nodes();
    check_int(tally_gc_add_callback(note, &t), 0);
    tally_gc_enable();
    for (int i = 0; i < 700 * 40; i++) drop_ring(node_type, 1);
    tally_gc_disable();
    check_int(tally_gc_remove_callback(note, &t), 0);
    check(t.count >= 36);
    int young = 0, middle = 0;
    for (int i = 0; i < t.count; i++) {
        if (!has_generations()) {
            check_int(t.generations[i], 2);
        } else if (t.generations[i] == 0) {
            young++;
        } else {
            /* More than 10 of generation 0 since. */
            check_int(young, 11);
            young = 0;
            middle++;
        }
    }
    check_int(middle >= 3, has_generations());
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 28000);
}

/* With a large old heap a full collection waits until the new survivors are a quarter of it. */
TEST(full_collections_wait_for_a_quarter_of_new_survivors) {
    enum { OLD = 40000 };
    static trace t;
    memset(&t, 0, sizeof t);
    begin_nodes();
    tally_object *old = ring_of(node_type, OLD), *kept = tally_list_new(0);
    check_int(tally_gc_collect(2), 0);
    check_int(tally_gc_set_threshold((int[]){100, 1, 1}), 0);
    check_int(tally_gc_add_callback(note, &t), 0);
    tally_gc_enable();
    int made = 0;
    for (; made < OLD / 4 - 1000; made++) append_new(kept, node_new(node_type));
    int full = 0;
    for (int i = 0; i < t.count; i++) full += t.generations[i] == 2;
    check_int(full, 0);
    check_int(t.count > 0, has_generations()); /* younger ones there were */
    for (; made < OLD / 4 + 2000; made++) append_new(kept, node_new(node_type));
    full = 0;
    for (int i = 0; i < t.count; i++) full += t.generations[i] == 2;
    check_int(full, 1);
    tally_gc_disable();
    check_int(tally_gc_remove_callback(note, &t), 0);
    drop(kept, old);
    check_int(tally_gc_collect(2), OLD);
}

/* ---- queries ---- */

NODE_TEST(objects_are_the_tracked_ones) {
    tally_object *list = tally_list_new(0), *dict = tally_dict_new(),
                 *number = tally_int_new(123456);
    tally_object *atoms = pair(number, tally_none), *holder = pair(list, number),
                 *node = node_new(node_type), *large = tally_object_new(node_type, 5000);
    tally_object *all = tally_gc_get_objects(-1);
    check_int(times_in(all, list), 1);
    check_int(times_in(all, dict), 1);
    check_int(times_in(all, holder), 1);
    check_int(times_in(all, node), 1);
    check_int(times_in(all, large), 1);
    check_int(times_in(all, atoms), 0);
    check_int(times_in(all, number), 0);
    check_int(times_in(all, all), 0);
    tally_decref(all);
    ptrdiff_t before = length_of(tally_gc_get_objects(-1));
    tally_object *fresh = tally_list_new(0);
    check_int(length_of(tally_gc_get_objects(-1)), before + 1);
    tally_decref(fresh);
    check_int(length_of(tally_gc_get_objects(-1)), before);
    check_int(tally_gc_is_tracked(list), 1);
    check_int(tally_gc_is_tracked(dict), 1);
    check_int(tally_gc_is_tracked(holder), 1);
    check_int(tally_gc_is_tracked(node), 1);
    check_int(tally_gc_is_tracked(large), 1);
    check_int(tally_gc_is_tracked(atoms), 0);
    check_int(tally_gc_is_tracked(number), 0);
    check_int(tally_gc_is_tracked(tally_none), 0);
    tally_object *nested = one_tuple(atoms), *deep = one_tuple(holder);
    check_int(tally_gc_is_tracked(nested), 0);
    check_int(tally_gc_is_tracked(deep), 1);
    tally_object *drop[] = {list, dict, number, atoms, holder, node, large, nested, deep};
    for (size_t i = 0; i < sizeof drop / sizeof *drop; i++) tally_decref(drop[i]);
}

NODE_TEST(referrers_are_the_tracked_objects_that_hold_it) {
    tally_object *target = tally_list_new(0), *list = tally_list_new(0),
                 *tuple = pair(target, target), *node = node_new(node_type), *key = text("k");
    tally_object *dict = tally_dict_new(), *class = class_named("C"),
                 *instance = tally_instance_new(class);
    check_int(length_of(tally_gc_get_referrers(list)), 0);
    tally_list_append(list, target);
    node_set(node, 1, target);
    tally_dict_set(dict, key, target);
    tally_set_attr(instance, key, target);
    tally_object *referrers = tally_gc_get_referrers(target);
    check_int(tally_list_length(referrers), 5);
    check_int(times_in(referrers, list), 1);
    check_int(times_in(referrers, tuple), 1);
    check_int(times_in(referrers, node), 1);
    check_int(times_in(referrers, dict), 1);
    check_int(times_in(referrers, instance), 1);
    tally_decref(referrers);
    check(contains_once(tally_gc_get_referrers(class), instance));
    tally_object *drop[] = {list, tuple, node, dict, instance, class, target, key};
    for (size_t i = 0; i < sizeof drop / sizeof *drop; i++) tally_decref(drop[i]);
}

NODE_TEST(referents_are_what_an_object_holds) {
    tally_object *a = tally_list_new(0), *number = tally_int_new(1000), *tuple = pair(a, number),
                 *key = text("k");
    tally_object *class = class_named("C"), *instance = tally_instance_new(class);
    tally_object *referents = tally_gc_get_referents(tuple);
    check_int(tally_list_length(referents), 2);
    check_int(times_in(referents, a), 1);
    check_int(times_in(referents, number), 1);
    tally_decref(referents);
    check_int(length_of(tally_gc_get_referents(a)), 0);
    check_int(length_of(tally_gc_get_referents(number)), 0);
    tally_set_attr(instance, key, a);
    referents = tally_gc_get_referents(instance);
    check_int(times_in(referents, a), 1);
    check_int(times_in(referents, key), 1);
    check_int(times_in(referents, class), 1);
    check_int(tally_list_length(referents), 3);
    tally_decref(referents);
    tally_object *reference = tally_weakref_new(instance, NULL, NULL);
    check_int(length_of(tally_gc_get_referents(reference)), 0);
    tally_object *drop[] = {reference, tuple, a, number, instance, class, key};
    for (size_t i = 0; i < sizeof drop / sizeof *drop; i++) tally_decref(drop[i]);
}

static tally_object *resurrected;

static void resurrect(tally_object *self) {
    tally_incref(self);
    resurrected = self;
}

NODE_TEST(is_finalized_tells_whose_finalizer_has_run) {
    atomic_store(&on_finalize, resurrect);
    tally_object *object = node_new(finalized_node_type);
    check_int(tally_gc_is_finalized(object), 0);
    check_int(tally_gc_is_finalized(tally_none), 0);
    tally_decref(object);
    check(resurrected == object);
    check_int(tally_gc_is_finalized(object), 1);
    check_int(tally_gc_is_tracked(object), 1);
    tally_decref(object);
    check_int(finalized(), 1);
    check_int(freed(), 1);
}

/* ---- freezing ---- */

NODE_TEST(frozen_objects_are_left_alone_until_unfrozen) {
    tally_object *live = tally_list_new(0);
    drop_ring(node_type, 5);
    check_int(tally_gc_freeze_count(), 0);
    tally_gc_freeze();
    check(tally_gc_freeze_count() >= 6);
    drop_ring(node_type, 3);
    append_new(live, node_new(node_type));
    check_int(tally_gc_collect(2), 3);
    check_int(tally_gc_collect(0), 0);
    check_int(freed(), 3);
    check_int(tally_list_length(live), 1);
    tally_gc_unfreeze();
    check_int(tally_gc_freeze_count(), 0);
    check_int(tally_gc_collect(2), 5);
    check_int(freed(), 8);
    tally_decref(live);
}

NODE_TEST(what_a_frozen_object_holds_lives) {
    tally_object *frozen = ring_of(node_type, 1);
    tally_gc_freeze();
    tally_object *ring = ring_of(node_type, 3);
    node_set(frozen, 1, ring);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(node_of(frozen)->child[1]), 3);
    ptrdiff_t count = tally_gc_freeze_count();
    node_set(frozen, 0, NULL);
    tally_decref(frozen); /* the frozen may die by their count */
    check_int(tally_gc_freeze_count(), count - 1);
    check_int(freed(), 1);
    check_int(tally_gc_collect(2), 3);
    tally_gc_unfreeze();
}

/* ---- an immortal heap ---- */

NODE_TEST(an_immortal_heap_is_neither_counted_nor_collected) {
    tally_object *number = tally_float_new(0.5), *list = tally_list_new(0);
    check_int(tally_list_append(list, number), 0);
    drop_ring(node_type, 3);
    tally_gc_immortalize_heap();
    check_int(tally_is_immortal(number), 1);
    check_int(tally_is_immortal(list), 1);
    check_int(tally_gc_is_tracked(list), 0);
    drop(number, number, list);
    check_int(tally_gc_collect(2), 0);
    check_int(freed(), 0);
    check_int(tally_list_length(list), 1);
    check(tally_float_value(number) == 0.5);
}

NODE_TEST(what_an_immortal_object_gets_later_is_counted_and_lives) {
    tally_object *list = tally_list_new(0);
    tally_gc_immortalize_heap();
    tally_object *ring = ring_of(node_type, 3);
    check_int(tally_is_immortal(ring), 0);
    append_new(list, ring);
    check_int(tally_gc_collect(2), 0);
    check_int(freed(), 0);
    check_int(tally_list_clear(list), 0);
    check_int(tally_gc_collect(2), 3);
    check_int(freed(), 3);
}

static void use_immortal(void *list) {
    for (int i = 0; i < 1000; i++) {
        tally_object *item = tally_list_get(list, 0);
        tally_incref(list);
        append_new(list, item);
        drop(item, list);
        tally_decref(tally_list_pop(list, -1));
        tally_safepoint();
    }
}

TEST(threads_use_an_immortal_heap_that_another_made) {
    tally_object *list = tally_list_new(0), *item = tally_float_new(1);
    check_int(tally_list_append(list, item), 0);
    tally_gc_immortalize_heap();
    tally_thread threads[3];
    for (int i = 0; i < 3; i++) check_int(tally_thread_start(&threads[i], use_immortal, list), 0);
    use_immortal(list);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    check_int(tally_list_length(list), 1);
    check(tally_float_value(item) == 1);
}

/* ---- callbacks ---- */

TEST(callbacks_come_before_and_after_with_what_was_done) {
    static trace t;
    memset(&t, 0, sizeof t);
    begin_nodes();
    tally_object *live = ring_of(node_type, 1000);
    drop_ring(finalized_node_type, 7);
    check_int(tally_gc_add_callback(note, &t), 0);
    check_int(tally_gc_collect(2), 7);
    check_int(t.before, 1);
    check_int(t.after, 1);
    check_int(t.last_before.generation, 2);
    check_int(t.last_before.automatic, 0);
    check_int(t.last_before.finished, 0);
    check_int(t.last_after.generation, 2);
    check_int(t.last_after.automatic, 0);
    check_int(t.last_after.collected, 7);
    check_int(t.last_after.uncollectable, 0);
    check(t.last_after.examined >= 1007 && t.last_after.examined < 1100);
    check(t.last_after.pause > 0);
    check(t.last_after.mark > 0);
    check(t.last_after.finalize > 0);
    check(t.last_after.check > 0); /* finalizers ran: a recheck */
    check(t.last_after.free > 0);
    check(t.last_after.began == t.last_before.began && t.last_after.began > 0);
    if (has_gil())
        check_int(t.last_after.stop, 0);
    else
        check(t.last_after.stop > 0);
    check_int(tally_gc_collect(2), 0);
    check_int(t.after, 2);
    check_int(t.last_after.check, 0);
    check_int(tally_gc_remove_callback(note, &t), 0);
    check_int(tally_gc_collect(2), 0);
    check_int(t.after, 2);
    tally_decref(live);
    check_int(tally_gc_collect(2), 1000);
}

static void fail(const tally_gc_info *info, void *context) {
    if (info->finished) ++*(int *)context;
    tally_error_set(TALLY_KEY_ERROR, "a gc callback that fails");
}

TEST(callbacks_are_removed_by_function_and_context) {
    static trace a, b;
    memset(&a, 0, sizeof a);
    memset(&b, 0, sizeof b);
    begin_nodes();
    check_fails(tally_gc_remove_callback(note, &a), TALLY_VALUE_ERROR);
    check_int(tally_gc_add_callback(note, &a), 0);
    check_int(tally_gc_add_callback(note, &b), 0);
    check_int(tally_gc_collect(2), 0);
    check_int(tally_gc_remove_callback(note, &a), 0);
    check_fails(tally_gc_remove_callback(note, &a), TALLY_VALUE_ERROR);
    check_int(tally_gc_collect(2), 0);
    check_int(a.after, 1);
    check_int(b.after, 2);
    check_int(tally_gc_remove_callback(note, &b), 0);
    int room = 0;
    while (room < 1000 && tally_gc_add_callback(note, &b) == 0) room++;
    check_error(TALLY_RUNTIME_ERROR);
    check(room >= 2 && room < 1000);
    for (int i = 0; i < room; i++) check_int(tally_gc_remove_callback(note, &b), 0);
    check_fails(tally_gc_remove_callback(note, &b), TALLY_VALUE_ERROR);
}

NODE_TEST(errors_in_callbacks_are_reported) {
    int calls = 0;
    check_int(tally_gc_add_callback(fail, &calls), 0);
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    const char *written = capture_end();
    check_int(found, 0);
    check_int(calls, 1);
    check_int(occurrences(written, "a gc callback that fails"), 2);
    check_error(TALLY_NO_ERROR);
    check_int(tally_gc_remove_callback(fail, &calls), 0);
}

static ptrdiff_t found_by_another;
static void collect_here(void *nothing) { found_by_another = tally_gc_collect(2); }
static void collect_elsewhere(tally_object *self) { run_threads(1, collect_here, NULL, 0); }

TEST(what_another_thread_asks_for_during_a_collection_is_one_of_its_own) {
    static trace t;
    memset(&t, 0, sizeof t);
    begin_nodes();
    atomic_store(&on_finalize, collect_elsewhere);
    drop_ring(finalized_node_type, 1);
    check_int(tally_gc_add_callback(note, &t), 0);
    tally_gc_generation_stats before[3], after[3];
    tally_gc_get_stats(before);
    check_int(tally_gc_collect(2), 1);
    check_int(found_by_another, 0);
    tally_gc_get_stats(after);
    check_int(after[2].collections - before[2].collections, 2);
    check_int(t.before, 2);
    check_int(t.after, 2);
    check_int(tally_gc_remove_callback(note, &t), 0);
}

static tally_object *seen_objects;

static void query(const tally_gc_info *info, void *context) {
    if (!info->finished) return;
    ++*(int *)context;
    seen_objects = tally_gc_get_objects(-1);
    check_int(tally_gc_collect(2), 0);
}

NODE_TEST(callbacks_may_allocate_and_ask) {
    int calls = 0;
    tally_object *live = tally_list_new(0);
    check_int(tally_gc_add_callback(query, &calls), 0);
    drop_ring(node_type, 3);
    check_int(tally_gc_collect(2), 3);
    check_int(calls, 1);
    check(contains_once(seen_objects, live));
    check_int(tally_gc_remove_callback(query, &calls), 0);
    tally_decref(live);
}

static int asked_at_the_end;
static void ask_for_garbage(tally_object *self) {
    tally_object *garbage = tally_gc_garbage();
    check(garbage == NULL);
    check_error(TALLY_RUNTIME_ERROR);
    asked_at_the_end++;
}

NODE_TEST(garbage_is_not_there_while_the_run_time_ends) {
    asked_at_the_end = 0;
    atomic_store(&on_finalize, ask_for_garbage);
    tally_object *garbage = tally_gc_garbage();
    append_new(garbage, node_new(finalized_node_type));
    tally_decref(garbage);
    check_int(tally_finish(), 0);
    check_int(asked_at_the_end, 1);
    check_int(tally_init(NULL), 0);
}

TEST(garbage_is_one_list) {
    tally_object *garbage = tally_gc_garbage(), *again = tally_gc_garbage();
    check(garbage == again);
    check_int(tally_list_length(garbage), 0);
    check_int(tally_gc_collect(2), 0);
    drop(garbage, again);
}

static void ask_again_and_again(void *argument) {
    for (int i = 0; i < SUITE_LONG(100); i++) {
        tally_object *ring = ring_of(node_type, 2), *all = tally_gc_get_objects(-1),
                     *referrers = tally_gc_get_referrers(ring);
        check_int(times_in(all, ring), 1);
        check(times_in(referrers, node_of(ring)->child[0]) == 1);
        drop(all, referrers);
        int counts[3];
        tally_gc_get_count(counts);
        if (i % 10 == 0) check(tally_gc_collect(2) >= 0);
        tally_decref(ring);
        tally_safepoint();
    }
}

NODE_TEST(threads_may_ask_while_others_collect) {
    run_threads(4, ask_again_and_again, NULL, 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 4 * SUITE_LONG(100) * 2);
}
