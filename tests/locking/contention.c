/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* contention.c: the list of what threads contended for agrees with the counters, and names the
 * culprit. Reads by equal keys contend for nothing. */
#include "suite.h"

enum { OBJECTS = 2000, THREADS = 3, APPENDS = 20000 };

static tally_contention_row total(tally_contention_row **rows, size_t *count) {
    tally_contention_row sum = {.share = 0};
    check_int(tally_contention(rows, count), 0);
    for (size_t i = 0; i < *count; i++) {
        tally_contention_row *row = &(*rows)[i];
        sum.lost_cas += row->lost_cas;
        sum.lock_waits += row->lock_waits;
        sum.lock_revocations += row->lock_revocations;
        sum.lock_handovers += row->lock_handovers;
        sum.merges += row->merges;
        sum.share += row->share;
        if (i) check(row->share <= row[-1].share);
    }
    return sum;
}

static void check_against_counters(void) {
    tally_contention_row *rows;
    size_t count;
    tally_stats_result before, after;
    tally_stats(&before);
    tally_contention_row sum = total(&rows, &count);
    check_int(sum.lock_waits, before.lock_waits);
    check_int(sum.lock_handovers, before.lock_handovers);
    check_int(sum.lock_revocations, before.lock_revocations);
    if (before.detailed) check_int(sum.lost_cas, before.lost_cas);
    check_int(sum.merges, before.queued);
    if (count) check(sum.share > 0.999 && sum.share < 1.001);
    free(rows);
    tally_contention_row again = total(&rows, &count); /* reading changes nothing */
    check_int(again.lock_waits, sum.lock_waits);
    check_int(again.merges, sum.merges);
    check_int(again.lock_revocations, sum.lock_revocations);
    free(rows);
    tally_stats(&after);
    check_int(after.queued, before.queued);
    check_int(after.lock_waits, before.lock_waits);
}

TEST(is_empty_without_contention) {
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < 1000; i++) check_int(tally_list_append(list, tally_none), 0);
    tally_decref(list);
    tally_contention_row *rows;
    size_t count;
    total(&rows, &count);
    check_int(count, 0);
    free(rows);
}

static void clear_and_drop(void *list) {
    tally_list_clear(list);
    tally_decref(list);
}

/* Objects of this thread, dropped by another one. */
TEST(names_the_type_and_owner_whose_counts_are_merged) {
    tally_object *class_ = class_named("Dropped");
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < OBJECTS; i++) {
        tally_object *object = tally_instance_new(class_);
        append_new(list, object);
    }
    in_thread(clear_and_drop, list);
    tally_safepoint();
    check_against_counters();
    tally_contention_row *rows;
    size_t count;
    total(&rows, &count);
    if (is_biased()) {
        uint64_t merges = 0;
        for (size_t i = 0; i < count; i++)
            if (strcmp(rows[i].type, "Dropped") == 0 && rows[i].owner == 1)
                merges += rows[i].merges;
        check_int(merges, OBJECTS);
        check_text(tally_str_new(rows[0].type, -1), "Dropped");
    }
    free(rows);
    tally_decref(class_);
}

enum { KEYS = 64, KINDS = 4 };

/* Equal to others of this number, and never the same object. */
static tally_object *new_key(int i) {
    char text[32];
    snprintf(text, sizeof text, "a key of some length %d", i);
    tally_object *number = tally_int_new((INT64_C(1) << 40) + i), *str = tally_str_new(text, -1);
    if (i % KINDS == 0) return drop(number), str;
    if (i % KINDS == 1) return drop(str), number;
    tally_object *tuple = tally_tuple_new((tally_object *[]){number, str}, 2);
    drop(number, str);
    if (i % KINDS == 2) return tuple;
    tally_decref(tuple);
    return tally_float_new(0.25 + i);
}

