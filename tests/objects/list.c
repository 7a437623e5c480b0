/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* list.c: lists: contents, references, errors, and finalizers that touch the list. */
#include "suite.h"

TEST(append_get_and_set) {
    tally_object *list = tally_list_new(2), *value = text("value");
    for (int i = 0; i < 1000; i++) append_new(list, tally_int_new(i));
    check_int(tally_list_length(list), 1000);
    check_int(take_int(tally_list_get(list, 0)), 0);
    check_int(take_int(tally_list_get(list, 999)), 999);
    check_int(take_int(tally_list_get(list, -1)), 999);
    check_int(take_int(tally_list_get(list, -1000)), 0);
    check_int(tally_list_set(list, 500, value), 0);
    check_int(tally_list_set(list, -1, value), 0);
    check_is(tally_list_get(list, 999), value);
    check_int(tally_refcount(value), 3);
    tally_decref(list);
    check_int(tally_refcount(value), 1);
    tally_decref(value);
}

TEST(index_errors_leave_it_as_it_was) {
    tally_object *list = list_of(1, 3), *value = text("value"), *empty = tally_list_new(0);
    static const ptrdiff_t wrong[] = {3, -4, PTRDIFF_MAX, PTRDIFF_MIN};
    for (int i = 0; i < 4; i++) {
        check_null(tally_list_get(list, wrong[i]), TALLY_INDEX_ERROR);
        check_fails(tally_list_set(list, wrong[i], value), TALLY_INDEX_ERROR);
        check_null(tally_list_pop(list, wrong[i]), TALLY_INDEX_ERROR);
    }
    check_null(tally_list_pop(empty, -1), TALLY_INDEX_ERROR);
    check_null(tally_list_get(empty, 0), TALLY_INDEX_ERROR);
    check_repr(list, "[1, 2, 3]");
    check_int(tally_refcount(value), 1);
    drop(list, value, empty);
}

TEST(operations_refuse_other_types) {
    tally_object *tuple = pair(tally_none, tally_none), *list = list_of(1, 2),
                 *number = tally_int_new(1000);
    check_fails(tally_list_append(tuple, number), TALLY_TYPE_ERROR);
    check_null(tally_list_get(tuple, 0), TALLY_TYPE_ERROR);
    check_fails(tally_list_set(tuple, 0, number), TALLY_TYPE_ERROR);
    check_fails(tally_list_insert(tuple, 0, number), TALLY_TYPE_ERROR);
    check_null(tally_list_pop(tuple, 0), TALLY_TYPE_ERROR);
    check_fails(tally_list_extend(tuple, list), TALLY_TYPE_ERROR);
    check_fails(tally_list_extend(list, number), TALLY_TYPE_ERROR);
    check_fails(tally_list_clear(tuple), TALLY_TYPE_ERROR);
    check_fails(tally_list_length(tuple), TALLY_TYPE_ERROR);
    check_repr(list, "[1, 2]");
    check_int(tally_refcount(number), 1);
    drop(tuple, list, number);
}

static void insert_int(tally_object *list, ptrdiff_t index, int64_t value) {
    tally_object *number = tally_int_new(value);
    check_int(tally_list_insert(list, index, number), 0);
    tally_decref(number);
}

TEST(insert_takes_an_index_past_an_end_as_that_end) {
    tally_object *list = tally_list_new(0);
    insert_int(list, 100, 5);
    insert_int(list, -100, 1);
    insert_int(list, 1, 3);
    insert_int(list, -1, 4);
    insert_int(list, 4, 6);
    insert_int(list, PTRDIFF_MAX, 7);
    insert_int(list, PTRDIFF_MIN, 0);
    check_repr(list, "[0, 1, 3, 4, 5, 6, 7]");
    for (int i = 0; i < 1000; i++) insert_int(list, 0, 9);
    check_int(tally_list_length(list), 1007);
    check_int(take_int(tally_list_get(list, 1006)), 7);
    tally_decref(list);
}

TEST(pop_hands_over_its_reference) {
    tally_object *list = list_of(1, 4), *value = text("value");
    tally_list_append(list, value);
    check_int(tally_refcount(value), 2);
    tally_object *item = tally_list_pop(list, -1);
    check(item == value);
    check_int(tally_refcount(value), 2);
    tally_decref(item);
    check_int(take_int(tally_list_pop(list, 0)), 1);
    check_int(take_int(tally_list_pop(list, 1)), 3);
    check_int(take_int(tally_list_pop(list, -2)), 2);
    check_repr(list, "[4]");
    check_int(take_int(tally_list_pop(list, -1)), 4);
    check_int(tally_list_length(list), 0);
    drop(list, value);
}

