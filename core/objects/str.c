/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * str.c: the type `str`, UTF-8 with its length in bytes, and the interned strs.
 *
 * Invariants:
 *  - The empty str and the 256 strs of one Latin-1 character are always the one
 *    static, immortal object of their contents, which is interned.
 *  - At most one living str of given contents is interned, a copy made for this. The table of
 *    interned strs has no reference to it; it goes with its last reference.
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

size_t tally_str_extra_size(tally_object *object) {
    return (size_t)((tally_str *)object)->length + 1;
}

/* ---- construction and access -------------------------------------------- */

static void start_short(int index, const char *data, uint32_t length) {
    short_str *str = &short_strs[index];
    str->base.refcount = (tally_refcounts)TALLY_REFCOUNT_IMMORTAL;
    str->base.type = TALLY_TYPE_STR;
    tally_store_relaxed(&str->base.flags, 0);
    str->length = length;
    memcpy(str->data, data, length);
    str->data[length] = 0;
    tally_store_relaxed(&str->hash, hash_bytes(data, length));
}

void tally_short_strs_start(void) {
    for (int c = 0; c < LATIN1_CHARACTERS; c++) {
        char one = (char)c, two[2] = {(char)(0xc0 | c >> 6), (char)(0x80 | (c & 0x3f))};
        if (c < 0x80)
            start_short(c, &one, 1);
        else
            start_short(c, two, 2);
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
    TALLY_PLAIN_CALL();
    if (TALLY_UNLIKELY(!data) && length) {
        tally_error_set(TALLY_VALUE_ERROR, "a str of %td bytes of NULL", length);
        return NULL;
    }
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
    tally_str *str =
        tally_object_alloc(TALLY_TYPE_STR, sizeof *str + (size_t)length + 1, TALLY_PLAIN);
    if (!str) return NULL;
    str->length = (uint32_t)length;
    tally_store_relaxed(&str->hash, 0);
    memcpy(str->data, data, (size_t)length);
    str->data[length] = 0;
    return tally_object_publish(str);
}

const char *tally_str_data(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (tally_has_type(object, TALLY_TYPE_STR)) return ((tally_str *)object)->data;
    tally_expected("a str", object);
    return NULL;
}

ptrdiff_t tally_str_length(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_STR)) return tally_expected("a str", object);
    return ((tally_str *)object)->length;
}

/* ---- interned strs ------------------------------------------------------ */

/*
 * The table has the addresses of the interned strs, by hash: open addressing, a power of two of
 * places, at most half of them filled. Look-up against death, as tests/models/intern.pml has it:
 *  - The table is changed under the mutex. A look-up takes no lock: it finds a str of the same
 *    contents and takes a reference by a try-incref, which fails on the dead alone, since the
 *    str was exposed before it was put there.
 *  - The thread in which a str dies takes it out of the table, by its address, before the str
 * begins to wait for a grace period. So what a look-up has found can be read until the next
 * safepoint, and is no other object.
 *  - Between its death and that, the dead str is still there. Who wants the contents then puts a
 * new str in its place; so the dead one may find that it is not there any more. With a GIL a str is
 * out of the table before anybody else runs.
 *
 * How death knows an interned str, at no cost for others: without a GIL it bears the flag
 * HANDED_OUT, with which all that dies goes the slow way anyway. With a GIL it is in a block of its
 * own, apart from the pools, and such blocks are freed by a slow way, too.
 */
typedef struct interned_table {
    tally_array array;
    size_t capacity;
    _Atomic(tally_str *) places[]; /* NULL: never filled */
} interned_table;

static struct {
    pthread_mutex_t mutex;           /* for all changes */
    _Atomic(interned_table *) table; /* NULL: none yet */
    size_t filled, living;           /* filled: also by REMOVED */
} interned = {.mutex = PTHREAD_MUTEX_INITIALIZER};

#define REMOVED ((tally_str *)1)
enum { FEWEST_PLACES = 256 };

typedef _Atomic(tally_str *) interned_place;

/* release: pairs with the acquire of a look-up without the mutex */
static void place_store(interned_place *place, tally_str *str) { tally_store_release(place, str); }
static tally_str *place_load(interned_place *place) { return tally_load_acquire(place); }

