// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Duplicates: objects that cannot change and have equal values, so that one of them would do for
// all.  Values are equal if type and contents are: 1 and 1.0 are not, nor are 0.0 and -0.0.  A long
// str is known by its length, its first bytes and a hash of 64 bits.  Two tuples are equal if their
// items are equal values, or the same object.
//
// Dead objects are left out, since a collection frees them.  A tuple's duplicate counts without its
// items, which have a value of their own, so no byte is counted twice.
#include "document.h"
#include "heap.h"
#include "results.h"

#include <stdlib.h>
#include <string.h>

static bool is_immutable(const struct heap *heap, uint32_t object) {
    return (heap->types[heap->objects[object].type].flags & TALLY_HEAP_IMMUTABLE) != 0;
}

// ---- equal values --------------------------------------------------------------------------

// `same` has for each object the first that is equal, or itself.  A hash table of these.
struct values {
    const struct heap *heap;
    uint32_t *same, *table, mask;
};

static uint64_t mixed(uint64_t hash, uint64_t word) {
    hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}
// The bytes of a str that are in the file, and its hash.
static size_t text_length(const struct heap *heap, const struct object *str) {
    return text_kept(heap, str) + (str->value > TALLY_HEAP_TEXT ? TALLY_HEAP_HASH : 0);
}
static uint32_t item(const struct values *values, uint32_t reference) {
    uint32_t to = values->heap->references[reference].to;
    return to == NONE ? NONE : values->same[to];
}

static uint64_t hash_of(const struct values *values, uint32_t at) {
    const struct object *object = &values->heap->objects[at];
    uint64_t hash = mixed(object->type, object->value);
    if (is_tuple(values->heap, at)) {
        for (uint32_t i = object[0].first; i < object[1].first; i++)
            hash = mixed(hash, item(values, i));
        return hash;
    }
    if (!object->text) return hash;
    for (size_t i = 0, end = text_length(values->heap, object); i < end; i += 8) {
        uint64_t word = 0;
        memcpy(&word, object->text + i, end - i < 8 ? end - i : 8);
        hash = mixed(hash, word);
    }
    return hash;
}

static bool are_equal(const struct values *values, uint32_t a, uint32_t b) {
    const struct object *first = &values->heap->objects[a], *second = &values->heap->objects[b];
    if (first->type != second->type || first->value != second->value) return false;
    if (is_tuple(values->heap, a)) {
        uint32_t count = first[1].first - first[0].first;
        if (second[1].first - second[0].first != count) return false;
        for (uint32_t i = 0; i < count; i++)
            if (item(values, first->first + i) != item(values, second->first + i)) return false;
        return true;
    }
    return !first->text || memcmp(first->text, second->text, text_length(values->heap, first)) == 0;
}

static void add_value(struct values *values, uint32_t object) {
    uint64_t at = hash_of(values, object);
    for (;; at++) {
        uint32_t *place = &values->table[at & values->mask];
        if (*place == NONE) *place = object;
        if (*place != object && !are_equal(values, *place, object)) continue;
        values->same[object] = *place;
        return;
    }
}

// A tuple is added once the tuples in it have been; those of a damaged file that hold one another
// never are.
static void add_tuples(struct values *values) {
    const struct heap *heap = values->heap;
    uint32_t *inner = checked_calloc(heap->count + 1ul, sizeof *inner),
             *queue = checked_malloc((heap->count + 1ul) * sizeof *queue), end = 0;
    for (uint32_t i = 0; i < heap->count; i++) {
        if (!is_tuple(heap, i) || !heap->reachable[i]) continue;
        for (uint32_t r = heap->objects[i].first; r < heap->objects[i + 1].first; r++)
            inner[i] += heap->references[r].to != NONE && is_tuple(heap, heap->references[r].to);
        if (inner[i] == 0) queue[end++] = i;
    }
    for (uint32_t at = 0; at < end; at++) {
        uint32_t tuple = queue[at];
        add_value(values, tuple);
        for (uint32_t r = heap->referrers_first[tuple]; r < heap->referrers_first[tuple + 1]; r++) {
            uint32_t from = heap->references[heap->referrers[r]].from;
            if (is_tuple(heap, from) && heap->reachable[from] && --inner[from] == 0)
                queue[end++] = from;
        }
    }
    free(queue);
    free(inner);
}

static uint32_t *find_equal(const struct heap *heap) {
    uint64_t room = 1024;
    while (room < 2ull * heap->count) room *= 2;
    struct values values = {heap, checked_malloc((heap->count + 1ul) * sizeof *values.same),
                            checked_malloc(room * sizeof *values.table), (uint32_t)(room - 1)};
    memset(values.table, 0xff, room * sizeof *values.table);
    for (uint32_t i = 0; i < heap->count; i++) values.same[i] = i;
    for (uint32_t i = 0; i < heap->count; i++)
        if (heap->reachable[i] && is_immutable(heap, i) && !is_tuple(heap, i))
            add_value(&values, i);
    add_tuples(&values);
    free(values.table);
    return values.same;
}

