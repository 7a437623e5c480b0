/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freeing.c: structures a million deep are freed with a small C stack, whether the run time or a
 * program's code drops the objects inside. Every test drops one in a thread that has 128 KiB.
 */
#include "cycles.h"

enum { DEPTH = SUITE_LONG(1000000) };

static tally_object *mortal;

typedef struct job {
    wrap_function *wrap;
    tally_object *made; /* by another thread; NULL: the thread makes it */
} job;

static tally_object *nest(wrap_function *wrap) {
    tally_object *object = tally_instance_new(mortal);
    for (int i = 0; i < DEPTH; i++) object = wrap(object);
    return object;
}

static void drop_it(void *argument) {
    job *work = argument;
    tally_object *object = work->made ? work->made : nest(work->wrap);
    check_int(deaths(), 0);
    tally_decref(object);
    /* What this thread owns is freed at once. */
    if (!work->made) check_int(deaths(), 1);
}

static void dies_flat(job work) {
    forget_deaths();
    run_with_a_small_stack(128, drop_it, &work);
    check(wait_for(&suite_deaths, 1));
}

/* A native object holds one. */
static void native_clear(tally_object *self) {
    tally_object **data = tally_object_data(self), *inner = *data;
    *data = NULL;
    tally_xdecref(inner);
}

/* ---- what a program's code drops as the object around it dies ---- */

static tally_object *finalizing_class, *dropping, *finalized_native, *weak;

static void empty_slot(tally_object *self) { check_int(tally_slot_set(self, 0, NULL), 0); }

static tally_object *in_finalized_slot(tally_object *inner) {
    tally_object *object = tally_instance_new(finalizing_class);
    tally_slot_set(object, 0, inner);
    tally_decref(inner);
    return object;
}

static tally_object *in_native_of(tally_object *type, tally_object *inner) {
    tally_object *object = tally_object_new(type, 0);
    *(tally_object **)tally_object_data(object) = inner;
    return object;
}

/* Not containers: the collector knows nothing of what they hold. */
static tally_object *in_dealloc(tally_object *inner) { return in_native_of(dropping, inner); }
static tally_object *in_native_finalizer(tally_object *inner) {
    return in_native_of(finalized_native, inner);
}

/* The inner one is held by the context of a callback for the outer one. */
static void drop_context(tally_object *reference, void *context) { tally_decref(context); }
static tally_object *references;
static tally_object *in_callback(tally_object *inner) {
    tally_object *object = tally_instance_new(weak);
    append_new(references, tally_weakref_new(object, drop_context, inner));
    return object;
}

static tally_object *in_turn(tally_object *inner) {
    static wrap_function *const wraps[] = {in_list,           in_tuple,     in_dict,
                                           in_slot,           in_attribute, in_node,
                                           in_finalized_slot, in_dealloc,   in_native_finalizer,
                                           in_callback};
    static int turn;
    return wraps[turn++ % (int)(sizeof wraps / sizeof *wraps)](inner);
}

static void begin(void) {
    static const char *const slots[] = {"next", NULL}, *const weak_slot[] = {"__weakref__", NULL};
    begin_cycles();
    tally_gc_enable();
    mortal = mortal_class();
    finalizing_class = tally_class_new(
        &(tally_class_spec){.name = "Finalized", .slots = slots, .finalize = empty_slot});
    weak = tally_class_new(&(tally_class_spec){.name = "Weak", .slots = weak_slot});
    dropping = tally_type_new(&(tally_type_spec){
        .name = "dropping", .size = sizeof(tally_object *), .dealloc = native_clear});
    finalized_native = tally_type_new(&(tally_type_spec){
        .name = "finalized", .size = sizeof(tally_object *), .finalize = native_clear});
    references = tally_list_new(0);
}

static void end(void) {
    drop(mortal, finalizing_class, weak, dropping, finalized_native, references);
    end_cycles();
}

static void (*scene)(void);
static void play(void) {
    begin();
    scene();
    end();
}
static void run_with_kinds(void (*body)(void)) {
    scene = body;
    suite_run(play);
}
#define FREEING_TEST(name) RUNNER_TEST(name, NULL, run_with_kinds)

#define DEEP(name, wrap)                                                               \
    FREEING_TEST(a_million_nested_##name##_die_flat) { dies_flat((job){wrap, NULL}); } \
    FREEING_TEST(a_million_nested_##name##_of_another_thread_die_flat) {               \
        dies_flat((job){wrap, nest(wrap)});                                            \
    }

DEEP(lists, in_list)
DEEP(tuples, in_tuple)
DEEP(dicts, in_dict)
DEEP(slot_instances, in_slot)
DEEP(dict_instances, in_attribute)
DEEP(native_objects, in_node)
DEEP(objects_that_finalizers_drop, in_finalized_slot)
DEEP(objects_that_a_dealloc_drops, in_dealloc)
DEEP(objects_that_native_finalizers_drop, in_native_finalizer)
DEEP(objects_that_callbacks_drop, in_callback)
DEEP(objects_in_turn, in_turn)

FREEING_TEST(a_list_of_a_million_objects_frees_them_all) {
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < DEPTH; i++) append_new(list, tally_instance_new(mortal));
    tally_decref(list);
    check_int(deaths(), DEPTH);
}

FREEING_TEST(an_object_is_freed_at_once_with_what_it_held) {
    tally_object *inner = tally_instance_new(mortal), *list = in_list(inner), *dict = in_dict(list);
    check_int(deaths(), 0);
    tally_decref(dict);
    check_int(deaths(), 1);
}

/* Down to some depth, what a finalizer drops has died when the finalizer goes on. */
static void empty_slot_and_look(tally_object *self) {
    int before = deaths();
    empty_slot(self);
    check_int(deaths(), before + 1);
}

FREEING_TEST(what_a_finalizer_drops_dies_in_it) {
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
}

/* A ring of a million, whose finalizers each empty their slot. */
static void collect_it(void *unused) { check(tally_gc_collect(2) > 0); }
FREEING_TEST(a_ring_whose_finalizers_open_it_dies_flat) {
    tally_gc_disable();
    tally_object *first = tally_instance_new(finalizing_class), *last = first,
                 *inner = tally_instance_new(mortal);
    tally_incref(first);
    for (int i = 0; i < DEPTH; i++) {
        tally_object *next = tally_instance_new(finalizing_class);
        tally_slot_set(last, 0, next);
        tally_decref(last);
        last = next;
    }
    tally_object *both = pair(first, inner);
    tally_slot_set(last, 0, both);
    drop(both, inner, last, first);
    run_with_a_small_stack(128, collect_it, NULL);
    check_int(deaths(), 1);
    tally_gc_enable();
}

static tally_object *deep_slot;

static void drop_deep(tally_object *self) {
    suite_count_death(self);
    tally_object *deep = deep_slot;
    deep_slot = NULL;
    tally_xdecref(deep);
}

FREEING_TEST(a_finalizer_may_drop_a_deep_structure) {
    tally_object *class = class_finalized("Dropper", drop_deep);
    deep_slot = nest(in_list);
    tally_object *object = tally_instance_new(class), *list = in_list(object);
    tally_decref(list);
    check_int(deaths(), 2);
    tally_decref(class);
}
