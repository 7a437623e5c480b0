/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* finalizers.c: finalizers of garbage (PEP 442): once, with the cycle whole; resurrection; as
 * Python 2. */
#include "cycles.h"

/* ---- finalizers ----------------------------------------------------------- */

static int whole;

static void look_whether_whole(tally_object *self) {
    tally_object *next = node_of(self)->child[0];
    whole += next && node_of(next)->child[0] && node_of(next)->id == 1 - node_of(self)->id &&
             freed() == 0;
}

CYCLE_TEST(finalizers_run_once_with_the_cycle_whole) {
    whole = 0;
    atomic_store(&on_finalize, look_whether_whole);
    tally_object *ring = ring_of(finalized_node_type, 2);
    check_int(tally_gc_is_finalized(ring), 0);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 2);
    check_int(finalized(), 2);
    check_int(whole, 2);
    check_int(freed(), 2);
    check_int(tally_gc_collect(2), 0);
    check_int(finalized(), 2);
}

static void count_class_finalizer(tally_object *self) {
    tally_object *other = tally_get_attr(self, field);
    whole += other != NULL;
    tally_xdecref(other);
    suite_count_death(self);
}

CYCLE_TEST(finalizers_of_instances_run_too) {
    whole = 0;
    tally_object *class = class_finalized("Finalized", count_class_finalizer);
    for (int i = 0; i < 100; i++) {
        tally_object *a = tally_instance_new(class), *b = tally_instance_new(class);
        tally_set_attr(a, field, b);
        tally_set_attr(b, field, a);
        drop(a, b);
    }
    check_int(tally_gc_collect(2), 200);
    check_int(deaths(), 200);
    check_int(whole, 200);
    tally_decref(class);
}

static tally_object *kept_alive[16];
static int kept_count;

static void resurrect_all(tally_object *self) {
    tally_incref(self);
    kept_alive[kept_count++] = self;
}

CYCLE_TEST(a_resurrected_cycle_lives_and_is_not_finalized_again) {
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_all);
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 0); /* what lives on is not counted */
    check_int(finalized(), 3);
    check_int(kept_count, 3);
    check_int(freed(), 0);
    for (int i = 0; i < 3; i++) {
        check_int(tally_gc_is_finalized(kept_alive[i]), 1);
        check_int(tally_gc_is_tracked(kept_alive[i]), 1);
        check_int(tally_refcount(kept_alive[i]), 2);
    }
    check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < 3; i++) tally_decref(kept_alive[i]);
    check_int(freed(), 0);
    check_int(tally_gc_collect(2), 3);
    check_int(finalized(), 3);
    check_int(freed(), 3);
}

static void resurrect_the_first(tally_object *self) {
    if (node_of(self)->id == 0 && node_of(self)->child[1]) resurrect_all(self);
}

CYCLE_TEST(resurrecting_one_cycle_frees_the_other) {
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_the_first);
    tally_object *marked = ring_of(finalized_node_type, 5),
                 *other = ring_of(finalized_node_type, 7);
    node_of(marked)->child[1] = list_of(1, 3);
    /* The one that goes holds the one that stays; not the other way round. */
    node_set(node_of(other)->child[0], 1, marked);
    drop(marked, other);
    check_int(tally_gc_collect(2), 7);
    check_int(finalized(), 12);
    check_int(freed(), 7);
    check_int(kept_count, 1);
    check_int(ring_length(kept_alive[0]), 5);
    check_int(tally_list_length(node_of(kept_alive[0])->child[1]), 3);
    check_int(tally_refcount(kept_alive[0]), 2);
    tally_decref(kept_alive[0]);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 12);
    check_int(finalized(), 12);
}

CYCLE_TEST(resurrecting_one_member_keeps_all_that_it_reaches) {
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_the_first);
    tally_object *marked = ring_of(finalized_node_type, 2),
                 *reached = ring_of(finalized_node_type, 4);
    node_of(marked)->child[1] = reached; /* the reference of ours */
    node_of(reached)->child[1] = NULL;
    tally_decref(marked);
    check_int(tally_gc_collect(2), 0);
    check_int(finalized(), 6);
    check_int(freed(), 0);
    check_int(ring_length(kept_alive[0]), 2);
    check_int(ring_length(node_of(kept_alive[0])->child[1]), 4);
    tally_decref(kept_alive[0]);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 6);
    check_int(finalized(), 6);
}

