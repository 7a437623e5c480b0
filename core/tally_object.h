/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_object.h: the header of an object, and the operations that are so hot that a user's program
 * inlines them. tally.h includes it. The include path chooses the backend, which gives the
 * refcount.
 *
 * Invariant: the count words are the first of an object, and stay readable after its death until a
 * grace period has passed. Only the refcount part writes them. A try-incref of a dead object fails.
 */
#ifndef TALLY_OBJECT_H
#define TALLY_OBJECT_H

#include <stddef.h>
#include <stdint.h>

#include "tally_atomic.h"
#include "tally_refcount_types.h"

/* The order in which x86-64 shows loads and stores to other threads is relied on. */
#if !defined __x86_64__ || !defined __linux__ || !defined __LP64__
#    error "Tally needs Linux on x86-64: elsewhere its memory orders would be wrong without a sign"
#endif

typedef struct tally_object tally_object;

#define TALLY_LIKELY(x)   __builtin_expect(!!(x), 1)
#define TALLY_UNLIKELY(x) __builtin_expect(!!(x), 0)

/* The part of a thread's state that inline code reaches. */
typedef struct tally_thread_head {
    /* Bits that send the next safepoint to its slow path; any thread sets them. */
    _Atomic uint32_t breaker;
    uint32_t id;                 /* 1 ...: slot number and owner id of the thread */
    _Atomic uint64_t events[48]; /* written by the thread alone, read by tally_stats */
    /* Its thread raises it where its borrowed references end, in builds with assertions. */
    uint64_t borrow_epoch;
    tally_refcount_head refcount;
} tally_thread_head;

/* Owner ids that no thread has. The backend may use those below TALLY_OWNER_UNATTACHED. */
enum { TALLY_OWNER_NONE = 0, TALLY_OWNER_UNATTACHED = 0xfffe, TALLY_OWNER_IMMORTAL = 0xffff };

struct tally_self {
    /* Never NULL: an unattached thread has one whose breaker is set. */
    tally_thread_head *thread;
    uint16_t id; /* thread->id, in which all owner ids fit */
    tally_refcount_self refcount;
};
extern _Thread_local struct tally_self tally_self __attribute__((tls_model("initial-exec")));

/* Its thread alone writes a counter, so a load and a store without a lock prefix do. */
#define TALLY_EVENT_ADD(index, n)                                                                \
    atomic_store_explicit(&tally_self.thread->events[index],                                     \
                          tally_load_relaxed(&tally_self.thread->events[index]) + (uint64_t)(n), \
                          memory_order_relaxed)

enum {
    TALLY_EVENT_merges,
    TALLY_EVENT_queued,
    TALLY_EVENT_claims,
    TALLY_EVENT_lock_waits,
    TALLY_EVENT_lock_revocations,
    TALLY_EVENT_gil_waits,
    TALLY_EVENT_gil_requests,
    TALLY_EVENT_gil_handovers,
    TALLY_EVENT_stops,
    TALLY_EVENT_stop_ns,
    TALLY_EVENT_retired,
    TALLY_EVENT_reclaimed,
    TALLY_EVENT_grace_throttled,
    TALLY_EVENT_pools_taken,
    TALLY_EVENT_remote_drained,
    TALLY_EVENT_collections,
    TALLY_EVENT_gc_pause_ns,
    TALLY_EVENT_gc_examined,
    TALLY_EVENT_gc_found,
    TALLY_EVENT_local_increfs,
    TALLY_EVENT_local_decrefs,
    TALLY_EVENT_shared_increfs,
    TALLY_EVENT_shared_decrefs,
    TALLY_EVENT_immortal_skips,
    TALLY_EVENT_lost_cas,
    TALLY_EVENT_locks_biased,
    TALLY_EVENT_locks_atomic,
    TALLY_EVENT_reads_unlocked,
    TALLY_EVENT_reads_locked,
    TALLY_EVENT_allocations,
    TALLY_EVENT_frees_local,
    TALLY_EVENT_frees_remote,
    TALLY_EVENT_safepoints,
    TALLY_EVENT_lock_handovers,
    TALLY_EVENT_turn_waits,
    TALLY_EVENT_adopted,
    TALLY_EVENT_made_per_thread,
    TALLY_EVENT_per_thread_increfs,
    TALLY_EVENT_per_thread_decrefs,
    TALLY_EVENT_gil_wait_ns,
    TALLY_EVENT_lock_wait_ns,
    TALLY_EVENT_turn_wait_ns,
    TALLY_EVENT_stopped_ns,
    TALLY_EVENT_grace_wait_ns,
    TALLY_EVENT_gc_ns,
    TALLY_EVENT_merge_ns,
    TALLY_EVENT_allocator_ns,
    TALLY_EVENTS
};
_Static_assert(TALLY_EVENTS <= 48, "room for every event");

