// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Renders a document as Markdown, and for the terminal; html.c renders the page.
#include "document.h"

#include <stdlib.h>
#include <string.h>

// In a line of HTML, such as a summary, nothing is escaped by a backslash.
static void markdown_text(struct text *out, const char *string, bool html) {
    for (const char *c = string; *c; c++) {
        if (!html && (*c == '|' || *c == '`' || *c == '_'))
            text_add(out, "\\%c", *c);
        else if (*c == '<')
            text_add(out, "&lt;");
        else if (*c == '\n')
            text_add(out, ", ");
        else
            text_add_bytes(out, c, 1);
    }
}

static void markdown_table(struct text *out, const struct table *table) {
    if (*table->caption) {
        markdown_text(out, table->caption, false);
        text_add(out, "\n\n");
    }
    for (size_t i = 0; i < table->count; i++) {
        const char *link = table->notes[i].link;
        text_add(out, link ? "| [" : "| ");
        markdown_text(out, table->cells[i], false);
        if (link) {
            char *slug = heading_slug(link);
            text_add(out, "](#%s)", slug);
            free(slug);
        }
        text_add(out, (i + 1) % table->width ? " " : " |\n");
        if (i + 1 == table->width) {
            for (size_t c = 0; c < table->width; c++)
                text_add(out, table->left[c] ? "| :--- " : "| ---: ");
            text_add(out, "|\n");
        }
    }
    text_add(out, "\n");
}

// A fence longer than any run of backticks in the text, so that nothing ends it.
static void markdown_verbatim(struct text *out, const char *string) {
    size_t longest = 2, run = 0;
    for (const char *c = string; *c; c++) {
        run = *c == '`' ? run + 1 : 0;
        longest = run > longest ? run : longest;
    }
    struct text fence = {0};
    for (size_t i = 0; i <= longest; i++) text_add(&fence, "`");
    text_add(out, "%s\n%s\n%s\n\n", fence.data, string, fence.data);
    text_free(&fence);
}

static void markdown_part(struct text *out, const struct part *part) {
    static const char *const starts[] = {[HEADING] = "####",
                                         [BANNER] = "> ",
                                         [BULLET] = "- ",
                                         [DETAILS] = "<details><summary>",
                                         [ENTRY] = "<details><summary>"};
    static const char *const ends[] = {[HEADING] = "\n\n",           [BANNER] = "\n\n",
                                       [PARAGRAPH] = "\n\n",         [BULLET] = "\n",
                                       [DETAILS] = "</summary>\n\n", [ENTRY] = "</summary>\n\n"};
    switch (part->kind) {
    case TABLE: markdown_table(out, &part->table); return;
    case VERBATIM: markdown_verbatim(out, part->text); return;
    case DETAILS_END: text_add(out, "</details>\n\n"); return;
    case PLOT:
    case SMALL_PLOT: return;
    case HEADING: text_add(out, "%.*s ", part->level, starts[HEADING]); break;
    default: text_add(out, "%s", starts[part->kind] ? starts[part->kind] : "");
    }
    markdown_text(out, part->kind == ENTRY ? part->table.cells[part->table.width] : part->text,
                  part->kind == ENTRY || part->kind == DETAILS);
    text_add(out, "%s", ends[part->kind]);
}

void render_markdown(const struct document *document, struct text *out) {
    enum part_kind last = HEADING;
    text_add(out, "# %s\n\n", document_title);
    for (size_t i = 0; i < document->count; i++) {
        const struct part *part = &document->parts[i];
        if (part->page_only) continue;
        if (last == BULLET && part->kind != BULLET) text_add(out, "\n");
        // All small plots are one picture, render_picture's.
        if (part->kind == SMALL_PLOT && last != SMALL_PLOT)
            text_add(out, "![How each kind of workload scales](scaling.svg)\n\n");
        markdown_part(out, part);
        last = part->kind;
    }
}

// Columns on a terminal: bytes that start a character.
static size_t shown_width(const char *string) {
    size_t width = 0;
    for (; *string; string++) width += ((unsigned char)*string & 0xc0) != 0x80;
    return width;
}

// The line of a heading, from 0; "" where it has fewer. The caller frees it.
static char *heading_line(const char *heading, int line) {
    while (line-- > 0) heading = *(heading += strcspn(heading, "\n")) ? heading + 1 : heading;
    return format("%.*s", (int)strcspn(heading, "\n"), heading);
}

static int heading_lines(const struct table *table) {
    int most = 1;
    for (size_t i = 0; i < table->width; i++) {
        int lines = 1;
        for (const char *c = table->cells[i]; *c; c++) lines += *c == '\n';
        most = lines > most ? lines : most;
    }
    return most;
}

static size_t column_width(const struct table *table, size_t column) {
    size_t widest = 0;
    for (size_t i = column; i < table->count; i += table->width)
        for (int line = 0; line < (i < table->width ? heading_lines(table) : 1); line++) {
            char *shown = heading_line(table->cells[i], line);
            size_t width = shown_width(shown);
            widest = width > widest ? width : widest;
            free(shown);
        }
    return widest;
}

static void terminal_cell(const struct table *table, size_t column, const char *shown,
                          struct text *out) {
    int pad = (int)(column_width(table, column) - shown_width(shown));
    bool last = column + 1 == table->width;
    if (table->left[column])
        text_add(out, "%s%*s", shown, last ? 0 : pad, "");
    else
        text_add(out, "%*s%s", pad, "", shown);
    text_add(out, last ? "\n" : "  ");
}

void render_terminal_table(const struct table *table, struct text *out) {
    if (*table->caption) text_add(out, "%s\n", table->caption);
    for (int line = 0; line < heading_lines(table); line++)
        for (size_t i = 0; i < table->width; i++) {
            char *shown = heading_line(table->cells[i], line);
            terminal_cell(table, i, shown, out);
            free(shown);
        }
    for (size_t i = table->width; i < table->count; i++)
        terminal_cell(table, i % table->width, table->cells[i], out);
}

// In lines of 90 columns at most. **strong** words are bold, or like the rest.
static void terminal_paragraph(const char *string, bool bold, struct text *out) {
    size_t column = 0;
    bool strong = false;
    while (*string) {
        size_t length = strcspn(string, " "), width = 0;
        for (size_t i = 0; i < length; i++)
            width += string[i] != '*' && ((unsigned char)string[i] & 0xc0) != 0x80;
        bool fits = column + width < 90;
        if (column) text_add(out, fits ? " " : "\n");
        column = column && fits ? column + 1 + width : width;
        for (const char *end = string + length; string < end; string++) {
            if (string[0] == '*' && string[1] == '*') {
                strong = !strong;
                if (bold) text_add(out, strong ? "\033[1m" : "\033[0m");
                string++;
            } else {
                text_add_bytes(out, string, 1);
            }
        }
        string += strspn(string, " ");
    }
    text_add(out, "\n");
}

void render_terminal(const struct document *document, bool bold, struct text *out) {
    for (size_t i = 0; i < document->count; i++) {
        const struct part *part = &document->parts[i];
        if (part->kind == PARAGRAPH) {
            terminal_paragraph(part->text, bold, out);
        } else if (part->kind == TABLE) {
            struct table table = part->table;
            table.caption = (char *)"";
            text_add(out, "\n");
            render_terminal_table(&table, out);
            if (*part->table.caption) terminal_paragraph(part->table.caption, bold, out);
        }
    }
}
