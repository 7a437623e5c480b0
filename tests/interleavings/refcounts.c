/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* refcounts.c: the two halves of a count: the merge queue, the exit of an owner, claims. */
#include "cast.h"

/* ---- what was written before a decref ---- */

static void check_written(tally_object *self) { check_int(*(int *)tally_object_data(self), 7); }
static tally_object *written_type;
static void make_written(void) { object = tally_object_new(written_type, 0); }
static void write_and_drop(void) {
    *(int *)tally_object_data(object) = 7;
    tally_decref(object);
}

/* No acquire by the director in between: only the counts order the write before the last decref.
 * For ThreadSanitizer. */
static void drop_after_write(int last) {
    begin(OTHER, write_and_drop);
    usleep(50000);
    begin(last, drop_object);
    finish(last);
    finish(OTHER);
}

static void set_scene_for_write(void) {
    tally_blocking_end();
    written_type = tally_type_new(
        &(tally_type_spec){.name = "written", .size = sizeof(int), .dealloc = check_written});
    tally_blocking_begin();
    tell(OWNER, make_written);
}

INTERLEAVING(any_backend, what_was_written_before_a_decref_is_seen_by_another_that_frees) {
    set_scene_for_write();
    tell(OWNER, take_object, take_object);
    tell(OTHER, drop_object);
    tell(OWNER, safepoint); /* merged */
    drop_after_write(THIRD);
}

INTERLEAVING(any_backend, what_was_written_before_a_decref_is_seen_by_the_owner_that_frees) {
    set_scene_for_write();
    tell(OTHER, take_object);
    drop_after_write(OWNER);
}

/* The reader's swap comes between the owner's last decref and the owner's own swap: the reader
 * frees it. */
INTERLEAVING(has_queues_no_gil, a_reference_got_during_the_owners_last_decref_is_the_last) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop); /* maybe-shared */
    stop_at(OTHER, read_first, "try_incref");
    while_held(OWNER, put_none, "local_zero_swap") {
        move_on(OTHER, "try_incref",
                "decref_shared"); /* has it; sees that the slot changed; drops it */
    }
    check_int(deaths(), 0);
    go_on(OTHER, "decref_shared");
    check_int(deaths(), 0); /* a read runs no finalizer */
    tell(OTHER, safepoint);
    check_int(deaths(), 1);
    check(result == tally_none);
}

/* As before, but the reader drops first: the owner frees it. */
INTERLEAVING(has_queues_no_gil,
             a_reference_got_and_dropped_during_the_owners_last_decref_changes_nothing) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    stop_at(OTHER, read_first, "try_incref");
    stop_at(OWNER, put_none, "local_zero_swap");
    go_on(OTHER, "try_incref");
    check_int(deaths(), 0);
    go_on(OWNER, "local_zero_swap");
    check_int(deaths(), 1);
    check(result == tally_none);
}

/* The reader comes and goes between the owner's count and its look at shared. */
INTERLEAVING(has_queues_no_gil,
             a_reader_between_the_owners_count_and_its_look_at_shared_changes_nothing) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    stop_at(OTHER, read_first, "try_incref_swap");
    stop_at(OWNER, put_none, "local_zero");
    go_on(OTHER, "try_incref_swap");
    go_on(OWNER, "local_zero");
    check_int(deaths(), 1);
    check(result == tally_none);
}

/* ---- the merge queue ---- */

/* In these scenes the owner makes an object, whose only reference is the other's to drop. */

