/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * biased_lock.c: how another thread than the owner gets a lock that is biased to the owner.
 *
 * The owner enters and leaves by plain stores (locking_inline.h), so the revoker has to make
 * sure that the owner is not inside and will not enter. There are three ways, cheapest first:
 *  1. The epoch of the bias is over: the owner cannot be inside, nor enter.
 *  2. The owner does not run. So it holds no short lock. Before it enters one, it runs again, by a
 *     seq_cst change of its status, and then sees the byte that the revoker stored before.
 *  3. The owner runs: a membarrier, and a wait until its mark is not this object. Every BULK-th
 *     time the epoch ends instead, which revokes all containers of the owner that have it.
 *
 * Invariant: while a revocation is under way the byte is both held, so that no other thread
 * enters, and biased, so that lock-free readers keep out. The owner may be inside meanwhile, takes
 * the container for private, and frees arrays at once.
 */
#define _GNU_SOURCE
#include "locking_internal.h"
#include <linux/membarrier.h>
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { BULK = 16, UNBIASED_AFTER = 64 };

static bool membarrier_works;

void tally_locks_start(void) {
    membarrier_works =
        syscall(SYS_membarrier, MEMBARRIER_CMD_REGISTER_PRIVATE_EXPEDITED, 0, 0) == 0;
}
void tally_locks_attach(tally_locking_thread *self) {
    uint8_t bias = tally_load_relaxed(&self->bias);
    /* A new slot has 0, which is the byte of a free lock. */
    if (!bias)
        tally_store_relaxed(&self->bias,
                            bias = membarrier_works ? TALLY_BIAS_FIRST : TALLY_BIAS_NONE);
    tally_store_relaxed(&self->lock_initial, bias != TALLY_BIAS_NONE && TALLY_REFCOUNT_HAVE_OWNERS
                                                 ? bias
                                                 : TALLY_LOCK_FREE);
}

static void membarrier_others(void) {
    syscall(SYS_membarrier, MEMBARRIER_CMD_PRIVATE_EXPEDITED, 0, 0);
}

/* After a membarrier: the owner may hold the short lock of the object. */
static bool may_be_inside(tally_thread_state *owner, tally_object *object) {
    /* acquire: pairs with the owner's release on leaving */
    return tally_load_acquire(&owner->locking.biased_hold) == object;
}
static void pause_for_owner(unsigned spins) {
    TALLY_FAILPOINT(bias_wait);
    if (spins > TALLY_LOCK_SPINS) sched_yield();
}

/*
 * Ends the epoch of the owner's biases: stores the new epoch, waits until the owner is out of a
 * short lock that it may have entered by the old one, and publishes that the old one is over.
 * Under the mutex, so that epochs end one after the other.
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
        /* The object stays readable when the owner has left it, since this thread is at no
         * safepoint. If its byte is another one, the owner has entered by the new epoch, or waits
         * for the revoker of that one lock. */
        for (unsigned spins = 0;
             inside && may_be_inside(owner, inside) && tally_load_relaxed(&inside->lock) == bias;
             spins++)
            pause_for_owner(spins);
        /* release: pairs with bias_is_over: what the owner did in its short locks comes before */
        tally_store_release(&it->bias_over, bias);
    }
    pthread_mutex_unlock(&mutex);
}

/* The epoch of this biased byte is over: the owner cannot be inside by it. */
static bool bias_is_over(tally_thread_state *owner, uint8_t lock) {
    /* acquire: pairs with end_epoch */
    return lock <= tally_load_acquire(&owner->locking.bias_over);
}

bool tally_lock_can_bias(void) { return membarrier_works; }
void tally_lock_wait_for_holder(tally_thread_state *holder, tally_object *object) {
    membarrier_others();
    for (unsigned spins = 0; may_be_inside(holder, object); spins++) pause_for_owner(spins);
}

static void wait_for_owner(tally_thread_state *owner, tally_object *object) {
    TALLY_FAILPOINT(bias_taken);
    /* An owner whose containers are shared as a rule stops biasing new ones, until another thread
     * attaches in its slot. */
    uint8_t times = (uint8_t)(tally_load_relaxed(&owner->locking.revocations) + 1);
    tally_store_relaxed(&owner->locking.revocations, times);
    if (times % UNBIASED_AFTER == 0)
        tally_store_relaxed(&owner->locking.lock_initial, TALLY_LOCK_FREE);
    if (times % BULK == 0) end_epoch(owner);
    tally_lock_wait_for_holder(owner, object);
}

bool tally_lock_revoke(tally_object *object, uint8_t lock) {
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
