/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_profile_write.c: a heap profile as a file in pprof's format, profile.proto
 * (github.com/google/pprof, proto/profile.proto). docs/reference/heap-profile.md lists what is in
 * the file.
 *
 * The format is protobuf's: a message is a sequence of fields, each a number (its field number
 * times 8, plus the wire type) and a value. Wire type 0 is a number of 7 bits per byte, the lowest
 * first; wire type 2 is such a number of bytes, then a text, a packed list of numbers, or another
 * message. pprof reads a file with or without gzip; this one has none.
 */
#define _GNU_SOURCE
#include "debug/stacks.h"
#include "instrument/files.h"
#include "instrument/heap_profile.h"
#include "objects/object.h"
#include <errno.h>
#include <link.h>
#include <math.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

typedef tally_profile_record record;

/* ---- bytes ------------------------------------------------------------------------ */

/* Grows as needed; without memory it is marked, and takes no more. */
typedef struct bytes {
    unsigned char *at;
    size_t used, room;
    bool failed;
} bytes;

static void put_data(bytes *to, const void *data, size_t size) {
    if (to->used + size > to->room) {
        size_t room = 2 * (to->used + size) + 256;
        unsigned char *at = to->failed ? NULL : realloc(to->at, room);
        if (!at) {
            to->failed = true;
            return;
        }
        to->at = at;
        to->room = room;
    }
    if (size) memcpy(to->at + to->used, data, size);
    to->used += size;
}
static void put_number(bytes *to, uint64_t number) {
    unsigned char digits[10];
    size_t count = 0;
    for (; number >= 128; number >>= 7) digits[count++] = (unsigned char)(number | 128);
    digits[count++] = (unsigned char)number;
    put_data(to, digits, count);
}
static void put_field(bytes *to, unsigned field, uint64_t number) {
    put_number(to, field << 3);
    put_number(to, number);
}
static void put_block(bytes *to, unsigned field, const void *data, size_t size) {
    put_number(to, field << 3 | 2);
    put_number(to, size);
    put_data(to, data, size);
}
/* Empties the message. */
static void put_message(bytes *to, unsigned field, bytes *message) {
    put_block(to, field, message->at, message->used);
    to->failed |= message->failed;
    message->used = 0;
}

/* ---- the parts of a profile --------------------------------------------------------- */

enum {
    PROFILE_SAMPLE_TYPE = 1,
    PROFILE_SAMPLE = 2,
    PROFILE_MAPPING = 3,
    PROFILE_LOCATION = 4,
    PROFILE_FUNCTION = 5,
    PROFILE_STRING = 6,
    PROFILE_TIME = 9,      /* nanoseconds since 1970 */
    PROFILE_DURATION = 10, /* nanoseconds */
    PROFILE_PERIOD_TYPE = 11,
    PROFILE_PERIOD = 12,
    PROFILE_COMMENT = 13,
    PROFILE_DEFAULT_TYPE = 14,
    VALUE_TYPE = 1,
    VALUE_UNIT = 2,
    SAMPLE_LOCATION = 1, /* packed, the innermost first */
    SAMPLE_VALUE = 2,    /* packed, in the order of the sample types */
    SAMPLE_LABEL = 3,
    LABEL_KEY = 1,
    LABEL_TEXT = 2,
    LABEL_NUMBER = 3,
    LABEL_UNIT = 4,
    MAPPING_ID = 1,
    MAPPING_START = 2,
    MAPPING_END = 3,
    MAPPING_OFFSET = 4, /* in the file */
    MAPPING_FILE = 5,
    MAPPING_HAS_FUNCTIONS = 7,
    LOCATION_ID = 1,
    LOCATION_MAPPING = 2,
    LOCATION_ADDRESS = 3,
    LOCATION_LINE = 4,
    LINE_FUNCTION = 1,
    FUNCTION_ID = 1,
    FUNCTION_NAME = 2,
    FUNCTION_SYSTEM_NAME = 3,
    FUNCTION_FILE = 4,
};

