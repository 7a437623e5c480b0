/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * type.c: the table of types, classes and their instances, native types.
 *
 * Invariants:
 *  - An entry's fields are set before its type object is known to
 *    anybody and do not change until the object dies, when no instance is left.
 *  - An entry's size is at most MAX_SIZE, so header, weak word, fields and extra bytes of an object
 *    can be added without a look; its offsets fit into their fields. Who makes a type checks that
 * once.
 */
#include "objects/object.h"
#include "objects/table.h"
#include <stdio.h>

tally_type tally_types[TALLY_MAX_TYPES];

#define MAX_SIZE ((size_t)PTRDIFF_MAX / 4)
enum { MAX_SLOTS = INT32_MAX / (int)sizeof(tally_slot) - 64 };

static struct {
    pthread_mutex_t lock;
    uint32_t used; /* entries ever used */
    uint32_t free[TALLY_MAX_TYPES];
    uint32_t free_count;
} table = {.lock = PTHREAD_MUTEX_INITIALIZER};

static tally_type_object *as_type(tally_object *object) { return (tally_type_object *)object; }
static tally_type *entry_of(tally_object *type) { return &tally_types[as_type(type)->index]; }

static void type_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_table *attributes = tally_load_relaxed(&as_type(self)->attributes);
    if (attributes) tally_table_traverse(attributes, visit, context);
}
static tally_object **type_next_child(tally_object *self) {
    tally_table *attributes = tally_load_relaxed(&as_type(self)->attributes);
    return attributes ? tally_table_next_child(attributes) : NULL;
}
static tally_object **type_current_child(tally_object *self) {
    return tally_table_current_child(tally_load_relaxed(&as_type(self)->attributes));
}
/* The class has no instance left: its entry can be another's. */
static void type_free_arrays(tally_object *self) {
    tally_table *attributes = tally_load_relaxed(&as_type(self)->attributes);
    if (attributes) tally_table_free(attributes);
    tally_type_release(entry_of(self));
}
static size_t type_extra(tally_object *self) {
    tally_table *attributes = tally_load_acquire(&as_type(self)->attributes);
    return attributes ? tally_table_bytes(attributes) : 0;
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
        tally_no_memory();
        return NULL;
    }
    pthread_mutex_lock(&table.lock);
    uint32_t index = table.free_count               ? table.free[--table.free_count]
                     : table.used < TALLY_MAX_TYPES ? table.used++
                                                    : 0;
    pthread_mutex_unlock(&table.lock);
    if (!index) {
        tally_memory_free(TALLY_CONTAINERS, object);
        free(copy);
        tally_error_set(TALLY_MEMORY_ERROR, "no more than %d types", TALLY_MAX_TYPES - 1);
        return NULL;
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
    uint16_t index;
    const char *name;
    size_t size;
    unsigned flags;
} built_in[] = {
    {TALLY_TYPE_TYPE, "type", sizeof(tally_type_object),
     TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE},
    {TALLY_TYPE_NONE, "NoneType", sizeof(tally_object), 0},
    {TALLY_TYPE_BOOL, "bool", sizeof(tally_object), 0},
    {TALLY_TYPE_INT, "int", sizeof(tally_int), TALLY_TYPE_LEAF},
    {TALLY_TYPE_FLOAT, "float", sizeof(tally_float), TALLY_TYPE_LEAF},
    {TALLY_TYPE_STR, "str", sizeof(tally_str), TALLY_TYPE_LEAF},
    {TALLY_TYPE_TUPLE, "tuple", sizeof(tally_tuple), TALLY_TYPE_CONTAINER},
    {TALLY_TYPE_LIST, "list", sizeof(tally_list), TALLY_TYPE_CONTAINER},
    {TALLY_TYPE_DICT, "dict", sizeof(tally_dict), TALLY_TYPE_CONTAINER},
    {TALLY_TYPE_WEAKREF, "weakref", sizeof(tally_weakref), TALLY_TYPE_CONTAINER},
};

