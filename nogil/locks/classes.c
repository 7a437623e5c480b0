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

static int counts_allocate(tally_thread_state *thread) {
    thread->class_counts = calloc(TALLY_MAX_TYPES, sizeof *thread->class_counts); /* touched only where used */
    return thread->class_counts ? 0 : tally_no_memory();
}

int tally_class_incref(tally_object *class_) {
    tally_thread_state *thread = tally_thread_current();
    if (TALLY_UNLIKELY(!thread->class_counts) && counts_allocate(thread) < 0) return -1;
    thread->class_counts[((tally_type_object *)class_)->index]++;
    return 0;
}

void tally_class_decref(tally_object *class_) {
    tally_thread_state *thread = tally_thread_current();
    uint16_t index = ((tally_type_object *)class_)->index;
    if (TALLY_LIKELY(thread->class_counts != NULL)) { thread->class_counts[index]--; return; }
    if (counts_allocate(thread) == 0) { thread->class_counts[index]--; return; }
    /* No memory for a table of its own: another thread's, while that one stands still. */
    tally_error_clear();
    tally_world_stop();
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++)
        if (tally_thread_slot(id)->class_counts) { tally_thread_slot(id)->class_counts[index]--; break; }
    tally_world_start();
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the table's */
    /* relaxed: only says when it is time to look */
    if (atomic_fetch_add_explicit(&born, 1, memory_order_relaxed) + 1 >= atomic_load_explicit(&sweep_at, memory_order_relaxed)) tally_classes_sweep();
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    if (atomic_load_explicit(&object->flags, memory_order_relaxed) & TALLY_FLAG_FINALIZED) return false;
    if (object->type != TALLY_TYPE_TYPE || tally_is_immortal(object) || tally_refcount(object) != 1) return false;
    uint16_t index = ((tally_type_object *)object)->index;
    if (!tally_types[index].class_) return false;
    int64_t instances = 0;
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++)
        if (tally_thread_slot(id)->class_counts) instances += tally_thread_slot(id)->class_counts[index];
    return instances == 0;
}

typedef struct sweep { tally_object *unused[64]; size_t count, classes; } sweep;

static void sweep_visit(tally_object *object, void *context) {
    sweep *s = context;
    if (object->type != TALLY_TYPE_TYPE || tally_is_immortal(object)) return;
    s->classes++;
    if (s->count < sizeof s->unused / sizeof *s->unused && tally_class_is_unused(object)) {
        atomic_store_explicit(&object->flags, TALLY_FLAG_FINALIZED, memory_order_relaxed);
        s->unused[s->count++] = object;
    }
}

size_t tally_classes_sweep(void) {
    size_t freed = 0;
    sweep s;
    do {
        s.count = s.classes = 0;
        tally_world_stop();
        tally_memory_each_object(TALLY_CONTAINERS, sweep_visit, &s);
        tally_world_start();
        for (size_t i = 0; i < s.count; i++) tally_decref(s.unused[i]);
        freed += s.count;
    } while (s.count == sizeof s.unused / sizeof *s.unused);
    atomic_store_explicit(&born, s.classes - s.count, memory_order_relaxed);
    atomic_store_explicit(&sweep_at, 2 * (s.classes - s.count) + FIRST_SWEEP, memory_order_relaxed);
    return freed;
}
