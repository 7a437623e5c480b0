// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Renders a document as one HTML file that asks for nothing outside itself.  How
// it looks is in page.css.
#include "document.h"
#include "page.h"
#include "svg.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

// **strong** becomes <strong> where strong is true.
static void html_text(struct text *out, const char *string, bool strong) {
    bool open = false;
    for (const char *c = string; *c; c++) {
        if (strong && c[0] == '*' && c[1] == '*') {
            text_add(out, open ? "</strong>" : "<strong>");
            open = !open;
            c++;
        } else if (*c == '&') {
            text_add(out, "&amp;");
        } else if (*c == '<') {
            text_add(out, "&lt;");
        } else if (*c == '>') {
            text_add(out, "&gt;");
        } else if (*c == '"') {
            text_add(out, "&quot;");
        } else {
            text_add_bytes(out, c, 1);
        }
    }
    if (open) text_add(out, "</strong>");
}

// ---- cells ---------------------------------------------------------------------

enum { STRIP_HALF = 53, STRIP_MIDDLE = 55 };

// Half the width of the table's axis of intervals, as a logarithm: all estimates
// are on it, and at least half and double.
static double strip_reach(const struct table *table) {
    double reach = log(2);
    for (size_t i = 0; i < table->count; i++)
        if (table->notes[i].estimate > 0)
            reach = fmax(reach, 1.1 * fabs(log(table->notes[i].estimate)));
    return reach;
}

static double strip_x(double value, double reach) {
    double at = value > 0 ? log(value) / reach : -1;
    return STRIP_MIDDLE + STRIP_HALF * fmax(-1, fmin(1, at));
}

// The numbers stand beside it, so it is hidden from those who cannot see it.
static void html_strip(struct text *out, const struct cell_note *note, double reach) {
    text_add(out,
             "<svg class=\"strip\" viewBox=\"0 0 110 14\" aria-hidden=\"true\" "
             "style=\"color:var(--b%zu)\">"
             "<line class=\"one\" x1=\"%d\" x2=\"%d\" y1=\"0\" y2=\"14\"/>",
             (note->colour - 1) % SVG_COLOURS, STRIP_MIDDLE, STRIP_MIDDLE);
    if (note->low > 0)
        text_add(out, "<line x1=\"%.1f\" x2=\"%.1f\" y1=\"7\" y2=\"7\"/>",
                 strip_x(note->low, reach), strip_x(note->high, reach));
    text_add(out, "<circle cx=\"%.1f\" cy=\"7\" r=\"3.5\"/></svg>", strip_x(note->estimate, reach));
}

static void html_header(struct text *out, const char *string) {
    const char *feed = strchr(string, '\n');
    char *name = checked_strdup(string);
    if (feed) name[feed - string] = '\0';
    html_text(out, name, true);
    if (feed) {
        text_add(out, "<span class=\"unit\">");
        html_text(out, feed + 1, true);
        text_add(out, "</span>");
    }
    free(name);
}

static void html_cell(struct text *out, const struct table *table, size_t index, double reach) {
    static const char *const chips[] = {"", "good", "same", "bad", ""};
    const struct cell_note *note = &table->notes[index];
    if (note->link) {
        char *slug = heading_slug(note->link);
        text_add(out, "<a href=\"#%s\">", slug);
        free(slug);
    }
    if (note->colour && !(note->estimate > 0))
        text_add(out, "<span class=\"dot\" style=\"color:var(--b%zu)\"></span>",
                 (note->colour - 1) % SVG_COLOURS);
    if (note->verdict) text_add(out, "<span class=\"chip %s\">", chips[note->verdict]);
    html_text(out, table->cells[index], true);
    text_add(out, "%s%s", note->verdict ? "</span>" : "", note->link ? "</a>" : "");
    if (note->estimate > 0) html_strip(out, note, reach);
}

// ---- tables --------------------------------------------------------------------

// Whether a row begins like the one before; its first cell is then left unseen.
static bool begins_again(const struct table *table, size_t index) {
    return table->left[0] && index % table->columns == 0 && index >= 2 * table->columns &&
           strcmp(table->cells[index], table->cells[index - table->columns]) == 0;
}

