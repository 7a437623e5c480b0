/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * tally_atomic.h: C11 atomic accesses by short names that end in their memory order, so that an
 * access and its order fit on one line.
 *
 * tally_cas_ORDER(object, expected, desired): the order of success; a failure is relaxed, or as a
 * second order says. The weak form may fail without a reason.
 */
#ifndef TALLY_ATOMIC_H
#define TALLY_ATOMIC_H

#include <stdatomic.h>

#if defined(__SANITIZE_THREAD__)
#    define TALLY_THREAD_SANITIZER 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define TALLY_THREAD_SANITIZER 1
#    endif
#endif

#define tally_load_relaxed(object) atomic_load_explicit(object, memory_order_relaxed)
#define tally_load_acquire(object) atomic_load_explicit(object, memory_order_acquire)
#define tally_load_seq_cst(object) atomic_load_explicit(object, memory_order_seq_cst)

#define tally_store_relaxed(object, value) \
    atomic_store_explicit(object, value, memory_order_relaxed)
#define tally_store_release(object, value) \
    atomic_store_explicit(object, value, memory_order_release)
#define tally_store_seq_cst(object, value) \
    atomic_store_explicit(object, value, memory_order_seq_cst)

#define tally_swap_acquire(object, value) \
    atomic_exchange_explicit(object, value, memory_order_acquire)
#define tally_swap_seq_cst(object, value) \
    atomic_exchange_explicit(object, value, memory_order_seq_cst)

#define tally_add_relaxed(object, value) \
    atomic_fetch_add_explicit(object, value, memory_order_relaxed)
#define tally_add_acq_rel(object, value) \
    atomic_fetch_add_explicit(object, value, memory_order_acq_rel)
#define tally_add_seq_cst(object, value) \
    atomic_fetch_add_explicit(object, value, memory_order_seq_cst)

#define tally_sub_relaxed(object, value) \
    atomic_fetch_sub_explicit(object, value, memory_order_relaxed)
#define tally_sub_release(object, value) \
    atomic_fetch_sub_explicit(object, value, memory_order_release)
#define tally_sub_acq_rel(object, value) \
    atomic_fetch_sub_explicit(object, value, memory_order_acq_rel)
#define tally_sub_seq_cst(object, value) \
    atomic_fetch_sub_explicit(object, value, memory_order_seq_cst)

#define tally_or_relaxed(object, value) \
    atomic_fetch_or_explicit(object, value, memory_order_relaxed)
#define tally_or_release(object, value) \
    atomic_fetch_or_explicit(object, value, memory_order_release)
#define tally_or_seq_cst(object, value) \
    atomic_fetch_or_explicit(object, value, memory_order_seq_cst)

#define tally_and_relaxed(object, value) \
    atomic_fetch_and_explicit(object, value, memory_order_relaxed)
#define tally_and_release(object, value) \
    atomic_fetch_and_explicit(object, value, memory_order_release)
#define tally_and_seq_cst(object, value) \
    atomic_fetch_and_explicit(object, value, memory_order_seq_cst)

#define tally_cas_acquire(object, expected, desired)                                         \
    atomic_compare_exchange_strong_explicit(object, expected, desired, memory_order_acquire, \
                                            memory_order_relaxed)
#define tally_cas_release(object, expected, desired)                                         \
    atomic_compare_exchange_strong_explicit(object, expected, desired, memory_order_release, \
                                            memory_order_relaxed)
#define tally_cas_seq_cst(object, expected, desired)                                         \
    atomic_compare_exchange_strong_explicit(object, expected, desired, memory_order_seq_cst, \
                                            memory_order_relaxed)

#define tally_cas_weak_relaxed(object, expected, desired)                                  \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_relaxed, \
                                          memory_order_relaxed)
#define tally_cas_weak_acquire(object, expected, desired)                                  \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_acquire, \
                                          memory_order_relaxed)
#define tally_cas_weak_release(object, expected, desired)                                  \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_release, \
                                          memory_order_relaxed)
#define tally_cas_weak_acq_rel(object, expected, desired)                                  \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_acq_rel, \
                                          memory_order_relaxed)
#define tally_cas_weak_acq_rel_acquire(object, expected, desired)                          \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_acq_rel, \
                                          memory_order_acquire)
#define tally_cas_weak_seq_cst(object, expected, desired)                                  \
    atomic_compare_exchange_weak_explicit(object, expected, desired, memory_order_seq_cst, \
                                          memory_order_relaxed)

#endif
