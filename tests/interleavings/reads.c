/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reads.c: reads that take no lock, against stores, removals and the death of what is read. */
#include "cast.h"

/* ---- a try-incref against the last decref ---- */

/* The reader is held with the slot loaded; the object dies; the reader gets what is there now. */
static void reader_loses(const char *point) {
    while_held(OTHER, read_first, point) {
        tell(OWNER, put_none);
        check_int(deaths(), 1);
    }
    check(result == tally_none);
}

INTERLEAVING(no_gil, try_incref_of_default_fails_after_the_owners_last_decref) {
    set_scene_for_reader();
    reader_loses("try_incref");
}

INTERLEAVING(no_gil, try_incref_of_maybe_shared_fails_after_the_owners_last_decref) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    reader_loses("try_incref");
}

INTERLEAVING(no_gil,
             try_incref_of_maybe_shared_that_read_the_count_fails_after_the_owners_last_decref) {
    set_scene_for_reader();
    tell(OTHER, read_and_drop);
    reader_loses("try_incref_swap");
}

/* Merged: the owner's half went while the other held a reference. */
static void set_scene_merged(void) {
    set_scene_for_reader();
    tell(OTHER, read_first);
    tell(OWNER, put_none);
    tell(OTHER, put_result);
    check_int(deaths(), 0);
}

INTERLEAVING(no_gil, try_incref_of_merged_fails_after_the_last_decref) {
    set_scene_merged();
    reader_loses("try_incref");
}

INTERLEAVING(no_gil, try_incref_of_merged_that_read_the_count_fails_after_the_last_decref) {
    set_scene_merged();
    reader_loses("try_incref_swap");
}

static void check_one_reference(void) { check_int(tally_refcount(first_of_other), 1); }

/* The block that the reader knows has another object by now, in state default or (shared)
 * maybe-shared. */
static void reader_meets_another_object(const char *point, int shared) {
    tell(OWNER, make_list, make_other_list);
    tell(OTHER, read_and_drop);
    tell(THIRD, read_other_and_drop);
    tell(OWNER, put_fresh);
    tell(OTHER, read_and_drop); /* maybe-shared */
    tell(OWNER, note_first);
    while_held(OTHER, read_first, point) {
        tell(OWNER, put_none, put_fresh_in_other);
        check(first_of_other == first_of_list); /* else this tests nothing */
        if (shared) tell(THIRD, read_other_and_drop);
    }
    check(result == tally_none);
    tell(OWNER, check_one_reference, drop_list, drop_other_list);
}

INTERLEAVING(no_gil, try_incref_of_a_reused_block_in_default_takes_nothing) {
    reader_meets_another_object("try_incref", 0);
}

INTERLEAVING(no_gil, try_incref_of_a_reused_block_in_maybe_shared_gives_the_reference_back) {
    reader_meets_another_object("try_incref", 1);
}

INTERLEAVING(no_gil,
             try_incref_of_a_reused_block_with_the_count_read_before_gives_the_reference_back) {
    reader_meets_another_object("try_incref_swap", 1);
}

/* The list is cleared before the reader loads its array, and filled before it looks at the length.
 */
INTERLEAVING(no_gil, a_reader_that_loads_no_array_but_then_a_length_takes_the_lock) {
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    stop_at(OTHER, read_first, "list_read");
    tell(OWNER, clear_list);
    move_on(OTHER, "list_read", "list_loaded");
    tell(OWNER, append_none);
    go_on(OTHER, "list_loaded");
    check(result == tally_none);
}

static void read_last(void) { result = tally_list_get(list, 99); }
/* The array that the reader has is shorter than the length that it sees. */
INTERLEAVING(no_gil, a_reader_of_a_replaced_array_takes_the_lock) {
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    while_held(OTHER, read_last, "list_loaded")
        for (int i = 0; i < 99; i++) tell(OWNER, append_none);
    check(result == tally_none);
}

static void make_object_in_list(void) {
    object = instance();
    check_int(tally_list_set(list, 0, object), 0); /* and a reference of its own: it lives on */
}

/* The slot of the replaced array is as it was; the list's is not. */
INTERLEAVING(no_gil, a_reader_of_a_replaced_array_looks_at_the_array_again) {
    tell(OWNER, make_list);
    tell(OTHER, read_and_drop);
    tell(OWNER, make_object_in_list);
    tell(OTHER, read_and_drop); /* maybe-shared */
    while_held(OTHER, read_first, "try_incref") {
        for (int i = 0; i < 99; i++) tell(OWNER, append_none);
        tell(OWNER, put_none);
    }
    check(result == tally_none);
    tell(OWNER, drop_object);
}

/* ---- a reader without the lock, and a list that grows ---- */

