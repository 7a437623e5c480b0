/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_profile.c: what a heap profile leaves alone, how it fails, and what threads do meanwhile.
 * What is in the file is looked at by tests/heap/sites.py, with a reader of its own.
 */
#include "cycles.h"
#include "instrument/failpoint.h"
#include "scratch_file.h"

#include <sys/wait.h>

/* How many bytes the file has. */
static off_t written(void) {
    make_path();
    check_int(tally_heap_profile_write(path), 0);
    off_t size = size_of(path);
    unlink(path);
    return size;
}
static size_t blocks_in_use(void) {
    static tally_memory_result memory;
    size_t blocks = 0;
    tally_memory_stats(&memory);
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) blocks += memory.classes[i].blocks;
    return blocks + memory.large_blocks;
}
static void make_and_drop(int count) {
    for (int i = 0; i < count; i++) drop(list_of(1000, 1003));
}

/* ---- calls -------------------------------------------------------------------------- */

TEST(nothing_is_recorded_before_the_start_and_after_the_stop) {
    make_and_drop(100);
    check_int(tally_heap_profile_start(1), 0);
    off_t nothing = written();
    make_and_drop(100);
    check(written() > nothing);
    check_int(tally_heap_profile_stop(), 0);
    make_and_drop(100);
    check_int(tally_heap_profile_start(1), 0);
    off_t again = written(); /* its times may take a byte more */
    check(again - nothing < 4 && nothing - again < 4);
    check_int(tally_heap_profile_stop(), 0);
}

TEST(wrong_calls_are_refused) {
    check_fails(tally_heap_profile_write("/tmp/never"), TALLY_RUNTIME_ERROR);
    check_fails(tally_heap_profile_stop(), TALLY_RUNTIME_ERROR);
    check_fails(tally_heap_profile_start(-1), TALLY_VALUE_ERROR);
    check_int(tally_heap_profile_start(0), 0);
    check_fails(tally_heap_profile_start(1), TALLY_RUNTIME_ERROR);
    check_fails(tally_heap_profile_write(NULL), TALLY_VALUE_ERROR);
    check_fails(tally_heap_profile_write("/nonexistent/profile"), TALLY_RUNTIME_ERROR);
    check_fails(tally_heap_profile_write("/dev/full"), TALLY_RUNTIME_ERROR);
    check_int(tally_heap_profile_stop(), 0);
    check_fails(tally_heap_profile_write("/tmp/never"), TALLY_RUNTIME_ERROR);
}

TEST(tally_finish_ends_it) {
    check_int(tally_heap_profile_start(1), 0);
    make_and_drop(100);
    check_int(tally_finish(), 0);
    check_int(tally_init(NULL), 0);
    check_fails(tally_heap_profile_stop(), TALLY_RUNTIME_ERROR);
    check_int(tally_heap_profile_start(1), 0);
    make_and_drop(100);
}

/* ---- objects ------------------------------------------------------------------------- */

TEST(sampled_objects_are_objects_as_any) {
    check_int(tally_heap_profile_start(1), 0);
    tally_object *list = list_of(1000, 1099), *dict = tally_dict_new(), *large;
    size_t before = blocks_in_use();
    for (int i = 0; i < 100; i++) set_new(dict, tally_int_new(1000 + i), text("some text"));
    large = tally_list_new(1000);
    for (int i = 0; i < 1000; i++) check_int(tally_list_append(large, list), 0);
    check(blocks_in_use() > before + 200);
    tally_heap_result result;
    make_path();
    check_int(tally_heap_snapshot(path, &result), 0);
    check(result.objects >= 300);
    unlink(path);
    check_int(take_int(tally_list_get(list, 42)), 1042);
    drop(list, dict, large);
    settle_until(blocks_in_use() < before);
    check(blocks_in_use() < before);
    check_int(tally_heap_profile_stop(), 0);
}

TEST(a_collection_frees_sampled_cycles) {
    tally_object *class_ = mortal_class();
    check_int(tally_heap_profile_start(1), 0);
    for (int i = 0; i < 1000; i++) {
        tally_object *instance = tally_instance_new(class_);
        check_int(tally_slot_set(instance, 0, instance), 0);
        drop(instance);
    }
    tally_gc_collect(2);
    check_int(deaths(), 1000);
    drop(class_);
    check_int(tally_heap_profile_stop(), 0);
}

TEST(sampled_objects_outlive_the_profile_and_another) {
    tally_object *unsampled = list_of(1000, 1499);
    check_int(tally_heap_profile_start(1), 0);
    tally_object *first = list_of(1000, 1499), *large = tally_list_new(1000);
    check_int(tally_heap_profile_stop(), 0);
    tally_object *between = list_of(1000, 1499);
    check_int(tally_heap_profile_start(2), 0);
    tally_object *second = list_of(1000, 1499);
    drop(first, between);
    check(written() > 0);
    check_int(tally_heap_profile_stop(), 0);
    drop(second, unsampled, large);
}

/* ---- without memory -------------------------------------------------------------------- */

