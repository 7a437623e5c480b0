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
    size_t bytes;
} tally_batch;

/* Batches not freed yet, and threads that wait for a grace period themselves. While it is not 0
 * every safepoint takes the slow path. */
extern _Atomic size_t tally_grace_periods_under_way;
/* Sends all running threads to the slow path of their next safepoint; after the count. */
void tally_grace_period_announce(void);

/* There is a thread that waits for grace periods; false only in the child of a fork. */
bool tally_grace_period_has_thread(void);
bool tally_grace_period_is_forked(void); /* no thread yet in the child of a fork */
void tally_grace_period_queue(tally_batch *batch);
void tally_grace_period_expire(tally_batch *first); /* a grace period has passed for the list */
void tally_grace_period_expire_queue(void);         /* the same for all batches that wait */
tally_batch *tally_grace_period_take_expired(void); /* all of them, to be freed */
/* World stopped. All batches there are, until lists_end: those that wait for the next grace period,
 * for one under way, and expired ones. */
enum { TALLY_BATCH_LISTS = 3 };
void tally_grace_period_lists(const tally_batch *lists[TALLY_BATCH_LISTS]);
void tally_grace_period_lists_end(void);
/* This thread waits for a grace period; what it says it is doing meanwhile is a wait. */
void tally_grace_period_wait(tally_thread_state *thread);
void tally_grace_period_wait_for_queue(void); /* until no batch waits */

void tally_grace_period_quiescent(void); /* this thread holds no lock-free reference */
void tally_grace_period_detach(void);
void tally_grace_period_end(void);

#endif
