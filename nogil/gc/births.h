/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* births.h: what collections tell births.c. */
#ifndef TALLY_BIRTHS_H
#define TALLY_BIRTHS_H

#include "track.h"

void tally_births_start(void);
/* World stopped: all counts start anew. */
void tally_births_forget(void);
/* After a full collection, with the world stopped. containers: those alive, tracked or not. */
void tally_births_survive(size_t survivors, size_t containers);
/* Around a collection of the calling thread's young objects. early: objects that got old because
 * other threads may use them. */
void tally_births_begin_young(int generation);
void tally_births_end_young(int generation, size_t survivors, size_t early, bool automatic);

#endif
