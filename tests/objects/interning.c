/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * interning.c: the life of interned strs. They go with their last reference, so a
 * look-up may meet a str that is dying; each such meeting is forced at a point of
 * core/instrument/failpoint.h.
 */
#include "instrument/failpoint.h"
#include "suite.h"

#include <inttypes.h>

static tally_object *intern(const char *data) {
    tally_object *str = text(data), *interned = tally_str_intern(str);
    tally_decref(str);
    return interned;
}

/* Strs in the heap that are not immortal. */
static size_t strs(void) {
    tally_census_row *rows;
    size_t count, found = 0;
    check_int(tally_heap_census(&rows, &count), 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, "str") == 0) found += rows[i].objects;
    free(rows);
    return found;
}

TEST(a_str_goes_with_its_last_reference) {
    size_t before = strs();
    for (int i = 0; i < 100; i++) {
        char data[700];
        snprintf(data, sizeof data, "%*d", i % 2 ? 20 : 650,
                 i); /* in a pool, and in a block of its own */
        tally_object *a = intern(data), *b = intern(data);
        check(a == b);
        check_int(tally_refcount(a), 2);
        tally_decref(a);
        check(intern(data) == b);
        drop(b, b);
    }
    settle_until(strs() == before);
    check_int((int64_t)strs(), (int64_t)before);
}

TEST(many_strs_come_and_go) {
    enum { MANY = 5000 };
    static tally_object *held[MANY];
    size_t before = strs();
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < MANY; i++) {
            char data[32];
            snprintf(data, sizeof data, "many words %d", i);
            held[i] = intern(data);
            tally_object *again = tally_str_intern(held[i]);
            check(again == held[i]);
            tally_decref(again);
            tally_safepoint();
        }
        /* every other one goes; the rest is found, whatever the table has become */
        for (int i = 0; i < MANY; i += 2) tally_decref(held[i]);
        for (int i = 1; i < MANY; i += 2) {
            char data[32];
            snprintf(data, sizeof data, "many words %d", i);
            tally_object *again = intern(data);
            check(again == held[i]);
            drop(again, held[i]);
            tally_safepoint();
        }
    }
    settle_until(strs() == before);
    check_int((int64_t)strs(), (int64_t)before);
}

TEST(an_immortal_one_stays) {
    tally_object *name = intern("the name of a constant");
    tally_immortalize(name);
    check_int(tally_is_immortal(name), 1);
    for (int i = 0; i < 5; i++) tally_decref(name);
    check(intern("the name of a constant") == name);
    tally_object *short_one = intern("x"), *empty = intern("");
    check_int(tally_is_immortal(short_one), 1);
    check_int(tally_is_immortal(empty), 1);
}

/* Attributes and slots hold the names that they were set by. */
TEST(names_in_use_stay) {
    static const char *const slots[] = {"a slot of a class", NULL};
    tally_object *slim = tally_class_new(&(tally_class_spec){.name = "Slim", .slots = slots});
    tally_object *open = class_named("Open");
    tally_object *a = tally_instance_new(slim), *b = tally_instance_new(open);
    tally_object *slot = intern("a slot of a class"), *name = intern("an attribute of it"),
                 *number = tally_int_new(77777);
    check_int(tally_set_attr(a, slot, number), 0);
    check_int(tally_set_attr(b, name, number), 0);
    tally_object *again = intern("an attribute of it");
    check(again == name);
    drop(again, name, slot, number);
    for (int i = 0; i < 10; i++) tally_safepoint();
    name = text("an attribute of it");
    slot = text("a slot of a class");
    check_int(take_int(tally_get_attr(a, slot)), 77777);
    check_int(take_int(tally_get_attr(b, name)), 77777);
    drop(slot, name, a, b, slim, open);
    tally_gc_collect(2);
}

/* ---- meetings ---- */

static tally_object *met, *old;

static void intern_it(void *nothing) { met = intern("met"); }
static void drop_it(void *nothing) { tally_decref(old); }

/* Only without a GIL: with one no other thread comes between. */

