/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * borders.c: the run time at its borders. Each public function is called before
 * tally_init, by a thread that is not attached, after tally_finish, and with NULL
 * for each pointer; each call in a process of its own. It must come back, or end
 * by SIGABRT with a message of the run time; nothing else. Then fork, and attach
 * and tally_init against tally_finish, with the interleavings forced.
 *
 * Inline increfs and decrefs are left out: they cannot look, and tally.h says so.
 */
#include "child.h"
#include "instrument/failpoint.h"

/* Sizes that no memory has: malloc is to say so under a sanitizer, too. */
const char *__asan_default_options(void);
const char *__tsan_default_options(void);
const char *__asan_default_options(void) { return "allocator_may_return_null=1"; }
const char *__tsan_default_options(void) { return "allocator_may_return_null=1"; }

/* ---- what is called ---- */

static tally_object *list, *dict, *tuple, *str, *number, *class_, *slotted, *open_, *weak, *native,
    *type;
static tally_mutex mutex = TALLY_MUTEX_INITIALIZER;
static tally_condition condition = TALLY_CONDITION_INITIALIZER;
static tally_critical section;
static tally_thread thread;

static void nothing(void *unused) {}
static void gc_callback(const tally_gc_info *info, void *unused) {}

static void make_objects(void) {
    static const char *const slots[] = {"a", NULL};
    list = tally_list_new(0);
    dict = tally_dict_new();
    str = tally_str_new("text", -1);
    number = tally_float_new(1.5);
    tuple = tally_tuple_new(&number, 1);
    class_ = tally_class_new(&(tally_class_spec){.name = "Open"});
    open_ = tally_instance_new(class_);
    tally_object *other = tally_class_new(&(tally_class_spec){.name = "Slotted", .slots = slots});
    slotted = tally_instance_new(other);
    tally_slot_set(slotted, 0, number);
    weak = tally_weakref_new(open_, NULL, NULL);
    type = tally_type_new(&(tally_type_spec){.name = "native", .size = 8});
    native = tally_object_new(type, 0);
    tally_list_append(list, number);
    tally_dict_set(dict, str, number);
}

/* Before there is a run time, and after it, the only objects are these. */
static void make_singletons(void) {
    list = dict = tuple = str = number = class_ = slotted = open_ = weak = native = type =
        tally_none;
}

#define CALL(name, ...) \
    static void call_##name(void) { __VA_ARGS__; }
