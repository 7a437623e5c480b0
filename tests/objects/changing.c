/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * changing.c: containers that change while an operation is under way in them, by foreign
 * code or by another thread. Each change is forced: it is made by a key's or a value's own
 * functions, or at a point of core/instrument/failpoint.h, where the thread holds no lock.
 */
#include "instrument/failpoint.h"
#include "suite.h"

#include <math.h>

/* ---- keys and values with functions of their own ---- */

/* What the next comparison, or repr, does first; once. */
static void (*change)(void);
static int compared, shown;

static void change_once(void) {
    void (*now)(void) = change;
    change = NULL;
    if (now) now();
}
static int *number_of(tally_object *object) { return tally_object_data(object); }
static int64_t same_hash(tally_object *self) { return 7; }
static int same_number(tally_object *self, tally_object *other) {
    compared++;
    change_once();
    return *number_of(self) == *number_of(other);
}
static tally_object *show(tally_object *self) {
    shown++;
    change_once();
    return text("own");
}
static tally_object *own_type(void) {
    compared = shown = 0;
    change = NULL;
    return tally_type_new(&(tally_type_spec){
        .name = "Own", .size = sizeof(int), .hash = same_hash, .equal = same_number, .repr = show});
}
static tally_object *own_new(tally_object *type, int number) {
    tally_object *own = tally_object_new(type, 0);
    *number_of(own) = number;
    return own;
}

/* Another thread has been in it, so that no thread is its only user. */
static void visit(void *argument) {
    tally_object *container = argument;
    tally_object *key = text("visited");
    if (tally_dict_set(container, key, tally_none) == 0) {
        check_int(tally_dict_delete(container, key), 0);
    } else {
        tally_error_clear();
        check_int(tally_list_append(container, tally_none), 0);
        tally_decref(tally_list_pop(container, -1));
    }
    tally_decref(key);
}
static tally_object *shared(tally_object *container) {
    in_thread(visit, container);
    return container;
}

/* ---- lookups ---- */

static tally_object *dict, *type, *keys[8];

static void set(int key) { check_int(tally_dict_set(dict, keys[key], tally_none), 0); }

/* Keys 0, 1 ... with the numbers given; all have one hash. */
static void begin_keys(const int *numbers, int count) {
    type = own_type();
    dict = tally_dict_new();
    for (int i = 0; i < count; i++) keys[i] = own_new(type, numbers[i]);
}
static void end_keys(int count) {
    for (int i = 0; i < count; i++) tally_decref(keys[i]);
    drop(dict, type);
}

/* As many keys as the length says, each found, no two equal. */
static void check_keys(ptrdiff_t length) {
    ptrdiff_t position = 0, found = 0;
    tally_object *seen[8];
    while (tally_dict_next(dict, &position, &seen[found], NULL) == 1) found++;
    check_int(found, length);
    check_int(tally_dict_length(dict), length);
    for (ptrdiff_t i = 0; i < found; i++)
        for (ptrdiff_t j = 0; j < i; j++) check(*number_of(seen[i]) != *number_of(seen[j]));
    for (ptrdiff_t i = 0; i < found; i++) {
        check_int(tally_dict_contains(dict, seen[i]), 1);
        tally_decref(seen[i]);
    }
}

/* The search for key 3 has passed the place of key 0, which was removed, and compares with key 1.
 */
static void put_equal_key_where_the_search_has_been(void) { set(2); }

TEST(a_key_put_where_the_search_has_been_is_found) {
    for (int operation = 0; operation < 4; operation++) {
        begin_keys((const int[]){1, 2, 9, 9}, 4);
        set(0);
        set(1);
        check_int(tally_dict_delete(dict, keys[0]), 0);
        change = put_equal_key_where_the_search_has_been;
        switch (operation) {
        case 0: check_int(tally_dict_set(dict, keys[3], tally_true), 0); break;
        case 1: check_int(tally_dict_contains(dict, keys[3]), 1); break;
        case 2: check(tally_dict_set_default(dict, keys[3], tally_true) == tally_none); break;
        case 3: check_int(tally_dict_delete(dict, keys[3]), 0); break;
        }
        check(change == NULL);
        check_keys(operation == 3 ? 1 : 2);
        end_keys(4);
    }
}

