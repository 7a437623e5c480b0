// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The results file: every sample, the machine, the build, what failed.  What is
// loaded has been checked, so the rest of the program trusts its types.
#ifndef TALLY_REPORT_RESULTS_H
#define TALLY_REPORT_RESULTS_H

#include <jansson.h>
#include <stdbool.h>

enum { RESULTS_VERSION = 3 };

// NULL after one line on stderr.  The caller owns the reference.
json_t *results_load(const char *path);

// Checks one block as a driver prints it; *why tells what is wrong.
bool results_check_block(const json_t *block, const char **why);

// Whether it is a list of backends, each with a name and a role.
bool results_check_backends(const json_t *list);

const char *object_string(const json_t *object, const char *key, const char *fallback);
// Operations a second, all workers together: the driver's own rate, which takes
// each worker by its own clock, or operations over seconds.
double sample_rate(const json_t *sample);

double object_number(const json_t *object, const char *key, double fallback);

#endif
