// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Renders a document as one HTML file that asks for nothing outside itself.  How it looks is in
// page.css, what it does in page.js; without script it says all the same.
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

void html_add_text(struct text *out, const char *string) { html_text(out, string, false); }

// As html_text, of the first `length` bytes.
static void html_start(struct text *out, const char *string, size_t length) {
    char *start = checked_strdup(string);
    start[length] = '\0';
    html_text(out, start, false);
    free(start);
}

// ---- tables --------------------------------------------------------------------

static void html_header(struct text *out, const char *string) {
    size_t length = strcspn(string, "\n");
    html_start(out, string, length);
    if (!string[length]) return;
    text_add(out, "<span class=\"unit\">");
    html_text(out, string + length + 1, true);
    text_add(out, "</span>");
}

static void html_cell(struct text *out, const struct table *table, size_t index) {
    static const char *const chips[] = {"", "good", "same", "bad", ""};
    const struct cell_note *note = &table->notes[index];
    if (note->link) {
        char *slug = heading_slug(note->link);
        text_add(out, "<a href=\"#%s\">", slug);
        free(slug);
    }
    if (note->colour)
        text_add(out, "<span class=\"dot\" style=\"color:var(--b%zu)\"></span>",
                 (note->colour - 1) % SVG_COLOURS);
    if (note->verdict) text_add(out, "<span class=\"chip %s\">", chips[note->verdict]);
    html_text(out, table->cells[index], true);
    text_add(out, "%s%s", note->verdict ? "</span>" : "", note->link ? "</a>" : "");
}

// Whether a row begins like the one before; its first cell is then left unseen.
static bool begins_again(const struct table *table, size_t index) {
    return table->left[0] && index % table->width == 0 && index >= 2 * table->width &&
           strcmp(table->cells[index], table->cells[index - table->width]) == 0;
}

static void html_table_cell(struct text *out, const struct table *table, size_t index) {
    size_t column = index % table->width;
    bool header = index < table->width, row_header = !header && column == 0 && table->left[0];
    bool wide = strlen(table->cells[index]) > 56 && table->left[column];
    text_add(out, "<%s%s class=\"%s%s\">", header || row_header ? "th" : "td",
             header       ? " scope=\"col\""
             : row_header ? " scope=\"row\""
                          : "",
             table->left[column] ? "t" : "n", wide ? " w" : "");
    if (begins_again(table, index)) text_add(out, "<span class=\"unseen\">");
    if (header)
        html_header(out, table->cells[index]);
    else
        html_cell(out, table, index);
    text_add(out, "%s%s", begins_again(table, index) ? "</span>" : "",
             header || row_header ? "</th>" : "</td>");
}

static void html_table(struct text *out, const struct table *table) {
    text_add(out, "<div class=\"scroll\"><table>");
    if (*table->caption) {
        text_add(out, "<caption>");
        html_text(out, table->caption, true);
        text_add(out, "</caption>");
    }
    for (size_t i = 0; i < table->count; i++) {
        if (i % table->width == 0)
            text_add(out, i == 0 ? "<thead><tr>" : i == table->width ? "<tbody><tr>" : "<tr>");
        html_table_cell(out, table, i);
        if ((i + 1) % table->width == 0)
            text_add(out, i + 1 == table->width ? "</tr></thead>\n" : "</tr>\n");
    }
    text_add(out, "</tbody></table></div>\n");
}

// ---- entries -------------------------------------------------------------------

// The heads once, above the first entry of a section.
static void html_entry_heads(struct text *out, const struct table *table) {
    text_add(out, "<div class=\"heads\">");
    for (size_t c = 0; c < table->width; c++) {
        text_add(out, "<span class=\"%s\">", c == 0 ? "name" : table->left[c] ? "t" : "n");
        html_header(out, table->cells[c]);
        text_add(out, "</span>");
    }
    text_add(out, "</div>\n");
}

