/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dict.c: the type `dict`: a table (table.c) with an interface, and walks over it. */
#include "abstract.h"
#include "table.h"

static tally_table_place *check(tally_object *object) {
    if (TALLY_LIKELY(tally_has_type(object, TALLY_TYPE_DICT)))
        return &((tally_dict *)object)->table;
    return tally_expected_null("a dict", object);
}

tally_object *tally_dict_new(void) {
    tally_dict *dict = tally_object_alloc(TALLY_TYPE_DICT, sizeof *dict, TALLY_CONTAINERS);
    if (!dict) return NULL;
    tally_store_relaxed(&dict->table, NULL);
    return tally_container_publish(dict);
}

tally_object *tally_dict_get(tally_object *dict, tally_object *key) {
    tally_table_place *where = check(dict);
    int error;
    return where ? tally_table_get(dict, where, key, &error) : NULL;
}

tally_borrowed tally_dict_borrow(tally_object *dict, tally_object *key) {
    tally_table_place *where = check(dict);
    return where ? tally_table_borrow(dict, where, key) : (tally_borrowed){0};
}

int tally_dict_set(tally_object *dict, tally_object *key, tally_object *value) {
    tally_table_place *where = check(dict);
    return where ? tally_table_set(dict, where, key, value) : -1;
}

int tally_dict_delete(tally_object *dict, tally_object *key) {
    tally_table_place *where = check(dict);
    if (!where) return -1;
    int found = tally_table_delete(dict, where, key);
    if (found == 0) tally_error_set(TALLY_KEY_ERROR, "the dict has no such key");
    return found > 0 ? 0 : -1;
}

int tally_dict_contains(tally_object *dict, tally_object *key) {
    tally_table_place *where = check(dict);
    return where ? tally_table_contains(dict, where, key) : -1;
}

tally_object *tally_dict_set_default(tally_object *dict, tally_object *key, tally_object *value) {
    tally_table_place *where = check(dict);
    tally_object *result = NULL;
    return where && tally_table_put(dict, where, key, value, false, &result) == 0 ? result : NULL;
}

/* ---- walking ------------------------------------------------------------ */

/*
 * A position is the number of the next entry in its low 30 bits, and above it a stamp: 34 bits of
 * the table's version, never 0, which stands for an empty dict. No two versions of one table have
 * the same stamp (multiples of the golden ratio lie further apart); two tables have with a
 * probability of 2^-34.
 */
enum { AT_BITS = 30 };
static uint64_t stamp_of(tally_table *table) {
    if (!table) return 0;
    uint64_t stamp = tally_load_relaxed(&table->version) * UINT64_C(0x9e3779b97f4a7c15) >> AT_BITS;
    return stamp ? stamp : 1;
}

/* The place of a walk in a table, and what it gives; NULL where it is not wanted. */
typedef struct walk {
    uint64_t at, stamp;
    bool begun, want_key, want_value;
    tally_object *key, *value;
} walk;

static int walk_locked(tally_object *dict, tally_table_place *where, walk *w) {
    TALLY_DETAIL(reads_locked);
    int result = 0;
    unsigned token = tally_lock_object(dict);
    tally_table *table = tally_load_relaxed(where);
    uint64_t now = stamp_of(table);
    if (w->begun && w->stamp != now) {
        result = -1;
    } else if (table) {
        uint32_t used = tally_load_relaxed(&table->used);
        uint32_t first = tally_load_relaxed(&table->first);
        if (w->at < first) w->at = first;
        for (; w->at < used && !tally_load_relaxed(&table->entries[w->at].value); w->at++)
            TALLY_FAILPOINT(walk_skips);
        if (w->at < used) {
            if (w->want_key) w->key = tally_slot_locked_read(&table->entries[w->at].key);
            if (w->want_value) w->value = tally_slot_locked_read(&table->entries[w->at].value);
            w->stamp = now;
            result = 1;
        }
    }
    tally_unlock_object(dict, token);
    return result;
}

