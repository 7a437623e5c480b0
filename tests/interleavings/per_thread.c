/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* per_thread.c: objects that each thread counts for itself, and weak references to them. */
#include "cast.h"

/* ---- one plain weak reference -------------------------------------------- */

static tally_object *weak_target, *weak_results[ACTORS];
static void make_weak_target(void) {
    tally_object *open = class_named("Target");
    weak_target = tally_instance_new(open);
    tally_decref(open);
}
static void make_plain_weakref(void) {
    weak_results[me->role] = tally_weakref_new(weak_target, NULL, NULL);
}
static void drop_plain_weakref(void) { tally_decref(weak_results[me->role]); }
static void drop_weak_target(void) { tally_decref(weak_target); }
INTERLEAVING(no_gil, two_threads_that_make_the_plain_weak_reference_get_one) {
    tell(OWNER, make_weak_target);
    while_held(OTHER, make_plain_weakref, "weakref_made") tell(THIRD, make_plain_weakref);
    check(weak_results[OTHER] == weak_results[THIRD]);
    tell(OTHER, drop_plain_weakref);
    tell(THIRD, drop_plain_weakref);
    tell(OWNER, drop_weak_target);
}

/* ---- what each thread counts for itself ---- */

static tally_object *shared_dict, *shared_key, *weak;

static void make_class(void) {
    object = class_named("Looked up");
    shared_dict = tally_dict_new();
    shared_key = text("key");
    weak = tally_weakref_new(object, NULL, NULL);
    check_int(tally_dict_set(shared_dict, shared_key, object), 0);
    tally_decref(object);
}
static void look_up(void) { result = tally_dict_get(shared_dict, shared_key); }
static void delete_key(void) { check_int(tally_dict_delete(shared_dict, shared_key), 0); }
static void drop_names(void) { drop(shared_dict, shared_key, weak); }
static void is_dead(void) { check_is(tally_weakref_get(weak), tally_none); }
static void is_alive(void) { check_is(tally_weakref_get(weak), object); }

INTERLEAVING(no_gil, a_class_whose_last_user_goes_while_another_looks_it_up_dies_after_that) {
    tell(OWNER, make_class);
    tell(OTHER, look_up); /* has been in: no lock is biased */
    tell(OTHER, drop_result);
    while_held(OTHER, look_up, "try_incref_once") { /* has found it in the dict */
        tell(OWNER, delete_key);
        begin(THIRD, collect);
        tell(OWNER, block);
        check(stands(THIRD)); /* the reader has come to no safepoint */
    }
    check(result == NULL); /* it was in the dict no more at the recheck */
    tell(OTHER, block);
    finish(THIRD);
    tell(THIRD, is_dead);
    tell(OWNER, unblock, drop_names);
}

INTERLEAVING(no_gil, a_class_that_was_looked_up_in_time_outlives_its_place_in_the_dict) {
    tell(OWNER, make_class);
    tell(OTHER, look_up);
    check(result == object);
    tell(OWNER, delete_key, block);
    tell(OTHER, block); /* with the reference, in its number */
    tell(THIRD, collect, is_alive);
    tell(OTHER, unblock, drop_result);
    tell(OTHER, detach); /* its number stays behind */
    tell(THIRD, collect, is_dead);
    tell(OWNER, unblock, drop_names);
}

static void defer_object(void) {
    atomic_store_explicit(&answer, tally_defer_count(object), memory_order_relaxed);
}
static void make_deferred(void) {
    object = instance();
    weak = tally_weakref_new(object, NULL, NULL);
    defer_object();
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
}
/* Sweeps without a collection, since so many are new. */
static void make_classes(void) {
    for (int i = 0; i < 200; i++) tally_decref(class_named("One of many"));
}
/* The stop needs the others at rest. */
static void defer_alone(int role, void (*command)(void)) {
    for (int other = OWNER; other < ACTORS; other++)
        if (other != role && actors[other].attached) tell(other, block);
    tell(role, command);
    for (int other = OWNER; other < ACTORS; other++)
        if (other != role && actors[other].attached) tell(other, unblock);
}
static void get_weakly(void) { result = tally_weakref_get(weak); }
static void drop_weak(void) { tally_decref(weak); }

INTERLEAVING(has_per_thread,
             a_weak_reference_that_comes_between_a_sweep_and_the_end_keeps_the_object) {
    static const char *const weak_slots[] = {"a", "__weakref__", NULL};
    tally_object *old = class_;
    tally_blocking_end();
    class_ = tally_class_new(
        &(tally_class_spec){.name = "Weak", .slots = weak_slots, .finalize = suite_count_death});
    tally_blocking_begin();
    defer_alone(OWNER, make_deferred);
    tell(OWNER, drop_object, block);
    tell(OTHER, block);
    stop_at(THIRD, make_classes, "sweep_started"); /* the sweep's is the only reference */
    tell(OTHER, unblock, get_weakly);
    check(result == object);
    release(THIRD, "sweep_started");
    tell(OTHER, block);
    finish(THIRD);
    tell(OTHER, unblock);
    check_int(deaths(), 0);
    tell(OTHER, drop_result); /* an ordinary object: dies at once */
    check_int(deaths(), 1);
    tell(OTHER, drop_weak);
    tally_blocking_end();
    tally_decref(old);
    tally_blocking_begin();
}

