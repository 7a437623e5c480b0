// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What the files that draw share: scales with their ticks, text, and the frame of a picture.
#ifndef TALLY_COMPARE_SVG_PARTS_H
#define TALLY_COMPARE_SVG_PARTS_H

#include "svg.h"
#include "text.h"

enum { SVG_TICKS = 32, SVG_WIDTH = 480 };

struct svg_scale {
    bool log;
    double low, high; // of the values
    double from, to;  // of the picture
    double ticks[SVG_TICKS];
    size_t tick_count;
};

// low and high: of the values, where the axis has no bounds.
struct svg_scale svg_scale_of(const struct svg_axis *axis, double low, double high, double from,
                              double to);
double svg_place(const struct svg_scale *scale, double value);

void svg_text(struct text *out, double x, double y, const char *attributes, const char *string);

// The picture, and the space around the axes.
struct svg_frame {
    int width, height, left, right, top, bottom;
};
void svg_axes(struct text *out, const struct svg_chart *chart, const struct svg_scale *x,
              const struct svg_scale *y, const struct svg_frame *frame);

// Attributes: a thin line; text around its place.
extern const char svg_grid[], svg_middle[];

// A picture is begun, added to, and ended; the caller frees what svg_end returns.
struct text svg_start(int width, int height);
char *svg_end(struct text *out);

#endif