/*
 * -1: the lock is needed. The table gets its next version before its set of keys changes, and a
 * release publishes each part of the change (an entry within `used`, a removed value, another
 * `first`, another table). So if table and version are unchanged after all the acquires, the walk
 * read nothing of a later version: it saw the dict as it was at one moment.
 */
static int walk_unlocked(tally_table_place *where, walk *w) {
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = tally_load_acquire(where);
    uint64_t now = stamp_of(table);
    if (w->begun && w->stamp != now) return -1;
    if (!table) return 0;
    TALLY_FAILPOINT(walk_begun);
    /* acquire: pairs with the release of append_entry: the entries are filled */
    uint32_t used = tally_load_acquire(&table->used);
    uint64_t at = w->at;
    /* acquire: pairs with the release of move_first: the removals before it are counted */
    uint32_t first = tally_load_acquire(&table->first);
    if (at < first) at = first;
    /* acquire: pairs with the release of remove_entry */
    for (; at < used && !tally_load_acquire(&table->entries[at].value); at++)
        TALLY_FAILPOINT(walk_skips);
    bool more = at < used;
    TALLY_FAILPOINT(walk_found);
    if (more && w->want_key && !(w->key = tally_slot_try_read(&table->entries[at].key))) return -1;
    TALLY_FAILPOINT(walk_key);
    if (more && w->want_value && !(w->value = tally_slot_try_read(&table->entries[at].value)))
        goto failed;
    TALLY_FAILPOINT(walk_read);
    if (TALLY_LOCK_FREE_READS && (stamp_of(table) != now || tally_load_relaxed(where) != table))
        goto failed;
    TALLY_DETAIL(reads_unlocked);
    w->at = at;
    w->stamp = now;
    return more;
failed:;
    tally_object *key = w->key, *value = w->value;
    w->key = w->value = NULL;
    tally_xdecref(key); /* from here on the table may be gone */
    tally_xdecref(value);
    return -1;
}

int tally_dict_next(tally_object *dict, ptrdiff_t *position, tally_object **key,
                    tally_object **value) {
    if (TALLY_UNLIKELY(!position))
        return tally_fail(TALLY_VALUE_ERROR, "a walk over a dict needs a place for its position");
    tally_table_place *where = check(dict);
    if (!where) return -1;
    walk w = {.at = (uint64_t)*position & ((1 << AT_BITS) - 1),
              .stamp = (uint64_t)*position >> AT_BITS,
              .begun = *position != 0,
              .want_key = key,
              .want_value = value};
    int result = tally_may_read_unlocked(dict) ? walk_unlocked(where, &w) : -1;
    if (TALLY_UNLIKELY(result < 0)) result = walk_locked(dict, where, &w);
    if (result > 0) *position = (ptrdiff_t)(w.stamp << AT_BITS | (w.at + 1));
    if (key) *key = w.key;
    if (value) *value = w.value;
    if (result < 0)
        tally_error_set(TALLY_RUNTIME_ERROR, "the dict changed its size during iteration");
    return result;
}

int tally_dict_clear(tally_object *dict) {
    tally_table_place *where = check(dict);
    if (!where) return -1;
    tally_table_clear(dict, where);
    return 0;
}

ptrdiff_t tally_dict_length(tally_object *dict) {
    TALLY_PLAIN_CALL();
    tally_table_place *where = check(dict);
    if (!where) return -1;
    bool unlocked = tally_may_read_unlocked(dict);
    unsigned token = unlocked ? 0 : tally_lock_object(dict);
    /* acquire: pairs with publishing the table */
    tally_table *table = tally_load_acquire(where);
    ptrdiff_t length = table ? (ptrdiff_t)tally_load_relaxed(&table->live) : 0;
    if (!unlocked) tally_unlock_object(dict, token);
    return length;
}

/* ---- the type ----------------------------------------------------------- */

void tally_register_dict(void) {
    tally_type *type = &tally_types[TALLY_TYPE_DICT];
    tally_type_has_table(type, offsetof(tally_dict, table));
    type->equal = tally_dict_equal;
    type->repr = tally_dict_repr;
    type->unhashable = true;
}
