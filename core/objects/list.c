/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list.c: lists: an array of references that is replaced when it has to grow.
 *
 * Writers hold the list's lock. A reader without it loads the array, the slot,
 * takes a reference, and looks again: same array, same slot. Invariants for it:
 *  - a slot that is not in use is NULL;
 *  - an array that was replaced waits for a grace period, unless no reader
 *    without the lock can be there (the list is private).
 * No reference is dropped under the lock: that may run foreign code. Where a function is marked [plain], none
 * is dropped at all (tally_drop_later).
 */
#include "backend.h"
#include "any.h"

static tally_list *check(tally_object *object) {
    if (TALLY_LIKELY(tally_has_type(object, TALLY_TYPE_LIST))) return (tally_list *)object;
    tally_expected("a list", object);
    return NULL;
}
static int out_of_range(void) { tally_error_set(TALLY_INDEX_ERROR, "list index out of range"); return -1; }

static ptrdiff_t length_of(tally_list *list) { return atomic_load_explicit(&list->length, memory_order_relaxed); }
static tally_items *items_of(tally_list *list) { return atomic_load_explicit(&list->items, memory_order_relaxed); }
static tally_object *slot_of(tally_items *items, ptrdiff_t i) { return atomic_load_explicit(&items->at[i], memory_order_relaxed); }
/* release: pairs with the acquire of readers without the lock */
static void store(tally_items *items, ptrdiff_t i, tally_object *item) { atomic_store_explicit(&items->at[i], item, memory_order_release); }
/* release: pairs with holds: who sees a length sees the array that it was made for */
static void store_length(tally_list *list, ptrdiff_t length) { atomic_store_explicit(&list->length, length, memory_order_release); }

/*
 * Without the lock: the index is one of an item, and within the array, which the length may be newer than. (Its capacity
 * would tell, too, but that is in a line that stores to the array write.)
 */
static inline bool holds(tally_list *list, tally_items *items, ptrdiff_t index) {
    /* acquire: pairs with store_length */
    if (index < 0 || index >= atomic_load_explicit(&list->length, memory_order_acquire)) return false;
    return !tally_unlocked_recheck || TALLY_LIKELY(items_of(list) == items);
}

static tally_items *items_new(ptrdiff_t capacity) {
    if ((size_t)capacity > (PTRDIFF_MAX - sizeof(tally_items)) / sizeof(tally_slot)) return NULL;
    size_t bytes = sizeof(tally_items) + (size_t)capacity * sizeof(tally_slot);
    if (bytes <= TALLY_SMALL_LIMIT) bytes = (bytes + 15) & ~(size_t)15; /* what the block has anyway */
    tally_items *items = tally_memory_alloc(TALLY_RAW, bytes);
    if (items) items->array.bytes = bytes;
    return items;
}

static void items_discard(tally_items *items, unsigned token) {
    if (!items) return;
    if (tally_is_private(token)) tally_memory_free(TALLY_RAW, items);
    else tally_retire(&items->array.retired, TALLY_RETIRED_ARRAY, items->array.bytes);
}

/* release: pairs with the acquire of readers without the lock */
static void publish(tally_list *list, tally_items *items) { atomic_store_explicit(&list->items, items, memory_order_release); }

/* Lock held: room for `more` items; 0 or -1 without an error set. */
static int reserve(tally_list *list, ptrdiff_t more, unsigned token) {
    tally_items *old = items_of(list);
    ptrdiff_t length = length_of(list), capacity = old ? tally_items_capacity(old) : 0;
    if (TALLY_LIKELY(more <= capacity - length)) return 0;
    if (more > PTRDIFF_MAX / 16 - length) return -1;
    ptrdiff_t grown = capacity + capacity / 2 + 4;
    tally_items *items = items_new(length + more > grown ? length + more : grown);
    if (!items) return -1;
    ptrdiff_t i = 0;
    for (; i < length; i++) atomic_store_explicit(&items->at[i], slot_of(old, i), memory_order_relaxed);
    for (; i < tally_items_capacity(items); i++) atomic_store_explicit(&items->at[i], NULL, memory_order_relaxed);
    publish(list, items);
    items_discard(old, token);
    return 0;
}

