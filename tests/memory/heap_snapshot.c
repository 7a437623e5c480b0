/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_snapshot.c: what a heap snapshot counts, what it leaves alone, and how it fails. What is in
 * the file is looked at by tests/heap, with a reader of its own.
 */
#include "cycles.h"
#include "scratch_file.h"

#include <fcntl.h>

static tally_heap_result taken(void) {
    tally_heap_result result = {0};
    check_int(tally_heap_snapshot(path, &result), 0);
    return result;
}

TEST(counts_the_objects_and_references_that_were_added) {
    make_path();
    tally_heap_result before = taken();
    tally_object *list = list_of(1000, 1099);
    tally_heap_result after = taken();
    check_int(after.objects - before.objects, 101);
    check_int(after.references - before.references, 100);
    check(after.bytes > before.bytes && after.pause > 0);
    drop(list);
    tally_heap_result end = taken();
    check_int(end.objects, before.objects);
    check_int(end.bytes, before.bytes);
    unlink(path);
}

TEST(changes_no_refcount_and_no_object) {
    make_path();
    tally_object *list = list_of(1000, 1009), *item = tally_list_get(list, 3);
    ptrdiff_t references = tally_refcount(item);
    taken();
    taken();
    check_int(tally_refcount(item), references);
    check_int(tally_refcount(list), 1);
    check_repr(list, "[1000, 1001, 1002, 1003, 1004, 1005, 1006, 1007, 1008, 1009]");
    drop(item, list);
    unlink(path);
}

TEST(takes_twenty_bytes_per_small_object_or_less) {
    make_path();
    tally_object *list = list_of(1000, 100999);
    tally_heap_result result = taken();
    check(size_of(path) < (off_t)result.objects * 20);
    drop(list);
    unlink(path);
}

TEST(leaves_the_older_file_if_it_fails) {
    make_path();
    taken();
    off_t size = size_of(path);
    check_fails(tally_heap_snapshot("/nonexistent/heap", NULL), TALLY_RUNTIME_ERROR);
    check_fails(tally_heap_snapshot(NULL, NULL), TALLY_VALUE_ERROR);
    check_fails(tally_heap_snapshot_file(NULL, NULL), TALLY_VALUE_ERROR);
    check_int(size_of(path), size);
    FILE *full = fopen("/dev/full", "w");
    check(full != NULL);
    check_fails(tally_heap_snapshot_file(full, NULL), TALLY_RUNTIME_ERROR);
    fclose(full);
    unlink(path);
}

TEST(appends_to_a_file_of_the_caller) {
    make_path();
    FILE *file = fopen(path, "w");
    fputs("first", file);
    check_int(tally_heap_snapshot_file(file, NULL), 0);
    fclose(file);
    char begin[14] = "";
    file = fopen(path, "r");
    check(fread(begin, 1, 13, file) == 13);
    fclose(file);
    check(strcmp(begin, "firstTallyHp\n") == 0);
    unlink(path);
}

TEST(writes_to_a_pipe_and_leaves_it_there) {
    char begin[9] = "";
    struct stat about;
    make_path();
    unlink(path);
    check_int(mkfifo(path, 0600), 0);
    int pipe = open(path, O_RDWR | O_NONBLOCK);
    check_int(tally_heap_snapshot(path, NULL), 0);
    check(read(pipe, begin, 8) == 8 && strcmp(begin, "TallyHp\n") == 0);
    check(lstat(path, &about) == 0 && S_ISFIFO(about.st_mode));
    close(pipe);
    unlink(path);
}

/* ---- while threads run ---- */

static tally_object *shared;
static _Atomic int ended;

static void change(void *argument) {
    int64_t number = *(int *)argument;
    while (!ended) {
        tally_object *key = tally_int_new(1000 + number % 50), *value = list_of(1000, 1005);
        check_int(tally_dict_set(shared, key, value), 0);
        append_new(value, pair(key, value)); /* a cycle */
        drop(key, value);
        number += 7;
        tally_safepoint();
    }
}

