/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dict.c: dicts: order, growth, keys of every kind, errors, foreign code in the middle of a
 * look-up. */
#include "suite.h"

#include <math.h>

static void set_int(tally_object *dict, int64_t key, int64_t value) {
    set_new(dict, tally_int_new(key), tally_int_new(value));
}

static int64_t get_int(tally_object *dict, int64_t key) {
    tally_object *name = tally_int_new(key);
    int64_t value = take_int(tally_dict_get(dict, name));
    tally_decref(name);
    return value;
}

static int delete_int(tally_object *dict, int64_t key) {
    tally_object *name = tally_int_new(key);
    int result = tally_dict_delete(dict, name);
    tally_decref(name);
    return result;
}

TEST(keeps_insertion_order) {
    tally_object *dict = tally_dict_new();
    set_new(dict, text("zebra"), tally_int_new(1));
    set_new(dict, text("ant"), tally_int_new(2));
    set_new(dict, tally_int_new(7), tally_none);
    check_repr(dict, "{'zebra': 1, 'ant': 2, 7: None}");
    set_new(dict, text("zebra"), tally_int_new(3));
    check_repr(dict, "{'zebra': 3, 'ant': 2, 7: None}");
    tally_decref(dict);
}

TEST(a_key_deleted_and_set_again_moves_to_the_end) {
    tally_object *dict = tally_dict_new();
    for (int i = 1; i <= 4; i++) set_int(dict, i, i * 10);
    check_int(delete_int(dict, 2), 0);
    check_repr(dict, "{1: 10, 3: 30, 4: 40}");
    set_int(dict, 2, 21);
    check_repr(dict, "{1: 10, 3: 30, 4: 40, 2: 21}");
    check_int(delete_int(dict, 2), 0);
    check_int(delete_int(dict, 1), 0);
    check_repr(dict, "{3: 30, 4: 40}");
    check_int(tally_dict_length(dict), 2);
    tally_decref(dict);
}

TEST(grows_to_100000_keys_and_shrinks_to_none) {
    enum { COUNT = 100000 };
    tally_object *dict = tally_dict_new();
    for (int i = 0; i < COUNT; i++) set_int(dict, (int64_t)i * 7919, i);
    check_int(tally_dict_length(dict), COUNT);
    for (int i = 0; i < COUNT; i++)
        if (get_int(dict, (int64_t)i * 7919) != i) {
            check(!"a value is missing");
            break;
        }
    ptrdiff_t position = 0;
    tally_object *key, *value;
    int64_t count = 0, out_of_order = 0;
    while (tally_dict_next(dict, &position, &key, &value) == 1) {
        out_of_order += tally_int_value(value) != count++;
        drop(key, value);
    }
    check_int(count, COUNT);
    check_int(out_of_order, 0);
    check(tally_sizeof(dict) > (ptrdiff_t)(COUNT * 2 * sizeof(void *)));
    for (int i = 0; i < COUNT; i++) check_int(delete_int(dict, (int64_t)i * 7919), 0);
    check_int(tally_dict_length(dict), 0);
    check_repr(dict, "{}");
    tally_decref(dict);
}

TEST(stays_small_when_keys_come_and_go) {
    tally_object *dict = tally_dict_new();
    set_int(dict, -1, 0);
    for (int i = 0; i < 100000; i++) {
        set_int(dict, i, i);
        check_int(delete_int(dict, i), 0);
    }
    check_int(tally_dict_length(dict), 1);
    check(tally_sizeof(dict) < 4096);
    tally_decref(dict);
}

TEST(keys_of_different_types_live_together) {
    tally_object *dict = tally_dict_new(), *name = text("1"), *one = tally_int_new(1);
    tally_object *key = pair(one, name), *half = tally_float_new(0.5);
    set_int(dict, 1, 100);
    tally_dict_set(dict, name, tally_true);
    tally_dict_set(dict, key, tally_false);
    tally_dict_set(dict, half, half);
    tally_dict_set(dict, tally_none, tally_none);
    check_int(tally_dict_length(dict), 5);

    /* An equal key is the same key; the first one stays. */
    set_new(dict, tally_float_new(1.0), tally_int_new(101));
    check_int(tally_dict_length(dict), 5);
    check_int(get_int(dict, 1), 101);
    tally_object *real = tally_float_new(1.0), *other = pair(real, name);
    check_int(tally_dict_contains(dict, other), 1);
    check_repr(dict, "{1: 101, '1': True, (1, '1'): False, 0.5: 0.5, None: None}");
    tally_object *all[] = {dict, name, one, key, half, real, other};
    for (int i = 0; i < 7; i++) tally_decref(all[i]);
}

