/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collector.c: the cycle collector: what it finds and what it leaves, its
 * finalizers (PEP 442), its debug flags, and its work among threads.
 */
#include "cycles.h"

static tally_object *open_class, *slots_class, *field, *other_field;

static void begin(void) {
    static const char *const slots[] = {"a", "b", "c", "d", NULL};
    begin_nodes();
    open_class = class_named("Open");
    slots_class = tally_class_new(&(tally_class_spec){.name = "Slots", .slots = slots});
    field = text("field");
    other_field = text("other");
}

static void end(void) { drop(open_class, slots_class, field, other_field); }

/* ---- every kind of cycle ---- */

/* Makes an object that holds inner, with the reference to inner dropped. */
typedef tally_object *wrap_function(tally_object *inner);

static tally_object *in_list(tally_object *inner) {
    tally_object *list = tally_list_new(1);
    append_new(list, inner);
    return list;
}
static tally_object *in_dict(tally_object *inner) {
    tally_object *dict = tally_dict_new();
    tally_dict_set(dict, field, inner);
    tally_decref(inner);
    return dict;
}
static tally_object *in_key(tally_object *inner) {
    tally_object *dict = tally_dict_new();
    check_int(tally_dict_set(dict, inner, tally_none), 0);
    tally_decref(inner);
    return dict;
}
static tally_object *in_tuple(tally_object *inner) {
    tally_object *tuple = one_tuple(inner);
    tally_decref(inner);
    return tuple;
}
static tally_object *in_attribute(tally_object *inner) {
    tally_object *object = tally_instance_new(open_class);
    tally_set_attr(object, field, inner);
    tally_decref(inner);
    return object;
}
static tally_object *in_slot(tally_object *inner) {
    tally_object *object = tally_instance_new(slots_class);
    tally_slot_set(object, 2, inner);
    tally_decref(inner);
    return object;
}
static tally_object *in_node(tally_object *inner) {
    tally_object *object = node_new(node_type);
    node_of(object)->child[1] = inner;
    return object;
}
static tally_object *in_wide_tuple(tally_object *inner) {
    tally_object *items[100];
    for (int i = 0; i < 100; i++) items[i] = i % 10 == 3 ? inner : tally_none;
    tally_object *tuple = tally_tuple_new(items, 100);
    tally_decref(inner);
    return tuple;
}
static tally_object *in_large_node(tally_object *inner) {
    tally_object *object = tally_object_new(node_type, 10000);
    node_of(object)->child[0] = inner;
    return object;
}

/*
 * An instance, wrapped, that holds its wrapping: a cycle of depth + 1 objects.
 * An instance, since it is hashable and can be changed.
 */
static tally_object *cycle_of(wrap_function *wrap, int depth) {
    tally_object *first = tally_instance_new(open_class), *outer = first;
    tally_incref(first);
    for (int i = 0; i < depth; i++) outer = wrap(outer);
    tally_set_attr(first, field, outer);
    tally_decref(outer);
    return first;
}

static void is_collected(wrap_function *wrap, int depth) {
    tally_object *cycle = cycle_of(wrap, depth);
    check_int(tally_gc_collect(2), 0);
    tally_object *outer = tally_get_attr(cycle, field);
    check(outer != NULL);
    drop(outer, cycle);
    check_int(tally_gc_collect(2), depth + 1);
    check_int(tally_gc_collect(2), 0);
}

#define KIND(name, wrap)                                \
    TEST(cycles_through_##name##_are_found_and_freed) { \
        begin();                                        \
        is_collected(wrap, 1);                          \
        is_collected(wrap, 1);                          \
        end();                                          \
    }

KIND(lists, in_list)
KIND(dicts, in_dict)
KIND(keys_of_dicts, in_key)
KIND(tuples, in_tuple)
KIND(attributes, in_attribute)
KIND(slots, in_slot)
KIND(native_objects, in_node)
KIND(tuples_over_512_bytes, in_wide_tuple)
KIND(native_objects_over_512_bytes, in_large_node)

static tally_object *in_turn(tally_object *inner) {
    static wrap_function *const wraps[] = {in_list,      in_tuple, in_dict,       in_slot,
                                           in_attribute, in_node,  in_wide_tuple, in_large_node};
    static unsigned turn;
    return wraps[turn++ % (sizeof wraps / sizeof *wraps)](inner);
}

TEST(long_cycles_through_all_kinds_are_found) {
    begin();
    is_collected(in_turn, 7);
    is_collected(in_turn, 1000);
    is_collected(in_turn, 50000);
    end();
}

TEST(containers_that_hold_themselves_are_found) {
    begin();
    tally_object *list = tally_list_new(0), *dict = tally_dict_new(),
                 *slots = tally_instance_new(slots_class);
    tally_list_append(list, list);
    tally_list_append(list, list);
    tally_dict_set(dict, field, dict);
    for (int i = 0; i < 4; i++) tally_slot_set(slots, i, slots);
    drop_ring(node_type, 1);
    drop(list, dict, slots);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 1);
    end();
}

TEST(what_a_cycle_alone_holds_is_found_with_it) {
    begin();
    tally_object *list = tally_list_new(0), *shared = tally_list_new(0);
    tally_list_append(list, list);
    append_new(list, tally_dict_new());
    append_new(list, node_new(node_type));
    append_new(list, list_of(1000, 1099));
    tally_list_append(list, shared);
    append_new(list, text("not a container: freed, not counted"));
    tally_decref(list);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 1);
    check_int(tally_refcount(shared), 1);
    tally_decref(shared);
    end();
}

TEST(a_ring_of_a_million_is_found_whole) {
    enum { LENGTH = SUITE_LONG(1000000) };
    begin();
    tally_object *ring = ring_of(node_type, LENGTH);
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(ring), LENGTH);
    tally_decref(ring);
    check_int(tally_gc_collect(2), LENGTH);
    check_int(freed(), LENGTH);
    end();
}

/* More references to one object than a byte counts, and than 64 can be taken off for: the numbers
 * around both, and many. */
