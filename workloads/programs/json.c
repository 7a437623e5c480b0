/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * json: parse a document into dicts, lists, strs, ints, floats and singletons, and write it back.
 * It stands for services, which mostly turn text into objects and objects into text.
 *
 * Each worker parses for itself and writes to a buffer of its own. What is written must be the
 * canonical text, byte for byte. The document is made here, together with its canonical text:
 * records of many forms of numbers, escapes and depths. If the user gave files, the first whose
 * name ends in .json is the document instead; its canonical text is what it is written as, which
 * parsed and written once more must be the same.
 *
 * Canonical: no spaces, ASCII only, ints as they are, floats with the fewest of 15 to 17 digits
 * that give the same value. Numbers without a fraction or exponent are ints, if they fit in 64
 * bits; all others are floats.
 *
 * Parser and writer keep a stack instead of recursing. So they can stop after any value, and a run
 * is some values, not a document.
 */
#include "workload.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "harness/text.h"

enum { DEEPEST = 64, VALUES = 1024, VALUES_PER_SAFEPOINT = 32, DOCUMENT_BYTES = 200000 };

struct buffer {
    char *data; /* a NUL after the end */
    size_t length, room;
};

struct shared {
    struct buffer document, canonical;
};

struct frame {
    tally_object *container; /* borrowed: the root holds them all */
    bool is_dict;
    tally_object *key;  /* parser: of the value to come, owned */
    ptrdiff_t position; /* writer: for tally_dict_next, or an index */
    bool started;       /* writer: something is in it already */
};

struct converter {
    const char *at;     /* parser: the rest, with a NUL at its end */
    tally_object *root; /* NULL until its first byte is parsed */
    tally_object *keys; /* a dict of the document's keys: equal keys are one object */
    bool writing;
    struct frame frames[DEEPEST];
    unsigned depth;
    struct buffer text; /* parser: the str at hand; writer: all so far */
};

struct local {
    struct converter converter;
    uint64_t documents;
};

/* ---- buffers ------------------------------------------------------------ */

/* Place for so many more bytes and a NUL. */
static char *reserve(struct buffer *buffer, size_t bytes) {
    if (buffer->room - buffer->length <= bytes) {
        size_t room = 2 * buffer->room + bytes + 64;
        char *data = realloc(buffer->data, room);
        if (data == NULL) workload_fail("no memory for %zu bytes of text", room);
        buffer->data = data;
        buffer->room = room;
    }
    return buffer->data + buffer->length;
}

static void put(struct buffer *buffer, const char *bytes, size_t length) {
    memcpy(reserve(buffer, length), bytes, length);
    buffer->length += length;
    buffer->data[buffer->length] = '\0';
}

static void put_byte(struct buffer *buffer, char byte) { put(buffer, &byte, 1); }

static void put_text(struct buffer *buffer, const char *text) { put(buffer, text, strlen(text)); }

/* ---- the parser --------------------------------------------------------- */

_Noreturn static void refuse(const struct converter *converter, const char *what) {
    workload_fail("the document is not JSON: %s at '%.20s'", what, converter->at);
}

static void skip_space(struct converter *converter) {
    while (*converter->at == ' ' || *converter->at == '\n' || *converter->at == '\t' ||
           *converter->at == '\r')
        converter->at++;
}

static bool skip(struct converter *converter, char byte) {
    skip_space(converter);
    if (*converter->at != byte) return false;
    converter->at++;
    return true;
}

static unsigned parse_hex(struct converter *converter) {
    unsigned value = 0;
    for (unsigned i = 0; i < 4; i++, converter->at++) {
        unsigned char c = (unsigned char)*converter->at, letter = c | 32;
        if (c >= '0' && c <= '9')
            value = 16 * value + c - '0';
        else if (letter >= 'a' && letter <= 'f')
            value = 16 * value + letter - 'a' + 10;
        else
            refuse(converter, "four hexadecimal digits are wanted");
    }
    return value;
}

