/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queues.h: what a heap snapshot tells of queues: what waits in which one, for which thread, since
 * when. docs/reference/heap-snapshot.md has the order.
 */
#ifndef TALLY_QUEUES_H
#define TALLY_QUEUES_H

#include <stdint.h>

/* World stopped. Calls put for each number. */
void tally_queues_put(void (*put)(void *context, uint64_t number), void *context);

#endif
