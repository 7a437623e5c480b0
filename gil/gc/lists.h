/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* lists.h: the lists of containers that a collection works on; track.h has their links. A list is
 * named by the link of its head. */
#ifndef TALLY_LISTS_H
#define TALLY_LISTS_H

#include "gc/collector.h"

static inline tally_container *gc_list_head(uint32_t list) { return tally_link_follow(list); }
static inline bool gc_list_is_empty(uint32_t list) {
    return gc_list_head(list)->links.next == list;
}
static inline void gc_list_clear(uint32_t list) {
    gc_list_head(list)->links.next = gc_list_head(list)->links.previous = list;
}
static inline tally_container *gc_list_next(tally_container *object) {
    return tally_link_follow(object->links.next);
}
static inline tally_container *gc_list_first(uint32_t list) {
    return gc_list_next(gc_list_head(list));
}
#define gc_list_each(object, list)                                                    \
    for (tally_container *object = gc_list_first(list); object != gc_list_head(list); \
         object = gc_list_next(object))

/* Appends all of `from` to `to`. */
static inline void gc_list_merge(uint32_t to, uint32_t from) {
    if (gc_list_is_empty(from)) return;
    tally_container *to_head = gc_list_head(to), *from_head = gc_list_head(from);
    tally_link_follow(to_head->links.previous)->links.next = from_head->links.next;
    gc_list_first(from)->links.previous = to_head->links.previous;
    tally_link_follow(from_head->links.previous)->links.next = to;
    to_head->links.previous = from_head->links.previous;
    gc_list_clear(from);
}

/* Out of line: few objects move in a full collection, and the visits stay small. */
static __attribute__((noinline, unused)) void gc_list_move(uint32_t list, tally_container *object) {
    tally_link_remove(object);
    uint32_t self = tally_link_to(object);
    tally_container *head = gc_list_head(list);
    tally_link_follow(head->links.previous)->links.next = self;
    object->links.previous = head->links.previous;
    object->links.next = list;
    head->links.previous = self;
}

/* young_collection.c. Moves the objects of `young` that only unreachable objects hold to
 * `unreachable`, which it empties first; their side mark bytes say UNREACHABLE. full: all tracked
 * objects that are not frozen are young. Returns how many survive. */
enum { TALLY_SIDE_MARK_UNREACHABLE = 0xff };
size_t tally_deduce_unreachable(uint32_t young, uint32_t unreachable, bool full);
static inline _Atomic uint8_t *tally_side_mark_of_container(tally_container *object) {
    return tally_side_mark_of(tally_side_marks, 0, &object->base);
}

#endif
