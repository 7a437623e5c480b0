/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Collections: when they start, what they leave to others, in which order garbage dies, and what
 * they cost beside the marking. collector.c is about what they find.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>

#include "cycles.h"

static int64_t collections(void) {
    tally_gc_generation_stats stats[3];
    tally_gc_get_stats(stats);
    return (int64_t)(stats[0].collections + stats[1].collections + stats[2].collections);
}
static int64_t stops(void) { return (int64_t)stats_now().stops; }
static void make_lists(int count) {
    tally_object *list = tally_list_new(count);
    for (int i = 0; i < count; i++) append_new(list, tally_list_new(0));
    tally_decref(list);
}
/* The list is a new reference, which is dropped. */
static int holds(tally_object *list, tally_object *wanted) {
    int times = times_in(list, wanted);
    tally_decref(list);
    return times;
}

/* ---- callbacks of the interface ---- */

typedef struct seen {
    int before, after;
} seen;
static void count_calls(const tally_gc_info *info, void *context) {
    seen *s = context;
    if (info->finished)
        s->after++;
    else
        s->before++;
}
static seen first, second, third, late;

/* Before: it removes itself and its left neighbour, and adds one. After: it is gone. */
static void rearrange(const tally_gc_info *info, void *context) {
    if (info->finished) return;
    check_int(tally_gc_remove_callback(rearrange, context), 0);
    check_int(tally_gc_remove_callback(count_calls, &first), 0);
    check_int(tally_gc_add_callback(count_calls, &late), 0);
}

NODE_TEST(callbacks_that_change_their_list_hide_no_other) {
    first = second = third = late = (seen){0};
    check_int(tally_gc_add_callback(count_calls, &first), 0);
    check_int(tally_gc_add_callback(rearrange, NULL), 0);
    check_int(tally_gc_add_callback(count_calls, &second), 0);
    check_int(tally_gc_add_callback(count_calls, &third), 0);
    check_int(tally_gc_collect(2), 0);
    check_int(first.before, 1);
    check_int(first.after, 0);
    check_int(second.before, 1);
    check_int(second.after, 1);
    check_int(third.before, 1);
    check_int(third.after, 1);
    check_int(late.before, 0); /* it was not there when the calls began */
    check_int(late.after, 1);
    check_int(tally_gc_remove_callback(count_calls, &second), 0);
    check_int(tally_gc_remove_callback(count_calls, &third), 0);
    check_int(tally_gc_remove_callback(count_calls, &late), 0);
}

/* ---- older generations ---- */

NODE_TEST(by_hand_of_the_youngest_generation_starve_none) {
    tally_gc_enable();
    check_int(tally_gc_set_threshold((int[]){1000, 2, 2}), 0);
    int most = 0;
    for (int i = 0; i < 300; i++) {
        tally_object *ring = ring_of(node_type, 3);
        check(tally_gc_collect(0) >= 0);
        tally_decref(ring);
        int waiting = (i + 1) * 3 - freed();
        if (waiting > most) most = waiting;
    }
    /* A ring is in generation 1 when it dies, or in 2 if that was collected meanwhile. */
    check(most < 100);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 900);
}

NODE_TEST(of_older_generations_do_not_start_while_that_is_off) {
    check_int(tally_gc_set_threshold((int[]){1000, 1, 1}), 0);
    for (int off = 0; off < 2; off++) {
        for (int i = 0; i < 10; i++) check(tally_gc_collect(0) >= 0);
        int64_t before = collections();
        make_lists(100);
        check_int(collections(), before);
        check_int(tally_gc_set_threshold((int[]){0, 1, 1}), 0);
        tally_gc_enable(); /* the second time: on, but the threshold says never */
    }
}

/* ---- collections that wait ---- */

enum { WAITING = 5 };
static tally_object *waiting_class, *saved_by[WAITING];
static _Atomic int waits, go_on[WAITING];

/* The slot `number` says which it is. The odd ones come back. */
static void wait_in_finalizer(tally_object *self) {
    int number = (int)take_int(tally_slot_get(self, 1));
    atomic_fetch_add(&waits, 1);
    check(wait_for(&go_on[number], 1));
    if (number % 2) {
        tally_incref(self);
        saved_by[number] = self;
    }
}
static void collect_and_wait(void *context) {
    int number = (int)(intptr_t)context;
    tally_object *object = tally_instance_new(waiting_class), *id = tally_int_new(number);
    tally_slot_set(object, 0, object);
    tally_slot_set(object, 1, id);
    drop(id, object);
    check_int(tally_gc_collect(2), number % 2 ? 0 : 1);
}