static void put_utf8(struct buffer *buffer, unsigned point) {
    if (point < 0x80) {
        put_byte(buffer, (char)point);
        return;
    }
    if (point < 0x800) {
        put_byte(buffer, (char)(0xc0 | point >> 6));
    } else {
        if (point < 0x10000) {
            put_byte(buffer, (char)(0xe0 | point >> 12));
        } else {
            put_byte(buffer, (char)(0xf0 | point >> 18));
            put_byte(buffer, (char)(0x80 | (point >> 12 & 0x3f)));
        }
        put_byte(buffer, (char)(0x80 | (point >> 6 & 0x3f)));
    }
    put_byte(buffer, (char)(0x80 | (point & 0x3f)));
}

/* After the u: one unit, or the two of a point past 16 bits. */
static unsigned parse_point(struct converter *converter) {
    unsigned point = parse_hex(converter);
    if (point >= 0xdc00 && point < 0xe000) refuse(converter, "the second half of a surrogate pair");
    if (point < 0xd800 || point >= 0xdc00) return point;
    if (converter->at[0] != '\\' || converter->at[1] != 'u')
        refuse(converter, "half a surrogate pair");
    converter->at += 2;
    unsigned low = parse_hex(converter);
    if (low < 0xdc00 || low >= 0xe000) refuse(converter, "half a surrogate pair");
    return 0x10000 + ((point - 0xd800) << 10) + (low - 0xdc00);
}

/* What stands after a backslash, and the byte that it means. */
static const char escapes[] = "\"\\/bfnrt", escaped[] = "\"\\/\b\f\n\r\t";

static void parse_escape(struct converter *converter) {
    char letter = *++converter->at;
    const char *known = letter != '\0' ? strchr(escapes, letter) : NULL;
    if (letter != 'u' && known == NULL) refuse(converter, "no escape");
    converter->at++;
    if (known != NULL)
        put_byte(&converter->text, escaped[known - escapes]);
    else
        put_utf8(&converter->text, parse_point(converter));
}

static tally_object *parse_str(struct converter *converter) {
    if (!skip(converter, '"')) refuse(converter, "a string is wanted");
    converter->text.length = 0;
    reserve(&converter->text, 0);
    for (;;) {
        const char *from = converter->at;
        while (*converter->at != '"' && *converter->at != '\\' &&
               (unsigned char)*converter->at >= ' ')
            converter->at++;
        put(&converter->text, from, (size_t)(converter->at - from));
        if (*converter->at == '"') break;
        if (*converter->at != '\\') refuse(converter, "a string does not end");
        parse_escape(converter);
    }
    converter->at++;
    return workload_object(tally_str_new(converter->text.data, (ptrdiff_t)converter->text.length));
}

/* Equal keys become one object, as there are few of them and many records. */
static void parse_key(struct converter *converter) {
    tally_object *key = parse_str(converter);
    converter->frames[converter->depth - 1].key =
        workload_object(tally_dict_set_default(converter->keys, key, key));
    tally_decref(key);
    if (!skip(converter, ':')) refuse(converter, "a colon is wanted");
}

static size_t digits(const char *at) { return strspn(at, "0123456789"); }

static tally_object *parse_number(struct converter *converter) {
    const char *from = converter->at, *at = from + (*from == '-');
    size_t whole = digits(at);
    bool is_int = true;
    if (whole == 0 || (whole > 1 && *at == '0')) refuse(converter, "no value");
    at += whole;
    if (*at == '.') {
        is_int = false;
        if (digits(++at) == 0) refuse(converter, "no number");
        at += digits(at);
    }
    if (*at == 'e' || *at == 'E') {
        is_int = false;
        at += at[1] == '+' || at[1] == '-' ? 2 : 1;
        if (digits(at) == 0) refuse(converter, "no number");
        at += digits(at);
    }
    errno = 0;
    long long integer = is_int ? strtoll(from, NULL, 10) : 0;
    is_int &= errno == 0; /* past 64 bits: a float */
    double real = is_int ? 0 : strtod(from, NULL);
    if (!isfinite(real)) refuse(converter, "a number too large");
    converter->at = at;
    return workload_object(is_int ? tally_int_new(integer) : tally_float_new(real));
}

