/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * values.c: ints, floats, strs, the singletons, and what holds for every
 * object: hash, equality, order, repr, arithmetic.
 */
#include "suite.h"

#include <math.h>

TEST(small_ints_exist_once_and_are_immortal) {
    for (int64_t value = -5; value <= 256; value++) {
        tally_object *a = tally_int_new(value), *b = tally_int_new(value);
        check(a == b);
        check_int(tally_is_immortal(a), 1);
        check(tally_refcount(a) == PTRDIFF_MAX);
        check_int(tally_int_value(a), value);
        drop(a, b);
    }
}

TEST(other_ints_are_objects_of_their_own) {
    static const int64_t values[] = {-6, 257, 1000, INT64_MAX, INT64_MIN};
    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
        tally_object *a = tally_int_new(values[i]), *b = tally_int_new(values[i]);
        check(a != b);
        check_int(tally_is_immortal(a), 0);
        check_int(tally_refcount(a), 1);
        check_int(tally_int_value(a), values[i]);
        check_int(tally_equal(a, b), 1);
        drop(a, b);
    }
}

TEST(singletons_are_immortal) {
    tally_object *all[] = {tally_none, tally_true, tally_false};
    for (int i = 0; i < 3; i++) {
        check_int(tally_is_immortal(all[i]), 1);
        tally_incref(all[i]);
        drop(all[i], all[i]);
        check(tally_refcount(all[i]) == PTRDIFF_MAX);
    }
    check_repr(tally_none, "None");
    check_repr(tally_true, "True");
    check_repr(tally_false, "False");
}

TEST(true_and_false_are_the_numbers_1_and_0) {
    tally_object *one = tally_int_new(1), *zero = tally_int_new(0);
    check_int(tally_equal(tally_true, one), 1);
    check_int(tally_equal(tally_false, zero), 1);
    check_int(tally_hash(tally_true), tally_hash(one));
    check_int(tally_hash(tally_false), tally_hash(zero));
    drop(one, zero);
}

TEST(strs_of_one_latin_1_character_exist_once) {
    static const char *const letters[] = {"a", "Z", "0", " ", "\x7f", "\xc3\xa9", "\xc3\xbf"};
    for (size_t i = 0; i < sizeof letters / sizeof letters[0]; i++) {
        tally_object *a = text(letters[i]), *b = text(letters[i]);
        check(a == b);
        check_int(tally_is_immortal(a), 1);
        check_int(tally_str_length(a), (ptrdiff_t)strlen(letters[i]));
        check(strcmp(tally_str_data(a), letters[i]) == 0);
        drop(a, b);
    }
    tally_object *two = text("ab");
    check_int(tally_is_immortal(two), 0);
    tally_decref(two);
}

TEST(a_str_copies_its_bytes_and_ends_with_nul) {
    char bytes[] = "hello world";
    tally_object *str = tally_str_new(bytes, 5);
    bytes[0] = 'J';
    check_int(tally_str_length(str), 5);
    check(strcmp(tally_str_data(str), "hello") == 0);
    tally_decref(str);

    str = tally_str_new("a\0b", 3);
    check_int(tally_str_length(str), 3);
    check(memcmp(tally_str_data(str), "a\0b", 4) == 0);
    tally_object *shorter = text("a");
    check_int(tally_equal(str, shorter), 0);
    drop(shorter, str);

    str = text("");
    check_int(tally_str_length(str), 0);
    check(strcmp(tally_str_data(str), "") == 0);
    tally_decref(str);
}

TEST(a_long_str_is_kept_whole) {
    size_t length = 1000000;
    char *bytes = malloc(length);
    memset(bytes, 'x', length);
    tally_object *str = tally_str_new(bytes, (ptrdiff_t)length);
    check_int(tally_str_length(str), (ptrdiff_t)length);
    check(memcmp(tally_str_data(str), bytes, length) == 0);
    check(tally_sizeof(str) > (ptrdiff_t)length);
    tally_decref(str);
    free(bytes);
}

TEST(interned_strs_of_equal_contents_are_one) {
    tally_object *a = text("counter"), *b = text("counter");
    check(a != b);
    tally_object *c = tally_str_intern(a), *d = tally_str_intern(b);
    check(c == d);
    check_int(tally_is_immortal(c), 0);
    check_int(tally_refcount(c), 2);
    check_int(tally_equal(c, b), 1);
    check_int(tally_hash(c), tally_hash(b));
    drop(a, b, d);
    check_text(tally_str_intern(c), "counter");
    tally_decref(c);
    check_null(tally_str_intern(tally_none), TALLY_TYPE_ERROR);
}

