/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* turns.c: threads that contend take turns. */
#include "cast.h"

static int has_turns(void) { return SUITE_HAS_TURNS; }

static void contend(void) { tally_turns_force(true); }
static void end_turns(void) { tally_turns_force(false); }
static void contend_and_pass(void) {
    contend();
    tally_safepoint();
}

/* The owner has the turn. */
static void set_scene_for_turns(void) { tell(OWNER, make_list, contend_and_pass); }

static void check_waited(uint64_t turn_waits) { check_int(stats_now().turn_waits, turn_waits); }

INTERLEAVING(has_turns, a_thread_that_does_not_contend_waits_for_no_turn) {
    set_scene_for_turns();
    tell(OTHER, safepoint);
    check_waited(0);
}

INTERLEAVING(has_turns, a_holder_passes_its_turn_on_at_a_safepoint) {
    set_scene_for_turns();
    begin(OWNER, safepoints_until_flag);
    tell(OTHER, contend_and_pass);
    raise_flag();
    finish(OWNER);
}

INTERLEAVING(has_turns, a_holder_that_comes_to_no_safepoint_is_overtaken) {
    set_scene_for_turns();
    tell(OTHER, contend_and_pass);
    check_waited(1);
    tell(OWNER, contend_and_pass);
    check_waited(2);
}

/* The thread has not joined the waiters when the holder gives its turn up, so no thread has it. */
static void waits_for_no_turn_after(actor_command *command, actor_command *after) {
    set_scene_for_turns();
    while_held(OTHER, contend_and_pass, "turn_wait") tell(OWNER, command);
    check_waited(1);
    tell(OWNER, after);
}
INTERLEAVING(has_turns, a_turn_given_up_by_a_block_before_a_thread_waits_for_it_is_not_lost) {
    waits_for_no_turn_after(block, unblock);
}
INTERLEAVING(has_turns, a_turn_given_up_by_an_exit_before_a_thread_waits_for_it_is_not_lost) {
    waits_for_no_turn_after(detach, attach);
}
INTERLEAVING(has_turns, turns_that_end_before_a_thread_waits_hold_it_up_no_more) {
    waits_for_no_turn_after(end_turns, safepoint);
}

INTERLEAVING(has_turns, all_that_wait_go_on_when_turns_end) {
    set_scene_for_turns();
    begin(OTHER, contend_and_pass);
    begin(THIRD, contend_and_pass);
    tell(OWNER, end_turns);
    finish(OTHER);
    finish(THIRD);
}

static void pass_in_section(void) {
    enter_section();
    contend_and_pass();
    append_none();
    leave_section();
}
static void check_two_appended(void) { check_int(tally_list_length(list), 3); }

INTERLEAVING(has_turns, a_section_is_suspended_while_its_thread_waits_for_a_turn) {
    set_scene_for_turns();
    while_held(OTHER, pass_in_section, "turn_granted") tell(OWNER, append_none);
    tell(OWNER, check_two_appended);
}

INTERLEAVING(has_turns, a_stop_of_the_world_waits_for_no_thread_that_waits_for_its_turn) {
    set_scene_for_turns();
    tell(THIRD, block);
    while_held(OTHER, contend_and_pass, "turn_granted") tell(OWNER, stop_world);
    tell(THIRD, unblock);
}
