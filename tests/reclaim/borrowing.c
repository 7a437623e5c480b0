/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * borrowing.c: borrowed references mean the same on every backend. A borrowable object dies at once
 * but for its memory and contents; no other object waits. The interleavings are in
 * tests/interleavings, the use after the end in tests/misuse/invariants.c.
 */
#include "suite.h"

static uint64_t retired(void) { return stats_now().retired; }

/* All that waited for a grace period is freed; with a GIL nothing waits. */
static int all_is_reclaimed(void) {
    tally_stats_result stats = stats_now();
    return stats.retired == stats.reclaimed || has_gil();
}

static size_t blocks_in_use(void) {
    tally_memory_result memory;
    size_t blocks = 0;
    tally_memory_stats(&memory);
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) blocks += memory.classes[i].blocks;
    return blocks + memory.large_blocks;
}

static int64_t borrowed_int(tally_object *list, ptrdiff_t index) {
    tally_object *item = tally_borrowed_object(tally_list_borrow(list, index));
    return item ? tally_int_value(item) : INT64_MIN;
}

/* Other threads read by these; each borrows from all that it reaches. */
static tally_object *shared;
static void borrow_first(void *unused) {
    check(tally_borrowed_object(tally_list_borrow(shared, 0)) != NULL);
}
static void borrow_all(void *unused) {
    for (ptrdiff_t i = 0; i < tally_list_length(shared); i++)
        check(tally_borrowed_object(tally_list_borrow(shared, i)) != NULL);
}

TEST(reads_what_the_counted_forms_read) {
    tally_object *list = list_of(100000, 100009), *dict = tally_dict_new(),
                 *class_ = mortal_class(), *instance = tally_instance_new(class_);
    for (int i = 0; i < 10; i++) {
        set_new(dict, text("key"), tally_int_new(1));
        set_new(dict, tally_int_new(i), tally_int_new(200000 + i));
        check_int(borrowed_int(list, i), 100000 + i);
        check_int(borrowed_int(list, i - 10), 100000 + i);
        tally_object *key = tally_int_new(i), *real = tally_float_new(i);
        check_int(tally_int_value(tally_borrowed_object(tally_dict_borrow(dict, key))), 200000 + i);
        check_int(tally_int_value(tally_borrowed_object(tally_dict_borrow(dict, real))),
                  200000 + i); /* compared by foreign code */
        drop(key, real);
    }
    tally_object *value = tally_float_new(2.5);
    check_int(tally_slot_set(instance, 1, value), 0);
    check(tally_borrowed_object(tally_slot_borrow(instance, 1)) == value);
    check(tally_borrowed_object(tally_slot_borrow(instance, -1)) == value);
    tally_safepoint();
    check_int(tally_refcount(value), 2);

    check(tally_borrowed_object(tally_list_borrow(list, 10)) == NULL);
    check_error(TALLY_INDEX_ERROR);
    check(tally_borrowed_object(tally_list_borrow(list, -11)) == NULL);
    check_error(TALLY_INDEX_ERROR);
    check(tally_borrowed_object(tally_list_borrow(dict, 0)) == NULL);
    check_error(TALLY_TYPE_ERROR);
    check(tally_borrowed_object(tally_dict_borrow(dict, value)) == NULL);
    check_error(TALLY_NO_ERROR);
    check(tally_borrowed_object(tally_dict_borrow(dict, list)) == NULL);
    check_error(TALLY_TYPE_ERROR);
    check(tally_borrowed_object(tally_slot_borrow(instance, 0)) == NULL);
    check_error(TALLY_ATTRIBUTE_ERROR);
    check(tally_borrowed_object(tally_slot_borrow(instance, 2)) == NULL);
    check_error(TALLY_INDEX_ERROR);
    check(tally_borrowed_object(tally_slot_borrow(list, 0)) == NULL);
    check_error(TALLY_TYPE_ERROR);
    check(tally_retain((tally_borrowed){0}) == NULL);
    check_error(TALLY_NO_ERROR);
    drop(value, instance, class_, dict, list);
    check_int(deaths(), 1);
}

TEST(what_is_retained_is_counted) {
    tally_object *list = list_of(100000, 100000);
    tally_object *item = tally_retain(tally_list_borrow(list, 0));
    check_int(tally_list_clear(list), 0);
    tally_safepoint();
    check_int(tally_refcount(item), 1);
    check_int(take_int(item), 100000);
    tally_decref(list);
}

