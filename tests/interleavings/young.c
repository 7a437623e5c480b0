/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* young.c: an owner collects its young objects, and another thread meets it there. */
#include "cast.h"

#define has_young biased_without_gil

static tally_object *holder, *ring[2], *weak[2];

static void collect_young(void) {
    atomic_store_explicit(&answer, (int)tally_gc_collect(0), memory_order_relaxed);
}
static void collect_middle(void) {
    atomic_store_explicit(&answer, (int)tally_gc_collect(1), memory_order_relaxed);
}
static void check_collected(int count) {
    check_int(atomic_load_explicit(&answer, memory_order_relaxed), count);
}

/* Without a finalizer, which would make a collection stop the world. */
static tally_object *link_class;
static void make_link_class(void) {
    static const char *const slots[] = {"next", "__weakref__", NULL};
    link_class = tally_class_new(&(tally_class_spec){.name = "Link", .slots = slots});
}
static void drop_link_class(void) { tally_decref(link_class); }

/* A full collection stops the other threads, which come to no safepoint. */
static void finally(actor_command *command) {
    tell(OTHER, block);
    tell(THIRD, block);
    tell(OWNER, safepoint, command);
    tell(OTHER, unblock);
    tell(THIRD, unblock);
}

/* ---- what a survivor refers to ---------------------------------------------- */

/* A container that refers to an instance, and that another thread is handed. */
static void make_holding_list(void) {
    holder = tally_list_new(1);
    object = instance();
    check_int(tally_list_append(holder, object), 0);
    tally_decref(object);
}
static void make_holding_tuple(void) {
    object = instance();
    holder = tally_tuple_new(&object, 1);
    tally_decref(object);
}
static void pop_from_list(void) { result = tally_list_pop(holder, -1); }
static void read_from_list(void) { result = tally_list_get(holder, 0); }
static void read_from_tuple(void) { result = tally_tuple_get(holder, 0); }
static void drop_holder(void) { tally_decref(holder); }

static void survives(actor_command *make, actor_command *take) {
    tell(OWNER, make);
    while_held(OWNER, collect_young, "young_counted") tell(OTHER, take);
    check_collected(0);
    check(result == object);
    check_int(deaths(), 0);
    tell(OTHER, drop_holder);
    tell(OWNER, safepoint, collect_young);
    check_collected(0);
    check_int(deaths(), 0);
    tell(OTHER, drop_result);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
}
INTERLEAVING(has_young, what_another_takes_out_of_a_survivor_lives) {
    survives(make_holding_list, pop_from_list);
}
INTERLEAVING(has_young, what_another_reads_in_a_survivor_lives) {
    survives(make_holding_list, read_from_list);
}
INTERLEAVING(has_young, what_another_reads_in_a_tuple_that_survives_lives) {
    survives(make_holding_tuple, read_from_tuple);
}

/* ---- weak references to what is unreachable ----------------------------------- */

/* In the order of their addresses, in which they are closed. */
static void make_ring(void) {
    for (int i = 0; i < 2; i++) ring[i] = tally_instance_new(link_class);
    if (ring[0] > ring[1]) {
        tally_object *first = ring[1];
        ring[1] = ring[0];
        ring[0] = first;
    }
    for (int i = 0; i < 2; i++) {
        check_int(tally_slot_set(ring[i], 0, ring[1 - i]), 0);
        weak[i] = tally_weakref_new(ring[i], NULL, NULL);
    }
    drop(ring[0], ring[1]);
}
static void look_up(void) { result = tally_weakref_get(weak[1]); }
static void look_up_first(void) { object = tally_weakref_get(weak[0]); }
static void check_whole(void) {
    tally_object *next = tally_slot_get(result, 0);
    check_is(next, ring[0]);
}
static void collect_again_and_look(void) {
    check_int(tally_gc_collect(2), 2);
    for (int i = 0; i < 2; i++) check_is(tally_weakref_get(weak[i]), tally_none);
    drop(weak[0], weak[1]);
}
static void find_none(void) {
    for (int i = 0; i < 2; i++) check_is(tally_weakref_get(weak[i]), tally_none);
    drop(weak[0], weak[1]);
}

/* Only the second has a weak reference, which the other thread has made. */
static void make_ring_only(void) {
    make_ring();
    for (int i = 0; i < 2; i++) tally_incref(ring[i]);
    drop(weak[0], weak[1]);
}
static void make_weak_by_other(void) { weak[1] = tally_weakref_new(ring[1], NULL, NULL); }
static void drop_ring(void) { drop(ring[0], ring[1]); }
static void drop_weak(void) { tally_decref(weak[1]); }
static void set_scene_for_one_weakref(void) {
    tell(OWNER, make_ring_only);
    tell(OTHER, make_weak_by_other);
    tell(OWNER, drop_ring);
}
static void read_next_and_drop(void) {
    object = tally_slot_get(result, 0);
    tally_decref(result);
}
static void take_next_and_drop(void) {
    object = tally_slot_get(result, 0);
    check_int(tally_slot_set(result, 0, NULL), 0);
    tally_decref(result);
}
static void check_second_is_next(void) {
    tally_object *next = tally_slot_get(object, 0);
    check(next == ring[1]);
    tally_decref(next);
}
static void collect_both(void) { check_int(tally_gc_collect(2), 2); }
static void collect_none(void) { check_int(tally_gc_collect(2), 0); }

#define WITH_LINKS(name)                 \
    static void name##_with_links(void); \
    INTERLEAVING(has_young, name) {      \
        tell(OWNER, make_link_class);    \
        name##_with_links();             \
        tell(OWNER, drop_link_class);    \
    }                                    \
    static void name##_with_links(void)