static void are_found_with_any_number_of_references(bool young) {
    static const int counts[] = {1,   62,  63,  64,  65,  124, 125, 126, 127,  128,   129,
                                 189, 190, 191, 192, 193, 255, 256, 257, 1000, 100000};
    static wrap_function *const wraps[] = {in_list, in_slot, in_wide_tuple, in_large_node};
    begin();
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        for (size_t w = 0; w < sizeof wraps / sizeof *wraps; w++) {
            tally_object *list = tally_list_new(0);
            tally_incref(list);
            tally_object *hub = wraps[w](list);
            /* Some by one list, some by a list each. */
            for (int n = 0; n < counts[i]; n++) {
                if (n % 2)
                    tally_list_append(list, hub);
                else
                    append_new(list, one_tuple(hub));
            }
            tally_decref(list);
            check_int(tally_gc_collect(young ? 0 : 2), 0);
            check_int(tally_refcount(hub), 1 + counts[i]);
            check_int(tally_list_length(list), counts[i]);
            tally_decref(hub);
            check_int(tally_gc_collect(young ? 1 : 2), 2 + (counts[i] + 1) / 2);
        }
    end();
}

static void pass_safepoints(void *over) {
    while (!atomic_load_explicit((_Atomic bool *)over, memory_order_relaxed)) tally_safepoint();
}

TEST(old_objects_with_any_number_of_references_are_found) {
    are_found_with_any_number_of_references(false);
}
TEST(young_objects_with_any_number_of_references_are_found) {
    are_found_with_any_number_of_references(true);
}

/* Enough objects for parked threads to help, spread over pools, with hubs, frozen ones and garbage
 * among them. */
TEST(garbage_in_a_large_random_graph_is_found_while_threads_help) {
    enum {
        COUNT = 60000,
        HUBS = 7
    }; /* also where the others are shorter: fewer are marked by one thread alone */
    static _Atomic bool over;
    tally_thread threads[3];
    tally_object **nodes = malloc(COUNT * sizeof *nodes), *hubs[HUBS];
    begin();
    tally_gc_disable();
    atomic_store_explicit(&over, false, memory_order_relaxed);
    for (int i = 0; i < 3; i++)
        check_int(tally_thread_start(&threads[i], pass_safepoints, &over), 0);
    for (int round = 0; round < 3; round++) {
        uint64_t random = 88172645463325252u + (uint64_t)round;
        for (int i = 0; i < HUBS; i++)
            hubs[i] = i % 2 ? tally_object_new(node_type, 1000) : tally_list_new(0);
        for (int i = 0; i < COUNT; i++) nodes[i] = tally_instance_new(slots_class);
        /* Even ones refer to even ones, odd ones to any. One of the even ones is held. */
        for (int i = 0; i < COUNT; i++) {
            tally_slot_set(nodes[i], 0, nodes[i + 2 < COUNT ? i + 2 : i % 2]);
            for (int slot = 1; slot < 3; slot++) {
                random = random * 6364136223846793005u + 1442695040888963407u;
                size_t other = (size_t)(random >> 33) % COUNT;
                tally_slot_set(nodes[i], slot, nodes[i % 2 || other % 2 == 0 ? other : other - 1]);
            }
            tally_slot_set(nodes[i], 3,
                           i % 2           ? hubs[i % HUBS]
                           : i + 2 < COUNT ? nodes[i + 2]
                                           : hubs[0]);
        }
        for (int i = 0; i < HUBS; i++)
            if (i % 2 == 0) tally_list_append(hubs[i], nodes[i * 2]);
        check_int(tally_gc_collect(2), 0);
        for (int i = 1; i < COUNT; i++) tally_decref(nodes[i]);
        for (int i = 0; i < HUBS; i++) tally_decref(hubs[i]);
        if (round == 1) { /* all in a pause of its own: what is frozen holds what it holds */
            tally_gc_freeze();
            check_int(tally_gc_collect(2), 0);
            tally_gc_unfreeze();
        }
        check_int(tally_gc_collect(2), COUNT / 2 + HUBS - 1);
        tally_object *last = nodes[0];
        tally_incref(last);
        int length = 0;
        for (; length < COUNT / 2; length++) {
            tally_object *next = tally_slot_get(last, 3);
            tally_decref(last);
            last = next;
        }
        check(last == hubs[0]);
        drop(last, nodes[0]);
        check_int(tally_gc_collect(2), COUNT / 2 + 1);
    }
    atomic_store_explicit(&over, true, memory_order_relaxed);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_gc_enable();
    free(nodes);
    end();
}

static void make_large_hub(void *hub) { *(tally_object **)hub = tally_object_new(node_type, 1000); }

/*
 * Threads that help count in memory of their own, which may lie anywhere beside what malloc gives:
 * hubs in mappings of their own and in another thread's arena, with more references than a byte
 * counts.
 */
TEST(large_hubs_anywhere_in_memory_are_counted_while_threads_help) {
    enum { COUNT = 50000, HUBS = 12, ROUNDS = 3 };
    static _Atomic bool over;
    tally_thread threads[3];
    tally_object *hubs[HUBS], *list = tally_list_new(0);
    begin();
    atomic_store_explicit(&over, false, memory_order_relaxed);
    for (int i = 0; i < 3; i++)
        check_int(tally_thread_start(&threads[i], pass_safepoints, &over), 0);
    for (int i = 0; i < HUBS; i++) {
        if (i % 3 == 0)
            run_threads(1, make_large_hub, &hubs[i], 0);
        else
            hubs[i] = tally_object_new(node_type, i % 3 == 1 ? 256 * 1024 : 16 << 20);
    }
    for (int i = 0; i < COUNT; i++) {
        tally_object *node = node_new(node_type);
        node_set(node, 0, hubs[i % HUBS]);
        node_set(node, 1, hubs[(i / HUBS) % HUBS]);
        append_new(list, node);
    }
    for (int i = 0; i < HUBS; i++) node_set(hubs[i], 0, list);
    for (int round = 0; round < ROUNDS; round++) check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < HUBS; i++) tally_decref(hubs[i]);
    check_int(tally_gc_collect(2), 0);
    check_int(freed(), 0);
    check_int(tally_list_length(list), COUNT);
    tally_decref(list);
    check_int(tally_gc_collect(2), COUNT + HUBS + 1);
    check_int(freed(), COUNT + HUBS);
    atomic_store_explicit(&over, true, memory_order_relaxed);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    end();
}

