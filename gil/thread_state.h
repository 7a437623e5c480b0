/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* thread_state.h: what the GIL and the generational collector keep per thread; its own alone. */
#ifndef TALLY_THREAD_STATE_H
#define TALLY_THREAD_STATE_H

#include <stdint.h>

typedef struct tally_locking_thread {
    uint64_t since;      /* the GIL was taken, or given up, if that is traced */
    unsigned ticks_left; /* of the tick scheme */
} tally_locking_thread;

/* The lists of the collection that the thread is in, by the links of their heads. */
typedef struct tally_collector_thread {
    uint32_t unreachable, seen, still, legacy;
} tally_collector_thread;

#endif
