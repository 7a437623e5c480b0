/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace.h: a timeline of what threads do: who holds the GIL and who waits for it,
 * safepoints that took time, blocking regions, stops of the world, collections.
 * Recorded on slow paths only; off, it costs a load and a jump there.
 *
 * Invariant: a thread writes its own ring, while it runs; who writes the file has
 * stopped the world.
 */
#ifndef TALLY_TRACE_H
#define TALLY_TRACE_H

#include "tally.h"

typedef struct tally_trace_event {
    const char *name;    /* static */
    uint64_t begin, end; /* CLOCK_MONOTONIC, nanoseconds */
} tally_trace_event;

typedef struct tally_trace_ring {
    size_t capacity, written; /* the last `capacity` events are kept */
    tally_trace_event events[];
} tally_trace_ring;

extern _Atomic bool tally_tracing;
uint64_t tally_now(void); /* CLOCK_MONOTONIC, nanoseconds */
void tally_trace_add(const char *name, uint64_t begin, uint64_t end);

/* 0: nothing is recorded. */
static inline uint64_t tally_trace_begin(void) {
    return TALLY_UNLIKELY(atomic_load_explicit(&tally_tracing, memory_order_relaxed)) ? tally_now() : 0;
}
static inline void tally_trace_end(const char *name, uint64_t begin) {
    if (TALLY_UNLIKELY(begin)) tally_trace_add(name, begin, tally_now());
}
void tally_trace_end_all(void); /* of the run time: forgets everything */

#endif