#define TALLY_EVENT(name) TALLY_EVENT_ADD(TALLY_EVENT_##name, 1)
#ifdef TALLY_COUNT_EVENTS
#    define TALLY_DETAILED     1
#    define TALLY_DETAIL(name) TALLY_EVENT(name)
#else
#    define TALLY_DETAILED     0
#    define TALLY_DETAIL(name) ((void)0)
#endif
#if TALLY_TURNS
#    define TALLY_COUNT_SAFEPOINT() TALLY_EVENT(safepoints)
#else
#    define TALLY_COUNT_SAFEPOINT() TALLY_DETAIL(safepoints)
#endif

/* Not for programs. The caller holds a reference, and has lost compare-and-swaps. */
void tally_refcount_contended(void *refcount, unsigned lost);
#ifdef TALLY_COUNT_EVENTS
void tally_refcount_count_shared(void *refcount); /* counted by a read-modify-write */
#    define TALLY_COUNT_SHARED(refcount) tally_refcount_count_shared(refcount)
#else
#    define TALLY_COUNT_SHARED(refcount) ((void)0)
#endif

#include "tally_refcount.h"

/*
 * Invariant: a program links only with the library it was compiled for.
 *
 * Structures and inline code differ between backends, and with a few definitions. So every file
 * that includes this header refers to a variable whose name tells both, and each library defines
 * the one variable of its own compilation (core/runtime/build.c). With any other library the name
 * is undefined: a link error. The reference is a word of constant data that no code reads.
 */
#include "tally_backend.h"
#ifdef TALLY_COUNT_EVENTS
#    define TALLY_BUILT_COUNTED _counted
#else
#    define TALLY_BUILT_COUNTED
#endif
#if defined TALLY_SAMPLING && !TALLY_SAMPLING
#    define TALLY_BUILT_SAMPLING _without_sampling
#else
#    define TALLY_BUILT_SAMPLING
#endif
#if defined TALLY_PER_THREAD_REFCOUNTS && !TALLY_PER_THREAD_REFCOUNTS
#    define TALLY_BUILT_PER_THREAD _without_per_thread_refcounts
#else
#    define TALLY_BUILT_PER_THREAD
#endif
#ifdef TALLY_LOCKS_OFF
#    define TALLY_BUILT_LOCKS _without_locks
#else
#    define TALLY_BUILT_LOCKS
#endif
#ifdef TALLY_FAILPOINTS
#    define TALLY_BUILT_FAILPOINTS _with_failpoints
#else
#    define TALLY_BUILT_FAILPOINTS
#endif
#ifdef TALLY_DEBUG
#    define TALLY_BUILT_DEBUG _with_checks
#else
#    define TALLY_BUILT_DEBUG
#endif
#define TALLY_BUILT_PASTE(backend, a, b, c, d, e, f) tally_compiled_for_##backend##a##b##c##d##e##f
#define TALLY_BUILT_NAME(backend, a, b, c, d, e, f)  TALLY_BUILT_PASTE(backend, a, b, c, d, e, f)
#define TALLY_BUILT_FOR                                                                 \
    TALLY_BUILT_NAME(TALLY_BACKEND_WORD, TALLY_BUILT_COUNTED, TALLY_BUILT_SAMPLING,     \
                     TALLY_BUILT_PER_THREAD, TALLY_BUILT_LOCKS, TALLY_BUILT_FAILPOINTS, \
                     TALLY_BUILT_DEBUG)
