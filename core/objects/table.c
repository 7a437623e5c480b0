/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.c: the hash table of dicts, of open instances and of classes. Compact and
 * insertion-ordered (Hettinger 2012): an index of small integers points into an
 * array of entries, which are filled in order.
 *
 * Writers hold the lock of the holder. A reader without it relies on this:
 *  - within one table an entry is filled once, published by its index place
 *    (release), and never used for another key; an index place goes from empty
 *    to an entry to dummy, and a dummy may become another entry;
 *  - a removed key is dropped after a grace period (its bytes may be compared
 *    without a reference), a value at once (a reader takes a reference or fails);
 *  - a table that was replaced waits for a grace period;
 *  - the capacity is in the table, so that index and entries always fit.
 * A reader that finds a value takes a reference and then looks again: same table,
 * same value. One that meets an empty place may say "missing": at the time the
 * table was current, the key was not in it.
 *
 * Comparing keys other than strs and ints may run foreign code: that happens
 * without the lock; if table or entry changed meanwhile, the search starts again.
 */
#include "any.h"
#include "table.h"

enum { MIN_BITS = 3 };
enum { PLACE_EMPTY = -1, PLACE_DUMMY = -2 };

/* ---- the index ---------------------------------------------------------- */

static void *index_of(const tally_table *table) { return (void *)&table->entries[table->capacity]; }
static uint32_t places(const tally_table *table) { return UINT32_C(1) << table->bits; }
static uint32_t entries_for(uint32_t bits) { return (UINT32_C(1) << bits) / 3 * 2 + (bits == MIN_BITS); }

static inline int32_t place_get(const tally_table *table, uint32_t i) {
    /* acquire: pairs with the release of place_set: the entry is filled */
    if (table->bits <= 7) return atomic_load_explicit(&((_Atomic int8_t *)index_of(table))[i], memory_order_acquire);
    if (table->bits <= 15) return atomic_load_explicit(&((_Atomic int16_t *)index_of(table))[i], memory_order_acquire);
    return atomic_load_explicit(&((_Atomic int32_t *)index_of(table))[i], memory_order_acquire);
}
static void place_set(tally_table *table, uint32_t i, int32_t entry) {
    /* release: pairs with the acquire of place_get */
    if (table->bits <= 7) atomic_store_explicit(&((_Atomic int8_t *)index_of(table))[i], (int8_t)entry, memory_order_release);
    else if (table->bits <= 15) atomic_store_explicit(&((_Atomic int16_t *)index_of(table))[i], (int16_t)entry, memory_order_release);
    else atomic_store_explicit(&((_Atomic int32_t *)index_of(table))[i], entry, memory_order_release);
}
/* Fibonacci hashing: spreads the many equal low bits of ints. */
static inline uint32_t first_place(const tally_table *table, int64_t hash) {
    return (uint32_t)(((uint64_t)hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - table->bits));
}
static inline uint32_t next_place(const tally_table *table, uint32_t i) { return (i + 1) & (places(table) - 1); }

static tally_table *table_new(uint32_t bits) {
    static _Thread_local uint64_t serial;
    uint32_t capacity = entries_for(bits);
    size_t place = bits <= 7 ? 1 : bits <= 15 ? 2 : 4, index = ((size_t)1 << bits) * place;
    size_t bytes = sizeof(tally_table) + capacity * sizeof(tally_entry) + index;
    tally_table *table = tally_memory_alloc(TALLY_RAW, bytes);
    if (!table) return NULL;
    table->array.bytes = bytes;
    table->capacity = capacity;
    table->bits = bits;
    table->serial = (uint64_t)tally_self.id << 48 | ++serial;
    atomic_store_explicit(&table->used, 0, memory_order_relaxed);
    atomic_store_explicit(&table->live, 0, memory_order_relaxed);
    atomic_store_explicit(&table->changes, 0, memory_order_relaxed);
    memset(index_of(table), 0xff, index); /* all empty */
    return table;
}

static uint32_t used_of(tally_table *table) { return atomic_load_explicit(&table->used, memory_order_relaxed); }
static uint32_t live_of(tally_table *table) { return atomic_load_explicit(&table->live, memory_order_relaxed); }
static void set_u32(_Atomic uint32_t *at, uint32_t value) { atomic_store_explicit(at, value, memory_order_relaxed); }

