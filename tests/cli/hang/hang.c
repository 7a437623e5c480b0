/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hang.c: workloads that hang on purpose, each at a place of its own, and one
 * that does not. The names of the functions are what the test looks for in the
 * stacks.
 */
#include <unistd.h>

#include "workload.h"

static tally_mutex mutex;
static tally_condition condition;

static uint64_t run_well(struct shared *shared, struct local *local,
                         const workload_context *context) {
    return workload_stand_by() + 1;
}

/* Never a safepoint: with a GIL nobody else gets on, without one nobody can
 * stop the world. */
__attribute__((noinline)) static void spin_for_ever(void) {
    for (;;) workload_compiler_barrier();
}

static uint64_t run_spinning(struct shared *shared, struct local *local,
                             const workload_context *context) {
    spin_for_ever();
    return 1;
}

__attribute__((noinline)) static void read_for_ever(void) {
    int ends[2];
    char byte;

    if (pipe(ends) != 0) workload_fail("no pipe");
    tally_blocking_begin();
    if (read(ends[0], &byte, 1) != 1) workload_fail("the pipe was closed");
    tally_blocking_end();
}

static uint64_t run_reading(struct shared *shared, struct local *local,
                            const workload_context *context) {
    read_for_ever();
    return 1;
}

static void set_up_waiting(struct shared *shared, const workload_context *context) {
    tally_mutex_init(&mutex);
    tally_condition_init(&condition);
}

__attribute__((noinline)) static void wait_for_ever(void) {
    tally_mutex_lock(&mutex);
    for (;;) tally_condition_wait(&condition, &mutex);
}

static uint64_t run_waiting(struct shared *shared, struct local *local,
                            const workload_context *context) {
    wait_for_ever();
    return 1;
}

static void set_up_spinning(struct shared *shared, const workload_context *context) {
    spin_for_ever();
}

#define HANG(variable, text, ...)                                                 \
    WORKLOAD(variable, .name = text, .description = "Of a test.", .unit = "runs", \
             .kind = OWN_OBJECTS, __VA_ARGS__)

HANG(hang_not, "hang-not", .run = run_well);
HANG(hang_in_run, "hang-in-run", .run = run_spinning);
HANG(hang_in_read, "hang-in-read", .run = run_reading);
HANG(hang_in_wait, "hang-in-wait", .setup = set_up_waiting, .run = run_waiting);
HANG(hang_in_setup, "hang-in-setup", .setup = set_up_spinning, .run = run_well);
