/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type.c: the table of types, and native types.
 *
 * Invariants:
 *  - An entry's fields are set before another thread knows its type object, and do not change until
 *    that dies, when no instance is left.
 *  - An entry's size is at most MAX_SIZE, and its offsets fit into their fields, so header, weak
 *    word, fields and extra bytes of an object can be added without a check. The maker of a type
 *    checks this once.
 */
#include "objects/abstract.h"
#include "objects/table.h"
#include <stdio.h>

tally_type tally_types[TALLY_MAX_TYPES];

#define MAX_SIZE ((size_t)PTRDIFF_MAX / 4)

static struct {
    pthread_mutex_t lock;
    uint32_t used; /* entries ever used */
    uint32_t free[TALLY_MAX_TYPES];
    uint32_t free_count;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static tally_type_object *as_type(tally_object *object) { return (tally_type_object *)object; }
static tally_type *entry_of(tally_object *type) { return &tally_types[as_type(type)->index]; }

/* The class has no instance left, so its entry is free. */
static void type_release(tally_object *self) {
    tally_table *attributes = tally_load_relaxed(&as_type(self)->attributes);
    if (attributes) tally_table_free(attributes);
    tally_type_release(entry_of(self));
}
static tally_object *type_repr(tally_object *self) {
    char text[300];
    int length = snprintf(text, sizeof text, "<class '%.250s'>", entry_of(self)->name);
    return tally_str_new(text, length);
}

/* ---- the table ---------------------------------------------------------- */

tally_type *tally_type_allocate(const char *name, size_t size, unsigned flags, bool class_,
                                bool native) {
    char *copy = strdup(name);
    tally_type_object *object =
        copy ? tally_object_alloc(TALLY_TYPE_TYPE, sizeof *object, TALLY_CONTAINERS) : NULL;
    if (!object) {
        free(copy);
        return tally_no_memory_null();
    }
    pthread_mutex_lock(&table.lock);
    uint32_t index = table.free_count               ? table.free[--table.free_count]
                     : table.used < TALLY_MAX_TYPES ? table.used++
                                                    : 0;
    pthread_mutex_unlock(&table.lock);
    if (!index) {
        tally_memory_free(TALLY_CONTAINERS, object);
        free(copy);
        return tally_fail_null(TALLY_MEMORY_ERROR, "no more than %d types", TALLY_MAX_TYPES - 1);
    }
    object->index = (uint16_t)index;
    tally_store_relaxed(&object->attributes, NULL);
    tally_store_relaxed(&object->weak, NULL);
    tally_types[index] = (tally_type){.name = copy,
                                      .object = &object->container.base,
                                      .size = size,
                                      .flags = flags,
                                      .class_ = class_,
                                      .native = native};
    tally_object_publish(object);
    return &tally_types[index];
}

uint32_t tally_types_used(void) { return table.used; }

void tally_type_release(tally_type *type) {
    if (type->slot_names) tally_table_free(type->slot_names);
    free(type->name);
    pthread_mutex_lock(&table.lock);
    *type = (tally_type){0};
    table.free[table.free_count++] = (uint32_t)(type - tally_types);
    pthread_mutex_unlock(&table.lock);
}

static const struct {
    const char *name;
    size_t size;
    unsigned flags;
} built_in[TALLY_TYPE_FIRST_FREE] = {
    [TALLY_TYPE_NONE] = {"NoneType", sizeof(tally_object), 0},
    [TALLY_TYPE_BOOL] = {"bool", sizeof(tally_object), 0},
    [TALLY_TYPE_TYPE] = {"type", sizeof(tally_type_object),
                         TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE},
    [TALLY_TYPE_INT] = {"int", sizeof(tally_int), TALLY_TYPE_LEAF},
    [TALLY_TYPE_FLOAT] = {"float", sizeof(tally_float), TALLY_TYPE_LEAF},
    [TALLY_TYPE_STR] = {"str", sizeof(tally_str), TALLY_TYPE_LEAF},
    [TALLY_TYPE_TUPLE] = {"tuple", sizeof(tally_tuple), TALLY_TYPE_CONTAINER},
    [TALLY_TYPE_LIST] = {"list", sizeof(tally_list), TALLY_TYPE_CONTAINER},
    [TALLY_TYPE_DICT] = {"dict", sizeof(tally_dict), TALLY_TYPE_CONTAINER},
    [TALLY_TYPE_WEAKREF] = {"weakref", sizeof(tally_weakref), TALLY_TYPE_CONTAINER},
};

int tally_types_start(void) {
    table.used = TALLY_TYPE_NONE;
    table.free_count = 0;
    while (table.used < TALLY_TYPE_FIRST_FREE) {
        tally_type *type = tally_type_allocate(built_in[table.used].name, built_in[table.used].size,
                                               built_in[table.used].flags, false, false);
        if (!type) return -1;
        tally_make_immortal(type->object);
    }
    tally_type *type = &tally_types[TALLY_TYPE_TYPE];
    tally_type_has_table(type, offsetof(tally_type_object, attributes));
    type->weak_offset = offsetof(tally_type_object, weak);
    type->release = type_release;
    type->repr = type_repr;
    tally_register_singletons();
    tally_register_int();
    tally_register_float();
    tally_register_str();
    tally_register_tuple();
    tally_register_list();
    tally_register_dict();
    tally_register_weakref();
    return 0;
}

void tally_types_end(void) {
    for (uint32_t i = 1; i < table.used; i++) {
        free(tally_types[i].name);
        tally_types[i] = (tally_type){0};
    }
    table.used = table.free_count = 0;
}

/* ---- native types ------------------------------------------------------- */

tally_object *tally_type_new(const tally_type_spec *spec) {
    tally_thread_require();
    if (!spec || !spec->name) return tally_fail_null(TALLY_VALUE_ERROR, "a type needs a name");
    unsigned unknown =
        spec->flags & ~(unsigned)(TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE);
    if (unknown) return tally_fail_null(TALLY_VALUE_ERROR, "a type has no flags %#x", unknown);
    if (spec->size > MAX_SIZE - 64)
        return tally_fail_null(TALLY_VALUE_ERROR, "objects of %zu bytes are too large", spec->size);
    size_t header =
        spec->flags & TALLY_TYPE_CONTAINER ? sizeof(tally_container) : sizeof(tally_object);
    bool weak = spec->flags & TALLY_TYPE_WEAKLY_REFERENCABLE;
    tally_type *type =
        tally_type_allocate(spec->name, header + (weak ? sizeof(tally_weak_word) : 0) + spec->size,
                            spec->flags, false, true);
    if (!type) return NULL;
    type->weak_offset = weak ? (uint32_t)header : 0;
    type->shape = spec->traverse ? TALLY_SHAPE_NATIVE : TALLY_SHAPE_LEAF;
    type->traverse = spec->traverse;
    type->clear = spec->clear;
    type->finalize = spec->finalize;
    type->dealloc = spec->dealloc;
    type->hash = spec->hash;
    type->equal = spec->equal;
    type->unhashable = spec->equal && !spec->hash;
    type->repr = spec->repr;
    tally_make_immortal(type->object);
    return type->object;
}

tally_object *tally_object_new(tally_object *type_object, ptrdiff_t extra_bytes) {
    if (!tally_has_type(type_object, TALLY_TYPE_TYPE) || !entry_of(type_object)->native)
        return tally_expected_null("a native type", type_object);
    tally_type *type = entry_of(type_object);
    if (extra_bytes < 0) return tally_fail_null(TALLY_VALUE_ERROR, "extra_bytes is negative");
    if ((size_t)extra_bytes > MAX_SIZE) return tally_no_memory_null();
    size_t size = type->size + (size_t)extra_bytes;
    bool container = type->flags & TALLY_TYPE_CONTAINER;
    tally_object *self =
        container ? tally_object_alloc(as_type(type_object)->index, size, TALLY_CONTAINERS)
                  : tally_object_alloc(as_type(type_object)->index, size, TALLY_PLAIN);
    if (!self) return NULL;
    size_t header = tally_header_size(container);
    memset((char *)self + header, 0, size - header);
    /* without traverse its references count as external ones, so it is not tracked */
    return container && type->traverse ? tally_container_publish(self) : tally_object_publish(self);
}

void *tally_object_data(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (TALLY_UNLIKELY(!object)) return tally_expected_null("an object", NULL);
    tally_type *type = tally_type_entry(object);
    return (char *)object + tally_header_size(type->flags & TALLY_TYPE_CONTAINER) +
           (type->weak_offset ? sizeof(tally_weak_word) : 0);
}