static void discard(tally_table *table, unsigned token, size_t more) {
    if (!table) return;
    if (tally_is_private(token)) tally_table_reclaim(&table->array.retired);
    else tally_retire(&table->array.retired, TALLY_RETIRED_TABLE, table->array.bytes + more);
}

/* What waits with a reference to a key, if that is the last. */
static size_t key_bytes(tally_object *key) { return !key || tally_counts_is_immortal(&key->counts) ? 0 : tally_memory_size(key); }

/* Nobody reads it any more. Keys left behind by a removal or a clear are dropped;
 * entries with a value have moved on to the next table, references and all. */
void tally_table_reclaim(tally_retired *node) {
    tally_table *table = (tally_table *)node;
    for (uint32_t i = 0; i < used_of(table); i++)
        if (!atomic_load_explicit(&table->entries[i].value, memory_order_relaxed)) tally_xdecref(atomic_load_explicit(&table->entries[i].key, memory_order_relaxed));
    tally_memory_free(TALLY_RAW, table);
}

/* ---- looking up --------------------------------------------------------- */

enum found { MISSING, FOUND, UNSURE /* foreign code has to compare */ };

static inline enum found same_key(tally_object *a, tally_object *b) {
    if (a == b) return FOUND;
    if (a->type != b->type) return a->type == TALLY_TYPE_STR || b->type == TALLY_TYPE_STR ? MISSING : UNSURE;
    if (a->type == TALLY_TYPE_STR) {
        tally_str *x = (tally_str *)a, *y = (tally_str *)b;
        return x->length == y->length && memcmp(x->data, y->data, x->length) == 0 ? FOUND : MISSING;
    }
    if (a->type == TALLY_TYPE_INT) return ((tally_int *)a)->value == ((tally_int *)b)->value ? FOUND : MISSING;
    return UNSURE;
}

/* From *place on. FOUND, UNSURE: *entry is the entry, *place its place. */
static inline enum found search(tally_table *table, tally_object *key, int64_t hash, uint32_t *place, int32_t *entry) {
    for (uint32_t i = *place;; i = next_place(table, i)) {
        int32_t e = place_get(table, i);
        if (e == PLACE_EMPTY) return MISSING;
        if (e == PLACE_DUMMY || table->entries[e].hash != hash) continue;
        /* acquire: pairs with the release of the removal and with publishing the key */
        tally_object *other = atomic_load_explicit(&table->entries[e].key, memory_order_acquire);
        enum found found = other ? same_key(key, other) : MISSING;
        if (found == MISSING) continue;
        *place = i;
        *entry = e;
        return found;
    }
}

static inline int64_t hash_of(tally_object *key) {
    return TALLY_LIKELY(key->type == TALLY_TYPE_STR) ? (int64_t)tally_str_hash((tally_str *)key) : tally_hash_known(key);
}

/*
 * Takes the lock and finds the key. Returns with the lock held: the entry, or -1
 * for missing; or -2 and an error, the lock let go. *held is to be dropped once
 * the lock is let go: a key that was compared, kept so that its address stays its.
 */
static int32_t lock_and_find(tally_object *holder, tally_table_place *where, tally_object *key, int64_t hash, unsigned *token, tally_object **held) {
    *held = NULL;
    *token = tally_lock_object(holder);
again:;
    tally_table *table = atomic_load_explicit(where, memory_order_relaxed);
    if (!table) return -1;
    int32_t entry;
    for (uint32_t place = first_place(table, hash);; place = next_place(table, place)) {
        enum found found = search(table, key, hash, &place, &entry);
        if (TALLY_LIKELY(found != UNSURE)) return found == FOUND ? entry : -1;
        uint64_t serial = table->serial;
        tally_object *other = tally_slot_locked_read(&table->entries[entry].key);
        tally_unlock_object(holder, *token);
        tally_xdecref(*held);
        *held = other;
        int equal = tally_equal(other, key);
        if (equal < 0) { tally_decref(other); *held = NULL; return -2; }
        *token = tally_lock_object(holder);
        if (atomic_load_explicit(where, memory_order_relaxed) != table || table->serial != serial ||
            atomic_load_explicit(&table->entries[entry].key, memory_order_relaxed) != other) goto again;
        if (equal) return entry;
    }
}

