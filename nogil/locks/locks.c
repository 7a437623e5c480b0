/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locks.c: the slow paths of the one-byte locks: waiting, waking, revoking a
 * bias; and critical sections, which let go of outer locks before they wait.
 *
 * A waiter sleeps in a bucket chosen by the lock's address. Invariant: the byte
 * has TALLY_LOCK_PARKED set, under the bucket's mutex, before its waiter sleeps;
 * an unlock that finds it set takes that mutex. A waiter that has waited for a
 * millisecond is handed the lock (Parking Lot, WebKit; Go's mutex).
 */
#define _GNU_SOURCE
#include "backend.h"
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

typedef struct waiter {
    struct waiter *next;
    tally_object *object;
    pthread_cond_t wake;
    bool woken, handed;
    uint64_t since;
} waiter;

enum { BUCKETS = 251, HAND_OVER_NS = 1000000, SPINS = 40 };
static struct bucket { _Alignas(64) pthread_mutex_t mutex; waiter *first; } buckets[BUCKETS] = { [0 ... BUCKETS - 1] = { PTHREAD_MUTEX_INITIALIZER, NULL } };

static struct bucket *bucket_of(tally_object *object) { return &buckets[((uintptr_t)object >> 4) % BUCKETS]; }

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Sleeps until an unlock wakes this thread; true if it was handed the lock. */
static bool park(tally_object *object, uint64_t since) {
    TALLY_POINT(park);
    struct bucket *bucket = bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    uint8_t lock = atomic_load_explicit(&object->lock, memory_order_relaxed);
    for (;;) {
        if (!(lock & TALLY_LOCK_HELD)) { pthread_mutex_unlock(&bucket->mutex); return false; }
        if ((lock & TALLY_LOCK_PARKED) ||
            atomic_compare_exchange_weak_explicit(&object->lock, &lock, lock | TALLY_LOCK_PARKED, memory_order_relaxed, memory_order_relaxed)) break;
    }
    TALLY_POINT(parking);
    waiter self = { .object = object, .wake = PTHREAD_COND_INITIALIZER, .since = since };
    waiter **last = &bucket->first;
    while (*last) last = &(*last)->next;
    *last = &self;
    while (!self.woken) pthread_cond_wait(&self.wake, &bucket->mutex);
    pthread_mutex_unlock(&bucket->mutex);
    return self.handed;
}

void tally_unlock_slow(tally_object *object) {
    TALLY_POINT(unlock_slow);
    struct bucket *bucket = bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    waiter **link = &bucket->first;
    while (*link && (*link)->object != object) link = &(*link)->next;
    waiter *first = *link;
    uint8_t after = TALLY_LOCK_FREE;
    if (first) {
        *link = first->next;
        waiter *others = first->next;
        while (others && others->object != object) others = others->next;
        if (others) after |= TALLY_LOCK_PARKED;
        first->handed = now_ns() - first->since > HAND_OVER_NS;
        if (first->handed) after |= TALLY_LOCK_HELD;
        first->woken = true;
    }
    /* release: pairs with the acquire of lock; who is handed the lock gets it by the mutex */
    atomic_store_explicit(&object->lock, after, memory_order_release);
    if (first) pthread_cond_signal(&first->wake);
    pthread_mutex_unlock(&bucket->mutex);
}

/* ---- biased locks ------------------------------------------------------- */

static bool membarrier_works;

void tally_locks_start(void) {
    membarrier_works = syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
bool tally_locks_can_bias(void) { return membarrier_works && TALLY_COUNTS_HAVE_OWNERS; }

/* The byte says biased no more; waits until its owner is not in a section entered before it saw that. */
static void wait_for_owner(tally_thread_state *owner, tally_object *object) {
    TALLY_POINT(bias_taken);
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
    /* acquire: pairs with the owner's release on leaving */
    for (unsigned spins = 0; atomic_load_explicit(&owner->exclusion.biased_section, memory_order_acquire) == object; spins++) {
        TALLY_POINT(bias_wait);
        if (spins > SPINS) sched_yield();
    }
    /* Containers that are shared as a rule are not worth a bias: their owner stops
     * biasing new ones, until another thread attaches in its slot. */
    uint8_t times = (uint8_t)(atomic_load_explicit(&owner->exclusion.revocations, memory_order_relaxed) + 1);
    atomic_store_explicit(&owner->exclusion.revocations, times, memory_order_relaxed);
    if (times % 64 == 0) atomic_store_explicit(&owner->exclusion.lock_initial, TALLY_LOCK_FREE, memory_order_relaxed);
}

/*
 * The byte is biased: makes it held by the caller. False: it changed meanwhile.
 * In between it is both: held, so that nobody else enters; biased, so that
 * readers keep out while the owner may be in a section that it takes for private,
 * in which it frees arrays at once.
 */
static bool revoke_bias(tally_object *object) {
    uint8_t expected = TALLY_LOCK_BIASED;
    uint32_t owner_id = tally_counts_owner(&object->counts);
    /* acq_rel: acquire pairs with unbias, release with the owner's look at the byte */
    if (!atomic_compare_exchange_strong_explicit(&object->lock, &expected, TALLY_LOCK_HELD | TALLY_LOCK_BIASED, memory_order_acq_rel, memory_order_relaxed)) return false;
    TALLY_EVENT(lock_revocations);
    tally_fought(object, TALLY_FOUGHT_REVOCATION);
    if (owner_id != TALLY_OWNER_NONE && owner_id != tally_self.id) wait_for_owner(tally_thread_slot(owner_id), object);
    /* release: pairs with tally_may_read_unlocked; an and, since a waiter may set PARKED meanwhile */
    atomic_fetch_and_explicit(&object->lock, (uint8_t)~TALLY_LOCK_BIASED, memory_order_release);
    return true;
}

/* ---- waiting ------------------------------------------------------------ */

static bool try_lock(tally_object *object) {
    uint8_t lock = atomic_load_explicit(&object->lock, memory_order_relaxed);
    if (lock == TALLY_LOCK_BIASED) return revoke_bias(object);
    /* acquire: pairs with the release of unlock */
    return !(lock & TALLY_LOCK_HELD) &&
           atomic_compare_exchange_strong_explicit(&object->lock, &lock, lock | TALLY_LOCK_HELD, memory_order_acquire, memory_order_relaxed);
}

/* Takes a lock that is held by another; lets go of this thread's sections first. */
static void lock_waiting(tally_object *object) {
    for (unsigned spins = 0; spins < SPINS; spins++) {
        if (try_lock(object)) return;
        __builtin_ia32_pause();
    }
    TALLY_EVENT(lock_waits);
    tally_fought(object, TALLY_FOUGHT_LOCK_WAIT);
    tally_blocking_begin_as("waiting for the lock of an object");
    uint64_t since = now_ns();
    bool handed = false;
    while (!handed) {
        uint8_t lock = atomic_load_explicit(&object->lock, memory_order_relaxed);
        handed = lock != TALLY_LOCK_BIASED && park(object, since);
        if (!handed && try_lock(object)) break;
    }
    /* Not tally_blocking_end: the outer sections stay suspended while this lock is held. */
    tally_blocking_end_suspended();
    if (handed) {
        TALLY_EVENT(lock_handovers);
        tally_fought(object, TALLY_FOUGHT_HANDOVER);
    }
}

static bool held_by_section(tally_object *object) {
    for (tally_critical *section = tally_thread_current()->critical; section; section = section->outer)
        if (section->held && (section->first == object || section->second == object)) return true;
    return false;
}

unsigned tally_lock_slow(tally_object *object) {
    if (held_by_section(object)) return TALLY_TOKEN_NESTED;
    if (!try_lock(object)) lock_waiting(object);
    return TALLY_TOKEN_HELD;
}

/* ---- critical sections -------------------------------------------------- */

/* A lock byte held for long: never by bias, whose mark has room for one object. */
static bool section_try(tally_object *object) { return object == NULL || try_lock(object); }
static void section_unlock(tally_object *object) {
    if (object) tally_unlock_object(object, TALLY_TOKEN_HELD);
}

void tally_critical_suspend(tally_thread_state *thread) {
    for (tally_critical *section = thread->critical; section; section = section->outer)
        if (section->held) {
            section->held = false;
            section_unlock(section->second);
            section_unlock(section->first);
        }
}

/*
 * Waits for one lock at a time and holds none meanwhile: who waits may run finalizers first, which may
 * want the other. Two threads that want the same two may each have to give one back and wait again; the
 * hand-over of locks waited for long ends that.
 */
static void section_take(tally_critical *section) {
    tally_object *taken = section->first, *other = section->second;
    if (!section_try(taken)) {
        tally_critical_suspend(tally_thread_current());
        lock_waiting(taken);
    }
    while (!section_try(other)) {
        section_unlock(taken);
        tally_critical_suspend(tally_thread_current());
        TALLY_POINT(section_wait);
        lock_waiting(other);
        tally_object *swap = taken;
        taken = other;
        other = swap;
    }
    section->held = true;
}

/* A section whose objects an outer one holds has none of its own: both are to be held. */
void tally_critical_resume(tally_thread_state *thread) {
    for (tally_critical *section = thread->critical; section; section = section->outer) {
        if (!section->held) section_take(section);
        if (section->first) return;
    }
}

static void section_begin(tally_critical *section, tally_object *first, tally_object *second) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    bool nested = held_by_section(first) && (!second || held_by_section(second));
    section->first = nested ? NULL : first;
    section->second = nested ? NULL : second;
    section->held = nested;
    tally_thread_state *thread = tally_thread_current();
    if (!nested) {
        /* One of the two held by an outer section: that one would be waited for forever. */
        if (held_by_section(first) || (second && held_by_section(second))) tally_critical_suspend(thread);
        section_take(section);
    }
    section->outer = thread->critical;
    thread->critical = section;
}

void tally_critical_begin(tally_critical *section, tally_object *object) { section_begin(section, object, NULL); }
void tally_critical_begin2(tally_critical *section, tally_object *a, tally_object *b) {
    /* By address: two threads that want the same two seldom get one each. */
    if (a == b) section_begin(section, a, NULL);
    else section_begin(section, a < b ? a : b, a < b ? b : a);
}
void tally_critical_end(tally_critical *section) {
    TALLY_ENDS_BORROWS();
    if (section->held) {
        section_unlock(section->second);
        section_unlock(section->first);
        section->held = false;
    }
    tally_thread_state *thread = tally_thread_current();
    thread->critical = section->outer;
    tally_critical_resume(thread);
}

/* ---- locks of weak references -------------------------------------------- */

/* By address, so that a reference finds the lock when its referent is gone. Held
 * for a few instructions, with no safepoint inside. */
enum { WEAK_LOCKS = 64 };
static struct { _Alignas(64) pthread_mutex_t mutex; } weak_locks[WEAK_LOCKS] = { [0 ... WEAK_LOCKS - 1] = { PTHREAD_MUTEX_INITIALIZER } };

static pthread_mutex_t *weak_lock_of(const void *address) {
    return &weak_locks[((uintptr_t)address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 58].mutex;
}
void tally_weak_lock(const void *address) { pthread_mutex_lock(weak_lock_of(address)); }
void tally_weak_unlock(const void *address) { pthread_mutex_unlock(weak_lock_of(address)); }
