/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * table.c: the hash table of dicts, of instances without slots, and of classes. It is compact and
 * keeps the order of insertion (Hettinger 2012): an index of small integers points into an array of
 * entries, which are filled in order.
 *
 * Writers hold the lock of the holder. A reader without it relies on this
 * (docs/design/lock-free-reads.md):
 *  - An entry is filled once, published by its index place (release), and never used for another
 *    key. An index place goes from empty to an entry to dummy, and a dummy may become another
 *    entry.
 *  - A removed key is dropped after a grace period, since its bytes may be compared without a
 *    reference. A removed value is dropped at once: a reader takes a reference or fails.
 *  - A replaced table waits for a grace period. The capacity is in the table, so that index and
 *    entries always fit each other. A reader that finds a value takes a reference and rechecks:
 *    same table, same value. A reader that meets an empty place may say "missing": the key was not
 *    in the table while that was current.
 *
 * Keys are compared in place while neither can run foreign code: numbers, strs, None, tuples of
 * these (down to a bound), and objects that equal only themselves. Any other comparison happens
 * without the lock. After it, the search goes on only if the version of the table is the same; else
 * it starts again with the results that it has.
 *
 * Each change of the set of keys gives the table the next version. The versions of a table are a
 * range that its thread slot has given to no other table: 16 bits of slot number above 48 bits that
 * only grow, also from one thread of the slot to the next. So the same version means the same table
 * with the same keys.
 */
#include "table.h"
#include "abstract.h"

enum { MIN_BITS = 3 };
enum { PLACE_EMPTY = -1, PLACE_DUMMY = -2 };

/* ---- the index ---------------------------------------------------------- */

static void *index_of(const tally_table *table) { return (void *)&table->entries[table->capacity]; }
static uint32_t places(const tally_table *table) { return UINT32_C(1) << table->bits; }
static uint32_t entries_for(uint32_t bits) {
    return (UINT32_C(1) << bits) / 3 * 2 + (bits == MIN_BITS);
}

static inline int32_t place_get(const tally_table *table, uint32_t i) {
    /* acquire: pairs with the release of place_set: the entry is filled */
    if (table->bits <= 7) return tally_load_acquire(&((_Atomic int8_t *)index_of(table))[i]);
    if (table->bits <= 15) return tally_load_acquire(&((_Atomic int16_t *)index_of(table))[i]);
    return tally_load_acquire(&((_Atomic int32_t *)index_of(table))[i]);
}
static void place_set(tally_table *table, uint32_t i, int32_t entry) {
    /* release: pairs with the acquire of place_get */
    if (table->bits <= 7)
        tally_store_release(&((_Atomic int8_t *)index_of(table))[i], (int8_t)entry);
    else if (table->bits <= 15)
        tally_store_release(&((_Atomic int16_t *)index_of(table))[i], (int16_t)entry);
    else
        tally_store_release(&((_Atomic int32_t *)index_of(table))[i], entry);
}
/* Fibonacci hashing: spreads the many equal low bits of ints. */
static inline uint32_t first_place(const tally_table *table, int64_t hash) {
    return (uint32_t)(((uint64_t)hash * UINT64_C(0x9e3779b97f4a7c15)) >> (64 - table->bits));
}
static inline uint32_t next_place(const tally_table *table, uint32_t i) {
    return (i + 1) & (places(table) - 1);
}

static tally_table *table_new(uint32_t bits) {
    uint32_t capacity = entries_for(bits);
    size_t place = bits <= 7 ? 1 : bits <= 15 ? 2 : 4, index = ((size_t)1 << bits) * place;
    size_t bytes = sizeof(tally_table) + capacity * sizeof(tally_entry) + index;
    tally_table *table = tally_memory_alloc(TALLY_RAW, bytes);
    if (!table) return NULL;
    table->array.bytes = bytes;
    table->capacity = capacity;
    table->bits = bits;
    tally_thread_state *thread = tally_thread_current();
    tally_store_relaxed(&table->version, (uint64_t)tally_self.id << 48 | thread->table_versions);
    thread->table_versions += TALLY_TABLE_VERSIONS(capacity);
    tally_store_relaxed(&table->used, 0);
    tally_store_relaxed(&table->live, 0);
    tally_store_relaxed(&table->first, 0);
    memset(index_of(table), 0xff, index); /* all empty */
    return table;
}

