/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * The stop-the-world collector, as the contract sees it (core/gc/collector.h).
 * collector.c has the collection, mark.c how the unreachable are found.
 */
#ifndef TALLY_COLLECTOR_H
#define TALLY_COLLECTOR_H

#define TALLY_COLLECTOR_NAME "stop the world"

/*
 * Containers made less freed that are not handed over yet: births - ahead. A thread that is nudged
 * sets births ahead to one below the batch, so that its next birth looks whether a collection is
 * due. Written by their own thread, or with the world stopped; read by any. Their accesses are
 * relaxed, and are volatile for the same reason as those of biased counts: behind an atomic one the
 * compiler loads tally_self again.
 */
#ifdef TALLY_THREAD_SANITIZER
static inline int32_t tally_births_load(const int32_t *births) {
    return __atomic_load_n(births, __ATOMIC_RELAXED);
}
static inline void tally_births_store(int32_t *births, int32_t n) {
    __atomic_store_n(births, n, __ATOMIC_RELAXED);
}
#else
static inline int32_t tally_births_load(const int32_t *births) {
    return *(const volatile int32_t *)births;
}
static inline void tally_births_store(int32_t *births, int32_t n) {
    *(volatile int32_t *)births = n;
}
#endif
typedef struct tally_collector_thread {
    int32_t births, ahead;
} tally_collector_thread;

#endif