/* clang-format off */
#define CALLS(X)                                                                                   \
    X(init, tally_init(NULL))                                                                      \
    X(finish, tally_finish())                                                                      \
    X(backend, tally_backend())                                                                    \
    X(header_size, tally_header_size(true))                                                        \
    X(thread_start,                                                                                \
       if (tally_thread_start(&thread, nothing, NULL) == 0) tally_thread_join(&thread))            \
    X(thread_start_null, tally_thread_start(NULL, nothing, NULL))                                  \
    X(thread_start_no_function, tally_thread_start(&thread, NULL, NULL))                           \
    X(thread_join_null, tally_thread_join(NULL))                                                   \
    X(thread_attach, tally_thread_attach())                                                        \
    X(thread_detach, tally_thread_detach())                                                        \
    X(thread_detach_in_region, tally_blocking_begin(); tally_thread_detach())                      \
    X(finish_in_region, tally_blocking_begin(); tally_finish())                                    \
    X(finish_in_section, tally_critical_begin(&section, list); tally_finish())                     \
    X(safepoint, tally_safepoint())                                                                \
    X(blocking_begin, tally_blocking_begin())                                                      \
    X(blocking_end, tally_blocking_end())                                                          \
    X(critical, tally_critical_begin(&section, list); tally_critical_end(&section))                \
    X(critical_no_object, tally_critical_begin(&section, NULL))                                    \
    X(critical2, tally_critical_begin2(&section, list, dict); tally_critical_end(&section))        \
    X(critical2_no_first, tally_critical_begin2(&section, NULL, dict))                             \
    X(critical2_no_second, tally_critical_begin2(&section, list, NULL))                            \
    X(critical_end, tally_critical_end(&section))                                                  \
    X(mutex_init_null, tally_mutex_init(NULL))                                                     \
    X(mutex_lock, tally_mutex_lock(&mutex))                                                        \
    X(mutex_lock_null, tally_mutex_lock(NULL))                                                     \
    X(mutex_unlock_null, tally_mutex_unlock(NULL))                                                 \
    X(condition_init_null, tally_condition_init(NULL))                                             \
    X(condition_wait_null, tally_condition_wait(NULL, &mutex))                                     \
    X(condition_wait_no_mutex, tally_condition_wait(&condition, NULL))                             \
    X(condition_signal_null, tally_condition_signal(NULL))                                         \
    X(condition_broadcast_null, tally_condition_broadcast(NULL))                                   \
    X(xincref_null, tally_xincref(NULL); tally_xdecref(NULL))                                      \
    X(retain_nothing, tally_retain((tally_borrowed){ 0 }))                                         \
    X(refcount, tally_refcount(list))                                                              \
    X(refcount_null, tally_refcount(NULL))                                                         \
    X(is_immortal, tally_is_immortal(list))                                                        \
    X(is_immortal_null, tally_is_immortal(NULL))                                                   \
    X(immortalize, tally_immortalize(tuple))                                                       \
    X(immortalize_null, tally_immortalize(NULL))                                                   \
    X(defer_count, tally_defer_count(list))                                                        \
    X(defer_count_null, tally_defer_count(NULL))                                                   \
    X(type_of, tally_type_of(list))                                                                \
    X(type_of_null, tally_type_of(NULL))                                                           \
    X(type_name, tally_type_name(list))                                                            \
    X(type_name_null, tally_type_name(NULL))                                                       \
    X(hash, tally_hash(str))                                                                       \
    X(hash_null, tally_hash(NULL))                                                                 \
    X(equal, tally_equal(list, dict))                                                              \
    X(equal_null, tally_equal(NULL, list))                                                         \
    X(equal_no_second, tally_equal(list, NULL))                                                    \
    X(equal_str_null, tally_equal(str, NULL))                                                      \
    X(equal_number_null, tally_equal(number, NULL))                                                \
    X(compare, int order; tally_compare(number, number, &order))                                   \
    X(compare_null, int order; tally_compare(NULL, number, &order))                                \
    X(compare_no_second, int order; tally_compare(number, NULL, &order))                           \
    X(compare_no_place, tally_compare(number, number, NULL))                                       \
    X(repr, tally_repr(list))                                                                      \
    X(repr_null, tally_repr(NULL))                                                                 \
    X(sizeof, tally_sizeof(list))                                                                  \
    X(sizeof_null, tally_sizeof(NULL))                                                             \
    X(add, tally_add(number, number))                                                              \
    X(add_null, tally_add(NULL, number))                                                           \
    X(add_no_second, tally_add(number, NULL))                                                      \
    X(add_list_null, tally_add(list, NULL))                                                        \
    X(add_str_null, tally_add(str, NULL))                                                          \
    X(subtract_null, tally_subtract(NULL, NULL))                                                   \
    X(multiply_null, tally_multiply(NULL, NULL))                                                   \
    X(divide_null, tally_divide(NULL, NULL))                                                       \
    X(floor_divide_null, tally_floor_divide(NULL, NULL))                                           \
    X(remainder_null, tally_remainder(NULL, NULL))                                                 \
    X(int_new, tally_int_new(100000))                                                              \
    X(int_new_small, tally_int_new(1))                                                             \
    X(int_value, tally_int_value(number))                                                          \
    X(int_value_null, tally_int_value(NULL))                                                       \
    X(float_new, tally_float_new(2.5))                                                             \
    X(float_value, tally_float_value(number))                                                      \
    X(float_value_null, tally_float_value(NULL))                                                   \
    X(str_new, tally_str_new("other text", -1))                                                    \
    X(str_new_letter, tally_str_new("x", -1))                                                      \
    X(str_new_null, tally_str_new(NULL, -1))                                                       \
    X(str_new_null_bytes, tally_str_new(NULL, 10))                                                 \
    X(str_data, tally_str_data(str))                                                               \
    X(str_data_null, tally_str_data(NULL))                                                         \
    X(str_length, tally_str_length(str))                                                           \
    X(str_length_null, tally_str_length(NULL))                                                     \
    X(str_intern, tally_str_intern(str))                                                           \
    X(str_intern_null, tally_str_intern(NULL))                                                     \
    X(tuple_new, tally_tuple_new(&number, 1))                                                      \
    X(tuple_new_empty, tally_tuple_new(NULL, 0))                                                   \
    X(tuple_new_null, tally_tuple_new(NULL, 1))                                                    \
    X(tuple_get, tally_tuple_get(tuple, 0))                                                        \
    X(tuple_get_null, tally_tuple_get(NULL, 0))                                                    \
    X(tuple_length, tally_tuple_length(tuple))                                                     \
    X(tuple_length_null, tally_tuple_length(NULL))                                                 \
    X(list_new, tally_list_new(10))                                                                \
    X(list_append, tally_list_append(list, number))                                                \
    X(list_append_null, tally_list_append(NULL, number))                                           \
    X(list_get, tally_list_get(list, 0))                                                           \
    X(list_get_null, tally_list_get(NULL, 0))                                                      \
    X(list_borrow, tally_list_borrow(list, 0))                                                     \
    X(list_borrow_null, tally_list_borrow(NULL, 0))                                                \
    X(list_set, tally_list_set(list, 0, number))                                                   \
    X(list_set_null, tally_list_set(NULL, 0, number))                                              \
    X(list_insert, tally_list_insert(list, 0, number))                                             \
    X(list_insert_null, tally_list_insert(NULL, 0, number))                                        \
    X(list_pop, tally_list_pop(list, -1))                                                          \
    X(list_pop_null, tally_list_pop(NULL, -1))                                                     \
    X(list_extend, tally_list_extend(list, tuple))                                                 \
    X(list_extend_null, tally_list_extend(NULL, tuple))                                            \
    X(list_extend_no_second, tally_list_extend(list, NULL))                                        \
    X(list_clear, tally_list_clear(list))                                                          \
    X(list_clear_null, tally_list_clear(NULL))                                                     \
    X(list_length, tally_list_length(list))                                                        \
    X(list_length_null, tally_list_length(NULL))                                                   \
    X(dict_new, tally_dict_new())                                                                  \
    X(dict_get, tally_dict_get(dict, str))                                                         \
    X(dict_get_null, tally_dict_get(NULL, str))                                                    \
    X(dict_borrow, tally_dict_borrow(dict, str))                                                   \
    X(dict_borrow_null, tally_dict_borrow(NULL, str))                                              \
    X(dict_set, tally_dict_set(dict, number, str))                                                 \
    X(dict_set_null, tally_dict_set(NULL, number, str))                                            \
    X(dict_delete, tally_dict_delete(dict, str))                                                   \
    X(dict_delete_null, tally_dict_delete(NULL, str))                                              \
    X(dict_contains, tally_dict_contains(dict, str))                                               \
    X(dict_contains_null, tally_dict_contains(NULL, str))                                          \
    X(dict_set_default, tally_dict_set_default(dict, number, str))                                 \
    X(dict_set_default_null, tally_dict_set_default(NULL, number, str))                            \
    X(dict_next, ptrdiff_t at = 0; tally_dict_next(dict, &at, NULL, NULL))                         \
    X(dict_next_null, ptrdiff_t at = 0; tally_dict_next(NULL, &at, NULL, NULL))                    \
    X(dict_next_no_place, tally_dict_next(dict, NULL, NULL, NULL))                                 \
    X(dict_clear, tally_dict_clear(dict))                                                          \
    X(dict_clear_null, tally_dict_clear(NULL))                                                     \
    X(dict_length, tally_dict_length(dict))                                                        \
    X(dict_length_null, tally_dict_length(NULL))                                                   \
    X(class_new, tally_class_new(&(tally_class_spec){ .name = "C" }))                              \
    X(class_new_null, tally_class_new(NULL))                                                       \
    X(class_new_no_name, tally_class_new(&(tally_class_spec){ 0 }))                                \
    X(instance_new, tally_instance_new(class_))                                                    \
    X(instance_new_null, tally_instance_new(NULL))                                                 \
    X(get_attr, tally_get_attr(open_, str))                                                        \
    X(get_attr_null, tally_get_attr(NULL, str))                                                    \
    X(get_attr_no_name, tally_get_attr(open_, NULL))                                               \
    X(set_attr, tally_set_attr(open_, str, number))                                                \
    X(set_attr_null, tally_set_attr(NULL, str, number))                                            \
    X(set_attr_no_name, tally_set_attr(open_, NULL, number))                                       \
    X(set_attr_no_value, tally_set_attr(open_, str, NULL))                                         \
    X(delete_attr, tally_delete_attr(open_, str))                                                  \
    X(delete_attr_null, tally_delete_attr(NULL, str))                                              \
    X(delete_attr_no_name, tally_delete_attr(open_, NULL))                                         \
    X(slot_get, tally_slot_get(slotted, 0))                                                        \
    X(slot_borrow, tally_slot_borrow(slotted, 0))                                                  \
    X(slot_set, tally_slot_set(slotted, 0, str))                                                   \
    X(slot_set_empty, tally_slot_set(slotted, 0, NULL))                                            \
    X(type_new, tally_type_new(&(tally_type_spec){ .name = "n", .size = 8 }))                      \
    X(type_new_null, tally_type_new(NULL))                                                         \
    X(type_new_no_name, tally_type_new(&(tally_type_spec){ 0 }))                                   \
    X(object_new, tally_object_new(type, 0))                                                       \
    X(object_new_null, tally_object_new(NULL, 0))                                                  \
    X(object_data, tally_object_data(native))                                                      \
    X(object_data_null, tally_object_data(NULL))                                                   \
    X(weakref_new, tally_weakref_new(open_, NULL, NULL))                                           \
    X(weakref_new_null, tally_weakref_new(NULL, NULL, NULL))                                       \
    X(weakref_get, tally_weakref_get(weak))                                                        \
    X(weakref_get_null, tally_weakref_get(NULL))                                                   \
    X(weakref_count, tally_weakref_count(open_))                                                   \
    X(weakref_count_null, tally_weakref_count(NULL))                                               \
    X(weakref_list, tally_weakref_list(open_))                                                     \
    X(weakref_list_null, tally_weakref_list(NULL))                                                 \
    X(gc_collect, tally_gc_collect(2))                                                             \
    X(gc_enable, tally_gc_enable(); tally_gc_disable(); tally_gc_is_enabled())                     \
    X(gc_get_threshold, int t[3]; tally_gc_get_threshold(t); tally_gc_set_threshold(t))            \
    X(gc_get_threshold_null, tally_gc_get_threshold(NULL))                                         \
    X(gc_set_threshold_null, tally_gc_set_threshold(NULL))                                         \
    X(gc_get_count, int c[3]; tally_gc_get_count(c))                                               \
    X(gc_get_count_null, tally_gc_get_count(NULL))                                                 \
    X(gc_get_stats, tally_gc_generation_stats s[3]; tally_gc_get_stats(s))                         \
    X(gc_get_stats_null, tally_gc_get_stats(NULL))                                                 \
    X(gc_get_objects, tally_gc_get_objects(-1))                                                    \
    X(gc_get_referrers, tally_gc_get_referrers(list))                                              \
    X(gc_get_referrers_null, tally_gc_get_referrers(NULL))                                         \
    X(gc_get_referents, tally_gc_get_referents(list))                                              \
    X(gc_get_referents_null, tally_gc_get_referents(NULL))                                         \
    X(gc_is_tracked, tally_gc_is_tracked(list))                                                    \
    X(gc_is_tracked_null, tally_gc_is_tracked(NULL))                                               \
    X(gc_is_finalized, tally_gc_is_finalized(list))                                                \
    X(gc_is_finalized_null, tally_gc_is_finalized(NULL))                                           \
    X(gc_freeze, tally_gc_freeze())                                                                \
    X(gc_unfreeze, tally_gc_unfreeze())                                                            \
    X(gc_freeze_count, tally_gc_freeze_count())                                                    \
    X(gc_immortalize_heap, tally_gc_immortalize_heap())                                            \
    X(gc_debug, tally_gc_set_debug(tally_gc_get_debug()))                                          \
    X(gc_garbage, tally_gc_garbage())                                                              \
    X(gc_add_callback, tally_gc_add_callback(gc_callback, NULL))                                   \
    X(gc_add_callback_null, tally_gc_add_callback(NULL, NULL); tally_gc_collect(2))                \
    X(gc_remove_callback, tally_gc_remove_callback(gc_callback, NULL))                             \
    X(stats, tally_stats_result r; tally_stats(&r))                                                \
    X(stats_null, tally_stats(NULL))                                                               \
    X(memory_stats, tally_memory_result r; tally_memory_stats(&r))                                 \
    X(memory_stats_null, tally_memory_stats(NULL))                                                 \
    X(heap_census,                                                                                 \
       tally_census_row *rows = NULL; size_t n; tally_heap_census(&rows, &n); free(rows))          \
    X(heap_census_null, size_t n; tally_heap_census(NULL, &n))                                     \
    X(heap_census_no_count, tally_census_row *rows; tally_heap_census(&rows, NULL))                \
    X(heap_ledger, tally_ledger_result r; tally_heap_ledger(&r))                                   \
    X(heap_ledger_null, tally_heap_ledger(NULL))                                                   \
    X(heap_snapshot, tally_heap_snapshot("/dev/null/not/there", NULL))                             \
    X(heap_snapshot_null, tally_heap_snapshot(NULL, NULL))                                         \
    X(heap_snapshot_file_null, tally_heap_snapshot_file(NULL, NULL))                               \
    X(contention,                                                                                  \
       tally_contention_row *rows = NULL; size_t n; tally_contention(&rows, &n); free(rows))       \
    X(contention_null, size_t n; tally_contention(NULL, &n))                                       \
    X(contention_no_count, tally_contention_row *rows; tally_contention(&rows, NULL))              \
    X(trace_start, tally_trace_start(100))                                                         \
    X(trace_write_null, tally_trace_start(100); tally_trace_write(NULL))                           \
    X(trace_write, tally_trace_write("/dev/null/not/there"))                                       \
    X(trace_dropped, tally_trace_dropped())                                                        \
    X(errors,                                                                                      \
       tally_error_kind(); tally_error_message(); tally_error_clear();                             \
       tally_error_set(TALLY_VALUE_ERROR, "text"))
