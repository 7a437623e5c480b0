/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * suite.h: what every suite is written with. One source gives two executables:
 * Criterion tests (each in a process of its own) and, with TALLY_PLAIN_RUNNER,
 * a program that runs the tests one after the other without a library, for the
 * sanitizers under which Criterion can't start.
 *
 * Each test runs between tally_init and tally_finish, and fails if an error is
 * pending or an object alive at the end. A check that fails is printed and
 * counted, from any thread; the test goes on and fails at its end.
 */
#ifndef TALLY_TESTS_SUITE_H
#define TALLY_TESTS_SUITE_H

#include <tally.h>

#include <inttypes.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#ifndef TALLY_PLAIN_RUNNER
#    include <criterion/criterion.h>
#endif

/* A test that hangs ends by SIGALRM. */
#define SUITE_TEST_SECONDS 300
/* What a test waits for comes at once; so long only where the machine has much else to do. */
#define SUITE_PATIENCE_SECONDS 120

/* Some compilers warn about what a suite leaves unused. */
#define SUITE_HELPER __attribute__((unused)) static

static _Atomic int suite_failures;

SUITE_HELPER void suite_fail(const char *file, int line, const char *text) {
    atomic_fetch_add_explicit(&suite_failures, 1, memory_order_relaxed);
    fprintf(stderr, "%s:%d: %s\n", file, line, text);
}

SUITE_HELPER void suite_check_int(const char *file, int line, const char *what, int64_t got,
                                  int64_t wanted) {
    if (got == wanted) return;
    char text[512];
    snprintf(text, sizeof text, "%s is %" PRId64 ", not %" PRId64 " (pending error: %d %s)", what,
             got, wanted, (int)tally_error_kind(), tally_error_message());
    suite_fail(file, line, text);
}

SUITE_HELPER void suite_check_double(const char *file, int line, const char *what, double got,
                                     double wanted) {
    /* The sign of a zero counts. */
    if (memcmp(&got, &wanted, sizeof got) == 0) return;
    char text[512];
    snprintf(text, sizeof text, "%s is %.17g, not %.17g", what, got, wanted);
    suite_fail(file, line, text);
}

SUITE_HELPER void suite_check_error(const char *file, int line, const char *name,
                                    tally_error wanted) {
    tally_error got = tally_error_kind();
    if (got != wanted) {
        char text[512];
        snprintf(text, sizeof text, "the pending error is %d (%s), not %s", (int)got,
                 tally_error_message(), name);
        suite_fail(file, line, text);
    } else if (wanted != TALLY_NO_ERROR && tally_error_message()[0] == '\0') {
        suite_fail(file, line, "an error without a message");
    }
    tally_error_clear();
}

/* Takes the reference. */
SUITE_HELPER void suite_check_text(const char *file, int line, tally_object *str,
                                   const char *wanted) {
    if (!str) {
        suite_check_error(file, line, "none, where a str was expected", TALLY_NO_ERROR);
        suite_fail(file, line, "no str");
        return;
    }
    const char *got = tally_str_data(str);
    if (!got || strcmp(got, wanted) != 0) {
        char text[512];
        snprintf(text, sizeof text, "the str is %s, not %s", got ? got : "(no data)", wanted);
        suite_fail(file, line, text);
    }
    tally_decref(str);
}

