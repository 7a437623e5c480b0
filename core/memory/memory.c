/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: the slow paths of the small-object allocator: arenas and pools
 * change hands, blocks come back from other threads, large blocks are kept in a
 * list. memory.h has the map and the invariants.
 *
 * Arenas and free pools are under `memory.lock`; a pool in use belongs to its
 * heap. The lock is taken for one pool in hundreds of blocks.
 */
#define _GNU_SOURCE
#include "gc/collector.h"
#include "objects/object.h"
#include <sys/mman.h>

char *tally_region;
size_t tally_region_size;
_Atomic uint8_t *tally_side_marks;
uint8_t *tally_pool_kinds;
const unsigned char tally_link_offset[TALLY_KINDS] = {sizeof(tally_object), sizeof(tally_object),
                                                      0};

_Static_assert(sizeof(tally_pool) * TALLY_ARENA_POOLS < TALLY_POOL_SIZE,
               "the descriptors leave room in the first pool");
_Static_assert((sizeof(tally_pool) & 15) == 0, "blocks stay aligned");

/* Full at once, so that the fast path needs no test for "no pool yet". */
static tally_pool no_pool;

enum { KEPT_POOLS = 16 }; /* empty ones of a heap, all classes together: half a megabyte */
enum {
    SERVE_EACH = 64, /* blocks that are pushed to a heap before somebody looks after it */
    BEHIND = 1024,   /* the same while its thread runs */
    CLAIM_BLOCKS =
        256, /* taken home during one claim, so that the thread waits little for its end */
    ADOPTED_POOLS = 16,  /* at most, at a time */
    LOOK_AT_HEAPS = 1024 /* at most, at a time, for pools to adopt */
};
enum {
    SPARE_ARENAS = 1
}; /* empty arenas kept: a heap that breathes around an arena's edge would map and unmap all the
      time */

static struct {
    pthread_mutex_t lock;
    size_t arenas_reserved; /* fit in the region */
    size_t arenas_used;     /* ever used: an upper bound of the live ones' numbers */
    size_t arenas_live, arenas_empty;
    uint16_t *free_pools;  /* by arena: pools not in use; arena not mapped: 0xffff */
    tally_pool *free_list; /* all free pools of mapped arenas */
    size_t waiting;        /* pools waiting for a grace period */
} memory = {.lock = PTHREAD_MUTEX_INITIALIZER};

enum { NOT_MAPPED = 0xffff };
enum { HUGE_FROM = 4 }; /* arenas */

/* A block over the limit, in malloc: in front of it its links, so that it can be found. */
typedef struct large {
    struct large *next, *previous;
    size_t bytes;
    tally_retired retired;
    tally_object *link; /* in a tally_dead_list */
    uint8_t kind;
    uint32_t handle; /* where the layout has them, of a container */
    _Atomic uint8_t notes[TALLY_LARGE_SIDE_MARKS];
    _Alignas(16) char block[];
} large;

static struct {
    pthread_mutex_t lock;
    large *first;
    size_t blocks;
    _Atomic size_t bytes;  /* changed under the lock */
    _Atomic size_t due;    /* more bytes than that make a collection due */
    _Atomic size_t beside; /* bytes of arenas when the last full collection marked */
    uint32_t handles, handles_used, handle_free; /* room; ever used; first of the free ones, linked
                                                    through the table; 0: none */
} large_blocks = {.lock = PTHREAD_MUTEX_INITIALIZER};
tally_object **tally_handles;

static int handles_start(void) {
    if (!TALLY_FIXED_HANDLES) return 0;
    large_blocks.handles = 64;
    large_blocks.handles_used = TALLY_FIXED_HANDLES;
    large_blocks.handle_free = 0;
    return (tally_handles = calloc(large_blocks.handles, sizeof *tally_handles)) ? 0 : -1;
}

/* large_blocks.lock held. */
static bool handle_take(large *block) {
    if (large_blocks.handle_free) {
        block->handle = large_blocks.handle_free;
        large_blocks.handle_free = (uint32_t)(uintptr_t)tally_handles[block->handle];
    } else {
        if (large_blocks.handles_used == large_blocks.handles) {
            tally_object **handles =
                realloc(tally_handles, (size_t)large_blocks.handles * 2 * sizeof *handles);
            if (!handles) return false;
            tally_handles = handles;
            large_blocks.handles *= 2;
        }
        block->handle = large_blocks.handles_used++;
    }
    tally_handles[block->handle] = (tally_object *)block->block;
    return true;
}
static void handle_give_back(large *block) {
    tally_handles[block->handle] = (tally_object *)(uintptr_t)large_blocks.handle_free;
    large_blocks.handle_free = block->handle;
}
uint32_t tally_large_handle(const void *block) {
    return ((const large *)((const char *)block - offsetof(large, block)))->handle;
}