static tally_object *parse_word(struct converter *converter) {
    static const struct {
        const char *word;
        size_t length;
        unsigned singleton;
    } words[] = {
        {"null", 4, 0},
        {"false", 5, 1},
        {"true", 4, 2},
    };
    tally_object *const singletons[] = {tally_none, tally_false, tally_true};
    for (unsigned i = 0; i < 3; i++) {
        if (strncmp(converter->at, words[i].word, words[i].length) == 0) {
            converter->at += words[i].length;
            tally_incref(singletons[words[i].singleton]);
            return singletons[words[i].singleton];
        }
    }
    return parse_number(converter);
}

/* Gives the value to the container it belongs to, or makes it the root. */
static void place(struct converter *converter, tally_object *value) {
    if (converter->depth == 0) {
        converter->root = value;
        return;
    }
    struct frame *frame = &converter->frames[converter->depth - 1];
    if (frame->is_dict) {
        workload_done(tally_dict_set(frame->container, frame->key, value));
        tally_decref(frame->key);
    } else {
        workload_done(tally_list_append(frame->container, value));
    }
    tally_decref(value);
}

static void push(struct converter *converter, tally_object *container, bool is_dict) {
    if (converter->depth == DEEPEST) workload_fail("the document is more than %d deep", DEEPEST);
    converter->frames[converter->depth++] =
        (struct frame){.container = container, .is_dict = is_dict};
}

/* After a value: on to the next one. False: that was the last. */
static bool parse_next(struct converter *converter) {
    while (converter->depth > 0) {
        bool is_dict = converter->frames[converter->depth - 1].is_dict;
        if (skip(converter, ',')) {
            if (is_dict) parse_key(converter);
            return true;
        }
        if (!skip(converter, is_dict ? '}' : ']'))
            refuse(converter, "a comma or the end of a container is wanted");
        converter->depth--;
    }
    skip_space(converter);
    if (*converter->at != '\0') refuse(converter, "more than one value");
    return false;
}

/* One value; of a container, its beginning. False: that was the last. */
static bool parse_value(struct converter *converter) {
    bool is_dict = skip(converter, '{');
    if (is_dict || skip(converter, '[')) {
        tally_object *container = workload_object(is_dict ? tally_dict_new() : tally_list_new(0));
        place(converter, container);
        push(converter, container, is_dict);
        if (skip(converter, is_dict ? '}' : ']'))
            converter->depth--;
        else {
            if (is_dict) parse_key(converter);
            return true;
        }
    } else {
        place(converter, *converter->at == '"' ? parse_str(converter) : parse_word(converter));
    }
    return parse_next(converter);
}

/* ---- the writer --------------------------------------------------------- */

/* The code point at *from, which goes past it. */
static unsigned next_point(const unsigned char **from) {
    unsigned first = *(*from)++;
    unsigned more = first >= 0xf0 ? 3 : first >= 0xe0 ? 2 : 1;
    unsigned point = first & (0x3fu >> more);
    for (; more > 0; more--) {
        if ((**from & 0xc0) != 0x80) /* the NUL at the end is none either */
            workload_fail("the document is not UTF-8");
        point = point << 6 | (*(*from)++ & 0x3f);
    }
    return point;
}

static void write_unit(struct buffer *text, unsigned unit) {
    static const char hex[] = "0123456789abcdef";
    const char escape[] = {
        '\\', 'u', hex[unit >> 12], hex[unit >> 8 & 15], hex[unit >> 4 & 15], hex[unit & 15]};

    put(text, escape, sizeof escape);
}

static void write_escape(struct buffer *text, const unsigned char **from) {
    const char *known = **from != '\0' ? strchr(escaped, **from) : NULL;
    if (known != NULL) {
        put_byte(text, '\\');
        put_byte(text, escapes[known - escaped]);
        ++*from;
        return;
    }
    unsigned point = **from < 0x80 ? *(*from)++ : next_point(from);
    if (point >= 0x10000) {
        write_unit(text, 0xd800 + ((point - 0x10000) >> 10));
        point = 0xdc00 + (point & 0x3ff);
    }
    write_unit(text, point);
}

static bool is_plain(unsigned char c) { return c >= ' ' && c < 0x80 && c != '"' && c != '\\'; }

