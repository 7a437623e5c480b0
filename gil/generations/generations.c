/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generations.c: the generational cycle collector of CPython up to 3.13, under a
 * GIL (Neil Schemenauer 2000; the forms of the talks in docs/collectors.md).
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
 *    what they lead to is kept if there is none (tally_spill).
 */
#include "collector/collector.h"

/* Bytes: what was made one after another mostly lies so. */
enum { AHEAD = 768 };

enum { YOUNG = 0x80, MOST = 0x7d, REACHED = 0xfe, UNREACHABLE = 0xff };

tally_container tally_heads[TALLY_LISTS];
struct tally_births tally_births = { 0, INT32_MAX };

static struct {
    bool running;
    int count[3];                          /* [0] unused: tally_births */
    size_t long_lived_total, long_lived_pending; /* survivors of the last full collection; of those of generation 1 since */
    tally_spills spills;
} collector;

_Static_assert((int)TALLY_LISTS <= (int)TALLY_FIXED_HANDLES, "a handle for each head");

/* ---- lists --------------------------------------------------------------- */

static tally_container *head(uint32_t list) { return &tally_heads[list]; }
static bool is_empty(uint32_t list) { return head(list)->links.next == TALLY_LINK_HEAD(list); }
static void make_empty(uint32_t list) { head(list)->links.next = head(list)->links.previous = TALLY_LINK_HEAD(list); }
static tally_container *first(uint32_t list) { return tally_link_follow(head(list)->links.next); }
static tally_container *next_of(tally_container *object) { return tally_link_follow(object->links.next); }

/* Appends all of `from` to `to`. */
static void join(uint32_t to, uint32_t from) {
    if (is_empty(from)) return;
    tally_container *last = tally_link_follow(head(to)->links.previous), *from_first = first(from);
    tally_container *from_last = tally_link_follow(head(from)->links.previous);
    last->links.next = head(from)->links.next;
    from_first->links.previous = head(to)->links.previous;
    from_last->links.next = TALLY_LINK_HEAD(to);
    head(to)->links.previous = head(from)->links.previous;
    make_empty(from);
}

static void move_to(uint32_t list, tally_container *object) {
    tally_link_remove(object);
    tally_link_append(list, object);
}

static uint8_t flags_of(tally_container *object) { return atomic_load_explicit(&object->base.flags, memory_order_relaxed); }
static void set_flags(tally_container *object, uint8_t flags) { atomic_store_explicit(&object->base.flags, flags, memory_order_relaxed); }

static _Atomic uint8_t *note_of(tally_container *object) { return tally_note_of(tally_notes, 0, &object->base); }

/* ---- 2 and 3: references among the young ---------------------------------- */

TALLY_INLINE void count(_Atomic uint8_t *note, bool full) {
    uint8_t value = tally_note_load(note);
    if (!full && !(value & YOUNG)) return;
    if (TALLY_UNLIKELY((value & ~YOUNG) == MOST)) {
        if (!tally_spill(&collector.spills, tally_note_object(tally_notes, tally_notes_size(), 0, note))) return;
        value -= TALLY_SPILL;
    }
    tally_note_store(note, value + 1u);
}
TALLY_INLINE void visit_count(tally_object *child, void *ring, bool full) {
    _Atomic uint8_t *note = tally_note_in(tally_notes, 0, child);
    /* The young are few, and in the cache. */
    if (!note || (full && !(note = tally_ring_swap(ring, note)))) return;
    count(note, full);
}
static inline void visit_count_full(tally_object *child, void *ring) { visit_count(child, ring, true); }
static inline void visit_count_young(tally_object *child, void *ring) { visit_count(child, ring, false); }

TALLY_INLINE void count_references(uint32_t list, bool full) {
    tally_ring ring = { 0 };
    if (!full)
        for (tally_container *o = first(list); o != head(list); o = next_of(o)) tally_note_store(note_of(o), YOUNG);
    for (tally_container *o = first(list), *next; o != head(list); o = next) {
        next = next_of(o);
        __builtin_prefetch((char *)next + AHEAD);
        if (full) tally_note_store(note_of(o), tally_note_load(note_of(o)) | YOUNG);
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) count(tally_note_of(tally_notes, 0, type->object), full);
        tally_children(&o->base, type, full ? visit_count_full : visit_count_young, &ring);
    }
    for (_Atomic uint8_t *note; (note = tally_ring_take(&ring));) count(note, full);
}

