/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: the allocations of JSON; see memory.h. Each has a head, which links it to the
 * others of a parse that goes on. What a parse has returned is linked in a ring of its
 * own, from which each block goes when it is freed. A thread frees what it has parsed.
 */
#include "memory.h"

#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

union block {
    struct {
        union block *next, *previous;
    };
    max_align_t alignment;
};

/* The thread's parse that goes on. */
static _Thread_local struct {
    bool going_on;
    union block blocks; /* in the ring with all of them */
    jmp_buf end;
} parse;

static void link_behind(union block *place, union block *block) {
    block->next = place->next;
    block->previous = place;
    place->next->previous = block;
    place->next = block;
}

static void unlink_block(union block *block) {
    block->previous->next = block->next;
    block->next->previous = block->previous;
}

static void *allocate(size_t size) {
    union block *block = size < SIZE_MAX - sizeof *block ? malloc(sizeof *block + size) : NULL;

    if (!block && parse.going_on) longjmp(parse.end, 1);
    if (!block) return NULL;
    block->next = block->previous = block;
    if (parse.going_on) link_behind(&parse.blocks, block);
    return block + 1;
}

static void release(void *memory) {
    union block *block = memory;

    if (!block) return;
    unlink_block(--block);
    free(block);
}

void memory_watch_json(void) {
    json_set_alloc_funcs(allocate, release);
    json_object_seed(0); /* else the first parse does, under a lock that a jump would leave taken */
}

json_t *memory_load_json(const char *text, size_t length, json_error_t *error, bool *no_memory) {
    parse.blocks.next = parse.blocks.previous = &parse.blocks;
    parse.going_on = true;
    *no_memory = setjmp(parse.end) != 0;
    if (!*no_memory) {
        /* Nothing that this function reads after the jump changes in between. */
        json_t *loaded = json_loadb(text, length, JSON_REJECT_DUPLICATES, error);

        parse.going_on = false;
        unlink_block(&parse.blocks);
        return loaded;
    }
    parse.going_on = false;
    while (parse.blocks.next != &parse.blocks) release(parse.blocks.next + 1);
    return NULL;
}
