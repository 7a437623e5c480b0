/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* heap.h: the layout of pools, heaps, and lists of memory that waits for a grace period.
 * memory/memory.h has their invariants. */
#ifndef TALLY_HEAP_H
#define TALLY_HEAP_H

#include "layout.h"
#include "tally.h"

enum { TALLY_PLAIN, TALLY_CONTAINERS, TALLY_RAW, TALLY_KINDS };

#define TALLY_ARENA_SHIFT 21
#define TALLY_POOL_SHIFT  15
#define TALLY_ARENA_SIZE  ((size_t)1 << TALLY_ARENA_SHIFT)
#define TALLY_POOL_SIZE   ((size_t)1 << TALLY_POOL_SHIFT)
#define TALLY_ARENA_POOLS (TALLY_ARENA_SIZE / TALLY_POOL_SIZE)
#define TALLY_SMALL_LIMIT 512

/* Memory that waits for a grace period. */
typedef struct tally_retired {
    uintptr_t next; /* low bits: its kind */
} tally_retired;
enum {
    TALLY_RETIRED_ARRAY,
    TALLY_RETIRED_TABLE,
    TALLY_RETIRED_POOL,
    TALLY_RETIRED_LARGE,
    TALLY_RETIRED_REFERENCE,
    TALLY_RETIRED_KIND = 7
};
/* A reference to drop after a grace period. */
typedef struct tally_retired_reference {
    tally_retired retired;
    tally_object *object;
} tally_retired_reference;

typedef struct tally_pool {
    char *free;    /* list of free blocks */
    uint32_t left; /* countdown: at 0 a free takes the slow path (pool empty, or no longer full) */
    uint32_t notify; /* blocks in use = left + notify; not 0 only while the pool is full */
    uint32_t block_size;
    _Atomic uint16_t owner; /* slot of its heap */
    uint8_t kind, class_;   /* class_: block_size / 16 */
    uint8_t in_use;         /* 0: free or waiting; or TALLY_POOL_SAMPLED */
    char *bump, *end;       /* blocks up to bump have been made */
    struct tally_pool *next, *previous;
    tally_retired retired;
    /* Where the layout has TALLY_RECENT_POOLS: in its heap's list `recent`; used: blocks were taken
     * from it since the collector last looked. */
    struct tally_pool *recent_next, *recent_previous;
    bool recent, recent_used;
} __attribute__((aligned(64))) tally_pool;
/* A pool of sampled blocks, of no heap (memory/sampled.h). */
enum { TALLY_POOL_SAMPLED = 2 };
static inline bool tally_pool_is_sampled(const tally_pool *pool) {
    return pool->in_use == TALLY_POOL_SAMPLED;
}

typedef struct tally_heap {
    tally_pool *current[TALLY_KINDS][TALLY_SIZE_CLASSES + 1];
    /* Other pools that may have free blocks, first in, first out: a pool that was full a moment ago
     * goes last, so that it has more than one free block when it is needed. */
    tally_pool *queue[TALLY_KINDS][TALLY_SIZE_CLASSES + 1],
        *queue_last[TALLY_KINDS][TALLY_SIZE_CLASSES + 1];
    tally_pool *recent; /* pools of containers that may have young objects */
    unsigned empty;     /* pools in the queues that have no block in use */
    unsigned keeps;     /* at most so many of them */
    uint16_t owner;
    bool serving; /* its thread is in another's heap */
    /* Blocked regions since it last needed a pool, got one to keep, or freed a block of another
     * heap. 2: it has given those back, and looked after the others. */
    uint8_t rests;
    _Atomic uint32_t queued; /* pools in the queues; others read it as a hint */
    /* While a heap profile is on: bytes until the next sample, the state of the random numbers (0:
     * no sample is drawn yet), and how often a thread has attached here. */
    int64_t until_sample;
    uint64_t sample_random;
    uint32_t attachments;
    /* Blocks freed by other threads: the address of the last one, and above it how many; from 2^16
     * on that starts again at TALLY_REMOTE_MANY. */
    _Alignas(64) _Atomic uint64_t remote;
} tally_heap;
#define TALLY_REMOTE_ONE  ((uint64_t)1 << 48)
#define TALLY_REMOTE_MANY ((uint64_t)1 << 15)
static inline char *tally_remote_block(uint64_t remote) {
    return (char *)(uintptr_t)(remote & (TALLY_REMOTE_ONE - 1));
}

/* A list of dead objects. It takes no memory, and their contents stay readable: small objects are
 * linked through their refcounts (tally_refcount_set_link), by their distance from the start of the
 * region in units of 16 bytes, and large ones in front of the block. */
typedef struct tally_dead_list {
    uint32_t small;
    tally_object *large;
} tally_dead_list;

/* What waits in a queue. since: when the oldest came, by the coarse clock; 0: unknown. */
typedef struct tally_waiting {
    size_t count, bytes;
    uint64_t since;
} tally_waiting;

#endif
