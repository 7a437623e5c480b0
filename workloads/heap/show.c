// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The tables and lines of `tally heap`.
#include "document.h"
#include "heap.h"
#include "results.h"
#include "tally_heap_format.h"

#include <stdlib.h>
#include <string.h>

// The title up to a parenthesis or a colon is the heading, the rest the caption.
static void add_to_page(struct view *view, const char *title, const struct column *columns,
                        size_t column_count, const void *rows, size_t count, size_t size) {
    size_t length = strcspn(title, "(:");
    const char *rest = title + length + strspn(title + length, "(: ");
    while (length > 0 && title[length - 1] == ' ') length--;
    char *caption = checked_strdup(rest);
    size_t end = strlen(caption);
    if (end > 0 && caption[end - 1] == ')') caption[end - 1] = '\0';
    document_heading(view->document, 2, "%.*s", (int)length, title);
    document_table(view->document, caption, columns, column_count, rows, count, size);
    if (count == 0) document_paragraph(view->document, "None.");
    free(caption);
}

void show_table(struct view *view, const char *title, const struct column *columns,
                size_t column_count, const void *rows, size_t count, size_t size) {
    size_t shown = count < view->rows ? count : view->rows;
    if (view->document) {
        add_to_page(view, title, columns, column_count, rows, shown, size);
    } else {
        struct table table =
            table_make(&(struct results){0}, "", columns, column_count, rows, shown, size);
        text_add(&view->out, "\n%s\n", title);
        if (count > 0) render_terminal_table(&table, &view->out);
        if (count == 0) text_add(&view->out, "none\n");
        table_free(&table);
    }
    if (count > shown)
        text_add(&view->out, "... and %zu more; --rows N shows more\n", count - shown);
}
#define ADD_TABLE(view, title, columns, rows, count) \
    show_table(view, title, columns, sizeof columns / sizeof *columns, rows, count, sizeof *rows)

void show_summary(const struct heap *heap, struct view *view) {
    char *size = show_bytes((double)heap->size);
    uint64_t lost = 0, lost_bytes = 0;
    for (uint32_t i = 0; i < heap->count; i++)
        if (!heap->reachable[i]) lost++, lost_bytes += heap->objects[i].size;
    text_add(&view->out,
             "%s: %s, %u objects, %s, %llu references; others were stopped for %.1f ms\n",
             heap->path, heap->backend, heap->count, size,
             (unsigned long long)heap->reference_count, (double)heap->pause / 1e6);
    free(size);
    size = show_bytes((double)lost_bytes);
    if (lost > 0)
        text_add(&view->out,
                 "Nothing but cycles holds %llu objects (%s): a collection frees them.\n",
                 (unsigned long long)lost, size);
    if (heap->unknown > 0)
        text_add(&view->out, "%llu references lead to objects that are not in the snapshot.\n",
                 (unsigned long long)heap->unknown);
    free(size);
}

// ---- types -----------------------------------------------------------------------------------

struct type_row {
    const char *name;
    double objects, bytes, share, retained, old_objects, old_bytes, more, more_bytes;
};

// A row per name, since a class may have been made anew.
struct type_rows {
    struct type_row *rows;
    size_t count;
};
static struct type_row *row_of(struct type_rows *rows, const char *name) {
    for (size_t i = 0; i < rows->count; i++)
        if (strcmp(rows->rows[i].name, name) == 0) return &rows->rows[i];
    rows->rows[rows->count] = (struct type_row){.name = name};
    return &rows->rows[rows->count++];
}
static void count_types(struct type_rows *rows, const struct heap *heap, bool old) {
    struct type_row *each = checked_calloc(heap->type_count, sizeof *each);
    for (uint32_t i = 0; i < heap->count; i++) {
        each[heap->objects[i].type].objects++;
        each[heap->objects[i].type].bytes += (double)heap->objects[i].size;
    }
    for (uint32_t i = 0; i < heap->type_count; i++) {
        if (each[i].objects == 0) continue;
        struct type_row *row = row_of(rows, heap->types[i].name);
        *(old ? &row->old_objects : &row->objects) += each[i].objects;
        *(old ? &row->old_bytes : &row->bytes) += each[i].bytes;
    }
    free(each);
}

static int by_bytes(const void *left, const void *right) {
    const struct type_row *a = left, *b = right;
    if (a->bytes != b->bytes) return a->bytes < b->bytes ? 1 : -1;
    return strcmp(a->name, b->name);
}
static int by_growth(const void *left, const void *right) {
    const struct type_row *a = left, *b = right;
    if (a->more_bytes != b->more_bytes) return a->more_bytes < b->more_bytes ? 1 : -1;
    if (a->more != b->more) return a->more < b->more ? 1 : -1;
    return strcmp(a->name, b->name);
}

