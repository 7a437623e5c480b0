// SPDX-License-Identifier: LGPL-2.1-or-later
//
// What holds arenas that are mostly unused.  An arena goes back to the system when no block in it
// is in use, so one object holds 2 MiB.  Objects of one type that are held alike make one row.
#include "document.h"
#include "heap.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

enum holder { BY_REFERENCE, BY_ROOT, BY_IMMORTALITY, BY_QUEUE, BY_CYCLE };

// Objects with the same key make one row.
struct pin {
    uint32_t type, from_type, place, kind, arena, object, reference;
    enum holder holder;
};

static int by_key(const void *left, const void *right) {
    const struct pin *a = left, *b = right;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    if (a->holder != b->holder) return a->holder < b->holder ? -1 : 1;
    if (a->from_type != b->from_type) return a->from_type < b->from_type ? -1 : 1;
    if (a->kind != b->kind) return a->kind < b->kind ? -1 : 1;
    return a->place < b->place ? -1 : a->place > b->place;
}
static int by_key_and_arena(const void *left, const void *right) {
    const struct pin *a = left, *b = right;
    int order = by_key(left, right);
    if (order) return order;
    if (a->arena != b->arena) return a->arena < b->arena ? -1 : 1;
    return a->object < b->object ? -1 : a->object > b->object;
}

static struct pin pin_of(const struct heap *heap, const uint8_t *fate, const uint32_t *by,
                         uint32_t object, uint32_t arena) {
    struct pin pin = {.type = heap->objects[object].type,
                      .arena = arena,
                      .object = object,
                      .reference = by[object],
                      .holder = BY_REFERENCE};
    if (fate[object] != LIVE) {
        pin.holder = fate[object] == LOST ? BY_CYCLE : BY_QUEUE;
    } else if (by[object] == NONE) {
        bool immortal =
            (heap->objects[object].flags & TALLY_HEAP_STATE_MASK) == TALLY_HEAP_IMMORTAL;
        pin.holder = immortal ? BY_IMMORTALITY : BY_ROOT;
    } else {
        const struct reference *reference = &heap->references[by[object]];
        pin.from_type = heap->objects[reference->from].type;
        pin.kind = reference->kind;
        pin.place = reference->kind == SLOT || reference->kind == HELD ? reference->place
                    : reference->kind == ATTRIBUTE ? heap->references[by[object] - 1].to
                                                   : 0;
    }
    return pin;
}

static char *holder_name(const struct heap *heap, const struct pin *pin) {
    switch (pin->holder) {
    case BY_ROOT: return checked_strdup("references from outside");
    case BY_IMMORTALITY: return checked_strdup("immortal");
    case BY_QUEUE: return checked_strdup("a merge queue");
    case BY_CYCLE: return checked_strdup("cycles that are dead");
    default: break;
    }
    char *label = reference_label(heap, pin->reference, true);
    char *name = format("%s %s", type_name(heap, heap->references[pin->reference].from), label);
    free(label);
    return name;
}

struct pinned_row {
    const char *type;
    char *holder;
    double arenas, objects, bytes, unused;
};
static int by_arenas(const void *left, const void *right) {
    const struct pinned_row *a = left, *b = right;
    if (a->arenas != b->arenas) return a->arenas < b->arenas ? 1 : -1;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return strcmp(a->type, b->type);
}

// The unused bytes of an arena that is mostly unused but not free; 0: it is another.
static double unused_of(const struct ledger *ledger, const struct arena *arena) {
    double unused = 0, resident = 0, used = 0;
    for (size_t i = 0; i < ARENA_POOLS; i++) {
        unused += ledger_unused(ledger, &arena->pools[i], i);
        resident += arena->pools[i].resident;
        used += arena->pools[i].used;
    }
    return used > 0 && 2 * unused > resident ? unused : 0;
}

static size_t rows_of(const struct heap *heap, struct pin *pins, size_t count, const double *unused,
                      struct pinned_row *rows) {
    size_t used = 0;
    qsort(pins, count, sizeof *pins, by_key_and_arena);
    for (size_t i = 0; i < count; i++) {
        bool fresh = i == 0 || by_key(&pins[i], &pins[i - 1]) != 0;
        if (fresh)
            rows[used++] = (struct pinned_row){.type = type_name(heap, pins[i].object),
                                               .holder = holder_name(heap, &pins[i])};
        struct pinned_row *row = &rows[used - 1];
        row->objects++;
        row->bytes += (double)heap->objects[pins[i].object].size;
        if (!fresh && pins[i].arena == pins[i - 1].arena) continue;
        row->arenas++;
        row->unused += unused[pins[i].arena];
    }
    qsort(rows, used, sizeof *rows, by_arenas);
    return used;
}

void show_pinned(const struct heap *heap, struct view *view, const uint8_t *fate) {
    static const struct column columns[] = {COLUMN("type", TEXT, pinned_row, type, 0),
                                            COLUMN("held by", TEXT, pinned_row, holder, 0),
                                            COLUMN("arenas", COUNT, pinned_row, arenas, 0),
                                            COLUMN("unused there", BYTES, pinned_row, unused, 0),
                                            COLUMN("objects", COUNT, pinned_row, objects, 0),
                                            COLUMN("bytes", BYTES, pinned_row, bytes, 0)};
    const struct ledger *ledger = &heap->ledger;
    double *unused = checked_calloc(ledger->arena_count + 1, sizeof *unused), sum = 0;
    size_t arenas = 0, count = 0;
    for (size_t i = 0; i < ledger->arena_count; i++) {
        unused[i] = unused_of(ledger, &ledger->arenas[i]);
        arenas += unused[i] > 0;
        sum += unused[i];
    }
    struct pin *pins = checked_calloc(heap->count + 1ul, sizeof *pins);
    uint32_t *by = graph_paths(heap);
    for (uint32_t i = 0; arenas > 0 && i < heap->count; i++) {
        size_t arena = ledger_arena(heap, i);
        if (arena == NONE || unused[arena] == 0) continue;
        pins[count++] = pin_of(heap, fate, by, i, (uint32_t)arena);
    }
    struct pinned_row *rows = checked_calloc(count + 1, sizeof *rows);
    size_t used = count > 0 ? rows_of(heap, pins, count, unused, rows) : 0;
    char *bytes = show_bytes(sum),
         *title = format("What holds arenas that are mostly unused: %zu of %zu arenas, %s unused",
                         arenas, ledger->arena_count, bytes);
    show_table(view, title, columns, sizeof columns / sizeof *columns, rows, used, sizeof *rows);
    for (size_t i = 0; i < used; i++) free(rows[i].holder);
    free(title);
    free(bytes);
    free(rows);
    free(by);
    free(pins);
    free(unused);
}
