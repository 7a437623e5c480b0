/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * compare.c: equality of containers, and order.
 *
 * Two lists or dicts that other threads may change are copied first, and the copies are compared.
 * After the second was copied the first is rechecked: if it is still as its copy, both were so at
 * that moment. Without memory for copies, and where foreign code alone may change a container, it
 * is read item by item, each with a reference. So a change meanwhile is no error. No lock is held
 * while items are compared.
 */
#include "objects/snapshot.h"

enum { COPY_TRIES = 100 };

/* Lists, or tuples. */
static void sequences_begin(sequence pair[2], tally_object *a, tally_object *b) {
    pair[0] = sequence_of(a);
    pair[1] = sequence_of(b);
    if (a->type == TALLY_TYPE_TUPLE || (!is_shared(a) && !is_shared(b))) return;
    for (unsigned tries = COPY_TRIES;;) {
        if (!sequence_copy(&pair[0])) break;
        TALLY_FAILPOINT(first_copied);
        if (!sequence_copy(&pair[1])) break;
        if (--tries == 0 || tally_list_is_copy(a, pair[0].copy, pair[0].length)) return;
        sequence_end(&pair[0]);
        sequence_end(&pair[1]);
    }
    sequence_end(&pair[0]);
}
static void sequences_end(sequence pair[2]) {
    sequence_end(&pair[0]);
    sequence_end(&pair[1]);
}

/* The first items of two sequences that differ, with new references: 1. 0: no items differ, and
 * *order says which sequence is longer. -1 and an error. */
static int first_difference(sequence pair[2], tally_object *items[2], int *order) {
    for (ptrdiff_t i = 0;; i++) {
        items[0] = sequence_item(&pair[0], i);
        items[1] = sequence_item(&pair[1], i);
        *order = (items[0] != NULL) - (items[1] != NULL);
        int equal = items[0] && items[1] ? tally_item_equal(items[0], items[1]) : 2;
        if (equal == 0) return 1;
        tally_xdecref(items[0]);
        tally_xdecref(items[1]);
        if (equal != 1) return equal < 0 ? -1 : 0;
    }
}

static void drop_pair(tally_object *pair[2]) {
    tally_decref(pair[0]);
    tally_decref(pair[1]);
}

/* Lengths read one after the other: one list changes at a time, so they differed at one moment. */
int tally_list_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_LIST) || tally_list_length(a) != tally_list_length(b))
        return 0;
    sequence pair[2];
    tally_object *items[2];
    sequences_begin(pair, a, b);
    int order, different = first_difference(pair, items, &order);
    if (different == 1) drop_pair(items);
    sequences_end(pair);
    if (different < 0) return -1;
    return different == 0 && order == 0;
}

/* The dict has the key with an equal value. */
static int dict_has_equal(tally_object *dict, tally_object *key, int64_t hash,
                          tally_object *value) {
    int error;
    tally_object *other = tally_table_get_hashed(dict, table_of(dict), key, hash, &error);
    if (!other) return error;
    int equal = tally_item_equal(value, other);
    tally_decref(other);
    return equal;
}

/* Entry by entry, each as it is then. */
static int dicts_equal(tally_object *a, tally_object *b) {
    tally_object *key, *value;
    uint32_t at = 0;
    int64_t hash;
    while (tally_table_step(a, table_of(a), &at, &hash, &key, &value)) {
        int equal = dict_has_equal(b, key, hash, value);
        tally_decref(key);
        tally_decref(value);
        if (equal <= 0) return equal;
    }
    return 1;
}

/* A copy holds its keys and values. */
static int copies_equal(tally_table *a, tally_table *b) {
    uint32_t at = 0;
    for (tally_entry *entry; (entry = tally_table_next_entry(a, &at));) {
        int error;
        tally_object *other = tally_table_find_value(b, read(&entry->key), entry->hash, &error);
        int equal = other ? tally_item_equal(read(&entry->value), other) : error;
        if (equal <= 0) return equal;
    }
    return 1;
}

/* False: no memory. */
static bool copy_dicts(tally_object *a, tally_object *b, tally_table *copies[2]) {
    for (unsigned tries = COPY_TRIES;;) {
        if (tally_table_copy(a, table_of(a), &copies[0]) < 0) return false;
        TALLY_FAILPOINT(first_copied);
        if (tally_table_copy(b, table_of(b), &copies[1]) < 0) {
            free_copy(copies[0]);
            return false;
        }
        if (--tries == 0 || tally_table_is_copy(a, table_of(a), copies[0])) return true;
        free_copy(copies[0]);
        free_copy(copies[1]);
    }
}

int tally_dict_equal(tally_object *a, tally_object *b) {
    if (a == b) return 1;
    if (!tally_has_type(b, TALLY_TYPE_DICT) || tally_dict_length(a) != tally_dict_length(b))
        return 0;
    tally_table *copies[2];
    if ((!is_shared(a) && !is_shared(b)) || !copy_dicts(a, b, copies)) return dicts_equal(a, b);
    bool same_length = tally_table_length(copies[0]) == tally_table_length(copies[1]);
    int equal = same_length ? copies_equal(copies[0], copies[1]) : 0;
    free_copy(copies[0]);
    free_copy(copies[1]);
    return equal;
}

/* ---- order -------------------------------------------------------------- */

static int number_compare(tally_object *a, tally_object *b, int *order) {
    if (tally_number_order(a, b, order)) return 0;
    return tally_fail(TALLY_VALUE_ERROR, "a NaN has no order");
}

/* UTF-8 has the order of its characters. */
static int str_compare(tally_str *a, tally_str *b, int *order) {
    int64_t difference = memcmp(a->data, b->data, a->length < b->length ? a->length : b->length);
    if (difference == 0) difference = (int64_t)a->length - b->length;
    *order = (difference > 0) - (difference < 0);
    return 0;
}

static int sequence_compare(tally_object *a, tally_object *b, int *order) {
    if (tally_recursion_enter() < 0) return -1;
    sequence pair[2];
    tally_object *items[2];
    sequences_begin(pair, a, b);
    int result = first_difference(pair, items, order);
    if (result == 1) {
        result = tally_compare(items[0], items[1], order);
        drop_pair(items);
    }
    sequences_end(pair);
    tally_recursion_leave();
    return result;
}

int tally_compare(tally_object *a, tally_object *b, int *order) {
    if (TALLY_UNLIKELY(!a || !b || !order))
        return tally_expected("two objects and a place for their order", NULL);
    if (tally_is_number(a) && tally_is_number(b)) return number_compare(a, b, order);
    if (a->type == b->type) {
        if (a->type == TALLY_TYPE_STR) return str_compare((tally_str *)a, (tally_str *)b, order);
        if (a->type == TALLY_TYPE_TUPLE || a->type == TALLY_TYPE_LIST)
            return sequence_compare(a, b, order);
    }
    return tally_fail(TALLY_TYPE_ERROR, "no order between '%s' and '%s'", tally_type_name(a),
                      tally_type_name(b));
}
