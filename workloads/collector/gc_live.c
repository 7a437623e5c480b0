/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-live: full collections of a graph that is all alive: what a pause costs, and how that grows
 * with the objects in it. The nodes have edges to nodes drawn at random. They are reached from a
 * list, in the order they were made in, which is that of their addresses, or shuffled.
 *
 * The first worker owns the graph and collects; an operation is an object examined. The others run
 * safepoints: they are parked in the pause, and may help to mark. Automatic collection is off.
 */
#include "workload.h"

enum { NODES, EDGES, ORDER };
enum { IN_ORDER, SHUFFLED };
enum { MOST_EDGES = 16 };

static const workload_parameter parameters[] = {
    {.name = "nodes",
     .help = "instances in the graph",
     .value = 100000,
     .least = 1,
     .most = 100000000,
     .quick = 20000},
    {.name = "edges",
     .help = "references from each to nodes at random",
     .value = 3,
     .least = 0,
     .most = MOST_EDGES},
    {.name = "order",
     .help = "of the list that holds the nodes: that of their making, or none",
     .choices = "allocation,shuffled"},
    {0},
};

static const char *const variants[] = {"nodes=10000", "nodes=100000", "nodes=1000000",
                                       "nodes=1000000,order=shuffled", NULL};
static const char *const quick_variants[] = {"nodes=10000", "nodes=40000", "nodes=160000",
                                             "nodes=160000,order=shuffled", NULL};

struct shared {
    tally_object *class_;
};

struct local {
    tally_object *list;
    size_t examined; /* by the last collection */
};

static void setup(struct shared *shared, const workload_context *context) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                        "i", "j", "k", "l", "m", "n", "o", "p"};
    const char *slots[MOST_EDGES + 1] = {NULL};
    for (uint64_t i = 0; i < context->parameters[EDGES]; i++) slots[i] = names[i];
    shared->class_ = workload_keep_class(context, "Node", slots);
    tally_gc_disable();
}

static void shuffle(tally_object **nodes, size_t count, uint64_t *seed) {
    for (size_t i = count; i > 1; i--) {
        size_t other = workload_random(seed) % i;
        tally_object *node = nodes[i - 1];
        nodes[i - 1] = nodes[other];
        nodes[other] = node;
    }
}

/* The list has the only reference from outside to each node. */
static tally_object *make_graph(const struct shared *shared, const workload_context *context) {
    size_t count = context->parameters[NODES];
    uint64_t seed = workload_seed(context);
    tally_object **nodes = workload_allocate(count * sizeof *nodes);
    tally_object *list = workload_object(tally_list_new((ptrdiff_t)count));
    for (size_t i = 0; i < count; i++)
        nodes[i] = workload_object(tally_instance_new(shared->class_));
    for (size_t i = 0; i < count; i++)
        for (uint64_t edge = 0; edge < context->parameters[EDGES]; edge++)
            workload_done(
                tally_slot_set(nodes[i], (ptrdiff_t)edge, nodes[workload_random(&seed) % count]));
    if (context->parameters[ORDER] == SHUFFLED) shuffle(nodes, count, &seed);
    for (size_t i = 0; i < count; i++) workload_append(list, nodes[i]);
    free(nodes);
    return list;
}

static void note(const tally_gc_info *info, void *local) {
    if (info->finished) ((struct local *)local)->examined = info->examined;
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    if (context->worker != 0) return;
    local->list = make_graph(shared, context);
    workload_done(tally_gc_add_callback(note, local));
}

/* With a GIL the others have their turn here, and not in what is measured. */
static void prepare(struct shared *shared, struct local *local, const workload_context *context) {
    tally_safepoint();
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    if (context->worker != 0) return workload_stand_by();
    ptrdiff_t found = tally_gc_collect(2);
    if (workload_done(found < 0 ? -1 : 0) != 0 || found != 0)
        workload_fail("a collection of live objects found %td unreachable", found);
    if (local->examined < context->parameters[NODES])
        workload_fail("a collection examined %zu objects, fewer than there are", local->examined);
    return local->examined;
}

/* Each node has all its edges, and the counts are those that the graph was made with. */
static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t count = context->parameters[NODES], edges = context->parameters[EDGES], counted = 0;
    if (context->worker != 0) return;
    workload_done(tally_gc_remove_callback(note, local));
    if (tally_list_length(local->list) != (ptrdiff_t)count)
        workload_fail("the graph has %td nodes, not %llu", tally_list_length(local->list),
                      (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        tally_object *node = workload_object(tally_list_get(local->list, (ptrdiff_t)i));
        counted += (uint64_t)tally_refcount(node) - 1;
        for (uint64_t edge = 0; edge < edges; edge++)
            tally_decref(workload_object(tally_slot_get(node, (ptrdiff_t)edge)));
        tally_decref(node);
    }
    if (counted != count * (edges + 1))
        workload_fail("the nodes have %llu references, not %llu", (unsigned long long)counted,
                      (unsigned long long)(count * (edges + 1)));
    tally_decref(local->list);
}

static void teardown(struct shared *shared, const workload_context *context) {
    if (tally_gc_collect(2) < 0)
        workload_fail("the last collection failed: %s", tally_error_message());
}

WORKLOAD(
    gc_live, .name = "gc-live", .kind = CYCLE_COLLECTOR,
    .description = "Full collections over a graph of live instances: what a pause "
                   "costs an object.",
    .unit = "objects examined", .parameters = parameters, .variants = variants,
    .about_variants = {.title = "A pause against live objects",
                       .text = "Full collections of a graph that is all alive, by gc-live. A pause "
                               "grows with "
                               "what is alive, not with what is garbage. With more than one thread "
                               "the others "
                               "are parked in the pause, and without a GIL they may help to mark.",
                       .caption = "Nanoseconds of pause an object examined, and the median pause",
                       .axis = "nodes"},
    .quick_variants = quick_variants, SHARED_STATE, LOCAL_STATE, .setup = setup, .enter = enter,
    .prepare = prepare, .run = run, .leave = leave, .teardown = teardown);
