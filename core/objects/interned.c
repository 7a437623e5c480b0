/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * interned.c: the interned strs: at most one living str per contents.
 *
 * A table has their addresses, by hash: open addressing, a power of two of places, at most half of
 * them filled. It holds no references, so an interned str goes with its last reference.
 * docs/design/lock-free-reads.md and tests/models/intern.pml have the protocol:
 *  - The table changes under the mutex. A look-up takes no lock: it finds a str of the same
 *    contents and takes a reference by a try-incref. That fails only on a dead str, since each str
 *    was exposed before it was put there.
 *  - The thread in which a str dies takes it out before the str starts to wait for a grace period,
 *    so a look-up can read it until its next safepoint. Until it is out, another thread may put a
 *    new str of its contents in its place.
 *  - Dealloc knows an interned str at no cost for other objects: without a GIL by the flag
 *    BORROWABLE, which sends it the slow way; with a GIL by its large block, which is freed by a
 *    slow way.
 */
#include "abstract.h"

typedef struct interned_table {
    tally_array array;
    size_t capacity;
    _Atomic(tally_str *) places[]; /* NULL: never filled */
} interned_table;

static struct {
    pthread_mutex_t mutex;
    _Atomic(interned_table *) table; /* NULL: none yet */
    size_t filled, living;           /* filled counts places that are REMOVED, too */
} interned = {.mutex = PTHREAD_MUTEX_INITIALIZER};

#define REMOVED ((tally_str *)1)
enum { FEWEST_PLACES = 256 };

typedef _Atomic(tally_str *) interned_place;

/* release: pairs with the acquire of a look-up without the mutex */
static void place_store(interned_place *place, tally_str *str) { tally_store_release(place, str); }
static tally_str *place_load(interned_place *place) { return tally_load_acquire(place); }

/* The str of these contents, dead or alive; NULL: none. *place is its place, or one for it. */
static tally_str *find(interned_table *table, tally_str *str, interned_place **place) {
    *place = NULL;
    for (size_t at = tally_str_hash(str);; at++) {
        interned_place *here = &table->places[at & (table->capacity - 1)];
        tally_str *found = place_load(here);
        if (!*place && (!found || found == REMOVED)) *place = here;
        if (!found) return NULL;
        if (found == REMOVED || !tally_str_equal(&found->base, &str->base)) continue;
        *place = here;
        return found;
    }
}

/* With a new reference; NULL: there is none, or it is dead. */
static tally_str *find_living(interned_table *table, tally_str *str) {
    interned_place *place;
    tally_str *found = find(table, str, &place);
    TALLY_FAILPOINT(intern_found);
    return found && tally_refcount_try_incref(&found->base.refcount) ? found : NULL;
}

/* Mutex held: the strs move to a table with room for one more. The caller retires *old once it has
 * unlocked. -1: no memory. */
static int rebuild(interned_table **old) {
    size_t capacity = FEWEST_PLACES;
    while (capacity < 4 * (interned.living + 1)) capacity *= 2;
    size_t bytes = sizeof(interned_table) + capacity * sizeof(interned_place);
    interned_table *table = tally_memory_alloc(TALLY_RAW, bytes);
    if (!table) return -1;
    table->array.bytes = bytes;
    table->capacity = capacity;
    for (size_t i = 0; i < capacity; i++) tally_store_relaxed(&table->places[i], NULL);
    *old = tally_load_relaxed(&interned.table);
    for (size_t i = 0; *old && i < (*old)->capacity; i++) {
        tally_str *str = place_load(&(*old)->places[i]);
        if (!str || str == REMOVED) continue;
        size_t at = tally_str_hash(str);
        while (place_load(&table->places[at & (capacity - 1)])) at++;
        place_store(&table->places[at & (capacity - 1)], str);
    }
    interned.filled = interned.living;
    /* release: pairs with the acquire of a look-up without the mutex */
    tally_store_release(&interned.table, table);
    return 0;
}

static void retire(interned_table *table) {
    if (table) tally_retire(&table->array.retired, TALLY_RETIRED_ARRAY, table->array.bytes);
}

/* A copy that no other thread knows; NULL: no memory. */
static tally_str *interned_copy(tally_str *str) {
    size_t size = sizeof *str + str->length + 1;
    tally_str *copy = TALLY_LOCK_FREE_READS ? tally_memory_alloc(TALLY_PLAIN, size)
                                            : tally_memory_alloc_large(TALLY_PLAIN, size);
    if (!copy) return NULL;
    copy->base.type = TALLY_TYPE_STR;
    TALLY_DEBUG_ONLY(tally_debug_typed(&copy->base));
    tally_store_relaxed(&copy->base.lock, 0);
    tally_store_relaxed(&copy->base.flags, TALLY_LOCK_FREE_READS ? TALLY_FLAG_BORROWABLE : 0);
    tally_str_begin(copy, str->length);
    tally_store_relaxed(&copy->hash, tally_str_hash(str));
    memcpy(copy->data, str->data, str->length);
    return copy;
}