void show_types(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {
        COLUMN("type", TEXT, type_row, name, 0), COLUMN("objects", COUNT, type_row, objects, 0),
        COLUMN("bytes", BYTES, type_row, bytes, 0), COLUMN("share", PERCENT, type_row, share, 0),
        COLUMN("retained", BYTES, type_row, retained, 0)};
    struct type_rows rows = {checked_calloc(heap->type_count, sizeof *rows.rows), 0};
    uint64_t *retained = graph_retained_by_type(heap);
    count_types(&rows, heap, false);
    for (uint32_t i = 0; i < heap->type_count; i++)
        if (retained[i] > 0) row_of(&rows, heap->types[i].name)->retained += (double)retained[i];
    for (size_t i = 0; i < rows.count; i++)
        rows.rows[i].share = heap->size ? rows.rows[i].bytes / (double)heap->size : 0;
    qsort(rows.rows, rows.count, sizeof *rows.rows, by_bytes);
    ADD_TABLE(view, "Types (retained: what would be freed with all objects of the type)", columns,
              rows.rows, rows.count);
    free(retained);
    free(rows.rows);
}

void show_growth(const struct heap *old, const struct heap *heap, struct view *view) {
    static const struct column columns[] = {COLUMN("type", TEXT, type_row, name, 0),
                                            COLUMN("before", COUNT, type_row, old_objects, 0),
                                            COLUMN("after", COUNT, type_row, objects, 0),
                                            COLUMN("more", COUNT, type_row, more, 0),
                                            COLUMN("bytes", BYTES, type_row, bytes, 0),
                                            COLUMN("more bytes", BYTES, type_row, more_bytes, 0)};
    struct type_rows rows = {
        checked_calloc((size_t)heap->type_count + old->type_count, sizeof *rows.rows), 0};
    size_t changed = 0;
    count_types(&rows, old, true);
    count_types(&rows, heap, false);
    for (size_t i = 0; i < rows.count; i++) {
        struct type_row *row = &rows.rows[i];
        row->more = row->objects - row->old_objects;
        row->more_bytes = row->bytes - row->old_bytes;
        if (row->more != 0 || row->more_bytes != 0) rows.rows[changed++] = *row;
    }
    qsort(rows.rows, changed, sizeof *rows.rows, by_growth);
    text_add(&view->out, "\nSince %s: %+lld objects, %+lld bytes\n", old->path,
             (long long)heap->count - old->count, (long long)(heap->size - old->size));
    ADD_TABLE(view, "Types that changed", columns, rows.rows, changed);
    free(rows.rows);
}

// ---- objects -----------------------------------------------------------------------------------

struct object_row {
    char *object, *by;
    const char *state;
    double size, retained, count;
};

static void free_rows(struct object_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++) free(rows[i].object), free(rows[i].by);
    free(rows);
}

// Puts the object in its place among those that retain most; `best` has room for one more.
static size_t insert(const struct heap *heap, uint32_t *best, size_t count, size_t room,
                     uint32_t object) {
    size_t at = count;
    while (at > 0 && heap->retained[best[at - 1]] < heap->retained[object]) at--;
    if (at == room) return count;
    memmove(&best[at + 1], &best[at], (count - at) * sizeof *best);
    best[at] = object;
    return count < room ? count + 1 : count;
}

void show_objects(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {COLUMN("object", TEXT, object_row, object, 0),
                                            COLUMN("held by", TEXT, object_row, by, 0),
                                            COLUMN("bytes", BYTES, object_row, size, 0),
                                            COLUMN("retained", BYTES, object_row, retained, 0)};
    uint32_t *best = checked_malloc((view->rows + 1) * sizeof *best);
    size_t count = 0, all = 0;
    for (uint32_t i = 0; i < heap->count; i++) {
        if (heap->retained[i] == heap->objects[i].size) continue;
        count = insert(heap, best, count, view->rows, i);
        all++;
    }
    struct object_row *rows = checked_calloc(count, sizeof *rows);
    for (size_t i = 0; i < count; i++) {
        uint32_t above = heap->dominator[best[i]];
        rows[i] = (struct object_row){.object = object_label(heap, best[i]),
                                      .by = above != NONE               ? object_label(heap, above)
                                            : !heap->reachable[best[i]] ? checked_strdup("a cycle")
                                            : is_root(heap, best[i])    ? root_label(heap, best[i])
                                                                        : checked_strdup("several"),
                                      .size = (double)heap->objects[best[i]].size,
                                      .retained = (double)heap->retained[best[i]]};
    }
    ADD_TABLE(view, "Objects that retain most (what would be freed if this one died)", columns,
              rows, all);
    free_rows(rows, count);
    free(best);
}

