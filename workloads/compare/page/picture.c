// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The picture of the first screen as a file of its own, for pages elsewhere: the small plots of
// the document with their titles, under the names of the lines, in the page's colours.
#include "document.h"
#include "results.h"
#include "svg.h"

#include <stdlib.h>
#include <string.h>

enum { COLUMNS = 3, ACROSS = 236, DOWN = 190, EDGE = 12, TOP = 34, NOTE_LINE = 16 };

static size_t count_plots(const struct document *document, size_t *last) {
    size_t count = 0;
    for (size_t i = 0; i < document->count; i++) {
        if (document->parts[i].kind != SMALL_PLOT) continue;
        *last = i;
        count++;
    }
    return count;
}

static void add_style(struct text *out) {
    text_add(out, "<style>\n");
    svg_add_colours(out);
    text_add(out, "svg { color: var(--ink); font: 12px system-ui, sans-serif; }\n</style>\n");
}

static bool is_drawn(const struct document *document, size_t place) {
    char *colour = format("color:var(--b%zu)", place % SVG_COLOURS);
    bool drawn = false;
    for (size_t i = 0; i < document->count; i++)
        drawn = drawn ||
                (document->parts[i].kind == SMALL_PLOT && strstr(document->parts[i].text, colour));
    free(colour);
    return drawn;
}

static void add_names(struct text *out, const struct document *document) {
    int x = EDGE + 10;
    for (size_t p = 0; p < document->results->name_count; p++) {
        const char *name = document->results->names[p];
        if (!is_drawn(document, p)) continue;
        svg_add_key(out, x, EDGE + 8, name, p);
        x += 30 + 7 * (int)strlen(name);
    }
}

static void add_plot(struct text *out, const struct part *part, size_t place) {
    int x = EDGE + ACROSS * (int)(place % COLUMNS), y = TOP + DOWN * (int)(place / COLUMNS);
    const char *body = part->text + strlen("<svg");
    text_add(out,
             "<text x=\"%d\" y=\"%d\" font-weight=\"bold\" fill=\"currentColor\">%.*s</text>\n", x,
             y + 14, (int)strcspn(part->label, "."), part->label);
    text_add(out, "<svg x=\"%d\" y=\"%d\" width=\"%d\" height=\"%d\"%s", x, y + 20, ACROSS - EDGE,
             DOWN - 30, body);
}

// Sentences, each in a line. Returns the height.
static int add_note(struct text *out, const char *note, int y) {
    int from = y;
    while (*note) {
        const char *stop = strstr(note, ". ");
        size_t length = stop ? (size_t)(stop - note) + 1 : strlen(note);
        text_add(out, "<text x=\"%d\" y=\"%d\" fill=\"var(--soft)\">%.*s</text>\n", EDGE, y,
                 (int)length, note);
        y += NOTE_LINE;
        note += length + (stop != NULL);
    }
    return y - from;
}

void render_picture(const struct document *document, struct text *out) {
    size_t last = 0, count = count_plots(document, &last), place = 0;
    if (count == 0) return;
    const char *note = document->parts[last + 1].text;
    struct text body = {0};
    add_style(&body);
    text_add(&body, "<rect width=\"100%%\" height=\"100%%\" fill=\"var(--paper)\"/>\n");
    add_names(&body, document);
    for (size_t i = 0; i < document->count; i++)
        if (document->parts[i].kind == SMALL_PLOT) add_plot(&body, &document->parts[i], place++);
    int height = TOP + DOWN * (int)((count + COLUMNS - 1) / COLUMNS) + NOTE_LINE;
    height += add_note(&body, note, height) - NOTE_LINE / 2;
    int width = COLUMNS * ACROSS + 2 * EDGE;
    text_add(out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" "
             "viewBox=\"0 0 %d %d\" role=\"img\">\n<title>How each kind of workload scales</title>"
             "\n<desc>",
             width, height, width, height);
    for (size_t i = 0; i < document->count; i++) {
        if (document->parts[i].kind != SMALL_PLOT) continue;
        svg_add_escaped(out, document->parts[i].label);
        text_add(out, ".\n");
    }
    text_add(out, "</desc>\n%s</svg>\n", text_string(&body));
    text_free(&body);
}
