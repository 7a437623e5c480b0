/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* pool.c: the slow half of alloc and free: a heap gets pools, fills up and empties them, and takes
 * home the blocks that other threads freed. memory.h has the map and the invariants. */
#include "contract/stop_the_world.h"
#include "instrument/heap_profile.h"
#include "memory/alloc.h"
#include "memory/arena.h"
#include "memory/recent.h"
#include "objects/object.h"

const unsigned char tally_link_offset[TALLY_KINDS] = {sizeof(tally_object), sizeof(tally_object),
                                                      0};

/* This pool is always full, so the fast path needs no test for "no pool yet". */
static tally_pool no_pool;

enum {
    KEPT_POOLS = 16, /* Empty ones of a heap, all classes together; docs/design/allocator.md. */
    SERVE_EACH = 64, /* Blocks pushed to a heap before a thread looks after it. */
    BEHIND = 1024,   /* The same while its thread runs. */
    /* Blocks taken home per claim: the claimed thread waits for its end. */
    CLAIM_BLOCKS = 256,
    ADOPTED_POOLS = 16,  /* at most, per refill */
    LOOK_AT_HEAPS = 1024 /* at most, per refill */
};

/* A reader with a stale pointer may look at this header. */
void tally_block_start_dead(void *block) {
    tally_object *object = memset(block, 0, sizeof *object);
    tally_refcount_start_dead(&object->refcount);
}

void tally_heap_start(tally_heap *heap, uint32_t owner) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned i = 0; i <= TALLY_SIZE_CLASSES; i++) {
            heap->current[kind][i] = &no_pool;
            heap->queue[kind][i] = heap->queue_last[kind][i] = NULL;
        }
    heap->recent = NULL;
    heap->empty = 0;
    heap->keeps = KEPT_POOLS;
    heap->rests = 0;
    heap->owner = (uint16_t)owner;
    heap->serving = false;
    tally_store_relaxed(&heap->queued, 0);
    tally_store_relaxed(&heap->remote, 0);
}

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
static void queue_prepend(tally_heap *heap, tally_pool *pool) {
    count_queued(heap, 1);
    if (!heap->queue[pool->kind][pool->class_]) heap->queue_last[pool->kind][pool->class_] = pool;
    tally_pool_list_push(&heap->queue[pool->kind][pool->class_], pool);
}
static void queue_remove(tally_heap *heap, tally_pool *pool) {
    count_queued(heap, UINT32_MAX);
    if (!pool->next) heap->queue_last[pool->kind][pool->class_] = pool->previous;
    tally_pool_list_remove(&heap->queue[pool->kind][pool->class_], pool);
}

tally_pool *tally_pool_take(uint16_t owner, unsigned kind, unsigned class_, bool map) {
    tally_pool *pool = tally_arena_take_pool(map);
    if (!pool) return NULL;
    size_t arena = tally_arena_of(pool), index = (size_t)(pool - tally_arena_pools(arena));
    pool->free = NULL;
    pool->left = pool->notify = 0;
    pool->block_size = class_ * 16;
    tally_store_relaxed(&pool->owner, owner);
    pool->kind = tally_pool_kinds[arena * TALLY_ARENA_POOLS + index] = (uint8_t)kind;
    pool->class_ = (uint8_t)class_;
    pool->in_use = 1;
    pool->bump = tally_pool_first_block(pool);
    pool->end = (char *)tally_arena_pools(arena) + (index + 1) * TALLY_POOL_SIZE;
    tally_recent_start(pool);
    TALLY_EVENT(pools_taken);
    return pool;
}

/* Makes the next blocks, half a page, so that a pool that is hardly used touches little memory. */
bool tally_pool_carve(tally_pool *pool) {
    size_t size = pool->block_size, most = size > 2048 / 8 ? 8 : 2048 / size;
    char *first = NULL, **link = &first;
    unsigned offset = tally_link_offset[pool->kind];
    for (size_t i = 0; i < most && pool->bump + size <= pool->end; i++, pool->bump += size) {
        if (pool->kind != TALLY_RAW) tally_block_start_dead(pool->bump);
        *link = pool->bump;
        link = (char **)(pool->bump + offset);
    }
    if (!first) return false;
    *link = pool->free;
    pool->free = first;
    return true;
}

static bool is_empty(const tally_pool *pool) { return pool->left == 0 && pool->notify == 0; }

void tally_pool_release(tally_pool *pool) {
    pool->in_use = 0;
    if (TALLY_LOCK_FREE_READS && pool->kind != TALLY_RAW) {
        tally_arena_retire_pool(pool);
    } else {
        tally_arena_give_pool_back(pool);
    }
}
/* An empty pool, which is in no list, leaves its heap. */
static void release(tally_pool *pool) {
    tally_pool_forget_recent(tally_pool_heap(pool), pool);
    tally_pool_release(pool);
}

/* Without a GIL no thread owns such a pool, so its frees go to tally_memory_free_remote. */
static bool is_sampled(tally_pool *pool) {
    return !TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_pool_is_sampled(pool));
}

