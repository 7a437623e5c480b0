/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* world.c: threads come, go, block and return while the world is stopped; resurrection. */
#include "cast.h"

/* ---- the world stops ---- */

/* The third has stopped the world. */
static void stop_and_hold(void) {
    hold(THIRD, "world_stopped");
    begin(THIRD, stop_world);
}

static void world_goes_on(void) { go_on(THIRD, "world_stopped"); }

TEST_IF(no_gil, nobody_attaches_while_the_world_is_stopped) {
    raise_curtain_but(OTHER);
    tell(OWNER, block);
    stop_and_hold();
    await(THIRD, "world_stopped");
    check_waits(OTHER, attach);
    world_goes_on();
    finish(OTHER);
    drop_curtain();
}

TEST_IF(no_gil, a_stop_waits_for_a_thread_that_has_just_attached) {
    raise_curtain_but(OTHER);
    tell(OWNER, block);
    while_held(OTHER, attach, "attached") {
        hold(THIRD, "world_claiming");
        stop_and_hold();
        await(THIRD, "world_claiming");
        release(THIRD, "world_claiming");
        check(stands(THIRD));
        check(!is_held(THIRD, "world_stopped"));
    }
    check(!is_held(THIRD, "world_stopped"));
    begin(OTHER, safepoint);
    await(THIRD, "world_stopped");
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
    drop_curtain();
}

INTERLEAVING(no_gil, a_thread_that_detaches_counts_as_blocked_while_it_waits) {
    tell(OWNER, block);
    stop_at(OTHER, detach, "detach");
    stop_and_hold();
    check(stands(THIRD));
    check(!is_held(THIRD, "world_stopped"));
    release(OTHER, "detach");
    await(THIRD, "world_stopped");
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
}

INTERLEAVING(no_gil, a_stop_waits_for_a_thread_that_holds_the_thread_list_lock) {
    tell(OWNER, block);
    while_held(OTHER, detach, "queue_close") {
        stop_and_hold();
        check(stands(THIRD));
        check(!is_held(THIRD, "world_stopped"));
    }
    await(THIRD, "world_stopped");
    world_goes_on();
}

INTERLEAVING(no_gil, a_thread_about_to_block_is_waited_for_and_then_claimed) {
    tell(OWNER, block);
    stop_at(OTHER, block, "blocking");
    stop_and_hold();
    check(stands(THIRD));
    check(!is_held(THIRD, "world_stopped"));
    release(OTHER, "blocking");
    await(THIRD, "world_stopped");
    finish(OTHER); /* it need not wait to be blocked */
    world_goes_on();
}

INTERLEAVING(no_gil, a_blocked_thread_does_not_return_into_a_stopped_world) {
    tell(OWNER, block);
    tell(OTHER, block);
    stop_and_hold();
    await(THIRD, "world_stopped");
    check_waits(OTHER, unblock);
    world_goes_on();
    finish(OTHER);
}

/* It saw no stop, but has not yet swapped its status when the stop claims it. */
INTERLEAVING(no_gil, a_thread_that_returns_as_a_stop_begins_is_claimed_or_waited_for) {
    tell(OWNER, block);
    tell(OTHER, block);
    stop_at(OTHER, unblock, "running");
    stop_and_hold();
    await(THIRD, "world_stopped");
    release(OTHER, "running");
    check(stands(OTHER));
    world_goes_on();
    finish(OTHER);
}

INTERLEAVING(no_gil, a_second_stop_waits_for_the_first) {
    tell(OWNER, block);
    hold(THIRD, "world_claiming");
    stop_and_hold();
    await(THIRD, "world_claiming");
    hold(OTHER, "world_stopped");
    begin(OTHER, stop_world);
    release(THIRD, "world_claiming");
    await(THIRD, "world_stopped"); /* the other is blocked, waiting to be the next */
    check(stands(OTHER));
    check(!is_held(OTHER, "world_stopped"));
    world_goes_on();
    begin(THIRD, safepoints_until_flag); /* the other's stop may not have begun yet */
    await(OTHER, "world_stopped");
    go_on(OTHER, "world_stopped");
    raise_flag();
    finish(THIRD);
}

/* ---- a finalizer that publishes its object ---- */

static tally_object *resurrected_type;
static _Atomic int finalized, deallocated;

static void resurrect(tally_object *self) {
    atomic_fetch_add_explicit(&finalized, 1, memory_order_relaxed);
    check_int(tally_list_set(list, 0, self), 0);
    atomic_store_explicit(&finalizing, 1, memory_order_relaxed);
    tally_blocking_begin();
    poll_until(atomic_load_explicit(&flag, memory_order_relaxed));
    tally_blocking_end();
}
static void count_dealloc(tally_object *self) {
    atomic_fetch_add_explicit(&deallocated, 1, memory_order_relaxed);
}
static void make_resurrected(void) { object = tally_object_new(resurrected_type, 0); }

/* The object dies, is published by its finalizer, and is dropped by another: before or after the
 * finalizer's end. */
static void drop_while_finalizing(int before) {
    tally_blocking_end();
    resurrected_type = tally_type_new(&(tally_type_spec){
        .name = "Lazarus", .size = 8, .finalize = resurrect, .dealloc = count_dealloc});
    list = tally_list_new(1);
    check_int(tally_list_append(list, tally_none), 0);
    tally_blocking_begin();
    atomic_store_explicit(&finalized, 0, memory_order_relaxed);
    atomic_store_explicit(&deallocated, 0, memory_order_relaxed);
    tell(OWNER, make_resurrected);
    begin(OWNER, drop_object);
    poll_until(atomic_load_explicit(&finalizing, memory_order_relaxed));
    check(atomic_load_explicit(&finalizing, memory_order_relaxed));
    if (before) tell(OTHER, put_none);
    check_int(deallocated, 0);
    if (!before && !has_gil()) hold(OWNER, "drop_last");
    raise_flag();
    if (!before && !has_gil()) {
        await(OWNER, "drop_last");
        tell(THIRD, read_and_drop); /* a reader gets the object meanwhile, and gives it back */
        release(OWNER, "drop_last");
    }
    finish(OWNER);
    check_int(deallocated, before ? 1 : 0);
    if (!before) tell(OTHER, put_none);
    check_int(deallocated, 1);
    check_int(finalized, 1);
    tally_blocking_end();
    tally_decref(list);
    tally_blocking_begin();
}

INTERLEAVING(any_backend, a_resurrected_object_dropped_before_its_finalizer_ends_dies_there) {
    drop_while_finalizing(1);
}

INTERLEAVING(any_backend,
             a_resurrected_object_dropped_after_its_finalizer_ended_dies_by_the_other) {
    drop_while_finalizing(0);
}

/* 24 MB of an array that others may be reading: more than may wait for a grace period. So many
 * bytes would make a collection due, whose stop of the world would wait for idle actors. */
static void make_large_list(void) {
    tally_gc_disable();
    set_list(tally_list_new(3000000));
}

INTERLEAVING(no_gil, a_thread_that_waits_for_a_grace_period_delays_no_stop) {
    tell(THIRD, block);
    tell(OWNER, make_large_list);
    tell(OTHER, clear_list);
    stop_at(OTHER, safepoint, "quiescent"); /* has seen that no stop is under way */
    stop_at(OWNER, stop_world, "world_claiming");
    release(OWNER, "world_claiming");
    release(OTHER, "quiescent");
    finish(OWNER);
    tell(OWNER, block); /* or the grace period would wait for it */
    finish(OTHER);
    tell(OWNER, unblock);
}