static void write_str(struct buffer *text, tally_object *str) {
    const unsigned char *from = (const unsigned char *)tally_str_data(str);
    const unsigned char *end = from + tally_str_length(str);
    put_byte(text, '"');
    while (from < end) {
        const unsigned char *plain = from;
        while (from < end && is_plain(*from)) from++;
        put(text, (const char *)plain, (size_t)(from - plain));
        if (from < end) write_escape(text, &from);
    }
    put_byte(text, '"');
}

static void write_float(struct buffer *text, double value) {
    enum { LONGEST = 32 };
    char *digits = reserve(text, LONGEST);
    int precision = 15, length;
    do length = snprintf(digits, LONGEST, "%.*g", precision, value);
    while (strtod(digits, NULL) != value && ++precision <= 17);
    text->length += (size_t)length;
    if (strpbrk(digits, ".e") == NULL) put_text(text, ".0");
}

static void write_int(struct buffer *text, int64_t value) {
    enum { LONGEST = 24 };
    text->length += (size_t)snprintf(reserve(text, LONGEST), LONGEST, "%lld", (long long)value);
}

/* The types that the writer tells apart, by name: the objects of the types themselves are the run
 * time's own. */
static void write_value(struct converter *converter, tally_object *value) {
    struct buffer *text = &converter->text;
    const char *type = tally_type_name(value);
    if (value == tally_none) {
        put_text(text, "null");
    } else if (value == tally_true || value == tally_false) {
        put_text(text, value == tally_true ? "true" : "false");
    } else if (strcmp(type, "str") == 0) {
        write_str(text, value);
    } else if (strcmp(type, "int") == 0) {
        write_int(text, tally_int_value(value));
    } else if (strcmp(type, "float") == 0) {
        write_float(text, tally_float_value(value));
    } else if (strcmp(type, "dict") == 0) {
        put_byte(text, '{');
        push(converter, value, true);
    } else if (strcmp(type, "list") == 0) {
        put_byte(text, '[');
        push(converter, value, false);
    } else {
        workload_fail("the parser made a %s", type);
    }
}

/* The next value of the innermost container, after its key; NULL at the end. */
static tally_object *write_next(struct converter *converter) {
    struct frame *frame = &converter->frames[converter->depth - 1];
    struct buffer *text = &converter->text;
    tally_object *key = NULL, *value = NULL;
    if (frame->is_dict)
        workload_done(tally_dict_next(frame->container, &frame->position, &key, &value));
    else if (frame->position < tally_list_length(frame->container))
        value = workload_object(tally_list_get(frame->container, frame->position++));
    if (value != NULL && frame->started) put_byte(text, ',');
    if (key != NULL) {
        write_str(text, key);
        put_byte(text, ':');
        tally_decref(key);
    }
    frame->started = true;
    return value;
}

/* One value, and the ends of the containers in front of it. False: there is none left. */
static bool write_one(struct converter *converter) {
    while (converter->depth > 0) {
        tally_object *value = write_next(converter);
        if (value != NULL) {
            write_value(converter, value);
            tally_decref(value); /* its container holds it */
            return true;
        }
        put_byte(&converter->text, converter->frames[--converter->depth].is_dict ? '}' : ']');
    }
    return false;
}

/* ---- a document there and back ------------------------------------------ */

static void convert_start(struct converter *converter, const struct buffer *document) {
    converter->at = document->data;
    converter->keys = workload_object(tally_dict_new());
    converter->writing = false;
}

/* One value parsed or written. False: the document is done; its text is in `text`. */
static bool convert_value(struct converter *converter) {
    if (converter->writing) return write_one(converter);
    if (!parse_value(converter)) {
        converter->writing = true;
        converter->text.length = 0;
        write_value(converter, converter->root);
    }
    return true;
}

static void convert_end(struct converter *converter) {
    workload_check_count(converter->root, tally_is_immortal(converter->root) ? PTRDIFF_MAX : 1);
    tally_decref(converter->root);
    tally_decref(converter->keys);
    converter->root = NULL;
}

