/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* reclaim_internal.h: what grace_period.c offers to retire.c. */
#ifndef TALLY_RECLAIM_INTERNAL_H
#define TALLY_RECLAIM_INTERNAL_H

#include "internal.h"

/* Memory that waits for one grace period; made by retire.c. */
typedef struct tally_batch {
    struct tally_batch *next;
    tally_retired *first;
    tally_dead_list dead; /* objects that were borrowable */
    tally_waiting about;
    uint64_t tick; /* of the clock; 0: a grace period has passed */
} tally_batch;

/* Batches not freed yet, and threads that wait for a grace period themselves. While it is not 0
 * every safepoint takes the slow path. */
extern _Atomic size_t tally_grace_periods_under_way;
/* Sends all running threads to the slow path of their next safepoint; after the count. */
void tally_grace_period_announce(void);

void tally_grace_period_queue(tally_batch *batch); /* is the calling thread's from now on */
/* To be freed: the caller's batches, and of those left by other threads. */
tally_batch *tally_grace_period_take_expired(tally_thread_state *thread);
/* World stopped: a grace period has passed for the list; for the batches of all threads. */
void tally_grace_period_expire(tally_batch *first);
void tally_grace_period_expire_all(void);
/* World stopped, or no thread attached: those left by threads that went offline. */
const tally_batch *tally_grace_period_left(void);
tally_batch *tally_grace_period_take_all(void);
/* This thread waits for a grace period; what it says it is doing meanwhile is a wait. */
void tally_grace_period_wait(tally_thread_state *thread);

/* The calling thread holds no lock-free reference. */
void tally_grace_period_quiescent(tally_thread_state *thread);
void tally_grace_period_detach(tally_thread_state *thread);

#endif
