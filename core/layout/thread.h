/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread.h: the state of the process and of each thread, for core and the backends.
 *
 * A thread's state lives in a slot, whose number is the thread's owner id. Slots stay while the run
 * time lives, so any thread may look at any slot at any time. When a thread ends, its slot (the
 * heap, and the ownership of the objects counted for it) waits for the next thread that attaches,
 * which goes on where the old one left. The thread-list lock orders the two.
 *
 * Lock order: the thread-list lock, then the lock of an arena or a parking bucket. No lock of an
 * object is taken while a thread holds one of these.
 */
#ifndef TALLY_THREAD_H
#define TALLY_THREAD_H

#include "instrument/failpoint.h"
#include "layout/check.h"
#include "layout/heap.h"
#include "refcount_thread.h"
#include "tally.h"
#include "thread_state.h"

/* Bits of a thread's breaker: what its next safepoint has to do. */
enum {
    TALLY_BREAK_UNATTACHED = 1,
    TALLY_BREAK_GIL = 2,      /* another thread waits for the GIL, or ticks are counted */
    TALLY_BREAK_STOP = 4,     /* the world is to stop */
    TALLY_BREAK_MERGE = 8,    /* objects wait in the merge queue */
    TALLY_BREAK_QUIESCE = 16, /* a grace period is under way, or others freed much into its heap */
    TALLY_BREAK_TURN = 64,    /* other threads contend with it, and they take turns */
    TALLY_BREAK_KEPT = 32, /* it keeps references until then; it alone sets and clears this bit */
};

/* Where a thread is. Changes are seq_cst: they pair with pushes to its merge queue and with
 * requests to stop the world. */
enum tally_status { TALLY_VACANT, TALLY_RUNNING, TALLY_BLOCKED, TALLY_CLAIMED };

enum { TALLY_DROPS_LATER = 64 };

/* A field without another comment is its own thread's alone. */
typedef struct tally_thread_state {
    tally_thread_head head;
    _Atomic int status;
    tally_critical *critical; /* the innermost critical section */
    const void *stack;        /* an address in its stack; under the thread-list lock */
    bool away; /* in a blocked region, or it waits for its turn; others read it with the world
                * stopped */
    uint64_t away_since; /* by the coarse clock; 0: unknown. The same */
    /* Dealloc (objects/death.c): */
    bool destroying; /* an object's contents are being destroyed: what dies waits in `dead` */
    unsigned
        dealloc_depth; /* deallocs on the stack, each in foreign code that the one below runs */
    tally_dead_list dead;
    /* References that end at the next safepoint: */
    tally_object *kept; /* a borrowed one that was read under the lock */
    unsigned drops;     /* in drop_later: dropped by plain calls */
    tally_object *drop_later[TALLY_DROPS_LATER];
    struct tally_reference_batch *batches; /* more of these */
    bool world_stopped;                    /* by this thread */
#ifdef TALLY_DEBUG
    uint16_t region_begun; /* the stack of its last tally_blocking_begin */
#endif
    unsigned plain_calls;    /* builds with assertions: functions marked [plain] that it is in */
    uint64_t table_versions; /* given to tables by the threads of this slot so far */
    tally_refcount_thread refcount;
    tally_locking_thread locking;
    tally_collector_thread collector;
    struct tally_contention_table *contention; /* NULL: none yet */
    struct tally_trace_ring *trace;            /* NULL: nothing recorded yet */
    bool collecting;         /* it is in a collection, or in foreign code that one runs */
    unsigned mutexes_held;   /* tally_mutexes: no automatic collection starts meanwhile */
    bool collection_put_off; /* one was due meanwhile */
    tally_heap heap;         /* with a GIL unused: the process has one heap */
} tally_thread_state;

#define TALLY_MAX_THREADS 65000

/* Changes under the thread-list lock, so no thread attaches to a run time that ends. */
enum tally_phase { TALLY_OFF, TALLY_STARTING, TALLY_ON, TALLY_ENDING };

struct tally_process {
    pthread_mutex_t thread_list; /* attach, detach, merges for owners that are gone */
    /* [0] is unused. release on store, acquire on load. */
    _Atomic(tally_thread_state *) slots[TALLY_MAX_THREADS];
    _Atomic uint32_t slots_used; /* the highest slot ever used */
    _Atomic uint32_t attached;
    _Atomic int phase;
    _Atomic bool orphaned; /* a child of a process in which other threads were attached: for good */
    tally_options options;
};
extern struct tally_process tally_process;

static inline tally_thread_state *tally_thread_current(void) {
    return (tally_thread_state *)tally_self.thread;
}
static inline bool tally_thread_is_attached(void) {
    return tally_self.id != TALLY_OWNER_UNATTACHED;
}

/* The slot of an owner id that some object carries. acquire: pairs with the release in attach. */
static inline tally_thread_state *tally_thread_slot(uint32_t id) {
    return tally_load_acquire(&tally_process.slots[id]);
}
/*
 * All slots so far, with a thread or without. seq_cst: a slot that the walk does not see is taken
 * by a thread that sees what was stored before the walk; on x86 it is a plain load. The walk counts
 * in a pointer, since a for statement declares one type: to go on from the number in the last slot
 * makes each step wait for that slot's memory, which costs 4 times as much beside 250 threads.
 */
static inline tally_thread_state *tally_thread_next(tally_thread_state **last) {
    uintptr_t id = (uintptr_t)*last + 1;
    *last = (tally_thread_state *)id;
    return id <= tally_load_seq_cst(&tally_process.slots_used) ? tally_thread_slot((uint32_t)id)
                                                               : NULL;
}
#define tally_each_thread(thread) \
    for (tally_thread_state *id_ = NULL, *thread; (thread = tally_thread_next(&id_)) != NULL;)

/* Drops the references that end at a safepoint; runs foreign code. */
void tally_drop_kept(tally_thread_state *thread);
static inline bool tally_keeps_any(tally_thread_state *thread) {
    return thread->kept || thread->drops || thread->batches;
}

_Noreturn void tally_fatal(tally_object *object, const char *what);

/* At the head of a function marked [plain]: until it returns, no foreign code may start. */
#ifdef NDEBUG
#    define TALLY_PLAIN_CALL() ((void)0)
#else
static inline void tally_plain_call_ends(tally_thread_state **thread) { (*thread)->plain_calls--; }
#    define TALLY_PLAIN_CALL()                                                                    \
        __attribute__((cleanup(tally_plain_call_ends))) tally_thread_state *tally_in_plain_call = \
            tally_thread_current();                                                               \
        tally_in_plain_call->plain_calls++
#endif

/* seq_cst: the thread that sets a bit looks at the status then; pairs with the status store of a
 * thread that blocks. */
static inline void tally_breaker_set(tally_thread_state *thread, uint32_t bit) {
    tally_or_seq_cst(&thread->head.breaker, bit);
}
/* seq_cst: the thread that clears a bit looks for the work then, and misses none. */
static inline void tally_breaker_clear(tally_thread_state *thread, uint32_t bit) {
    tally_and_seq_cst(&thread->head.breaker, ~bit);
}

#endif
