/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * memory.c: what the allocator says of itself: blocks rise and fall, arenas
 * go back to the system, large objects are counted, the census sees every object.
 */
#include "suite.h"

enum { COUNT = 500000 };

static size_t blocks_in_use(const tally_memory_result *memory) {
    size_t blocks = 0;
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) blocks += memory->classes[i].blocks;
    return blocks;
}

static tally_memory_result look(void) {
    tally_memory_result memory;
    tally_memory_stats(&memory);
    return memory;
}

/* Lets what waits for a grace period be freed; 1: no more arenas than slack above before. */
static int arenas_return(size_t before, size_t slack) {
    for (double end = now() + SUITE_PATIENCE_SECONDS; now() < end;) {
        tally_safepoint();
        tally_blocking_begin();
        usleep(1000);
        tally_blocking_end();
        if (look().arenas <= before + slack) return 1;
    }
    fprintf(stderr, "%zu arenas before, %zu after\n", before, look().arenas);
    return 0;
}

TEST(size_classes_are_steps_of_16_bytes_up_to_512) {
    tally_memory_result memory = look();
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++)
        check_int(memory.classes[i].block_size, 16 * (i + 1));
}

TEST(blocks_in_use_rise_and_fall_with_objects) {
    tally_object **objects = malloc(1000 * sizeof *objects);
    size_t before = blocks_in_use(&(tally_memory_result[]){look()}[0]);
    for (int i = 0; i < 1000; i++) objects[i] = tally_float_new(i);
    tally_memory_result during = look();
    check_int(blocks_in_use(&during), before + 1000);
    for (int i = 0; i < 1000; i++) tally_decref(objects[i]);
    tally_memory_result after = look();
    check_int(blocks_in_use(&after), before);
    free(objects);
}

TEST(the_figures_agree_with_each_other) {
    tally_object *list = list_of(1000, 20000);
    tally_memory_result memory = look();
    check(memory.arenas > 0);
    check(memory.bytes_arenas >= memory.arenas * 4096);
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) {
        size_t bytes = memory.classes[i].blocks * memory.classes[i].block_size;
        check(memory.classes[i].arenas <= memory.arenas);
        check(memory.classes[i].arenas <= memory.classes[i].pools);
        check(bytes + memory.classes[i].bytes_unused <= memory.bytes_arenas);
        check((memory.classes[i].blocks > 0) <= (memory.classes[i].pools > 0));
    }
    tally_decref(list);
}

static tally_object *make_many(void) {
    tally_object *list = tally_list_new(COUNT);
    for (int i = 0; i < COUNT; i++) {
        tally_object *number = tally_int_new(1000 + i);
        append_new(list, one_tuple(number));
        tally_decref(number);
    }
    return list;
}

TEST(arenas_go_back_when_all_is_dropped) {
    tally_decref(tally_float_new(1));
    size_t before = look().arenas;
    tally_object *list = make_many();
    tally_memory_result full = look();
    check(full.arenas > before + 2);
    check(full.bytes_arenas >=
          COUNT * (tally_header_size(true) + tally_header_size(false) + 2 * sizeof(void *)));
    tally_decref(list);
    check(arenas_return(before, 2));
}

TEST(one_survivor_an_arena_keeps_it) {
    /* Why memory need not shrink: every thousandth object stays. */
    size_t before = look().arenas;
    tally_object *list = make_many(), *kept = tally_list_new(0);
    size_t full = look().arenas;
    for (int i = 0; i < COUNT; i += 1000) {
        tally_object *item = tally_list_get(list, i);
        tally_list_append(kept, item);
        tally_decref(item);
    }
    tally_decref(list);
    for (int i = 0; i < 100; i++) tally_safepoint();
    tally_memory_result memory = look();
    size_t unused = 0;
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) unused += memory.classes[i].bytes_unused;
    check(memory.arenas > before);
    check(unused > 0);
    check(memory.arenas <= full + 2);
    tally_decref(kept);
    check(arenas_return(before, 2));
}

