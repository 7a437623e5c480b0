// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws curves; see svg.h.
#include "svg_parts.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = SVG_WIDTH, RIGHT = 96, ROW = 22 };
static const double LABEL_GAP = 15;

static const struct svg_frame LARGE = {WIDTH, 300, 58, RIGHT, 22, 44},
                              SMALL = {210, 150, 24, 8, 8, 20};

void svg_add_point(struct svg_line *line, struct svg_point point) {
    line->points = checked_realloc(line->points, (line->count + 1) * sizeof *line->points);
    line->points[line->count++] = point;
}

void svg_free_lines(struct svg_line *lines, size_t count) {
    for (size_t i = 0; i < count; i++) free(lines[i].points);
}

// ---- axes ----------------------------------------------------------------------------

double svg_place(const struct svg_scale *scale, double value) {
    double share = scale->log ? log(value / scale->low) / log(scale->high / scale->low)
                              : (value - scale->low) / (scale->high - scale->low);
    return scale->from + (scale->to - scale->from) * fmin(fmax(share, 0), 1);
}

// Round steps, four to eight of them.
static void choose_ticks(struct svg_scale *scale) {
    if (scale->log) {
        for (double power = pow(10, floor(log10(scale->low))); power <= scale->high; power *= 10)
            if (power >= scale->low && scale->tick_count < SVG_TICKS)
                scale->ticks[scale->tick_count++] = power;
        return;
    }
    double step = pow(10, floor(log10((scale->high - scale->low) / 4)));
    while ((scale->high - scale->low) / step > 8)
        step *= (scale->high - scale->low) / step > 16 ? 5 : 2;
    for (double tick = ceil(scale->low / step) * step; tick <= scale->high * (1 + 1e-9);
         tick += step)
        if (scale->tick_count < SVG_TICKS) scale->ticks[scale->tick_count++] = tick;
}

struct svg_scale svg_scale_of(const struct svg_axis *axis, double low, double high, double from,
                              double to) {
    struct svg_scale scale = {axis->log, axis->low, axis->high, from, to, {0}, 0};
    if (!(axis->high > axis->low)) {
        scale.low = axis->log ? low / 1.15 : 0;
        scale.high = axis->log ? high * 1.15 : high * 1.08;
    }
    if (!(scale.high > scale.low)) scale.high = scale.low + 1;
    for (size_t t = 0; t < axis->tick_count && t < SVG_TICKS; t++)
        scale.ticks[scale.tick_count++] = axis->ticks[t];
    if (axis->tick_count == 0) choose_ticks(&scale);
    return scale;
}

void svg_add_escaped(struct text *out, const char *string) {
    for (const char *c = string; *c; c++)
        if (*c == '<' || *c == '&')
            text_add(out, *c == '<' ? "&lt;" : "&amp;");
        else
            text_add_bytes(out, c, 1);
}

