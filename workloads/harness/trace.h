/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * trace.h: --trace FILE, a timeline of the threads from the workload's setup to its end.
 */
#ifndef TALLY_HARNESS_TRACE_H
#define TALLY_HARNESS_TRACE_H

#include "options.h"

/* Ends the driver if the file cannot be written, or if another run writes it. */
void trace_check(const options *options);
/* With the run time started, and before it ends. Nothing where no timeline is wanted. */
void trace_begin(const options *options);
void trace_end(const options *options);

#endif
