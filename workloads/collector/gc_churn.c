/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-churn: every thread makes cycles and drops them, beside a standing population; automatic
 * collection frees them. It stands for programs that do not break their cycles. An operation is an
 * instance made.
 *
 * A share of the rings is shown: the worker puts it where the next worker finds it, and walks over
 * the ring that the other neighbour has shown last. With one worker nobody sees a ring.
 *
 * That the cycles are freed is checked by a weak reference to one of them, kept until its cycle is
 * dead: by teardown at the latest.
 */
#include "workload.h"

enum { RING, LIVE, SEEN };
enum { INSTANCES_PER_RUN = 4096 };

static const workload_parameter parameters[] = {
    {.name = "ring", .help = "instances in a cycle", .value = 4, .least = 1, .most = 4096},
    {.name = "live",
     .help = "instances that stay alive, of all threads together",
     .value = 50000,
     .least = 0,
     .most = 100000000,
     .quick = 5000},
    {.name = "seen",
     .help = "cycles in a hundred that another thread looks at",
     .value = 0,
     .least = 0,
     .most = 100},
    {0},
};

static const char *const slots[] = {"next", "__weakref__", NULL};

struct shared {
    tally_object *class_;
    tally_object *shown;     /* a list: the ring that each worker has shown last, or none */
    tally_object **canaries; /* one per worker; its own until it leaves */
};

struct local {
    tally_object *live; /* a list */
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Link", slots);
    shared->shown = workload_keep(context, tally_list_new(0), ANY_HOLDERS);
    for (unsigned i = 0; i < context->workers; i++)
        workload_done(tally_list_append(shared->shown, tally_none));
    shared->canaries = workload_memory(context, context->workers * sizeof *shared->canaries);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->live = workload_keep(context, tally_list_new(0), ANY_HOLDERS);
    for (uint64_t i = context->worker; i < context->parameters[LIVE]; i += context->workers)
        workload_append(local->live, tally_instance_new(shared->class_));
}

/* A new reference to the first of a ring, whose last has one to it as well. */
static tally_object *make_ring(tally_object *class_, uint64_t length) {
    tally_object *first = workload_object(tally_instance_new(class_)), *last = first;
    for (uint64_t i = 1; i < length; i++) {
        tally_object *next = workload_object(tally_instance_new(class_));
        workload_slot_put(last, 0, next);
        last = next;
    }
    workload_done(tally_slot_set(last, 0, first));
    return first;
}

static void show(struct shared *shared, tally_object *ring, const workload_context *context) {
    uint64_t next = (context->worker + 1) % context->workers;
    workload_done(tally_list_set(shared->shown, (ptrdiff_t)context->worker, ring));
    tally_object *other = workload_object(tally_list_get(shared->shown, (ptrdiff_t)next));
    for (uint64_t i = 0; other != tally_none && i < context->parameters[RING]; i++) {
        tally_object *link = workload_object(tally_slot_get(other, 0));
        tally_decref(other);
        other = link;
    }
    tally_decref(other);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t length = context->parameters[RING], made = 0, looked = 0;
    for (; made < INSTANCES_PER_RUN; made += length) {
        tally_object *ring = make_ring(shared->class_, length);
        if (made == 0) workload_watch(&shared->canaries[context->worker], ring);
        if (made / length * context->parameters[SEEN] % 100 < context->parameters[SEEN])
            show(shared, ring, context);
        tally_decref(ring);
        if (made - looked >= 64) {
            looked = made;
            tally_safepoint();
        }
    }
    tally_safepoint();
    return made;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    workload_done(tally_list_set(shared->shown, (ptrdiff_t)context->worker, tally_none));
    for (ptrdiff_t i = 0; i < tally_list_length(local->live); i++) {
        tally_object *link = workload_object(tally_list_get(local->live, i));
        workload_check_count(link, 2); /* the list's and this one */
        tally_decref(link);
    }
}

static void teardown(struct shared *shared, const workload_context *context) {
    workload_check_canaries(shared->canaries, context->workers);
}

WORKLOAD(gc_churn, .name = "gc-churn", .kind = CYCLE_COLLECTOR, .makes_garbage = true,
         .description = "All threads make cycles that automatic collection frees: programs "
                        "that never break one.",
         .unit = "instances", .parameters = parameters, .least_sample_ms = 15, SHARED_STATE,
         LOCAL_STATE, .setup = setup, .enter = enter, .run = run, .leave = leave,
         .teardown = teardown);
