/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table_search.h: how a key is found in a table: the index, and the comparison of keys that runs no
 * foreign code. table.c has the invariants.
 */
#ifndef TALLY_TABLE_SEARCH_H
#define TALLY_TABLE_SEARCH_H

#include "objects/abstract.h"
#include "objects/table.h"

static inline uint32_t used_of(tally_table *table) { return tally_load_relaxed(&table->used); }
static inline uint32_t live_of(tally_table *table) { return tally_load_relaxed(&table->live); }
static inline uint64_t version_of(tally_table *table) {
    return tally_load_relaxed(&table->version);
}
static inline void set_u32(_Atomic uint32_t *at, uint32_t value) { tally_store_relaxed(at, value); }

enum { PLACE_EMPTY = -1, PLACE_DUMMY = -2 };

/* ---- the index ---------------------------------------------------------- */

static inline void *index_of(const tally_table *table) {
    return (void *)&table->entries[table->capacity];
}
static inline uint32_t places(const tally_table *table) { return UINT32_C(1) << table->bits; }
static inline int32_t place_get(const tally_table *table, uint32_t i) {
    /* acquire: pairs with the release of place_set: the entry is filled */
    if (table->bits <= 7) return tally_load_acquire(&((_Atomic int8_t *)index_of(table))[i]);
    if (table->bits <= 15) return tally_load_acquire(&((_Atomic int16_t *)index_of(table))[i]);
    return tally_load_acquire(&((_Atomic int32_t *)index_of(table))[i]);
}
static inline void place_set(tally_table *table, uint32_t i, int32_t entry) {
    /* release: pairs with the acquire of place_get */
    if (table->bits <= 7)
        tally_store_release(&((_Atomic int8_t *)index_of(table))[i], (int8_t)entry);
    else if (table->bits <= 15)
        tally_store_release(&((_Atomic int16_t *)index_of(table))[i], (int16_t)entry);
    else
        tally_store_release(&((_Atomic int32_t *)index_of(table))[i], entry);
}
/* Fibonacci hashing: spreads the many equal low bits of ints. */
static inline uint32_t first_place(const tally_table *table, int64_t hash) {
    return (uint32_t)(((uint64_t)hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - table->bits));
}
static inline uint32_t next_place(const tally_table *table, uint32_t i) {
    return (i + 1) & (places(table) - 1);
}

/* ---- keys --------------------------------------------------------------- */

enum found { MISSING, FOUND, UNSURE /* foreign code has to compare */ };

/* Bounds of the comparison of two keys in place. */
enum { KEY_DEPTH = 8, KEY_PARTS = 256 };

static inline bool is_plain_value(uint16_t type) {
    return type <= TALLY_TYPE_TUPLE && type != TALLY_TYPE_TYPE;
}

/* The objects are not the same, nor both tuples. */
static inline enum found same_part(tally_object *a, tally_object *b) {
    if (a->type == TALLY_TYPE_STR && b->type == TALLY_TYPE_STR)
        return tally_str_equal(a, b) ? FOUND : MISSING;
    if (tally_is_number(a) && tally_is_number(b)) return tally_number_equal(a, b) ? FOUND : MISSING;
    /* Built-in values are compared here, and an object without `equal` equals only itself. */
    bool foreign_a = !is_plain_value(a->type) && tally_type_entry(a)->equal;
    bool foreign_b = !is_plain_value(b->type) && tally_type_entry(b)->equal;
    return foreign_a || foreign_b ? UNSURE : MISSING;
}

/* Bounded by the depth and *parts, whatever the keys are. */
static inline enum found same_value(tally_object *a, tally_object *b, unsigned depth,
                                    unsigned *parts) {
    if (a == b) return FOUND;
    if (*parts == 0) return UNSURE;
    --*parts;
    if (a->type != TALLY_TYPE_TUPLE || b->type != TALLY_TYPE_TUPLE) return same_part(a, b);
    tally_tuple *x = (tally_tuple *)a, *y = (tally_tuple *)b;
    if (x->length != y->length) return MISSING;
    if (depth == KEY_DEPTH) return UNSURE;
    enum found found = FOUND;
    for (ptrdiff_t i = 0; found == FOUND && i < x->length; i++)
        found = same_value(x->items[i], y->items[i], depth + 1, parts);
    return found;
}
static __attribute__((noinline)) enum found same_other_key(tally_object *a, tally_object *b) {
    unsigned parts = KEY_PARTS;
    return same_value(a, b, 1, &parts);
}

static inline enum found same_key(tally_object *a, tally_object *b) {
    if (a == b) return FOUND;
    if (a->type != b->type) return same_other_key(a, b);
    if (a->type == TALLY_TYPE_STR) {
        tally_str *x = (tally_str *)a, *y = (tally_str *)b;
        return x->length == y->length && memcmp(x->data, y->data, x->length) == 0 ? FOUND : MISSING;
    }
    if (a->type == TALLY_TYPE_INT)
        return ((tally_int *)a)->value == ((tally_int *)b)->value ? FOUND : MISSING;
    return same_other_key(a, b);
}

/* The key can be hashed without foreign code. */
static inline bool is_plain_key(tally_object *key, unsigned depth, unsigned *parts) {
    if (!is_plain_value(key->type) || *parts == 0) return false;
    --*parts;
    if (key->type != TALLY_TYPE_TUPLE) return true;
    if (depth == KEY_DEPTH) return false;
    tally_tuple *tuple = (tally_tuple *)key;
    for (ptrdiff_t i = 0; i < tuple->length; i++)
        if (!is_plain_key(tuple->items[i], depth + 1, parts)) return false;
    return true;
}
static __attribute__((noinline, unused)) bool is_other_plain_key(tally_object *key) {
    unsigned parts = KEY_PARTS;
    return is_plain_key(key, 1, &parts);
}

static inline int64_t hash_of(tally_object *key) {
    return TALLY_LIKELY(key->type == TALLY_TYPE_STR) ? (int64_t)tally_str_hash((tally_str *)key)
                                                     : tally_hash_known(key);
}

/* Searches from *place on. FOUND, UNSURE: *entry is the entry, *place its place. */
static inline enum found search(tally_table *table, tally_object *key, int64_t hash,
                                uint32_t *place, int32_t *entry) {
    for (uint32_t i = *place;; i = next_place(table, i)) {
        int32_t e = place_get(table, i);
        if (e == PLACE_EMPTY) return MISSING;
        if (e == PLACE_DUMMY || table->entries[e].hash != hash) continue;
        /* acquire: pairs with the releases that publish the key and remove it */
        tally_object *other = tally_load_acquire(&table->entries[e].key);
        enum found found = other ? same_key(key, other) : MISSING;
        if (found == MISSING) continue;
        *place = i;
        *entry = e;
        return found;
    }
}

/* table.c. The caller has the table alone, or its lock; there is room for the entry. */
void tally_table_append(tally_table *table, tally_object *key, int64_t hash, tally_object *value);
/* An empty table with room for so many entries; NULL: no memory. */
tally_table *tally_table_for(uint32_t entries);

#endif