tally_object *tally_list_new(ptrdiff_t capacity) {
    if (capacity < 0) { tally_error_set(TALLY_VALUE_ERROR, "capacity is negative"); return NULL; }
    tally_items *items = capacity ? items_new(capacity) : NULL;
    if (capacity && !items) { tally_no_memory(); return NULL; }
    tally_list *list = tally_object_alloc(TALLY_TYPE_LIST, sizeof *list, TALLY_CONTAINERS);
    if (!list) { if (items) tally_memory_free(TALLY_RAW, items); return NULL; }
    for (ptrdiff_t i = 0; items && i < tally_items_capacity(items); i++) atomic_store_explicit(&items->at[i], NULL, memory_order_relaxed);
    atomic_store_explicit(&list->length, 0, memory_order_relaxed);
    atomic_store_explicit(&list->items, items, memory_order_relaxed);
    return tally_container_publish(list);
}

void tally_list_put_new(tally_object *object, tally_object *item) {
    tally_list *list = (tally_list *)object;
    store(items_of(list), length_of(list), item);
    store_length(list, length_of(list) + 1);
}

int tally_list_append(tally_object *object, tally_object *item) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    if (TALLY_UNLIKELY(!list)) return -1;
    unsigned token = tally_lock_object(object);
    int result = reserve(list, 1, token);
    if (TALLY_LIKELY(result == 0)) {
        ptrdiff_t length = length_of(list);
        tally_incref(item);
        tally_hand_out_in(object, token, item);
        store(items_of(list), length, item);
        store_length(list, length + 1);
    }
    tally_unlock_object(object, token);
    if (TALLY_LIKELY(result == 0)) return 0;
    return tally_no_memory();
}

/* NULL: not to be had without the lock. */
static inline __attribute__((always_inline)) tally_object *get_unlocked(tally_list *list, ptrdiff_t index) {
    if (index < 0) index += length_of(list);
    TALLY_POINT(list_read);
    /* acquire: pairs with publish */
    tally_items *items = atomic_load_explicit(&list->items, memory_order_acquire);
    TALLY_POINT(list_loaded);
    if (TALLY_UNLIKELY(!items)) return NULL; /* no capacity; the length may be newer */
    if (!holds(list, items, index)) return NULL;
    tally_object *item = tally_slot_try_read(&items->at[index]);
    if (tally_unlocked_recheck && item && TALLY_UNLIKELY(atomic_load_explicit(&list->items, memory_order_acquire) != items)) {
        tally_drop_later(item);
        return NULL;
    }
    return item;
}

static __attribute__((noinline)) tally_object *get_locked(tally_list *list, ptrdiff_t index) {
    TALLY_DETAIL(reads_locked);
    tally_object *object = &list->container.base, *item = NULL;
    unsigned token = tally_lock_object(object);
    if (index < 0) index += length_of(list);
    if (index >= 0 && index < length_of(list)) item = tally_slot_locked_read(&items_of(list)->at[index]);
    tally_unlock_object(object, token);
    if (!item) out_of_range();
    return item;
}

tally_object *tally_list_get(tally_object *object, ptrdiff_t index) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    TALLY_ENDS_BORROWS();
    if (TALLY_UNLIKELY(!list)) return NULL;
    if (TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *item = get_unlocked(list, index);
        if (TALLY_LIKELY(item != NULL)) { TALLY_DETAIL(reads_unlocked); return item; }
    }
    return get_locked(list, index);
}

static tally_object *borrow_unlocked(tally_list *list, ptrdiff_t index) {
    if (index < 0) index += length_of(list);
    /* acquire: pairs with publish */
    tally_items *items = atomic_load_explicit(&list->items, memory_order_acquire);
    if (TALLY_UNLIKELY(!items)) return NULL;
    if (!holds(list, items, index)) return NULL;
    TALLY_POINT(borrow_loaded);
    tally_object *item = tally_slot_try_borrow(&items->at[index]);
    if (tally_unlocked_recheck && TALLY_UNLIKELY(atomic_load_explicit(&list->items, memory_order_acquire) != items)) return NULL;
    return item;
}

