/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cycles.h: what the suites about the collector share: nodes of a native type
 * whose finalizing and freeing can be seen, cycles of them, classes, and what was
 * written on standard error.
 *
 *     NODE_TEST(name) { ... }      with the nodes, automatic collection off, nothing to collect
 *     CYCLE_TEST(name) { ... }     with the classes and names too
 */
#ifndef TALLY_TESTS_CYCLES_H
#define TALLY_TESTS_CYCLES_H

#include "suite.h"

#define NODE_TEST(name)             RUNNER_TEST(name, NULL, run_with_nodes)
#define NODE_TEST_IF(applies, name) RUNNER_TEST(name, applies, run_with_nodes)
#define CYCLE_TEST(name)            RUNNER_TEST(name, NULL, run_with_cycles)
void run_with_nodes(void (*body)(void));
void run_with_cycles(void (*body)(void));

/* ---- classes, and names of attributes ---- */

/* Without slots; with the slots a, b, c, d; with __weakref__; without it. */
extern tally_object *open_class, *slots_class, *weak_slots, *plain_slots;
extern tally_object *field, *other_field;
void begin_cycles(void);
void end_cycles(void);

/* ---- nodes ---- */

typedef struct node {
    tally_object *child[2];
    int64_t id;
} node;

extern tally_object *node_type, *finalized_node_type;
extern _Atomic int nodes_freed, nodes_finalized;
/* What a finalized node does beside being counted; NULL: nothing. */
extern void (*_Atomic on_finalize)(tally_object *self);

SUITE_HELPER node *node_of(tally_object *object) { return tally_object_data(object); }

void node_traverse(tally_object *self, tally_visit visit, void *context);

/* Puts a reference of its own there; NULL empties the place. */
void node_set(tally_object *self, int place, tally_object *child);

void node_clear(tally_object *self);

void node_dealloc(tally_object *self);

void node_finalize(tally_object *self);

int freed(void);
int finalized(void);

/* At the start of a test: the types, counts of nothing, automatic collection off, nothing to
 * collect. */
void begin_nodes(void);

tally_object *node_new(tally_object *type);

/* A ring of length nodes, linked by child 0; a reference to the first, which has id 0. */
tally_object *ring_of(tally_object *type, int length);

void drop_ring(tally_object *type, int length);

/* A ring as ring_of makes it, with every id in its place: its length; -1: it is not. */
int ring_length(tally_object *start);

/* Each makes an object that holds inner, with the reference to inner dropped. */
typedef tally_object *wrap_function(tally_object *inner);
wrap_function in_list, in_dict, in_key, in_tuple, in_attribute, in_slot, in_node, in_wide_tuple,
    in_large_node;

/* Ends the run time and begins it anew. */
void restart(const tally_options *options);

/* ---- what a thread with a small C stack does ---- */

void run_with_a_small_stack(size_t kib, void (*run)(void *), void *argument);

/* ---- standard error ---- */

void capture_begin(void);

/* What was written since capture_begin, until the next call. */
const char *capture_end(void);

int occurrences(const char *text, const char *word);

int starts_with(const char *text, const char *start);

#endif
