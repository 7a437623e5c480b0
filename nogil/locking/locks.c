/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * locks.c: the slow paths of the one-byte locks: waiting, waking, revoking a
 * bias; and critical sections.
 *
 * When a critical section is held. Between its begin and its end the objects of
 * the innermost section are locked, but while the thread waits: for a lock, for a
 * grace period, or in a blocking region. A thread that is about to wait unlocks
 * all that its sections hold (tally_critical_suspend), so a thread that waits holds
 * no lock. Whatever let the sections go locks the innermost one's objects again
 * before it returns to the program (tally_critical_resume): the end of a blocking
 * region, the unlock of a short lock that had to wait, the end of an inner section.
 * An outer section may be unlocked until all inner ones have ended.
 *  - A section need not own the locks of its objects: an outer one may. `held` has
 *    a bit for each lock that the section itself has to unlock.
 *  - Waiting for a lock runs no foreign code: what died in the merge queue is put
 *    off to the next safepoint. So nothing begins or ends a section meanwhile.
 *
 * A waiter sleeps in a bucket chosen by the lock's address. Invariant: the byte
 * has TALLY_LOCK_PARKED set, under the bucket's mutex, before its waiter sleeps;
 * an unlock that finds it set takes that mutex. A waiter that has waited for a
 * millisecond is handed the lock (Parking Lot, WebKit; Go's mutex).
 */
#define _GNU_SOURCE
#include "internal.h"
#include "objects/object.h"
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
static struct bucket {
    _Alignas(64) pthread_mutex_t mutex;
    waiter *first;
} buckets[BUCKETS] = {[0 ... BUCKETS - 1] = {PTHREAD_MUTEX_INITIALIZER, NULL}};

static struct bucket *bucket_of(tally_object *object) {
    return &buckets[((uintptr_t)object >> 4) % BUCKETS];
}

static uint64_t now_ns(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

/* Sleeps until an unlock wakes this thread; true if it was handed the lock. */
static bool park(tally_object *object, uint64_t since) {
    TALLY_FAILPOINT(park);
    struct bucket *bucket = bucket_of(object);
    pthread_mutex_lock(&bucket->mutex);
    uint8_t lock = tally_load_relaxed(&object->lock);
    for (;;) {
        if (!(lock & TALLY_LOCK_HELD)) {
            pthread_mutex_unlock(&bucket->mutex);
            return false;
        }
        if ((lock & TALLY_LOCK_PARKED) ||
            tally_cas_weak_relaxed(&object->lock, &lock, lock | TALLY_LOCK_PARKED))
            break;
    }
    TALLY_FAILPOINT(parking);
    waiter self = {.object = object, .wake = PTHREAD_COND_INITIALIZER, .since = since};
    waiter **last = &bucket->first;
    while (*last) last = &(*last)->next;
    *last = &self;
    while (!self.woken) pthread_cond_wait(&self.wake, &bucket->mutex);
    pthread_mutex_unlock(&bucket->mutex);
    return self.handed;
}

void tally_unlock_slow(tally_object *object) {
    TALLY_FAILPOINT(unlock_slow);
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
    tally_store_release(&object->lock, after);
    if (first) pthread_cond_signal(&first->wake);
    pthread_mutex_unlock(&bucket->mutex);
}

/* ---- biased locks ------------------------------------------------------- */

static bool membarrier_works;

void tally_locks_start(void) {
    membarrier_works =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
void tally_locks_attach(tally_locking_thread *self) {
    uint8_t bias = tally_load_relaxed(&self->bias);
    /* A slot that is new. Never 0, which a byte that is free would be taken for. */
    if (!bias)
        tally_store_relaxed(&self->bias,
                            bias = membarrier_works ? TALLY_BIAS_FIRST : TALLY_BIAS_NONE);
    tally_store_relaxed(&self->lock_initial, bias != TALLY_BIAS_NONE && TALLY_REFCOUNT_HAVE_OWNERS
                                                 ? bias
                                                 : TALLY_LOCK_FREE);
}

/*
 * Revoking. Three ways, from cheap to dear:
 *  1. The epoch of the bias is over (locking_inline.h): the owner cannot be inside, nor enter.
 *  2. The owner does not run. It is in no short lock then, and before it enters one it
 *     runs again, by a seq_cst change of its status: it then sees the byte that was swapped before.
 *  3. The owner runs: a membarrier, and a wait until its mark is not this object. Every
 *     BULK-th time the epoch ends instead, for all containers of the owner that have it.
 */
enum { BULK = 16, UNBIASED_AFTER = 64 };

static void membarrier_others(void) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* After a membarrier: the owner may be in the short lock of the object. */
static bool may_be_inside(tally_thread_state *owner, tally_object *object) {
    /* acquire: pairs with the owner's release on leaving */
    return tally_load_acquire(&owner->locking.biased_hold) == object;
}
static void pause_for_owner(unsigned spins) {
    TALLY_FAILPOINT(bias_wait);
    if (spins > SPINS) sched_yield();
}

/*
 * Ends the epoch of the owner's biases. First its new epoch is stored, then, once the owner is
 * out of a short lock that it may have entered by the old one, the old one is said to be over.
 * Under the mutex: epochs end one after the other.
 */
static void end_epoch(tally_thread_state *owner) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    tally_locking_thread *it = &owner->locking;
    pthread_mutex_lock(&mutex);
    uint8_t bias = tally_load_relaxed(&it->bias);
    if (bias != TALLY_BIAS_NONE) {
        uint8_t next =
            bias == TALLY_BIAS_LAST ? TALLY_BIAS_NONE : (uint8_t)(bias + TALLY_BIAS_EPOCH);
        uint8_t initial = tally_load_relaxed(&it->lock_initial);
        /* relaxed would do: the membarrier orders it before the look at the owner's mark */
        tally_store_seq_cst(&it->bias, next);
        if (initial != TALLY_LOCK_FREE)
            tally_store_relaxed(&it->lock_initial,
                                next == TALLY_BIAS_NONE ? TALLY_LOCK_FREE : next);
        TALLY_FAILPOINT(epoch_ends);
        membarrier_others();
        /* acquire: pairs with the owner's release of its mark */
        tally_object *inside = tally_load_acquire(&it->biased_hold);
        /* It is readable also when the owner has left it: this thread is at no safepoint. By
         * another byte the owner has entered anew, or waits for a revoker of that one lock. */
        for (unsigned spins = 0;
             inside && may_be_inside(owner, inside) && tally_load_relaxed(&inside->lock) == bias;
             spins++)
            pause_for_owner(spins);
        /* release: pairs with bias_is_over: what the owner did in its short locks comes before */
        tally_store_release(&it->bias_over, bias);
    }
    pthread_mutex_unlock(&mutex);
}

/* The owner's bias of this byte is one of an epoch that is over: nobody can be inside by it. */
static bool bias_is_over(tally_thread_state *owner, uint8_t lock) {
    /* acquire: pairs with end_epoch */
    return lock <= tally_load_acquire(&owner->locking.bias_over);
}

static void wait_for_owner(tally_thread_state *owner, tally_object *object) {
    TALLY_FAILPOINT(bias_taken);
    /* Containers that are shared as a rule are not worth a bias: their owner stops
     * biasing new ones, until another thread attaches in its slot. */
    uint8_t times = (uint8_t)(tally_load_relaxed(&owner->locking.revocations) + 1);
    tally_store_relaxed(&owner->locking.revocations, times);
    if (times % UNBIASED_AFTER == 0)
        tally_store_relaxed(&owner->locking.lock_initial, TALLY_LOCK_FREE);
    if (times % BULK == 0) end_epoch(owner);
    membarrier_others();
    for (unsigned spins = 0; may_be_inside(owner, object); spins++) pause_for_owner(spins);
}

/*
 * The byte `lock` is biased: makes it held by the caller. False: it changed meanwhile.
 * In between it is both: held, so that nobody else enters; biased, so that
 * readers keep out while the owner may be in a short lock that it takes for private,
 * in which it frees arrays at once.
 */
static bool revoke_bias(tally_object *object, uint8_t lock) {
    uint32_t owner_id = tally_refcount_owner(&object->refcount);
    bool others = owner_id != TALLY_OWNER_NONE && owner_id != tally_self.id;
    tally_thread_state *owner = others ? tally_thread_slot(owner_id) : NULL;
    bool over = others && bias_is_over(owner, lock);
    /* seq_cst: before the look at the owner's status. Acquire pairs with unbias, release with the
     * owner's look at the byte */
    if (!tally_cas_seq_cst(&object->lock, &lock, over ? TALLY_LOCK_HELD : lock | TALLY_LOCK_HELD))
        return false;
    if (over) return true;
    /* seq_cst: pairs with the owner's change to running, after which it sees the byte; acquire: all
     * that it did before it blocked */
    if (others && tally_load_seq_cst(&owner->status) == TALLY_RUNNING) {
        TALLY_EVENT(lock_revocations);
        tally_contended(object, TALLY_CONTENDED_REVOCATION);
        wait_for_owner(owner, object);
    }
    /* release: pairs with tally_may_read_unlocked; an and, since a waiter may set PARKED meanwhile
     */
    tally_and_release(&object->lock, TALLY_LOCK_HELD | TALLY_LOCK_PARKED);
    return true;
}

/* ---- waiting ------------------------------------------------------------ */

static bool try_lock(tally_object *object) {
    uint8_t lock = tally_load_relaxed(&object->lock);
    if (tally_lock_byte_is_biased(lock)) return revoke_bias(object, lock);
    /* acquire: pairs with the release of unlock */
    return !(lock & TALLY_LOCK_HELD) &&
           tally_cas_acquire(&object->lock, &lock, lock | TALLY_LOCK_HELD);
}

/* Takes a lock that is held by another; lets go of this thread's sections first. Runs no foreign
 * code. */
static void lock_waiting(tally_object *object) {
    for (unsigned spins = 0; spins < SPINS; spins++) {
        if (try_lock(object)) return;
        __builtin_ia32_pause();
    }
    TALLY_EVENT(lock_waits);
    tally_contended(object, TALLY_CONTENDED_LOCK_WAIT);
    tally_critical_suspend(tally_thread_current());
    tally_wait_begin(tally_thread_current(), "waiting for the lock of an object");
    uint64_t since = now_ns();
    bool handed = false;
    while (!handed) {
        uint8_t lock = tally_load_relaxed(&object->lock);
        handed = !tally_lock_byte_is_biased(lock) && park(object, since);
        if (!handed && try_lock(object)) break;
    }
    /* Not tally_blocking_end: the sections stay suspended while this lock is held. */
    tally_wait_end();
    if (handed) {
        TALLY_EVENT(lock_handovers);
        tally_contended(object, TALLY_CONTENDED_HANDOVER);
    }
}

/* Bits of tally_critical.held. */
enum { HELD_FIRST = 1, HELD_SECOND = 2 };

static bool held_by_section(tally_object *object) {
    for (tally_critical *section = tally_thread_current()->critical; section;
         section = section->outer)
        if (((section->held & HELD_FIRST) && section->first == object) ||
            ((section->held & HELD_SECOND) && section->second == object))
            return true;
    return false;
}

unsigned tally_lock_slow(tally_object *object) {
    if (held_by_section(object)) return TALLY_TOKEN_NESTED;
    if (try_lock(object)) return TALLY_TOKEN_HELD;
    lock_waiting(object);
    return tally_thread_current()->critical ? TALLY_TOKEN_WAITED : TALLY_TOKEN_HELD;
}

/* The wait for it let the sections go. */
void tally_unlock_waited(tally_object *object) {
    tally_unlock_object(object, TALLY_TOKEN_HELD);
    TALLY_FAILPOINT(unlock_waited);
    tally_critical_resume(tally_thread_current());
}

/* ---- critical sections -------------------------------------------------- */

/* A lock byte held for long: never by bias, whose mark has room for one object. */
static bool section_try(tally_object *object) { return object == NULL || try_lock(object); }
static void section_unlock(tally_object *object) {
    if (object) tally_unlock_object(object, TALLY_TOKEN_HELD);
}

void tally_critical_suspend(tally_thread_state *thread) {
    for (tally_critical *section = thread->critical; section; section = section->outer) {
        if (section->held & HELD_SECOND) section_unlock(section->second);
        if (section->held & HELD_FIRST) section_unlock(section->first);
        section->held = 0;
    }
}

/*
 * Nothing is held. Waits for one lock at a time and holds none meanwhile. Two threads that want the
 * same two may each have to give one back and wait again; the hand-over of locks waited for long
 * ends that.
 */
static void section_lock(tally_critical *section) {
    tally_object *taken = section->first, *other = section->second;
    if (!section_try(taken)) lock_waiting(taken);
    while (!section_try(other)) {
        section_unlock(taken);
        TALLY_FAILPOINT(section_wait);
        lock_waiting(other);
        tally_object *swap = taken;
        taken = other;
        other = swap;
    }
    section->held = section->second ? HELD_FIRST | HELD_SECOND : HELD_FIRST;
}

static bool is_held(tally_critical *section) {
    return held_by_section(section->first) &&
           (!section->second || held_by_section(section->second));
}

/* An outer section that holds one of the two has to let it go: the wait for it would be one for
 * ever. */
static void section_ensure(tally_thread_state *thread, tally_critical *section) {
    if (is_held(section)) return;
    if (held_by_section(section->first) || (section->second && held_by_section(section->second)))
        tally_critical_suspend(thread);
    section_lock(section);
}

void tally_critical_resume(tally_thread_state *thread) {
    if (thread->critical) section_ensure(thread, thread->critical);
}

static void section_begin(tally_critical *section, tally_object *first, tally_object *second) {
    tally_thread_require();
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    *section = (tally_critical){.first = first, .second = second};
    section_ensure(thread, section);
    section->outer = thread->critical;
    thread->critical = section;
}

void tally_critical_begin(tally_critical *section, tally_object *object) {
    section_begin(section, object, NULL);
}
void tally_critical_begin2(tally_critical *section, tally_object *a, tally_object *b) {
    /* By address: two threads that want the same two seldom get one each. */
    if (a == b)
        section_begin(section, a, NULL);
    else
        section_begin(section, a < b ? a : b, a < b ? b : a);
}
void tally_critical_end(tally_critical *section) {
    TALLY_ENDS_BORROWS();
    tally_thread_state *thread = tally_thread_current();
    if (TALLY_UNLIKELY(thread->critical != section))
        tally_fatal(section->first, "a critical section was ended that is not the innermost");
    if (section->held & HELD_SECOND) section_unlock(section->second);
    if (section->held & HELD_FIRST) section_unlock(section->first);
    section->held = 0;
    thread->critical = section->outer;
    tally_critical_resume(thread);
}

/* ---- locks of weak references -------------------------------------------- */

/* By address, so that a reference finds the lock when its referent is gone. Held
 * for a few instructions, with no safepoint inside. */
enum { WEAK_LOCKS = 64 };
static struct {
    _Alignas(64) pthread_mutex_t mutex;
} weak_locks[WEAK_LOCKS] = {[0 ... WEAK_LOCKS - 1] = {PTHREAD_MUTEX_INITIALIZER}};

static pthread_mutex_t *weak_lock_of(const void *address) {
    return &weak_locks[((uintptr_t)address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 58].mutex;
}
void tally_weak_lock(const void *address) { pthread_mutex_lock(weak_lock_of(address)); }
void tally_weak_unlock(const void *address) { pthread_mutex_unlock(weak_lock_of(address)); }