TEST(a_class_and_its_instances_may_be_a_cycle) {
    begin();
    for (int with_slots = 0; with_slots < 2; with_slots++) {
        static const char *const slots[] = {"a", NULL};
        tally_object *class =
            tally_class_new(&(tally_class_spec){.name = "Own", .slots = with_slots ? slots : NULL});
        tally_object *instance = tally_instance_new(class), *witness = node_new(node_type),
                     *kept = tally_instance_new(class);
        tally_set_attr(class, field, instance);
        tally_set_attr(class, other_field, witness);
        drop(witness, instance, class);
        /* One instance alive keeps the class, and the class all it has. */
        check_int(tally_gc_collect(2), 0);
        check_int(freed(), with_slots);
        tally_object *again = tally_get_attr(kept, other_field);
        check(again == witness);
        drop(again, kept);
        check_int(tally_gc_collect(2), 3);
        settle_until(freed() == with_slots + 1 || tally_gc_collect(2) < 0);
        check_int(freed(), with_slots + 1);
    }
    end();
}

TEST(a_class_that_holds_itself_is_found) {
    begin();
    tally_object *class = class_named("Itself");
    tally_set_attr(class, field, class);
    tally_object *reference = tally_weakref_new(class, NULL, NULL);
    tally_decref(class);
    check_int(tally_gc_collect(2), 1);
    check(tally_weakref_get(reference) == tally_none);
    tally_decref(reference);
    end();
}

TEST(an_untracked_native_object_keeps_what_it_holds) {
    begin();
    tally_object *type = tally_type_new(&(tally_type_spec){
        .name = "opaque", .size = sizeof(tally_object *), .flags = TALLY_TYPE_CONTAINER});
    tally_object *opaque = tally_object_new(type, 0), *ring = ring_of(node_type, 3);
    *(tally_object **)tally_object_data(opaque) = ring;
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(ring), 3);
    tally_decref(opaque); /* without clear it drops nothing */
    check_int(tally_gc_collect(2), 0);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 3);
    end();
}

TEST(what_is_alive_stays_as_it_was) {
    begin();
    tally_object *root = tally_dict_new(), *list = list_of(1, 5), *tuple = pair(list, root);
    tally_dict_set(root, field, tuple);
    tally_dict_set(root, other_field, list);
    tally_object *instance = tally_instance_new(open_class);
    tally_set_attr(instance, field, root);
    tally_list_append(list, instance);
    for (int i = 0; i < 20; i++) {
        drop_ring(node_type, 10);
        check_int(tally_gc_collect(i % 3), 10);
    }
    check_int(freed(), 200);
    check_int(tally_dict_length(root), 2);
    check_int(tally_list_length(list), 6);
    for (int i = 0; i < 5; i++) check_int(take_int(tally_list_get(list, i)), i + 1);
    check_int(tally_refcount(list), 3);
    check_int(tally_refcount(root), 3);
    check_int(tally_refcount(tuple), 2);
    check_int(tally_refcount(instance), 2);
    drop(list, tuple, instance, root);
    check_int(tally_gc_collect(2), 4);
    end();
}

/* ---- random graphs against a model --------------------------------------- */

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

TEST(random_graphs_lose_exactly_what_a_model_says) {
    begin();
    for (uint64_t seed = 1; seed <= 8; seed++)
        random_graph(seed, seed % 4 == 0 ? 9 : 2 + (unsigned)seed % 4);
    end();
}

/* ---- depth ---- */

enum { DEEP = SUITE_LONG(1000000) };

typedef struct deep_job {
    wrap_function *wrap;
} deep_job;

static void collect_a_deep_one(void *argument) {
    deep_job *job = argument;
    tally_object *inner = tally_instance_new(open_class), *outer = inner;
    tally_incref(inner);
    for (int i = 0; i < DEEP; i++) outer = job->wrap(outer);
    check_int(tally_gc_collect(2), 0); /* a million deep, alive */
    tally_set_attr(inner, field, outer);
    tally_decref(outer);
    check_int(tally_gc_collect(2), 0);
    tally_decref(inner);
    check_int(tally_gc_collect(2), DEEP + 1);
}

#define DEPTH(name, wrap)                                 \
    TEST(a_million_nested_##name##_need_no_deep_stack) {  \
        begin();                                          \
        deep_job job = {wrap};                            \
        run_with_a_small_stack(collect_a_deep_one, &job); \
        end();                                            \
    }

DEPTH(lists, in_list)
DEPTH(tuples, in_tuple)
DEPTH(dicts, in_dict)
DEPTH(instances, in_attribute)
DEPTH(slot_instances, in_slot)
DEPTH(native_objects, in_node)

/* ---- finalizers ----------------------------------------------------------- */

static int whole;

static void look_whether_whole(tally_object *self) {
    tally_object *next = node_of(self)->child[0];
    whole += next && node_of(next)->child[0] && node_of(next)->id == 1 - node_of(self)->id &&
             freed() == 0;
}

TEST(finalizers_run_once_with_the_cycle_whole) {
    begin();
    whole = 0;
    atomic_store(&on_finalize, look_whether_whole);
    tally_object *ring = ring_of(finalized_node_type, 2);
    check_int(tally_gc_is_finalized(ring), 0);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 2);
    check_int(finalized(), 2);
    check_int(whole, 2);
    check_int(freed(), 2);
    check_int(tally_gc_collect(2), 0);
    check_int(finalized(), 2);
    end();
}

static void count_class_finalizer(tally_object *self) {
    tally_object *other = tally_get_attr(self, field);
    whole += other != NULL;
    tally_xdecref(other);
    suite_count_death(self);
}

TEST(finalizers_of_instances_run_too) {
    begin();
    whole = 0;
    tally_object *class = tally_class_new(
        &(tally_class_spec){.name = "Finalized", .finalize = count_class_finalizer});
    for (int i = 0; i < 100; i++) {
        tally_object *a = tally_instance_new(class), *b = tally_instance_new(class);
        tally_set_attr(a, field, b);
        tally_set_attr(b, field, a);
        drop(a, b);
    }
    check_int(tally_gc_collect(2), 200);
    check_int(deaths(), 200);
    check_int(whole, 200);
    tally_decref(class);
    end();
}

static tally_object *kept_alive[16];
static int kept_count;

static void resurrect_all(tally_object *self) {
    tally_incref(self);
    kept_alive[kept_count++] = self;
}

TEST(a_resurrected_cycle_lives_and_is_not_finalized_again) {
    begin();
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_all);
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 0); /* what lives on is not counted */
    check_int(finalized(), 3);
    check_int(kept_count, 3);
    check_int(freed(), 0);
    for (int i = 0; i < 3; i++) {
        check_int(tally_gc_is_finalized(kept_alive[i]), 1);
        check_int(tally_gc_is_tracked(kept_alive[i]), 1);
        check_int(tally_refcount(kept_alive[i]), 2);
    }
    check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < 3; i++) tally_decref(kept_alive[i]);
    check_int(freed(), 0);
    check_int(tally_gc_collect(2), 3);
    check_int(finalized(), 3);
    check_int(freed(), 3);
    end();
}