/* What a sample counts, in the order of the file. */
enum {
    ALLOC_OBJECTS,
    ALLOC_SPACE,
    INUSE_OBJECTS,
    INUSE_SPACE,
    REMOTE_FREED_OBJECTS,
    REMOTE_FREED_SPACE,
    LIFETIME,
    VALUES
};
static const char *const value_names[VALUES][2] = {
    {"alloc_objects", "count"},  {"alloc_space", "bytes"},          {"inuse_objects", "count"},
    {"inuse_space", "bytes"},    {"remote_freed_objects", "count"}, {"remote_freed_space", "bytes"},
    {"lifetime", "nanoseconds"},
};

typedef struct writer {
    const tally_profile_copy *copy;
    bytes out, message, part;
    char **strings; /* each once; [0] is "" */
    size_t string_count, string_room;
    const void **addresses; /* of all stacks, sorted; a location's number is its place plus 1 */
    size_t address_count;
    uint64_t *functions; /* by number, from 1: the string of the name */
    size_t function_count;
    uintptr_t *mappings; /* by number, from 1: where the segment starts */
    size_t mapping_count;
} writer;

/* The number of a text in the string table. */
static uint64_t string_of(writer *w, const char *text) {
    for (size_t i = 0; i < w->string_count; i++)
        if (strcmp(w->strings[i], text) == 0) return i;
    if (w->string_count == w->string_room) {
        size_t room = w->string_room * 2 + 64;
        char **strings = realloc(w->strings, room * sizeof *strings);
        if (!strings) goto no_memory;
        w->strings = strings;
        w->string_room = room;
    }
    char *copy = strdup(text);
    if (!copy) goto no_memory;
    w->strings[w->string_count] = copy;
    return w->string_count++;
no_memory:
    w->out.failed = true;
    return 0;
}

static void put_value_type(writer *w, unsigned field, const char *type, const char *unit) {
    put_field(&w->message, VALUE_TYPE, string_of(w, type));
    put_field(&w->message, VALUE_UNIT, string_of(w, unit));
    put_message(&w->out, field, &w->message);
}

/* ---- addresses ----------------------------------------------------------------------- */

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return x < y ? -1 : x > y;
}

static bool find_addresses(writer *w) {
    size_t count = 0, unique = 0;
    for (size_t i = 0; i < w->copy->count; i++) count += w->copy->records[i]->depth;
    w->addresses = malloc((count + 1) * sizeof *w->addresses);
    w->functions = malloc((count + 1) * sizeof *w->functions);
    w->mappings = malloc((count + 1) * sizeof *w->mappings);
    if (!w->addresses || !w->functions || !w->mappings) return false;
    count = 0;
    for (size_t i = 0; i < w->copy->count; i++) {
        const record *r = w->copy->records[i];
        memcpy(w->addresses + count, r->frames, r->depth * sizeof r->frames[0]);
        count += r->depth;
    }
    qsort(w->addresses, count, sizeof *w->addresses, by_address);
    for (size_t i = 0; i < count; i++)
        if (i == 0 || w->addresses[i] != w->addresses[i - 1])
            w->addresses[unique++] = w->addresses[i];
    w->address_count = unique;
    return true;
}

static uint64_t location_of(const writer *w, const void *address) {
    const void **at =
        bsearch(&address, w->addresses, w->address_count, sizeof *w->addresses, by_address);
    return (uint64_t)(at - w->addresses) + 1;
}

typedef struct segment {
    uintptr_t address, start, end, offset;
    bool found;
} segment;

static int look_at_file(struct dl_phdr_info *file, size_t size, void *segment_) {
    segment *s = segment_;
    for (unsigned i = 0; i < file->dlpi_phnum; i++) {
        const ElfW(Phdr) *header = &file->dlpi_phdr[i];
        uintptr_t start = file->dlpi_addr + header->p_vaddr;
        if (header->p_type != PT_LOAD || s->address - start >= header->p_memsz) continue;
        s->start = start;
        s->end = start + header->p_memsz;
        s->offset = header->p_offset;
        s->found = true;
        return 1;
    }
    return 0;
}

