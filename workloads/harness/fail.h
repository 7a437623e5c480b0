/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail.h: the driver's side of workload_fail.
 */
#ifndef TALLY_HARNESS_FAIL_H
#define TALLY_HARNESS_FAIL_H

#include "../workload.h"

/* The name that messages give; before any worker starts. */
void fail_name(const char *workload);

#endif