static void resurrect_the_first(tally_object *self) {
    if (node_of(self)->id == 0 && node_of(self)->child[1]) resurrect_all(self);
}

TEST(resurrecting_one_cycle_frees_the_other) {
    begin();
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_the_first);
    tally_object *marked = ring_of(finalized_node_type, 5),
                 *other = ring_of(finalized_node_type, 7);
    node_of(marked)->child[1] = list_of(1, 3);
    /* The one that goes holds the one that stays; not the other way round. */
    node_set(node_of(other)->child[0], 1, marked);
    drop(marked, other);
    check_int(tally_gc_collect(2), 7);
    check_int(finalized(), 12);
    check_int(freed(), 7);
    check_int(kept_count, 1);
    check_int(ring_length(kept_alive[0]), 5);
    check_int(tally_list_length(node_of(kept_alive[0])->child[1]), 3);
    check_int(tally_refcount(kept_alive[0]), 2);
    tally_decref(kept_alive[0]);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 12);
    check_int(finalized(), 12);
    end();
}

TEST(resurrecting_one_member_keeps_all_that_it_reaches) {
    begin();
    kept_count = 0;
    atomic_store(&on_finalize, resurrect_the_first);
    tally_object *marked = ring_of(finalized_node_type, 2),
                 *reached = ring_of(finalized_node_type, 4);
    node_of(marked)->child[1] = reached; /* the reference of ours */
    node_of(reached)->child[1] = NULL;
    tally_decref(marked);
    check_int(tally_gc_collect(2), 0);
    check_int(finalized(), 6);
    check_int(freed(), 0);
    check_int(ring_length(kept_alive[0]), 2);
    check_int(ring_length(node_of(kept_alive[0])->child[1]), 4);
    tally_decref(kept_alive[0]);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 6);
    check_int(finalized(), 6);
    end();
}

static void make_first_immortal(tally_object *self) {
    if (node_of(self)->id == 0) tally_immortalize(self);
}

/* For ever, with all that it holds: the rest of the garbage goes. */
TEST(a_finalizer_may_make_its_object_immortal) {
    begin();
    tally_object *first = ring_of(finalized_node_type, 4);
    atomic_store(&on_finalize, make_first_immortal);
    tally_decref(first);
    drop_ring(node_type, 3);
    check_int(tally_gc_collect(2), 3);
    check_int(finalized(), 4);
    check_int(freed(), 3);
    check_int(tally_is_immortal(first), 1);
    check_int(ring_length(first), 4);
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(first), 4);
    /* As end() finds nothing alive: the others are let go by hand. */
    node_clear(first);
    check_int(freed(), 6);
    end();
}

static void break_the_cycle(tally_object *self) { node_clear(self); }

TEST(a_finalizer_may_break_its_cycle) {
    begin();
    atomic_store(&on_finalize, break_the_cycle);
    drop_ring(finalized_node_type, 1);
    drop_ring(finalized_node_type, 2);
    drop_ring(finalized_node_type, 1000);
    check_int(tally_gc_collect(2), 1003);
    check_int(finalized(), 1003);
    check_int(freed(), 1003);
    end();
}

static tally_object *held_cycle;

static void drop_the_held_cycle(tally_object *self) {
    (void)self;
    tally_object *held = held_cycle;
    held_cycle = NULL;
    tally_xdecref(held);
}

TEST(a_finalizer_may_drop_the_last_reference_to_another_cycle) {
    begin();
    atomic_store(&on_finalize, drop_the_held_cycle);
    held_cycle = ring_of(finalized_node_type, 10);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(freed(), 2);
    check_int(tally_gc_collect(2), 10);
    check_int(freed(), 12);
    check_int(finalized(), 12);
    end();
}

static int64_t collected_within;

static void collect_within(tally_object *self) {
    (void)self;
    drop_ring(node_type, 2);
    for (int generation = 0; generation < 3; generation++)
        collected_within += tally_gc_collect(generation);
}

TEST(a_collection_within_a_finalizer_does_nothing) {
    begin();
    collected_within = 0;
    atomic_store(&on_finalize, collect_within);
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 3);
    check_int(collected_within, 0);
    check_int(finalized(), 3);
    check_int(freed(), 3);
    check_int(tally_gc_collect(2), 6);
    check_int(freed(), 9);
    end();
}

static void collect_in_callback(tally_object *reference, void *context) {
    (void)reference;
    ++*(int *)context;
    collected_within += tally_gc_collect(2);
}

TEST(a_collection_within_a_weak_callback_does_nothing) {
    begin();
    int calls = 0;
    collected_within = 0;
    tally_object *ring = ring_of(node_type, 3),
                 *reference = tally_weakref_new(ring, collect_in_callback, &calls);
    tally_decref(ring);
    check_int(tally_gc_collect(2), 3);
    check_int(calls, 1);
    check_int(collected_within, 0);
    check_int(freed(), 3);
    tally_decref(reference);
    end();
}

TEST(a_finalizer_by_count_may_collect) {
    begin();
    collected_within = 0;
    atomic_store(&on_finalize, collect_within);
    drop_ring(node_type, 5);
    tally_object *single = node_new(finalized_node_type);
    node_of(single)->child[0] = tally_list_new(0);
    tally_decref(single);
    check_int(collected_within, 7);
    check_int(freed(), 8);
    end();
}

static void allocate_and_collect(void *argument) {
    (void)argument;
    for (int i = 0; i < 100; i++) {
        drop_ring(node_type, 2);
        tally_decref(list_of(1, 100));
    }
    check(tally_gc_collect(2) >= 0);
}

static void run_a_thread(tally_object *self) {
    (void)self;
    run_threads(1, allocate_and_collect, NULL, 0);
}

TEST(a_finalizer_may_start_a_thread_that_collects_and_wait_for_it) {
    begin();
    atomic_store(&on_finalize, run_a_thread);
    drop_ring(finalized_node_type, 2);
    tally_gc_enable();
    check(tally_gc_collect(2) >= 2);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
    check_int(finalized(), 2);
    check_int(freed(), 2 + 2 * 200);
    end();
}

static void make_garbage(tally_object *self) {
    (void)self;
    for (int i = 0; i < 50; i++) drop_ring(node_type, 3);
}