/* The str of these contents, dead or alive; NULL: none. *place: where it is; else where it can be
 * put. */
static tally_str *find(interned_table *table, tally_str *str, interned_place **place) {
    *place = NULL;
    for (size_t at = tally_str_hash(str);; at++) {
        interned_place *here = &table->places[at & (table->capacity - 1)];
        tally_str *found = place_load(here);
        if (!*place && (!found || found == REMOVED)) *place = here;
        if (!found) return NULL;
        if (found == REMOVED || !tally_str_equal(&found->base, &str->base)) continue;
        *place = here;
        return found;
    }
}

/* With a new reference; NULL: none, or it is dead. */
static tally_str *find_living(interned_table *table, tally_str *str) {
    interned_place *place;
    tally_str *found = find(table, str, &place);
    TALLY_FAILPOINT(intern_found);
    /* With a GIL what is in the table lives. */
    return found && tally_refcount_try_incref(&found->base.refcount) ? found : NULL;
}

/* Mutex held: the strs move to a table with room for one more. *old is to be retired once the mutex
 * is let go. -1: no memory. */
static int rebuild(interned_table **old) {
    size_t capacity = FEWEST_PLACES;
    while (capacity < 4 * (interned.living + 1)) capacity *= 2;
    size_t bytes = sizeof(interned_table) + capacity * sizeof(interned_place);
    interned_table *table = tally_memory_alloc(TALLY_RAW, bytes);
    if (!table) return -1;
    table->array.bytes = bytes;
    table->capacity = capacity;
    for (size_t i = 0; i < capacity; i++) tally_store_relaxed(&table->places[i], NULL);
    *old = tally_load_relaxed(&interned.table);
    for (size_t i = 0; *old && i < (*old)->capacity; i++) {
        tally_str *str = place_load(&(*old)->places[i]);
        if (!str || str == REMOVED) continue;
        size_t at = tally_str_hash(str);
        while (place_load(&table->places[at & (capacity - 1)])) at++;
        place_store(&table->places[at & (capacity - 1)], str);
    }
    interned.filled = interned.living;
    /* release: pairs with the acquire of a look-up without the mutex */
    tally_store_release(&interned.table, table);
    return 0;
}

static void retire(interned_table *table) {
    if (table) tally_retire(&table->array.retired, TALLY_RETIRED_ARRAY, table->array.bytes);
}

/* A copy that nobody knows; NULL: no memory. */
static tally_str *interned_copy(tally_str *str) {
    size_t size = sizeof *str + str->length + 1;
    tally_str *copy = TALLY_LOCK_FREE_READS ? tally_memory_alloc(TALLY_PLAIN, size)
                                            : tally_memory_alloc_apart(TALLY_PLAIN, size);
    if (!copy) return NULL;
    copy->base.type = TALLY_TYPE_STR;
    tally_store_relaxed(&copy->base.lock, 0);
    tally_store_relaxed(&copy->base.flags, TALLY_LOCK_FREE_READS ? TALLY_FLAG_BORROWABLE : 0);
    copy->length = str->length;
    tally_store_relaxed(&copy->hash, tally_str_hash(str));
    memcpy(copy->data, str->data, (size_t)str->length + 1);
    return copy;
}

/* Mutex held: publishes the copy in the table. -1: no memory for it. */
static int add(tally_str *copy, interned_table **old) {
    interned_table *table = tally_load_relaxed(&interned.table);
    if (!table || 2 * (interned.filled + 1) > table->capacity) {
        if (rebuild(old) < 0) return -1;
        table = tally_load_relaxed(&interned.table);
    }
    interned_place *place;
    bool dead_there = find(table, copy, &place) != NULL;
    if (!dead_there) interned.living++;
    if (!place_load(place)) interned.filled++;
    tally_object_publish(copy);
    tally_refcount_expose(&copy->base.refcount);
    place_store(place, copy);
    return 0;
}

