/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sampled.c: the pools of sampled blocks; sampled.h. */
#include "memory/sampled.h"
#include "memory/arena.h"
#include <string.h>

static tally_pool *with_room[TALLY_KINDS][TALLY_SIZE_CLASSES + 1];

static tally_pool **list_of(const tally_pool *pool) { return &with_room[pool->kind][pool->class_]; }
/* left and notify say how many blocks are in use, as in a pool that was full. */
static void set_used(tally_pool *pool, uint32_t blocks) {
    pool->left = blocks > 0;
    pool->notify = blocks - pool->left;
}
static char **link_of(const tally_pool *pool, char *block) {
    return (char **)(block + tally_link_offset[pool->kind]);
}

void *tally_sampled_take(unsigned kind, unsigned class_) {
    tally_pool *pool = with_room[kind][class_];
    if (!pool) {
        pool = tally_pool_take(TALLY_OWNER_NONE, kind, class_, true);
        if (!pool) return NULL;
        pool->in_use = TALLY_POOL_SAMPLED;
        tally_pool_carve(pool);
        tally_pool_list_push(list_of(pool), pool);
    }
    char *block = pool->free;
    pool->free = *link_of(pool, block);
    set_used(pool, pool->left + pool->notify + 1);
    if (!pool->free && !tally_pool_carve(pool)) tally_pool_list_remove(list_of(pool), pool);
    return block;
}

void tally_sampled_give_back(tally_pool *pool, void *block) {
    if (block) {
        *link_of(pool, block) = pool->free;
        pool->free = block;
    }
    if (!*link_of(pool, pool->free)) tally_pool_list_push(list_of(pool), pool); /* it was full */
    set_used(pool, pool->notify);
}

bool tally_sampled_is_spare(const tally_pool *pool) {
    return !pool->left && (pool->next || pool->previous);
}
void tally_sampled_remove(tally_pool *pool) { tally_pool_list_remove(list_of(pool), pool); }

tally_pool *tally_sampled_take_empty(void) {
    for (unsigned kind = 0; kind < TALLY_KINDS; kind++)
        for (unsigned class_ = 1; class_ <= TALLY_SIZE_CLASSES; class_++)
            for (tally_pool *pool = with_room[kind][class_]; pool; pool = pool->next)
                if (!pool->left) {
                    tally_sampled_remove(pool);
                    return pool;
                }
    return NULL;
}

void tally_sampled_end(void) { memset(with_room, 0, sizeof with_room); }
