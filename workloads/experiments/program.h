/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * program.h: what the programs beside the drivers share (convoy, task-server,
 * findings, benchmarks): failing with a line, numbers of options, times and their
 * quantiles, results.
 */
#ifndef TALLY_PROGRAM_H
#define TALLY_PROGRAM_H

#include "harness/output.h"
#include "tally.h"

#include <jansson.h>

/* Says the program's name and what is wrong, and ends it with status 1. */
_Noreturn void program_fail(const char *what);

/* The object, or the end of the program with the thread's error. */
tally_object *program_object(tally_object *object);
/* The same of a result that is 0 where all went well. */
void program_done(int result);

/* The number of option --name; ends the program with status 2 where it is none from least to most.
 */
unsigned program_number(const char *name, const char *text, unsigned least, unsigned most);

/* CLOCK_MONOTONIC, nanoseconds. */
uint64_t program_now(void);

void program_sort(uint64_t *times, size_t count);
/* Of sorted times, by nearest rank; 0 where there are none. */
uint64_t program_quantile(const uint64_t *times, size_t count, double share);

/* Prints the results as a line and frees them; NULL: there was no memory for them. */
void program_print(json_t *results);

#endif
