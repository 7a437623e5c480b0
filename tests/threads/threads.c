/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * threads.c: threads, objects that change hands, blocked regions, critical
 * sections, mutexes and conditions.
 */
#include "suite.h"

enum { THREADS = 8 };

static void set_flag(void *argument) {
    atomic_store_explicit((_Atomic int *)argument, 1, memory_order_release);
}

TEST(start_runs_and_join_waits) {
    _Atomic int flag = 0;
    in_thread(set_flag, &flag);
    check_int(atomic_load_explicit(&flag, memory_order_acquire), 1);
}

static void *made_elsewhere(void *argument) {
    for (int i = 0; i < 100; i++) {
        check_int(tally_thread_attach(), 0);
        tally_object *list = list_of(1, 300);
        check_int(tally_list_length(list), 300);
        tally_decref(list);
        tally_thread_detach();
    }
    return argument;
}

TEST(made_elsewhere_attach_and_detach_again_and_again) {
    pthread_t threads[THREADS];
    for (int i = 0; i < THREADS; i++)
        check_int(pthread_create(&threads[i], NULL, made_elsewhere, NULL), 0);
    tally_blocking_begin();
    for (int i = 0; i < THREADS; i++) pthread_join(threads[i], NULL);
    tally_blocking_end();
}

static void short_life(void *argument) {
    tally_object *object = text("short life");
    check_int(tally_refcount(object), 1);
    tally_decref(object);
}

TEST(thousands_come_and_go) {
    for (int i = 0; i < 400; i++) run_threads(5, short_life, NULL, 0);
}

static void wait_until_set(void *argument) { check(wait_for(argument, 1)); }

TEST(finish_refuses_while_another_is_attached) {
    _Atomic int flag = 0;
    tally_thread thread;
    check_int(tally_thread_start(&thread, wait_until_set, &flag), 0);
    check_fails(tally_finish(), TALLY_RUNTIME_ERROR);
    atomic_store_explicit(&flag, 1, memory_order_release);
    check_int(tally_thread_join(&thread), 0);
    tally_object *list = list_of(1, 10);
    tally_decref(list);
}

/* ---- objects that change hands ---- */

static tally_object *class, *handed;

static void make_one(void *argument) { handed = tally_instance_new(class); }

static void drop_one(void *argument) { tally_decref(handed); }

TEST(an_object_whose_maker_has_exited_dies_at_once) {
    class = mortal_class();
    for (int i = 1; i <= 200; i++) {
        run_threads(1, make_one, NULL, 0);
        check_int(tally_refcount(handed), 1);
        tally_decref(handed);
        check_int(deaths(), i);
    }
    tally_decref(class);
}

TEST(an_object_made_here_may_be_dropped_there) {
    class = mortal_class();
    for (int i = 1; i <= 200; i++) {
        handed = tally_instance_new(class);
        run_threads(1, drop_one, NULL, 0);
        check(wait_for(&suite_deaths, i));
    }
    tally_decref(class);
}

TEST(an_object_made_by_one_dead_thread_may_be_dropped_by_another) {
    class = mortal_class();
    for (int i = 1; i <= 200; i++) {
        run_threads(1, make_one, NULL, 0);
        run_threads(1, drop_one, NULL, 0);
        check_int(deaths(), i);
    }
    tally_decref(class);
}

static void drop_and_look(void *argument) {
    _Atomic int *flags = argument;
    check(wait_for(&flags[0], 1));
    tally_decref(handed);
    check_int(deaths(), 1);
    atomic_store_explicit(&flags[1], 1, memory_order_release);
}

static void idle_until(_Atomic int *flag) {
    while (atomic_load_explicit(flag, memory_order_acquire) == 0) usleep(100);
}

TEST(an_object_dies_at_once_while_its_owner_is_blocked) {
    class = mortal_class();
    for (int round = 0; round < 50; round++) {
        forget_deaths();
        _Atomic int flags[2] = {0, 0};
        handed = tally_instance_new(class);
        tally_thread thread;
        check_int(tally_thread_start(&thread, drop_and_look, flags), 0);
        tally_blocking_begin();
        set_flag(&flags[0]);
        idle_until(&flags[1]);
        tally_blocking_end();
        check_int(tally_thread_join(&thread), 0);
    }
    tally_decref(class);
}

static tally_mutex gate = TALLY_MUTEX_INITIALIZER;
static _Atomic int gate_held;

static void drop_while_holding_the_gate(void *argument) {
    tally_mutex_lock(&gate);
    atomic_store_explicit(&gate_held, 1, memory_order_release);
    /* Time enough for the owner to wait for the gate; right in any case. */
    tally_blocking_begin();
    usleep(20000);
    tally_blocking_end();
    tally_decref(handed);
    tally_mutex_unlock(&gate);
}

