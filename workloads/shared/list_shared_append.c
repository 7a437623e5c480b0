/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-shared-append: all threads append to one list. It stands for results that workers collect in
 * one place, and is the worst case of an object's lock: every operation writes. The list is emptied
 * whenever it gets long, so that memory does not grow with the length of a run.
 */
#include "workload.h"

enum { APPENDS = 2048, APPENDS_PER_SAFEPOINT = 32, LONG = 1 << 16 };

struct shared {
    tally_object *list;
    /* Relaxed: plain sums, read when all workers are joined. */
    alignas(WORKLOAD_LINE) atomic_uint_fast64_t cleared;
    atomic_uint_fast64_t appended; /* added to by leave only */
};

struct local {
    tally_object *item;
    uint64_t appended;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->list = workload_keep(context, tally_list_new(0), ANY_HOLDERS);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->item = workload_keep(context, tally_float_new(context->worker), ANY_HOLDERS);
}

/* The section makes one step of looking at the length and emptying. */
static void empty_if_long(struct shared *shared) {
    tally_critical section;
    tally_critical_begin(&section, shared->list);
    ptrdiff_t length = tally_list_length(shared->list);
    if (length >= LONG) {
        atomic_fetch_add_explicit(&shared->cleared, (uint64_t)length, memory_order_relaxed);
        workload_done(tally_list_clear(shared->list));
    }
    tally_critical_end(&section);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    WORKLOAD_LOOP(APPENDS, APPENDS_PER_SAFEPOINT)
        workload_done(tally_list_append(shared->list, local->item));
    local->appended += APPENDS;
    empty_if_long(shared);
    return APPENDS;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    atomic_fetch_add_explicit(&shared->appended, local->appended, memory_order_relaxed);
}

static void teardown(struct shared *shared, const workload_context *context) {
    unsigned long long seen = shared->cleared + (uint64_t)tally_list_length(shared->list);
    if (seen != shared->appended)
        workload_fail("%llu items were appended, but the list got %llu",
                      (unsigned long long)shared->appended, seen);
}

WORKLOAD(list_shared_append, .name = "list-shared-append",
         .description = "All threads append to one list: results collected in one place.",
         .unit = "appends", .kind = SHARED_OBJECTS, SHARED_STATE, LOCAL_STATE, .setup = setup,
         .enter = enter, .run = run, .leave = leave, .teardown = teardown);
