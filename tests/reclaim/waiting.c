/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * waiting.c: memory that waits to be freed, for a grace period or for an
 * owner to merge, stays under the bounds that tally.h states. A thread that comes
 * to no safepoint lets it grow until the others wait for it.
 */
#include <semaphore.h>

#include "suite.h"

enum {
    WORKERS = 3,
    STEP = 8 /* operations between two safepoints */,
    PIECE = 3000,
    ENOUGH = 4 * TALLY_WAITING_LIMIT
};

static tally_object *shared;
static char letters[PIECE + 1];
static _Atomic int64_t progress, at_work;
static _Atomic int finished;

static tally_object *piece(void) { return tally_str_new(letters, PIECE); }

/* Runs, and comes to a safepoint only when the others come no further. */
static void hold_up(void *nothing) {
    for (int64_t last = -1; !atomic_load_explicit(&finished, memory_order_acquire);) {
        int64_t now = atomic_load_explicit(&progress, memory_order_relaxed);
        if (now == last) tally_safepoint();
        last = now;
        usleep(20000);
    }
}

static void by_safepoint(void) { tally_safepoint(); }
static void by_blocking(void) {
    tally_blocking_begin();
    tally_blocking_end();
}

typedef struct job {
    void (*operate)(int64_t i);
    void (*rest)(void);
    int64_t bytes;
} job;

static void replace_item(int64_t i) {
    tally_object *item = piece();
    check_int(tally_list_set(shared, i % 10, item), 0);
    tally_decref(item);
}

/* The dict's reference to the key is the last, and goes after a grace period. */
static void remove_key(int64_t i) {
    tally_object *key = piece();
    check_int(tally_dict_set(shared, key, tally_none), 0);
    if (tally_dict_delete(shared, key) != 0) check_error(TALLY_KEY_ERROR);
    tally_decref(key);
}

static void clear_keys(int64_t i) {
    tally_object *key = piece();
    check_int(tally_dict_set(shared, key, tally_none), 0);
    if (i % 4 == 0) check_int(tally_dict_clear(shared), 0);
    tally_decref(key);
}

/* The array is replaced as it grows, and given up. */
static void fill_and_clear(int64_t i) {
    for (int k = 0; k < 100; k++) check_int(tally_list_append(shared, tally_none), 0);
    check_int(tally_list_clear(shared), 0);
}

static void work(void *argument) {
    job *work = argument;
    for (int64_t i = 0; i < SUITE_LONG(work->bytes) / PIECE / WORKERS; i++) {
        work->operate(i);
        atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
        if (i % STEP == 0) work->rest();
    }
    if (atomic_fetch_sub_explicit(&at_work, 1, memory_order_relaxed) == 1)
        atomic_store_explicit(&finished, 1, memory_order_release);
}

