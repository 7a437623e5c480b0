/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * track.h: the inline half of the generational collector: containers enter and leave a list, and
 * births are counted. Everything is under the GIL.
 *
 * Invariant: a tracked container is in exactly one list, which is circular and doubly linked and
 * has its head in tally_heads.
 */
#ifndef TALLY_TRACK_H
#define TALLY_TRACK_H

#include "layout/thread.h"
#include "layout/types.h"
#include "memory/memory.h"

/* Heads of lists. The generations first; then those of a collection. */
enum {
    TALLY_LIST_YOUNG,
    TALLY_LIST_MIDDLE,
    TALLY_LIST_OLD,
    TALLY_LIST_FROZEN,
    TALLY_LIST_UNREACHABLE,
    TALLY_LIST_SEEN,
    TALLY_LIST_STILL,
    TALLY_LIST_LEGACY,
    TALLY_LISTS
};
extern tally_container tally_heads[TALLY_LISTS];

/*
 * Containers made less freed since generation 0 was collected. The birth that exceeds the limit
 * looks whether a collection is due. The limit is the first threshold, or -1 if one may be due for
 * another reason.
 */
extern struct tally_births { int32_t count, limit; } tally_births;
void tally_collect_births(void);

static inline tally_container *tally_link_follow(uint32_t link) {
    if (TALLY_LIKELY(link < TALLY_LINK_HANDLES))
        return (tally_container *)(tally_region + (size_t)link * 16);
    return (tally_container *)tally_handles[link - TALLY_LINK_HANDLES];
}
static inline uint32_t tally_link_to(tally_container *object) {
    if (TALLY_LIKELY(tally_is_small(object)))
        return (uint32_t)((size_t)((char *)object - tally_region) / 16);
    return tally_large_handle(object) + TALLY_LINK_HANDLES;
}
#define TALLY_LINK_HEAD(list) \
    (TALLY_LINK_HANDLES + (uint32_t)(list)) /* handles 0 ... are the heads' */

static inline void tally_link_append(uint32_t list, tally_container *object) {
    uint32_t self = tally_link_to(object);
    tally_container *head = &tally_heads[list], *last = tally_link_follow(head->links.previous);
    last->links.next = self;
    object->links.previous = head->links.previous;
    object->links.next = TALLY_LINK_HEAD(list);
    head->links.previous = self;
}
static inline void tally_link_remove(tally_container *object) {
    tally_link_follow(object->links.previous)->links.next = object->links.next;
    tally_link_follow(object->links.next)->links.previous = object->links.previous;
}

static inline void tally_track(void *object) {
    tally_container *container = object;
    tally_store_relaxed(&container->base.flags, TALLY_FLAG_TRACKED);
    tally_link_append(TALLY_LIST_YOUNG, container);
}
static inline void tally_retrack(tally_object *object) { tally_track(object); }
static inline void tally_untrack(tally_object *object) {
    uint8_t flags = tally_load_relaxed(&object->flags);
    tally_store_relaxed(&object->flags, flags & ~(TALLY_FLAG_TRACKED | TALLY_FLAG_COLLECTING |
                                                  TALLY_FLAG_MARKED | TALLY_FLAG_FROZEN));
    tally_link_remove((tally_container *)object);
}
static inline void tally_collector_detach(tally_thread_state *thread) {}
static inline void tally_collector_birth(void) {
    if (TALLY_UNLIKELY(++tally_births.count > tally_births.limit)) tally_collect_births();
}
static inline void tally_collector_death(void) {
    if (tally_births.count > 0) tally_births.count--;
}

#endif
