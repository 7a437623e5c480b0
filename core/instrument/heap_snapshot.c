/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * heap_snapshot.c: writes every living object to a file (docs/reference/heap-snapshot.md).
 *
 * The world is stopped while one pass over the pools encodes each object into chunks of malloc. A
 * number takes as many bytes as it needs, and an address is the distance from one that was written
 * before, so an object takes 10 to 30 bytes. A long str is cut, and its hash follows, so that it
 * takes 60. Keys and names are objects, which the snapshot has: no text is copied for a reference.
 * Threads run again before a str in a large block is hashed and before the first byte is written to
 * the file.
 *
 * Invariants:
 *  - The pass takes time by the objects and references, not by the bytes of strs.
 *  - The pass takes a reference to each str in a large block (pins.h) and changes no object.
 * Without memory it goes on to nothing, and the call is an error.
 *  - A living object refers to living objects only. Static objects are in no pool; they are
 * immortal, and are written when a reference leads to them.
 */
#include "instrument/files.h"
#include "instrument/ledger.h"
#include "instrument/pins.h"
#include "instrument/queues.h"
#include "memory/arena.h"
#include "objects/children.h"
#include "tally_heap_format.h"
#include <errno.h>
#include <time.h>

enum { CHUNK_BYTES = 1 << 20, MOST_BYTES = 10 /* of a number */ };

typedef struct chunk {
    struct chunk *next;
    size_t used;
    uint8_t bytes[CHUNK_BYTES];
} chunk;

typedef struct stream {
    chunk *first, *last;
} stream;

/* A hash set of immortal objects outside of the pools; each is written once. `at` has a power of
 * two of places, at most half of them filled. */
typedef struct outside {
    tally_object **at;
    size_t count, capacity;
} outside;

typedef struct snapshot {
    stream types, objects, rest;
    tally_ledger ledger;
    tally_pins pins;
    outside seen;
    tally_object **waiting; /* static objects that are still to be written */
    size_t waiting_count, waiting_capacity;
    uint8_t *ages; /* generation + 1, by address in units of 16 bytes; NULL: none is young */
    uint8_t age;
    uint64_t last;      /* address of the object written last */
    uint64_t reference; /* of the reference written last, within an object */
    bool failed;        /* no memory */
    tally_heap_result result;
} snapshot;

/* ---- numbers -------------------------------------------------------------- */

/* Room for so many bytes, at most CHUNK_BYTES; NULL: no memory, here or before. */
static inline uint8_t *room(snapshot *s, stream *to, size_t bytes) {
    chunk *last = to->last;
    if (TALLY_LIKELY(last && last->used + bytes <= CHUNK_BYTES)) return last->bytes + last->used;
    chunk *fresh = s->failed ? NULL : malloc(sizeof *fresh);
    if (!fresh) {
        s->failed = true;
        return NULL;
    }
    fresh->next = NULL;
    fresh->used = 0;
    if (last)
        last->next = fresh;
    else
        to->first = fresh;
    to->last = fresh;
    return fresh->bytes;
}
/* LEB128: seven bits per byte, the lowest first. */
static inline void put(snapshot *s, stream *to, uint64_t number) {
    uint8_t *begin = room(s, to, MOST_BYTES), *at = begin;
    if (!begin) return;
    for (; number >= 128; number >>= 7) *at++ = (uint8_t)(number | 128);
    *at++ = (uint8_t)number;
    to->last->used += (size_t)(at - begin);
}
/* The sign is the lowest bit. */
static inline uint64_t folded(int64_t number) {
    return (uint64_t)number << 1 ^ (uint64_t)(number >> 63);
}
static void put_bytes(snapshot *s, stream *to, const void *bytes, size_t length) {
    uint8_t *at = room(s, to, length);
    if (!at) return;
    memcpy(at, bytes, length);
    to->last->used += length;
}
static void put_text(snapshot *s, stream *to, const char *text) {
    size_t length = strnlen(text, CHUNK_BYTES / 2);
    put(s, to, length);
    put_bytes(s, to, text, length);
}
static inline uint64_t units(const void *address) {
    return (uint64_t)(uintptr_t)address >> TALLY_HEAP_ADDRESS_SHIFT;
}

