/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mine.c: a user's workloads: one that works, and one each that crashes, hangs, leaks, has a wrong
 * result, and ends the program. run.sh builds them with an installation alone.
 */
#include <signal.h>
#include <stdio.h>
#include <workload.h>

static uint64_t run_well(struct shared *shared, struct local *local,
                         const workload_context *context) {
    WORKLOAD_LOOP(256, 32) tally_decref(workload_int(1000));
    return 256;
}

__attribute__((noinline)) static void crash_here(void) {
    fputs("mine is about to crash\n", stderr);
    raise(SIGSEGV);
}

static uint64_t run_crashing(struct shared *shared, struct local *local,
                             const workload_context *context) {
    crash_here();
    return 1;
}

__attribute__((noinline)) static void spin_here(void) {
    for (;;) workload_compiler_barrier();
}

static uint64_t run_hanging(struct shared *shared, struct local *local,
                            const workload_context *context) {
    spin_here();
    return 1;
}

static void leak(struct shared *shared, const workload_context *context) { workload_int(4321); }

static uint64_t run_wrongly(struct shared *shared, struct local *local,
                            const workload_context *context) {
    workload_fail("mine has the wrong sum %d", 41);
}

static uint64_t run_away(struct shared *shared, struct local *local,
                         const workload_context *context) {
    fputs("mine goes away\n", stderr);
    exit(7);
}

#define MINE(variable, title, ...)                                                 \
    WORKLOAD(variable, .name = title, .description = "Of a test.", .unit = "ints", \
             .kind = OWN_OBJECTS, __VA_ARGS__)

MINE(well, "mine-well", .run = run_well);
MINE(crashes, "mine-crashes", .run = run_crashing);
MINE(hangs, "mine-hangs", .run = run_hanging);
MINE(leaks, "mine-leaks", .setup = leak, .run = run_well);
MINE(wrong, "mine-wrong", .run = run_wrongly);
MINE(exits, "mine-exits", .run = run_away);
