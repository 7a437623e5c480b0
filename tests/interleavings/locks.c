/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* locks.c: biased locks, parking, critical sections. */
#include "cast.h"

/* ---- biased locks ---- */

static void check_three(void) { check_int(tally_list_length(list), 3); }

/* The owner is held there; the revoker has taken the byte and waits until it lets go. */
static void revoker_waits_for_owner(const char *point) {
    tell(OWNER, make_list);
    stop_at(OWNER, append_none, point);
    stop_at(OTHER, append_none, "bias_wait");
    release(OTHER, "bias_wait");
    check(stands(OTHER));
    release(OWNER, point);
    finish(OTHER);
    finish(OWNER);
    tell(OWNER, check_three);
}

INTERLEAVING(has_bias, a_revoker_waits_for_an_owner_that_has_marked_but_not_looked) {
    revoker_waits_for_owner("bias_marked");
}

INTERLEAVING(has_bias, a_revoker_waits_for_an_owner_in_its_section) {
    revoker_waits_for_owner("bias_inside");
}

INTERLEAVING(has_bias, an_owner_that_comes_after_the_revokers_swap_waits) {
    tell(OWNER, make_list);
    while_held(OTHER, append_none, "bias_taken") {
        check_waits(OWNER, append_none);
    }
    finish(OWNER);
    tell(OWNER, check_three);
}

INTERLEAVING(has_bias, an_owner_that_comes_after_the_revocation_takes_the_lock) {
    tell(OWNER, make_list);
    tell(OTHER, append_none);
    while_held(OWNER, append_none, "bias_marked") {}
    tell(OWNER, check_three);
}

/* The owner's section is a private one, in which it frees an array at once: the byte is
 * not free for readers before the owner has left it. */
INTERLEAVING(has_bias, nobody_reads_without_the_lock_until_the_owner_has_left_its_section) {
    tell(OWNER, make_list);
    while_held(OWNER, append_none, "bias_inside") {
        stop_at(OTHER, append_none, "bias_wait");
        check_waits(THIRD, read_and_drop);
        release(OTHER, "bias_wait");
        check(stands(THIRD));
    }
    finish(OTHER);
    finish(THIRD);
    tell(OWNER, check_three);
}

/* The owner of the list exits while the revoker, which has read it as the owner, looks at its mark.
 */
INTERLEAVING(has_bias, a_revoker_outlives_the_owner) {
    tell(OWNER, make_list, append_none);
    while_held(OTHER, append_none, "bias_taken") tell(OWNER, detach);
    tell(OTHER, check_three, drop_list);
}

/* ---- parking ---- */

static void set_scene_for_parking(void) { tell(OWNER, make_list, enter_section); }

INTERLEAVING(no_gil, an_unlock_before_the_waiter_says_that_it_sleeps_is_seen) {
    set_scene_for_parking();
    while_held(OTHER, pass_section, "park") tell(OWNER, leave_section);
}

INTERLEAVING(no_gil, an_unlock_after_the_waiter_has_said_that_it_sleeps_wakes_it) {
    set_scene_for_parking();
    while_held(OTHER, pass_section, "parking") {
        stop_at(OWNER, leave_section, "unlock_slow");
        release(OWNER, "unlock_slow");
        check(stands(OWNER));
        check(stands(OTHER));
    }
    finish(OWNER);
}

INTERLEAVING(no_gil, a_second_waiter_that_comes_during_an_unlock_is_woken_too) {
    set_scene_for_parking();
    stop_at(OTHER, pass_section, "parking");
    release(OTHER, "parking");
    check(stands(OTHER));
    stop_at(OWNER, leave_section, "unlock_slow");
    stop_at(THIRD, pass_section, "parking");
    release(OWNER, "unlock_slow");
    release(THIRD, "parking");
    finish(OWNER);
    finish(OTHER);
    finish(THIRD);
}

/* ---- a lock that one thread alone takes is kept ---- */

enum { ENOUGH = 3 * 64 /* locks until a thread has met one twice in a row */ };
static void append_enough(void) {
    for (int i = 0; i < ENOUGH; i++) append_none();
}
static void check_all_appended(void) { check_int(tally_list_length(list), 1 + ENOUGH + 2); }
static void check_lock_is_held(void) { check(list->lock != 0); }
static void check_lock_is_free(void) { check_int(list->lock, 0); }

