/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The generational collector, as the contract sees it (core/collector/collector.h).
 * generations.c has the algorithm.
 */
#ifndef TALLY_COLLECTOR_H
#define TALLY_COLLECTOR_H

#define TALLY_COLLECTOR_NAME "generational"

typedef struct tally_collector_thread { char nothing[0]; } tally_collector_thread;

#endif
