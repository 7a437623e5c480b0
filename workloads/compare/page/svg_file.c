// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Makes a file of a picture, for a place outside the page: the colours come from the page's style,
// for light and dark.
#include "page.h"
#include "svg_parts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void svg_add_colours(struct text *out) {
    const char *begin = strstr(page_css, ":root {"), *end = strstr(page_css, "\n* {");
    text_add_bytes(out, begin, (size_t)(end + 1 - begin));
}

char *svg_file(char *svg, const char *label) {
    struct text out = {0};
    int width = SVG_WIDTH, height = 0;
    const char *body = strchr(svg, '\n') + 1, *stop = strstr(label, ". ");
    char *title = checked_strdup(label);
    if (stop) title[stop - label] = '\0';
    sscanf(svg, "<svg viewBox=\"0 0 %d %d\"", &width, &height);
    text_add(&out,
             "<svg xmlns=\"http://www.w3.org/2000/svg\" role=\"img\" viewBox=\"0 0 %d %d\" "
             "width=\"%d\" height=\"%d\" aria-labelledby=\"title about\">\n<title id=\"title\">",
             width, height, 2 * width, 2 * height);
    svg_add_escaped(&out, title);
    text_add(&out, "</title>\n<desc id=\"about\">");
    svg_add_escaped(&out, label);
    text_add(&out, "</desc>\n<style>\n");
    svg_add_colours(&out);
    text_add(&out, "svg {\n    max-width: 100%%; height: auto; color: var(--ink); "
                   "background: var(--paper);\n    font: 13px system-ui, sans-serif;\n}\n"
                   "</style>\n");
    text_add_bytes(&out, body, strlen(body));
    free(title);
    free(svg);
    return out.data;
}