/* The number of the mapping that has the call; 0: none. */
static uint64_t mapping_of(writer *w, uintptr_t call, const char *path) {
    segment s = {.address = call};
    dl_iterate_phdr(look_at_file, &s);
    if (!s.found) return 0;
    for (size_t i = 0; i < w->mapping_count; i++)
        if (w->mappings[i] == s.start) return i + 1;
    char self[4096] = "";
    if (!strchr(path, '/')) { /* the program, as it was called */
        ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
        if (length > 0) path = self;
    }
    w->mappings[w->mapping_count++] = s.start;
    put_field(&w->message, MAPPING_ID, w->mapping_count);
    put_field(&w->message, MAPPING_START, s.start);
    put_field(&w->message, MAPPING_END, s.end);
    put_field(&w->message, MAPPING_OFFSET, s.offset);
    put_field(&w->message, MAPPING_FILE, string_of(w, path));
    put_field(&w->message, MAPPING_HAS_FUNCTIONS, 1);
    put_message(&w->out, PROFILE_MAPPING, &w->message);
    return w->mapping_count;
}

/* The number of the function. A compiler names a part of a function by a suffix (.cold, .part.0).
 */
static uint64_t function_of(writer *w, const char *name, const char *path) {
    char plain[sizeof((tally_place *)0)->name];
    snprintf(plain, sizeof plain, "%.*s", (int)strcspn(name, "."), name);
    uint64_t string = string_of(w, plain);
    for (size_t i = 0; i < w->function_count; i++)
        if (w->functions[i] == string) return i + 1;
    w->functions[w->function_count++] = string;
    put_field(&w->message, FUNCTION_ID, w->function_count);
    put_field(&w->message, FUNCTION_NAME, string);
    put_field(&w->message, FUNCTION_SYSTEM_NAME, string_of(w, name));
    put_field(&w->message, FUNCTION_FILE, string_of(w, path));
    put_message(&w->out, PROFILE_FUNCTION, &w->message);
    return w->function_count;
}

static void put_location(writer *w, size_t number) {
    const void *address = w->addresses[number];
    uintptr_t call = (uintptr_t)address - 1;
    tally_place place;
    uint64_t mapping = 0, function = 0;
    if (tally_stack_place(address, &place)) {
        mapping = mapping_of(w, call, place.path);
        if (*place.name) function = function_of(w, place.name, place.path);
    }
    put_field(&w->message, LOCATION_ID, number + 1);
    if (mapping) put_field(&w->message, LOCATION_MAPPING, mapping);
    put_field(&w->message, LOCATION_ADDRESS, call);
    if (function) {
        put_field(&w->part, LINE_FUNCTION, function);
        put_message(&w->message, LOCATION_LINE, &w->part);
    }
    put_message(&w->out, PROFILE_LOCATION, &w->message);
}

/* ---- samples --------------------------------------------------------------------------- */

/* Equal ones are neighbours. */
static int by_site(const void *a, const void *b) {
    const record *x = *(record *const *)a, *y = *(record *const *)b;
    if (x->hash != y->hash) return x->hash < y->hash ? -1 : 1;
    return strcmp(x->type, y->type);
}

static void add_values(double values[VALUES], const record *r, double scale) {
    double made = (double)r->made * scale, in_use = (double)(r->made - r->freed) * scale,
           remote = (double)r->freed_by_others * scale, size = (double)r->size;
    values[ALLOC_OBJECTS] += made;
    values[ALLOC_SPACE] += made * size;
    values[INUSE_OBJECTS] += in_use;
    values[INUSE_SPACE] += in_use * size;
    values[REMOTE_FREED_OBJECTS] += remote;
    values[REMOTE_FREED_SPACE] += remote * size;
    values[LIFETIME] += (double)r->lifetime * scale;
}

