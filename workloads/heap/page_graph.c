// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Which parts of a heap a page shows, so that it stays under a megabyte whatever the size of the
// heap: those that retain most, an object per type, and what is around these.
#include "document.h"
#include "heap.h"

#include <stdlib.h>
#include <string.h>

enum {
    MOST_DRAWN = 100,
    MOST_GROUPS = 100,
    MOST_DEPTH = 12,
    LEAST_SHARE = 100, // of the heap: what retains less than the 100th part is not drawn
    MOST_LARGE = LEAST_SHARE * MOST_DEPTH, // that there can be, unless the file is damaged
    MOST_LISTED = 120,
    MOST_LINKED = 1500,
    MOST_EACH = 12, // references of an object in each direction
    MOST_REFERENCES = 8000
};

// ---- the drawing: the tree of dominators, the largest parts first -----------------------------

struct sized {
    uint32_t object;
    uint64_t retained;
};
static int by_retained(const void *left, const void *right) {
    const struct sized *a = left, *b = right;
    if (a->retained != b->retained) return a->retained < b->retained ? 1 : -1;
    return a->object < b->object ? -1 : a->object > b->object;
}

// All objects that are large enough, the largest first.
static struct sized *large_ones(const struct heap *heap, size_t *count) {
    struct sized *large = checked_malloc(MOST_LARGE * sizeof *large);
    size_t used = 0;
    *count = 0;
    // Of each depth the large ones are LEAST_SHARE at most; deeper ones are not looked for.
    unsigned char *depth = checked_calloc(heap->count + 1ul, 1);
    for (uint32_t i = 0; i < heap->count; i++) {
        uint32_t object = heap->order[i], above = heap->dominator[object];
        depth[object] = above == NONE                ? 1
                        : depth[above] <= MOST_DEPTH ? (unsigned char)(depth[above] + 1)
                                                     : MOST_DEPTH + 1;
        if (used < MOST_LARGE && depth[object] <= MOST_DEPTH &&
            heap->retained[object] > heap->size / LEAST_SHARE)
            large[used++] = (struct sized){object, heap->retained[object]};
    }
    free(depth);
    if (used > 0) qsort(large, used, sizeof *large, by_retained);
    *count = used < MOST_DRAWN ? used : MOST_DRAWN;
    return large;
}

// An object that is not drawn, below one that is, or below none.
struct crumb {
    uint32_t place, type, count;
    uint64_t retained;
};
static int by_place_and_type(const void *left, const void *right) {
    const struct crumb *a = left, *b = right;
    if (a->place != b->place) return a->place < b->place ? -1 : 1;
    return a->type < b->type ? -1 : a->type > b->type;
}

// What is not drawn, by the type and by what it hangs on; what is too small even so is left out.
static void group_rest(const struct heap *heap, const uint32_t *place, double *used,
                       struct part_of_heap *part) {
    struct crumb *crumbs = checked_malloc((heap->count + 1ul) * sizeof *crumbs);
    size_t count = 0, top = part->drawn_count;
    for (uint32_t i = 0; i < heap->count; i++) {
        uint32_t above = heap->dominator[i];
        if (place[i] != NONE || (above != NONE && place[above] == NONE)) continue;
        crumbs[count++] = (struct crumb){above == NONE ? (uint32_t)top : place[above],
                                         heap->objects[i].type, 1, heap->retained[i]};
    }
    if (count > 0) qsort(crumbs, count, sizeof *crumbs, by_place_and_type);
    part->groups = checked_calloc(MOST_GROUPS, sizeof *part->groups);
    for (size_t i = 0, next; i < count; i = next) {
        struct crumb sum = crumbs[i];
        for (next = i + 1; next < count && by_place_and_type(&sum, &crumbs[next]) == 0; next++) {
            sum.count++;
            sum.retained += crumbs[next].retained;
        }
        if (sum.retained <= heap->size / LEAST_SHARE || part->group_count == MOST_GROUPS) continue;
        part->groups[part->group_count++] = (struct part_group){
            sum.type, sum.count, sum.place == top ? 0 : part->depth[sum.place] + 1,
            (sum.place == top ? 0 : part->left[sum.place]) + used[sum.place], sum.retained};
        used[sum.place] += heap_share(heap, sum.retained);
    }
    free(crumbs);
}

