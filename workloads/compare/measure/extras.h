// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Workloads that have programs of their own, not the drivers': the convoy and the
// task server.  They are named like others, with --workloads.
#ifndef TALLY_COMPARE_EXTRAS_H
#define TALLY_COMPARE_EXTRAS_H

#include "run.h"

// Takes their names out of the workloads, into options->convoy and ->servers; with no
// workload named, the convoy belongs to every run, and the task server to a full one.  Before the
// names are compared with what the drivers know.
void extras_choose(struct run_options *options);

// False after one line on stderr where what was named lacks a program.  What was
// not named is left out with a line on stderr, which the results keep as well.
bool extras_find(struct run_options *options);

bool extras_backend_has_gil(const struct run_options *options, const char *backend);
// The path of NAME-<backend>; the caller frees it.
char *extras_program(const struct run_options *options, const char *name, const char *backend);

#endif