TEST(a_missing_key_is_no_error_to_get_but_one_to_delete) {
    tally_object *dict = tally_dict_new(), *key = text("missing");
    for (int i = 0; i < 2; i++) {
        check_null(tally_dict_get(dict, key), TALLY_NO_ERROR);
        check_int(tally_dict_contains(dict, key), 0);
        check_fails(tally_dict_delete(dict, key), TALLY_KEY_ERROR);
        set_int(dict, 1, 1);
    }
    check_int(tally_dict_length(dict), 1);
    drop(dict, key);
}

TEST(an_unhashable_key_is_a_type_error) {
    tally_object *dict = tally_dict_new(), *key = tally_list_new(0), *tuple = one_tuple(key),
                 *value = text("value");
    set_int(dict, 1, 2);
    tally_object *keys[] = {key, tuple, dict};
    for (int i = 0; i < 3; i++) {
        check_null(tally_dict_get(dict, keys[i]), TALLY_TYPE_ERROR);
        check_fails(tally_dict_set(dict, keys[i], value), TALLY_TYPE_ERROR);
        check_fails(tally_dict_delete(dict, keys[i]), TALLY_TYPE_ERROR);
        check_fails(tally_dict_contains(dict, keys[i]), TALLY_TYPE_ERROR);
        check_null(tally_dict_set_default(dict, keys[i], value), TALLY_TYPE_ERROR);
    }
    check_repr(dict, "{1: 2}");
    check_int(tally_refcount(value), 1);
    check_int(tally_refcount(key), 2);
    tally_object *all[] = {dict, key, tuple, value};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

TEST(operations_refuse_other_types) {
    tally_object *list = tally_list_new(0), *key = text("key");
    ptrdiff_t position = 0;
    check_null(tally_dict_get(list, key), TALLY_TYPE_ERROR);
    check_fails(tally_dict_set(list, key, key), TALLY_TYPE_ERROR);
    check_fails(tally_dict_delete(list, key), TALLY_TYPE_ERROR);
    check_fails(tally_dict_contains(list, key), TALLY_TYPE_ERROR);
    check_null(tally_dict_set_default(list, key, key), TALLY_TYPE_ERROR);
    check_fails(tally_dict_next(list, &position, NULL, NULL), TALLY_TYPE_ERROR);
    check_fails(tally_dict_clear(list), TALLY_TYPE_ERROR);
    check_fails(tally_dict_length(list), TALLY_TYPE_ERROR);
    drop(list, key);
}

TEST(holds_one_reference_to_each_key_and_value) {
    tally_object *dict = tally_dict_new(), *key = text("key"), *equal_key = text("key"),
                 *value = text("value");
    tally_dict_set(dict, key, value);
    check_int(tally_refcount(key), 2);
    check_int(tally_refcount(value), 2);
    tally_dict_set(dict, equal_key, value);
    check_int(tally_refcount(key), 2);
    check_int(tally_refcount(equal_key), 1);
    check_int(tally_refcount(value), 2);
    tally_object *got = tally_dict_get(dict, equal_key);
    check(got == value);
    check_int(tally_refcount(value), 3);
    tally_decref(got);
    tally_dict_set(dict, key, key);
    check_int(tally_refcount(value), 1);
    check_int(tally_refcount(key), 3);
    check_int(tally_dict_delete(dict, equal_key), 0);
    tally_dict_set(dict, value, key);
    tally_dict_clear(dict);
    tally_decref(dict);
    settle_until(tally_refcount(key) == 1 && tally_refcount(value) == 1);
    check_int(tally_refcount(key), 1);
    check_int(tally_refcount(value), 1);
    drop(key, equal_key, value);
}

TEST(set_default_gives_the_value_that_is_there) {
    tally_object *dict = tally_dict_new(), *key = text("key"), *first = text("first"),
                 *second = text("second");
    tally_object *got = tally_dict_set_default(dict, key, first);
    check(got == first);
    check_int(tally_refcount(first), 3);
    tally_decref(got);
    got = tally_dict_set_default(dict, key, second);
    check(got == first);
    check_int(tally_refcount(second), 1);
    tally_decref(got);
    check_int(tally_dict_length(dict), 1);
    tally_object *all[] = {dict, key, first, second};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

TEST(next_walks_in_order_and_skips_what_was_deleted) {
    tally_object *dict = tally_dict_new();
    for (int i = 0; i < 10; i++) set_int(dict, 1000 + i, i);
    for (int i = 0; i < 10; i += 2) delete_int(dict, 1000 + i);
    ptrdiff_t position = 0;
    tally_object *key, *value;
    for (int i = 1; i < 10; i += 2) {
        check_int(tally_dict_next(dict, &position, &key, &value), 1);
        check_int(take_int(key), 1000 + i);
        check_int(take_int(value), i);
    }
    check_int(tally_dict_next(dict, &position, &key, &value), 0);

    position = 0;
    int count = 0;
    while (tally_dict_next(dict, &position, NULL, NULL) == 1) count++;
    check_int(count, 5);
    position = 0;
    check_int(tally_dict_next(dict, &position, &key, NULL), 1);
    check_int(take_int(key), 1001);
    position = 0;
    check_int(tally_dict_next(dict, &position, NULL, &value), 1);
    check_int(take_int(value), 1);
    tally_decref(dict);
}

TEST(next_may_set_present_keys_but_reports_a_changed_size) {
    tally_object *dict = tally_dict_new();
    for (int i = 0; i < 3; i++) set_int(dict, i, i);
    ptrdiff_t position = 0;
    tally_object *key;
    while (tally_dict_next(dict, &position, &key, NULL) == 1) {
        tally_dict_set(dict, key, tally_none);
        tally_decref(key);
    }
    check_error(TALLY_NO_ERROR);
    check_repr(dict, "{0: None, 1: None, 2: None}");

    position = 0;
    check_int(tally_dict_next(dict, &position, NULL, NULL), 1);
    set_int(dict, 50, 50);
    check_fails(tally_dict_next(dict, &position, NULL, NULL), TALLY_RUNTIME_ERROR);

    position = 0;
    check_int(tally_dict_next(dict, &position, NULL, NULL), 1);
    delete_int(dict, 50);
    check_fails(tally_dict_next(dict, &position, NULL, NULL), TALLY_RUNTIME_ERROR);

    position = 0;
    check_int(tally_dict_next(dict, &position, NULL, NULL), 1);
    tally_dict_clear(dict);
    check_fails(tally_dict_next(dict, &position, NULL, NULL), TALLY_RUNTIME_ERROR);
    tally_decref(dict);
}

TEST(equality_ignores_order) {
    tally_object *a = tally_dict_new(), *b = tally_dict_new();
    set_int(a, 1, 10), set_int(a, 2, 20);
    set_int(b, 2, 20);
    check_int(tally_equal(a, b), 0);
    set_int(b, 1, 10);
    check_int(tally_equal(a, b), 1);
    set_int(b, 1, 11);
    check_int(tally_equal(a, b), 0);
    drop(a, b);
}

TEST(a_nan_is_found_by_identity) {
    tally_object *dict = tally_dict_new(), *nan = tally_float_new(NAN);
    tally_dict_set(dict, nan, tally_true);
    check_int(tally_dict_contains(dict, nan), 1);
    set_new(dict, tally_float_new(NAN), tally_false);
    check_int(tally_dict_length(dict), 2);
    drop(dict, nan);
}

TEST(clear_frees_keys_and_values) {
    tally_object *dict = tally_dict_new(), *class = mortal_class();
    for (int i = 0; i < 100; i++)
        set_new(dict, tally_instance_new(class), tally_instance_new(class));
    check_int(tally_dict_clear(dict), 0);
    check_int(tally_dict_length(dict), 0);
    settle_until(deaths() == 200);
    check_int(deaths(), 200);
    set_int(dict, 1, 2);
    check_int(get_int(dict, 1), 2);
    drop(dict, class);
}

/* ---- keys whose equal does what it likes ---- */

typedef struct wild_key {
    int64_t value;
} wild_key;

static tally_object *wild_dict;
static int wild_calls;
static enum { CALM, DELETES, CLEARS, GROWS, FAILS } wild_mood;

static int64_t wild_hash(tally_object *self) { return 42; }

static int wild_equal(tally_object *self, tally_object *other) {
    wild_calls++;
    int mood = wild_mood;
    wild_mood = CALM;
    switch (mood) {
    case DELETES:
        tally_dict_delete(wild_dict, other);
        tally_dict_delete(wild_dict, self);
        tally_error_clear();
        break;
    case CLEARS: tally_dict_clear(wild_dict); break;
    case GROWS:
        for (int i = 0; i < 1000; i++) set_int(wild_dict, i, i);
        break;
    case FAILS:
        tally_error_set(TALLY_VALUE_ERROR, "keys %d cannot be compared", wild_calls);
        return -1;
    default: break;
    }
    tally_object *type = tally_type_of(self), *other_type = tally_type_of(other);
    int same_type = type == other_type;
    drop(type, other_type);
    return same_type && ((wild_key *)tally_object_data(self))->value ==
                            ((wild_key *)tally_object_data(other))->value;
}

static tally_object *wild_type(void) {
    return tally_type_new(&(tally_type_spec){
        .name = "wild", .size = sizeof(wild_key), .hash = wild_hash, .equal = wild_equal});
}

static tally_object *wild_new(tally_object *type, int64_t value) {
    tally_object *key = tally_object_new(type, 0);
    ((wild_key *)tally_object_data(key))->value = value;
    return key;
}

TEST(keys_that_all_collide_are_told_apart) {
    tally_object *type = wild_type(), *dict = tally_dict_new();
    for (int i = 0; i < 100; i++) set_new(dict, wild_new(type, i), tally_int_new(i));
    check_int(tally_dict_length(dict), 100);
    for (int i = 0; i < 100; i++) {
        tally_object *key = wild_new(type, i);
        check_int(take_int(tally_dict_get(dict, key)), i);
        if (i % 2) check_int(tally_dict_delete(dict, key), 0);
        tally_decref(key);
    }
    check_int(tally_dict_length(dict), 50);
    drop(dict, type);
}

TEST(an_equal_that_changes_the_dict_does_not_break_it) {
    tally_object *type = wild_type();
    static const int moods[] = {DELETES, CLEARS, GROWS};
    for (int i = 0; i < 3; i++)
        for (int operation = 0; operation < 4; operation++) {
            wild_dict = tally_dict_new();
            for (int k = 0; k < 5; k++)
                set_new(wild_dict, wild_new(type, k), tally_int_new(1000 + k));
            tally_object *key = wild_new(type, 4), *value = text("value"), *got = NULL;
            wild_mood = moods[i];
            switch (operation) {
            case 0:
                got = tally_dict_get(wild_dict, key);
                /* Found after the change, or gone with it. */
                check((got != NULL) == (moods[i] == GROWS || moods[i] == DELETES
                                            ? tally_dict_contains(wild_dict, key)
                                            : 0));
                break;
            case 1:
                check_int(tally_dict_set(wild_dict, key, value), 0);
                check_int(tally_dict_contains(wild_dict, key), 1);
                check_int(tally_refcount(value), 2);
                break;
            case 2:
                if (tally_dict_delete(wild_dict, key) != 0) check_error(TALLY_KEY_ERROR);
                check_int(tally_dict_contains(wild_dict, key), 0);
                break;
            case 3:
                got = tally_dict_set_default(wild_dict, key, value);
                check(got != NULL);
                check_int(tally_dict_contains(wild_dict, key), 1);
                break;
            }
            tally_xdecref(got);
            ptrdiff_t position = 0, count = 0;
            while (tally_dict_next(wild_dict, &position, NULL, NULL) == 1) count++;
            check_int(count, tally_dict_length(wild_dict));
            tally_decref(wild_dict);
            tally_safepoint();
            check_int(tally_refcount(key), 1);
            check_int(tally_refcount(value), 1);
            drop(key, value);
        }
    tally_decref(type);
}

TEST(an_equal_that_fails_makes_the_operation_fail) {
    tally_object *type = wild_type(), *dict = tally_dict_new(), *key = wild_new(type, 1);
    set_new(dict, wild_new(type, 1), tally_int_new(5));
    wild_mood = FAILS;
    check_null(tally_dict_get(dict, key), TALLY_VALUE_ERROR);
    wild_mood = FAILS;
    check_fails(tally_dict_set(dict, key, tally_none), TALLY_VALUE_ERROR);
    wild_mood = FAILS;
    check_fails(tally_dict_delete(dict, key), TALLY_VALUE_ERROR);
    wild_mood = FAILS;
    check_fails(tally_dict_contains(dict, key), TALLY_VALUE_ERROR);
    wild_mood = FAILS;
    check_null(tally_dict_set_default(dict, key, tally_none), TALLY_VALUE_ERROR);
    check_int(take_int(tally_dict_get(dict, key)), 5);
    drop(dict, key, type);
}

static void reenter(tally_object *self) {
    suite_count_death(self);
    set_int(wild_dict, 500 + deaths(), 1);
}

TEST(finalizers_of_values_may_set_keys) {
    tally_object *class = class_finalized("Reenter", reenter);
    wild_dict = tally_dict_new();
    for (int i = 0; i < 8; i++) set_new(wild_dict, tally_int_new(i), tally_instance_new(class));
    set_int(wild_dict, 0, 0);
    check_int(delete_int(wild_dict, 1), 0);
    tally_safepoint();
    check_int(deaths(), 2);
    check_int(tally_dict_length(wild_dict), 9);
    check_int(tally_dict_clear(wild_dict), 0);
    tally_safepoint();
    check_int(deaths(), 8);
    check_int(tally_dict_length(wild_dict), 6);
    drop(wild_dict, class);
}
