/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-growth: a heap grows from nothing while automatic collection is on, and nothing in it dies.
 * Each collection looks at live objects in vain; the work of all of them should stay in proportion
 * to the heap, however large it gets.
 *
 * The first worker makes lists of one item, and holds them in a list; an operation is a container
 * made. The heap before is dropped unmeasured. The others run safepoints.
 */
#include "workload.h"

enum { CONTAINERS };

static const workload_parameter parameters[] = {
    {.name = "containers",
     .help = "lists that the heap grows to",
     .value = 200000,
     .least = 1,
     .most = 100000000,
     .quick = 20000},
    {0},
};

static const char *const variants[] = {"containers=1000000", "containers=2000000",
                                       "containers=4000000", NULL};
static const char *const quick_variants[] = {"containers=25000", "containers=50000",
                                             "containers=100000", NULL};

struct local {
    tally_object *heap; /* NULL: none yet, or of a worker that stands by */
};

static void drop(struct local *local, const workload_context *context) {
    if (local->heap == NULL) return;
    if (tally_list_length(local->heap) != (ptrdiff_t)context->parameters[CONTAINERS])
        workload_fail("the heap has %td lists, not %llu", tally_list_length(local->heap),
                      (unsigned long long)context->parameters[CONTAINERS]);
    tally_decref(local->heap);
    local->heap = NULL;
}

/* The collection makes every run begin alike: with little alive, and that old. */
static void prepare(struct shared *shared, struct local *local, const workload_context *context) {
    if (context->worker == 0) {
        drop(local, context);
        tally_safepoint();
        if (tally_gc_collect(2) < 0)
            workload_fail("a collection failed: %s", tally_error_message());
        local->heap = workload_object(tally_list_new(0));
    }
    tally_safepoint();
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    if (context->worker != 0) return workload_stand_by();
    for (uint64_t i = 0; i < context->parameters[CONTAINERS]; i++) {
        tally_object *list = workload_object(tally_list_new(1));
        workload_done(tally_list_append(list, tally_none));
        workload_append(local->heap, list);
        if (i % 64 == 0) tally_safepoint();
    }
    return context->parameters[CONTAINERS];
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    drop(local, context);
}

WORKLOAD(gc_growth, .name = "gc-growth", .kind = CYCLE_COLLECTOR,
         .description = "Grow a heap of live lists with automatic collection on: what "
                        "looking in vain costs.",
         .unit = "lists", .parameters = parameters, .variants = variants,
         .about_variants =
             {.title = "A heap that grows",
              .text = "Lists that all stay alive, made with automatic collection on, by "
                      "gc-growth. Where "
                      "the figures of a row rise with the size, the work grows faster "
                      "than the heap.",
              .caption = "Nanoseconds in pauses a list made, of all the time a list takes"},
         .quick_variants = quick_variants, LOCAL_STATE, .prepare = prepare, .run = run,
         .leave = leave);
