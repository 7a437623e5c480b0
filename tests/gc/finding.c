/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* finding.c: what the cycle collector finds, and what it leaves: every kind of cycle, large graphs,
 * depth. */
#include "cycles.h"

/* ---- every kind of cycle ---- */

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

#define KIND(name, wrap)                                      \
    CYCLE_TEST(cycles_through_##name##_are_found_and_freed) { \
        is_collected(wrap, 1);                                \
        is_collected(wrap, 1);                                \
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

CYCLE_TEST(long_cycles_through_all_kinds_are_found) {
    is_collected(in_turn, 7);
    is_collected(in_turn, 1000);
    is_collected(in_turn, 50000);
}

CYCLE_TEST(containers_that_hold_themselves_are_found) {
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
}

CYCLE_TEST(what_a_cycle_alone_holds_is_found_with_it) {
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
}

TEST(a_ring_of_a_million_is_found_whole) {
    enum { LENGTH = SUITE_LONG(1000000) };
    begin_cycles();
    tally_object *ring = ring_of(node_type, LENGTH);
    check_int(tally_gc_collect(2), 0);
    check_int(ring_length(ring), LENGTH);
    tally_decref(ring);
    check_int(tally_gc_collect(2), LENGTH);
    check_int(freed(), LENGTH);
    end_cycles();
}

/* More references to one object than a byte counts, and than 64 can be taken off for: the numbers
 * around both, and many. */
static void are_found_with_any_number_of_references(bool young) {
    static const int counts[] = {1,   62,  63,  64,  65,  124, 125, 126, 127,  128,   129,
                                 189, 190, 191, 192, 193, 255, 256, 257, 1000, 100000};
    static wrap_function *const wraps[] = {in_list, in_slot, in_wide_tuple, in_large_node};
    begin_cycles();
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
            /* Without a GIL a container over 512 bytes is old from birth. */
            bool old = no_gil() && (wraps[w] == in_wide_tuple || wraps[w] == in_large_node);
            if (young && old && has_generations()) check_int(tally_gc_collect(1), 0);
            check_int(tally_gc_collect(young && !old ? 1 : 2), 2 + (counts[i] + 1) / 2);
        }
    end_cycles();
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
    begin_cycles();
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
    end_cycles();
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
    begin_cycles();
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
    end_cycles();
}

CYCLE_TEST(a_class_and_its_instances_may_be_a_cycle) {
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
}

CYCLE_TEST(a_class_that_holds_itself_is_found) {
    tally_object *class = class_named("Itself");
    tally_set_attr(class, field, class);
    tally_object *reference = tally_weakref_new(class, NULL, NULL);
    tally_decref(class);
    check_int(tally_gc_collect(2), 1);
    check(tally_weakref_get(reference) == tally_none);
    tally_decref(reference);
}

CYCLE_TEST(an_untracked_native_object_keeps_what_it_holds) {
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
}

CYCLE_TEST(what_is_alive_stays_as_it_was) {
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

#define DEPTH(name, wrap)                                      \
    CYCLE_TEST(a_million_nested_##name##_need_no_deep_stack) { \
        deep_job job = {wrap};                                 \
        run_with_a_small_stack(256, collect_a_deep_one, &job); \
    }

DEPTH(lists, in_list)
DEPTH(tuples, in_tuple)
DEPTH(dicts, in_dict)
DEPTH(instances, in_attribute)
DEPTH(slot_instances, in_slot)
DEPTH(native_objects, in_node)