/* Mutex held: publishes the copy in the table. -1: no memory. */
static int add(tally_str *copy, interned_table **old) {
    interned_table *table = tally_load_relaxed(&interned.table);
    if (!table || 2 * (interned.filled + 1) > table->capacity) {
        if (rebuild(old) < 0) return -1;
        table = tally_load_relaxed(&interned.table);
    }
    interned_place *place;
    bool dead_there = find(table, copy, &place) != NULL;
    if (!dead_there) interned.living++;
    if (!place_load(place)) interned.filled++;
    tally_object_publish(copy);
    tally_refcount_expose(&copy->base.refcount);
    place_store(place, copy);
    return 0;
}

/* The interned str, made if there is none, with a new reference; NULL: no memory. */
static tally_str *find_or_add(tally_str *str) {
    tally_str *copy = interned_copy(str), *found = NULL;
    interned_table *old = NULL;
    if (!copy) return NULL;
    TALLY_FAILPOINT(intern_missing);
    pthread_mutex_lock(&interned.mutex);
    interned_table *table = tally_load_relaxed(&interned.table);
    if (table) found = find_living(table, str);
    bool added = !found && add(copy, &old) == 0;
    pthread_mutex_unlock(&interned.mutex);
    retire(old);
    if (added) return copy;
    tally_memory_free(TALLY_PLAIN, copy);
    return found;
}

tally_object *tally_str_intern(tally_object *object) {
    TALLY_PLAIN_CALL();
    if (!tally_has_type(object, TALLY_TYPE_STR)) return tally_expected_null("a str", object);
    if (tally_str_is_short(object)) return object;
    /* acquire: pairs with the release of rebuild */
    interned_table *table = tally_load_acquire(&interned.table);
    tally_str *found = table ? find_living(table, (tally_str *)object) : NULL;
    if (TALLY_UNLIKELY(!found)) found = find_or_add((tally_str *)object);
    if (TALLY_UNLIKELY(!found)) return tally_no_memory_null();
    return &found->base;
}

/* The place of this very str; NULL: it has none. */
static interned_place *place_of(interned_table *table, tally_str *str) {
    if (!table) return NULL;
    for (size_t at = tally_str_hash(str);; at++) {
        interned_place *here = &table->places[at & (table->capacity - 1)];
        if (!place_load(here)) return NULL;
        if (place_load(here) == str) return here;
    }
}

/* Mutex held: takes the str out. If the next place was never filled, no search needs this one. */
static void empty_place(interned_table *table, interned_place *place) {
    size_t next = (size_t)(place - table->places) + 1;
    bool is_last = !place_load(&table->places[next & (table->capacity - 1)]);
    place_store(place, is_last ? NULL : REMOVED);
    if (is_last) interned.filled--;
    interned.living--;
}

void tally_interned_forget(tally_object *object) {
    if (object->type != TALLY_TYPE_STR) return;
    tally_str *str = (tally_str *)object;
    interned_table *old = NULL;
    /* Most strs that come here are not interned and take no lock. An interned one has a hash, and
     * was in the table before it died; so the table seen here has it, or has another str in its
     * place. acquire: pairs with the release of rebuild */
    if (tally_load_relaxed(&str->hash) == 0 || !place_of(tally_load_acquire(&interned.table), str))
        return;
    TALLY_FAILPOINT(intern_dies);
    pthread_mutex_lock(&interned.mutex);
    interned_table *table = tally_load_relaxed(&interned.table);
    interned_place *place = place_of(table, str);
    if (place) {
        empty_place(table, place);
        /* Without memory for a smaller table the large one stays. */
        if (table->capacity > FEWEST_PLACES && interned.living < table->capacity / 16)
            rebuild(&old);
    }
    pthread_mutex_unlock(&interned.mutex);
    retire(old);
}

/* One thread is left, and counts the objects alive. */
void tally_interned_keep(void) {
    interned_table *table = tally_load_relaxed(&interned.table);
    for (size_t i = 0; table && i < table->capacity; i++) {
        tally_str *str = place_load(&table->places[i]);
        if (str && str != REMOVED) tally_make_immortal(&str->base);
    }
}

/* The memory of the table and the strs goes with all memory. */
void tally_interned_end(void) {
    tally_store_relaxed(&interned.table, NULL);
    interned.filled = interned.living = 0;
}