TEST(a_finalizer_may_make_garbage_cycles) {
    begin();
    atomic_store(&on_finalize, make_garbage);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(tally_gc_collect(2), 2 * 150);
    check_int(freed(), 302);
    end();
}

static void fail_to_finalize(tally_object *self) {
    check(tally_error_kind() == TALLY_NO_ERROR);
    tally_error_set(TALLY_KEY_ERROR, "finalizer of %d fails", (int)node_of(self)->id);
}

TEST(errors_of_finalizers_are_reported_and_the_pending_one_stays) {
    begin();
    atomic_store(&on_finalize, fail_to_finalize);
    drop_ring(finalized_node_type, 2);
    tally_error_set(TALLY_VALUE_ERROR, "pending before");
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    const char *written = capture_end();
    check(strcmp(tally_error_message(), "pending before") == 0);
    check_error(TALLY_VALUE_ERROR);
    check_int(found, 2);
    check_int(occurrences(written, "finalizer of 0 fails"), 1);
    check_int(occurrences(written, "finalizer of 1 fails"), 1);
    check_int(freed(), 2);
    end();
}

TEST(errors_of_finalizers_leave_the_pending_one_of_an_allocation) {
    begin();
    atomic_store(&on_finalize, fail_to_finalize);
    tally_error_set(TALLY_VALUE_ERROR, "pending before");
    capture_begin();
    tally_gc_enable();
    for (int i = 0; i < 5000 && finalized() == 0; i++) drop_ring(finalized_node_type, 1);
    tally_gc_disable();
    capture_end();
    check(finalized() > 0);
    check_error(TALLY_VALUE_ERROR);
    atomic_store(&on_finalize, NULL);
    check(tally_gc_collect(2) >= 0);
    check_int(finalized(), freed());
    end();
}

/* ---- as Python 2 ---------------------------------------------------------- */

static void restart(const tally_options *options) {
    check_int(tally_finish(), 0);
    check_int(tally_init(options), 0);
}

TEST(as_in_python_2_cycles_with_finalizers_are_not_freed) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin();
    tally_object *guarded = ring_of(finalized_node_type, 2), *reached = ring_of(node_type, 3);
    node_of(guarded)->child[1] = reached; /* our reference: only guarded holds it now */
    drop_ring(node_type, 4);
    tally_object *holds_guarded = tally_list_new(0);
    tally_list_append(holds_guarded, holds_guarded);
    append_new(holds_guarded, guarded);
    tally_decref(holds_guarded);

    check_int(tally_gc_collect(2), 10);
    check_int(freed(), 4); /* the cycle apart, and the list that nobody needs */
    check_int(finalized(), 0);
    tally_object *garbage = tally_gc_garbage();
    check_int(tally_list_length(garbage), 2);
    tally_object *first = tally_list_get(garbage, 0), *second = tally_list_get(garbage, 1);
    check((first == guarded && second == node_of(guarded)->child[0]) ||
          (second == guarded && first == node_of(guarded)->child[0]));
    check_int(ring_length(guarded), 2);
    check_int(ring_length(node_of(guarded)->child[1]), 3);

    tally_gc_generation_stats stats[3];
    tally_gc_get_stats(stats);
    check_int(stats[2].uncollectable, 5);

    /* Whoever looks at the garbage breaks the cycle. */
    tally_decref(second == guarded ? first : second);
    node_set(guarded, 0, NULL);
    tally_decref(guarded);
    check_int(tally_list_clear(garbage), 0);
    tally_decref(garbage);
    check_int(finalized(), 2);
    check_int(freed(), 6);
    check_int(tally_gc_collect(2), 3);
    check_int(freed(), 9);
    end();
    restart(NULL);
}

TEST(as_in_python_2_garbage_is_noted_once_while_it_is_listed) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin();
    drop_ring(finalized_node_type, 3);
    check_int(tally_gc_collect(2), 3);
    tally_object *garbage = tally_gc_garbage();
    for (int i = 0; i < 3; i++) check_int(tally_gc_collect(2), 0); /* the list holds it */
    check_int(tally_list_length(garbage), 3);
    tally_object *one = tally_list_get(garbage, 0);
    check_int(tally_list_clear(garbage), 0);
    node_set(one, 0, NULL);
    drop(one, garbage);
    check_int(freed(), 3);
    end();
    restart(NULL);
}

/* ---- debug flags ----------------------------------------------------------- */

TEST(saveall_keeps_what_it_finds) {
    begin();
    tally_object *list = list_of(1, 3), *dict = tally_dict_new();
    tally_list_append(list, dict);
    tally_dict_set(dict, field, list);
    drop(list, dict);
    drop_ring(finalized_node_type, 2);
    tally_gc_set_debug(TALLY_GC_DEBUG_SAVEALL);
    check_int(tally_gc_get_debug(), TALLY_GC_DEBUG_SAVEALL);
    check_int(tally_gc_collect(2), 4);
    tally_gc_set_debug(0);
    check_int(freed(), 0);
    check_int(finalized(), 2);
    tally_object *garbage = tally_gc_garbage();
    check_int(tally_list_length(garbage), 4);
    check_int(tally_list_length(list), 4);
    check_int(take_int(tally_list_get(list, 2)), 3);
    check_int(tally_gc_collect(2), 0);
    check_int(tally_list_clear(garbage), 0);
    tally_decref(garbage);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 2);
    check_int(finalized(), 2);
    end();
}

TEST(collectable_objects_are_named_on_standard_error) {
    begin();
    tally_object *list = tally_list_new(0);
    tally_list_append(list, list);
    tally_decref(list);
    drop_ring(node_type, 3);
    tally_gc_set_debug(TALLY_GC_DEBUG_COLLECTABLE);
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    const char *written = capture_end();
    tally_gc_set_debug(0);
    check_int(found, 4);
    check_int(occurrences(written, " collectable <node "), 3);
    check_int(occurrences(written, " collectable <list "), 1);
    check_int(occurrences(written, "\n"), 4);
    check_int(freed(), 3);
    end();
}

TEST(uncollectable_objects_are_named_on_standard_error) {
    restart(&(tally_options){.uncollectable_finalizers = 1});
    begin();
    drop_ring(finalized_node_type, 2);
    drop_ring(node_type, 2);
    tally_gc_set_debug(TALLY_GC_DEBUG_UNCOLLECTABLE);
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    const char *written = capture_end();
    tally_gc_set_debug(0);
    check_int(found, 4);
    check_int(occurrences(written, " uncollectable <finalized node "), 2);
    check_int(occurrences(written, "\n"), 2);
    tally_object *garbage = tally_gc_garbage(), *one = tally_list_get(garbage, 0);
    tally_list_clear(garbage);
    node_set(one, 0, NULL);
    drop(one, garbage);
    check_int(freed(), 4);
    end();
    restart(NULL);
}

