/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * str.c: the type `str`, UTF-8 with its length in bytes, and the interned strs.
 *
 * Invariants:
 *  - The empty str and the 256 strs of one Latin-1 character are always the one
 *    static, immortal object of their contents, which is interned.
 *  - At most one str of given contents is interned. Interned strs
 *    are born immortal, outside of the object heaps: no thread can have seen
 *    them mortal.
 *  - A str's cached hash, once not 0, is the hash of its contents.
 */
#include "any.h"

#define LATIN1_CHARACTERS 256
#define EMPTY LATIN1_CHARACTERS

/* A tally_str with room for two bytes and a NUL; both begin alike. */
typedef struct short_str { tally_object base; uint32_t length; _Atomic uint32_t hash; char data[4]; } short_str;
_Static_assert(offsetof(short_str, data) == offsetof(tally_str, data), "a short str is a str");

static short_str short_strs[LATIN1_CHARACTERS + 1];

/* Open addressing, a power of two of places, at most half of them in use. */
static struct interned {
    pthread_mutex_t mutex;
    tally_str **places;
    size_t capacity, used;
} interned = { .mutex = PTHREAD_MUTEX_INITIALIZER };

/* ---- contents ----------------------------------------------------------- */

__extension__ typedef unsigned __int128 wide;

/* All bits of the product of two words reach the result. */
static inline uint64_t mix(uint64_t a, uint64_t b) {
    wide product = (wide)a * b;
    return (uint64_t)product ^ (uint64_t)(product >> 64);
}

/* Up to 8 bytes as a word. */
static inline uint64_t read_word(const char *data, size_t length) {
    uint64_t word = 0;
    memcpy(&word, data, length);
    return word;
}

/* Folded multiplication, a word at a time, as in wyhash. */
static uint32_t hash_bytes(const char *data, size_t length) {
    const uint64_t k0 = UINT64_C(0x9e3779b97f4a7c15), k1 = UINT64_C(0xd6e8feb86659fd93);
    uint64_t hash = length ^ k0;
    for (; length > 8; data += 8, length -= 8) hash = mix(hash ^ read_word(data, 8), k1);
    hash = mix(hash ^ read_word(data, length), k1);
    uint32_t result = (uint32_t)(hash ^ hash >> 32);
    return result ? result : 1; /* 0 means: not computed */
}

uint32_t tally_str_hash(tally_str *str) {
    /* relaxed: whoever computes it stores the same number */
    uint32_t hash = atomic_load_explicit(&str->hash, memory_order_relaxed);
    if (hash) return hash;
    hash = hash_bytes(str->data, str->length);
    atomic_store_explicit(&str->hash, hash, memory_order_relaxed);
    return hash;
}

int tally_str_equal(tally_object *first, tally_object *second) {
    if (first == second) return 1;
    if (!tally_has_type(second, TALLY_TYPE_STR)) return 0;
    tally_str *a = (tally_str *)first, *b = (tally_str *)second;
    if (a->length != b->length) return 0;
    uint32_t hash_a = atomic_load_explicit(&a->hash, memory_order_relaxed);
    uint32_t hash_b = atomic_load_explicit(&b->hash, memory_order_relaxed);
    if (hash_a && hash_b && hash_a != hash_b) return 0;
    return memcmp(a->data, b->data, a->length) == 0;
}

size_t tally_str_extra_size(tally_object *object) { return (size_t)((tally_str *)object)->length + 1; }

/* ---- construction and access -------------------------------------------- */

static void start_short(int index, const char *data, uint32_t length) {
    short_str *str = &short_strs[index];
    str->base.counts = (tally_counts)TALLY_COUNTS_IMMORTAL;
    str->base.type = TALLY_TYPE_STR;
    atomic_store_explicit(&str->base.flags, 0, memory_order_relaxed);
    str->length = length;
    memcpy(str->data, data, length);
    str->data[length] = 0;
    atomic_store_explicit(&str->hash, hash_bytes(data, length), memory_order_relaxed);
}

void tally_short_strs_start(void) {
    for (int c = 0; c < LATIN1_CHARACTERS; c++) {
        char one = (char)c, two[2] = { (char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f)) };
        if (c < 0x80) start_short(c, &one, 1);
        else start_short(c, two, 2);
    }
    start_short(EMPTY, "", 0);
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
    if (TALLY_UNLIKELY(!data) && length) { tally_error_set(TALLY_VALUE_ERROR, "a str of %td bytes of NULL", length); return NULL; }
    if (length == -1) {
        size_t measured = strlen(data);
        length = measured > INT32_MAX ? PTRDIFF_MAX : (ptrdiff_t)measured;
    }
    if (length < 0 || length > INT32_MAX) {
        tally_error_set(TALLY_VALUE_ERROR, "a str has 0 to %d bytes, not %td", INT32_MAX, length);
        return NULL;
    }
    if (length <= 2) {
        int index = short_index(data, length);
        if (index >= 0) return &short_strs[index].base;
    }
    tally_str *str = tally_object_alloc(TALLY_TYPE_STR, sizeof *str + (size_t)length + 1, TALLY_PLAIN);
    if (!str) return NULL;
    str->length = (uint32_t)length;
    atomic_store_explicit(&str->hash, 0, memory_order_relaxed);
    memcpy(str->data, data, (size_t)length);
    str->data[length] = 0;
    return tally_object_publish(str);
}

const char *tally_str_data(tally_object *object) {
    if (tally_has_type(object, TALLY_TYPE_STR)) return ((tally_str *)object)->data;
    tally_expected("a str", object);
    return NULL;
}

