/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace.h: a timeline of what threads do: who holds the GIL and who waits for it,
 * safepoints that took time, blocking regions, stops of the world, collections.
 * Recorded on slow paths only; off, it costs a load and a jump there.
 *
 * Invariants: a thread writes its own ring, while it runs; who takes the rings has
 * stopped the world. Of two events on a track one holds the other, or they are apart.
 */
#ifndef TALLY_TRACE_H
#define TALLY_TRACE_H

#include "tally.h"
#include <time.h>

/* A thread's own, and those that all share because one thread at a time is on them. */
enum { TALLY_TRACK_THREAD, TALLY_TRACK_GIL, TALLY_TRACK_WORLD, TALLY_TRACKS };

typedef struct tally_trace_event {
    const char *name;    /* static */
    uint64_t begin, end; /* CLOCK_MONOTONIC, nanoseconds */
    unsigned track;
} tally_trace_event;

typedef struct tally_trace_ring {
    struct tally_trace_ring *next; /* of those that are taken */
    uint32_t thread;
    size_t capacity, written; /* the last `capacity` events are kept */
    tally_trace_event events[];
} tally_trace_ring;

extern _Atomic bool tally_tracing;
uint64_t tally_now(void); /* CLOCK_MONOTONIC, nanoseconds */
static inline struct timespec tally_deadline(uint64_t ns) {
    uint64_t until = tally_now() + ns;
    return (struct timespec){(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
}
void tally_trace_add(unsigned track, const char *name, uint64_t begin, uint64_t end);

/* 0: nothing is recorded. */
static inline uint64_t tally_trace_begin(void) {
    return TALLY_UNLIKELY(tally_load_relaxed(&tally_tracing)) ? tally_now() : 0;
}
static inline void tally_trace_end(unsigned track, const char *name, uint64_t begin) {
    if (TALLY_UNLIKELY(begin)) tally_trace_add(track, name, begin, tally_now());
}
void tally_trace_end_all(void); /* of the run time: forgets everything */

#endif