/* The str with a new reference, made if there is none; NULL: no memory. */
static tally_str *find_or_add(tally_str *str) {
    tally_str *copy = interned_copy(str), *found = NULL;
    interned_table *old = NULL;
    if (!copy) return NULL;
    TALLY_FAILPOINT(intern_missing);
    pthread_mutex_lock(&interned.mutex);
    interned_table *table = tally_load_relaxed(&interned.table);
    if (table) found = find_living(table, str);
    bool added = !found && add(copy, &old) == 0;
    pthread_mutex_unlock(&interned.mutex);
    retire(old);
    if (added) return copy;
    tally_memory_free(TALLY_PLAIN, copy);
    return found;
}

tally_object *tally_str_intern(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_STR)) {
        tally_expected("a str", object);
        return NULL;
    }
    /* The static ones are in no table. */
    if ((size_t)((char *)object - (char *)short_strs) < sizeof short_strs) return object;
    /* acquire: pairs with the release of rebuild */
    interned_table *table = tally_load_acquire(&interned.table);
    tally_str *found = table ? find_living(table, (tally_str *)object) : NULL;
    if (TALLY_UNLIKELY(!found)) found = find_or_add((tally_str *)object);
    if (TALLY_UNLIKELY(!found)) {
        tally_no_memory();
        return NULL;
    }
    return &found->base;
}

/* The place of this very str; NULL: it is in none. */
static interned_place *place_of(interned_table *table, tally_str *str) {
    if (!table) return NULL;
    for (size_t at = tally_str_hash(str);; at++) {
        interned_place *here = &table->places[at & (table->capacity - 1)];
        if (!place_load(here)) return NULL;
        if (place_load(here) == str) return here;
    }
}

/* Mutex held. If no str lies behind the place, it is as if it had never been filled. */
static void empty_place(interned_table *table, interned_place *place) {
    size_t next = (size_t)(place - table->places) + 1;
    bool is_last = !place_load(&table->places[next & (table->capacity - 1)]);
    place_store(place, is_last ? NULL : REMOVED);
    if (is_last) interned.filled--;
    interned.living--;
}

void tally_interned_forget(tally_object *object) {
    if (object->type != TALLY_TYPE_STR) return;
    tally_str *str = (tally_str *)object;
    interned_table *old = NULL;
    /* Most that come here are not interned: these take no lock. An interned one has a hash, and was
     * put in the table before it died, so the table seen here has it, or has another in its place.
     * acquire: pairs with the release of rebuild */
    if (tally_load_relaxed(&str->hash) == 0 || !place_of(tally_load_acquire(&interned.table), str))
        return;
    TALLY_FAILPOINT(intern_dies);
    pthread_mutex_lock(&interned.mutex);
    interned_table *table = tally_load_relaxed(&interned.table);
    interned_place *place = place_of(table, str);
    if (place) {
        empty_place(table, place);
        /* Without memory for a smaller table the large one stays. */
        if (table->capacity > FEWEST_PLACES && interned.living < table->capacity / 16)
            rebuild(&old);
    }
    pthread_mutex_unlock(&interned.mutex);
    retire(old);
}

/* One thread is left, and counts what is alive. */
void tally_interned_keep(void) {
    interned_table *table = tally_load_relaxed(&interned.table);
    for (size_t i = 0; table && i < table->capacity; i++) {
        tally_str *str = place_load(&table->places[i]);
        if (str && str != REMOVED) tally_make_immortal(&str->base);
    }
}

/* The table and the strs go with all memory. */
void tally_interned_end(void) {
    tally_store_relaxed(&interned.table, NULL);
    interned.filled = interned.living = 0;
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

/* Bytes at data that need an escape, and what they stand for; 0: none. */
static size_t to_escape(const unsigned char *data, const unsigned char *end, char quote,
                        unsigned *character) {
    *character = data[0];
    if (data[0] < 0x20 || data[0] == 0x7f || data[0] == '\\' || data[0] == (unsigned char)quote)
        return 1;
    if (data[0] != 0xc2 || end - data < 2 || (data[1] & 0xc0) != 0x80) return 0;
    *character = data[1]; /* U+0080 to U+00BF: Python shows the controls, the hard space and the
                             soft hyphen by number */
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

tally_object *tally_str_repr(tally_object *object) {
    tally_text text = {0};
    int failed = add_quoted(&text, (tally_str *)object);
    return tally_text_finish(&text, failed < 0);
}