/* A header that readers with a stale pointer may look at. */
static void start_dead(void *block) {
    tally_object *object = memset(block, 0, sizeof *object);
    tally_refcount_start_dead(&object->refcount);
}

int tally_memory_start(void) {
    tally_store_relaxed(&large_blocks.due, TALLY_LARGE_GARBAGE);
    /* 64 GiB, or less where the address space is limited. */
    for (size_t size = (size_t)64 << 30; size >= (size_t)64 << 20; size /= 2) {
        char *map = mmap(NULL, size + TALLY_ARENA_SIZE, PROT_NONE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (map == MAP_FAILED) continue;
        char *notes = mmap(NULL, size >> TALLY_SIDE_MARK_SHIFT, PROT_NONE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (notes == MAP_FAILED) {
            munmap(map, size + TALLY_ARENA_SIZE);
            continue;
        }
        size_t count = (size < TALLY_REGION_LIMIT ? size : TALLY_REGION_LIMIT) / TALLY_ARENA_SIZE;
        uint16_t *free_pools = malloc(count * sizeof *free_pools);
        tally_pool_kinds = calloc(size >> TALLY_POOL_SHIFT, 1);
        if (!free_pools || !tally_pool_kinds || handles_start() != 0) {
            free(free_pools);
            free(tally_pool_kinds);
            munmap(notes, size >> TALLY_SIDE_MARK_SHIFT);
            munmap(map, size + TALLY_ARENA_SIZE);
            return -1;
        }
        for (size_t i = 0; i < count; i++) free_pools[i] = NOT_MAPPED;
        /* Trim to an aligned region of `size`. */
        char *start = (char *)(((uintptr_t)map + TALLY_ARENA_SIZE - 1) & ~(TALLY_ARENA_SIZE - 1));
        if (start > map) munmap(map, (size_t)(start - map));
        size_t behind = (size_t)(map + TALLY_ARENA_SIZE - start);
        if (behind) munmap(start + size, behind);
        tally_region = start;
        tally_side_marks = (_Atomic uint8_t *)notes;
        tally_region_size = size;
        memory.arenas_reserved = count;
        memory.free_pools = free_pools;
        memory.arenas_used = memory.arenas_live = memory.arenas_empty = memory.waiting = 0;
        memory.free_list = NULL;
        return 0;
    }
    return -1;
}

void tally_memory_end(void) {
    for (large *block = large_blocks.first, *next; block; block = next) {
        next = block->next;
        free(block);
    }
    large_blocks.first = NULL;
    large_blocks.blocks = 0;
    tally_store_relaxed(&large_blocks.bytes, 0);
    munmap(tally_region, tally_region_size);
    munmap((void *)tally_side_marks, tally_region_size >> TALLY_SIDE_MARK_SHIFT);
    tally_side_marks = NULL;
    free(tally_pool_kinds);
    tally_pool_kinds = NULL;
    free(tally_handles);
    tally_handles = NULL;
    free(memory.free_pools);
    memory.free_pools = NULL;
    tally_region = NULL;
    tally_region_size = 0;
}

void tally_heap_start(tally_heap *heap, uint32_t owner) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned i = 0; i <= TALLY_SIZE_CLASSES; i++) {
            heap->current[kind][i] = &no_pool;
            heap->queue[kind][i] = heap->queue_last[kind][i] = NULL;
        }
    heap->empty = 0;
    heap->keeps = KEPT_POOLS;
    heap->rests = 0;
    heap->owner = (uint16_t)owner;
    heap->serving = false;
    tally_store_relaxed(&heap->queued, 0);
    tally_store_relaxed(&heap->remote, 0);
}

/* ---- arenas; memory.lock held ------------------------------------------- */

static size_t arena_number(const tally_pool *pool) {
    return (size_t)((const char *)pool - tally_region) >> TALLY_ARENA_SHIFT;
}

static void pool_list_push(tally_pool **list, tally_pool *pool) {
    pool->previous = NULL;
    pool->next = *list;
    if (pool->next) pool->next->previous = pool;
    *list = pool;
}
static void pool_list_remove(tally_pool **list, tally_pool *pool) {
    if (pool->previous)
        pool->previous->next = pool->next;
    else
        *list = pool->next;
    if (pool->next) pool->next->previous = pool->previous;
}

enum { ARENA_SIDE_MARKS = TALLY_ARENA_SIZE >> TALLY_SIDE_MARK_SHIFT };
static char *arena_side_marks(size_t number) {
    return (char *)tally_side_marks + number * ARENA_SIDE_MARKS;
}

