/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * output.h: a program whose standard output is closed, full or a pipe without a reader says so and
 * does not end with status 0. Every program that prints begins with output_watch; it needs nothing
 * of Tally.
 */
#ifndef TALLY_HARNESS_OUTPUT_H
#define TALLY_HARNESS_OUTPUT_H

#include <stdbool.h>

/*
 * The first call of main, before any file is opened. Descriptors 0 to 2 that are closed are taken,
 * so that no file of the program gets one of them and is written over. A pipe without a reader is
 * an error of the write, not the end by SIGPIPE; so it is in the children, unless they set SIGPIPE
 * again. At exit() what is left to print is printed; where that fails, one line on stderr tells,
 * and status 0 becomes 1.
 */
void output_watch(const char *program);

/*
 * Prints what is left to print. False after one line on stderr, which `lost` ends; NULL: the line
 * has no such end.
 */
bool output_written(const char *lost);

#endif