static uint32_t used_of(tally_table *table) { return tally_load_relaxed(&table->used); }
static uint32_t live_of(tally_table *table) { return tally_load_relaxed(&table->live); }
static uint64_t version_of(tally_table *table) { return tally_load_relaxed(&table->version); }
static void set_u32(_Atomic uint32_t *at, uint32_t value) { tally_store_relaxed(at, value); }

static void discard(tally_table *table, unsigned token, size_t more) {
    if (!table) return;
    if (tally_is_private(token))
        tally_table_reclaim(&table->array.retired);
    else
        tally_retire(&table->array.retired, TALLY_RETIRED_TABLE, table->array.bytes + more);
}

/* The bytes that wait with a removed key, if its reference is the last. */
static size_t key_bytes(tally_object *key) {
    return !key || tally_refcount_is_immortal(&key->refcount) ? 0 : tally_memory_size(key);
}

/* No thread reads the table any more. It drops the keys that a removal or a clear has left; entries
 * with a value have moved to the next table, references and all. */
void tally_table_reclaim(tally_retired *node) {
    tally_table *table = (tally_table *)node;
    for (uint32_t i = 0; i < used_of(table); i++)
        if (!tally_load_relaxed(&table->entries[i].value))
            tally_xdecref(tally_load_relaxed(&table->entries[i].key));
    tally_memory_free(TALLY_RAW, table);
}

/* ---- looking up --------------------------------------------------------- */

enum found { MISSING, FOUND, UNSURE /* foreign code has to compare */ };

/* Bounds of the comparison of two keys in place. */
enum { KEY_DEPTH = 8, KEY_PARTS = 256 };

static bool is_plain_value(uint16_t type) {
    return type <= TALLY_TYPE_TUPLE && type != TALLY_TYPE_TYPE;
}

/* The objects are not the same, nor both tuples. */
static enum found same_part(tally_object *a, tally_object *b) {
    if (a->type == TALLY_TYPE_STR && b->type == TALLY_TYPE_STR)
        return tally_str_equal(a, b) ? FOUND : MISSING;
    if (tally_is_number(a) && tally_is_number(b)) return tally_number_equal(a, b) ? FOUND : MISSING;
    /* Built-in values are compared here, and an object without `equal` equals only itself. */
    bool foreign_a = !is_plain_value(a->type) && tally_type_entry(a)->equal;
    bool foreign_b = !is_plain_value(b->type) && tally_type_entry(b)->equal;
    return foreign_a || foreign_b ? UNSURE : MISSING;
}

/* Bounded by the depth and *parts, whatever the keys are. */
static enum found same_value(tally_object *a, tally_object *b, unsigned depth, unsigned *parts) {
    if (a == b) return FOUND;
    if (*parts == 0) return UNSURE;
    --*parts;
    if (a->type != TALLY_TYPE_TUPLE || b->type != TALLY_TYPE_TUPLE) return same_part(a, b);
    tally_tuple *x = (tally_tuple *)a, *y = (tally_tuple *)b;
    if (x->length != y->length) return MISSING;
    if (depth == KEY_DEPTH) return UNSURE;
    enum found found = FOUND;
    for (ptrdiff_t i = 0; found == FOUND && i < x->length; i++)
        found = same_value(x->items[i], y->items[i], depth + 1, parts);
    return found;
}
static __attribute__((noinline)) enum found same_other_key(tally_object *a, tally_object *b) {
    unsigned parts = KEY_PARTS;
    return same_value(a, b, 1, &parts);
}