INTERLEAVING(has_queues_no_gil, what_is_in_a_pushers_hand_is_not_deferred) {
    tell(OWNER, make_object, take_object);
    tell(OWNER, detach); /* of its two, one is for OTHER and one for THIRD */
    while_held(THIRD, defer_object, "world_claiming") { /* has the thread-list lock */
        check_waits(OTHER, drop_object);                /* with the entry in its hand */
    }
    finish(OTHER);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 0);
    check_int(deaths(), 0);
    tell(THIRD, check_one_left);
    defer_alone(THIRD, defer_object);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
    tell(THIRD, drop_object);
    check_int(deaths(), 0);
    tell(OTHER, block);
    tell(THIRD, collect);
}

/* The owner gives up while the entry is on its way: nothing in the object tells that there is one.
 */
INTERLEAVING(has_per_thread, what_is_deferred_while_its_entry_is_in_hand_counts_the_entry_off) {
    tell(OWNER, make_object, take_object, take_object);
    stop_at(OTHER, drop_object, "queue_entry");
    tell(THIRD, take_object, take_object);
    for (int i = 0; i < 3; i++)
        tell(OWNER, drop_object); /* its half is empty now: two are left, the entry's and THIRD's */
    tell(OWNER, detach);
    while_held(THIRD, defer_object, "world_claiming") {
        release(OTHER, "queue_entry");
        check(stands(OTHER));
    }
    finish(OTHER);
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
    check_int(deaths(), 0);
    tell(THIRD, check_one_left, drop_object);
    tell(OTHER, block);
    tell(THIRD, collect);
}

/* A pusher has seen the owner; then the owner gives its word up; the pusher's swap and entry come
 * before the owner's swap. */
TEST_IF(has_per_thread, what_is_queued_while_its_owner_defers_it_is_counted_off) {
    for (int merged_late = 0; merged_late < 2; merged_late++) {
        raise_curtain();
        tell(OWNER, make_object);
        tell(OWNER, take_object); /* for OTHER, by the owner's hand */
        stop_at(OTHER, drop_object, "decref_shared");
        stop_at(OWNER, defer_object, "per_thread_swap");
        if (merged_late) /* with the entry in hand until the object is counted per thread */
            hold(OTHER, "queue_entry");
        release(OTHER, "decref_shared");
        if (merged_late) {
            await(OTHER, "queue_entry");
            go_on(OWNER, "per_thread_swap");
            go_on(OTHER, "queue_entry");
        } else {
            finish(OTHER);
            go_on(OWNER, "per_thread_swap");
        }
        check_int(atomic_load_explicit(&answer, memory_order_relaxed), 1);
        tell(OWNER, safepoint); /* the entry is in its queue */
        check_int(deaths(), 0);
        tell(THIRD, take_object);
        tell(OTHER, take_object);
        tell(OWNER, drop_object);
        tell(OTHER, drop_object);
        tell(THIRD, check_one_left, drop_object);
        tell(OWNER, block);
        tell(OTHER, block);
        tell(THIRD, collect);
        check_int(deaths(), 1);
        drop_curtain();
    }
}

/* A class that is being made is in no table of references yet: a sweep must not take it for unused.
 */
static void sweep_unborn(void *nothing) {
    tally_object *key = tally_str_new("self", -1), *garbage = class_named("Garbage");
    attr_new(garbage, key, garbage);
    tally_decref(key);
    check(tally_gc_collect(2) >= 1);
}
static void make_slotted_class(void) {
    result = class_with("Unborn", "one", "two");
    tally_object *instance = tally_instance_new(result);
    check_int(tally_slot_set(instance, 1, tally_true), 0);
    check_int(strcmp(tally_type_name(instance), "Unborn"), 0);
    check_int(tally_refcount(result), 2);
    drop(instance, result);
    check(tally_gc_collect(2) >= 0);
}

INTERLEAVING(any_backend, a_sweep_leaves_a_class_that_is_being_made) {
    tell(OWNER, block);
    tell(OTHER, block);
    tally_failpoint_call(THIRD, "class_unborn", sweep_unborn, NULL);
    tell(THIRD, make_slotted_class);
    check(tally_failpoint_await(THIRD, "class_unborn"));
}

INTERLEAVING(has_per_thread, a_merge_in_a_collection_adds_up_what_threads_count_both_ways) {
    tell(OWNER, make_object);
    defer_alone(OWNER, defer_object);
    for (int i = 0; i < 3; i++) {
        tell(OTHER, take_object, take_object);
        tell(THIRD, drop_object);
        tell(OWNER, block);
        tell(OTHER, block);
        tell(THIRD, collect);
        check_int(deaths(), 0);
        tell(OTHER, unblock);
        tell(OWNER, unblock);
    }
    for (int i = 0; i < 3; i++) tell(OWNER, drop_object);
    tell(OTHER, check_one_left);
    tell(OTHER, drop_object); /* the numbers are -3, 5 and -3 */
    check_int(deaths(), 0);
    tell(OWNER, block);
    tell(OTHER, block);
    tell(THIRD, collect);
    check_int(deaths(), 1);
}