TEST(accessors_refuse_other_types) {
    tally_object *str = text("no number"), *number = tally_int_new(3);
    check_fails(tally_int_value(str), TALLY_TYPE_ERROR);
    check(tally_float_value(str) == -1.0);
    check_error(TALLY_TYPE_ERROR);
    check(tally_str_data(number) == NULL);
    check_error(TALLY_TYPE_ERROR);
    check_fails(tally_str_length(number), TALLY_TYPE_ERROR);
    check_double(tally_float_value(number), 3.0);
    check_error(TALLY_NO_ERROR);
    drop(str, number);
}

TEST(type_names_are_those_of_python) {
    struct {
        tally_object *object;
        const char *name;
    } all[] = {
        {tally_int_new(1), "int"},   {tally_float_new(1), "float"},
        {text("abc"), "str"},        {tally_tuple_new(NULL, 0), "tuple"},
        {tally_list_new(0), "list"}, {tally_dict_new(), "dict"},
    };
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++) {
        check(strcmp(tally_type_name(all[i].object), all[i].name) == 0);
        tally_object *a = tally_type_of(all[i].object), *b = tally_type_of(all[i].object);
        check(a == b);
        check_int(tally_is_immortal(a), 1);
        drop(a, b);
        check(tally_sizeof(all[i].object) >= (ptrdiff_t)tally_header_size(false));
        tally_decref(all[i].object);
    }
    check(strcmp(tally_type_name(tally_none), "NoneType") == 0);
    check(strcmp(tally_type_name(tally_true), "bool") == 0);
}

TEST(a_header_has_at_most_24_bytes) {
    check(tally_header_size(false) <= 24);
    check(tally_header_size(true) <= 24);
    check(tally_header_size(false) <= tally_header_size(true));
}

TEST(the_backend_has_a_name) { check(strcmp(tally_backend(), SUITE_BACKEND) == 0); }

static void same_number(int64_t whole, double real) {
    tally_object *a = tally_int_new(whole), *b = tally_float_new(real);
    check_int(tally_equal(a, b), 1);
    check_int(tally_equal(b, a), 1);
    check_int(tally_hash(a), tally_hash(b));
    int order = 5;
    check_int(tally_compare(a, b, &order), 0);
    check_int(order, 0);
    drop(a, b);
}

TEST(equal_numbers_have_equal_hashes) {
    same_number(1, 1.0);
    same_number(0, -0.0);
    same_number(-1, -1.0);
    same_number(-2, -2.0);
    same_number(257, 257.0);
    same_number(INT64_C(1) << 53, 9007199254740992.0);
    same_number(INT64_C(1) << 62, 4611686018427387904.0);
    same_number(INT64_MIN, -9223372036854775808.0);
}

TEST(ints_and_floats_are_compared_exactly) {
    tally_object *a = tally_int_new((INT64_C(1) << 53) + 1),
                 *b = tally_float_new(9007199254740992.0);
    int order;
    check_int(tally_equal(a, b), 0);
    check_int(tally_compare(a, b, &order), 0);
    check_int(order, 1);
    check_int(tally_compare(b, a, &order), 0);
    check_int(order, -1);
    drop(a, b);

    a = tally_int_new(INT64_MAX), b = tally_float_new(9223372036854775808.0);
    check_int(tally_equal(a, b), 0);
    check_int(tally_compare(a, b, &order), 0);
    check_int(order, -1);
    drop(a, b);

    a = tally_int_new(3), b = tally_float_new(HUGE_VAL);
    check_int(tally_compare(a, b, &order), 0);
    check_int(order, -1);
    drop(a, b);
}

TEST(no_hash_is_minus_1) {
    tally_object *number = tally_int_new(-1);
    check(tally_hash(number) != -1);
    tally_decref(number);
    number = tally_float_new(-1.0);
    check(tally_hash(number) != -1);
    tally_decref(number);
    check_error(TALLY_NO_ERROR);
}

TEST(a_nan_equals_nothing) {
    tally_object *nan = tally_float_new(NAN), *other = tally_float_new(NAN),
                 *one = tally_int_new(1);
    check_int(tally_equal(nan, other), 0);
    check_int(tally_equal(nan, one), 0);
    (void)tally_hash(nan);
    check_error(TALLY_NO_ERROR);
    drop(nan, other, one);
}

TEST(equal_contents_have_equal_hashes) {
    tally_object *a = text("some text"), *b = tally_str_new("some text and more", 9);
    check(a != b);
    check_int(tally_equal(a, b), 1);
    check_int(tally_hash(a), tally_hash(b));
    tally_object *s = pair(a, tally_true), *t = pair(b, tally_true);
    check_int(tally_equal(s, t), 1);
    check_int(tally_hash(s), tally_hash(t));
    drop(a, b, s, t);
}