static inline enum found same_key(tally_object *a, tally_object *b) {
    if (a == b) return FOUND;
    if (a->type != b->type) return same_other_key(a, b);
    if (a->type == TALLY_TYPE_STR) {
        tally_str *x = (tally_str *)a, *y = (tally_str *)b;
        return x->length == y->length && memcmp(x->data, y->data, x->length) == 0 ? FOUND : MISSING;
    }
    if (a->type == TALLY_TYPE_INT)
        return ((tally_int *)a)->value == ((tally_int *)b)->value ? FOUND : MISSING;
    return same_other_key(a, b);
}

/* The key can be hashed without foreign code. */
static bool is_plain_key(tally_object *key, unsigned depth, unsigned *parts) {
    if (!is_plain_value(key->type) || *parts == 0) return false;
    --*parts;
    if (key->type != TALLY_TYPE_TUPLE) return true;
    if (depth == KEY_DEPTH) return false;
    tally_tuple *tuple = (tally_tuple *)key;
    for (ptrdiff_t i = 0; i < tuple->length; i++)
        if (!is_plain_key(tuple->items[i], depth + 1, parts)) return false;
    return true;
}
static __attribute__((noinline)) bool is_other_plain_key(tally_object *key) {
    unsigned parts = KEY_PARTS;
    return is_plain_key(key, 1, &parts);
}

/* Searches from *place on. FOUND, UNSURE: *entry is the entry, *place its place. */
static inline enum found search(tally_table *table, tally_object *key, int64_t hash,
                                uint32_t *place, int32_t *entry) {
    for (uint32_t i = *place;; i = next_place(table, i)) {
        int32_t e = place_get(table, i);
        if (e == PLACE_EMPTY) return MISSING;
        if (e == PLACE_DUMMY || table->entries[e].hash != hash) continue;
        /* acquire: pairs with the releases that publish the key and remove it */
        tally_object *other = tally_load_acquire(&table->entries[e].key);
        enum found found = other ? same_key(key, other) : MISSING;
        if (found == MISSING) continue;
        *place = i;
        *entry = e;
        return found;
    }
}

static inline int64_t hash_of(tally_object *key) {
    return TALLY_LIKELY(key->type == TALLY_TYPE_STR) ? (int64_t)tally_str_hash((tally_str *)key)
                                                     : tally_hash_known(key);
}

/* The keys that foreign code has compared with the key of the search, and its answers. The
 * references keep other objects from these addresses; they are dropped after the unlock. */
typedef struct compared {
    tally_object *key;
    bool equal;
} compared;
typedef struct compared_keys {
    /* In a search that started again, the key that probably comes next. */
    unsigned count, capacity, next;
    bool again; /* the search started again; set by the first comparison */
    compared *at, room[4];
} compared_keys;

static __attribute__((noinline)) void drop_compared_slow(compared_keys *keys) {
    for (unsigned i = 0; i < keys->count; i++) tally_decref(keys->at[i].key);
    if (keys->at != keys->room) free(keys->at);
}
static inline void drop_compared(compared_keys *keys) {
    if (TALLY_UNLIKELY(keys->count > 0)) drop_compared_slow(keys);
}

/* Room for one more; false: no memory. */
static bool compared_reserve(compared_keys *keys) {
    if (keys->count == 0) {
        keys->at = keys->room;
        keys->capacity = sizeof keys->room / sizeof *keys->room;
        keys->again = false;
    }
    if (keys->count < keys->capacity) return true;
    bool in_room = keys->at == keys->room;
    compared *grown = realloc(in_room ? NULL : keys->at, 2 * keys->capacity * sizeof *grown);
    if (!grown) return false;
    if (in_room) memcpy(grown, keys->room, sizeof keys->room);
    keys->at = grown;
    keys->capacity *= 2;
    return true;
}

static const compared *compared_find(compared_keys *keys, tally_object *key) {
    if (keys->count == 0 || !keys->again) return NULL;
    for (unsigned i = 0; i < keys->count; i++) {
        compared *c = &keys->at[keys->next];
        keys->next = keys->next + 1 < keys->count ? keys->next + 1 : 0;
        if (c->key == key) return c;
    }
    return NULL;
}

