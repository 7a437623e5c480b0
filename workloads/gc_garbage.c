/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-garbage: full collections that free cycles of two instances, plain ones or
 * with finalizers: as PEP 442 has it, or as Python 2, where such a cycle was
 * never freed and went to gc.garbage.
 *
 * The first worker makes the cycles, which is not measured, and collects; an
 * operation is an object found. The others run safepoints. Automatic collection
 * is off.
 */
#include "workload.h"

enum { CYCLES, FINALIZERS };
enum { NONE, PEP442, PYTHON2 };

static const workload_parameter parameters[] = {
    {.name = "cycles",
     .help = "dead cycles of two for each collection",
     .value = 50000,
     .least = 1,
     .most = 100000000,
     .quick = 5000},
    {.name = "finalizers",
     .help = "whether the instances have them, and what becomes of those in a cycle",
     .choices = "none,pep442,python2"},
    {0},
};

static const char *const variants[] = {"finalizers=none", "finalizers=pep442", "finalizers=python2",
                                       NULL};

static const char *const slots[] = {"other", NULL};

struct shared {
    const workload_context *context;
    tally_object *class_;
};

struct local {
    struct shared *shared;
    bool collects;
    uint64_t kept; /* objects in the list of garbage: Python 2's */
};

/* Finalizers get no context; relaxed: they run in the thread that reads it. */
static atomic_uint_fast64_t finalized;

static void finalize(tally_object *self) {
    (void)self;
    atomic_fetch_add_explicit(&finalized, 1, memory_order_relaxed);
}

static void check_finalized(uint64_t expected) {
    uint64_t count = atomic_exchange_explicit(&finalized, 0, memory_order_relaxed);

    if (count != expected)
        workload_fail("%llu finalizers ran, not %llu", (unsigned long long)count,
                      (unsigned long long)expected);
}

static void configure(const uint64_t *values, tally_options *options) {
    options->uncollectable_finalizers = values[FINALIZERS] == PYTHON2;
}

static void *setup(const workload_context *context) {
    bool finalizers = context->parameters[FINALIZERS] != NONE;
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->class_ = workload_object(tally_class_new(&(tally_class_spec){
        .name = "Half", .slots = slots, .finalize = finalizers ? finalize : NULL}));
    tally_gc_disable();
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->collects = worker == 0;
    return local;
}

/* Frees by hand what Python 2 would have kept for ever. */
static void break_cycles(uint64_t expected) {
    if (expected == 0) return;
    tally_object *garbage = workload_object(tally_gc_garbage());
    ptrdiff_t length = tally_list_length(garbage);

    if (length != (ptrdiff_t)expected)
        workload_fail("the list of garbage has %td objects, not %llu", length,
                      (unsigned long long)expected);
    for (ptrdiff_t i = 0; i < length; i++) {
        tally_object *half = workload_object(tally_list_get(garbage, i));

        workload_done(tally_slot_set(half, 0, NULL));
        tally_decref(half);
    }
    workload_done(tally_list_clear(garbage));
    tally_decref(garbage);
    check_finalized(expected);
}

static void prepare(void *opaque) {
    struct local *local = opaque;
    tally_object *class_ = local->shared->class_;

    break_cycles(local->kept);
    local->kept = 0;
    for (uint64_t i = 0; local->collects && i < local->shared->context->parameters[CYCLES]; i++) {
        tally_object *one = workload_object(tally_instance_new(class_));
        tally_object *two = workload_object(tally_instance_new(class_));

        workload_done(tally_slot_set(one, 0, two));
        workload_done(tally_slot_set(two, 0, one));
        tally_decref(one);
        tally_decref(two);
        if (i % 64 == 0) tally_safepoint();
    }
    tally_safepoint();
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;
    const uint64_t *values = local->shared->context->parameters;
    uint64_t objects = 2 * values[CYCLES];

    if (!local->collects) return workload_stand_by();
    ptrdiff_t found = tally_gc_collect(2);
    if (found != (ptrdiff_t)objects)
        workload_fail("a collection found %td unreachable objects, not %llu: %s", found,
                      (unsigned long long)objects, tally_error_message());
    check_finalized(values[FINALIZERS] == PEP442 ? objects : 0);
    local->kept = values[FINALIZERS] == PYTHON2 ? objects : 0;
    return objects;
}

static void leave(void *opaque) {
    break_cycles(((struct local *)opaque)->kept);
    free(opaque);
}

static void teardown(void *state) {
    struct shared *shared = state;

    tally_decref(shared->class_);
    free(shared);
}

const tally_workload workload_gc_garbage = {
    .name = "gc-garbage",
    .kind = CYCLE_COLLECTOR,
    .description =
        "Full collections that free dead cycles of two instances: what garbage costs an object.",
    .unit = "objects found",
    .sharing = OWN,
    .kept = {"the collector is what it measures", "the collector is what it measures",
             "the collector is what it measures", "the collector is what it measures"},
    .parameters = parameters,
    .variants = variants,
    .about_variants =
        {.title = "Garbage, and finalizers in it",
         .text = "Dead cycles of two instances, by gc-garbage: without finalizers; with, as since "
                 "PEP 442; and as in Python 2, where a cycle with a finalizer was never freed but "
                 "put on a list.",
         .caption = "Nanoseconds of a collection an object found, and how many of those it freed"},
    .quick_variants = variants,
    .configure = configure,
    .setup = setup,
    .enter = enter,
    .prepare = prepare,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
