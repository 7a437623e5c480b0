/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collector.h: what a cycle collector provides; gc/collector.h has what all of them share.
 *
 * The collector's track.h comes first. The compiler checks what it defines inline against the
 * prototypes below.
 */
#ifndef TALLY_CONTRACT_COLLECTOR_H
#define TALLY_CONTRACT_COLLECTOR_H

#include "track.h"

/* By the maker of a container, and by the thread that deallocs it. retrack: a dead object whose
 * finalizer may bring it back. */
extern void tally_track(void *object);
extern void tally_untrack(tally_object *object);
extern void tally_retrack(tally_object *object);
/* Before a container is allocated: may collect. A container's memory is given back. */
extern void tally_collector_birth(void);
extern void tally_collector_death(void);

extern int tally_collector_start(void); /* 0, or -1 and an error */
extern void tally_collector_end(void);
/* The thread ends; the thread-list lock is held. */
extern void tally_collector_detach(tally_thread_state *thread);
/* Before a collection; false: there is no memory for one beside another's. */
extern bool tally_collector_begin(void);
/* The collection; the objects found, or -1 and an error. */
extern ptrdiff_t tally_collector_run(int generation, tally_gc_info *info);
/* Visits the tracked objects of the generation but for the frozen; -1: all, the frozen, too. Not
 * what a collection under way has found. World stopped. */
extern void tally_collector_each(int generation, void (*visit)(tally_object *object, void *context),
                                 void *context);
/* World stopped. */
extern void tally_collector_freeze(void);
extern void tally_collector_unfreeze(void);
extern size_t tally_collector_frozen(void);
extern void tally_collector_count(int counts[3]); /* as tally_gc_get_count */
extern void tally_collector_settings(void);       /* thresholds or enabled have changed */
/* The caller's next allocation of a container looks whether a collection is due: also a full one,
 * if tally_memory_due(). Each full collection calls tally_memory_collected() (memory/memory.h). */
extern void tally_collector_nudge(void);

#endif