NODE_TEST(that_wait_in_finalizers_keep_no_thread_from_its_own) {
    static const char *const slots[] = {"self", "number", NULL};
    waiting_class = tally_class_new(
        &(tally_class_spec){.name = "Waits", .slots = slots, .finalize = wait_in_finalizer});
    atomic_store(&waits, 0);
    tally_thread threads[WAITING];
    tally_object *kept = ring_of(node_type, 10);
    for (int i = 0; i < WAITING; i++) {
        atomic_store(&go_on[i], 0);
        saved_by[i] = NULL;
        check_int(tally_thread_start(&threads[i], collect_and_wait, (void *)(intptr_t)i), 0);
        check(wait_for(&waits, i + 1)); /* one after the other: each while the others wait */
    }
    drop_ring(node_type, 7);
    check_int(tally_gc_collect(2), 7);
    check_int(freed(), 7);
    tally_gc_enable();
    int64_t before = collections();
    for (int i = 0; i < 1000; i++) drop_ring(node_type, 5);
    check(collections() > before);
    check(freed() > 2000);
    tally_gc_disable();
    /* Their second looks come in another order than they began, with full collections in between.
     */
    static const int order[WAITING] = {3, 0, 4, 1, 2};
    for (int i = 0; i < WAITING; i++) {
        atomic_store(&go_on[order[i]], 1);
        check_int(tally_thread_join(&threads[order[i]]), 0);
        check(tally_gc_collect(2) >= 0);
        check_int(ring_length(kept), 10);
    }
    for (int i = 0; i < WAITING; i++) {
        check((saved_by[i] != NULL) == i % 2);
        if (!saved_by[i]) continue;
        check_int(tally_refcount(saved_by[i]), 2);
        tally_slot_set(saved_by[i], 0, NULL);
        tally_decref(saved_by[i]);
    }
    tally_decref(kept);
    check_int(tally_gc_collect(2), 10);
    check_int(freed(), 7 + 5000 + 10);
    tally_decref(waiting_class);
}

/* ---- frozen objects ---- */

NODE_TEST(frozen_objects_are_ignored_by_collections_alone) {
    tally_object *ring = ring_of(node_type, 2), *other = node_of(ring)->child[0];
    tally_gc_freeze();
    check_int(tally_gc_is_tracked(ring), 1);
    check_int(holds(tally_gc_get_objects(-1), ring), 1);
    check_int(holds(tally_gc_get_referrers(other), ring), 1);
    for (int generation = 0; generation < 3; generation++)
        check_int(holds(tally_gc_get_objects(generation), ring), 0);
    int counts[3];
    tally_gc_get_count(counts);
    for (int i = 0; i < 3; i++) check_int(counts[i], 0); /* all that was counted is frozen */
    tally_decref(ring);
    check_int(tally_gc_collect(2), 0);
    tally_gc_unfreeze();
    check_int(holds(tally_gc_get_objects(2), ring), 1);
    check_int(tally_gc_collect(2), 2);
    check_int(freed(), 2);
}

static ptrdiff_t frozen_in_finalizer;
static tally_object *saved_node;
static void freeze_and_save(tally_object *self) {
    if (node_of(self)->id != 0) return;
    tally_gc_freeze();
    frozen_in_finalizer = tally_gc_freeze_count();
    tally_incref(self);
    saved_node = self;
}

NODE_TEST(garbage_that_is_found_already_is_not_frozen) {
    tally_object *list = tally_list_new(0);
    atomic_store(&on_finalize, freeze_and_save);
    drop_ring(finalized_node_type, 4);
    check_int(tally_gc_collect(2), 0);
    check(frozen_in_finalizer > 0);
    check_int(tally_gc_freeze_count(), frozen_in_finalizer);
    check_int(holds(tally_gc_get_objects(2), saved_node),
              1); /* it lives on, and can be found and collected */
    tally_decref(saved_node);
    check_int(tally_gc_collect(2), 4);
    tally_gc_unfreeze();
    check_int(freed(), 4);
    tally_decref(list);
}

/* ---- under a mutex ---- */

static tally_mutex mutex = TALLY_MUTEX_INITIALIZER, another = TALLY_MUTEX_INITIALIZER;
static tally_condition condition = TALLY_CONDITION_INITIALIZER;

