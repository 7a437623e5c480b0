/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tally_refcount_types.h: the words of a biased refcount; tally_refcount.h explains them. */
#ifndef TALLY_REFCOUNT_TYPES_H
#define TALLY_REFCOUNT_TYPES_H

#include <stdint.h>

#define TALLY_REFCOUNT_HAVE_OWNERS 1

/* One word, local << 16 | owner: the owner counts by a load, a comparison and a store, and gives up
 * an object by one store. Aligned to 4, so that no padding follows `shared`; the header itself is
 * aligned to 8. */
typedef uint64_t tally_owned __attribute__((aligned(4)));
#define TALLY_OWNED_ONE ((uint64_t)1 << 16)

typedef struct tally_refcounts {
    tally_owned owned;
    _Atomic uint32_t shared; /* two state bits below a signed count */
} tally_refcounts;

#define TALLY_REFCOUNT_IMMORTAL \
    { TALLY_OWNER_IMMORTAL, 0 }

enum {
    TALLY_SHARED_PRIVATE,
    TALLY_SHARED_MAYBE,
    TALLY_SHARED_QUEUED,
    TALLY_SHARED_MERGED,
    TALLY_SHARED_STATE = 3,
    TALLY_SHARED_ONE = 4
};

/* The owner id of objects that each thread counts for itself. */
enum { TALLY_OWNER_PER_THREAD = 0xfffd };

/* 1: refcounts may be counted per thread. 0: under one lock no thread contends. */
#ifndef TALLY_PER_THREAD_REFCOUNTS
#    define TALLY_PER_THREAD_REFCOUNTS 1
#endif
/* 1: objects follow the threads that count them; sampling.h. */
#ifndef TALLY_SAMPLING
#    define TALLY_SAMPLING TALLY_PER_THREAD_REFCOUNTS
#endif

/* 1: threads that contend take turns; nogil/locking/turns.h. */
#define TALLY_TURNS TALLY_SAMPLING

/* Its thread alone writes it. Two numbers, so that a drop need not wait for the processor to store
 * what the reference before it has counted; taken less dropped may be negative. */
typedef struct tally_per_thread_count {
    _Atomic int64_t taken, dropped;
} tally_per_thread_count;

typedef struct tally_refcount_head {
    /* The thread's part of the refcounts of classes and of objects that are counted per thread, by
     * index; NULL: none yet. */
    _Atomic(tally_per_thread_count *) per_thread;
} tally_refcount_head;
/* The same array, for the thread itself. */
typedef struct tally_refcount_self {
    tally_per_thread_count *per_thread;
} tally_refcount_self;

#endif
