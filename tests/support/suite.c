/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "suite.h"

#include "layout.h"

static const char *pending_error(void) {
    static _Thread_local char text[300];
    if (tally_error_kind() == TALLY_NO_ERROR) return "";
    snprintf(text, sizeof text, " (pending error: %d %s)", (int)tally_error_kind(),
             tally_error_message());
    return text;
}

__attribute__((constructor)) static void show_pending_error(void) { check_context = pending_error; }

void suite_run(void (*body)(void)) {
    forget_deaths();
    check_int(tally_init(NULL), 0);
    body();
    check_error(TALLY_NO_ERROR);
    check_int(tally_finish(), 0);
}

int backend_is(const char *name) { return strcmp(tally_backend(), name) == 0; }
int has_gil(void) { return !TALLY_LOCK_FREE_READS; }
/* New containers are in generation 0, and their makers collect it. */
int has_generations(void) { return has_gil() || is_biased(); }
int no_gil(void) { return !has_gil(); }
int is_biased(void) { return TALLY_REFCOUNT_HAVE_OWNERS; }
int biased_without_gil(void) { return is_biased() && no_gil(); }

void suite_check_double(const char *file, int line, const char *what, double got, double wanted) {
    if (memcmp(&got, &wanted, sizeof got) != 0)
        check_failed(file, line, "%s is %.17g, not %.17g", what, got, wanted);
}

void suite_check_error(const char *file, int line, const char *name, tally_error wanted) {
    if (tally_error_kind() != wanted)
        check_failed(file, line, "the pending error is not %s", name);
    else if (wanted != TALLY_NO_ERROR && tally_error_message()[0] == '\0')
        check_failed(file, line, "an error without a message");
    tally_error_clear();
}

void suite_check_is(const char *file, int line, const char *what, tally_object *got,
                    tally_object *wanted) {
    if (got != wanted) check_failed(file, line, "%s is another object", what);
    tally_xdecref(got);
}

void suite_check_text(const char *file, int line, tally_object *str, const char *wanted) {
    const char *got = str ? tally_str_data(str) : NULL;
    if (!got || strcmp(got, wanted) != 0)
        check_failed(file, line, "the str is %s, not %s", got ? got : "not there", wanted);
    if (!str) tally_error_clear();
    tally_xdecref(str);
}

void drop_all(tally_object *const *objects, size_t count) {
    for (size_t i = 0; i < count; i++) tally_decref(objects[i]);
}

tally_object *text(const char *data) { return tally_str_new(data, -1); }

int64_t take_int(tally_object *object) {
    if (!object) return INT64_MIN;
    int64_t value = tally_int_value(object);
    tally_decref(object);
    return value;
}

double take_float(tally_object *object) {
    if (!object) return -12345.0;
    double value = tally_float_value(object);
    tally_decref(object);
    return value;
}

void append_new(tally_object *list, tally_object *item) {
    check_int(tally_list_append(list, item), 0);
    tally_decref(item);
}

void set_new(tally_object *dict, tally_object *key, tally_object *value) {
    check_int(tally_dict_set(dict, key, value), 0);
    drop(key, value);
}

void attr_new(tally_object *object, tally_object *name, tally_object *value) {
    check_int(tally_set_attr(object, name, value), 0);
    tally_decref(value);
}

tally_object *list_of(int64_t first, int64_t last) {
    tally_object *list = tally_list_new(0);
    for (int64_t value = first; value <= last; value++) append_new(list, tally_int_new(value));
    return list;
}

int times_in(tally_object *list, tally_object *item) {
    int times = 0;
    for (ptrdiff_t i = 0; i < tally_list_length(list); i++) {
        tally_object *at = tally_list_get(list, i);
        times += at == item;
        tally_decref(at);
    }
    return times;
}

tally_object *pair(tally_object *a, tally_object *b) {
    return tally_tuple_new((tally_object *[]){a, b}, 2);
}

tally_object *one_tuple(tally_object *item) { return tally_tuple_new(&item, 1); }

tally_object *class_named(const char *name) {
    return tally_class_new(&(tally_class_spec){.name = name});
}

tally_object *class_finalized(const char *name, void (*finalize)(tally_object *self)) {
    return tally_class_new(&(tally_class_spec){.name = name, .finalize = finalize});
}

tally_stats_result stats_now(void) {
    tally_stats_result stats;
    tally_stats(&stats);
    return stats;
}

double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

void rest(void) {
    tally_blocking_begin();
    usleep(1000);
    tally_blocking_end();
    tally_safepoint();
}

int wait_for(_Atomic int *value, int wanted) {
    double end = now() + SUITE_PATIENCE_SECONDS;
    while (atomic_load_explicit(value, memory_order_acquire) != wanted) {
        if (now() > end) return 0;
        tally_safepoint();
        tally_blocking_begin();
        sched_yield();
        tally_blocking_end();
    }
    return 1;
}

void run_threads(int count, void (*run)(void *), void *base, size_t size) {
    static tally_thread threads[SUITE_MAX_THREADS];
    for (int i = 0; i < count; i++)
        check_int(tally_thread_start(&threads[i], run, (char *)base + (size_t)i * size), 0);
    for (int i = 0; i < count; i++) check_int(tally_thread_join(&threads[i]), 0);
}

void in_thread(void (*run)(void *), void *argument) {
    tally_thread thread;
    check_int(tally_thread_start(&thread, run, argument), 0);
    check_int(tally_thread_join(&thread), 0);
}

void join_blocked(pthread_t thread) {
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
}

_Atomic int suite_deaths;

void suite_count_death(tally_object *self) {
    atomic_fetch_add_explicit(&suite_deaths, 1, memory_order_release);
}

int deaths(void) { return atomic_load_explicit(&suite_deaths, memory_order_acquire); }

void forget_deaths(void) { atomic_store_explicit(&suite_deaths, 0, memory_order_relaxed); }

tally_object *mortal_class(void) {
    static const char *const slots[] = {"a", "b", NULL};
    return tally_class_new(
        &(tally_class_spec){.name = "Mortal", .slots = slots, .finalize = suite_count_death});
}
