/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.h: the small-object allocator.
 *
 * One region of address space is reserved at the start. It is cut into arenas of
 * 2 MiB, an arena into 64 pools of 32 KiB (the first begins behind the arena's
 * descriptors), a pool into blocks of one size class: 16, 32 ... 512 bytes.
 * Larger sizes go to malloc; an address tells which is which. Drawn to scale:
 *
 *   region  [arena][arena]..............reserved, no memory..............
 *   arena   [descriptors |pool 0][pool 1][pool 2]...[pool 63]
 *   pool    [block][block][block]...[not bump yet]
 *
 *   beside  one byte for each 16 of the region: the collectors' notes
 *
 * A pool has a kind: plain objects, containers, or raw memory; they are never
 * mixed. With readers that take no lock, a pool of objects changes kind or class
 * only after a grace period.
 *
 * Invariants:
 *  - A heap is used by its thread alone (with a GIL: by its holder), but for
 *    `remote`, where other threads push the blocks that they free. While its thread is blocked, who
 *    has claimed the thread may use the heap in its stead; while the slot is vacant, who holds the
 * registration lock.
 *  - The link of a free block of an object pool lies behind the header, so the
 *    count words of a dead object stay as its death left them: a late try-incref
 *    fails.
 *  - A pool that is full is in no list; its first free puts it back.
 *  - A heap keeps some empty pools, for the class that they have: what is freed and
 *    made again soon neither takes a lock, nor waits, nor comes from another
 *    processor's cache. The heap of a vacant slot keeps none; nor does one whose thread has blocked
 * twice and needed no pool in between, nor what gets empty while its thread is blocked.
 *
 * Memory that nobody uses serves everybody, also when its maker is gone or asleep (without a GIL;
 * tests/models/heap.pml):
 *  - Each SERVE_EACH blocks that are pushed to a heap, the pusher looks after it. If the thread is
 * blocked or gone, the pusher takes the blocks home in its stead, so that pools get empty and are
 *    given back. If it runs, it does so at its next safepoint.
 *  - A thread that needs a pool, and finds no free one, first adopts pools with free blocks of that
 *    class from heaps whose threads are blocked or gone; then it maps an arena. A pool keeps its
 * kind and class by that, so it needs no grace period.
 *  - A block may be on its way to the heap that its pool has left. Who takes blocks home passes it
 * on.
 *
 * The fast path follows mimalloc (Leijen, Zorn, de Moura 2019): a free list for
 * each pool, found by masking the address.
 */
#ifndef TALLY_MEMORY_H
#define TALLY_MEMORY_H

#include "layout/heap.h"
#include <stdlib.h>

/* Gives it back at last; attached thread, no locks held. */
void tally_reclaim(tally_retired *node, unsigned what);
void tally_table_reclaim(tally_retired *node);

extern char *tally_region; /* start of the reserved region */
extern size_t tally_region_size;
/*
 * The collectors' notes on a container: the byte of the first 16 of its block. Apart from
 * the objects, since a collector comes to them in no order: of a million objects the
 * bytes fit into a cache, the headers do not. 0 in memory that is new; otherwise as
 * collectors left them. A page of 4 KiB is for 64 KiB, and is there once it was touched.
 */
extern _Atomic uint8_t *tally_side_marks;
#define TALLY_SIDE_MARK_SHIFT 4
enum { TALLY_LARGE_SIDE_MARKS = 8 }; /* a large block has so many */
_Atomic uint8_t *tally_large_side_marks(const void *block);
tally_object *tally_large_of_side_marks(_Atomic uint8_t *notes);
static inline size_t tally_side_marks_size(void) {
    return tally_region_size >> TALLY_SIDE_MARK_SHIFT;
}
/* Whose note it is: in `notes` (tally_side_marks, or as that), which has so many bytes; else a
 * large one's by that number. */
