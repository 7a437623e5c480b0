/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classes.c: the references of instances to their classes, counted in a table of
 * each thread, so that a class is no contended cache line.
 *
 * A thread's entry may be negative (it dropped instances that another made); the
 * sum over the threads is the number of instances, exact while the world is
 * stopped. The table of types holds one reference to each class, so a class
 * never dies by its count alone; a sweep drops it when nothing else is left:
 * then nobody has a way to the class, so this cannot change meanwhile.
 */
#include "backend.h"

enum { FIRST_SWEEP = 64 };
static _Atomic size_t born, sweep_at = FIRST_SWEEP;

static uint16_t class_index(tally_object *class_) { return ((tally_type_object *)class_)->index; }

static _Atomic int32_t *counts_allocate(tally_thread_state *thread) {
    _Atomic int32_t *counts = calloc(TALLY_MAX_TYPES, sizeof *counts); /* touched only where used */
    /* release: pairs with instances_of */
    atomic_store_explicit(&thread->class_counts, counts, memory_order_release);
    if (!counts) tally_no_memory();
    return counts;
}

int tally_class_incref_slow(tally_object *class_) {
    tally_thread_state *thread = tally_thread_current();
    return counts_allocate(thread) && tally_class_count(&thread->class_counts, class_index(class_), 1) ? 0 : -1;
}

void tally_class_decref_slow(tally_object *class_) {
    tally_thread_state *thread = tally_thread_current();
    if (counts_allocate(thread)) { tally_class_count(&thread->class_counts, class_index(class_), -1); return; }
    /* No memory for a table of its own: another thread's, while that one stands still. */
    tally_error_clear();
    tally_world_stop();
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++)
        if (tally_class_count(&tally_thread_slot(id)->class_counts, class_index(class_), -1)) break;
    tally_world_start();
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the table's */
    /* relaxed: only says when it is time to look */
    if (atomic_fetch_add_explicit(&born, 1, memory_order_relaxed) + 1 >= atomic_load_explicit(&sweep_at, memory_order_relaxed)) tally_classes_sweep();
}

/* Read while threads run it is a snapshot; each thread's entry is its own to write. */
static int64_t instances_of(uint16_t index) {
    int64_t instances = 0;
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_acquire); id++) {
        /* acquire: pairs with the release of counts_allocate */
        _Atomic int32_t *counts = atomic_load_explicit(&tally_thread_slot(id)->class_counts, memory_order_acquire);
        if (counts) instances += atomic_load_explicit(&counts[index], memory_order_relaxed);
    }
    return instances;
}

static bool is_class(tally_object *object) {
    return object->type == TALLY_TYPE_TYPE && tally_types[((tally_type_object *)object)->index].class_;
}

/* Less the table's own reference. */
ptrdiff_t tally_class_instances(tally_object *object) {
    return is_class(object) ? (ptrdiff_t)instances_of(((tally_type_object *)object)->index) - 1 : 0;
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    return is_class(object) && !(atomic_load_explicit(&object->flags, memory_order_relaxed) & TALLY_FLAG_FINALIZED) && tally_refcount(object) == 0;
}

typedef struct sweep { tally_object *unused[64]; size_t count, classes; tally_weakref *calls; } sweep;

static void sweep_visit(tally_object *object, void *context) {
    sweep *s = context;
    if (object->type != TALLY_TYPE_TYPE || tally_is_immortal(object)) return;
    s->classes++;
    if (s->count < sizeof s->unused / sizeof *s->unused && tally_class_is_unused(object)) {
        /* A weak reference could bring it back after this look. */
        tally_weakrefs_clear(object, &s->calls, NULL);
        /* Its last reference may wait in a merge queue: no collection is to find it meanwhile. */
        if (tally_is_tracked(object)) tally_untrack(object);
        atomic_fetch_or_explicit(&object->flags, TALLY_FLAG_FINALIZED, memory_order_relaxed);
        s->unused[s->count++] = object;
    }
}

size_t tally_classes_sweep(void) {
    size_t freed = 0;
    sweep s;
    do {
        s = (sweep){ 0 };
        tally_world_stop();
        tally_memory_each_object(TALLY_CONTAINERS, sweep_visit, &s);
        tally_world_start();
        tally_weakrefs_call(s.calls);
        for (size_t i = 0; i < s.count; i++) tally_decref(s.unused[i]);
        freed += s.count;
    } while (s.count == sizeof s.unused / sizeof *s.unused);
    atomic_store_explicit(&born, s.classes - s.count, memory_order_relaxed);
    atomic_store_explicit(&sweep_at, 2 * (s.classes - s.count) + FIRST_SWEEP, memory_order_relaxed);
    return freed;
}
