/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generations.c: the generational cycle collector of CPython up to 3.13, under a
 * GIL (Neil Schemenauer 2000; the forms of the talks in docs/design/collectors.md).
 *
 * A collection of generation g:
 *   1. the younger lists are joined to g's: the young;
 *   2. each young object's note (a byte beside the heap, core/memory) says so;
 *   3. each reference from one young object to another is counted there: what the
 *      object's count has more are references from outside;
 *   4. one walk: what has none goes to the unreachable list, for the time being
 *      (UNREACHABLE); what has some is alive, and what it holds is noted as REACHED, or
 *      comes back from the unreachable list to the end of the walk;
 *   5. the survivors go to the next generation; what is unreachable is garbage.
 *
 * In a full collection 2 and 3 are one walk, since all that is tracked, but for the
 * frozen, is young: references are counted before it is known what they lead to.
 * Nothing is written to an object that survives.
 *
 * A note, between 2 and the end of 4:
 *   YOUNG + 0 ... MOST  not walked over in 4 yet; references that were counted
 *   REACHED             the same, and a survivor holds it
 *   UNREACHABLE         in the unreachable list
 *   below YOUNG         walked over, or (full) not young at all
 * Invariants:
 *  - Otherwise all notes are 0.
 *  - No foreign code runs from 2 to 4. Links are always valid.
 *  - Nothing recurses. Memory is taken for references that a note has no room for, and
 *    what they lead to is kept if there is none (tally_overflow_entry).
 *
 * Collections of several threads may overlap, since finalizers and callbacks may let go of the
 * GIL: a collection that waits in one must not keep the others from theirs. From the end of 4 on
 * the garbage of a collection is in lists of its own, which are in no generation, so the other
 * collections take references from there as references from outside. The heads of these lists
 * are static for the first of the collections that overlap; each other one allocates its heads.
 * A thread that is in a collection does not begin another.
 *
 * A list is named by the link of its head.
 */
#include "gc/collector.h"

/* Bytes: what was made one after another mostly lies so. */
enum { AHEAD = 768 };

enum { YOUNG = 0x80, MOST = 0x7d, REACHED = 0xfe, UNREACHABLE = 0xff };

tally_container tally_heads[TALLY_LISTS];
struct tally_births tally_births = {0, INT32_MAX};

typedef tally_collector_thread lists; /* of one collection */
enum { LISTS = sizeof(lists) / sizeof(uint32_t), FIRST_OF_COLLECTION = TALLY_LIST_FROZEN + 1 };
_Static_assert((int)FIRST_OF_COLLECTION + (int)LISTS == (int)TALLY_LISTS,
               "static heads for one collection");

static struct {
    bool static_lists_taken;
    bool nudged;  /* a collection is due for another reason than births */
    int count[3]; /* [0] unused: tally_births */
    size_t long_lived_total, long_lived_pending; /* survivors of the last full collection; of those
                                                    of generation 1 since */
    tally_overflow overflow;
} collector;

_Static_assert((int)TALLY_LISTS <= (int)TALLY_FIXED_HANDLES, "a handle for each head");

/* ---- lists --------------------------------------------------------------- */

static uint32_t generation_list(int generation) { return TALLY_LINK_HEAD(generation); }
#define FROZEN_LIST TALLY_LINK_HEAD(TALLY_LIST_FROZEN)

static tally_container *head(uint32_t list) { return tally_link_follow(list); }
static bool is_empty(uint32_t list) { return head(list)->links.next == list; }
static void make_empty(uint32_t list) {
    head(list)->links.next = head(list)->links.previous = list;
}
static tally_container *first(uint32_t list) { return tally_link_follow(head(list)->links.next); }
static tally_container *next_of(tally_container *object) {
    return tally_link_follow(object->links.next);
}

/* Appends all of `from` to `to`. */
static void join(uint32_t to, uint32_t from) {
    if (is_empty(from)) return;
    tally_container *last = tally_link_follow(head(to)->links.previous), *from_first = first(from);
    tally_container *from_last = tally_link_follow(head(from)->links.previous);
    last->links.next = head(from)->links.next;
    from_first->links.previous = head(to)->links.previous;
    from_last->links.next = to;
    head(to)->links.previous = head(from)->links.previous;
    make_empty(from);
}

static void move_to(uint32_t list, tally_container *object) {
    tally_link_remove(object);
    uint32_t self = tally_link_to(object);
    tally_container *last = tally_link_follow(head(list)->links.previous);
    last->links.next = self;
    object->links.previous = head(list)->links.previous;
    object->links.next = list;
    head(list)->links.previous = self;
}