static void html_row_start(struct text *out, const struct table *table, size_t index, bool strips) {
    bool again = begins_again(table, index);
    bool followed = index >= table->columns && index + table->columns < table->count &&
                    begins_again(table, index + table->columns);
    text_add(out, "%s<tr%s%s>",
             index == 0                ? "<thead>"
             : index == table->columns ? "</thead><tbody>"
                                       : "",
             followed && again ? " class=\"again followed\""
             : followed        ? " class=\"followed\""
             : again           ? " class=\"again\""
                               : "",
             strips ? " role=\"row\"" : "");
}

// On a narrow screen such a table's rows become cards, whose cells tell their
// column; the roles keep it a table for those who have it read to them.
static void html_strips_cell(struct text *out, const struct table *table, size_t index) {
    size_t column = index % table->columns;
    text_add(out, " role=\"%s\"",
             index < table->columns ? "columnheader"
             : column == 0          ? "rowheader"
                                    : "cell");
    // A name and a piece of advice speak for themselves.
    const struct cell_note *note = &table->notes[index];
    bool spoken = note->verdict || (note->colour && !(note->estimate > 0));
    if (index < table->columns || column == 0 || spoken) return;
    const char *head = table->cells[column], *feed = strchr(head, '\n');
    char *name = checked_strdup(head);
    if (feed) name[feed - head] = '\0';
    text_add(out, " data-column=\"");
    html_text(out, name, false);
    text_add(out, "\"");
    free(name);
}

static void html_table_cell(struct text *out, const struct table *table, size_t index, double reach,
                            bool strips) {
    size_t column = index % table->columns;
    bool header = index < table->columns, row_header = !header && column == 0 && table->left[0];
    bool wide = strlen(table->cells[index]) > 56 && table->left[column];
    text_add(out, "<%s%s class=\"%s%s\"", header || row_header ? "th" : "td",
             header       ? " scope=\"col\""
             : row_header ? " scope=\"row\""
                          : "",
             table->left[column] ? "t" : "n", wide ? " w" : "");
    if (strips) html_strips_cell(out, table, index);
    text_add(out, ">");
    if (header)
        html_header(out, table->cells[index]);
    else if (begins_again(table, index)) {
        text_add(out, "<span class=\"unseen\">");
        html_text(out, table->cells[index], true);
        text_add(out, "</span>");
    } else {
        html_cell(out, table, index, reach);
    }
    text_add(out, header || row_header ? "</th>" : "</td>");
}

static void html_table(struct text *out, const struct table *table) {
    double reach = strip_reach(table);
    bool strips = false;
    for (size_t i = 0; i < table->count; i++) strips = strips || table->notes[i].estimate > 0;
    text_add(out, "<div class=\"scroll\"><table%s>",
             strips ? " class=\"strips\" role=\"table\"" : "");
    if (*table->caption) {
        text_add(out, "<caption>");
        html_text(out, table->caption, true);
        text_add(out, "</caption>");
    }
    for (size_t i = 0; i < table->count; i++) {
        if (i % table->columns == 0) html_row_start(out, table, i, strips);
        html_table_cell(out, table, i, reach, strips);
        if ((i + 1) % table->columns == 0) text_add(out, "</tr>\n");
    }
    text_add(out, "%s</table></div>\n", table->count > table->columns ? "</tbody>" : "</thead>");
}

// ---- parts ---------------------------------------------------------------------

// A link by the heading's text; a number follows where an earlier one has it.
static char *heading_id(const struct document *document, size_t index) {
    char *slug = heading_slug(document->parts[index].text);
    size_t earlier = 0;
    for (size_t i = 0; i < index; i++) {
        if (document->parts[i].kind != HEADING) continue;
        char *other = heading_slug(document->parts[i].text);
        earlier += strcmp(other, slug) == 0;
        free(other);
    }
    char *id = earlier ? format("%s-%zu", slug, earlier + 1) : checked_strdup(slug);
    free(slug);
    return id;
}

static void html_heading(struct text *out, const struct document *document, size_t index) {
    const struct part *part = &document->parts[index];
    char *id = heading_id(document, index);
    text_add(out, "<h%d id=\"%s\">", part->level, id);
    html_text(out, part->text, false);
    text_add(out, "</h%d>\n", part->level);
    free(id);
}

// The label up to its first full stop is shown; a plot's SVG has one role and the whole label.
static void html_plot(struct text *out, const struct part *part) {
    const char *body = strncmp(part->text, "<svg", 4) == 0 ? part->text + 4 : part->text;
    const char *stop = strstr(part->label, ". ");
    char *shown = checked_strdup(part->label);
    if (stop) shown[stop - part->label] = '\0';
    text_add(out, "<figure><svg role=\"img\" aria-label=\"");
    html_text(out, part->label, false);
    text_add(out, "\"%s<figcaption>", body);
    html_text(out, shown, false);
    text_add(out, "</figcaption></figure>\n");
    free(shown);
}

