/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * Workloads with a planted cause of lost time. Each times what it plants by a clock of its own and
 * says on stderr how much of its time that was; measured.py compares what the report says.
 */
#include "workload.h"

#include <stdio.h>
#include <string.h>

enum { OWN_US = 60, PLANTED_US = 100, PAIRS = 20000, CYCLES = 300 };

struct shared {
    tally_object *object;
};
struct local {
    uint64_t planted, whole, operations;
};

static void work_for(unsigned microseconds) {
    for (uint64_t end = workload_clock() + microseconds * UINT64_C(1000); workload_clock() < end;) {
    }
}

/* A thread that another one stops waits there. */
static uint64_t timed_safepoint(void) {
    uint64_t began = workload_clock();

    tally_safepoint();
    return workload_clock() - began;
}

static void setup(struct shared *shared, const workload_context *context) {
    shared->object = workload_keep(context, tally_list_new(0), ANY_HOLDERS);
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    (void)shared;
    (void)context;
    fprintf(stderr, "planted %llu of %llu in %llu\n", (unsigned long long)local->planted,
            (unsigned long long)local->whole, (unsigned long long)local->operations);
}

/* One operation: the planted part, which is over, then work of the thread's own. */
static uint64_t run_with(struct local *local, uint64_t began, uint64_t planted) {
    work_for(OWN_US);
    local->planted += planted + timed_safepoint();
    local->whole += workload_clock() - began;
    local->operations++;
    return 1;
}

/* ---- a shared counter ------------------------------------------------------------ */

static uint64_t run_counts(struct shared *shared, struct local *local,
                           const workload_context *context) {
    uint64_t began = workload_clock();

    (void)context;
    for (int i = 0; i < PAIRS; i++) {
        tally_incref(shared->object);
        workload_compiler_barrier();
        tally_decref(shared->object);
        workload_compiler_barrier();
    }
    return run_with(local, began, workload_clock() - began);
}

/* ---- a lock that is held for long ----------------------------------------------------- */

static uint64_t run_locks(struct shared *shared, struct local *local,
                          const workload_context *context) {
    tally_critical section;
    uint64_t began = workload_clock();

    (void)context;
    tally_critical_begin(&section, shared->object);
    uint64_t got = workload_clock();
    work_for(5 * PLANTED_US);
    tally_critical_end(&section);
    local->planted += got - began;
    local->whole += workload_clock() - began;
    local->operations++;
    tally_safepoint();
    return 1;
}

/* ---- garbage in cycles ------------------------------------------------------------------ */

static uint64_t run_collector(struct shared *shared, struct local *local,
                              const workload_context *context) {
    (void)shared;
    (void)context;
    for (int i = 0; i < CYCLES; i++) {
        tally_object *list = workload_object(tally_list_new(1));
        workload_done(tally_list_append(list, list));
        tally_decref(list);
    }
    uint64_t began = workload_clock();
    tally_gc_collect(2);
    return run_with(local, began, workload_clock() - began);
}

/* ---- a queue whose threads sleep ------------------------------------------------------------ */

static uint64_t run_sleep(struct shared *shared, struct local *local,
                          const workload_context *context) {
    struct timespec pause = {.tv_nsec = 20 * PLANTED_US * 1000};
    uint64_t began = workload_clock();

    (void)shared;
    (void)context;
    tally_blocking_begin();
    nanosleep(&pause, NULL);
    tally_blocking_end();
    return run_with(local, began, workload_clock() - began);
}

/* ---- a slow allocator ------------------------------------------------------------------------ */

static _Thread_local bool slow;
static _Thread_local uint64_t in_malloc;

void *__libc_malloc(size_t size);
void *malloc(size_t size) {
    uint64_t began = slow ? workload_clock() : 0;

    if (slow) work_for(PLANTED_US);
    void *memory = __libc_malloc(size);
    if (slow) in_malloc += workload_clock() - began;
    return memory;
}

static uint64_t run_allocator(struct shared *shared, struct local *local,
                              const workload_context *context) {
    (void)shared;
    (void)context;
    uint64_t began = workload_clock();
    slow = true;
    in_malloc = 0;
    tally_object *list = workload_object(tally_list_new(500)); /* its array is a block of malloc */
    slow = false;
    tally_decref(list);
    return run_with(local, began, in_malloc);
}

/* ---- the GIL, which a thread waits for at a safepoint ---------------------------------- */

static uint64_t run_gil(struct shared *shared, struct local *local,
                        const workload_context *context) {
    (void)shared;
    (void)context;
    return run_with(local, workload_clock(), 0);
}

#define PLANTED(name_, runs)                                                                 \
    WORKLOAD(planted_##name_, .name = "planted-" #name_,                                     \
             .description = "Loses time to " #name_ ".", .unit = "operations",               \
             .kind = SHARED_OBJECTS, SHARED_STATE, LOCAL_STATE, .setup = setup, .run = runs, \
             .leave = leave)
PLANTED(gil, run_gil);
PLANTED(counts, run_counts);
PLANTED(locks, run_locks);
PLANTED(collector, run_collector);
PLANTED(sleep, run_sleep);
PLANTED(allocator, run_allocator);
