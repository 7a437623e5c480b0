/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* walk.c: walks over pools and objects with the world stopped, and memory statistics. */
#include "contract/stop_the_world.h"
#include "memory/arena.h"
#include "objects/object.h"

tally_pool *tally_memory_next_pool(tally_pool_walk *walk, unsigned kind) {
    for (; walk->arena < tally_arenas.used; walk->arena++, walk->pool = 0) {
        if (tally_arenas.free_pools[walk->arena] == TALLY_NOT_MAPPED) continue;
        char *arena = tally_region + walk->arena * TALLY_ARENA_SIZE;
        while (walk->pool < TALLY_ARENA_POOLS) {
            size_t i = walk->pool++;
            tally_pool *pool = &((tally_pool *)arena)[i];
            if (!pool->in_use || pool->kind != kind) continue;
            walk->first = tally_pool_first_block(pool);
            return pool;
        }
    }
    return NULL;
}

size_t tally_memory_pools(void) { return tally_arenas.used * TALLY_ARENA_POOLS; }

tally_pool *tally_memory_pool_at(size_t number, unsigned kind, char **first) {
    size_t arena = number / TALLY_ARENA_POOLS;
    if (tally_pool_kinds[number] != kind || tally_arenas.free_pools[arena] == TALLY_NOT_MAPPED)
        return NULL;
    tally_pool *pool =
        &((tally_pool *)(tally_region + arena * TALLY_ARENA_SIZE))[number % TALLY_ARENA_POOLS];
    if (!pool->in_use || pool->kind != kind) return NULL;
    *first = tally_pool_first_block(pool);
    return pool;
}

tally_object *tally_memory_object_at(const char *address) {
    size_t arena = (size_t)(address - tally_region) / TALLY_ARENA_SIZE;
    if (arena >= tally_arenas.used || tally_arenas.free_pools[arena] == TALLY_NOT_MAPPED)
        return NULL;
    tally_pool *pool = tally_pool_of(address);
    if (!pool->in_use || pool->kind == TALLY_RAW) return NULL;
    const char *first = tally_pool_first_block(pool);
    if (address < first || address >= pool->bump || (size_t)(address - first) % pool->block_size)
        return NULL;
    tally_object *object = (tally_object *)address;
    return tally_refcount_is_dead(&object->refcount) ? NULL : object;
}

static void each_small(unsigned kind, void (*visit)(tally_object *, void *), void *context) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, kind));)
        for (char *block = at.first; block < pool->bump; block += pool->block_size)
            if (!tally_refcount_is_dead(&((tally_object *)block)->refcount))
                visit((tally_object *)block, context);
}
void tally_memory_each_small(void (*visit)(tally_object *, void *), void *context) {
    each_small(TALLY_PLAIN, visit, context);
    each_small(TALLY_CONTAINERS, visit, context);
}
void tally_memory_each_object(void (*visit)(tally_object *, void *), void *context) {
    tally_memory_each_small(visit, context);
    tally_large_walk at = {0};
    for (tally_object *block; (block = tally_memory_next_large(&at, TALLY_KINDS));)
        if (tally_large_kind(block) != TALLY_RAW && !tally_refcount_is_dead(&block->refcount))
            visit(block, context);
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

/* Blocks on their way home count as free, and stay where they are. */
static void count_remote(tally_memory_result *result, tally_heap *heap) {
    /* acquire: pairs with push_remote */
    char *block = tally_remote_block(tally_load_acquire(&heap->remote));
    for (; block; block = tally_remote_next(block)) {
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
    pthread_mutex_lock(&tally_arenas.lock);
    result->arenas = tally_arenas.live;
    result->bytes_arenas = tally_arenas.live * TALLY_ARENA_SIZE;
    result->pools_waiting = tally_arenas.waiting;
    for (tally_pool *pool = tally_arenas.free_list; pool; pool = pool->next) result->pools_free++;
    for (unsigned i = 0; i < TALLY_SIZE_CLASSES; i++) result->classes[i].block_size = (i + 1) * 16;
    for (size_t number = 0; number < tally_arenas.used; number++)
        if (tally_arenas.free_pools[number] != TALLY_NOT_MAPPED) count_pools(result, number);
    if (TALLY_LOCK_FREE_READS)
        tally_each_thread(thread) count_remote(result, &thread->heap);
    pthread_mutex_unlock(&tally_arenas.lock);
    tally_large_stats(result);
    tally_resume_the_world();
}