TEST(an_object_may_be_dropped_while_its_owner_waits_for_a_mutex) {
    class = mortal_class();
    for (int i = 1; i <= 20; i++) {
        atomic_store_explicit(&gate_held, 0, memory_order_relaxed);
        handed = tally_instance_new(class);
        tally_thread thread;
        check_int(tally_thread_start(&thread, drop_while_holding_the_gate, NULL), 0);
        check(wait_for(&gate_held, 1));
        tally_mutex_lock(&gate);
        tally_mutex_unlock(&gate);
        check(wait_for(&suite_deaths, i));
        check_int(tally_thread_join(&thread), 0);
    }
    tally_decref(class);
}

static _Atomic int exits;

static void make_and_exit_late(void *argument) {
    _Atomic int *flags = argument;
    handed = tally_instance_new(class);
    atomic_store_explicit(&flags[0], 1, memory_order_release);
    check(wait_for(&flags[1], 1));
    atomic_fetch_add_explicit(&exits, 1, memory_order_relaxed);
}

TEST(an_owner_may_exit_while_others_drop) {
    class = mortal_class();
    for (int i = 1; i <= 500; i++) {
        _Atomic int flags[2] = {0, 0};
        tally_thread thread;
        check_int(tally_thread_start(&thread, make_and_exit_late, flags), 0);
        check(wait_for(&flags[0], 1));
        set_flag(&flags[1]); /* from here on the owner exits, whenever it likes */
        for (int k = 0; k < i % 50; k++) {
            tally_incref(handed);
            tally_decref(handed);
        }
        tally_decref(handed);
        check_int(tally_thread_join(&thread), 0);
        check(wait_for(&suite_deaths, i));
    }
    tally_decref(class);
}

static tally_object *channel;

static void produce(void *argument) {
    for (int i = 0; i < 5000; i++) {
        append_new(channel, tally_instance_new(class));
        tally_safepoint();
    }
}

static void consume(void *argument) {
    for (int left = 5000; left > 0;) {
        tally_object *object = tally_list_pop(channel, -1);
        if (object) {
            tally_decref(object);
            left--;
        } else {
            tally_error_clear();
            sched_yield();
        }
        tally_safepoint();
    }
}

static void produce_or_consume(void *argument) { (*(int *)argument ? produce : consume)(NULL); }

TEST(objects_handed_through_a_list_all_die) {
    int sides[THREADS] = {0, 1, 0, 1, 0, 1, 0, 1};
    class = mortal_class();
    channel = tally_list_new(0);
    run_threads(THREADS, produce_or_consume, sides, sizeof sides[0]);
    check_int(tally_list_length(channel), 0);
    check(wait_for(&suite_deaths, THREADS / 2 * 5000));
    drop(channel, class);
}

/* ---- critical sections ---- */

static tally_object *locked_a, *locked_b;
static int64_t counter_a, counter_b;

static void count_within_a_section(void *argument) {
    for (int i = 0; i < 20000; i++) {
        tally_critical section;
        tally_critical_begin(&section, locked_a);
        int64_t value = counter_a;
        counter_a = value + 1;
        tally_critical_end(&section);
        tally_safepoint();
    }
}

TEST(a_counter_in_a_critical_section_is_exact) {
    locked_a = tally_list_new(0);
    counter_a = 0;
    run_threads(THREADS, count_within_a_section, NULL, 0);
    check_int(counter_a, THREADS * 20000);
    tally_decref(locked_a);
}

static void count_within_two(void *argument) {
    int reversed = *(int *)argument;
    for (int i = 0; i < 20000; i++) {
        tally_critical section;
        tally_critical_begin2(&section, reversed ? locked_b : locked_a,
                              reversed ? locked_a : locked_b);
        counter_a++;
        counter_b += 2;
        tally_critical_end(&section);
        if (i % 4 == 0) {
            tally_critical_begin(&section, locked_b);
            counter_b++;
            tally_critical_end(&section);
        }
        tally_safepoint();
    }
}

TEST(sections_on_two_objects_in_both_orders_do_not_deadlock) {
    int orders[THREADS] = {0, 1, 0, 1, 0, 1, 0, 1};
    locked_a = tally_list_new(0), locked_b = tally_dict_new();
    counter_a = counter_b = 0;
    run_threads(THREADS, count_within_two, orders, sizeof orders[0]);
    check_int(counter_a, THREADS * 20000);
    check_int(counter_b, THREADS * (2 * 20000 + 5000));
    drop(locked_a, locked_b);
}

static void nest_sections(void *argument) {
    tally_object *outer = *(int *)argument ? locked_a : locked_b,
                 *inner = *(int *)argument ? locked_b : locked_a;
    int64_t *counter = *(int *)argument ? &counter_b : &counter_a;
    for (int i = 0; i < 20000; i++) {
        tally_critical first, second;
        tally_critical_begin(&first, outer);
        tally_critical_begin(&second, inner);
        ++*counter; /* only the innermost is sure to be held */
        tally_critical_end(&second);
        tally_critical_end(&first);
        tally_safepoint();
    }
}

TEST(sections_nested_in_both_orders_do_not_deadlock) {
    int orders[THREADS] = {0, 1, 0, 1, 0, 1, 0, 1};
    locked_a = tally_list_new(0), locked_b = tally_list_new(0);
    counter_a = counter_b = 0;
    run_threads(THREADS, nest_sections, orders, sizeof orders[0]);
    check_int(counter_a, THREADS / 2 * 20000);
    check_int(counter_b, THREADS / 2 * 20000);
    drop(locked_a, locked_b);
}

