// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws curves through points with intervals as an SVG for inlining: the page's colours,
// no names, nothing outside.
#ifndef TALLY_COMPARE_SVG_H
#define TALLY_COMPARE_SVG_H

#include <stdbool.h>
#include <stddef.h>

// The page has so many colours for names, --b0 and so on.
enum { SVG_COLOURS = 8 };

struct svg_point {
    double x, y, low, high; // low and high: an interval; 0: none
    bool hollow;
};

struct svg_line {
    const char *name; // stands at the end of the line
    size_t place;     // of the colour
    bool dashed;
    struct svg_point *points; // freed by svg_free_lines
    size_t count;
};

struct svg_axis {
    const char *label;
    bool log;
    double low, high;         // equal: as the points are
    const double *ticks;      // with `tick_count` 0 chosen here
    const char *const *names; // of the ticks; NULL: their numbers
    size_t tick_count;
};

struct svg_chart {
    struct svg_axis x, y;
    double edge; // a vertical line, past which stands edge_name; 0: none
    const char *edge_name;
    double ideal; // a thin line from (1, 1) to (ideal, ideal); 0: none
};

// The caller frees it; NULL where there is no point.
char *svg_draw(const struct svg_chart *chart, const struct svg_line *lines, size_t count);
void svg_add_point(struct svg_line *line, struct svg_point point);
void svg_free_lines(struct svg_line *lines, size_t count);

#endif
