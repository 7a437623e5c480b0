/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-garbage: full collections that free cycles of two instances, plain ones or with finalizers: as
 * PEP 442 has it, or as Python 2, where such a cycle was never freed and went to gc.garbage.
 *
 * The first worker makes the cycles, which is not measured, and collects; an operation is an object
 * found. The others run safepoints. Automatic collection is off.
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
    tally_object *class_;
};

struct local {
    uint64_t kept; /* objects in the list of garbage: Python 2's */
};

/* Finalizers get no context; relaxed: they run in the thread that reads it. */
static atomic_uint_fast64_t finalized;

static void finalize(tally_object *self) {
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

static void setup(struct shared *shared, const workload_context *context) {
    bool finalizers = context->parameters[FINALIZERS] != NONE;
    tally_class_spec spec = {
        .name = "Half", .slots = slots, .finalize = finalizers ? finalize : NULL};

    shared->class_ = workload_keep(context, tally_class_new(&spec), ANY_HOLDERS);
    tally_gc_disable();
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

static void prepare(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t cycles = context->worker == 0 ? context->parameters[CYCLES] : 0;
    break_cycles(local->kept);
    local->kept = 0;
    for (uint64_t i = 0; i < cycles; i++) {
        tally_object *one = workload_object(tally_instance_new(shared->class_));
        tally_object *two = workload_object(tally_instance_new(shared->class_));
        workload_done(tally_slot_set(one, 0, two));
        workload_done(tally_slot_set(two, 0, one));
        tally_decref(one);
        tally_decref(two);
        if (i % 64 == 0) tally_safepoint();
    }
    tally_safepoint();
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t objects = 2 * context->parameters[CYCLES], kind = context->parameters[FINALIZERS];
    if (context->worker != 0) return workload_stand_by();
    ptrdiff_t found = tally_gc_collect(2);
    if (found != (ptrdiff_t)objects)
        workload_fail("a collection found %td unreachable objects, not %llu: %s", found,
                      (unsigned long long)objects, tally_error_message());
    check_finalized(kind == PEP442 ? objects : 0);
    local->kept = kind == PYTHON2 ? objects : 0;
    return objects;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    break_cycles(local->kept);
}

WORKLOAD(gc_garbage, .name = "gc-garbage", .kind = CYCLE_COLLECTOR, .makes_garbage = true,
         .description = "Full collections that free dead cycles of two instances: what "
                        "garbage costs an object.",
         .unit = "objects found", .parameters = parameters, .variants = variants,
         .about_variants =
             {.title = "Garbage, and finalizers in it",
              .text = "Dead cycles of two instances, by gc-garbage: without finalizers; "
                      "with, as since "
                      "PEP 442; and as in Python 2, where a cycle with a finalizer was "
                      "never freed but "
                      "put on a list.",
              .caption = "Nanoseconds of a collection an object found, and how many of those "
                         "it freed"},
         .quick_variants = variants, SHARED_STATE, LOCAL_STATE, .configure = configure,
         .setup = setup, .prepare = prepare, .run = run, .leave = leave);
