/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hot.h: hot objects, in a build with TALLY_HOT_COUNTS: an object on which threads lose
 * compare-and-swaps again and again becomes *hot*. Each thread then counts it in two counts of its
 * own, so no two threads write a common word. docs/design/hot-objects.md has the gain and the
 * price.
 *
 * The owner field of a hot object has TALLY_OWNER_HOT, which is no thread's id, and the local field
 * has an index into the table of hot objects. The shared half has state merged.
 *
 * Invariants:
 *  - Objects become hot and cold with the world stopped, and only then do owner and index change.
 *    No thread is between its load of the owner and its count, since there is no safepoint and no
 *    blocked region between the two. A thread may be stopped while it pushes a queued object. The
 *    queue's entry is a reference like any other: a thread that merges it and finds the object hot
 *    drops it in its own count.
 *  - References = shared + the sum over all slots, with a thread or without, of up - down. One of
 *    them is the table's, counted in shared. So the sum is 1 or more, no count of one thread says
 *    that an object is dead, and no thread frees a hot object.
 *  - `up` and `down` of a thread are written by that thread, relaxed. A thread that has stopped the
 *    world reads and clears them. The stop's claim (seq_cst, acquire) pairs with the status store
 *    by which the thread left RUNNING, and the end of the claim with the thread's return; for a
 *    slot without a thread the thread list lock orders both. The same pairs order the drops of an
 *    object before the thread that frees it.
 *  - A request holds a reference to its object until the object is hot (the reference is the
 *    table's then) or refused. The addresses in `heat` are never followed.
 *  - A blocked or exited thread has no request: the thread stores its status before it looks for
 *    one.
 *  - During a collection nothing is hot.
 *  - Nothing here allocates memory.
 */
#ifndef TALLY_HOT_H
#define TALLY_HOT_H

#include "tally.h"

/* The references that the threads' counts add to the shared half, less the table's reference. Exact
 * while the world is stopped. */
ptrdiff_t tally_hot_sum(unsigned index);

struct tally_thread_state;
#if TALLY_HOT_COUNTS

enum {
    TALLY_HOT_LOST = 256, /* compare-and-swaps that a thread loses on an object before it asks */
    TALLY_HOT_HEAT = 256, /* addresses for which a thread counts them; a power of two */
};

typedef struct tally_hot_thread {
    /* An object, held; the lowest bit: refused; 0: none. Written by its thread, or with the world
     * stopped. All below is its thread's alone. */
    _Atomic uintptr_t request;
    bool asking;          /* it is stopping the world for the request */
    bool leaving, looked; /* about to exit: it has to recheck the hot objects; it has done so */
    struct {
        uintptr_t address;
        uint32_t lost;
    } heat[TALLY_HOT_HEAT];
} tally_hot_thread;

/* Cold now; the only reference to each is the one that was the table's. */
typedef struct tally_hot_cooled {
    unsigned count;
    tally_object *objects[TALLY_HOT_ROOM];
} tally_hot_cooled;

/* The caller holds a reference, and has lost compare-and-swaps on the shared half. */
void tally_hot_note(tally_refcounts *refcount, unsigned lost) __attribute__((cold));
#    define TALLY_HOT_NOTE(refcount, lost) tally_hot_note(refcount, lost)
/* A request waits for the next safepoint. */
bool tally_hot_pending(struct tally_thread_state *thread);
/* Thread list lock held. detach: false: go to the safepoint first. */
void tally_hot_attach(struct tally_thread_state *thread);
bool tally_hot_detach(struct tally_thread_state *thread);
void tally_hot_safepoint(struct tally_thread_state *thread);
/* World stopped: all become cold. Once it runs: drops those that have no other reference. */
void tally_hot_cool_all(tally_hot_cooled *cooled);
void tally_hot_drop(tally_hot_cooled *cooled);

#else
#    define TALLY_HOT_NOTE(refcount, lost) ((void)0)
typedef struct tally_hot_thread {
    char nothing[0];
} tally_hot_thread;
typedef tally_hot_thread tally_hot_cooled;
static inline void tally_hot_attach(struct tally_thread_state *thread) {}
static inline bool tally_hot_pending(struct tally_thread_state *thread) { return 0; }
static inline bool tally_hot_detach(struct tally_thread_state *thread) { return 1; }
static inline void tally_hot_safepoint(struct tally_thread_state *thread) {}
static inline void tally_hot_cool_all(tally_hot_cooled *cooled) {}
static inline void tally_hot_drop(tally_hot_cooled *cooled) {}
#endif

#endif
