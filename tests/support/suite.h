/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * suite.h: what every test of a backend is written with.
 *
 *     TEST(name) { ... }                 on every backend
 *     TEST_IF(applies, name) { ... }     on those for which applies() is true
 *
 * Each test runs between tally_init and tally_finish, and fails if an error is pending or an
 * object alive at the end. runner.h tells how a program of tests is run.
 */
#ifndef TALLY_TESTS_SUITE_H
#define TALLY_TESTS_SUITE_H

#include <tally.h>

#include "check.h"
#include "runner.h"

#include <inttypes.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define TEST(name)             RUNNER_TEST(name, NULL, suite_run)
#define TEST_IF(applies, name) RUNNER_TEST(name, applies, suite_run)

void suite_run(void (*body)(void));

/* What a test waits for comes at once; so long only where the machine has much else to do. */
#define SUITE_PATIENCE_SECONDS 120

/* Some compilers warn about what a suite leaves unused. */
#define SUITE_HELPER __attribute__((unused)) static

/* ---- backends ---- */

int backend_is(const char *name);
int has_gil(void);
int has_generations(void);
int no_gil(void);
int is_biased(void);
int biased_without_gil(void);

/* ---- checks ---- */

void suite_check_double(const char *file, int line, const char *what, double got, double wanted);
void suite_check_error(const char *file, int line, const char *name, tally_error wanted);
void suite_check_is(const char *file, int line, const char *what, tally_object *got,
                    tally_object *wanted);
void suite_check_text(const char *file, int line, tally_object *str, const char *wanted);

/* Bit by bit: the sign of a zero counts. */
#define check_double(got, wanted) suite_check_double(__FILE__, __LINE__, #got, (got), (wanted))
/* The pending error is of this kind (TALLY_NO_ERROR: none); clears it. */
#define check_error(kind) suite_check_error(__FILE__, __LINE__, #kind, (kind))
/* A new reference to a str of this text, which is dropped. */
#define check_text(str, wanted) suite_check_text(__FILE__, __LINE__, (str), (wanted))
/* A new reference to this object, which is dropped. */
#define check_is(got, wanted) suite_check_is(__FILE__, __LINE__, #got, (got), (wanted))
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

/* ---- short names ---- */

/* Drops one reference to each, in this order. */
#define drop(...)                             \
    drop_all((tally_object *[]){__VA_ARGS__}, \
             sizeof((tally_object *[]){__VA_ARGS__}) / sizeof(tally_object *))
void drop_all(tally_object *const *objects, size_t count);

tally_object *text(const char *data);
/* The value of a new reference, which is dropped. */
int64_t take_int(tally_object *object);
double take_float(tally_object *object);
/* Appends a new reference and drops it. */
void append_new(tally_object *list, tally_object *item);
/* Sets new references and drops them. */
void set_new(tally_object *dict, tally_object *key, tally_object *value);
void attr_new(tally_object *object, tally_object *name, tally_object *value);
tally_object *list_of(int64_t first, int64_t last);
/* How often the list has the item itself. */
int times_in(tally_object *list, tally_object *item);
tally_object *pair(tally_object *a, tally_object *b);
tally_object *one_tuple(tally_object *item);
/* A class without slots. */
tally_object *class_named(const char *name);
tally_object *class_finalized(const char *name, void (*finalize)(tally_object *self));
#define class_with(class_name, ...)                           \
    tally_class_new(&(tally_class_spec){.name = (class_name), \
                                        .slots = (const char *const[]){__VA_ARGS__, NULL}})

tally_stats_result stats_now(void);

/* ---- time and threads ---- */

double now(void);

/* Lets other threads and queued work run: a blocked region of a millisecond, then a safepoint. */
void rest(void);

/* Lets other threads and queued work run until *value is wanted; 1: it became so in time. */
int wait_for(_Atomic int *value, int wanted);

/* Evaluates condition until it holds; gives up after SUITE_PATIENCE_SECONDS, and a check that
 * follows fails. poll_until is no safepoint; settle_until rests, so that what waits for a grace
 * period gets done. */
#define poll_until(condition)                                                                 \
    for (double poll_end = now() + SUITE_PATIENCE_SECONDS; !(condition) && now() < poll_end;) \
    usleep(50)
#define settle_until(condition)                                                                   \
    for (double settle_end = now() + SUITE_PATIENCE_SECONDS; !(condition) && now() < settle_end;) \
    rest()

/* How often the long loops go round: under ThreadSanitizer, 20 to 50 times slower, a tenth. */
#ifdef __SANITIZE_THREAD__
#    define SUITE_LONG(n) ((n) / 10)
#else
#    define SUITE_LONG(n) (n)
#endif

#define SUITE_MAX_THREADS 64

/* Runs count attached threads with arguments base, base + size …, and waits for their end. */
void run_threads(int count, void (*run)(void *), void *base, size_t size);

/* Runs one, and waits for its end. */
void in_thread(void (*run)(void *), void *argument);
/* Waits for a thread that was made elsewhere, in a blocked region. */
void join_blocked(pthread_t thread);

/* ---- an object whose death can be seen ---- */

extern _Atomic int suite_deaths;
void suite_count_death(tally_object *self);
int deaths(void);
void forget_deaths(void);
/* A class whose finalizer counts in suite_deaths; its slots are a and b. */
tally_object *mortal_class(void);

/* nogil/locking/turns.h */
#if TALLY_TURNS && defined TALLY_FAILPOINTS
#    define SUITE_HAS_TURNS 1
void tally_turns_force(bool turns);
#else
#    define SUITE_HAS_TURNS 0
static inline void tally_turns_force(bool turns) { (void)turns; }
#endif

#endif
