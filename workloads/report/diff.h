// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Two results files against each other: the same workload, backend and number of
// threads in both, the newer over the older.
#ifndef TALLY_REPORT_DIFF_H
#define TALLY_REPORT_DIFF_H

#include "analysis.h"
#include "text.h"

// Writes the table, or JSON, to out, and doubts (machines, compilers, flags,
// parameters that differ) to `doubts`, one a line.  False after one line on
// stderr: they have nothing in common.
bool diff_compose(const json_t *older, const json_t *newer, double margin, bool as_json,
                  struct text *out, struct text *doubts);

#endif