/*
 * Heads for another collection than the first of those that overlap. They are blocks of the
 * allocator that are never published, so their counts are those of dead objects: a walk over the
 * heap does not find them, and they have links like any container. False: no memory.
 */
static bool lists_allocate(lists *l) {
    uint32_t *list = &l->unreachable;
    for (int i = 0; i < LISTS; i++) {
        tally_container *block = tally_memory_alloc(TALLY_CONTAINERS, sizeof *block);
        if (!block) {
            while (i > 0) tally_memory_free(TALLY_CONTAINERS, head(list[--i]));
            return false;
        }
        tally_store_relaxed(&block->base.flags, 0);
        list[i] = tally_link_to(block);
    }
    return true;
}
static bool lists_take(lists *l) {
    uint32_t *list = &l->unreachable;
    if (collector.static_lists_taken) {
        if (!lists_allocate(l)) return false;
    } else {
        collector.static_lists_taken = true;
        for (int i = 0; i < LISTS; i++) list[i] = TALLY_LINK_HEAD(FIRST_OF_COLLECTION + i);
    }
    for (int i = 0; i < LISTS; i++) make_empty(list[i]);
    return true;
}
static void lists_give_back(lists *l) {
    uint32_t *list = &l->unreachable;
    if (list[0] == TALLY_LINK_HEAD(FIRST_OF_COLLECTION)) {
        collector.static_lists_taken = false;
        return;
    }
    for (int i = 0; i < LISTS; i++) tally_memory_free(TALLY_CONTAINERS, head(list[i]));
}

static uint8_t flags_of(tally_container *object) { return tally_load_relaxed(&object->base.flags); }
static void set_flags(tally_container *object, uint8_t flags) {
    tally_store_relaxed(&object->base.flags, flags);
}

static _Atomic uint8_t *side_mark_of(tally_container *object) {
    return tally_side_mark_of(tally_side_marks, 0, &object->base);
}

/* ---- 2 and 3: references among the young ---------------------------------- */

TALLY_INLINE void count(_Atomic uint8_t *note, bool full) {
    uint8_t value = tally_side_mark_load(note);
    if (!full && !(value & YOUNG)) return;
    if (TALLY_UNLIKELY((value & ~YOUNG) == MOST)) {
        if (!tally_overflow_entry(
                &collector.overflow,
                tally_side_mark_object(tally_side_marks, tally_side_marks_size(), 0, note)))
            return;
        value -= TALLY_OVERFLOW;
    }
    tally_side_mark_store(note, value + 1u);
}
TALLY_INLINE void visit_count(tally_object *child, void *ring, bool full) {
    _Atomic uint8_t *note = tally_side_mark_in(tally_side_marks, 0, child);
    /* The young are few, and in the cache. */
    if (!note || (full && !(note = tally_ring_swap(ring, note)))) return;
    count(note, full);
}
static inline void visit_count_full(tally_object *child, void *ring) {
    visit_count(child, ring, true);
}
static inline void visit_count_young(tally_object *child, void *ring) {
    visit_count(child, ring, false);
}

TALLY_INLINE void count_references(uint32_t list, bool full) {
    tally_prefetch_buffer ring = {0};
    if (!full)
        for (tally_container *o = first(list); o != head(list); o = next_of(o))
            tally_side_mark_store(side_mark_of(o), YOUNG);
    for (tally_container *o = first(list), *next; o != head(list); o = next) {
        next = next_of(o);
        __builtin_prefetch((char *)next + AHEAD);
        if (full)
            tally_side_mark_store(side_mark_of(o), tally_side_mark_load(side_mark_of(o)) | YOUNG);
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) count(tally_side_mark_of(tally_side_marks, 0, type->object), full);
        tally_children(&o->base, type, full ? visit_count_full : visit_count_young, &ring);
    }
    for (_Atomic uint8_t *note; (note = tally_ring_take(&ring));) count(note, full);
}

/* ---- 4: the unreachable list --------------------------------------------- */

typedef struct walk {
    tally_prefetch_buffer ring;
    uint32_t list;
} walk;
/* A survivor holds it. */
TALLY_INLINE void mark_reachable(_Atomic uint8_t *note, uint32_t list) {
    uint8_t value = tally_side_mark_load(note);
    if (!(value & YOUNG) || value == REACHED) return;
    tally_side_mark_store(note, REACHED);
    if (TALLY_UNLIKELY(value == UNREACHABLE))
        move_to(list, (tally_container *)tally_side_mark_object(tally_side_marks,
                                                                tally_side_marks_size(), 0, note));
}
TALLY_INLINE void visit_reach(tally_object *child, walk *w, bool full) {
    _Atomic uint8_t *note = tally_side_mark_in(tally_side_marks, 0, child);
    if (!note || (full && !(note = tally_ring_swap(&w->ring, note)))) return;
    mark_reachable(note, w->list);
}
static inline void visit_reach_full(tally_object *child, void *w) { visit_reach(child, w, true); }
static inline void visit_reach_young(tally_object *child, void *w) { visit_reach(child, w, false); }

