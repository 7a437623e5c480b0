// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Renders a document as one HTML file without outside resources, as Markdown,
// and a table for the terminal.
#include "document.h"

#include <string.h>

static const char *const style =
    ":root{color-scheme:light dark;--ink:#1c2126;--soft:#5a636d;--line:#d5dade;--paper:#fff;--band:#f3f5f7}\n"
    "@media(prefers-color-scheme:dark){:root{--ink:#e4e7ea;--soft:#a3acb5;--line:#3a424a;--paper:#14181c;"
    "--band:#1d2329}}\n"
    "*{box-sizing:border-box}\n"
    "body{margin:0 auto;max-width:62rem;padding:1rem;font:16px/1.5 system-ui,sans-serif;color:var(--ink);"
    "background:var(--paper)}\n"
    "h1{font-size:1.7rem;line-height:1.2;margin:1rem 0}\n"
    "h2{font-size:1.3rem;margin:2.2rem 0 .6rem;border-bottom:1px solid var(--line);padding-bottom:.2rem}\n"
    "h3{font-size:1.08rem;margin:1.8rem 0 .4rem}\n"
    "p,ul{margin:.5rem 0;max-width:46rem}ul{padding-left:1.2rem}li{margin:.25rem 0}\n"
    ".scroll{overflow-x:auto;margin:.8rem 0}\n"
    "table{border-collapse:collapse;font-size:.88rem;font-variant-numeric:tabular-nums}\n"
    "caption{text-align:left;color:var(--soft);padding:.2rem 0}\n"
    "th,td{padding:.25rem .7rem .25rem 0;text-align:right;white-space:nowrap;border-bottom:1px solid var(--line)}\n"
    "th{vertical-align:bottom;white-space:normal;color:var(--soft);font-weight:600}\n"
    ".t{text-align:left}td.w{white-space:normal;min-width:12rem}\n"
    "tbody tr:hover{background:var(--band)}\n"
    ".plots{display:flex;flex-wrap:wrap;gap:1rem;margin:.8rem 0}\n"
    "figure{margin:0;flex:1 1 20rem;min-width:0;max-width:34rem}\n"
    "svg{display:block;width:100%;height:auto;color:var(--ink)}\n"
    "pre{background:var(--band);padding:.7rem;overflow-x:auto;font-size:.85rem;white-space:pre-wrap}\n"
    "@media print{body{max-width:none;font-size:10pt}.scroll{overflow:visible}h2,h3{break-after:avoid}"
    "figure,tr,pre{break-inside:avoid}}\n";

// **strong** becomes <strong> where strong is true.
static void html_text(struct text *out, const char *string, bool strong)
{
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
    if (open)
        text_add(out, "</strong>");
}

static void html_table(struct text *out, const struct table *table)
{
    text_add(out, "<div class=\"scroll\"><table>");
    if (*table->caption) {
        text_add(out, "<caption>");
        html_text(out, table->caption, true);
        text_add(out, "</caption>");
    }
    for (size_t i = 0; i < table->count; i++) {
        const char *tag = i < table->columns ? "th" : "td";
        size_t column = i % table->columns;
        bool wide = strlen(table->cells[i]) > 48;
        if (column == 0)
            text_add(out, "%s<tr>", i == 0 ? "<thead>" : i == table->columns ? "</thead><tbody>" : "");
        text_add(out, "<%s class=\"%s%s\">", tag, column < table->text_columns ? "t" : "", wide ? " w" : "");
        html_text(out, table->cells[i], true);
        text_add(out, "</%s>%s", tag, column + 1 == table->columns ? "</tr>\n" : "");
    }
    text_add(out, "%s</table></div>\n", table->count > table->columns ? "</tbody>" : "</thead>");
}

