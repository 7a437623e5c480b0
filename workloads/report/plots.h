// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws two plots a workload with one gnuplot process: throughput and speedup
// against threads.  The SVG is made for inlining: names of its own, text in the
// page's colour, nothing outside.
#ifndef TALLY_REPORT_PLOTS_H
#define TALLY_REPORT_PLOTS_H

#include "analysis.h"

struct workload_plots {
    char *throughput, *speedup; // SVG, or NULL
};

// One entry a workload, for plots_free; NULL where gnuplot is missing or failed.
struct workload_plots *plots_make(const struct analysis *analysis);
void plots_free(struct workload_plots *plots, size_t count);

#endif
