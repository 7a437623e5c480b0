/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* references.c: reference counts are exact, from one thread and after many. */
#include "suite.h"

#include <sys/mman.h>

enum { THREADS = 8, ROUNDS = 100000 };

TEST(a_new_object_has_one) {
    tally_object *all[] = {tally_int_new(1000), tally_float_new(1.5), text("some text"),
                           tally_list_new(0),   tally_dict_new(),     pair(tally_none, tally_none)};
    for (int i = 0; i < 6; i++) {
        check_int(tally_refcount(all[i]), 1);
        check_int(tally_is_immortal(all[i]), 0);
        for (int k = 0; k < 1000; k++) tally_incref(all[i]);
        check_int(tally_refcount(all[i]), 1001);
        for (int k = 0; k < 1000; k++) tally_decref(all[i]);
        check_int(tally_refcount(all[i]), 1);
        tally_decref(all[i]);
    }
    tally_xincref(NULL);
    tally_xdecref(NULL);
}

static void count_up_and_down(void *argument) {
    tally_object *object = *(tally_object **)argument;
    for (int i = 0; i < ROUNDS; i++) {
        tally_incref(object);
        if (i % 3 == 0) {
            tally_incref(object);
            tally_decref(object);
        }
        tally_decref(object);
        if (i % 1000 == 0) tally_safepoint();
    }
}

TEST(are_exact_after_many_threads_counted) {
    tally_object *object = text("shared by all");
    run_threads(THREADS, count_up_and_down, &object, 0);
    tally_safepoint();
    check_int(tally_refcount(object), 1);
    tally_decref(object);
}

static void take_some(void *argument) {
    tally_object *object = *(tally_object **)argument;
    for (int i = 0; i < ROUNDS; i++) tally_incref(object);
}

static void drop_some(void *argument) {
    tally_object *object = *(tally_object **)argument;
    for (int i = 0; i < ROUNDS; i++) tally_decref(object);
}

TEST(taken_by_threads_outlive_them) {
    tally_object *object = text("shared by all");
    run_threads(THREADS, take_some, &object, 0);
    tally_safepoint();
    check_int(tally_refcount(object), 1 + THREADS * ROUNDS);
    run_threads(THREADS, drop_some, &object, 0);
    tally_safepoint();
    check_int(tally_refcount(object), 1);
    tally_decref(object);
}

TEST(taken_by_the_owner_may_be_dropped_by_others) {
    tally_object *class = mortal_class(), *object = tally_instance_new(class);
    for (int i = 0; i < THREADS * ROUNDS; i++) tally_incref(object);
    run_threads(THREADS, drop_some, &object, 0);
    tally_safepoint();
    check_int(deaths(), 0);
    check_int(tally_refcount(object), 1);
    tally_decref(object);
    check(wait_for(&suite_deaths, 1));
    tally_decref(class);
}

TEST(taken_by_others_may_be_dropped_by_the_owner) {
    tally_object *class = mortal_class(), *object = tally_instance_new(class);
    run_threads(THREADS, take_some, &object, 0);
    for (int i = 0; i < THREADS * ROUNDS; i++) tally_decref(object);
    check_int(deaths(), 0);
    tally_safepoint();
    check_int(tally_refcount(object), 1);
    tally_decref(object);
    check(wait_for(&suite_deaths, 1));
    tally_decref(class);
}

TEST(immortal_counts_never_change) {
    tally_object *all[] = {tally_none, tally_true, tally_int_new(7), text("x"), NULL};
    tally_object *long_text = text("to be interned");
    all[4] = tally_str_intern(long_text);
    tally_immortalize(all[4]);
    tally_decref(long_text);
    for (int i = 0; i < 5; i++) {
        run_threads(THREADS, count_up_and_down, &all[i], 0);
        run_threads(2, drop_some, &all[i], 0);
        run_threads(1, take_some, &all[i], 0);
        check(tally_refcount(all[i]) == PTRDIFF_MAX);
        check_int(tally_is_immortal(all[i]), 1);
    }
    check_repr(all[2], "7");
    check_text(text("x"), "x");
    check_text(all[4], "to be interned");
}