static void stays_bounded(tally_object *container, void (*operate)(int64_t), void (*rest)(void)) {
    shared = container;
    memset(letters, 'x', PIECE);
    atomic_store_explicit(&progress, 0, memory_order_relaxed);
    atomic_store_explicit(&at_work, WORKERS, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    tally_thread holder;
    job jobs[WORKERS];
    for (int i = 0; i < WORKERS; i++) jobs[i] = (job){operate, rest, ENOUGH};
    check_int(tally_thread_start(&holder, hold_up, NULL), 0);
    run_threads(WORKERS, work, jobs, sizeof jobs[0]);
    check_int(tally_thread_join(&holder), 0);
    tally_decref(shared);

    tally_stats_result stats = stats_now();
    /* Of a worker: a list that it waits for, and one of what it merged before. */
    uint64_t list = TALLY_WAITING_LIST + 4 * PIECE, step = 2 * STEP * (PIECE + 200);
    check(stats.waiting_most <=
          TALLY_WAITING_LIMIT + 2 * (WORKERS + 2) * (list > step ? list : step));
    check(stats.merge_waiting_most <= TALLY_WAITING_LIMIT + 2 * WORKERS * step);
    check(stats.waiting <= stats.waiting_most);
    if (has_gil())
        check_int(stats.waiting_most, 0);
    else
        check(stats.waiting_most > 0);
}

static tally_object *ten_nones(void) {
    tally_object *list = tally_list_new(10);
    for (int i = 0; i < 10; i++) tally_list_append(list, tally_none);
    return list;
}

TEST(replaced_items_stay_under_the_bound) {
    stays_bounded(ten_nones(), replace_item, by_safepoint);
}
TEST(replaced_items_stay_under_the_bound_of_threads_that_only_block) {
    stays_bounded(ten_nones(), replace_item, by_blocking);
}
TEST(removed_keys_stay_under_the_bound) {
    stays_bounded(tally_dict_new(), remove_key, by_safepoint);
}
TEST(cleared_keys_stay_under_the_bound) {
    stays_bounded(tally_dict_new(), clear_keys, by_safepoint);
}
TEST(replaced_arrays_stay_under_the_bound) {
    stays_bounded(tally_list_new(0), fill_and_clear, by_safepoint);
}

/* ---- in critical sections ---- */

static tally_object *sectioned, *counter;
static _Atomic int broken;

static void set_item(tally_object *list, int64_t value) {
    tally_object *number = tally_int_new(value);
    check_int(tally_list_set(list, 0, number), 0);
    tally_decref(number);
}

/* What the section protects is whole at each safepoint's return, though the safepoint lets it go to
 * wait. */
static void retire_in_a_section(int64_t i) {
    int64_t mine = take_int(tally_list_get(counter, 0)) + 1;
    set_item(counter, mine);
    for (int k = 0; k < STEP; k++) replace_item(k);
    if (take_int(tally_list_get(counter, 0)) != mine) atomic_store(&broken, 1);
}

static void retire_in_one_section(void *bytes) {
    tally_critical section;
    tally_critical_begin2(&section, counter, sectioned);
    for (int64_t i = 0; i < SUITE_LONG(*(int64_t *)bytes) / PIECE / WORKERS / STEP; i++) {
        retire_in_a_section(i);
        atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
        tally_safepoint();
    }
    tally_critical_end(&section);
    if (atomic_fetch_sub_explicit(&at_work, 1, memory_order_relaxed) == 1)
        atomic_store_explicit(&finished, 1, memory_order_release);
}

TEST(what_is_retired_in_long_sections_stays_under_the_bound) {
    shared = ten_nones();
    sectioned = tally_list_new(0);
    counter = ten_nones();
    set_item(counter, 1000);
    memset(letters, 'x', PIECE);
    atomic_store(&broken, 0);
    atomic_store_explicit(&progress, 0, memory_order_relaxed);
    atomic_store_explicit(&at_work, WORKERS, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    tally_thread holder;
    int64_t bytes[WORKERS];
    for (int i = 0; i < WORKERS; i++) bytes[i] = ENOUGH;
    check_int(tally_thread_start(&holder, hold_up, NULL), 0);
    run_threads(WORKERS, retire_in_one_section, bytes, sizeof bytes[0]);
    check_int(tally_thread_join(&holder), 0);
    check(has_gil() || !atomic_load(&broken));
    uint64_t list = TALLY_WAITING_LIST + 4 * PIECE, step = 2 * STEP * (PIECE + 200);
    check(stats_now().waiting_most <=
          TALLY_WAITING_LIMIT + 2 * (WORKERS + 2) * (list > step ? list : step));
    check(has_gil() || stats_now().waiting_most > 0);
    drop(shared, sectioned, counter);
}

/* ---- objects that wait for their owner ---- */

enum { OBJECTS = SUITE_LONG(1000000) };
static tally_object **objects;
static int object_count;
static int64_t dropped;

static void make_objects(tally_object *(*make)(void), int count) {
    objects = malloc((size_t)count * sizeof *objects);
    object_count = count;
    for (int i = 0; i < count; i++) objects[i] = make();
}

static tally_object *class_;
static tally_object *make_mortal(void) { return tally_instance_new(class_); }

static sem_t owner_is_blocked, all_are_dropped;

static void drop_all_of_blocked(void *nothing) {
    uint64_t most = 0;
    tally_blocking_begin();
    sem_wait(&owner_is_blocked);
    tally_blocking_end();
    for (int i = 0; i < object_count; i++) {
        tally_decref(objects[i]);
        if (i % 1000) continue;
        tally_safepoint();
        uint64_t now = stats_now().merge_waiting;
        if (now > most) most = now;
    }
    check_int(deaths(), object_count); /* the owner has not come back */
    check_int(most, 0);
    check_int(stats_now().merge_waiting_most, 0);
    sem_post(&all_are_dropped);
}

TEST(a_million_objects_of_a_blocked_owner_die_as_they_are_dropped) {
    class_ = mortal_class();
    make_objects(make_mortal, OBJECTS);
    tally_thread dropper;
    sem_init(&owner_is_blocked, 0, 0);
    sem_init(&all_are_dropped, 0, 0);
    check_int(tally_thread_start(&dropper, drop_all_of_blocked, NULL), 0);
    tally_blocking_begin();
    sem_post(&owner_is_blocked);
    sem_wait(&all_are_dropped);
    tally_blocking_end();
    check_int(tally_thread_join(&dropper), 0);
    sem_destroy(&owner_is_blocked);
    sem_destroy(&all_are_dropped);
    free(objects);
    tally_decref(class_);
}

static void count_drop(int64_t i) {
    tally_decref(objects[i]);
    atomic_store_explicit(&progress, i + 1, memory_order_relaxed);
}

static _Atomic int owner_runs;

static void drop_all_of_running(void *nothing) {
    check(wait_for(&owner_runs, 1));
    for (int64_t i = 0; i < object_count; i++) {
        count_drop(i);
        if (i % STEP == 0) tally_safepoint();
    }
    atomic_store_explicit(&finished, 1, memory_order_release);
}

/* The owner runs: nobody may merge for it. A thread that drops its objects waits for its
 * safepoints. With a GIL no other thread drops anything meanwhile. */
TEST_IF(no_gil, objects_of_an_owner_that_comes_to_no_safepoint_stay_under_the_bound) {
    memset(letters, 'x', PIECE);
    atomic_store_explicit(&progress, 0, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    atomic_store_explicit(&owner_runs, 0, memory_order_relaxed);
    make_objects(piece, 2 * TALLY_WAITING_LIMIT / PIECE);
    tally_thread dropper;
    check_int(tally_thread_start(&dropper, drop_all_of_running, NULL), 0);
    atomic_store_explicit(&owner_runs, 1, memory_order_release);
    int64_t last = -1;
    do {
        dropped = last;
        usleep(50000);
        last = atomic_load_explicit(&progress, memory_order_relaxed);
    } while (last != dropped);
    check(!is_biased() || last < object_count);
    while (!atomic_load_explicit(&finished, memory_order_acquire)) tally_safepoint();
    check_int(tally_thread_join(&dropper), 0);
    tally_stats_result stats = stats_now();
    check(stats.merge_waiting_most <= TALLY_WAITING_LIMIT + 2 * STEP * (PIECE + 200));
    check(!is_biased() || stats.merge_waiting_most > 0);
    check_int(stats.merge_waiting, 0);
    free(objects);
}

/* ---- a thread that waits itself ---- */

static _Atomic int runs;

/* Comes to safepoints all the time, by the fast path as long as nobody asks for more. */
static void run_until_finished(void *nothing) {
    for (int i = 0; i < 100; i++) tally_safepoint();
    atomic_store_explicit(&runs, 1, memory_order_release);
    while (!atomic_load_explicit(&finished, memory_order_acquire)) tally_safepoint();
}

/* One object is over the limit, so that nothing else is under way when its thread waits. */
TEST(who_waits_itself_has_the_others_announce_their_quiescent_states) {
    tally_thread other;
    atomic_store_explicit(&runs, 0, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    char *text = calloc(1, TALLY_WAITING_LIMIT + 2);
    memset(text, 'x', TALLY_WAITING_LIMIT + 1);
    check_int(tally_thread_start(&other, run_until_finished, NULL), 0);
    check(wait_for(&runs, 1));
    for (int i = 0; i < 3; i++) {
        tally_decref(tally_str_new(text, TALLY_WAITING_LIMIT + 1));
        tally_safepoint();
    }
    tally_safepoint();
    check_int(stats_now().waiting, 0);
    atomic_store_explicit(&finished, 1, memory_order_release);
    check_int(tally_thread_join(&other), 0);
    free(text);
}

/* ---- a stop of the world by the collector ---- */

TEST(a_collection_is_a_grace_period) {
    memset(letters, 'x', PIECE);
    tally_object *large = piece();
    uint64_t before = stats_now().waiting;
    tally_decref(large);
    check((stats_now().waiting >= before + PIECE) == !has_gil());
    check_int(tally_gc_collect(2), 0);
    check_int(stats_now().waiting, 0);
    check_int(stats_now().retired, stats_now().reclaimed);
}

static _Atomic int retired, collected;

static void retire_and_block(void *nothing) {
    tally_object *large = piece();
    tally_decref(large);
    atomic_store_explicit(&retired, 1, memory_order_release);
    check(wait_for(&collected, 1));
}

TEST(a_collection_is_a_grace_period_for_what_others_have_retired) {
    memset(letters, 'x', PIECE);
    tally_thread other;
    atomic_store_explicit(&retired, 0, memory_order_relaxed);
    atomic_store_explicit(&collected, 0, memory_order_relaxed);
    check_int(tally_thread_start(&other, retire_and_block, NULL), 0);
    check(wait_for(&retired, 1));
    settle_until((tally_gc_collect(2), stats_now().waiting == 0));
    check_int(stats_now().waiting, 0);
    atomic_store_explicit(&collected, 1, memory_order_release);
    check_int(tally_thread_join(&other), 0);
}

/* ---- threads that exit ---- */

static void retire_less_than_a_list(void *nothing) {
    atomic_fetch_add_explicit(&progress, 1, memory_order_relaxed);
    for (int i = 0; i < 40; i++) tally_decref(piece());
}

TEST_IF(no_gil, what_exited_threads_have_retired_stays_under_the_bound) {
    tally_thread holder, one;
    memset(letters, 'x', PIECE);
    atomic_store_explicit(&progress, 0, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    check_int(tally_thread_start(&holder, hold_up, NULL), 0);
    for (int64_t i = 0; i < ENOUGH / (40 * PIECE); i++) {
        check_int(tally_thread_start(&one, retire_less_than_a_list, NULL), 0);
        check_int(tally_thread_join(&one), 0);
    }
    atomic_store_explicit(&finished, 1, memory_order_release);
    check_int(tally_thread_join(&holder), 0);
    check(stats_now().waiting_most <= TALLY_WAITING_LIMIT + 2 * 3 * TALLY_WAITING_LIST);
}

/* ---- whose safepoints free it ---- */

enum { A_LIST = 80 }; /* pieces; 64 make a list full */

static void retire_a_list(void) {
    memset(letters, 'x', PIECE);
    for (int i = 0; i < A_LIST; i++) tally_decref(piece());
}

static void start_until(tally_thread *other, void (*run)(void *), _Atomic int *is_there) {
    atomic_store_explicit(is_there, 0, memory_order_relaxed);
    atomic_store_explicit(&finished, 0, memory_order_relaxed);
    check_int(tally_thread_start(other, run, NULL), 0);
    check(wait_for(is_there, 1));
}
static void end(tally_thread *other) {
    atomic_store_explicit(&finished, 1, memory_order_release);
    check_int(tally_thread_join(other), 0);
}

TEST_IF(no_gil, what_a_thread_alone_has_retired_is_freed_at_its_next_safepoint) {
    retire_a_list();
    check(stats_now().waiting >= A_LIST * PIECE);
    tally_safepoint();
    check_int(stats_now().waiting, 0);
}

static void run_without_safepoints(void *nothing) {
    atomic_store_explicit(&runs, 1, memory_order_release);
    while (!atomic_load_explicit(&finished, memory_order_acquire)) continue;
}

TEST_IF(no_gil, a_thread_that_comes_to_no_safepoint_holds_it_up) {
    tally_thread other;
    start_until(&other, run_without_safepoints, &runs);
    retire_a_list();
    for (int i = 0; i < 10; i++) tally_safepoint();
    check(stats_now().waiting >= A_LIST * PIECE);
    end(&other);
    tally_safepoint();
    check_int(stats_now().waiting, 0);
}

static void retire_a_few_and_block(void *nothing) {
    memset(letters, 'x', PIECE);
    for (int i = 0; i < 3; i++) tally_decref(piece());
    tally_blocking_begin();
    atomic_store_explicit(&retired, 1, memory_order_release);
    while (!atomic_load_explicit(&finished, memory_order_acquire)) usleep(1000);
    tally_blocking_end();
}

TEST_IF(no_gil, what_a_blocked_thread_has_left_others_free) {
    tally_thread other;
    start_until(&other, retire_a_few_and_block, &retired);
    tally_safepoint();
    check_int(stats_now().waiting, 0);
    end(&other);
}