/* ---- 4: the unreachable list --------------------------------------------- */

typedef struct walk { tally_ring ring; uint32_t list; } walk;
/* A survivor holds it. */
TALLY_INLINE void reach(_Atomic uint8_t *note, uint32_t list) {
    uint8_t value = tally_note_load(note);
    if (!(value & YOUNG) || value == REACHED) return;
    tally_note_store(note, REACHED);
    if (TALLY_UNLIKELY(value == UNREACHABLE)) move_to(list, (tally_container *)tally_note_object(tally_notes, tally_notes_size(), 0, note));
}
TALLY_INLINE void visit_reach(tally_object *child, walk *w, bool full) {
    _Atomic uint8_t *note = tally_note_in(tally_notes, 0, child);
    if (!note || (full && !(note = tally_ring_swap(&w->ring, note)))) return;
    reach(note, w->list);
}
static inline void visit_reach_full(tally_object *child, void *w) { visit_reach(child, w, true); }
static inline void visit_reach_young(tally_object *child, void *w) { visit_reach(child, w, false); }

/*
 * Walks over `list`; leaves the survivors there, the others in `unreachable`. What comes back
 * is appended behind the walk. How many survived.
 */
TALLY_INLINE size_t move_unreachable(uint32_t list, uint32_t unreachable, bool full) {
    size_t survivors = 0;
    tally_spills_add(&collector.spills, -TALLY_SPILL);
    walk w = { .list = list };
    tally_container *last = head(list); /* of those walked over */
    for (;;) {
        tally_container *object = next_of(last);
        if (object == head(list)) {
            _Atomic uint8_t *late = tally_ring_take(&w.ring);
            if (!late) break;
            reach(late, list);
            continue;
        }
        __builtin_prefetch((char *)object + AHEAD);
        _Atomic uint8_t *note = note_of(object);
        uint8_t value = tally_note_load(note);
        if (value == REACHED || tally_counts_total(&object->base.counts) != (value & ~YOUNG)) {
            survivors++;
            tally_note_store(note, 0);
            tally_type *type = tally_type_entry(&object->base);
            if (type->class_) reach(tally_note_of(tally_notes, 0, type->object), list);
            tally_children(&object->base, type, full ? visit_reach_full : visit_reach_young, &w);
            last = object;
        } else {
            tally_note_store(note, UNREACHABLE);
            move_to(unreachable, object);
        }
    }
    tally_spills_add(&collector.spills, TALLY_SPILL);
    free(collector.spills.at);
    collector.spills = (tally_spills){ 0 };
    return survivors;
}

/* 2 to 4. */
static void deduce(uint32_t list, uint32_t unreachable, bool full, size_t *survivors) {
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

static void legacy_reach(tally_object *child, void *context) {
    (void)context;
    _Atomic uint8_t *note = tally_note_in(tally_notes, 0, child);
    if (!note || tally_note_load(note) != UNREACHABLE) return;
    tally_note_store(note, 0);
    move_to(TALLY_LIST_LEGACY, (tally_container *)child);
}

/* Python 2: what has a finalizer, and what that reaches, is not freed. How many. */
static ptrdiff_t take_out_legacy(void) {
    ptrdiff_t count = 0;
    make_empty(TALLY_LIST_LEGACY);
    if (!tally_process.options.uncollectable_finalizers) return 0;
    for (tally_container *o = first(TALLY_LIST_UNREACHABLE), *next; o != head(TALLY_LIST_UNREACHABLE); o = next) {
        next = next_of(o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        legacy_reach(&o->base, NULL);
    }
    for (tally_container *o = first(TALLY_LIST_LEGACY); o != head(TALLY_LIST_LEGACY); o = next_of(o), count++) {
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) legacy_reach(type->object, NULL);
        tally_children(&o->base, type, legacy_reach, NULL);
    }
    return count;
}

static void keep_legacy(uint32_t old) {
    while (!is_empty(TALLY_LIST_LEGACY)) {
        tally_container *o = first(TALLY_LIST_LEGACY);
        tally_gc_tell(&o->base, true);
        move_to(old, o);
        if (tally_gc_has_finalizer(&o->base) || tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL)) tally_gc_save(&o->base);
    }
}