static tally_object *get_locked(tally_object *holder, tally_table_place *where, tally_object *key, int64_t hash, int *error) {
    TALLY_DETAIL(reads_locked);
    unsigned token;
    tally_object *held, *value = NULL;
    int32_t entry = lock_and_find(holder, where, key, hash, &token, &held);
    if (entry == -2) { *error = -1; return NULL; }
    if (entry >= 0) value = tally_slot_locked_read(&atomic_load_explicit(where, memory_order_relaxed)->entries[entry].value);
    tally_unlock_object(holder, token);
    tally_xdecref(held);
    return value;
}

static __attribute__((noinline)) tally_borrowed borrow_locked(tally_object *holder, tally_table_place *where, tally_object *key) {
    bool held;
    int error;
    if (!tally_borrow_secure(holder, &held)) return (tally_borrowed){ 0 };
    return tally_borrow_keep(holder, held, tally_table_get(holder, where, key, &error));
}

/* NULL: missing, or *error -1. */
tally_object *tally_table_get(tally_object *holder, tally_table_place *where, tally_object *key, int *error) {
    TALLY_ENDS_BORROWS();
    int64_t hash = hash_of(key);
    *error = 0;
    if (TALLY_UNLIKELY(hash == -1)) { *error = -1; return NULL; }
    if (TALLY_UNLIKELY(!tally_may_read_unlocked(holder))) return get_locked(holder, where, key, hash, error);
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = atomic_load_explicit(where, memory_order_acquire);
    if (!table) return NULL;
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    if (found == MISSING) return NULL;
    if (TALLY_LIKELY(found == FOUND)) {
        tally_object *value = tally_slot_try_read(&table->entries[entry].value);
        if (TALLY_LIKELY(value != NULL)) {
            if (TALLY_LIKELY(!tally_unlocked_recheck || atomic_load_explicit(where, memory_order_acquire) == table)) {
                TALLY_DETAIL(reads_unlocked);
                return value;
            }
            tally_decref(value);
        }
    }
    return get_locked(holder, where, key, hash, error);
}

static int contains_locked(tally_object *holder, tally_table_place *where, tally_object *key, int64_t hash) {
    TALLY_DETAIL(reads_locked);
    unsigned token;
    tally_object *held;
    int32_t entry = lock_and_find(holder, where, key, hash, &token, &held);
    if (entry == -2) return -1;
    tally_unlock_object(holder, token);
    tally_xdecref(held);
    return entry >= 0;
}

/* The key was there when its value was, in a table that was still current after. */
int tally_table_contains(tally_object *holder, tally_table_place *where, tally_object *key) {
    int64_t hash = hash_of(key);
    if (TALLY_UNLIKELY(hash == -1)) return -1;
    if (TALLY_UNLIKELY(!tally_may_read_unlocked(holder))) return contains_locked(holder, where, key, hash);
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = atomic_load_explicit(where, memory_order_acquire);
    if (!table) return 0;
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    TALLY_POINT(contains_found);
    if (found == MISSING) return 0;
    /* acquire: before the second look at the table */
    if (found == UNSURE || !atomic_load_explicit(&table->entries[entry].value, memory_order_acquire)) return contains_locked(holder, where, key, hash);
    TALLY_POINT(contains_value);
    if (tally_unlocked_recheck && TALLY_UNLIKELY(atomic_load_explicit(where, memory_order_relaxed) != table)) return contains_locked(holder, where, key, hash);
    TALLY_DETAIL(reads_unlocked);
    return 1;
}

/* Of no object: missing, or an error. */
tally_borrowed tally_table_borrow(tally_object *holder, tally_table_place *where, tally_object *key) {
    TALLY_ENDS_BORROWS();
    /* A key that is hashed or compared by foreign code goes the other way: the holder is held meanwhile. */
    bool simple = key->type == TALLY_TYPE_STR || key->type == TALLY_TYPE_INT;
    if (TALLY_UNLIKELY(!simple || !tally_may_read_unlocked(holder))) return borrow_locked(holder, where, key);
    int64_t hash = hash_of(key);
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = atomic_load_explicit(where, memory_order_acquire);
    if (!table) return (tally_borrowed){ 0 };
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    if (found == MISSING) return (tally_borrowed){ 0 };
    if (TALLY_LIKELY(found == FOUND)) {
        TALLY_POINT(borrow_loaded);
        tally_object *value = tally_slot_try_borrow(&table->entries[entry].value);
        if (TALLY_LIKELY(value != NULL) && TALLY_LIKELY(!tally_unlocked_recheck || atomic_load_explicit(where, memory_order_acquire) == table)) {
            TALLY_DETAIL(reads_unlocked);
            return tally_borrow_of(value);
        }
    }
    return borrow_locked(holder, where, key);
}

