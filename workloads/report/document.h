// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A report as a list of headings, paragraphs, tables and plots, written once and
// rendered as HTML and as Markdown.  Text may hold **strong** words and nothing
// else; renderers escape the rest.
#ifndef TALLY_REPORT_DOCUMENT_H
#define TALLY_REPORT_DOCUMENT_H

#include "text.h"

#include <stdbool.h>

struct cell_note; // what a cell is beside its text

struct table {
    char *caption;
    char **cells; // row by row; the first row is the header
    struct cell_note *notes;
    size_t columns, count;
    size_t text_columns; // the first ones, aligned left; the others are numbers
};

enum part_kind { HEADING, PARAGRAPH, BULLET, TABLE, PLOT, VERBATIM, DETAILS, DETAILS_END, SAMPLES };

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

// Headings are linked by their text, so give each one of its own.
void document_heading(struct document *document, int level, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
void document_paragraph(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_bullet(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_verbatim(struct document *document, const char *text);
void document_plot(struct document *document, const char *svg, const char *label);
void document_table(struct document *document, struct table table); // takes the table over
// What stands between the two is folded away until it is asked for; in Markdown
// and in print it is open.
void document_details(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_details_end(struct document *document);
// Lines of CSV, the first one the names of the columns; in HTML alone, folded away.
void document_samples(struct document *document, const char *lines, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
void document_free(struct document *document);

struct table table_make(const char *caption, size_t columns, size_t text_columns);
// Cells fill row after row.  In a header a line feed parts a column's name from
// its unit and from whether it is for one thread or for all.
void table_cell(struct table *table, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));

// The next four say more of the cell that was added last.
enum verdict { NO_VERDICT, BETTER, SAME, WORSE, UNDECIDED };
void table_verdict(struct table *table, enum verdict verdict);
// An interval to draw on a logarithmic axis around 1, in a backend's colour (its
// place among the results' backends).
void table_strip(struct table *table, double low, double estimate, double high, size_t backend);
// The cell is a name with a colour, a backend's by its place among the results' backends.
void table_colour(struct table *table, size_t place);
// The cell leads to the heading with this text.
void table_link(struct table *table, const char *heading);
void table_free(struct table *table);

void render_html(const struct document *document, struct text *out);
void render_markdown(const struct document *document, struct text *out);
void render_terminal_table(const struct table *table, struct text *out);

#endif
