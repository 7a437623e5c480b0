/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * counting.c: what counting costs on every assignment and in every object. An
 * assignment `name = value` counts the new object up and the old one down. The
 * same loop without the two gives what the assignment costs anyway; callgrind,
 * told to look at one of the two functions, gives its instructions: this program
 * starts itself under it, where valgrind is installed.
 */
#define _GNU_SOURCE /* asprintf */
#include "experiment.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { VALUES = 64, TIMES = 5, ALONE = 100000 };
static const char *const variants[] = {"time", "counted-alone", "bare-alone", NULL};

/* The volatile name is stored to each time, as a variable that a debugger or a traceback can see.
 */
__attribute__((noinline)) void assign_counted(tally_object *volatile *name,
                                              tally_object *const *values, size_t times);
__attribute__((noinline)) void assign_bare(tally_object *volatile *name,
                                           tally_object *const *values, size_t times);

void assign_counted(tally_object *volatile *name, tally_object *const *values, size_t times) {
    for (size_t i = 0; i < times; i++) {
        tally_object *value = values[i % VALUES], *old = *name;

        tally_incref(value);
        *name = value;
        tally_decref(old);
    }
}

void assign_bare(tally_object *volatile *name, tally_object *const *values, size_t times) {
    for (size_t i = 0; i < times; i++) {
        tally_object *value = values[i % VALUES], *old = *name;

        *name = value;
        __asm__ volatile("" : : "r"(old));
    }
}

static double time_of(void (*assign)(tally_object *volatile *, tally_object *const *, size_t),
                      tally_object *volatile *name, tally_object *const *values, size_t times) {
    uint64_t all[TIMES];

    assign(name, values, times / 10); /* warms up */
    for (unsigned i = 0; i < TIMES; i++) {
        uint64_t began = program_now();

        assign(name, values, times);
        all[i] = program_now() - began;
    }
    program_sort(all, TIMES);
    return (double)all[TIMES / 2] / (double)times;
}

/* Instructions per assignment in one of the two functions, by a small run of the variant. */
static void report_instructions(const char *figure, const char *function, const char *variant) {
    char self[4096], line[256], *command;
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    unsigned long instructions = 0;
    FILE *output;

    if (length < 0) return;
    self[length] = 0;
    if (asprintf(&command,
                 "valgrind --tool=callgrind --callgrind-out-file=/dev/null "
                 "--toggle-collect=%s '%s' counting %s --size=10 2>&1 >/dev/null",
                 function, self, variant) < 0)
        program_fail("no memory");
    output = popen(command, "re");
    free(command);
    while (output && fgets(line, sizeof line, output))
        if (strstr(line, "Collected :")) instructions = strtoul(strrchr(line, ':') + 1, NULL, 10);
    if (output && pclose(output) == 0 && instructions)
        experiment_report(figure, (double)instructions / (ALONE / 10));
}

static void run_time(tally_object *volatile *name, tally_object *const *values) {
    size_t times = experiment_size(5000000);
    tally_object *number = program_object(tally_int_new(1000)),
                 *immortals[VALUES], *volatile empty = tally_none;
    double bare, counted = time_of(assign_counted, name, values, times);

    for (unsigned i = 0; i < VALUES; i++) immortals[i] = tally_none;
    tally_incref(values[0]); /* as if it had been counted */
    tally_decref(*name);
    *name = values[0];
    bare = time_of(assign_bare, name, values, times);
    tally_incref(*name);
    tally_decref(values[0]);
    experiment_report("assignment_ns", counted);
    experiment_report("assignment_without_counts_ns", bare);
    experiment_report("counting_ns", counted - bare);
    experiment_report("counting_immortal_ns",
                      time_of(assign_counted, &empty, immortals, times) - bare);
    experiment_report("counts_bytes", sizeof(tally_refcounts));
    experiment_report("header_bytes", (double)tally_header_size(false));
    experiment_report("container_header_bytes", (double)tally_header_size(true));
    experiment_report("int_bytes", (double)tally_sizeof(number));
    tally_blocking_begin();
    report_instructions("instructions", "assign_counted", variants[1]);
    report_instructions("instructions_without_counts", "assign_bare", variants[2]);
    tally_blocking_end();
    tally_decref(number);
}

static void run(unsigned variant) {
    tally_object *values[VALUES], *volatile name;

    for (unsigned i = 0; i < VALUES; i++) values[i] = program_object(tally_int_new(1000 + i));
    name = values[0];
    tally_incref(name);
    if (variant == 0) {
        run_time(&name, values);
    } else {
        size_t times = experiment_size(ALONE);

        if (variant == 1) {
            assign_counted(&name, values, times);
        } else {
            tally_object *before = name;

            assign_bare(&name, values, times);
            name = before;
        }
        experiment_report("assignments", (double)times);
    }
    tally_decref(name);
    for (unsigned i = 0; i < VALUES; i++) tally_decref(values[i]);
}

const experiment counting = {
    "counting", "what counting costs on every assignment and in every object", variants, run};
