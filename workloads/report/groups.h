// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Kinds of workloads, for those who ask about a kind of program and not about
// one workload.
#ifndef TALLY_REPORT_GROUPS_H
#define TALLY_REPORT_GROUPS_H

#include "analysis.h"

struct group {
    const char *name, *meaning;
    const char **workloads; // those that were measured, in the report's order
    size_t count;
};

enum { GROUPS = 6 };

// Fills groups[GROUPS]; a workload that no kind lists goes by whether its threads
// share objects.
void groups_make(const struct analysis *analysis, struct group *groups);
void groups_free(struct group *groups);

#endif