// What dominates an object retains more, so it is before it in `large`, and drawn as well.
static void lay_out(const struct heap *heap, const struct sized *large, size_t count,
                    struct part_of_heap *part) {
    double *used = checked_calloc(count + 1, sizeof *used); // by place in `large`; last: the roots
    uint32_t *place = checked_malloc((heap->count + 1ul) * sizeof *place);
    memset(place, 0xff, (heap->count + 1ul) * sizeof *place);
    part->drawn = checked_malloc((count + 1) * sizeof *part->drawn);
    part->depth = checked_calloc(count + 1, sizeof *part->depth);
    part->left = checked_calloc(count + 1, sizeof *part->left);
    for (size_t i = 0; i < count; i++) {
        uint32_t object = large[i].object, above = heap->dominator[object];
        bool top = above == NONE || place[above] == NONE;
        size_t at = top ? count : place[above];
        place[object] = (uint32_t)i;
        part->drawn[i] = object;
        part->depth[i] = top ? 0 : part->depth[at] + 1;
        part->left[i] = (top ? 0 : part->left[at]) + used[at];
        used[at] += heap_share(heap, large[i].retained);
    }
    part->drawn_count = count;
    group_rest(heap, place, used, part);
    free(place);
    free(used);
}

// ---- lists --------------------------------------------------------------------------------------

static void list_object(struct part_of_heap *part, uint32_t object) {
    if (part->has_entry[object] || part->listed_count == MOST_LISTED) return;
    part->has_entry[object] = true;
    part->listed[part->listed_count++] = object;
}
static void link_object(struct part_of_heap *part, uint32_t object) {
    if (object == NONE || part->place[object] != NONE || part->linked_count == MOST_LINKED) return;
    part->place[object] = (uint32_t)part->linked_count;
    part->linked[part->linked_count++] = object;
}

// The object of each type that retains most, of the types with most bytes first.
static void list_by_type(const struct heap *heap, struct part_of_heap *part) {
    struct sized *types = checked_calloc(heap->type_count, sizeof *types);
    uint64_t *bytes = checked_calloc(heap->type_count, sizeof *bytes);
    for (uint32_t i = 0; i < heap->type_count; i++) types[i].object = NONE;
    for (uint32_t i = 0; i < heap->count; i++) {
        uint32_t type = heap->objects[i].type;
        bytes[type] += heap->objects[i].size;
        if (types[type].object == NONE || heap->retained[i] > types[type].retained)
            types[type] = (struct sized){i, heap->retained[i]};
    }
    for (uint32_t i = 0; i < heap->type_count; i++) types[i].retained = bytes[i];
    qsort(types, heap->type_count, sizeof *types, by_retained);
    for (uint32_t i = 0; i < heap->type_count && types[i].retained > 0; i++)
        list_object(part, types[i].object);
    free(bytes);
    free(types);
}

static uint32_t other_end(const struct heap *heap, uint32_t reference, bool back) {
    return back ? heap->references[reference].from : heap->references[reference].to;
}

static uint64_t retained_by(const struct heap *heap, uint32_t reference, bool back) {
    return heap->retained[other_end(heap, reference, back)];
}

// The references of an object, or those to it, whose other ends retain most.
static size_t pick(const struct heap *heap, uint32_t object, bool back,
                   uint32_t picked[MOST_EACH + 1]) {
    uint32_t from = back ? heap->referrers_first[object] : heap->objects[object].first,
             to = back ? heap->referrers_first[object + 1] : heap->objects[object + 1].first;
    size_t count = 0;
    for (uint32_t i = from; i < to; i++) {
        uint32_t reference = back ? heap->referrers[i] : i, end = other_end(heap, reference, back);
        if (end == NONE) continue;
        size_t at = count;
        // The last has room for one that goes.
        while (at > 0 && retained_by(heap, picked[at - 1], back) < heap->retained[end]) {
            picked[at] = picked[at - 1];
            at--;
        }
        if (at == MOST_EACH) continue;
        picked[at] = reference;
        if (count < MOST_EACH) count++;
    }
    return count;
}

