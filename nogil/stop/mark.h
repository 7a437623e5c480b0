/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* mark.h: how the unreachable are found; mark.c explains it. The world is stopped. */
#ifndef TALLY_MARK_H
#define TALLY_MARK_H

#include "collector/collector.h"

/* blocks: of containers, in use, be they tracked or not. */
typedef struct tally_found { size_t examined, reached, blocks; unsigned helpers; } tally_found;

/* Examines all tracked objects that are not frozen. Afterwards tally_mark_reached tells, until the world runs. */
void tally_mark_all(tally_found *found);
enum { TALLY_NOTE_REACHED = 0xff };
static inline bool tally_mark_reached(tally_object *object) { return tally_note_load(tally_note_of(tally_notes, 0, object)) == TALLY_NOTE_REACHED; }
/* The object counts as reached from now on, and what it reaches. */
void tally_mark_more(tally_object *object);
/* Examines the objects given and no others, each held once by the caller. Afterwards those held from outside, or reached from such, have the
 * flag MARKED; all counts are whole. How many are marked. */
size_t tally_mark_again(tally_object **objects, size_t count);

#endif
