/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace.h: a timeline of the threads: which one holds the GIL and which wait for it, safepoints
 * that took time, blocked regions, stops of the world, collections. Only slow paths record; while
 * the timeline is off, they pay a load and a jump.
 *
 * Invariants: a thread writes its own ring, while it runs; a thread that takes rings has stopped
 * the world. Two events on a track are disjoint, or one contains the other.
 */
#ifndef TALLY_TRACE_H
#define TALLY_TRACE_H

#include "tally.h"
#include <time.h>

/* A thread's own track, and those that all threads share, on which one thread is at a time. */
enum { TALLY_TRACK_THREAD, TALLY_TRACK_GIL, TALLY_TRACK_WORLD, TALLY_TRACKS };

typedef struct tally_trace_event {
    const char *name;    /* static */
    uint64_t begin, end; /* CLOCK_MONOTONIC, nanoseconds */
    unsigned track;
    int generation; /* of a collection; -1: it is none */
    size_t examined, collected;
} tally_trace_event;

typedef struct tally_trace_ring {
    /* In the list of take_rings. */
    struct tally_trace_ring *next;
    uint32_t thread;
    size_t capacity, written; /* the last `capacity` events are kept */
    tally_trace_event events[];
} tally_trace_ring;

extern _Atomic bool tally_tracing;
uint64_t tally_now(void); /* CLOCK_MONOTONIC, nanoseconds */
/* The same as of the kernel's last tick, some milliseconds ago: a fifth of the cost. */
uint64_t tally_now_coarse(void);
static inline struct timespec tally_deadline(uint64_t ns) {
    uint64_t until = tally_now() + ns;
    return (struct timespec){(time_t)(until / 1000000000u), (long)(until % 1000000000u)};
}
void tally_trace_add(unsigned track, const char *name, uint64_t begin, uint64_t end);
/* A whole collection, which ends now. */
void tally_trace_add_collection(const tally_gc_info *info);

/* 0: nothing is recorded. */
static inline uint64_t tally_trace_begin(void) {
    return TALLY_UNLIKELY(tally_load_relaxed(&tally_tracing)) ? tally_now() : 0;
}
static inline void tally_trace_end(unsigned track, const char *name, uint64_t begin) {
    if (TALLY_UNLIKELY(begin)) tally_trace_add(track, name, begin, tally_now());
}
void tally_trace_end_all(void); /* at the end of the run time: forgets everything */

#endif
