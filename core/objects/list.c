/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * list.c: lists: an array of references that is replaced when it has to grow.
 *
 * Writers hold the list's lock. A reader without it loads the array and the slot, takes a
 * reference, and rechecks: same array, same slot. Invariants for it:
 *  - A slot that is not in use is NULL.
 *  - A replaced array waits for a grace period, unless no reader without the lock can be there (the
 *    list is private).
 *  - An array has room for every length that was stored while it was the list's. No reference is
 *    dropped under the lock, since that may run foreign code. A function marked [plain] drops none
 *    at all (tally_drop_later).
 *
 * An array grows by half. A pop that leaves it less than half full replaces it by one with room for
 * an eighth more than the items (CPython's rule). An array for up to FEW_ITEMS, a kilobyte, stays:
 * a work list that fills and empties would pay for its arrays each time (a quarter of its time in
 * list-own).
 */
#include "abstract.h"
#include "objects/object.h"

static tally_list *check(tally_object *object) {
    if (TALLY_LIKELY(tally_has_type(object, TALLY_TYPE_LIST))) return (tally_list *)object;
    return tally_expected_null("a list", object);
}
static int out_of_range(void) { return tally_fail(TALLY_INDEX_ERROR, "list index out of range"); }

static ptrdiff_t length_of(tally_list *list) { return tally_load_relaxed(&list->length); }
static tally_items *items_of(tally_list *list) { return tally_load_relaxed(&list->items); }
static tally_object *slot_of(tally_items *items, ptrdiff_t i) {
    return tally_load_relaxed(&items->at[i]);
}
/* release: pairs with the acquire of readers without the lock */
static void store(tally_items *items, ptrdiff_t i, tally_object *item) {
    tally_store_release(&items->at[i], item);
}
/* release: pairs with holds: a thread that sees the length sees the array that it was made for */
static void store_length(tally_list *list, ptrdiff_t length) {
    tally_store_release(&list->length, length);
}

/* Without the lock: an item has this index, and the array has room for it; the length may be
 * newer than the array. (The array's capacity would tell, too, but is in a line that writers
 * store to.) */
static inline bool holds(tally_list *list, tally_items *items, ptrdiff_t index) {
    /* acquire: pairs with store_length */
    if (index < 0 || index >= tally_load_acquire(&list->length)) return false;
    return !TALLY_LOCK_FREE_READS || TALLY_LIKELY(items_of(list) == items);
}

static tally_items *items_new(ptrdiff_t capacity) {
    if ((size_t)capacity > (PTRDIFF_MAX - sizeof(tally_items)) / sizeof(tally_slot)) return NULL;
    size_t bytes = sizeof(tally_items) + (size_t)capacity * sizeof(tally_slot);
    if (bytes <= TALLY_SMALL_LIMIT) bytes = (bytes + 15) & ~(size_t)15;
    tally_items *items = tally_memory_alloc(TALLY_RAW, bytes);
    if (items) items->array.bytes = bytes;
    return items;
}

static void items_discard(tally_items *items, unsigned token) {
    if (!items) return;
    if (tally_is_private(token))
        tally_memory_free(TALLY_RAW, items);
    else
        tally_retire(&items->array.retired, TALLY_RETIRED_ARRAY, items->array.bytes);
}

/* release: pairs with the acquire of readers without the lock */
static void publish(tally_list *list, tally_items *items) {
    tally_store_release(&list->items, items);
}

/* Lock held: moves the items to an array with this room. False: no memory, nothing changed. */
static bool move_items(tally_list *list, ptrdiff_t capacity, unsigned token) {
    tally_items *old = items_of(list), *items = items_new(capacity);
    if (!items) return false;
    ptrdiff_t i = 0, length = length_of(list);
    for (; i < length; i++) tally_store_relaxed(&items->at[i], slot_of(old, i));
    for (; i < tally_items_capacity(items); i++) tally_store_relaxed(&items->at[i], NULL);
    publish(list, items);
    items_discard(old, token);
    return true;
}

/* Lock held: makes room for `more` items; 0, or -1 without an error set. */
static int reserve(tally_list *list, ptrdiff_t more, unsigned token) {
    tally_items *old = items_of(list);
    ptrdiff_t length = length_of(list), capacity = old ? tally_items_capacity(old) : 0;
    if (TALLY_LIKELY(more <= capacity - length)) return 0;
    if (more > PTRDIFF_MAX / 16 - length) return -1;
    ptrdiff_t grown = capacity + capacity / 2 + 4;
    return move_items(list, length + more > grown ? length + more : grown, token) ? 0 : -1;
}

enum { FEW_ITEMS = 128 };

/* Lock held: less than half of the array is in use. Without memory it stays. */
static __attribute__((noinline)) void shrink(tally_list *list, unsigned token) {
    ptrdiff_t length = length_of(list);
    TALLY_FAILPOINT(list_shrinks);
    move_items(list, length + length / 8 + 4, token);
}

tally_object *tally_list_new(ptrdiff_t capacity) {
    if (capacity < 0) return tally_fail_null(TALLY_VALUE_ERROR, "capacity is negative");
    tally_items *items = capacity ? items_new(capacity) : NULL;
    if (capacity && !items) return tally_no_memory_null();
    tally_list *list = tally_object_alloc(TALLY_TYPE_LIST, sizeof *list, TALLY_CONTAINERS);
    if (!list) {
        if (items) tally_memory_free(TALLY_RAW, items);
        return NULL;
    }
    for (ptrdiff_t i = 0; items && i < tally_items_capacity(items); i++)
        tally_store_relaxed(&items->at[i], NULL);
    tally_store_relaxed(&list->length, 0);
    tally_store_relaxed(&list->items, items);
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
        tally_make_borrowable_in(object, token, item);
        store(items_of(list), length, item);
        store_length(list, length + 1);
    }
    tally_unlock_object(object, token);
    if (TALLY_LIKELY(result == 0)) return 0;
    return tally_no_memory();
}

