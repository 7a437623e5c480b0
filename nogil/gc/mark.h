/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mark.h: how the collector finds unreachable objects: mark.c, recheck.c. The world is stopped. */
#ifndef TALLY_MARK_H
#define TALLY_MARK_H

#include "gc/collector.h"

/* blocks: containers in use, tracked or not. */
typedef struct tally_found {
    size_t examined, reached, blocks;
    unsigned helpers;
} tally_found;

static inline uint8_t tally_flags_of(tally_object *object) {
    return tally_load_relaxed(&object->flags);
}
static inline void tally_set_flags(tally_object *object, uint8_t flags) {
    tally_store_relaxed(&object->flags, flags);
}
static inline bool tally_is_candidate(uint8_t flags) {
    return (flags & (TALLY_FLAG_TRACKED | TALLY_FLAG_FROZEN)) == TALLY_FLAG_TRACKED;
}

/* counted: references that were found, with those of instances to their class. */
static inline ptrdiff_t tally_external_references(tally_object *object, ptrdiff_t counted) {
    ptrdiff_t left = tally_refcount_total(&object->refcount) - counted;
    if (TALLY_UNLIKELY(object->type == TALLY_TYPE_TYPE ||
                       tally_refcount_per_thread_index(&object->refcount)))
        left += tally_class_instances(object);
    if (TALLY_UNLIKELY(left < 0))
        tally_fatal(object, "more references to an object were visited than it has: "
                            "a traverse function is wrong");
    return left;
}

/* The last collection examined so few objects that the next one asks for no help. */
bool tally_mark_is_short(void);
/* Examines all tracked objects that are not frozen, by no more threads than there are processors.
 * Afterwards tally_mark_reached tells, until the world runs. */
void tally_mark_all(unsigned processors, tally_found *found);
enum { TALLY_SIDE_MARK_REACHED = 0xff };
static inline bool tally_mark_reached(tally_object *object) {
    return tally_side_mark_load(tally_side_mark_of(tally_side_marks, 0, object)) ==
           TALLY_SIDE_MARK_REACHED;
}
/* After that no collection has marked. Where owners collect their young, all objects are old. */
void tally_mark_end(void);
/* The object, and what it reaches, counts as reached from now on. */
void tally_mark_more(tally_object *object);
/*
 * Examines only the objects given, each held once by the caller. Afterwards those that have other
 * external references, or are reached from such, have the flag MARKED. Returns how many. Until
 * tally_mark_recheck_end, before the world runs, tally_mark_in_recheck tells whether an object is
 * one of those given and was not immortal.
 */
size_t tally_mark_recheck(tally_object **objects, size_t count);
bool tally_mark_in_recheck(tally_object *object);
void tally_mark_recheck_end(tally_object **objects, size_t count);

#endif
