// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws how long each of many things took against the time when it began, with spans of time behind
// them: a band for each that is major, marks on the axis for the others.
#include "svg_parts.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { TITLE = 22 };

static const struct svg_frame frame = {SVG_WIDTH, 230, 58, 14, 10, 44};

static void add_band(struct text *out, const struct svg_scale *x, const struct svg_span *span) {
    static const double THINNEST = 1;
    double from = svg_place(x, span->from);
    text_add(out,
             "<rect x=\"%.2f\" y=\"%d\" width=\"%.2f\" height=\"%d\" "
             "style=\"fill:var(--c5);opacity:.4\"><title>",
             from, frame.top, fmax(svg_place(x, span->to) - from, THINNEST),
             frame.height - frame.bottom - frame.top);
    svg_add_escaped(out, span->title);
    text_add(out,
             "</title></rect>\n<path style=\"stroke:var(--c5)\" stroke-width=\"5\" "
             "d=\"M%.2f %dH%.2f\"/>\n",
             from, frame.top, svg_place(x, span->dark));
}

// One mark per column of the picture.
static void add_marks(struct text *out, const struct svg_scale *x, const struct svg_span *spans,
                      size_t count) {
    bool taken[SVG_WIDTH] = {false};
    size_t minor = 0;
    text_add(out, "<path style=\"stroke:var(--c5)\" d=\"");
    for (size_t i = 0; i < count; i++) {
        int at = (int)lround(svg_place(x, spans[i].from));
        if (spans[i].major) continue;
        if (!taken[at]) text_add(out, "M%d %dv-7", at, frame.height - frame.bottom);
        taken[at] = true;
        minor++;
    }
    text_add(out, "\"><title>%zu young collections</title></path>\n", minor);
}

// Whole units of the picture; a point that hides behind another is not drawn again.
static void add_dots(struct text *out, const struct svg_scale *x, const struct svg_scale *y,
                     const struct svg_line *line) {
    bool *taken = checked_calloc((size_t)frame.width * (size_t)frame.height, sizeof *taken);
    text_add(out,
             "<path style=\"stroke:var(--b%zu)\" stroke-width=\"2.4\" stroke-linecap=\"round\" "
             "d=\"",
             line->place % SVG_COLOURS);
    for (size_t i = 0; i < line->count; i++) {
        int across = (int)lround(svg_place(x, line->points[i].x)),
            down = (int)lround(svg_place(y, line->points[i].y));
        bool *one = &taken[down * frame.width + across];
        if (!*one) text_add(out, "M%d %dh0", across, down);
        *one = true;
    }
    text_add(out, "\"><title>%zu requests</title></path>\n", line->count);
    free(taken);
}

char *svg_times(const struct svg_chart *chart, const struct svg_line *line,
                const struct svg_span *spans, size_t span_count) {
    struct svg_scale x = svg_scale_of(&chart->x, 0, 0, frame.left, frame.width - frame.right),
                     y = svg_scale_of(&chart->y, 0, 0, frame.height - frame.bottom, frame.top);
    struct text out = svg_start(frame.width, frame.height);
    for (size_t i = 0; i < span_count; i++)
        if (spans[i].major) add_band(&out, &x, &spans[i]);
    svg_axes(&out, chart, &x, &y, &frame);
    add_marks(&out, &x, spans, span_count);
    add_dots(&out, &x, &y, line);
    return svg_end(&out);
}

char *svg_stack(char **pictures, const char *const *titles, size_t count) {
    int height = 0, each, at = 0;
    for (size_t i = 0; i < count; i++)
        if (sscanf(pictures[i], "<svg viewBox=\"0 0 %*d %d", &each) == 1) height += TITLE + each;
    struct text out = svg_start(SVG_WIDTH, height);
    for (size_t i = 0; i < count; i++) {
        sscanf(pictures[i], "<svg viewBox=\"0 0 %*d %d", &each);
        svg_text(&out, 0, at + TITLE - 6, "font-weight=\"600\" fill=\"currentColor\"", titles[i]);
        text_add(&out, "<svg y=\"%d\" width=\"%d\" height=\"%d\"%s", at + TITLE, SVG_WIDTH, each,
                 pictures[i] + strlen("<svg"));
        at += TITLE + each;
        free(pictures[i]);
    }
    return svg_end(&out);
}
