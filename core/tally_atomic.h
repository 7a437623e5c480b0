/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_atomic.h: C11 atomic accesses by short names that end in their memory order, so that an
 * access and its order fit on one line.
 *
 * tally_cas_ORDER(at, old, new): the order of success; a failure is relaxed, or as a
 * second order says. The weak form may fail without a reason.
 */
#ifndef TALLY_ATOMIC_H
#define TALLY_ATOMIC_H

#include <stdatomic.h>
#include <stdint.h>

#if defined(__SANITIZE_THREAD__)
#    define TALLY_THREAD_SANITIZER 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define TALLY_THREAD_SANITIZER 1
#    endif
#endif

#define tally_load_relaxed(at) atomic_load_explicit(at, memory_order_relaxed)
#define tally_load_acquire(at) atomic_load_explicit(at, memory_order_acquire)
#define tally_load_seq_cst(at) atomic_load_explicit(at, memory_order_seq_cst)

#define tally_store_relaxed(at, n) atomic_store_explicit(at, n, memory_order_relaxed)
#define tally_store_release(at, n) atomic_store_explicit(at, n, memory_order_release)
#define tally_store_seq_cst(at, n) atomic_store_explicit(at, n, memory_order_seq_cst)

#define tally_swap_acquire(at, n) atomic_exchange_explicit(at, n, memory_order_acquire)
#define tally_swap_seq_cst(at, n) atomic_exchange_explicit(at, n, memory_order_seq_cst)

#define tally_add_relaxed(at, n) atomic_fetch_add_explicit(at, n, memory_order_relaxed)
#define tally_add_acq_rel(at, n) atomic_fetch_add_explicit(at, n, memory_order_acq_rel)
#define tally_add_seq_cst(at, n) atomic_fetch_add_explicit(at, n, memory_order_seq_cst)

#define tally_sub_relaxed(at, n) atomic_fetch_sub_explicit(at, n, memory_order_relaxed)
#define tally_sub_release(at, n) atomic_fetch_sub_explicit(at, n, memory_order_release)
#define tally_sub_acq_rel(at, n) atomic_fetch_sub_explicit(at, n, memory_order_acq_rel)
#define tally_sub_seq_cst(at, n) atomic_fetch_sub_explicit(at, n, memory_order_seq_cst)

#define tally_or_relaxed(at, n) atomic_fetch_or_explicit(at, n, memory_order_relaxed)
#define tally_or_release(at, n) atomic_fetch_or_explicit(at, n, memory_order_release)
#define tally_or_seq_cst(at, n) atomic_fetch_or_explicit(at, n, memory_order_seq_cst)

#define tally_and_relaxed(at, n) atomic_fetch_and_explicit(at, n, memory_order_relaxed)
#define tally_and_release(at, n) atomic_fetch_and_explicit(at, n, memory_order_release)
#define tally_and_seq_cst(at, n) atomic_fetch_and_explicit(at, n, memory_order_seq_cst)

#define TALLY_CAS(strength, at, old, new, success, failure)                             \
    atomic_compare_exchange_##strength##_explicit(at, old, new, memory_order_##success, \
                                                  memory_order_##failure)
#define tally_cas_acquire(at, old, new) TALLY_CAS(strong, at, old, new, acquire, relaxed)
#define tally_cas_release(at, old, new) TALLY_CAS(strong, at, old, new, release, relaxed)
#define tally_cas_seq_cst(at, old, new) TALLY_CAS(strong, at, old, new, seq_cst, relaxed)

#define tally_cas_weak_relaxed(at, old, new)         TALLY_CAS(weak, at, old, new, relaxed, relaxed)
#define tally_cas_weak_release(at, old, new)         TALLY_CAS(weak, at, old, new, release, relaxed)
#define tally_cas_weak_acq_rel(at, old, new)         TALLY_CAS(weak, at, old, new, acq_rel, relaxed)
#define tally_cas_weak_acq_rel_acquire(at, old, new) TALLY_CAS(weak, at, old, new, acq_rel, acquire)
#define tally_cas_weak_seq_cst(at, old, new)         TALLY_CAS(weak, at, old, new, seq_cst, relaxed)

/* Between two looks at what another thread is about to store. */
static inline void tally_pause(void) {
#if defined __x86_64__
    __builtin_ia32_pause();
#endif
}

/* Adds 1 to a number that this thread alone writes, and that others read at any time: one
 * instruction, where compilers make three of a relaxed load and store (a tenth of the time in
 * list-hot-read on two threads). */
static inline __attribute__((always_inline)) void tally_count_own(_Atomic int64_t *at) {
#if defined __x86_64__ && !defined TALLY_THREAD_SANITIZER
    __asm__ volatile("addq $1, %0" : "+m"(*at));
#else
    tally_store_relaxed(at, tally_load_relaxed(at) + 1);
#endif
}

#endif