static void lock_in_finalizer(tally_object *self) {
    tally_mutex_lock(&mutex);
    tally_mutex_unlock(&mutex);
}
static void make_due(void) {
    tally_gc_disable();
    for (int i = 0; i < 1000; i++) drop_ring(finalized_node_type, 1);
    tally_gc_enable();
}

NODE_TEST(are_put_off_while_a_mutex_is_held) {
    atomic_store(&on_finalize, lock_in_finalizer);
    make_due();
    int64_t before = collections();
    tally_mutex_lock(&another);
    tally_mutex_lock(&mutex);
    make_lists(5000);
    tally_mutex_unlock(&another);
    make_lists(5000);
    check_int(collections(), before);
    check_int(finalized(), 0);
    tally_mutex_unlock(&mutex);
    tally_object *list = tally_list_new(0); /* the first one starts it */
    check_int(collections(), before + 1);
    check_int(finalized(), 1000);
    tally_decref(list);
    /* Asked for, it comes, and the finalizers that want no mutex run. */
    atomic_store(&on_finalize, NULL);
    tally_gc_disable();
    drop_ring(finalized_node_type, 3);
    tally_mutex_lock(&mutex);
    check_int(tally_gc_collect(2), 3);
    tally_mutex_unlock(&mutex);
}

static _Atomic int signalled;
static void signal_it(void *nothing) {
    tally_mutex_lock(&mutex);
    atomic_store(&signalled, 1);
    tally_condition_signal(&condition);
    tally_mutex_unlock(&mutex);
}

NODE_TEST(are_put_off_after_a_condition_was_waited_for) {
    atomic_store(&on_finalize, lock_in_finalizer);
    atomic_store(&signalled, 0);
    tally_thread thread;
    tally_mutex_lock(&mutex);
    check_int(tally_thread_start(&thread, signal_it, NULL), 0);
    while (!atomic_load(&signalled)) tally_condition_wait(&condition, &mutex);
    make_due();
    int64_t before = collections();
    make_lists(3000);
    check_int(collections(), before);
    tally_mutex_unlock(&mutex);
    make_lists(1);
    check_int(collections(), before + 1);
    check_int(tally_thread_join(&thread), 0);
    tally_gc_disable();
}

static _Atomic int other_made;
static void make_elsewhere(void *nothing) {
    make_lists(2000);
    atomic_store(&other_made, 1);
}

NODE_TEST(are_put_off_in_the_holder_of_a_mutex_alone) {
    make_due();
    int64_t before = collections();
    tally_mutex_lock(&mutex);
    make_lists(2000);
    check_int(collections(), before);
    in_thread(make_elsewhere, NULL);
    check(collections() > before);
    check_int(finalized(), 1000);
    tally_mutex_unlock(&mutex);
    tally_gc_disable();
}

/* With a GIL a class dies by its count. */
NODE_TEST_IF(no_gil, sweeps_of_classes_are_put_off_with_them) {
    atomic_store(&on_finalize, lock_in_finalizer);
    tally_object *held = text("held");
    tally_mutex_lock(&mutex);
    for (int i = 0; i < 300; i++) {
        tally_object *class_ = class_named("Short"), *object = node_new(finalized_node_type);
        tally_set_attr(class_, held, object);
        drop(object, class_);
    }
    check_int(finalized(), 0);
    tally_mutex_unlock(&mutex);
    tally_object *class_ = class_named("Short");
    check_int(finalized(), 300);
    drop(class_, held);
    check(tally_gc_collect(2) >= 0);
}

/* ---- in which order garbage dies ---- */

enum { STEPS = 16 };
static struct {
    char what;
    int64_t id;
} step[STEPS];
static _Atomic int steps;
static void note_step(char what, int64_t id) {
    int i = atomic_fetch_add(&steps, 1);
    if (i < STEPS) {
        step[i].what = what;
        step[i].id = id;
    }
}
static tally_object *reference_to[4];
static void note_finalizer(tally_object *self) {
    note_step('f', node_of(self)->id);
    /* It gives every sibling, itself too. */
    for (int i = 0; i < 4 && reference_to[i]; i++) {
        tally_object *got = tally_weakref_get(reference_to[i]);
        check(got != tally_none);
        check(node_of(got)->child[0] != NULL);
        tally_decref(got);
    }
}
static void note_callback(tally_object *reference, void *context) {
    note_step('c', *(int64_t *)context);
    for (int i = 0; i < 4 && reference_to[i]; i++) {
        check_is(tally_weakref_get(reference_to[i]), tally_none);
    }
}