int tally_types_start(void) {
    memset(tally_types, 0, sizeof tally_types[0] * TALLY_TYPE_FIRST_FREE);
    table.used = TALLY_TYPE_FIRST_FREE;
    table.free_count = 0;
    for (size_t i = 0; i < sizeof built_in / sizeof *built_in; i++) {
        tally_type *type = &tally_types[built_in[i].index];
        tally_type_object *object =
            tally_object_alloc(TALLY_TYPE_TYPE, sizeof *object, TALLY_CONTAINERS);
        char *name = strdup(built_in[i].name);
        if (!object || !name) {
            free(name);
            return -1;
        }
        object->index = built_in[i].index;
        tally_store_relaxed(&object->attributes, NULL);
        tally_store_relaxed(&object->weak, NULL);
        tally_make_immortal(tally_object_publish(object));
        *type = (tally_type){.name = name,
                             .object = &object->container.base,
                             .size = built_in[i].size,
                             .flags = built_in[i].flags};
    }
    tally_type *type = &tally_types[TALLY_TYPE_TYPE];
    type->shape = TALLY_SHAPE_TABLE;
    type->table_offset = offsetof(tally_type_object, attributes);
    type->weak_offset = offsetof(tally_type_object, weak);
    type->traverse = type_traverse;
    type->next_child = type_next_child;
    type->current_child = type_current_child;
    type->release = type_free_arrays;
    type->extra_size = type_extra;
    type->repr = type_repr;
    tally_register_values();
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

/* ---- instances ---------------------------------------------------------- */

static tally_slot *slots_of(tally_object *self) { return ((tally_instance *)self)->slots; }
static _Atomic(tally_table *) *table_of(tally_object *self) {
    return &((tally_open_instance *)self)->table;
}

static void slots_traverse(tally_object *self, tally_visit visit, void *context) {
    for (ptrdiff_t i = 0; i < tally_type_entry(self)->slots; i++) {
        tally_object *child = tally_load_relaxed(&slots_of(self)[i]);
        if (child) visit(child, context);
    }
}
static void open_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_table *attributes = tally_load_relaxed(table_of(self));
    if (attributes) tally_table_traverse(attributes, visit, context);
}
static tally_object **open_next_child(tally_object *self) {
    tally_table *attributes = tally_load_relaxed(table_of(self));
    return attributes ? tally_table_next_child(attributes) : NULL;
}
static tally_object **open_current_child(tally_object *self) {
    return tally_table_current_child(tally_load_relaxed(table_of(self)));
}
static void open_release(tally_object *self) {
    tally_table *attributes = tally_load_relaxed(table_of(self));
    if (attributes) tally_table_free(attributes);
}
static size_t open_extra(tally_object *self) {
    tally_table *attributes = tally_load_acquire(table_of(self));
    return attributes ? tally_table_bytes(attributes) : 0;
}

static bool is_weak_slot(const char *name) { return strcmp(name, "__weakref__") == 0; }

static int name_slots(tally_type *type, const char *const *slots) {
    _Atomic(tally_table *) names = NULL;
    for (ptrdiff_t i = 0, next = 0; slots[i]; i++) {
        if (is_weak_slot(slots[i])) continue;
        tally_object *plain = tally_str_new(slots[i], -1),
                     *name = plain ? tally_str_intern(plain) : NULL;
        tally_object *index = tally_int_new(next++);
        int result = name && index ? tally_table_set(type->object, &names, name, index) : -1;
        tally_xdecref(plain);
        tally_xdecref(name);
        tally_xdecref(index);
        type->slot_names = names;
        if (result < 0) return -1;
    }
    return 0;
}