static __attribute__((noinline)) tally_borrowed borrow_locked(tally_object *object, ptrdiff_t index) {
    bool held;
    if (!tally_borrow_secure(object, &held)) return (tally_borrowed){ 0 };
    return tally_borrow_keep(object, held, tally_list_get(object, index));
}

tally_borrowed tally_list_borrow(tally_object *object, ptrdiff_t index) {
    tally_list *list = check(object);
    TALLY_ENDS_BORROWS();
    if (TALLY_UNLIKELY(!list)) return (tally_borrowed){ 0 };
    if (TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *item = borrow_unlocked(list, index);
        if (TALLY_LIKELY(item != NULL)) { TALLY_DETAIL(reads_unlocked); return tally_borrow_of(item); }
    }
    return borrow_locked(object, index);
}

/* The item that was in the slot, whose reference is the caller's now; NULL: out of range. The caller's
 * reference of item goes to the slot. */
static tally_object *swap_locked(tally_list *list, ptrdiff_t index, tally_object *item) {
    tally_object *object = &list->container.base, *old = NULL;
    unsigned token = tally_lock_object(object);
    if (index < 0) index += length_of(list);
    if (TALLY_LIKELY(index >= 0 && index < length_of(list))) {
        tally_hand_out_in(object, token, item);
        old = slot_of(items_of(list), index);
        store(items_of(list), index, item);
    }
    tally_unlock_object(object, token);
    return old;
}

int tally_list_set(tally_object *object, ptrdiff_t index, tally_object *item) {
    tally_list *list = check(object);
    if (TALLY_UNLIKELY(!list)) return -1;
    tally_incref(item);
    tally_object *old = NULL;
    if (TALLY_LIKELY(tally_lock_fast(object))) {
        if (index < 0) index += length_of(list);
        if (TALLY_LIKELY(index >= 0 && index < length_of(list))) {
            old = slot_of(items_of(list), index);
            store(items_of(list), index, item);
        }
        tally_unlock_fast(object);
    } else {
        old = swap_locked(list, index, item);
    }
    tally_decref(old ? old : item);
    return old ? 0 : out_of_range();
}

int tally_list_insert(tally_object *object, ptrdiff_t index, tally_object *item) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    if (!list) return -1;
    unsigned token = tally_lock_object(object);
    int result = reserve(list, 1, token);
    if (result == 0) {
        ptrdiff_t length = length_of(list);
        tally_items *items = items_of(list);
        if (index < 0) index += length;
        if (index < 0) index = 0;
        if (index > length) index = length;
        for (ptrdiff_t i = length; i > index; i--) store(items, i, slot_of(items, i - 1));
        tally_incref(item);
        tally_hand_out_in(object, token, item);
        store(items, index, item);
        store_length(list, length + 1);
    }
    tally_unlock_object(object, token);
    return result == 0 ? 0 : tally_no_memory();
}

tally_object *tally_list_pop(tally_object *object, ptrdiff_t index) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    if (TALLY_UNLIKELY(!list)) return NULL;
    tally_object *item = NULL;
    unsigned token = tally_lock_object(object);
    ptrdiff_t length = length_of(list);
    if (index < 0) index += length;
    if (TALLY_LIKELY(index >= 0 && index < length)) {
        tally_items *items = items_of(list);
        item = slot_of(items, index);
        for (ptrdiff_t i = index; i < length - 1; i++) store(items, i, slot_of(items, i + 1));
        store(items, length - 1, NULL);
        store_length(list, length - 1);
    }
    tally_unlock_object(object, token);
    if (!item) out_of_range();
    return item;
}