static int by_size(const void *left, const void *right) {
    const struct object_row *a = left, *b = right;
    if (a->size != b->size) return a->size < b->size ? 1 : -1;
    return strcmp(a->object, b->object);
}

const char *place_name(const struct heap *heap, uint32_t number) {
    static const char *const places[TALLY_HEAP_PLACES] = {[TALLY_HEAP_GONE] = "gone",
                                                          [TALLY_HEAP_RUNNING] = "running",
                                                          [TALLY_HEAP_BLOCKED] =
                                                              "in a blocked region"};
    unsigned place = thread_place(heap, number);
    return place < TALLY_HEAP_PLACES ? places[place] : "unknown";
}

void show_owners(const struct heap *heap, struct view *view) {
    static const struct column columns[] = {COLUMN("owner", TEXT, object_row, object, 0),
                                            COLUMN("state", TEXT, object_row, state, 0),
                                            COLUMN("objects", COUNT, object_row, count, 0),
                                            COLUMN("bytes", BYTES, object_row, size, 0)};
    size_t room = 0;
    for (uint32_t i = 0; i < heap->count; i++)
        if (heap->objects[i].owner >= room) room = heap->objects[i].owner + 1ul;
    if (room > UINT16_MAX + 1) reject("%s is damaged: an owner is no thread", heap->path);
    struct object_row *rows = checked_calloc(room * TALLY_HEAP_STATES, sizeof *rows);
    for (uint32_t i = 0; i < heap->count; i++) {
        const struct object *object = &heap->objects[i];
        unsigned state = object->flags & TALLY_HEAP_STATE_MASK;
        struct object_row *row = &rows[object->owner * TALLY_HEAP_STATES + state];
        if (row->count++ == 0)
            row->object = object->owner == 0 ? checked_strdup("none")
                                             : format("thread %u, %s", object->owner,
                                                      place_name(heap, object->owner));
        row->state = state_name(state);
        row->size += (double)object->size;
    }
    size_t used = 0;
    for (size_t i = 0; i < room * TALLY_HEAP_STATES; i++)
        if (rows[i].count > 0) rows[used++] = rows[i];
    qsort(rows, used, sizeof *rows, by_size);
    ADD_TABLE(view, "Owners and states of the refcounts", columns, rows, used);
    free_rows(rows, used);
}

// ---- one object --------------------------------------------------------------------------------

static void add_about(const struct heap *heap, struct view *view, uint32_t object, size_t of_type) {
    const struct object *about = &heap->objects[object];
    char *label = object_label(heap, object), *size = show_bytes((double)about->size),
         *retained = show_bytes((double)heap->retained[object]);
    text_add(&view->out, "%s", label);
    if (!strstr(label, " 0x"))
        text_add(&view->out, " at 0x%llx",
                 (unsigned long long)about->address << TALLY_HEAP_ADDRESS_SHIFT);
    text_add(&view->out, ": %s, retains %s, %s", size, retained, state_name(about->flags));
    if ((about->flags & TALLY_HEAP_STATE_MASK) != TALLY_HEAP_IMMORTAL)
        text_add(&view->out, ", %lld reference%s", (long long)(about->local + about->shared),
                 plural((double)(about->local + about->shared)));
    if (about->owner)
        text_add(&view->out, " (thread %u counts %lld, others %lld)", about->owner,
                 (long long)about->local, (long long)about->shared);
    if (about->flags >> TALLY_HEAP_AGE_SHIFT)
        text_add(&view->out, ", generation %u", (about->flags >> TALLY_HEAP_AGE_SHIFT) - 1);
    text_add(&view->out, "\n");
    if (of_type > 1) text_add(&view->out, "It retains most of %zu objects of its type.\n", of_type);
    free(retained);
    free(size);
    free(label);
}

enum { ENDS = 8 }; // of a long path, so many steps at each end

