// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Makes a table of columns and rows: how a value of each type is shown.
#include "document.h"

#include <math.h>
#include <stdlib.h>

static const char DASH[] = "–";

const char *plural(double count) { return count == 1 ? "" : "s"; }

// With three significant digits, of a number below 1000.
static int digits_of(double number) { return number >= 99.95 ? 0 : number >= 9.995 ? 1 : 2; }

static char *show_rate(double rate) {
    static const char *const suffixes[] = {"", " k", " M", " G", " T"};
    size_t power = 0;
    if (!(rate > 0)) return checked_strdup("0");
    for (; rate >= 999.5 && power < 4; power++) rate /= 1000;
    return format("%.*f%s", digits_of(rate), rate, suffixes[power]);
}

static char *show_time(double nanoseconds) {
    static const char *const units[] = {"ns", "µs", "ms", "s"};
    size_t unit = 0;
    if (nanoseconds == 0) return checked_strdup("0");
    for (; nanoseconds >= 999.5 && unit < 3; unit++) nanoseconds /= 1000;
    return format("%.*f %s", unit ? digits_of(nanoseconds) : 0, nanoseconds, units[unit]);
}

char *show_bytes(double bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    for (; fabs(bytes) >= 999.5 && unit < 3; unit++) bytes /= 1024;
    return format("%.*f %s", unit ? digits_of(fabs(bytes)) : 0, bytes, units[unit]);
}

static char *show_ratio(struct interval ratio, bool ends) {
    if (!(ratio.estimate > 0)) return checked_strdup(ratio.known ? "0" : DASH);
    int digits = ratio.estimate >= 0.1 ? digits_of(ratio.estimate) : 3;
    if (ratio.known && !(ratio.low < ratio.high)) return format("%g", ratio.estimate); // to itself
    if (!ends) return format("%.*f", digits, ratio.estimate);
    if (!ratio.known) return format("%.*f (no interval)", digits, ratio.estimate);
    return format("%.*f (%.*f to %.*f)", digits, ratio.estimate, digits, ratio.low, digits,
                  ratio.high);
}

static char *show_marked(struct interval ratio, bool ends) {
    char *shown = show_ratio(ratio, ends);
    bool open = ratio.known ? ratio.finding == FINDING_OPEN : ratio.estimate > 0 && !ends;
    char *marked = format("%s%s", shown, open ? " ?" : ratio.finding == FINDING_SAME ? " =" : "");
    free(shown);
    return marked;
}

static char *show_span(struct span span, int digits, bool rates) {
    char *low = rates ? show_rate(span.low) : format("%.*f", digits, span.low);
    char *high = rates ? show_rate(span.high) : format("%.*f", digits, span.high);
    char *shown = isnan(span.low) ? checked_strdup(DASH) : format("%s to %s", low, high);
    free(high);
    free(low);
    return shown;
}

static char *show_number(const struct column *column, double number) {
    if (isnan(number)) return checked_strdup(DASH);
    switch (column->type) {
    case COUNT: return format("%.0f", number);
    case RATE: return show_rate(number);
    case TIME: return show_time(number);
    case BYTES: return show_bytes(number);
    case PERCENT: return number == 0 ? checked_strdup("0") : format("%.1f %%", 100 * number);
    default:
        return column->digits ? format("%.*f", column->digits, number) : format("%.3g", number);
    }
}

// The value's text; what it is beside that goes to the note.
static char *show_cell(const struct results *results, const struct column *column,
                       const void *value, struct cell_note *note) {
    const char *string = NULL;
    note->value = NAN;
    switch (column->type) {
    case TEXT:
    case BACKEND:
    case LINK:
        string = *(const char *const *)value;
        if (string && column->type == BACKEND) note->colour = backend_place(results, string) + 1;
        if (string && column->type == LINK) note->link = string;
        return checked_strdup(string ? string : DASH);
    case ADVICE: {
        const struct advice *advice = value;
        note->verdict = advice->verdict;
        return checked_strdup(advice->words ? advice->words : DASH);
    }
    case RATIO:
    case MARKED:
    case SHORT: {
        const struct interval *ratio = value;
        note->value = ratio->estimate > 0 ? ratio->estimate : NAN;
        return column->type == RATIO ? show_ratio(*ratio, true)
                                     : show_marked(*ratio, column->type == MARKED);
    }
    case SPAN:
    case RANGE: return show_span(*(const struct span *)value, column->digits, column->type == SPAN);
    default: note->value = *(const double *)value; return show_number(column, note->value);
    }
}

struct table table_make(const struct results *results, const char *caption,
                        const struct column *columns, size_t column_count, const void *rows,
                        size_t count, size_t size) {
    size_t cells = column_count * (count + 1);
    struct table table = {.caption = checked_strdup(caption),
                          .cells = checked_calloc(cells, sizeof *table.cells),
                          .notes = checked_calloc(cells, sizeof *table.notes),
                          .left = checked_calloc(column_count, sizeof *table.left),
                          .width = column_count,
                          .count = cells};
    for (size_t c = 0; c < column_count; c++) {
        table.cells[c] = checked_strdup(columns[c].head);
        table.left[c] = columns[c].type <= ADVICE;
        if (backend_place(results, columns[c].head) < results->name_count)
            table.notes[c].colour = backend_place(results, columns[c].head) + 1;
    }
    for (size_t i = column_count; i < cells; i++) {
        const struct column *column = &columns[i % column_count];
        const char *row = (const char *)rows + (i / column_count - 1) * size;
        table.cells[i] = show_cell(results, column, row + column->at, &table.notes[i]);
    }
    return table;
}

void table_free(struct table *table) {
    for (size_t i = 0; i < table->count; i++) free(table->cells[i]);
    free(table->cells);
    free(table->notes);
    free(table->left);
    free(table->caption);
    *table = (struct table){0};
}

// ---- in sentences ------------------------------------------------------------------

static const char *keep_and_free(struct document *document, char *shown) {
    const char *kept = keep(document, "%s", shown);
    free(shown);
    return kept;
}

const char *keep_ratio(struct document *document, struct interval ratio) {
    return keep_and_free(document, show_ratio(ratio, true));
}

const char *keep_marked(struct document *document, struct interval ratio) {
    return keep_and_free(document, show_marked(ratio, true));
}

const char *keep_rate(struct document *document, double rate) {
    return keep_and_free(document, show_rate(rate));
}

const char *keep_time(struct document *document, double nanoseconds) {
    return keep_and_free(document, show_time(nanoseconds));
}
