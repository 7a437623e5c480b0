/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * per_thread.c: objects that all threads use (classes, objects named to tally_defer_count,
 * constants): their refcounts are exact whichever thread counts, and without references they die.
 */
#include "suite.h"

enum { THREADS = 4, TAKEN = 1000 };

/* Classes and deferred objects are counted by each thread. */
static int counts_per_thread(void) { return is_biased() && !has_gil(); }

static void collect(void) {
    check(tally_gc_collect(2) >= 0);
    check(tally_gc_collect(2) >= 0);
}

static _Atomic int functions_ended;
typedef struct holder {
    tally_object *held;
} holder;
static holder *of(tally_object *self) { return tally_object_data(self); }
static void holder_traverse(tally_object *self, tally_visit visit, void *context) {
    if (of(self)->held) visit(of(self)->held, context);
}
static void holder_clear(tally_object *self) {
    tally_object *held = of(self)->held;
    of(self)->held = NULL;
    tally_xdecref(held);
}
static void count_end(tally_object *self) {
    atomic_fetch_add_explicit(&functions_ended, 1, memory_order_relaxed);
}
static int ended(void) { return atomic_load_explicit(&functions_ended, memory_order_relaxed); }

/* A native object: what a function is. container: it may hold another. */
static tally_object *new_function(int container) {
    tally_type_spec spec = {.name = "function", .size = sizeof(holder), .dealloc = count_end};
    if (container) {
        spec.flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE;
        spec.traverse = holder_traverse;
        spec.clear = holder_clear;
    }
    tally_object *type = tally_type_new(&spec), *function = tally_object_new(type, 0);
    check(function != NULL);
    return function;
}

/* ---- counts ------------------------------------------------------------------- */

typedef struct taker {
    tally_object *object, *dict, *key;
    int by;
} taker;

static void take(void *argument) {
    taker *t = argument;
    for (int i = 0; i < TAKEN; i++) {
        if (t->by > 0)
            tally_incref(t->object);
        else
            tally_decref(t->object);
        if (i % 16 == 0) tally_safepoint();
    }
}

static void counts_of(tally_object *object) {
    taker up = {.object = object, .by = 1}, down = {.object = object, .by = -1};
    ptrdiff_t before = tally_refcount(object);
    run_threads(THREADS, take, &up, 0);
    check_int(tally_refcount(object), before + THREADS * TAKEN);
    /* Not those that took them: their numbers stay behind in slots without a thread. */
    tally_gc_collect(2);
    check_int(tally_refcount(object), before + THREADS * TAKEN);
    take(&down);
    run_threads(THREADS - 1, take, &down, 0);
    check_int(tally_refcount(object), before);
}

TEST(references_to_a_class_are_exact_whichever_thread_drops_them) {
    tally_object *class_ = class_named("Class"), *instance = tally_instance_new(class_);
    check_int(tally_refcount(class_), 2);
    counts_of(class_);
    tally_decref(instance);
    check_int(tally_refcount(class_), 1);
    tally_decref(class_);
}

TEST(references_to_a_deferred_object_are_exact_whichever_thread_drops_them) {
    tally_object *function = new_function(0);
    int before = ended();
    tally_incref(function);
    check_int(tally_defer_count(function), counts_per_thread());
    check_int(tally_defer_count(function), counts_per_thread());
    check_int(tally_refcount(function), 2);
    counts_of(function);
    tally_decref(function);
    check_int(ended(), before);
    tally_decref(function);
    tally_gc_collect(2);
    check_int(ended(), before + 1);
}

static void make_function(void *place) { *(tally_object **)place = new_function(0); }

TEST(objects_that_others_own_or_have_merged_can_be_deferred) {
    int before = ended();
    tally_object *function = NULL;
    run_threads(1, make_function, &function, 0); /* its owner is gone */
    check_int(tally_defer_count(function), counts_per_thread());
    counts_of(function);
    tally_decref(function);
    function = new_function(0);
    taker up = {.object = function, .by = 1};
    run_threads(1, take, &up, 0);
    check_int(tally_defer_count(function), counts_per_thread());
    check_int(tally_refcount(function), 1 + TAKEN);
    for (int i = 0; i <= TAKEN; i++) tally_decref(function);
    tally_gc_collect(2);
    check_int(ended(), before + 2);
}

TEST(an_immortal_object_is_not_deferred) {
    check_int(tally_defer_count(tally_none), 0);
    tally_object *name = text("name"), *interned = tally_str_intern(name);
    tally_immortalize(interned);
    check_int(tally_defer_count(interned), 0);
    drop(interned, name);
}

/* ---- lookups against changes ---------------------------------------------------- */