TEST(start_fails_without_memory_and_changes_nothing) {
    for (int nth = 1;; nth++) {
        tally_failpoint_failure(nth, 0);
        int result = tally_heap_profile_start(1);
        if (!tally_failpoint_failed()) {
            check_int(result, 0);
            check(nth > 2);
            break;
        }
        check_int(result, -1);
        check_error(TALLY_MEMORY_ERROR);
        check_fails(tally_heap_profile_stop(), TALLY_RUNTIME_ERROR);
    }
    check_int(tally_heap_profile_stop(), 0);
}

TEST(write_fails_without_memory_and_leaves_the_older_file) {
    check_int(tally_heap_profile_start(1), 0);
    make_and_drop(10);
    make_path();
    check_int(tally_heap_profile_write(path), 0);
    off_t size = size_of(path);
    char temporary[80];
    snprintf(temporary, sizeof temporary, "%s.tmp", path);
    for (int nth = 1;; nth++) {
        tally_failpoint_failure(nth, 0);
        int result = tally_heap_profile_write(path);
        if (!tally_failpoint_failed()) {
            check_int(result, 0);
            check(nth > 10);
            break;
        }
        check_fails(result, TALLY_MEMORY_ERROR);
        check_int(size_of(path), size);
        check_int(access(temporary, F_OK), -1);
    }
    unlink(path);
    check_int(tally_heap_profile_stop(), 0);
}

/* Each allocation may fail: of the object itself, then of its sample, which is lost. */
TEST(an_object_is_made_where_its_sample_has_no_memory) {
    check_int(tally_heap_profile_start(1), 0);
    int failed = 0, made = 0;
    for (int nth = 1; nth < 20; nth++) {
        size_t before = blocks_in_use();
        tally_failpoint_failure(nth, 0);
        tally_object *str = tally_str_new("a text that is in a block of its own", -1);
        bool reached = tally_failpoint_failed();
        failed += !str;
        made += str && reached;
        if (!str) check_error(TALLY_MEMORY_ERROR);
        check_int(blocks_in_use(), before + (str != NULL));
        if (!str) continue;
        drop(str);
        if (!reached) break;
    }
    check(failed > 0 && made > 0);
    check(written() > 0);
    check_int(tally_heap_profile_stop(), 0);
}

/* ---- fork -------------------------------------------------------------------------------- */

TEST(the_profile_goes_on_in_a_child) {
    check_int(tally_heap_profile_start(1), 0);
    tally_object *list = list_of(1000, 1099);
    off_t before = written();
    pid_t child = fork();
    if (child == 0) {
        tally_object *more = list_of(1000, 1099);
        bool good = written() >= before;
        drop(more, list);
        good = good && written() > 0 && tally_heap_profile_stop() == 0;
        _exit(good ? 0 : 1);
    }
    int status = 1;
    check(waitpid(child, &status, 0) == child && status == 0);
    drop(list);
    check(written() > 0);
    check_int(tally_heap_profile_stop(), 0);
}

/* ---- threads ------------------------------------------------------------------------------- */

enum { THREADS = 3, PLACES = 64 };
static tally_object *shared;
static _Atomic int ended;

/* Makes objects small and large, hands them to the others, and drops theirs. */
static void exchange(void *argument) {
    unsigned number = (unsigned)*(int *)argument;
    static char letters[2000];
    while (!ended) {
        number = number * 1664525u + 1013904223u;
        tally_object *item = number >> 24 < 16 ? tally_str_new(letters, sizeof letters)
                             : number >> 31    ? list_of(1000, 1005)
                                               : tally_int_new(1000 + (int)(number >> 20));
        check_int(tally_list_set(shared, number >> 8 & (PLACES - 1), item), 0);
        append_new(shared, tally_int_new(number));
        tally_xdecref(tally_list_pop(shared, -1));
        drop(item);
        tally_safepoint();
    }
}
static void exchange_a_while(void *argument) {
    for (int i = 0; i < 200; i++) {
        tally_object *item = list_of(1000, 1010);
        check_int(tally_list_set(shared, i & (PLACES - 1), item), 0);
        drop(item);
        tally_safepoint();
    }
}

TEST(starts_and_stops_while_threads_run_come_and_go) {
    int numbers[THREADS] = {1, 2, 3};
    tally_thread threads[THREADS];
    shared = tally_list_new(PLACES);
    for (int i = 0; i < PLACES; i++) check_int(tally_list_append(shared, tally_none), 0);
    ended = 0;
    for (int i = 0; i < THREADS; i++)
        check_int(tally_thread_start(&threads[i], exchange, &numbers[i]), 0);
    for (int i = 0; i < SUITE_LONG(60); i++) {
        check_int(tally_heap_profile_start(i % 3 ? 1 : 200), 0);
        in_thread(exchange_a_while, NULL);
        check(written() > 0);
        if (i % 4 == 0) tally_gc_collect(2);
        rest();
        check_int(tally_heap_profile_stop(), 0);
        in_thread(exchange_a_while, NULL);
    }
    ended = 1;
    for (int i = 0; i < THREADS; i++) check_int(tally_thread_join(&threads[i]), 0);
    drop(shared);
    tally_gc_collect(2);
}
