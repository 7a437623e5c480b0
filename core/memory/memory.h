/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h: the allocator: small blocks from pools of one size, large ones from malloc.
 *
 * One region of address space is reserved at the start. It is cut into arenas of 2 MiB, an arena
 * into 64 pools of 32 KiB (the first begins behind the arena's descriptors), a pool into blocks of
 * one size class: 16, 32 ... 512 bytes. An address tells whether its block is small. Drawn to
 * scale:
 *
 *     region  [arena][arena]..............reserved, no memory..............
 *     arena   [descriptors |pool 0][pool 1][pool 2]...[pool 63]
 *     pool    [block][block][block]...[no blocks yet]
 *
 *     beside  one byte per 16 bytes of the region: the collectors' side marks
 *
 * A pool has one kind: plain objects, containers, or raw memory. Where reads take no lock, a pool
 * of objects changes kind or size class only after a grace period.
 *
 * Invariants:
 *  - Its thread alone uses a heap, but for `remote`, where other threads push the blocks that they
 *    free. The thread that has claimed a blocked thread may use its heap, and so may the thread
 *    that holds the thread-list lock while the slot is vacant. With a GIL, its holder uses the one
 *    heap.
 *  - The link of a free block of an object pool lies behind the header. So the count words of a
 *    dead object stay as its death left them, and a late try-incref fails.
 *  - A full pool is in no list. The first free in it puts it back.
 *  - A block may be on its way to a heap that its pool has left since. The thread that takes blocks
 *    home passes it on.
 *
 * docs/design/allocator.md tells when a heap keeps empty pools, and how the memory of a thread that
 * is blocked or gone serves others (tests/models/heap.pml). The fast path (alloc.h) follows
 * mimalloc (Leijen, Zorn, de Moura 2019): one free list per pool, found by masking the address.
 */
#ifndef TALLY_MEMORY_H
#define TALLY_MEMORY_H

#include "layout/heap.h"
#include <stdlib.h>

/* Gives back memory whose grace period has passed. The caller is attached and holds no lock. */
void tally_reclaim(tally_retired *node, unsigned what);
void tally_table_reclaim(tally_retired *node);

extern char *tally_region; /* start of the reserved region */
extern size_t tally_region_size;
/*
 * The collectors' side mark of a container: the byte of the first 16 bytes of its block. It is not
 * in the header since a collector visits objects in no order: the bytes of a million objects fit
 * into a cache, their headers do not. A byte of new memory is 0; later it is as the last collector
 * left it. A page of 4 KiB serves 64 KiB, and is there once it was touched.
 */
extern _Atomic uint8_t *tally_side_marks;
#define TALLY_SIDE_MARK_SHIFT 4
/* A large block has its own. */
enum { TALLY_LARGE_SIDE_MARKS = 8 };
_Atomic uint8_t *tally_large_side_marks(const void *block);
tally_object *tally_large_of_side_marks(_Atomic uint8_t *marks);
static inline size_t tally_side_marks_size(void) {
    return tally_region_size >> TALLY_SIDE_MARK_SHIFT;
}
/* The object of a side mark. `marks` is tally_side_marks, or another array of the same layout and
 * so many bytes; a mark outside of it is number `which` of a large block. */
static inline tally_object *tally_side_mark_object(_Atomic uint8_t *marks, size_t bytes,
                                                   unsigned which, _Atomic uint8_t *mark) {
    size_t at = (size_t)(mark - marks);
    if (at < bytes) return (tally_object *)(tally_region + (at << TALLY_SIDE_MARK_SHIFT));
    return tally_large_of_side_marks(mark - which);
}
/* The kind of each pool, by number, so that a collector need not look at the pool. The thread
 * that takes the pool stores it. Collectors alone read it; they have stopped the world, or hold
 * the GIL. */
extern uint8_t *tally_pool_kinds;
extern const unsigned char tally_link_offset[TALLY_KINDS];
#define TALLY_LINK_OFFSET(kind) ((kind) == TALLY_RAW ? 0 : sizeof(tally_object))

/* Where the layout has handles: large containers by number. The collector sets the first
 * TALLY_FIXED_HANDLES. */
extern tally_object **tally_handles;
uint32_t tally_large_handle(const void *block);

int tally_memory_start(void);
/*
 * Garbage may be few objects and many bytes. So large blocks, too, make a collection due: once
 * there are TALLY_LARGE_GARBAGE bytes more of them than after the last full collection, and half as
 * much more as all memory was then. As the rule of births, this keeps the work of all collections
 * in proportion while a heap grows. tally_memory_collected: a full collection has marked (the world
 * is stopped), or (marked false) has freed what it found.
 */
bool tally_memory_due(void);
void tally_memory_collected(bool marked);
/* Gives everything back, the large blocks that are left, too. */
void tally_memory_end(void);
void tally_heap_start(tally_heap *heap, uint32_t owner);
/* Takes home the blocks that other threads freed; for the heap's thread. */
void tally_heap_drain(tally_heap *heap);
/* As drain; gives back the empty pools, too. */
void tally_heap_trim(tally_heap *heap);
/* The heap's thread blocks. If it needed no pool since the last time, it gives empty ones back. */
void tally_heap_rest(tally_heap *heap);
/* The thread-list lock is held. attach: a thread takes the slot. detach: its thread leaves it;
 * empty pools are given back, and the others can be adopted. */
void tally_heap_attach(tally_heap *heap);
void tally_heap_detach(tally_heap *heap);
/* Other threads have freed much into it. */
bool tally_heap_is_behind(tally_heap *heap);
/* After a collection: takes blocks home in the heaps of threads that are blocked or gone. all: also
 * gives back the pools that heaps keep, the caller's too. */
void tally_memory_settle(bool all);

void *tally_memory_alloc_slow(unsigned kind, size_t size);
void tally_memory_free_notified(tally_pool *pool);
void tally_memory_free_remote(tally_pool *pool, void *block);
void *tally_large_alloc(unsigned kind, size_t size);
void tally_large_free(void *block, unsigned kind);
/* A heap profile has a record of the block. */
void tally_large_set_sampled(void *block);
bool tally_large_is_sampled(const void *block);
size_t tally_large_overhead(void); /* bytes in front of a large block */

static inline bool tally_is_small(const void *block) {
    return (size_t)((const char *)block - tally_region) < tally_region_size;
}
static inline tally_pool *tally_pool_of(const void *block) {
    uintptr_t address = (uintptr_t)block;
    tally_pool *pools = (tally_pool *)(address & ~(TALLY_ARENA_SIZE - 1));
    return &pools[(address & (TALLY_ARENA_SIZE - 1)) >> TALLY_POOL_SHIFT];
}

static inline bool tally_is_sampled(const void *block) {
    return tally_is_small(block) ? tally_pool_is_sampled(tally_pool_of(block))
                                 : tally_large_is_sampled(block);
}

/* Walks, by several threads at once if they like; the world is stopped. A walk starts with zeroes,
 * and NULL ends it. A pool's blocks begin at `first` and end at pool->bump. */
typedef struct tally_pool_walk {
    size_t arena, pool;
    char *first;
} tally_pool_walk;
typedef struct tally_large_walk {
    unsigned list; /* the number of lists begun */
    void *next;
} tally_large_walk;
tally_pool *tally_memory_next_pool(tally_pool_walk *walk, unsigned kind);
/* The pool of this number, below tally_memory_pools(); NULL: of another kind, or not in use. */
tally_pool *tally_memory_pool_at(size_t number, unsigned kind, char **first);
size_t tally_memory_pools(void);
/* kind: TALLY_KINDS for all. */
tally_object *tally_memory_next_large(tally_large_walk *walk, unsigned kind);
unsigned tally_large_kind(const void *block);

/* World stopped. The live object whose small block begins at this address in the region, or NULL.
 */
tally_object *tally_memory_object_at(const char *address);

tally_object **tally_large_link(tally_object *object);

/* World stopped. Calls visit for each live object; for the small ones alone. */
void tally_memory_each_object(void (*visit)(tally_object *, void *), void *context);
void tally_memory_each_small(void (*visit)(tally_object *, void *), void *context);

#endif
