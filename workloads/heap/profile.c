// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Shows a heap profile: the places that have most bytes in use, and those whose objects other
// threads free.  A profile is in pprof's format (docs/reference/heap-profile.md), and this reads
// the fields that it needs.  Every number in the file is doubted, as in read.c.
#include "document.h"
#include "files.h"
#include "heap.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum wire { VARINT = 0, FIXED = 1, BLOCK = 2, SHORT_FIXED = 5 };
enum { SHOWN_FRAMES = 4 };

struct message {
    const uint8_t *at, *end;
};
struct field {
    unsigned number, wire;
    uint64_t value;       // of a VARINT
    struct message block; // of a BLOCK
};

static const char *of_file; // for messages

static _Noreturn void damaged(void) {
    reject("%s is a damaged heap profile, or none of objects in use", of_file);
}

static uint64_t read_number(struct message *from) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64 && from->at < from->end; shift += 7) {
        uint8_t byte = *from->at++;
        result |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return result;
    }
    damaged();
}

// False: the message ends.
static bool next_field(struct message *from, struct field *field) {
    if (from->at == from->end) return false;
    uint64_t key = read_number(from), length = 0;
    *field = (struct field){.number = (unsigned)(key >> 3), .wire = key & 7};
    switch (field->wire) {
    case VARINT: field->value = read_number(from); return true;
    case BLOCK: length = read_number(from); break;
    case FIXED: length = 8; break;
    case SHORT_FIXED: length = 4; break;
    default: damaged();
    }
    if (length > (uint64_t)(from->end - from->at)) damaged();
    field->block = (struct message){from->at, from->at + length};
    from->at += length;
    return true;
}
// Numbers of a repeated field come packed, or one by one.
static uint64_t *append_numbers(uint64_t *list, size_t *count, const struct field *field) {
    struct message block = field->block;
    size_t most = field->wire == BLOCK ? (size_t)(block.end - block.at) : 1;
    list = checked_realloc(list, (*count + most + 1) * sizeof *list);
    if (field->wire == VARINT) list[(*count)++] = field->value;
    while (field->wire == BLOCK && block.at < block.end) list[(*count)++] = read_number(&block);
    return list;
}

// ---- what is in the file ---------------------------------------------------------------------

enum values { ALLOC_OBJECTS, INUSE_OBJECTS, INUSE_SPACE, REMOTE_FREED, LIFETIME, VALUES };
static const char *const value_names[VALUES] = {[ALLOC_OBJECTS] = "alloc_objects",
                                                [INUSE_OBJECTS] = "inuse_objects",
                                                [INUSE_SPACE] = "inuse_space",
                                                [REMOTE_FREED] = "remote_freed_objects",
                                                [LIFETIME] = "lifetime"};

struct named { // a function with its name's string, or a location with its function
    uint64_t id, name;
};
struct profile {
    char **strings;
    size_t string_count;
    struct named *functions, *locations;
    size_t function_count, location_count;
    uint64_t *types; // the strings of the sample types
    size_t type_count, places[VALUES];
    uint64_t comment, period, duration;
};

static const char *string_at(const struct profile *profile, uint64_t at) {
    return at < profile->string_count ? profile->strings[at] : "";
}
static const struct named *find(const struct named *list, size_t count, uint64_t id) {
    if (id > 0 && id <= count && list[id - 1].id == id) return &list[id - 1];
    for (size_t i = 0; i < count; i++)
        if (list[i].id == id) return &list[i];
    return NULL;
}

static uint64_t read_line(struct message line) {
    struct field field;
    uint64_t function = 0;
    while (next_field(&line, &field))
        if (field.number == 1) function = field.value;
    return function;
}
// A function: 1 its number, 2 its name. A location: 1 its number, 4 its lines, the innermost first.
static struct named read_named(struct message from, bool is_location) {
    struct field field;
    struct named result = {0};
    while (next_field(&from, &field)) {
        if (field.number == 1) result.id = field.value;
        if (field.number == 2 && !is_location) result.name = field.value;
        if (field.number == 4 && is_location && !result.name) result.name = read_line(field.block);
    }
    return result;
}