ptrdiff_t tally_table_find_index(tally_table *table, tally_object *key) {
    int64_t hash = hash_of(key);
    uint32_t place = first_place(table, hash);
    int32_t entry;
    if (search(table, key, hash, &place, &entry) != FOUND) return -1;
    return (ptrdiff_t)((tally_int *)atomic_load_explicit(&table->entries[entry].value, memory_order_relaxed))->value;
}

/* ---- changing ----------------------------------------------------------- */

static void append_entry(tally_table *table, tally_object *key, int64_t hash, tally_object *value) {
    uint32_t place = first_place(table, hash), used = used_of(table);
    while (place_get(table, place) >= 0) place = next_place(table, place);
    tally_entry *entry = &table->entries[used];
    entry->hash = hash;
    atomic_store_explicit(&entry->key, key, memory_order_relaxed);
    atomic_store_explicit(&entry->value, value, memory_order_relaxed);
    /* release: pairs with the acquire of a walk without the lock (dict.c) */
    atomic_store_explicit(&table->used, used + 1, memory_order_release);
    set_u32(&table->live, live_of(table) + 1);
    place_set(table, place, (int32_t)used); /* publishes it */
}

/* Lock held: a table with room for one more; 0 or -1 without an error set. */
static int make_room(tally_table_place *where, unsigned token) {
    tally_table *old = atomic_load_explicit(where, memory_order_relaxed);
    if (old && used_of(old) < old->capacity) return 0;
    uint32_t bits = MIN_BITS, want = old ? live_of(old) * 2 + 1 : 1;
    while (entries_for(bits) < want && bits < 31) bits++;
    tally_table *table = bits < 31 ? table_new(bits) : NULL;
    if (!table) return -1;
    if (old) {
        for (uint32_t i = 0; i < used_of(old); i++) {
            tally_object *value = atomic_load_explicit(&old->entries[i].value, memory_order_relaxed);
            if (value) append_entry(table, atomic_load_explicit(&old->entries[i].key, memory_order_relaxed), old->entries[i].hash, value);
        }
        set_u32(&table->changes, atomic_load_explicit(&old->changes, memory_order_relaxed));
    }
    /* release: pairs with the acquire of readers without the lock */
    atomic_store_explicit(where, table, memory_order_release);
    /* A private table has no removed keys left behind: its memory is all there is to give back. */
    if (old && tally_is_private(token)) tally_memory_free(TALLY_RAW, old);
    else discard(old, token, 0);
    return 0;
}

static void count_change(tally_table *table) { set_u32(&table->changes, atomic_load_explicit(&table->changes, memory_order_relaxed) + 1); }

int tally_table_put(tally_object *holder, tally_table_place *where, tally_object *key, tally_object *value, bool replace, tally_object **existing) {
    int64_t hash = hash_of(key);
    if (hash == -1) return -1;
    unsigned token;
    tally_object *held, *old = NULL;
    tally_incref(value);
    int32_t found = lock_and_find(holder, where, key, hash, &token, &held);
    if (found == -2) { tally_decref(value); return -1; }
    int result = 0;
    if (found >= 0) {
        tally_slot *slot = &atomic_load_explicit(where, memory_order_relaxed)->entries[found].value;
        if (existing) *existing = tally_slot_locked_read(slot);
        old = replace ? atomic_load_explicit(slot, memory_order_relaxed) : value;
        if (replace) tally_hand_out_in(holder, token, value);
        /* release: pairs with the acquire of readers without the lock */
        if (replace) atomic_store_explicit(slot, value, memory_order_release);
    } else if ((result = make_room(where, token)) == 0) {
        tally_table *table = atomic_load_explicit(where, memory_order_relaxed);
        tally_incref(key);
        tally_hand_out_in(holder, token, value);
        count_change(table);
        append_entry(table, key, hash, value);
        if (existing) { tally_incref(value); *existing = value; }
    } else {
        old = value;
    }
    tally_unlock_object(holder, token);
    tally_xdecref(old);
    tally_xdecref(held);
    return result == 0 ? 0 : tally_no_memory();
}