/*
 * Walks over `list`; leaves the survivors there, the others in `unreachable`. What comes back
 * is appended behind the walk. How many survived.
 */
TALLY_INLINE size_t move_unreachable(uint32_t list, uint32_t unreachable, bool full) {
    size_t survivors = 0;
    tally_overflow_add(&collector.overflow, -TALLY_OVERFLOW);
    walk w = {.list = list};
    tally_container *last = head(list); /* of those walked over */
    for (;;) {
        tally_container *object = next_of(last);
        if (object == head(list)) {
            _Atomic uint8_t *late = tally_ring_take(&w.ring);
            if (!late) break;
            mark_reachable(late, list);
            continue;
        }
        __builtin_prefetch((char *)object + AHEAD);
        _Atomic uint8_t *note = side_mark_of(object);
        uint8_t value = tally_side_mark_load(note);
        if (value == REACHED || tally_refcount_total(&object->base.refcount) != (value & ~YOUNG)) {
            survivors++;
            tally_side_mark_store(note, 0);
            tally_type *type = tally_type_entry(&object->base);
            if (type->class_)
                mark_reachable(tally_side_mark_of(tally_side_marks, 0, type->object), list);
            tally_children(&object->base, type, full ? visit_reach_full : visit_reach_young, &w);
            last = object;
        } else {
            tally_side_mark_store(note, UNREACHABLE);
            move_to(unreachable, object);
        }
    }
    tally_overflow_add(&collector.overflow, TALLY_OVERFLOW);
    free(collector.overflow.at);
    collector.overflow = (tally_overflow){0};
    return survivors;
}

/* 2 to 4. */
static void deduce_unreachable(uint32_t list, uint32_t unreachable, bool full, size_t *survivors) {
    make_empty(unreachable);
    if (full) {
        count_references(list, true);
        *survivors = move_unreachable(list, unreachable, true);
    } else {
        count_references(list, false);
        *survivors = move_unreachable(list, unreachable, false);
    }
}

/* ---- what is done with garbage ------------------------------------------- */

static void legacy_reach(tally_object *child, void *list) {
    _Atomic uint8_t *note = tally_side_mark_in(tally_side_marks, 0, child);
    if (!note || tally_side_mark_load(note) != UNREACHABLE) return;
    tally_side_mark_store(note, 0);
    move_to(*(uint32_t *)list, (tally_container *)child);
}

/* Python 2: what has a finalizer, and what that reaches, is not freed. How many. */
static ptrdiff_t move_legacy_finalizers(lists *l) {
    ptrdiff_t count = 0;
    if (!tally_process.options.uncollectable_finalizers) return 0;
    for (tally_container *o = first(l->unreachable), *next; o != head(l->unreachable); o = next) {
        next = next_of(o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        legacy_reach(&o->base, &l->legacy);
    }
    for (tally_container *o = first(l->legacy); o != head(l->legacy); o = next_of(o), count++) {
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) legacy_reach(type->object, &l->legacy);
        tally_children(&o->base, type, legacy_reach, &l->legacy);
    }
    return count;
}

static void keep_legacy(lists *l, uint32_t old) {
    while (!is_empty(l->legacy)) {
        tally_container *o = first(l->legacy);
        tally_gc_tell(&o->base, true);
        move_to(old, o);
        if (tally_gc_has_finalizer(&o->base) || tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL))
            tally_gc_save(&o->base);
    }
}

static bool is_garbage(tally_object *object) {
    _Atomic uint8_t *note = tally_side_mark_in(tally_side_marks, 0, object);
    return note && tally_side_mark_load(note) == UNREACHABLE;
}

/* What the objects of a list have, some of them: finalizers that are to run, words for weak
 * references. */
typedef struct have {
    bool finalizers, weak;
} have;
static have look_for(uint32_t garbage) {
    have h = {false, false};
    for (tally_container *o = first(garbage); o != head(garbage) && !(h.finalizers && h.weak);
         o = next_of(o)) {
        h.finalizers |= tally_gc_has_finalizer(&o->base);
        h.weak |= tally_type_entry(&o->base)->weak_offset != 0;
    }
    return h;
}