#define check(expression) \
    ((expression) ? (void)0 : suite_fail(__FILE__, __LINE__, "not so: " #expression))
#define check_int(got, wanted) \
    suite_check_int(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(wanted))
#define check_double(got, wanted) suite_check_double(__FILE__, __LINE__, #got, (got), (wanted))
/* The pending error is of this kind (TALLY_NO_ERROR: none); clears it. */
#define check_error(kind) suite_check_error(__FILE__, __LINE__, #kind, (kind))
/* A new reference to a str of this text, which is dropped. */
#define check_text(str, wanted) suite_check_text(__FILE__, __LINE__, (str), (wanted))
#define check_repr(object, wanted) \
    suite_check_text(__FILE__, __LINE__, tally_repr(object), (wanted))
/* A call that must fail with this error. */
#define check_fails(call, kind) \
    do {                        \
        check_int((call), -1);  \
        check_error(kind);      \
    } while (0)
#define check_null(call, kind) \
    do {                       \
        check((call) == NULL); \
        check_error(kind);     \
    } while (0)

/* ---- short names for new objects ---- */

SUITE_HELPER tally_object *text(const char *data) { return tally_str_new(data, -1); }

/* The value of a new reference, which is dropped. */
SUITE_HELPER int64_t take_int(tally_object *object) {
    if (!object) return INT64_MIN;
    int64_t value = tally_int_value(object);
    tally_decref(object);
    return value;
}

SUITE_HELPER double take_float(tally_object *object) {
    if (!object) return -12345.0;
    double value = tally_float_value(object);
    tally_decref(object);
    return value;
}

/* Appends a new reference and drops it. */
SUITE_HELPER void append_new(tally_object *list, tally_object *item) {
    check_int(tally_list_append(list, item), 0);
    tally_decref(item);
}

/* Sets new references and drops them. */
SUITE_HELPER void set_new(tally_object *dict, tally_object *key, tally_object *value) {
    check_int(tally_dict_set(dict, key, value), 0);
    tally_decref(key);
    tally_decref(value);
}

SUITE_HELPER tally_object *list_of(int64_t first, int64_t last) {
    tally_object *list = tally_list_new(0);
    for (int64_t value = first; value <= last; value++) append_new(list, tally_int_new(value));
    return list;
}

SUITE_HELPER tally_object *pair(tally_object *a, tally_object *b) {
    tally_object *items[] = {a, b};
    return tally_tuple_new(items, 2);
}

SUITE_HELPER tally_object *one_tuple(tally_object *item) { return tally_tuple_new(&item, 1); }

SUITE_HELPER int backend_is(const char *name) { return strcmp(tally_backend(), name) == 0; }
SUITE_HELPER int has_gil(void) { return strncmp(tally_backend(), "gil", 3) == 0; }
SUITE_HELPER int is_biased(void) { return strstr(tally_backend(), "biased") != NULL; }

/* Says on which backend, and why, a test does not apply; the plain runner counts it. */
SUITE_HELPER _Atomic int suite_skips;
SUITE_HELPER void suite_skip(const char *reason) {
    printf("SKIPPED on %s: %s\n", tally_backend(), reason);
    atomic_fetch_add_explicit(&suite_skips, 1, memory_order_relaxed);
}

/* ---- time and threads ---- */

SUITE_HELPER double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec * 1e-9;
}

/* Lets other threads and queued work run until *value is wanted; 1: it became so in time. */
SUITE_HELPER int wait_for(_Atomic int *value, int wanted) {
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

/* What waits for a grace period (keys removed from a dict that others may be
 * reading) is done once condition holds; gives up after SUITE_PATIENCE_SECONDS, and a check that
 * follows fails. */
#define settle_until(condition)                              \
    for (double settle_end = now() + SUITE_PATIENCE_SECONDS; \
         !(condition) && now() < settle_end;) {              \
        tally_blocking_begin();                              \
        usleep(1000);                                        \
        tally_blocking_end();                                \
        tally_safepoint();                                   \
    }

/* How often the long loops go round: under ThreadSanitizer, 20 to 50 times slower, a tenth. */
#ifdef __SANITIZE_THREAD__
#    define SUITE_LONG(n) ((n) / 10)
#else
#    define SUITE_LONG(n) (n)
#endif

#define SUITE_MAX_THREADS 64

/* Runs count attached threads with arguments base, base + size …, and waits for their end. */
SUITE_HELPER void run_threads(int count, void (*run)(void *), void *base, size_t size) {
    static tally_thread threads[SUITE_MAX_THREADS];
    for (int i = 0; i < count; i++)
        check_int(tally_thread_start(&threads[i], run, (char *)base + (size_t)i * size), 0);
    for (int i = 0; i < count; i++) check_int(tally_thread_join(&threads[i]), 0);
}

/* ---- an object whose death can be seen ---- */

static _Atomic int suite_deaths;

SUITE_HELPER void suite_count_death(tally_object *self) {
    (void)self;
    atomic_fetch_add_explicit(&suite_deaths, 1, memory_order_release);
}

SUITE_HELPER int deaths(void) { return atomic_load_explicit(&suite_deaths, memory_order_acquire); }

/* A class whose finalizer counts in suite_deaths; its slots are a and b. */
SUITE_HELPER tally_object *mortal_class(void) {
    static const char *const slots[] = {"a", "b", NULL};
    return tally_class_new(
        &(tally_class_spec){.name = "Mortal", .slots = slots, .finalize = suite_count_death});
}

/* ---- runner ---- */

static inline void suite_run(void (*body)(void)) {
    alarm(SUITE_TEST_SECONDS);
    atomic_store_explicit(&suite_deaths, 0, memory_order_relaxed);
    check_int(tally_init(NULL), 0);
    body();
    check_error(TALLY_NO_ERROR);
    check_int(tally_finish(), 0);
    alarm(0);
}

#ifndef TALLY_PLAIN_RUNNER

#    define TALLY_TEST(suite, name)                                                   \
        static void suite##_##name(void);                                             \
        Test(suite, name) {                                                           \
            suite_run(suite##_##name);                                                \
            int failed = atomic_load_explicit(&suite_failures, memory_order_relaxed); \
            cr_assert(failed == 0, "%d checks failed", failed);                       \
        }                                                                             \
        static void suite##_##name(void)

#else

typedef struct suite_test {
    struct suite_test *next;
    const char *name;
    void (*body)(void);
} suite_test;

static suite_test *suite_first, **suite_end = &suite_first;

#    define TALLY_TEST(suite, name)                                                \
        static void suite##_##name(void);                                          \
        __attribute__((constructor)) static void suite##_##name##_register(void) { \
            static suite_test test = {NULL, #suite "/" #name, suite##_##name};     \
            *suite_end = &test;                                                    \
            suite_end = &test.next;                                                \
        }                                                                          \
        static void suite##_##name(void)

/* With arguments: only the tests whose names contain one of them. 77: all were skipped. */
int main(int count, char **words) {
    int passed = 0, failed = 0, skipped = 0;
    for (suite_test *test = suite_first; test; test = test->next) {
        int wanted = count < 2;
        for (int i = 1; i < count; i++) wanted |= strstr(test->name, words[i]) != NULL;
        if (!wanted) continue;
        printf("%s\n", test->name);
        fflush(stdout);
        atomic_store_explicit(&suite_failures, 0, memory_order_relaxed);
        atomic_store_explicit(&suite_skips, 0, memory_order_relaxed);
        suite_run(test->body);
        if (atomic_load_explicit(&suite_failures, memory_order_relaxed) == 0) {
            if (atomic_load_explicit(&suite_skips, memory_order_relaxed))
                skipped++;
            else
                passed++;
        } else {
            failed++;
            printf("%s FAILED\n", test->name);
        }
    }
    printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped);
    return failed ? 1 : passed == 0 && skipped > 0 ? 77 : 0;
}

#endif
#endif