TEST(extend_takes_lists_tuples_and_itself) {
    tally_object *list = list_of(1, 2), *other = list_of(3, 4),
                 *tuple = pair(tally_none, tally_true);
    check_int(tally_list_extend(list, other), 0);
    check_int(tally_list_extend(list, tuple), 0);
    check_repr(list, "[1, 2, 3, 4, None, True]");
    check_int(tally_list_extend(other, other), 0);
    check_repr(other, "[3, 4, 3, 4]");
    for (int i = 0; i < 14; i++) check_int(tally_list_extend(other, other), 0);
    check_int(tally_list_length(other), 4 << 14);
    tally_object *empty = tally_list_new(0);
    check_int(tally_list_extend(empty, empty), 0);
    check_int(tally_list_extend(list, empty), 0);
    check_int(tally_list_length(list), 6);
    drop(list, other, tuple, empty);
}

TEST(every_operation_keeps_the_counts_of_items_exact) {
    tally_object *item = text("item"), *list = tally_list_new(0);
    tally_list_append(list, item);
    tally_list_insert(list, 0, item);
    check_int(tally_refcount(item), 3);
    tally_list_extend(list, list);
    check_int(tally_refcount(item), 5);
    tally_list_set(list, 0, item);
    check_int(tally_refcount(item), 5);
    tally_list_set(list, 1, tally_none);
    check_int(tally_refcount(item), 4);
    tally_decref(tally_list_pop(list, 0));
    check_int(tally_refcount(item), 3);
    tally_list_clear(list);
    check_int(tally_refcount(item), 1);
    check_int(tally_list_length(list), 0);
    drop(list, item);
}

TEST(equality_compares_items) {
    tally_object *a = list_of(1, 300), *b = list_of(1, 300), *c = list_of(1, 299);
    check_int(tally_equal(a, b), 1);
    check_int(tally_equal(a, c), 0);
    append_new(c, tally_float_new(300));
    check_int(tally_equal(a, c), 1);
    drop(a, b, c);
}

TEST(sizeof_grows_with_it) {
    tally_object *list = tally_list_new(0);
    ptrdiff_t before = tally_sizeof(list);
    for (int i = 0; i < 1000; i++) tally_list_append(list, tally_none);
    check(tally_sizeof(list) >= before + (ptrdiff_t)(1000 * sizeof(void *)));
    tally_list_clear(list);
    check(tally_sizeof(list) < (ptrdiff_t)(1000 * sizeof(void *)));
    tally_decref(list);
}

/* ---- finalizers that touch the list which holds, or held, the dying object ---- */

static tally_object *touched;
static ptrdiff_t seen_length;
static tally_object *seen_first;

static void append_to_touched(tally_object *self) {
    suite_count_death(self);
    seen_length = tally_list_length(touched);
    tally_list_append(touched, tally_none);
}

static void look_at_first(tally_object *self) {
    suite_count_death(self);
    seen_first = tally_list_get(touched, 0);
}

TEST(clear_lets_finalizers_append_to_it) {
    tally_object *class = class_finalized("Appender", append_to_touched);
    touched = tally_list_new(0);
    for (int i = 0; i < 10; i++) append_new(touched, tally_instance_new(class));
    check_int(tally_list_clear(touched), 0);
    check_int(deaths(), 10);
    check_int(seen_length, 9); /* the list was empty before the first finalizer ran */
    check_int(tally_list_length(touched), 10);
    drop(touched, class);
}

static void clear_touched(tally_object *self) {
    suite_count_death(self);
    tally_list_clear(touched);
}

TEST(clear_lets_finalizers_clear_it_again) {
    tally_object *class = class_finalized("Clearer", clear_touched);
    touched = tally_list_new(0);
    for (int i = 0; i < 100; i++) append_new(touched, tally_instance_new(class));
    check_int(tally_list_clear(touched), 0);
    check_int(deaths(), 100);
    check_int(tally_list_length(touched), 0);
    drop(touched, class);
}

TEST(set_stores_the_new_item_before_the_old_one_dies) {
    tally_object *class = class_finalized("Looker", look_at_first);
    touched = tally_list_new(0);
    append_new(touched, tally_instance_new(class));
    tally_object *value = text("new value");
    check_int(tally_list_set(touched, 0, value), 0);
    check_int(deaths(), 1);
    check(seen_first == value);
    tally_xdecref(seen_first);
    drop(value, touched, class);
}

TEST(a_capacity_is_only_a_hint) {
    tally_object *list = tally_list_new(10000);
    check_int(tally_list_length(list), 0);
    check_null(tally_list_get(list, 0), TALLY_INDEX_ERROR);
    for (int i = 0; i < 20000; i++) append_new(list, tally_int_new(i));
    check_int(tally_list_length(list), 20000);
    while (tally_list_length(list) > 0) tally_decref(tally_list_pop(list, -1));
    tally_decref(list);
}
