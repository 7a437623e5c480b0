/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally_refcount_types.h: the word of an atomic refcount; tally_refcount.h explains it. */
#ifndef TALLY_REFCOUNT_TYPES_H
#define TALLY_REFCOUNT_TYPES_H

#include <stdint.h>

#define TALLY_REFCOUNT_HAVE_OWNERS 0

typedef struct tally_refcounts {
    _Atomic uint32_t count; /* references - 2; of a dead object a try-incref fails */
} tally_refcounts;

#define TALLY_REFCOUNT_ONE           UINT32_MAX /* one reference */
#define TALLY_REFCOUNT_DEAD          (UINT32_MAX - 1)
#define TALLY_REFCOUNT_LIMIT         (INT32_C(1) << 29)
#define TALLY_REFCOUNT_IMMORTAL_WORD (UINT32_C(1) << 30)
#define TALLY_REFCOUNT_LINK          (UINT32_C(1) << 31)
#define TALLY_REFCOUNT_IMMORTAL \
    { TALLY_REFCOUNT_IMMORTAL_WORD }

/* 1: threads that contend take turns; nogil/locking/turns.h. */
#ifndef TALLY_TURNS
#    define TALLY_TURNS 1
#endif

/* Its thread alone writes it. Two numbers, so that a drop need not wait for the processor to store
 * what the reference before it has counted; taken less dropped may be negative. */
typedef struct tally_per_thread_count {
    _Atomic int64_t taken, dropped;
} tally_per_thread_count;

typedef struct tally_refcount_head {
    /* The thread's part of the refcounts of classes; NULL: none yet. */
    _Atomic(tally_per_thread_count *) per_thread;
} tally_refcount_head;
/* The same array, for the thread itself. */
typedef struct tally_refcount_self {
    tally_per_thread_count *per_thread;
} tally_refcount_self;

#endif
