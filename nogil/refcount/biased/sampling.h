/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampling.h: what a thread keeps for sampling.c, which has the invariants. */
#ifndef TALLY_SAMPLING_H
#define TALLY_SAMPLING_H

#include "tally.h"

enum {
    TALLY_SAMPLE_EVERY = 16,   /* drops in shared halves by one thread */
    TALLY_SAMPLES_SEEN = 1024, /* a power of two */
    TALLY_SAMPLES_MET = 64
};

/* Its own thread alone touches it. */
typedef struct tally_sampling {
    uint32_t countdown;
    bool due;    /* at its next safepoint it looks for objects that nobody refers to */
    bool looked; /* it has done so before its exit */
    uint32_t seen[TALLY_SAMPLES_SEEN]; /* parts of addresses, never followed */
    /* Small objects that were met again since its last stop, the latest of them: distances from the
     * start of the region in units of 16 bytes. */
    uint32_t met[TALLY_SAMPLES_MET], met_count;
} tally_sampling;

struct tally_thread_state;
#if TALLY_SAMPLING
/* The caller is about to drop a reference that the shared half counts. True: the object has moved.
 */
bool tally_sample(tally_refcounts *refcount) __attribute__((cold));
void tally_sampling_attach(struct tally_thread_state *thread);
/* False: to the safepoint first. */
bool tally_sampling_detach(struct tally_thread_state *thread);
void tally_sampling_safepoint(struct tally_thread_state *thread);
#else
static inline bool tally_sample(tally_refcounts *refcount) { return (void)refcount, false; }
static inline void tally_sampling_attach(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_sampling_detach(struct tally_thread_state *thread) {
    return (void)thread, true;
}
static inline void tally_sampling_safepoint(struct tally_thread_state *thread) { (void)thread; }
#endif

#endif
