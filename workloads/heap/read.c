// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reads a snapshot; docs/reference/heap-snapshot.md has the format.  Every number in the file is
// doubted: a list has no more entries than the file has bytes left, so a damaged file makes neither
// a crash nor a huge table.
#include "files.h"
#include "heap.h"
#include "tally_heap_format.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

struct place {
    uint64_t address;
    uint32_t object;
};

struct reader {
    struct heap *heap;
    const uint8_t *at, *end;
    const char *within; // where it is, for a message
    uint64_t number;
    uint64_t base;       // address of the reference before
    uint64_t *addresses; // of references, until all objects are known
    size_t references, room;
    struct place *places; // all objects, by address
};

static _Noreturn void truncated(const struct reader *reader) {
    reject("%s is truncated: it ends within %s %llu", reader->heap->path, reader->within,
           (unsigned long long)reader->number);
}
static _Noreturn void damaged(const struct reader *reader, const char *what) {
    reject("%s is damaged: %s %llu has %s", reader->heap->path, reader->within,
           (unsigned long long)reader->number, what);
}

static uint64_t number(struct reader *reader) {
    uint64_t result = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
        if (reader->at == reader->end) truncated(reader);
        uint8_t byte = *reader->at++;
        result |= (uint64_t)(byte & 127) << shift;
        if (byte < 128) return result;
    }
    damaged(reader, "a number that is too long");
}
static int64_t signed_number(struct reader *reader) {
    uint64_t folded = number(reader);
    return (int64_t)(folded >> 1 ^ -(folded & 1));
}
static const char *bytes(struct reader *reader, uint64_t length) {
    if ((uint64_t)(reader->end - reader->at) < length) truncated(reader);
    const char *result = (const char *)reader->at;
    reader->at += length;
    return result;
}
// A number of things, each of which takes so many bytes at least.
static uint64_t count_of(struct reader *reader, uint64_t least) {
    uint64_t count = number(reader);
    if (count > (uint64_t)(reader->end - reader->at) / least) truncated(reader);
    return count;
}
static char *string(struct reader *reader) {
    uint64_t length = count_of(reader, 1);
    char *copy = checked_malloc(length + 1);
    memcpy(copy, bytes(reader, length), length);
    copy[length] = '\0';
    return copy;
}
static void go_to(struct reader *reader, const char *within, uint64_t number) {
    reader->within = within;
    reader->number = number;
}

static void read_types(struct reader *reader) {
    struct heap *heap = reader->heap;
    heap->types = checked_calloc(heap->type_count = UINT16_MAX + 1, sizeof *heap->types);
    uint64_t count = count_of(reader, 6);
    for (uint64_t i = 0; i < count; i++) {
        go_to(reader, "type", i);
        uint64_t place = number(reader);
        if (place >= heap->type_count || heap->types[place].known)
            damaged(reader, "a wrong number");
        struct type *type = &heap->types[place];
        type->known = true;
        type->address = number(reader);
        type->flags = (unsigned)number(reader);
        type->layout = (unsigned)number(reader);
        if (type->layout >= TALLY_HEAP_LAYOUTS) damaged(reader, "an unknown layout");
        type->name = string(reader);
        uint64_t slots = count_of(reader, 1);
        type->slots = checked_calloc(slots, sizeof *type->slots);
        for (; type->slot_count < slots; type->slot_count++)
            type->slots[type->slot_count] = string(reader);
    }
}

static void add_address(struct reader *reader, uint64_t address, enum reference_kind kind,
                        uint64_t place, uint32_t from) {
    struct heap *heap = reader->heap;
    if (reader->references == reader->room) {
        reader->room = reader->room ? 2 * reader->room : 1024;
        if (reader->room >= NONE) damaged(reader, "too many references");
        heap->references =
            checked_realloc(heap->references, reader->room * sizeof *heap->references);
        reader->addresses =
            checked_realloc(reader->addresses, reader->room * sizeof *reader->addresses);
    }
    reader->addresses[reader->references] = address;
    heap->references[reader->references++] = (struct reference){
        .from = from, .to = NONE, .place = (uint32_t)place & ((1u << 28) - 1), .kind = kind};
}
static void read_reference(struct reader *reader, enum reference_kind kind, uint64_t place,
                           uint32_t from) {
    uint64_t folded = number(reader);
    if (folded-- == 0) return;
    reader->base += (folded >> 1) ^ -(folded & 1);
    add_address(reader, reader->base, kind, place, from);
}
static void read_pairs(struct reader *reader, enum reference_kind key, enum reference_kind value,
                       uint32_t from) {
    uint64_t count = count_of(reader, 2);
    for (uint64_t i = 0; i < count; i++) {
        size_t before = reader->references;
        read_reference(reader, key, i, from);
        if (reader->references == before) damaged(reader, "a pair without a key");
        read_reference(reader, value, i, from);
    }
}

