// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The ledger: rows that explain the resident memory of the process.  The kernel's figure for the
// whole is not used to make a row of arenas, so the sum of the rows proves them.
//
// Blocks of objects are counted by the objects of the snapshot.  A block that is in use and has no
// object is dead and waits for a grace period.  The contents of objects (arrays of lists, tables)
// are raw blocks, or large ones: those of dead objects are known by their sizes, the others live.
#include "document.h"
#include "heap.h"
#include "results.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { UNIT = 16, LARGEST_SMALL = SIZE_CLASSES * UNIT, ENTRY_BYTES = 16 /* of a merge queue */ };

unsigned thread_place(const struct heap *heap, uint32_t number) {
    for (uint32_t i = 0; i < heap->thread_count; i++)
        if (heap->threads[i].number == number) return heap->threads[i].place;
    return TALLY_HEAP_PLACES;
}

// ---- fates ----------------------------------------------------------------------------

// Gives a fate to what the objects in the queue lead to and no other fate has yet.
static void spread(const struct heap *heap, uint8_t *fate, uint32_t *queue, uint32_t end,
                   enum fate to) {
    for (uint32_t at = 0; at < end; at++)
        for (uint32_t r = heap->objects[queue[at]].first; r < heap->objects[queue[at] + 1].first;
             r++) {
            const struct reference *reference = &heap->references[r];
            if (!is_strong(reference) || fate[reference->to] != LOST) continue;
            fate[reference->to] = (uint8_t)to;
            queue[end++] = reference->to;
        }
}

static bool is_queued(const struct object *object) {
    return (object->flags & TALLY_HEAP_STATE_MASK) == TALLY_HEAP_QUEUED;
}

static enum fate fate_of_queued(const struct heap *heap, const struct object *object) {
    switch (thread_place(heap, object->owner)) {
    case TALLY_HEAP_RUNNING: return QUEUED_FOR_RUNNING;
    case TALLY_HEAP_BLOCKED: return QUEUED_FOR_BLOCKED;
    default: return QUEUED_FOR_GONE;
    }
}

uint8_t *ledger_fates(const struct heap *heap) {
    uint8_t *fate = checked_malloc(heap->count + 1ul);
    uint32_t *queue = checked_malloc((heap->count + 1ul) * sizeof *queue);
    memset(fate, LOST, heap->count);
    for (int pass = LIVE; pass < LOST; pass++) {
        uint32_t end = 0;
        for (uint32_t i = 0; i < heap->count; i++) {
            const struct object *object = &heap->objects[i];
            // One of the references is the queue's.
            bool first = pass == LIVE
                             ? is_root(heap, i) && !(is_queued(object) && heap->outside[i] == 1)
                             : is_queued(object) && (int)fate_of_queued(heap, object) == pass;
            if (!first || fate[i] != LOST) continue;
            fate[i] = (uint8_t)pass;
            queue[end++] = i;
        }
        spread(heap, fate, queue, end, (enum fate)pass);
    }
    free(queue);
    return fate;
}

// ---- places ---------------------------------------------------------------------------

static uint64_t address_of(const struct heap *heap, uint32_t object) {
    return heap->objects[object].address << TALLY_HEAP_ADDRESS_SHIFT;
}

size_t ledger_arena(const struct heap *heap, uint32_t object) {
    uint64_t number = (address_of(heap, object) >> ARENA_SHIFT) - heap->ledger.region;
    size_t from = 0, to = heap->ledger.arena_count;
    while (from < to) {
        size_t middle = (from + to) / 2;
        if (heap->ledger.arenas[middle].number == number) return middle;
        if (heap->ledger.arenas[middle].number < number)
            from = middle + 1;
        else
            to = middle;
    }
    return NONE;
}

// The size of its block if that is small; 0: it is large, or static.
static unsigned block_of(const struct heap *heap, uint32_t object) {
    size_t arena = ledger_arena(heap, object);
    if (arena == NONE) return 0;
    size_t pool = (address_of(heap, object) >> POOL_SHIFT) % ARENA_POOLS;
    return heap->ledger.arenas[arena].pools[pool].class_ * UNIT;
}

double ledger_unused(const struct ledger *ledger, const struct pool *pool, size_t place) {
    double first = place == 0 ? ledger->descriptors : 0;
    double in_use = (pool->used - pool->coming) * pool->class_ * UNIT;
    return pool->kind == TALLY_HEAP_POOL_WAITING ? 0 : fmax(pool->resident - first - in_use, 0);
}

// ---- rows -----------------------------------------------------------------------------

struct sum {
    double count, bytes;
};
static void add(struct sum *sum, double count, double bytes) {
    sum->count += count;
    sum->bytes += bytes;
}

enum pools { COMING, FREE_BLOCKS, NOT_MADE, KEPT, FREE_POOLS, SPARE, WAITING_POOLS, POOL_ROWS };