/* Foreign code compares the key with another. The lock is held at first and again at the end. -1
 * and an error: it is not held. */
static __attribute__((noinline)) int compare_unlocked(tally_object *holder, unsigned *token,
                                                      tally_object *other, tally_object *key,
                                                      compared_keys *keys) {
    tally_refcount_set_maybe_shared(&other->refcount);
    tally_incref(other);
    tally_unlock_object(holder, *token);
    TALLY_FAILPOINT(table_compares);
    if (!compared_reserve(keys)) {
        tally_decref(other);
        drop_compared(keys);
        return tally_no_memory();
    }
    compared *c = &keys->at[keys->count++];
    *c = (compared){.key = other};
    int equal = tally_equal(other, key);
    if (equal < 0) {
        drop_compared(keys);
        return -1;
    }
    c->equal = equal;
    *token = tally_lock_object(holder);
    return equal;
}

/* The rest of lock_and_find where foreign code has to compare. */
static __attribute__((noinline)) int32_t find_by_foreign(tally_object *holder,
                                                         tally_table_place *where,
                                                         tally_object *key, int64_t hash,
                                                         unsigned *token, compared_keys *keys) {
again:;
    tally_table *table = tally_load_relaxed(where);
    if (!table) return -1;
    int32_t entry = -1;
    for (uint32_t place = first_place(table, hash);; place = next_place(table, place)) {
        enum found found = search(table, key, hash, &place, &entry);
        if (found != UNSURE) return found == FOUND ? entry : -1;
        tally_object *other = tally_load_relaxed(&table->entries[entry].key);
        const compared *before = compared_find(keys, other);
        if (before && before->equal) return entry;
        if (before) continue;
        uint64_t version = version_of(table);
        int equal = compare_unlocked(holder, token, other, key, keys);
        if (equal < 0) return -2;
        /* a table that is not current may be gone */
        if (tally_load_relaxed(where) != table || version_of(table) != version) {
            keys->again = true;
            keys->next = 0;
            goto again;
        }
        if (equal) return entry;
    }
}

/* Takes the lock and finds the key. The entry, or -1: missing, with the lock held; or -2 and an
 * error, without it. After the unlock the caller calls drop_compared. */
static inline int32_t lock_and_find(tally_object *holder, tally_table_place *where,
                                    tally_object *key, int64_t hash, unsigned *token,
                                    compared_keys *keys) {
    keys->count = 0;
    *token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    if (!table) return -1;
    int32_t entry = -1;
    uint32_t place = first_place(table, hash);
    enum found found = search(table, key, hash, &place, &entry);
    if (TALLY_LIKELY(found != UNSURE)) return found == FOUND ? entry : -1;
    return find_by_foreign(holder, where, key, hash, token, keys);
}

static __attribute__((noinline)) tally_object *get_locked(tally_object *holder,
                                                          tally_table_place *where,
                                                          tally_object *key, int64_t hash,
                                                          int *error) {
    TALLY_DETAIL(reads_locked);
    unsigned token;
    compared_keys keys;
    tally_object *value = NULL;
    int32_t entry = lock_and_find(holder, where, key, hash, &token, &keys);
    if (entry == -2) {
        *error = -1;
        return NULL;
    }
    if (entry >= 0)
        value = tally_slot_locked_read(&tally_load_relaxed(where)->entries[entry].value);
    tally_unlock_object(holder, token);
    drop_compared(&keys);
    return value;
}

tally_object *tally_table_get_hashed(tally_object *holder, tally_table_place *where,
                                     tally_object *key, int64_t hash, int *error) {
    *error = 0;
    return get_locked(holder, where, key, hash, error);
}

static __attribute__((noinline)) tally_borrowed borrow_locked(tally_object *holder,
                                                              tally_table_place *where,
                                                              tally_object *key) {
    bool held;
    int error;
    if (!tally_borrow_secure(holder, &held)) return (tally_borrowed){0};
    return tally_borrow_keep(holder, held, tally_table_get(holder, where, key, &error));
}

