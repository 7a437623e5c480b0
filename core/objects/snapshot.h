/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.h: the items of a tuple, list or dict, read in place or from a copy. */
#ifndef TALLY_SNAPSHOT_H
#define TALLY_SNAPSHOT_H

#include "objects/abstract.h"
#include "objects/table.h"

/* Other threads may use the container. */
static inline bool is_shared(tally_object *container) {
    return TALLY_LOCK_FREE_READS &&
           !(tally_refcount_owned(&container->refcount) && tally_lock_is_biased(container));
}

/* A tuple or list, read item by item. */
typedef struct sequence {
    tally_object *object;
    tally_object *const *items;
    /* A list's, for items; NULL: none. */
    tally_object **copy;
    ptrdiff_t length;
} sequence;

static inline sequence sequence_of(tally_object *object) {
    sequence s = {.object = object};
    if (object->type != TALLY_TYPE_TUPLE) return s;
    s.items = ((tally_tuple *)object)->items;
    s.length = ((tally_tuple *)object)->length;
    return s;
}
static inline void sequence_end(sequence *s) {
    if (s->copy) tally_list_drop_copy(s->copy, s->length);
    s->items = s->copy = NULL;
}
/* Copies a list. Without memory it is read in place. */
static inline bool sequence_copy(sequence *s) {
    s->items = s->copy = tally_list_copy(s->object, &s->length);
    return s->copy != NULL;
}

/* The item at index with a new reference; NULL: past the end. */
static inline tally_object *sequence_item(sequence *s, ptrdiff_t index) {
    if (!s->items) return tally_list_item(s->object, index);
    if (index >= s->length) return NULL;
    tally_incref(s->items[index]);
    return s->items[index];
}

static inline tally_table_place *table_of(tally_object *dict) {
    return &((tally_dict *)dict)->table;
}
static inline tally_object *read(tally_slot *slot) { return tally_load_relaxed(slot); }
static inline void free_copy(tally_table *copy) {
    if (copy) tally_table_free(copy);
}

#endif
