/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Biased counts (Choi, Shull, Torrellas 2018; PEP 703): an object has an owner,
 * who counts in `local` without read-modify-writes; all others count in
 * `shared`, atomically. docs/design.md draws the states and proves the orders.
 *
 * Invariants:
 *  - Only the owner, or who claimed it while blocked, or who holds the
 *    registration lock once it is gone, writes `local` and `owner`.
 *  - References = local + shared. In state queued, the queue's entry is one of them.
 *  - An object dies only in state default by its owner, or in state merged.
 *    Dead is: owner none, shared merged with 0.
 */
#ifndef TALLY_COUNTS_H
#define TALLY_COUNTS_H

#define TALLY_COUNTS_NAME "biased"
#define TALLY_COUNTS_HAVE_OWNERS 1

typedef struct tally_counts {
    _Atomic uint32_t local;
    _Atomic uint32_t shared; /* two state bits below a signed count */
    _Atomic uint16_t owner;
} tally_counts;

enum { TALLY_SHARED_DEFAULT, TALLY_SHARED_MAYBE, TALLY_SHARED_QUEUED, TALLY_SHARED_MERGED, TALLY_SHARED_STATE = 3, TALLY_SHARED_ONE = 4 };

#define TALLY_COUNTS_IMMORTAL { 0, 0, TALLY_OWNER_IMMORTAL }

void tally_object_zero(tally_object *object);        /* the last reference is gone */
void tally_counts_local_zero(tally_counts *counts);  /* the owner's half reached 0 */
void tally_counts_decref_shared(tally_counts *counts);

static inline void tally_counts_incref(tally_counts *counts) {
    uint32_t owner = atomic_load_explicit(&counts->owner, memory_order_relaxed);
    if (TALLY_LIKELY(owner == tally_self.id)) {
        TALLY_DETAIL(local_increfs);
        atomic_store_explicit(&counts->local, atomic_load_explicit(&counts->local, memory_order_relaxed) + 1, memory_order_relaxed);
        return;
    }
    if (owner == TALLY_OWNER_IMMORTAL) { TALLY_DETAIL(immortal_skips); return; }
    TALLY_DETAIL(shared_increfs);
    /* relaxed: the caller's own reference keeps the object alive */
    atomic_fetch_add_explicit(&counts->shared, TALLY_SHARED_ONE, memory_order_relaxed);
}

static inline void tally_counts_decref(tally_counts *counts) {
    uint32_t owner = atomic_load_explicit(&counts->owner, memory_order_relaxed);
    if (TALLY_LIKELY(owner == tally_self.id)) {
        TALLY_DETAIL(local_decrefs);
        uint32_t local = atomic_load_explicit(&counts->local, memory_order_relaxed) - 1;
        atomic_store_explicit(&counts->local, local, memory_order_relaxed);
        if (TALLY_UNLIKELY(local == 0)) tally_counts_local_zero(counts);
        return;
    }
    if (owner == TALLY_OWNER_IMMORTAL) { TALLY_DETAIL(immortal_skips); return; }
    tally_counts_decref_shared(counts);
}

#endif
