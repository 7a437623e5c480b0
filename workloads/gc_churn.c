/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-churn: every thread makes cycles and drops them, beside a standing
 * population; automatic collection frees them. It stands for programs that do
 * not break their cycles. An operation is an instance made.
 *
 * That the cycles are freed is checked by a weak reference to one of them, kept
 * until its cycle is dead: by teardown at the latest.
 */
#include "workload.h"

enum { RING, LIVE };
enum { INSTANCES_A_RUN = 4096 };

static const workload_parameter parameters[] = {
    {.name = "ring", .help = "instances in a cycle", .value = 4, .least = 1, .most = 4096},
    {.name = "live",
     .help = "instances that stay alive, of all threads together",
     .value = 50000,
     .least = 0,
     .most = 100000000,
     .quick = 5000},
    {0},
};

static const char *const slots[] = {"next", "__weakref__", NULL};

struct shared {
    const workload_context *context;
    tally_object *class_;
    tally_object **canaries; /* one a worker; its own until it leaves */
};

struct local {
    struct shared *shared;
    unsigned worker;
    tally_object *live; /* a list */
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->class_ =
        workload_object(tally_class_new(&(tally_class_spec){.name = "Link", .slots = slots}));
    shared->canaries = workload_allocate(context->workers * sizeof *shared->canaries);
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->worker = worker;
    local->live = workload_object(tally_list_new(0));
    for (uint64_t i = worker; i < local->shared->context->parameters[LIVE];
         i += local->shared->context->workers) {
        tally_object *link = workload_object(tally_instance_new(local->shared->class_));

        workload_done(tally_list_append(local->live, link));
        tally_decref(link);
    }
    return local;
}

/* A new reference to the first of a ring, whose last has one to it as well. */
static tally_object *make_ring(tally_object *class_, uint64_t length) {
    tally_object *first = workload_object(tally_instance_new(class_)), *last = first;

    for (uint64_t i = 1; i < length; i++) {
        tally_object *next = workload_object(tally_instance_new(class_));

        workload_done(tally_slot_set(last, 0, next));
        tally_decref(next); /* last keeps it */
        last = next;
    }
    workload_done(tally_slot_set(last, 0, first));
    return first;
}

static bool is_dead(tally_object *canary) {
    tally_object *referent = tally_weakref_get(canary);
    bool dead = referent == tally_none;

    tally_decref(referent);
    return dead;
}

/* Watches the ring, if the one before is dead. */
static void watch(tally_object **canary, tally_object *ring) {
    if (*canary != NULL && !is_dead(*canary)) return;
    tally_xdecref(*canary);
    *canary = workload_object(tally_weakref_new(ring, NULL, NULL));
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;
    struct shared *shared = local->shared;
    uint64_t length = shared->context->parameters[RING], made = 0, looked = 0;

    for (; made < INSTANCES_A_RUN; made += length) {
        tally_object *ring = make_ring(shared->class_, length);

        if (made == 0) watch(&shared->canaries[local->worker], ring);
        tally_decref(ring);
        if (made - looked >= 64) {
            looked = made;
            tally_safepoint();
        }
    }
    tally_safepoint();
    return made;
}

static void leave(void *opaque) {
    struct local *local = opaque;
    ptrdiff_t count = tally_list_length(local->live);

    for (ptrdiff_t i = 0; i < count; i++) {
        tally_object *link = workload_object(tally_list_get(local->live, i));

        workload_check_count(link, 2); /* the list's and this one */
        tally_decref(link);
    }
    tally_decref(local->live);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;

    if (tally_gc_collect(2) < 0)
        workload_fail("the last collection failed: %s", tally_error_message());
    for (unsigned i = 0; i < shared->context->workers; i++) {
        if (shared->canaries[i] != NULL && !is_dead(shared->canaries[i]))
            workload_fail("a cycle is still alive after a full collection");
        tally_xdecref(shared->canaries[i]);
    }
    tally_decref(shared->class_);
    free(shared->canaries);
    free(shared);
}

const tally_workload workload_gc_churn = {
    .name = "gc-churn",
    .kind = CYCLE_COLLECTOR,
    .description =
        "All threads make cycles that automatic collection frees: programs that never break one.",
    .unit = "instances",
    .sharing = OWN,
    .kept = {"the collector is what it measures", "the collector is what it measures",
             "the collector is what it measures", "the collector is what it measures"},
    .parameters = parameters,
    .least_sample_ms = 15,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