/* clang-format on */
CALLS(CALL)

static const struct {
    const char *name;
    void (*call)(void);
} calls[] = {
#define ENTRY(name, ...) {#name, call_##name},
    CALLS(ENTRY)};

/* ---- where from ---- */

static void before_init(void) { make_singletons(); }
static void attached(void) {
    if (tally_init(NULL) < 0) _exit(3);
    make_objects();
}
static void unattached(void) {
    attached();
    tally_thread_detach();
}
static void after_finish(void) {
    attached();
    tally_finish();
    make_singletons();
}

static void call_all(const char *where, void (*prepare)(void)) {
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        child_end end = run_child(prepare, calls[i].call);
        check_that(aborted(&end) || (WIFEXITED(end.status) && WEXITSTATUS(end.status) == 0),
                   "%s, %s: %s %d: %.600s", where, calls[i].name, CHILD_END(&end));
    }
}

/* These begin and end the run time themselves. */
static void run_bare(void (*body)(void)) {
    body();
    check_int(tally_failpoint_reset(), 0);
}
#define BARE_TEST(name) RUNNER_TEST(name, NULL, run_bare)

BARE_TEST(calls_before_init_come_back_or_abort) { call_all("before tally_init", before_init); }
BARE_TEST(calls_by_an_attached_thread_come_back_or_abort) { call_all("attached", attached); }
BARE_TEST(calls_by_a_thread_that_is_not_attached_come_back_or_abort) {
    call_all("not attached", unattached);
}
BARE_TEST(calls_after_finish_come_back_or_abort) { call_all("after tally_finish", after_finish); }

