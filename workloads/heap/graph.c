// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The graph of a snapshot: roots, dominators, shortest paths, strongly connected components.
#include "heap.h"
#include "tally_heap_format.h"

#include <stdlib.h>
#include <string.h>

static uint32_t first_of(const struct heap *heap, uint32_t object) {
    return heap->objects[object].first;
}

static bool is_immortal(const struct heap *heap, uint32_t object) {
    return (heap->objects[object].flags & TALLY_HEAP_STATE_MASK) == TALLY_HEAP_IMMORTAL;
}

bool is_root(const struct heap *heap, uint32_t object) {
    return heap->outside[object] > 0 || is_immortal(heap, object);
}

static uint32_t *numbers(size_t count, int byte) {
    uint32_t *result = checked_malloc(count * sizeof *result);
    memset(result, byte, count * sizeof *result);
    return result;
}

// Counts the references by their target, then lists them.
static void list_referrers(struct heap *heap) {
    uint32_t end = first_of(heap, heap->count);
    uint32_t *at = heap->referrers_first = numbers(heap->count + 2ul, 0);
    for (uint32_t i = 0; i < end; i++)
        if (is_strong(&heap->references[i])) at[heap->references[i].to + 2]++;
    for (uint32_t i = 2; i < heap->count + 2; i++) at[i] += at[i - 1];
    heap->referrers = numbers(end, 0);
    for (uint32_t i = 0; i < end; i++)
        if (is_strong(&heap->references[i])) heap->referrers[at[heap->references[i].to + 1]++] = i;
    heap->outside = checked_malloc(heap->count * sizeof *heap->outside);
    for (uint32_t i = 0; i < heap->count; i++)
        heap->outside[i] = heap->objects[i].local + heap->objects[i].shared - (at[i + 1] - at[i]);
}

// ---- dominators ------------------------------------------------------------------------------

// A walk in depth, with a stack of its own: `next` is the reference to follow, per object.
struct walk {
    uint32_t *stack, *next, depth;
};
static struct walk walk_make(const struct heap *heap) {
    return (struct walk){numbers(heap->count, 0), numbers(heap->count, 0xff), 0};
}
static void walk_free(struct walk *walk) {
    free(walk->stack);
    free(walk->next);
}
// False: it was there already.
static bool walk_push(const struct heap *heap, struct walk *walk, uint32_t object) {
    if (walk->next[object] != NONE) return false;
    walk->next[object] = first_of(heap, object);
    walk->stack[walk->depth++] = object;
    return true;
}
// The next object that the topmost refers to; NONE: no more.
static uint32_t walk_follow(const struct heap *heap, struct walk *walk) {
    uint32_t top = walk->stack[walk->depth - 1];
    while (walk->next[top] < first_of(heap, top + 1)) {
        const struct reference *reference = &heap->references[walk->next[top]++];
        if (is_strong(reference)) return reference->to;
    }
    return NONE;
}

// In postorder from the end of `order` to its start, so that `order` is reverse postorder.
static uint32_t walk_from(struct heap *heap, struct walk *walk, uint32_t root, uint32_t left) {
    if (!walk_push(heap, walk, root)) return left;
    while (walk->depth > 0) {
        uint32_t to = walk_follow(heap, walk);
        if (to != NONE)
            walk_push(heap, walk, to);
        else
            heap->order[--left] = walk->stack[--walk->depth];
    }
    return left;
}

// The nearest common dominator; both are places in `order`, and NONE is above all.
static uint32_t common(const uint32_t *dominator, uint32_t a, uint32_t b) {
    while (a != b) {
        if (a == NONE || b == NONE) return NONE;
        if (a > b)
            a = dominator[a];
        else
            b = dominator[b];
    }
    return a;
}

// Cooper, Harvey, Kennedy: A Simple, Fast Dominance Algorithm (2001).  Works on places in `order`;
// a root's dominator is NONE.
static void find_dominators(struct heap *heap, const bool *entry) {
    uint32_t *place = numbers(heap->count, 0), *dominator = numbers(heap->count, 0);
    bool *known = checked_calloc(heap->count, sizeof *known), changed = true;
    for (uint32_t i = 0; i < heap->count; i++) place[heap->order[i]] = i;
    while (changed) {
        changed = false;
        for (uint32_t i = 0; i < heap->count; i++) {
            uint32_t object = heap->order[i], found = NONE;
            bool any = entry[object];
            for (uint32_t r = heap->referrers_first[object];
                 r < heap->referrers_first[object + 1] && !(any && found == NONE); r++) {
                uint32_t from = place[heap->references[heap->referrers[r]].from];
                if (!known[from]) continue;
                found = any ? common(dominator, found, from) : from;
                any = true;
            }
            if (known[i] && dominator[i] == found) continue;
            known[i] = changed = true;
            dominator[i] = found;
        }
    }
    heap->dominator = numbers(heap->count, 0xff);
    for (uint32_t i = 0; i < heap->count; i++)
        if (dominator[i] != NONE) heap->dominator[heap->order[i]] = heap->order[dominator[i]];
    free(known);
    free(dominator);
    free(place);
}

