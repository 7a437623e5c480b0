/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * debug.c: what is checked at each use of a block and each call: records, guards, poison, the
 * quarantine, and the messages. debug.h has the invariants.
 */
#define _GNU_SOURCE
#include "debug/debug.h"

#ifdef TALLY_DEBUG
#    include "debug/watch.h"
#    include "gc/collector.h"
#    include "memory/alloc.h"
#    include "memory/arena.h"
#    include <sys/mman.h>

enum { GUARD = 0xfb, POISON = 0xdd, NEW = 0xcd };
enum { QUARANTINE = 4096, QUARANTINE_BYTES = 8 << 20 };

static tally_debug_record *records; /* of the block at an offset in the region: at that offset */
_Atomic size_t tally_debug_allocations;

static struct {
    pthread_mutex_t lock;
    struct {
        void *block;
        uint8_t kind;
    } at[QUARANTINE]; /* a ring */
    unsigned first, count;
    size_t bytes;
} quarantine = {.lock = PTHREAD_MUTEX_INITIALIZER};

_Static_assert(sizeof(tally_debug_record) == 16, "one record per 16 bytes of the region");

int tally_debug_start(void) {
    void *map = mmap(NULL, tally_region_size, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    records = map == MAP_FAILED ? NULL : map;
    return records ? 0 : -1;
}

tally_debug_record *tally_debug_block_record(const void *block) {
    if (!tally_is_small(block)) return tally_large_debug_record(block);
    ptrdiff_t offset = (const char *)block - tally_region;
    return (tally_debug_record *)((char *)records + (offset & ~(ptrdiff_t)15));
}
tally_debug_record *tally_debug_record_of(const tally_object *object) {
    tally_refcounts *refcount = &((tally_object *)(uintptr_t)object)->refcount;
    if (!tally_is_small(object) && tally_refcount_is_immortal(refcount)) return NULL;
    return tally_debug_block_record(object);
}

/* The whole block, and the bytes of it that were asked for. */
static size_t whole_size(const void *block) {
    return tally_is_small(block) ? tally_pool_of(block)->block_size : tally_large_whole_size(block);
}
size_t tally_debug_size(const void *block) {
    if (tally_is_small(block)) return tally_debug_block_record(block)->size;
    return tally_large_whole_size(block) - TALLY_DEBUG_GUARD;
}
static size_t header_size(unsigned kind) { return kind == TALLY_RAW ? 0 : sizeof(tally_object); }

/* ---- messages ------------------------------------------------------------ */

static void describe(const tally_debug_record *record) {
    if (record) {
        fprintf(stderr, "  made");
        tally_debug_print_stack(record->made);
        if (record->died) {
            fputs("  dropped last", stderr);
            tally_debug_print_stack(record->died);
        }
    }
    fprintf(stderr, "  now");
    tally_debug_print_stack(tally_debug_stack());
    if (tally_thread_is_attached() && tally_thread_current()->region_begun) {
        fprintf(stderr, "  the blocked region was begun");
        tally_debug_print_stack(tally_thread_current()->region_begun);
    }
}
void tally_debug_describe(const tally_object *object) {
    describe(object && records ? tally_debug_record_of(object) : NULL);
}
const char *tally_debug_type_name(const tally_object *object) {
    const tally_debug_record *record = records ? tally_debug_record_of(object) : NULL;
    return tally_types[record && record->type ? record->type : object->type].name;
}

/* Raw memory has no header that says what it is. */
static _Noreturn void fault(const void *block, const char *what) {
    const tally_debug_record *record = tally_debug_block_record(block);
    if (record->kind != TALLY_RAW) tally_fatal((tally_object *)(uintptr_t)block, what);
    fprintf(stderr, "tally: %s: %zu bytes of a container at %p, thread %u\n", what,
            tally_debug_size(block), block, tally_self.id);
    describe(record);
    abort();
}

/* ---- guards and poison --------------------------------------------------- */

static bool is_filled(const unsigned char *at, const unsigned char *end, unsigned char with) {
    while (at < end)
        if (*at++ != with) return false;
    return true;
}

/* The last bytes of a block are overwritten, but not those at `from`: the next block's doing. */
static void check_next(const char *block, const unsigned char *from, unsigned char filled) {
    const char *next = block + whole_size(block);
    if (*from == filled && tally_is_small(block) && next < tally_pool_of(block)->bump &&
        tally_load_relaxed(&tally_debug_block_record(next)->state) == TALLY_DEBUG_LIVE)
        fault(next, "the memory in front of a block was overwritten");
}

void tally_debug_check_block(const void *block_) {
    const char *block = block_;
    size_t size = tally_debug_size(block), bytes = whole_size(block) - size;
    const unsigned char *guard = (const unsigned char *)block + size;
    tally_watch_open(guard, bytes);
    if (!is_filled(guard, guard + bytes, GUARD)) {
        check_next(block, guard, GUARD);
        fault(block, "the memory behind a block was overwritten");
    }
    tally_watch_close(guard, bytes);
    const unsigned char *front = (const unsigned char *)block - TALLY_DEBUG_GUARD;
    if (!tally_is_small(block) && !is_filled(front, (const unsigned char *)block, GUARD))
        fault(block, "the memory in front of a block was overwritten");
}

/* What only a free block has: poison. */
static void check_poison(const char *block, unsigned kind) {
    size_t header = header_size(kind), bytes = whole_size(block) - header;
    const unsigned char *at = (const unsigned char *)block + header;
    tally_watch_open(at, bytes);
    if (!is_filled(at, at + bytes, POISON)) {
        if (is_filled(at, at + bytes - TALLY_DEBUG_GUARD, POISON)) check_next(block, at, POISON);
        fault(block, "freed memory was written to");
    }
    tally_watch_close(at, bytes);
}

/* ---- alloc and free ------------------------------------------------------- */

void *tally_debug_made(unsigned kind, void *block, size_t size) {
    if (!block) return NULL;
    size_t header = header_size(kind), whole = whole_size(block);
    tally_debug_record *record = tally_debug_block_record(block);
    tally_watch_open(block, whole);
    memset((char *)block + header, NEW, size > header ? size - header : 0);
    memset((char *)block + size, GUARD, whole - size);
    if (!tally_is_small(block)) memset((char *)block - TALLY_DEBUG_GUARD, GUARD, TALLY_DEBUG_GUARD);
    if (tally_is_small(block)) tally_watch_born(block, size);
    tally_watch_open(block, header);
    tally_watch_made((char *)block + header, size > header ? size - header : 0);
    tally_watch_close((char *)block + size, whole - size);
    record->made = tally_debug_stack();
    record->died = record->type = 0;
    record->size = (uint16_t)size;
    record->kind = (uint8_t)kind;
    tally_store_relaxed(&record->state, TALLY_DEBUG_LIVE);
    tally_add_relaxed(&tally_debug_allocations, 1);
    return block;
}

void tally_debug_typed(tally_object *object) {
    tally_debug_block_record(object)->type = object->type;
}

void tally_debug_dropped(tally_object *object) {
    tally_debug_record *record = tally_debug_record_of(object);
    if (record) record->died = tally_debug_stack();
}

static void leave_quarantine(void *block, unsigned kind) {
    tally_debug_record *record = tally_debug_block_record(block);
    check_poison(block, kind);
    tally_watch_open(block, whole_size(block));
    tally_store_relaxed(&record->state, TALLY_DEBUG_GONE);
    tally_block_free(kind, block);
}

void tally_debug_free(unsigned kind, void *block) {
    tally_debug_record *record = tally_debug_block_record(block);
    if (tally_load_relaxed(&record->state) != TALLY_DEBUG_LIVE)
        fault(block, "memory was freed twice");
    tally_debug_check_block(block);
    if (!TALLY_LOCK_FREE_READS && kind == TALLY_PLAIN && !tally_is_small(block))
        tally_interned_forget(block);
    size_t header = header_size(kind), whole = whole_size(block);
    tally_watch_open(block, whole);
    memset((char *)block + header, POISON, whole - header);
    if (tally_is_small(block)) tally_watch_died(block);
    tally_watch_open(block, header);
    tally_watch_close((char *)block + header, whole - header);
    if (!record->died) record->died = tally_debug_stack();
    if (tally_is_sampled(block)) tally_heap_profile_died(block);
    tally_store_relaxed(&record->state, TALLY_DEBUG_FREED);
    for (bool room = false; !room;) {
        void *oldest = NULL;
        uint8_t oldest_kind = 0;
        pthread_mutex_lock(&quarantine.lock);
        if (quarantine.count == QUARANTINE ||
            (quarantine.count && quarantine.bytes + whole > QUARANTINE_BYTES)) {
            oldest = quarantine.at[quarantine.first].block;
            oldest_kind = quarantine.at[quarantine.first].kind;
            quarantine.first = (quarantine.first + 1) % QUARANTINE;
            quarantine.count--;
            quarantine.bytes -= whole_size(oldest);
        } else {
            unsigned last = (quarantine.first + quarantine.count++) % QUARANTINE;
            quarantine.at[last].block = block;
            quarantine.at[last].kind = (uint8_t)kind;
            quarantine.bytes += whole;
            room = true;
        }
        pthread_mutex_unlock(&quarantine.lock);
        if (oldest) leave_quarantine(oldest, oldest_kind);
    }
}

void tally_debug_check_quarantine(void) {
    pthread_mutex_lock(&quarantine.lock);
    for (unsigned i = 0; i < quarantine.count; i++) {
        unsigned at = (quarantine.first + i) % QUARANTINE;
        check_poison(quarantine.at[at].block, quarantine.at[at].kind);
    }
    pthread_mutex_unlock(&quarantine.lock);
}

static void end_blocks(unsigned kind) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, kind));)
        for (char *block = at.first; block < pool->bump; block += pool->block_size)
            if (tally_load_relaxed(&tally_debug_block_record(block)->state) == TALLY_DEBUG_LIVE)
                tally_watch_died(block);
}

