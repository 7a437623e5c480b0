/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* children.h: visits the children of an object, of whatever shape its type is. */
#ifndef TALLY_CHILDREN_H
#define TALLY_CHILDREN_H

#include "objects/table.h"

#define TALLY_INLINE static inline __attribute__((always_inline))

TALLY_INLINE void tally_children_of_table(tally_table *table, tally_visit visit, void *context) {
    uint32_t used = tally_load_relaxed(&table->used);
    for (uint32_t i = 0; i < used; i++) {
        tally_object *key = tally_load_relaxed(&table->entries[i].key);
        tally_object *value = tally_load_relaxed(&table->entries[i].value);
        if (key) visit(key, context);
        if (value) visit(value, context);
    }
}

/* The children of an object but for its class. visit is a constant and is inlined: an indirect call
 * per edge costs a third of a collection. */
TALLY_INLINE void tally_children(tally_object *object, tally_type *type, tally_visit visit,
                                 void *context) {
    switch (type->shape) {
    case TALLY_SHAPE_SLOTS: {
        tally_slot *slots = ((tally_instance *)object)->slots;
        for (ptrdiff_t i = 0; i < type->slots; i++) {
            tally_object *child = tally_load_relaxed(&slots[i]);
            if (child) visit(child, context);
        }
        break;
    }
    case TALLY_SHAPE_TUPLE: {
        tally_tuple *tuple = (tally_tuple *)object;
        for (ptrdiff_t i = 0; i < tuple->length; i++)
            if (tuple->items[i]) visit(tuple->items[i], context);
        break;
    }
    case TALLY_SHAPE_LIST: {
        tally_list *list = (tally_list *)object;
        tally_items *items = tally_load_relaxed(&list->items);
        ptrdiff_t length = tally_load_relaxed(&list->length);
        for (ptrdiff_t i = 0; i < length; i++) {
            tally_object *child = tally_load_relaxed(&items->at[i]);
            if (child) visit(child, context);
        }
        break;
    }
    case TALLY_SHAPE_TABLE: {
        tally_table *table = tally_load_relaxed(tally_table_place_in(object, type));
        if (table) tally_children_of_table(table, visit, context);
        break;
    }
    case TALLY_SHAPE_NATIVE: type->traverse(object, visit, context); break;
    default: break;
    }
}

#endif