/* New references to all items, in memory of malloc; NULL and an error. Its length in *length. */
static tally_object **snapshot(tally_object *sequence, ptrdiff_t *length) {
    bool is_list = sequence->type == TALLY_TYPE_LIST;
    tally_list *list = (tally_list *)sequence;
    tally_tuple *tuple = (tally_tuple *)sequence;
    tally_object **items = NULL;
    ptrdiff_t capacity = is_list ? tally_list_length(sequence) : tuple->length;
    for (;;) {
        tally_object **grown = realloc(items, (size_t)(capacity ? capacity : 1) * sizeof *items);
        if (!grown) { free(items); tally_no_memory(); return NULL; }
        items = grown;
        unsigned token = tally_lock_object(sequence);
        *length = is_list ? length_of(list) : tuple->length;
        for (ptrdiff_t i = 0; *length <= capacity && i < *length; i++) {
            items[i] = is_list ? tally_slot_locked_read(&items_of(list)->at[i]) : tuple->items[i];
            if (!is_list) tally_incref(items[i]);
        }
        tally_unlock_object(sequence, token);
        if (*length <= capacity) return items;
        capacity = *length; /* it grew meanwhile */
    }
}

int tally_list_extend(tally_object *object, tally_object *sequence) {
    tally_list *list = check(object);
    if (!list) return -1;
    if (!tally_has_type(sequence, TALLY_TYPE_LIST) && !tally_has_type(sequence, TALLY_TYPE_TUPLE)) return tally_expected("a list or a tuple", sequence);
    ptrdiff_t count;
    tally_object **items = snapshot(sequence, &count);
    if (!items) return -1;
    unsigned token = tally_lock_object(object);
    int result = reserve(list, count, token);
    for (ptrdiff_t i = 0; result == 0 && i < count; i++) store(items_of(list), length_of(list) + i, items[i]);
    if (result == 0) store_length(list, length_of(list) + count);
    tally_unlock_object(object, token);
    for (ptrdiff_t i = 0; result < 0 && i < count; i++) tally_decref(items[i]);
    free(items);
    return result == 0 ? 0 : tally_no_memory();
}

int tally_list_clear(tally_object *object) {
    tally_list *list = check(object);
    if (!list) return -1;
    unsigned token = tally_lock_object(object);
    tally_items *items = items_of(list);
    ptrdiff_t length = length_of(list);
    atomic_store_explicit(&list->items, NULL, memory_order_release);
    store_length(list, 0);
    tally_unlock_object(object, token);
    for (ptrdiff_t i = length; i-- > 0;) tally_decref(slot_of(items, i));
    items_discard(items, token);
    return 0;
}

ptrdiff_t tally_list_length(tally_object *object) {
    tally_list *list = check(object);
    return list ? length_of(list) : -1;
}

/* ---- the type ----------------------------------------------------------- */

static void list_traverse(tally_object *self, tally_visit visit, void *context) {
    tally_list *list = (tally_list *)self;
    for (ptrdiff_t i = 0; i < length_of(list); i++) visit(slot_of(items_of(list), i), context);
}
static tally_object **list_current_child(tally_object *self) {
    tally_list *list = (tally_list *)self;
    return (tally_object **)&items_of(list)->at[length_of(list)];
}
/* Counts the length down: the item being dropped is the first behind it. */
static tally_object **list_next_child(tally_object *self) {
    tally_list *list = (tally_list *)self;
    if (length_of(list) == 0) return NULL;
    store_length(list, length_of(list) - 1);
    return list_current_child(self);
}
static void list_release(tally_object *self) {
    tally_items *items = items_of((tally_list *)self);
    if (items) tally_memory_free(TALLY_RAW, items);
}
static size_t list_extra(tally_object *self) {
    tally_items *items = items_of((tally_list *)self);
    return items ? items->array.bytes : 0;
}

void tally_register_list(void) {
    tally_type *type = &tally_types[TALLY_TYPE_LIST];
    type->shape = TALLY_SHAPE_LIST;
    type->traverse = list_traverse;
    type->next_child = list_next_child;
    type->current_child = list_current_child;
    type->release = list_release;
    type->extra_size = list_extra;
    type->equal = tally_list_equal;
    type->repr = tally_list_repr;
    type->unhashable = true;
}