enum { LOOKUPS = 20000, REPLACED = 300 };
typedef struct table {
    tally_object *dict, *key;
    _Atomic bool over;
    uint64_t made;
} table;

static void look_up(void *argument) {
    table *t = argument;
    for (int i = 0;
         i < SUITE_LONG(LOOKUPS) || !atomic_load_explicit(&t->over, memory_order_relaxed); i++) {
        tally_object *class_ = tally_dict_get(t->dict, t->key);
        check(class_ != NULL);
        tally_object *instance = tally_instance_new(class_);
        check(instance != NULL);
        tally_decref(class_);
        class_ = tally_type_of(instance);
        tally_decref(instance);
        check(strcmp(tally_type_name(class_), "type") == 0);
        tally_decref(class_);
        if (i % 8 == 0) tally_safepoint();
    }
}

static void replace(void *argument) {
    table *t = argument;
    for (int i = 0; i < SUITE_LONG(REPLACED); i++) {
        tally_object *class_ = class_named("Replaced"),
                     *weak = tally_weakref_new(class_, NULL, NULL);
        check_int(tally_set_attr(class_, t->key, class_), 0); /* a cycle */
        check_int(tally_dict_set(t->dict, t->key, class_), 0);
        tally_decref(class_);
        class_ = tally_weakref_get(weak);
        check(class_ != NULL);
        tally_xdecref(class_);
        tally_decref(weak);
        if (i % 32 == 0) tally_gc_collect(2);
    }
    atomic_store_explicit(&t->over, true, memory_order_relaxed);
}

static void part(void *argument) {
    static _Atomic int number;
    if (atomic_fetch_add_explicit(&number, 1, memory_order_relaxed) % THREADS == 0)
        replace(argument);
    else
        look_up(argument);
}

TEST(a_class_that_is_looked_up_while_it_is_replaced_dies_once) {
    table t = {.dict = tally_dict_new(), .key = text("Class")};
    tally_object *class_ = class_named("First");
    check_int(tally_dict_set(t.dict, t.key, class_), 0);
    tally_decref(class_);
    run_threads(THREADS, part, &t, 0);
    drop(t.dict, t.key);
    collect();
}

/* ---- death ----------------------------------------------------------------------- */

static void count_call(tally_object *reference, void *context) { ++*(int *)context; }

TEST(weak_references_to_a_class_give_it_until_no_thread_uses_it) {
    int calls = 0;
    tally_object *class_ = class_named("Weak"),
                 *weak = tally_weakref_new(class_, count_call, &calls);
    tally_object *instance = tally_instance_new(class_);
    tally_decref(class_);
    tally_gc_collect(2);
    tally_object *got = tally_weakref_get(weak); /* its instance uses it */
    check(got == class_);
    tally_decref(instance);
    tally_gc_collect(2);
    check_int(calls, 0); /* this reference does */
    tally_decref(got);
    tally_gc_collect(2);
    check_int(calls, 1);
    got = tally_weakref_get(weak);
    check(got == tally_none);
    drop(got, weak);
}

static tally_object *cycle(int deferred, tally_object **weak, int *calls) {
    /* class -> attribute -> dict -> function -> class, and an instance of the class in the dict. */
    tally_object *class_ = class_named("Cyclic"), *dict = tally_dict_new(),
                 *function = new_function(1), *name = text("name"), *other = text("other");
    tally_object *instance = tally_instance_new(class_);
    if (deferred) check_int(tally_defer_count(function), counts_per_thread());
    tally_incref(class_);
    of(function)->held = class_;
    check_int(tally_set_attr(class_, name, dict), 0);
    check_int(tally_dict_set(dict, name, function), 0);
    check_int(tally_dict_set(dict, other, instance), 0);
    if (weak) *weak = tally_weakref_new(function, count_call, calls);
    tally_object *all[] = {dict, function, name, other, instance};
    for (int i = 0; i < 5; i++) tally_decref(all[i]);
    return class_;
}

TEST(one_collection_finds_a_cycle_through_a_class_and_its_method) {
    for (int deferred = 0; deferred < 2; deferred++) {
        int calls = 0, before = ended();
        tally_object *weak, *class_ = cycle(deferred, &weak, &calls);
        check_int(tally_gc_collect(2), 0);
        check_int(ended(), before);
        taker up = {.object = class_, .by = 1}, down = {.object = class_, .by = -1};
        run_threads(2, take, &up, 0);
        check_int(tally_gc_collect(2), 0);
        run_threads(2, take, &down, 0);
        tally_decref(class_);
        check_int(tally_gc_collect(2), 4);
        check_int(ended(), before + 1);
        check_int(calls, 1);
        tally_decref(weak);
    }
}