static void read_contents(struct reader *reader, struct object *object, uint32_t number_) {
    unsigned layout = reader->heap->types[object->type].layout;
    switch (layout) {
    case TALLY_HEAP_INT: object->value = (uint64_t)signed_number(reader); break;
    case TALLY_HEAP_FLOAT: memcpy(&object->value, bytes(reader, 8), 8); break;
    case TALLY_HEAP_STR:
        object->value = number(reader);
        object->text = bytes(reader, text_kept(reader->heap, object));
        if (object->value > TALLY_HEAP_TEXT && reader->heap->version > 2)
            bytes(reader, TALLY_HEAP_HASH);
        break;
    case TALLY_HEAP_WEAKREF: read_reference(reader, WEAK, 0, number_); break;
    case TALLY_HEAP_SLOTS:
    case TALLY_HEAP_ITEMS:
    case TALLY_HEAP_NATIVE: {
        uint64_t count = count_of(reader, 1);
        enum reference_kind kind = layout == TALLY_HEAP_SLOTS   ? SLOT
                                   : layout == TALLY_HEAP_ITEMS ? ITEM
                                                                : HELD;
        for (uint64_t i = 0; i < count; i++) read_reference(reader, kind, i, number_);
        break;
    }
    case TALLY_HEAP_KEYS: read_pairs(reader, KEY, VALUE, number_); break;
    case TALLY_HEAP_TYPE:
    case TALLY_HEAP_NAMES: read_pairs(reader, NAME, ATTRIBUTE, number_); break;
    default: break;
    }
    if (layout == TALLY_HEAP_TYPE) read_pairs(reader, SLOT_NAME, SLOT_NAME, number_);
}

static void read_objects(struct reader *reader) {
    struct heap *heap = reader->heap;
    uint64_t last = 0;
    for (uint32_t i = 0; i < heap->count; i++) {
        go_to(reader, "object", i);
        struct object *object = &heap->objects[i];
        object->first = (uint32_t)reader->references;
        last += (uint64_t)signed_number(reader);
        object->address = reader->base = last;
        uint64_t type = number(reader);
        if (type >= heap->type_count || !heap->types[type].known)
            damaged(reader, "an unknown type");
        object->type = (uint32_t)type;
        object->flags = (uint32_t)number(reader);
        if ((object->flags & TALLY_HEAP_STATE_MASK) >= TALLY_HEAP_STATES)
            damaged(reader, "an unknown state");
        object->size = number(reader);
        object->owner = (uint32_t)number(reader);
        object->local = (int64_t)number(reader);
        object->shared = signed_number(reader);
        read_contents(reader, object, i);
        if (heap->types[type].flags & TALLY_HEAP_CLASS)
            add_address(reader, heap->types[type].address, CLASS, 0, i);
    }
    heap->objects[heap->count].first = (uint32_t)reader->references;
}

static void read_pool(struct reader *reader, struct pool *pool) {
    pool->kind = (unsigned)number(reader);
    if (pool->kind >= TALLY_HEAP_POOLS) damaged(reader, "a pool of an unknown kind");
    pool->resident = (double)number(reader);
    if (pool->kind < TALLY_HEAP_POOL_USED) return;
    uint64_t size = number(reader);
    if (size < 1 || size > SIZE_CLASSES) damaged(reader, "blocks of an unknown size");
    pool->class_ = (unsigned)size;
    pool->owner = (uint32_t)number(reader);
    pool->made = (double)number(reader);
    pool->used = (double)number(reader);
    pool->coming = (double)number(reader);
    if (pool->used > pool->made || pool->coming > pool->used)
        damaged(reader, "a pool with more blocks than it has made");
}

