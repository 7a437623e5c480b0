/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: what the sums of the ledger count, also while threads change the heap. What a heap
 * snapshot says of the same memory is compared by tests/heap/ledger.py.
 */
#include "cycles.h"
#include "suite.h"

static tally_ledger_result taken(void) {
    tally_ledger_result result;
    check_int(tally_heap_ledger(&result), 0);
    return result;
}

static size_t sum_of(const tally_ledger_result *ledger) {
    size_t sum = 0;
#define ADD(name) sum += ledger->name;
    TALLY_LEDGER_ROWS(ADD)
#undef ADD
    return sum;
}

static void check_sum(const tally_ledger_result *ledger) {
    size_t sum = sum_of(ledger), resident = ledger->resident;
    size_t apart = sum > resident ? sum - resident : resident - sum;
    size_t most = resident / 50 > 1 << 20 ? resident / 50 : 1 << 20;
    if (apart > most) fprintf(stderr, "the rows sum to %zu of %zu\n", sum, resident);
    check(resident > 0 && apart <= most);
}

TEST(the_rows_sum_to_the_resident_size) {
    tally_ledger_result before = taken();
    check_sum(&before);
    tally_object *list = list_of(1000, 200000);
    tally_ledger_result after = taken();
    check_sum(&after);
    check(after.resident > before.resident && after.pause > 0);
    drop(list);
}

TEST(objects_and_large_blocks_are_in_their_rows) {
    enum { COUNT = 100000 };
    tally_ledger_result before = taken();
    tally_object *list = tally_list_new(COUNT);
    for (int i = 0; i < COUNT; i++) append_new(list, tally_float_new(i));
    tally_ledger_result after = taken();
    size_t objects = after.objects - before.objects;
    tally_object *one = tally_list_get(list, 0);
    size_t least = COUNT * (size_t)tally_sizeof(one);
    check(objects >= least && objects < 4 * least);
    check(after.large - before.large >= COUNT * sizeof(void *));
    drop(one, list);
}

TEST(a_null_place_is_an_error_and_changes_nothing) {
    check_fails(tally_heap_ledger(NULL), TALLY_VALUE_ERROR);
}

/* ---- while threads run ---- */

static tally_object *shared;
static _Atomic int ended;

static void change(void *argument) {
    int64_t number = *(int *)argument;
    while (!ended) {
        tally_object *key = tally_int_new(1000 + number % 50), *value = list_of(1000, 1100);
        check_int(tally_dict_set(shared, key, value), 0);
        append_new(value, pair(key, value)); /* a cycle */
        drop(key, value);
        number += 7;
        tally_safepoint();
    }
}

TEST(it_is_read_while_other_threads_change_the_heap) {
    int numbers[3] = {0, 1, 2};
    tally_thread threads[3];
    shared = tally_dict_new();
    ended = 0;
    for (int i = 0; i < 3; i++) check_int(tally_thread_start(&threads[i], change, &numbers[i]), 0);
    for (int i = 0; i < SUITE_LONG(40); i++) {
        tally_ledger_result ledger = taken();
        check_sum(&ledger);
        rest();
    }
    ended = 1;
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    drop(shared);
    tally_gc_collect(2);
}