/* In threads that follow each other in one slot: tables of equal address are told apart. */
static void fill(void *nothing) {
    set(0);
    set(1);
}
static void refill(void *nothing) {
    check_int(tally_dict_clear(dict), 0);
    for (int i = 0; i < 3; i++) {
        tally_gc_collect(2);
        tally_safepoint();
    }
    set(2);
    set(1);
}
static void in_a_thread(void (*run)(void *)) { in_thread(run, NULL); }
static void refill_in_a_thread(void) { in_a_thread(refill); }

TEST(a_table_made_by_the_next_thread_in_the_slot_is_another) {
    for (int operation = 0; operation < 2; operation++) {
        begin_keys((const int[]){1, 2, 9, 9}, 4);
        in_a_thread(fill);
        tally_object *first = tally_dict_get(dict, keys[0]);
        check(first == tally_none);
        change = NULL;
        compared = 0;
        /* Key 0 is compared first, then key 1, by which the change is made. */
        tally_dict_delete(dict, keys[0]);
        change = refill_in_a_thread;
        if (operation == 0)
            check_int(tally_dict_set(dict, keys[3], tally_true), 0);
        else
            check_int(tally_dict_contains(dict, keys[3]), 1);
        check_keys(2);
        end_keys(4);
    }
}

/* Each comparison changes the set of keys: the search ends all the same. */
static tally_object *other_key;
static void toggle(void *nothing) {
    if (tally_dict_contains(dict, other_key) == 1)
        check_int(tally_dict_delete(dict, other_key), 0);
    else
        check_int(tally_dict_set(dict, other_key, tally_none), 0);
}

TEST(a_search_ends_though_each_comparison_changes_the_dict) {
    enum { MANY = 30 };
    type = own_type();
    dict = tally_dict_new();
    for (int i = 0; i < MANY; i++) set_new(dict, own_new(type, i), tally_int_new(i));
    other_key = text("other");
    tally_object *last = own_new(type, MANY - 1), *none = own_new(type, MANY);
    tally_failpoint_role(1);
    tally_failpoint_call_always(1, "table_compares", toggle, NULL);
    check_int(take_int(tally_dict_get(dict, last)), MANY - 1);
    check_int(tally_dict_contains(dict, none), 0);
    check_int(tally_dict_set(dict, last, tally_none), 0);
    check_int(tally_failpoint_reset(), 0);
    tally_dict_delete(dict, other_key);
    tally_error_clear();
    check_int(tally_dict_length(dict), MANY);
    drop(other_key, last, none, dict, type);
}

/* ---- comparison and repr of what changes ---- */

static tally_object *changing;

static void remove_a_key(void) {
    tally_object *key = text("gone");
    check_int(tally_dict_delete(changing, key), 0);
    tally_decref(key);
}
static void add_a_key(void) { set_new(changing, text("new"), tally_int_new(1)); }

/* { "gone": 1, "own": an object with functions } */
static tally_object *own_dict(int number) {
    tally_object *made = tally_dict_new();
    set_new(made, text("own"), own_new(type, number));
    set_new(made, text("gone"), tally_int_new(1));
    return made;
}

TEST(a_dict_that_its_values_change_is_compared_and_shown) {
    type = own_type();
    void (*const changes[])(void) = {remove_a_key, add_a_key};
    for (int i = 0; i < 2; i++)
        for (int is_shared = 0; is_shared < 2; is_shared++) {
            tally_object *a = own_dict(1), *b = own_dict(1);
            if (is_shared) shared(a);
            changing = a;
            change = changes[i];
            check(tally_equal(a, b) >= 0);
            check(change == NULL);
            check_error(TALLY_NO_ERROR);
            tally_decref(a);
            a = own_dict(1);
            if (is_shared) shared(a);
            changing = a;
            change = changes[i];
            tally_object *repr = tally_repr(a);
            check(repr != NULL && change == NULL);
            check_error(TALLY_NO_ERROR);
            tally_xdecref(repr);
            /* and the other one of the two */
            changing = b;
            change = changes[i];
            check(tally_equal(a, b) >= 0);
            check_error(TALLY_NO_ERROR);
            drop(a, b);
        }
    tally_decref(type);
}

static void pop_all(void) {
    while (tally_list_length(changing) > 0) tally_decref(tally_list_pop(changing, -1));
}

