/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* alloc.h: the fast paths of the allocator. memory.h explains them. */
#ifndef TALLY_MEMORY_ALLOC_H
#define TALLY_MEMORY_ALLOC_H

#include "debug/debug.h"
#include "heaps.h"
#include "instrument/heap_profile.h"
#include "layout/thread.h"
#include "memory/memory.h"

static inline void *tally_block_alloc(unsigned kind, size_t size) {
    TALLY_CHECK_THREAD();
    if (TALLY_ALLOCATION_FAILS()) return NULL;
    if (kind != TALLY_RAW && size < sizeof(tally_object) + 8)
        size = sizeof(tally_object) + 8; /* room for the link */
    if (TALLY_UNLIKELY(size > TALLY_SMALL_LIMIT)) return tally_memory_alloc_slow(kind, size);
    tally_pool *pool = tally_heap_current()->current[kind][(size + 15) / 16];
    char *block = pool->free;
    if (TALLY_UNLIKELY(!block)) return tally_memory_alloc_slow(kind, size);
    TALLY_DETAIL(allocations);
    pool->free = *(char **)(block + TALLY_LINK_OFFSET(kind));
    pool->left++;
    return block;
}

/* A large block, whatever the size. */
static inline void *tally_block_alloc_large(unsigned kind, size_t size) {
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_heap_profiling)))
        return tally_heap_profile_alloc_large(kind, size);
    return tally_large_alloc(kind, size);
}

static inline void tally_block_free(unsigned kind, void *block) {
    if (TALLY_UNLIKELY(!tally_is_small(block))) {
        tally_large_free(block, kind);
        return;
    }
    tally_pool *pool = tally_pool_of(block);
    if (TALLY_UNLIKELY(!tally_pool_is_mine(pool))) {
        tally_memory_free_remote(pool, block);
        return;
    }
    TALLY_DETAIL(frees_local);
    *(char **)((char *)block + TALLY_LINK_OFFSET(kind)) = pool->free;
    pool->free = block;
    if (TALLY_UNLIKELY(--pool->left == 0)) tally_memory_free_notified(pool);
}

/* What the rest of the run time calls; a build with TALLY_DEBUG keeps a record of each block. */
#ifdef TALLY_DEBUG
static inline void *tally_memory_alloc(unsigned kind, size_t size) {
    return tally_debug_made(kind, tally_block_alloc(kind, size + TALLY_DEBUG_GUARD), size);
}
static inline void *tally_memory_alloc_large(unsigned kind, size_t size) {
    return tally_debug_made(kind, tally_block_alloc_large(kind, size + TALLY_DEBUG_GUARD), size);
}
static inline void tally_memory_free(unsigned kind, void *block) { tally_debug_free(kind, block); }
#else
static inline void *tally_memory_alloc(unsigned kind, size_t size) {
    return tally_block_alloc(kind, size);
}
static inline void *tally_memory_alloc_large(unsigned kind, size_t size) {
    return tally_block_alloc_large(kind, size);
}
static inline void tally_memory_free(unsigned kind, void *block) { tally_block_free(kind, block); }
#endif

#endif