struct sums {
    struct sum live[SIZE_CLASSES + 1], objects[FATES], contents[FATES], large[FATES];
    struct sum entries[FATES]; // of merge queues
    double used_objects, used_raw;
    struct sum pools[POOL_ROWS];
};

static void sum_objects(const struct heap *heap, const uint8_t *fate, struct sums *sums) {
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct object *object = &heap->objects[i];
        unsigned block = block_of(heap, i), to = fate[i];
        bool is_static = block == 0 && object->size <= LARGEST_SMALL;
        if (is_queued(object)) add(&sums->entries[fate_of_queued(heap, object)], 1, ENTRY_BYTES);
        if (block == 0) {
            if (!is_static) add(&sums->large[to], 1, (double)object->size);
            continue;
        }
        if (to == LIVE) add(&sums->live[block / UNIT], 1, block);
        add(&sums->objects[to], 1, block);
        if (object->size <= block) continue;
        uint64_t contents = (object->size - block + UNIT - 1) / UNIT * UNIT;
        add(contents <= LARGEST_SMALL ? &sums->contents[to] : &sums->large[to], 1,
            (double)contents);
    }
}

static void sum_pool(const struct ledger *ledger, const struct pool *pool, size_t place, bool spare,
                     struct sums *sums) {
    double size = pool->class_ * UNIT, first = place == 0 ? ledger->descriptors : 0;
    double left = fmax(pool->resident - first, 0);
    add(&sums->pools[NOT_MADE], 0, fmin(first, pool->resident));
    if (pool->kind < TALLY_HEAP_POOL_USED) {
        enum pools to = pool->kind == TALLY_HEAP_POOL_WAITING ? WAITING_POOLS
                        : spare                               ? SPARE
                                                              : FREE_POOLS;
        add(&sums->pools[to], 1, left);
        return;
    }
    if (pool->used == 0) {
        add(&sums->pools[KEPT], 1, left);
        return;
    }
    *(pool->kind == TALLY_HEAP_POOL_RAW ? &sums->used_raw : &sums->used_objects) +=
        (pool->used - pool->coming) * size;
    add(&sums->pools[COMING], pool->coming, pool->coming * size);
    add(&sums->pools[FREE_BLOCKS], pool->made - pool->used, (pool->made - pool->used) * size);
    add(&sums->pools[NOT_MADE], 0, fmax(left - pool->made * size, 0));
}

static void sum_pools(const struct ledger *ledger, struct sums *sums) {
    for (size_t i = 0; i < ledger->arena_count; i++) {
        bool spare = true;
        for (size_t pool = 0; pool < ARENA_POOLS; pool++)
            spare &= ledger->arenas[i].pools[pool].kind == TALLY_HEAP_POOL_FREE;
        for (size_t pool = 0; pool < ARENA_POOLS; pool++)
            sum_pool(ledger, &ledger->arenas[i].pools[pool], pool, spare, sums);
    }
}

struct row {
    const char *what;
    double count, bytes, share;
};
struct rows {
    struct row *rows;
    size_t count;
    double sum;
    char *kept[SIZE_CLASSES];
    size_t kept_count;
};
// A row that is less than nothing would hide another that is too large.
static void add_row(struct rows *rows, const char *what, double count, double bytes) {
    if (!(bytes > 0)) return;
    rows->rows[rows->count++] = (struct row){what, count > 0 ? count : NAN, bytes, 0};
    rows->sum += bytes;
}

static void add_objects(struct rows *rows, const struct ledger *ledger, const struct sums *sums) {
    static const char *const names[FATES] = {
        [QUEUED_FOR_GONE] = "queued for a merge, of threads that are gone",
        [QUEUED_FOR_RUNNING] = "queued for a merge, of threads that run",
        [QUEUED_FOR_BLOCKED] = "queued for a merge, of threads in a blocked region",
        [LOST] = "dead in cycles, until a collection"};
    double contents = sums->used_raw - ledger->small_waiting, objects = 0;
    for (unsigned i = 1; i <= SIZE_CLASSES; i++) {
        if (sums->live[i].count == 0) continue;
        char *name = format("live objects, blocks of %u bytes", i * UNIT);
        rows->kept[rows->kept_count++] = name;
        add_row(rows, name, sums->live[i].count, sums->live[i].bytes);
    }
    for (unsigned i = LIVE; i < FATES; i++) objects += sums->objects[i].bytes;
    for (unsigned i = LIVE + 1; i < FATES; i++) contents -= sums->contents[i].bytes;
    for (unsigned i = LIVE; i < FATES; i++) contents -= sums->entries[i].bytes;
    add_row(rows, "live: contents of objects, small blocks", 0, contents);
    for (unsigned i = LIVE + 1; i < FATES; i++)
        add_row(rows, names[i], sums->objects[i].count,
                sums->objects[i].bytes + sums->contents[i].bytes + sums->entries[i].bytes);
    add_row(rows, "awaiting a grace period: blocks", 0,
            ledger->small_waiting + sums->used_objects - objects);
    add_row(rows, "awaiting a grace period: pools", sums->pools[WAITING_POOLS].count,
            sums->pools[WAITING_POOLS].bytes);
}

