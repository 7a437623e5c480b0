/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The generational collector, as the contract sees it (core/gc/collector.h).
 * generations.c has the algorithm.
 */
#ifndef TALLY_COLLECTOR_H
#define TALLY_COLLECTOR_H

#define TALLY_COLLECTOR_NAME "generational"

/* The lists of the collection that the thread is in, by the links of their heads: generations.c;
 * own thread. */
typedef struct tally_collector_thread {
    uint32_t unreachable, seen, still, legacy;
} tally_collector_thread;

#endif