// Breadth first, but not into types, which all objects share.
static void link_around(const struct heap *heap, struct part_of_heap *part) {
    uint32_t picked[MOST_EACH + 1];
    for (size_t i = 0; i < part->listed_count; i++) link_object(part, part->listed[i]);
    for (size_t at = 0; at < part->linked_count && part->linked_count < MOST_LINKED; at++)
        for (int back = 0; back < 2; back++) {
            size_t count = pick(heap, part->linked[at], back, picked);
            for (size_t i = 0; i < count; i++)
                if (heap->references[picked[i]].kind != CLASS)
                    link_object(part, other_end(heap, picked[i], back));
        }
}

struct part_of_heap part_make(const struct heap *heap) {
    struct part_of_heap part = {.listed = checked_malloc(MOST_LISTED * sizeof *part.listed),
                                .linked = checked_malloc(MOST_LINKED * sizeof *part.linked),
                                .place = checked_malloc((heap->count + 1ul) * sizeof *part.place),
                                .has_entry =
                                    checked_calloc(heap->count + 1ul, sizeof *part.has_entry)};
    size_t count;
    struct sized *large = large_ones(heap, &count);
    memset(part.place, 0xff, (heap->count + 1ul) * sizeof *part.place);
    lay_out(heap, large, count, &part);
    for (size_t i = 0; i < count; i++) list_object(&part, large[i].object);
    list_by_type(heap, &part);
    link_around(heap, &part);
    free(large);
    return part;
}

void part_free(struct part_of_heap *part) {
    void *owned[] = {part->drawn,  part->depth, part->left,      part->listed,
                     part->linked, part->place, part->has_entry, part->groups};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) free(owned[i]);
}

// ---- data ---------------------------------------------------------------------------------------

// A string of JSON that may stand in a script: without an end tag.
static void add_string(struct text *out, char *string) {
    text_add(out, "\"");
    for (const char *c = string; *c; c++) {
        unsigned char byte = (unsigned char)*c;
        if (byte < 32 || byte == '"' || byte == '\\' || byte == '<')
            text_add(out, "\\u%04x", byte);
        else
            text_add_bytes(out, c, 1);
    }
    text_add(out, "\"");
    free(string);
}

static void add_reference(const struct heap *heap, const struct part_of_heap *part,
                          uint32_t reference, bool *added, size_t *count, struct text *out) {
    const struct reference *about = &heap->references[reference];
    if (about->to == NONE || added[reference] || *count == MOST_REFERENCES ||
        part->place[about->to] == NONE || part->place[about->from] == NONE)
        return;
    added[reference] = true;
    text_add(out, "%s[%u,%u,", (*count)++ ? "," : "", part->place[about->from],
             part->place[about->to]);
    add_string(out, reference_label(heap, reference, false));
    text_add(out, about->kind == WEAK ? ",1]" : "]");
}

void part_add_data(const struct heap *heap, const struct part_of_heap *part, struct text *out) {
    uint32_t end = heap->objects[heap->count].first;
    bool *added = checked_calloc(end + 1ul, sizeof *added);
    uint32_t picked[MOST_EACH + 1];
    size_t count = 0;
    text_add(out, "{\"objects\":[");
    for (size_t i = 0; i < part->linked_count; i++) {
        uint32_t object = part->linked[i];
        text_add(out, "%s[", i ? "," : "");
        add_string(out, object_label(heap, object));
        text_add(out, ",%llu,%llu,", (unsigned long long)heap->objects[object].size,
                 (unsigned long long)heap->retained[object]);
        add_string(out, is_root(heap, object) ? root_label(heap, object) : checked_strdup(""));
        uint32_t strong = 0;
        for (uint32_t k = heap->objects[object].first; k < heap->objects[object + 1].first; k++)
            strong += is_strong(&heap->references[k]);
        text_add(out, ",%u,%u]", strong,
                 heap->referrers_first[object + 1] - heap->referrers_first[object]);
    }
    text_add(out, "],\n\"references\":[");
    for (size_t i = 0; i < part->linked_count; i++)
        for (int back = 0; back < 2; back++) {
            size_t picks = pick(heap, part->linked[i], back, picked);
            for (size_t k = 0; k < picks; k++)
                add_reference(heap, part, picked[k], added, &count, out);
        }
    text_add(out, "]}");
    free(added);
}