TEST(the_children_of_a_deferred_object_die_in_the_same_collection) {
    int before = ended();
    tally_object *module = tally_dict_new();
    check_int(tally_defer_count(module), counts_per_thread());
    for (int i = 0; i < 100; i++) {
        tally_object *function = new_function(i % 2), *key = tally_int_new(i + 1000);
        if (i % 3) tally_defer_count(function);
        set_new(module, key, function);
    }
    check_int(tally_gc_collect(2), 0);
    check_int(ended(), before);
    tally_decref(module);
    tally_gc_collect(2);
    check_int(ended(), before + 100);
}

static tally_object *kept;
static void keep(tally_object *self) {
    suite_count_death(self);
    tally_incref(self);
    kept = self;
}

TEST(a_finalizer_resurrects_a_deferred_object) {
    for (int cyclic = 0; cyclic < 2; cyclic++) {
        int before = deaths();
        tally_object *class_ = class_finalized("Phoenix", keep), *name = text("self");
        tally_object *object = tally_instance_new(class_);
        if (cyclic) check_int(tally_set_attr(object, name, object), 0);
        check_int(tally_defer_count(object), counts_per_thread());
        tally_decref(class_); /* its instance uses it */
        tally_decref(object);
        collect();
        check_int(deaths(), before + 1);
        check(kept == object);
        check_int(tally_refcount(object), 1 + cyclic);
        counts_of(object);
        if (cyclic) check_int(tally_delete_attr(object, name), 0);
        tally_decref(name);
        tally_safepoint();
        tally_decref(kept);
        collect();
        check_int(deaths(), before + 1);
    }
}

/* A finalizer brings back the class, by way of its last instance. */
static void keep_class(tally_object *self) {
    suite_count_death(self);
    kept = tally_type_of(self);
}

TEST(a_finalizer_resurrects_a_class) {
    tally_object *class_ = class_finalized("Phoenix", keep_class), *name = text("self");
    tally_object *object = tally_instance_new(class_);
    check_int(tally_set_attr(object, name, object), 0);
    attr_new(class_, name, class_);
    tally_decref(object);
    collect();
    check_int(deaths(), 1);
    check(kept == class_);
    counts_of(kept);
    tally_object *instance = tally_instance_new(kept);
    check(instance != NULL);
    tally_decref(instance);
    check_int(deaths(), 2);
    check_int(tally_delete_attr(class_, name), 0);
    tally_decref(kept); /* that of the second instance's finalizer */
    drop(class_, name);
    collect();
}

/* ---- many ------------------------------------------------------------------------ */

enum { CLASSES = 10000, MANY = 20000, ROOM = 16384 };