static int room;
static void grow_list(void) {
    while (tally_list_length(list) <= room) check_int(tally_list_append(list, tally_none), 0);
    room *= 2;
}
static void read_second_item(void) { tally_xdecref(tally_list_get(list, 1)); }
static void make_list_of_three(void) {
    set_list(tally_list_new(room = 8));
    for (int i = 0; i < 3; i++)
        check_int(tally_list_append(list, i < 2 ? tally_none : tally_true), 0);
}

/* The list grows between the reader's load of the array and of the length. */
static void read_ninth(void) { result = tally_list_get(list, 8); }
INTERLEAVING(no_gil, a_reader_that_sees_a_length_newer_than_its_array_looks_again) {
    tell(OWNER, make_list_of_three);
    tell(OTHER, read_second_item);
    while_held(OTHER, read_ninth, "list_loaded") tell(OWNER, grow_list);
    check(result == tally_none);
}

/* ---- walks over a dict without its lock ---- */

enum { DICT_KEYS = 5 }; /* as many as the first table has room for */

static tally_object *dict, *dict_keys[DICT_KEYS + 1], *walk_key, *walk_value, *old_value;
static ptrdiff_t walk_at;
static int walk_result;
static tally_error walk_error;

static void make_dict(void) {
    dict = tally_dict_new();
    for (int i = 0; i <= DICT_KEYS; i++) dict_keys[i] = tally_int_new(1000 + i);
    for (int i = 0; i < DICT_KEYS - 1; i++) {
        tally_object *value = instance();
        check_int(tally_dict_set(dict, dict_keys[i], value), 0);
        tally_decref(value);
    }
}
static void drop_dict(void) {
    tally_decref(dict);
    for (int i = 0; i <= DICT_KEYS; i++) tally_decref(dict_keys[i]);
}
static void walk_on(void) {
    walk_result = tally_dict_next(dict, &walk_at, &walk_key, &walk_value);
    walk_error = tally_error_kind();
    tally_error_clear();
}
static void drop_walked(void) {
    tally_xdecref(walk_key);
    tally_xdecref(walk_value);
    walk_key = walk_value = NULL;
}
static void walk_all(void) {
    walk_at = 0;
    int steps = 0;
    for (walk_on(); walk_result == 1; walk_on(), steps++) drop_walked();
    check_int(walk_result, 0);
    check_int(steps, DICT_KEYS - 1);
    walk_at = 0;
}
static void note_second(void) {
    old_value = tally_dict_get(dict, dict_keys[1]);
    tally_decref(old_value);
}
static void delete_second(void) { check_int(tally_dict_delete(dict, dict_keys[1]), 0); }
static void delete_third(void) { check_int(tally_dict_delete(dict, dict_keys[2]), 0); }
static void add_key(void) {
    check_int(tally_dict_set(dict, dict_keys[DICT_KEYS - 1], tally_none), 0);
}
static void add_keys(void) {
    add_key();
    check_int(tally_dict_set(dict, dict_keys[DICT_KEYS], tally_none), 0); /* another table */
}
static void clear_dict(void) { check_int(tally_dict_clear(dict), 0); }
static void replace_second(void) {
    tally_object *value = instance();
    check_int(tally_dict_set(dict, dict_keys[1], value), 0);
    tally_decref(value);
}

static const char *const walk_points[] = {"walk_begun", "walk_found", "walk_key", "walk_read"};

/* At each point of the step to the second entry, the owner does this to the dict. */
static void walk_meets(void (*change)(void), int deaths_by_it, void (*expect)(int point)) {
    for (int i = 0; i < 4; i++) {
        raise_curtain();
        tell(OWNER, make_dict);
        tell(OTHER, walk_all); /* the lock is no longer biased, and all in it is maybe-shared */
        tell(OWNER, note_second);
        tell(OTHER, walk_on, drop_walked);
        while_held(OTHER, walk_on, walk_points[i]) tell(OWNER, change);
        expect(i);
        tell(OTHER, drop_walked);
        tell(OWNER, safepoint);
        check_int(deaths(), deaths_by_it);
        tell(OWNER, drop_dict);
        drop_curtain();
    }
}

static void expect_error(int point) {
    check_int(walk_result, -1);
    check_int(walk_error, TALLY_RUNTIME_ERROR);
    check(!walk_key && !walk_value);
}

/* Stored for that key, at a moment of the call. */
static void expect_second(int point) {
    check_int(walk_result, 1);
    check(walk_key == dict_keys[1]);
    check(walk_value && (walk_value == old_value) == (point == 3));
}

