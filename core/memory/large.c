/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * large.c: blocks of more than 512 bytes, which malloc gives. They are in lists, so that a walk
 * finds them, and count towards a collection.
 *
 * Without a GIL threads that make and free large blocks at once would wait for one list's lock (a
 * third of the time of list-replace on two threads). So there are several lists, a block is in the
 * one of the thread that made it, and the sum of all bytes is told of in steps of STEP.
 */
#include "debug/debug.h"
#include "gc/collector.h"
#include "instrument/heap_profile.h"
#include "memory/arena.h"

/* A large block. Its fields lie in front of it, so that its address finds them. */
typedef struct large {
    struct large *next, *previous;
    size_t bytes;
    tally_retired retired;
    tally_object *link; /* in a tally_dead_list */
    struct list *list;  /* that it is in */
    uint8_t kind;       /* and SAMPLED, if a heap profile has a record */
    uint32_t handle;    /* Of a container, where the layout has handles. */
    _Atomic uint8_t marks[TALLY_LARGE_SIDE_MARKS];
#ifdef TALLY_DEBUG
    tally_debug_record record;
    _Alignas(16) char guard[TALLY_DEBUG_GUARD]; /* right in front of the block */
#endif
    _Alignas(16) char block[];
} large;

enum { LISTS = TALLY_LOCK_FREE_READS ? 16 : 1, STEP = 32 << 10, SAMPLED = 0x80 };

/* Each in lines of its own. */
typedef struct list {
    _Alignas(64) pthread_mutex_t lock; /* of all here */
    large *first;
    size_t blocks, bytes;
    size_t told; /* of the bytes, in large_blocks.bytes */
} list;
static list lists[LISTS];

static struct {
    _Atomic size_t bytes;  /* of all lists, less what each has not told of yet */
    _Atomic size_t due;    /* A collection is due above that many bytes. */
    _Atomic size_t beside; /* Bytes of arenas when the last full collection marked. */
    /* Handles: room; ever used; the first free one, which links to the next through the table (0:
     * none). Under the list's lock. */
    uint32_t handles, handles_used, handle_free;
} large_blocks;
_Static_assert(LISTS == 1 || !TALLY_FIXED_HANDLES, "one lock guards the handles");
tally_object **tally_handles;

int tally_large_start(void) {
    tally_store_relaxed(&large_blocks.due, TALLY_LARGE_GARBAGE);
    for (size_t i = 0; i < LISTS; i++) pthread_mutex_init(&lists[i].lock, NULL);
    if (!TALLY_FIXED_HANDLES) return 0;
    large_blocks.handles = 64;
    large_blocks.handles_used = TALLY_FIXED_HANDLES;
    large_blocks.handle_free = 0;
    return (tally_handles = calloc(large_blocks.handles, sizeof *tally_handles)) ? 0 : -1;
}

void tally_large_end(void) {
    for (size_t i = 0; i < LISTS; i++) {
        for (large *block = lists[i].first, *next; block; block = next) {
            next = block->next;
            free(block);
        }
        lists[i] = (list){.first = NULL};
    }
    tally_store_relaxed(&large_blocks.bytes, 0);
    free(tally_handles);
    tally_handles = NULL;
}

/* The list's lock is held, of which there is one where there are handles. */
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

static size_t large_bytes(void) { return tally_load_relaxed(&large_blocks.bytes); }

/* No collection frees the blocks that wait for a grace period: they are garbage already. */
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
    if (marked) tally_store_relaxed(&large_blocks.beside, tally_arenas.live * TALLY_ARENA_SIZE);
    size_t bytes = large_bytes_held(),
           half = (bytes + tally_load_relaxed(&large_blocks.beside)) / 2;
    size_t due = bytes + (half > TALLY_LARGE_GARBAGE ? half : TALLY_LARGE_GARBAGE);
    /* The end of a collection only lowers it: another collection may have marked since. */
    if (marked || due < tally_load_relaxed(&large_blocks.due))
        tally_store_relaxed(&large_blocks.due, due);
}

/* The list's lock is held. Returns the bytes of all lists but what is not told of yet. */
static size_t count_bytes(list *list, size_t change) {
    list->bytes += change;
    size_t untold = list->bytes - list->told;
    if (LISTS == 1) {
        tally_store_relaxed(&large_blocks.bytes, list->bytes);
    } else if (untold + STEP > 2 * STEP) {
        list->told = list->bytes;
        return tally_add_relaxed(&large_blocks.bytes, untold) + untold;
    }
    return large_bytes();
}