static int arena_map(void) {
    size_t number = 0;
    while (number < memory.arenas_used && memory.free_pools[number] != NOT_MAPPED) number++;
    if (number == memory.arenas_reserved) return -1;
    char *arena = tally_region + number * TALLY_ARENA_SIZE;
    if (mprotect(arena_side_marks(number), ARENA_SIDE_MARKS, PROT_READ | PROT_WRITE) != 0)
        return -1;
    if (mprotect(arena, TALLY_ARENA_SIZE, PROT_READ | PROT_WRITE) != 0) {
        mprotect(arena_side_marks(number), ARENA_SIDE_MARKS, PROT_NONE);
        return -1;
    }
    /* A large heap is visited at random by the collector: with pages of 2 MiB that
     * takes a fifth less time (docs/design/collectors.md). A small one stays small. */
    if (memory.arenas_live >= HUGE_FROM) {
        madvise(arena, TALLY_ARENA_SIZE, MADV_HUGEPAGE);
        madvise(arena_side_marks(number), ARENA_SIDE_MARKS, MADV_HUGEPAGE);
    }
    if (number == memory.arenas_used) memory.arenas_used++;
    tally_pool *pools = (tally_pool *)arena;
    for (size_t i = TALLY_ARENA_POOLS; i-- > 0;) pool_list_push(&memory.free_list, &pools[i]);
    memory.free_pools[number] = TALLY_ARENA_POOLS;
    memory.arenas_live++;
    memory.arenas_empty++;
    return 0;
}

/*
 * Mapping anew gives the memory back and keeps the address space reserved. Refused (too
 * many mappings), it stays accessible; the memory goes back all the same.
 */
static void give_back(char *start, size_t bytes) {
    if (mmap(start, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED, -1,
             0) == MAP_FAILED)
        madvise(start, bytes, MADV_DONTNEED);
}

static void arena_unmap(size_t number) {
    char *arena = tally_region + number * TALLY_ARENA_SIZE;
    tally_pool *pools = (tally_pool *)arena;
    for (size_t i = 0; i < TALLY_ARENA_POOLS; i++) pool_list_remove(&memory.free_list, &pools[i]);
    give_back(arena, TALLY_ARENA_SIZE);
    give_back(arena_side_marks(number), ARENA_SIDE_MARKS);
    memory.free_pools[number] = NOT_MAPPED;
    memory.arenas_live--;
    memory.arenas_empty--;
}

static void pool_give_back(tally_pool *pool) {
    pthread_mutex_lock(&memory.lock);
    pool_list_push(&memory.free_list, pool);
    size_t number = arena_number(pool);
    if (++memory.free_pools[number] == TALLY_ARENA_POOLS && ++memory.arenas_empty > SPARE_ARENAS)
        arena_unmap(number);
    pthread_mutex_unlock(&memory.lock);
}

/* ---- pools of a heap ---------------------------------------------------- */

static void count_queued(tally_heap *heap, uint32_t by) {
    tally_store_relaxed(&heap->queued, tally_load_relaxed(&heap->queued) + by);
}
static void queue_append(tally_heap *heap, tally_pool *pool) {
    count_queued(heap, 1);
    tally_pool **last = &heap->queue_last[pool->kind][pool->class_];
    pool->next = NULL;
    pool->previous = *last;
    if (*last)
        (*last)->next = pool;
    else
        heap->queue[pool->kind][pool->class_] = pool;
    *last = pool;
}
static void queue_remove(tally_heap *heap, tally_pool *pool) {
    count_queued(heap, UINT32_MAX);
    if (!pool->next) heap->queue_last[pool->kind][pool->class_] = pool->previous;
    pool_list_remove(&heap->queue[pool->kind][pool->class_], pool);
}

/*
 * Where the blocks begin: pool 0 behind the descriptors. Blocks of 512 bytes
 * fall into 8 of the 64 sets of a first-level cache, the same 8 in each pool, so
 * neighbouring pools begin a line apart, for one block in 64 (Bonwick 1994:
 * colouring). Smaller blocks fall into more sets.
 */
static char *pool_first_block(tally_pool *pool) {
    char *arena = tally_region + arena_number(pool) * TALLY_ARENA_SIZE;
    size_t index = (size_t)(pool - (tally_pool *)arena);
    char *first =
        arena + (index ? index * TALLY_POOL_SIZE : sizeof(tally_pool) * TALLY_ARENA_POOLS);
    return pool->block_size == TALLY_SMALL_LIMIT ? first + index % 8 * 64 : first;
}

/* map: by mapping an arena, if no pool is free. */
static tally_pool *pool_take(tally_heap *heap, unsigned kind, unsigned class_, bool map) {
    pthread_mutex_lock(&memory.lock);
    if (!memory.free_list && (!map || arena_map() != 0)) {
        pthread_mutex_unlock(&memory.lock);
        return NULL;
    }
    tally_pool *pool = memory.free_list;
    pool_list_remove(&memory.free_list, pool);
    size_t number = arena_number(pool);
    if (memory.free_pools[number]-- == TALLY_ARENA_POOLS) memory.arenas_empty--;
    pthread_mutex_unlock(&memory.lock);

    char *arena = tally_region + number * TALLY_ARENA_SIZE;
    size_t index = (size_t)(pool - (tally_pool *)arena);
    pool->free = NULL;
    pool->left = pool->notify = 0;
    pool->block_size = class_ * 16;
    tally_store_relaxed(&pool->owner, heap->owner);
    pool->kind = tally_pool_kinds[number * TALLY_ARENA_POOLS + index] = (uint8_t)kind;
    pool->class_ = (uint8_t)class_;
    pool->in_use = 1;
    pool->bump = pool_first_block(pool);
    pool->end = arena + (index + 1) * TALLY_POOL_SIZE;
    TALLY_EVENT(pools_taken);
    return pool;
}