TEST_IF(no_gil, a_walk_that_meets_a_removal_of_its_entry_reports_it) {
    walk_meets(delete_second, 1, expect_error);
}
TEST_IF(no_gil, a_walk_that_meets_a_removal_of_another_entry_reports_it) {
    walk_meets(delete_third, 1, expect_error);
}
TEST_IF(no_gil, a_walk_that_meets_a_new_key_reports_it) { walk_meets(add_key, 0, expect_error); }
TEST_IF(no_gil, a_walk_that_meets_a_new_table_reports_it) { walk_meets(add_keys, 0, expect_error); }
TEST_IF(no_gil, a_walk_that_meets_a_clear_reports_it) {
    walk_meets(clear_dict, DICT_KEYS - 1, expect_error);
}
TEST_IF(no_gil, a_walk_that_meets_another_value_gives_one_that_was_there) {
    walk_meets(replace_second, 1, expect_second);
}

static int found;
static void look_for_second(void) { found = tally_dict_contains(dict, dict_keys[1]); }

/* A look that found the key in a table which is replaced, then the key removed, looks again. */
TEST_IF(no_gil, a_look_for_a_key_in_a_replaced_table_looks_again) {
    static const char *const points[] = {"contains_found", "contains_value"};
    for (int i = 0; i < 2; i++) {
        raise_curtain();
        tell(OWNER, make_dict);
        tell(OTHER, look_for_second);
        check_int(found, 1);
        while_held(OTHER, look_for_second, points[i]) {
            tell(OWNER, add_keys, delete_second);
        }
        check_int(found, 0);
        tell(OWNER, drop_dict);
        drop_curtain();
    }
}

/* ---- an attribute, read from a table that is replaced ---- */

static tally_object *holder, *attribute;
static int deaths_in_read;
static void make_holder(void) {
    tally_object *open = class_named("Holder"), *value = instance();
    holder = tally_instance_new(open);
    attribute = text("attribute");
    check_int(tally_set_attr(holder, attribute, value), 0);
    drop(open, value);
}
static void read_attribute(void) {
    result = tally_get_attr(holder, attribute);
    deaths_in_read = deaths();
    tally_error_clear();
}
static void replace_and_remove(void) {
    for (int i = 0; i < 99; i++) {
        char name[24];
        snprintf(name, sizeof name, "other %d", i);
        tally_object *other = text(name);
        check_int(tally_set_attr(holder, other, tally_none), 0);
        tally_decref(other);
    }
    check_int(tally_delete_attr(holder, attribute), 0);
}
static void drop_holder(void) { drop(holder, attribute); }

/* tally_get_attr is plain: it runs no finalizer, also if it is left with the last reference. */
INTERLEAVING(no_gil, an_attribute_read_from_a_replaced_table_dies_at_the_readers_next_safepoint) {
    tell(OWNER, make_holder);
    tell(OTHER, read_attribute, drop_result);
    while_held(OTHER, read_attribute, "table_read") tell(OWNER, replace_and_remove);
    check(result == NULL);
    check_int(deaths_in_read, 0);
    tell(OTHER, safepoint);
    check_int(deaths(), 1);
    tell(OWNER, drop_holder);
}

static void enter_dict(void) { tally_critical_begin(&sections[me->role], dict); }
static void read_dict(void) {
    walk_all();
    look_for_second();
    check_int(found, 1);
    tally_object *value = tally_dict_get(dict, dict_keys[1]);
    check(value != NULL);
    tally_xdecref(value);
    check_int(tally_dict_length(dict), DICT_KEYS - 1);
}
static void read_list(void) {
    read_and_drop();
    check_int(tally_list_length(list), 1);
}

/* The owner holds both locks; nothing changes underneath. */
INTERLEAVING(any_backend, reads_take_no_lock) {
    tell(OWNER, make_dict, make_list);
    tell(OTHER, read_dict, read_list);
    tell(OWNER, enter_dict);
    tell(OTHER, read_dict);
    tell(OWNER, leave_section, enter_section);
    tell(OTHER, read_list);
    tell(OWNER, leave_section, drop_dict, drop_list);
}

/* An empty list has no array. Filled and cleared again it has none again, but its length is new. */
static void read_nothing(void) {
    read_first();
    check(result == NULL);
    check_error(TALLY_INDEX_ERROR);
}
INTERLEAVING(no_gil, a_list_is_filled_and_cleared_between_a_readers_looks_at_its_array) {
    tell(OWNER, make_list, clear_list);
    tell(OTHER, read_nothing); /* its lock is not biased any more */
    stop_at(OTHER, read_nothing, "list_loaded");
    tell(OWNER, append_none);
    move_on(OTHER, "list_loaded", "list_length");
    tell(OWNER, clear_list);
    go_on(OTHER, "list_length");
}