static void read_ledger(struct reader *reader) {
    struct ledger *ledger = &reader->heap->ledger;
    go_to(reader, "the ledger, part", 0);
    ledger->resident = (double)number(reader);
    for (size_t i = 0; i < TALLY_HEAP_PARTS; i++) ledger->mapped[i] = (double)number(reader);
    ledger->in_use = (double)number(reader);
    ledger->unused = (double)number(reader);
    for (size_t i = 0; i < 3; i++) {
        ledger->large[i].blocks = (double)number(reader);
        ledger->large[i].bytes = (double)number(reader);
        ledger->large[i].resident = (double)number(reader);
        ledger->large[i].waiting = (double)number(reader);
    }
    ledger->small_waiting = (double)number(reader);
    ledger->region = number(reader);
    ledger->descriptors = (double)number(reader);
    ledger->arena_count = count_of(reader, 1 + 2 * ARENA_POOLS);
    ledger->arenas = checked_calloc(ledger->arena_count, sizeof *ledger->arenas);
    for (size_t i = 0; i < ledger->arena_count; i++) {
        go_to(reader, "arena", i);
        struct arena *arena = &ledger->arenas[i];
        arena->number = number(reader);
        if (i > 0 && arena->number <= arena[-1].number) damaged(reader, "a wrong number");
        for (size_t pool = 0; pool < ARENA_POOLS; pool++) read_pool(reader, &arena->pools[pool]);
    }
}

static double age(struct reader *reader) {
    uint64_t known = number(reader);
    return known ? (double)(known - 1) : NAN;
}

static void read_queues(struct reader *reader) {
    struct heap *heap = reader->heap;
    go_to(reader, "the queues, part", 0);
    if (number(reader) != heap->thread_count) damaged(reader, "another number of threads");
    for (uint32_t i = 0; i < heap->thread_count; i++) {
        go_to(reader, "the queues of thread", heap->threads[i].number);
        struct thread *thread = &heap->threads[i];
        if (number(reader) != thread->number) damaged(reader, "another number");
        thread->away = age(reader);
        thread->queue.count = (double)number(reader);
        thread->queue.bytes = (double)number(reader);
        thread->queue.age = age(reader);
        thread->list = (struct waiting){NAN, (double)number(reader), NAN};
        thread->throttled = (struct waiting){NAN, (double)number(reader), NAN};
        thread->throttled.age = age(reader);
    }
    uint64_t batches = count_of(reader, 3);
    heap->batches = checked_calloc(batches, sizeof *heap->batches);
    for (; heap->batch_count < batches; heap->batch_count++) {
        go_to(reader, "batch", heap->batch_count);
        struct batch *batch = &heap->batches[heap->batch_count];
        batch->about = (struct waiting){NAN, (double)number(reader), NAN};
        batch->about.age = age(reader);
        uint64_t behind = count_of(reader, 1);
        batch->behind = checked_calloc(behind, sizeof *batch->behind);
        for (; batch->behind_count < behind; batch->behind_count++)
            batch->behind[batch->behind_count] = (uint32_t)number(reader);
    }
}

// ---- addresses ----------------------------------------------------------------------------

static int by_address(const void *left, const void *right) {
    const struct place *a = left, *b = right;
    return a->address < b->address ? -1 : a->address > b->address;
}

static void resolve(struct reader *reader) {
    struct heap *heap = reader->heap;
    struct place *places = reader->places = checked_malloc(heap->count * sizeof *places);
    uint64_t strong = 0;
    for (uint32_t i = 0; i < heap->count; i++)
        places[i] = (struct place){heap->objects[i].address, i};
    qsort(places, heap->count, sizeof *places, by_address);
    for (uint32_t i = 1; i < heap->count; i++)
        if (places[i].address == places[i - 1].address)
            reject("%s is damaged: two objects are at 0x%llx", heap->path,
                   (unsigned long long)places[i].address << TALLY_HEAP_ADDRESS_SHIFT);
    for (size_t i = 0; i < reader->references; i++) {
        struct place key = {reader->addresses[i], 0};
        const struct place *found = bsearch(&key, places, heap->count, sizeof key, by_address);
        if (found) heap->references[i].to = found->object;
        heap->unknown += !found;
        strong += heap->references[i].kind != WEAK;
    }
    if (strong != heap->reference_count)
        reject("%s is damaged: it has %llu references, not %llu", heap->path,
               (unsigned long long)strong, (unsigned long long)heap->reference_count);
}