/* Makes the next few blocks of a pool: a page's worth, so that a pool little used touches little
 * memory. */
static bool pool_carve(tally_pool *pool) {
    size_t size = pool->block_size, most = size > 2048 / 8 ? 8 : 2048 / size;
    char *first = NULL, **link = &first;
    unsigned offset = tally_link_offset[pool->kind];
    for (size_t i = 0; i < most && pool->bump + size <= pool->end; i++, pool->bump += size) {
        if (pool->kind != TALLY_RAW) start_dead(pool->bump);
        *link = pool->bump;
        link = (char **)(pool->bump + offset);
    }
    if (!first) return false;
    *link = pool->free;
    pool->free = first;
    return true;
}

static bool is_empty(const tally_pool *pool) { return pool->left == 0 && pool->notify == 0; }

/* An empty pool that is in no list leaves its heap. */
static void pool_release(tally_pool *pool) {
    pool->in_use = 0;
    if (TALLY_LOCK_FREE_READS && pool->kind != TALLY_RAW) {
        pthread_mutex_lock(&memory.lock);
        memory.waiting++;
        pthread_mutex_unlock(&memory.lock);
        tally_retire(&pool->retired, TALLY_RETIRED_POOL, TALLY_POOL_SIZE);
    } else {
        pool_give_back(pool);
    }
}

/* A free brought `left` down to 0: the pool was full, or is now empty. */
void tally_memory_free_notified(tally_pool *pool) {
    tally_heap *heap = tally_pool_heap(pool);
    if (is_empty(pool)) {
        if (heap->current[pool->kind][pool->class_] == pool) {
            if (heap->keeps) return;
            heap->current[pool->kind][pool->class_] = &no_pool;
            pool_release(pool);
            return;
        }
        if (heap->empty < heap->keeps) {
            heap->empty++;
            heap->rests = 0;
        } else {
            queue_remove(heap, pool);
            pool_release(pool);
        }
        return;
    }
    pool->left = pool->notify;
    pool->notify = 0;
    queue_append(heap, pool);
    if (pool->left == 0) tally_memory_free_notified(pool);
}

static void free_local(tally_pool *pool, char *block) {
    *(char **)(block + tally_link_offset[pool->kind]) = pool->free;
    pool->free = block;
    if (--pool->left == 0) tally_memory_free_notified(pool);
}

static void push_remote(tally_heap *heap, char *block, unsigned link_offset, uint64_t *count) {
    uint64_t head = tally_load_relaxed(&heap->remote), next;
    do {
        *(char **)(block + link_offset) = tally_remote_block(head);
        *count = head >> 48 == UINT16_MAX ? TALLY_REMOTE_MANY : (head >> 48) + 1;
        next = *count * TALLY_REMOTE_ONE + (uintptr_t)block;
        TALLY_FAILPOINT(remote_push);
        /* release: pairs with the acquire of take_remote */
    } while (!tally_cas_weak_release(&heap->remote, &head, next));
}

static char *take_remote(tally_heap *heap) {
    if (!tally_load_relaxed(&heap->remote)) return NULL;
    /* acquire: pairs with the release of push_remote, so the pushers' last uses of the blocks come
     * before */
    return tally_remote_block(tally_swap_acquire(&heap->remote, 0));
}

static char *next_remote(char *block) {
    return *(char **)(block + tally_link_offset[tally_pool_of(block)->kind]);
}

/* By who has the heap: a block that was pushed to it goes home, or to where its pool is now. */
static void take_home(tally_heap *heap, char *block) {
    tally_pool *pool = tally_pool_of(block);
    tally_heap *home = tally_pool_heap(pool);
    if (TALLY_LIKELY(home == heap)) {
        free_local(pool, block);
        TALLY_EVENT(remote_drained);
    } else {
        TALLY_FAILPOINT(heap_pass_on);
        push_remote(home, block, tally_link_offset[pool->kind], &(uint64_t){0});
    }
}

/* Takes back all that others freed. */
void tally_heap_drain(tally_heap *heap) {
    for (char *block = take_remote(heap), *next; block; block = next) {
        next = next_remote(block);
        take_home(heap, block);
    }
}

bool tally_heap_is_behind(tally_heap *heap) {
    return tally_load_relaxed(&heap->remote) >> 48 >= BEHIND;
}