/* The blocks go with the region. */
void tally_debug_end(void) {
    if (records) {
        tally_debug_check_quarantine();
        for (unsigned kind = 0; kind < TALLY_KINDS; kind++) end_blocks(kind);
    }
    quarantine.first = quarantine.count = 0;
    quarantine.bytes = 0;
    tally_watch_open(tally_region, tally_arenas.used * TALLY_ARENA_SIZE);
    if (records) munmap(records, tally_region_size);
    records = NULL;
}

/* ---- where a sanitizer finds an access before a check does ---- */

#    ifdef TALLY_ASAN
void __asan_on_error(void);
/* What the address is, in front of AddressSanitizer's report; a program may have its own. */
__attribute__((weak)) void __asan_on_error(void) {
    const char *at = __asan_get_report_address();
    if (!records || !tally_is_small(at)) return;
    tally_pool *pool = tally_pool_of(at);
    const char *first = tally_pool_first_block(pool);
    if (at < first || at >= pool->bump) return;
    const char *block = at - (at - first) % pool->block_size, *next = block + pool->block_size;
    size_t size = tally_debug_size(block);
    if (at >= block + size && next - at < at - (block + size)) block = next;
    const tally_debug_record *record = tally_debug_block_record(block);
    fprintf(stderr, "tally: the address is at byte %td of %zu: %s %p of type %s\n", at - block,
            tally_debug_size(block), record->type ? "object" : "memory of a container",
            (const void *)block, record->type ? tally_types[record->type].name : "(none)");
    describe(record);
}
#    endif

