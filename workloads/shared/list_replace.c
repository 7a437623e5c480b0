/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-replace: all threads replace every item of one list all the time, by strs of their own. It
 * stands for a table that is refreshed while it is used. Without a GIL the strs' memory waits for a
 * grace period, and strs that another thread made wait for that thread: both have a bound, which is
 * checked at the end.
 */
#include "workload.h"

#include <string.h>

enum { ITEMS = 100, PER_SAFEPOINT = 10, ROUNDS = 8 };
enum { OVERHEAD = 512 /* of a str beyond its bytes, at the most */ };
enum { BYTES };

static const workload_parameter parameters[] = {
    {.name = "bytes", .help = "length of a str", .value = 2000, .least = 16, .most = 1 << 20},
    {0},
};

struct shared {
    tally_object *list;
};

struct local {
    char *text; /* one letter, the worker's, again and again */
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->list = workload_keep(context, tally_list_new(ITEMS), ANY_HOLDERS);
    for (unsigned i = 0; i < ITEMS; i++) workload_done(tally_list_append(shared->list, tally_none));
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->text = workload_memory(context, context->parameters[BYTES]);
    memset(local->text, 'a' + (int)(context->worker % 26), context->parameters[BYTES]);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    ptrdiff_t bytes = (ptrdiff_t)context->parameters[BYTES];
    for (unsigned round = 0; round < ROUNDS; round++)
        for (unsigned i = 0; i < ITEMS; i++) {
            tally_object *item = workload_object(tally_str_new(local->text, bytes));
            workload_done(tally_list_set(shared->list, i, item));
            tally_decref(item);
            if (i % PER_SAFEPOINT == 0) tally_safepoint();
        }
    return (uint64_t)ROUNDS * ITEMS;
}

static void check_level(uint64_t level, uint64_t bound, const char *whom) {
    if (level > bound)
        workload_fail("%llu bytes have waited for %s, more than the bound %llu",
                      (unsigned long long)level, whom, (unsigned long long)bound);
}

/* The bounds that tally.h states: PER_SAFEPOINT strs are retired or dropped between safepoints. */
static void check_levels(const workload_context *context) {
    tally_stats_result stats;
    uint64_t piece = context->parameters[BYTES] + OVERHEAD, step = PER_SAFEPOINT * piece;
    uint64_t list = (step > TALLY_WAITING_LIST ? step : TALLY_WAITING_LIST) + piece;
    uint64_t threads = context->workers + 1; /* the main thread, too */
    tally_stats(&stats);
    check_level(stats.waiting_most, TALLY_WAITING_LIMIT + 2 * threads * list, "a grace period");
    check_level(stats.merge_waiting_most, TALLY_WAITING_LIMIT + 2 * threads * step, "an owner");
}

static void teardown(struct shared *shared, const workload_context *context) {
    ptrdiff_t bytes = (ptrdiff_t)context->parameters[BYTES];
    for (unsigned i = 0; i < ITEMS; i++) {
        tally_object *item = workload_object(tally_list_get(shared->list, i));
        const char *text = item != tally_none ? tally_str_data(item) : NULL;
        if (text != NULL && (tally_str_length(item) != bytes || text[0] != text[bytes - 1]))
            workload_fail("item %u is no str that a worker made", i);
        tally_decref(item);
    }
    check_levels(context);
}

WORKLOAD(list_replace, .name = "list-replace",
         .description = "All threads replace every item of one list all the time: what waits to be "
                        "freed has a bound.",
         .unit = "items", .kind = SHARED_OBJECTS, .not_quick = true, .parameters = parameters,
         SHARED_STATE, LOCAL_STATE, .setup = setup, .enter = enter, .run = run,
         .teardown = teardown);