static __attribute__((noinline)) void no_longer_full(tally_heap *heap, tally_pool *pool) {
    pool->left = pool->notify;
    pool->notify = 0;
    queue_append(heap, pool);
    if (pool->left == 0) tally_memory_free_notified(pool);
}

/* A free brought `left` down to 0: the pool was full, or is empty now. */
void tally_memory_free_notified(tally_pool *pool) {
    tally_heap *heap = tally_pool_heap(pool);
    bool empty = is_empty(pool);
    if (empty && heap->current[pool->kind][pool->class_] == pool) {
        if (heap->keeps) {
            /* A thread that rests gives it back at its next but one, also if the memory of a
             * grace period made it empty. */
            if (TALLY_LOCK_FREE_READS) heap->rests = 0;
            return;
        }
        heap->current[pool->kind][pool->class_] = &no_pool;
        release(pool);
    } else if (is_sampled(pool)) {
        tally_heap_profile_freed(pool, NULL);
    } else if (!empty) {
        no_longer_full(heap, pool);
    } else if (heap->empty < heap->keeps) {
        heap->empty++;
        heap->rests = 0;
    } else {
        queue_remove(heap, pool);
        release(pool);
    }
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
    /* acquire: pairs with the release of push_remote, after the pushers' last uses of the blocks */
    return tally_remote_block(tally_swap_acquire(&heap->remote, 0));
}

char *tally_remote_next(char *block) {
    return *(char **)(block + tally_link_offset[tally_pool_of(block)->kind]);
}

/* The caller has the heap. A block goes home, or on to the heap that has its pool now. */
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

void tally_heap_drain(tally_heap *heap) {
    for (char *block = take_remote(heap), *next; block; block = next) {
        next = tally_remote_next(block);
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
        release(pool);
    }
    tally_pool *pool = heap->current[kind][class_];
    if (pool == &no_pool || !is_empty(pool)) return;
    heap->current[kind][class_] = &no_pool;
    release(pool);
}

/* Each empty pool, current or kept, would hold an arena. */
static void give_back_all_empty(tally_heap *heap) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned class_ = 1; class_ <= TALLY_SIZE_CLASSES; class_++)
            give_back_empty(heap, kind, class_);
}

void tally_heap_trim(tally_heap *heap) {
    tally_heap_drain(heap);
    give_back_all_empty(heap);
}

/* The pool has no free block. The first free in it puts it back into the queue. */
static void set_full(tally_pool *pool) {
    pool->notify = pool->left - 1;
    pool->left = 1;
}

void tally_heap_attach(tally_heap *heap) {
    heap->keeps = KEPT_POOLS;
    heap->attachments++;
}

void tally_heap_queue_current(tally_heap *heap) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned class_ = 1; class_ <= TALLY_SIZE_CLASSES; class_++) {
            tally_pool *pool = heap->current[kind][class_];
            if (pool == &no_pool) continue;
            heap->current[kind][class_] = &no_pool;
            if (pool->free || tally_pool_carve(pool)) {
                heap->empty += is_empty(pool);
                queue_append(heap, pool);
            } else {
                set_full(pool);
            }
        }
}

/* All pools with free blocks go to the queues, where other threads adopt them. */
void tally_heap_detach(tally_heap *heap) {
    heap->keeps = 0;
    tally_heap_trim(heap);
    tally_heap_queue_current(heap);
}

/* ---- heaps of threads that are blocked or gone ----------------------------- */

#if TALLY_LOCK_FREE_READS

static bool offers(tally_heap *heap) {
    return tally_load_relaxed(&heap->queued) || tally_load_relaxed(&heap->remote);
}

/*
 * The caller has the heap until claim_heap_end: its thread is blocked and claimed, or the slot is
 * vacant and no thread can attach there. False: its thread runs, or another thread has it. This
 * waits for nothing, since the holder of the thread-list lock may be waiting for the caller, or be
 * the caller.
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
    /* Objects pushed to its merge queue while it was claimed were left to this thread. Dead ones
     * are destroyed later: that runs foreign code, and the caller may be anywhere. */
    tally_refcount_merge_blocked_later(thread);
}

/* The thread runs again: it takes the blocks home itself. */
static void push_back(tally_heap *heap, char *block) {
    for (char *next; block; block = next) {
        next = tally_remote_next(block);
        push_remote(heap, block, tally_link_offset[tally_pool_of(block)->kind], &(uint64_t){0});
    }
}

/* Takes freed blocks home, in several short claims. trim: also gives back empty pools. */
static void serve(tally_thread_state *thread, bool trim) {
    tally_heap *heap = &thread->heap, *self = tally_heap_current();
    char *blocks = NULL;
    bool done = false;
    self->serving = true;
    while (!done && claim_heap(thread)) {
        unsigned keeps = heap->keeps;
        heap->keeps = 0; /* its thread will not soon need a pool that gets empty now */
        if (!blocks) blocks = take_remote(heap);
        for (unsigned i = 0; blocks && i < CLAIM_BLOCKS; i++) {
            char *next = tally_remote_next(blocks);
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

/* The caller has pushed a block, the last of many. */
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
        tally_pool_forget_recent(from, pool); /* what is young there is old from now on */
        tally_store_relaxed(&pool->owner, heap->owner);
        heap->empty += is_empty(pool);
        queue_append(heap, pool);
    }
}

/* Takes pools with free blocks from heaps of threads that are blocked or gone. */
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
            /* Empty pools serve other classes after a grace period, outside of this heap. */
            if (thread->heap.empty) give_back_all_empty(&thread->heap);
            claim_heap_end(thread);
        }
        heap->serving = false;
    }
    tally_store_relaxed(&next, at);
}

