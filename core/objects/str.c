/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * str.c: the type `str`: UTF-8 with its length in bytes. interned.c has the interned ones.
 *
 * Invariants:
 *  - The empty str and the 256 strs of one Latin-1 character are each one static, immortal object,
 *    which is interned.
 *  - A str's cached hash, once not 0, is the hash of its contents.
 */
#include "abstract.h"

#define LATIN1_CHARACTERS 256
#define EMPTY             LATIN1_CHARACTERS

/* A tally_str with room for two bytes and a NUL; both begin alike. */
typedef struct short_str {
    tally_object base;
    uint32_t length;
    _Atomic uint32_t hash;
    char data[4];
} short_str;
_Static_assert(offsetof(short_str, data) == offsetof(tally_str, data), "a short str is a str");

static short_str short_strs[LATIN1_CHARACTERS + 1];

/* ---- contents ----------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide;

/* Each bit of the product reaches the result. */
static inline uint64_t mix(uint64_t a, uint64_t b) {
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

static inline uint64_t read_word(const char *data, size_t length) {
    uint64_t word = 0;
    memcpy(&word, data, length);
    return word;
}

/* Folded multiplication, a word at a time, as in wyhash. */
uint64_t tally_hash_bytes(const char *data, size_t length) {
    const uint64_t k0 = UINT64_C(0x9e3779b97f4a7c15), k1 = UINT64_C(0xd6e8feb86659fd93);
    uint64_t hash = length ^ k0;
    for (; length > 8; data += 8, length -= 8) hash = mix(hash ^ read_word(data, 8), k1);
    return mix(hash ^ read_word(data, length), k1);
}
static uint32_t hash_bytes(const char *data, size_t length) {
    uint64_t hash = tally_hash_bytes(data, length);
    uint32_t result = (uint32_t)(hash ^ hash >> 32);
    return result ? result : 1; /* 0: not computed */
}

uint32_t tally_str_hash(tally_str *str) {
    /* relaxed: all threads compute the same number */
    uint32_t hash = tally_load_relaxed(&str->hash);
    if (hash) return hash;
    hash = hash_bytes(str->data, str->length);
    tally_store_relaxed(&str->hash, hash);
    return hash;
}

int tally_str_equal(tally_object *first, tally_object *second) {
    if (first == second) return 1;
    if (!tally_has_type(second, TALLY_TYPE_STR)) return 0;
    tally_str *a = (tally_str *)first, *b = (tally_str *)second;
    if (a->length != b->length) return 0;
    uint32_t hash_a = tally_load_relaxed(&a->hash);
    uint32_t hash_b = tally_load_relaxed(&b->hash);
    if (hash_a && hash_b && hash_a != hash_b) return 0;
    return memcmp(a->data, b->data, a->length) == 0;
}

static size_t str_extra_size(tally_object *object) {
    return (size_t)((tally_str *)object)->length + 1;
}
static int64_t str_hash(tally_object *object) { return tally_str_hash((tally_str *)object); }

/* ---- construction and access -------------------------------------------- */

static void start_short(int index, const char *data, uint32_t length) {
    short_str *str = &short_strs[index];
    str->base.refcount = (tally_refcounts)TALLY_REFCOUNT_IMMORTAL;
    str->base.type = TALLY_TYPE_STR;
    tally_store_relaxed(&str->base.flags, 0);
    tally_str_begin((tally_str *)str, length);
    memcpy(str->data, data, length);
    tally_store_relaxed(&str->hash, hash_bytes(data, length));
}

static void short_strs_start(void) {
    for (int c = 0; c < LATIN1_CHARACTERS; c++) {
        char one = (char)c, two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            start_short(c, &one, 1);
        else
            start_short(c, two, 2);
    }
    start_short(EMPTY, "", 0);
}

bool tally_str_is_short(const tally_object *object) {
    return (size_t)((const char *)object - (const char *)short_strs) < sizeof short_strs;
}

/* The index of the static str of these contents, or -1. */
static int short_index(const char *data, ptrdiff_t length) {
    if (length == 0) return EMPTY;
    const unsigned char first = (unsigned char)data[0];
    if (length == 1) return first < 0x80 ? first : -1;
    if (length != 2 || (first != 0xc2 && first != 0xc3)) return -1;
    const unsigned char second = (unsigned char)data[1];
    return (second & 0xc0) == 0x80 ? (first & 3) << 6 | (second & 0x3f) : -1;
}

tally_object *tally_str_new(const char *data, ptrdiff_t length) {
    TALLY_PLAIN_CALL();
    if (TALLY_UNLIKELY(!data) && length)
        return tally_fail_null(TALLY_VALUE_ERROR, "a str of %td bytes of NULL", length);
    if (length == -1) {
        size_t measured = strlen(data);
        length = measured > INT32_MAX ? PTRDIFF_MAX : (ptrdiff_t)measured;
    }
    if (length < 0 || length > INT32_MAX)
        return tally_fail_null(TALLY_VALUE_ERROR, "a str has 0 to %d bytes, not %td", INT32_MAX,
                               length);
    if (length <= 2) {
        int index = short_index(data, length);
        if (index >= 0) return &short_strs[index].base;
    }
    tally_str *str =
        tally_object_alloc(TALLY_TYPE_STR, sizeof *str + (size_t)length + 1, TALLY_PLAIN);
    if (!str) return NULL;
    tally_str_begin(str, (uint32_t)length);
    memcpy(str->data, data, (size_t)length);
    return tally_object_publish(str);
}

const char *tally_str_data(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (tally_has_type(object, TALLY_TYPE_STR)) return ((tally_str *)object)->data;
    return tally_expected_null("a str", object);
}

ptrdiff_t tally_str_length(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_STR)) return tally_expected("a str", object);
    return ((tally_str *)object)->length;
}

