/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* dict.c: the dict type: a table (table.c) with an interface. */
#include "table.h"
#include "any.h"

static tally_table_place *check(tally_object *object) {
    if (TALLY_LIKELY(tally_has_type(object, TALLY_TYPE_DICT))) return &((tally_dict *)object)->table;
    tally_expected("a dict", object);
    return NULL;
}

tally_object *tally_dict_new(void) {
    tally_dict *dict = tally_object_alloc(TALLY_TYPE_DICT, sizeof *dict, TALLY_CONTAINERS);
    if (!dict) return NULL;
    atomic_store_explicit(&dict->table, NULL, memory_order_relaxed);
    return tally_container_publish(dict);
}

tally_object *tally_dict_get(tally_object *dict, tally_object *key) {
    tally_table_place *where = check(dict);
    int error;
    return where ? tally_table_get(dict, where, key, &error) : NULL;
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
    if (!where) return -1;
    int error;
    tally_object *value = tally_table_get(dict, where, key, &error);
    if (!value) return error;
    tally_decref(value);
    return 1;
}

tally_object *tally_dict_set_default(tally_object *dict, tally_object *key, tally_object *value) {
    tally_table_place *where = check(dict);
    tally_object *result = NULL;
    return where && tally_table_put(dict, where, key, value, false, &result) == 0 ? result : NULL;
}

/* A position is the next entry's number in its low half, and above it the count
 * of changes when the walk began, plus 1 so that it is never 0. */
int tally_dict_next(tally_object *dict, ptrdiff_t *position, tally_object **key, tally_object **value) {
    tally_table_place *where = check(dict);
    if (!where) return -1;
    uint64_t at = (uint64_t)*position & UINT32_MAX, stamp = (uint64_t)*position >> 32;
    int result = 0;
    tally_object *k = NULL, *v = NULL;
    unsigned token = tally_lock_object(dict);
    tally_table *table = atomic_load_explicit(where, memory_order_relaxed);
    uint64_t now = table ? (atomic_load_explicit(&table->changes, memory_order_relaxed) & 0x3fffffff) + 1 : 0;
    if (*position != 0 && stamp != now) {
        result = -1;
    } else if (table) {
        uint32_t used = atomic_load_explicit(&table->used, memory_order_relaxed);
        while (at < used && !atomic_load_explicit(&table->entries[at].value, memory_order_relaxed)) at++;
        if (at < used) {
            if (key) k = tally_slot_locked_read(&table->entries[at].key);
            if (value) v = tally_slot_locked_read(&table->entries[at].value);
            *position = (ptrdiff_t)(now << 32 | (at + 1));
            result = 1;
        }
    }
    tally_unlock_object(dict, token);
    if (key) *key = k;
    if (value) *value = v;
    if (result < 0) tally_error_set(TALLY_RUNTIME_ERROR, "the dict changed its size during iteration");
    return result;
}

int tally_dict_clear(tally_object *dict) {
    tally_table_place *where = check(dict);
    if (!where) return -1;
    tally_table_clear(dict, where);
    return 0;
}

ptrdiff_t tally_dict_length(tally_object *dict) {
    tally_table_place *where = check(dict);
    if (!where) return -1;
    bool unlocked = tally_may_read_unlocked(dict);
    unsigned token = unlocked ? 0 : tally_lock_object(dict);
    /* acquire: pairs with publishing the table */
    tally_table *table = atomic_load_explicit(where, memory_order_acquire);
    ptrdiff_t length = table ? (ptrdiff_t)atomic_load_explicit(&table->live, memory_order_relaxed) : 0;
    if (!unlocked) tally_unlock_object(dict, token);
    return length;
}

/* ---- the type ----------------------------------------------------------- */

static tally_table *table_of(tally_object *self) { return atomic_load_explicit(&((tally_dict *)self)->table, memory_order_relaxed); }

static void dict_traverse(tally_object *self, tally_visit visit, void *context) { if (table_of(self)) tally_table_traverse(table_of(self), visit, context); }
static tally_object **dict_child(tally_object *self) { return table_of(self) ? tally_table_current_child(table_of(self)) : NULL; }
static void dict_release(tally_object *self) { if (table_of(self)) tally_table_free(table_of(self)); }
static size_t dict_extra(tally_object *self) { return table_of(self) ? tally_table_bytes(table_of(self)) : 0; }

void tally_register_dict(void) {
    tally_type *type = &tally_types[TALLY_TYPE_DICT];
    type->shape = TALLY_SHAPE_TABLE;
    type->table_offset = offsetof(tally_dict, table);
    type->traverse = dict_traverse;
    type->next_child = dict_child;
    type->current_child = dict_child;
    type->release = dict_release;
    type->extra_size = dict_extra;
    type->equal = tally_dict_equal;
    type->repr = tally_dict_repr;
    type->unhashable = true;
}
