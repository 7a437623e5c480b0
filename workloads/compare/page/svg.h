// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws curves, dots and stacked bars as an SVG for inlining: the page's colours, nothing
// outside.  What shows a value has it as its title, which browsers show on hover.
#ifndef TALLY_COMPARE_SVG_H
#define TALLY_COMPARE_SVG_H

#include <stdbool.h>
#include <stddef.h>

struct text;

// The page has so many colours for names, --b0 and so on, and for parts of a bar, --c0.
enum { SVG_COLOURS = 10, SVG_TITLE = 96 };

struct svg_point {
    double x, y, low, high; // low and high: an interval; 0: none
    bool hollow;
    char title[SVG_TITLE];
};

// A curve; or a row of dots, whose y tells their height in it, between 0 and 1.
struct svg_line {
    const char *name;
    size_t place; // of the colour
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
    bool small;   // without labels and names, which stand beside it
    double edge;  // a vertical line, past which are more threads than cores; 0: none
    double ideal; // thin lines from (1, 1): to (ideal, ideal), and level; 0: none
};

struct svg_bar {
    const char *name;
    const double *shares; // of the whole bar
};

// A layer of a stack over time, and its colour among those of parts of a bar.
struct svg_layer {
    const char *name;
    size_t colour;
    const double *values; // one a time
    char title[SVG_TITLE];
};

// A time during which something else went on; one that is minor is a mark on the axis. Its first
// part, up to `dark`, is stressed.
struct svg_span {
    double from, to, dark;
    bool major;
    char title[SVG_TITLE + 64];
};

// The caller frees what they return; NULL where there is nothing to show.
char *svg_draw(const struct svg_chart *chart, const struct svg_line *lines, size_t count);
char *svg_dots(const struct svg_chart *chart, const struct svg_line *lines, size_t count);
char *svg_bars(const struct svg_bar *bars, size_t count, const char *const *parts,
               size_t part_count);
// Layers on one another, the first one lowest, over the times, with a line of what they should sum
// to.  Both axes have bounds.  The legend names the layers that are ever a hundredth of the y axis.
char *svg_layers(const struct svg_chart *chart, const double *times, size_t count,
                 const struct svg_layer *layers, size_t layer_count, const double *whole,
                 const char *whole_name);
// Takes the SVG over and makes a file of it, with the page's colours for light and dark. The label
// up to its first full stop is the title.
char *svg_file(char *svg, const char *label);
// The page's colours for light and dark, as a style.
void svg_add_colours(struct text *out);
// Points without titles over spans; points in the same place are one dot. Both axes have bounds.
char *svg_times(const struct svg_chart *chart, const struct svg_line *line,
                const struct svg_span *spans, size_t span_count);
// Pictures under one another, as one; frees them.
char *svg_stack(char **pictures, const char *const *titles, size_t count);
void svg_add_point(struct svg_line *line, struct svg_point point);
// The mark and the name of a line, for beside the charts.
void svg_add_key(struct text *out, double x, double y, const char *name, size_t place);
void svg_add_escaped(struct text *out, const char *string);
void svg_free_lines(struct svg_line *lines, size_t count);

#endif