static void html_part(struct text *out, const struct part *part)
{
    switch (part->kind) {
    case HEADING:
        text_add(out, "<h%d>", part->level);
        html_text(out, part->text, false);
        text_add(out, "</h%d>\n", part->level);
        break;
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
    case PLOT:
        text_add(out, "<figure role=\"img\" aria-label=\"");
        html_text(out, part->label, false);
        text_add(out, "\">%s</figure>\n", part->text);
        break;
    case TABLE:
        html_table(out, &part->table);
        break;
    case DETAILS:
        text_add(out, "<details><summary>");
        html_text(out, part->text, true);
        text_add(out, "</summary>\n");
        break;
    case DETAILS_END:
        text_add(out, "</details>\n");
        break;
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
static const char *group_tag(enum part_kind kind, bool opening)
{
    if (kind == BULLET)
        return opening ? "<ul>\n" : "</ul>\n";
    if (kind == PLOT)
        return opening ? "<div class=\"plots\">\n" : "</div>\n";
    return "";
}

void render_html(const struct document *document, struct text *out)
{
    text_add(out, "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
                  "<meta name=\"viewport\" content=\"width=device-width,initial-scale=1\">\n<title>");
    html_text(out, document->title, false);
    text_add(out, "</title>\n<style>\n%s</style></head><body>\n<h1>", style);
    html_text(out, document->title, false);
    text_add(out, "</h1>\n");
    enum part_kind last = HEADING;
    for (size_t i = 0; i < document->count; i++) {
        enum part_kind kind = document->parts[i].kind;
        if (kind != last)
            text_add(out, "%s%s", group_tag(last, false), group_tag(kind, true));
        html_part(out, &document->parts[i]);
        last = kind;
    }
    text_add(out, "%s</body></html>\n", group_tag(last, false));
}

static void markdown_text(struct text *out, const char *string)
{
    for (const char *c = string; *c; c++) {
        if (*c == '|' || *c == '`' || *c == '_')
            text_add(out, "\\%c", *c);
        else if (*c == '<')
            text_add(out, "&lt;");
        else if (*c == '\n')
            text_add(out, " ");
        else
            text_add_bytes(out, c, 1);
    }
}

static void markdown_table(struct text *out, const struct table *table)
{
    text_add(out, "\n");
    if (*table->caption) {
        markdown_text(out, table->caption);
        text_add(out, "\n\n");
    }
    for (size_t i = 0; i < table->count; i++) {
        text_add(out, "| ");
        markdown_text(out, table->cells[i]);
        text_add(out, (i + 1) % table->columns ? " " : " |\n");
        if (i + 1 == table->columns) {
            for (size_t c = 0; c < table->columns; c++)
                text_add(out, c < table->text_columns ? "| :--- " : "| ---: ");
            text_add(out, "|\n");
        }
    }
    text_add(out, "\n");
}

// A fence longer than any run of backticks in the text, so that nothing ends it.
static void markdown_verbatim(struct text *out, const char *string)
{
    size_t longest = 2, run = 0;
    for (const char *c = string; *c; c++) {
        run = *c == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    struct text fence = {0};
    for (size_t i = 0; i <= longest; i++)
        text_add(&fence, "`");
    text_add(out, "\n%s\n%s\n%s\n\n", fence.data, string, fence.data);
    text_free(&fence);
}

void render_markdown(const struct document *document, struct text *out)
{
    enum part_kind last = HEADING;
    text_add(out, "# ");
    markdown_text(out, document->title);
    text_add(out, "\n\n");
    for (size_t i = 0; i < document->count; i++) {
        const struct part *part = &document->parts[i];
        if (last == BULLET && part->kind != BULLET)
            text_add(out, "\n");
        last = part->kind;
        if (part->kind == TABLE) {
            markdown_table(out, &part->table);
        } else if (part->kind == VERBATIM) {
            markdown_verbatim(out, part->text);
        } else if (part->kind == DETAILS) {
            text_add(out, "**");
            markdown_text(out, part->text);
            text_add(out, "**\n\n");
        } else if (part->kind != PLOT && part->kind != SAMPLES && part->kind != DETAILS_END) {
            text_add(out, "%s", part->kind == BULLET ? "- " : "");
            for (int l = 0; part->kind == HEADING && l < part->level; l++)
                text_add(out, l + 1 == part->level ? "# " : "#");
            markdown_text(out, part->text);
            text_add(out, part->kind == BULLET ? "\n" : "\n\n");
        }
    }
}

// Columns on a terminal: bytes that start a character.
static size_t shown_width(const char *string)
{
    size_t width = 0;
    for (; *string; string++)
        width += ((unsigned char)*string & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct table *table, size_t column)
{
    size_t widest = 0;
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t width = shown_width(table->cells[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

void render_terminal_table(const struct table *table, struct text *out)
{
    if (*table->caption)
        text_add(out, "%s\n", table->caption);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        int pad = (int)(column_width(table, column) - shown_width(table->cells[i]));
        bool last = column + 1 == table->columns;
        if (column < table->text_columns)
            text_add(out, "%s%*s", table->cells[i], last ? 0 : pad, "");
        else
            text_add(out, "%*s%s", pad, "", table->cells[i]);
        text_add(out, last ? "\n" : "  ");
    }
}
