// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Results files of several sessions against each other: the same workload, backend and
// number of threads in all, the newest over the others.
//
// Sessions are not rounds: what the machine does on a day, it does to all of it.  So the
// shift that all rows share is taken out, and said.  What is left differs from session to
// session more than from round to round; only several old files tell by how much.  With
// one old file there are ratios, and no verdicts.
#ifndef TALLY_COMPARE_DIFF_H
#define TALLY_COMPARE_DIFF_H

#include "text.h"

#include <jansson.h>
#include <stdbool.h>

// The last root is the newest.  Writes the table, or JSON, to out, and doubts (machines,
// compilers, flags, parameters, loads, conditions that differ) to `doubts`, one per line.
// False: the files have nothing in common.
bool diff_compose(json_t *const *roots, size_t count, double margin, bool as_json, struct text *out,
                  struct text *doubts);

#endif
