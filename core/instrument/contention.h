/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contention.h: which objects threads fight over, by type, owner and the place
 * that made them. Counted on slow paths only, in a small table of each thread.
 * Where an object was made is known in a build with TALLY_COUNT_EVENTS alone: there
 * each birth notes its caller beside the region of small objects.
 *
 * Invariant: a thread writes its own table, while it runs; who reads them has
 * stopped the world.
 */
#ifndef TALLY_CONTENTION_H
#define TALLY_CONTENTION_H

#include "tally.h"

enum {
    TALLY_CONTENDED_LOST_CAS,
    TALLY_CONTENDED_LOCK_WAIT,
    TALLY_CONTENDED_HANDOVER,
    TALLY_CONTENDED_REVOCATION,
    TALLY_CONTENDED_MERGE,
    TALLY_CONTENDED_SHARED_COUNT,
    TALLY_CONTENDED_KINDS
};

/* By an attached thread that keeps the object alive: a count or a lock is held. */
void tally_contended(tally_object *object, unsigned kind);

#ifdef TALLY_COUNT_EVENTS
void tally_site_note(tally_object *object, const void *made_by);
#    define TALLY_SITE(object) tally_site_note(object, __builtin_return_address(0))
#else
#    define TALLY_SITE(object) ((void)0)
#endif

void tally_contention_start(void);
void tally_contention_end(void);

#endif
