/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * patterns.h: what the nine workloads share that are named after the patterns of CPython's scaling
 * benchmark for free threading (Tools/ftscalingbench): object-cfunction, cmodule-function,
 * mult-constant, pymethod, create-pyobject, create-dict, load-string-const, load-tuple-const and
 * thread-local-read.
 *
 * Each pattern is a loop that should scale, since its threads share nothing but what a program's
 * code itself holds: modules, classes, functions, constants. There is no interpreter here. What it
 * would do with objects in an iteration is written out, in its order:
 *
 *   local variable     a C variable that holds a reference
 *   global variable    a lookup in a dict that all threads share
 *   attribute, method  tally_get_attr on the instance, its class or module
 *   function           a shared native object whose data is a C function; a
 *                      call holds a reference to it, as a frame does
 *   constant           tally_tuple_get on a shared tuple, of an immortal object
 *   int of the loop    made anew in each iteration
 *
 * CPython without a GIL makes the constants of code immortal, and defers the counts of functions,
 * classes, modules and thread-local objects. The same is asked of the run time here, on all
 * backends alike: tally_immortalize for constants, tally_defer_count for the others (a class needs
 * no asking). Only biased has an answer to the latter; atomic counts them in one word, which
 * threads contend for. workloads/experiments/python/patterns.py has the same patterns under the
 * same names.
 */
#ifndef TALLY_WORKLOADS_PATTERNS_H
#define TALLY_WORKLOADS_PATTERNS_H

#include "workload.h"

enum { PATTERN_ITERATIONS = 2048, PATTERN_PER_SAFEPOINT = 32 };

/* Each pattern defines setup and run, and its descriptor by PATTERN(variable, .name = ...). */
#define PATTERN_COMMON \
    .kind = SINGLE_OPERATIONS, .read_only = true, .not_quick = true, SHARED_STATE, .run = run
#define PATTERN(variable, ...) WORKLOAD(variable, .unit = "iterations", PATTERN_COMMON, __VA_ARGS__)

#define PATTERN_LOOP() WORKLOAD_LOOP(PATTERN_ITERATIONS, PATTERN_PER_SAFEPOINT)

typedef tally_object *(*pattern_function)(tally_object *const *arguments);

/* A literal of the program's code. */
static inline tally_object *pattern_constant(tally_object *object) {
    tally_immortalize(workload_object(object));
    return object;
}

/* What all threads use by its nature. */
static inline tally_object *pattern_shared(tally_object *object) {
    tally_defer_count(workload_object(object));
    return object;
}

/* A built-in function as an object; each has a type of its own, which is immortal. */
static inline tally_object *pattern_function_new(const char *name, pattern_function call) {
    tally_object *type =
        workload_object(tally_type_new(&(tally_type_spec){.name = name, .size = sizeof call}));
    tally_object *function = pattern_shared(tally_object_new(type, 0));
    *(pattern_function *)tally_object_data(function) = call;
    tally_decref(type);
    return function;
}

/* owner.name = value, with the caller's reference to value. */
static inline void pattern_set(tally_object *owner, tally_object *name, tally_object *value) {
    workload_done(tally_set_attr(owner, name, value));
    tally_decref(value);
}

/* owner.name(arguments): the lookup, the call, and the end of both. */
static inline tally_object *pattern_call(tally_object *owner, tally_object *name,
                                         tally_object *const *arguments) {
    tally_object *function = workload_object(tally_get_attr(owner, name));
    tally_object *result =
        workload_object((*(pattern_function *)tally_object_data(function))(arguments));
    tally_decref(function);
    return result;
}

/* *sum += value, as int objects. */
static inline void pattern_add(tally_object **sum, tally_object *value) {
    tally_object *old = *sum;
    *sum = workload_object(tally_add(old, value));
    tally_decref(old);
}

/* Drops the int, which must have the value. */
static inline void pattern_check_int(tally_object *number, int64_t known) {
    if (tally_int_value(number) != known)
        workload_fail("the result is %lld, not %lld", (long long)tally_int_value(number),
                      (long long)known);
    tally_decref(number);
}

/* Makes an object in each iteration, which replaces the one before; checks some. */
WORKLOAD_INLINE uint64_t pattern_replace(struct shared *shared,
                                         tally_object *(*make)(const struct shared *),
                                         void (*check)(const struct shared *, tally_object *)) {
    tally_object *last = make(shared);
    for (unsigned i = 1; i < PATTERN_ITERATIONS; i++) {
        tally_object *made = make(shared);
        tally_decref(last);
        last = made;
        if (i % PATTERN_PER_SAFEPOINT == 0) {
            check(shared, last);
            tally_safepoint();
        }
    }
    tally_decref(last);
    return PATTERN_ITERATIONS;
}

#endif