tally_object *tally_class_new(const tally_class_spec *spec) {
    tally_thread_require();
    if (!spec || !spec->name) {
        tally_error_set(TALLY_VALUE_ERROR, "a class needs a name");
        return NULL;
    }
    ptrdiff_t slots = 0;
    bool weak = !spec->slots;
    for (ptrdiff_t i = 0; spec->slots && spec->slots[i]; i++) {
        if (is_weak_slot(spec->slots[i]))
            weak = true;
        else
            slots++;
        if (slots > MAX_SLOTS) {
            tally_error_set(TALLY_VALUE_ERROR, "a class has at most %d slots", MAX_SLOTS);
            return NULL;
        }
    }
    size_t size = spec->slots ? sizeof(tally_instance) + (size_t)slots * sizeof(tally_slot)
                              : sizeof(tally_open_instance);
    size_t weak_offset = !spec->slots ? offsetof(tally_open_instance, weak) : weak ? size : 0;
    if (spec->slots && weak) size += sizeof(tally_weak_word);
    tally_type *type = tally_type_allocate(
        spec->name, size, TALLY_TYPE_CONTAINER | (weak ? TALLY_TYPE_WEAKLY_REFERENCABLE : 0), true,
        false);
    if (!type) return NULL;
    type->weak_offset = (uint32_t)weak_offset;
    type->slots = spec->slots ? (int32_t)slots : -1;
    type->shape = spec->slots ? TALLY_SHAPE_SLOTS : TALLY_SHAPE_TABLE;
    type->table_offset = spec->slots ? 0 : offsetof(tally_open_instance, table);
    type->finalize = spec->finalize;
    type->traverse = spec->slots ? slots_traverse : open_traverse;
    type->next_child = spec->slots ? NULL : open_next_child;
    type->current_child = spec->slots ? NULL : open_current_child;
    type->release = spec->slots ? NULL : open_release;
    type->extra_size = spec->slots ? NULL : open_extra;
    if (spec->slots && name_slots(type, spec->slots) < 0) {
        tally_decref(type->object);
        return NULL;
    }
    tally_object *class_ = type->object;
    TALLY_FAILPOINT(class_unborn);
    tally_track(class_);
    tally_class_born(class_);
    return class_;
}

tally_object *tally_instance_new(tally_object *class_) {
    if (!tally_has_type(class_, TALLY_TYPE_TYPE) || !entry_of(class_)->class_) {
        tally_expected("a class", class_);
        return NULL;
    }
    tally_type *type = entry_of(class_);
    tally_instance *self = tally_object_alloc(as_type(class_)->index, type->size, TALLY_CONTAINERS);
    if (!self) return NULL;
    if (TALLY_UNLIKELY(tally_class_incref(class_) < 0)) {
        tally_memory_free(TALLY_CONTAINERS, self);
        return NULL;
    }
    /* A slot for each name, or the word of an open instance's table; the weak word. */
    size_t words = (type->size - offsetof(tally_instance, slots)) / sizeof(void *);
    for (size_t i = 0; i < words; i++) tally_store_relaxed(&self->slots[i], NULL);
    return tally_container_publish(self);
}

/* ---- slots -------------------------------------------------------------- */

static tally_object *missing(tally_object *object, const char *name) {
    tally_error_set(TALLY_ATTRIBUTE_ERROR, "%s has no attribute %s", tally_type_name(object), name);
    return NULL;
}

/* The slow halves stand alone, so that the fast ones save no registers. */
static __attribute__((noinline)) tally_object *slot_read_locked(tally_object *object,
                                                                ptrdiff_t index) {
    TALLY_DETAIL(reads_locked);
    unsigned token = tally_lock_object(object);
    tally_object *value = tally_slot_locked_read(&slots_of(object)[index]);
    tally_unlock_object(object, token);
    return value;
}

static inline tally_object *slot_read(tally_object *object, ptrdiff_t index) {
    if (TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *value = tally_slot_try_read(&slots_of(object)[index]);
        if (TALLY_LIKELY(value != NULL)) {
            TALLY_DETAIL(reads_unlocked);
            return value;
        }
    }
    return slot_read_locked(object, index);
}

/* In a section. Puts value there and returns what was. */
static inline tally_object *slot_exchange(tally_slot *slot, tally_object *value) {
    tally_object *old = tally_load_relaxed(slot);
    /* release: pairs with the acquire of readers without a lock */
    tally_store_release(slot, value);
    return old;
}
static __attribute__((noinline)) tally_object *slot_exchange_locked(tally_object *object,
                                                                    ptrdiff_t index,
                                                                    tally_object *value) {
    unsigned token = tally_lock_object(object);
    if (value) tally_make_borrowable_in(object, token, value);
    tally_object *old = slot_exchange(&slots_of(object)[index], value);
    tally_unlock_object(object, token);
    return old;
}
static inline __attribute__((always_inline)) void slot_write(tally_object *object, ptrdiff_t index,
                                                             tally_object *value) {
    tally_xincref(value);
    tally_object *old;
    if (TALLY_LIKELY(tally_lock_fast(object))) {
        old = slot_exchange(&slots_of(object)[index], value);
        tally_unlock_fast(object);
    } else {
        old = slot_exchange_locked(object, index, value);
    }
    tally_xdecref(old);
}