// ---- tables --------------------------------------------------------------------------------

struct value_row {
    char *value, *holder;
    double objects, bytes, saved;
    uint32_t first, by, votes, references; // `by`: the reference that most others are like
};
static int by_saved(const void *left, const void *right) {
    const struct value_row *a = left, *b = right;
    if (a->saved != b->saved) return a->saved < b->saved ? 1 : -1;
    return a->first < b->first ? -1 : a->first > b->first;
}

// Rows of what has duplicates, those that would save most first.
static struct value_row *rows_of(const struct heap *heap, const uint32_t *same, size_t *count) {
    uint32_t *more = checked_calloc(heap->count + 1ul, sizeof *more);
    size_t used = 0;
    for (uint32_t i = 0; i < heap->count; i++)
        if (same[i] != i && more[same[i]]++ == 0) used++;
    struct value_row *rows = checked_calloc(used + 1, sizeof *rows);
    used = 0;
    for (uint32_t i = 0; i < heap->count; i++)
        if (more[i] > 0)
            rows[used++] = (struct value_row){.first = i,
                                              .objects = more[i] + 1.0,
                                              .bytes = (double)heap->objects[i].size,
                                              .saved = more[i] * (double)heap->objects[i].size};
    free(more);
    if (used > 0) qsort(rows, used, sizeof *rows, by_saved);
    *count = used;
    return rows;
}

// Who holds most of the copies, by majority vote (Boyer and Moore 1991), of the rows that are
// shown.
static void find_holders(const struct heap *heap, const uint32_t *same, struct value_row *rows,
                         size_t count) {
    uint32_t *row_at = checked_malloc((heap->count + 1ul) * sizeof *row_at);
    memset(row_at, 0xff, (heap->count + 1ul) * sizeof *row_at);
    for (size_t i = 0; i < count; i++) row_at[rows[i].first] = (uint32_t)i;
    for (int pass = 0; pass < 2; pass++)
        for (uint32_t i = 0; i < heap->count; i++) {
            uint32_t place = row_at[same[i]];
            for (uint32_t r = heap->referrers_first[i];
                 place != NONE && r < heap->referrers_first[i + 1]; r++) {
                struct value_row *row = &rows[place];
                uint32_t reference = heap->referrers[r];
                if (pass == 0 && row->votes == 0) row->by = reference;
                bool alike = reference_is_alike(heap, row->by, reference);
                if (pass == 0)
                    row->votes += alike ? 1 : UINT32_MAX; // less one
                else
                    row->references++, row->votes += alike;
            }
            if (pass == 0 && i + 1 == heap->count)
                for (size_t k = 0; k < count; k++) rows[k].votes = 0;
        }
    free(row_at);
}

static void name_row(const struct heap *heap, struct value_row *row) {
    row->value = value_label(heap, row->first);
    if (row->references == 0) {
        row->holder = checked_strdup("references from outside");
        return;
    }
    char *label = reference_label(heap, row->by, true);
    const char *type = type_name(heap, heap->references[row->by].from);
    row->holder = row->votes == row->references ? format("%s %s", type, label)
                                                : format("%s %s (%.0f %%)", type, label,
                                                         100.0 * row->votes / row->references);
    free(label);
}

void show_duplicates(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {
        COLUMN("value", TEXT, value_row, value, 0), COLUMN("objects", COUNT, value_row, objects, 0),
        COLUMN("each", BYTES, value_row, bytes, 0), COLUMN("saved", BYTES, value_row, saved, 0),
        COLUMN("most are held by", TEXT, value_row, holder, 0)};
    uint32_t *same = find_equal(heap);
    size_t count, shown;
    struct value_row *rows = rows_of(heap, same, &count);
    double saved = 0, copies = 0;
    for (size_t i = 0; i < count; i++) saved += rows[i].saved, copies += rows[i].objects - 1;
    shown = count < view->rows ? count : view->rows;
    find_holders(heap, same, rows, shown);
    for (size_t i = 0; i < shown; i++) name_row(heap, &rows[i]);
    char *bytes = show_bytes(saved),
         *title =
             format("Duplicates of values that cannot change: %.0f object%s, %s would be saved",
                    copies, plural(copies), bytes);
    show_table(view, title, columns, sizeof columns / sizeof *columns, rows, count, sizeof *rows);
    for (size_t i = 0; i < shown; i++) free(rows[i].value), free(rows[i].holder);
    free(title);
    free(bytes);
    free(rows);
    free(same);
}