/* NULL: the lock is needed. */
static inline __attribute__((always_inline)) tally_object *get_unlocked(tally_list *list,
                                                                        ptrdiff_t index) {
    if (index < 0) index += length_of(list);
    TALLY_FAILPOINT(list_read);
    /* acquire: pairs with publish */
    tally_items *items = tally_load_acquire(&list->items);
    TALLY_FAILPOINT(list_loaded);
    if (TALLY_UNLIKELY(!items)) return NULL; /* no capacity; the length may be newer */
    if (!holds(list, items, index)) return NULL;
    tally_object *item = tally_slot_try_read(&items->at[index]);
    if (TALLY_LOCK_FREE_READS && item &&
        TALLY_UNLIKELY(tally_load_acquire(&list->items) != items)) {
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
    if (index >= 0 && index < length_of(list))
        item = tally_slot_locked_read(&items_of(list)->at[index]);
    tally_unlock_object(object, token);
    return item;
}

tally_object *tally_list_item(tally_object *object, ptrdiff_t index) {
    tally_list *list = (tally_list *)object;
    tally_object *item = tally_may_read_unlocked(object) ? get_unlocked(list, index) : NULL;
    return item ? item : get_locked(list, index);
}

static __attribute__((noinline)) tally_object *get_or_fail(tally_list *list, ptrdiff_t index) {
    tally_object *item = get_locked(list, index);
    if (!item) out_of_range();
    return item;
}

/* The ways of a read that call something, so that tally_list_get needs no registers but those that
 * a call may change. */
static __attribute__((noinline)) tally_object *get_slow(tally_object *object, ptrdiff_t index,
                                                        bool lost) {
    tally_list *list = check(object);
    if (!list) return NULL;
    tally_object *item = tally_may_read_unlocked(object) ? get_unlocked(list, index) : NULL;
    if (!item) return get_or_fail(list, index);
    if (lost) tally_refcount_contended(&item->refcount, 1);
    return item;
}
static __attribute__((noinline)) tally_object *get_changed(tally_object *object, ptrdiff_t index,
                                                           tally_object *item) {
    tally_drop_later(item);
    return get_or_fail((tally_list *)object, index);
}

tally_object *tally_list_get(tally_object *object, ptrdiff_t index) {
    TALLY_PLAIN_CALL();
    TALLY_ENDS_BORROWS();
    /* The bias first: a list that several threads read has none, and most often another owner. */
    if (TALLY_UNLIKELY(!tally_has_type(object, TALLY_TYPE_LIST) ||
                       (tally_lock_is_biased(object) && !tally_may_read_unlocked(object))))
        return get_slow(object, index, false);
    tally_list *list = (tally_list *)object;
    TALLY_FAILPOINT(list_read);
    /* acquire, here and below: as in get_unlocked */
    tally_items *items = tally_load_acquire(&list->items);
    TALLY_FAILPOINT(list_loaded);
    ptrdiff_t length = tally_load_acquire(&list->length), at = index;
    TALLY_FAILPOINT(list_length);
    if (TALLY_UNLIKELY((size_t)at >= (size_t)length)) {
        if (at >= 0 || (at += length) < 0) return get_slow(object, index, false);
    }
    /* With a GIL there is an array, since there is a length. Without one the list may have been
     * cleared, filled, and cleared again: NULL is no array that waits for a grace period. */
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(items_of(list) != items || !items))
        return get_slow(object, index, false);
    tally_slot *slot = &items->at[at];
    tally_object *item = tally_load_acquire(slot);
    TALLY_WILL_RETURN(item);
    if (TALLY_UNLIKELY(!item)) return get_slow(object, index, false);
    int counted = tally_refcount_try_incref_once(&item->refcount);
    if (TALLY_UNLIKELY(counted <= 0)) return get_slow(object, index, counted < 0);
    if (counted != TALLY_COUNTED_OWN && TALLY_UNLIKELY(tally_load_acquire(slot) != item ||
                                                       tally_load_acquire(&list->items) != items))
        return get_changed(object, index, item);
    TALLY_DETAIL(reads_unlocked);
    return item;
}

