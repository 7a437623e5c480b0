/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* class.c: classes and their instances: slots, attributes, and the methods of both for dealloc. */
#include "objects/object.h"
#include "objects/table.h"

enum { MAX_SLOTS = INT32_MAX / (int)sizeof(tally_slot) - 64 };

static tally_type_object *as_type(tally_object *object) { return (tally_type_object *)object; }
static tally_type *entry_of(tally_object *type) { return &tally_types[as_type(type)->index]; }

/* ---- instances ---------------------------------------------------------- */

static tally_slot *slots_of(tally_object *self) { return ((tally_instance *)self)->slots; }
static tally_table_place *table_of(tally_object *self) {
    return &((tally_open_instance *)self)->table;
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
    if (!spec || !spec->name) return tally_fail_null(TALLY_VALUE_ERROR, "a class needs a name");
    ptrdiff_t slots = 0;
    bool weak = !spec->slots;
    for (ptrdiff_t i = 0; spec->slots && spec->slots[i]; i++) {
        if (is_weak_slot(spec->slots[i]))
            weak = true;
        else
            slots++;
        if (slots > MAX_SLOTS)
            return tally_fail_null(TALLY_VALUE_ERROR, "a class has at most %d slots", MAX_SLOTS);
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
    type->finalize = spec->finalize;
    if (spec->slots)
        type->shape = TALLY_SHAPE_SLOTS;
    else
        tally_type_has_table(type, offsetof(tally_open_instance, table));
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
    if (!tally_has_type(class_, TALLY_TYPE_TYPE) || !entry_of(class_)->class_)
        return tally_expected_null("a class", class_);
    tally_type *type = entry_of(class_);
    tally_instance *self = tally_object_alloc(as_type(class_)->index, type->size, TALLY_CONTAINERS);
    if (!self) return NULL;
    if (TALLY_UNLIKELY(tally_class_incref(class_) < 0)) {
        tally_memory_free(TALLY_CONTAINERS, self);
        return NULL;
    }
    /* The slots, or the word of the table; and the weak word. */
    size_t words = (type->size - offsetof(tally_instance, slots)) / sizeof(void *);
    for (size_t i = 0; i < words; i++) tally_store_relaxed(&self->slots[i], NULL);
    return tally_container_publish(self);
}

/* ---- slots -------------------------------------------------------------- */

static tally_object *missing(tally_object *object, const char *name) {
    return tally_fail_null(TALLY_ATTRIBUTE_ERROR, "%s has no attribute %s", tally_type_name(object),
                           name);
}

/* The slow halves are functions of their own, so that the fast ones save no registers. */
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

/* Under the short lock: stores value and returns the old one. */
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

/* For any index that is not one from 0 of an instance with slots. */
static __attribute__((noinline)) int slot_check(tally_object *object, ptrdiff_t *index) {
    tally_type *type = tally_type_entry(object);
    if (!type->class_ || type->slots < 0) return tally_expected("an instance with slots", object);
    if (*index < 0) *index += type->slots;
    if (*index >= 0 && *index < type->slots) return 0;
    return tally_fail(TALLY_INDEX_ERROR, "slot index out of range: %s has %d", type->name,
                      type->slots);
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
    return tally_borrow_item_locked(object, index, tally_slot_get);
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

/* The table that has the attributes of this object; NULL: it has none. */
static tally_table_place *attributes_of(tally_object *object) {
    if (object->type == TALLY_TYPE_TYPE) return &as_type(object)->attributes;
    tally_type *type = tally_type_entry(object);
    return type->class_ && type->slots < 0 ? table_of(object) : NULL;
}

/* The index of a slot by name; -1: none. slot_names never changes; its small ints are immortal. */
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
    tally_table_place *place = attributes_of(object);
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
    tally_table_place *place = attributes_of(object);
    if (!place) {
        missing(object, tally_str_data(name));
        return -1;
    }
    return tally_table_set(object, place, name, value);
}

int tally_delete_attr(tally_object *object, tally_object *name) {
    if (check_name(name) < 0 || check_object(object) < 0) return -1;
    ptrdiff_t slot = slot_by_name(object, name);
    tally_table_place *place = attributes_of(object);
    int found = 0;
    if (slot >= 0) {
        tally_object *old = slot_exchange_locked(object, slot, NULL);
        tally_xdecref(old);
        found = old != NULL;
    } else if (place) {
        found = tally_table_delete(object, place, name);
    }
    if (found == 0) missing(object, tally_str_data(name));
    return found > 0 ? 0 : -1;
}