/* The thread that has just borrowed from the list clears it, which ends the borrow. */
TEST(a_list_is_cleared_that_was_borrowed_from) {
    tally_object *class_ = mortal_class(), *list = tally_list_new(0);
    append_new(list, tally_instance_new(class_));
    check(tally_borrowed_object(tally_list_borrow(list, 0)) != NULL);
    check_int(tally_list_clear(list), 0);
    check_int(tally_list_length(list), 0);
    tally_safepoint();
    check_int(deaths(), 1);
    /* The same of one that other threads have borrowed from. */
    append_new(list, tally_instance_new(class_));
    shared = list;
    run_threads(1, borrow_first, NULL, 0);
    check(tally_borrowed_object(tally_list_borrow(list, 0)) != NULL);
    check_int(tally_list_clear(list), 0);
    tally_safepoint();
    check_int(deaths(), 2);
    drop(list, class_);
}

/* A thread that borrows what it owns itself pays nothing. */
TEST(what_is_private_waits_for_nothing) {
    tally_object *list = list_of(100000, 100999);
    uint64_t before = retired();
    for (int i = 0; i < 1000; i++) check_int(borrowed_int(list, i), 100000 + i);
    check_int(tally_list_clear(list), 0);
    tally_decref(list);
    if (is_biased() || has_gil()) check(retired() - before < 10); /* not the thousand items */
}

static void append_to_shared(void *unused) {
    for (int i = 0; i < 1000; i++) append_new(shared, tally_int_new(100000 + i));
}
static void read_shared(void *unused) {
    for (int i = 0; i < 1000; i++) check_int(take_int(tally_list_get(shared, i)), 100000 + i);
}

/* Made by one thread, read by counts in another, merged, dropped here: nobody borrowed. */
TEST(what_moved_to_another_thread_and_merged_waits_for_nothing) {
    shared = tally_list_new(0);
    run_threads(1, append_to_shared, NULL, 0);
    run_threads(1, read_shared, NULL, 0);
    uint64_t before = retired();
    for (int i = 0; i < 1000; i++) check_int(take_int(tally_list_pop(shared, -1)), 100999 - i);
    check(retired() - before < 100); /* pools and arrays, not the thousand */
    tally_decref(shared);
}

/* What was borrowed by another thread waits, each piece once; the rest of the structure with it. */
TEST(a_borrowable_object_dies_at_once_and_its_memory_waits) {
    size_t before = blocks_in_use();
    tally_object *class_ = mortal_class();
    shared = tally_list_new(0);
    for (int i = 0; i < 100; i++) {
        tally_object *instance = tally_instance_new(class_), *inner = tally_instance_new(class_);
        check_int(tally_slot_set(instance, 0, inner), 0);
        append_new(shared, instance);
        tally_decref(inner);
    }
    run_threads(1, borrow_all, NULL, 0);
    uint64_t waits = retired();
    check_int(tally_list_clear(shared), 0);
    tally_safepoint();
    check_int(deaths(), 200);
    if (!has_gil()) check(retired() - waits >= 200);
    drop(shared, class_);
    settle_until(all_is_reclaimed());
    check(blocks_in_use() <= before + 100); /* what the run time keeps for itself */
}

enum { DEEP = 1000000 };

/* A list in a list in a list …: all of it dies in one call, and waits together. */
TEST(a_deep_structure_needs_one_grace_period) {
    int deep = SUITE_LONG(DEEP);
    tally_object *class_ = mortal_class(), *inner = tally_instance_new(class_);
    for (int i = 0; i < deep; i++) {
        tally_object *outer = tally_list_new(1);
        append_new(outer, inner);
        inner = outer;
    }
    shared = inner;
    run_threads(1, borrow_first, NULL, 0);
    uint64_t before = retired();
    tally_safepoint();
    tally_decref(shared);
    check_int(deaths(), 1); /* the innermost: no grace period lies between */
    if (!has_gil()) check((int64_t)(retired() - before) >= deep);
    settle_until(all_is_reclaimed());
    tally_decref(class_);
}

static tally_object *saved;
static void save(tally_object *self) {
    saved = self;
    tally_incref(self);
}
static _Atomic int called;
static void count_call(tally_object *reference, void *context) {
    check(tally_weakref_get(reference) == tally_none);
    atomic_fetch_add_explicit(&called, 1, memory_order_relaxed);
}

TEST(a_borrowable_object_can_be_resurrected_by_its_finalizer) {
    tally_object *class_ = class_finalized("Phoenix", save);
    tally_object *instance = tally_instance_new(class_), *name = text("name");
    check_int(tally_set_attr(instance, name, class_), 0);
    tally_object *weak = tally_weakref_new(instance, count_call, NULL);
    shared = tally_list_new(0);
    append_new(shared, instance);
    run_threads(1, borrow_first, NULL, 0);
    check_int(tally_list_clear(shared), 0);
    tally_safepoint();
    check(saved == instance);
    check_int(tally_refcount(saved), 1);
    check_int(tally_gc_is_tracked(saved), 1);
    check(tally_weakref_get(weak) == saved);
    tally_decref(saved);
    check_int(called, 0);
    tally_decref(saved);
    tally_safepoint();
    check_int(called, 1);
    drop(weak, shared, name, class_);
}