/* OTHER keeps the lock of the owner's list. Without membarrier no lock is kept, nor biased. */
static void set_scene_for_keeper(void) {
    tell(OWNER, make_list);
    while_held(OTHER, append_enough, "lock_kept")
        ;
    tell(OWNER, check_lock_is_held);
}

INTERLEAVING(has_bias, a_lock_that_one_thread_alone_takes_is_kept_until_another_wants_it) {
    set_scene_for_keeper();
    tell(OWNER, append_none, check_lock_is_free);
    tell(OTHER, append_none, check_lock_is_free);
    tell(OWNER, check_all_appended);
}

static void taker_waits_for_keeper(const char *point) {
    set_scene_for_keeper();
    stop_at(OTHER, append_none, point);
    stop_at(OWNER, append_none, "kept_lock_taken");
    move_on(OWNER, "kept_lock_taken", "bias_wait");
    release(OWNER, "bias_wait");
    check(stands(OWNER));
    release(OTHER, point);
    finish(OWNER);
    finish(OTHER);
    tell(OWNER, check_all_appended);
}

INTERLEAVING(has_bias, who_takes_a_kept_lock_waits_for_a_keeper_that_has_marked_but_not_looked) {
    taker_waits_for_keeper("kept_lock_marked");
}

INTERLEAVING(has_bias, who_takes_a_kept_lock_waits_for_a_keeper_in_its_operation) {
    taker_waits_for_keeper("kept_lock_inside");
}

INTERLEAVING(has_bias, a_keeper_that_comes_after_its_lock_was_taken_waits) {
    set_scene_for_keeper();
    while_held(OWNER, append_none, "kept_lock_taken") {
        check_waits(OTHER, append_none);
    }
    finish(OTHER);
    tell(OWNER, check_all_appended);
}

/* The unlock that keeps the lock wakes nobody. */
INTERLEAVING(has_bias, no_thread_goes_to_sleep_for_a_lock_that_is_kept_meanwhile) {
    tell(OWNER, make_list);
    stop_at(OTHER, append_enough, "unlock_slow");
    stop_at(OWNER, append_none, "park");
    move_on(OTHER, "unlock_slow", "lock_kept");
    release(OTHER, "lock_kept"); /* it has the bucket's mutex until then */
    release(OWNER, "park");
    finish(OWNER);
    finish(OTHER);
}

static void enter_other_section(void) { tally_critical_begin(&sections[me->role], other_list); }

/* To take the lock is no wait, which would suspend the section. */
INTERLEAVING(has_bias, a_section_goes_on_while_an_operation_in_it_takes_a_kept_lock) {
    set_scene_for_keeper();
    tell(OWNER, make_other_list, enter_other_section);
    stop_at(OTHER, append_none, "kept_lock_inside");
    stop_at(OWNER, append_none, "kept_lock_taken");
    check_waits(THIRD, enter_other_section);
    release(OWNER, "kept_lock_taken");
    go_on(OTHER, "kept_lock_inside");
    finish(OWNER);
    check(stands(THIRD));
    tell(OWNER, leave_section);
    finish(THIRD);
    tell(THIRD, leave_section);
    tell(OWNER, drop_other_list);
}

INTERLEAVING(has_bias, a_keeper_that_begins_a_section_holds_the_lock) {
    set_scene_for_keeper();
    tell(OTHER, enter_section);
    check_waits(OWNER, append_none);
    tell(OTHER, leave_section);
    finish(OWNER);
}

INTERLEAVING(has_bias, a_keeper_keeps_the_lock_again_after_its_section) {
    set_scene_for_keeper();
    tell(OTHER, enter_section, leave_section, check_lock_is_held);
    tell(OWNER, append_none, check_lock_is_free);
}

INTERLEAVING(has_bias, a_keeper_that_blocks_gives_the_lock_up) {
    set_scene_for_keeper();
    tell(OTHER, block);
    tell(OWNER, check_lock_is_free);
    tell(OTHER, unblock);
}

INTERLEAVING(has_bias, a_keeper_that_exits_gives_the_lock_up) {
    set_scene_for_keeper();
    tell(OTHER, detach);
    tell(OWNER, check_lock_is_free);
    tell(OTHER, attach);
}

