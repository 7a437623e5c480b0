/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * key-value: one dict is a store that all threads use: 90 % reads, 8 % writes, 2 % deletes, and a
 * few keys are asked for most of the time, as Zipf's law has it. It stands for caches and session
 * stores in front of a database.
 *
 * Every value names its key: a str that begins with it, or a tuple of it and a version. So a value
 * of another key, or one freed under a reader, is found out. A write is a critical section, which
 * tells whether the key is new: the keys at the end are those at the start, and those inserted less
 * those deleted.
 */
#include "workload.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

enum { KEYS = 4096, DRAWS = 1 << 16, OPERATIONS = 2048, PER_SAFEPOINT = 32 };
enum { WRITES_PERCENT = 8, DELETES_PERCENT = 2 };

/* As the Yahoo Cloud Serving Benchmark has it. */
#define EXPONENT 0.99

struct shared {
    tally_object *store;
    tally_object *keys[KEYS];   /* the most wanted first */
    uint16_t draws[DRAWS];      /* a key as often as it is wanted */
    atomic_int_fast64_t length; /* what the store should have */
};

struct local {
    uint64_t seed;
    int64_t version;
    int64_t inserted, deleted;
};

/* ---- the values --------------------------------------------------------- */

/* Odd versions are strs, even ones tuples. */
static tally_object *make_value(tally_object *key, int64_t version) {
    char text[64];
    if (version % 2 != 0) {
        snprintf(text, sizeof text, "%s=%lld", tally_str_data(key), (long long)version);
        return workload_object(tally_str_new(text, -1));
    }
    tally_object *number = workload_object(tally_int_new(version));
    tally_object *pair = workload_object(tally_tuple_new((tally_object *[]){key, number}, 2));
    tally_decref(number);
    return pair;
}

static bool is_of(tally_object *value, tally_object *key) {
    size_t length = (size_t)tally_str_length(key);
    if (strcmp(tally_type_name(value), "tuple") != 0) {
        const char *text = tally_str_data(value);
        return strncmp(text, tally_str_data(key), length) == 0 && text[length] == '=';
    }
    tally_object *named = workload_object(tally_tuple_get(value, 0));
    tally_decref(named); /* the tuple holds it */
    return named == key;
}

/* ---- the three operations ----------------------------------------------- */

static void read_key(const struct shared *shared, tally_object *key) {
    tally_object *value = tally_dict_get(shared->store, key);
    if (value == NULL) {
        if (tally_error_kind() != TALLY_NO_ERROR)
            workload_fail("cannot read a key: %s", tally_error_message());
        return;
    }
    if (!is_of(value, key)) workload_fail("key %s has the value of another", tally_str_data(key));
    tally_decref(value);
}

static void write_key(const struct shared *shared, struct local *local, tally_object *key) {
    tally_object *value = make_value(key, ++local->version);
    tally_critical section;
    tally_critical_begin(&section, shared->store);
    local->inserted += workload_done(tally_dict_contains(shared->store, key)) == 0;
    workload_done(tally_dict_set(shared->store, key, value));
    tally_critical_end(&section);
    tally_decref(value);
}

static void delete_key(const struct shared *shared, struct local *local, tally_object *key) {
    if (tally_dict_delete(shared->store, key) == 0) {
        local->deleted++;
        return;
    }
    if (tally_error_kind() != TALLY_KEY_ERROR)
        workload_fail("cannot delete a key: %s", tally_error_message());
    tally_error_clear();
}

/* ---- the workload ------------------------------------------------------- */

/* Key i is wanted in proportion to 1 / (i + 1)^EXPONENT. */
static void make_draws(struct shared *shared) {
    double all = 0, sum = 0;
    unsigned draw = 0;
    for (unsigned i = 0; i < KEYS; i++) all += pow(i + 1, -EXPONENT);
    for (unsigned i = 0; i < KEYS; i++) {
        sum += pow(i + 1, -EXPONENT);
        while (draw < DRAWS && draw + 0.5 < sum / all * DRAWS) shared->draws[draw++] = (uint16_t)i;
    }
    while (draw < DRAWS) shared->draws[draw++] = KEYS - 1;
}

static void setup(struct shared *shared, const workload_context *context) {
    make_draws(shared);
    shared->store = workload_keep(context, tally_dict_new(), 1);
    for (unsigned i = 0; i < KEYS; i++) {
        shared->keys[i] = workload_keep(context, workload_key(i), ANY_HOLDERS);
        workload_dict_put(shared->store, shared->keys[i], make_value(shared->keys[i], i));
    }
    atomic_init(&shared->length, KEYS);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = workload_seed(context);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    WORKLOAD_LOOP(OPERATIONS, PER_SAFEPOINT) {
        uint64_t random = workload_random(&local->seed);
        tally_object *key = shared->keys[shared->draws[random % DRAWS]];
        unsigned percent = (random >> 32) % 100;
        if (percent < WRITES_PERCENT)
            write_key(shared, local, key);
        else if (percent < WRITES_PERCENT + DELETES_PERCENT)
            delete_key(shared, local, key);
        else
            read_key(shared, key);
    }
    return OPERATIONS;
}

/* Relaxed: a plain sum, read when all workers are joined. */
static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    atomic_fetch_add_explicit(&shared->length, local->inserted - local->deleted,
                              memory_order_relaxed);
}

static void teardown(struct shared *shared, const workload_context *context) {
    int64_t length = atomic_load_explicit(&shared->length, memory_order_relaxed);
    ptrdiff_t position = 0, found = 0;
    tally_object *key, *value;
    if (tally_dict_length(shared->store) != length)
        workload_fail("the store has %td keys, not %lld", tally_dict_length(shared->store),
                      (long long)length);
    while (workload_done(tally_dict_next(shared->store, &position, &key, &value)) == 1) {
        if (!is_of(value, key))
            workload_fail("key %s has the value of another", tally_str_data(key));
        found++;
        tally_decref(key);
        tally_decref(value);
    }
    if (found != length) workload_fail("found %td keys of %lld", found, (long long)length);
}

WORKLOAD(key_value, .name = "key-value", .kind = PROGRAMS,
         .description = "One dict as a store, 90 % reads, 8 % writes, 2 % deletes, few keys "
                        "hot: caches, sessions.",
         .unit = "operations", .shares = true, .not_quick = true, SHARED_STATE, LOCAL_STATE,
         .setup = setup, .enter = enter, .run = run, .leave = leave, .teardown = teardown);