/* ---- objects outside of the pools ------------------------------------------- */

static bool outside_grow(outside *set) {
    outside larger = {.capacity = set->capacity ? 2 * set->capacity : 1024, .count = set->count};
    larger.at = calloc(larger.capacity, sizeof *larger.at);
    if (!larger.at) return false;
    for (size_t i = 0; i < set->capacity; i++) {
        if (!set->at[i]) continue;
        size_t to = (size_t)(units(set->at[i]) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
        while (larger.at[to & (larger.capacity - 1)]) to++;
        larger.at[to & (larger.capacity - 1)] = set->at[i];
    }
    free(set->at);
    *set = larger;
    return true;
}
/* True: it was not there. */
static bool outside_add(snapshot *s, tally_object *object) {
    outside *set = &s->seen;
    if (2 * set->count >= set->capacity && !outside_grow(set)) {
        s->failed = true;
        return false;
    }
    size_t at = (size_t)(units(object) * UINT64_C(0x9e3779b97f4a7c15) >> 20);
    for (;; at++) {
        tally_object **place = &set->at[at & (set->capacity - 1)];
        if (*place == object) return false;
        if (*place) continue;
        *place = object;
        set->count++;
        return true;
    }
}
/* A large immortal object is found by the walk, too; the walk then leaves it out. */
static __attribute__((noinline)) void note_outside(snapshot *s, tally_object *object) {
    if (s->failed || !outside_add(s, object)) return;
    if (s->waiting_count == s->waiting_capacity) {
        size_t capacity = s->waiting_capacity ? 2 * s->waiting_capacity : 256;
        tally_object **waiting = realloc(s->waiting, capacity * sizeof *waiting);
        if (!waiting) {
            s->failed = true;
            return;
        }
        s->waiting = waiting;
        s->waiting_capacity = capacity;
    }
    s->waiting[s->waiting_count++] = object;
}

/* ---- references ----------------------------------------------------------------- */

static inline void put_reference(snapshot *s, tally_object *child) {
    if (!child) {
        put(s, &s->objects, 0);
        return;
    }
    uint64_t address = units(child);
    put(s, &s->objects, folded((int64_t)(address - s->reference)) + 1);
    s->reference = address;
    s->result.references++;
    if (!tally_is_small(child) && tally_refcount_is_immortal(&child->refcount))
        note_outside(s, child);
}
static void count_child(tally_object *child, void *count) { ++*(size_t *)count; }
static void put_child(tally_object *child, void *context) { put_reference(context, child); }

static void put_places(snapshot *s, size_t count, const tally_slot *places) {
    put(s, &s->objects, count);
    for (size_t i = 0; i < count; i++) put_reference(s, tally_load_relaxed(&places[i]));
}
static void put_table(snapshot *s, tally_table *table) {
    uint32_t used = table ? tally_load_relaxed(&table->used) : 0, pairs = 0;
    for (uint32_t i = 0; i < used; i++) pairs += tally_load_relaxed(&table->entries[i].key) != NULL;
    put(s, &s->objects, pairs);
    for (uint32_t i = 0; i < used; i++) {
        tally_object *key = tally_load_relaxed(&table->entries[i].key);
        if (!key) continue;
        put_reference(s, key);
        put_reference(s, tally_load_relaxed(&table->entries[i].value));
    }
}
static void put_str(snapshot *s, tally_str *str) {
    put(s, &s->objects, str->length);
    if (str->length <= TALLY_HEAP_TEXT) {
        put_bytes(s, &s->objects, str->data, str->length);
        return;
    }
    uint8_t *at = room(s, &s->objects, TALLY_HEAP_CUT + TALLY_HEAP_HASH);
    if (!at) return;
    memcpy(at, str->data, TALLY_HEAP_CUT);
    s->objects.last->used += TALLY_HEAP_CUT + TALLY_HEAP_HASH;
    at += TALLY_HEAP_CUT;
    if (tally_is_small(str)) {
        uint64_t hash = tally_hash_bytes(str->data, str->length);
        memcpy(at, &hash, TALLY_HEAP_HASH);
    } else if (!tally_pins_add(&s->pins, str, at)) {
        s->failed = true;
    }
}

static enum tally_heap_layout layout_of(const tally_type *type) {
    switch (type->shape) {
    case TALLY_SHAPE_SLOTS: return TALLY_HEAP_SLOTS;
    case TALLY_SHAPE_TUPLE:
    case TALLY_SHAPE_LIST: return TALLY_HEAP_ITEMS;
    case TALLY_SHAPE_NATIVE: return TALLY_HEAP_NATIVE;
    case TALLY_SHAPE_TABLE:
        return type == &tally_types[TALLY_TYPE_TYPE]   ? TALLY_HEAP_TYPE
               : type == &tally_types[TALLY_TYPE_DICT] ? TALLY_HEAP_KEYS
                                                       : TALLY_HEAP_NAMES;
    default: break;
    }
    return type == &tally_types[TALLY_TYPE_INT]       ? TALLY_HEAP_INT
           : type == &tally_types[TALLY_TYPE_FLOAT]   ? TALLY_HEAP_FLOAT
           : type == &tally_types[TALLY_TYPE_STR]     ? TALLY_HEAP_STR
           : type == &tally_types[TALLY_TYPE_WEAKREF] ? TALLY_HEAP_WEAKREF
                                                      : TALLY_HEAP_NOTHING;
}

static void put_contents(snapshot *s, tally_object *object, tally_type *type) {
    stream *to = &s->objects;
    switch (layout_of(type)) {
    case TALLY_HEAP_INT: put(s, to, folded(((tally_int *)object)->value)); break;
    case TALLY_HEAP_FLOAT: put_bytes(s, to, &((tally_float *)object)->value, 8); break;
    case TALLY_HEAP_STR: put_str(s, (tally_str *)object); break;
    case TALLY_HEAP_WEAKREF: {
        tally_object *referent = tally_load_relaxed(&((tally_weakref *)object)->referent);
        put(s, to, referent ? folded((int64_t)(units(referent) - s->reference)) + 1 : 0);
        break;
    }
    case TALLY_HEAP_SLOTS:
        put_places(s, (size_t)type->slots, ((tally_instance *)object)->slots);
        break;
    case TALLY_HEAP_ITEMS:
        if (type->shape == TALLY_SHAPE_LIST) {
            tally_items *items = tally_load_relaxed(&((tally_list *)object)->items);
            put_places(s, (size_t)tally_load_relaxed(&((tally_list *)object)->length),
                       items ? items->at : NULL);
        } else {
            tally_tuple *tuple = (tally_tuple *)object;
            put(s, to, (uint64_t)tuple->length);
            for (ptrdiff_t i = 0; i < tuple->length; i++) put_reference(s, tuple->items[i]);
        }
        break;
    case TALLY_HEAP_NATIVE: {
        size_t count = 0;
        type->traverse(object, count_child, &count);
        put(s, to, count);
        type->traverse(object, put_child, s);
        break;
    }
    case TALLY_HEAP_TYPE:
        put_table(s, tally_load_relaxed(tally_table_place_in(object, type)));
        put_table(s, tally_types[((tally_type_object *)object)->index].slot_names);
        break;
    case TALLY_HEAP_KEYS:
    case TALLY_HEAP_NAMES: put_table(s, tally_load_relaxed(tally_table_place_in(object, type)));
    default: break;
    }
}

/* ---- objects ------------------------------------------------------------------ */

static unsigned age_of(const snapshot *s, tally_object *object) {
    unsigned age = 0;
    if (!tally_is_tracked(object) || tally_load_relaxed(&object->flags) & TALLY_FLAG_FROZEN)
        return 0;
    if (s->ages && tally_is_small(object)) age = s->ages[((char *)object - tally_region) >> 4];
    return age ? age : 3;
}
static unsigned flags_of(const snapshot *s, tally_object *object, bool immortal) {
    uint8_t flags = tally_load_relaxed(&object->flags);
    return (immortal ? TALLY_HEAP_IMMORTAL : tally_refcount_state(&object->refcount)) |
           (tally_is_borrowable(object) ? TALLY_HEAP_BORROWABLE : 0) |
           (flags & TALLY_FLAG_FINALIZED ? TALLY_HEAP_FINALIZED : 0) |
           (flags & TALLY_FLAG_TRACKED ? TALLY_HEAP_TRACKED : 0) |
           (flags & TALLY_FLAG_FROZEN ? TALLY_HEAP_FROZEN : 0) |
           age_of(s, object) << TALLY_HEAP_AGE_SHIFT;
}

static void put_object(snapshot *s, tally_object *object) {
    if (s->failed) return;
    stream *to = &s->objects;
    tally_type *type = tally_type_entry(object);
    bool immortal = tally_refcount_is_immortal(&object->refcount);
    int64_t local = immortal ? 0 : tally_refcount_local(&object->refcount);
    int64_t all =
        immortal ? 0 : tally_refcount_total(&object->refcount) + tally_class_instances(object);
    size_t size = tally_size_locked(object);
    uint64_t address = units(object);
    put(s, to, folded((int64_t)(address - s->last)));
    s->last = s->reference = address;
    put(s, to, object->type);
    put(s, to, flags_of(s, object, immortal));
    put(s, to, size);
    put(s, to, immortal ? 0 : tally_refcount_owner(&object->refcount));
    put(s, to, (uint64_t)local);
    put(s, to, folded(all - local));
    put_contents(s, object, type);
    s->result.objects++;
    s->result.references += type->class_; /* to its class, which the type says */
    s->result.bytes += size;
}

static void visit(tally_object *object, void *context) {
    snapshot *s = context;
    if (!tally_is_small(object) && tally_refcount_is_immortal(&object->refcount))
        note_outside(s, object);
    else
        put_object(s, object);
}

/* One walk for the objects and the ledger: each block is far from the one before it. */
static void visit_large(snapshot *s) {
    tally_large_walk at = {0};
    for (tally_object *block; (block = tally_memory_next_large(&at, TALLY_KINDS));) {
        tally_ledger_count(&s->ledger, block);
        if (tally_large_kind(block) != TALLY_RAW && !tally_refcount_is_dead(&block->refcount))
            visit(block, s);
    }
}

static void note_age(tally_object *object, void *context) {
    snapshot *s = context;
    if (tally_is_small(object)) s->ages[((char *)object - tally_region) >> 4] = s->age;
}
/* The generations before the last; there are none without a GIL or owners. */
static void note_ages(snapshot *s) {
    if (TALLY_LOCK_FREE_READS && !TALLY_REFCOUNT_HAVE_OWNERS) return;
    s->ages = calloc(tally_arenas.used, TALLY_ARENA_SIZE >> 4);
    s->failed = tally_arenas.used && !s->ages;
    for (s->age = 1; s->ages && s->age < 3; s->age++) tally_collector_each(s->age - 1, note_age, s);
}

static bool is_immutable(const tally_type *type) {
    static const uint16_t types[] = {TALLY_TYPE_INT, TALLY_TYPE_FLOAT, TALLY_TYPE_STR,
                                     TALLY_TYPE_TUPLE};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (type == &tally_types[types[i]]) return true;
    return false;
}

static void put_types(snapshot *s) {
    stream *to = &s->types;
    uint32_t used = tally_types_used(), count = 0;
    for (uint32_t i = 1; i < used; i++) count += tally_types[i].name != NULL;
    put(s, to, count);
    for (uint32_t i = 1; i < used; i++) {
        tally_type *type = &tally_types[i];
        if (!type->name) continue;
        put(s, to, i);
        put(s, to, units(type->object));
        put(s, to,
            (type->class_ ? TALLY_HEAP_CLASS : 0) | (type->finalize ? TALLY_HEAP_FINALIZER : 0) |
                (is_immutable(type) ? TALLY_HEAP_IMMUTABLE : 0));
        put(s, to, layout_of(type));
        put_text(s, to, type->name);
        tally_table *names = type->slot_names;
        put(s, to, names ? names->used : 0);
        for (uint32_t slot = 0; names && slot < names->used; slot++)
            put_text(s, to, ((tally_str *)tally_load_relaxed(&names->entries[slot].key))->data);
    }
}

static void put_threads(snapshot *s) {
    stream *to = &s->types;
    size_t count = 0;
    tally_each_thread(thread) count++;
    put(s, to, count);
    tally_each_thread(thread) {
        put(s, to, thread->head.id);
        put(s, to,
            tally_load_relaxed(&thread->status) == TALLY_VACANT ? TALLY_HEAP_GONE
            : thread->away                                      ? TALLY_HEAP_BLOCKED
                                                                : TALLY_HEAP_RUNNING);
    }
}

static void put_rest(void *context, uint64_t number) {
    snapshot *s = context;
    put(s, &s->rest, number);
}

static void take(snapshot *s) {
    uint64_t began = tally_now();
    tally_ledger_begin(&s->ledger);
    if (TALLY_LOCK_FREE_READS) began = tally_now(); /* the others ran */
    tally_stop_the_world();
    note_ages(s);
    put_threads(s);
    put_types(s);
    tally_memory_each_small(visit, s);
    visit_large(s);
    /* A static tuple may lead to more. */
    while (s->waiting_count && !s->failed) put_object(s, s->waiting[--s->waiting_count]);
    if (!s->failed && !tally_ledger_put(&s->ledger, put_rest, s)) s->failed = true;
    tally_queues_put(put_rest, s);
    tally_resume_the_world();
    s->result.pause = tally_now() - began;
    tally_ledger_end(&s->ledger);
    free(s->ages);
    free(s->waiting);
    free(s->seen.at);
}

/* ---- the file -------------------------------------------------------------------- */

static void write_chunks(FILE *file, const stream *from) {
    for (const chunk *each = from->first; each; each = each->next)
        fwrite(each->bytes, 1, each->used, file);
}
static void write_number(FILE *file, uint64_t number) {
    for (; number >= 128; number >>= 7) putc((int)(number & 127) | 128, file);
    putc((int)number, file);
}
/* In a blocked region. */
static void write_snapshot(FILE *file, void *context) {
    const snapshot *s = context;
    tally_pins_hash(&s->pins);
    fwrite(TALLY_HEAP_MAGIC, 1, 8, file);
    write_number(file, TALLY_HEAP_VERSION);
    write_number(file, strlen(TALLY_BACKEND_NAME));
    fputs(TALLY_BACKEND_NAME, file);
    write_number(file, (uint64_t)time(NULL));
    write_number(file, s->result.pause);
    write_number(file, s->result.objects);
    write_number(file, s->result.references);
    write_number(file, s->result.bytes);
    write_chunks(file, &s->types);
    write_chunks(file, &s->objects);
    write_chunks(file, &s->rest);
}

static void drop_chunks(stream *from) {
    for (chunk *each = from->first, *next; each; each = next) {
        next = each->next;
        free(each);
    }
}
/* Takes the snapshot over, and its pins. good: it was written. */
static int finish(snapshot *s, bool good, int why, const char *where, tally_heap_result *result) {
    drop_chunks(&s->types);
    drop_chunks(&s->objects);
    drop_chunks(&s->rest);
    tally_pins_drop(&s->pins);
    if (s->failed) return tally_no_memory();
    if (!good)
        return tally_fail(TALLY_RUNTIME_ERROR, "cannot write the snapshot to %.150s: %s", where,
                          strerror(why));
    if (result) *result = s->result;
    return 0;
}

int tally_heap_snapshot(const char *path, tally_heap_result *result) {
    if (!path) return tally_fail(TALLY_VALUE_ERROR, "a snapshot needs a path");
    tally_thread_require();
    char *temporary = tally_temporary_name(path);
    if (!temporary) return tally_no_memory();
    snapshot s = {0};
    take(&s);
    tally_blocking_begin();
    bool good = !s.failed && tally_write_through(path, temporary, write_snapshot, &s);
    int why = errno;
    free(temporary);
    tally_blocking_end();
    return finish(&s, good, why, path, result);
}

int tally_heap_snapshot_file(FILE *file, tally_heap_result *result) {
    if (!file) return tally_fail(TALLY_VALUE_ERROR, "a snapshot needs a file");
    tally_thread_require();
    snapshot s = {0};
    take(&s);
    tally_blocking_begin();
    if (!s.failed) write_snapshot(file, &s);
    bool good = fflush(file) == 0 && !ferror(file);
    int why = errno;
    tally_blocking_end();
    return finish(&s, good, why, "the file", result);
}
