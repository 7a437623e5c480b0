/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * recheck.c: after finalizers and callbacks have run, finds which unreachable objects they
 * resurrected. The world is stopped; only the objects given are looked at.
 *
 * By trial deletion on the refcounts themselves (Lins 1992; Bacon and Rajan 2001 give the
 * synchronous form): each object given takes its references off its children's refcounts; the
 * external references are left. An object that has some puts its references back, and marks its
 * children. An object that has become immortal lives, and so do its children: it takes nothing off.
 *
 * Invariants:
 *  - Afterwards all refcounts are whole.
 *  - A mark stack that cannot grow leaves the flag PENDING on the object. The stack has room for
 *    some objects at first, so each of those is scanned when its turn comes.
 */
#include "mark.h"

enum { STACK_FIRST = 64 };
typedef struct stack {
    tally_object **at;
    size_t depth, capacity, reached;
    bool overflow;
    tally_object *first[STACK_FIRST];
} stack;

static int32_t instances[TALLY_MAX_TYPES]; /* among the objects given, by class */

/* Not COLLECTING: the objects of other threads' collections have that flag, too. */
bool tally_mark_in_recheck(tally_object *object) {
    return !tally_is_plain_block(object) && tally_flags_of(object) & TALLY_FLAG_RECHECK;
}
static bool is_marked(tally_object *object) { return tally_flags_of(object) & TALLY_FLAG_MARKED; }

static void mark(stack *s, tally_object *object) {
    tally_set_flags(object, tally_flags_of(object) | TALLY_FLAG_MARKED);
    s->reached++;
    if (s->depth == s->capacity) {
        size_t capacity = s->capacity * 8;
        tally_object **at = realloc(s->at == s->first ? NULL : s->at, capacity * sizeof *at);
        if (!at) {
            tally_set_flags(object, tally_flags_of(object) | TALLY_FLAG_PENDING);
            s->overflow = true;
            return;
        }
        if (s->at == s->first) memcpy(at, s->first, sizeof s->first);
        s->at = at;
        s->capacity = capacity;
    }
    s->at[s->depth++] = object;
}

static void subtract(tally_object *child, void *nothing) {
    if (tally_mark_in_recheck(child)) tally_refcount_trial_add(&child->refcount, -1);
}
static void restore(tally_object *child, void *nothing) {
    if (tally_mark_in_recheck(child)) tally_refcount_trial_add(&child->refcount, 1);
}
static void restore_and_mark(tally_object *child, void *s) {
    if (!tally_mark_in_recheck(child)) return;
    tally_refcount_trial_add(&child->refcount, 1);
    if (!is_marked(child)) mark(s, child);
}

static void mark_all_from(stack *s, tally_object *object) {
    mark(s, object);
    while (s->depth) {
        object = s->at[--s->depth];
        tally_type *type = tally_type_entry(object);
        if (type->class_ && tally_mark_in_recheck(type->object) && !is_marked(type->object))
            mark(s, type->object);
        tally_children(object, type, restore_and_mark, s);
    }
}

static bool is_external(tally_object *object) {
    ptrdiff_t counted =
        object->type == TALLY_TYPE_TYPE ? instances[((tally_type_object *)object)->index] : 0;
    return tally_external_references(object, counted) != 1; /* 1: the caller's */
}

size_t tally_mark_recheck(tally_object **objects, size_t count) {
    stack s;
    s.at = s.first;
    s.depth = s.reached = 0;
    s.capacity = STACK_FIRST;
    s.overflow = false;
    memset(instances, 0, tally_types_used() * sizeof instances[0]);
    for (size_t i = 0; i < count; i++) {
        bool immortal = tally_refcount_is_immortal(&objects[i]->refcount);
        uint8_t flags = tally_flags_of(objects[i]);
        tally_set_flags(objects[i], immortal ? flags | TALLY_FLAG_MARKED
                                             : (flags & ~TALLY_FLAG_MARKED) | TALLY_FLAG_RECHECK);
        s.reached += immortal;
    }
    for (size_t i = 0; i < count; i++) {
        if (!tally_mark_in_recheck(objects[i])) continue;
        tally_type *type = tally_type_entry(objects[i]);
        if (type->class_) instances[objects[i]->type]++;
        tally_children(objects[i], type, subtract, NULL);
    }
    for (size_t i = 0; i < count; i++)
        if (!is_marked(objects[i]) && is_external(objects[i])) mark_all_from(&s, objects[i]);
    while (s.overflow) {
        s.overflow = false;
        for (size_t i = 0; i < count; i++) {
            uint8_t flags = tally_flags_of(objects[i]);
            if (!(flags & TALLY_FLAG_PENDING)) continue;
            tally_set_flags(objects[i], flags & ~(TALLY_FLAG_PENDING | TALLY_FLAG_MARKED));
            s.reached--;
            mark_all_from(&s, objects[i]);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!is_marked(objects[i]))
            tally_children(objects[i], tally_type_entry(objects[i]), restore, NULL);
    if (s.at != s.first) free(s.at);
    return s.reached;
}

void tally_mark_recheck_end(tally_object **objects, size_t count) {
    for (size_t i = 0; i < count; i++)
        tally_set_flags(objects[i], tally_flags_of(objects[i]) & ~TALLY_FLAG_RECHECK);
}