/* The notes of the objects still say UNREACHABLE. Clears the weak references to them. */
static void clear_weakrefs(uint32_t garbage, tally_weakref **calls) {
    for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o))
        if (tally_type_entry(&o->base)->weak_offset)
            tally_weakrefs_clear(&o->base, calls, is_garbage);
}

/* Takes the objects over from their owners, and clears their notes. How many objects there are. */
static ptrdiff_t adopt(uint32_t garbage) {
    ptrdiff_t count = 0;
    for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o), count++) {
        tally_refcount_adopt(&o->base.refcount);
        tally_side_mark_store(side_mark_of(o), 0);
    }
    return count;
}

/* After a full collection: of containers that are frozen, or not tracked, references were counted
 * as well. */
static void clear_side_marks(void) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));)
        memset((void *)tally_side_mark_of(tally_side_marks, 0, (tally_object *)at.first), 0,
               (size_t)(pool->bump - at.first) >> TALLY_SIDE_MARK_SHIFT);
    tally_large_walk large = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));)
        tally_side_mark_store(tally_large_side_marks(object), 0);
}

/* Foreign code may take any object out of the list, by its death, or as it makes it immortal. */
static void finalize_all(lists *l, ptrdiff_t *immortal) {
    while (!is_empty(l->unreachable)) {
        tally_container *o = first(l->unreachable);
        move_to(l->seen, o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        tally_incref(&o->base);
        tally_gc_finalize(&o->base);
        *immortal += tally_is_immortal(&o->base);
        tally_decref(&o->base);
    }
    join(l->unreachable, l->seen);
}

static void free_all(uint32_t garbage, uint32_t old) {
    /* Before any is taken apart, since most die by what another held of them. */
    if (tally_gc_debugging(TALLY_GC_DEBUG_COLLECTABLE))
        for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o))
            tally_gc_tell(&o->base, false);
    while (!is_empty(garbage)) {
        tally_container *o = first(garbage);
        if (tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL)) {
            move_to(old, o);
            tally_gc_save(&o->base);
            continue;
        }
        tally_incref(&o->base);
        tally_gc_clear(&o->base);
        if (first(garbage) == o) move_to(old, o); /* lives as long as somebody holds it */
        tally_decref(&o->base);
    }
}

/* ---- a collection -------------------------------------------------------- */

bool tally_collector_begin(void) { return lists_take(&tally_thread_current()->collector); }

/* A generation above the youngest is due, with all below it. 0: none is. */
static int older_due(void) {
    for (int i = 2; i > 0; i--) {
        if (collector.count[i] <= tally_load_relaxed(&tally_gc.threshold[i])) continue;
        if (i == 2 && collector.long_lived_pending < collector.long_lived_total / 4) continue;
        return i;
    }
    return 0;
}

/* After foreign code: leaves in `garbage` what is garbage still. How many objects live on. */
static size_t recheck(lists *l, uint32_t *garbage, uint32_t old) {
    uint32_t other = *garbage == l->unreachable ? l->still : l->unreachable;
    size_t resurrected;
    deduce_unreachable(*garbage, other, false, &resurrected);
    join(old, *garbage);
    *garbage = other;
    return resurrected;
}