TEST(different_types_are_unequal_without_an_error) {
    tally_object *all[] = {tally_int_new(1000), text("1000"),     tally_tuple_new(NULL, 0),
                           tally_list_new(0),   tally_dict_new(), tally_none};
    for (int i = 0; i < 6; i++)
        for (int k = 0; k < 6; k++) check_int(tally_equal(all[i], all[k]), i == k);
    check_error(TALLY_NO_ERROR);
    for (int i = 0; i < 6; i++) tally_decref(all[i]);
}

static void ordered(tally_object *a, tally_object *b, int wanted) {
    int order = 5;
    check_int(tally_compare(a, b, &order), 0);
    check_int(order, wanted);
    check_int(tally_compare(b, a, &order), 0);
    check_int(order, -wanted);
    drop(a, b);
}

TEST(order_is_by_value) {
    ordered(tally_int_new(-3), tally_int_new(400), -1);
    ordered(tally_int_new(INT64_MIN), tally_int_new(INT64_MAX), -1);
    ordered(tally_int_new(1), tally_float_new(1.5), -1);
    ordered(tally_float_new(2.5), tally_float_new(2.5), 0);
    ordered(text("abc"), text("abd"), -1);
    ordered(text("abc"), text("ab"), 1);
    ordered(text("a"), text("\xc3\xa9"), -1);
    ordered(text("xy"), text("xy"), 0);
    ordered(list_of(1, 3), list_of(1, 4), -1);
    ordered(list_of(2, 2), list_of(1, 9), 1);
    ordered(list_of(1, 3), list_of(1, 3), 0);
    tally_object *one = tally_int_new(1), *two = tally_int_new(2);
    ordered(pair(one, two), pair(two, one), -1);
    ordered(pair(one, one), one_tuple(one), 1);
}

TEST(types_without_an_order_give_a_type_error) {
    tally_object *number = tally_int_new(1), *str = text("one"), *dict = tally_dict_new();
    int order;
    check_fails(tally_compare(number, str, &order), TALLY_TYPE_ERROR);
    check_fails(tally_compare(dict, dict, &order), TALLY_TYPE_ERROR);
    check_fails(tally_compare(tally_none, tally_none, &order), TALLY_TYPE_ERROR);
    drop(number, str, dict);
}

TEST(lists_and_dicts_have_no_hash) {
    tally_object *list = tally_list_new(0), *dict = tally_dict_new(), *tuple = one_tuple(list);
    check_fails(tally_hash(list), TALLY_TYPE_ERROR);
    check_fails(tally_hash(dict), TALLY_TYPE_ERROR);
    check_fails(tally_hash(tuple), TALLY_TYPE_ERROR);
    drop(tuple, list, dict);
}

static void real_repr(double value, const char *wanted) {
    tally_object *number = tally_float_new(value);
    check_repr(number, wanted);
    tally_decref(number);
}

static void str_repr(const char *data, const char *wanted) {
    tally_object *str = text(data);
    check_repr(str, wanted);
    tally_decref(str);
}

TEST(repr_is_that_of_python) {
    tally_object *number = tally_int_new(INT64_MIN);
    check_repr(number, "-9223372036854775808");
    tally_decref(number);

    real_repr(1.0, "1.0");
    real_repr(-0.0, "-0.0");
    real_repr(0.1, "0.1");
    real_repr(1.0 / 3.0, "0.3333333333333333");
    real_repr(123456789.0, "123456789.0");
    real_repr(1e15, "1000000000000000.0");
    real_repr(1e16, "1e+16");
    real_repr(1e100, "1e+100");
    real_repr(0.0001, "0.0001");
    real_repr(0.00001, "1e-05");
    real_repr(1.5e-7, "1.5e-07");
    real_repr(5e-324, "5e-324");
    real_repr(HUGE_VAL, "inf");
    real_repr(-HUGE_VAL, "-inf");
    real_repr(NAN, "nan");

    str_repr("abc", "'abc'");
    str_repr("", "''");
    str_repr("it's", "\"it's\"");
    str_repr("'\"", "'\\'\"'");
    str_repr("a\nb\tc\r\\", "'a\\nb\\tc\\r\\\\'");
    str_repr("\x01", "'\\x01'");
    str_repr("\xc3\xa9t\xc3\xa9", "'\xc3\xa9t\xc3\xa9'");
}

