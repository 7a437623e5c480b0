/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaim.h: how memory waits until no reader without a lock can still look at it: one grace
 * period, in which every thread has been at a safepoint or was blocked.
 */
#ifndef TALLY_CONTRACT_RECLAIM_H
#define TALLY_CONTRACT_RECLAIM_H

#include "layout/heap.h"
#include "layout/thread.h"
#include "locking_inline.h"

/* Gives the memory back after a grace period (tally_reclaim); cannot fail. _object: does so to a
 * dead object that was borrowable, by tally_object_free_borrowable. */
extern void tally_retire(tally_retired *node, unsigned what, size_t bytes);
extern void tally_retire_object(tally_object *object, size_t bytes);

/* The caller is to wait at its next safepoint, outside of critical sections, for a grace period. */
extern void tally_reclaim_request_throttle(void);
/* Where foreign code may run: if the caller has retired much, it flushes it, or waits as above.
 * False: it waits already, below on the stack, and is to retire no more until then. */
extern bool tally_reclaim_throttle(void);
/* Bytes that wait for a grace period, now and at most so far. */
extern void tally_reclaim_backlog(size_t *bytes, size_t *most);

/* World stopped. What waits for a grace period, or has not been freed since: memory, and dead
 * objects with their contents. */
typedef struct tally_reclaim_visitor {
    void (*memory)(tally_retired *node, unsigned what, void *context);
    void (*object)(tally_object *object, void *context);
    void *context;
} tally_reclaim_visitor;
extern void tally_reclaim_each(const tally_reclaim_visitor *visitor);

/* World stopped. Retired memory by the list that it is in. A batch is free once no thread lags
 * behind its tick; 0: a grace period has passed. */
extern void tally_reclaim_each_batch(void (*visit)(const tally_waiting *batch, uint64_t tick,
                                                   void *context),
                                     void *context);
/* The thread has been at no quiescent state since the tick, up to the stop of the world. */
extern bool tally_reclaim_lags(tally_thread_state *thread, uint64_t tick);
/* What it has retired and is in no batch yet, whose age is not known; and that with which it waits
 * for a grace period itself. */
extern void tally_reclaim_lists(tally_thread_state *thread, tally_waiting *list,
                                tally_waiting *throttled);

/* ---- without a GIL only ---- */

/* stopped: a grace period has passed for all memory that waits, since the world is stopped. free:
 * frees what has expired, once the world runs. */
extern void tally_reclaim_stopped(void);
extern void tally_reclaim_free(void);

#endif