void show_path(const struct heap *heap, struct view *view, uint32_t object, size_t of_type,
               const uint32_t *by) {
    size_t length = 0;
    uint32_t root = object;
    add_about(heap, view, object, of_type);
    if (!heap->reachable[object]) {
        text_add(&view->out,
                 "Nothing holds it but cycles: a collection frees it. --cycles shows them.\n");
        return;
    }
    for (; by[root] != NONE; root = heap->references[by[root]].from) length++;
    uint32_t *path = checked_malloc(length * sizeof *path), at = object;
    for (size_t i = length; i-- > 0; at = heap->references[path[i]].from) path[i] = by[at];
    char *label = object_label(heap, root), *reason = root_label(heap, root);
    text_add(&view->out, "It is alive because of a root and %zu reference%s, the shortest path:\n",
             length, plural((double)length));
    text_add(&view->out, "  %s (%s)\n", label, reason);
    free(label);
    free(reason);
    for (size_t i = 0; i < length; i++) {
        if (length > 2 * ENDS && i == ENDS) {
            text_add(&view->out, "  ... %zu more ...\n", length - 2 * ENDS);
            i = length - ENDS;
        }
        label = object_label(heap, heap->references[path[i]].to);
        reason = reference_label(heap, path[i], false);
        text_add(&view->out, "  %s -> %s\n", reason, label);
        free(label);
        free(reason);
    }
    free(path);
}

void show_why(const struct heap *heap, struct view *view, const char *what) {
    size_t of_type;
    uint32_t object = object_named(heap, what, &of_type), *by = graph_paths(heap);
    show_path(heap, view, object, of_type, by);
    free(by);
}

// ---- referrers
// -----------------------------------------------------------------------------------

static int by_referrer(const void *left, const void *right) {
    const struct object_row *a = left, *b = right;
    int order = strcmp(a->object, b->object);
    return order ? order : strcmp(a->by, b->by);
}
static int by_count(const void *left, const void *right) {
    const struct object_row *a = left, *b = right;
    return a->count != b->count ? (a->count < b->count ? 1 : -1) : by_referrer(left, right);
}

static bool is_named(const struct heap *heap, uint32_t object, uint32_t chosen, bool all) {
    return all ? object != NONE && strcmp(type_name(heap, object), type_name(heap, chosen)) == 0
               : object == chosen;
}

void show_referrers(const struct heap *heap, struct view *view, const char *what) {
    static const struct column columns[] = {COLUMN("referrer", TEXT, object_row, object, 0),
                                            COLUMN("by", TEXT, object_row, by, 0),
                                            COLUMN("references", COUNT, object_row, count, 0)};
    size_t of_type, count = 0, room = 0, used = 0;
    int64_t outside = 0;
    uint32_t chosen = object_named(heap, what, &of_type), last = NONE,
             end = heap->objects[heap->count].first;
    struct object_row *rows = NULL;
    for (uint32_t i = 0; i < heap->count; i++)
        if (is_named(heap, i, chosen, of_type > 0) && heap->outside[i] > 0)
            outside += heap->outside[i];
    for (uint32_t i = 0; i < end; i++) {
        if (!is_named(heap, heap->references[i].to, chosen, of_type > 0)) continue;
        // Most referrers of a type are alike, so few labels are made.
        if (of_type && last != NONE && reference_is_alike(heap, last, i)) {
            rows[count - 1].count++;
            continue;
        }
        last = i;
        if (count == room)
            rows = checked_realloc(rows, (room = room ? 2 * room : 64) * sizeof *rows);
        uint32_t from = heap->references[i].from;
        rows[count++] = (struct object_row){
            .object = of_type ? checked_strdup(type_name(heap, from)) : object_label(heap, from),
            .by = reference_label(heap, i, of_type > 0),
            .count = 1};
    }
    // Equal rows become one.
    if (count > 0) qsort(rows, count, sizeof *rows, by_referrer);
    for (size_t i = 0; i < count; i++) {
        if (used == 0 || by_referrer(&rows[used - 1], &rows[i]) != 0) {
            rows[used++] = rows[i];
            continue;
        }
        rows[used - 1].count += rows[i].count;
        free(rows[i].object);
        free(rows[i].by);
    }
    if (used > 0) qsort(rows, used, sizeof *rows, by_count);
    if (of_type == 0) add_about(heap, view, chosen, 0);
    char *title =
        of_type ? format("Referrers of %zu %s object%s", of_type, what, plural((double)of_type))
                : checked_strdup("Referrers");
    ADD_TABLE(view, title, columns, rows, used);
    if (outside > 0)
        text_add(&view->out, "and %lld reference%s from outside\n", (long long)outside,
                 plural((double)outside));
    free(title);
    free_rows(rows, used);
}