static tally_object *handed;

static void drop_handed(void *argument) { tally_decref(handed); }

static void make_handed(void *argument) { handed = make_many(); }

TEST(arenas_go_back_when_another_thread_dropped_all) {
    size_t before = look().arenas;
    handed = make_many();
    run_threads(1, drop_handed, NULL, 0);
    check(arenas_return(before, 2));
}

TEST(arenas_of_exited_threads_go_back) {
    size_t before = look().arenas;
    for (int i = 0; i < 3; i++) {
        run_threads(1, make_handed, NULL, 0);
        tally_decref(handed);
    }
    check(arenas_return(before, 3));
}

static void churn(void *argument) {
    for (int i = 0; i < 2000; i++) {
        tally_decref(list_of(1000, 1010));
        tally_safepoint();
    }
}

TEST(does_not_grow_with_threads_that_come_and_go) {
    run_threads(4, churn, NULL, 0);
    size_t before = look().arenas;
    for (int i = 0; i < 50; i++) run_threads(4, churn, NULL, 0);
    check(arenas_return(before, 3));
}

TEST(large_objects_are_counted_and_freed) {
    tally_memory_result before = look();
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "large", .size = 100000}),
                 *objects[10];
    tally_memory_result with_type = look();
    for (int i = 0; i < 10; i++) objects[i] = tally_object_new(type, 0);
    tally_memory_result during = look();
    check_int(during.large_blocks - with_type.large_blocks, 10);
    check(during.large_bytes - with_type.large_bytes >= 10 * 100000);
    for (int i = 0; i < 10; i++) tally_decref(objects[i]);
    double end = now() + SUITE_PATIENCE_SECONDS;
    do {
        tally_safepoint();
        tally_blocking_begin();
        usleep(1000);
        tally_blocking_end();
        during = look();
    } while (during.large_blocks > with_type.large_blocks && now() < end);
    check_int(during.large_blocks, with_type.large_blocks);
    check_int(during.large_bytes, with_type.large_bytes);
    check(before.large_blocks <= with_type.large_blocks);
}

static size_t census(const char *type, size_t *bytes) {
    tally_census_row *rows = NULL;
    size_t count = 0, objects = 0;
    *bytes = 0;
    check_int(tally_heap_census(&rows, &count), 0);
    for (size_t i = 0; i < count; i++)
        if (strcmp(rows[i].type, type) == 0) {
            objects += rows[i].objects;
            *bytes += rows[i].bytes;
        }
    free(rows);
    return objects;
}

TEST(the_census_counts_live_objects_by_type) {
    size_t bytes, floats = census("float", &bytes), tuples = census("tuple", &bytes), fresh;
    tally_object *class = mortal_class(), *list = tally_list_new(0);
    for (int i = 0; i < 1000; i++) {
        tally_object *number = tally_float_new(i);
        append_new(list, one_tuple(number));
        tally_decref(number);
        append_new(list, tally_instance_new(class));
    }
    check_int(census("float", &bytes), floats + 1000);
    check(bytes >= 1000 * (tally_header_size(false) + sizeof(double)));
    check_int(census("tuple", &bytes), tuples + 1000);
    fresh = census("Mortal", &bytes);
    check_int(fresh, 1000);
    check(bytes >= 1000 * tally_header_size(true));
    tally_decref(list);
    check_int(census("float", &bytes), floats);
    check_int(census("tuple", &bytes), tuples);
    check_int(census("Mortal", &bytes), 0);
    tally_decref(class);
}

TEST(the_census_counts_large_objects_too) {
    tally_object *type = tally_type_new(&(tally_type_spec){.name = "huge", .size = 50000});
    tally_object *object = tally_object_new(type, 0);
    size_t bytes;
    check_int(census("huge", &bytes), 1);
    check(bytes >= 50000);
    tally_decref(object);
    check_int(census("huge", &bytes), 0);
}

