// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Builds a document; see document.h.
#include "notes.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdlib.h>

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

void document_plot(struct document *document, const char *svg, const char *label) {
    struct part *part = add_part(document, PLOT);
    part->text = checked_strdup(svg);
    part->label = checked_strdup(label);
}

void document_table(struct document *document, struct table table) {
    add_part(document, TABLE)->table = table;
}

void document_details(struct document *document, const char *pattern, ...) {
    va_list arguments;
    va_start(arguments, pattern);
    add_part(document, DETAILS)->text = format_list(pattern, arguments);
    va_end(arguments);
}

void document_details_end(struct document *document) { add_part(document, DETAILS_END); }

void document_samples(struct document *document, const char *lines, const char *pattern, ...) {
    va_list arguments;
    struct part *part = add_part(document, SAMPLES);
    va_start(arguments, pattern);
    part->label = format_list(pattern, arguments);
    part->text = checked_strdup(lines);
    va_end(arguments);
}

struct table table_make(const char *caption, size_t columns, size_t text_columns) {
    return (struct table){
        .caption = checked_strdup(caption), .columns = columns, .text_columns = text_columns};
}

void table_cell(struct table *table, const char *pattern, ...) {
    va_list arguments;
    table->cells = checked_realloc(table->cells, (table->count + 1) * sizeof *table->cells);
    table->notes = checked_realloc(table->notes, (table->count + 1) * sizeof *table->notes);
    table->notes[table->count] = (struct cell_note){0};
    va_start(arguments, pattern);
    table->cells[table->count++] = format_list(pattern, arguments);
    va_end(arguments);
}

static struct cell_note *last_note(struct table *table) { return &table->notes[table->count - 1]; }

void table_verdict(struct table *table, enum verdict verdict) {
    last_note(table)->verdict = verdict;
}

void table_strip(struct table *table, double low, double estimate, double high, size_t backend) {
    struct cell_note *note = last_note(table);
    note->low = low;
    note->estimate = estimate;
    note->high = high;
    note->backend = backend;
}

void table_colour(struct table *table, size_t place) { last_note(table)->colour = place + 1; }

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

void table_link(struct table *table, const char *heading) {
    struct cell_note *note = last_note(table);
    free(note->link);
    note->link = checked_strdup(heading);
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->count; i++) {
        free(table->cells[i]);
        free(table->notes[i].link);
    }
    free(table->cells);
    free(table->notes);
    free(table->caption);
    *table = (struct table){0};
}

void document_free(struct document *document) {
    for (size_t i = 0; i < document->count; i++) {
        free(document->parts[i].text);
        free(document->parts[i].label);
        table_free(&document->parts[i].table);
    }
    free(document->parts);
    free(document->title);
    *document = (struct document){0};
}
