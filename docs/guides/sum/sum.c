/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* sum.c: two threads sum up the halves of one list. */
#include <stdio.h>
#include <tally/tally.h>

enum { ITEMS = 1000, THREADS = 2 };

static tally_object *numbers; /* filled before the threads start */

struct half {
    ptrdiff_t begin, end;
    tally_object *sum; /* a reference of the thread's that main takes over; NULL: an error */
};

static void add_up(void *argument) {
    struct half *half = argument;
    half->sum = tally_int_new(0);
    for (ptrdiff_t i = half->begin; half->sum && i < half->end; i++) {
        tally_object *number = tally_list_get(numbers, i); /* a new reference */
        tally_object *sum = number ? tally_add(half->sum, number) : NULL;
        tally_xdecref(number);
        tally_decref(half->sum);
        half->sum = sum;
        tally_safepoint();
    }
    if (!half->sum) fprintf(stderr, "sum: %s\n", tally_error_message());
}

static int fill(void) {
    if (!(numbers = tally_list_new(0))) return -1;
    for (int64_t i = 1; i <= ITEMS; i++) {
        tally_object *number = tally_int_new(i);
        int appended = number ? tally_list_append(numbers, number) : -1;
        tally_xdecref(number); /* the list has a reference of its own */
        if (appended < 0) return -1;
    }
    return 0;
}

int main(void) {
    struct half halves[THREADS] = {{0, ITEMS / 2, NULL}, {ITEMS / 2, ITEMS, NULL}};
    tally_thread threads[THREADS];
    int started = 0, good = 1;
    int64_t sum = 0;
    if (tally_init(NULL) < 0 || fill() < 0) return 1;
    while (started < THREADS &&
           tally_thread_start(&threads[started], add_up, &halves[started]) == 0)
        started++;
    for (int i = 0; i < started; i++) {
        tally_thread_join(&threads[i]);
        good = good && halves[i].sum;
        if (halves[i].sum) sum += tally_int_value(halves[i].sum);
        tally_xdecref(halves[i].sum);
    }
    tally_decref(numbers);
    if (good && started == THREADS) printf("%s: %lld\n", tally_backend(), (long long)sum);
    /* How many objects are still alive. */
    return tally_finish() == 0 && good && started == THREADS ? 0 : 1;
}