TEST(statistics_can_be_read_at_any_time) {
    tally_stats_result first, second;
    tally_stats(&first);
    run_threads(8, churn, NULL, 0);
    tally_stats(&second);
    check(second.pools_taken >= first.pools_taken);
    check(second.retired >= second.reclaimed);
    if (!second.detailed) check_int(second.allocations, 0);
}

/* ---- memory of threads that are gone or asleep ---- */

enum { MAKERS = 6, EACH = 200000 };
static tally_object *made[MAKERS];
static _Atomic int makers_full, makers_done, may_leave;
static int keep_each, sleeps;

/* Floats of its own, of which it keeps one in so many; then it exits, or sleeps. */
static void make_and_leave(void *argument) {
    int which = *(int *)argument;
    tally_object *list = tally_list_new(0), *all = tally_list_new(EACH);
    for (int i = 0; i < EACH; i++) {
        tally_object *item = tally_float_new(i + 0.5);
        if (i % keep_each == 0) tally_list_append(list, item);
        append_new(all, item);
        if (i % 256 == 0) tally_safepoint();
    }
    atomic_fetch_add(&makers_full, 1);
    tally_blocking_begin();
    while (atomic_load(&makers_full) < MAKERS) /* none has the memory of another */
        usleep(200);
    tally_blocking_end();
    tally_decref(all);
    made[which] = list;
    atomic_fetch_add(&makers_done, 1);
    tally_blocking_begin();
    while (atomic_load(&makers_done) < MAKERS || (sleeps && !atomic_load(&may_leave))) usleep(200);
    tally_blocking_end();
}

static tally_thread makers[MAKERS];
static void start_makers(int keep, int sleep) {
    static int numbers[MAKERS];
    keep_each = keep;
    sleeps = sleep;
    atomic_store(&makers_full, 0);
    atomic_store(&makers_done, 0);
    atomic_store(&may_leave, 0);
    for (int i = 0; i < MAKERS; i++) {
        numbers[i] = i;
        check_int(tally_thread_start(&makers[i], make_and_leave, &numbers[i]), 0);
    }
    tally_blocking_begin();
    while (atomic_load(&makers_done) < MAKERS) usleep(200);
    usleep(10000); /* they are blocked */
    tally_blocking_end();
    if (!sleep)
        for (int i = 0; i < MAKERS; i++) check_int(tally_thread_join(&makers[i]), 0);
}
static void end_makers(void) {
    if (!sleeps) return;
    atomic_store(&may_leave, 1);
    for (int i = 0; i < MAKERS; i++) check_int(tally_thread_join(&makers[i]), 0);
}

static void drop_made(void) {
    for (int i = 0; i < MAKERS; i++) {
        tally_decref(made[i]);
        tally_safepoint();
    }
}

/* No look at the memory has a part in it, and no collection. */
static void what_is_dropped_goes_back(int sleep) {
    size_t before = look().arenas;
    start_makers(1, sleep);
    size_t full = look().arenas;
    check(full >= before + MAKERS * (size_t)EACH * 16 / (2 << 20));
    drop_made();
    settle_until(look().arenas <= before + (full - before) / 2);
    size_t after = look().arenas;
    check(after <= before + (full - before) / 2);
    end_makers();
}

TEST(what_others_free_goes_back_though_its_makers_are_gone) { what_is_dropped_goes_back(0); }
TEST(what_others_free_goes_back_though_its_makers_sleep) { what_is_dropped_goes_back(1); }

/* Every pool of the makers has blocks in use; most of each is free. */
static void pools_serve_others(int sleep) {
    start_makers(8, sleep);
    size_t full = look().arenas;
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < MAKERS * EACH / 8 * 6; i++) {
        append_new(list, tally_float_new(i));
        if (i % 256 == 0) tally_safepoint();
    }
    size_t after = look().arenas;
    if (after > full + full / 4) fprintf(stderr, "arenas: %zu, %zu\n", full, after);
    check(after <= full + full / 4);
    for (int i = 0; i < MAKERS; i++)
        for (int k = 0; k < EACH / 8; k += 997) {
            tally_object *item = tally_list_get(made[i], k);
            check_double(tally_float_value(item), k * 8 + 0.5);
            tally_decref(item);
        }
    tally_decref(list);
    drop_made();
    end_makers();
}