tally_object *tally_table_get(tally_object *holder, tally_table_place *where, tally_object *key,
                              int *error) {
    TALLY_ENDS_BORROWS();
    int64_t hash = hash_of(key);
    *error = 0;
    if (TALLY_UNLIKELY(hash == -1)) {
        *error = -1;
        return NULL;
    }
    if (TALLY_UNLIKELY(!tally_may_read_unlocked(holder)))
        return get_locked(holder, where, key, hash, error);
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = tally_load_acquire(where);
    if (!table) return NULL;
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    if (found == MISSING) return NULL;
    if (TALLY_LIKELY(found == FOUND)) {
        tally_object *value = tally_slot_try_read(&table->entries[entry].value);
        TALLY_FAILPOINT(table_read);
        if (TALLY_LIKELY(value != NULL)) {
            if (TALLY_LIKELY(!TALLY_LOCK_FREE_READS || tally_load_acquire(where) == table)) {
                TALLY_DETAIL(reads_unlocked);
                return value;
            }
            tally_drop_later(value); /* tally_get_attr is plain */
        }
    }
    return get_locked(holder, where, key, hash, error);
}

static __attribute__((noinline)) int contains_locked(tally_object *holder, tally_table_place *where,
                                                     tally_object *key, int64_t hash) {
    TALLY_DETAIL(reads_locked);
    unsigned token;
    compared_keys keys;
    int32_t entry = lock_and_find(holder, where, key, hash, &token, &keys);
    if (entry == -2) return -1;
    tally_unlock_object(holder, token);
    drop_compared(&keys);
    return entry >= 0;
}

/* The key was there while its value was, in a table that was still current afterwards. */
int tally_table_contains(tally_object *holder, tally_table_place *where, tally_object *key) {
    int64_t hash = hash_of(key);
    if (TALLY_UNLIKELY(hash == -1)) return -1;
    if (TALLY_UNLIKELY(!tally_may_read_unlocked(holder)))
        return contains_locked(holder, where, key, hash);
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = tally_load_acquire(where);
    if (!table) return 0;
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    TALLY_FAILPOINT(contains_found);
    if (found == MISSING) return 0;
    /* acquire: before the recheck of the table */
    if (found == UNSURE || !tally_load_acquire(&table->entries[entry].value))
        return contains_locked(holder, where, key, hash);
    TALLY_FAILPOINT(contains_value);
    if (TALLY_LOCK_FREE_READS && TALLY_UNLIKELY(tally_load_relaxed(where) != table))
        return contains_locked(holder, where, key, hash);
    TALLY_DETAIL(reads_unlocked);
    return 1;
}