WITH_LINKS(a_weak_reference_read_before_its_object_is_closed_keeps_all_it_leads_to) {
    tell(OWNER, make_ring);
    while_held(OWNER, collect_young, "young_locked") tell(OTHER, look_up);
    check_collected(0);
    check(result == ring[1]);
    tell(OTHER, check_whole);
    tell(THIRD, look_up_first); /* no weak reference was cleared */
    check(object == ring[0]);
    tell(THIRD, drop_object);
    tell(OTHER, drop_result);
    finally(collect_again_and_look);
}

WITH_LINKS(a_weak_reference_read_while_its_object_is_closed_waits_and_finds_none) {
    tell(OWNER, make_ring);
    stop_at(OWNER, collect_young, "young_closed");
    check_waits(OTHER, look_up);
    go_on(OWNER, "young_closed");
    finish(OTHER);
    check(result == tally_none);
    check_collected(2);
    tell(OWNER, find_none);
}

/* The first of the ring is closed, and opened again because the second was got. */
WITH_LINKS(a_weak_reference_read_while_its_object_is_closed_in_vain_finds_it) {
    tell(OWNER, make_ring);
    stop_at(OWNER, collect_young, "young_locked");
    tell(OTHER, look_up);
    move_on(OWNER, "young_locked", "young_close");
    check_waits(THIRD, look_up_first);
    go_on(OWNER, "young_close");
    finish(THIRD);
    check(object == ring[0]);
    check(result == ring[1]);
    check_collected(0);
    tell(THIRD, drop_object);
    tell(OTHER, drop_result);
    finally(collect_again_and_look);
}

/* The reader has the address, and counts once the object is dead. */
WITH_LINKS(a_reader_that_comes_late_finds_none) {
    tell(OWNER, make_ring);
    while_held(OTHER, look_up, "try_incref") tell(OWNER, collect_young);
    check_collected(2);
    check(result == tally_none);
    tell(OWNER, find_none);
}

/* The other thread has used an unreachable object, and nothing of that is in its refcount. */
WITH_LINKS(what_another_reads_in_what_it_got_and_dropped_lives) {
    set_scene_for_one_weakref();
    while_held(OWNER, collect_young, "young_locked") tell(OTHER, look_up, read_next_and_drop);
    check_collected(0);
    check(object == ring[0]);
    tell(OTHER, check_second_is_next, drop_object, drop_weak);
    finally(collect_both);
}
WITH_LINKS(what_another_takes_out_of_what_it_got_and_dropped_lives) {
    set_scene_for_one_weakref();
    while_held(OWNER, collect_young, "young_locked") tell(OTHER, look_up, take_next_and_drop);
    check_collected(0);
    check(object == ring[0]);
    tell(OTHER, check_second_is_next, drop_object, drop_weak);
    tell(OWNER, safepoint);
    finally(collect_none);
}
/* Nothing tells of the weak reference either. */
WITH_LINKS(what_another_got_by_a_weak_reference_that_is_gone_lives) {
    set_scene_for_one_weakref();
    while_held(OWNER, collect_young, "young_found") tell(OTHER, look_up, drop_weak);
    check_collected(0);
    tell(OTHER, read_next_and_drop, check_second_is_next, drop_object);
    finally(collect_both);
}
/* A third thread still has it borrowed. */
static void read_next_of_borrowed(void) { object = tally_slot_get(borrowed.object, 0); }
WITH_LINKS(what_a_third_borrowed_from_what_another_got_and_dropped_lives) {
    set_scene_for_borrow(put_none);
    set_scene_for_one_weakref();
    while_held(OWNER, collect_young, "young_locked") {
        tell(OTHER, look_up, put_result);
        tell(THIRD, borrow);
        tell(OTHER, put_none);
    }
    check_collected(0);
    check(borrowed.object == ring[1]);
    tell(THIRD, read_next_of_borrowed, check_second_is_next, drop_object);
    tell(OTHER, drop_weak);
    finally(collect_both);
}

/* ---- what a reader without a lock has seen -------------------------------------- */

static void put_link(void) {
    tally_object *link = tally_instance_new(link_class);
    check_int(tally_list_set(list, 0, link), 0);
    tally_decref(link);
}
static void set_scene_for_link(void) {
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop); /* its lock is biased no more */
    tell(OWNER, put_link);
}
static void close_cycle_and_leave(void) {
    object = tally_list_get(list, 0);
    check_int(tally_slot_set(object, 0, object), 0);
    tally_decref(object);
    put_none();
}
/* The reader has loaded the address of what leaves the list and dies. */
WITH_LINKS(a_stale_read_does_not_bring_a_young_cycle_back) {
    set_scene_for_link();
    tell(OTHER, read_and_drop); /* maybe shared */
    while_held(OTHER, read_first, "try_incref") {
        tell(OWNER, close_cycle_and_leave, collect_young);
        check_collected(1);
    }
    check(result == tally_none);
}
/* The reader has counted it while it is examined, and drops it when it sees that it left. */
WITH_LINKS(a_stale_count_keeps_a_young_cycle_until_it_is_dropped) {
    set_scene_for_link();
    tell(OTHER, read_and_drop);
    stop_at(OTHER, read_first, "try_incref_swap");
    tell(OWNER, close_cycle_and_leave);
    while_held(OWNER, collect_young, "young_counted")
        move_on(OTHER, "try_incref_swap", "decref_shared");
    check_collected(0);
    go_on(OTHER, "decref_shared");
    check(result == tally_none);
    tell(OWNER, collect_middle);
    check_collected(1);
}