static void read_profile(struct profile *profile, struct message from) {
    struct field field;
    size_t size = (size_t)(from.end - from.at); // no list has more entries
    profile->strings = checked_calloc(size / 2 + 1, sizeof *profile->strings);
    profile->functions = checked_calloc(size / 2 + 1, sizeof *profile->functions);
    profile->locations = checked_calloc(size / 2 + 1, sizeof *profile->locations);
    while (next_field(&from, &field)) {
        switch (field.number) {
        case 1: {
            struct field part;
            uint64_t type = 0;
            while (next_field(&field.block, &part))
                if (part.number == 1) type = part.value;
            part = (struct field){.wire = VARINT, .value = type};
            profile->types = append_numbers(profile->types, &profile->type_count, &part);
            break;
        }
        case 4:
            profile->locations[profile->location_count++] = read_named(field.block, true);
            break;
        case 5:
            profile->functions[profile->function_count++] = read_named(field.block, false);
            break;
        case 6:
            profile->strings[profile->string_count++] = format(
                "%.*s", (int)(field.block.end - field.block.at), (const char *)field.block.at);
            break;
        case 10: profile->duration = field.value; break;
        case 12: profile->period = field.value; break;
        case 13: profile->comment = profile->comment ? profile->comment : field.value; break;
        default: break;
        }
    }
    for (size_t value = 0; value < VALUES; value++) {
        profile->places[value] = SIZE_MAX;
        for (size_t i = 0; i < profile->type_count; i++)
            if (strcmp(string_at(profile, profile->types[i]), value_names[value]) == 0)
                profile->places[value] = i;
    }
    // The strings are at the end: where the file is cut between two fields, they are missing.
    if (profile->places[INUSE_SPACE] == SIZE_MAX) damaged();
}

// ---- rows ------------------------------------------------------------------------------------

struct row {
    char *place;
    const char *type;
    double made, in_use, bytes, remote, lifetime, mean;
};
struct rows {
    struct row *rows;
    size_t count, room;
};

// NULL: it has no name.
static const char *name_of(const struct profile *profile, uint64_t location_id) {
    const struct named *location = find(profile->locations, profile->location_count, location_id);
    const struct named *function =
        location ? find(profile->functions, profile->function_count, location->name) : NULL;
    return function ? string_at(profile, function->name) : NULL;
}
static bool is_of_tally(const struct profile *profile, uint64_t location) {
    const char *name = name_of(profile, location);
    return name && strncmp(name, "tally_", 6) == 0;
}
// Where the program called Tally: its function, and no part of that, is the first shown.
static size_t first_shown(const struct profile *profile, const uint64_t *stack, size_t depth) {
    for (size_t i = 0; i + 1 < depth; i++)
        if (is_of_tally(profile, stack[i]) && !is_of_tally(profile, stack[i + 1])) return i;
    return 0;
}

// The innermost calls; what is around main says nothing.
static char *place_of(const struct profile *profile, const uint64_t *stack, size_t depth) {
    struct text text = {0};
    size_t first = first_shown(profile, stack, depth);
    for (size_t i = first; i < depth && i < first + SHOWN_FRAMES; i++) {
        const char *name = name_of(profile, stack[i]);
        if (i > first) text_add(&text, " < ");
        if (name)
            text_add(&text, "%s", name);
        else
            text_add(&text, "?");
        if (name && strcmp(name, "main") == 0) break;
    }
    if (depth == 0) text_add(&text, "(not known)");
    return text.data;
}

static double value_of(const struct profile *profile, const uint64_t *values, size_t count,
                       enum values value) {
    size_t at = profile->places[value];
    return at < count ? (double)(int64_t)values[at] : 0;
}

// A sample: 1 its locations, 2 its values, 3 its labels, each with 1 a key and 2 a text.
static void read_sample(const struct profile *profile, struct message from, struct rows *rows) {
    uint64_t *stack = NULL, *values = NULL;
    size_t depth = 0, count = 0;
    const char *type = "";
    struct field field;
    while (next_field(&from, &field)) {
        if (field.number == 1) stack = append_numbers(stack, &depth, &field);
        if (field.number == 2) values = append_numbers(values, &count, &field);
        if (field.number != 3) continue;
        struct field part;
        uint64_t key = 0, text = 0;
        while (next_field(&field.block, &part)) {
            if (part.number == 1) key = part.value;
            if (part.number == 2) text = part.value;
        }
        if (strcmp(string_at(profile, key), "type") == 0) type = string_at(profile, text);
    }
    if (rows->count == rows->room)
        rows->rows =
            checked_realloc(rows->rows, (rows->room = rows->room * 2 + 64) * sizeof *rows->rows);
    rows->rows[rows->count++] =
        (struct row){.place = place_of(profile, stack, depth),
                     .type = type,
                     .made = value_of(profile, values, count, ALLOC_OBJECTS),
                     .in_use = value_of(profile, values, count, INUSE_OBJECTS),
                     .bytes = value_of(profile, values, count, INUSE_SPACE),
                     .remote = value_of(profile, values, count, REMOTE_FREED),
                     .lifetime = value_of(profile, values, count, LIFETIME)};
    free(stack);
    free(values);
}

static int by_place(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    int order = strcmp(a->place, b->place);
    return order ? order : strcmp(a->type, b->type);
}
static int most_first(double a, double b) { return a < b ? 1 : a > b ? -1 : 0; }
static int by_bytes(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    return a->bytes != b->bytes ? most_first(a->bytes, b->bytes) : by_place(a, b);
}
static int by_remote(const void *left, const void *right) {
    const struct row *a = left, *b = right;
    return a->remote != b->remote ? most_first(a->remote, b->remote) : by_place(a, b);
}