// Objects that no root reaches hang on an object that the walk meets first, as if it were a root.
void graph_make(struct heap *heap) {
    list_referrers(heap);
    struct walk walk = walk_make(heap);
    bool *entry = checked_calloc(heap->count, sizeof *entry);
    heap->order = numbers(heap->count, 0);
    heap->reachable = checked_calloc(heap->count, sizeof *heap->reachable);
    uint32_t left = heap->count;
    for (uint32_t i = 0; i < heap->count; i++)
        if ((entry[i] = is_root(heap, i))) left = walk_from(heap, &walk, i, left);
    for (uint32_t i = left; i < heap->count; i++) heap->reachable[heap->order[i]] = true;
    for (uint32_t i = 0; i < heap->count; i++) {
        uint32_t before = left;
        left = walk_from(heap, &walk, i, left);
        if (left != before) entry[i] = true;
    }
    walk_free(&walk);
    find_dominators(heap, entry);
    free(entry);
    heap->retained = checked_malloc(heap->count * sizeof *heap->retained);
    for (uint32_t i = 0; i < heap->count; i++) heap->retained[i] = heap->objects[i].size;
    for (uint32_t i = heap->count; i-- > 0;) {
        uint32_t object = heap->order[i], above = heap->dominator[object];
        if (above != NONE) heap->retained[above] += heap->retained[object];
    }
}

// An object adds what it retains to its type unless an object of the type dominates it: `inside`
// counts the objects of each type on the way down.
uint64_t *graph_retained_by_type(const struct heap *heap) {
    uint64_t *result = checked_calloc(heap->type_count, sizeof *result);
    // The dominators' tree, as lists of siblings; place 0 is the root's.
    uint32_t *child = numbers(heap->count + 1ul, 0xff), *sibling = numbers(heap->count, 0xff),
             *stack = numbers(heap->count + 1ul, 0), *inside = numbers(heap->type_count, 0);
    for (uint32_t i = 0; i < heap->count; i++) {
        uint32_t *list = &child[heap->dominator[i] + 1]; // NONE + 1 is 0
        sibling[i] = *list;
        *list = i;
    }
    uint32_t depth = 0, next = child[0];
    while (next != NONE || depth > 0) {
        if (next == NONE) { // up
            uint32_t object = stack[--depth];
            inside[heap->objects[object].type]--;
            next = sibling[object];
            continue;
        }
        uint32_t type = heap->objects[next].type;
        if (inside[type]++ == 0) result[type] += heap->retained[next];
        stack[depth++] = next;
        next = child[next + 1];
    }
    free(inside);
    free(stack);
    free(sibling);
    free(child);
    return result;
}

// ---- paths -----------------------------------------------------------------------------------

uint32_t *graph_paths(const struct heap *heap) {
    uint32_t *by = numbers(heap->count, 0xff), *queue = numbers(heap->count, 0), end = 0;
    bool *seen = checked_calloc(heap->count, sizeof *seen);
    // Immortal roots last: a path from the program's own says more.
    for (int immortal = 0; immortal < 2; immortal++)
        for (uint32_t i = 0; i < heap->count; i++)
            if (is_root(heap, i) && is_immortal(heap, i) == immortal) {
                seen[i] = true;
                queue[end++] = i;
            }
    for (uint32_t at = 0; at < end; at++)
        for (uint32_t r = first_of(heap, queue[at]); r < first_of(heap, queue[at] + 1); r++) {
            uint32_t to = heap->references[r].to;
            if (!is_strong(&heap->references[r]) || seen[to]) continue;
            seen[to] = true;
            by[to] = r;
            queue[end++] = to;
        }
    free(seen);
    free(queue);
    return by;
}

// ---- components ------------------------------------------------------------------------------

// Tarjan: Depth-First Search and Linear Graph Algorithms (1972), with the walk's stack in place of
// recursion.
uint32_t *graph_components(const struct heap *heap, uint32_t *count) {
    struct walk walk = walk_make(heap);
    uint32_t *component = numbers(heap->count, 0xff), *low = numbers(heap->count, 0),
             *index = numbers(heap->count, 0), *open = numbers(heap->count, 0);
    uint32_t opened = 0, met = 0;
    *count = 0;
    for (uint32_t root = 0; root < heap->count; root++) {
        if (!walk_push(heap, &walk, root)) continue;
        low[root] = index[root] = met++;
        open[opened++] = root;
        while (walk.depth > 0) {
            uint32_t top = walk.stack[walk.depth - 1], to = walk_follow(heap, &walk);
            if (to != NONE && walk_push(heap, &walk, to)) {
                low[to] = index[to] = met++;
                open[opened++] = to;
            } else if (to != NONE) {
                if (component[to] == NONE && index[to] < low[top]) low[top] = index[to];
            } else {
                walk.depth--;
                if (low[top] == index[top]) {
                    uint32_t member;
                    do component[member = open[--opened]] = *count;
                    while (member != top);
                    ++*count;
                }
                uint32_t below = walk.depth > 0 ? walk.stack[walk.depth - 1] : top;
                if (low[top] < low[below]) low[below] = low[top];
            }
        }
    }
    free(open);
    free(index);
    free(low);
    walk_free(&walk);
    return component;
}
