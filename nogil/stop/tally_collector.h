/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stop-the-world collector, as the contract sees it (core/collector/collector.h).
 * collector.c has the collection, mark.c how the unreachable are found.
 */
#ifndef TALLY_COLLECTOR_H
#define TALLY_COLLECTOR_H

#define TALLY_COLLECTOR_NAME "stop the world"

typedef struct tally_collector_thread {
    int32_t births; /* containers made less freed, not handed over yet; own thread, or the world stands still */
} tally_collector_thread;

#endif
