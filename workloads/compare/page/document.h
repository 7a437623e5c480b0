// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A report as a list of headings, paragraphs, tables and plots, written once and
// rendered as HTML and as Markdown.  Text may hold **strong** words and nothing
// else; renderers escape the rest.
//
// A table is a list of columns and a list of rows, which are structs of the caller: a
// column has a heading, a type, and the offset of its value in a row.  The type says how
// the value is shown, here alone.
#ifndef TALLY_COMPARE_DOCUMENT_H
#define TALLY_COMPARE_DOCUMENT_H

#include "choices.h"
#include "scalability.h" // struct span
#include "text.h"

// How a value is shown, and its type in the row.  A number that is NAN, or a ratio without
// an estimate, is a dash.
enum cell_type {
    TEXT,    // const char *; NULL is a dash
    BACKEND, // const char *: a name in its colour
    LINK,    // const char *: leads to the heading of this text
    ADVICE,  // struct advice
    COUNT,   // double, a whole number
    NUMBER,  // double, with the column's digits; 0: three significant ones
    RATE,    // double: 12.3 M
    TIME,    // double, nanoseconds: 12.3 µs
    PERCENT, // double, a share
    BYTES,   // double: 12.3 KiB
    RATIO,   // struct interval: 1.95 (1.92 to 1.98)
    BAR,     // struct interval, drawn beside in the colour of the row's backend
    MARKED,  // struct interval: = the same, ? not enough data
    GAIN,    // MARKED with a colour: above 1 is good
    SPAN,    // struct span of rates: 1.2 M to 1.4 M
    RANGE,   // struct span of numbers, with the column's digits
};

struct column {
    // A line feed parts a column's name from its unit and from whether it is for one thread
    // or for all.
    const char *head;
    enum cell_type type;
    size_t at;
    int digits;
};

#define COLUMN(head, type, row, member, digits) \
    { head, type, offsetof(struct row, member), digits }

// What a cell is beside its text.
struct cell_note {
    enum verdict verdict;
    double low, estimate, high; // an interval to draw; estimate 0: none
    size_t colour;              // the place of a backend plus 1; 0: none
    const char *link;           // a heading's text, or NULL
};

struct table {
    char *caption;
    char **cells; // row by row; the first row is the header
    struct cell_note *notes;
    bool *left; // one per column
    size_t columns, count;
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
    const struct results *results; // for the colours of backends
    struct part *parts;
    size_t count;
    char **kept; // strings of rows and columns
    size_t kept_count;
};

// Headings are linked by their text, so give each one of its own.
void document_heading(struct document *document, int level, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
void document_paragraph(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_bullet(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_verbatim(struct document *document, const char *text);
// Takes the SVG over.
void document_plot(struct document *document, char *svg, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
// What stands between the two is folded away until it is asked for; in Markdown
// and in print it is open.
void document_details(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
void document_details_end(struct document *document);
// Lines of CSV, the first one the names of the columns; in HTML alone, folded away.
void document_samples(struct document *document, const char *lines, size_t count);
// `size` of a row.  Nothing is added where there are no rows.
void document_table(struct document *document, const char *caption, const struct column *columns,
                    size_t column_count, const void *rows, size_t count, size_t size);
#define TABLE_OF(document, caption, columns, rows, count)                                     \
    document_table(document, caption, columns, sizeof columns / sizeof *columns, rows, count, \
                   sizeof *rows)
// Takes a table over.
void document_add_table(struct document *document, struct table table);
void document_free(struct document *document);

// A string that lives as long as the document.
const char *keep(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));

struct table table_make(const struct results *results, const char *caption,
                        const struct column *columns, size_t column_count, const void *rows,
                        size_t count, size_t size);
void table_free(struct table *table);

// "1.95 (1.92 to 1.98)" and "12.3 M"; the caller frees both.
char *show_ratio(struct interval ratio);
char *show_rate(double rate);
// "s" unless there is one.
const char *plural(double count);

// What a heading is linked by: its letters, digits and dashes.  The caller frees it.
char *heading_slug(const char *heading);

extern const char document_title[];
void render_html(const struct document *document, struct text *out);
void render_markdown(const struct document *document, struct text *out);
void render_terminal_table(const struct table *table, struct text *out);

#endif