void svg_text(struct text *out, double x, double y, const char *attributes, const char *string) {
    text_add(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    svg_add_escaped(out, string);
    text_add(out, "</text>\n");
}

static void add_name(struct text *out, double x, double y, const struct svg_line *line) {
    char *style = format("style=\"fill:var(--b%zu)\"", line->place % SVG_COLOURS);
    svg_text(out, x, y, style, line->name);
    free(style);
}

const char svg_grid[] = "style=\"stroke:var(--grid)\"";
const char svg_middle[] = "text-anchor=\"middle\" fill=\"currentColor\"";

static void add_x_axis(struct text *out, const struct svg_axis *axis, const struct svg_scale *x,
                       const struct svg_frame *frame) {
    for (size_t t = 0; t < x->tick_count; t++) {
        char *name = axis->names ? checked_strdup(axis->names[t]) : format("%.10g", x->ticks[t]);
        svg_text(out, svg_place(x, x->ticks[t]), frame->height - frame->bottom + 15, svg_middle,
                 name);
        free(name);
    }
    if (axis->label)
        svg_text(out, (frame->left + frame->width - frame->right) / 2.0, frame->height - 8,
                 svg_middle, axis->label);
}

void svg_axes(struct text *out, const struct svg_chart *chart, const struct svg_scale *x,
              const struct svg_scale *y, const struct svg_frame *frame) {
    int right = frame->width - frame->right, floor = frame->height - frame->bottom;
    for (size_t t = 0; t < y->tick_count; t++) {
        double at = svg_place(y, y->ticks[t]);
        char *name = format("%.10g", y->ticks[t]);
        text_add(out, "<path d=\"M%d %.1fH%d\" %s stroke-width=\".5\"/>\n", frame->left, at, right,
                 svg_grid);
        svg_text(out, frame->left - 6, at + 4, "text-anchor=\"end\" fill=\"currentColor\"", name);
        free(name);
    }
    add_x_axis(out, &chart->x, x, frame);
    text_add(out, "<path d=\"M%d %dV%dH%d\" fill=\"none\" %s/>\n", frame->left, frame->top, floor,
             right, svg_grid);
    if (chart->y.label) {
        char *turned =
            format("%s transform=\"rotate(-90 14 %d)\"", svg_middle, (frame->top + floor) / 2);
        svg_text(out, 14, (frame->top + floor) / 2.0, turned, chart->y.label);
        free(turned);
    }
    if (chart->edge > 0) {
        double at = svg_place(x, chart->edge);
        text_add(out, "<path d=\"M%.1f %dV%d\" stroke-dasharray=\"2,3\" %s/>\n", at, frame->top,
                 floor, svg_grid);
        if (!chart->small)
            svg_text(out, at + 3, frame->top - 8, "font-size=\"11\" fill=\"currentColor\"",
                     "more threads than cores");
    }
    if (chart->ideal > 1)
        text_add(out, "<path d=\"M%.1f %.1fL%.1f %.1fM%.1f %.1fH%.1f\" fill=\"none\" %s/>\n",
                 svg_place(x, 1), svg_place(y, 1), svg_place(x, chart->ideal),
                 svg_place(y, chart->ideal), svg_place(x, 1), svg_place(y, 1),
                 svg_place(x, chart->ideal), svg_grid);
}

// ---- curves ----------------------------------------------------------------------------

static void add_mark(struct text *out, double x, double y, size_t place,
                     const struct svg_point *point) {
    static const char *const marks[] = {"M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
                                        "M-3-3h6v6h-6z",
                                        "M0-4L4 3H-4z",
                                        "M0-4.5L4.5 0L0 4.5L-4.5 0z",
                                        "M0 4L4-3H-4z",
                                        "M-4-1.3h8v2.6h-8z"};
    text_add(out, "<path d=\"%s\" transform=\"translate(%.1f %.1f)\"%s><title>",
             marks[place % (sizeof marks / sizeof *marks)], x, y,
             point->hollow ? " style=\"fill:var(--paper)\"" : "");
    svg_add_escaped(out, point->title);
    text_add(out, "</title></path>\n");
}

static void start_line(struct text *out, size_t place) {
    text_add(out, "<g style=\"color:var(--b%zu)\" fill=\"currentColor\" stroke=\"currentColor\">\n",
             place % SVG_COLOURS);
}

void svg_add_key(struct text *out, double x, double y, const char *name, size_t place) {
    const struct svg_line line = {.name = name, .place = place};
    start_line(out, place);
    add_mark(out, x, y, place, &(struct svg_point){0});
    text_add(out, "</g>\n");
    add_name(out, x + 9, y + 4, &line);
}

static void add_line(struct text *out, const struct svg_line *line, const struct svg_scale *x,
                     const struct svg_scale *y) {
    start_line(out, line->place);
    text_add(out, "<path d=\"");
    for (size_t i = 0; i < line->count; i++)
        text_add(out, "%c%.1f %.1f", i ? 'L' : 'M', svg_place(x, line->points[i].x),
                 svg_place(y, line->points[i].y));
    text_add(out, "\" fill=\"none\" stroke-width=\"2\"%s/>\n",
             line->dashed ? " stroke-dasharray=\"8,5\"" : "");
    for (size_t i = 0; i < line->count; i++) {
        const struct svg_point *point = &line->points[i];
        if (point->high > 0)
            text_add(out, "<path d=\"M%.1f %.1fV%.1f\"/>\n", svg_place(x, point->x),
                     svg_place(y, point->low), svg_place(y, point->high));
        add_mark(out, svg_place(x, point->x), svg_place(y, point->y), line->place, point);
    }
    text_add(out, "</g>\n");
}

// Names stand at the ends of their lines, moved apart where they would touch.
static void add_names(struct text *out, const struct svg_line *lines, size_t count,
                      const struct svg_scale *y) {
    const struct svg_line **order = checked_calloc(count, sizeof *order);
    double *at = checked_calloc(count, sizeof *at), limit = LARGE.height - LARGE.bottom;
    size_t placed = 0;
    for (size_t i = 0; i < count; i++) {
        if (lines[i].count == 0) continue;
        double end = svg_place(y, lines[i].points[lines[i].count - 1].y);
        size_t k = placed++;
        for (; k > 0 && at[k - 1] > end; k--) {
            at[k] = at[k - 1];
            order[k] = order[k - 1];
        }
        at[k] = end;
        order[k] = &lines[i];
    }
    for (size_t i = 0; i < placed; i++) at[i] = fmax(at[i], i ? at[i - 1] + LABEL_GAP : LARGE.top);
    for (size_t i = placed; i-- > 0; limit = at[i] - LABEL_GAP) at[i] = fmin(at[i], limit);
    for (size_t i = 0; i < placed; i++) add_name(out, WIDTH - RIGHT + 6, at[i] + 4, order[i]);
    free(at);
    free(order);
}

// ---- charts --------------------------------------------------------------------------

struct extent {
    double x_low, x_high, y_low, y_high;
};

static struct extent extent_of(const struct svg_line *lines, size_t count) {
    struct extent extent = {INFINITY, 0, INFINITY, 0};
    double reach = 0;
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < lines[i].count; k++) {
            const struct svg_point *point = &lines[i].points[k];
            extent.x_low = fmin(extent.x_low, point->x);
            extent.x_high = fmax(extent.x_high, point->x);
            extent.y_low = fmin(extent.y_low, point->y);
            extent.y_high = fmax(extent.y_high, point->y);
            reach = fmax(reach, point->high);
        }
    // The highest end of an interval, unless that is beyond twice the highest point.
    extent.y_high = fmax(extent.y_high, fmin(reach, 2 * extent.y_high));
    return extent;
}

