/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * waits.c: a program in which things wait, each for a thread that is known: waits FILE writes a
 * snapshot. waiting.py looks at it. Thread 2 runs without a safepoint until the world is to stop;
 * thread 3 is in a blocking region.
 */
#include <tally.h>

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { OBJECTS = 100, MANY = 20000 };
enum { BREAK_GIL = 2, BREAK_STOP = 4 }; /* of the breaker */

static tally_object *given[2], *shared;
static _Atomic int ready, left;

static void check(int good) {
    if (good) return;
    fprintf(stderr, "waits: %s\n", tally_error_message());
    exit(1);
}
static void rest(long milliseconds) {
    nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000}, NULL);
}
static void add_floats(tally_object *list, int count) {
    for (int i = 0; i < count; i++) {
        tally_object *item = tally_float_new(i + 0.5);
        check(item && tally_list_append(list, item) == 0);
        tally_decref(item);
    }
}
static tally_object *floats(int count) {
    tally_object *list = tally_list_new(0);
    add_floats(list, count);
    return list;
}
static void run_on(void *unused) {
    given[0] = floats(OBJECTS);
    add_floats(shared, 1); /* so its arrays may have other readers */
    ready++;
    while (!left)
        if (tally_self.thread->breaker & (BREAK_GIL | BREAK_STOP))
            tally_safepoint();
        else
            rest(1);
}
static void wait_blocked(void *unused) {
    given[1] = floats(OBJECTS);
    ready++;
    tally_blocking_begin();
    while (!left) rest(1);
    tally_blocking_end();
}

int main(int argc, char **argv) {
    tally_thread threads[2];
    if (argc != 2) return 2;
    check(tally_init(NULL) == 0);
    tally_gc_disable();
    shared = tally_list_new(0);
    tally_object *class_ = tally_class_new(&(tally_class_spec){.name = "Counted"});
    check(tally_thread_start(&threads[0], run_on, NULL) == 0);
    check(tally_thread_start(&threads[1], wait_blocked, NULL) == 0);
    tally_blocking_begin();
    while (ready < 2) rest(1);
    rest(5);
    tally_blocking_end();
    tally_decref(given[0]);   /* with owners: to the queue of thread 2 */
    tally_decref(given[1]);   /* its memory is thread 3's */
    add_floats(shared, MANY); /* outgrown arrays are retired */
    tally_safepoint();
    check(tally_heap_snapshot(argv[1], NULL) == 0);
    left = 1;
    for (int i = 0; i < 2; i++) check(tally_thread_join(&threads[i]) == 0);
    tally_decref(shared);
    tally_decref(class_);
    tally_gc_collect(2);
    return tally_finish() == 0 ? 0 : 1;
}
