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

char *show_rate(double rate) {
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

static char *show_bytes(double bytes) {
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB"};
    size_t unit = 0;
    for (; bytes >= 999.5 && unit < 3; unit++) bytes /= 1024;
    return format("%.*f %s", unit ? digits_of(bytes) : 0, bytes, units[unit]);
}

char *show_ratio(struct interval ratio) {
    if (!(ratio.estimate > 0)) return checked_strdup(ratio.known ? "0" : DASH);
    int digits = ratio.estimate >= 0.1 ? digits_of(ratio.estimate) : 3;
    if (ratio.known && !(ratio.low < ratio.high)) return format("%g", ratio.estimate); // to itself
    if (!ratio.known) return format("%.*f (no interval)", digits, ratio.estimate);
    return format("%.*f (%.*f to %.*f)", digits, ratio.estimate, digits, ratio.low, digits,
                  ratio.high);
}

static char *show_marked(struct interval ratio) {
    char *shown = show_ratio(ratio);
    bool none = !(ratio.estimate > 0) || !ratio.known;
    char *marked = format("%s%s", shown,
                          none                            ? ""
                          : ratio.finding == FINDING_SAME ? " ="
                          : ratio.finding == FINDING_OPEN ? " ?"
                                                          : "");
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

// Of a ratio above 1, which is good.
static enum verdict gain_verdict(const struct interval *ratio) { return verdict_of(ratio, true); }

// The value's text; what it is beside that goes to the note.  *backend is the row's.
static char *show_cell(const struct results *results, const struct column *column,
                       const void *value, struct cell_note *note, const char **backend) {
    const char *string = NULL;
    switch (column->type) {
    case TEXT:
    case BACKEND:
    case LINK:
        string = *(const char *const *)value;
        if (string && column->type == BACKEND) note->colour = backend_place(results, string) + 1;
        if (string && column->type == BACKEND) *backend = string;
        if (string && column->type == LINK) note->link = string;
        return checked_strdup(string ? string : DASH);
    case ADVICE: {
        const struct advice *advice = value;
        note->verdict = advice->verdict;
        return checked_strdup(advice->words);
    }
    case BAR: {
        const struct interval *ratio = value;
        note->estimate = ratio->estimate;
        note->low = ratio->known ? ratio->low : 0;
        note->high = ratio->high;
        note->colour = *backend ? backend_place(results, *backend) + 1 : 1;
        return show_ratio(*ratio);
    }
    case RATIO: return show_ratio(*(const struct interval *)value);
    case GAIN:
        note->verdict = gain_verdict(value);
        return show_marked(*(const struct interval *)value);
    case MARKED: return show_marked(*(const struct interval *)value);
    case SPAN:
    case RANGE: return show_span(*(const struct span *)value, column->digits, column->type == SPAN);
    default: return show_number(column, *(const double *)value);
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
                          .columns = column_count,
                          .count = cells};
    for (size_t c = 0; c < column_count; c++) {
        table.cells[c] = checked_strdup(columns[c].head);
        table.left[c] = columns[c].type <= ADVICE;
        if (backend_place(results, columns[c].head) < results->backend_count)
            table.notes[c].colour = backend_place(results, columns[c].head) + 1;
    }
    for (size_t r = 0; r < count; r++) {
        const char *backend = NULL, *row = (const char *)rows + r * size;
        for (size_t c = 0; c < column_count; c++) {
            size_t at = (r + 1) * column_count + c;
            table.cells[at] =
                show_cell(results, &columns[c], row + columns[c].at, &table.notes[at], &backend);
        }
    }
    return table;
}
