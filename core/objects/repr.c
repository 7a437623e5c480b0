/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * repr.c: the repr of any object, and text under construction.
 *
 * A list or dict that other threads may change is copied first. A container that foreign code alone
 * may change is read item by item, each with a reference. No lock is held while items are shown.
 */
#include "objects/snapshot.h"
#include <stdio.h>

/* A container whose repr is under way in this thread. */
typedef struct shown {
    tally_object *object;
    struct shown *outer;
} shown;

static _Thread_local shown *innermost;

/* ---- text under construction -------------------------------------------- */

int tally_text_add(tally_text *text, const char *data, size_t length) {
    if (length == 0) return 0;
    if (length > text->capacity - text->length) {
        size_t capacity = (text->length + length) * 2;
        char *grown = realloc(text->data, capacity);
        if (!grown) return tally_no_memory();
        text->data = grown;
        text->capacity = capacity;
    }
    memcpy(text->data + text->length, data, length);
    text->length += length;
    return 0;
}

tally_object *tally_text_finish(tally_text *text, bool failed) {
    tally_object *str = failed ? NULL : tally_str_new(text->data, (ptrdiff_t)text->length);
    free(text->data);
    return str;
}

/* ---- repr --------------------------------------------------------------- */

static tally_object *default_repr(tally_object *object) {
    tally_text text = {0};
    char address[40];
    const char *name = tally_type_name(object);
    int length = snprintf(address, sizeof address, " object at %p>", (void *)object);
    bool failed = tally_text_add(&text, "<", 1) < 0 ||
                  tally_text_add(&text, name, strlen(name)) < 0 ||
                  tally_text_add(&text, address, (size_t)length) < 0;
    return tally_text_finish(&text, failed);
}

tally_object *tally_repr(tally_object *object) {
    if (!object) return tally_expected_null("an object", NULL);
    tally_thread_require();
    tally_type *type = tally_type_entry(object);
    if (!type->repr) return default_repr(object);
    if (tally_recursion_enter() < 0) return NULL;
    if (type->native) TALLY_CHECKED(tally_check_may_run_foreign_code());
    tally_object *str = type->repr(object);
    tally_recursion_leave();
    if (!str || str->type == TALLY_TYPE_STR) return str;
    tally_error_set(TALLY_TYPE_ERROR, "the repr of a '%s' is no str but a '%s'", type->name,
                    tally_type_name(str));
    tally_decref(str);
    return NULL;
}

static bool being_shown(tally_object *object) {
    for (shown *at = innermost; at; at = at->outer)
        if (at->object == object) return true;
    return false;
}

static int add_repr(tally_text *text, tally_object *object) {
    tally_object *repr = tally_repr(object);
    if (!repr) return -1;
    int result = tally_text_add(text, tally_str_data(repr), (size_t)tally_str_length(repr));
    tally_decref(repr);
    return result;
}

static int add_separator(tally_text *text, ptrdiff_t index) {
    return index ? tally_text_add(text, ", ", 2) : 0;
}

static int add_item(tally_text *text, ptrdiff_t index, tally_object *item) {
    return add_separator(text, index) < 0 ? -1 : add_repr(text, item);
}

static int add_items(tally_text *text, tally_object *object) {
    sequence s = sequence_of(object);
    int result = 0;
    if (!s.items && is_shared(object) && !sequence_copy(&s)) return tally_no_memory();
    ptrdiff_t i = 0;
    for (tally_object *item; result == 0 && (item = sequence_item(&s, i)); i++) {
        result = add_item(text, i, item);
        tally_decref(item);
    }
    sequence_end(&s);
    return result == 0 && i == 1 && object->type == TALLY_TYPE_TUPLE ? tally_text_add(text, ",", 1)
                                                                     : result;
}

static int add_entry(tally_text *text, ptrdiff_t index, tally_object *key, tally_object *value) {
    if (add_item(text, index, key) < 0 || tally_text_add(text, ": ", 2) < 0) return -1;
    return add_repr(text, value);
}

static int add_entries_now(tally_text *text, tally_object *dict) {
    tally_object *key, *value;
    uint32_t at = 0;
    int64_t hash;
    for (ptrdiff_t i = 0; tally_table_step(dict, table_of(dict), &at, &hash, &key, &value); i++) {
        int added = add_entry(text, i, key, value);
        tally_decref(key);
        tally_decref(value);
        if (added < 0) return -1;
    }
    return 0;
}

static int add_entries(tally_text *text, tally_object *dict) {
    tally_table *copy;
    if (!is_shared(dict)) return add_entries_now(text, dict);
    if (tally_table_copy(dict, table_of(dict), &copy) < 0) return tally_no_memory();
    int result = 0;
    uint32_t at = 0;
    ptrdiff_t i = 0;
    for (tally_entry *entry; result == 0 && (entry = tally_table_next_entry(copy, &at));)
        result = add_entry(text, i++, read(&entry->key), read(&entry->value));
    free_copy(copy);
    return result;
}

/* The text that `add` adds, in brackets. A container within itself is shown as dots. */
static tally_object *container_repr(tally_object *object, const char brackets[2],
                                    int (*add)(tally_text *, tally_object *)) {
    char dots[5] = {brackets[0], '.', '.', '.', brackets[1]};
    if (being_shown(object)) return tally_str_new(dots, 5);
    shown self = {object, innermost};
    innermost = &self;
    tally_text text = {0};
    bool failed = tally_text_add(&text, &brackets[0], 1) < 0 || add(&text, object) < 0 ||
                  tally_text_add(&text, &brackets[1], 1) < 0;
    innermost = self.outer;
    return tally_text_finish(&text, failed);
}

tally_object *tally_tuple_repr(tally_object *object) {
    return container_repr(object, "()", add_items);
}
tally_object *tally_list_repr(tally_object *object) {
    return container_repr(object, "[]", add_items);
}
tally_object *tally_dict_repr(tally_object *object) {
    return container_repr(object, "{}", add_entries);
}