static bool is_garbage(tally_object *object) {
    _Atomic uint8_t *note = tally_note_in(tally_notes, 0, object);
    return note && tally_note_load(note) == UNREACHABLE;
}

/* Clears weak references to garbage; then the notes. How many objects there are. */
static ptrdiff_t clear_weakrefs(uint32_t garbage, tally_weakref **calls) {
    ptrdiff_t count = 0;
    *calls = NULL;
    for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o), count++) {
        if (tally_type_entry(&o->base)->weak_offset) tally_weakrefs_clear(&o->base, calls, is_garbage);
        tally_counts_adopt(&o->base.counts);
    }
    for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o)) tally_note_store(note_of(o), 0);
    return count;
}

/* After a full collection: of containers that are frozen, or not tracked, references were counted as well. */
static void clear_notes(void) {
    tally_pool_walk at = { 0 };
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));)
        memset((void *)tally_note_of(tally_notes, 0, (tally_object *)at.first), 0, (size_t)(pool->carved - at.first) >> TALLY_NOTE_SHIFT);
    tally_large_walk large = { 0 };
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));) tally_note_store(tally_large_notes(object), 0);
}

/* Foreign code may take any object out of the list, by its death, or as it makes it immortal. True: some ran. */
static bool finalize_all(ptrdiff_t *immortal) {
    bool any = false;
    make_empty(TALLY_LIST_SEEN);
    while (!is_empty(TALLY_LIST_UNREACHABLE)) {
        tally_container *o = first(TALLY_LIST_UNREACHABLE);
        move_to(TALLY_LIST_SEEN, o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        tally_incref(&o->base);
        any |= tally_gc_finalize(&o->base);
        *immortal += tally_is_immortal(&o->base);
        tally_decref(&o->base);
    }
    join(TALLY_LIST_UNREACHABLE, TALLY_LIST_SEEN);
    return any;
}

static void free_all(uint32_t garbage, uint32_t old) {
    /* Before any is taken apart, since most die by what another held of them. */
    if (tally_gc_debugging(TALLY_GC_DEBUG_COLLECTABLE))
        for (tally_container *o = first(garbage); o != head(garbage); o = next_of(o)) tally_gc_tell(&o->base, false);
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

bool tally_collector_begin(void) {
    bool running = collector.running;
    collector.running = true;
    return !running;
}

ptrdiff_t tally_collector_run(int generation, tally_gc_info *info) {
    /* References that wait in a merge queue would look like references from outside. */
    tally_counts_safepoint(tally_thread_current());
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++) tally_counts_merge_blocked(tally_thread_slot(id));
    uint64_t began = info->began;
    uint32_t young = (uint32_t)generation, old = generation < 2 ? young + 1 : young;
    tally_births.count = 0;
    for (int i = 1; i <= generation; i++) collector.count[i] = 0;
    if (generation < 2) collector.count[generation + 1]++;
    for (uint32_t i = 0; i < young; i++) join(young, i);

    size_t survivors = 0;
    deduce(young, TALLY_LIST_UNREACHABLE, generation == 2, &survivors);
    if (generation == 1) collector.long_lived_pending += survivors;
    if (generation == 2) {
        collector.long_lived_pending = 0;
        collector.long_lived_total = survivors;
    }
    if (old != young) join(old, young);
    ptrdiff_t uncollectable = take_out_legacy();
    tally_weakref *calls;
    ptrdiff_t found = clear_weakrefs(TALLY_LIST_UNREACHABLE, &calls);
    if (generation == 2) clear_notes();
    info->examined = survivors + (size_t)(found + uncollectable);
    info->collected = found;
    info->uncollectable = uncollectable;
    uint64_t marked = tally_now();
    info->mark = marked - began;

    bool foreign = calls != NULL;
    tally_weakrefs_call(calls);
    ptrdiff_t immortal = 0;
    foreign |= finalize_all(&immortal);
    info->collected -= immortal;
    uint64_t finalized = tally_now(), checked = finalized;
    info->finalize = finalized - marked;
    uint32_t garbage = TALLY_LIST_UNREACHABLE;
    if (foreign && !is_empty(TALLY_LIST_UNREACHABLE)) {
        size_t resurrected;
        deduce(TALLY_LIST_UNREACHABLE, garbage = TALLY_LIST_STILL, false, &resurrected);
        join(old, TALLY_LIST_UNREACHABLE);
        /* To what is garbage still, finalizers may have made new ones; their callbacks cannot reach it either. */
        clear_weakrefs(garbage, &calls);
        checked = tally_now();
        info->check = checked - finalized;
        info->collected -= (ptrdiff_t)resurrected;
        tally_weakrefs_call(calls);
    }
    free_all(garbage, old);
    keep_legacy(old);
    uint64_t freed = tally_now();
    info->free = freed - checked;
    info->pause = freed - began;
    collector.running = false;
    return info->collected + uncollectable;
}

/* The oldest generation that is due, with all below it. */
void tally_collect_births(void) {
    if (collector.running || !tally_gc_is_enabled()) return;
    for (int i = 2; i >= 0; i--) {
        int count = i ? collector.count[i] : tally_births.count;
        if (count <= atomic_load_explicit(&tally_gc.threshold[i], memory_order_relaxed)) continue;
        if (i == 2 && collector.long_lived_pending < collector.long_lived_total / 4) continue;
        tally_gc_automatic(i);
        return;
    }
}

/* ---- the contract -------------------------------------------------------- */

int tally_collector_start(void) {
    memset(&collector, 0, sizeof collector);
    tally_births = (struct tally_births){ 0, INT32_MAX };
    for (uint32_t i = 0; i < TALLY_LISTS; i++) {
        tally_handles[i] = &tally_heads[i].base;
        make_empty(i);
    }
    return 0;
}
void tally_collector_end(void) {}

void tally_collector_settings(void) {
    int threshold = atomic_load_explicit(&tally_gc.threshold[0], memory_order_relaxed);
    tally_births.limit = tally_gc_is_enabled() && threshold > 0 ? threshold : INT32_MAX - 1;
}

static void each(uint32_t list, void (*visit)(tally_object *, void *), void *context) {
    for (tally_container *o = first(list); o != head(list); o = next_of(o)) visit(&o->base, context);
}
void tally_collector_each(int generation, void (*visit)(tally_object *, void *), void *context) {
    for (int i = 0; i < 3; i++)
        if (generation == -1 || generation == i) each((uint32_t)i, visit, context);
}

void tally_collector_freeze(void) {
    for (uint32_t i = 0; i < 3; i++) {
        for (tally_container *o = first(i); o != head(i); o = next_of(o)) set_flags(o, flags_of(o) | TALLY_FLAG_FROZEN);
        join(TALLY_LIST_FROZEN, i);
    }
    tally_births.count = collector.count[1] = collector.count[2] = 0;
}
void tally_collector_unfreeze(void) {
    for (tally_container *o = first(TALLY_LIST_FROZEN); o != head(TALLY_LIST_FROZEN); o = next_of(o)) set_flags(o, flags_of(o) & ~TALLY_FLAG_FROZEN);
    join(TALLY_LIST_OLD, TALLY_LIST_FROZEN);
}
size_t tally_collector_frozen(void) {
    size_t count = 0;
    for (tally_container *o = first(TALLY_LIST_FROZEN); o != head(TALLY_LIST_FROZEN); o = next_of(o)) count++;
    return count;
}
void tally_collector_count(int counts[3]) {
    counts[0] = tally_births.count;
    counts[1] = collector.count[1];
    counts[2] = collector.count[2];
}
