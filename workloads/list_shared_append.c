/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list-shared-append: all threads append to one list. It stands for results
 * that workers collect in one place, and is the worst case of an object's lock:
 * every operation writes.
 *
 * The list is emptied whenever it gets long, so that memory does not grow with
 * the length of a run; what was thrown away is counted.
 */
#include "workload.h"

enum { APPENDS = 2048, APPENDS_A_SAFEPOINT = 32, LONG = 1 << 16 };

struct shared {
    tally_object *list;
    alignas(WORKLOAD_LINE) atomic_uint_fast64_t thrown_away;
    atomic_uint_fast64_t appended; /* added to by leave only */
};

struct local {
    struct shared *shared;
    tally_object *item;
    uint64_t appended;
};

static void *setup(const workload_context *context) {
    struct shared *shared = workload_allocate(sizeof *shared);

    (void)context;
    shared->list = workload_object(tally_list_new(0));
    return shared;
}

static void *enter(void *state, unsigned worker) {
    struct local *local = workload_allocate(sizeof *local);

    local->shared = state;
    local->item = workload_object(tally_float_new(worker));
    return local;
}

/* The section makes one step of looking at the length and emptying. */
static void empty_if_long(struct shared *shared) {
    tally_critical section;

    tally_critical_begin(&section, shared->list);
    ptrdiff_t length = tally_list_length(shared->list);
    if (length >= LONG) {
        /* Relaxed: a plain sum, read when all workers are joined. */
        atomic_fetch_add_explicit(&shared->thrown_away, (uint64_t)length, memory_order_relaxed);
        workload_done(tally_list_clear(shared->list));
    }
    tally_critical_end(&section);
}

static uint64_t run(void *opaque) {
    struct local *local = opaque;

    for (unsigned done = 0; done < APPENDS; done += APPENDS_A_SAFEPOINT) {
        for (unsigned i = 0; i < APPENDS_A_SAFEPOINT; i++)
            workload_done(tally_list_append(local->shared->list, local->item));
        tally_safepoint();
    }
    local->appended += APPENDS;
    empty_if_long(local->shared);
    return APPENDS;
}

static void leave(void *opaque) {
    struct local *local = opaque;

    atomic_fetch_add_explicit(&local->shared->appended, local->appended, memory_order_relaxed);
    tally_decref(local->item);
    free(local);
}

static void teardown(void *state) {
    struct shared *shared = state;
    uint64_t appended = atomic_load_explicit(&shared->appended, memory_order_relaxed);
    uint64_t seen = atomic_load_explicit(&shared->thrown_away, memory_order_relaxed) +
                    (uint64_t)tally_list_length(shared->list);

    if (seen != appended)
        workload_fail("%llu items were appended, but the list got %llu",
                      (unsigned long long)appended, (unsigned long long)seen);
    tally_decref(shared->list);
    free(shared);
}

const tally_workload workload_list_shared_append = {
    .name = "list-shared-append",
    .kind = SHARED_OBJECTS,
    .description = "All threads append to one list: results collected in one place.",
    .unit = "appends",
    .sharing = SHARED,
    .setup = setup,
    .enter = enter,
    .run = run,
    .leave = leave,
    .teardown = teardown,
};
