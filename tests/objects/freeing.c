/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freeing.c: structures a million deep are freed with a small C stack,
 * whoever drops what is inside, the run time or a program's code: every test
 * drops one in a thread that has 128 KiB.
 */
#include "suite.h"

enum { DEPTH = SUITE_LONG(1000000) };

static tally_object *mortal;

typedef tally_object *wrap_function(tally_object *inner);

typedef struct job {
    wrap_function *wrap;
    tally_object *made; /* by another thread; NULL: the thread makes it */
} job;

static tally_object *nest(wrap_function *wrap) {
    tally_object *object = tally_instance_new(mortal);
    for (int i = 0; i < DEPTH; i++) {
        tally_object *outer = wrap(object);
        tally_decref(object);
        object = outer;
    }
    return object;
}

static void *drop_with_a_small_stack(void *argument) {
    job *work = argument;
    check_int(tally_thread_attach(), 0);
    tally_object *object = work->made ? work->made : nest(work->wrap);
    check_int(deaths(), 0);
    tally_decref(object);
    /* What this thread owns is freed at once. */
    if (!work->made) check_int(deaths(), 1);
    tally_thread_detach();
    return NULL;
}

static void dies_flat(job work) {
    forget_deaths();
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    check_int(pthread_attr_setstacksize(&attributes, 128 * 1024), 0);
    check_int(pthread_create(&thread, &attributes, drop_with_a_small_stack, &work), 0);
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
    pthread_attr_destroy(&attributes);
    check(wait_for(&suite_deaths, 1));
}

static tally_object *in_list(tally_object *inner) {
    tally_object *list = tally_list_new(1);
    tally_list_append(list, inner);
    return list;
}

static tally_object *in_dict(tally_object *inner) {
    tally_object *dict = tally_dict_new();
    tally_dict_set(dict, tally_none, inner);
    return dict;
}

static tally_object *slim, *wide, *field;

static tally_object *in_slot(tally_object *inner) {
    tally_object *object = tally_instance_new(slim);
    tally_slot_set(object, 0, inner);
    return object;
}

static tally_object *in_attribute(tally_object *inner) {
    tally_object *object = tally_instance_new(wide);
    tally_set_attr(object, field, inner);
    return object;
}

static tally_object *native;

static void native_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_object **data = tally_object_data(self);
    if (*data) visit(*data, context);
}

static void native_clear(tally_object *self) {
    tally_object **data = tally_object_data(self), *inner = *data;
    *data = NULL;
    tally_xdecref(inner);
}

static tally_object *in_native(tally_object *inner) {
    tally_object *object = tally_object_new(native, 0);
    tally_incref(inner);
    *(tally_object **)tally_object_data(object) = inner;
    return object;
}

/* ---- what a program's code drops as the object around it dies ---- */

static tally_object *finalized, *dropping, *finalized_native, *weak;

static void empty_slot(tally_object *self) { check_int(tally_slot_set(self, 0, NULL), 0); }

static tally_object *in_finalized_slot(tally_object *inner) {
    tally_object *object = tally_instance_new(finalized);
    tally_slot_set(object, 0, inner);
    return object;
}

static tally_object *in_native_of(tally_object *type, tally_object *inner) {
    tally_object *object = tally_object_new(type, 0);
    tally_incref(inner);
    *(tally_object **)tally_object_data(object) = inner;
    return object;
}

/* Not containers: the collector knows nothing of what they hold. */
static tally_object *in_dealloc(tally_object *inner) { return in_native_of(dropping, inner); }
static tally_object *in_native_finalizer(tally_object *inner) {
    return in_native_of(finalized_native, inner);
}

/* The inner one is held by the context of a callback for the outer one. */
static void drop_context(tally_object *reference, void *context) {
    (void)reference;
    tally_decref(context);
}
static tally_object *references;
static tally_object *in_callback(tally_object *inner) {
    tally_object *object = tally_instance_new(weak);
    tally_incref(inner);
    append_new(references, tally_weakref_new(object, drop_context, inner));
    return object;
}

static tally_object *in_turn(tally_object *inner) {
    static wrap_function *const wraps[] = {in_list,           one_tuple,    in_dict,
                                           in_slot,           in_attribute, in_native,
                                           in_finalized_slot, in_dealloc,   in_native_finalizer,
                                           in_callback};
    static int turn;
    return wraps[turn++ % (int)(sizeof wraps / sizeof *wraps)](inner);
}

