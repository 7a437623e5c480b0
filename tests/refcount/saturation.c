/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * saturation.c: an object with more references than its count has room for is
 * immortal from then on, whichever half of the count is full and whoever fills
 * it. The counts are set close to the border, since to count to it takes seconds.
 */
#include "suite.h"

enum { BEYOND = 100 };

static tally_object *object, *reference, *holder;
static _Atomic int step __attribute__((unused));

/* The references that the object has, less `room`, are as many as the count has room for. */
static void set_near_border(int room) {
#if TALLY_REFCOUNT_HAVE_OWNERS
    /* Of another thread than the owner: as if it had so many. */
    atomic_fetch_add(&object->refcount.shared, (uint32_t)((1 << 28) - room) * TALLY_SHARED_ONE);
#elif defined TALLY_REFCOUNT_LIMIT
    atomic_store(&object->refcount.count, (uint32_t)(TALLY_REFCOUNT_LIMIT - room));
#else
    object->refcount.count = UINT32_C(0x80000000) - (uint32_t)room;
#endif
}

static void take(void *unused) {
    for (int i = 0; i < BEYOND; i++) tally_incref(object);
}
static void drop_reference(void *unused) {
    for (int i = 0; i < BEYOND; i++) tally_decref(object);
}

static void begin(void) {
    tally_object *class_ = class_named("Counted");
    tally_immortalize(class_); /* as long as its instance */
    object = tally_instance_new(class_);
    reference = tally_weakref_new(object, NULL, NULL);
    holder = tally_list_new(0);
    check_int(tally_list_append(holder, object), 0);
}

static void is_alive(void) {
    check_is(tally_weakref_get(reference), object);
    check_is(tally_list_get(holder, 0), object);
}

static void is_immortal(void) {
    check_int(tally_is_immortal(object), 1);
    check_int(tally_refcount(object), PTRDIFF_MAX);
    is_alive();
    check(tally_gc_collect(2) >= 0);
    is_alive();
    tally_decref(tally_gc_get_referrers(object));
    check(tally_gc_collect(2) >= 0);
    is_alive();
}

/* Its references go, more than it ever had: nothing happens to it. */
static void end(void) {
    for (int i = 0; i < 10; i++) run_threads(1, drop_reference, NULL, 0);
    drop_reference(NULL);
    is_immortal();
    drop(reference, holder);
}

TEST(a_count_filled_by_another_thread_makes_immortal) {
    begin();
    run_threads(1, take, NULL, 0); /* shared by now */
    set_near_border(BEYOND / 2);
    run_threads(1, take, NULL, 0);
    is_immortal();
    end();
}

TEST(a_count_filled_by_reads_makes_immortal) {
    begin();
    set_near_border(BEYOND / 2);
    for (int i = 0; i < BEYOND; i++) check(tally_list_get(holder, 0) == object);
    run_threads(1, take, NULL, 0);
    is_immortal();
    end();
}

TEST(a_count_filled_by_several_threads_makes_immortal) {
    begin();
    run_threads(1, take, NULL, 0);
    set_near_border(2 * BEYOND);
    run_threads(4, take, NULL, 0);
    is_immortal();
    run_threads(4, drop_reference, NULL, 0);
    is_immortal();
    end();
}

static void drop_all_but_the_lists(void) {
    for (int64_t left = tally_refcount(object); left > 1; left--) tally_decref(object);
}

/* One below the border: counted as ever. */
TEST(a_count_that_was_nearly_full_goes_back) {
    begin();
    run_threads(1, take, NULL, 0);
    set_near_border(4 * BEYOND);
    run_threads(1, take, NULL, 0);
    check_int(tally_is_immortal(object), 0);
    is_alive();
#if TALLY_REFCOUNT_HAVE_OWNERS
    atomic_fetch_sub(&object->refcount.shared,
                     (uint32_t)((1 << 28) - 4 * BEYOND) * TALLY_SHARED_ONE);
#elif defined TALLY_REFCOUNT_LIMIT
    atomic_store(&object->refcount.count, 2 * BEYOND);
#else
    object->refcount.count = 2 * BEYOND;
#endif
    drop_all_but_the_lists();
    is_alive();
    tally_decref(holder);
    tally_object *got = tally_weakref_get(reference);
    check(got == tally_none);
    drop(got, reference);
}

