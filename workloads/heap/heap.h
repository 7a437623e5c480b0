// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A heap snapshot in memory, and what is found out about it: which objects refer to an object, what
// holds it from outside, what it retains.  Nothing recurses with the data: a chain of a million
// objects takes no more stack than one object.
//
// Invariants:
//  - An object is known by its number in `objects`.  Those of one reader are in the order of the
//    file.
//  - A reference with `to` NONE leads to an object that is not in the file; nobody follows it.  A
//  weak
//    reference is in the list, too, and holds nothing.
#ifndef TALLY_HEAP_TOOL_H
#define TALLY_HEAP_TOOL_H

#include "tally_heap_format.h"
#include "text.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#define NONE UINT32_MAX

enum reference_kind { SLOT, ITEM, HELD, KEY, VALUE, NAME, ATTRIBUTE, SLOT_NAME, CLASS, WEAK };

struct reference {
    uint32_t from, to;
    uint32_t place : 28; // of a SLOT, an ITEM, what a native type has HELD
    uint32_t kind : 4;   // the key of a VALUE, the name of an ATTRIBUTE is the reference before it
};

struct object {
    uint64_t address, size;
    uint64_t value; // an int, the bits of a float; of a str its length
    const char *text;
    int64_t local, shared;
    uint32_t type, owner, flags;
    uint32_t first; // its references; the next object's first ends them
};

struct type {
    uint64_t address;
    char *name, **slots;
    uint64_t slot_count;
    unsigned flags, layout;
    bool known;
};

// What waits in a queue; age: nanoseconds since the oldest came, or NAN.
struct waiting {
    double count, bytes, age;
};

struct thread {
    uint32_t number;
    unsigned place;
    double away; // nanoseconds in its blocking region, or NAN
    // Its merge queue; what it has retired and is in no batch; that with which it waits itself.
    struct waiting queue, list, throttled;
};

// Retired memory that is free when the threads `behind` have been at a quiescent state.
struct batch {
    struct waiting about;
    uint32_t *behind, behind_count;
};

// What the process has besides objects; docs/reference/heap-snapshot.md.
enum { ARENA_POOLS = 64, ARENA_SHIFT = 21, POOL_SHIFT = 15, SIZE_CLASSES = 32 };
struct pool {
    unsigned kind, class_; // enum tally_heap_pool; the size of a block in units of 16 bytes
    uint32_t owner;
    double resident, made, used, coming; // bytes; blocks: made, of these in use, of these freed by
                                         // another thread
};
struct arena {
    uint64_t number;
    struct pool pools[ARENA_POOLS];
};
struct large {
    double blocks, bytes, resident, waiting;
};
struct ledger {
    double resident, mapped[TALLY_HEAP_PARTS], in_use, unused, small_waiting, descriptors;
    struct large large[3];
    uint64_t region; // in units of an arena
    struct arena *arenas;
    size_t arena_count;
};

struct heap {
    const char *path;
    uint64_t version; // of the format; from 3 on there are hashes of long strs, and queues
    struct ledger ledger;
    struct batch *batches;
    size_t batch_count;
    char *backend, *bytes; // the file
    uint64_t created, pause, size, reference_count, unknown;
    struct object *objects; // and one more, whose `first` is the end
    struct reference *references;
    struct type *types;
    struct thread *threads;
    uint32_t count, type_count, thread_count;
    // By graph_make:
    uint32_t *referrers, *referrers_first; // numbers of strong references, by their target
    int64_t
        *outside; // references that the heap does not explain; of a root more than 0, or immortal
    bool *reachable;             // from the roots; others are in cycles that nothing holds
    uint32_t *order, *dominator; // objects, a dominator before what it dominates; NONE: the roots
    uint64_t *retained;          // bytes that die with the object
};

// read.c.  What is in a file, to be freed; ends the program if it cannot be read.
char *heap_contents(const char *path, size_t *length);
// Ends the program if the file is no snapshot, is damaged, truncated, or newer.
void heap_read(struct heap *heap, const char *path);
void heap_free(struct heap *heap);
// The object at this address; NONE: there is none.
uint32_t heap_find(const struct heap *heap, uint64_t address);

// graph.c
void graph_make(struct heap *heap);
bool is_root(const struct heap *heap, uint32_t object);
static inline double heap_share(const struct heap *heap, uint64_t bytes) {
    return (double)bytes / (double)(heap->size ? heap->size : 1);
}
static inline bool is_strong(const struct reference *reference) {
    return reference->kind != WEAK && reference->to != NONE;
}
// The reference by which a shortest path from the roots reaches each object; NONE: a root, or not
// reached.  To be freed.
uint32_t *graph_paths(const struct heap *heap);
// The bytes that die with all objects of each type.  To be freed.
uint64_t *graph_retained_by_type(const struct heap *heap);
// The number of the strongly connected component of each object, from 0.  To be freed.
uint32_t *graph_components(const struct heap *heap, uint32_t *count);

