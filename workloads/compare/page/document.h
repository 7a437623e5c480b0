// SPDX-License-Identifier: LGPL-2.1-or-later
//
// A report as a list of headings, paragraphs, tables and plots, written once and rendered as
// HTML and as Markdown.  Text may hold **strong** words and nothing else; renderers escape the
// rest.  A table is a list of columns and a list of rows, which are structs of the caller: a
// column has a heading, a type, and the offset of its value in a row.  The type says how the
// value is shown, here alone.
#ifndef TALLY_COMPARE_DOCUMENT_H
#define TALLY_COMPARE_DOCUMENT_H

#include "choices.h"
#include "scalability.h" // struct span
#include "text.h"

// How a value is shown, and its type in the row.  A number that is NAN, or a ratio without an
// estimate, is a dash.
enum cell_type {
    TEXT,    // const char *; NULL is a dash
    BACKEND, // const char *: a name in its colour
    LINK,    // const char *: leads to what has this text as its heading or its entry
    ADVICE,  // struct advice
    COUNT,   // double, a whole number
    NUMBER,  // double, with the column's digits; 0: three significant ones
    RATE,    // double: 12.3 M
    TIME,    // double, nanoseconds: 12.3 µs
    PERCENT, // double, a share
    BYTES,   // double: 12.3 KiB
    RATIO,   // struct interval: 1.95 (1.92 to 1.98)
    MARKED,  // struct interval: = the same, ? not enough data
    SHORT,   // struct interval without its ends, marked
    SPAN,    // struct span of rates: 1.2 M to 1.4 M
    RANGE,   // struct span of numbers, with the column's digits
};

struct column {
    // A line feed parts a column's name from its unit and from whether it is for one thread or
    // for all.
    const char *head;
    enum cell_type type;
    size_t at;
    int digits;
};

#define COLUMN(head, type, row, member, digits) \
    { head, type, offsetof(struct row, member), digits }
// One of several values of the same kind, side by side in a row.
#define COLUMN_OF(head, type, row, member, index)                                                  \
    (struct column) {                                                                              \
        head, type, offsetof(struct row, member) + (index) * sizeof *((struct row *)NULL)->member, \
            0                                                                                      \
    }

// What a cell is beside its text.
struct cell_note {
    enum verdict verdict;
    size_t colour;    // the place of a backend plus 1; 0: none
    const char *link; // a heading's text, or NULL
    double value;     // what rows are sorted by, or NAN
};

struct table {
    char **cells; // row by row; the first row is the header
    struct cell_note *notes;
    bool *left; // one per column
    char *caption;
    size_t width, count; // columns, and cells with the header
};

enum part_kind {
    HEADING,
    BANNER, // a paragraph that must not be missed
    PARAGRAPH,
    BULLET,
    TABLE,
    PLOT,
    SMALL_PLOT,
    VERBATIM,
    MARKUP,  // HTML of the caller, for the page only
    DETAILS, // up to DETAILS_END it is folded away until it is asked for
    ENTRY,   // the same; the table's one row is seen when it is shut
    DETAILS_END
};

struct part {
    enum part_kind kind;
    int level;                     // of a heading
    bool page_only, markdown_only; // is left out of the other
    char *text;                    // of all but tables; a plot's SVG
    char *label;                   // a plot's description
    struct table table;
};

struct document {
    const struct results *results; // for the colours of backends
    struct part *parts;
    size_t count;
    char **kept; // strings of rows and columns
    size_t kept_count;
};

// Headings and entries are linked by their text, so give each one of its own.
void document_heading(struct document *document, int level, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
// A paragraph, a bullet, a banner, the start of details or their end.
void document_say(struct document *document, enum part_kind kind, const char *pattern, ...)
    __attribute__((format(printf, 3, 4)));
#define document_paragraph(document, ...) document_say(document, PARAGRAPH, __VA_ARGS__)
#define document_bullet(document, ...)    document_say(document, BULLET, __VA_ARGS__)
#define document_details_end(document)    document_say(document, DETAILS_END, "%s", "")
// Takes the SVG over; NULL: there is nothing to show.  The label up to its first full stop is
// the caption.
void document_plot(struct document *document, enum part_kind kind, char *svg, const char *pattern,
                   ...) __attribute__((format(printf, 4, 5)));
// Takes the HTML over.
void document_markup(struct document *document, char *html);
// `size` of a row.  Nothing is added where there are no rows.
void document_table(struct document *document, const char *caption, const struct column *columns,
                    size_t column_count, const void *rows, size_t count, size_t size);
#define TABLE_OF(document, caption, columns, rows, count)                                     \
    document_table(document, caption, columns, sizeof columns / sizeof *columns, rows, count, \
                   sizeof *rows)
// The first cell is its name.
void document_entry(struct document *document, const struct column *columns, size_t column_count,
                    const void *row, size_t size);
// What was added last.
struct part *document_last(struct document *document);
void document_free(struct document *document);

// Strings that live as long as the document.  keep_text takes a text over.
const char *keep(struct document *document, const char *pattern, ...)
    __attribute__((format(printf, 2, 3)));
const char *keep_text(struct document *document, struct text *text);
const char *keep_ratio(struct document *document, struct interval ratio); // 1.95 (1.92 to 1.98)
const char *keep_marked(struct document *document, struct interval ratio);
const char *keep_rate(struct document *document, double rate); // 12.3 M
const char *keep_time(struct document *document, double nanoseconds);

struct table table_make(const struct results *results, const char *caption,
                        const struct column *columns, size_t column_count, const void *rows,
                        size_t count, size_t size);
void table_free(struct table *table);

// "s" unless there is one.
const char *plural(double count);
char *show_bytes(double bytes); // 12.3 KiB; to be freed

// What a heading is linked by: its letters, digits and dashes.  The caller frees it.
char *heading_slug(const char *heading);

// What a page has beside the document and what the frame gives to all: items of the contents, more
// style and more script.
struct page {
    const char *title, *links, *style, *script;
};
void html_add_text(struct text *out, const char *string); // escaped, for an element or attribute
void render_page(const struct document *document, const struct page *page, struct text *out);
extern const char document_title[];
void render_html(const struct document *document, struct text *out);
void render_markdown(const struct document *document, struct text *out);
// The small plots as an SVG of their own, scaling.svg; nothing where there are none.
void render_picture(const struct document *document, struct text *out);
// Paragraphs and tables; strong words are bold if `bold` says so.
void render_terminal(const struct document *document, bool bold, struct text *out);
void render_terminal_table(const struct table *table, struct text *out);

#endif
