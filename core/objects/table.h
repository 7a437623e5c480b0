/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table.h: what dict.c needs of tables beyond core/object.h; table.c explains them. */
#ifndef TALLY_TABLE_H
#define TALLY_TABLE_H

#include "backend.h"

typedef struct tally_entry {
    int64_t hash;
    tally_slot key;   /* NULL: removed */
    tally_slot value; /* NULL: removed */
} tally_entry;

struct tally_table {
    tally_array array;
    uint32_t capacity;           /* entries there is room for; constant */
    uint32_t bits;               /* log2 of the index size; constant */
    _Atomic uint32_t used;       /* entries ever filled */
    _Atomic uint32_t live;       /* of these, not removed */
    _Atomic uint32_t changes;    /* of the number of keys, carried over from array to array */
    uint64_t serial;             /* no other table's: tells a table from one that had its address before */
    tally_entry entries[];       /* behind them the index: 1, 2 or 4 bytes a place */
};

typedef _Atomic(tally_table *) tally_table_place;

/* As tally_table_set; where replace is false and the key is there, its value is
 * left and given in *existing, a new reference. */
int tally_table_put(tally_object *holder, tally_table_place *place, tally_object *key, tally_object *value, bool replace, tally_object **existing);
/* 1, 0, or -1 and an error; takes no reference to the value. */
int tally_table_contains(tally_object *holder, tally_table_place *place, tally_object *key);
void tally_table_clear(tally_object *holder, tally_table_place *place);

#endif
