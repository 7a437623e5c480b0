/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-replace: all threads replace every item of one list all the time, by strs
 * of their own. It stands for a table that is refreshed while it is used. Without
 * a GIL the strs' memory waits for a grace period, and strs that another thread
 * made wait for that thread: both have a bound, which is checked at the end.
 */
#include "workload.h"

#include <string.h>

enum {
    ITEMS = 100,
    A_SAFEPOINT = 10,
    ROUNDS = 8,
    OVERHEAD = 512 /* of a str beyond its bytes, at the most */
};
enum { BYTES };

static const workload_parameter parameters[] = {
    {.name = "bytes", .help = "length of a str", .value = 2000, .least = 16, .most = 1 << 20},
    {0},
};

struct shared {
    const workload_context *context;
    tally_object *list;
};

struct local {
    const struct shared *shared;
    char *text; /* one letter, the worker's, again and again */
};

static tally_object *make(const struct local *local) {
    return workload_object(
        tally_str_new(local->text, (ptrdiff_t)local->shared->context->parameters[BYTES]));
}

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    shared->context = context;
    shared->list = workload_object(tally_list_new(ITEMS));
    for (unsigned i = 0; i < ITEMS; i++) workload_done(tally_list_append(shared->list, tally_none));
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);
    size_t bytes;

    local->shared = state;
    bytes = local->shared->context->parameters[BYTES];
    local->text = workload_allocate(bytes);
    memset(local->text, 'a' + (int)(worker % 26), bytes);
    return local;
}

static uint64_t run(void *opaque) {
    const struct local *local = opaque;

    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ITEMS; i++) {
            tally_object *item = make(local);

            workload_done(tally_list_set(local->shared->list, i, item));
            tally_decref(item);
            if (i % A_SAFEPOINT == 0) tally_safepoint();
        }
    return (uint64_t)ROUNDS * ITEMS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    free(local->text);
    free(local);
}

/* The bounds that tally.h states: A_SAFEPOINT strs are retired or dropped between two safepoints.
 */
static void check_levels(const workload_context *context) {
    tally_stats_result stats;
    uint64_t piece = context->parameters[BYTES] + OVERHEAD, step = A_SAFEPOINT * piece;
    uint64_t list = (step > TALLY_BACKLOG_BATCH ? step : TALLY_BACKLOG_BATCH) + piece;
    uint64_t threads = context->workers + 1; /* the main thread, too */

    tally_stats(&stats);
    if (stats.waiting_most > TALLY_BACKLOG_LIMIT + 2 * threads * list)
        workload_fail("%llu bytes have waited for a grace period, more than the bound %llu",
                      (unsigned long long)stats.waiting_most,
                      (unsigned long long)(TALLY_BACKLOG_LIMIT + 2 * threads * list));
    if (stats.merge_queued_most > TALLY_BACKLOG_LIMIT + 2 * threads * step)
        workload_fail("%llu bytes have waited for an owner, more than the bound %llu",
                      (unsigned long long)stats.merge_queued_most,
                      (unsigned long long)(TALLY_BACKLOG_LIMIT + 2 * threads * step));
}

static void teardown(void *state) {
    struct shared *shared = state;
    ptrdiff_t bytes = (ptrdiff_t)shared->context->parameters[BYTES];

    for (unsigned i = 0; i < ITEMS; i++) {
        tally_object *item = workload_object(tally_list_get(shared->list, i));

        if (item != tally_none) {
            const char *text = tally_str_data(item);

            if (tally_str_length(item) != bytes || text[0] != text[bytes - 1])
                workload_fail("item %u is no str that a worker made", i);
        }
        tally_decref(item);
    }
    check_levels(shared->context);
    tally_decref(shared->list);
    free(shared);
}

const tally_workload workload_list_replace = {
    .name = "list-replace",
    .description = "All threads replace every item of one list all the time: what waits to be "
                   "freed has a bound.",
    .unit = "items",
    .sharing = SHARED,
    .not_quick = true,
    .parameters = parameters,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