typedef struct last_drop {
    tally_object *objects[THREADS];
    pthread_barrier_t *barrier;
} last_drop;

static void drop_many(void *argument) {
    last_drop *work = argument;
    tally_blocking_begin();
    pthread_barrier_wait(work->barrier);
    tally_blocking_end();
    for (int i = 0; i < THREADS; i++) tally_decref(work->objects[i]);
}

TEST(of_which_many_threads_drop_the_last_free_once) {
    tally_object *class = mortal_class();
    pthread_barrier_t barrier;
    pthread_barrier_init(&barrier, NULL, THREADS);
    for (int round = 0; round < 100; round++) {
        last_drop work = {.barrier = &barrier};
        for (int i = 0; i < THREADS; i++) {
            work.objects[i] = tally_instance_new(class);
            for (int k = 1; k < THREADS; k++) tally_incref(work.objects[i]);
        }
        run_threads(THREADS, drop_many, &work, 0);
        check(wait_for(&suite_deaths, (round + 1) * THREADS));
    }
    pthread_barrier_destroy(&barrier);
    tally_decref(class);
}

/* ---- immortal objects are never written ---- */

enum { SMALL_FIRST = -5, SMALL_LAST = 256 };

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x > y ? 1 : -(x < y);
}

/* Small ints fill pages of their own: one that has nothing else. NULL: there is none. */
static char *page_of_small_ints(size_t page, tally_object **on_page, int *count) {
    uintptr_t all[SMALL_LAST - SMALL_FIRST + 1];
    int n = 0;
    for (int value = SMALL_FIRST; value <= SMALL_LAST; value++)
        all[n++] = (uintptr_t)tally_int_new(value); /* immortal: nothing to drop */
    qsort(all, (size_t)n, sizeof all[0], by_address);
    for (int i = 0, end; i < n; i = end) {
        for (end = i + 1; end < n && all[end] - all[end - 1] == all[1] - all[0]; end++) {}
        uintptr_t start = (all[i] + page - 1) / page * page, stop = start + page;
        if (all[end - 1] < stop) continue;
        *count = 0;
        for (int k = i; k < end; k++)
            if (all[k] >= start && all[k] + sizeof(tally_object) + sizeof(int64_t) <= stop)
                on_page[(*count)++] = (tally_object *)all[k];
        return (char *)start;
    }
    return NULL;
}

static tally_object *small_ints[SMALL_LAST - SMALL_FIRST + 1], *holders[3];
static int small_count;

static void use_small_ints(void *nothing) {
    for (int i = 0; i < small_count * 20; i++) {
        tally_object *number = small_ints[i % small_count], *items[] = {number, number};
        tally_incref(number);
        tally_decref(number);
        check_int(tally_list_set(holders[0], i % 4, number), 0);
        tally_xdecref(tally_list_get(holders[0], i % 4));
        check_int(tally_dict_set(holders[1], number, number), 0);
        tally_xdecref(tally_dict_get(holders[1], number));
        check_int(tally_slot_set(holders[2], 0, number), 0);
        tally_xdecref(tally_slot_get(holders[2], 0));
        tally_decref(tally_tuple_new(items, 2));
        if (i % 3 == 0 && tally_dict_delete(holders[1], number) != 0) check_error(TALLY_KEY_ERROR);
        tally_safepoint();
    }
}

/* A page of them is made read-only: a write ends the test by SIGSEGV. */
TEST(immortal_objects_are_never_written) {
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *start = page_of_small_ints(page, small_ints, &small_count);
    check(start != NULL);
    if (!start) return;
    tally_object *class = mortal_class();
    holders[0] = list_of(0, 3);
    holders[1] = tally_dict_new();
    holders[2] = tally_instance_new(class);
    check_int(mprotect(start, page, PROT_READ), 0);
    run_threads(THREADS, use_small_ints, NULL, 0);
    check(tally_gc_collect(2) >= 0);
    for (int i = 0; i < 3; i++) tally_decref(holders[i]);
    check(tally_gc_collect(2) >= 0);
    check_int(mprotect(start, page, PROT_READ | PROT_WRITE), 0);
    tally_decref(class);
}
