/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contention.h: which objects threads contend for, by type, owner and the place that made them.
 * Only slow paths count, in a small table per thread. The place is known only in a build with
 * TALLY_COUNT_EVENTS, where each birth notes its caller beside the region of small objects.
 *
 * Invariant: a thread writes its own table, while it runs; a thread that reads tables has stopped
 * the world.
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

/* The caller is attached and keeps the object alive, by a reference or a lock. */
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
