// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What a workload would gain if one cause of cost were gone: it runs again with one cause
// removed at a time, in turns with the timed runs.  A default run removes what explains the
// first screen, in half of its rounds:
//  - the counts of shared objects, on one thread and on as many as have a core each;
//  - the collector, on one thread;
//  - the lock of the reference from under a product's counts, on one thread: the ablation.
// --what-if removes every cause that can be removed, on as many threads as have a core each.
#ifndef TALLY_COMPARE_WHAT_IF_H
#define TALLY_COMPARE_WHAT_IF_H

#include "run.h"

#include <stddef.h>

enum { WHAT_IF_CAUSES = 4 };
extern const char *const what_if_causes[WHAT_IF_CAUSES]; // as the drivers' --without takes them

// Asks the drivers which causes can be taken from which workload; finds the ablations that
// are built.  False after one line on stderr.
bool what_if_find(struct run_options *options);

struct without {
    const char *backend, *cause; // cause NULL: an ablation, as it is
};
// What is removed at one point; returns how many.  `rounds` there are in all.
size_t what_if_at(const struct run_options *options, const char *workload, int threads, int round,
                  int rounds, struct without found[MAX_NAMES * WHAT_IF_CAUSES]);
// How many such runs there are, of all rounds.
size_t what_if_runs(const struct run_options *options, int rounds);

// Why the cause stays, by the "causes" of options or results; NULL: it can be removed.
const char *what_if_kept(const json_t *causes, const char *backend, const char *workload,
                         const char *cause);

#endif