TEST(pools_of_exited_threads_serve_others) { pools_serve_others(0); }
TEST(pools_of_sleeping_threads_serve_others) { pools_serve_others(1); }

static void safepoints_until_told(void *argument) {
    made[0] = tally_list_new(0);
    for (int i = 0; i < MAKERS * EACH; i++) append_new(made[0], tally_float_new(i));
    atomic_store(&makers_done, 1);
    while (!atomic_load(&may_leave)) /* computes; needs no memory */
        tally_safepoint();
}

TEST(what_others_free_goes_back_though_its_maker_computes) {
    tally_thread maker;
    size_t before = look().arenas;
    atomic_store(&makers_done, 0);
    atomic_store(&may_leave, 0);
    check_int(tally_thread_start(&maker, safepoints_until_told, NULL), 0);
    check(wait_for(&makers_done, 1));
    size_t full = look().arenas;
    tally_decref(made[0]);
    size_t after = full;
    for (double end = now() + SUITE_PATIENCE_SECONDS;
         after > before + (full - before) / 2 && now() < end;) {
        tally_safepoint();
        tally_blocking_begin();
        usleep(1000);
        tally_blocking_end();
        after = look().arenas;
    }
    if (after > before + (full - before) / 2)
        fprintf(stderr, "arenas: %zu, %zu, %zu, %zu pools wait\n", before, full, after,
                look().pools_waiting);
    check(after <= before + (full - before) / 2);
    atomic_store(&may_leave, 1);
    check_int(tally_thread_join(&maker), 0);
}

TEST(a_look_changes_nothing) {
    start_makers(3, 1);
    for (int i = 0; i < MAKERS / 2; i++) tally_decref(made[i]);
    tally_stats_result stats[2];
    tally_memory_result first = look(), second;
    tally_stats(&stats[0]);
    for (int i = 0; i < 5; i++) second = look();
    tally_stats(&stats[1]);
    check(memcmp(&first, &second, sizeof first) == 0);
    check_int(stats[1].remote_drained, stats[0].remote_drained);
    check_int(stats[1].pools_taken, stats[0].pools_taken);
    check_int(stats[1].retired, stats[0].retired);
    for (int i = MAKERS / 2; i < MAKERS; i++) tally_decref(made[i]);
    end_makers();
}

static size_t pools_in_use(void) {
    tally_memory_result memory = look();
    size_t pools = 0;
    for (int i = 0; i < TALLY_SIZE_CLASSES; i++) pools += memory.classes[i].pools;
    return pools;
}

TEST(a_thread_that_only_sleeps_keeps_no_empty_pools) {
    tally_gc_collect(2); /* gives back all that is kept */
    size_t before = pools_in_use();
    tally_decref(list_of(1000, 50000));
    settle_until(pools_in_use() <= before + 3);
    check(pools_in_use() <= before + 3);
}

/* Each str is alone in the pool of its size, which is empty once it dies. */
TEST_IF(no_gil, a_pool_that_gets_empty_while_its_thread_rests_goes_back) {
    enum { SIZES = 6 };
    static const char data[SIZES * 48];
    tally_object *strs[SIZES];
    tally_gc_collect(2);
    size_t before = pools_in_use();
    for (int i = 0; i < SIZES; i++) strs[i] = tally_str_new(data, 200 + i * 16);
    for (int i = 0; i < 4; i++) rest();
    check(pools_in_use() >= before + SIZES - 1);
    for (int i = 0; i < SIZES; i++) tally_decref(strs[i]);
    for (int i = 0; i < 4; i++) rest();
    check(pools_in_use() <= before + 1);
}
