/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* table_walk.c: visits the entries of a table in order: copies, steps, and the death of its holder.
 * table.c has the invariants. */
#include "table_search.h"

/* ---- copies and steps --------------------------------------------------- */

/* The first entry from `at` on that is not removed, or `used`. */
static uint32_t next_live(tally_table *table, uint32_t at) {
    uint32_t first = tally_load_relaxed(&table->first);
    if (at < first) at = first;
    for (; at < used_of(table) && !tally_load_relaxed(&table->entries[at].value); at++)
        TALLY_FAILPOINT(walk_skips);
    return at;
}

int tally_table_copy(tally_object *holder, tally_table_place *where, tally_table **copy) {
    *copy = NULL;
    int result = 0;
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    if (table && live_of(table) > 0) {
        *copy = tally_table_for(live_of(table));
        if (!*copy) result = -1;
        for (uint32_t at = 0; *copy && (at = next_live(table, at)) < used_of(table); at++) {
            tally_entry *entry = &table->entries[at];
            tally_table_append(*copy, tally_slot_locked_read(&entry->key), entry->hash,
                               tally_slot_locked_read(&entry->value));
        }
    }
    tally_unlock_object(holder, token);
    return result;
}

tally_entry *tally_table_next_entry(tally_table *copy, uint32_t *at) {
    if (!copy) return NULL;
    *at = next_live(copy, *at);
    return *at < used_of(copy) ? &copy->entries[(*at)++] : NULL;
}

static bool same_entry(tally_entry *a, tally_entry *b) {
    return tally_load_relaxed(&a->key) == tally_load_relaxed(&b->key) &&
           tally_load_relaxed(&a->value) == tally_load_relaxed(&b->value);
}

bool tally_table_is_copy(tally_object *holder, tally_table_place *where, tally_table *copy) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    bool same = (table ? live_of(table) : 0) == (copy ? live_of(copy) : 0);
    uint32_t at = 0, in_copy = 0;
    for (tally_entry *entry; same && (entry = tally_table_next_entry(copy, &in_copy)); at++) {
        at = next_live(table, at);
        same = same_entry(&table->entries[at], entry);
    }
    tally_unlock_object(holder, token);
    return same;
}

tally_object *tally_table_find_value(tally_table *copy, tally_object *key, int64_t hash,
                                     int *error) {
    *error = 0;
    if (!copy) return NULL;
    int32_t entry = -1;
    for (uint32_t place = first_place(copy, hash);; place = next_place(copy, place)) {
        enum found found = search(copy, key, hash, &place, &entry);
        if (found == MISSING) return NULL;
        int equal =
            found == FOUND ? 1 : tally_equal(tally_load_relaxed(&copy->entries[entry].key), key);
        if (equal < 0) *error = -1;
        if (equal) return equal < 0 ? NULL : tally_load_relaxed(&copy->entries[entry].value);
    }
}

int tally_table_step(tally_object *holder, tally_table_place *where, uint32_t *at, int64_t *hash,
                     tally_object **key, tally_object **value) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    if (table) *at = next_live(table, *at);
    bool more = table && *at < used_of(table);
    if (more) {
        tally_entry *entry = &table->entries[(*at)++];
        *hash = entry->hash;
        *key = tally_slot_locked_read(&entry->key);
        *value = tally_slot_locked_read(&entry->value);
    }
    tally_unlock_object(holder, token);
    return more;
}

/* ---- death and the collector's view ------------------------------------- */

/* From the last entry down, value before key; a child that is gone is NULL. */
static tally_object **current_child(tally_table *table) {
    for (; used_of(table); set_u32(&table->used, used_of(table) - 1)) {
        tally_entry *entry = &table->entries[used_of(table) - 1];
        if (tally_load_relaxed(&entry->value)) return (tally_object **)&entry->value;
        if (tally_load_relaxed(&entry->key)) return (tally_object **)&entry->key;
    }
    return NULL;
}
void tally_table_forget(tally_table *table) { set_u32(&table->used, 0); }
void tally_table_free(tally_table *table) {
    for (tally_object **child; (child = current_child(table)); *child = NULL) tally_decref(*child);
    tally_memory_free(TALLY_RAW, table);
}

/* No thread reads the table any more. It drops the keys that a removal or a clear has left; entries
 * with a value have moved to the next table, references and all. */
void tally_table_reclaim(tally_retired *node) {
    tally_table *table = (tally_table *)node;
    for (uint32_t i = 0; i < used_of(table); i++)
        if (!tally_load_relaxed(&table->entries[i].value))
            tally_xdecref(tally_load_relaxed(&table->entries[i].key));
    tally_memory_free(TALLY_RAW, table);
}

/* ---- types whose objects have a table ------------------------------------ */

static tally_table *table_in(tally_object *object) {
    return tally_load_relaxed(tally_table_place_in(object, tally_type_entry(object)));
}
static tally_object **child_in(tally_object *object) {
    tally_table *table = table_in(object);
    return table ? current_child(table) : NULL;
}
static void release_in(tally_object *object) {
    tally_table *table = table_in(object);
    if (table) tally_table_free(table);
}
static size_t extra_size_in(tally_object *object) {
    tally_table *table = table_in(object);
    return table ? table->array.bytes : 0;
}
void tally_type_has_table(tally_type *type, size_t offset) {
    type->shape = TALLY_SHAPE_TABLE;
    type->table_offset = (uint16_t)offset;
    type->next_child = child_in;
    type->current_child = child_in;
    type->release = release_in;
    type->extra_size = extra_size_in;
}