tally_borrowed tally_table_borrow(tally_object *holder, tally_table_place *where,
                                  tally_object *key) {
    TALLY_ENDS_BORROWS();
    /* Foreign code may hash any other key: the lock path holds the holder meanwhile. */
    bool simple =
        key->type == TALLY_TYPE_STR || key->type == TALLY_TYPE_INT || is_other_plain_key(key);
    if (TALLY_UNLIKELY(!simple || !tally_may_read_unlocked(holder)))
        return borrow_locked(holder, where, key);
    int64_t hash = hash_of(key);
    if (TALLY_UNLIKELY(hash == -1)) return (tally_borrowed){0}; /* nested too deep */
    /* acquire: pairs with the release of publishing a table */
    tally_table *table = tally_load_acquire(where);
    if (!table) return (tally_borrowed){0};
    uint32_t place = first_place(table, hash);
    int32_t entry;
    enum found found = search(table, key, hash, &place, &entry);
    if (found == MISSING) return (tally_borrowed){0};
    if (TALLY_LIKELY(found == FOUND)) {
        TALLY_FAILPOINT(borrow_loaded);
        tally_object *value = tally_slot_try_borrow(&table->entries[entry].value);
        if (TALLY_LIKELY(value != NULL) &&
            TALLY_LIKELY(!TALLY_LOCK_FREE_READS || tally_load_acquire(where) == table)) {
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
    return (ptrdiff_t)((tally_int *)tally_load_relaxed(&table->entries[entry].value))->value;
}

/* ---- changing ----------------------------------------------------------- */

static void append_entry(tally_table *table, tally_object *key, int64_t hash, tally_object *value) {
    uint32_t place = first_place(table, hash), used = used_of(table);
    while (place_get(table, place) >= 0) place = next_place(table, place);
    tally_entry *entry = &table->entries[used];
    entry->hash = hash;
    tally_store_relaxed(&entry->key, key);
    tally_store_relaxed(&entry->value, value);
    /* release: pairs with the acquire of a walk without the lock (dict.c) */
    tally_store_release(&table->used, used + 1);
    set_u32(&table->live, live_of(table) + 1);
    place_set(table, place, (int32_t)used); /* publishes it */
}

static tally_table *table_for(uint32_t entries) {
    uint32_t bits = MIN_BITS;
    while (entries_for(bits) < entries && bits < 31) bits++;
    return bits < 31 ? table_new(bits) : NULL;
}

/* Lock held: makes room for one more; 0, or -1 without an error set. */
static int make_room(tally_table_place *where, unsigned token) {
    tally_table *old = tally_load_relaxed(where);
    if (old && used_of(old) < old->capacity) return 0;
    tally_table *table = table_for(old ? live_of(old) * 2 + 1 : 1);
    if (!table) return -1;
    if (old) {
        for (uint32_t i = 0; i < used_of(old); i++) {
            tally_object *value = tally_load_relaxed(&old->entries[i].value);
            if (value)
                append_entry(table, tally_load_relaxed(&old->entries[i].key), old->entries[i].hash,
                             value);
        }
    }
    /* release: pairs with the acquire of readers without the lock */
    tally_store_release(where, table);
    /* a private table has no removed keys left to drop */
    if (old && tally_is_private(token))
        tally_memory_free(TALLY_RAW, old);
    else
        discard(old, token, 0);
    return 0;
}

/* Before the change, whose release publishes it: a thread that sees the change sees the version. */
static void count_change(tally_table *table) {
    tally_store_relaxed(&table->version, version_of(table) + 1);
}

int tally_table_put(tally_object *holder, tally_table_place *where, tally_object *key,
                    tally_object *value, bool replace, tally_object **existing) {
    int64_t hash = hash_of(key);
    if (hash == -1) return -1;
    unsigned token;
    compared_keys keys;
    tally_object *old = NULL;
    tally_incref(value);
    int32_t found = lock_and_find(holder, where, key, hash, &token, &keys);
    if (found == -2) {
        tally_decref(value);
        return -1;
    }
    int result = 0;
    if (found >= 0) {
        tally_slot *slot = &tally_load_relaxed(where)->entries[found].value;
        if (existing) *existing = tally_slot_locked_read(slot);
        old = replace ? tally_load_relaxed(slot) : value;
        if (replace) tally_make_borrowable_in(holder, token, value);
        /* release: pairs with the acquire of readers without the lock */
        if (replace) tally_store_release(slot, value);
    } else if ((result = make_room(where, token)) == 0) {
        tally_table *table = tally_load_relaxed(where);
        tally_incref(key);
        tally_make_borrowable_in(holder, token, value);
        count_change(table);
        append_entry(table, key, hash, value);
        if (existing) {
            tally_incref(value);
            *existing = value;
        }
    } else {
        old = value;
    }
    tally_unlock_object(holder, token);
    tally_xdecref(old);
    drop_compared(&keys);
    return result == 0 ? 0 : tally_no_memory();
}

int tally_table_set(tally_object *holder, tally_table_place *where, tally_object *key,
                    tally_object *value) {
    return tally_table_put(holder, where, key, value, true, NULL);
}

/* Lock held. For queues, which take the first key again and again: keeps the first live entry. */
static void move_first(tally_table *table, uint32_t entry) {
    if (entry != tally_load_relaxed(&table->first)) return;
    uint32_t used = used_of(table);
    do entry++;
    while (entry < used && !tally_load_relaxed(&table->entries[entry].value));
    /* release: pairs with the acquire of a walk without the lock, which sees removals counted */
    tally_store_release(&table->first, entry);
}

/* Lock held: removes the entry. Gives its value, and its key if that may be dropped at once. */
static tally_object *remove_entry(tally_table *table, int32_t entry, unsigned token,
                                  tally_object **key) {
    tally_entry *e = &table->entries[entry];
    uint32_t place = first_place(table, e->hash);
    while (place_get(table, place) != entry) place = next_place(table, place);
    tally_object *value = tally_load_relaxed(&e->value);
    count_change(table);
    /* release: pairs with the acquire of a walk without the lock, which sees the change counted */
    tally_store_release(&e->value, NULL);
    place_set(table, place, PLACE_DUMMY);
    set_u32(&table->live, live_of(table) - 1);
    move_first(table, (uint32_t)entry);
    *key = tally_load_relaxed(&e->key);
    if (tally_is_private(token)) {
        tally_store_release(&e->key, NULL);
        return value;
    }
    /* A reader may be comparing with the key. Without memory it stays as long as the table. */
    tally_retired_reference *later = tally_memory_alloc(TALLY_RAW, sizeof *later);
    if (later) {
        later->object = *key;
        tally_store_release(&e->key, NULL);
        tally_retire(&later->retired, TALLY_RETIRED_REFERENCE, sizeof *later + key_bytes(*key));
    }
    *key = NULL;
    return value;
}

int tally_table_delete(tally_object *holder, tally_table_place *where, tally_object *key) {
    int64_t hash = hash_of(key);
    if (hash == -1) return -1;
    unsigned token;
    compared_keys keys;
    tally_object *old_key = NULL, *old_value = NULL;
    int32_t found = lock_and_find(holder, where, key, hash, &token, &keys);
    if (found == -2) return -1;
    if (found >= 0) old_value = remove_entry(tally_load_relaxed(where), found, token, &old_key);
    tally_unlock_object(holder, token);
    tally_xdecref(old_key);
    tally_xdecref(old_value);
    drop_compared(&keys);
    return found >= 0;
}

void tally_table_clear(tally_object *holder, tally_table_place *where) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    tally_store_release(where, NULL);
    tally_unlock_object(holder, token);
    size_t bytes = 0;
    for (uint32_t i = 0; table && i < used_of(table); i++) {
        tally_object *value = tally_load_relaxed(&table->entries[i].value);
        bytes += key_bytes(tally_load_relaxed(&table->entries[i].key));
        tally_store_release(&table->entries[i].value, NULL);
        tally_xdecref(value);
    }
    discard(table, token, bytes); /* and its keys with it */
}

/* ---- copies and steps --------------------------------------------------- */

/* The first entry from `at` on that is not removed, or `used`. */
static uint32_t next_live(tally_table *table, uint32_t at) {
    uint32_t first = tally_load_relaxed(&table->first);
    if (at < first) at = first;
    for (; at < used_of(table) && !tally_load_relaxed(&table->entries[at].value); at++)
        TALLY_FAILPOINT(walk_skips);
    return at;
}

int tally_table_copy(tally_object *holder, tally_table_place *where, tally_table **copy) {
    *copy = NULL;
    int result = 0;
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    if (table && live_of(table) > 0) {
        *copy = table_for(live_of(table));
        if (!*copy) result = -1;
        for (uint32_t at = 0; *copy && (at = next_live(table, at)) < used_of(table); at++) {
            tally_entry *entry = &table->entries[at];
            append_entry(*copy, tally_slot_locked_read(&entry->key), entry->hash,
                         tally_slot_locked_read(&entry->value));
        }
    }
    tally_unlock_object(holder, token);
    return result;
}

tally_entry *tally_table_next_entry(tally_table *copy, uint32_t *at) {
    if (!copy) return NULL;
    *at = next_live(copy, *at);
    return *at < used_of(copy) ? &copy->entries[(*at)++] : NULL;
}

static bool same_entry(tally_entry *a, tally_entry *b) {
    return tally_load_relaxed(&a->key) == tally_load_relaxed(&b->key) &&
           tally_load_relaxed(&a->value) == tally_load_relaxed(&b->value);
}

bool tally_table_is_copy(tally_object *holder, tally_table_place *where, tally_table *copy) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    bool same = (table ? live_of(table) : 0) == (copy ? live_of(copy) : 0);
    uint32_t at = 0, in_copy = 0;
    for (tally_entry *entry; same && (entry = tally_table_next_entry(copy, &in_copy)); at++) {
        at = next_live(table, at);
        same = same_entry(&table->entries[at], entry);
    }
    tally_unlock_object(holder, token);
    return same;
}

