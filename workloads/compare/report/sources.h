// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the collector's sections share: the backends and the interpreters beside them, and
// pools of their runs.
#ifndef TALLY_COMPARE_SOURCES_H
#define TALLY_COMPARE_SOURCES_H

#include "analysis.h"

// A backend in one of its lists, or an interpreter.
struct source {
    enum list list;
    const char *name;
};

// The backends in one list, then the interpreters of another.  Returns how many; the caller
// frees them.
size_t sources_of(const struct analysis *analysis, enum list own, enum list interpreters,
                  struct source **sources);
struct runs runs_from(const struct analysis *analysis, struct source source, const char *workload,
                      const char *variant, int threads);
const struct cell *cell_of(const struct analysis *analysis, struct runs runs);
// A quotient; NAN where there is nothing to share it out among.
double each(double sum, double count);
// Of the wall time.
double pause_share(struct runs runs);

#endif
