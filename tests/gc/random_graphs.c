/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* random_graphs.c: random graphs lose exactly what a model says. */
#include "cycles.h"

enum { GRAPH = SUITE_LONG(40000), EDGES = 3, KINDS = 5, WRAPS = 4 };

/* Object i has up to three edges, each direct or through a container of its own. */
static struct model {
    int kind;
    int target[EDGES]; /* -1: none */
    int wrap[EDGES];   /* 0: direct */
    int references;    /* from the model's objects, and from the roots */
    int root, reachable, dead;
} model[GRAPH];

static uint64_t random_state;

static unsigned random_below(unsigned limit) {
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return (unsigned)(random_state >> 33) % limit;
}

static tally_object *graph_object(int i) {
    tally_object *id = tally_int_new(i + 100000), *object = NULL;
    switch (model[i].kind) {
    case 0:
        object = tally_list_new(0);
        for (int e = 0; e < EDGES; e++) tally_list_append(object, tally_none);
        tally_list_append(object, id);
        break;
    case 1:
        object = tally_dict_new();
        tally_dict_set(object, tally_none, id);
        break;
    case 2:
        object = tally_instance_new(open_class);
        tally_set_attr(object, other_field, id);
        break;
    case 3:
        object = tally_instance_new(slots_class);
        tally_slot_set(object, 3, id);
        break;
    default: /* a node: its second child is a list for the edges */
        object = node_new(node_type);
        node_of(object)->id = i + 100000;
        break;
    }
    tally_decref(id);
    return object;
}

static int64_t id_of(int kind, tally_object *object) {
    switch (kind) {
    case 0: return take_int(tally_list_get(object, EDGES));
    case 1: return take_int(tally_dict_get(object, tally_none));
    case 2: return take_int(tally_get_attr(object, other_field));
    case 3: return take_int(tally_slot_get(object, 3));
    default: return node_of(object)->id;
    }
}

static tally_object *edge_name(int edge) {
    char name[] = {'e', (char)('0' + edge), '\0'};
    return text(name);
}

static void set_edge(int kind, tally_object *object, int edge, tally_object *to) {
    tally_object *name = edge_name(edge);
    switch (kind) {
    case 0: tally_list_set(object, edge, to); break;
    case 1: tally_dict_set(object, name, to); break;
    case 2: tally_set_attr(object, name, to); break;
    case 3: tally_slot_set(object, edge, to); break;
    default: node_set(object, edge, to); break;
    }
    tally_decref(name);
}

static tally_object *get_edge(int kind, tally_object *object, int edge) {
    tally_object *name = edge_name(edge), *to;
    switch (kind) {
    case 0: to = tally_list_get(object, edge); break;
    case 1: to = tally_dict_get(object, name); break;
    case 2: to = tally_get_attr(object, name); break;
    case 3: to = tally_slot_get(object, edge); break;
    default:
        to = node_of(object)->child[edge];
        tally_xincref(to);
        break;
    }
    tally_decref(name);
    return to;
}

static tally_object *wrapped(int wrap, tally_object *object) {
    tally_incref(object);
    switch (wrap) {
    case 1: return in_tuple(object);
    case 2: return in_list(object);
    case 3: return in_wide_tuple(object);
    default: return object;
    }
}

static tally_object *unwrapped(int wrap, tally_object *object) {
    tally_object *inner = object;
    if (wrap == 1 || wrap == 3)
        inner = tally_tuple_get(object, wrap == 1 ? 0 : 3);
    else if (wrap == 2)
        inner = tally_list_get(object, 0);
    else
        return object;
    tally_decref(object);
    return inner;
}

static int size_of(int i) {
    int size = 1;
    for (int e = 0; e < EDGES; e++) size += model[i].target[e] >= 0 && model[i].wrap[e] != 0;
    return size;
}

static int stack[GRAPH * EDGES + GRAPH], depth;

static void drop_in_model(int i) {
    depth = 0;
    stack[depth++] = i;
    while (depth) {
        int at = stack[--depth];
        if (--model[at].references > 0) continue;
        model[at].dead = 1;
        for (int e = 0; e < EDGES; e++)
            if (model[at].target[e] >= 0) stack[depth++] = model[at].target[e];
    }
}

