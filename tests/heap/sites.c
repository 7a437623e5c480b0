/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sites.c: a program whose allocation sites are known: sites FILE BYTES writes a heap profile, and
 * prints a line per site: the function, the type, the objects that it makes, how many of these are
 * in use at the end, and how many another thread freed. sites.py compares.
 */
#include <tally.h>

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SITE __attribute__((noinline)) static

enum { OWN = 100000, SOME = 20000, FEW = 2000 };
static tally_object *objects[3][SOME], *kept;
static char letters[3000];

static void check(int good) {
    if (good) return;
    fprintf(stderr, "sites: %s\n", tally_error_message());
    exit(1);
}
static void tell(const char *site, const char *type, int made, int in_use, int by_others) {
    printf("%s %s %d %d %d\n", site, type, made, in_use, by_others);
}
static void drop(tally_object **from, int count) {
    for (int i = 0; i < count; i++) tally_decref(from[i]);
}

/* ---- by one thread ---------------------------------------------------------------- */

SITE void keeps_to_itself(void) {
    for (int i = 0; i < OWN; i++) {
        tally_object *number = tally_float_new(i + 0.5);
        check(number != NULL);
        tally_decref(number);
    }
    tell(__func__, "float", OWN, 0, 0);
}

SITE void leaks(void) {
    for (int i = 0; i < SOME; i++) {
        tally_object *str = tally_str_new(letters, 100);
        check(str && tally_list_append(kept, str) == 0);
        tally_decref(str);
    }
    tell(__func__, "str", SOME, SOME, 0);
}

SITE void leaks_large(void) {
    for (int i = 0; i < FEW; i++) {
        tally_object *str = tally_str_new(letters, sizeof letters);
        check(str && tally_list_append(kept, str) == 0);
        tally_decref(str);
        str = tally_str_new(letters, sizeof letters);
        check(str != NULL);
        tally_decref(str);
    }
    tell(__func__, "str", 2 * FEW, FEW, 0);
}

SITE void leaks_interned(void) {
    for (int i = 0; i < FEW; i++) {
        char name[32];
        tally_object *str = tally_str_new(name, snprintf(name, sizeof name, "a name %d", i)),
                     *interned = str ? tally_str_intern(str) : NULL;
        check(interned && tally_list_append(kept, interned) == 0);
        tally_decref(str);
        tally_decref(interned);
    }
    tell(__func__, "str", 2 * FEW, FEW, 0);
}

SITE void makes_instances(tally_object *class_) {
    for (int i = 0; i < SOME; i++) {
        tally_object *instance = tally_instance_new(class_);
        check(instance != NULL);
        tally_decref(instance);
    }
    tell(__func__, "Node", SOME, 0, 0);
}

SITE void makes_cycles(void) {
    for (int i = 0; i < SOME; i++) {
        tally_object *list = tally_list_new(0);
        check(list && tally_list_append(list, list) == 0);
        tally_decref(list);
    }
    tell(__func__, "list", SOME, 0, 0);
    tell(__func__, "(contents)", SOME, 0, 0);
}

/* ---- by two ------------------------------------------------------------------------ */

static _Atomic int step;
static void wait_for(int wanted) {
    while (atomic_load(&step) != wanted) {
        tally_blocking_begin();
        usleep(100);
        tally_blocking_end();
    }
}

/* The maker runs, and merges at its safepoints what the other thread drops. */
SITE void makes_for_others(void *unused) {
    for (int i = 0; i < SOME; i++) check((objects[0][i] = tally_str_new(letters, 40)) != NULL);
    atomic_store(&step, 1);
    while (atomic_load(&step) == 1) tally_safepoint();
}
/* The maker is blocked. */
SITE void makes_and_blocks(void *unused) {
    for (int i = 0; i < SOME; i++) check((objects[1][i] = tally_str_new(letters, 70)) != NULL);
    atomic_store(&step, 3);
    wait_for(4);
}
/* The maker is gone. */
SITE void makes_and_exits(void *unused) {
    for (int i = 0; i < SOME; i++) check((objects[2][i] = tally_int_new(100000 + i)) != NULL);
}
/* Another thread, in the slot of the one before. */
static void drops_half(void *unused) { drop(objects[2], SOME / 2); }

static void run(tally_thread *thread, void (*function)(void *)) {
    check(tally_thread_start(thread, function, NULL) == 0);
}

static void by_two(void) {
    tally_thread thread;
    run(&thread, makes_for_others);
    wait_for(1);
    drop(objects[0], SOME);
    atomic_store(&step, 2);
    check(tally_thread_join(&thread) == 0);
    tell("makes_for_others", "str", SOME, 0, SOME);
    run(&thread, makes_and_blocks);
    wait_for(3);
    drop(objects[1], SOME);
    atomic_store(&step, 4);
    check(tally_thread_join(&thread) == 0);
    tell("makes_and_blocks", "str", SOME, 0, SOME);
    run(&thread, makes_and_exits);
    check(tally_thread_join(&thread) == 0);
    run(&thread, drops_half);
    check(tally_thread_join(&thread) == 0);
    drop(objects[2] + SOME / 2, SOME / 2 - FEW);
    tell("makes_and_exits", "int", SOME, FEW, SOME - FEW);
}

int main(int argc, char **argv) {
    if (argc != 3) return 2;
    memset(letters, 'x', sizeof letters);
    check(tally_init(NULL) == 0);
    kept = tally_list_new(0);
    tally_object *class_ = tally_class_new(&(tally_class_spec){.name = "Node"});
    tally_object *before = tally_str_new(letters, 200); /* no sample */
    check(tally_heap_profile_start(atol(argv[2])) == 0);
    keeps_to_itself();
    leaks();
    leaks_large();
    leaks_interned();
    makes_instances(class_);
    tally_decref(class_);
    makes_cycles();
    tally_gc_collect(2);
    tally_gc_collect(2); /* frees what the first has retired, before there are other threads */
    by_two();
    tally_decref(before);
    tally_gc_collect(2); /* what waits for a grace period is freed */
    check(tally_heap_profile_write(argv[1]) == 0);
    check(tally_heap_profile_stop() == 0);
    drop(objects[2] + SOME - FEW, FEW);
    tally_decref(kept);
    return tally_finish() == 0 ? 0 : 1;
}
