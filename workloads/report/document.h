// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A report as a list of headings, paragraphs, tables and plots, written once and
// rendered as HTML and as Markdown.  Text may hold **strong** words and nothing
// else; renderers escape the rest.
#ifndef TALLY_REPORT_DOCUMENT_H
#define TALLY_REPORT_DOCUMENT_H

#include "text.h"

#include <stdbool.h>

struct table {
    char *caption;
    char **cells; // row by row; the first row is the header
    size_t columns, count;
    size_t text_columns; // the first ones, aligned left; the others are numbers
};

enum part_kind { HEADING, PARAGRAPH, BULLET, TABLE, PLOT, VERBATIM };

struct part {
    enum part_kind kind;
    int level;   // of a heading
    char *text;  // of all but tables; a plot's SVG
    char *label; // a plot's description
    struct table table;
};

struct document {
    struct part *parts;
    size_t count;
    char *title;
};

void document_heading(struct document *document, int level, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
void document_paragraph(struct document *document, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void document_bullet(struct document *document, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void document_verbatim(struct document *document, const char *text);
void document_plot(struct document *document, const char *svg, const char *label);
void document_table(struct document *document, struct table table); // takes the table over
void document_free(struct document *document);

struct table table_make(const char *caption, size_t columns, size_t text_columns);
// Cells fill row after row.
void table_cell(struct table *table, const char *pattern, ...) __attribute__((format(printf, 2, 3)));
void table_free(struct table *table);

void render_html(const struct document *document, struct text *out);
void render_markdown(const struct document *document, struct text *out);
void render_terminal_table(const struct table *table, struct text *out);

#endif
