/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runtime.h: the state of a process and of a thread, for core and backends.
 *
 * A thread's state lives in a slot whose number is its owner id. Slots are never
 * freed while the run time lives: anyone may look at a slot at any time. When a
 * thread ends, its slot (heap, and the ownership of the objects counted for it)
 * waits for the next thread that attaches, which continues where the old one
 * left. The registration lock orders the two.
 *
 * Lock order: registration lock, then an arena or bucket lock. No lock of an
 * object is taken while one of these is held.
 */
#ifndef TALLY_RUNTIME_H
#define TALLY_RUNTIME_H

#include "tally.h"
#include "memory/memory.h"
#include "inject.h"

struct tally_thread_state;
#include "tally_counts_part.h"
#include "tally_exclusion.h"
#include "tally_collector.h"

/* Bits of a thread's breaker. */
enum {
    TALLY_BREAK_UNATTACHED = 1,
    TALLY_BREAK_GIL = 2,       /* somebody waits for the GIL, or ticks are counted */
    TALLY_BREAK_STOP = 4,      /* the world is to stop */
    TALLY_BREAK_MERGE = 8,     /* objects wait in the merge queue */
    TALLY_BREAK_QUIESCE = 16,  /* a grace period is under way */
};

/* Where a thread is. Changed by seq_cst: pairs with pushes to its queue and with stop requests. */
enum tally_status { TALLY_VACANT, TALLY_RUNNING, TALLY_BLOCKED, TALLY_CLAIMED };

typedef struct tally_thread_state {
    tally_thread_head head;
    _Atomic int status;
    tally_critical *critical;            /* innermost critical section; own thread */
    bool taking_apart;                   /* an object is being taken apart: what dies now is not taken apart on top of it, */
    tally_object **deferred;             /* but goes here; own thread */
    size_t deferred_count, deferred_capacity;
    tally_object *kept;                  /* a reference, until the next safepoint: what was borrowed by way of the lock; own thread */
    tally_dead_list dying;               /* handed out and dead, and what dies with them; own thread */
    tally_counts_thread counts;
    tally_exclusion_thread exclusion;
    tally_collector_thread collector;
    struct tally_fights *fights;         /* NULL: none yet */
    struct tally_trace_ring *trace;      /* NULL: nothing recorded yet */
    bool collecting;                     /* in a collection, or in what it calls; own thread */
    tally_heap heap;                     /* with a GIL: unused, the process has one */
} tally_thread_state;

#define TALLY_MAX_THREADS 65000

struct tally_process {
    pthread_mutex_t registration;        /* attach, detach, merges for owners that are gone */
    _Atomic(tally_thread_state *) slots[TALLY_MAX_THREADS]; /* [0] unused; release on store, acquire on load */
    _Atomic uint32_t slots_used;         /* highest slot ever used */
    _Atomic uint32_t attached;
    _Atomic bool started;
    tally_options options;
};
extern struct tally_process tally_process;

static inline tally_thread_state *tally_thread_current(void) { return (tally_thread_state *)tally_self.thread; }

/* The slot of an owner id that some object carries. acquire: pairs with the release in attach. */
static inline tally_thread_state *tally_thread_slot(uint32_t id) {
    return atomic_load_explicit(&tally_process.slots[id], memory_order_acquire);
}

_Noreturn void tally_fatal(tally_object *object, const char *what);
void tally_thread_require(void); /* aborts in a thread that is not attached */

/* What is looked at in builds with assertions only: in places that are hot, or that nearly every function passes. */
#ifdef NDEBUG
#define TALLY_CHECKED(statement) ((void)0)
#else
#define TALLY_CHECKED(statement) (statement)
#endif

#include "memory/inline.h"
#include "trace.h"
#include "contention.h"

static inline void tally_breaker_set(tally_thread_state *thread, uint32_t bit) {
    /* seq_cst: the setter then looks at the thread's status, which pairs with the status store of blocking */
    atomic_fetch_or_explicit(&thread->head.breaker, bit, memory_order_seq_cst);
}
static inline void tally_breaker_clear(tally_thread_state *thread, uint32_t bit) {
    /* seq_cst: the clearer then looks for the work itself, so none announced before is missed */
    atomic_fetch_and_explicit(&thread->head.breaker, ~bit, memory_order_seq_cst);
}

#endif