NODE_TEST(all_finalizers_come_before_weak_references_and_those_before_callbacks) {
    static int64_t ids[4] = {0, 1, 2, 3};
    atomic_store(&steps, 0);
    atomic_store(&on_finalize, note_finalizer);
    tally_object *ring = ring_of(finalized_node_type, 4), *at = ring, *called[4];
    for (int i = 0; i < 4; i++, at = node_of(at)->child[0]) {
        reference_to[i] = tally_weakref_new(at, NULL, NULL);
        called[i] = tally_weakref_new(at, note_callback, &ids[i]);
    }
    tally_decref(ring);
    check_int(tally_gc_collect(2), 4);
    check_int(atomic_load(&steps), 8);
    int64_t sum[2] = {0, 0};
    for (int i = 0; i < 8; i++) {
        check_int(step[i].what, i < 4 ? 'f' : 'c');
        sum[i / 4] += INT64_C(1) << step[i].id;
    }
    check_int(sum[0], 15);
    check_int(sum[1], 15);
    for (int i = 0; i < 4; i++) {
        drop(reference_to[i], called[i]);
        reference_to[i] = NULL;
    }
}

static int called_back;
static void count_callback(tally_object *reference, void *context) { called_back++; }
static void save(tally_object *self) {
    tally_incref(self);
    saved_node = self;
}
static void save_child(tally_object *self) { save(node_of(self)->child[1]); }

/* Of two rings that hang together, one comes back by its finalizer: its references stay, those of
 * the other go. */
TEST(weak_references_to_what_comes_back_stay_and_others_go) {
    for (int by_count = 0; by_count < 2; by_count++) {
        begin_nodes();
        called_back = 0;
        atomic_store(&on_finalize, by_count ? save_child : save_child);
        /* The ring holds a node, which holds itself unless by_count; the ring's finalizer saves the
         * node. */
        tally_object *ring =
                         by_count ? node_new(finalized_node_type) : ring_of(finalized_node_type, 1),
                     *node = node_new(node_type);
        node_set(ring, 1, node);
        tally_object *plain_ring = tally_weakref_new(ring, NULL, NULL),
                     *called_ring = tally_weakref_new(ring, count_callback, NULL);
        tally_object *plain_node = tally_weakref_new(node, NULL, NULL),
                     *called_node = tally_weakref_new(node, count_callback, NULL);
        drop(node, ring);
        check_int(tally_gc_collect(2), !by_count);
        check_int(finalized(), 1);
        check_int(freed(), 1);
        check_int(called_back, 1);
        check_is(tally_weakref_get(plain_ring), tally_none);
        check_is(tally_weakref_get(plain_node), saved_node);
        check_int(tally_weakref_count(saved_node), 2);
        tally_decref(saved_node);
        check_int(called_back, 2);
        check_int(freed(), 2);
        tally_decref(plain_ring), tally_decref(called_ring), tally_decref(plain_node),
            tally_decref(called_node);
    }
}

/* What a weak reference gives in a finalizer is a reference like any: it lives on. */
static void save_through_reference(tally_object *self) {
    saved_node = tally_weakref_get(reference_to[0]);
}

NODE_TEST(a_weak_reference_may_bring_back_what_a_finalizer_asks_it_for) {
    called_back = 0;
    atomic_store(&on_finalize, save_through_reference);
    tally_object *a = ring_of(finalized_node_type, 1), *b = ring_of(node_type, 5);
    node_set(a, 1, b);
    reference_to[0] = tally_weakref_new(b, count_callback, NULL);
    drop(a, b);
    check_int(tally_gc_collect(2), 1);
    check(saved_node == b);
    check_int(ring_length(saved_node), 5);
    check_int(called_back, 0);
    tally_decref(saved_node);
    check_int(tally_gc_collect(2), 5);
    check_int(called_back, 1);
    tally_decref(reference_to[0]);
    reference_to[0] = NULL;
}

/* The context has the address of an object that dies with the referent: it is there still. */
static void save_context(tally_object *reference, void *context) { save(context); }