/* ---- uses ------------------------------------------------------------------ */

void tally_debug_check_thread(void) {
    tally_thread_require();
    if (tally_load_relaxed(&tally_thread_current()->status) == TALLY_RUNNING) return;
    tally_fatal(NULL, "a function of tally.h was called in a blocked region");
}

static void check_object(const tally_object *object, const char *freed) {
    tally_debug_check_thread();
    if (!object) return;
    const tally_debug_record *record = tally_debug_record_of(object);
    if (!record) return;
    switch ((enum tally_debug_state)tally_load_relaxed(&record->state)) {
    case TALLY_DEBUG_LIVE: break;
    case TALLY_DEBUG_NEVER: tally_fatal(NULL, "an address was used where no object ever was");
    case TALLY_DEBUG_FREED:
    case TALLY_DEBUG_GONE: tally_fatal((tally_object *)(uintptr_t)object, freed);
    }
    if (record->kind == TALLY_RAW) fault(object, "the memory of a container was used as an object");
    if (record->type && record->type != object->type)
        tally_fatal((tally_object *)(uintptr_t)object, "the header of an object was overwritten");
    tally_debug_check_block(object);
}
void tally_debug_use(const tally_object *object) {
    check_object(object, "an object was used that is freed");
}
void tally_debug_drop(const tally_object *object) {
    check_object(object, "a reference was dropped of an object that is dead");
}

#endif