#if !TALLY_REFCOUNT_HAVE_OWNERS && defined TALLY_REFCOUNT_LIMIT
/* A decref in two steps: it has seen a count that is not full, which others fill before it takes
 * one off. */
TEST(a_decref_that_crosses_the_border_back_leaves_it_immortal) {
    begin();
    set_near_border(0);
    for (int i = 0; i < 3; i++) /* others that skip it meanwhile */
        take(NULL);
    uint32_t before = atomic_fetch_sub(&object->refcount.count, 1);
    check(before >= (uint32_t)TALLY_REFCOUNT_LIMIT);
    tally_object_zero(object);
    is_immortal();
    end();
}
#endif

#if TALLY_REFCOUNT_HAVE_OWNERS

/* What the owner has counted does not fit into the shared half when it is merged. */
TEST(a_merge_of_a_large_local_half_makes_immortal) {
    begin();
    tally_owned_store(&object->refcount,
                      tally_owned_load(&object->refcount) + ((uint64_t)5 << 30) * TALLY_OWNED_ONE);
    check_int(tally_refcount(object), ((int64_t)5 << 30) + 2);
    drop_reference(NULL);
    run_threads(1, drop_reference, NULL, 0); /* the first queues it */
    settle_until(tally_is_immortal(object));
    is_immortal();
    end();
}

static void drop_many(void *unused) {
    atomic_store_explicit(&step, 1, memory_order_release);
    while (atomic_load_explicit(&step, memory_order_acquire) != 2) {} /* the owner runs */
    tally_decref(object);                                             /* queued */
    /* As if it had dropped so many. */
    atomic_fetch_sub(&object->refcount.shared,
                     (uint32_t)((1 << 28) - BEYOND / 2) * TALLY_SHARED_ONE);
    drop_reference(NULL);
    atomic_store_explicit(&step, 3, memory_order_release);
}

/* References that the owner has counted and another thread drops before the owner comes to merge.
 * With a GIL the owner is blocked while another thread runs, so nothing is queued. */
TEST_IF(no_gil, a_shared_half_that_is_full_from_below_makes_immortal) {
    begin();
    tally_thread other;
    atomic_store(&step, 0);
    tally_owned_store(&object->refcount,
                      tally_owned_load(&object->refcount) + ((uint64_t)1 << 28) * TALLY_OWNED_ONE);
    check_int(tally_thread_start(&other, drop_many, NULL), 0);
    check(wait_for(&step, 1));
    atomic_store_explicit(&step, 2, memory_order_release);
    while (atomic_load_explicit(&step, memory_order_acquire) != 3) {
    } /* runs, without a safepoint */
    tally_safepoint();
    is_immortal();
    check_int(tally_thread_join(&other), 0);
    end();
}

/* The shared half climbs on by increments that nobody looks at, to where its sign changes. */
TEST(a_full_shared_half_is_kept_in_its_range) {
    begin();
    run_threads(1, take, NULL, 0);
    atomic_fetch_add(&object->refcount.shared,
                     (uint32_t)((1 << 29) - BEYOND / 2 - BEYOND) * TALLY_SHARED_ONE);
    for (int i = 0; i < 5; i++) {
        run_threads(1, take, NULL, 0);
        check((int32_t)atomic_load(&object->refcount.shared) > 0);
    }
    is_immortal();
    end();
}

#    if !defined TALLY_PER_THREAD_REFCOUNTS || TALLY_PER_THREAD_REFCOUNTS
TEST_IF(no_gil, numbers_of_threads_have_room_for_more_than_32_bits) {
    tally_object *class_ = class_named("Spread");
    tally_object *instance = tally_instance_new(class_); /* the thread has a table now */
    _Atomic int64_t *number =
        &tally_self.thread->refcount.per_thread[tally_owned_load(&class_->refcount) >> 16].taken;
    for (int bits = 30; bits <= 34; bits += 2) {
        int64_t many = (int64_t)1 << bits, before = tally_refcount(class_);
        atomic_fetch_add(number, many);
        check_int(tally_refcount(class_), before + many);
        check(tally_gc_collect(2) >= 0);
        check_int(tally_refcount(class_), before + many);
        atomic_fetch_sub(number, many);
    }
    drop(instance, class_);
}
#    endif

#endif
