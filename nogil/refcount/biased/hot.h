/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Objects under heavy fire, in a build with TALLY_HOT_COUNTS: an object on which
 * threads lose compare-and-swaps again and again becomes *hot*. Each thread then
 * counts it in two numbers of its own, so no word of its counts is written by two threads.
 * docs/design/hot-objects.md tells what that gives and costs.
 *
 * A hot object's owner is TALLY_OWNER_HOT, which no thread is, and its place in the
 * table of hot objects is where the local count was. Its shared half has state merged.
 *
 * Invariants:
 *  - Objects become hot and cold with the world stopped only, and the words of owner and place
 *    change then only. No thread is between its look at the owner and its count: there is no
 *    safepoint and no blocking region between the two. Who may be stopped on the way is the pusher
 *    of a queued object, with the entry in its hand. The entry is a reference like any other; who
 *    merges it and finds the object hot counts it off in its own number.
 *  - References = shared + the sum over all threads (attached or gone) of up - down. One of
 *    them is the table's, and is counted in shared. So the sum of all is 1 or more, no count of a
 *    thread says that an object is dead, and nobody frees a hot object.
 *  - `up` and `down` of a thread are written by that thread, relaxed. Who has stopped the world
 *    reads and clears them: the stop's claim (seq_cst, acquire) pairs with the store of the status
 * by which the thread left RUNNING, the claim's end with its way back; of a slot without a thread
 * the registration lock orders both. The same pairs order all that was done to the object by
 * threads that dropped it before whoever frees it.
 *  - What a thread asks to become hot is held by a reference of the request, until it is hot (the
 *    reference is the table's from then on) or refused. `heat` has addresses that are never
 * followed.
 *  - A thread that blocks or is gone has no request: the status is stored before the look at it.
 *  - While the collector reckons, nothing is hot.
 *  - Nothing here takes memory.
 */
#ifndef TALLY_HOT_H
#define TALLY_HOT_H

#include "tally.h"

/* What the threads' numbers add to the shared half, less the table's reference. Exact while the
 * world is stopped. */
ptrdiff_t tally_hot_sum(unsigned place);

struct tally_thread_state;
#if TALLY_HOT_COUNTS

enum {
    TALLY_HOT_LOST = 256, /* compare-and-swaps lost on an object by one thread, until it asks */
    TALLY_HOT_HEAT = 256, /* addresses for which a thread counts them; a power of two */
};

typedef struct tally_hot_thread {
    _Atomic uintptr_t request; /* an object, held; the lowest bit: refused. 0: none. Own thread, or
                                  who has stopped the world */
    bool asking;               /* it is stopping the world for that; own thread, as all below */
    bool leaving, looked; /* it is about to exit: is to look whether what it counted is still hot;
                             has done so */
    struct {
        uintptr_t address;
        uint32_t lost;
    } heat[TALLY_HOT_HEAT];
} tally_hot_thread;

/* Cold now and referred to by nobody else; each held by what was the table's reference. */
typedef struct tally_hot_cooled {
    unsigned count;
    tally_object *objects[TALLY_HOT_ROOM];
} tally_hot_cooled;

/* Compare-and-swaps were lost on its shared half; by who holds a reference. */
void tally_hot_note(tally_refcounts *refcount, unsigned lost) __attribute__((cold));
#    define TALLY_HOT_NOTE(refcount, lost) tally_hot_note(refcount, lost)
void tally_hot_attach(struct tally_thread_state *thread); /* registration lock held */
bool tally_hot_pending(
    struct tally_thread_state *thread); /* a request waits for the next safepoint */
bool tally_hot_detach(
    struct tally_thread_state *thread); /* registration lock held; false: to the safepoint first */
void tally_hot_safepoint(struct tally_thread_state *thread);
/* World stopped: all become cold; what nobody else refers to is dropped once it runs. */
void tally_hot_cool_all(tally_hot_cooled *cooled);
void tally_hot_drop(tally_hot_cooled *cooled);

#else
#    define TALLY_HOT_NOTE(refcount, lost) ((void)0)
typedef struct tally_hot_thread {
    char nothing[0];
} tally_hot_thread;
typedef tally_hot_thread tally_hot_cooled;
static inline void tally_hot_attach(struct tally_thread_state *thread) { (void)thread; }
static inline bool tally_hot_pending(struct tally_thread_state *thread) { return (void)thread, 0; }
static inline bool tally_hot_detach(struct tally_thread_state *thread) { return (void)thread, 1; }
static inline void tally_hot_safepoint(struct tally_thread_state *thread) { (void)thread; }
static inline void tally_hot_cool_all(tally_hot_cooled *cooled) { (void)cooled; }
static inline void tally_hot_drop(tally_hot_cooled *cooled) { (void)cooled; }
#endif

#endif