// names.c
const char *type_name(const struct heap *heap, uint32_t object);
// As Task 0x7f12, or str 'text'.  To be freed.
char *object_label(const struct heap *heap, uint32_t object);
bool is_tuple(const struct heap *heap, uint32_t object);
// The same, and of a tuple its first items.  To be freed.
char *value_label(const struct heap *heap, uint32_t object);
// How many bytes of a str are in the file.
size_t text_kept(const struct heap *heap, const struct object *str);
// As .name, [3], ['key'].  general: [i] for every index and key.  To be freed.
char *reference_label(const struct heap *heap, uint32_t reference, bool general);
// Both have the same label in general, and are of objects of the same type.
bool reference_is_alike(const struct heap *heap, uint32_t a, uint32_t b);
const char *state_name(unsigned flags);
// Why a root is one.  To be freed.
char *root_label(const struct heap *heap, uint32_t object);
// The object at an address such as 0x7f12, or the one of a type that retains most.  *of_type: how
// many objects of the type there are; 0: an address was given.  Ends the program if there is none.
uint32_t object_named(const struct heap *heap, const char *what, size_t *of_type);

// show.c and cycles.c
struct view {
    struct text out;
    size_t rows;
    struct document *document; // gets the tables; NULL: they are for a terminal, in `out`
};
// A table under a title, with as many rows as the view shows.
struct column;
void show_table(struct view *view, const char *title, const struct column *columns,
                size_t column_count, const void *rows, size_t count, size_t size);
void show_summary(const struct heap *heap, struct view *view);
void show_types(const struct heap *heap, struct view *view);
void show_growth(const struct heap *old, const struct heap *heap, struct view *view);
void show_objects(const struct heap *heap, struct view *view);
void show_owners(const struct heap *heap, struct view *view);
void show_cycles(const struct heap *heap, struct view *view);
void show_why(const struct heap *heap, struct view *view, const char *what);
// What it is, and the path of graph_paths by which it is alive; of_type: 0, or as of object_named.
void show_path(const struct heap *heap, struct view *view, uint32_t object, size_t of_type,
               const uint32_t *by);
void show_referrers(const struct heap *heap, struct view *view, const char *what);
void show_dot(const struct heap *heap, struct view *view, const char *what);

// duplicates.c
void show_duplicates(const struct heap *heap, struct view *view);

// waiting.c
void show_waiting(const struct heap *heap, struct view *view);
// profile.c: a heap profile.
// The file begins as one.
bool is_profile(const char *path);
void show_profile(const char *path, struct view *view);

// ledger.c and pinned.c
enum fate { LIVE, QUEUED_FOR_GONE, QUEUED_FOR_RUNNING, QUEUED_FOR_BLOCKED, LOST, FATES };
// What becomes of each object: a root holds it, a merge queue alone does, or nothing but cycles. To
// be freed.
uint8_t *ledger_fates(const struct heap *heap);
// The arena in which an object lies; NONE: in none.
size_t ledger_arena(const struct heap *heap, uint32_t object);
// Bytes that are resident in a pool and of no use to the program now.
double ledger_unused(const struct ledger *ledger, const struct pool *pool, size_t place);
unsigned thread_place(const struct heap *heap, uint32_t number);
const char *place_name(const struct heap *heap, uint32_t number); // of a thread, as running
void show_ledger(const struct heap *heap, struct view *view);
void show_pinned(const struct heap *heap, struct view *view, const uint8_t *fate);
// page.c and page_graph.c.  A page of its own; to be freed.
char *page_of(const struct heap *heap);
// The parts of the heap that a page has room for.
struct part_group { // objects of a type that are too small to be drawn each
    uint32_t type, count;
    unsigned depth;
    double left;
    uint64_t retained;
};
struct part_of_heap {
    uint32_t *drawn; // in the order of the drawing, each before what it dominates
    unsigned *depth; // of each
    double *left;    // where each begins, a share of the width
    size_t drawn_count;
    struct part_group *groups;
    size_t group_count;
    uint32_t *listed, *linked; // with an entry of their own; with a place in the graph
    size_t listed_count, linked_count;
    uint32_t *place; // by object: in `linked`, or NONE
    bool *has_entry; // by object
};
struct part_of_heap part_make(const struct heap *heap);
void part_free(struct part_of_heap *part);
// The objects and references of the part, as JSON.
void part_add_data(const struct heap *heap, const struct part_of_heap *part, struct text *out);
// arenas.c
char *draw_arenas(const struct heap *heap);

#endif