static void make_first_immortal(tally_object *self) {
    if (node_of(self)->id == 0) tally_immortalize(self);
}

/* For ever, with all that it holds: the rest of the garbage goes. */
CYCLE_TEST(a_finalizer_may_make_its_object_immortal) {
    tally_object *first = ring_of(finalized_node_type, 4);
    atomic_store(&on_finalize, make_first_immortal);
    tally_decref(first);
    drop_ring(node_type, 3);
    check_int(tally_gc_collect(2), 3);
    check_int(finalized(), 4);
    check_int(freed(), 3);
    check_int(tally_is_immortal(first), 1);
    check_int(ring_length(first), 4);
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(first), 4);
    /* As end() finds nothing alive: the others are let go by hand. */
    node_clear(first);
    check_int(freed(), 6);
}

static void break_the_cycle(tally_object *self) { node_clear(self); }

CYCLE_TEST(a_finalizer_may_break_its_cycle) {
    atomic_store(&on_finalize, break_the_cycle);
    drop_ring(finalized_node_type, 1);
    drop_ring(finalized_node_type, 2);
    drop_ring(finalized_node_type, 1000);
    check_int(tally_gc_collect(2), 1003);
    check_int(finalized(), 1003);
    check_int(freed(), 1003);
}

static tally_object *held_cycle;

static void drop_the_held_cycle(tally_object *self) {
    tally_object *held = held_cycle;
    held_cycle = NULL;
    tally_xdecref(held);
}

CYCLE_TEST(a_finalizer_may_drop_the_last_reference_to_another_cycle) {
    atomic_store(&on_finalize, drop_the_held_cycle);
    held_cycle = ring_of(finalized_node_type, 10);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(freed(), 2);
    check_int(tally_gc_collect(2), 10);
    check_int(freed(), 12);
    check_int(finalized(), 12);
}

static int64_t collected_within;

static void collect_within(tally_object *self) {
    drop_ring(node_type, 2);
    for (int generation = 0; generation < 3; generation++)
        collected_within += tally_gc_collect(generation);
}

CYCLE_TEST(a_collection_within_a_finalizer_does_nothing) {
    collected_within = 0;
    atomic_store(&on_finalize, collect_within);
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 3);
    check_int(collected_within, 0);
    check_int(finalized(), 3);
    check_int(freed(), 3);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 9);
}

static void collect_in_callback(tally_object *reference, void *context) {
    ++*(int *)context;
    collected_within += tally_gc_collect(2);
}

CYCLE_TEST(a_collection_within_a_weak_callback_does_nothing) {
    int calls = 0;
    collected_within = 0;
    tally_object *ring = ring_of(node_type, 3),
                 *reference = tally_weakref_new(ring, collect_in_callback, &calls);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 3);
    check_int(calls, 1);
    check_int(collected_within, 0);
    check_int(freed(), 3);
    tally_decref(reference);
}

CYCLE_TEST(a_finalizer_by_count_may_collect) {
    collected_within = 0;
    atomic_store(&on_finalize, collect_within);
    drop_ring(node_type, 5);
    tally_object *single = node_new(finalized_node_type);
    node_of(single)->child[0] = tally_list_new(0);
    tally_decref(single);
    check_int(collected_within, 7);
    check_int(freed(), 8);
}

static void allocate_and_collect(void *argument) {
    for (int i = 0; i < 100; i++) {
        drop_ring(node_type, 2);
        tally_decref(list_of(1, 100));
    }
    check(tally_gc_collect(2) >= 0);
}

static void run_a_thread(tally_object *self) { run_threads(1, allocate_and_collect, NULL, 0); }

CYCLE_TEST(a_finalizer_may_start_a_thread_that_collects_and_wait_for_it) {
    atomic_store(&on_finalize, run_a_thread);
    drop_ring(finalized_node_type, 2);
    tally_gc_enable();
    check(tally_gc_collect(2) >= 2);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
    check_int(finalized(), 2);
    check_int(freed(), 2 + 2 * 200);
}

static void make_garbage(tally_object *self) {
    for (int i = 0; i < 50; i++) drop_ring(node_type, 3);
}