// A cell tells its column where the heads are not shown.
static void html_entry(struct text *out, const struct table *table) {
    char *slug = heading_slug(table->cells[table->width]);
    text_add(out, "<details class=\"entry\"><summary><h3 class=\"name\">");
    html_text(out, table->cells[table->width], false);
    text_add(out, "</h3>");
    for (size_t c = 1; c < table->width; c++) {
        const struct cell_note *note = &table->notes[table->width + c];
        text_add(out, "<span class=\"%s\" data-column=\"", table->left[c] ? "t" : "n");
        html_start(out, table->cells[c], strcspn(table->cells[c], "\n"));
        text_add(out, "\"");
        if (!isnan(note->value)) text_add(out, " data-value=\"%.6g\"", note->value);
        text_add(out, ">");
        html_cell(out, table, table->width + c);
        text_add(out, "</span>");
    }
    text_add(out, "</summary><div id=\"%s\">\n", slug);
    free(slug);
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

// A plot's SVG has one role, the caption as its title, and the whole label.
static void html_plot(struct text *out, const struct part *part) {
    const char *stop = strstr(part->label, ". "), *body = strchr(part->text, '\n');
    size_t length = stop ? (size_t)(stop - part->label) : strlen(part->label);
    text_add(out, "<figure><svg role=\"img\" aria-label=\"");
    html_text(out, part->label, false);
    text_add(out, "\"%.*s<title>", (int)(body - part->text - 4), part->text + strlen("<svg"));
    html_start(out, part->label, length);
    text_add(out, "</title>%s<figcaption>", body);
    html_start(out, part->label, length);
    text_add(out, "</figcaption></figure>\n");
}

static void html_part(struct text *out, const struct document *document, size_t index,
                      bool *entries) {
    static const char *const tags[][2] = {[BANNER] = {"<p class=\"banner\">", "</p>\n"},
                                          [PARAGRAPH] = {"<p>", "</p>\n"},
                                          [BULLET] = {"<li>", "</li>\n"},
                                          [VERBATIM] = {"<pre>", "</pre>\n"},
                                          [DETAILS] = {"<details><summary>", "</summary><div>\n"},
                                          [DETAILS_END] = {"</div></details>\n", ""}};
    const struct part *part = &document->parts[index];
    switch (part->kind) {
    case HEADING: html_heading(out, document, index); break;
    case TABLE: html_table(out, &part->table); break;
    case MARKUP: text_add(out, "%s", part->text); break;
    case PLOT:
    case SMALL_PLOT: html_plot(out, part); break;
    case ENTRY:
        if (!*entries) html_entry_heads(out, &part->table);
        *entries = true;
        html_entry(out, &part->table);
        break;
    default:
        text_add(out, "%s", tags[part->kind][0]);
        html_text(out, part->text, part->kind != VERBATIM);
        text_add(out, "%s", tags[part->kind][1]);
    }
}

// Bullets that follow one another share a list, plots a row.
static const char *group_tag(enum part_kind kind, bool opening) {
    if (kind == BULLET) return opening ? "<ul>\n" : "</ul>\n";
    if (kind == PLOT) return opening ? "<div class=\"plots\">\n" : "</div>\n";
    if (kind == SMALL_PLOT) return opening ? "<div class=\"plots small\">\n" : "</div>\n";
    return "";
}

static void html_contents(struct text *out, const struct document *document) {
    for (size_t i = 0; i < document->count; i++) {
        if (document->parts[i].kind != HEADING || document->parts[i].level > 2) continue;
        char *id = heading_id(document, i);
        text_add(out, "<li><a href=\"#%s\">", id);
        html_text(out, document->parts[i].text, false);
        text_add(out, "</a></li>\n");
        free(id);
    }
}

static void html_body(struct text *out, const struct document *document) {
    enum part_kind last = HEADING;
    bool entries = false;
    for (size_t i = 0; i < document->count; i++) {
        if (document->parts[i].markdown_only) continue;
        enum part_kind kind = document->parts[i].kind;
        if (kind == HEADING && document->parts[i].level == 2) entries = false;
        if (kind != last) text_add(out, "%s%s", group_tag(last, false), group_tag(kind, true));
        html_part(out, document, i, &entries);
        last = kind;
    }
    text_add(out, "%s", group_tag(last, false));
}

// The frame, with what stands at each {{name}}.
void render_page(const struct document *document, const struct page *page, struct text *out) {
    const char *at = page_html, *next;
    for (; (next = strstr(at, "{{")) != NULL; at = strstr(next, "}}") + 2) {
        text_add_bytes(out, at, (size_t)(next - at));
        switch (next[2]) {
        case 't': html_text(out, page->title, false); break;           // {{title}}
        case 's': text_add(out, "%s%s", page_css, page->style); break; // {{style}}
        case 'c': html_contents(out, document); break;                 // {{contents}}
        case 'l': text_add(out, "%s", page->links); break;             // {{links}}
        case 'b': html_body(out, document); break;                     // {{body}}
        default: text_add(out, "%s%s", page_js, page->script);         // {{javascript}}
        }
    }
    text_add(out, "%s", at);
}

void render_html(const struct document *document, struct text *out) {
    const struct page page = {document_title, "<li><a href=\"results.csv\">all samples</a></li>",
                              "", ""};
    render_page(document, &page, out);
}