static tally_object *borrow_unlocked(tally_list *list, ptrdiff_t index) {
    if (index < 0) index += length_of(list);
    /* acquire: pairs with publish */
    tally_items *items = tally_load_acquire(&list->items);
    if (TALLY_UNLIKELY(!items)) return NULL;
    if (!holds(list, items, index)) return NULL;
    TALLY_FAILPOINT(borrow_loaded);
    tally_object *item = tally_slot_try_borrow(&items->at[index]);
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_load_acquire(&list->items) != items))
        return NULL;
    return item;
}

tally_borrowed tally_list_borrow(tally_object *object, ptrdiff_t index) {
    tally_list *list = check(object);
    TALLY_ENDS_BORROWS();
    if (TALLY_UNLIKELY(!list)) return (tally_borrowed){0};
    if (TALLY_LIKELY(tally_may_read_unlocked(object))) {
        tally_object *item = borrow_unlocked(list, index);
        if (TALLY_LIKELY(item != NULL)) {
            TALLY_DETAIL(reads_unlocked);
            return tally_borrow_of(item);
        }
    }
    return tally_borrow_item_locked(object, index, tally_list_get);
}

/* Exchanges the item, with its reference, for the one in the slot; NULL: out of range. */
static tally_object *swap_locked(tally_list *list, ptrdiff_t index, tally_object *item) {
    tally_object *object = &list->container.base, *old = NULL;
    unsigned token = tally_lock_object(object);
    if (index < 0) index += length_of(list);
    if (TALLY_LIKELY(index >= 0 && index < length_of(list))) {
        tally_make_borrowable_in(object, token, item);
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
        tally_make_borrowable_in(object, token, item);
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
        ptrdiff_t capacity = tally_items_capacity(items);
        if (TALLY_UNLIKELY(length - 1 < capacity / 2 && capacity > FEW_ITEMS)) shrink(list, token);
    }
    tally_unlock_object(object, token);
    if (!item) out_of_range();
    return item;
}

/* ---- all items at once -------------------------------------------------- */

/* A copy is part of a batch: a plain call leaves its references to the next safepoint. */
static tally_reference_batch *batch_of(tally_object **items) {
    return (tally_reference_batch *)((char *)items - offsetof(tally_reference_batch, at));
}

static tally_object **grow_copy(tally_object **items, ptrdiff_t length) {
    tally_reference_batch *batch = items ? batch_of(items) : NULL;
    tally_reference_batch *grown = realloc(batch, sizeof *grown + (size_t)length * sizeof *items);
    if (grown) return grown->at;
    free(batch);
    return NULL;
}

tally_object **tally_list_copy(tally_object *object, ptrdiff_t *length) {
    tally_list *list = (tally_list *)object;
    tally_object **items = NULL;
    /* The list may grow meanwhile. */
    for (ptrdiff_t capacity = length_of(list);; capacity = *length) {
        if (!(items = grow_copy(items, capacity))) return NULL;
        unsigned token = tally_lock_object(object);
        *length = length_of(list);
        for (ptrdiff_t i = 0; *length <= capacity && i < *length; i++)
            items[i] = tally_slot_locked_read(&items_of(list)->at[i]);
        tally_unlock_object(object, token);
        if (*length <= capacity) return items;
    }
}

void tally_list_free_copy(tally_object **items) { free(batch_of(items)); }
void tally_list_drop_copy(tally_object **items, ptrdiff_t length) {
    for (ptrdiff_t i = length; i-- > 0;) tally_decref(items[i]);
    tally_list_free_copy(items);
}
/* Most are not the last: only what may be waits for the safepoint. */
void tally_list_drop_copy_later(tally_object **items, ptrdiff_t length) {
    ptrdiff_t left = 0;
    for (ptrdiff_t i = 0; i < length; i++)
        if (!tally_refcount_try_drop(&items[i]->refcount)) items[left++] = items[i];
    batch_of(items)->count = left;
    if (left)
        tally_drop_batch_later(batch_of(items));
    else
        tally_list_free_copy(items);
}

