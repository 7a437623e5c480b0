// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Builds a document; see document.h.
#include "document.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

const char document_title[] = "Tally: what threads gain and cost without a global lock";

// ---- parts -------------------------------------------------------------------------

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

void document_paragraph(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, PARAGRAPH)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_bullet(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, BULLET)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_verbatim(struct document *document, const char *text) {
    add_part(document, VERBATIM)->text = checked_strdup(text);
}

void document_plot(struct document *document, char *svg, const char *pattern, ...) {
    va_list arguments;
    struct part *part = add_part(document, PLOT);
    va_start(arguments, pattern);
    part->text = svg;
    part->label = format_list(pattern, arguments);
    va_end(arguments);
}

void document_details(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, DETAILS)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_details_end(struct document *document) { add_part(document, DETAILS_END); }

void document_samples(struct document *document, const char *lines, size_t count) {
    struct part *part = add_part(document, SAMPLES);
    part->label = format("%zu samples", count);
    part->text = checked_strdup(lines);
}

const char *keep(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    document->kept =
        checked_realloc(document->kept, (document->kept_count + 1) * sizeof *document->kept);
    char *kept = document->kept[document->kept_count++] = format_list(pattern, arguments);
    va_end(arguments);
    return kept;
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

// ---- tables --------------------------------------------------------------------------

void document_table(struct document *document, const char *caption, const struct column *columns,
                    size_t column_count, const void *rows, size_t count, size_t size) {
    if (count == 0) return;
    document_add_table(
        document, table_make(document->results, caption, columns, column_count, rows, count, size));
}

void document_add_table(struct document *document, struct table table) {
    add_part(document, TABLE)->table = table;
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    free(table->notes);
    free(table->left);
    free(table->caption);
    *table = (struct table){0};
}
