// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Builds a document; see document.h.
#include "document.h"

#include <stdarg.h>
#include <stdlib.h>

static struct part *add_part(struct document *document, enum part_kind kind)
{
    document->parts = checked_realloc(document->parts, (document->count + 1) * sizeof *document->parts);
    struct part *part = &document->parts[document->count++];
    *part = (struct part){.kind = kind};
    return part;
}

void document_heading(struct document *document, int level, const char *pattern, ...)
{
    va_list arguments;
    struct part *part = add_part(document, HEADING);
    va_start(arguments, pattern);
    part->text = format_list(pattern, arguments);
    part->level = level;
    va_end(arguments);
}

void document_paragraph(struct document *document, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, PARAGRAPH)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_bullet(struct document *document, const char *pattern, ...)
{
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, BULLET)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_verbatim(struct document *document, const char *text)
{
    add_part(document, VERBATIM)->text = checked_strdup(text);
}

void document_plot(struct document *document, const char *svg, const char *label)
{
    struct part *part = add_part(document, PLOT);
    part->text = checked_strdup(svg);
    part->label = checked_strdup(label);
}

void document_table(struct document *document, struct table table)
{
    add_part(document, TABLE)->table = table;
}

struct table table_make(const char *caption, size_t columns, size_t text_columns)
{
    return (struct table){.caption = checked_strdup(caption), .columns = columns, .text_columns = text_columns};
}

void table_cell(struct table *table, const char *pattern, ...)
{
    va_list arguments;
    table->cells = checked_realloc(table->cells, (table->count + 1) * sizeof *table->cells);
    va_start(arguments, pattern);
    table->cells[table->count++] = format_list(pattern, arguments);
    va_end(arguments);
}

void table_free(struct table *table)
{
    for (size_t i = 0; i < table->count; i++)
        free(table->cells[i]);
    free(table->cells);
    free(table->caption);
    *table = (struct table){0};
}

void document_free(struct document *document)
{
    for (size_t i = 0; i < document->count; i++) {
        free(document->parts[i].text);
        free(document->parts[i].label);
        table_free(&document->parts[i].table);
    }
    free(document->parts);
    free(document->title);
    *document = (struct document){0};
}