INTERLEAVING(has_queues, an_object_pushed_to_a_blocked_owner_is_merged_by_the_pusher) {
    tell(OWNER, make_object, block);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, an_owner_that_blocks_before_the_push_leaves_it_to_the_pusher) {
    tell(OWNER, make_object);
    while_held(OTHER, drop_object, "push") {
        tell(OWNER, block);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, an_owner_that_blocks_after_the_push_merges_first) {
    tell(OWNER, make_object);
    while_held(OTHER, drop_object, "pushed") {
        tell(OWNER, block);
        check_int(deaths(), 1);
    }
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, a_push_between_the_owners_status_and_its_look_is_merged_once) {
    tell(OWNER, make_object);
    while_held(OWNER, block, "blocked") {
        tell(OTHER, drop_object);
        check_int(deaths(), 1);
    }
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil,
             an_owner_that_sees_an_entry_while_it_is_claimed_waits_and_finds_nothing) {
    tell(OWNER, make_object);
    stop_at(OTHER, drop_object, "queue_entry"); /* it has found the owner running */
    stop_at(OWNER, block, "blocked");
    move_on(OTHER, "queue_entry", "merge_claimed");
    move_on(OWNER, "blocked", "running_claimed");
    check_int(deaths(), 0);
    release(OWNER, "running_claimed");
    check(stands(OWNER));
    go_on(OTHER, "merge_claimed");
    finish(OWNER);
    check_int(deaths(), 1);
    check_merged_once();
}

/* The owner has cleared its half but not yet swapped: others go on counting. */
INTERLEAVING(has_queues_no_gil, decrefs_during_a_merge_are_added_up) {
    tell(OWNER, make_object, take_object, take_object);
    tell(THIRD, drop_object); /* queued; two references left */
    while_held(OWNER, safepoint, "merge_swap") {
        tell(OTHER, check_some_left); /* the local ones are in neither half */
        tell(OTHER, drop_object);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 0);
    tell(OTHER, check_one_left);
    tell(THIRD, drop_object);
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, the_last_decref_during_a_merge_leaves_the_object_to_the_merger) {
    tell(OWNER, make_object, take_object);
    tell(THIRD, drop_object);
    while_held(OWNER, safepoint, "merge_swap") {
        tell(OTHER, drop_object);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 1);
    check_merged_once();
}

/* ---- owner exit, and another in its slot ---- */

INTERLEAVING(has_queues_no_gil, a_push_that_meets_a_closed_queue_merges_there) {
    tell(OWNER, make_object);
    while_held(OTHER, drop_object, "queue_entry") {
        tell(OWNER, detach);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues, a_drop_of_an_object_whose_owner_is_gone_merges_there) {
    tell(OWNER, make_object, detach);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, a_push_just_before_the_close_is_the_exiting_owners) {
    tell(OWNER, make_object);
    while_held(OWNER, detach, "queue_close") {
        tell(OTHER, drop_object);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, a_pusher_that_is_late_to_say_so_finds_the_owner_gone) {
    tell(OWNER, make_object);
    while_held(OTHER, drop_object, "pushed") {
        tell(OWNER, detach);
        check_int(deaths(), 1);
    }
    check_merged_once();
}

static unsigned owner_slot;
static void note_slot(void) { owner_slot = tally_self.id; }
static void check_slot(void) { check_int(tally_self.id, owner_slot); }

/* The owner leaves and a third thread takes its slot, while the other is on its way to merge.
 */
static void slot_is_reused(const char *point, int owner_leaves_first) {
    raise_curtain_but(THIRD);
    tell(OWNER, make_object, note_slot);
    if (owner_leaves_first) tell(OWNER, detach);
    while_held(OTHER, drop_object, point) {
        if (!owner_leaves_first) tell(OWNER, detach);
        tell(THIRD, attach, check_slot);
        check_int(deaths(), 0);
    }
    check_int(deaths(), 0); /* it runs, so it is the one to merge */
    tell(THIRD, safepoint);
    check_int(deaths(), 1);
    check_merged_once();
    drop_curtain();
}

TEST_IF(has_queues_no_gil, who_attaches_in_the_slot_merges_for_a_pusher_that_saw_it_closed) {
    slot_is_reused("merge_for_gone", 1);
}

TEST_IF(has_queues_no_gil, who_attaches_in_the_slot_merges_for_a_pusher_that_has_not_looked_yet) {
    slot_is_reused("queue_entry", 0);
}

TEST_IF(has_queues_no_gil, who_attaches_in_the_slot_owns_what_is_being_queued) {
    slot_is_reused("decref_shared", 0);
}

/* ---- batches ---- */

/* The first is pushed by itself; the others stay with the thread that drops them. */
enum { DROPPED = 3 };
static tally_object *dropped[DROPPED];
static void make_dropped(void) {
    for (int i = 0; i < DROPPED; i++) dropped[i] = instance();
}
static void drop_dropped(void) {
    for (int i = 0; i < DROPPED; i++) tally_decref(dropped[i]);
}
static void set_scene_for_batch(void) {
    tell(OWNER, make_dropped);
    tell(OTHER, drop_dropped);
    check_int(deaths(), 0);
}

INTERLEAVING(has_queues_no_gil, a_batch_is_pushed_at_the_safepoint_of_the_thread_that_dropped) {
    set_scene_for_batch();
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
    tell(OTHER, safepoint);
    check_int(deaths(), 1);
    tell(OWNER, safepoint);
    check_int(deaths(), DROPPED);
}

INTERLEAVING(has_queues_no_gil, a_thread_pushes_its_batch_before_it_blocks) {
    set_scene_for_batch();
    tell(OTHER, block);
    tell(OWNER, safepoint);
    check_int(deaths(), DROPPED);
}

INTERLEAVING(has_queues_no_gil, a_thread_pushes_its_batch_before_it_exits) {
    set_scene_for_batch();
    tell(OTHER, detach);
    tell(OWNER, safepoint);
    check_int(deaths(), DROPPED);
}

INTERLEAVING(has_queues_no_gil,
             a_batch_pushed_to_an_owner_that_has_blocked_is_merged_by_the_pusher) {
    set_scene_for_batch();
    tell(OWNER, block);
    check_int(deaths(), 1);
    tell(OTHER, safepoint);
    check_int(deaths(), DROPPED);
}

INTERLEAVING(has_queues_no_gil, what_is_dropped_once_the_owner_has_blocked_dies_at_once) {
    set_scene_for_batch();
    tell(OWNER, make_object, block);
    tell(OTHER, drop_object);
    check_int(deaths(), 2);
    tell(OTHER, safepoint);
    check_int(deaths(), DROPPED + 1);
}

INTERLEAVING(has_queues_no_gil, a_batch_of_an_owner_that_is_gone_is_merged_by_the_pusher) {
    set_scene_for_batch();
    tell(OWNER, detach);
    check_int(deaths(), 1);
    tell(OTHER, safepoint);
    check_int(deaths(), DROPPED);
}

static void batch_of_reused_slot(const char *point) {
    raise_curtain_but(THIRD);
    tell(OWNER, note_slot);
    set_scene_for_batch();
    tell(OWNER, detach);
    while_held(OTHER, safepoint, point) tell(THIRD, attach, check_slot);
    check_int(deaths(), 1);
    tell(THIRD, safepoint);
    check_int(deaths(), DROPPED);
    drop_curtain();
}
TEST_IF(has_queues_no_gil, who_attaches_in_the_slot_merges_a_batch_pushed_later) {
    batch_of_reused_slot("push_open");
}
TEST_IF(has_queues_no_gil, who_attaches_in_the_slot_merges_a_batch_that_found_it_closed) {
    batch_of_reused_slot("push_for_gone");
}

/* The thread parks before it pushes. */
INTERLEAVING(has_queues_no_gil, a_stop_of_the_world_merges_the_batches_of_all_threads) {
    set_scene_for_batch();
    stop_at(THIRD, collect, "world_claiming");
    begin(OWNER, safepoint);
    begin(OTHER, safepoint);
    go_on(THIRD, "world_claiming");
    finish(OWNER);
    finish(OTHER);
    check_int(deaths(), DROPPED);
}

INTERLEAVING(has_queues_no_gil, a_thread_that_drops_after_the_owner_has_merged_pushes_at_once) {
    set_scene_for_batch();
    tell(OWNER, safepoint, make_object);
    tell(OTHER, drop_object);
    tell(OWNER, safepoint);
    check_int(deaths(), DROPPED + 1);
}

/* The pusher waits for the lock that the thread which stops the world holds. */
INTERLEAVING(has_queues_no_gil, a_batch_may_be_taken_while_its_pusher_waits_for_the_thread_list) {
    set_scene_for_batch();
    tell(OWNER, detach);
    while_held(OTHER, safepoint, "push_for_gone") {
        begin(THIRD, collect);
        check(stands(THIRD));
    }
    finish(THIRD);
    check_int(deaths(), DROPPED);
}

/* ---- claims ---- */

INTERLEAVING(has_queues_no_gil, an_owner_cannot_return_before_a_claim_ends) {
    tell(OWNER, make_object, block);
    stop_at(OTHER, drop_object, "merge_claimed");
    stop_at(OWNER, unblock, "running_claimed");
    release(OWNER, "running_claimed");
    check(stands(OWNER));
    check_int(deaths(), 0);
    release(OTHER, "merge_claimed");
    finish(OWNER);
    finish(OTHER);
    check_int(deaths(), 1);
    check_merged_once();
}

static void finalize_until_flag(tally_object *self) {
    atomic_store_explicit(&finalizing, 1, memory_order_relaxed);
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         !atomic_load_explicit(&flag, memory_order_relaxed);) {
        usleep(50);
        if (now() > end) {
            check(!"the finalizer may go on");
            break;
        }
    }
    suite_count_death(self);
}

INTERLEAVING(has_queues_no_gil, a_finalizer_runs_after_the_claim_has_ended) {
    finalize_by(finalize_until_flag);
    tell(OWNER, make_object, block);
    begin(OTHER, drop_object);
    poll_until(atomic_load_explicit(&finalizing, memory_order_relaxed));
    check(atomic_load_explicit(&finalizing, memory_order_relaxed));
    tell(OWNER, unblock); /* while the object of the claim is being finalized */
    tell(OWNER, safepoint);
    check(!is_done(OTHER));
    raise_flag();
    finish(OTHER);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, a_stop_of_the_world_waits_for_a_claim) {
    tell(OWNER, make_object, block);
    while_held(OTHER, drop_object, "merge_claimed") {
        hold(THIRD, "world_stopped");
        stop_at(THIRD, stop_world, "world_claiming");
        release(THIRD, "world_claiming");
        check(stands(THIRD));
        check(!is_held(THIRD, "world_stopped"));
    }
    check_int(deaths(), 1);
    check(!is_held(THIRD, "world_stopped")); /* the other still runs */
    begin(OTHER, safepoint);
    await(THIRD, "world_stopped");
    check(stands(OTHER));
    go_on(THIRD, "world_stopped");
    finish(OTHER);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, what_is_pushed_for_an_owner_claimed_by_a_stop_is_merged_after_it) {
    tell(OWNER, make_object, block);
    stop_at(THIRD, stop_world, "world_claiming"); /* has claimed the owner, not yet the other */
    tell(OTHER, drop_object);
    check_int(deaths(), 0);
    release(THIRD, "world_claiming");
    begin(OTHER, safepoint);
    finish(THIRD);
    finish(OTHER);
    check_int(deaths(), 1);
    check_merged_once();
}

INTERLEAVING(has_queues_no_gil, a_drop_without_memory_for_an_entry_stops_the_world) {
    tell(OWNER, make_object);
    begin(OWNER, safepoints_until_flag);
    begin(THIRD, safepoints_until_flag);
    tally_failpoint_failure(1, 0);
    while_held(OTHER, drop_object, "merge_stopped") check_int(deaths(), 0);
    check(tally_failpoint_failed());
    check_int(deaths(), 1);
    raise_flag();
    finish(OWNER);
    finish(THIRD);
    check_merged_once();
}

/* It waits, blocked, while another has the world stopped. */
INTERLEAVING(has_queues_no_gil, a_drop_without_memory_waits_for_a_stop_under_way) {
    tell(OWNER, make_object, take_object);
    begin(OWNER, safepoints_until_flag);
    tally_failpoint_failure(1, 0);
    stop_at(THIRD, drop_object, "merge_stopped");
    check(tally_failpoint_failed());
    stop_at(OTHER, stop_world, "world_claiming");
    release(THIRD, "merge_stopped");
    move_on(OTHER, "world_claiming", "world_stopped");
    check(stands(THIRD));
    go_on(OTHER, "world_stopped");
    begin(OTHER, safepoints_until_flag);
    finish(THIRD);
    raise_flag();
    finish(OTHER);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OTHER, drop_object);
    check_int(deaths(), 1);
    check_merged_once();
}

TEST_IF(has_queues_no_gil, who_pushes_to_the_next_thread_in_the_slot_finds_it_blocked) {
    raise_curtain_but(THIRD);
    tell(OWNER, make_object, note_slot, detach);
    while_held(OTHER, drop_object, "merge_for_gone") {
        tell(THIRD, attach, check_slot, block);
    }
    check_int(deaths(), 1); /* it is blocked, so the pusher merges */
    tell(THIRD, unblock, safepoint);
    check_int(deaths(), 1);
    check_merged_once();
    drop_curtain();
}

/* ---- a new object without a lock is merged as it is stored where others borrow ---- */

static void make_text(void) { object = tally_str_new("neither short nor shared", 24); }
static void put_object(void) { check_int(tally_list_set(list, 0, object), 0); }

/* What the owner stores is another thread's, which has never counted it. */
static void set_scene_for_new(void) {
    set_scene_for_borrow(put_fresh);
    tell(OWNER, make_text);
}

INTERLEAVING(has_queues_no_gil, a_drop_while_a_new_item_is_merged_is_added_up) {
    set_scene_for_new();
    while_held(OWNER, put_object, "merge_and_expose_swap") tell(OTHER, drop_object);
    tell(OTHER, check_one_left);
}

INTERLEAVING(has_queues_no_gil, increfs_while_a_new_item_is_merged_are_added_up) {
    set_scene_for_new();
    while_held(OWNER, put_object, "merge_and_expose_swap") {
        tell(OTHER, take_object, take_object);
    }
    tell(OTHER, drop_object, drop_object, drop_object, check_one_left);
}

INTERLEAVING(has_queues_no_gil, a_new_item_that_is_queued_before_it_is_merged_is_dropped_once) {
    set_scene_for_new();
    while_held(OWNER, put_object, "merge_and_expose") {
        tell(OTHER, drop_object); /* an entry of the queue holds it now */
    }
    tell(OWNER, safepoint);
    tell(OTHER, check_one_left);
}

INTERLEAVING(has_queues_no_gil, a_drop_that_would_have_queued_finds_a_new_item_merged) {
    set_scene_for_new();
    while_held(OTHER, drop_object, "decref_shared") tell(OWNER, put_object);
    tell(OTHER, check_one_left);
}