static void give_back_empty(tally_heap *heap, unsigned kind, unsigned class_) {
    for (tally_pool *pool = heap->queue[kind][class_], *next; pool && heap->empty; pool = next) {
        next = pool->next;
        if (!is_empty(pool)) continue;
        heap->empty--;
        queue_remove(heap, pool);
        pool_release(pool);
    }
    tally_pool *pool = heap->current[kind][class_];
    if (pool == &no_pool || !is_empty(pool)) return;
    heap->current[kind][class_] = &no_pool;
    pool_release(pool);
}

/* Lets go of the empty pools, current or kept: each would hold an arena. */
static void give_back_all_empty(tally_heap *heap) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned class_ = 1; class_ <= TALLY_SIZE_CLASSES; class_++)
            give_back_empty(heap, kind, class_);
}

void tally_heap_trim(tally_heap *heap) {
    tally_heap_drain(heap);
    give_back_all_empty(heap);
}

void tally_heap_rest(tally_heap *heap) {
    if (heap->rests < 2 && ++heap->rests == 2) give_back_all_empty(heap);
}

/* A current pool has no more to give: its next free puts it back in the queue. */
static void set_full(tally_pool *pool) {
    pool->notify = pool->left - 1;
    pool->left = 1;
}

void tally_heap_attach(tally_heap *heap) { heap->keeps = KEPT_POOLS; }

/* So that all its pools with free blocks are in the queues. */
void tally_heap_detach(tally_heap *heap) {
    heap->keeps = 0;
    tally_heap_trim(heap);
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned class_ = 1; class_ <= TALLY_SIZE_CLASSES; class_++) {
            tally_pool *pool = heap->current[kind][class_];
            if (pool == &no_pool) continue;
            heap->current[kind][class_] = &no_pool;
            if (pool->free || pool_carve(pool))
                queue_append(heap, pool);
            else
                set_full(pool);
        }
}

/* ---- heaps of threads that are blocked or gone ----------------------------- */

#if TALLY_LOCK_FREE_READS

static bool offers(tally_heap *heap) {
    return tally_load_relaxed(&heap->queued) || tally_load_relaxed(&heap->remote);
}

/*
 * The caller has the heap until claim_heap_end: its thread is claimed where it is blocked, or the
 * slot is vacant, and nobody can attach there. False: its thread runs, or somebody else has it.
 * Waits for nothing: who holds the registration lock may be waiting for the caller, or be the
 * caller.
 */
static bool claim_heap(tally_thread_state *thread) {
    int status = tally_load_relaxed(&thread->status);
    if (status == TALLY_BLOCKED) return tally_claim(thread);
    if (status != TALLY_VACANT || pthread_mutex_trylock(&tally_process.thread_list) != 0)
        return false;
    if (tally_load_relaxed(&thread->status) == TALLY_VACANT) return true;
    pthread_mutex_unlock(&tally_process.thread_list);
    return false;
}
static void claim_heap_end(tally_thread_state *thread) {
    TALLY_FAILPOINT(heap_claimed);
    if (tally_load_relaxed(&thread->status) == TALLY_VACANT) {
        pthread_mutex_unlock(&tally_process.thread_list);
        return;
    }
    tally_claim_end(thread);
    /* What was pushed to its merge queue while it was claimed was left to this thread. What dies by
     * that is destroyed later: the caller may be anywhere, and destroying runs foreign code. */
    tally_refcount_merge_blocked_later(thread);
}

/* Back, since its thread runs again: it takes them home itself. */
static void push_back(tally_heap *heap, char *block) {
    for (char *next; block; block = next) {
        next = next_remote(block);
        push_remote(heap, block, tally_link_offset[tally_pool_of(block)->kind], &(uint64_t){0});
    }
}

/* Takes home what was freed into the heap, in several short claims. trim: gives back empty pools,
 * too. */
static void serve(tally_thread_state *thread, bool trim) {
    tally_heap *heap = &thread->heap, *self = tally_heap_current();
    char *blocks = NULL;
    bool done = false;
    self->serving = true;
    while (!done && claim_heap(thread)) {
        unsigned keeps = heap->keeps;
        heap->keeps = 0; /* its thread does not need soon what gets empty now */
        if (!blocks) blocks = take_remote(heap);
        for (unsigned i = 0; blocks && i < CLAIM_BLOCKS; i++) {
            char *next = next_remote(blocks);
            take_home(heap, blocks);
            blocks = next;
        }
        heap->keeps = keeps;
        done = !blocks;
        if (done && trim) give_back_all_empty(heap);
        claim_heap_end(thread);
    }
    push_back(heap, blocks);
    self->serving = false;
}