void *tally_large_alloc(unsigned kind, size_t size) {
    if (size > PTRDIFF_MAX - sizeof(large)) return NULL;
    large *block = malloc(sizeof *block + size);
    if (!block) return NULL;
    block->bytes = size;
    block->kind = (uint8_t)kind;
    memset((void *)block->marks, 0, sizeof block->marks);
    if (kind != TALLY_RAW) tally_block_start_dead(block->block);
    list *list = block->list = &lists[tally_self.id % LISTS];
    pthread_mutex_lock(&list->lock);
    if (TALLY_FIXED_HANDLES && kind == TALLY_CONTAINERS && !handle_take(block)) {
        pthread_mutex_unlock(&list->lock);
        free(block);
        return NULL;
    }
    block->previous = NULL;
    block->next = list->first;
    if (block->next) block->next->previous = block;
    list->first = block;
    list->blocks++;
    size_t bytes = count_bytes(list, size);
    pthread_mutex_unlock(&list->lock);
    if (TALLY_UNLIKELY(bytes > tally_load_relaxed(&large_blocks.due))) tally_collector_nudge();
    return block->block;
}

static void large_forget(large *block) {
    uint64_t began = TALLY_DETAILED ? tally_now() : 0;
    list *list = block->list;
    pthread_mutex_lock(&list->lock);
    if (block->previous)
        block->previous->next = block->next;
    else
        list->first = block->next;
    if (block->next) block->next->previous = block->previous;
    list->blocks--;
    count_bytes(list, -block->bytes);
    if (TALLY_FIXED_HANDLES && block->kind == TALLY_CONTAINERS) handle_give_back(block);
    pthread_mutex_unlock(&list->lock);
    free(block);
    if (TALLY_DETAILED) TALLY_EVENT_ADD(TALLY_EVENT_allocator_ns, tally_now() - began);
}

static __attribute__((noinline, cold)) void free_sampled(large *block) {
    block->kind &= ~SAMPLED;
    tally_heap_profile_died(block->block);
    tally_large_free(block->block, block->kind);
}

void tally_large_free(void *memory_, unsigned kind) {
    large *block = (large *)((char *)memory_ - offsetof(large, block));
    if (TALLY_UNLIKELY(block->kind & SAMPLED)) {
        free_sampled(block);
        return;
    }
    /* An interned str may die here. Without a GIL its dealloc has forgotten it before. */
#ifndef TALLY_DEBUG /* which frees later, and has forgotten it at once */
    if (!TALLY_LOCK_FREE_READS && kind == TALLY_PLAIN) tally_interned_forget(memory_);
#endif
    if (TALLY_LOCK_FREE_READS && kind != TALLY_RAW)
        tally_retire(&block->retired, TALLY_RETIRED_LARGE, block->bytes);
    else
        large_forget(block);
}

static large *large_of(const void *block) {
    return (large *)((uintptr_t)block - offsetof(large, block));
}
void tally_large_set_sampled(void *block) { large_of(block)->kind |= SAMPLED; }
bool tally_large_is_sampled(const void *block) { return large_of(block)->kind & SAMPLED; }

tally_object **tally_large_link(tally_object *object) {
    return &((large *)((char *)object - offsetof(large, block)))->link;
}

_Atomic uint8_t *tally_large_side_marks(const void *block) {
    return ((large *)((uintptr_t)block - offsetof(large, block)))->marks;
}

tally_object *tally_large_of_side_marks(_Atomic uint8_t *marks) {
    return (tally_object *)((large *)((char *)marks - offsetof(large, marks)))->block;
}

unsigned tally_large_kind(const void *block) { return large_of(block)->kind & ~SAMPLED; }

tally_object *tally_memory_next_large(tally_large_walk *walk, unsigned kind) {
    large *block = walk->next;
    for (;;) {
        while (block && kind != TALLY_KINDS && (block->kind & ~SAMPLED) != kind)
            block = block->next;
        if (block || walk->list == LISTS) break;
        block = lists[walk->list++].first;
    }
    if (!block) return NULL;
    walk->next = block->next;
    /* While the caller looks at this block: the next one is in no cache. */
    __builtin_prefetch(block->next);
    if (block->next) __builtin_prefetch(block->next->block);
    return (tally_object *)block->block;
}

void tally_large_reclaim(tally_retired *node) {
    large_forget((large *)((char *)node - offsetof(large, retired)));
}

size_t tally_large_overhead(void) { return offsetof(large, block); }

void tally_large_stats(tally_memory_result *result) {
    result->large_blocks = result->large_bytes = 0;
    for (size_t i = 0; i < LISTS; i++) {
        pthread_mutex_lock(&lists[i].lock);
        result->large_blocks += lists[i].blocks;
        result->large_bytes += lists[i].bytes;
        pthread_mutex_unlock(&lists[i].lock);
    }
}

#ifdef TALLY_DEBUG
tally_debug_record *tally_large_debug_record(const void *block) {
    return &((large *)((uintptr_t)block - offsetof(large, block)))->record;
}
size_t tally_large_whole_size(const void *block) {
    return ((const large *)((const char *)block - offsetof(large, block)))->bytes;
}
#endif

size_t tally_memory_size(const void *block) {
#ifdef TALLY_DEBUG
    size_t size = tally_debug_size(block);
    return size > TALLY_SMALL_LIMIT ? size : (size + 15) & ~(size_t)15;
#endif
    if (tally_is_small(block)) return tally_pool_of(block)->block_size;
    return ((const large *)((const char *)block - offsetof(large, block)))->bytes;
}