static void use_all(void *argument) {
    tally_object *list = argument;
    for (ptrdiff_t i = 0; i < tally_list_length(list); i++) {
        tally_object *class_ = tally_list_get(list, i), *instance = tally_instance_new(class_);
        check(instance != NULL);
        drop(class_, instance);
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(ten_thousand_classes_come_and_go) {
    for (int round = 0; round < 2; round++) {
        tally_object *list = tally_list_new(CLASSES);
        for (int i = 0; i < CLASSES; i++) append_new(list, class_named("One of many"));
        run_threads(2, use_all, list, 0);
        tally_object *class_ = tally_list_get(list, CLASSES / 2);
        check_int(tally_refcount(class_), 2);
        drop(class_, list);
        collect();
        tally_census_row *rows;
        size_t count;
        check_int(tally_heap_census(&rows, &count), 0);
        for (size_t i = 0; i < count; i++) check(strcmp(rows[i].type, "type") != 0 || has_gil());
        free(rows);
    }
}

TEST(beyond_the_room_objects_stay_as_they_were) {
    for (int round = 0; round < 2; round++) {
        int before = deaths(), deferred = 0;
        tally_object *class_ = mortal_class(), *list = tally_list_new(MANY);
        for (int i = 0; i < MANY; i++) {
            tally_object *object = tally_instance_new(class_);
            deferred += tally_defer_count(object);
            check_int(tally_refcount(object), 1);
            append_new(list, object);
        }
        check_int(deferred, counts_per_thread() ? ROOM : 0);
        drop(class_, list);
        check_int(deaths() - before, MANY - deferred);
        collect();
        check_int(deaths() - before, MANY);
    }
}

/* ---- constants ------------------------------------------------------------------- */

TEST(a_constant_is_immortal) {
    tally_object *items[] = {tally_int_new(INT64_C(1) << 40), tally_float_new(1.01)};
    tally_object *constant = tally_tuple_new(items, 2), *real = tally_float_new(1.01),
                 *list = list_of(0, 3);
    tally_object *function = new_function(1);
    int before = ended();
    tally_defer_count(function);
    tally_object *all[] = {constant, real, list, function};
    for (int i = 0; i < 4; i++) {
        tally_immortalize(all[i]);
        tally_immortalize(all[i]);
        check_int(tally_is_immortal(all[i]), 1);
        check(tally_refcount(all[i]) == PTRDIFF_MAX);
        check_int(tally_defer_count(all[i]), 0);
    }
    check_int(tally_is_immortal(items[0]), 1);
    check_int(tally_is_immortal(items[1]), 1);
    drop(items[0], items[1]);
    taker down = {.object = constant, .by = -1};
    run_threads(2, take, &down, 0);
    check_int(tally_list_append(list, real), 0);
    collect();
    check_int(tally_int_value(items[0]), INT64_C(1) << 40);
    check_int(tally_list_length(list), 5);
    check_int(ended(), before);
    /* The place that the immortal one had is another's. */
    tally_object *next = new_function(0);
    check_int(tally_defer_count(next), counts_per_thread());
    counts_of(next);
    tally_decref(next);
    collect();
    check_int(ended(), before + 1);
}

static tally_object *eternal;
static void become_eternal(tally_object *self) {
    eternal = self;
    tally_immortalize(self);
}
static void defer_self(tally_object *self) {
    tally_incref(self);
    eternal = self;
    check_int(tally_defer_count(self), counts_per_thread());
}

/* Its last reference is gone, and it lives for ever all the same. */
TEST(a_finalizer_makes_its_object_immortal) {
    static const char *const slots[] = {"a", "__weakref__", NULL};
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){.name = "Eternal", .slots = slots, .finalize = become_eternal});
    tally_object *object = tally_instance_new(class_),
                 *weak = tally_weakref_new(object, NULL, NULL), *number = tally_int_new(1 << 20);
    check_int(tally_slot_set(object, 0, number), 0);
    tally_decref(object);
    check(eternal == object);
    check_int(tally_is_immortal(object), 1);
    tally_object *got = tally_weakref_get(weak);
    check(got == object);
    tally_xdecref(got);
    check_is(tally_slot_get(object, 0), number);
    collect();
    tally_incref(object);
    drop(object, object);
    check_int(tally_is_immortal(object), 1);
    /* What it holds is let go by hand, since it never is. */
    check_int(tally_slot_set(object, 0, tally_none), 0);
    check_int(tally_refcount(number), 1);
    drop(number, weak);
    tally_immortalize(class_);
}

TEST(a_finalizer_resurrects_and_defers_its_object) {
    tally_object *class_ = class_finalized("Deferred", defer_self);
    tally_object *object = tally_instance_new(class_);
    tally_decref(object);
    check(eternal == object);
    check_int(tally_refcount(object), 1);
    collect();
    check_int(tally_refcount(object), 1);
    check_int(tally_gc_is_tracked(object), 1);
    drop(object, class_);
    collect();
}

static tally_object *looked_at;
static void look_at_type(void *unused) {
    tally_object *name = text("attribute");
    check(tally_sizeof(looked_at) > 0);
    check(tally_get_attr(looked_at, name) == NULL);
    tally_error_clear();
    tally_decref(name);
}

/* Types that are no classes are immortal, and of no thread, from birth. */
TEST(any_thread_locks_a_type) {
    looked_at = tally_type_new(&(tally_type_spec){.name = "native", .size = 8});
    look_at_type(NULL);
    run_threads(2, look_at_type, NULL, 0);
    looked_at = tally_type_of(tally_none);
    run_threads(2, look_at_type, NULL, 0);
}

TEST(constants_in_a_constant_are_immortal_to_a_bound) {
    tally_object *innermost = tally_float_new(1.5), *outermost = innermost,
                 *items[2 * TALLY_CONSTANT_DEPTH];
    for (int i = 0; i < 2 * TALLY_CONSTANT_DEPTH; i++) {
        items[i] = tally_tuple_new(&outermost, 1);
        tally_decref(outermost);
        outermost = items[i];
    }
    tally_immortalize(outermost);
    for (int i = 0; i < 2 * TALLY_CONSTANT_DEPTH; i++)
        check_int(tally_is_immortal(items[i]), i >= TALLY_CONSTANT_DEPTH);
    check_int(tally_is_immortal(innermost), 0);
    /* Or they would be alive at the end. */
    tally_immortalize(items[TALLY_CONSTANT_DEPTH - 1]);
    tally_immortalize(innermost);
    check_int(tally_is_immortal(innermost), 1);
}