TEST(a_callback_may_bring_back_what_its_context_knows) {
    for (int with_finalizers = 0; with_finalizers < 2; with_finalizers++) {
        begin_nodes();
        tally_object *ring = ring_of(with_finalizers ? finalized_node_type : node_type, 6),
                     *inner = ring_of(node_type, 3);
        node_set(ring, 1, inner);
        tally_object *reference = tally_weakref_new(ring, save_context, inner);
        drop(inner, ring);
        check_int(tally_gc_collect(2), 6);
        check_int(freed(), 6);
        check(saved_node == inner);
        check_int(ring_length(saved_node), 3);
        tally_decref(saved_node);
        check_int(tally_gc_collect(2), 3);
        tally_decref(reference);
    }
}

/* A weak reference that its own collection has found, but brings back, is called for what another
 * collection frees. */
static tally_object *holder_of_reference;
static _Atomic int holder_found, referent_gone;
static void hold_until_gone(tally_object *self) {
    if (self != holder_of_reference) return;
    atomic_store(&holder_found, 1);
    check(wait_for(&referent_gone, 1));
    save(self);
}
static void collect_the_holder(void *nothing) { check_int(tally_gc_collect(2), 0); }

NODE_TEST(a_reference_among_the_garbage_of_another_collection_is_called) {
    called_back = 0;
    atomic_store(&holder_found, 0);
    atomic_store(&referent_gone, 0);
    atomic_store(&on_finalize, hold_until_gone);
    tally_object *referent = ring_of(finalized_node_type, 2);
    tally_object *reference = tally_weakref_new(referent, count_callback, NULL);
    holder_of_reference = ring_of(finalized_node_type, 1);
    node_set(holder_of_reference, 1, reference);
    drop(reference, holder_of_reference);
    tally_thread other;
    check_int(tally_thread_start(&other, collect_the_holder, NULL), 0);
    check(wait_for(&holder_found, 1));
    tally_decref(referent);
    check_int(tally_gc_collect(2), 2);
    check_int(called_back, 1);
    atomic_store(&referent_gone, 1);
    check_int(tally_thread_join(&other), 0);
    check_int(called_back, 1);
    tally_decref(saved_node);
    check_int(tally_gc_collect(2), 2);
}

/* A reference that is garbage but comes back is called, one that stays garbage is not. */
static void save_holder(tally_object *self) {
    if (node_of(self)->id == 7) save(self);
}

NODE_TEST(references_that_come_back_are_called_for_what_does_not) {
    called_back = 0;
    atomic_store(&on_finalize, save_holder);
    tally_object *dying = ring_of(finalized_node_type, 1), *alive = ring_of(finalized_node_type, 1),
                 *garbage = ring_of(finalized_node_type, 1);
    node_of(alive)->id = 7;
    tally_object *reference = tally_weakref_new(dying, count_callback, NULL);
    node_set(alive, 1, reference);
    tally_decref(reference);
    reference = tally_weakref_new(dying, count_callback, NULL);
    node_set(garbage, 1, reference);
    tally_decref(reference);
    tally_decref(dying), tally_decref(alive), tally_decref(garbage);
    check_int(tally_gc_collect(2), 3); /* two nodes and a reference */
    check_int(called_back, 1);
    check(saved_node == alive);
    node_clear(saved_node);
    tally_decref(saved_node);
}

/* ---- garbage of few objects and many bytes ---- */

enum { MIB = 1 << 20 };
static tally_object *big_new(int kind) {
    tally_object *list = tally_list_new(0), *other;
    switch (kind) {
    case 0: /* an array */
        for (int i = 0; i < MIB / 8; i++) tally_list_append(list, tally_none);
        break;
    case 1: { /* a str that it holds */
        char *data = malloc(MIB);
        memset(data, 'a', MIB);
        append_new(list, tally_str_new(data, MIB));
        free(data);
        break;
    }
    case 2: /* a table */
        other = tally_dict_new();
        for (int i = 0; i < MIB / 64; i++) set_new(other, tally_int_new(i), tally_int_new(1));
        append_new(list, other);
        break;
    default: /* a native object */ append_new(list, tally_object_new(node_type, MIB)); break;
    }
    check_int(tally_list_append(list, list), 0);
    return list;
}
static size_t large_bytes(void) {
    tally_memory_result result;
    tally_memory_stats(&result);
    return result.large_bytes;
}

