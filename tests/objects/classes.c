/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* classes.c: classes and instances: slots, attributes, finalizers, resurrection, counts,
 * sizes. */
#include "suite.h"

static const char *const point_slots[] = {"x", "y", NULL};

static tally_object *point_class(void) { return class_with("Point", "x", "y"); }

static void set_attr(tally_object *object, const char *name, int64_t value) {
    tally_object *key = text(name), *number = tally_int_new(value);
    check_int(tally_set_attr(object, key, number), 0);
    drop(key, number);
}

static int64_t attr(tally_object *object, const char *name) {
    tally_object *key = text(name);
    int64_t value = take_int(tally_get_attr(object, key));
    tally_decref(key);
    return value;
}

static void no_attr(tally_object *object, const char *name) {
    tally_object *key = text(name);
    check_null(tally_get_attr(object, key), TALLY_ATTRIBUTE_ERROR);
    check_fails(tally_delete_attr(object, key), TALLY_ATTRIBUTE_ERROR);
    tally_decref(key);
}

TEST(slots_are_reached_by_index_and_by_name) {
    tally_object *class = point_class(), *point = tally_instance_new(class), *value = text("value");
    check_null(tally_slot_get(point, 0), TALLY_ATTRIBUTE_ERROR);
    no_attr(point, "x");
    set_attr(point, "x", 1000);
    check_int(take_int(tally_slot_get(point, 0)), 1000);
    check_int(tally_slot_set(point, 1, value), 0);
    check_int(tally_refcount(value), 2);
    tally_object *got = tally_slot_get(point, -1);
    check(got == value);
    tally_xdecref(got);
    tally_object *name = text("y");
    got = tally_get_attr(point, name);
    check(got == value);
    tally_xdecref(got);
    check_int(tally_delete_attr(point, name), 0);
    check_int(tally_refcount(value), 1);
    check_null(tally_slot_get(point, 1), TALLY_ATTRIBUTE_ERROR);
    check_int(tally_slot_set(point, 1, value), 0);
    check_int(tally_slot_set(point, 1, NULL), 0);
    check_int(tally_refcount(value), 1);
    check_null(tally_slot_get(point, 1), TALLY_ATTRIBUTE_ERROR);
    tally_object *all[] = {class, point, value, name};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

TEST(slots_admit_no_other_name) {
    tally_object *class = point_class(), *point = tally_instance_new(class), *name = text("z");
    check_fails(tally_set_attr(point, name, tally_none), TALLY_ATTRIBUTE_ERROR);
    no_attr(point, "z");
    check_null(tally_slot_get(point, 2), TALLY_INDEX_ERROR);
    check_null(tally_slot_get(point, -3), TALLY_INDEX_ERROR);
    check_fails(tally_slot_set(point, 2, tally_none), TALLY_INDEX_ERROR);
    drop(name, point, class);
}

TEST(an_open_instance_takes_any_name) {
    tally_object *class = class_named("Open"), *object = tally_instance_new(class),
                 *other = tally_instance_new(class);
    char name[32];
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "attribute_%d", i);
        set_attr(object, name, 1000 + i);
    }
    set_attr(other, "attribute_7", -7);
    for (int i = 0; i < 200; i++) {
        snprintf(name, sizeof name, "attribute_%d", i);
        check_int(attr(object, name), 1000 + i);
    }
    check_int(attr(other, "attribute_7"), -7);
    no_attr(other, "attribute_8");
    tally_object *key = text("attribute_7");
    check_int(tally_delete_attr(object, key), 0);
    no_attr(object, "attribute_7");
    check_int(attr(other, "attribute_7"), -7);
    set_attr(object, "attribute_7", 8);
    check_int(attr(object, "attribute_7"), 8);
    drop(key, object, other, class);
}

TEST(an_open_instance_has_no_slots) {
    tally_object *class = class_named("Open"), *object = tally_instance_new(class);
    tally_object *number = tally_int_new(1000);
    tally_object *wrong[] = {object, number};
    for (int i = 0; i < 2; i++) {
        tally_object *got = tally_slot_get(wrong[i], 0);
        check(got == NULL);
        check(tally_error_kind() == TALLY_TYPE_ERROR || tally_error_kind() == TALLY_INDEX_ERROR);
        tally_error_clear();
        check_int(tally_slot_set(wrong[i], 0, number), -1);
        check(tally_error_kind() == TALLY_TYPE_ERROR || tally_error_kind() == TALLY_INDEX_ERROR);
        tally_error_clear();
    }
    drop(object, class);
    check_int(tally_refcount(number), 1);
    tally_decref(number);
}