uint32_t heap_find(const struct heap *heap, uint64_t address) {
    for (uint32_t i = 0; i < heap->count; i++)
        if (heap->objects[i].address << TALLY_HEAP_ADDRESS_SHIFT == address) return i;
    return NONE;
}

// ---- the file -------------------------------------------------------------------------------

char *heap_contents(const char *path, size_t *length) {
    FILE *file = regular_open(path);
    size_t room = 1 << 16, got;
    char *data = NULL;
    *length = 0;
    if (!file) reject("cannot read %s: %s", path, strerror(errno));
    do {
        data = checked_realloc(data, room *= 2);
        got = fread(data + *length, 1, room - *length, file);
        *length += got;
    } while (*length == room);
    if (ferror(file)) reject("cannot read %s: %s", path, strerror(errno));
    fclose(file);
    return data;
}

void heap_read(struct heap *heap, const char *path) {
    size_t length;
    *heap = (struct heap){.path = path};
    heap->bytes = heap_contents(path, &length);
    struct reader reader = {.heap = heap, .within = "the header, byte"};
    reader.at = (const uint8_t *)heap->bytes;
    reader.end = reader.at + length;
    if (memcmp(heap->bytes, TALLY_HEAP_MAGIC, length < 8 ? length : 8) != 0)
        reject("%s is no heap snapshot; tally_heap_snapshot writes one, and so does --snapshot "
               "of the drivers",
               path);
    bytes(&reader, 8);
    uint64_t version = number(&reader);
    if (version < 1 || version > TALLY_HEAP_VERSION)
        reject("%s has version %llu of the format, and this program reads up to %d; use the "
               "tally of the commit that wrote it",
               path, (unsigned long long)version, TALLY_HEAP_VERSION);
    heap->version = version;
    heap->backend = string(&reader);
    heap->created = number(&reader);
    heap->pause = number(&reader);
    uint64_t objects = number(&reader);
    heap->reference_count = number(&reader);
    heap->size = number(&reader);
    uint64_t threads = count_of(&reader, 2);
    heap->threads = checked_calloc(threads, sizeof *heap->threads);
    for (; heap->thread_count < threads; heap->thread_count++) {
        go_to(&reader, "thread", heap->thread_count);
        struct thread *thread = &heap->threads[heap->thread_count];
        thread->number = (uint32_t)number(&reader);
        thread->place = (unsigned)number(&reader);
        if (thread->place >= TALLY_HEAP_PLACES) damaged(&reader, "an unknown place");
    }
    read_types(&reader);
    if (objects > (uint64_t)(reader.end - reader.at) / 7 || objects >= NONE) truncated(&reader);
    heap->count = (uint32_t)objects;
    heap->objects = checked_calloc(objects + 1, sizeof *heap->objects);
    read_objects(&reader);
    if (version > 1) read_ledger(&reader);
    if (version > 2) read_queues(&reader);
    if (reader.at != reader.end) damaged(&reader, "more bytes behind it, and is the last");
    resolve(&reader);
    free(reader.addresses);
    free(reader.places);
}

void heap_free(struct heap *heap) {
    for (uint32_t i = 0; i < heap->type_count; i++) {
        for (uint64_t slot = 0; slot < heap->types[i].slot_count; slot++)
            free(heap->types[i].slots[slot]);
        free(heap->types[i].slots);
        free(heap->types[i].name);
    }
    for (size_t i = 0; i < heap->batch_count; i++) free(heap->batches[i].behind);
    void *owned[] = {heap->types,     heap->threads,         heap->objects, heap->references,
                     heap->backend,   heap->bytes,           heap->outside, heap->reachable,
                     heap->referrers, heap->referrers_first, heap->order,   heap->dominator,
                     heap->retained,  heap->ledger.arenas,   heap->batches};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}