struct text svg_start(int width, int height) {
    struct text out = {0};
    text_add(&out, "<svg viewBox=\"0 0 %d %d\">\n", width, height);
    return out;
}

char *svg_end(struct text *out) {
    text_add(out, "</svg>\n");
    return out->data;
}

char *svg_draw(const struct svg_chart *chart, const struct svg_line *lines, size_t count) {
    struct extent extent = extent_of(lines, count);
    if (!isfinite(extent.x_low)) return NULL;
    const struct svg_frame *frame = chart->small ? &SMALL : &LARGE;
    struct svg_scale x = svg_scale_of(&chart->x, extent.x_low, extent.x_high, frame->left,
                                      frame->width - frame->right);
    struct svg_scale y = svg_scale_of(&chart->y, extent.y_low, extent.y_high,
                                      frame->height - frame->bottom, frame->top);
    struct text out = svg_start(frame->width, frame->height);
    svg_axes(&out, chart, &x, &y, frame);
    for (size_t i = 0; i < count; i++) add_line(&out, &lines[i], &x, &y);
    if (!chart->small) add_names(&out, lines, count, &y);
    return svg_end(&out);
}

char *svg_dots(const struct svg_chart *chart, const struct svg_line *lines, size_t count) {
    struct extent extent = extent_of(lines, count);
    if (!isfinite(extent.x_low)) return NULL;
    const struct svg_frame frame = {WIDTH, (int)count * 2 * ROW + 50, 12, RIGHT, 6, 44};
    struct svg_scale x =
        svg_scale_of(&chart->x, extent.x_low, extent.x_high, frame.left, frame.width - frame.right);
    struct text out = svg_start(frame.width, frame.height);
    text_add(&out, "<path d=\"M%d %dH%d\" %s/>\n", frame.left, frame.height - frame.bottom,
             frame.width - frame.right, svg_grid);
    add_x_axis(&out, &chart->x, &x, &frame);
    for (size_t i = 0; i < count; i++) {
        double top = frame.top + (double)i * 2 * ROW;
        start_line(&out, lines[i].place);
        text_add(&out, "<path stroke-width=\"6\" stroke-linecap=\"round\" opacity=\".6\" d=\"");
        for (size_t k = 0; k < lines[i].count; k++)
            text_add(&out, "M%.1f %.1fh0", svg_place(&x, lines[i].points[k].x),
                     top + 4 + lines[i].points[k].y * (2 * ROW - 8));
        text_add(&out, "\"/></g>\n");
        add_name(&out, WIDTH - RIGHT + 6, top + ROW + 4, &lines[i]);
    }
    return svg_end(&out);
}

// ---- bars ----------------------------------------------------------------------------

char *svg_bars(const struct svg_bar *bars, size_t count, const char *const *parts,
               size_t part_count) {
    enum { LEFT = 110, WIDEST = WIDTH - LEFT - 8, LEGEND = 160 };
    static const double LEAST = 0.005;
    struct text out = svg_start(WIDTH, (int)(count * ROW + (part_count + 2) / 3 * ROW + 4));
    size_t shown = 0;
    for (size_t i = 0; i < count; i++) {
        double at = LEFT;
        svg_text(&out, 0, (double)i * ROW + 15, "fill=\"currentColor\"", bars[i].name);
        for (size_t p = 0; p < part_count; p++) {
            double width = fmin(bars[i].shares[p] * WIDEST, LEFT + WIDEST - at);
            if (bars[i].shares[p] < LEAST) continue;
            text_add(&out,
                     "<rect x=\"%.1f\" y=\"%zu\" width=\"%.1f\" height=\"%d\" "
                     "style=\"fill:var(--c%zu)\"><title>%s, %s: %.1f %%</title></rect>\n",
                     at, i * ROW + 2, width, ROW - 5, p, bars[i].name, parts[p],
                     100 * bars[i].shares[p]);
            at += width;
        }
    }
    for (size_t p = 0; p < part_count; p++) {
        bool any = false;
        for (size_t i = 0; i < count; i++) any = any || bars[i].shares[p] >= LEAST;
        if (!any) continue;
        double x = (double)(shown % 3) * LEGEND, y = (double)(count + shown / 3) * ROW + 6;
        text_add(&out,
                 "<rect x=\"%.1f\" y=\"%.1f\" width=\"12\" height=\"12\" "
                 "style=\"fill:var(--c%zu)\"/>\n",
                 x, y, p);
        svg_text(&out, x + 18, y + 11, "fill=\"currentColor\"", parts[p]);
        shown++;
    }
    return svg_end(&out);
}
