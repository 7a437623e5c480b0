// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a workload would gain if one cause of cost were gone: it runs again with
// one cause removed at a time, interleaved with unchanged runs.
#ifndef TALLY_COMPARE_WHAT_IF_H
#define TALLY_COMPARE_WHAT_IF_H

#include "run.h"

#include <stddef.h>

enum { WHAT_IF_CAUSES = 4 };
extern const char *const what_if_causes[WHAT_IF_CAUSES]; // as the drivers' --without takes them

// Asks the drivers which causes can be taken from which workload, for --what-if;
// false after one line on stderr.
bool what_if_find(struct run_options *options);

// How many runs a round of them has.
size_t what_if_runs(const struct run_options *options);

// Why the cause stays, by the "causes" of options or results; NULL: it can be removed.
const char *what_if_kept(const json_t *causes, const char *backend, const char *workload,
                         const char *cause);

#endif
