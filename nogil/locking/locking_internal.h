/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* locking_internal.h: what the files of this folder call in each other. */
#ifndef TALLY_LOCKING_INTERNAL_H
#define TALLY_LOCKING_INTERNAL_H

#include "internal.h"

enum { TALLY_LOCK_SPINS = 40 }; /* looks at a lock before the thread sleeps or yields */

/* biased_lock.c. The byte `lock` is biased: the caller gets the lock; false: the byte changed. */
bool tally_lock_revoke(tally_object *object, uint8_t lock);

/* parking.c. Takes a lock that another thread holds; suspends the caller's critical sections
 * first, and runs no foreign code. */
void tally_lock_wait(tally_object *object);

/* critical_section.c. A critical section of this thread holds the lock of the object. */
bool tally_critical_holds(tally_object *object);

static inline bool tally_lock_try(tally_object *object) {
    uint8_t lock = tally_load_relaxed(&object->lock);
    if (tally_lock_byte_is_biased(lock)) return tally_lock_revoke(object, lock);
    /* acquire: pairs with the release of unlock */
    return !(lock & TALLY_LOCK_HELD) &&
           tally_cas_acquire(&object->lock, &lock, lock | TALLY_LOCK_HELD);
}

#endif