/* Any other index than one from 0 of an instance with slots. */
static __attribute__((noinline)) int slot_check(tally_object *object, ptrdiff_t *index) {
    tally_type *type = tally_type_entry(object);
    if (!type->class_ || type->slots < 0) return tally_expected("an instance with slots", object);
    if (*index < 0) *index += type->slots;
    if (*index >= 0 && *index < type->slots) return 0;
    tally_error_set(TALLY_INDEX_ERROR, "slot index out of range: %s has %d", type->name,
                    type->slots);
    return -1;
}
static inline bool slot_is_plain(tally_object *object, ptrdiff_t index) {
    return index >= 0 && index < tally_type_entry(object)->slots;
}

static __attribute__((noinline)) tally_object *slot_get_checked(tally_object *object,
                                                                ptrdiff_t index) {
    if (slot_check(object, &index) < 0) return NULL;
    tally_object *value = slot_read_locked(object, index);
    return value ? value : missing(object, "in this slot");
}
tally_object *tally_slot_get(tally_object *object, ptrdiff_t index) {
    TALLY_PLAIN_CALL();
    TALLY_ENDS_BORROWS();
    if (TALLY_LIKELY(slot_is_plain(object, index)) &&
        TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *value = tally_slot_try_read(&slots_of(object)[index]);
        if (TALLY_LIKELY(value != NULL)) {
            TALLY_DETAIL(reads_unlocked);
            return value;
        }
    }
    return slot_get_checked(object, index);
}
static __attribute__((noinline)) tally_borrowed slot_borrow_locked(tally_object *object,
                                                                   ptrdiff_t index) {
    bool held;
    if (!tally_borrow_secure(object, &held)) return (tally_borrowed){0};
    return tally_borrow_keep(object, held, tally_slot_get(object, index));
}
tally_borrowed tally_slot_borrow(tally_object *object, ptrdiff_t index) {
    TALLY_ENDS_BORROWS();
    if (TALLY_LIKELY(slot_is_plain(object, index)) &&
        TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *value = tally_slot_try_borrow(&slots_of(object)[index]);
        if (TALLY_LIKELY(value != NULL)) {
            TALLY_DETAIL(reads_unlocked);
            return tally_borrow_of(value);
        }
    }
    return slot_borrow_locked(object, index);
}
static __attribute__((noinline)) int slot_set_checked(tally_object *object, ptrdiff_t index,
                                                      tally_object *value) {
    if (slot_check(object, &index) < 0) return -1;
    slot_write(object, index, value);
    return 0;
}
int tally_slot_set(tally_object *object, ptrdiff_t index, tally_object *value) {
    if (TALLY_UNLIKELY(!slot_is_plain(object, index)))
        return slot_set_checked(object, index, value);
    slot_write(object, index, value);
    return 0;
}

/* ---- attributes --------------------------------------------------------- */

/* Where an attribute of this object is kept. */
static _Atomic(tally_table *) *attributes_of(tally_object *object) {
    if (object->type == TALLY_TYPE_TYPE) return &as_type(object)->attributes;
    tally_type *type = tally_type_entry(object);
    return type->class_ && type->slots < 0 ? table_of(object) : NULL;
}

/* The index of a slot by name; -1: none. slot_names never changes, nor do its small ints die. */
static ptrdiff_t slot_by_name(tally_object *object, tally_object *name) {
    tally_type *type = tally_type_entry(object);
    if (!type->class_ || !type->slot_names) return -1;
    return tally_table_find_index(type->slot_names, name);
}

static int check_name(tally_object *name) {
    return tally_has_type(name, TALLY_TYPE_STR) ? 0
                                                : tally_expected("a str as attribute name", name);
}

static int check_object(tally_object *object) {
    return TALLY_LIKELY(object != NULL) ? 0 : tally_expected("an object", NULL);
}