/* ---- repr --------------------------------------------------------------- */

static int add_escape(tally_text *text, unsigned character) {
    static const char hex[] = "0123456789abcdef";
    char escape[4] = {'\\', 'x', hex[character >> 4], hex[character & 15]};
    switch (character) {
    case '\n': return tally_text_add(text, "\\n", 2);
    case '\r': return tally_text_add(text, "\\r", 2);
    case '\t': return tally_text_add(text, "\\t", 2);
    case '\\': return tally_text_add(text, "\\\\", 2);
    case '\'': return tally_text_add(text, "\\'", 2);
    default: return tally_text_add(text, escape, 4);
    }
}

/* The bytes at data that need an escape together, and the character they are; 0: none. */
static size_t to_escape(const unsigned char *data, const unsigned char *end, char quote,
                        unsigned *character) {
    *character = data[0];
    if (data[0] < 0x20 || data[0] == 0x7f || data[0] == '\\' || data[0] == (unsigned char)quote)
        return 1;
    if (data[0] != 0xc2 || end - data < 2 || (data[1] & 0xc0) != 0x80) return 0;
    /* U+0080 to U+00BF: Python escapes the controls, the hard space and the soft hyphen. */
    *character = data[1];
    return data[1] <= 0xa0 || data[1] == 0xad ? 2 : 0;
}

static int add_quoted(tally_text *text, tally_str *str) {
    const unsigned char *at = (const unsigned char *)str->data, *end = at + str->length,
                        *plain = at;
    char quote = memchr(at, '\'', str->length) && !memchr(at, '"', str->length) ? '"' : '\'';
    if (tally_text_add(text, &quote, 1) < 0) return -1;
    while (at < end) {
        unsigned character;
        size_t escaped = to_escape(at, end, quote, &character);
        if (!escaped) {
            at++;
            continue;
        }
        if (tally_text_add(text, (const char *)plain, (size_t)(at - plain)) < 0 ||
            add_escape(text, character) < 0)
            return -1;
        plain = at += escaped;
    }
    if (tally_text_add(text, (const char *)plain, (size_t)(end - plain)) < 0) return -1;
    return tally_text_add(text, &quote, 1);
}

static tally_object *str_repr(tally_object *object) {
    tally_text text = {0};
    int failed = add_quoted(&text, (tally_str *)object);
    return tally_text_finish(&text, failed < 0);
}

void tally_register_str(void) {
    short_strs_start();
    tally_type *type = &tally_types[TALLY_TYPE_STR];
    type->hash = str_hash;
    type->equal = tally_str_equal;
    type->repr = str_repr;
    type->extra_size = str_extra_size;
}
