/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_profile.h: where memory is allocated: samples of allocations, each with its stack, type,
 * size and thread, and at its death with its lifetime and whether another thread freed it.
 *
 * No fast path knows of the profile. While one is on, no heap has a current pool, so that every
 * allocation takes the slow path (memory/pool.c), which counts bytes. A sampled block comes from a
 * pool of no heap (memory/sampled.h), so that its free takes a slow path. A sampled large block has
 * a mark. docs/design/heap-profile.md explains the samples.
 *
 * Invariants:
 *  - tally_heap_profiling changes with the world stopped.
 *  - The lock guards all records and the sampled pools. Its holder waits for nothing and takes no
 *    lock but that of the arenas.
 *  - A block with a record is sampled; a sampled block may have none (a later profile, a fork).
 */
#ifndef TALLY_HEAP_PROFILE_H
#define TALLY_HEAP_PROFILE_H

#include "tally.h"

struct tally_pool;

extern _Atomic bool tally_heap_profiling;

/* As tally_memory_alloc_slow and tally_large_alloc, while a profile is on. caller: where the stack
 * of a sample begins. */
void *tally_heap_profile_alloc(unsigned kind, size_t size, const void *caller);
void *tally_heap_profile_alloc_large(unsigned kind, size_t size);
/* A block of a sampled pool is freed, with or without a record. NULL: it is the first of the pool's
 * free list already. */
void tally_heap_profile_freed(struct tally_pool *pool, void *block);
/* A sampled block is dead; a small one may be freed later. */
void tally_heap_profile_died(const void *block);
/* Another thread's drop has killed the object, which this thread is about to free. */
void tally_heap_profile_dropped(const tally_object *object);
/* tally_finish: no thread is attached. */
void tally_heap_profile_end(void);

/* ---- between the files of the profile -------------------------------------- */

enum { TALLY_PROFILE_FRAMES = 48, TALLY_PROFILE_TYPE = 48 };

/* A sampled block while it lives, then its numbers together with those of the same stack, type,
 * size and thread. */
typedef struct tally_profile_record {
    struct tally_profile_record *next; /* in its table */
    uint64_t hash;                     /* of the stack, size and thread; without the type */
    const void *block;
    uint64_t born;        /* tally_now */
    uint64_t made, freed; /* samples; of these, freed */
    uint64_t freed_by_others,
        lifetime;        /* lifetime: nanoseconds of those that are freed, together */
    size_t size;         /* of the block */
    uint32_t attachment; /* of the slot: which thread */
    uint16_t maker;      /* the slot */
    uint8_t kind;
    bool dropped_by_other;
    char type[TALLY_PROFILE_TYPE]; /* "": not known yet; cut if it is longer */
    unsigned depth;
    const void *frames[]; /* return addresses, the innermost first */
} tally_profile_record;

/* What a profile says, copied. */
typedef struct tally_profile_copy {
    tally_profile_record **records;
    size_t count;
    uint64_t lost;         /* samples that had no memory */
    uint64_t period;       /* bytes between samples, on average */
    uint64_t began, ended; /* tally_now */
} tally_profile_copy;

/* heap_profile_write.c: the file, in pprof's format. False, and errno: it cannot be written; 0: no
 * memory. In a blocking region. */
bool tally_profile_write(const tally_profile_copy *copy, const char *path);
/* The same stack, size and thread. */
bool tally_profile_same_site(const tally_profile_record *a, const tally_profile_record *b);

#endif