TEST(a_section_on_one_object_twice_is_one) {
    tally_object *list = tally_list_new(0), *other = tally_list_new(0);
    tally_critical both, outer, inner;
    tally_critical_begin2(&both, list, list);
    append_new(list, tally_int_new(1000));
    tally_critical_end(&both);
    tally_critical_begin(&outer, list);
    tally_critical_begin(&inner, list);
    append_new(list, tally_int_new(1001));
    tally_critical_end(&inner);
    append_new(list, tally_int_new(1002));
    tally_critical_end(&outer);
    tally_critical_begin(&outer, list);
    tally_critical_begin2(&inner, other, list);
    append_new(list, tally_int_new(1003));
    append_new(other, tally_int_new(1004));
    check_int(tally_list_extend(list, other), 0);
    tally_critical_end(&inner);
    tally_critical_end(&outer);
    check_repr(list, "[1000, 1001, 1002, 1003, 1004]");
    drop(list, other);
}

static void extend_within_a_section(void *argument) {
    for (int i = 0; i < 2000; i++) {
        tally_critical section;
        tally_critical_begin(&section, locked_a);
        ptrdiff_t length = tally_list_length(locked_a);
        tally_object *number = tally_int_new(length);
        tally_list_append(locked_a, number);
        tally_critical_end(&section);
        tally_decref(number);
        tally_safepoint();
    }
}

TEST(operations_within_a_section_on_their_object_are_one_step) {
    locked_a = tally_list_new(0);
    run_threads(THREADS, extend_within_a_section, NULL, 0);
    int64_t wrong = 0;
    for (int i = 0; i < THREADS * 2000; i++) wrong += take_int(tally_list_get(locked_a, i)) != i;
    check_int(wrong, 0);
    tally_decref(locked_a);
}

static void block_within_a_section(void *argument) {
    for (int i = 0; i < 50; i++) {
        tally_critical section;
        tally_critical_begin(&section, locked_a);
        tally_blocking_begin();
        usleep(100);
        tally_blocking_end();
        append_new(locked_a, tally_int_new(i));
        tally_critical_end(&section);
    }
}

TEST(sections_are_let_go_in_a_blocked_region) {
    locked_a = tally_list_new(0);
    run_threads(THREADS, block_within_a_section, NULL, 0);
    check_int(tally_list_length(locked_a), THREADS * 50);
    tally_decref(locked_a);
}

/* ---- mutex and condition ---- */

static tally_mutex mutex;
static tally_condition condition;
static int64_t guarded;

static void count_with_the_mutex(void *argument) {
    for (int i = 0; i < 5000; i++) {
        tally_mutex_lock(&mutex);
        int64_t value = guarded;
        tally_safepoint();
        guarded = value + 1;
        tally_mutex_unlock(&mutex);
    }
}

TEST(a_mutex_excludes_across_safepoints) {
    tally_mutex_init(&mutex);
    guarded = 0;
    run_threads(THREADS, count_with_the_mutex, NULL, 0);
    check_int(guarded, THREADS * 5000);
}

static void take_turns(void *argument) {
    int self = *(int *)argument;
    for (int i = 0; i < 200; i++) {
        tally_mutex_lock(&mutex);
        while (guarded % THREADS != self) tally_condition_wait(&condition, &mutex);
        guarded++;
        tally_condition_broadcast(&condition);
        tally_mutex_unlock(&mutex);
    }
}

TEST(a_condition_wakes_who_waits) {
    int numbers[THREADS];
    for (int i = 0; i < THREADS; i++) numbers[i] = i;
    tally_mutex_init(&mutex);
    tally_condition_init(&condition);
    guarded = 0;
    run_threads(THREADS, take_turns, numbers, sizeof numbers[0]);
    check_int(guarded, THREADS * 200);
}

static void busy_until(void *argument) {
    _Atomic int *flag = argument;
    while (atomic_load_explicit(flag, memory_order_acquire) == 0) tally_safepoint();
}

TEST(a_busy_thread_lets_others_run_at_its_safepoints) {
    _Atomic int flag = 0;
    tally_thread threads[3];
    for (int i = 0; i < 3; i++) check_int(tally_thread_start(&threads[i], busy_until, &flag), 0);
    for (int i = 0; i < 20; i++) {
        tally_memory_result memory;
        tally_memory_stats(&memory); /* stops the busy ones */
        tally_safepoint();
    }
    set_flag(&flag);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
}

TEST(the_scheme_of_ticks_lets_others_run_too) {
    check_int(tally_finish(), 0);
    check_int(tally_init(&(tally_options){.switch_ticks = 100}), 0);
    locked_a = tally_list_new(0);
    counter_a = 0;
    run_threads(THREADS, count_within_a_section, NULL, 0);
    check_int(counter_a, THREADS * 20000);
    tally_decref(locked_a);
}