TEST(statistics_are_a_line_for_each_collection) {
    begin();
    tally_gc_set_debug(TALLY_GC_DEBUG_STATS);
    drop_ring(node_type, 5);
    capture_begin();
    ptrdiff_t found = tally_gc_collect(2);
    check_int(tally_gc_collect(2), 0);
    const char *written = capture_end();
    tally_gc_set_debug(0);
    check_int(found, 5);
    check_int(occurrences(written, "\n"), 2);
    check_int(occurrences(written, "generation 2"), 2);
    check_int(occurrences(written, "5 unreachable"), 1);
    check_int(occurrences(written, " 0 unreachable"), 1);
    check_int(occurrences(written, "0 uncollectable"), 2);
    end();
}

/* ---- threads --------------------------------------------------------------- */

enum { THREADS = 8 };

static void make_and_leave(void *argument) {
    (void)argument;
    for (int i = 0; i < 100; i++) {
        drop_ring(node_type, 4);
        tally_object *list = tally_list_new(0);
        append_new(list, pair(list, list));
        tally_decref(list);
    }
}

TEST(cycles_of_threads_that_have_exited_are_found) {
    begin();
    for (int round = 1; round <= 3; round++) {
        run_threads(THREADS, make_and_leave, NULL, 0);
        check_int(tally_gc_collect(2), THREADS * 100 * 6);
        check_int(freed(), round * THREADS * 400);
    }
    end();
}

static tally_object *handed[100];
static _Atomic int gates[4];

static void open_gate(int gate) { atomic_store_explicit(&gates[gate], 1, memory_order_release); }
static void close_gates(void) {
    for (int i = 0; i < 4; i++) atomic_store(&gates[i], 0);
}

static void make_and_stay(void *argument) {
    (void)argument;
    for (int i = 0; i < 100; i++) handed[i] = ring_of(node_type, 3);
    open_gate(0);
    check(wait_for(&gates[1], 1));
}

TEST(references_to_others_objects_that_were_dropped_are_not_counted) {
    begin();
    for (int round = 1; round <= 20; round++) {
        close_gates();
        tally_thread thread;
        check_int(tally_thread_start(&thread, make_and_stay, NULL), 0);
        check(wait_for(&gates[0], 1));
        for (int i = 0; i < 100; i++)
            tally_decref(handed[i]); /* with biased counts: queued for the owner */
        check_int(tally_gc_collect(2), 300);
        check_int(freed(), round * 300);
        open_gate(1);
        check_int(tally_thread_join(&thread), 0);
    }
    end();
}

static void make_and_block(void *argument) {
    (void)argument;
    for (int i = 0; i < 100; i++) handed[i] = ring_of(node_type, 3);
    open_gate(0);
    tally_blocking_begin();
    while (!atomic_load_explicit(&gates[1], memory_order_acquire)) usleep(100);
    tally_blocking_end();
}

TEST(a_thread_in_a_blocking_region_delays_no_collection) {
    begin();
    close_gates();
    tally_thread thread;
    check_int(tally_thread_start(&thread, make_and_block, NULL), 0);
    check(wait_for(&gates[0], 1));
    /* It stays blocked until all this is done. */
    for (int i = 0; i < 10; i++) check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < 100; i++) tally_decref(handed[i]);
    check_int(tally_gc_collect(2), 300);
    check_int(freed(), 300);
    open_gate(1);
    check_int(tally_thread_join(&thread), 0);
    end();
}

static void collect_until_told(void *argument) {
    _Atomic int *told = argument;
    while (!atomic_load_explicit(told, memory_order_acquire)) {
        check(tally_gc_collect(2) >= 0);
        tally_safepoint();
    }
}

static void make_a_little(void *argument) {
    (void)argument;
    drop_ring(node_type, 3);
}

TEST(threads_may_come_and_go_during_collections) {
    /* With a GIL each that comes waits for it, beside a thread that is never done: the default
     * interval would be most of the test's time. */
    restart(&(tally_options){.switch_interval_us = 100});
    begin();
    close_gates();
    tally_thread collecting;
    check_int(tally_thread_start(&collecting, collect_until_told, &gates[0]), 0);
    for (int i = 0; i < SUITE_LONG(500); i++) run_threads(4, make_a_little, NULL, 0);
    open_gate(0);
    check_int(tally_thread_join(&collecting), 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), SUITE_LONG(500) * 12);
    end();
    restart(NULL);
}

/* Lists in a ring, each with the next in a tuple; threads put more cycles into them and take out
 * others. */
enum { RING = 64 };
static tally_object *members[RING];

static void change_the_cycle(void *argument) {
    unsigned at = *(unsigned *)argument * 7;
    for (int i = 0; i < SUITE_LONG(20000); i++, at++) {
        tally_object *from = members[at % RING], *to = members[(at * 31 + 5) % RING];
        tally_object *fresh = tally_list_new(2);
        tally_list_append(fresh, to);
        tally_list_append(fresh, from);
        tally_list_append(from, fresh); /* now it is a cycle with from and to */
        tally_object *dict = tally_dict_new();
        tally_dict_set(dict, field, fresh);
        tally_list_append(fresh, dict);
        drop(dict, fresh);
        tally_xdecref(tally_list_pop(from, -1)); /* this or another's: it may be garbage now */
        tally_error_clear();
        tally_safepoint();
    }
}

TEST(a_cycle_that_threads_change_meanwhile_stays_whole) {
    begin();
    tally_object *anchors = tally_list_new(0);
    for (int i = 0; i < RING; i++) members[i] = tally_list_new(0);
    for (int i = 0; i < RING; i++) {
        tally_object *anchor = pair(members[i], members[(i + 1) % RING]);
        tally_list_append(members[i], anchor); /* until somebody takes it out */
        append_new(anchors, anchor);
    }
    close_gates();
    tally_thread collecting;
    check_int(tally_thread_start(&collecting, collect_until_told, &gates[0]), 0);
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) numbers[i] = i;
    run_threads(THREADS, change_the_cycle, numbers, sizeof numbers[0]);
    open_gate(0);
    check_int(tally_thread_join(&collecting), 0);
    check_int(tally_list_length(anchors), RING);
    for (int i = 0; i < RING; i++) {
        tally_object *anchor = tally_list_get(anchors, i), *first = tally_tuple_get(anchor, 0),
                     *second = tally_tuple_get(anchor, 1);
        check(first == members[i]);
        check(second == members[(i + 1) % RING]);
        check(tally_list_length(first) >= 0);
        drop(anchor, first, second);
    }
    tally_decref(anchors);
    for (int i = 0; i < RING; i++) tally_decref(members[i]);
    check(tally_gc_collect(2) >= 0);
    end();
}

