/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * processes.h: the same workload as N processes, each with a run time of its own and one worker:
 * the classic way out of a GIL.
 */
#ifndef TALLY_HARNESS_PROCESSES_H
#define TALLY_HARNESS_PROCESSES_H

#include <jansson.h>

#include "options.h"

/* Runs them and returns their runs made one; *incomplete as that of a run. */
json_t *processes_run(const options *options, int argc, char **argv, bool *incomplete);

/* A process that is one worker of many ends with its parent from here on. */
void processes_follow_parent(const options *options);

#endif