ptrdiff_t tally_collector_run(int generation, tally_gc_info *info) {
    tally_thread_state *thread = tally_thread_current();
    lists *l = &thread->collector;
    /* References that wait in a merge queue would look like references from outside. */
    tally_refcount_safepoint(thread);
    for (uint32_t id = 1; id <= tally_load_relaxed(&tally_process.slots_used); id++)
        tally_refcount_merge_blocked(tally_thread_slot(id));
    uint64_t began = info->began;
    uint32_t young = generation_list(generation),
             old = generation_list(generation < 2 ? generation + 1 : generation);
    tally_births.count = 0;
    for (int i = 1; i <= generation; i++) collector.count[i] = 0;
    if (generation < 2) collector.count[generation + 1]++;
    for (int i = 0; i < generation; i++) join(young, generation_list(i));

    size_t survivors = 0;
    deduce_unreachable(young, l->unreachable, generation == 2, &survivors);
    if (generation == 1) collector.long_lived_pending += survivors;
    if (generation == 2) {
        collector.long_lived_pending = 0;
        collector.long_lived_total = survivors;
        tally_memory_collected(true);
    }
    /* A program that collects by hand has no births that would start what is due above. */
    collector.nudged = !info->automatic && older_due();
    tally_collector_settings();
    if (old != young) join(old, young);
    ptrdiff_t uncollectable = move_legacy_finalizers(l);
    tally_weakref *calls = NULL;
    have have = look_for(l->unreachable);
    if (have.weak && !have.finalizers) clear_weakrefs(l->unreachable, &calls);
    ptrdiff_t found = adopt(l->unreachable);
    if (generation == 2) clear_side_marks();
    info->examined = survivors + (size_t)(found + uncollectable);
    info->collected = found;
    info->uncollectable = uncollectable;
    uint64_t marked = tally_now();
    info->mark = marked - began;

    uint32_t garbage = l->unreachable;
    if (have.finalizers) {
        ptrdiff_t immortal = 0;
        finalize_all(l, &immortal);
        info->collected -= immortal;
        uint64_t finalized = tally_now();
        info->finalize = finalized - marked;
        info->collected -= (ptrdiff_t)recheck(l, &garbage, old);
        clear_weakrefs(garbage, &calls);
        adopt(garbage);
        info->check = tally_now() - finalized;
    }
    if (calls) {
        uint64_t calling = tally_now();
        tally_weakrefs_call(calls);
        uint64_t called = tally_now();
        info->finalize += called - calling;
        info->collected -= (ptrdiff_t)recheck(l, &garbage, old);
        adopt(garbage);
        info->check += tally_now() - called;
    }
    uint64_t checked = tally_now();
    free_all(garbage, old);
    keep_legacy(l, old);
    lists_give_back(l);
    if (generation == 2) tally_memory_collected(false);
    uint64_t freed = tally_now();
    info->free = freed - checked;
    info->pause = freed - began;
    return info->collected + uncollectable;
}

void tally_collector_nudge(void) {
    if (collector.nudged) return;
    collector.nudged = true;
    tally_collector_settings();
}

/* Births are over the limit, or the limit was lowered: the oldest generation that is due, with all
 * below it. */
void tally_collect_births(void) {
    if (!tally_gc_is_enabled() || tally_gc_put_off(tally_thread_current())) return;
    int due = tally_memory_due() ? 2 : older_due();
    if (due == 0 && tally_births.count <= tally_load_relaxed(&tally_gc.threshold[0])) {
        /* What the nudge was for is done already. */
        collector.nudged = false;
        tally_collector_settings();
        return;
    }
    tally_gc_automatic(due);
}

/* ---- the contract -------------------------------------------------------- */

int tally_collector_start(void) {
    memset(&collector, 0, sizeof collector);
    tally_births = (struct tally_births){0, INT32_MAX};
    for (uint32_t i = 0; i < TALLY_LISTS; i++) {
        tally_handles[i] = &tally_heads[i].base;
        make_empty(TALLY_LINK_HEAD(i));
    }
    return 0;
}
void tally_collector_end(void) {}

void tally_collector_settings(void) {
    int threshold = tally_load_relaxed(&tally_gc.threshold[0]);
    if (!tally_gc_is_enabled() || threshold == 0)
        threshold = INT32_MAX - 1;
    else if (collector.nudged)
        threshold = -1; /* the next birth */
    tally_births.limit = threshold;
}

static void each(uint32_t list, void (*visit)(tally_object *, void *), void *context) {
    for (tally_container *o = first(list); o != head(list); o = next_of(o))
        visit(&o->base, context);
}
void tally_collector_each(int generation, void (*visit)(tally_object *, void *), void *context) {
    for (int i = 0; i < 3; i++)
        if (generation == -1 || generation == i) each(generation_list(i), visit, context);
    if (generation == -1) each(FROZEN_LIST, visit, context);
}

void tally_collector_freeze(void) {
    for (int i = 0; i < 3; i++) {
        uint32_t list = generation_list(i);
        for (tally_container *o = first(list); o != head(list); o = next_of(o))
            set_flags(o, flags_of(o) | TALLY_FLAG_FROZEN);
        join(FROZEN_LIST, list);
    }
    tally_births.count = collector.count[1] = collector.count[2] = 0;
}
void tally_collector_unfreeze(void) {
    for (tally_container *o = first(FROZEN_LIST); o != head(FROZEN_LIST); o = next_of(o))
        set_flags(o, flags_of(o) & ~TALLY_FLAG_FROZEN);
    join(generation_list(2), FROZEN_LIST);
}
size_t tally_collector_frozen(void) {
    size_t count = 0;
    for (tally_container *o = first(FROZEN_LIST); o != head(FROZEN_LIST); o = next_of(o)) count++;
    return count;
}
void tally_collector_count(int counts[3]) {
    counts[0] = tally_births.count;
    counts[1] = collector.count[1];
    counts[2] = collector.count[2];
}
