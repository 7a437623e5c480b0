/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.h: runs a workload with N threads of this process and takes samples.
 */
#ifndef TALLY_HARNESS_MEASURE_H
#define TALLY_HARNESS_MEASURE_H

#include "run.h"

/* Starts the run time, does all of the workload's life, and ends the run time. */
void measure(const options *options, run *run);

#endif