/* Else its block might be another list by the time the keeper stores to the lock byte. */
INTERLEAVING(has_bias, a_list_does_not_die_while_its_keeper_gives_the_lock_up) {
    set_scene_for_keeper();
    stop_at(OTHER, block, "kept_lock_given_up");
    check_waits(OWNER, drop_list);
    release(OTHER, "kept_lock_given_up");
    finish(OWNER);
    finish(OTHER);
    tell(OTHER, unblock);
}

INTERLEAVING(has_bias, a_stop_of_the_world_waits_for_no_keeper) {
    set_scene_for_keeper();
    tell(THIRD, block);
    begin(OTHER, safepoints_until_flag);
    tell(OWNER, stop_world, clear_list);
    raise_flag();
    finish(OTHER);
    tell(THIRD, unblock);
}

/* ---- what is counted of contention ---- */

static tally_object *second;
static void read_second(void) { second = tally_list_get(list, 0); }
static void drop_second(void) { tally_decref(second); }

/* Its object may be shared; the list's lock is biased no more, which is contention for the list. */
static void set_scene_for_counting(void) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
}

static tally_contention_row row_of(const char *type, size_t rows_wanted) {
    tally_contention_row *rows, row = {.share = 0};
    size_t count;

    check_int(tally_contention(&rows, &count), 0);
    check_int(count, rows_wanted);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, type) == 0) row = rows[i];
    free(rows);
    return row;
}

static void check_lost_swap(void) {
    size_t events = is_biased() ? 2 : 1;
    tally_contention_row row = row_of("Mortal", events);

    check_int(row.lost_cas, 1);
    check_int(row.lock_waits + row.lock_revocations + row.merges, 0);
    check_int(row.owner, is_biased() ? 2 : 0); /* the director is 1 */
    check_double(row.share, 1.0 / (double)events);
}

TEST_IF(no_gil, a_swap_that_is_lost_to_another_reader_is_counted_once) {
    raise_curtain();
    set_scene_for_counting();
    while_held(OTHER, read_first, "try_incref_swap") tell(THIRD, read_second);
    tell(THIRD, drop_second);
    tell(OTHER, drop_result);
    drop_curtain();
    check_lost_swap();
}

TEST_IF(has_queues_no_gil, a_decref_that_is_lost_to_another_reader_is_counted_once) {
    raise_curtain();
    set_scene_for_counting();
    tell(OTHER, read_first);
    while_held(OTHER, drop_result, "decref_shared") tell(THIRD, read_second);
    tell(THIRD, drop_second);
    drop_curtain();
    check_lost_swap();
}

TEST_IF(no_gil, a_wait_that_takes_long_ends_by_a_handover_and_both_are_counted) {
    raise_curtain();
    set_scene_for_parking();
    stop_at(OTHER, pass_section, "parking");
    usleep(5000); /* longer than a waiter waits for its turn */
    release(OTHER, "parking");
    tell(OWNER, leave_section); /* finds the waiter: it has the bucket's mutex until it sleeps */
    finish(OTHER);
    drop_curtain();
    tally_contention_row row = row_of("list", 1);
    check_int(row.lock_waits, 1);
    check_int(row.lock_handovers, 1);
    check_int(row.lost_cas + row.merges, 0);
}

/* ---- a thread that waits for a lock runs no foreign code ---------------- */

static tally_object *lower(void) { return list < other_list ? list : other_list; }
static tally_object *upper(void) { return list < other_list ? other_list : list; }
static void enter_upper(void) { tally_critical_begin(&sections[me->role], upper()); }
static void pass_both(void) {
    tally_critical_begin2(&sections[me->role], list, other_list);
    tally_critical_end(&sections[me->role]);
}
static void finalize_with_append(tally_object *self) {
    check_int(tally_list_append(lower(), tally_none), 0);
    suite_count_death(self);
}

INTERLEAVING(has_queues_no_gil,
             what_dies_while_a_section_waits_for_its_objects_is_finalized_at_the_next_safepoint) {
    finalize_by(finalize_with_append);
    tell(OWNER, make_list, make_other_list, make_object);
    tell(OTHER, enter_upper);
    tell(THIRD, drop_object); /* left to the owner, which runs */
    check_waits(OWNER, pass_both);
    tell(OTHER, leave_section);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
}

/* A deposit whose finalizer counts, and an append that waits: the finalizer runs at the safepoint
 * after it. */
