// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws curves; see svg.h.
#include "svg.h"

#include "text.h"

#include <math.h>
#include <stdlib.h>

enum { WIDTH = 480, HEIGHT = 300, LEFT = 58, RIGHT = 96, TOP = 22, BOTTOM = 44, MOST_TICKS = 32 };
static const double LABEL_GAP = 15;

void svg_add_point(struct svg_line *line, struct svg_point point) {
    line->points = checked_realloc(line->points, (line->count + 1) * sizeof *line->points);
    line->points[line->count++] = point;
}

void svg_free_lines(struct svg_line *lines, size_t count) {
    for (size_t i = 0; i < count; i++) free(lines[i].points);
}

// ---- axes ----------------------------------------------------------------------------

struct scale {
    bool log;
    double low, high; // of the values
    double from, to;  // of the picture
    double ticks[MOST_TICKS];
    size_t tick_count;
};

static double place_at(const struct scale *scale, double value) {
    double share = scale->log ? log(value / scale->low) / log(scale->high / scale->low)
                              : (value - scale->low) / (scale->high - scale->low);
    return scale->from + (scale->to - scale->from) * fmin(fmax(share, 0), 1);
}

// Round steps, four to eight of them.
static void choose_ticks(struct scale *scale) {
    if (scale->log) {
        for (double power = pow(10, floor(log10(scale->low))); power <= scale->high; power *= 10)
            if (power >= scale->low && scale->tick_count < MOST_TICKS)
                scale->ticks[scale->tick_count++] = power;
        return;
    }
    double step = pow(10, floor(log10((scale->high - scale->low) / 4)));
    while ((scale->high - scale->low) / step > 8)
        step *= (scale->high - scale->low) / step > 16 ? 5 : 2;
    for (double tick = ceil(scale->low / step) * step; tick <= scale->high * (1 + 1e-9);
         tick += step)
        if (scale->tick_count < MOST_TICKS) scale->ticks[scale->tick_count++] = tick;
}

static struct scale scale_of(const struct svg_axis *axis, double low, double high, double from,
                             double to) {
    struct scale scale = {axis->log, axis->low, axis->high, from, to, {0}, 0};
    if (!(axis->high > axis->low)) {
        scale.low = axis->log ? low / 1.15 : 0;
        scale.high = axis->log ? high * 1.15 : high * 1.08;
    }
    if (!(scale.high > scale.low)) scale.high = scale.low + 1;
    for (size_t t = 0; t < axis->tick_count && t < MOST_TICKS; t++)
        scale.ticks[scale.tick_count++] = axis->ticks[t];
    if (axis->tick_count == 0) choose_ticks(&scale);
    return scale;
}

static void add_text(struct text *out, double x, double y, const char *attributes,
                     const char *string) {
    text_add(out, "<text x=\"%.1f\" y=\"%.1f\" %s>", x, y, attributes);
    for (const char *c = string; *c; c++)
        if (*c == '<' || *c == '&')
            text_add(out, *c == '<' ? "&lt;" : "&amp;");
        else
            text_add_bytes(out, c, 1);
    text_add(out, "</text>\n");
}

static const char GRID[] = "style=\"stroke:var(--grid)\"";
static const char MIDDLE[] = "text-anchor=\"middle\" fill=\"currentColor\"";

static void add_axes(struct text *out, const struct svg_chart *chart, const struct scale *x,
                     const struct scale *y) {
    for (size_t t = 0; t < y->tick_count; t++) {
        double at = place_at(y, y->ticks[t]);
        char *name = format("%.10g", y->ticks[t]);
        text_add(out, "<path d=\"M%d %.1fH%d\" %s stroke-width=\".5\"/>\n", LEFT, at, WIDTH - RIGHT,
                 GRID);
        add_text(out, LEFT - 6, at + 4, "text-anchor=\"end\" fill=\"currentColor\"", name);
        free(name);
    }
    for (size_t t = 0; t < x->tick_count; t++) {
        char *name =
            chart->x.names ? checked_strdup(chart->x.names[t]) : format("%.10g", x->ticks[t]);
        add_text(out, place_at(x, x->ticks[t]), HEIGHT - BOTTOM + 17, MIDDLE, name);
        free(name);
    }
    text_add(out, "<path d=\"M%d %dV%dH%d\" fill=\"none\" %s/>\n", LEFT, TOP, HEIGHT - BOTTOM,
             WIDTH - RIGHT, GRID);
    add_text(out, (LEFT + WIDTH - RIGHT) / 2.0, HEIGHT - 8, MIDDLE, chart->x.label);
    char *turned =
        format("%s transform=\"rotate(-90 14 %d)\"", MIDDLE, (TOP + HEIGHT - BOTTOM) / 2);
    add_text(out, 14, (TOP + HEIGHT - BOTTOM) / 2.0, turned, chart->y.label);
    free(turned);
    if (chart->edge > 0) {
        double at = place_at(x, chart->edge);
        text_add(out, "<path d=\"M%.1f %dV%d\" stroke-dasharray=\"2,3\" %s/>\n", at, TOP,
                 HEIGHT - BOTTOM, GRID);
        add_text(out, at + 3, TOP - 8, "font-size=\"11\" fill=\"currentColor\"", chart->edge_name);
    }
    if (chart->ideal > 1)
        text_add(out, "<path d=\"M%.1f %.1fL%.1f %.1f\" %s/>\n", place_at(x, 1), place_at(y, 1),
                 place_at(x, chart->ideal), place_at(y, chart->ideal), GRID);
}