extern const char TALLY_BUILT_FOR;
/* used: the compiler keeps it; retain: so does a linker that drops sections without a use. */
#ifdef __has_attribute
#    if __has_attribute(retain)
__attribute__((retain))
#    endif
#endif
__attribute__((used)) static const char *const tally_built_for = &TALLY_BUILT_FOR;

struct tally_object {
    _Alignas(8) tally_refcounts refcount;
    uint16_t type;         /* index in the table of types; constant for life */
    _Atomic uint8_t lock;  /* the locking part's */
    _Atomic uint8_t flags; /* TALLY_FLAG_… of core/layout/flags.h */
};

/* Marks where the borrowed references of the calling thread end, in builds with assertions. */
#ifdef NDEBUG
#    define TALLY_ENDS_BORROWS() ((void)0)
#else
#    define TALLY_ENDS_BORROWS() ((void)tally_self.thread->borrow_epoch++)
#endif

/* Builds with TALLY_DEBUG look at the object first, and end the program if it is no living one. */
#ifdef TALLY_DEBUG
#    ifdef NDEBUG
#        error "TALLY_DEBUG needs assertions: do not define NDEBUG"
#    endif
void tally_debug_use(const tally_object *object);
void tally_debug_drop(const tally_object *object);
#    define TALLY_DEBUG_USE(object)  tally_debug_use(object)
#    define TALLY_DEBUG_DROP(object) tally_debug_drop(object)
#else
#    define TALLY_DEBUG_USE(object)  ((void)0)
#    define TALLY_DEBUG_DROP(object) ((void)0)
#endif

static inline void tally_incref(tally_object *object) {
    TALLY_DEBUG_USE(object);
    tally_refcount_incref(&object->refcount);
}
static inline void tally_decref(tally_object *object) {
    TALLY_DEBUG_DROP(object);
    TALLY_ENDS_BORROWS();
    tally_refcount_decref(&object->refcount);
}
static inline void tally_xincref(tally_object *object) {
    if (object) tally_incref(object);
}
static inline void tally_xdecref(tally_object *object) {
    if (object) tally_decref(object);
}

void tally_safepoint_slow(void);

/* A place where the GIL may change hands, the world may stop, and the thread does work that others
 * have left for it: finalizers may run. */
static inline void tally_safepoint(void) {
    TALLY_COUNT_SAFEPOINT();
    TALLY_ENDS_BORROWS();
    /* relaxed: the thread that set a bit published the cause under a lock or with seq_cst, which
     * the slow path takes */
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_self.thread->breaker))) tally_safepoint_slow();
}

/* A reference without a count; tally.h tells when it ends. Every build has the same layout. */
typedef struct tally_borrowed {
    tally_object *object; /* NULL: none */
    uint64_t epoch;       /* 0: not checked; else the thread's epoch at the borrow */
} tally_borrowed;
void tally_borrowed_check(tally_borrowed borrowed); /* aborts if it has ended */

/* The object, to look at; NULL: none. A build with assertions aborts if the reference has ended. */
static inline tally_object *tally_borrowed_object(tally_borrowed borrowed) {
#ifndef NDEBUG
    tally_borrowed_check(borrowed);
#endif
    return borrowed.object;
}

/* None, False and True: three static, immortal objects. */
extern tally_object tally_singletons[3];
#define tally_none  (&tally_singletons[0])
#define tally_false (&tally_singletons[1])
#define tally_true  (&tally_singletons[2])

#endif