INTERLEAVING(has_queues_no_gil, an_append_that_waits_runs_no_finalizer) {
    tell(OWNER, make_list, make_object);
    tell(OTHER, enter_section);
    tell(THIRD, drop_object);
    check_waits(OWNER, append_none);
    check_int(deaths(), 0);
    tell(OTHER, leave_section);
    finish(OWNER);
    check_int(deaths(), 0);
    tell(OWNER, safepoint);
    check_int(deaths(), 1);
}

/* ---- sections are held again after whatever waited in them -------------- */

static tally_critical inner_sections[ACTORS], innermost_sections[ACTORS];
static void append_to_other(void) { check_int(tally_list_append(other_list, tally_none), 0); }
static void enter_other(void) { tally_critical_begin(&sections[me->role], other_list); }
static void enter_inner_other(void) { tally_critical_begin(&inner_sections[me->role], other_list); }
static void leave_inner(void) { tally_critical_end(&inner_sections[me->role]); }
static void enter_innermost_list(void) {
    tally_critical_begin(&innermost_sections[me->role], list);
}
static void leave_innermost(void) { tally_critical_end(&innermost_sections[me->role]); }

/* Nobody can store to the list while the owner is where it is; and then can. */
static void check_excluded(void) { check_waits(OTHER, put_none); }

static void set_scene_of_sections(void) {
    tell(OWNER, make_list);
    tell(OTHER, make_other_list);
}

INTERLEAVING(no_gil, a_section_is_held_again_after_an_operation_that_waited) {
    set_scene_of_sections();
    tell(THIRD, enter_other);
    tell(OWNER, enter_section);
    check_waits(OWNER, append_to_other);
    tell(OTHER, put_none); /* while it waits, others may */
    tell(THIRD, leave_section);
    finish(OWNER);
    check_excluded();
    tell(OWNER, leave_section);
    finish(OTHER);
}

/* The wait is over, the lock of the section is not back yet, and another has it: the call waits for
 * that, too. */
INTERLEAVING(no_gil, an_operation_that_waited_returns_with_the_section) {
    set_scene_of_sections();
    tell(THIRD, enter_other);
    tell(OWNER, enter_section);
    hold(OWNER, "unlock_waited");
    check_waits(OWNER, append_to_other);
    tell(THIRD, leave_section);
    await(OWNER, "unlock_waited");
    tell(OTHER, enter_section);
    release(OWNER, "unlock_waited");
    check(stands(OWNER));
    tell(OTHER, leave_section);
    finish(OWNER);
    check_excluded();
    tell(OWNER, leave_section);
    finish(OTHER);
}

/* A section on an object that an outer one holds, with one on another object between them. */
INTERLEAVING(no_gil, an_innermost_section_is_held_whoever_had_its_lock_before) {
    set_scene_of_sections();
    tell(OWNER, enter_section, enter_inner_other, enter_innermost_list, block);
    tell(OTHER, put_none);
    tell(OWNER, unblock);
    check_excluded();
    tell(OWNER, leave_innermost);
    finish(OTHER);
    tell(OWNER, leave_inner);
    check_excluded(); /* the outermost again */
    tell(OWNER, leave_section);
    finish(OTHER);
}

/* On its way into a blocked region it runs a finalizer that has a section of its own. */
static void finalize_in_section(tally_object *self) {
    tally_critical section;
    tally_critical_begin(&section, other_list);
    tally_critical_end(&section);
    suite_count_death(self);
}
static void enter_two(void) {
    enter_section();
    enter_inner_other();
}
static void leave_two(void) {
    leave_inner();
    leave_section();
}
static void block_with_the_section(int both) {
    set_scene_of_sections();
    finalize_by(finalize_in_section);
    tell(OWNER, make_object);
    tell(OWNER, both ? enter_two : enter_section);
    tell(THIRD, drop_object); /* left to the owner, which runs */
    tell(OWNER, block);
    check_int(deaths(), 1);
    tell(OTHER, put_none); /* a thread that waits holds nothing */
    tell(OTHER, append_to_other);
    tell(OWNER, unblock);
    if (both) {
        check_waits(OTHER, append_to_other);
    } else {
        check_excluded();
    }
    tell(OWNER, both ? leave_two : leave_section);
    finish(OTHER);
}
INTERLEAVING(has_queues_no_gil,
             a_thread_that_blocks_holds_no_section_although_a_finalizer_had_one) {
    block_with_the_section(0);
}
INTERLEAVING(has_queues_no_gil,
             a_thread_that_blocks_holds_none_of_two_sections_although_a_finalizer_had_one) {
    block_with_the_section(1);
}