TEST(a_list_that_its_items_change_is_compared_and_shown) {
    type = own_type();
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        tally_object *a = tally_list_new(0), *b = tally_list_new(0);
        for (int i = 0; i < 100; i++) {
            append_new(a, own_new(type, i));
            append_new(b, own_new(type, i));
        }
        if (is_shared) {
            shared(a);
            shared(b);
        }
        changing = b;
        change = pop_all;
        check(tally_equal(a, b) >= 0);
        check(change == NULL);
        changing = a;
        change = pop_all;
        tally_object *repr = tally_repr(a);
        check(repr != NULL && change == NULL);
        tally_xdecref(repr);
        check_error(TALLY_NO_ERROR);
        drop(a, b);
    }
    tally_decref(type);
}

/* ---- two containers at one moment ---- */

static tally_object *one, *two;
static _Atomic int changers_done;

static void replace(tally_object *list, int64_t value) {
    tally_object *number = tally_int_new(value);
    check_int(tally_list_set(list, 0, number), 0);
    tally_decref(number);
}
/* one and two were never equal: 1 and 2, 3 and 2, 3 and 1. */
static void trade(void *nothing) {
    replace(one, 3);
    replace(two, 1);
}
static void trade_values(void *nothing) {
    set_new(one, text("key"), tally_int_new(3));
    set_new(two, text("key"), tally_int_new(1));
}

/* With a GIL no other thread comes between. */
TEST_IF(no_gil, lists_that_are_never_equal_are_not) {
    one = shared(list_of(1, 1));
    two = shared(list_of(2, 2));
    tally_failpoint_role(1);
    tally_failpoint_call(1, "first_copied", trade, NULL);
    check_int(tally_equal(one, two), 0);
    check(tally_failpoint_await(1, "first_copied"));
    check_int(tally_failpoint_reset(), 0);
    int order = 5;
    replace(one, 1);
    replace(two, 2);
    tally_failpoint_call(1, "first_copied", trade, NULL);
    check_int(tally_compare(one, two, &order), 0);
    check(order != 0);
    check_int(tally_failpoint_reset(), 0);
    drop(one, two);
}

TEST_IF(no_gil, dicts_that_are_never_equal_are_not) {
    one = shared(tally_dict_new());
    two = shared(tally_dict_new());
    set_new(one, text("key"), tally_int_new(1));
    set_new(two, text("key"), tally_int_new(2));
    tally_failpoint_role(1);
    tally_failpoint_call(1, "first_copied", trade_values, NULL);
    check_int(tally_equal(one, two), 0);
    check(tally_failpoint_await(1, "first_copied"));
    check_int(tally_failpoint_reset(), 0);
    drop(one, two);
}

/* First what is read, then what is written or read next. */
static void append_to_both(void *nothing) {
    append_new(two, tally_int_new(2));
    append_new(one, tally_int_new(9));
}

TEST_IF(no_gil, a_list_is_extended_by_what_the_other_has_then) {
    one = shared(tally_list_new(0));
    two = shared(list_of(1, 1));
    tally_failpoint_role(1);
    tally_failpoint_call(1, "extend_copied", append_to_both, NULL);
    check_int(tally_list_extend(one, two), 0);
    check(tally_failpoint_await(1, "extend_copied"));
    check_int(tally_failpoint_reset(), 0);
    check_repr(one, "[9, 1, 2]");
    drop(one, two);
}

TEST_IF(no_gil, lists_are_joined_as_they_are_at_one_moment) {
    one = shared(list_of(1, 1));
    two = shared(list_of(2, 2));
    tally_failpoint_role(1);
    tally_failpoint_call(1, "first_copied", append_to_both, NULL);
    tally_object *joined = tally_add(one, two);
    check_repr(joined, "[1, 9, 2, 2]");
    tally_xdecref(joined);
    check(tally_failpoint_await(1, "first_copied"));
    check_int(tally_failpoint_reset(), 0);
    drop(one, two);
}

TEST(a_list_is_extended_by_itself_and_joined_with_itself) {
    tally_object *list = list_of(1, 3);
    check_int(tally_list_extend(list, list), 0);
    check_repr(list, "[1, 2, 3, 1, 2, 3]");
    tally_object *joined = tally_add(list, list);
    check_repr(joined, "[1, 2, 3, 1, 2, 3, 1, 2, 3, 1, 2, 3]");
    check_int(tally_list_clear(list), 0);
    check_int(tally_list_extend(list, list), 0);
    check_repr(list, "[]");
    drop(joined, list);
}