static tally_object **tuple_copy(tally_object *object, ptrdiff_t *length) {
    tally_tuple *tuple = (tally_tuple *)object;
    *length = tuple->length;
    tally_object **items = grow_copy(NULL, *length);
    for (ptrdiff_t i = 0; items && i < *length; i++) {
        tally_incref(tuple->items[i]);
        items[i] = tuple->items[i];
    }
    return items;
}

bool tally_list_is_copy(tally_object *object, tally_object *const *items, ptrdiff_t length) {
    tally_list *list = (tally_list *)object;
    /* acquire: pairs with publish. The array is not freed before the next safepoint. */
    tally_items *now = tally_load_acquire(&list->items);
    /* acquire: pairs with store_length, so that the recheck of the array comes after it */
    if (tally_load_acquire(&list->length) != length || items_of(list) != now) return false;
    if (!now) return length == 0; /* a clear has taken the array, and not the length yet */
    for (ptrdiff_t i = 0; i < length; i++)
        if (slot_of(now, i) != items[i]) return false;
    return true;
}

/* Lock held, with room for the items: their references go to the list. */
static void put_all(tally_list *list, tally_object *const *items, ptrdiff_t count) {
    ptrdiff_t length = length_of(list);
    for (ptrdiff_t i = 0; i < count; i++) store(items_of(list), length + i, items[i]);
    store_length(list, length + count);
}

static int extend_by_itself(tally_list *list) {
    tally_object *object = &list->container.base;
    unsigned token = tally_lock_object(object);
    ptrdiff_t count = length_of(list);
    int result = reserve(list, count, token);
    for (ptrdiff_t i = 0; result == 0 && i < count; i++)
        store(items_of(list), count + i, tally_slot_locked_read(&items_of(list)->at[i]));
    if (result == 0) store_length(list, 2 * count);
    tally_unlock_object(object, token);
    return result == 0 ? 0 : tally_no_memory();
}

enum { EXTEND_TRIES = 100 };

/* The sequence is copied before the list's lock is taken, and rechecked under it: if it still has
 * the items of the copy, both lists were so at that moment. After EXTEND_TRIES changes the last
 * copy is taken as it is. 1: it has changed. */
static int extend_by(tally_list *list, tally_object *sequence, unsigned tries) {
    tally_object *object = &list->container.base;
    bool is_list = sequence->type == TALLY_TYPE_LIST;
    ptrdiff_t count;
    tally_object **items =
        is_list ? tally_list_copy(sequence, &count) : tuple_copy(sequence, &count);
    if (!items) return tally_no_memory();
    TALLY_FAILPOINT(extend_copied);
    unsigned token = tally_lock_object(object);
    bool changed = TALLY_LOCK_FREE_READS && is_list && tries > 1 &&
                   !tally_list_is_copy(sequence, items, count);
    int result = changed ? -1 : reserve(list, count, token);
    if (result == 0) put_all(list, items, count);
    tally_unlock_object(object, token);
    if (result < 0)
        tally_list_drop_copy_later(items, count);
    else
        tally_list_free_copy(items);
    if (changed) return 1;
    return result == 0 ? 0 : tally_no_memory();
}

int tally_list_extend(tally_object *object, tally_object *sequence) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    if (!list) return -1;
    if (!tally_has_type(sequence, TALLY_TYPE_LIST) && !tally_has_type(sequence, TALLY_TYPE_TUPLE))
        return tally_expected("a list or a tuple", sequence);
    if (object == sequence) return extend_by_itself(list);
    int result = 1;
    for (unsigned tries = EXTEND_TRIES; result == 1; tries--)
        result = extend_by(list, sequence, tries);
    return result;
}

int tally_list_clear(tally_object *object) {
    tally_list *list = check(object);
    if (!list) return -1;
    unsigned token = tally_lock_object(object);
    tally_items *items = items_of(list);
    ptrdiff_t length = length_of(list);
    tally_store_release(&list->items, NULL);
    store_length(list, 0);
    tally_unlock_object(object, token);
    for (ptrdiff_t i = length; i-- > 0;) tally_decref(slot_of(items, i));
    items_discard(items, token);
    return 0;
}

ptrdiff_t tally_list_length(tally_object *object) {
    TALLY_PLAIN_CALL();
    tally_list *list = check(object);
    return list ? length_of(list) : -1;
}

/* ---- the type ----------------------------------------------------------- */

static tally_object **list_current_child(tally_object *self) {
    tally_list *list = (tally_list *)self;
    return (tally_object **)&items_of(list)->at[length_of(list)];
}
/* Counts the length down, so that the item being dropped is the first behind it. */
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
    type->next_child = list_next_child;
    type->current_child = list_current_child;
    type->release = list_release;
    type->extra_size = list_extra;
    type->equal = tally_list_equal;
    type->repr = tally_list_repr;
    type->unhashable = true;
}
