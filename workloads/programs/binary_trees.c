/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * binary-trees: build a full binary tree of instances, count its nodes, drop it. It stands for
 * programs made of small linked objects: parsers, compilers, symbolic algebra. Known from the
 * Computer Language Benchmarks Game.
 */
#include "workload.h"

enum { DEPTH = 12, NODES = (1 << (DEPTH + 1)) - 1, LEFT = 0, RIGHT = 1, SAFEPOINT_DEPTH = 4 };

static const char *const slots[] = {"left", "right", NULL};

struct shared {
    tally_object *class_;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Node", slots);
}

static tally_object *build(tally_object *class_, unsigned depth) {
    tally_object *node = workload_object(tally_instance_new(class_));
    tally_object *left = depth == 0 ? NULL : build(class_, depth - 1);
    tally_object *right = depth == 0 ? NULL : build(class_, depth - 1);
    workload_done(tally_slot_set(node, LEFT, left != NULL ? left : tally_none));
    workload_done(tally_slot_set(node, RIGHT, right != NULL ? right : tally_none));
    tally_xdecref(left);
    tally_xdecref(right);
    if (depth == SAFEPOINT_DEPTH) tally_safepoint();
    return node;
}

static unsigned count(tally_object *node, unsigned depth) {
    tally_object *left = workload_object(tally_slot_get(node, LEFT));
    tally_object *right = workload_object(tally_slot_get(node, RIGHT));
    unsigned nodes = 1;
    if (left != tally_none) nodes += count(left, depth - 1) + count(right, depth - 1);
    tally_decref(left);
    tally_decref(right);
    if (depth == SAFEPOINT_DEPTH) tally_safepoint();
    return nodes;
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    tally_object *tree = build(shared->class_, DEPTH);
    unsigned nodes = count(tree, DEPTH);
    if (nodes != NODES) workload_fail("a tree of %d nodes has %u", NODES, nodes);
    workload_check_count(tree, 1);
    tally_decref(tree);
    tally_safepoint();
    return NODES;
}

WORKLOAD(binary_trees, .name = "binary-trees", .kind = PROGRAMS, .in_price = true,
         .description = "Build, walk and drop trees of small instances: parsers, compilers, "
                        "algebra.",
         .unit = "nodes", .read_only = true, SHARED_STATE, .setup = setup, .run = run);