/* Every operation on two lists while both change. */
static void change_both(void *nothing) {
    for (int i = 0; i < SUITE_LONG(20000); i++) {
        tally_object *list = i % 2 ? one : two;
        append_new(list, tally_int_new(7));
        if (i % 5 == 0) check_int(tally_list_clear(list), 0);
        if (i % 16 == 0) tally_safepoint();
    }
    atomic_fetch_add(&changers_done, 1);
}
static void use_both(void *nothing) {
    while (atomic_load(&changers_done) < 2) {
        int order;
        tally_object *sum = tally_add(one, two), *repr = tally_repr(one), *mine = tally_list_new(0);
        check(sum && repr && mine);
        check(tally_equal(one, two) >= 0);
        check_int(tally_compare(one, two, &order), 0);
        check_int(tally_list_extend(mine, two), 0);
        for (ptrdiff_t i = tally_list_length(mine); i-- > 0;)
            check_int(take_int(tally_list_get(mine, i)), 7);
        drop(sum, repr, mine);
        tally_safepoint();
    }
}

TEST(two_lists_are_used_while_both_are_filled_and_cleared) {
    one = tally_list_new(0);
    two = tally_list_new(0);
    atomic_store(&changers_done, 0);
    tally_thread threads[4];
    for (int i = 0; i < 4; i++)
        check_int(tally_thread_start(&threads[i], i < 2 ? change_both : use_both, NULL), 0);
    for (int i = 0; i < 4; i++) check_int(tally_thread_join(&threads[i]), 0);
    drop(one, two);
}

/* ---- walks ---- */

TEST(a_walk_notices_a_clear_and_as_many_inserts) {
    dict = tally_dict_new();
    for (int i = 0; i < 3; i++) set_new(dict, tally_int_new(i), tally_int_new(i));
    ptrdiff_t position = 0;
    check_int(tally_dict_next(dict, &position, NULL, NULL), 1);
    check_int(tally_dict_clear(dict), 0);
    for (int i = 0; i < 3; i++) set_new(dict, tally_int_new(i), tally_int_new(i));
    check_fails(tally_dict_next(dict, &position, NULL, NULL), TALLY_RUNTIME_ERROR);
    tally_decref(dict);
}

static void count_call(void *count) { ++*(int *)count; }

/* The first key of a dict that shrinks from the front is not looked for behind the removed ones. */
TEST(the_first_key_of_a_queue_is_found_at_once) {
    enum { MANY = 1000 };
    int skips = 0;
    tally_failpoint_role(1);
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        dict = tally_dict_new();
        for (int i = 0; i < MANY; i++) set_new(dict, tally_int_new(i), tally_none);
        if (is_shared) shared(dict);
        tally_failpoint_call_always(1, "walk_skips", count_call, &skips);
        for (int i = 0; i < 3 * MANY; i++) {
            ptrdiff_t position = 0;
            tally_object *key;
            check_int(tally_dict_next(dict, &position, &key, NULL), 1);
            check_int(tally_int_value(key), i);
            check_int(tally_dict_delete(dict, key), 0);
            tally_decref(key);
            if (i < 2 * MANY) set_new(dict, tally_int_new(MANY + i), tally_none);
            tally_safepoint();
        }
        ptrdiff_t position = 0;
        check_int(tally_dict_next(dict, &position, NULL, NULL), 0);
        check_int(tally_failpoint_reset(), 0);
        check_int(skips, 0);
        /* Removed ones further behind are skipped once they are the first. */
        for (int i = 0; i < 10; i++) set_new(dict, tally_int_new(i), tally_none);
        for (int i = 8; i >= 0; i--) {
            tally_object *key = tally_int_new(i);
            check_int(tally_dict_delete(dict, key), 0);
            tally_decref(key);
        }
        check_repr(dict, "{9: None}");
        tally_decref(dict);
    }
}

/* ---- keys that need no foreign code ---- */