static void read_by_equal_keys(void *dict) {
    tally_stats_result before = {0}, after;
    for (int pass = 0; pass < 2; pass++) {
        tally_stats(&before);
        for (int i = 0; i < KEYS; i++) {
            tally_object *key = new_key(i), *value = tally_dict_get(dict, key);
            check(value != NULL && tally_int_value(value) == (INT64_C(1) << 40) + i);
            check_int(tally_dict_contains(dict, key), 1);
            drop(key, value);
        }
        tally_stats(&after);
    }
    /* In the first pass the values became such as another thread may count. */
    if (!after.detailed) return;
    check_int(after.reads_locked - before.reads_locked, 0);
    check_int(after.reads_unlocked - before.reads_unlocked, 2 * KEYS);
}

TEST(reads_by_equal_keys_of_a_dict_of_another_thread_take_no_lock) {
    tally_object *dict = tally_dict_new();
    for (int i = 0; i < KEYS; i++) {
        tally_object *key = new_key(i), *value = tally_int_new((INT64_C(1) << 40) + i);
        check_int(tally_dict_set(dict, key, value), 0);
        drop(key, value);
    }
    in_thread(read_by_equal_keys, dict);
    tally_decref(dict);
}

static void append_many(void *list) {
    for (int i = 0; i < APPENDS; i++) {
        tally_list_append(list, tally_none);
        if (i % 64 == 0) tally_safepoint();
    }
}

TEST(agrees_with_the_counters_after_contention) {
    tally_object *list = tally_list_new(0);
    run_threads(THREADS, append_many, list, 0);
    check_int(tally_list_length(list), THREADS * APPENDS);
    check_against_counters();
    tally_decref(list);
}

enum { COUNTS = 5000 };

static void count_up_and_down(void *object) {
    for (int i = 0; i < COUNTS; i++) {
        tally_incref(object);
        tally_decref(object);
    }
}

/* Each with something after the call, so that it is no jump. */
static __attribute__((noinline)) tally_object *make_here(tally_object *class_) {
    tally_object *object = tally_instance_new(class_);
    check(object != NULL);
    return object;
}
static __attribute__((noinline)) tally_object *make_there(tally_object *class_) {
    tally_object *object = tally_instance_new(class_);
    check(object && tally_error_kind() == TALLY_NO_ERROR);
    return object;
}

/* A row of zeros where there is none of the type, which is a failure. */
static tally_contention_row row_of(const tally_contention_row *rows, size_t count,
                                   const char *type) {
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, type) == 0) return rows[i];
    check(!"a row of this type");
    return (tally_contention_row){.share = 0};
}

/* Known totals, and the place: in a build that counts them. Nowhere else are there any. */
TEST(counts_by_others_are_known_with_the_place_that_made_the_object) {
    tally_object *here = class_named("Here"), *there = class_named("There");
    tally_object *object = make_here(here), *other = make_there(there);
    tally_thread threads[THREADS];
    tally_stats_result stats;
    tally_contention_row *rows;
    size_t count;

    for (int i = 0; i < THREADS; i++)
        check_int(tally_thread_start(&threads[i], count_up_and_down, i ? object : other), 0);
    for (int i = 0; i < THREADS; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_stats(&stats);
    check_int(tally_contention(&rows, &count), 0);
    if (stats.detailed && no_gil()) {
        tally_contention_row a = row_of(rows, count, "Here"), b = row_of(rows, count, "There");
        if (stats.adopted + stats.made_per_thread == 0) {
            check_int(a.shared_counts, (THREADS - 1) * COUNTS);
            check_int(b.shared_counts, COUNTS);
            check(a.share > b.share);
        } else { /* until the objects moved to where they are counted */
            check(a.shared_counts > 0 && a.shared_counts <= (THREADS - 1) * COUNTS);
            check(b.shared_counts > 0 && b.shared_counts <= COUNTS);
        }
        check((const char *)a.site > (const char *)make_here &&
              (const char *)a.site < (const char *)make_here + 128);
        check((const char *)b.site > (const char *)make_there &&
              (const char *)b.site < (const char *)make_there + 128);
    } else if (!stats.detailed) {
        for (size_t i = 0; i < count; i++) check(!rows[i].site && rows[i].shared_counts == 0);
    }
    free(rows);
    drop(object, other, here, there);
}
