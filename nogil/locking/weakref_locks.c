/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * weakref_locks.c: the locks of weak references. A weak reference finds the lock by the address of
 * its referent, so it finds the lock also when the referent is gone.
 *
 * Invariant: a lock is held for a few instructions, with no safepoint inside.
 */
#include "objects/object.h"

enum { WEAK_LOCKS = 64 };
static struct {
    _Alignas(64) pthread_mutex_t mutex;
} weak_locks[WEAK_LOCKS] = {[0 ... WEAK_LOCKS - 1] = {PTHREAD_MUTEX_INITIALIZER}};

static unsigned number_of(const void *address) {
    return (unsigned)(((uintptr_t)address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 58);
}
static pthread_mutex_t *weak_lock_of(const void *address) {
    return &weak_locks[number_of(address)].mutex;
}
void tally_weak_lock(const void *address) { pthread_mutex_lock(weak_lock_of(address)); }
void tally_weak_unlock(const void *address) { pthread_mutex_unlock(weak_lock_of(address)); }

/* Several at once, in the order of their numbers; all others take one at a time. */
uint64_t tally_weak_lock_bit(const void *address) { return UINT64_C(1) << number_of(address); }
void tally_weak_lock_all(uint64_t bits) {
    for (unsigned i = 0; i < WEAK_LOCKS; i++)
        if (bits >> i & 1) pthread_mutex_lock(&weak_locks[i].mutex);
}
void tally_weak_unlock_all(uint64_t bits) {
    for (unsigned i = 0; i < WEAK_LOCKS; i++)
        if (bits >> i & 1) pthread_mutex_unlock(&weak_locks[i].mutex);
}