static tally_object *nested(int depth, tally_object *item) {
    for (int i = 0; i < depth; i++) {
        tally_object *outer = one_tuple(item);
        tally_decref(item);
        item = outer;
    }
    return item;
}
static tally_object *row(tally_object *a, tally_object *b) {
    tally_object *made = pair(a, b);
    drop(a, b);
    return made;
}
static tally_object *wide(int length) {
    tally_object *items[600];
    for (int i = 0; i < length; i++) items[i] = tally_int_new(1000 + i);
    tally_object *made = tally_tuple_new(items, length);
    for (int i = 0; i < length; i++) tally_decref(items[i]);
    return made;
}
/* Equal keys that are other objects, at each call. */
enum { EQUAL_KEYS = 6 };
static tally_object *equal_key(int which) {
    switch (which) {
    case 0: return tally_float_new(0.5);
    case 1: return row(tally_int_new(100000), text("a text"));
    case 2: return row(row(tally_float_new(2.5), tally_true), row(tally_none, text("inner")));
    case 3: return nested(7, tally_float_new(3.5));
    case 4: return wide(100);
    default: return row(tally_float_new(-0.0), text("zero"));
    }
}

TEST(equal_floats_and_tuples_are_compared_without_foreign_code) {
    int comparisons = 0;
    tally_failpoint_role(1);
    tally_failpoint_call_always(1, "table_compares", count_call, &comparisons);
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        dict = tally_dict_new();
        for (int which = 0; which < EQUAL_KEYS; which++)
            set_new(dict, equal_key(which), tally_int_new(which));
        if (is_shared) shared(dict);
        for (int which = 0; which < EQUAL_KEYS; which++) {
            tally_object *key = equal_key(which);
            check_int(take_int(tally_dict_get(dict, key)), which);
            check_int(tally_dict_contains(dict, key), 1);
            tally_object *borrowed = tally_borrowed_object(tally_dict_borrow(dict, key));
            check(borrowed && tally_int_value(borrowed) == which);
            tally_decref(key);
            tally_safepoint();
            tally_safepoint();
            if (has_gil()) /* nothing of a borrow is left */
                check_int(atomic_load(&tally_self.thread->breaker), 0);
        }
        /* Numbers are equal across types; strs and numbers are not. */
        tally_object *key = row(tally_int_new(0), text("zero"));
        check_int(take_int(tally_dict_get(dict, key)), 5);
        tally_decref(key);
        key = row(text("0"), text("zero"));
        check_int(tally_dict_contains(dict, key), 0);
        drop(key, dict);
    }
    check_int(comparisons, 0);
    check_int(tally_failpoint_reset(), 0);
}

/* Beyond the bounds of what is compared in place they are compared as other objects. */
TEST(large_and_deep_tuples_are_found_as_keys) {
    dict = tally_dict_new();
    set_new(dict, wide(600), text("wide"));
    set_new(dict, nested(50, tally_float_new(0.5)), text("deep"));
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        tally_object *key = wide(600);
        check_text(tally_dict_get(dict, key), "wide");
        check(tally_borrowed_object(tally_dict_borrow(dict, key)) != NULL);
        tally_decref(key);
        key = nested(50, tally_float_new(0.5));
        check_text(tally_dict_get(dict, key), "deep");
        check(tally_borrowed_object(tally_dict_borrow(dict, key)) != NULL);
        tally_decref(key);
        key = nested(51, tally_float_new(0.5));
        check_int(tally_dict_contains(dict, key), 0);
        tally_decref(key);
        shared(dict);
    }
    tally_safepoint();
    tally_decref(dict);
}

/* A str and a key of the program's own type that says it is equal. */
static int64_t hash_as_text(tally_object *self) {
    tally_object *str = text("the text");
    int64_t hash = tally_hash(str);
    tally_decref(str);
    return hash;
}
static int equals_all(tally_object *self, tally_object *other) { return 1; }

TEST(a_str_is_compared_with_a_key_of_another_type) {
    type = tally_type_new(
        &(tally_type_spec){.name = "Wild", .hash = hash_as_text, .equal = equals_all});
    tally_object *wild = tally_object_new(type, 0), *str = text("the text");
    dict = tally_dict_new();
    check_int(tally_dict_set(dict, wild, tally_true), 0);
    check_int(tally_dict_contains(dict, str), 1);
    check_int(tally_dict_set(dict, str, tally_none), 0);
    check_int(tally_dict_length(dict), 1);
    drop(wild, str, dict, type);
}

