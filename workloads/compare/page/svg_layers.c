// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Draws a stack of layers over time, with a legend below: the highest layer first.
#include "svg_parts.h"

#include <math.h>
#include <stdlib.h>

enum { HEIGHT = 236, LEFT = 52, RIGHT = 12, TOP = 10, BOTTOM = 44, LINE = 19, ACROSS = 2 };

// The edges of a layer: there along its top, back along its bottom, which is the top of the layers
// below it.
static void add_layer(struct text *out, const struct svg_scale *x, const struct svg_scale *y,
                      const double *times, size_t count, const struct svg_layer *layers,
                      size_t layer) {
    text_add(out, "<path style=\"fill:var(--c%zu);stroke:var(--paper)\" stroke-width=\".5\" d=\"",
             layers[layer].colour);
    for (size_t edge = 0; edge < 2; edge++)
        for (size_t i = 0; i < count; i++) {
            size_t time = edge ? count - 1 - i : i;
            double sum = 0;
            for (size_t l = 0; l + edge <= layer; l++) sum += layers[l].values[time];
            text_add(out, "%c%.1f %.1f", edge + i ? 'L' : 'M', svg_place(x, times[time]),
                     svg_place(y, sum));
        }
    text_add(out, "z\"><title>");
    svg_add_escaped(out, layers[layer].title);
    text_add(out, "</title></path>\n");
}

static double most_of(const struct svg_layer *layer, size_t count) {
    double most = 0;
    for (size_t i = 0; i < count; i++) most = fmax(most, layer->values[i]);
    return most;
}
static bool is_named(const struct svg_layer *layer, size_t count, double high) {
    return most_of(layer, count) >= high / 100;
}

static void add_key(struct text *out, size_t place, int top, const char *mark, const char *name) {
    double x = (double)(place % ACROSS) * SVG_WIDTH / ACROSS,
           y = top + (double)(place / ACROSS) * LINE;
    text_add(out, "<path transform=\"translate(%.1f %.1f)\" %s/>\n", x, y, mark);
    svg_text(out, x + 18, y + 11, "fill=\"currentColor\"", name);
}

char *svg_layers(const struct svg_chart *chart, const double *times, size_t count,
                 const struct svg_layer *layers, size_t layer_count, const double *whole,
                 const char *whole_name) {
    size_t named = 1;
    if (count < 2) return NULL;
    for (size_t l = 0; l < layer_count; l++) named += is_named(&layers[l], count, chart->y.high);
    const struct svg_frame frame = {SVG_WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM};
    struct svg_scale x = svg_scale_of(&chart->x, 0, 0, LEFT, SVG_WIDTH - RIGHT),
                     y = svg_scale_of(&chart->y, 0, 0, HEIGHT - BOTTOM, TOP);
    struct text out = svg_start(SVG_WIDTH, HEIGHT + (int)((named + ACROSS - 1) / ACROSS) * LINE);
    for (size_t l = 0; l < layer_count; l++)
        if (most_of(&layers[l], count) > 0) add_layer(&out, &x, &y, times, count, layers, l);
    svg_axes(&out, chart, &x, &y, &frame);
    text_add(&out, "<path fill=\"none\" stroke=\"currentColor\" stroke-width=\"1.5\" d=\"");
    for (size_t i = 0; i < count; i++)
        text_add(&out, "%c%.1f %.1f", i ? 'L' : 'M', svg_place(&x, times[i]),
                 svg_place(&y, whole[i]));
    text_add(&out, "\"/>\n");
    add_key(&out, 0, HEIGHT, "d=\"M0 6h12\" stroke=\"currentColor\" stroke-width=\"1.5\"",
            whole_name);
    for (size_t l = layer_count, place = 1; l-- > 0;) {
        if (!is_named(&layers[l], count, chart->y.high)) continue;
        char *mark = format("d=\"M0 0h12v12h-12z\" style=\"fill:var(--c%zu)\"", layers[l].colour);
        add_key(&out, place++, HEIGHT, mark, layers[l].name);
        free(mark);
    }
    return svg_end(&out);
}