static void html_part(struct text *out, const struct document *document, size_t index) {
    const struct part *part = &document->parts[index];
    switch (part->kind) {
    case HEADING: html_heading(out, document, index); break;
    case PARAGRAPH:
    case BULLET:
        text_add(out, part->kind == BULLET ? "<li>" : "<p>");
        html_text(out, part->text, true);
        text_add(out, part->kind == BULLET ? "</li>\n" : "</p>\n");
        break;
    case VERBATIM:
        text_add(out, "<pre>");
        html_text(out, part->text, false);
        text_add(out, "</pre>\n");
        break;
    case PLOT: html_plot(out, part); break;
    case TABLE: html_table(out, &part->table); break;
    case DETAILS:
        text_add(out, "<details><summary>");
        html_text(out, part->text, true);
        text_add(out, "</summary>\n");
        break;
    case DETAILS_END: text_add(out, "</details>\n"); break;
    case SAMPLES:
        text_add(out, "<details class=\"samples\"><summary>");
        html_text(out, part->label, true);
        text_add(out, "</summary><pre>");
        html_text(out, part->text, false);
        text_add(out, "</pre></details>\n");
        break;
    }
}

// Bullets that follow one another share a list, plots a row.
static const char *group_tag(enum part_kind kind, bool opening) {
    if (kind == BULLET) return opening ? "<ul>\n" : "</ul>\n";
    if (kind == PLOT) return opening ? "<div class=\"plots\">\n" : "</div>\n";
    return "";
}

// Headings of the second level, each with a list of its own third ones.
static void html_contents(struct text *out, const struct document *document) {
    int depth = 0; // 2 in an item of the second level, 3 in its list
    for (size_t i = 0; i < document->count; i++) {
        const struct part *part = &document->parts[i];
        if (part->kind != HEADING || part->level > 3 || (part->level == 3 && depth == 0)) continue;
        char *id = heading_id(document, i);
        if (part->level == 2)
            text_add(out, "%s", depth == 3 ? "</ul></li>\n" : depth == 2 ? "</li>\n" : "");
        else if (depth == 2)
            text_add(out, "<ul>\n");
        text_add(out, "<li><a href=\"#%s\">", id);
        html_text(out, part->text, false);
        text_add(out, part->level == 2 ? "</a>" : "</a></li>\n");
        depth = part->level;
        free(id);
    }
    text_add(out, "%s", depth == 3 ? "</ul></li>\n" : depth == 2 ? "</li>\n" : "");
}

static void html_title(struct text *out, const struct document *document) {
    (void)document;
    html_text(out, document_title, false);
}

static void html_style(struct text *out, const struct document *document) {
    (void)document;
    text_add_bytes(out, page_css, strlen(page_css));
}

static void html_script(struct text *out, const struct document *document) {
    (void)document;
    text_add_bytes(out, page_js, strlen(page_js));
}

static void html_body(struct text *out, const struct document *document) {
    enum part_kind last = HEADING;
    for (size_t i = 0; i < document->count; i++) {
        enum part_kind kind = document->parts[i].kind;
        if (kind != last) text_add(out, "%s%s", group_tag(last, false), group_tag(kind, true));
        html_part(out, document, i);
        last = kind;
    }
    text_add(out, "%s", group_tag(last, false));
}

// The frame, with what stands at each {{name}}.
void render_html(const struct document *document, struct text *out) {
    static const struct {
        const char *name;
        void (*add)(struct text *out, const struct document *document);
    } places[] = {{"{{title}}", html_title},
                  {"{{style}}", html_style},
                  {"{{contents}}", html_contents},
                  {"{{body}}", html_body},
                  {"{{script}}", html_script}};
    const char *at = page_html, *next;
    while ((next = strstr(at, "{{")) != NULL) {
        text_add_bytes(out, at, (size_t)(next - at));
        for (size_t i = 0; i < sizeof places / sizeof *places; i++)
            if (strncmp(next, places[i].name, strlen(places[i].name)) == 0)
                places[i].add(out, document);
        at = strstr(next, "}}") + 2;
    }
    text_add(out, "%s", at);
}