static void make_and_collect(void *argument) {
    (void)argument;
    for (int i = 0; i < SUITE_LONG(200); i++) {
        drop_ring(node_type, 5);
        check(tally_gc_collect(i % 3) >= 0);
        tally_object *ring = ring_of(finalized_node_type, 3);
        check(tally_gc_collect(2) >= 0);
        check_int(ring_length(ring), 3);
        tally_decref(ring);
    }
}

/*
 * Two collections at the same time. One has found a; the other, which begins while a's
 * finalizer runs, has found a ring of x. The finalizer of a gives a away, that of x puts
 * x in a. Then the first takes its second look, while the finalizer of x still runs.
 */
static tally_object *meeting_a, *_Atomic meeting_x;
static _Atomic int meeting;
enum { A_FOUND = 1, X_IN_A, LOOKED_AGAIN };

static void meet(tally_object *self) {
    if (self == meeting_a) {
        tally_incref(self);
        atomic_store_explicit(&meeting, A_FOUND, memory_order_release);
        check(wait_for(&meeting, X_IN_A));
    } else if (self == meeting_x) {
        node_set(meeting_a, 1, self);
        atomic_store_explicit(&meeting, X_IN_A, memory_order_release);
        check(wait_for(&meeting, LOOKED_AGAIN));
    }
}

static void collect_x(void *nothing) {
    (void)nothing;
    check(wait_for(&meeting, A_FOUND));
    meeting_x = ring_of(finalized_node_type, 3);
    tally_decref(meeting_x);
    check_int(tally_gc_collect(2), 0); /* all found, none freed */
}

TEST(a_second_look_leaves_alone_what_another_collection_has_found) {
    begin();
    atomic_store(&meeting, 0);
    meeting_x = NULL;
    atomic_store(&on_finalize, meet);
    tally_thread other;
    check_int(tally_thread_start(&other, collect_x, NULL), 0);
    meeting_a = ring_of(finalized_node_type, 1);
    tally_decref(meeting_a);
    check_int(tally_gc_collect(2), 0);
    atomic_store_explicit(&meeting, LOOKED_AGAIN, memory_order_release);
    check_int(tally_thread_join(&other), 0);
    check_int(freed(), 0);
    check_int(tally_refcount(meeting_a), 2);
    check_int(tally_refcount(meeting_x), 2);
    tally_decref(meeting_a);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 4);
    end();
}

/* What a collection has noted is not for others to see until it lives on. */
static int seen_by_query;
static void query_objects(tally_object *self) {
    tally_object *all = tally_gc_get_objects(-1), *referrers = tally_gc_get_referrers(self);
    for (ptrdiff_t i = 0; i < tally_list_length(all); i++) {
        tally_object *item = tally_list_get(all, i);
        seen_by_query += item == self;
        tally_decref(item);
    }
    seen_by_query += (int)tally_list_length(referrers);
    drop(all, referrers);
}

TEST(queries_do_not_give_garbage) {
    begin();
    seen_by_query = 0;
    atomic_store(&on_finalize, query_objects);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(seen_by_query, 0);
    check_int(freed(), 2);
    end();
}

TEST(many_threads_may_collect_at_once) {
    begin();
    run_threads(THREADS, make_and_collect, NULL, 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), THREADS * SUITE_LONG(200) * 8);
    check_int(finalized(), THREADS * SUITE_LONG(200) * 3);
    end();
}

/* ---- automatic collection ---------------------------------------------------- */

enum { CYCLES = SUITE_LONG(120000) };

static _Atomic int64_t nodes_made, most_alive;

static void make_cycles(void *argument) {
    (void)argument;
    for (int i = 0; i < CYCLES; i++) {
        drop_ring(node_type, 2);
        int64_t made = atomic_fetch_add_explicit(&nodes_made, 2, memory_order_relaxed) + 2,
                alive = made - freed();
        int64_t most = atomic_load_explicit(&most_alive, memory_order_relaxed);
        while (alive > most && !atomic_compare_exchange_weak_explicit(&most_alive, &most, alive,
                                                                      memory_order_relaxed,
                                                                      memory_order_relaxed)) {}
        tally_safepoint();
    }
}

/*
 * How much garbage there can be, whoever loses its core, and however slow the build is. With what
 * was alive at the start:
 *
 * Without a GIL (nogil/gc/collector.c) a collection is due when the births that were handed over
 * are more than limit = max(threshold, survivors / 4). Survivors are what was alive, and a ring or
 * less of each thread.
 *  - Since the last mark, a thread that makes cycles adds at most BATCH births to the limit, since
 * who hands over when a collection is due asks for it (or has a part in another's) before it makes
 * more. To that up to BATCH - 1 births of which nothing is known: they made up for deaths counted
 * at the end of a collection of its own. So with k threads that make cycles there are at most limit
 * + k (2 BATCH - 1).
 *  - Who collects frees what it found, and meanwhile makes none; the others go on. When the j-th of
 * those who are freeing at the same time took what it found, threads - j + 1 were making; one at
 * least makes now. So the sum over k = 1 ... threads, and no more.
 *
 * With a GIL (gil/gc/generations.c) a thread collects by itself, between two safepoints,
 * so nobody else runs until all is freed. There are
 *  - threshold + 1 births in the youngest generation, and the ring just being made;
 *  - rings of which a part had been made when generation 0 was collected, which are in generation 1
 * then: a ring for each of threshold + 1 collections;
 *  - the same of generation 1 in generation 2, for each of threshold + 1 collections; and until
 * they are a quarter of what survived the last full collection.
 */