static void put_label(writer *w, const char *key, const char *text, uint64_t number,
                      const char *unit) {
    put_field(&w->part, LABEL_KEY, string_of(w, key));
    if (text)
        put_field(&w->part, LABEL_TEXT, string_of(w, text));
    else
        put_field(&w->part, LABEL_NUMBER, number);
    if (unit) put_field(&w->part, LABEL_UNIT, string_of(w, unit));
    put_message(&w->message, SAMPLE_LABEL, &w->part);
}

static void put_sample(writer *w, const record *r, const double values[VALUES]) {
    for (unsigned i = 0; i < r->depth; i++) put_number(&w->part, location_of(w, r->frames[i]));
    put_message(&w->message, SAMPLE_LOCATION, &w->part);
    for (unsigned i = 0; i < VALUES; i++) put_number(&w->part, (uint64_t)llround(values[i]));
    put_message(&w->message, SAMPLE_VALUE, &w->part);
    put_label(w, "type", r->type, 0, NULL);
    put_label(w, "bytes", NULL, r->size, "bytes");
    put_label(w, "thread", NULL, r->maker, NULL);
    put_message(&w->out, PROFILE_SAMPLE, &w->message);
}

/* A block of s bytes was sampled with probability 1 - exp(-s / period), so a sample stands for one
 * over that, and the sums are right on average. */
static void put_samples(writer *w) {
    record **records = w->copy->records;
    size_t count = w->copy->count;
    qsort(records, count, sizeof *records, by_site);
    for (size_t i = 0, next; i < count; i = next) {
        double values[VALUES] = {0};
        double scale = -1 / expm1(-(double)records[i]->size / (double)w->copy->period);
        for (next = i; next < count && tally_profile_same_site(records[i], records[next]) &&
                       strcmp(records[i]->type, records[next]->type) == 0;
             next++)
            add_values(values, records[next], scale);
        put_sample(w, records[i], values);
    }
}

/* ---- the file ---------------------------------------------------------------------------- */

static void put_comments(writer *w) {
    char text[96];
    snprintf(text, sizeof text, "tally %s", TALLY_BACKEND_NAME);
    put_field(&w->out, PROFILE_COMMENT, string_of(w, text));
    snprintf(text, sizeof text, "%llu samples were lost for want of memory",
             (unsigned long long)w->copy->lost);
    if (w->copy->lost) put_field(&w->out, PROFILE_COMMENT, string_of(w, text));
}

static void put_profile(writer *w) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    string_of(w, "");
    for (unsigned i = 0; i < VALUES; i++)
        put_value_type(w, PROFILE_SAMPLE_TYPE, value_names[i][0], value_names[i][1]);
    put_samples(w);
    for (size_t i = 0; i < w->address_count; i++) put_location(w, i);
    put_field(&w->out, PROFILE_TIME, (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
    put_field(&w->out, PROFILE_DURATION, w->copy->ended - w->copy->began);
    put_value_type(w, PROFILE_PERIOD_TYPE, "space", "bytes");
    put_field(&w->out, PROFILE_PERIOD, w->copy->period);
    put_comments(w);
    put_field(&w->out, PROFILE_DEFAULT_TYPE, string_of(w, value_names[INUSE_SPACE][0]));
    for (size_t i = 0; i < w->string_count; i++)
        put_block(&w->out, PROFILE_STRING, w->strings[i], strlen(w->strings[i]));
}

static void write_file(FILE *file, void *context) {
    const bytes *out = context;
    fwrite(out->at, 1, out->used, file);
}

bool tally_profile_write(const tally_profile_copy *copy, const char *path) {
    writer w = {.copy = copy};
    char *temporary = tally_temporary_name(path);
    bool good = temporary && find_addresses(&w);
    if (good) put_profile(&w);
    good = good && !w.out.failed;
    int why = 0;
    if (good) {
        good = tally_write_through(path, temporary, write_file, &w.out);
        why = good ? 0 : errno;
    }
    for (size_t i = 0; i < w.string_count; i++) free(w.strings[i]);
    free(w.strings);
    free(w.addresses);
    free(w.functions);
    free(w.mappings);
    free(w.out.at);
    free(w.message.at);
    free(w.part.at);
    free(temporary);
    errno = why;
    return good;
}