/* The str dies; before its thread removes it from the table, another interns the same contents. */
static void replace_dying(void) {
    tally_failpoint_role(1);
    old = intern("met");
    tally_failpoint_call(1, "intern_dies", intern_it, NULL);
    tally_decref(old);
    check(tally_failpoint_await(1, "intern_dies"));
    check_int(tally_failpoint_reset(), 0);
}

TEST_IF(no_gil, a_dying_str_is_replaced_and_takes_nothing_out) {
    replace_dying();
    check(met != NULL);
    check_int(tally_refcount(met), 1);
    check_text(met, "met"); /* takes the reference */
    tally_object *next = intern("met"), *same = intern("met");
    check(next == same);
    drop(next, same);
}

TEST_IF(no_gil, the_one_that_replaced_a_dying_str_is_found) {
    replace_dying();
    tally_object *same = intern("met");
    check(same == met);
    check_int(tally_refcount(met), 2);
    drop(same, met);
}

TEST_IF(no_gil, a_str_found_dying_is_made_anew) {
    tally_failpoint_role(1);
    old = intern("met");
    tally_failpoint_call(1, "intern_found", drop_it, NULL);
    met = intern("met");
    check(tally_failpoint_await(1, "intern_found"));
    check_int(tally_failpoint_reset(), 0);
    check_int(tally_refcount(met), 1);
    tally_object *same = intern("met");
    check(same == met);
    tally_decref(same);
    check_text(met, "met");
}

TEST_IF(no_gil, two_that_miss_it_make_one) {
    tally_failpoint_role(1);
    tally_failpoint_call(1, "intern_missing", intern_it, NULL);
    tally_object *same = intern("met");
    check(tally_failpoint_await(1, "intern_missing"));
    check_int(tally_failpoint_reset(), 0);
    check(same == met);
    check_int(tally_refcount(met), 2);
    drop(same, met);
}

/* ---- many threads ---- */

enum { THREADS = 4, WORDS = 8 };
static _Atomic uintptr_t
    holders[WORDS]; /* the str, while a thread has announced that it holds it */

static void come_and_go(void *number) {
    unsigned seed = 1 + *(unsigned *)number;
    for (int i = 0; i < SUITE_LONG(20000); i++) {
        seed = seed * 1103515245 + 12345;
        unsigned word = seed >> 16 & (WORDS - 1);
        char data[32];
        snprintf(data, sizeof data, "a word of all %u", word);
        tally_object *one = intern(data), *two = intern(data);
        check(one == two);
        check(strcmp(tally_str_data(one), data) == 0);
        tally_decref(two);
        uintptr_t nobody = 0;
        bool announced = atomic_compare_exchange_strong(&holders[word], &nobody, (uintptr_t)one);
        check(announced || nobody == (uintptr_t)one); /* both hold theirs now */
        if (announced) atomic_store(&holders[word], 0);
        tally_decref(one);
        if (i % 16 == 0) tally_safepoint();
    }
}

TEST(all_holders_have_the_same_str) {
    unsigned numbers[THREADS];
    size_t before = strs();
    for (unsigned i = 0; i < THREADS; i++) numbers[i] = i;
    run_threads(THREADS, come_and_go, numbers, sizeof *numbers);
    settle_until(strs() == before);
    check_int((int64_t)strs(), (int64_t)before);
}

/* Made by a thread that has gone, dropped by others. */
static tally_object *made[WORDS];
static void make_words(void *nothing) {
    for (int i = 0; i < WORDS; i++) {
        char data[32];
        snprintf(data, sizeof data, "a word that is left %d", i);
        made[i] = intern(data);
    }
}
static void drop_words(void *nothing) {
    for (int i = 0; i < WORDS; i++) {
        tally_object *same = tally_str_intern(made[i]);
        check(same == made[i]);
        drop(same, made[i]);
    }
}

TEST(strs_outlive_the_thread_that_interned_them) {
    size_t before = strs();
    run_threads(1, make_words, NULL, 0);
    run_threads(1, drop_words, NULL, 0);
    settle_until(strs() == before);
    check_int((int64_t)strs(), (int64_t)before);
}