/* A block was pushed to its heap, the last of many. */
static __attribute__((noinline, cold)) void look_after(tally_thread_state *thread, uint64_t count) {
    if (tally_self.id == TALLY_OWNER_UNATTACHED || tally_heap_current()->serving) return;
    if (tally_load_relaxed(&thread->status) != TALLY_RUNNING)
        serve(thread, false);
    else if (count % BEHIND == 0)
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

static void adopt_pools(tally_heap *heap, tally_heap *from, unsigned kind, unsigned class_,
                        unsigned *adopted) {
    for (tally_pool *pool; *adopted < ADOPTED_POOLS && (pool = from->queue[kind][class_]);
         ++*adopted) {
        queue_remove(from, pool);
        from->empty -= is_empty(pool);
        TALLY_FAILPOINT(heap_adopt);
        tally_store_relaxed(&pool->owner, heap->owner);
        heap->empty += is_empty(pool);
        queue_append(heap, pool);
    }
}

/* Pools with free blocks come to the heap from those of threads that are blocked or gone. */
static void adopt(tally_heap *heap, unsigned kind, unsigned class_) {
    static _Atomic uint32_t next;
    if (heap->serving) return;
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    uint32_t at = tally_load_relaxed(&next);
    unsigned adopted = 0;
    for (uint32_t looks = used < LOOK_AT_HEAPS ? used : LOOK_AT_HEAPS;
         looks > 0 && adopted < ADOPTED_POOLS; looks--) {
        at = at % used + 1;
        tally_thread_state *thread = tally_thread_slot(at);
        if (&thread->heap == heap || !offers(&thread->heap)) continue;
        if (tally_load_relaxed(&thread->heap.remote)) serve(thread, false);
        heap->serving = true;
        if (claim_heap(thread)) {
            adopt_pools(heap, &thread->heap, kind, class_, &adopted);
            /* For other classes they have to wait, but not there. */
            if (thread->heap.empty) give_back_all_empty(&thread->heap);
            claim_heap_end(thread);
        }
        heap->serving = false;
    }
    tally_store_relaxed(&next, at);
}

static void settle_others(bool all) {
    for (uint32_t id = 1; id <= tally_load_acquire(&tally_process.slots_used); id++) {
        tally_thread_state *thread = tally_thread_slot(id);
        if (&thread->heap != tally_heap_current() && offers(&thread->heap)) serve(thread, all);
    }
}

void tally_memory_free_remote(tally_pool *pool, void *block) {
    TALLY_DETAIL(frees_remote);
    uint64_t count;
    tally_thread_state *thread = tally_thread_slot(tally_pool_owner(pool));
    push_remote(&thread->heap, block, tally_link_offset[pool->kind], &count);
    if (TALLY_UNLIKELY(count % SERVE_EACH == 0)) look_after(thread, count);
}

#else

static void adopt(tally_heap *heap, unsigned kind, unsigned class_) {
    (void)heap, (void)kind, (void)class_;
}
static void settle_others(bool all) { (void)all; }
void tally_memory_free_remote(tally_pool *pool, void *block) {
    (void)pool, (void)block;
} /* all are at home */

#endif

void tally_memory_settle(bool all) {
    if (all) tally_heap_trim(tally_heap_current());
    settle_others(all);
}

/* Makes a pool with a free block current; false: no memory. */
static bool heap_refill(tally_heap *heap, unsigned kind, unsigned class_) {
    tally_pool **current = &heap->current[kind][class_];
    heap->rests = 0;
    tally_heap_drain(heap);
    for (;;) {
        tally_pool *pool = *current;
        if (pool != &no_pool) {
            if (pool->free || pool_carve(pool)) return true;
            set_full(pool);
            *current = &no_pool; /* it is in no list; what follows may free blocks of it */
        }
        tally_pool *next = heap->queue[kind][class_];
        if (!next) {
            if (TALLY_ALLOCATION_FAILS()) return false;
            next = pool_take(heap, kind, class_, false);
            if (!next) {
                adopt(heap, kind, class_);
                if (heap->queue[kind][class_]) continue;
                next = pool_take(heap, kind, class_, true);
            }
            if (!next) return false;
        } else {
            queue_remove(heap, next);
            heap->empty -= is_empty(next);
        }
        *current = next;
    }
}

/* ---- large blocks ------------------------------------------------------- */

static size_t large_bytes(void) { return tally_load_relaxed(&large_blocks.bytes); }

/* Those that wait for a grace period are garbage already, and no collection frees them. */
static size_t large_bytes_held(void) {
    size_t bytes = large_bytes(), waiting, most;
    tally_reclaim_backlog(&waiting, &most);
    return waiting < bytes ? bytes - waiting : 0;
}
bool tally_memory_due(void) {
    size_t due = tally_load_relaxed(&large_blocks.due);
    return large_bytes() > due && large_bytes_held() > due;
}

void tally_memory_collected(bool marked) {
    if (marked) tally_store_relaxed(&large_blocks.beside, memory.arenas_live * TALLY_ARENA_SIZE);
    size_t bytes = large_bytes_held(),
           half = (bytes + tally_load_relaxed(&large_blocks.beside)) / 2;
    size_t due = bytes + (half > TALLY_LARGE_GARBAGE ? half : TALLY_LARGE_GARBAGE);
    /* The end of a collection only lowers it: another one may have marked since. */
    if (marked || due < tally_load_relaxed(&large_blocks.due))
        tally_store_relaxed(&large_blocks.due, due);
}

static void *large_alloc(unsigned kind, size_t size) {
    if (size > PTRDIFF_MAX - sizeof(large)) return NULL;
    large *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    block->bytes = size;
    block->kind = (uint8_t)kind;
    memset((void *)block->notes, 0, sizeof block->notes);
    if (kind != TALLY_RAW) start_dead(block->block);
    pthread_mutex_lock(&large_blocks.lock);
    if (TALLY_FIXED_HANDLES && kind == TALLY_CONTAINERS && !handle_take(block)) {
        pthread_mutex_unlock(&large_blocks.lock);
        free(block);
        return NULL;
    }
    block->previous = NULL;
    block->next = large_blocks.first;
    if (block->next) block->next->previous = block;
    large_blocks.first = block;
    large_blocks.blocks++;
    size_t bytes = large_bytes() + size;
    tally_store_relaxed(&large_blocks.bytes, bytes);
    pthread_mutex_unlock(&large_blocks.lock);
    if (TALLY_UNLIKELY(bytes > tally_load_relaxed(&large_blocks.due))) tally_collector_nudge();
    return block->block;
}

static void large_forget(large *block) {
    pthread_mutex_lock(&large_blocks.lock);
    if (block->previous)
        block->previous->next = block->next;
    else
        large_blocks.first = block->next;
    if (block->next) block->next->previous = block->previous;
    large_blocks.blocks--;
    tally_store_relaxed(&large_blocks.bytes, large_bytes() - block->bytes);
    if (TALLY_FIXED_HANDLES && block->kind == TALLY_CONTAINERS) handle_give_back(block);
    pthread_mutex_unlock(&large_blocks.lock);
    free(block);
}

void *tally_memory_alloc_apart(unsigned kind, size_t size) { return large_alloc(kind, size); }

void tally_large_free(void *memory_, unsigned kind) {
    /* An interned str; without a GIL its death has done so before. */
    if (!TALLY_LOCK_FREE_READS && kind == TALLY_PLAIN) tally_interned_forget(memory_);
    large *block = (large *)((char *)memory_ - offsetof(large, block));
    if (TALLY_LOCK_FREE_READS && kind != TALLY_RAW)
        tally_retire(&block->retired, TALLY_RETIRED_LARGE, block->bytes);
    else
        large_forget(block);
}

void *tally_memory_alloc_slow(unsigned kind, size_t size) {
    tally_thread_require();
    if (size > TALLY_SMALL_LIMIT) return large_alloc(kind, size);
    unsigned class_ = (unsigned)((size + 15) / 16);
    if (class_ == 0) class_ = 1;
    tally_heap *heap = tally_heap_current();
    if (!heap_refill(heap, kind, class_)) return NULL;
    tally_pool *pool = heap->current[kind][class_];
    char *block = pool->free;
    pool->free = *(char **)(block + tally_link_offset[kind]);
    pool->left++;
    TALLY_DETAIL(allocations);
    return block;
}

void tally_reclaim(tally_retired *node, unsigned what) {
    switch (what) {
    case TALLY_RETIRED_ARRAY: tally_memory_free(TALLY_RAW, node); break;
    case TALLY_RETIRED_TABLE: tally_table_reclaim(node); break;
    case TALLY_RETIRED_POOL: {
        tally_pool *pool = (tally_pool *)((char *)node - offsetof(tally_pool, retired));
        pthread_mutex_lock(&memory.lock);
        memory.waiting--;
        pthread_mutex_unlock(&memory.lock);
        pool_give_back(pool);
        break;
    }
    case TALLY_RETIRED_LARGE:
        large_forget((large *)((char *)node - offsetof(large, retired)));
        break;
    case TALLY_RETIRED_REFERENCE: {
        tally_object *object = ((tally_retired_reference *)node)->object;
        tally_memory_free(TALLY_RAW, node);
        tally_decref(object);
        break;
    }
    }
}

tally_object **tally_large_link(tally_object *object) {
    return &((large *)((char *)object - offsetof(large, block)))->link;
}

_Atomic uint8_t *tally_large_side_marks(const void *block) {
    return ((large *)((uintptr_t)block - offsetof(large, block)))->notes;
}

tally_object *tally_large_of_side_marks(_Atomic uint8_t *notes) {
    return (tally_object *)((large *)((char *)notes - offsetof(large, notes)))->block;
}

size_t tally_memory_size(const void *block) {
    if (tally_is_small(block)) return tally_pool_of(block)->block_size;
    return ((const large *)((const char *)block - offsetof(large, block)))->bytes;
}

/* ---- looking, with the world stopped ------------------------------------ */

tally_pool *tally_memory_next_pool(tally_pool_walk *walk, unsigned kind) {
    for (; walk->arena < memory.arenas_used; walk->arena++, walk->pool = 0) {
        if (memory.free_pools[walk->arena] == NOT_MAPPED) continue;
        char *arena = tally_region + walk->arena * TALLY_ARENA_SIZE;
        while (walk->pool < TALLY_ARENA_POOLS) {
            size_t i = walk->pool++;
            tally_pool *pool = &((tally_pool *)arena)[i];
            if (!pool->in_use || pool->kind != kind) continue;
            walk->first = pool_first_block(pool);
            return pool;
        }
    }
    return NULL;
}

size_t tally_memory_pools(void) { return memory.arenas_used * TALLY_ARENA_POOLS; }

tally_pool *tally_memory_pool_at(size_t number, unsigned kind, char **first) {
    size_t arena = number / TALLY_ARENA_POOLS;
    if (tally_pool_kinds[number] != kind || memory.free_pools[arena] == NOT_MAPPED) return NULL;
    tally_pool *pool =
        &((tally_pool *)(tally_region + arena * TALLY_ARENA_SIZE))[number % TALLY_ARENA_POOLS];
    if (!pool->in_use || pool->kind != kind) return NULL;
    *first = pool_first_block(pool);
    return pool;
}

tally_object *tally_memory_next_large(tally_large_walk *walk, unsigned kind) {
    large *block = walk->begun ? walk->next : large_blocks.first;
    while (block && block->kind != kind) block = block->next;
    walk->begun = true;
    walk->next = block ? block->next : NULL;
    return block ? (tally_object *)block->block : NULL;
}

void tally_memory_each_object(unsigned kind, void (*visit)(tally_object *, void *), void *context) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, kind));)
        for (char *block = at.first; block < pool->bump; block += pool->block_size)
            if (!tally_refcount_is_dead(&((tally_object *)block)->refcount))
                visit((tally_object *)block, context);
    tally_large_walk large_at = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large_at, kind));)
        if (!tally_refcount_is_dead(&object->refcount)) visit(object, context);
}