TEST(class_attributes_are_seen_through_instances) {
    tally_object *class = class_named("Config"), *object = tally_instance_new(class);
    set_attr(class, "limit", 10);
    check_int(attr(class, "limit"), 10);
    check_int(attr(object, "limit"), 10);
    set_attr(object, "limit", 20);
    check_int(attr(object, "limit"), 20);
    check_int(attr(class, "limit"), 10);
    tally_object *name = text("limit");
    check_int(tally_delete_attr(object, name), 0);
    check_int(attr(object, "limit"), 10);
    check_fails(tally_delete_attr(object, name), TALLY_ATTRIBUTE_ERROR);
    check_int(tally_delete_attr(class, name), 0);
    no_attr(object, "limit");
    no_attr(class, "limit");
    drop(name, object, class);
}

TEST(class_attributes_are_seen_beside_slots) {
    tally_object *class = point_class(), *point = tally_instance_new(class);
    set_attr(class, "dimensions", 2);
    check_int(attr(point, "dimensions"), 2);
    tally_object *name = text("dimensions");
    check_fails(tally_set_attr(point, name, tally_none), TALLY_ATTRIBUTE_ERROR);
    drop(name, point, class);
}

TEST(attribute_operations_refuse_other_types) {
    tally_object *class = class_named("Open"), *object = tally_instance_new(class);
    tally_object *number = tally_int_new(1000), *name = text("name");
    check_null(tally_get_attr(object, number), TALLY_TYPE_ERROR);
    check_fails(tally_set_attr(object, number, name), TALLY_TYPE_ERROR);
    check_fails(tally_delete_attr(object, number), TALLY_TYPE_ERROR);
    check_null(tally_get_attr(number, name), TALLY_ATTRIBUTE_ERROR);
    check_fails(tally_set_attr(number, name, name), TALLY_ATTRIBUTE_ERROR);
    check_null(tally_instance_new(number), TALLY_TYPE_ERROR);
    check_null(tally_instance_new(object), TALLY_TYPE_ERROR);
    tally_object *all[] = {class, object, number, name};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

TEST(instances_are_equal_by_identity) {
    tally_object *class = class_named("Open"), *a = tally_instance_new(class),
                 *b = tally_instance_new(class);
    int order;
    check_int(tally_equal(a, a), 1);
    check_int(tally_equal(a, b), 0);
    check_int(tally_hash(a), tally_hash(a));
    check(tally_hash(a) != -1);
    check_fails(tally_compare(a, b, &order), TALLY_TYPE_ERROR);
    check(strcmp(tally_type_name(a), "Open") == 0);
    tally_object *type = tally_type_of(a), *repr = tally_repr(a);
    check(type == class);
    check(repr && strstr(tally_str_data(repr), "Open") != NULL);
    tally_object *all[] = {class, a, b, type, repr};
    for (int i = 0; i < 5; i++) tally_xdecref(all[i]);
}

TEST(a_class_copies_its_spec) {
    char name[] = "Named", slot[] = "field";
    const char *slots[] = {slot, NULL};
    tally_object *class = tally_class_new(&(tally_class_spec){.name = name, .slots = slots});
    name[0] = slot[0] = 'X';
    slots[0] = NULL;
    tally_object *object = tally_instance_new(class);
    set_attr(object, "field", 5);
    check(strcmp(tally_type_name(object), "Named") == 0);
    drop(object, class);
}

TEST(a_class_with_no_slots_has_instances_without_attributes) {
    static const char *const none[] = {NULL};
    tally_object *class = tally_class_new(&(tally_class_spec){.name = "Empty", .slots = none});
    tally_object *object = tally_instance_new(class), *name = text("any");
    check_fails(tally_set_attr(object, name, tally_none), TALLY_ATTRIBUTE_ERROR);
    drop(name, object, class);
}

TEST(a_class_lives_as_long_as_its_instances) {
    tally_object *class = point_class(), *point = tally_instance_new(class);
    tally_decref(class);
    set_attr(point, "x", 3);
    check(strcmp(tally_type_name(point), "Point") == 0);
    tally_decref(point);
}

TEST(each_instance_counts_as_a_reference_to_its_class) {
    enum { COUNT = 100 };
    tally_object *class = point_class(), *points[COUNT];
    ptrdiff_t before = tally_refcount(class);
    for (int i = 0; i < COUNT; i++) points[i] = tally_instance_new(class);
    check_int(tally_refcount(class), before + COUNT);
    for (int i = 0; i < COUNT; i++) tally_decref(points[i]);
    check_int(tally_refcount(class), before);
    tally_decref(class);
}

TEST(slots_take_less_room_than_attributes_of_any_name) {
    tally_object *slim = point_class(), *wide = class_named("Open");
    tally_object *a = tally_instance_new(slim), *b = tally_instance_new(wide);
    set_attr(a, "x", 1), set_attr(a, "y", 2);
    set_attr(b, "x", 1), set_attr(b, "y", 2);
    check(tally_sizeof(a) < tally_sizeof(b));
    check(tally_sizeof(a) >= (ptrdiff_t)(tally_header_size(true) + 2 * sizeof(void *)));
    tally_object *all[] = {slim, wide, a, b};
    for (int i = 0; i < 4; i++) tally_decref(all[i]);
}

/* ---- finalizers ---- */

TEST(a_finalizer_runs_when_the_count_reaches_0) {
    tally_object *class = mortal_class(), *object = tally_instance_new(class);
    tally_incref(object);
    tally_decref(object);
    check_int(deaths(), 0);
    tally_decref(object);
    check_int(deaths(), 1);
    tally_decref(class);
}

static int64_t last_x;

static void read_x(tally_object *self) {
    suite_count_death(self);
    last_x = take_int(tally_slot_get(self, 0));
}

TEST(a_finalizer_still_sees_the_contents) {
    tally_object *class = tally_class_new(
        &(tally_class_spec){.name = "Point", .slots = point_slots, .finalize = read_x});
    tally_object *point = tally_instance_new(class);
    set_attr(point, "x", 4321);
    tally_decref(point);
    check_int(deaths(), 1);
    check_int(last_x, 4321);
    tally_decref(class);
}

static tally_object *refuge;

static void resurrect(tally_object *self) {
    suite_count_death(self);
    tally_list_append(refuge, self);
}

TEST(a_finalizer_may_resurrect_and_runs_once) {
    static void (*const finalizers[])(tally_object *) = {resurrect};
    for (int open = 0; open < 2; open++) {
        tally_object *class = tally_class_new(&(tally_class_spec){
            .name = "Phoenix", .slots = open ? NULL : point_slots, .finalize = finalizers[0]});
        int before = deaths();
        refuge = tally_list_new(0);
        tally_object *object = tally_instance_new(class);
        set_attr(object, "x", 777);
        tally_decref(object);
        check_int(deaths(), before + 1);
        check_int(tally_list_length(refuge), 1);
        tally_object *again = tally_list_pop(refuge, -1);
        check_int(tally_refcount(again), 1);
        check_int(attr(again, "x"), 777);
        tally_decref(again);
        check_int(deaths(), before + 1);
        check_int(tally_list_length(refuge), 0);
        drop(refuge, class);
    }
}

static void make_another(tally_object *self) {
    if (deaths() < 10) {
        tally_object *class = tally_type_of(self);
        suite_count_death(self);
        tally_decref(tally_instance_new(class));
        tally_decref(class);
    } else {
        suite_count_death(self);
    }
}

TEST(a_finalizer_may_make_and_drop_instances_of_its_class) {
    tally_object *class = class_finalized("Heir", make_another);
    tally_decref(tally_instance_new(class));
    check_int(deaths(), 11);
    tally_decref(class);
}

TEST(what_an_instance_held_dies_with_it) {
    tally_object *class = mortal_class(), *open = class_named("Holder"),
                 *holder = tally_instance_new(open);
    tally_object *slots = tally_instance_new(class), *name = text("held"),
                 *held = tally_instance_new(class);
    tally_slot_set(slots, 1, held);
    tally_set_attr(holder, name, slots);
    drop(held, slots);
    check_int(deaths(), 0);
    tally_decref(holder);
    check_int(deaths(), 2);
    drop(name, open, class);
}

TEST(many_classes_come_and_go) {
    for (int i = 0; i < 2000; i++) {
        tally_object *class = i % 2 ? point_class() : class_named("Temporary");
        set_attr(class, "number", i);
        tally_object *object = tally_instance_new(class);
        check_int(attr(object, "number"), i);
        drop(class, object);
    }
}
