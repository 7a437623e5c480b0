/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * gc-growth: a heap grows from nothing while automatic collection is on, and
 * nothing in it dies. Each collection looks at live objects in vain; the work of
 * all of them should stay in proportion to the heap, however large it gets.
 *
 * The first worker makes lists of one item, and holds them in a list; an
 * operation is a container made. The heap before is dropped unmeasured. The
 * others run safepoints.
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
    uint64_t containers; /* 0: a worker that stands by */
    tally_object *heap;
};

static void *setup(const workload_context *context) { return (void *)context; }

static void *enter(void *state, unsigned worker) {
    const workload_context *context = state;
    struct local *local = workload_allocate(sizeof *local);

    local->containers = worker == 0 ? context->parameters[CONTAINERS] : 0;
    return local;
}

static void drop(struct local *local) {
    if (local->heap == NULL) return;
    if (tally_list_length(local->heap) != (ptrdiff_t)local->containers)
        workload_fail("the heap has %td lists, not %llu", tally_list_length(local->heap),
                      (unsigned long long)local->containers);
    tally_decref(local->heap);
    local->heap = NULL;
}

/* The collection makes every run begin alike: with little alive, and that old. */
static void prepare(void *opaque) {
    struct local *local = opaque;

    if (local->containers > 0) {
        drop(local);
        tally_safepoint();
        if (tally_gc_collect(2) < 0)
            workload_fail("a collection failed: %s", tally_error_message());
        local->heap = workload_object(tally_list_new(0));
    }
    tally_safepoint();
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    if (local->containers == 0) return workload_stand_by();
    for (uint64_t i = 0; i < local->containers; i++) {
        tally_object *list = workload_object(tally_list_new(1));

        workload_done(tally_list_append(list, tally_none));
        workload_done(tally_list_append(local->heap, list));
        tally_decref(list);
        if (i % 64 == 0) tally_safepoint();
    }
    return local->containers;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    drop(local);
    free(local);
}

const tally_workload workload_gc_growth = {
    .name = "gc-growth",
    .kind = CYCLE_COLLECTOR,
    .description =
        "Grow a heap of live lists with automatic collection on: what looking in vain costs.",
    .unit = "lists",
    .sharing = OWN,
    .kept = {"the collector is what it measures", "the collector is what it measures",
             "the collector is what it measures", "the collector is what it measures"},
    .parameters = parameters,
    .variants = variants,
    .about_variants =
        {.title = "A heap that grows",
         .text =
             "Lists that all stay alive, made with automatic collection on, by gc-growth. Where "
             "the figures of a row rise with the size, the work grows faster than the heap.",
         .caption = "Nanoseconds in pauses a list made, of all the time a list takes"},
    .quick_variants = quick_variants,
    .setup = setup,
    .enter = enter,
    .prepare = prepare,
    .run = run,
    .leave = leave,
};