static void count_pools(tally_memory_result *result, size_t number) {
    tally_pool *pools = (tally_pool *)(tally_region + number * TALLY_ARENA_SIZE);
    bool seen[TALLY_SIZE_CLASSES] = {false};
    for (size_t i = 0; i < TALLY_ARENA_POOLS; i++) {
        if (!pools[i].in_use) continue;
        unsigned class_ = pools[i].class_ - 1u;
        result->classes[class_].pools++;
        result->classes[class_].blocks += pools[i].left + pools[i].notify;
        result->classes[class_].bytes_unused +=
            TALLY_POOL_SIZE - (size_t)(pools[i].left + pools[i].notify) * pools[i].block_size;
        result->classes[class_].arenas += !seen[class_];
        seen[class_] = true;
    }
}

/* Nobody uses the blocks that are on their way home; they stay where they are. */
static void count_remote(tally_memory_result *result, tally_heap *heap) {
    /* acquire: pairs with push_remote */
    char *block = tally_remote_block(tally_load_acquire(&heap->remote));
    for (; block; block = next_remote(block)) {
        tally_pool *pool = tally_pool_of(block);
        result->classes[pool->class_ - 1u].blocks--;
        result->classes[pool->class_ - 1u].bytes_unused += pool->block_size;
    }
}

