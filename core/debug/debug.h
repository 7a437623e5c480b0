/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug.h: checks of programs that use Tally, in builds with TALLY_DEBUG alone. Any other build has
 * not one instruction of them. docs/guides/find-a-mistake.md shows each mistake and its message.
 *
 * Each block has a record beside the heap: what it is, where it was made, and where it was freed.
 * Behind the bytes that were asked for lies a guard. A freed block is filled with poison and waits
 * in a quarantine, so that a late use meets a record that says "freed", and a late store leaves a
 * trace.
 *
 * Invariants:
 *  - The header of a freed object stays as its death left it (memory/memory.h).
 *  - A record says LIVE from the alloc of its block to the free, FREED in the quarantine, and GONE
 *    until the block is used again.
 *  - Only what is called a fault here ends the program; a check changes no object.
 */
#ifndef TALLY_DEBUG_H
#define TALLY_DEBUG_H

#include "layout/heap.h"
#include <stdio.h>

#ifdef TALLY_DEBUG

enum { TALLY_DEBUG_GUARD = 16 }; /* bytes, at least */
enum tally_debug_state { TALLY_DEBUG_NEVER, TALLY_DEBUG_LIVE, TALLY_DEBUG_FREED, TALLY_DEBUG_GONE };

typedef struct tally_debug_record {
    uint32_t found;      /* by a check: references from other objects */
    uint16_t made, died; /* stacks; 0: not known */
    uint16_t type;       /* of an object; 0: raw memory, or not an object yet */
    uint16_t size;       /* of a small block, as it was asked for */
    _Atomic uint8_t state;
    uint8_t kind;
} tally_debug_record;

/* ---- stacks.c: where something happened ---- */

/* The calling stack, with its thread; 0: no room for another. */
uint16_t tally_debug_stack(void);
/* A line per frame. */
void tally_debug_print_stack(uint16_t stack);
void tally_debug_print_place(const void *address);

/* ---- debug.c: blocks ---- */

int tally_debug_start(void); /* 0, or -1: no memory */
void tally_debug_end(void);
/* By the allocator. made: the block has room for `size` bytes and a guard; NULL stays NULL. */
void *tally_debug_made(unsigned kind, void *block, size_t size);
void tally_debug_free(unsigned kind, void *block);
/* The type is known from now on. */
void tally_debug_typed(tally_object *object);
/* This drop may be the last, and the free comes later, in another place. */
void tally_debug_dropped(tally_object *object);
size_t tally_debug_size(const void *block);       /* as it was asked for */
size_t tally_large_whole_size(const void *block); /* memory/large.c; with the guard */
/* The record of a block; of an object, NULL: it is static, or large and immortal. */
tally_debug_record *tally_debug_block_record(const void *block);
tally_debug_record *tally_debug_record_of(const tally_object *object);
tally_debug_record *tally_large_debug_record(const void *block); /* memory/large.c */
/* Ends the program if what lies around the block was overwritten. */
void tally_debug_check_block(const void *block);
void tally_debug_check_quarantine(void);
/* What is known of an object, for a message. */
void tally_debug_describe(const tally_object *object);
const char *tally_debug_type_name(const tally_object *object);

/* ---- check.c: the heap; the world is stopped by the caller, or runs the last thread ---- */

void tally_debug_collection(bool full); /* as tally_debug_check, if enough has changed */
void tally_debug_report_leaks(void);
extern _Atomic size_t tally_debug_allocations; /* since the last check */

#endif

#endif
