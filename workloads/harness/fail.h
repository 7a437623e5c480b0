/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail.h: the loud end of a driver; workload_fail is its side for workloads.
 */
#ifndef TALLY_HARNESS_FAIL_H
#define TALLY_HARNESS_FAIL_H

#include <stdarg.h>

#include "../workload.h"

/* The name that messages give; before any worker starts. */
void fail_name(const char *workload);

/* That name. Any thread. */
const char *fail_workload(void);

/* This file, of the caller's, goes where the driver fails; before any worker starts. */
void fail_remove(const char *file);
/* Removes it. Any thread; allocates nothing. */
void fail_clean_up(void);

/* Ends the driver after one line on stderr. Any thread. */
_Noreturn void fail_end(int status, const char *format, va_list arguments);

#endif
