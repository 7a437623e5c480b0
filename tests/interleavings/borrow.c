/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* borrow.c: borrowed references against removal, death and reuse. */
#include "cast.h"

static tally_borrowed inner;
static void borrow_inner(void) {
    inner = tally_slot_borrow(tally_borrowed_object(borrowed), 0);
    error = tally_error_kind();
    tally_error_clear();
}
static void retain(void) { result = tally_retain(borrowed); }
static void retain_inner(void) { result = tally_retain(inner); }
static void borrow_other(void) {
    check(tally_borrowed_object(tally_list_borrow(other_list, 0)) != NULL);
}
/* An instance that has an int. */
static void put_parent(void) {
    tally_object *parent = instance(), *child = tally_int_new(4711000);
    check_int(tally_slot_set(parent, 0, child), 0);
    tally_decref(child);
    check_int(tally_list_set(list, 0, parent), 0);
    tally_decref(parent);
}
/* The parent is private to its owner no more; its child is not borrowable. */
static void pass_through_parent(void) {
    tally_object *parent = tally_retain(borrowed);
    check_null(tally_slot_get(parent, 1), TALLY_ATTRIBUTE_ERROR);
    tally_decref(parent);
}
static void look_at_inner(void) {
    check_int(tally_int_value(tally_borrowed_object(inner)), 4711000);
}

INTERLEAVING(no_gil, what_is_borrowed_dies_at_once_and_cannot_be_retained) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    tell(OWNER, put_none, safepoint);
    check_int(deaths(), 1);
    tell(OTHER, retain);
    check(result == NULL);
    tell(OTHER, borrow_inner); /* what it holds is there still, and as dead */
    tell(OTHER, look_at_inner, retain_inner);
    check(result == NULL);
}

INTERLEAVING(no_gil, what_is_borrowed_and_retained_lives) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow, retain);
    tell(OWNER, put_none, safepoint);
    check_int(deaths(), 0);
    tell(OTHER, drop_result);
    tell(OWNER, safepoint);
}

/* The owner removes and frees between a reader's load and its look at the flag. */
static void item_goes_under_a_borrower(const char *point, void (*put)(void), int dies) {
    set_scene_for_borrow(put);
    while_held(OTHER, borrow, point) {
        tell(OWNER, put_none, safepoint);
        check_int(deaths(), dies);
    }
    check(tally_none == borrowed.object);
}

INTERLEAVING(no_gil, an_item_goes_between_a_borrowers_load_and_its_look_at_the_flag) {
    item_goes_under_a_borrower("borrow_read", put_fresh, 1);
}

INTERLEAVING(no_gil, an_item_goes_between_a_borrowers_look_at_the_flag_and_at_the_slot) {
    item_goes_under_a_borrower("borrow_marked", put_fresh, 1);
}

/* An item without the flag is freed at once; its block has another object, in another list, with or
 * without it. */
static void borrower_meets_another_object(int marked) {
    tell(OWNER, make_list, make_other_list);
    tell(OTHER, read_and_drop); /* not private any more, but nothing is borrowable */
    tell(THIRD, read_other_and_drop);
    if (marked) {
        tell(THIRD, borrow_other, safepoint);
    }
    tell(OWNER, put_fresh, note_first);
    while_held(OTHER, borrow, "borrow_read") {
        tell(OWNER, put_none);
        check_int(deaths(), 1);
        tell(OWNER, put_fresh_in_other);
        check(first_of_other == first_of_list); /* else this tests nothing */
    }
    check(borrowed.object == tally_none);
}

INTERLEAVING(no_gil, a_borrower_finds_another_object_in_the_block_without_the_flag) {
    borrower_meets_another_object(0);
}

INTERLEAVING(no_gil, a_borrower_finds_another_object_in_the_block_with_the_flag) {
    borrower_meets_another_object(1);
}

/* A parent dies, and its never shared child with it, under a reader of the parent's slot. */
INTERLEAVING(no_gil, a_parent_dies_under_a_borrower_that_has_loaded_its_child) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow, pass_through_parent, borrow);
    while_held(OTHER, borrow_inner, "borrow_read") {
        tell(OWNER, put_none, safepoint);
        check_int(deaths(), 1);
    }
    check_int(error, TALLY_NO_ERROR);
    tell(OTHER, look_at_inner, retain_inner);
    check(result == NULL);
    tell(OTHER, safepoint);
}

/* The parent is dead, but its child has no flag yet: the borrower is told that it is gone. */
INTERLEAVING(no_gil, a_borrower_from_a_parent_whose_child_has_no_flag_yet_gets_nothing) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    while_held(OWNER, put_none, "dying_children") {
        check_int(deaths(), 1);
        tell(OTHER, borrow_inner);
        check(inner.object == NULL);
        check_int(error, TALLY_RUNTIME_ERROR);
    }
    tell(OTHER, safepoint);
}

/* The flag is on, the child's count not dropped yet. */
INTERLEAVING(no_gil, a_borrower_from_a_dying_parent_gets_a_child_with_the_flag) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    while_held(OWNER, put_none, "dying_marked") {
        tell(OTHER, borrow_inner);
        check(inner.object != NULL);
    }
    tell(OTHER, look_at_inner, retain_inner);
    check(result == NULL);
    tell(OTHER, safepoint);
}

/* The parent is held while its lock is waited for: it cannot die meanwhile. */
INTERLEAVING(no_gil, a_parent_whose_lock_a_borrower_waits_for_lives) {
    set_scene_for_borrow(put_parent);
    tell(OTHER, borrow);
    while_held(OTHER, borrow_inner, "borrow_secure") {
        tell(OWNER, put_none, safepoint);
        check_int(deaths(), 1);
    }
    check_int(error, TALLY_RUNTIME_ERROR);
    tell(OTHER, safepoint);
}

/* The array is replaced between the borrower's load of it and of the slot; the item dies. */
static void grow_list_and_put_none(void) {
    for (int i = 0; i < 100; i++) check_int(tally_list_append(list, tally_none), 0);
    put_none();
}
INTERLEAVING(no_gil, a_borrower_of_a_replaced_array_looks_again) {
    set_scene_for_borrow(put_fresh);
    while_held(OTHER, borrow, "borrow_loaded") {
        tell(OWNER, grow_list_and_put_none, safepoint);
        check_int(deaths(), 1);
    }
    check(borrowed.object == tally_none);
}

/* The finalizer of an object that nobody could borrow shows it to all, and takes it back. What was
 * borrowed meanwhile is not reused. */
static void show_and_take_back(tally_object *self) {
    check_int(tally_list_set(list, 0, self), 0);
    TALLY_FAILPOINT(shown);
    put_none();
    suite_count_death(self);
}
static void make_another(void) { check((result = instance()) != object); }

INTERLEAVING(no_gil, what_was_borrowed_while_its_finalizer_ran_waits) {
    set_scene_for_borrow(put_none);
    finalize_by(show_and_take_back);
    tell(OWNER, make_object);
    while_held(OWNER, drop_object, "shown") {
        tell(THIRD, borrow, safepoint); /* marks it */
        tell(OTHER, borrow);
        check(borrowed.object == object);
    }
    check_int(deaths(), 1);
    finalize_by(suite_count_death);
    tell(OWNER, make_another);
    tell(OTHER, safepoint);
    tell(OWNER, drop_result);
}
