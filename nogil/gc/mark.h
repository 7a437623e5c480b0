/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mark.h: how the unreachable are found; mark.c explains it. The world is stopped. */
#ifndef TALLY_MARK_H
#define TALLY_MARK_H

#include "gc/collector.h"

/* blocks: of containers, in use, be they tracked or not. */
typedef struct tally_found {
    size_t examined, reached, blocks;
    unsigned helpers;
} tally_found;

bool tally_mark_is_short(
    void); /* so few objects last time that the next collection asks for no help */
/* Examines all tracked objects that are not frozen, by no more threads than there are processors.
 * Afterwards tally_mark_reached tells, until the world runs. */
void tally_mark_all(unsigned processors, tally_found *found);
enum { TALLY_SIDE_MARK_REACHED = 0xff };
static inline bool tally_mark_reached(tally_object *object) {
    return tally_side_mark_load(tally_side_mark_of(tally_side_marks, 0, object)) ==
           TALLY_SIDE_MARK_REACHED;
}
/* The object counts as reached from now on, and what it reaches. */
void tally_mark_more(tally_object *object);
/*
 * Examines the objects given and no others, each held once by the caller. Afterwards those held
 * from outside, or reached from such, have the flag MARKED; all counts are whole. How many are
 * marked. Until tally_mark_recheck_end, before the world runs, tally_mark_in_recheck tells whether
 * an object is one of those given; but of what was immortal already.
 */
size_t tally_mark_recheck(tally_object **objects, size_t count);
bool tally_mark_in_recheck(tally_object *object);
void tally_mark_recheck_end(tally_object **objects, size_t count);

#endif
