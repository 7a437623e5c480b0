/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * handoff: objects made by one thread and dropped by another. It stands for pipelines and queues of
 * requests, and is the hard case of biased refcounts and of one heap per thread: the last reference
 * goes where the object does not belong.
 *
 * The workers stand in a circle. Each makes a batch and puts it into the bounded ring to its
 * successor, then takes a batch from its predecessor and drops it. A single worker is its own
 * successor. Since each puts and takes in turn, a worker is never more than the ring's capacity
 * ahead of the next, and a circle of waiting workers is impossible.
 */
#include "workload.h"

#include <string.h>

enum { BATCH = 32, BATCHES = 16, BATCHES_PER_RUN = 32 };

struct ring {
    alignas(WORKLOAD_LINE) tally_mutex mutex; /* guards all below */
    tally_condition changed;
    unsigned count; /* of full batches, the first of them at `first` */
    unsigned first;
    tally_object *batches[BATCHES][BATCH];
};

struct shared {
    struct ring *rings; /* rings[i]: from worker i to its successor */
};

struct local {
    struct ring *out, *in;
    bool put; /* the next thing to do is to put; else to take */
    int64_t next;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->rings = workload_memory(context, context->workers * sizeof *shared->rings);
    for (unsigned i = 0; i < context->workers; i++) {
        tally_mutex_init(&shared->rings[i].mutex);
        tally_condition_init(&shared->rings[i].changed);
    }
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->out = &shared->rings[context->worker];
    local->in = &shared->rings[(context->worker + context->workers - 1) % context->workers];
    local->put = true;
    local->next = INT64_C(1) << 20; /* past the small ints */
}

/* Waits, with the mutex held, while the ring has `count` batches. False: the sample is over, and
 * the thread that was to change it may have stopped. */
static bool wait_while(struct ring *ring, unsigned count, const atomic_bool *stop) {
    while (ring->count == count) {
        /* Relaxed: wake() is called after the store and takes the mutex. */
        if (atomic_load_explicit(stop, memory_order_relaxed)) return false;
        tally_condition_wait(&ring->changed, &ring->mutex);
    }
    return true;
}

/* Both move pointers only while they hold the mutex: objects are made and dropped outside. */
static bool put(struct local *local, const atomic_bool *stop) {
    struct ring *ring = local->out;
    tally_object *batch[BATCH];
    bool room;
    for (unsigned i = 0; i < BATCH; i++) batch[i] = workload_object(tally_int_new(local->next + i));
    tally_mutex_lock(&ring->mutex);
    if ((room = wait_while(ring, BATCHES, stop))) {
        memcpy(ring->batches[(ring->first + ring->count) % BATCHES], batch, sizeof batch);
        ring->count++;
        tally_condition_signal(&ring->changed);
    }
    tally_mutex_unlock(&ring->mutex);
    if (room)
        local->next += BATCH;
    else
        for (unsigned i = 0; i < BATCH; i++) tally_decref(batch[i]);
    return room;
}

static bool take(struct local *local, const atomic_bool *stop) {
    struct ring *ring = local->in;
    tally_object *batch[BATCH];
    bool full;
    tally_mutex_lock(&ring->mutex);
    if ((full = wait_while(ring, 0, stop))) {
        memcpy(batch, ring->batches[ring->first], sizeof batch);
        ring->first = (ring->first + 1) % BATCHES;
        ring->count--;
        tally_condition_signal(&ring->changed);
    }
    tally_mutex_unlock(&ring->mutex);
    if (!full) return false;
    int64_t first = tally_int_value(batch[0]);
    for (unsigned i = 0; i < BATCH; i++) {
        if (tally_int_value(batch[i]) != first + i)
            workload_fail("object %u of a batch has changed on its way", i);
        tally_decref(batch[i]);
    }
    return true;
}

/* One operation is an object made, handed over and dropped; it counts where it is dropped. */
static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t dropped = 0;
    while (dropped < BATCHES_PER_RUN * BATCH) {
        if (!(local->put ? put(local, context->stop) : take(local, context->stop))) break;
        if (!local->put) dropped += BATCH;
        local->put = !local->put;
        tally_safepoint();
    }
    return dropped;
}

static void wake(struct shared *shared, const workload_context *context) {
    for (unsigned i = 0; i < context->workers; i++) {
        tally_mutex_lock(&shared->rings[i].mutex);
        tally_condition_broadcast(&shared->rings[i].changed);
        tally_mutex_unlock(&shared->rings[i].mutex);
    }
}

/* The makers have all ended by now: this also drops objects of dead threads. */
static void teardown(struct shared *shared, const workload_context *context) {
    for (unsigned i = 0; i < context->workers; i++) {
        struct ring *ring = &shared->rings[i];
        for (; ring->count > 0; ring->count--, ring->first = (ring->first + 1) % BATCHES)
            workload_check_and_drop(ring->batches[ring->first], BATCH, 1);
    }
}

WORKLOAD(handoff, .name = "handoff",
         .description =
             "Objects made by one thread and dropped by another: pipelines, queues of requests.",
         .unit = "objects", .kind = SHARED_OBJECTS, SHARED_STATE, LOCAL_STATE, .setup = setup,
         .enter = enter, .run = run, .teardown = teardown, .wake = wake);