static _Atomic int collecting_deaths;
static void collect_dying(tally_object *self) {
    atomic_fetch_add_explicit(&collecting_deaths, 1, memory_order_relaxed);
    check(tally_gc_collect(2) >= 0);
}

/* What waits to be destroyed, while the finalizer of another collects, is dead, and no
 * garbage of that collection. */
TEST(a_finalizer_collects_while_other_borrowable_objects_wait_to_be_destroyed) {
    enum { COUNT = 20 };
    for (int kind = 0; kind < 2; kind++) {
        tally_object *class_ = class_finalized("Collecting", collect_dying);
        collecting_deaths = 0;
        shared = tally_list_new(0);
        for (int i = 0; i < COUNT; i++) append_new(shared, tally_instance_new(class_));
        run_threads(1, borrow_all, NULL, 0);
        tally_object *holder = NULL;
        if (kind == 1) { /* neither the parent nor its last child is borrowable */
            holder = tally_tuple_new((tally_object *[]){tally_list_get(shared, 0),
                                                        tally_list_get(shared, 1),
                                                        tally_instance_new(class_)},
                                     3);
            for (int i = 0; i < 3; i++) {
                tally_object *item = tally_tuple_get(holder, i);
                drop(item, item);
            }
        }
        check_int(tally_list_clear(shared), 0);
        tally_xdecref(holder);
        tally_safepoint();
        check_int(collecting_deaths, COUNT + kind);
        drop(shared, class_);
        check(tally_gc_collect(2) >= 0);
        check_int(collecting_deaths, COUNT + kind);
    }
    settle_until(all_is_reclaimed());
}

/* Every kind of object is borrowed, dies, and is freed: large ones, weak references, classes. */
TEST(every_kind_of_object_is_borrowed_and_dies) {
    tally_object *class_ = mortal_class(), *open = class_named("Open");
    static char long_text[3000];
    memset(long_text, 'x', sizeof long_text - 1);
    for (int round = 0; round < 3; round++) {
        tally_object *many[200];
        for (int i = 0; i < 200; i++) many[i] = tally_int_new(100000 + i);
        shared = tally_list_new(0);
        tally_object *instance = tally_instance_new(open), *name = text("attribute");
        check_int(tally_set_attr(instance, name, shared), 0);
        append_new(shared, tally_weakref_new(instance, NULL, NULL));
        append_new(shared, instance);
        append_new(shared, name);
        append_new(shared, tally_tuple_new(many, 200));
        append_new(shared, text(long_text));
        append_new(shared, tally_float_new(1.5));
        append_new(shared, tally_instance_new(class_));
        tally_object *dict = tally_dict_new();
        for (int i = 0; i < 200; i++) {
            check_int(tally_dict_set(dict, many[i], many[199 - i]), 0);
            tally_decref(many[i]);
        }
        append_new(shared, dict);
        append_new(shared, class_named("Passing"));
        run_threads(1, borrow_all, NULL, 0);
        if (round == 1) check_int(tally_list_clear(shared), 0);
        tally_decref(shared); /* else a cycle with the instance */
        tally_safepoint();
        tally_gc_collect(2);
        check_int(deaths(), round + 1);
        check_int(tally_weakref_count(class_), 0);
    }
    drop(class_, open);
}

/*
 * A borrowable weak reference dies before its referent, and its memory waits. When that
 * goes, the referent has other weak references, or has died, and its block may be another object's:
 * neither is touched.
 */