static void check_text(const struct buffer *text, const struct buffer *canonical) {
    size_t at = 0, length = text->length < canonical->length ? text->length : canonical->length;
    if (text->length == canonical->length &&
        memcmp(text->data, canonical->data, canonical->length) == 0)
        return;
    while (at < length && text->data[at] == canonical->data[at]) at++;
    size_t from = at > 20 ? at - 20 : 0;
    workload_fail("written at byte %zu as '%.40s', not '%.40s'", at, text->data + from,
                  canonical->data + from);
}

/* ---- the document ------------------------------------------------------- */

struct pair {
    const char *document, *canonical;
};

static const struct pair numbers[] = {
    {"0", "0"},
    {"-0", "0"},
    {"-0.0", "-0.0"},
    {"42", "42"},
    {"-1", "-1"},
    {"1E2", "100.0"},
    {"0.1", "0.1"},
    {"-12.50", "-12.5"},
    {"1e-7", "1e-07"},
    {"2.5E-3", "0.0025"},
    {"1.0e+22", "1e+22"},
    {"123456789.125", "123456789.125"},
    {"3.0", "3.0"},
    {"0.30000000000000004", "0.30000000000000004"},
    {"9223372036854775807", "9223372036854775807"},
    {"-9223372036854775808", "-9223372036854775808"},
    {"9223372036854775808", "9.223372036854776e+18"},
    {"1.7976931348623157e308", "1.7976931348623157e+308"},
    {"2.2250738585072014e-308", "2.2250738585072014e-308"},
};

static const struct pair strings[] = {
    {"plain words of ASCII", "plain words of ASCII"},
    {"", ""},
    {"caf\\u00e9", "caf\\u00e9"},
    {"caf\xc3\xa9", "caf\\u00e9"},
    {"\xe2\x82\xac", "\\u20ac"},
    {"\\u20AC", "\\u20ac"},
    {"\\ud83d\\ude00", "\\ud83d\\ude00"},
    {"\xf0\x9f\x98\x80", "\\ud83d\\ude00"},
    {"a\\/b", "a/b"},
    {"\\u0041", "A"},
    {"\\b\\f\\n\\r\\t\\\"\\\\", "\\b\\f\\n\\r\\t\\\"\\\\"},
    {"\\u0000\\u001F", "\\u0000\\u001f"},
    {"\\uFFFD\\u07ff", "\\ufffd\\u07ff"},
};

static void make_both(struct shared *shared, const char *text) {
    put_text(&shared->document, text);
    put_text(&shared->canonical, text);
}

static void make_pair(struct shared *shared, const struct pair *pair) {
    put_text(&shared->document, pair->document);
    put_text(&shared->canonical, pair->canonical);
}

static void make_number(struct shared *shared, uint64_t random) {
    char digits[32];
    if (random % 4 == 0) {
        make_pair(shared, &numbers[(random >> 8) % (sizeof numbers / sizeof *numbers)]);
        return;
    }
    if (random % 4 == 1)
        snprintf(digits, sizeof digits, "%d", (int)(random >> 40) - (1 << 23));
    else /* an odd last digit is no 0 that would be left out */
        snprintf(digits, sizeof digits, "%d.%03d", (int)(random >> 56) - 128,
                 (int)(random >> 16 & 0xff) * 2 + 1);
    make_both(shared, digits);
}

static void make_string(struct shared *shared, uint64_t random) {
    make_both(shared, "\"");
    for (unsigned i = 0; i <= random % 3; i++)
        make_pair(shared, &strings[(random >> (8 + 8 * i)) % (sizeof strings / sizeof *strings)]);
    make_both(shared, "\"");
}

static void make_space(struct shared *shared, const char *space) {
    put_text(&shared->document, space);
}

static void make_list(struct shared *shared, uint64_t *seed, unsigned length,
                      void (*make)(struct shared *, uint64_t)) {
    make_both(shared, "[");
    for (unsigned i = 0; i < length; i++) {
        make_both(shared, i > 0 ? "," : "");
        make_space(shared, " ");
        make(shared, workload_random(seed));
    }
    make_both(shared, "]");
}

/* Containers in containers, the innermost empty. */
static void make_nest(struct shared *shared, unsigned depth) {
    for (unsigned i = 0; i < depth; i++) make_both(shared, i % 2 == 0 ? "[[]," : "{\"in\":");
    make_both(shared, "{}");
    while (depth-- > 0) make_both(shared, depth % 2 == 0 ? "]" : "}");
}

