/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* native.c: types written in C: data, hooks and their order, identity, what they hold. */
#include "suite.h"

static char order[64];

static void note(char letter) {
    size_t length = strlen(order);
    if (length + 1 < sizeof order) order[length] = letter, order[length + 1] = '\0';
}

typedef struct holder {
    tally_object *first, *second;
    void *memory;
} holder;

static void holder_traverse(tally_object *self, tally_visit visit, void *context) {
    holder *data = tally_object_data(self);
    if (data->first) visit(data->first, context);
    if (data->second) visit(data->second, context);
}

static void holder_clear(tally_object *self) {
    holder *data = tally_object_data(self);
    tally_object *first = data->first, *second = data->second;
    note('c');
    data->first = data->second = NULL;
    tally_xdecref(first);
    tally_xdecref(second);
}

static void holder_finalize(tally_object *self) { note('f'); }

static void holder_dealloc(tally_object *self) {
    note('d');
    free(((holder *)tally_object_data(self))->memory);
    suite_count_death(self);
}

static tally_object *holder_type(void) {
    order[0] = '\0';
    return tally_type_new(&(tally_type_spec){.name = "holder",
                                             .size = sizeof(holder),
                                             .flags = TALLY_TYPE_CONTAINER,
                                             .traverse = holder_traverse,
                                             .clear = holder_clear,
                                             .finalize = holder_finalize,
                                             .dealloc = holder_dealloc});
}

TEST(a_type_is_immortal) {
    tally_object *type = holder_type();
    check_int(tally_is_immortal(type), 1);
    tally_decref(type);
    tally_object *object = tally_object_new(type, 0), *of = tally_type_of(object);
    check(of == type);
    check(strcmp(tally_type_name(object), "holder") == 0);
    check_int(tally_refcount(object), 1);
    tally_decref(object);
}

TEST(data_is_zeroed_and_has_the_extra_bytes) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "buffer", .size = 24});
    static const ptrdiff_t extras[] = {0, 1, 100, 400, 488, 513, 4096, 100000};
    for (int round = 0; round < 3; round++)
        for (size_t i = 0; i < sizeof extras / sizeof extras[0]; i++) {
            tally_object *object = tally_object_new(type, extras[i]);
            size_t size = 24 + (size_t)extras[i], wrong = 0;
            unsigned char *data = tally_object_data(object);
            check((uintptr_t)data % sizeof(void *) == 0);
            for (size_t k = 0; k < size; k++) wrong += data[k] != 0;
            check_int(wrong, 0);
            memset(data, 0xA5, size);
            check(tally_sizeof(object) >= (ptrdiff_t)size);
            tally_decref(object);
        }
}

TEST(a_type_may_have_no_data) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "bare"}),
                 *object = tally_object_new(type, 0);
    check(object != NULL);
    tally_decref(object);
}

TEST(death_runs_finalize_then_clear_then_dealloc) {
    tally_object *type = holder_type(), *object = tally_object_new(type, 0), *held = text("held");
    holder *data = tally_object_data(object);
    data->first = held;
    tally_incref(held);
    data->memory = malloc(100);
    check_int(tally_refcount(held), 2);
    tally_decref(object);
    check(strcmp(order, "fcd") == 0);
    check_int(deaths(), 1);
    check_int(tally_refcount(held), 1);
    tally_decref(held);
}

TEST(without_hooks_objects_are_equal_and_hashed_by_identity) {
    tally_object *type = holder_type(), *a = tally_object_new(type, 0),
                 *b = tally_object_new(type, 0);
    check_int(tally_equal(a, a), 1);
    check_int(tally_equal(a, b), 0);
    check_int(tally_hash(a), tally_hash(a));
    tally_object *repr = tally_repr(a), *dict = tally_dict_new();
    check(repr && strstr(tally_str_data(repr), "holder") != NULL);
    tally_dict_set(dict, a, b);
    check_int(tally_dict_contains(dict, a), 1);
    check_int(tally_dict_contains(dict, b), 0);
    tally_object *all[] = {a, b, repr, dict};
    for (int i = 0; i < 4; i++) tally_xdecref(all[i]);
    tally_safepoint();
    check_int(deaths(), 2);
}

static int always_equal(tally_object *self, tally_object *other) {
    return tally_object_data(self) && other;
}
static int64_t constant_hash(tally_object *self) { return 7; }
static int64_t failing_hash(tally_object *self) {
    tally_error_set(TALLY_VALUE_ERROR, "no hash today");
    return -1;
}
static tally_object *fixed_repr(tally_object *self) { return text("<fixed>"); }

TEST(hooks_are_called) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "same",
                                                           .size = 8,
                                                           .hash = constant_hash,
                                                           .equal = always_equal,
                                                           .repr = fixed_repr});
    tally_object *a = tally_object_new(type, 0), *b = tally_object_new(type, 0),
                 *number = tally_int_new(5);
    check_int(tally_hash(a), 7);
    check_int(tally_equal(a, b), 1);
    check_int(tally_equal(a, number), 1);
    tally_object *list = one_tuple(a);
    check_repr(list, "(<fixed>,)");
    tally_object *all[] = {a, b, number, list};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

TEST(an_equal_without_a_hash_makes_it_unhashable) {
    tally_object *type =
        tally_type_new(&(tally_type_spec){.name = "odd", .size = 8, .equal = always_equal});
    tally_object *object = tally_object_new(type, 0), *dict = tally_dict_new();
    check_fails(tally_hash(object), TALLY_TYPE_ERROR);
    check_fails(tally_dict_set(dict, object, tally_none), TALLY_TYPE_ERROR);
    drop(object, dict);
}

TEST(an_error_of_a_hook_comes_through) {
    tally_object *type =
        tally_type_new(&(tally_type_spec){.name = "sulky", .size = 8, .hash = failing_hash});
    tally_object *object = tally_object_new(type, 0), *dict = tally_dict_new(),
                 *tuple = one_tuple(object);
    check_fails(tally_hash(object), TALLY_VALUE_ERROR);
    check_fails(tally_hash(tuple), TALLY_VALUE_ERROR);
    check_fails(tally_dict_set(dict, object, tally_none), TALLY_VALUE_ERROR);
    check_int(tally_dict_length(dict), 0);
    drop(object, dict, tuple);
}

static tally_object *kept;

static void keep(tally_object *self) {
    note('f');
    tally_incref(self);
    kept = self;
}

TEST(a_finalizer_may_resurrect_and_runs_once) {
    order[0] = '\0';
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "phoenix",
                                                           .size = sizeof(holder),
                                                           .flags = TALLY_TYPE_CONTAINER,
                                                           .traverse = holder_traverse,
                                                           .clear = holder_clear,
                                                           .finalize = keep,
                                                           .dealloc = holder_dealloc});
    tally_decref(tally_object_new(type, 0));
    check(strcmp(order, "f") == 0);
    check_int(tally_refcount(kept), 1);
    tally_decref(kept);
    check(strcmp(order, "fcd") == 0);
}

TEST(only_containers_and_native_types_make_objects) {
    tally_object *number = tally_int_new(1000);
    check_null(tally_object_new(number, 0), TALLY_TYPE_ERROR);
    tally_decref(number);
}