static void settle_others(bool all) {
    tally_each_thread(thread) {
        if (&thread->heap != tally_heap_current() && offers(&thread->heap)) serve(thread, all);
    }
}

void tally_memory_free_remote(tally_pool *pool, void *block) {
    TALLY_DETAIL(frees_remote);
    if (TALLY_UNLIKELY(tally_pool_is_sampled(pool))) {
        tally_heap_profile_freed(pool, block);
        return;
    }
    tally_thread_state *thread = tally_thread_slot(tally_pool_owner(pool));
    uint64_t count;
    tally_heap_current()->rests = 0;
    push_remote(&thread->heap, block, tally_link_offset[pool->kind], &count);
    if (TALLY_UNLIKELY(count % SERVE_EACH == 0)) look_after(thread, count);
}

#else

static void adopt(tally_heap *heap, unsigned kind, unsigned class_) {}
static void settle_others(bool all) {}
void tally_memory_free_remote(tally_pool *pool, void *block) {
    /* With one heap all blocks are at home. */
}

#endif

/* What the thread freed since its last rest may be the last blocks of threads that are gone. What
 * others freed here may be too little for them to look after, and hold many pools. */
void tally_heap_rest(tally_heap *heap) {
    if (tally_remote_block(tally_load_relaxed(&heap->remote))) tally_heap_drain(heap);
    if (heap->rests == 2 || ++heap->rests < 2) return;
    give_back_all_empty(heap);
    settle_others(false);
}

void tally_memory_settle(bool all) {
    if (all) tally_heap_trim(tally_heap_current());
    settle_others(all);
}

/* Makes a pool with a free block current. False: no memory, and nothing has changed. */
static inline __attribute__((always_inline)) bool heap_refill(tally_heap *heap, unsigned kind,
                                                              unsigned class_) {
    tally_pool **current = &heap->current[kind][class_];
    heap->rests = 0;
    tally_heap_drain(heap);
    for (;;) {
        tally_pool *pool = *current;
        if (pool != &no_pool) {
            if (pool->free || tally_pool_carve(pool)) return true;
            set_full(pool);
            *current = &no_pool; /* it is in no list: adopt may run frees in it */
        }
        tally_pool *next = heap->queue[kind][class_];
        if (!next) {
            if (TALLY_ALLOCATION_FAILS()) return false;
            next = tally_pool_take(heap->owner, kind, class_, false);
            if (!next) {
                adopt(heap, kind, class_);
                if (heap->queue[kind][class_]) continue;
                next = tally_pool_take(heap->owner, kind, class_, true);
            }
            if (!next) return false;
        } else {
            queue_remove(heap, next);
            heap->empty -= is_empty(next);
        }
        tally_recent_add(heap, next);
        *current = next;
    }
}

static inline char *pop(tally_pool *pool) {
    char *block = pool->free;
    pool->free = *(char **)(block + tally_link_offset[pool->kind]);
    pool->left++;
    TALLY_DETAIL(allocations);
    return block;
}

static void *alloc_slow(unsigned kind, size_t size) {
    if (size > TALLY_SMALL_LIMIT) return tally_large_alloc(kind, size);
    unsigned class_ = (unsigned)((size + 15) / 16);
    if (class_ == 0) class_ = 1;
    tally_heap *heap = tally_heap_current();
    return heap_refill(heap, kind, class_) ? pop(heap->current[kind][class_]) : NULL;
}

void *tally_heap_take_queued(tally_heap *heap, unsigned kind, unsigned class_) {
    tally_pool *pool = heap->queue[kind][class_];
    if (!pool || !(pool->free || tally_pool_carve(pool))) {
        if (!heap_refill(heap, kind, class_)) return NULL;
        pool = heap->current[kind][class_];
        heap->current[kind][class_] = &no_pool;
        heap->empty += is_empty(pool);
        queue_prepend(heap, pool);
    }
    heap->empty -= is_empty(pool);
    tally_recent_add(heap, pool);
    return pop(pool);
}

void *tally_memory_alloc_slow(unsigned kind, size_t size) {
    if (TALLY_UNLIKELY(tally_self.id == TALLY_OWNER_UNATTACHED)) tally_thread_require();
    uint64_t began = TALLY_DETAILED ? tally_now() : 0;
    void *block = TALLY_UNLIKELY(tally_load_relaxed(&tally_heap_profiling))
                      ? tally_heap_profile_alloc(kind, size, __builtin_return_address(0))
                      : alloc_slow(kind, size);
    if (TALLY_DETAILED) TALLY_EVENT_ADD(TALLY_EVENT_allocator_ns, tally_now() - began);
    return block;
}