tally_object *tally_table_find_value(tally_table *copy, tally_object *key, int64_t hash,
                                     int *error) {
    *error = 0;
    if (!copy) return NULL;
    int32_t entry = -1;
    for (uint32_t place = first_place(copy, hash);; place = next_place(copy, place)) {
        enum found found = search(copy, key, hash, &place, &entry);
        if (found == MISSING) return NULL;
        int equal =
            found == FOUND ? 1 : tally_equal(tally_load_relaxed(&copy->entries[entry].key), key);
        if (equal < 0) *error = -1;
        if (equal) return equal < 0 ? NULL : tally_load_relaxed(&copy->entries[entry].value);
    }
}

int tally_table_step(tally_object *holder, tally_table_place *where, uint32_t *at, int64_t *hash,
                     tally_object **key, tally_object **value) {
    unsigned token = tally_lock_object(holder);
    tally_table *table = tally_load_relaxed(where);
    if (table) *at = next_live(table, *at);
    bool more = table && *at < used_of(table);
    if (more) {
        tally_entry *entry = &table->entries[(*at)++];
        *hash = entry->hash;
        *key = tally_slot_locked_read(&entry->key);
        *value = tally_slot_locked_read(&entry->value);
    }
    tally_unlock_object(holder, token);
    return more;
}

