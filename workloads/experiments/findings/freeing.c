/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * freeing.c: how long after its last reference an object is destroyed, and what
 * waits in memory meanwhile. The thread that made an object drops it; another
 * thread drops it (with biased refcounts it then waits in its owner's queue); or it
 * refers to itself and is left to the collector.
 *
 * Each object carries 400 bytes, and its finalizer notes the time. The
 * thread that drops writes the time before the drop; the finalizer reads it afterwards.
 */
#include "experiment.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum { OWNER, OTHER, CYCLE };
enum { PAYLOAD = 400, BATCH = 64, NUMBER = 0, DATA = 1, SELF = 2 };
static const char *const variants[] = {
    [OWNER] = "owner", [OTHER] = "other", [CYCLE] = "cycle", NULL};
static const char *const fields[] = {"number", "data", "self", NULL};

static uint64_t *delays; /* when dropped, then for how long it waited */
static atomic_size_t finalized;

static struct {
    tally_mutex lock;
    tally_condition changed;
    tally_object *objects[BATCH];
    size_t first, count; /* of the first object; 0: to be filled */
    bool last;
} batch = {.lock = TALLY_MUTEX_INITIALIZER, .changed = TALLY_CONDITION_INITIALIZER};

static void note(tally_object *self) {
    tally_object *number = program_object(tally_slot_get(self, NUMBER));
    uint64_t *time = &delays[tally_int_value(number)];

    *time = program_now() - *time;
    tally_decref(number);
    atomic_fetch_add_explicit(&finalized, 1, memory_order_relaxed); /* read after a join */
}

static tally_object *make(tally_object *class_, size_t number, bool cycle) {
    static const char bytes[PAYLOAD];
    tally_object *object = program_object(tally_instance_new(class_));
    tally_object *key = program_object(tally_int_new((int64_t)number)),
                 *data = program_object(tally_str_new(bytes, PAYLOAD));

    program_done(tally_slot_set(object, NUMBER, key));
    program_done(tally_slot_set(object, DATA, data));
    if (cycle) program_done(tally_slot_set(object, SELF, object));
    tally_decref(data);
    tally_decref(key);
    return object;
}

static void drop(tally_object *object, size_t number) {
    delays[number] = program_now();
    tally_decref(object);
}

/* Drops what the other thread has made. */
static void drop_batches(void *argument) {
    bool last = false;

    (void)argument;
    while (!last) {
        tally_mutex_lock(&batch.lock);
        while (!batch.count && !batch.last) tally_condition_wait(&batch.changed, &batch.lock);
        for (size_t i = 0; i < batch.count; i++) drop(batch.objects[i], batch.first + i);
        batch.count = 0;
        last = batch.last;
        tally_condition_signal(&batch.changed);
        tally_mutex_unlock(&batch.lock);
        tally_safepoint();
    }
}

static void hand_over(tally_object *const *objects, size_t first, size_t count, bool last) {
    tally_mutex_lock(&batch.lock);
    while (batch.count) tally_condition_wait(&batch.changed, &batch.lock);
    memcpy(batch.objects, objects, count * sizeof *objects);
    batch.first = first;
    batch.count = count;
    batch.last = last;
    tally_condition_signal(&batch.changed);
    tally_mutex_unlock(&batch.lock);
}

static void make_for_other(tally_object *class_, size_t count) {
    tally_object *objects[BATCH];
    tally_thread other;

    program_done(tally_thread_start(&other, drop_batches, NULL));
    for (size_t done = 0; done < count;) {
        size_t size = count - done < BATCH ? count - done : BATCH;

        for (size_t i = 0; i < size; i++) {
            objects[i] = make(class_, done + i, false);
            tally_safepoint();
        }
        hand_over(objects, done, size, done + size == count);
        done += size;
    }
    program_done(tally_thread_join(&other));
}

static void run(unsigned variant) {
    size_t count = experiment_size(100000), before;
    tally_object *class_ = program_object(
        tally_class_new(&(tally_class_spec){.name = "Noted", .slots = fields, .finalize = note}));
    uint64_t began;

    delays = malloc(count * sizeof *delays);
    if (!delays) program_fail("no memory");
    memset(delays, 0xff, count * sizeof *delays); /* in memory, before that is measured */
    before = experiment_peak();
    began = program_now();
    if (variant == OTHER) make_for_other(class_, count);
    for (size_t i = 0; variant != OTHER && i < count; i++) {
        drop(make(class_, i, variant == CYCLE), i);
        tally_safepoint();
    }
    experiment_report("object_ns", (double)(program_now() - began) / (double)count);
    experiment_report("peak_bytes", (double)(experiment_peak() - before));
    experiment_settle();
    if (atomic_load_explicit(&finalized, memory_order_relaxed) != count)
        program_fail("objects were not destroyed");
    program_sort(delays, count);
    experiment_report("delay_p50_ns", (double)program_quantile(delays, count, 0.5));
    experiment_report("delay_p99_ns", (double)program_quantile(delays, count, 0.99));
    experiment_report("delay_longest_ns", (double)program_quantile(delays, count, 1));
    tally_decref(class_);
    free(delays);
}

const experiment freeing = {
    "freeing", "how long after its last reference an object is freed, and what waits meanwhile",
    variants, run};