TEST(nan_keys_have_hashes_of_their_own) {
    enum { MANY = 200 };
    tally_object *nans[MANY];
    int64_t same = 0;
    dict = tally_dict_new();
    for (int i = 0; i < MANY; i++) {
        nans[i] = i % 2 ? tally_float_new(NAN) : nested(2, tally_float_new(NAN));
        check_int(tally_dict_set(dict, nans[i], tally_none), 0);
        check_int(tally_hash(nans[i]), tally_hash(nans[i]));
        for (int j = 0; j < i; j++) same += tally_hash(nans[i]) == tally_hash(nans[j]);
    }
    check_int(same, 0);
    check_int(tally_dict_length(dict), MANY);
    for (int i = 0; i < MANY; i++) {
        check_int(tally_dict_contains(dict, nans[i]), 1);
        tally_decref(nans[i]);
    }
    tally_decref(dict);
}

/* ---- tuples need no lock ---- */

static tally_object *tuples[6];
static uint64_t revoked(void) {
    tally_stats_result stats = stats_now();
    return stats.lock_revocations;
}
static void read_tuples(void *nothing) {
    tally_object *list = tally_list_new(0);
    uint64_t before = revoked();
    int order;
    check_int(tally_list_extend(list, tuples[0]), 0);
    check(tally_sizeof(tuples[1]) > 0);
    tally_xdecref(tally_repr(tuples[2]));
    check_int(tally_equal(tuples[3], tuples[2]), 1);
    check_int(tally_compare(tuples[3], tuples[4], &order), 0);
    check(tally_hash(tuples[4]) != -1);
    tally_xdecref(tally_add(tuples[4], tuples[5]));
    tally_xdecref(tally_gc_get_referents(tuples[5]));
    check_int((int64_t)(revoked() - before), 0);
    tally_decref(list);
}

TEST(reading_a_tuple_takes_no_lock) {
    for (int i = 0; i < 6; i++) tuples[i] = row(tally_int_new(1), text("text"));
    in_a_thread(read_tuples);
    for (int i = 0; i < 6; i++) tally_decref(tuples[i]);
}

/* ---- a pending error ---- */

static int64_t hash_of_minus_one(tally_object *self) { return -1; }

#define KEEPS_ERROR(call)                                        \
    do {                                                         \
        call;                                                    \
        check_int(tally_error_kind(), TALLY_OVERFLOW_ERROR);     \
        check(strcmp(tally_error_message(), "pending 42") == 0); \
    } while (0)

TEST(what_succeeds_leaves_a_pending_error) {
    type = tally_type_new(
        &(tally_type_spec){.name = "Hashed", .hash = hash_of_minus_one, .equal = equals_all});
    for (int is_shared = 0; is_shared < 2; is_shared++) {
        tally_object *key = tally_object_new(type, 0), *a = tally_dict_new(), *b = tally_dict_new();
        tally_object *list = list_of(1, 3), *longer = list_of(1, 4), *same = list_of(1, 3);
        set_new(a, text("key"), tally_int_new(1));
        set_new(b, text("other"), tally_int_new(1));
        if (is_shared) {
            shared(a);
            shared(list);
        }
        tally_error_set(TALLY_OVERFLOW_ERROR, "pending %d", 42);
        KEEPS_ERROR(check_int(tally_equal(a, b), 0));
        KEEPS_ERROR(check_int(tally_equal(list, same), 1));
        int order;
        KEEPS_ERROR(check_int(tally_compare(list, longer, &order), 0));
        check_int(order, -1);
        KEEPS_ERROR(check_int(tally_hash(key), -2));
        KEEPS_ERROR(check_int(tally_dict_set(a, key, tally_none), 0));
        KEEPS_ERROR(check(tally_dict_get(a, key) == tally_none));
        KEEPS_ERROR(check_int(tally_dict_contains(a, tally_true), 0));
        KEEPS_ERROR(check(tally_dict_get(a, tally_true) == NULL));
        KEEPS_ERROR(tally_xdecref(tally_repr(a)));
        KEEPS_ERROR(tally_xdecref(tally_repr(list)));
        KEEPS_ERROR(tally_xdecref(tally_add(list, longer)));
        ptrdiff_t position = 0;
        KEEPS_ERROR(check_int(tally_dict_next(a, &position, NULL, NULL), 1));
        KEEPS_ERROR(check_int(tally_dict_delete(a, key), 0));
        tally_error_clear();
        drop(key, a, b, list, longer, same);
    }
    tally_decref(type);
}

/* ---- lists that shrink ---- */

enum { LONG = 10000 };