/* ---- death and the collector's view ------------------------------------- */

/* From the last entry down, value before key; a child that is gone is NULL. */
static tally_object **current_child(tally_table *table) {
    for (; used_of(table); set_u32(&table->used, used_of(table) - 1)) {
        tally_entry *entry = &table->entries[used_of(table) - 1];
        if (tally_load_relaxed(&entry->value)) return (tally_object **)&entry->value;
        if (tally_load_relaxed(&entry->key)) return (tally_object **)&entry->key;
    }
    return NULL;
}
void tally_table_forget(tally_table *table) { set_u32(&table->used, 0); }
void tally_table_free(tally_table *table) {
    for (tally_object **child; (child = current_child(table)); *child = NULL) tally_decref(*child);
    tally_memory_free(TALLY_RAW, table);
}

/* ---- types whose objects have a table ------------------------------------ */

static tally_table *table_in(tally_object *object) {
    return tally_load_relaxed(tally_table_place_in(object, tally_type_entry(object)));
}
static tally_object **child_in(tally_object *object) {
    tally_table *table = table_in(object);
    return table ? current_child(table) : NULL;
}
static void release_in(tally_object *object) {
    tally_table *table = table_in(object);
    if (table) tally_table_free(table);
}
static size_t extra_size_in(tally_object *object) {
    tally_table *table = table_in(object);
    return table ? table->array.bytes : 0;
}
void tally_type_has_table(tally_type *type, size_t offset) {
    type->shape = TALLY_SHAPE_TABLE;
    type->table_offset = (uint16_t)offset;
    type->next_child = child_in;
    type->current_child = child_in;
    type->release = release_in;
    type->extra_size = extra_size_in;
}