// ---- curves ----------------------------------------------------------------------------

static void add_mark(struct text *out, double x, double y, size_t place, bool hollow) {
    static const char *const marks[] = {"M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0-7 0z",
                                        "M-3-3h6v6h-6z",
                                        "M0-4L4 3H-4z",
                                        "M0-4.5L4.5 0L0 4.5L-4.5 0z",
                                        "M0 4L4-3H-4z",
                                        "M-4-1.3h8v2.6h-8z"};
    char *fill =
        hollow ? checked_strdup("var(--paper)") : format("var(--b%zu)", place % SVG_COLOURS);
    text_add(out,
             "<path d=\"%s\" transform=\"translate(%.1f %.1f)\" "
             "style=\"stroke:var(--b%zu);fill:%s\"/>\n",
             marks[place % (sizeof marks / sizeof *marks)], x, y, place % SVG_COLOURS, fill);
    free(fill);
}

static void add_line(struct text *out, const struct svg_line *line, const struct scale *x,
                     const struct scale *y) {
    size_t colour = line->place % SVG_COLOURS;
    text_add(out, "<path d=\"");
    for (size_t i = 0; i < line->count; i++)
        text_add(out, "%c%.1f %.1f", i ? 'L' : 'M', place_at(x, line->points[i].x),
                 place_at(y, line->points[i].y));
    text_add(out, "\" fill=\"none\" stroke-width=\"2\"%s style=\"stroke:var(--b%zu)\"/>\n",
             line->dashed ? " stroke-dasharray=\"8,5\"" : "", colour);
    for (size_t i = 0; i < line->count; i++) {
        const struct svg_point *point = &line->points[i];
        if (point->high > 0)
            text_add(
                out,
                "<path d=\"M%.1f %.1fV%.1f\" stroke-width=\"1.2\" style=\"stroke:var(--b%zu)\"/>\n",
                place_at(x, point->x), place_at(y, point->low), place_at(y, point->high), colour);
        add_mark(out, place_at(x, point->x), place_at(y, point->y), line->place, point->hollow);
    }
}

// Names stand at the ends of their lines, moved apart where they would touch.
static void add_names(struct text *out, const struct svg_line *lines, size_t count,
                      const struct scale *y) {
    const struct svg_line **order = checked_calloc(count, sizeof *order);
    double *at = checked_calloc(count, sizeof *at), limit = HEIGHT - BOTTOM;
    size_t placed = 0;
    for (size_t i = 0; i < count; i++) {
        if (lines[i].count == 0) continue;
        double end = place_at(y, lines[i].points[lines[i].count - 1].y);
        size_t k = placed++;
        for (; k > 0 && at[k - 1] > end; k--) {
            at[k] = at[k - 1];
            order[k] = order[k - 1];
        }
        at[k] = end;
        order[k] = &lines[i];
    }
    for (size_t i = 0; i < placed; i++) at[i] = fmax(at[i], i ? at[i - 1] + LABEL_GAP : TOP);
    for (size_t i = placed; i-- > 0; limit = at[i] - LABEL_GAP) at[i] = fmin(at[i], limit);
    for (size_t i = 0; i < placed; i++) {
        char *style = format("style=\"fill:var(--b%zu)\"", order[i]->place % SVG_COLOURS);
        add_text(out, WIDTH - RIGHT + 6, at[i] + 4, style, order[i]->name);
        free(style);
    }
    free(at);
    free(order);
}

char *svg_draw(const struct svg_chart *chart, const struct svg_line *lines, size_t count) {
    double x_low = INFINITY, x_high = 0, y_low = INFINITY, y_high = 0, reach = 0;
    struct text out = {0};
    for (size_t i = 0; i < count; i++)
        for (size_t k = 0; k < lines[i].count; k++) {
            const struct svg_point *point = &lines[i].points[k];
            x_low = fmin(x_low, point->x);
            x_high = fmax(x_high, point->x);
            y_low = fmin(y_low, point->y);
            y_high = fmax(y_high, point->y);
            reach = fmax(reach, point->high);
        }
    if (!isfinite(x_low)) return NULL;
    // The highest end of an interval, unless that is beyond twice the highest point.
    y_high = fmax(y_high, fmin(reach, 2 * y_high));
    struct scale x = scale_of(&chart->x, x_low, x_high, LEFT, WIDTH - RIGHT);
    struct scale y = scale_of(&chart->y, y_low, y_high, HEIGHT - BOTTOM, TOP);
    text_add(&out, "<svg viewBox=\"0 0 %d %d\">\n", WIDTH, HEIGHT);
    add_axes(&out, chart, &x, &y);
    for (size_t i = 0; i < count; i++) add_line(&out, &lines[i], &x, &y);
    add_names(&out, lines, count, &y);
    text_add(&out, "</svg>\n");
    return out.data;
}