tally_object *tally_get_attr(tally_object *object, tally_object *name) {
    TALLY_PLAIN_CALL();
    TALLY_ENDS_BORROWS();
    if (check_name(name) < 0 || check_object(object) < 0) return NULL;
    tally_object *value = NULL;
    int error = 0;
    ptrdiff_t slot = slot_by_name(object, name);
    _Atomic(tally_table *) *place = attributes_of(object);
    if (slot >= 0)
        value = slot_read(object, slot);
    else if (place)
        value = tally_table_get(object, place, name, &error);
    if (value || error) return value;
    tally_type *type = tally_type_entry(object);
    if (type->class_)
        value = tally_table_get(type->object, &as_type(type->object)->attributes, name, &error);
    return value || error ? value : missing(object, tally_str_data(name));
}

int tally_set_attr(tally_object *object, tally_object *name, tally_object *value) {
    if (check_name(name) < 0 || check_object(object) < 0 || check_object(value) < 0) return -1;
    ptrdiff_t slot = slot_by_name(object, name);
    if (slot >= 0) {
        slot_write(object, slot, value);
        return 0;
    }
    _Atomic(tally_table *) *place = attributes_of(object);
    if (!place) {
        missing(object, tally_str_data(name));
        return -1;
    }
    return tally_table_set(object, place, name, value);
}

int tally_delete_attr(tally_object *object, tally_object *name) {
    if (check_name(name) < 0 || check_object(object) < 0) return -1;
    ptrdiff_t slot = slot_by_name(object, name);
    _Atomic(tally_table *) *place = attributes_of(object);
    int found = 0;
    if (slot >= 0) {
        unsigned token = tally_lock_object(object);
        tally_object *old = tally_load_relaxed(&slots_of(object)[slot]);
        tally_store_release(&slots_of(object)[slot], NULL);
        tally_unlock_object(object, token);
        tally_xdecref(old);
        found = old != NULL;
    } else if (place) {
        found = tally_table_delete(object, place, name);
    }
    if (found == 0) missing(object, tally_str_data(name));
    return found > 0 ? 0 : -1;
}

/* ---- native types ------------------------------------------------------- */

tally_object *tally_type_new(const tally_type_spec *spec) {
    tally_thread_require();
    if (!spec || !spec->name) {
        tally_error_set(TALLY_VALUE_ERROR, "a type needs a name");
        return NULL;
    }
    unsigned unknown =
        spec->flags & ~(unsigned)(TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE);
    if (unknown) {
        tally_error_set(TALLY_VALUE_ERROR, "a type has no flags %#x", unknown);
        return NULL;
    }
    if (spec->size > MAX_SIZE - 64) {
        tally_error_set(TALLY_VALUE_ERROR, "objects of %zu bytes are too large", spec->size);
        return NULL;
    }
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
    if (!tally_has_type(type_object, TALLY_TYPE_TYPE) || !entry_of(type_object)->native) {
        tally_expected("a native type", type_object);
        return NULL;
    }
    tally_type *type = entry_of(type_object);
    if (extra_bytes < 0) {
        tally_error_set(TALLY_VALUE_ERROR, "extra_bytes is negative");
        return NULL;
    }
    if ((size_t)extra_bytes > MAX_SIZE) {
        tally_no_memory();
        return NULL;
    }
    size_t size = type->size + (size_t)extra_bytes;
    bool container = type->flags & TALLY_TYPE_CONTAINER;
    tally_object *self =
        container ? tally_object_alloc(as_type(type_object)->index, size, TALLY_CONTAINERS)
                  : tally_object_alloc(as_type(type_object)->index, size, TALLY_PLAIN);
    if (!self) return NULL;
    size_t header = tally_header_size(container);
    memset((char *)self + header, 0, size - header);
    /* Without traverse nobody can tell what it holds: it is held to be alive. */
    return container && type->traverse ? tally_container_publish(self) : tally_object_publish(self);
}

void *tally_object_data(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (TALLY_UNLIKELY(!object)) {
        tally_expected("an object", NULL);
        return NULL;
    }
    tally_type *type = tally_type_entry(object);
    return (char *)object + tally_header_size(type->flags & TALLY_TYPE_CONTAINER) +
           (type->weak_offset ? sizeof(tally_weak_word) : 0);
}
