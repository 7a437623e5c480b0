/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-live: full collections of a graph that is all alive: what a pause costs,
 * and how that grows with the objects in it. The nodes have edges to nodes drawn
 * at random. They are reached from a list, in the order they were made in, which
 * is that of their addresses, or shuffled.
 *
 * The first worker owns the graph and collects; an operation is an object
 * examined. The others run safepoints: they are parked in the pause, and may
 * help to mark. Automatic collection is off.
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
    const workload_context *context;
    tally_object *class_;
};

struct local {
    const uint64_t *parameters;
    tally_object *list; /* NULL: a worker that stands by */
    size_t examined;    /* by the last collection */
};

static void *setup(const workload_context *context) {
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h",
                                        "i", "j", "k", "l", "m", "n", "o", "p"};
    const char *slots[MOST_EDGES + 1] = {NULL};
    struct shared *shared = workload_allocate(sizeof *shared);

    for (uint64_t i = 0; i < context->parameters[EDGES]; i++) slots[i] = names[i];
    shared->context = context;
    shared->class_ =
        workload_object(tally_class_new(&(tally_class_spec){.name = "Node", .slots = slots}));
    tally_gc_disable();
    return shared;
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
static tally_object *make_graph(const struct shared *shared, const uint64_t *values) {
    size_t count = values[NODES];
    uint64_t seed = workload_seed(shared->context, 0);
    tally_object **nodes = workload_allocate(count * sizeof *nodes);
    tally_object *list = workload_object(tally_list_new((ptrdiff_t)count));

    for (size_t i = 0; i < count; i++)
        nodes[i] = workload_object(tally_instance_new(shared->class_));
    for (size_t i = 0; i < count; i++)
        for (uint64_t edge = 0; edge < values[EDGES]; edge++)
            workload_done(
                tally_slot_set(nodes[i], (ptrdiff_t)edge, nodes[workload_random(&seed) % count]));
    if (values[ORDER] == SHUFFLED) shuffle(nodes, count, &seed);
    for (size_t i = 0; i < count; i++) {
        workload_done(tally_list_append(list, nodes[i]));
        tally_decref(nodes[i]);
    }
    free(nodes);
    return list;
}

static void note(const tally_gc_info *info, void *context) {
    if (info->finished) ((struct local *)context)->examined = info->examined;
}

static void *enter(void *state, unsigned worker) {
    struct shared *shared = state;
    struct local *local = workload_allocate(sizeof *local);

    local->parameters = shared->context->parameters;
    if (worker == 0) {
        local->list = make_graph(shared, local->parameters);
        workload_done(tally_gc_add_callback(note, local));
    }
    return local;
}

/* With a GIL the others have their turn here, and not in what is measured. */
static void prepare(void *opaque) {
    (void)opaque;
    tally_safepoint();
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    if (local->list == NULL) return workload_stand_by();
    ptrdiff_t found = tally_gc_collect(2);
    if (workload_done(found < 0 ? -1 : 0) != 0 || found != 0)
        workload_fail("a collection of live objects found %td unreachable", found);
    if (local->examined < local->parameters[NODES])
        workload_fail("a collection examined %zu objects, fewer than there are", local->examined);
    return local->examined;
}

/* Each node has all its edges, and the counts are those that the graph was made with. */
static void check_graph(const struct local *local) {
    uint64_t count = local->parameters[NODES], edges = local->parameters[EDGES], references = 0;

    if (tally_list_length(local->list) != (ptrdiff_t)count)
        workload_fail("the graph has %td nodes, not %llu", tally_list_length(local->list),
                      (unsigned long long)count);
    for (uint64_t i = 0; i < count; i++) {
        tally_object *node = workload_object(tally_list_get(local->list, (ptrdiff_t)i));

        references += (uint64_t)tally_refcount(node) - 1;
        for (uint64_t edge = 0; edge < edges; edge++)
            tally_decref(workload_object(tally_slot_get(node, (ptrdiff_t)edge)));
        tally_decref(node);
    }
    if (references != count * (edges + 1))
        workload_fail("the nodes have %llu references, not %llu", (unsigned long long)references,
                      (unsigned long long)(count * (edges + 1)));
}

static void leave(void *opaque) {
    struct local *local = opaque;

    if (local->list != NULL) {
        workload_done(tally_gc_remove_callback(note, local));
        check_graph(local);
        tally_decref(local->list);
    }
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    if (tally_gc_collect(2) < 0)
        workload_fail("the last collection failed: %s", tally_error_message());
    tally_decref(shared->class_);
    free(shared);
}

const tally_workload workload_gc_live = {
    .name = "gc-live",
    .kind = CYCLE_COLLECTOR,
    .description = "Full collections over a graph of live instances: what a pause costs an object.",
    .unit = "objects examined",
    .sharing = OWN,
    .kept = {"the collector is what it measures", "the collector is what it measures",
             "the collector is what it measures", "the collector is what it measures"},
    .parameters = parameters,
    .variants = variants,
    .about_variants =
        {.title = "A pause against live objects",
         .text = "Full collections of a graph that is all alive, by gc-live. A pause grows with "
                 "what is alive, not with what is garbage. With more than one thread the others "
                 "are parked in the pause, and without a GIL they may help to mark.",
         .caption = "Nanoseconds of pause an object examined, and the median pause",
         .axis = "nodes"},
    .quick_variants = quick_variants,
    .setup = setup,
    .enter = enter,
    .prepare = prepare,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