TEST(start_when_the_bytes_are_many_and_the_objects_few) {
    for (int kind = 0; kind < 4; kind++) {
        begin_nodes();
        tally_gc_enable();
        size_t most = 0;
        for (int i = 0; i < 200; i++) {
            tally_decref(big_new(kind));
            tally_safepoint();
            size_t bytes = large_bytes();
            if (bytes > most) most = bytes;
        }
        check(most > 7 * MIB); /* else the test shows nothing */
        check(most < 30 * MIB);
        tally_gc_disable();
        check(tally_gc_collect(2) >= 0);
    }
}

NODE_TEST(by_bytes_do_not_start_while_that_is_off) {
    int64_t before = collections();
    for (int i = 0; i < 100; i++) tally_decref(big_new(3));
    check_int(collections(), before);
    tally_gc_enable();
    tally_decref(big_new(3));
    check(collections() > before);
    settle_until(large_bytes() < 20 * MIB);
    check(large_bytes() < 20 * MIB);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
}

/* While a heap only grows, they come less and less often; one array that grows starts none by its
 * copies. */
NODE_TEST(by_bytes_are_few_while_a_heap_grows) {
    tally_gc_enable();
    int64_t before = collections();
    tally_object *live = tally_list_new(0);
    for (int i = 0; i < 300; i++) append_new(live, tally_object_new(node_type, MIB));
    check(collections() - before <= 12);
    tally_decref(live);
    check(tally_gc_collect(2) >= 0);
    before = collections();
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < 5 * MIB; i++) {
        tally_list_append(list, tally_none);
        if (i % 4096 == 0) tally_decref(tally_list_new(0));
        tally_safepoint();
    }
    check(collections() - before <= 5); /* the array ends with 40 MiB */
    tally_decref(list);
    tally_gc_disable();
}

/* ---- what a look costs ---- */

NODE_TEST(asking_for_the_counts_stops_nobody) {
    tally_object *rings[10];
    for (int i = 0; i < 10; i++) rings[i] = ring_of(node_type, 5);
    int64_t before = stops();
    int counts[3];
    for (int i = 0; i < 100; i++) {
        tally_gc_get_count(counts);
        check_int(counts[0], 50);
    }
    check_int(stops(), before);
    for (int i = 0; i < 10; i++) tally_decref(rings[i]);
    check_int(tally_gc_collect(2), 50);
}

NODE_TEST(many_dead_classes_go_in_a_few_stops) {
    enum { CLASSES = 3000 };
    for (int with_attributes = 0; with_attributes < 2; with_attributes++) {
        tally_object *classes = tally_list_new(CLASSES), *name = text("next"), *before_it = NULL;
        for (int i = 0; i < CLASSES; i++) {
            tally_object *class_ = class_named("Short");
            if (with_attributes && before_it)
                check_int(tally_set_attr(class_, name, before_it), 0); /* a chain of classes */
            tally_list_append(classes, class_);
            before_it = class_;
            tally_decref(class_);
        }
        int64_t before = stops();
        tally_decref(classes);
        check(tally_gc_collect(2) >= 0);
        check(stops() - before <= 8);
        tally_decref(name);
    }
}

NODE_TEST(a_census_tells_thousands_of_types_apart) {
    enum { CLASSES = 3000 };
    static tally_object *classes[CLASSES], *objects[CLASSES];
    for (int i = 0; i < CLASSES; i++) {
        char name[32];
        snprintf(name, sizeof name, "class number %d", i);
        classes[i] = class_named(name);
        objects[i] = tally_list_new(0);
        for (int j = 0; j <= i % 3; j++) append_new(objects[i], tally_instance_new(classes[i]));
    }
    tally_census_row *rows;
    size_t count, found = 0;
    check_int(tally_heap_census(&rows, &count), 0);
    for (size_t i = 0; i < count; i++) {
        int number;
        if (sscanf(rows[i].type, "class number %d", &number) != 1) continue;
        found++;
        check(number >= 0 && number < CLASSES);
        check_int(rows[i].objects, number % 3 + 1);
    }
    check_int(found, CLASSES);
    free(rows);
    for (int i = 0; i < CLASSES; i++) {
        drop(objects[i], classes[i]);
    }
    check(tally_gc_collect(2) >= 0);
}

static void use_them(void *list) {
    tally_object *objects = *(tally_object **)list;
    for (int round = 0; round < 20; round++)
        for (ptrdiff_t i = 0; i < tally_list_length(objects); i++) {
            tally_decref(tally_list_get(objects, i));
            tally_safepoint();
        }
}