static int last_calls;
static void count_last_call(tally_object *reference, void *context) { last_calls++; }
TEST(a_borrowable_weak_reference_leaves_its_referent_once) {
    tally_object *open = class_named("Open");
    for (int fate = 0; fate < 4; fate++) {
        last_calls = 0;
        tally_object *referent = tally_instance_new(open);
        shared = tally_list_new(0);
        /* Fates 1 and 3: in the middle of the list of three. */
        tally_object *before = fate % 2 ? tally_weakref_new(referent, count_last_call, NULL) : NULL;
        append_new(shared, tally_weakref_new(referent, count_last_call, NULL));
        tally_object *after = fate % 2 ? tally_weakref_new(referent, count_last_call, NULL) : NULL;
        run_threads(1, borrow_first, NULL, 0);
        check_int(tally_list_clear(shared), 0);
        tally_safepoint(); /* dead: out of the list, in which it was */
        tally_object *later = tally_weakref_new(referent, count_last_call, NULL);
        check_int(tally_weakref_count(referent), fate % 2 ? 3 : 1);
        if (fate >= 2) tally_decref(referent);
        check(tally_gc_collect(2) >= 0); /* a stop is a grace period */
        settle_until(all_is_reclaimed());
        if (fate < 2) {
            check_int(tally_weakref_count(referent), fate % 2 ? 3 : 1);
            tally_object *got = tally_weakref_get(later);
            check(got == referent);
            drop(got, referent);
        }
        check_int(last_calls, fate % 2 ? 3 : 1);
        check(tally_weakref_get(later) == tally_none);
        tally_xdecref(before);
        tally_xdecref(after);
        drop(later, shared);
    }
    tally_decref(open);
}

/* ---- many threads ---- */

enum { CELLS = 8, READERS = 3 };
static _Atomic int done;

/* A cell has an instance with two ints that are the same. */
static void store_cells(void *unused) {
    for (int i = 0; i < SUITE_LONG(100000); i++) {
        tally_object *instance = tally_instance_new(saved), *number = tally_int_new(1000000 + i),
                     *same = tally_int_new(1000000 + i);
        check_int(tally_slot_set(instance, 0, number), 0);
        check_int(tally_slot_set(instance, 1, same), 0);
        drop(number, same);
        check_int(tally_list_set(shared, i % CELLS, instance), 0);
        tally_decref(instance);
        if (i % 16 == 0) tally_safepoint();
    }
    atomic_store_explicit(&done, 1, memory_order_release);
}

static void read_cells(void *unused) {
    for (int i = 0; !atomic_load_explicit(&done, memory_order_acquire); i++) {
        tally_borrowed cell = tally_list_borrow(shared, i % CELLS);
        tally_object *instance = tally_borrowed_object(cell);
        check(instance != NULL);
        if (i % 3 == 0) {
            tally_object *kept = tally_retain(cell);
            if (kept) {
                tally_object *a = tally_slot_get(kept, 0), *b = tally_slot_get(kept, 1);
                check(tally_int_value(a) == tally_int_value(b));
                drop(a, b, kept);
            }
        } else {
            tally_object *number = tally_borrowed_object(tally_slot_borrow(instance, i % 2));
            if (number)
                check(tally_int_value(number) >= 1000000);
            else
                check_error(TALLY_RUNTIME_ERROR); /* the instance is gone */
        }
        if (i % 8 == 0) tally_safepoint();
    }
}

TEST(readers_and_a_storer_of_cells) {
    saved = mortal_class();
    shared = tally_list_new(CELLS);
    for (int i = 0; i < CELLS; i++) {
        tally_object *instance = tally_instance_new(saved), *number = tally_int_new(1000000);
        check_int(tally_slot_set(instance, 0, number), 0);
        check_int(tally_slot_set(instance, 1, number), 0);
        tally_decref(number);
        append_new(shared, instance);
    }
    atomic_store_explicit(&done, 0, memory_order_relaxed);
    static tally_thread threads[READERS + 1];
    for (int i = 0; i <= READERS; i++)
        check_int(tally_thread_start(&threads[i], i ? read_cells : store_cells, NULL), 0);
    for (int i = 0; i <= READERS; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_decref(shared);
    tally_safepoint();
    check(wait_for(&suite_deaths, SUITE_LONG(100000) + CELLS));
    tally_decref(saved);
}

/* What a borrow by way of the lock keeps ends at a safepoint; so does its bit, on every backend. */
TEST(nothing_is_left_of_a_borrow_after_a_safepoint) {
    tally_object *dict = tally_dict_new(), *value = tally_list_new(0),
                 *keys[] = {text("key"), tally_int_new(5000), tally_float_new(2.5),
                            pair(tally_none, tally_true)};
    for (int i = 0; i < 4; i++) check_int(tally_dict_set(dict, keys[i], value), 0);
    for (int i = 0; i < 4; i++) {
        check(tally_borrowed_object(tally_dict_borrow(dict, keys[i])) == value);
        settle_until(!atomic_load(&tally_self.thread->breaker));
        check_int(atomic_load(&tally_self.thread->breaker), 0);
        check(tally_borrowed_object(tally_dict_borrow(dict, keys[i])) == value);
        tally_blocking_begin();
        tally_blocking_end();
        check_int(tally_refcount(value), 5);
        tally_decref(keys[i]);
    }
    drop(dict, value);
}
