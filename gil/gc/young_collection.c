/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * young_collection.c: finds the unreachable objects among the young: those of the generation that
 * is collected, and of all below it.
 *   1. The side mark byte of each young object says so.
 *   2. Each reference from one young object to another is counted there. The refcount minus that
 *      number is the external references, from older objects too.
 *   3. One walk deduces which are unreachable. An object without external references goes to the
 *      unreachable list, for the time being. An object with some survives: each child is marked
 *      REACHED, or comes back from the unreachable list to the end of the walk.
 *
 * In a full collection 1 and 2 are one walk, since all tracked objects but the frozen are young:
 * references are counted before it is known what they lead to. Nothing is written to an object that
 * survives.
 *
 * A side mark byte, between 1 and the end of 3:
 *   YOUNG + 0 ... MOST  not walked over in 3 yet; the references that were counted
 *   REACHED             the same, and a survivor holds it
 *   UNREACHABLE         in the unreachable list
 *   below YOUNG         walked over, or (full) not young at all
 * Invariants:
 *  - No foreign code runs from 1 to 3. Links are always valid. Nothing recurses.
 *  - Memory is taken only for references that a byte has no room for. Without memory their target
 *    survives (tally_overflow_entry).
 */
#include "lists.h"

/* Bytes to prefetch ahead: objects made one after another mostly have addresses in this order. */
enum { AHEAD = 768 };

enum { YOUNG = 0x80, MOST = 0x7d, REACHED = 0xfe, UNREACHABLE = TALLY_SIDE_MARK_UNREACHABLE };

static tally_overflow overflow;

/* ---- 1 and 2: references among the young ---------------------------------- */

TALLY_INLINE void count(_Atomic uint8_t *byte, bool full) {
    uint8_t value = tally_side_mark_load(byte);
    if (!full && !(value & YOUNG)) return;
    if (TALLY_UNLIKELY((value & ~YOUNG) == MOST)) {
        if (!tally_overflow_entry(
                &overflow,
                tally_side_mark_object(tally_side_marks, tally_side_marks_size(), 0, byte)))
            return;
        value -= TALLY_OVERFLOW;
    }
    tally_side_mark_store(byte, value + 1u);
}
TALLY_INLINE void visit_count(tally_object *child, void *buffer, bool full) {
    _Atomic uint8_t *byte = tally_side_mark_in(tally_side_marks, 0, child);
    /* In a small collection the young are in the cache: no prefetch. */
    if (!byte || (full && !(byte = tally_prefetch_swap(buffer, byte)))) return;
    count(byte, full);
}
static inline void visit_count_full(tally_object *child, void *buffer) {
    visit_count(child, buffer, true);
}
static inline void visit_count_young(tally_object *child, void *buffer) {
    visit_count(child, buffer, false);
}

TALLY_INLINE void count_references(uint32_t list, bool full) {
    tally_prefetch_buffer buffer = {0};
    if (!full)
        gc_list_each(o, list) tally_side_mark_store(tally_side_mark_of_container(o), YOUNG);
    for (tally_container *o = gc_list_first(list), *next; o != gc_list_head(list); o = next) {
        next = gc_list_next(o);
        __builtin_prefetch((char *)next + AHEAD);
        if (full)
            tally_side_mark_store(tally_side_mark_of_container(o),
                                  tally_side_mark_load(tally_side_mark_of_container(o)) | YOUNG);
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) count(tally_side_mark_of(tally_side_marks, 0, type->object), full);
        tally_children(&o->base, type, full ? visit_count_full : visit_count_young, &buffer);
    }
    for (_Atomic uint8_t *byte; (byte = tally_prefetch_take(&buffer));) count(byte, full);
}

/* ---- 3: the unreachable list --------------------------------------------- */

typedef struct walk {
    tally_prefetch_buffer buffer;
    uint32_t list;
} walk;
/* A survivor holds the object. */
TALLY_INLINE void mark_reachable(_Atomic uint8_t *byte, uint32_t list) {
    uint8_t value = tally_side_mark_load(byte);
    if (!(value & YOUNG) || value == REACHED) return;
    tally_side_mark_store(byte, REACHED);
    if (TALLY_UNLIKELY(value == UNREACHABLE))
        gc_list_move(list, (tally_container *)tally_side_mark_object(
                               tally_side_marks, tally_side_marks_size(), 0, byte));
}
TALLY_INLINE void visit_reach(tally_object *child, walk *w, bool full) {
    _Atomic uint8_t *byte = tally_side_mark_in(tally_side_marks, 0, child);
    if (!byte || (full && !(byte = tally_prefetch_swap(&w->buffer, byte)))) return;
    mark_reachable(byte, w->list);
}
static inline void visit_reach_full(tally_object *child, void *w) { visit_reach(child, w, true); }
static inline void visit_reach_young(tally_object *child, void *w) { visit_reach(child, w, false); }

/* Walks over `list`; leaves the survivors there, and moves the others to `unreachable`. An object
 * that comes back is appended behind the walk. */
TALLY_INLINE size_t move_unreachable(uint32_t list, uint32_t unreachable, bool full) {
    size_t survivors = 0;
    tally_overflow_add(&overflow, -TALLY_OVERFLOW);
    walk w = {.list = list};
    tally_container *last = gc_list_head(list); /* of those walked over */
    for (;;) {
        tally_container *object = gc_list_next(last);
        if (object == gc_list_head(list)) {
            _Atomic uint8_t *late = tally_prefetch_take(&w.buffer);
            if (!late) break;
            mark_reachable(late, list);
            continue;
        }
        __builtin_prefetch((char *)object + AHEAD);
        _Atomic uint8_t *byte = tally_side_mark_of_container(object);
        uint8_t value = tally_side_mark_load(byte);
        if (value == REACHED || tally_refcount_total(&object->base.refcount) != (value & ~YOUNG)) {
            survivors++;
            tally_side_mark_store(byte, 0);
            tally_type *type = tally_type_entry(&object->base);
            if (type->class_)
                mark_reachable(tally_side_mark_of(tally_side_marks, 0, type->object), list);
            tally_children(&object->base, type, full ? visit_reach_full : visit_reach_young, &w);
            last = object;
        } else {
            tally_side_mark_store(byte, UNREACHABLE);
            gc_list_move(unreachable, object);
        }
    }
    tally_overflow_add(&overflow, TALLY_OVERFLOW);
    free(overflow.at);
    overflow = (tally_overflow){0};
    return survivors;
}

/* Twice, so that `full` is a constant in each. */
size_t tally_deduce_unreachable(uint32_t young, uint32_t unreachable, bool full) {
    gc_list_clear(unreachable);
    if (full) {
        count_references(young, true);
        return move_unreachable(young, unreachable, true);
    }
    count_references(young, false);
    return move_unreachable(young, unreachable, false);
}