static int64_t most_garbage(int threads) {
    enum { RING_NODES = 2, BIRTHS_BATCH = 64 };
    tally_object *all = tally_gc_get_objects(-1);
    int64_t limits[3], alive = tally_list_length(all) + 1 + RING_NODES * threads, sum = 0;
    int thresholds[3];
    tally_decref(all);
    tally_gc_get_threshold(thresholds);
    for (int i = 0; i < 3; i++) limits[i] = thresholds[i];
    if (has_gil()) {
        int64_t full = RING_NODES * (limits[2] + 1);
        return limits[0] + 1 + RING_NODES + RING_NODES * (limits[1] + 1) +
               (full > alive / 4 ? full : alive / 4) + RING_NODES;
    }
    int64_t limit = limits[0] > alive / 4 ? limits[0] : alive / 4;
    for (int k = 1; k <= threads; k++) sum += limit + k * (2 * BIRTHS_BATCH - 1);
    return sum;
}

static void stays_bounded(int threads) {
    begin();
    int64_t bound = most_garbage(threads);
    atomic_store(&nodes_made, 0);
    atomic_store(&most_alive, 0);
    tally_gc_enable();
    run_threads(threads, make_cycles, NULL, 0);
    tally_gc_disable();
    check_int(atomic_load(&nodes_made), (int64_t)threads * CYCLES * 2);
    printf("%d threads: %" PRId64 " nodes of garbage at most, of %" PRId64 " that there may be\n",
           threads, atomic_load(&most_alive), bound);
    check(atomic_load(&most_alive) <= bound);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), atomic_load(&nodes_made));
    end();
}

TEST(the_garbage_of_one_thread_stays_bounded) { stays_bounded(1); }
TEST(the_garbage_of_many_threads_stays_bounded) { stays_bounded(THREADS); }

static void count_collections(const tally_gc_info *info, void *context) {
    if (info->finished && info->automatic)
        atomic_fetch_add_explicit((_Atomic int *)context, 1, memory_order_relaxed);
}

TEST(goes_on_by_itself_after_its_counts_were_read) {
    begin();
    _Atomic int collections = 0;
    check_int(tally_gc_add_callback(count_collections, (void *)&collections), 0);
    tally_gc_enable();
    for (int i = 0; i < 20000; i++) {
        drop_ring(node_type, 2);
        int counts[3];
        tally_gc_get_count(counts);
    }
    tally_gc_disable();
    check(atomic_load(&collections) >= 20);
    check(freed() > 30000);
    check_int(tally_gc_remove_callback(count_collections, (void *)&collections), 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 40000);
    end();
}

typedef struct run_record {
    int count;
    size_t examined[64];
} run_record;

static void note_examined(const tally_gc_info *info, void *context) {
    run_record *record = context;
    if (info->finished && record->count < 64) record->examined[record->count++] = info->examined;
}

TEST(looks_at_as_much_in_every_run_over_the_same_heap) {
    enum { HEAP = SUITE_LONG(50000), RUNS = 50 };
    begin();
    tally_object *ring = ring_of(node_type, HEAP), *lists = tally_list_new(0);
    for (int i = 0; i < 1000; i++) append_new(lists, list_of(1, 10));
    check_int(tally_gc_collect(2), 0);
    run_record record = {0};
    check_int(tally_gc_add_callback(note_examined, &record), 0);
    for (int i = 0; i < RUNS; i++) check_int(tally_gc_collect(2), 0);
    check_int(tally_gc_remove_callback(note_examined, &record), 0);
    check_int(record.count, RUNS);
    for (int i = 0; i < RUNS; i++) {
        check(record.examined[i] == record.examined[0]);
        check(record.examined[i] >= HEAP + 1001);
    }
    drop(lists, ring);
    check_int(tally_gc_collect(2), HEAP);
    end();
}

/* ---- progress ------------------------------------------------------------------ */

static void block_again_and_again(void *argument) {
    _Atomic int *rounds = argument;
    for (int i = 0; i < 1000; i++) {
        tally_blocking_begin();
        tally_blocking_end();
        drop_ring(node_type, 2);
        atomic_fetch_add_explicit(rounds, 1, memory_order_release);
    }
}

/* That the test ends is what it shows: the loop goes on until the others are done. */
TEST(threads_that_come_back_go_on_while_another_collects_all_the_time) {
    begin();
    _Atomic int rounds = 0;
    tally_object *heap = ring_of(node_type, 10000);
    tally_thread threads[3];
    for (int i = 0; i < 3; i++)
        check_int(tally_thread_start(&threads[i], block_again_and_again, (void *)&rounds), 0);
    int64_t collections = 0;
    do {
        check(tally_gc_collect(2) >= 0);
        tally_safepoint();
        collections++;
    } while (atomic_load_explicit(&rounds, memory_order_acquire) < 3000);
    check(collections > 0);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_decref(heap);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 10000 + 6000);
    end();
}

/* ---- the end of the run time ------------------------------------------------------ */

TEST(finish_counts_and_frees_live_cycles_without_finalizers) {
    begin();
    end();
    drop_ring(node_type, 3);
    drop_ring(finalized_node_type, 4);
    tally_object *list = tally_list_new(0);
    tally_list_append(list, list);
    for (int i = 0; i < 1000; i++)
        append_new(list, text("a str that is long enough not to be shared by anybody"));
    check_int(tally_finish(), 3 + 4 + 1 + 1000);
    check_int(finalized(), 0);
    check_int(tally_init(NULL), 0);
}

static void make_and_keep(void *argument) {
    tally_object *dict = tally_dict_new(), *key = tally_int_new(100000);
    tally_dict_set(dict, key, dict);
    tally_decref(key);
    *(tally_object **)argument = ring_of(node_type, 10);
}

TEST(finish_frees_what_threads_that_have_exited_left) {
    begin();
    end();
    tally_object *kept[THREADS];
    run_threads(THREADS, make_and_keep, kept, sizeof kept[0]);
    check_int(tally_finish(), THREADS * 12); /* 10 nodes, a dict and its key */
    check_int(tally_init(NULL), 0);
}

static void never_called(tally_object *reference, void *context) {
    (void)reference;
    (void)context;
    check(!"a callback after the end");
}

TEST(finish_frees_live_weak_references_and_calls_none) {
    begin();
    tally_object *object = tally_instance_new(open_class), *cycle = ring_of(finalized_node_type, 2),
                 *list = tally_list_new(0);
    append_new(list, tally_weakref_new(object, never_called, NULL));
    append_new(list, tally_weakref_new(object, NULL, NULL));
    append_new(list, tally_weakref_new(cycle, never_called, NULL));
    append_new(list, tally_weakref_new(cycle, NULL, NULL));
    end();
    /* Alive: the instance and through it its class, the ring, the list and what it has. */
    check_int(tally_finish(), 2 + 2 + 1 + 4);
    check_int(finalized(), 0);
    check_int(tally_init(NULL), 0);
}