/* ---- fork ---- */

static void churn(void) {
    tally_object *l = tally_list_new(0), *d = tally_dict_new();
    for (int i = 0; i < 20000; i++) {
        tally_object *key = tally_int_new(100000 + i);
        check(tally_list_append(l, key) == 0 && tally_dict_set(d, key, key) == 0);
        tally_decref(key);
        tally_safepoint();
    }
    check(tally_list_clear(l) == 0 && tally_dict_clear(d) == 0);
    tally_decref(l);
    tally_decref(d);
    check(tally_gc_collect(2) >= 0);
}
static void churn_in_thread(void *unused) { churn(); }

/* The exit status of a fork's child that calls. */
static int status_of_fork(void (*call)(void)) {
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        alarm(60);
        call();
        _exit(check_failures() != 0);
    }
    int status = wait_for_child(child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* ThreadSanitizer lets no child of a process with several threads start one; the run time has one
 * of its own. */
#if defined(__SANITIZE_THREAD__)
enum { THREADS_IN_CHILD = 0 };
#else
enum { THREADS_IN_CHILD = 1 };
#endif

static void go_on(void) {
    churn();
    if (THREADS_IN_CHILD) {
        tally_thread one;
        check(tally_thread_start(&one, churn_in_thread, NULL) == 0 && tally_thread_join(&one) == 0);
    }
    check(tally_finish() == 0);
    if (THREADS_IN_CHILD) check(tally_init(NULL) == 0 && tally_finish() == 0);
}
static void go_on_in_region(void) {
    tally_blocking_end();
    go_on();
}
static void attach_and_go_on(void) {
    check(tally_thread_attach() == 0);
    go_on();
}
static void go_on_and_fork(void) {
    churn();
    check(status_of_fork(go_on) == 0);
    go_on();
}

BARE_TEST(fork_of_the_only_thread) {
    check(tally_init(NULL) == 0);
    churn(); /* things wait for a grace period */
    check(status_of_fork(go_on) == 0);
    check(status_of_fork(go_on_and_fork) == 0);
    tally_blocking_begin();
    check(status_of_fork(go_on_in_region) == 0);
    tally_blocking_end();
    churn();
    tally_thread_detach();
    check(status_of_fork(attach_and_go_on) == 0);
    check(tally_thread_attach() == 0);
    check(tally_finish() == 0);
}

static _Atomic int here, leave;
static void stay(void *unused) {
    atomic_store(&here, 1);
    while (!atomic_load(&leave)) {
        tally_safepoint();
        tally_blocking_begin();
        usleep(1000);
        tally_blocking_end();
    }
}

static void all_fail(void) {
    check(tally_thread_attach() < 0 && strstr(tally_error_message(), "forked"));
    check(tally_init(NULL) < 0 && strstr(tally_error_message(), "forked"));
    /* No lock that another thread may have held is waited for. */
    freopen("/dev/null", "w", stderr);
    tally_list_new(0);
}
static void do_nothing(void) {}

BARE_TEST(fork_beside_another_thread) {
    check(tally_init(NULL) == 0);
    check(tally_thread_start(&thread, stay, NULL) == 0);
    tally_blocking_begin();
    while (!atomic_load(&here)) usleep(100);
    tally_blocking_end();
    check(status_of_fork(do_nothing) == 0);
    check(status_of_fork(all_fail) == 128 + SIGABRT);
    atomic_store(&leave, 1);
    check(tally_thread_join(&thread) == 0);
    check(status_of_fork(go_on) == 0);
    churn();
    check(tally_finish() == 0);
}

BARE_TEST(fork_without_a_run_time) {
    check(status_of_fork(do_nothing) == 0);
    check(tally_init(NULL) == 0 && tally_finish() == 0);
    pid_t child = fork();
    if (child == 0) _exit(tally_init(NULL) == 0 && tally_finish() == 0 ? 0 : 1);
    int status;
    check(waitpid(child, &status, 0) == child && WIFEXITED(status) &&
          (!THREADS_IN_CHILD || WEXITSTATUS(status) == 0));
}

/* ---- attach and init against the end, forced ---- */

enum { STRANGER = 1, ENDER = 2 };
static _Atomic int result;

static void *attach_held(void *unused) {
    tally_failpoint_role(STRANGER);
    int failed = tally_thread_attach();
    atomic_store(&result, failed ? (int)tally_error_kind() : -1);
    if (!failed) tally_thread_detach();
    return NULL;
}
static void *init_held(void *unused) {
    int failed = tally_init(NULL);
    atomic_store(&result, failed ? (int)tally_error_kind() : -1);
    return NULL;
}
static void *end_held(void *unused) {
    tally_failpoint_role(ENDER);
    check(tally_init(NULL) == 0);
    check(tally_finish() == 0);
    return NULL;
}

BARE_TEST(attach_comes_when_all_is_gone) {
    pthread_t stranger;
    check(tally_init(NULL) == 0);
    tally_failpoint_hold(STRANGER, "attach");
    pthread_create(&stranger, NULL, attach_held, NULL);
    check(tally_failpoint_await(STRANGER, "attach"));
    check(tally_finish() == 0);
    tally_failpoint_release(STRANGER, "attach");
    pthread_join(stranger, NULL);
    check(atomic_load(&result) == TALLY_RUNTIME_ERROR);
    check(tally_init(NULL) == 0 && tally_finish() == 0);
}

static void attach_comes_at_the_end(const char *point, void *(*comes)(void *)) {
    pthread_t ender, stranger;
    tally_failpoint_hold(ENDER, point);
    pthread_create(&ender, NULL, end_held, NULL);
    check(tally_failpoint_await(ENDER, point));
    pthread_create(&stranger, NULL, comes, NULL);
    pthread_join(stranger, NULL);
    check(atomic_load(&result) == TALLY_RUNTIME_ERROR);
    tally_failpoint_release(ENDER, point);
    pthread_join(ender, NULL);
    check(tally_init(NULL) == 0 && tally_finish() == 0);
}
BARE_TEST(attach_comes_while_it_ends) { attach_comes_at_the_end("ending", attach_held); }
BARE_TEST(attach_comes_before_it_has_ended) { attach_comes_at_the_end("ended", attach_held); }
BARE_TEST(init_comes_while_it_ends) { attach_comes_at_the_end("ending", init_held); }
BARE_TEST(init_comes_before_it_has_ended) { attach_comes_at_the_end("ended", init_held); }

static int ends;
static void end_in_finalizer(tally_object *self) {
    check(tally_finish() < 0);
    tally_error_clear();
    check(tally_thread_start(&thread, nothing, NULL) < 0);
    check(tally_error_kind() == TALLY_RUNTIME_ERROR);
    tally_error_clear();
    ends++;
}
BARE_TEST(finish_in_what_finish_runs) {
    check(tally_init(NULL) == 0);
    tally_object *c = class_finalized("Last", end_in_finalizer);
    tally_object *garbage = tally_gc_garbage(), *o = tally_instance_new(c);
    tally_list_append(garbage, o);
    tally_decref(o);
    tally_decref(garbage);
    tally_decref(c);
    check(tally_finish() == 0 && ends == 1);
}

BARE_TEST(impossible_types) {
    check(tally_init(NULL) == 0);
    for (unsigned flag = 4; flag; flag <<= 1) {
        check(!tally_type_new(&(tally_type_spec){.name = "t", .size = 8, .flags = flag}));
        check(tally_error_kind() == TALLY_VALUE_ERROR);
    }
    static const size_t sizes[] = {SIZE_MAX,     SIZE_MAX - 7, SIZE_MAX - 64,
                                   SIZE_MAX / 2, PTRDIFF_MAX,  (size_t)PTRDIFF_MAX - 64};
    for (unsigned flags = 0; flags < 4; flags++)
        for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
            check(
                !tally_type_new(&(tally_type_spec){.name = "t", .size = sizes[i], .flags = flags}));
            check(tally_error_kind() == TALLY_VALUE_ERROR);
        }
    for (unsigned flags = 0; flags < 4; flags++) {
        tally_object *t =
            tally_type_new(&(tally_type_spec){.name = "t", .size = 24, .flags = flags});
        static const ptrdiff_t extra[] = {PTRDIFF_MAX, PTRDIFF_MAX - 64, PTRDIFF_MAX / 2};
        for (int i = 0; i < 3; i++) {
            check(!tally_object_new(t, extra[i]));
            check(tally_error_kind() == TALLY_MEMORY_ERROR);
        }
        check(!tally_object_new(t, -1) && tally_error_kind() == TALLY_VALUE_ERROR);
        tally_error_clear();
        tally_object *o = tally_object_new(t, 1000);
        check(o);
        memset(tally_object_data(o), 1, 1024);
        tally_decref(o);
    }
    /* What the memory does not have is refused by the object. */
    tally_object *t = tally_type_new(&(tally_type_spec){.name = "t", .size = (size_t)1 << 60});
    check(t && !tally_object_new(t, 0) && tally_error_kind() == TALLY_MEMORY_ERROR);
    check(tally_finish() == 0);
}
