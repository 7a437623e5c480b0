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

#include "instrument/failpoint.h"
#include "memory/memory.h"
#include "tally.h"

/* What is looked at in builds with assertions only: in places that are hot, or that nearly every
 * function passes. */
#ifdef NDEBUG
#    define TALLY_CHECKED(statement) ((void)0)
#else
#    define TALLY_CHECKED(statement) (statement)
#endif
/* Aborts in a thread that has stopped the world: it may not wait, lock, or run foreign code until
 * it starts it. */
void tally_check_may_wait(void);
/* The same where foreign code starts; aborts in a plain call, too. */
void tally_check_may_run_foreign_code(void);

enum {
    TALLY_FLAG_TRACKED = 1,     /* the collector looks at it; never on dead or free memory */
    TALLY_FLAG_FINALIZED = 2,   /* its finalizer has run */
    TALLY_FLAG_BORROWABLE = 4,  /* without a GIL: a thread may hold it borrowed; sticky */
    TALLY_FLAG_DEAD_LINKED = 4, /* plain counts: it is dead, and in a list */
    TALLY_FLAG_COLLECTING = 8,  /* the collector's: among those that are being examined */
    TALLY_FLAG_MARKED = 16,     /* the collector's: reached */
    TALLY_FLAG_PENDING = 32,    /* the collector's: reached, its children not yet */
    TALLY_FLAG_FROZEN = 64,     /* tracked, but ignored */
    TALLY_FLAG_RECHECK =
        128, /* the collector's: of those that the second look under way is about */
};

struct tally_thread_state;
#include "collector_inline.h"
#include "locking_inline.h"
#include "refcount_internal.h"

/* Bits of a thread's breaker. */
enum {
    TALLY_BREAK_UNATTACHED = 1,
    TALLY_BREAK_GIL = 2,   /* somebody waits for the GIL, or ticks are counted */
    TALLY_BREAK_STOP = 4,  /* the world is to stop */
    TALLY_BREAK_MERGE = 8, /* objects wait in the merge queue */
    TALLY_BREAK_QUIESCE =
        16, /* a grace period is under way, or much was freed into the thread's heap */
    TALLY_BREAK_KEPT = 32, /* the thread keeps references that end at its next safepoint; set and
                              cleared by itself */
};

/* Where a thread is. Changed by seq_cst: pairs with pushes to its queue and with stop requests. */
enum tally_status { TALLY_VACANT, TALLY_RUNNING, TALLY_BLOCKED, TALLY_CLAIMED };

typedef struct tally_thread_state {
    tally_thread_head head;
    _Atomic int status;
    tally_critical *critical; /* innermost critical section; own thread */
    /* Death: core/objects/death.c. All for their thread alone. */
    bool destroying; /* an object is being taken apart: what dies now is not taken apart on top of
                          it, */
    unsigned dealloc_depth; /* as in so many deaths, each in foreign code that the one before runs:
                        but waits here */
    tally_dead_list dead;
    /* References that end at the next safepoint; own thread. */
    tally_object *kept; /* what was borrowed by way of the lock */
    unsigned drops;
    tally_object *put_off[64];             /* dropped by plain calls */
    struct tally_reference_batch *batches; /* more of these */
    bool world_stopped;                    /* by this thread; own thread */
    unsigned plain_calls;    /* in builds with assertions: functions marked [plain] that it is in */
    uint64_t table_versions; /* given to tables by the threads of this slot so far; own thread */
    tally_refcount_thread refcount;
    tally_locking_thread locking;
    tally_collector_thread collector;
    struct tally_contention_table *contention; /* NULL: none yet */
    struct tally_trace_ring *trace;            /* NULL: nothing recorded yet */
    bool collecting;       /* in a collection, or in what it calls; own thread */
    unsigned mutexes_held; /* tally_mutexes: no automatic collection starts meanwhile; own thread */
    bool collection_put_off; /* one was due meanwhile; own thread */
    tally_heap heap;         /* with a GIL: unused, the process has one */
} tally_thread_state;

#define TALLY_MAX_THREADS 65000

/* Of the run time. Changed under the registration lock, so nobody attaches to a run time that goes.
 */
enum tally_phase { TALLY_OFF, TALLY_STARTING, TALLY_ON, TALLY_ENDING };

struct tally_process {
    pthread_mutex_t thread_list; /* attach, detach, merges for owners that are gone */
    _Atomic(tally_thread_state *)
        slots[TALLY_MAX_THREADS]; /* [0] unused; release on store, acquire on load */
    _Atomic uint32_t slots_used;  /* highest slot ever used */
    _Atomic uint32_t attached;
    _Atomic int phase;
    _Atomic bool orphaned; /* a child of a process in which other threads were attached: for good */
    tally_options options;
};
extern struct tally_process tally_process;

static inline tally_thread_state *tally_thread_current(void) {
    return (tally_thread_state *)tally_self.thread;
}

/* The slot of an owner id that some object carries. acquire: pairs with the release in attach. */
static inline tally_thread_state *tally_thread_slot(uint32_t id) {
    return tally_load_acquire(&tally_process.slots[id]);
}

/* All slots so far, with a thread or without. seq_cst: a slot that the walk does not see is taken
 * by a thread that sees what was stored before the walk; on x86 it is a plain load. */
static inline tally_thread_state *tally_thread_after(uint32_t id) {
    return id < tally_load_seq_cst(&tally_process.slots_used) ? tally_thread_slot(id + 1) : NULL;
}
#define tally_each_thread(thread)                                    \
    for (tally_thread_state *thread = tally_thread_after(0); thread; \
         thread = tally_thread_after(thread->head.id))

/* Drops what ends at a safepoint; runs foreign code. */
void tally_drop_kept(tally_thread_state *thread);
static inline bool tally_keeps_any(tally_thread_state *thread) {
    return thread->kept || thread->drops || thread->batches;
}

_Noreturn void tally_fatal(tally_object *object, const char *what);
void tally_thread_require(void); /* aborts in a thread that is not attached */

/* In a function marked [plain]: until its end, no foreign code may start in this thread. */
#ifdef NDEBUG
#    define TALLY_PLAIN_CALL() ((void)0)
#else
static inline void tally_plain_call_ends(tally_thread_state **thread) { (*thread)->plain_calls--; }
#    define TALLY_PLAIN_CALL()                                                                    \
        __attribute__((cleanup(tally_plain_call_ends))) tally_thread_state *tally_in_plain_call = \
            tally_thread_current();                                                               \
        tally_in_plain_call->plain_calls++
#endif

#include "instrument/contention.h"
#include "instrument/trace.h"
#include "memory/alloc.h"

static inline void tally_breaker_set(tally_thread_state *thread, uint32_t bit) {
    /* seq_cst: the setter then looks at the thread's status, which pairs with the status store of
     * blocking */
    tally_or_seq_cst(&thread->head.breaker, bit);
}
static inline void tally_breaker_clear(tally_thread_state *thread, uint32_t bit) {
    /* seq_cst: the clearer then looks for the work itself, so none announced before is missed */
    tally_and_seq_cst(&thread->head.breaker, ~bit);
}

#endif
