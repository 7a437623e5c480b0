// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Builds a document; see document.h.
#include "document.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

const char document_title[] = "Tally: what threads gain and cost without a global lock";

static struct part *add_part(struct document *document, enum part_kind kind) {
    document->parts =
        checked_realloc(document->parts, (document->count + 1) * sizeof *document->parts);
    struct part *part = &document->parts[document->count++];
    *part = (struct part){.kind = kind};
    return part;
}

void document_heading(struct document *document, int level, const char *pattern, ...) {
    va_list arguments;
    struct part *part = add_part(document, HEADING);
    va_start(arguments, pattern);
    part->text = format_list(pattern, arguments);
    part->level = level;
    va_end(arguments);
}

void document_say(struct document *document, enum part_kind kind, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, kind)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_markup(struct document *document, char *html) {
    struct part *part = add_part(document, MARKUP);
    part->text = html;
    part->page_only = true;
}

void document_plot(struct document *document, enum part_kind kind, char *svg, const char *pattern,
                   ...) {
    va_list arguments;
    if (!svg) return;
    struct part *part = add_part(document, kind);
    va_start(arguments, pattern);
    part->text = svg;
    part->label = format_list(pattern, arguments);
    va_end(arguments);
}

void document_table(struct document *document, const char *caption, const struct column *columns,
                    size_t column_count, const void *rows, size_t count, size_t size) {
    if (count)
        add_part(document, TABLE)->table =
            table_make(document->results, caption, columns, column_count, rows, count, size);
}

void document_entry(struct document *document, const struct column *columns, size_t column_count,
                    const void *row, size_t size) {
    add_part(document, ENTRY)->table =
        table_make(document->results, "", columns, column_count, row, 1, size);
}

struct part *document_last(struct document *document) {
    return &document->parts[document->count - 1];
}

// ---- strings that are kept ---------------------------------------------------------

static const char *keep_string(struct document *document, char *string) {
    document->kept =
        checked_realloc(document->kept, (document->kept_count + 1) * sizeof *document->kept);
    return document->kept[document->kept_count++] = string;
}

const char *keep(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    const char *kept = keep_string(document, format_list(pattern, arguments));
    va_end(arguments);
    return kept;
}

const char *keep_text(struct document *document, struct text *text) {
    return keep_string(document, text->data ? text->data : checked_strdup(""));
}

void document_free(struct document *document) {
    for (size_t i = 0; i < document->count; i++) {
        free(document->parts[i].text);
        free(document->parts[i].label);
        table_free(&document->parts[i].table);
    }
    for (size_t i = 0; i < document->kept_count; i++) free(document->kept[i]);
    free(document->kept);
    free(document->parts);
    *document = (struct document){0};
}

char *heading_slug(const char *heading) {
    char *slug = checked_strdup(heading);
    size_t length = 0;
    for (const char *c = heading; *c; c++)
        if (isalnum((unsigned char)*c))
            slug[length++] = (char)tolower((unsigned char)*c);
        else if (*c == ' ' || *c == '-')
            slug[length++] = '-';
    slug[length] = '\0';
    return slug;
}