// Threads and sizes of one place are one row.
static void merge(struct rows *rows) {
    size_t used = 0;
    if (rows->count > 0) qsort(rows->rows, rows->count, sizeof *rows->rows, by_place);
    for (size_t i = 0; i < rows->count; i++) {
        struct row *from = &rows->rows[i], *to = &rows->rows[used - 1];
        if (used == 0 || by_place(to, from) != 0) {
            rows->rows[used++] = *from;
            continue;
        }
        to->made += from->made;
        to->in_use += from->in_use;
        to->bytes += from->bytes;
        to->remote += from->remote;
        to->lifetime += from->lifetime;
        free(from->place);
    }
    rows->count = used;
    for (size_t i = 0; i < used; i++) {
        struct row *row = &rows->rows[i];
        double freed = row->made - row->in_use;
        row->mean = freed > 0 ? row->lifetime / freed : NAN;
    }
}

// ---- tables ----------------------------------------------------------------------------------

static void show_places(const struct profile *profile, struct rows *rows, struct view *view) {
    static const struct column in_use[] = {
        COLUMN("bytes in use", BYTES, row, bytes, 0), COLUMN("objects", COUNT, row, in_use, 0),
        COLUMN("type", TEXT, row, type, 0), COLUMN("allocated by", TEXT, row, place, 0)};
    static const struct column remote[] = {
        COLUMN("freed by others", COUNT, row, remote, 0), COLUMN("allocated", COUNT, row, made, 0),
        COLUMN("mean lifetime", TIME, row, mean, 0), COLUMN("type", TEXT, row, type, 0),
        COLUMN("allocated by", TEXT, row, place, 0)};
    size_t count = 0;
    if (rows->count > 0) qsort(rows->rows, rows->count, sizeof *rows->rows, by_bytes);
    while (count < rows->count && rows->rows[count].bytes > 0) count++;
    show_table(view, "Most bytes in use", in_use, sizeof in_use / sizeof *in_use, rows->rows, count,
               sizeof *rows->rows);
    if (profile->places[REMOTE_FREED] == SIZE_MAX) return;
    if (rows->count > 0) qsort(rows->rows, rows->count, sizeof *rows->rows, by_remote);
    for (count = 0; count < rows->count && rows->rows[count].remote > 0;) count++;
    show_table(view, "Most objects freed by another thread", remote, sizeof remote / sizeof *remote,
               rows->rows, count, sizeof *rows->rows);
}

static void show_totals(const struct profile *profile, const struct rows *rows, struct view *view) {
    struct row sum = {0};
    for (size_t i = 0; i < rows->count; i++) {
        sum.made += rows->rows[i].made;
        sum.in_use += rows->rows[i].in_use;
        sum.bytes += rows->rows[i].bytes;
        sum.remote += rows->rows[i].remote;
    }
    char *bytes = show_bytes(sum.bytes), *period = show_bytes((double)profile->period);
    const char *by = string_at(profile, profile->comment);
    text_add(&view->out,
             "%s: %s, a heap profile of %.0f ms, a sample per %s\n"
             "Estimates: %.0f objects allocated, %.0f of them (%s) in use, %.0f freed by another "
             "thread\n",
             of_file, strncmp(by, "tally ", 6) == 0 ? by + 6 : by, (double)profile->duration / 1e6,
             period, sum.made, sum.in_use, bytes, sum.remote);
    free(bytes);
    free(period);
}

bool is_profile(const char *path) {
    // The first field is the first sample type; gzip has a sign of its own.
    unsigned char begin[2] = {0};
    FILE *file = regular_open(path);
    if (!file) return false;
    bool whole = fread(begin, 1, 2, file) == 2;
    fclose(file);
    if (whole && begin[0] == 0x1f && begin[1] == 0x8b)
        reject("%s is compressed; call gunzip first", path);
    return whole && begin[0] == 0x0a;
}

void show_profile(const char *path, struct view *view) {
    size_t length;
    char *data = heap_contents(path, &length);
    struct message whole = {(const uint8_t *)data, (const uint8_t *)data + length};
    struct profile profile = {0};
    struct rows rows = {0};
    struct field field;
    of_file = path;
    read_profile(&profile, whole);
    for (struct message from = whole; next_field(&from, &field);)
        if (field.number == 2) read_sample(&profile, field.block, &rows);
    merge(&rows);
    show_totals(&profile, &rows, view);
    show_places(&profile, &rows, view);
    for (size_t i = 0; i < rows.count; i++) free(rows.rows[i].place);
    for (size_t i = 0; i < profile.string_count; i++) free(profile.strings[i]);
    free(rows.rows);
    free(profile.strings);
    free(profile.functions);
    free(profile.locations);
    free(profile.types);
    free(data);
}