int tally_table_set(tally_object *holder, tally_table_place *where, tally_object *key, tally_object *value) {
    return tally_table_put(holder, where, key, value, true, NULL);
}

/* Lock held: takes the entry out; gives its value, and its key if it may be dropped at once. */
static tally_object *take_out(tally_table *table, int32_t entry, unsigned token, tally_object **key) {
    tally_entry *e = &table->entries[entry];
    uint32_t place = first_place(table, e->hash);
    while (place_get(table, place) != entry) place = next_place(table, place);
    tally_object *value = atomic_load_explicit(&e->value, memory_order_relaxed);
    count_change(table);
    /* release: pairs with the acquire of a walk without the lock, which then sees the change counted */
    atomic_store_explicit(&e->value, NULL, memory_order_release);
    place_set(table, place, PLACE_DUMMY);
    set_u32(&table->live, live_of(table) - 1);
    *key = atomic_load_explicit(&e->key, memory_order_relaxed);
    if (tally_is_private(token)) {
        atomic_store_explicit(&e->key, NULL, memory_order_release);
        return value;
    }
    /* A reader may be comparing with it. Without memory to note it, it stays until the table goes. */
    tally_retired_reference *later = tally_memory_alloc(TALLY_RAW, sizeof *later);
    if (later) {
        later->object = *key;
        atomic_store_explicit(&e->key, NULL, memory_order_release);
        tally_retire(&later->retired, TALLY_RETIRED_REFERENCE, sizeof *later + key_bytes(*key));
    }
    *key = NULL;
    return value;
}

int tally_table_delete(tally_object *holder, tally_table_place *where, tally_object *key) {
    int64_t hash = hash_of(key);
    if (hash == -1) return -1;
    unsigned token;
    tally_object *held, *old_key = NULL, *old_value = NULL;
    int32_t found = lock_and_find(holder, where, key, hash, &token, &held);
    if (found == -2) return -1;
    if (found >= 0) old_value = take_out(atomic_load_explicit(where, memory_order_relaxed), found, token, &old_key);
    tally_unlock_object(holder, token);
    tally_xdecref(old_key);
    tally_xdecref(old_value);
    tally_xdecref(held);
    return found >= 0;
}

void tally_table_clear(tally_object *holder, tally_table_place *where) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = atomic_load_explicit(where, memory_order_relaxed);
    atomic_store_explicit(where, NULL, memory_order_release);
    tally_unlock_object(holder, token);
    size_t bytes = 0;
    for (uint32_t i = 0; table && i < used_of(table); i++) {
        tally_object *value = atomic_load_explicit(&table->entries[i].value, memory_order_relaxed);
        bytes += key_bytes(atomic_load_explicit(&table->entries[i].key, memory_order_relaxed));
        atomic_store_explicit(&table->entries[i].value, NULL, memory_order_release);
        tally_xdecref(value);
    }
    discard(table, token, bytes); /* and its keys with it */
}

/* ---- death and the collector's view ------------------------------------- */

void tally_table_traverse(tally_table *table, tally_visit visit, void *context) {
    for (uint32_t i = 0; i < used_of(table); i++) {
        tally_object *key = atomic_load_explicit(&table->entries[i].key, memory_order_relaxed);
        tally_object *value = atomic_load_explicit(&table->entries[i].value, memory_order_relaxed);
        if (key) visit(key, context);
        if (value) visit(value, context);
    }
}

/* From the last entry down, value before key; what is gone is NULL. */
tally_object **tally_table_current_child(tally_table *table) {
    for (; used_of(table); set_u32(&table->used, used_of(table) - 1)) {
        tally_entry *entry = &table->entries[used_of(table) - 1];
        if (atomic_load_explicit(&entry->value, memory_order_relaxed)) return (tally_object **)&entry->value;
        if (atomic_load_explicit(&entry->key, memory_order_relaxed)) return (tally_object **)&entry->key;
    }
    return NULL;
}
tally_object **tally_table_next_child(tally_table *table) { return tally_table_current_child(table); }

void tally_table_forget(tally_table *table) { set_u32(&table->used, 0); }
void tally_table_free(tally_table *table) {
    for (tally_object **child; (child = tally_table_current_child(table)); *child = NULL) tally_decref(*child);
    tally_memory_free(TALLY_RAW, table);
}

size_t tally_table_bytes(tally_table *table) { return table->array.bytes; }