CYCLE_TEST(a_finalizer_may_make_garbage_cycles) {
    atomic_store(&on_finalize, make_garbage);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(tally_gc_collect(2), 2 * 150);
    check_int(freed(), 302);
}

static void fail_to_finalize(tally_object *self) {
    check(tally_error_kind() == TALLY_NO_ERROR);
    tally_error_set(TALLY_KEY_ERROR, "finalizer of %d fails", (int)node_of(self)->id);
}

TEST(errors_of_finalizers_are_reported_and_the_pending_one_stays) {
    begin_cycles();
    atomic_store(&on_finalize, fail_to_finalize);
    drop_ring(finalized_node_type, 2);
    tally_error_set(TALLY_VALUE_ERROR, "pending before");
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    const char *written = capture_end();
    check(strcmp(tally_error_message(), "pending before") == 0);
    check_error(TALLY_VALUE_ERROR);
    check_int(found, 2);
    check_int(occurrences(written, "finalizer of 0 fails"), 1);
    check_int(occurrences(written, "finalizer of 1 fails"), 1);
    check_int(freed(), 2);
    end_cycles();
}

TEST(errors_of_finalizers_leave_the_pending_one_of_an_allocation) {
    begin_cycles();
    atomic_store(&on_finalize, fail_to_finalize);
    tally_error_set(TALLY_VALUE_ERROR, "pending before");
    capture_begin();
    tally_gc_enable();
    for (int i = 0; i < 5000 && finalized() == 0; i++) drop_ring(finalized_node_type, 1);
    tally_gc_disable();
    capture_end();
    check(finalized() > 0);
    check_error(TALLY_VALUE_ERROR);
    atomic_store(&on_finalize, NULL);
    check(tally_gc_collect(2) >= 0);
    check_int(finalized(), freed());
    end_cycles();
}

/* ---- as Python 2 ---------------------------------------------------------- */

TEST(as_in_python_2_cycles_with_finalizers_are_not_freed) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin_cycles();
    tally_object *guarded = ring_of(finalized_node_type, 2), *reached = ring_of(node_type, 3);
    node_of(guarded)->child[1] = reached; /* our reference: only guarded holds it now */
    drop_ring(node_type, 4);
    tally_object *holds_guarded = tally_list_new(0);
    tally_list_append(holds_guarded, holds_guarded);
    append_new(holds_guarded, guarded);
    tally_decref(holds_guarded);

    check_int(tally_gc_collect(2), 10);
    check_int(freed(), 4); /* the cycle apart, and the list that nobody needs */
    check_int(finalized(), 0);
    tally_object *garbage = tally_gc_garbage();
    check_int(tally_list_length(garbage), 2);
    tally_object *first = tally_list_get(garbage, 0), *second = tally_list_get(garbage, 1);
    check((first == guarded && second == node_of(guarded)->child[0]) ||
          (second == guarded && first == node_of(guarded)->child[0]));
    check_int(ring_length(guarded), 2);
    check_int(ring_length(node_of(guarded)->child[1]), 3);

    tally_gc_generation_stats stats[3];
    tally_gc_get_stats(stats);
    check_int(stats[2].uncollectable, 5);

    /* The test breaks the cycle that it finds in the garbage. */
    tally_decref(second == guarded ? first : second);
    node_set(guarded, 0, NULL);
    tally_decref(guarded);
    check_int(tally_list_clear(garbage), 0);
    tally_decref(garbage);
    check_int(finalized(), 2);
    check_int(freed(), 6);
    check_int(tally_gc_collect(2), 3);
    check_int(freed(), 9);
    end_cycles();
    restart(NULL);
}

TEST(as_in_python_2_garbage_is_noted_once_while_it_is_listed) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin_cycles();
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 3);
    tally_object *garbage = tally_gc_garbage();
    for (int i = 0; i < 3; i++) check_int(tally_gc_collect(2), 0); /* the list holds it */
    check_int(tally_list_length(garbage), 3);
    tally_object *one = tally_list_get(garbage, 0);
    check_int(tally_list_clear(garbage), 0);
    node_set(one, 0, NULL);
    drop(one, garbage);
    check_int(freed(), 3);
    end_cycles();
    restart(NULL);
}
