// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws two plots a workload with one gnuplot process: throughput and speedup
// against threads; and lines through points on logarithmic axes.  The SVG is
// made for inlining: names of its own, the page's colours, nothing outside.
#ifndef TALLY_REPORT_PLOTS_H
#define TALLY_REPORT_PLOTS_H

#include "analysis.h"

// The page has so many colours for names, --b0 and so on.
enum { PLOT_COLOURS = 8 };

struct workload_plots {
    char *throughput, *speedup; // SVG, or NULL
};

// One entry a workload, for plots_free; NULL where gnuplot is missing or failed.
struct workload_plots *plots_make(const struct analysis *analysis);
void plots_free(struct workload_plots *plots, size_t count);

struct plot_line {
    const char *name;
    size_t place; // the number of its colour; a backend's is analysis_place
    double x[16], y[16];
    size_t count;
};

// An SVG, which the caller frees; NULL where gnuplot is missing or failed.
char *plot_lines(const struct plot_line *lines, size_t count, const char *x_label,
                 const char *y_label);
// The same after more commands of gnuplot, each a line.
char *plot_lines_with(const struct plot_line *lines, size_t count, const char *x_label,
                      const char *y_label, const char *commands);

#endif
