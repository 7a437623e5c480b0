/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.h: hash tables from keys to values, in the order of insertion. table.c explains them. */
#ifndef TALLY_TABLE_H
#define TALLY_TABLE_H

#include "objects/object.h"

typedef struct tally_entry {
    int64_t hash;
    tally_slot key;   /* NULL: removed */
    tally_slot value; /* NULL: removed */
} tally_entry;

struct tally_table {
    tally_array array;
    uint32_t capacity;     /* room for entries; constant */
    uint32_t bits;         /* log2 of the index size; constant */
    _Atomic uint32_t used; /* entries ever filled */
    _Atomic uint32_t live; /* those not removed */
    /* Of the set of keys; no other set of keys, of any table, has the same. */
    _Atomic uint64_t version;
    /* All entries before it are removed. */
    _Atomic uint32_t first;
    tally_entry entries[]; /* the index follows: 1, 2 or 4 bytes a place */
};
/* Besides its first version, a table has two per entry, which is filled and removed once. */
#define TALLY_TABLE_VERSIONS(capacity) (2 * (uint64_t)(capacity) + 1)

typedef _Atomic(tally_table *) tally_table_place;

/* The lock of `holder` guards the table at *place. A lookup in a table whose keys are strs runs no
 * foreign code. get: NULL: missing, or *error is -1. */
tally_object *tally_table_get(tally_object *holder, tally_table_place *place, tally_object *key,
                              int *error);
int tally_table_set(tally_object *holder, tally_table_place *place, tally_object *key,
                    tally_object *value);
/* 1: deleted; 0: missing; -1 and an error. */
int tally_table_delete(tally_object *holder, tally_table_place *place, tally_object *key);
/* The int value of a str key in a table that never changes; -1: missing. */
ptrdiff_t tally_table_find_index(tally_table *table, tally_object *key);
tally_borrowed tally_table_borrow(tally_object *holder, tally_table_place *place,
                                  tally_object *key);
void tally_table_forget(tally_table *table); /* its children have been dropped */
void tally_table_free(tally_table *table);   /* no thread reads it any more */
/* The objects of this type hold their children in a table whose place is at this offset. */
void tally_type_has_table(tally_type *type, size_t offset);
static inline tally_table_place *tally_table_place_in(const tally_object *object,
                                                      const tally_type *type) {
    return (tally_table_place *)((char *)object + type->table_offset);
}
/* As tally_table_set; but if replace is false and the key is there, its value stays, and *existing
 * gets a new reference to it. */
int tally_table_put(tally_object *holder, tally_table_place *place, tally_object *key,
                    tally_object *value, bool replace, tally_object **existing);
/* 1, 0, or -1 and an error. No reference to the value is taken. */
int tally_table_contains(tally_object *holder, tally_table_place *place, tally_object *key);
void tally_table_clear(tally_object *holder, tally_table_place *place);
/* As tally_table_get, with the hash of the key. */
tally_object *tally_table_get_hashed(tally_object *holder, tally_table_place *place,
                                     tally_object *key, int64_t hash, int *error);

/* A copy of the table as it is at one moment, with references of its own; no other thread knows it.
 * NULL and 0: the table is empty; -1 without an error set: no memory. */
int tally_table_copy(tally_object *holder, tally_table_place *place, tally_table **copy);
/* The table has the keys and values of the copy, at this moment. */
bool tally_table_is_copy(tally_object *holder, tally_table_place *place, tally_table *copy);
static inline uint32_t tally_table_length(tally_table *table) {
    return table ? tally_load_relaxed(&table->live) : 0;
}
/* The next entry of a copy from *at on; NULL: no more. */
tally_entry *tally_table_next_entry(tally_table *copy, uint32_t *at);
/* The value of the key in a copy, without a new reference; NULL: missing, or *error is -1. */
tally_object *tally_table_find_value(tally_table *copy, tally_object *key, int64_t hash,
                                     int *error);
/* The next entry from *at on in the table as it is now, whatever has changed since the last step: 1
 * with new references, or 0. */
int tally_table_step(tally_object *holder, tally_table_place *place, uint32_t *at, int64_t *hash,
                     tally_object **key, tally_object **value);

#endif