static void begin(void) {
    static const char *const slots[] = {"next", NULL};
    mortal = mortal_class();
    slim = tally_class_new(&(tally_class_spec){.name = "Slim", .slots = slots});
    wide = class_named("Wide");
    field = text("next");
    native = tally_type_new(&(tally_type_spec){.name = "link",
                                               .size = sizeof(tally_object *),
                                               .flags = TALLY_TYPE_CONTAINER,
                                               .traverse = native_traverse,
                                               .clear = native_clear});
    static const char *const weak_slots[] = {"__weakref__", NULL};
    finalized = tally_class_new(
        &(tally_class_spec){.name = "Finalized", .slots = slots, .finalize = empty_slot});
    weak = tally_class_new(&(tally_class_spec){.name = "Weak", .slots = weak_slots});
    dropping = tally_type_new(&(tally_type_spec){
        .name = "dropping", .size = sizeof(tally_object *), .dealloc = native_clear});
    finalized_native = tally_type_new(&(tally_type_spec){
        .name = "finalized", .size = sizeof(tally_object *), .finalize = native_clear});
    references = tally_list_new(0);
}

static void end(void) {
    drop(mortal, slim, wide, field, native, finalized, weak, dropping, finalized_native,
         references);
}

#define DEEP(name, wrap)                                         \
    TEST(a_million_nested_##name##_die_flat) {                   \
        begin();                                                 \
        dies_flat((job){wrap, NULL});                            \
        end();                                                   \
    }                                                            \
    TEST(a_million_nested_##name##_of_another_thread_die_flat) { \
        begin();                                                 \
        dies_flat((job){wrap, nest(wrap)});                      \
        end();                                                   \
    }

DEEP(lists, in_list)
DEEP(tuples, one_tuple)
DEEP(dicts, in_dict)
DEEP(slot_instances, in_slot)
DEEP(dict_instances, in_attribute)
DEEP(native_objects, in_native)
DEEP(objects_that_finalizers_drop, in_finalized_slot)
DEEP(objects_that_a_dealloc_drops, in_dealloc)
DEEP(objects_that_native_finalizers_drop, in_native_finalizer)
DEEP(objects_that_callbacks_drop, in_callback)
DEEP(objects_in_turn, in_turn)

TEST(a_list_of_a_million_objects_frees_them_all) {
    begin();
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < DEPTH; i++) append_new(list, tally_instance_new(mortal));
    tally_decref(list);
    check_int(deaths(), DEPTH);
    end();
}

TEST(an_object_is_freed_at_once_with_what_it_held) {
    begin();
    tally_object *inner = tally_instance_new(mortal), *list = in_list(inner), *dict = in_dict(list);
    drop(inner, list);
    check_int(deaths(), 0);
    tally_decref(dict);
    check_int(deaths(), 1);
    end();
}

/* Down to some depth, what a finalizer drops has died when the finalizer goes on. */
static void empty_slot_and_look(tally_object *self) {
    int before = deaths();
    empty_slot(self);
    check_int(deaths(), before + 1);
}

TEST(what_a_finalizer_drops_dies_in_it) {
    begin();
    static const char *const slots[] = {"next", NULL};
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){.name = "Looking", .slots = slots, .finalize = empty_slot_and_look});
    tally_object *inner = tally_instance_new(mortal), *outer = inner;
    for (int i = 0; i < 8; i++) {
        outer = tally_instance_new(class_);
        tally_slot_set(outer, 0, inner);
        tally_decref(inner);
        inner = outer;
    }
    tally_decref(outer);
    check_int(deaths(), 1);
    tally_decref(class_);
    end();
}

/* A ring of a million, whose finalizers each empty their slot. */
static void *collect_with_a_small_stack(void *argument) {
    (void)argument;
    check_int(tally_thread_attach(), 0);
    check(tally_gc_collect(2) > 0);
    tally_thread_detach();
    return NULL;
}
TEST(a_ring_whose_finalizers_open_it_dies_flat) {
    begin();
    tally_gc_disable();
    tally_object *first = tally_instance_new(finalized), *last = first,
                 *inner = tally_instance_new(mortal);
    tally_incref(first);
    for (int i = 0; i < DEPTH; i++) {
        tally_object *next = tally_instance_new(finalized);
        tally_slot_set(last, 0, next);
        tally_decref(last);
        last = next;
    }
    tally_object *both = pair(first, inner);
    tally_slot_set(last, 0, both);
    drop(both, inner, last, first);
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, 128 * 1024);
    check_int(pthread_create(&thread, &attributes, collect_with_a_small_stack, NULL), 0);
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
    pthread_attr_destroy(&attributes);
    check_int(deaths(), 1);
    tally_gc_enable();
    end();
}

static tally_object *deep_slot;

static void drop_deep(tally_object *self) {
    suite_count_death(self);
    tally_object *deep = deep_slot;
    deep_slot = NULL;
    tally_xdecref(deep);
}

TEST(a_finalizer_may_drop_a_deep_structure) {
    begin();
    tally_object *class =
        tally_class_new(&(tally_class_spec){.name = "Dropper", .finalize = drop_deep});
    deep_slot = nest(in_list);
    tally_object *object = tally_instance_new(class), *list = in_list(object);
    drop(object, list);
    check_int(deaths(), 2);
    tally_decref(class);
    end();
}