static void mark_model(void) {
    depth = 0;
    for (int i = 0; i < GRAPH; i++) {
        model[i].reachable = model[i].root;
        if (model[i].root) stack[depth++] = i;
    }
    while (depth) {
        int at = stack[--depth];
        for (int e = 0; e < EDGES; e++) {
            int target = model[at].target[e];
            if (target >= 0 && !model[target].reachable) {
                model[target].reachable = 1;
                stack[depth++] = target;
            }
        }
    }
}

/* How many the collector must find; they are dead in the model then. */
static int64_t model_garbage(void) {
    int64_t count = 0;
    mark_model();
    for (int i = 0; i < GRAPH; i++)
        if (!model[i].dead && !model[i].reachable) {
            count += size_of(i);
            model[i].dead = 1;
            /* What it held that lives on, has one reference less. */
            for (int e = 0; e < EDGES; e++)
                if (model[i].target[e] >= 0) model[model[i].target[e]].references--;
        }
    return count;
}

/* Walks the living objects from the roots along the model's edges. */
static void check_the_living(tally_object **objects) {
    int64_t wrong = 0, count = 0, wanted = 0;
    static unsigned char seen[GRAPH];
    memset(seen, 0, sizeof seen);
    depth = 0;
    for (int i = 0; i < GRAPH; i++) {
        wanted += model[i].reachable;
        if (model[i].root) {
            seen[i] = 1;
            stack[depth++] = i;
        }
    }
    while (depth) {
        int at = stack[--depth];
        count++;
        wrong += id_of(model[at].kind, objects[at]) != at + 100000;
        for (int e = 0; e < EDGES; e++) {
            int target = model[at].target[e];
            if (target < 0) continue;
            tally_object *to =
                unwrapped(model[at].wrap[e], get_edge(model[at].kind, objects[at], e));
            wrong += to != objects[target];
            tally_xdecref(to);
            if (!seen[target]) {
                seen[target] = 1;
                stack[depth++] = target;
            }
        }
    }
    check_int(wrong, 0);
    check_int(count, wanted);
}

static void random_graph(uint64_t seed, unsigned edges_in_ten) {
    static tally_object *objects[GRAPH];
    random_state = seed * 0x9e3779b97f4a7c15u + 1;
    for (int i = 0; i < GRAPH; i++) {
        model[i] = (struct model){.kind = (int)random_below(KINDS), .references = 1};
        model[i].root = random_below(20) == 0;
        objects[i] = graph_object(i);
    }
    for (int i = 0; i < GRAPH; i++)
        for (int e = 0; e < EDGES; e++) {
            model[i].target[e] = -1;
            if (random_below(10) >= edges_in_ten || (model[i].kind == 4 && e == 2)) continue;
            /* Half of them near, so that there are clusters. */
            int target =
                random_below(2) ? (int)random_below(GRAPH) : (i + (int)random_below(16)) % GRAPH;
            model[i].target[e] = target;
            model[i].wrap[e] = (int)random_below(10) < 6 ? 0 : (int)random_below(WRAPS);
            model[target].references++;
            tally_object *to = wrapped(model[i].wrap[e], objects[target]);
            set_edge(model[i].kind, objects[i], e, to);
            tally_decref(to);
        }
    check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < GRAPH; i++)
        if (!model[i].root) {
            drop_in_model(i);
            tally_decref(objects[i]);
        }
    check_int(tally_gc_collect(2), model_garbage());
    check_the_living(objects);
    check_int(tally_gc_collect(2), 0);
    /* Half of the roots go. */
    for (int i = 0; i < GRAPH; i++)
        if (model[i].root && i % 2) {
            model[i].root = 0;
            drop_in_model(i);
            tally_decref(objects[i]);
        }
    check_int(tally_gc_collect(2), model_garbage());
    check_the_living(objects);
    for (int i = 0; i < GRAPH; i++)
        if (model[i].root) {
            model[i].root = 0;
            drop_in_model(i);
            tally_decref(objects[i]);
        }
    check_int(tally_gc_collect(2), model_garbage());
    check_int(tally_gc_collect(2), 0);
}

CYCLE_TEST(random_graphs_lose_exactly_what_a_model_says) {
    for (uint64_t seed = 1; seed <= 8; seed++)
        random_graph(seed, seed % 4 == 0 ? 9 : 2 + (unsigned)seed % 4);
}