TEST(repr_of_containers_nests) {
    tally_object *list = tally_list_new(0), *dict = tally_dict_new(),
                 *tuple = tally_tuple_new(NULL, 0);
    check_repr(list, "[]");
    check_repr(dict, "{}");
    check_repr(tuple, "()");
    append_new(list, tally_int_new(1));
    append_new(list, one_tuple(tally_none));
    append_new(list, text("x"));
    set_new(dict, text("key"), tally_float_new(2.5));
    set_new(dict, tally_int_new(3), list_of(7, 8));
    tally_list_append(list, dict);
    check_repr(list, "[1, (None,), 'x', {'key': 2.5, 3: [7, 8]}]");
    drop(list, dict, tuple);
}

TEST(repr_of_what_contains_itself_ends) {
    tally_object *list = tally_list_new(0);
    tally_list_append(list, list);
    check_repr(list, "[[...]]");
    append_new(list, tally_int_new(1));
    check_repr(list, "[[...], 1]");

    tally_object *dict = tally_dict_new(), *name = text("me");
    tally_dict_set(dict, name, dict);
    check_repr(dict, "{'me': {...}}");
    tally_list_append(list, dict);
    tally_dict_set(dict, name, list);
    check_repr(dict, "{'me': [[...], 1, {...}]}");

    /* What is named twice, but not within itself, is written twice. */
    tally_object *inner = list_of(1, 1), *outer = tally_list_new(0);
    tally_list_append(outer, inner);
    tally_list_append(outer, inner);
    check_repr(outer, "[[1], [1]]");

    tally_list_clear(list);
    tally_dict_clear(dict);
    drop(list, dict, name, inner, outer);
}

/* ---- numbers ---- */

typedef tally_object *operation(tally_object *, tally_object *);

/* Each takes its new references. */
static int64_t ints(operation *function, int64_t a, int64_t b) {
    tally_object *x = tally_int_new(a), *y = tally_int_new(b), *result = function(x, y);
    drop(x, y);
    return take_int(result);
}

static double mixed(operation *function, tally_object *x, tally_object *y) {
    tally_object *result = function(x, y);
    drop(x, y);
    check(result && strcmp(tally_type_name(result), "float") == 0);
    return take_float(result);
}

static double reals(operation *function, double a, double b) {
    return mixed(function, tally_float_new(a), tally_float_new(b));
}

static void refused(operation *function, tally_object *x, tally_object *y, tally_error kind) {
    check(function(x, y) == NULL);
    check_error(kind);
    drop(x, y);
}

TEST(int_arithmetic) {
    check_int(ints(tally_add, 200, 300), 500);
    check_int(ints(tally_add, INT64_MAX, INT64_MIN), -1);
    check_int(ints(tally_subtract, 5, 9), -4);
    check_int(ints(tally_subtract, -1, INT64_MAX), INT64_MIN);
    check_int(ints(tally_multiply, -7, 6), -42);
    check_int(ints(tally_multiply, INT64_C(1) << 31, INT64_C(1) << 31), INT64_C(1) << 62);
}

TEST(division_floors_as_in_python) {
    check_int(ints(tally_floor_divide, 7, 2), 3);
    check_int(ints(tally_floor_divide, -7, 2), -4);
    check_int(ints(tally_floor_divide, 7, -2), -4);
    check_int(ints(tally_floor_divide, -7, -2), 3);
    check_int(ints(tally_floor_divide, -8, 2), -4);
    check_int(ints(tally_remainder, 7, 2), 1);
    check_int(ints(tally_remainder, -7, 2), 1);
    check_int(ints(tally_remainder, 7, -2), -1);
    check_int(ints(tally_remainder, -7, -2), -1);
    check_int(ints(tally_remainder, -8, 2), 0);
    check_int(ints(tally_remainder, INT64_MIN, -1), 0);
    check_int(ints(tally_floor_divide, INT64_MIN, 2), INT64_MIN / 2);

    check_double(reals(tally_floor_divide, -7.5, 2.0), -4.0);
    check_double(reals(tally_floor_divide, 7.5, 2.0), 3.0);
    check_double(reals(tally_remainder, -7.5, 2.0), 0.5);
    check_double(reals(tally_remainder, 7.5, -2.0), -0.5);
    check_double(reals(tally_remainder, 0.0, -3.0), -0.0);
    check_double(reals(tally_remainder, -1e-30, 3.0), 3.0);
}

TEST(divide_gives_a_float) {
    check_double(mixed(tally_divide, tally_int_new(7), tally_int_new(2)), 3.5);
    check_double(mixed(tally_divide, tally_int_new(-6), tally_int_new(3)), -2.0);
    check_double(mixed(tally_divide, tally_int_new(INT64_MAX), tally_int_new(INT64_MAX)), 1.0);
    check_double(mixed(tally_divide, tally_int_new(1), tally_float_new(4.0)), 0.25);
}

