// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Workloads that have programs of their own, not the drivers': convoy, task-server and
// findings.  They are named like others, with --workloads.
#ifndef TALLY_COMPARE_PROGRAMS_H
#define TALLY_COMPARE_PROGRAMS_H

#include "run.h"

extern const char *const program_names[PROGRAMS];

// Moves their names from the workloads to options->programs.  If no workload is named,
// every run has the convoy, and a full one the task server.  findings brings the
// workloads that its claims compare.  Comes before the names are compared with what the drivers
// know.
void programs_choose(struct run_options *options);

// Leaves out, with a line on stderr and in the results, what lacks a program.  False if a
// workload was named.
bool programs_find(struct run_options *options);

bool backend_has_gil(const struct run_options *options, const char *backend);

#endif