static inline tally_object *tally_side_mark_object(_Atomic uint8_t *notes, size_t bytes,
                                                   unsigned which, _Atomic uint8_t *note) {
    size_t at = (size_t)(note - notes);
    if (at < bytes) return (tally_object *)(tally_region + (at << TALLY_SIDE_MARK_SHIFT));
    return tally_large_of_side_marks(note - which);
}
/* By number: tells without a look at the pool. Written by the thread that takes the pool; read by
 * collectors alone, who have stopped the world, or hold the GIL. */
extern uint8_t *tally_pool_kinds;
extern const unsigned char tally_link_offset[TALLY_KINDS];
#define TALLY_LINK_OFFSET(kind) ((kind) == TALLY_RAW ? 0 : sizeof(tally_object))

/* Where the layout has handles: large containers by number, the first TALLY_FIXED_HANDLES set by
 * the collector. */
extern tally_object **tally_handles;
uint32_t tally_large_handle(const void *block);

int tally_memory_start(void);
/*
 * Garbage may be few objects and many bytes. So large blocks make a collection due, too, once there
 * are TALLY_LARGE_GARBAGE bytes of them more than after the last full collection, and half as much
 * more as all memory was then: as the rule of births, this keeps the work of all collections in
 * proportion while a heap grows. _due: that is so. _collected: a full collection has marked (the
 * world is stopped), or (marked false) freed what it found.
 */
bool tally_memory_due(void);
void tally_memory_collected(bool marked);
void tally_memory_end(void); /* gives everything back; large blocks that are left, too */
void tally_heap_start(tally_heap *heap, uint32_t owner);
void tally_heap_drain(
    tally_heap *heap); /* takes back what other threads freed; by the heap's thread */
void tally_heap_trim(tally_heap *heap); /* also gives back its empty pools */
void tally_heap_rest(tally_heap *heap); /* its thread blocks: a heap that has needed none since it
                                           last did gives them back */
void tally_heap_attach(
    tally_heap *heap); /* registration lock held, as below: a thread takes the slot */
void tally_heap_detach(
    tally_heap *heap); /* its thread leaves it; gives back empty pools, and offers the others */
bool tally_heap_is_behind(tally_heap *heap); /* others have freed much into it */
/* After a collection: takes blocks home to the heaps of threads that are blocked or gone. all: also
 * gives back what the heaps keep, the caller's too. */
void tally_memory_settle(bool all);

void *tally_memory_alloc_slow(unsigned kind, size_t size);
/* As a large block, whatever its size. */
void *tally_memory_alloc_apart(unsigned kind, size_t size);
void tally_memory_free_notified(tally_pool *pool);
void tally_memory_free_remote(tally_pool *pool, void *block);
void tally_large_free(void *block, unsigned kind);

static inline bool tally_is_small(const void *block) {
    return (size_t)((const char *)block - tally_region) < tally_region_size;
}
static inline tally_pool *tally_pool_of(const void *block) {
    uintptr_t address = (uintptr_t)block;
    tally_pool *pools = (tally_pool *)(address & ~(TALLY_ARENA_SIZE - 1));
    return &pools[(address & (TALLY_ARENA_SIZE - 1)) >> TALLY_POOL_SHIFT];
}

/* Walks, by several threads at once if they like; the world is stopped. Start with
 * zeroes; NULL: no more. A pool's blocks begin at `first` and end at pool->bump. */
typedef struct tally_pool_walk {
    size_t arena, pool;
    char *first;
} tally_pool_walk;
typedef struct tally_large_walk {
    bool begun;
    void *next;
} tally_large_walk;
tally_pool *tally_memory_next_pool(tally_pool_walk *walk, unsigned kind);
/* By number, from 0 to below tally_memory_pools(). NULL: it is of another kind, or not in use. */
tally_pool *tally_memory_pool_at(size_t number, unsigned kind, char **first);
size_t tally_memory_pools(void);
tally_object *tally_memory_next_large(tally_large_walk *walk, unsigned kind);

tally_object **tally_large_link(tally_object *object);

/* Calls visit for each live object of a kind; the world is stopped. */
void tally_memory_each_object(unsigned kind, void (*visit)(tally_object *, void *), void *context);

#endif