static void make_record(struct shared *shared, uint64_t *seed, unsigned number) {
    static const char *const words[] = {"null", "true", "false"};
    char digits[16];
    snprintf(digits, sizeof digits, "%u", number);
    make_both(shared, "{\"id\":");
    make_both(shared, digits);
    make_both(shared, ",\"name\":");
    make_space(shared, " ");
    make_string(shared, workload_random(seed));
    make_both(shared, ",\"state\":");
    make_both(shared, words[workload_random(seed) % 3]);
    make_both(shared, ",\"position\":{\"x\":");
    make_number(shared, workload_random(seed));
    make_both(shared, ",\"y\":");
    make_number(shared, workload_random(seed));
    make_both(shared, "},\"tags\":");
    make_list(shared, seed, workload_random(seed) % 4, make_string);
    make_both(shared, ",\"values\":");
    make_list(shared, seed, workload_random(seed) % 16, make_number);
    make_both(shared, ",\"nest\":");
    make_nest(shared, workload_random(seed) % 16);
    make_space(shared, "\r\n\t");
    make_both(shared, "}");
}

static void make_document(struct shared *shared, uint64_t seed) {
    make_both(shared, "[");
    for (unsigned i = 0; shared->document.length < DOCUMENT_BYTES; i++) {
        make_both(shared, i > 0 ? "," : "");
        make_record(shared, &seed, i);
        make_space(shared, "\n");
    }
    make_both(shared, "]");
}

static void load_document(struct shared *shared, const char *file) {
    struct converter converter = {.root = NULL};
    struct text text;
    text_load(&text, &file, 1, 0);
    put(&shared->document, text.data, text.original);
    text_free(&text);
    convert_start(&converter, &shared->document);
    while (convert_value(&converter))
        ;
    convert_end(&converter);
    shared->canonical = converter.text;

    converter.text = (struct buffer){.data = NULL};
    convert_start(&converter, &shared->canonical);
    while (convert_value(&converter))
        ;
    convert_end(&converter);
    check_text(&converter.text, &shared->canonical);
    free(converter.text.data);
}

/* ---- the workload ------------------------------------------------------- */

static void setup(struct shared *shared, const workload_context *context) {
    for (size_t i = 0; i < context->text_count && shared->document.data == NULL; i++) {
        size_t length = strlen(context->texts[i]);
        if (length > 5 && strcmp(context->texts[i] + length - 5, ".json") == 0)
            load_document(shared, context->texts[i]);
    }
    if (shared->document.data == NULL) make_document(shared, workload_seed(context));
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    convert_start(&local->converter, &shared->document);
}

/* Converts so many values; a document's end is checked and begins it anew. */
static void convert(struct shared *shared, struct local *local, unsigned values) {
    for (unsigned i = 0; i < values; i++) {
        if (!convert_value(&local->converter)) {
            check_text(&local->converter.text, &shared->canonical);
            convert_end(&local->converter);
            convert_start(&local->converter, &shared->document);
            local->documents++;
        }
    }
    tally_safepoint();
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    for (unsigned done = 0; done < VALUES; done += VALUES_PER_SAFEPOINT)
        convert(shared, local, VALUES_PER_SAFEPOINT);
    return VALUES;
}

/* Goes on to the end of a document, so that even the shortest run has checked one. */
static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    uint64_t documents = local->documents;
    while (local->documents == documents || local->converter.root != NULL)
        convert(shared, local, 1);
    tally_decref(local->converter.keys);
    free(local->converter.text.data);
}

static void teardown(struct shared *shared, const workload_context *context) {
    free(shared->document.data);
    free(shared->canonical.data);
}

WORKLOAD(json, .name = "json", .kind = PROGRAMS, .takes_text = true,
         .description = "Parse a JSON document into own objects and write it back: services "
                        "that exchange text.",
         .unit = "values", .read_only = true, SHARED_STATE, LOCAL_STATE, .setup = setup,
         .enter = enter, .run = run, .leave = leave, .teardown = teardown);