static int defers_counts(void) { return backend_is("biased"); }
NODE_TEST_IF(defers_counts, counts_of_private_objects_are_deferred_without_stops) {
    enum { OBJECTS = 1000 };
    for (int round = 0; round < 2; round++) { /* the second time the places are used again */
        tally_object *objects = tally_list_new(OBJECTS);
        int64_t before = stops();
        for (int i = 0; i < OBJECTS; i++) {
            tally_object *object = node_new(node_type);
            check_int(tally_defer_count(object), 1);
            append_new(objects, object);
        }
        check_int(stops(), before);
        for (int i = 0; i < OBJECTS; i += 97) {
            tally_object *object = tally_list_get(objects, i);
            check_int(tally_refcount(object), 2);
            check_int(tally_defer_count(object), 1); /* it is done already */
            tally_decref(object);
        }
        run_threads(4, use_them, &objects, 0);
        for (int i = 0; i < OBJECTS; i += 89) {
            tally_object *object = tally_list_get(objects, i);
            check_int(tally_refcount(object), 2);
            tally_decref(object);
        }
        check_int(freed(), round * OBJECTS);
        before = stops();
        tally_decref(objects);
        check(tally_gc_collect(2) >= 0);
        check_int(freed(), (round + 1) * OBJECTS);
        check(stops() - before <= 4);
    }
}

/* ---- helpers ---- */

static _Atomic int stop_spinning;
static unsigned most_helpers;
static void spin(void *nothing) {
    while (!atomic_load(&stop_spinning)) tally_safepoint();
}
static void note_helpers(const tally_gc_info *info, void *context) {
    if (info->finished && info->helpers > most_helpers) most_helpers = info->helpers;
}

/* All its threads: the runner may have one of its own. */
static void bind_process(const cpu_set_t *mask) {
    DIR *threads = opendir("/proc/self/task");
    check(threads);
    for (struct dirent *entry; threads && (entry = readdir(threads));) {
        int thread = atoi(entry->d_name); /* 0: "." and ".." */
        /* One that is not the test's may just have ended. */
        if (thread > 0) check(sched_setaffinity(thread, sizeof *mask, mask) == 0 || errno == ESRCH);
    }
    if (threads) closedir(threads);
}

TEST(of_a_process_bound_to_one_processor_ask_for_no_help) {
    cpu_set_t all, one;
    check_int(sched_getaffinity(0, sizeof all, &all), 0);
    CPU_ZERO(&one);
    for (int i = 0; i < CPU_SETSIZE && !CPU_COUNT(&one); i++)
        if (CPU_ISSET(i, &all)) CPU_SET(i, &one);
    bind_process(&one);
    usleep(1100000); /* the look at the processors may be a second old */
    begin_nodes();
    atomic_store(&stop_spinning, 0);
    most_helpers = 0;
    tally_object *live = tally_list_new(0);
    for (int i = 0; i < 60000; i++) append_new(live, tally_list_new(0));
    check_int(tally_gc_add_callback(note_helpers, NULL), 0);
    tally_thread threads[2];
    for (int i = 0; i < 2; i++) check_int(tally_thread_start(&threads[i], spin, NULL), 0);
    for (int i = 0; i < 4; i++) check(tally_gc_collect(2) >= 0);
    atomic_store(&stop_spinning, 1);
    for (int i = 0; i < 2; i++) check_int(tally_thread_join(&threads[i]), 0);
    check_int(tally_gc_remove_callback(note_helpers, NULL), 0);
    check_int(most_helpers, 0);
    tally_decref(live);
    bind_process(&all);
}

/* ---- a small stack ---- */

/* Natives whose clear drops the next, with finalizers, and callbacks that each drop an object. */
static void drop_one(tally_object *reference, void *context) { tally_decref(context); }
static void collect_a_ring(void *nothing) {
    enum { LENGTH = 100000 };
    tally_object *references = tally_list_new(LENGTH), *ring = ring_of(finalized_node_type, LENGTH),
                 *at = ring;
    for (int i = 0; i < LENGTH; i++, at = node_of(at)->child[0])
        append_new(references, tally_weakref_new(at, drop_one, tally_list_new(0)));
    tally_decref(ring);
    check_int(tally_gc_collect(2), LENGTH);
    check_int(freed(), LENGTH);
    tally_decref(references);
}

NODE_TEST(need_no_deep_stack_with_finalizers_and_callbacks) {
    run_with_a_small_stack(256, collect_a_ring, NULL);
}