static void add_pools(struct rows *rows, const struct sums *sums) {
    static const char *const names[POOL_ROWS] = {
        [COMING] = "freed by another thread, not yet taken home",
        [FREE_BLOCKS] = "free blocks, in pools that others hold",
        [NOT_MADE] = "pools: descriptors, and room for no block yet",
        [KEPT] = "cache: empty pools that heaps keep",
        [FREE_POOLS] = "free pools, in arenas that others hold",
        [SPARE] = "cache: the spare arena"};
    for (unsigned i = 0; i < WAITING_POOLS; i++)
        add_row(rows, names[i], sums->pools[i].count, sums->pools[i].bytes);
}

static void add_large(struct rows *rows, const struct ledger *ledger, const struct sums *sums) {
    double resident = 0, waiting = 0, dead = 0;
    for (size_t i = 0; i < 3; i++) {
        resident += ledger->large[i].resident;
        waiting += ledger->large[i].waiting;
    }
    for (unsigned i = LIVE + 1; i < LOST; i++) dead += sums->large[i].bytes;
    double lost = fmin(sums->large[LOST].bytes, resident - waiting);
    dead = fmin(dead, resident - waiting - lost);
    add_row(rows, "large blocks, live", 0, resident - waiting - dead - lost);
    add_row(rows, "large blocks, dead in cycles", sums->large[LOST].count, lost);
    add_row(rows, "large blocks, queued for a merge", 0, dead);
    add_row(rows, "large blocks, awaiting a grace period", 0, waiting);
    double others = ledger->mapped[TALLY_HEAP_MALLOC] + ledger->mapped[TALLY_HEAP_ANONYMOUS];
    double left = fmax(others - resident, 0);
    double unused = fmin(left, ledger->unused);
    add_row(rows, "malloc: the run time, the program, other mappings", 0, left - unused);
    add_row(rows, "malloc: free", 0, unused);
}

static void add_sum(struct view *view, const struct rows *rows, double resident) {
    char *sum = show_bytes(rows->sum), *whole = show_bytes(resident),
         *apart = show_bytes(fabs(resident - rows->sum));
    if (resident > 0)
        text_add(&view->out, "The rows sum to %s; resident are %s. They are %s (%.1f %%) apart.\n",
                 sum, whole, apart, 100 * fabs(resident - rows->sum) / resident);
    else
        text_add(&view->out, "The rows sum to %s. The kernel did not tell what is resident.\n",
                 sum);
    free(apart);
    free(whole);
    free(sum);
}

void show_ledger(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {
        COLUMN("what", TEXT, row, what, 0), COLUMN("number", COUNT, row, count, 0),
        COLUMN("bytes", BYTES, row, bytes, 0), COLUMN("share", PERCENT, row, share, 0)};
    const struct ledger *ledger = &heap->ledger;
    struct sums sums = {0};
    struct rows rows = {.rows = checked_calloc(SIZE_CLASSES + 40, sizeof *rows.rows)};
    uint8_t *fate = ledger_fates(heap);
    sum_objects(heap, fate, &sums);
    sum_pools(ledger, &sums);
    add_objects(&rows, ledger, &sums);
    add_pools(&rows, &sums);
    add_row(&rows, "the collector's side marks", 0, ledger->mapped[TALLY_HEAP_SIDE_MARKS]);
    add_large(&rows, ledger, &sums);
    add_row(&rows, "stacks", 0, ledger->mapped[TALLY_HEAP_STACKS]);
    add_row(&rows, "code", 0, ledger->mapped[TALLY_HEAP_CODE]);
    add_row(&rows, "data of the program and its libraries", 0, ledger->mapped[TALLY_HEAP_DATA]);
    for (size_t i = 0; i < rows.count; i++)
        rows.rows[i].share = rows.rows[i].bytes / (ledger->resident > 0 ? ledger->resident : 1);
    size_t shown = view->rows;
    view->rows = rows.count; // all, or they would not sum up
    show_table(view, "The ledger: where the resident memory is", columns,
               sizeof columns / sizeof *columns, rows.rows, rows.count, sizeof *rows.rows);
    view->rows = shown;
    add_sum(view, &rows, ledger->resident);
    show_pinned(heap, view, fate);
    for (size_t i = 0; i < rows.kept_count; i++) free(rows.kept[i]);
    free(rows.rows);
    free(fate);
}