TEST(a_list_gives_memory_back_as_it_shrinks) {
    for (int is_shared = 0; is_shared < 2; is_shared++)
        for (int from_the_front = 0; from_the_front < 2; from_the_front++) {
            tally_object *list = list_of(1, LONG);
            if (is_shared) shared(list);
            for (ptrdiff_t length = LONG; length > 0;) {
                int64_t wanted = from_the_front ? LONG - length + 1 : length;
                check_int(take_int(tally_list_pop(list, from_the_front ? 0 : -1)), wanted);
                length--;
                /* Half of the array is in use, but for the array of a few. */
                ptrdiff_t room = (tally_sizeof(list) - (ptrdiff_t)tally_header_size(true)) /
                                 (ptrdiff_t)sizeof(void *);
                check(room <= 2 * length + 16 || room <= 136);
                if (length > 0)
                    check_int(take_int(tally_list_get(list, 0)),
                              from_the_front ? LONG - length + 1 : 1);
                tally_safepoint();
            }
            for (int i = 0; i < 100; i++) append_new(list, tally_int_new(i));
            check_int(take_int(tally_list_get(list, 99)), 99);
            tally_decref(list);
        }
}

TEST(a_pop_without_memory_for_a_smaller_array_succeeds) {
    tally_object *list = tally_list_new(1000);
    for (int i = 0; i < 100; i++) append_new(list, tally_int_new(i));
    ptrdiff_t before = tally_sizeof(list);
    tally_failpoint_failure(1, 0);
    check_int(take_int(tally_list_pop(list, -1)), 99);
    check(tally_failpoint_failed());
    check_int(tally_sizeof(list), before);
    check_int(tally_list_length(list), 99);
    check_int(take_int(tally_list_pop(list, -1)), 98);
    check(tally_sizeof(list) < before);
    tally_decref(list);
}

/* A work list that fills and empties keeps its array. */
TEST(a_short_list_keeps_its_array) {
    tally_object *list = list_of(1, 64);
    ptrdiff_t full = tally_sizeof(list);
    for (int i = 64; i > 0; i--) check_int(take_int(tally_list_pop(list, -1)), i);
    check_int(tally_sizeof(list), full);
    tally_decref(list);
}

static tally_object *stack;
static _Atomic bool over;

static void push_and_pop(void *nothing) {
    for (int round = 0; round < SUITE_LONG(300); round++) {
        for (int i = 0; i < 200; i++) {
            append_new(stack, tally_int_new(100000 + i));
            if (i % 32 == 0) tally_safepoint();
        }
        for (int i = 0; i < 200; i++) {
            tally_decref(tally_list_pop(stack, -1));
            if (i % 32 == 0) tally_safepoint();
        }
    }
    atomic_store(&over, true);
}
static void read_ends(void *nothing) {
    while (!atomic_load(&over)) {
        check_int(take_int(tally_list_get(stack, 0)), 7);
        int64_t last = take_int(tally_list_get(stack, -1));
        check(last == 7 || (last >= 100000 && last < 100200));
        tally_object *borrowed = tally_borrowed_object(tally_list_borrow(stack, -1));
        check(borrowed != NULL);
        tally_safepoint();
    }
}

TEST(a_list_is_read_while_it_grows_and_shrinks) {
    stack = list_of(7, 7);
    atomic_store(&over, false);
    tally_thread threads[3];
    for (int i = 0; i < 3; i++)
        check_int(tally_thread_start(&threads[i], i ? read_ends : push_and_pop, NULL), 0);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    check_int(tally_list_length(stack), 1);
    tally_decref(stack);
}

/* The reader has the array that a pop then replaces. */
static void pop_until_it_shrinks(void *nothing) {
    while (tally_list_length(stack) > 10) tally_decref(tally_list_pop(stack, -1));
}

TEST_IF(no_gil, a_reader_notices_that_the_array_has_shrunk) {
    stack = shared(list_of(1, 1000));
    tally_failpoint_role(1);
    tally_failpoint_call(1, "list_loaded", pop_until_it_shrinks, NULL);
    check_null(tally_list_get(stack, 500), TALLY_INDEX_ERROR);
    check(tally_failpoint_await(1, "list_loaded"));
    check_int(tally_failpoint_reset(), 0);
    check_int(take_int(tally_list_get(stack, 9)), 10);
    tally_decref(stack);
}