static void snapshots_while_threads_run(const char *to) {
    int numbers[3] = {0, 1, 2};
    tally_thread threads[3];
    shared = tally_dict_new();
    ended = 0;
    for (int i = 0; i < 3; i++) check_int(tally_thread_start(&threads[i], change, &numbers[i]), 0);
    for (int i = 0; i < SUITE_LONG(50); i++) {
        tally_heap_result result;
        check_int(tally_heap_snapshot(to, &result), 0);
        check(result.objects > 0);
        rest();
    }
    ended = 1;
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    drop(shared);
    tally_gc_collect(2);
}

TEST(is_taken_while_other_threads_change_what_it_shows) {
    make_path();
    snapshots_while_threads_run(path);
    unlink(path);
}

/* ---- large strs, which are hashed once the world runs ---- */

enum { LARGE = 3, LARGE_BYTES = 100000 };
static const char begin_of_large[] = "the beginning of a large str";
static _Atomic int called;
static uint64_t stops(void) {
    tally_stats_result stats;
    tally_stats(&stats);
    return stats.stops;
}

/* Drops the strs when the snapshot has seen them, but nobody reads its file yet. */
static void drop_and_read(void *argument) {
    uint64_t before = stops();
    static char data[1 << 16];
    while (!called || (no_gil() && stops() == before)) tally_safepoint();
    tally_safepoint();
    check_int(tally_list_clear(shared), 0);
    tally_blocking_begin();
    FILE *file = fopen(path, "r");
    size_t length = fread(data, 1, sizeof data, file), found = 0;
    fclose(file);
    tally_blocking_end();
    check(length < sizeof data);
    for (size_t i = 0; i + sizeof begin_of_large <= length; i++)
        found += memcmp(data + i, begin_of_large, sizeof begin_of_large - 1) == 0;
    check_int(found, LARGE);
}

TEST(keeps_large_strs_until_they_are_hashed) {
    static char text[LARGE_BYTES];
    tally_thread thread;
    make_path();
    unlink(path);
    check_int(mkfifo(path, 0600), 0);
    memset(text, 'x', sizeof text);
    memcpy(text, begin_of_large, sizeof begin_of_large - 1);
    shared = tally_list_new(0);
    for (int i = 0; i < LARGE; i++) append_new(shared, tally_str_new(text, sizeof text));
    called = 0;
    check_int(tally_thread_start(&thread, drop_and_read, NULL), 0);
    called = 1;
    check_int(tally_heap_snapshot(path, NULL), 0);
    check_int(tally_thread_join(&thread), 0);
    check_int(tally_list_length(shared), 0);
    drop(shared);
    unlink(path);
}

static void finalize_takes_one(tally_object *self) {
    check_int(tally_heap_snapshot(path, NULL), 0);
}

TEST(is_taken_by_a_finalizer) {
    make_path();
    tally_object *class_ = class_finalized("Last", finalize_takes_one), *list = list_of(1000, 1010);
    append_new(list, tally_instance_new(class_));
    append_new(list, list_of(1000, 1010));
    drop(list);
    check(size_of(path) > 0);
    drop(class_);
    unlink(path);
}

TEST(is_taken_of_immortal_and_of_large_objects) {
    make_path();
    char long_text[2000];
    memset(long_text, 'x', sizeof long_text);
    tally_object *large = tally_str_new(long_text, sizeof long_text), *list = list_of(1000, 1999);
    tally_heap_result before = taken();
    append_new(list, tally_str_new(long_text, sizeof long_text));
    append_new(list, tally_tuple_new((tally_object *[]){large, tally_none}, 2));
    tally_immortalize(large);
    tally_heap_result after = taken();
    check_int(after.objects - before.objects, 3); /* None too */
    check_int(after.references - before.references, 4);
    drop(list);
    unlink(path);
}
