/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.c: the check of the whole heap, and the report of leaks.
 *
 * The check counts, per object, the references that it finds in other objects, with the world
 * stopped. A refcount that is lower means that the program dropped a reference that it did not
 * hold, wrote over the refcount, or has a traverse function that visits what its object does not
 * hold. A
 * refcount that is higher means nothing: a thread may hold the others.
 */
#include "debug/debug.h"

#ifdef TALLY_DEBUG
#    include "gc/collector.h"
#    include "memory/arena.h"

/* ---- every block ----------------------------------------------------------- */

static void each_block(unsigned kind, void (*visit)(tally_object *)) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, kind));)
        for (char *block = at.first; block < pool->bump; block += pool->block_size)
            if (tally_load_relaxed(&tally_debug_block_record(block)->state) == TALLY_DEBUG_LIVE)
                visit((tally_object *)block);
    tally_large_walk large_at = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large_at, kind));)
        if (tally_load_relaxed(&tally_large_debug_record(object)->state) == TALLY_DEBUG_LIVE)
            visit(object);
}
static _Atomic size_t objects; /* seen by the last check */
static void check_block(tally_object *block) { tally_debug_check_block(block); }

/* An object, and not one that dies or is being made. */
static bool is_object(tally_object *object, const tally_debug_record *record) {
    return record && record->type && !tally_refcount_is_dead(&object->refcount);
}

static void check_header(tally_object *object) {
    tally_debug_record *record = tally_debug_record_of(object);
    if (!record) return;
    record->found = 0;
    tally_add_relaxed(&objects, 1);
    if (record->type && (record->type != object->type || !tally_types[object->type].name))
        tally_fatal(object, "the header of an object was overwritten");
}

/* ---- references ------------------------------------------------------------- */

static tally_object *parent; /* whose children are being visited */

static _Noreturn void bad_child(tally_object *child, const char *what) {
    tally_type *type = tally_type_entry(parent);
    fprintf(stderr, "tally: object %p of type %s refers to the next object\n", (void *)parent,
            type->name);
    tally_fatal(child, what);
}
static void count_child(tally_object *child, void *unused) {
    tally_debug_record *record = tally_debug_record_of(child);
    if (!record) return;
    uint8_t state = tally_load_relaxed(&record->state);
    if (state != TALLY_DEBUG_LIVE || record->kind == TALLY_RAW ||
        tally_refcount_is_dead(&child->refcount))
        bad_child(child, "an object is referred to that is freed");
    record->found++;
}
static void count_children(tally_object *object) {
    if (!is_object(object, tally_debug_record_of(object))) return;
    tally_type *type = tally_type_entry(object);
    parent = object;
    tally_children(object, type, count_child, NULL);
    if (type->class_) count_child(type->object, NULL);
}

enum { MOST_HOLDERS = 4 };
static tally_object *wanted;
static unsigned holders;
static void tell_holder(tally_object *child, void *unused) {
    if (child != wanted || holders++ >= MOST_HOLDERS) return;
    tally_type *type = tally_type_entry(parent);
    fprintf(stderr, "tally: held by object %p of type %s", (void *)parent, type->name);
    if (type->shape == TALLY_SHAPE_NATIVE) {
        fprintf(stderr, ", whose traverse function is\n");
        tally_debug_print_place((const char *)(uintptr_t)type->traverse + 1);
    } else {
        fprintf(stderr, "\n");
    }
}
static void tell_holders(tally_object *object) {
    if (!is_object(object, tally_debug_record_of(object))) return;
    parent = object;
    tally_children(object, tally_type_entry(object), tell_holder, NULL);
}

static void check_count(tally_object *object) {
    tally_debug_record *record = tally_debug_record_of(object);
    if (!is_object(object, record) || tally_refcount_is_immortal(&object->refcount)) return;
    ptrdiff_t count = tally_refcount_total(&object->refcount) + tally_class_instances(object);
    if (count >= (ptrdiff_t)record->found) return;
    wanted = object;
    holders = 0;
    each_block(TALLY_PLAIN, tell_holders);
    each_block(TALLY_CONTAINERS, tell_holders);
    char what[128];
    snprintf(what, sizeof what, "a refcount is %td, but %u references were found", count,
             record->found);
    tally_fatal(object, what);
}

void tally_debug_check(void) {
    tally_thread_require();
    tally_stop_the_world();
    tally_store_relaxed(&objects, 0);
    tally_debug_check_quarantine();
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++) each_block(kind, check_block);
    each_block(TALLY_PLAIN, check_header);
    each_block(TALLY_CONTAINERS, check_header);
    each_block(TALLY_PLAIN, count_children);
    each_block(TALLY_CONTAINERS, count_children);
    each_block(TALLY_PLAIN, check_count);
    each_block(TALLY_CONTAINERS, check_count);
    tally_store_relaxed(&tally_debug_allocations, 0);
    tally_resume_the_world();
}

/* A check of a heap that has hardly changed would make young collections as dear as full ones. */
void tally_debug_collection(bool full) {
    static _Atomic size_t next;
    size_t made = tally_load_relaxed(&tally_debug_allocations);
    if (!full && made < tally_load_relaxed(&next)) return;
    tally_debug_check();
    tally_store_relaxed(&next, tally_load_relaxed(&objects) / 4);
}

/* ---- leaks ------------------------------------------------------------------- */

enum { LEAKS = 64, LEAKS_SHOWN = 10 };
static struct leaks {
    struct {
        size_t count;
        uint16_t type, made;
    } at[LEAKS];
    unsigned used;
    size_t others;
} leaks;

static void note_leak(tally_object *object, void *unused) {
    tally_debug_record *record = tally_debug_record_of(object);
    if (!record || tally_is_immortal(object) || tally_class_is_unused(object)) return;
    unsigned i = 0;
    while (i < leaks.used && (leaks.at[i].type != object->type || leaks.at[i].made != record->made))
        i++;
    if (i == LEAKS) {
        leaks.others++;
        return;
    }
    if (i == leaks.used) {
        leaks.used++;
        leaks.at[i].count = 0;
        leaks.at[i].type = object->type;
        leaks.at[i].made = record->made;
    }
    leaks.at[i].count++;
}

/* By the last thread, before it frees what is left. */
void tally_debug_report_leaks(void) {
    memset(&leaks, 0, sizeof leaks);
    tally_memory_each_object(note_leak, NULL);
    for (unsigned shown = 0; shown < LEAKS_SHOWN && shown < leaks.used; shown++) {
        unsigned most = 0;
        for (unsigned i = 1; i < leaks.used; i++)
            if (leaks.at[i].count > leaks.at[most].count) most = i;
        if (!leaks.at[most].count) return;
        fprintf(stderr, "tally: leak at tally_finish: %zu of type %s\n  made", leaks.at[most].count,
                tally_types[leaks.at[most].type].name);
        tally_debug_print_stack(leaks.at[most].made);
        leaks.at[most].count = 0;
    }
    for (unsigned i = 0; i < leaks.used; i++) leaks.others += leaks.at[i].count;
    if (leaks.others)
        fprintf(stderr, "tally: leak at tally_finish: %zu more objects\n", leaks.others);
}

#else
#    include "contract/collector.h"

void tally_debug_check(void) { tally_thread_require(); }

#endif