/* ---- a query of the heap meets a section on what it finds ---- */

static void query_objects(void) {
    for (int i = 0; i < 20; i++) tally_decref(tally_gc_get_objects(-1));
    block(); /* an idle actor that runs would keep the world from stopping */
}
static void query_and_enter(void) {
    while (!atomic_load_explicit(&flag, memory_order_relaxed)) {
        tally_object *found = tally_gc_get_objects(-1);
        for (ptrdiff_t i = 0; i < tally_list_length(found); i++) {
            tally_object *item = tally_list_get(found, i);
            tally_critical section;
            tally_critical_begin(&section, item);
            tally_safepoint(); /* parks here, if the world is to stop */
            tally_critical_end(&section);
            tally_decref(item);
        }
        tally_decref(found);
    }
    block();
}
INTERLEAVING(no_gil, a_query_of_the_heap_stops_the_world_although_what_it_finds_is_in_a_section) {
    set_scene_of_sections();
    begin(OTHER, query_and_enter);
    begin(THIRD, query_and_enter);
    tell(OWNER, query_objects);
    raise_flag();
    finish(OTHER);
    finish(THIRD);
    tell(OWNER, unblock);
    tell(OTHER, unblock);
}

/* ---- biases end without a membarrier each ------------------------------- */

enum { BIASED_LISTS = 400 };
static tally_object *biased_lists[BIASED_LISTS];
static uint64_t revoked_before, revoked_after;
static uint64_t revocations_now(void) {
    tally_stats_result stats = stats_now();
    return stats.lock_revocations;
}
static void make_biased_lists(void) {
    for (int i = 0; i < BIASED_LISTS; i++)
        check_int(tally_list_append(biased_lists[i] = tally_list_new(2), tally_none), 0);
}
static void use_biased_lists(void) {
    revoked_before = revocations_now();
    for (int i = 0; i < BIASED_LISTS; i++)
        check_int(tally_list_append(biased_lists[i], tally_none), 0);
    revoked_after = revocations_now();
}
static void check_and_drop_biased_lists(void) {
    for (int i = 0; i < BIASED_LISTS; i++) {
        check_int(tally_list_append(biased_lists[i], tally_none), 0);
        check_int(tally_list_length(biased_lists[i]), 3);
        tally_decref(biased_lists[i]);
    }
}

INTERLEAVING(has_bias, biases_of_a_blocked_owner_go_without_a_membarrier) {
    tell(OWNER, make_biased_lists, block);
    tell(OTHER, use_biased_lists);
    check_int(revoked_after - revoked_before, 0);
    tell(OWNER, unblock, check_and_drop_biased_lists);
}

INTERLEAVING(has_bias, biases_of_a_running_owner_end_all_at_once) {
    tell(OWNER, make_biased_lists);
    tell(OTHER, use_biased_lists);
    check(revoked_after - revoked_before <= 32);
    tell(OWNER, check_and_drop_biased_lists);
}

/* The owner is in one of the lists by its bias while the epoch ends: nobody takes the bias for over
 * before it has left. */
static void append_to_last_biased(void) {
    check_int(tally_list_append(biased_lists[BIASED_LISTS - 1], tally_none), 0);
}
static void pop_two_of_last_biased(void) {
    check_int(tally_list_length(biased_lists[BIASED_LISTS - 1]), 4);
    for (int i = 0; i < 2; i++) tally_decref(tally_list_pop(biased_lists[BIASED_LISTS - 1], -1));
}
INTERLEAVING(has_bias, an_epoch_of_biases_is_over_when_the_owner_has_left) {
    tell(OWNER, make_biased_lists);
    while_held(OWNER, append_to_last_biased, "bias_inside") {
        stop_at(OTHER, use_biased_lists, "epoch_ends");
        release(OTHER, "epoch_ends");
        check(stands(OTHER));
        check_waits(THIRD, append_to_last_biased);
    }
    finish(OTHER);
    finish(THIRD);
    tell(OWNER, pop_two_of_last_biased, check_and_drop_biased_lists);
}