TEST(an_int_with_a_float_gives_a_float) {
    check_double(mixed(tally_add, tally_int_new(1), tally_float_new(0.5)), 1.5);
    check_double(mixed(tally_subtract, tally_float_new(0.5), tally_int_new(1)), -0.5);
    check_double(mixed(tally_multiply, tally_int_new(3), tally_float_new(0.5)), 1.5);
    check_double(reals(tally_multiply, 1e200, 1e200), HUGE_VAL);
}

TEST(an_int_past_64_bits_is_an_overflow_error) {
    refused(tally_add, tally_int_new(INT64_MAX), tally_int_new(1), TALLY_OVERFLOW_ERROR);
    refused(tally_add, tally_int_new(INT64_MIN), tally_int_new(-1), TALLY_OVERFLOW_ERROR);
    refused(tally_subtract, tally_int_new(INT64_MIN), tally_int_new(1), TALLY_OVERFLOW_ERROR);
    refused(tally_subtract, tally_int_new(0), tally_int_new(INT64_MIN), TALLY_OVERFLOW_ERROR);
    refused(tally_multiply, tally_int_new(INT64_MAX), tally_int_new(2), TALLY_OVERFLOW_ERROR);
    refused(tally_multiply, tally_int_new(INT64_MIN), tally_int_new(-1), TALLY_OVERFLOW_ERROR);
    refused(tally_floor_divide, tally_int_new(INT64_MIN), tally_int_new(-1), TALLY_OVERFLOW_ERROR);
}

TEST(division_by_zero_is_an_error) {
    static operation *const operations[] = {tally_divide, tally_floor_divide, tally_remainder};
    for (int i = 0; i < 3; i++) {
        refused(operations[i], tally_int_new(1), tally_int_new(0), TALLY_ZERO_DIVISION_ERROR);
        refused(operations[i], tally_float_new(1), tally_float_new(0), TALLY_ZERO_DIVISION_ERROR);
        refused(operations[i], tally_int_new(1), tally_float_new(-0.0), TALLY_ZERO_DIVISION_ERROR);
    }
}

TEST(arithmetic_refuses_what_is_no_number) {
    static operation *const operations[] = {tally_add, tally_subtract, tally_divide,
                                            tally_floor_divide, tally_remainder};
    for (int i = 0; i < 5; i++) {
        refused(operations[i], tally_int_new(1000), text("ab"), TALLY_TYPE_ERROR);
        refused(operations[i], tally_none, tally_int_new(1000), TALLY_TYPE_ERROR);
        refused(operations[i], tally_dict_new(), tally_dict_new(), TALLY_TYPE_ERROR);
    }
    refused(tally_subtract, text("ab"), text("cd"), TALLY_TYPE_ERROR);
    refused(tally_add, tally_list_new(0), tally_tuple_new(NULL, 0), TALLY_TYPE_ERROR);
}

TEST(add_joins_strs_tuples_and_lists) {
    tally_object *a = text("big "), *b = text("world");
    check_text(tally_add(a, b), "big world");
    tally_object *s = pair(a, b), *t = one_tuple(b), *joined = tally_add(s, t);
    check_repr(joined, "('big ', 'world', 'world')");
    check_int(tally_refcount(b), 5);
    tally_decref(joined);
    check_int(tally_refcount(b), 3);
    drop(s, t, a, b);

    a = list_of(1, 2), b = list_of(3, 4), joined = tally_add(a, b);
    check_repr(joined, "[1, 2, 3, 4]");
    check_repr(a, "[1, 2]");
    tally_decref(joined);
    joined = tally_add(a, a);
    check_repr(joined, "[1, 2, 1, 2]");
    drop(joined, a, b);
}

TEST(the_run_time_starts_again_after_its_end) {
    check_int(tally_finish(), 0);
    for (int round = 0; round < 3; round++) {
        check_int(tally_init(&(tally_options){.switch_ticks = 100}), 0);
        tally_object *list = list_of(1, 1000);
        tally_decref(list);
        check_int(tally_finish(), 0);
    }
    check_int(tally_init(NULL), 0);
}

TEST(finish_counts_the_objects_left_alive) {
    tally_object *kept = tally_list_new(0);
    append_new(kept, tally_float_new(1.5));
    append_new(kept, tally_int_new(1000));
    check_int(tally_finish(), 3);
    check_int(tally_init(NULL), 0);
}
