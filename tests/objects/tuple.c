/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tuple.c: tuples: contents, references, equality, hash, errors. */
#include "suite.h"

TEST(gives_its_items_by_index_from_both_ends) {
    tally_object *a = tally_int_new(1000), *b = text("second"), *tuple = pair(a, b);
    check_int(tally_tuple_length(tuple), 2);
    tally_object *item = tally_tuple_get(tuple, 0);
    check(item == a);
    tally_decref(item);
    check_is(tally_tuple_get(tuple, -1), b);
    item = tally_tuple_get(tuple, -2);
    check(item == a);
    drop(item, tuple, a, b);
}

TEST(holds_one_reference_to_each_item) {
    tally_object *item = text("shared item"), *items[] = {item, item, item};
    tally_object *tuple = tally_tuple_new(items, 3);
    check_int(tally_refcount(item), 4);
    check_int(tally_refcount(tuple), 1);
    tally_object *again = tally_tuple_get(tuple, 1);
    check_int(tally_refcount(item), 5);
    drop(again, tuple);
    check_int(tally_refcount(item), 1);
    tally_decref(item);
}

TEST(index_errors) {
    tally_object *tuple = pair(tally_none, tally_none), *empty = tally_tuple_new(NULL, 0);
    check_null(tally_tuple_get(tuple, 2), TALLY_INDEX_ERROR);
    check_null(tally_tuple_get(tuple, -3), TALLY_INDEX_ERROR);
    check_null(tally_tuple_get(tuple, PTRDIFF_MAX), TALLY_INDEX_ERROR);
    check_null(tally_tuple_get(tuple, PTRDIFF_MIN), TALLY_INDEX_ERROR);
    check_null(tally_tuple_get(empty, 0), TALLY_INDEX_ERROR);
    check_null(tally_tuple_get(empty, -1), TALLY_INDEX_ERROR);
    check_int(tally_tuple_length(empty), 0);
    drop(tuple, empty);
}

TEST(operations_refuse_other_types) {
    tally_object *list = tally_list_new(0);
    check_null(tally_tuple_get(list, 0), TALLY_TYPE_ERROR);
    check_fails(tally_tuple_length(list), TALLY_TYPE_ERROR);
    tally_decref(list);
}

TEST(equality_and_hash_follow_the_items) {
    tally_object *one = tally_int_new(1), *real = tally_float_new(1.0), *two = text("two");
    tally_object *a = pair(one, two), *b = pair(real, two), *c = pair(two, one),
                 *d = one_tuple(one);
    check_int(tally_equal(a, b), 1);
    check_int(tally_hash(a), tally_hash(b));
    check_int(tally_equal(a, c), 0);
    check(tally_hash(a) != tally_hash(c));
    check_int(tally_equal(a, d), 0);
    tally_object *all[] = {one, real, two, a, b, c, d};
    for (int i = 0; i < 7; i++) tally_decref(all[i]);
}

TEST(of_many_items_is_whole) {
    enum { COUNT = 100000 };
    tally_object **items = malloc(COUNT * sizeof *items);
    for (int i = 0; i < COUNT; i++) items[i] = tally_int_new(i);
    tally_object *tuple = tally_tuple_new(items, COUNT);
    for (int i = 0; i < COUNT; i++) tally_decref(items[i]);
    free(items);
    check_int(tally_tuple_length(tuple), COUNT);
    int64_t sum = 0;
    for (int i = 0; i < COUNT; i++) sum += take_int(tally_tuple_get(tuple, i));
    check_int(sum, (int64_t)COUNT * (COUNT - 1) / 2);
    check(tally_sizeof(tuple) >= (ptrdiff_t)(COUNT * sizeof(void *)));
    tally_decref(tuple);
}

TEST(that_dies_frees_what_only_it_held) {
    tally_object *class = mortal_class(), *a = tally_instance_new(class),
                 *b = tally_instance_new(class);
    tally_object *tuple = pair(a, b);
    drop(a, b);
    check_int(deaths(), 0);
    tally_decref(tuple);
    check_int(deaths(), 2);
    tally_decref(class);
}
