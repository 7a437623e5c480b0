// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Cycles as strongly connected components, of which those of the same types make one row; and the
// graph around an object.
#include "document.h"
#include "heap.h"
#include "results.h"
#include "tally_heap_format.h"

#include <stdlib.h>
#include <string.h>

enum { MOST_TYPES = 4 }; // that a cycle is named by

struct cycle_row {
    char *types; // what it is made of
    const char *held, *finalizer;
    char *example;
    double count, objects, bytes;
};

struct member {
    uint32_t component, type, object;
};

static int by_component(const void *left, const void *right) {
    const struct member *a = left, *b = right;
    if (a->component != b->component) return a->component < b->component ? -1 : 1;
    if (a->type != b->type) return a->type < b->type ? -1 : 1;
    return a->object < b->object ? -1 : a->object > b->object;
}

// Whether one object is a cycle by itself.
static bool holds_itself(const struct heap *heap, uint32_t object) {
    for (uint32_t i = heap->objects[object].first; i < heap->objects[object + 1].first; i++)
        if (is_strong(&heap->references[i]) && heap->references[i].to == object) return true;
    return false;
}

struct share {
    size_t count;
    const char *name;
};
static int by_share(const void *left, const void *right) {
    const struct share *a = left, *b = right;
    if (a->count != b->count) return a->count < b->count ? 1 : -1;
    return strcmp(a->name, b->name);
}

// The members are in the order of their types.
static struct cycle_row cycle_of(const struct heap *heap, const struct member *members,
                                 size_t count) {
    struct cycle_row row = {.count = 1, .objects = (double)count};
    struct share *shares = checked_calloc(count, sizeof *shares);
    size_t types = 0;
    bool finalizer = false;
    for (size_t i = 0; i < count; i++) {
        const struct type *type = &heap->types[members[i].type];
        row.bytes += (double)heap->objects[members[i].object].size;
        finalizer |= (type->flags & TALLY_HEAP_FINALIZER) != 0;
        if (i == 0 || members[i].type != members[i - 1].type)
            shares[types++] = (struct share){0, type->name};
        shares[types - 1].count++;
    }
    qsort(shares, types, sizeof *shares, by_share);
    struct text text = {0};
    for (size_t i = 0; i < types && i < MOST_TYPES; i++)
        text_add(&text, "%s%zu %s", i ? ", " : "", shares[i].count, shares[i].name);
    if (types > MOST_TYPES) text_add(&text, ", and %zu more types", types - MOST_TYPES);
    free(shares);
    row.types = text.data;
    row.held = heap->reachable[members[0].object] ? "yes" : "no";
    row.finalizer = finalizer ? "yes" : "no";
    row.example = format("0x%llx", (unsigned long long)heap->objects[members[0].object].address
                                       << TALLY_HEAP_ADDRESS_SHIFT);
    return row;
}

static int by_types(const void *left, const void *right) {
    const struct cycle_row *a = left, *b = right;
    int order = strcmp(a->types, b->types);
    return order ? order : strcmp(a->held, b->held);
}
static int by_bytes(const void *left, const void *right) {
    const struct cycle_row *a = left, *b = right;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return by_types(left, right);
}

void show_cycles(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {COLUMN("made of", TEXT, cycle_row, types, 0),
                                            COLUMN("cycles", COUNT, cycle_row, count, 0),
                                            COLUMN("objects", COUNT, cycle_row, objects, 0),
                                            COLUMN("bytes", BYTES, cycle_row, bytes, 0),
                                            COLUMN("held", TEXT, cycle_row, held, 0),
                                            COLUMN("finalizer", TEXT, cycle_row, finalizer, 0),
                                            COLUMN("one is at", TEXT, cycle_row, example, 0)};
    uint32_t components, *component = graph_components(heap, &components);
    struct member *members = checked_malloc(heap->count * sizeof *members);
    for (uint32_t i = 0; i < heap->count; i++)
        members[i] = (struct member){component[i], heap->objects[i].type, i};
    qsort(members, heap->count, sizeof *members, by_component);
    struct cycle_row *rows = checked_malloc(components * sizeof *rows);
    size_t count = 0, used = 0;
    for (uint32_t from = 0, to; from < heap->count; from = to) {
        for (to = from; to < heap->count && members[to].component == members[from].component;) to++;
        if (to - from > 1 || holds_itself(heap, members[from].object))
            rows[count++] = cycle_of(heap, &members[from], to - from);
    }
    qsort(rows, count, sizeof *rows, by_types);
    for (size_t i = 0; i < count; i++) {
        if (used == 0 || by_types(&rows[used - 1], &rows[i]) != 0) {
            rows[used++] = rows[i];
            continue;
        }
        rows[used - 1].count++;
        rows[used - 1].objects += rows[i].objects;
        rows[used - 1].bytes += rows[i].bytes;
        free(rows[i].types);
        free(rows[i].example);
    }
    qsort(rows, used, sizeof *rows, by_bytes);
    show_table(view, "Cycles (not held: a collection frees them)", columns,
               sizeof columns / sizeof *columns, rows, used, sizeof *rows);
    for (size_t i = 0; i < used; i++) free(rows[i].types), free(rows[i].example);
    free(rows);
    free(members);
    free(component);
}

// ---- the graph around an object
// ------------------------------------------------------------------

// Breadth first along references in both directions, but not into types, which all objects share.
static size_t around(const struct heap *heap, uint32_t *list, bool *in, uint32_t object,
                     size_t most) {
    size_t count = 0;
    list[count++] = object;
    in[object] = true;
    for (size_t at = 0; at < count; at++) {
        uint32_t from = heap->objects[list[at]].first, to = heap->objects[list[at] + 1].first;
        uint32_t back = heap->referrers_first[list[at]],
                 back_to = heap->referrers_first[list[at] + 1];
        while ((from < to || back < back_to) && count < most) {
            bool forward = back == back_to || (from < to && (from - back) % 2 == 0);
            const struct reference *reference =
                &heap->references[forward ? from++ : heap->referrers[back++]];
            uint32_t next = forward ? reference->to : reference->from;
            if (next == NONE || in[next] || reference->kind == CLASS) continue;
            in[next] = true;
            list[count++] = next;
        }
    }
    return count;
}

void show_dot(const struct heap *heap, struct view *view, const char *what) {
    size_t of_type, count;
    uint32_t object = object_named(heap, what, &of_type);
    uint32_t *list = checked_malloc((view->rows + 1) * sizeof *list);
    bool *in = checked_calloc(heap->count, sizeof *in);
    count = around(heap, list, in, object, view->rows);
    text_add(&view->out, "digraph heap {\n  rankdir = LR;\n  node [shape = box];\n");
    for (size_t i = 0; i < count; i++) {
        char *label = object_label(heap, list[i]),
             *retained = show_bytes((double)heap->retained[list[i]]);
        text_add(&view->out, "  n%u [label = \"%s\\n%s\"%s%s];\n", list[i], label, retained,
                 list[i] == object ? ", style = bold" : "",
                 is_root(heap, list[i]) ? ", peripheries = 2" : "");
        free(retained);
        free(label);
        for (uint32_t r = heap->objects[list[i]].first; r < heap->objects[list[i] + 1].first; r++) {
            const struct reference *reference = &heap->references[r];
            if (reference->to == NONE || !in[reference->to]) continue;
            label = reference_label(heap, r, false);
            text_add(&view->out, "  n%u -> n%u [label = \"%s\"%s];\n", list[i], reference->to,
                     label, reference->kind == WEAK ? ", style = dashed" : "");
            free(label);
        }
    }
    text_add(&view->out, "}\n");
    free(in);
    free(list);
}
