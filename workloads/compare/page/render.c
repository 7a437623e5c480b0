// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Renders a document as Markdown, and a table for the terminal; render_html.c
// renders the page.
#include "document.h"

#include <stdlib.h>
#include <string.h>

static void markdown_text(struct text *out, const char *string) {
    for (const char *c = string; *c; c++) {
        if (*c == '|' || *c == '`' || *c == '_')
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
    text_add(out, "\n");
    if (*table->caption) {
        markdown_text(out, table->caption);
        text_add(out, "\n\n");
    }
    for (size_t i = 0; i < table->count; i++) {
        const char *link = table->notes[i].link;
        text_add(out, link ? "| [" : "| ");
        markdown_text(out, table->cells[i]);
        if (link) {
            char *slug = heading_slug(link);
            text_add(out, "](#%s)", slug);
            free(slug);
        }
        text_add(out, (i + 1) % table->columns ? " " : " |\n");
        if (i + 1 == table->columns) {
            for (size_t c = 0; c < table->columns; c++)
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
    text_add(out, "\n%s\n%s\n%s\n\n", fence.data, string, fence.data);
    text_free(&fence);
}

void render_markdown(const struct document *document, struct text *out) {
    enum part_kind last = HEADING;
    text_add(out, "# ");
    markdown_text(out, document_title);
    text_add(out, "\n\n");
    for (size_t i = 0; i < document->count; i++) {
        const struct part *part = &document->parts[i];
        if (last == BULLET && part->kind != BULLET) text_add(out, "\n");
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
static size_t shown_width(const char *string) {
    size_t width = 0;
    for (; *string; string++) width += ((unsigned char)*string & 0xc0) != 0x80;
    return width;
}

static size_t column_width(const struct table *table, size_t column) {
    size_t widest = 0;
    for (size_t i = column; i < table->count; i += table->columns) {
        size_t width = shown_width(table->cells[i]);
        widest = width > widest ? width : widest;
    }
    return widest;
}

void render_terminal_table(const struct table *table, struct text *out) {
    if (*table->caption) text_add(out, "%s\n", table->caption);
    for (size_t i = 0; i < table->count; i++) {
        size_t column = i % table->columns;
        int pad = (int)(column_width(table, column) - shown_width(table->cells[i]));
        bool last = column + 1 == table->columns;
        if (table->left[column])
            text_add(out, "%s%*s", table->cells[i], last ? 0 : pad, "");
        else
            text_add(out, "%*s%s", pad, "", table->cells[i]);
        text_add(out, last ? "\n" : "  ");
    }
}