void tally_memory_stats(tally_memory_result *result) {
    tally_thread_require();
    if (!result) tally_fatal(NULL, "tally_memory_stats: NULL, where a place for the result is due");
    memset(result, 0, sizeof *result);
    tally_stop_the_world();
    pthread_mutex_lock(&memory.lock);
    result->arenas = memory.arenas_live;
    result->bytes_arenas = memory.arenas_live * TALLY_ARENA_SIZE;
    result->pools_waiting = memory.waiting;
    for (tally_pool *pool = memory.free_list; pool; pool = pool->next) result->pools_free++;
    for (unsigned i = 0; i < TALLY_SIZE_CLASSES; i++) result->classes[i].block_size = (i + 1) * 16;
    for (size_t number = 0; number < memory.arenas_used; number++)
        if (memory.free_pools[number] != NOT_MAPPED) count_pools(result, number);
    for (uint32_t id = 1;
         TALLY_LOCK_FREE_READS && id <= tally_load_relaxed(&tally_process.slots_used); id++)
        count_remote(result, &tally_thread_slot(id)->heap);
    pthread_mutex_unlock(&memory.lock);
    pthread_mutex_lock(&large_blocks.lock);
    result->large_blocks = large_blocks.blocks;
    result->large_bytes = large_bytes();
    pthread_mutex_unlock(&large_blocks.lock);
    tally_resume_the_world();
}