ptrdiff_t tally_str_length(tally_object *object) {
    if (!tally_has_type(object, TALLY_TYPE_STR)) return tally_expected("a str", object);
    return ((tally_str *)object)->length;
}

/* ---- interned strs ------------------------------------------------------ */

/* Where the str of these contents is, or would be. */
static tally_str **interned_place(tally_str **places, size_t capacity, tally_str *str) {
    size_t at = tally_str_hash(str) & (capacity - 1);
    while (places[at] && !tally_str_equal(&places[at]->base, &str->base)) at = (at + 1) & (capacity - 1);
    return &places[at];
}

static int interned_reserve(void) {
    if (2 * (interned.used + 1) <= interned.capacity) return 0;
    size_t capacity = interned.capacity ? 2 * interned.capacity : 256;
    tally_str **places = calloc(capacity, sizeof *places);
    if (!places) return -1;
    for (size_t i = 0; i < interned.capacity; i++)
        if (interned.places[i]) *interned_place(places, capacity, interned.places[i]) = interned.places[i];
    free(interned.places);
    interned.places = places;
    interned.capacity = capacity;
    return 0;
}

/*
 * A copy in memory of its own. Other threads may count references to str at any
 * moment, so it can not be made immortal in place; and a block from the heap may
 * still be seen by a late reader of the object that was there before.
 */
static tally_str *immortal_copy(tally_str *str) {
    tally_str *copy = malloc(sizeof *copy + str->length + 1);
    if (!copy) return NULL;
    copy->base.counts = (tally_counts)TALLY_COUNTS_IMMORTAL;
    copy->base.type = TALLY_TYPE_STR;
    atomic_store_explicit(&copy->base.lock, 0, memory_order_relaxed);
    atomic_store_explicit(&copy->base.flags, 0, memory_order_relaxed);
    copy->length = str->length;
    atomic_store_explicit(&copy->hash, tally_str_hash(str), memory_order_relaxed);
    memcpy(copy->data, str->data, (size_t)str->length + 1);
    return copy;
}

/* Under the mutex; NULL: no memory. */
static tally_str *interned_find_or_add(tally_str *str) {
    if (interned.capacity) {
        tally_str *found = *interned_place(interned.places, interned.capacity, str);
        if (found) return found;
    }
    if (interned_reserve() < 0) return NULL;
    tally_str **place = interned_place(interned.places, interned.capacity, str);
    if (!*place && (*place = immortal_copy(str))) interned.used++;
    return *place;
}

tally_object *tally_str_intern(tally_object *object) {
    if (!tally_has_type(object, TALLY_TYPE_STR)) {
        tally_expected("a str", object);
        return NULL;
    }
    /* The static ones are in no table. */
    if ((size_t)((char *)object - (char *)short_strs) < sizeof short_strs) return object;
    pthread_mutex_lock(&interned.mutex);
    tally_str *found = interned_find_or_add((tally_str *)object);
    pthread_mutex_unlock(&interned.mutex);
    if (!found) {
        tally_no_memory();
        return NULL;
    }
    return &found->base;
}

void tally_interned_end(void) {
    pthread_mutex_lock(&interned.mutex);
    for (size_t i = 0; i < interned.capacity; i++) free(interned.places[i]);
    free(interned.places);
    interned.places = NULL;
    interned.capacity = interned.used = 0;
    pthread_mutex_unlock(&interned.mutex);
}

/* ---- repr --------------------------------------------------------------- */

static int add_escape(tally_text *text, unsigned character) {
    static const char hex[] = "0123456789abcdef";
    char escape[4] = { '\\', 'x', hex[character >> 4], hex[character & 15] };
    switch (character) {
    case '\n': return tally_text_add(text, "\\n", 2);
    case '\r': return tally_text_add(text, "\\r", 2);
    case '\t': return tally_text_add(text, "\\t", 2);
    case '\\': return tally_text_add(text, "\\\\", 2);
    case '\'': return tally_text_add(text, "\\'", 2);
    default: return tally_text_add(text, escape, 4);
    }
}

/* Bytes at data that need an escape, and what they stand for; 0: none. */
static size_t to_escape(const unsigned char *data, const unsigned char *end, char quote, unsigned *character) {
    *character = data[0];
    if (data[0] < 0x20 || data[0] == 0x7f || data[0] == '\\' || data[0] == (unsigned char)quote) return 1;
    if (data[0] != 0xc2 || end - data < 2 || (data[1] & 0xc0) != 0x80) return 0;
    *character = data[1]; /* U+0080 to U+00BF: Python shows the controls, the hard space and the soft hyphen by number */
    return data[1] <= 0xa0 || data[1] == 0xad ? 2 : 0;
}

static int add_quoted(tally_text *text, tally_str *str) {
    const unsigned char *at = (const unsigned char *)str->data, *end = at + str->length, *plain = at;
    char quote = memchr(at, '\'', str->length) && !memchr(at, '"', str->length) ? '"' : '\'';
    if (tally_text_add(text, &quote, 1) < 0) return -1;
    while (at < end) {
        unsigned character;
        size_t escaped = to_escape(at, end, quote, &character);
        if (!escaped) {
            at++;
            continue;
        }
        if (tally_text_add(text, (const char *)plain, (size_t)(at - plain)) < 0 || add_escape(text, character) < 0) return -1;
        plain = at += escaped;
    }
    if (tally_text_add(text, (const char *)plain, (size_t)(end - plain)) < 0) return -1;
    return tally_text_add(text, &quote, 1);
}

tally_object *tally_str_repr(tally_object *object) {
    tally_text text = { 0 };
    int failed = add_quoted(&text, (tally_str *)object);
    return tally_text_finish(&text, failed < 0);
}
