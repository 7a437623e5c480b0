/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * young_collection.c: a thread collects its own young objects while all others run. It finds those
 * that only unreachable objects hold, by trial deletion (Bacon and Rajan 2001) on what its own half
 * of each refcount says.
 *
 * Candidates are young objects that this thread owns, whose references are all in its half, whose
 * lock is biased to it, and which nobody can hold borrowed. All others count as external.
 *   1. The candidates in pools that the thread took blocks from of late are noted.
 *   2. Each reference from one candidate to another is counted in the side mark byte of the latter.
 *   3. A candidate whose local count is higher survives, and so does all that survivors refer to.
 *
 * A side mark byte:
 *   YOUNG, MIDDLE  a young object of generation 0 or 1, while no collection examines it
 *   CANDIDATE + 0 ... MOST  the references that were counted
 *   LEGACY         unreachable, but kept (Python 2)
 *   REACHED, UNREACHABLE
 *
 * Another thread may have a reference that this thread's half counts: it took it out of a container
 * that it reaches, or was handed it. So it may use, and change, a candidate that survives, but none
 * that does not. Invariants:
 *  - A candidate is traversed under its biased lock. A bias ends once. So if the survivors can
 *    still be locked so in 3, no other thread has changed one since 2, and what it may hold is
 *    among what they reach. If one cannot, the collection is given up: all survive.
 *  - A byte is CANDIDATE or above only in this collection, in pools of this thread's heap, for
 *    objects that this thread owns; it alone writes the bytes there. It looks at the owner before
 *    it counts, since other threads collect in their pools.
 *  - Only its type knows what protects a native object. With one among the candidates the world is
 *    stopped before 1 is repeated.
 *  - No safepoint and no foreign code from 1 to the end. So no object changes its owner.
 *  - A weak reference is the one way to an unreachable object. Its referent is closed: try-increfs
 *    fail, and the reader waits for the lock of the weak reference, which this thread holds until
 *    it has cleared it. If another thread has got the object before, it survives. If one has got it
 *    and dropped it again, and locked it or read it borrowed meanwhile, an unreachable object is no
 *    candidate any more once all referents are closed: the collection is given up.
 */
#include "young_collection.h"

#if TALLY_REFCOUNT_HAVE_OWNERS
#    include "internal.h"
#    include "memory/arena.h"
#    include "memory/recent.h"

enum { MOST_ROOM = 1 << 16 }; /* objects that a thread keeps room for */
enum { CANDIDATE = 0x80, MOST = 0x7c, LEGACY = 0xfd, REACHED = 0xfe, UNREACHABLE = 0xff };

typedef struct young {
    tally_object **objects, **stack;
    size_t count, depth;
    size_t early; /* alive, and no candidates */
    bool native;  /* some candidates are */
    tally_overflow overflow;
    uint8_t mark; /* REACHED, or LEGACY */
} young;

TALLY_INLINE _Atomic uint8_t *side_mark_of(tally_object *object) {
    return tally_side_mark_of(tally_side_marks, 0, object);
}

/* ---- 1: candidates ---------------------------------------------------------- */

/* acquire in tally_refcount_is_unshared: what another thread did before it dropped its reference is
 * seen in the flags and the lock, so these are read afterwards. */
static bool is_candidate(tally_object *object) {
    enum { NONE_BUT = TALLY_FLAG_FROZEN | TALLY_FLAG_BORROWABLE | TALLY_FLAG_COLLECTING };
    return tally_refcount_is_unshared(&object->refcount) &&
           !(tally_load_relaxed(&object->flags) & NONE_BUT) &&
           tally_load_relaxed(&object->lock) ==
               tally_load_relaxed(&tally_thread_current()->locking.bias);
}

static void look_at(young *y, tally_object *object, _Atomic uint8_t *byte) {
    uint8_t flags = tally_load_relaxed(&object->flags);
    bool candidate = flags & TALLY_FLAG_TRACKED && is_candidate(object);
    tally_side_mark_store(byte, candidate ? CANDIDATE : 0);
    if (candidate) {
        y->objects[y->count++] = object;
        y->native |= tally_type_entry(object)->shape == TALLY_SHAPE_NATIVE;
    } else
        y->early += (flags & (TALLY_FLAG_TRACKED | TALLY_FLAG_FROZEN)) == TALLY_FLAG_TRACKED;
}

static bool make_room(young *y, size_t more) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    if (y->count + more <= self->room) return true;
    size_t room = self->room ? self->room * 2 : 4096;
    while (room < y->count + more) room *= 2;
    tally_object **at = realloc(self->young, 2 * room * sizeof *at);
    if (!at) return false;
    self->young = y->objects = at;
    self->room = room;
    return true;
}

/* Eight bytes at once: most are 0, and so are those of the line in front of a pool's first block.
 * True: the pool has young objects. */
static bool look_at_pool(young *y, tally_pool *pool, int generation) {
    size_t from = (size_t)(tally_pool_first_block(pool) - tally_region) >> TALLY_SIDE_MARK_SHIFT,
           to = (size_t)(pool->bump - tally_region) >> TALLY_SIDE_MARK_SHIFT;
    bool any = false;
    if (!make_room(y, TALLY_POOL_SIZE / 32)) return true;
    for (from -= from % 8; from < to; from += 8) {
        if (!__atomic_load_n((uint64_t *)(void *)&tally_side_marks[from], __ATOMIC_RELAXED))
            continue;
        for (size_t at = from; at < from + 8; at++) {
            uint8_t value = tally_side_mark_load(&tally_side_marks[at]);
            any |= value != 0;
            if (value == TALLY_SIDE_MARK_YOUNG ||
                (generation == 1 && value == TALLY_SIDE_MARK_MIDDLE))
                look_at(y, (tally_object *)(tally_region + (at << TALLY_SIDE_MARK_SHIFT)),
                        &tally_side_marks[at]);
        }
    }
    return any;
}

static bool is_current(tally_heap *heap, tally_pool *pool) {
    return pool == heap->current[TALLY_CONTAINERS][pool->class_];
}
static void look_at_pools(young *y, int generation) {
    tally_heap *heap = tally_heap_current();
    for (tally_pool *pool = heap->recent, *next; pool; pool = next) {
        next = pool->recent_next;
        if ((generation == 0 && !pool->recent_used) || look_at_pool(y, pool, generation) ||
            is_current(heap, pool))
            continue;
        tally_pool_forget_recent(heap, pool);
    }
}
/* What is young in these pools has been looked at. */
static void settle_pools(int generation) {
    tally_heap *heap = tally_heap_current();
    for (tally_pool *pool = heap->recent, *next; pool; pool = next) {
        next = pool->recent_next;
        if (is_current(heap, pool)) continue;
        pool->recent_used = false;
        if (generation == 1) tally_pool_forget_recent(heap, pool);
    }
}

/* ---- 2 and 3 --------------------------------------------------------------------- */

/* NULL: the child is no candidate. */
TALLY_INLINE _Atomic uint8_t *candidate_mark(tally_object *child) {
    size_t at = (size_t)((const char *)child - tally_region);
    if (TALLY_UNLIKELY(at >= tally_region_size)) return NULL;
    _Atomic uint8_t *byte = &tally_side_marks[at >> TALLY_SIDE_MARK_SHIFT];
    return tally_side_mark_load(byte) >= CANDIDATE && tally_refcount_owned(&child->refcount) ? byte
                                                                                             : NULL;
}
static inline void visit_count(tally_object *child, void *young_) {
    young *y = young_;
    _Atomic uint8_t *byte = candidate_mark(child);
    if (!byte) return;
    uint8_t value = tally_side_mark_load(byte);
    if (TALLY_UNLIKELY(value == CANDIDATE + MOST)) {
        if (!tally_overflow_entry(&y->overflow, child)) return;
        value -= TALLY_OVERFLOW;
    }
    tally_side_mark_store(byte, value + 1u);
}
static inline void visit_reach(tally_object *child, void *young_) {
    young *y = young_;
    _Atomic uint8_t *byte = candidate_mark(child);
    if (!byte) return;
    uint8_t value = tally_side_mark_load(byte);
    if (value == REACHED || value == y->mark) return;
    tally_side_mark_store(byte, y->mark);
    y->stack[y->depth++] = child;
}

/* False: another thread has used it, and may have changed it. */
TALLY_INLINE bool traverse(tally_object *object, tally_visit visit, young *y) {
    if (TALLY_UNLIKELY(!tally_lock_fast(object))) return false;
    tally_children(object, tally_type_entry(object), visit, y);
    tally_unlock_fast(object);
    return true;
}
static bool count_references(young *y) {
    for (size_t i = 0; i < y->count; i++)
        if (!traverse(y->objects[i], visit_count, y)) return false;
    return true;
}
/* The object survives, or is kept, and so does all that it refers to. */
static bool reach(young *y, tally_object *object, uint8_t mark) {
    y->mark = mark;
    visit_reach(object, y);
    while (y->depth)
        if (!traverse(y->stack[--y->depth], visit_reach, y)) return false;
    return true;
}

static void overflow_add(young *y, int64_t by) {
    for (size_t i = 0; i < y->overflow.count; i++)
        tally_refcount_local_add(&y->overflow.at[i]->refcount, by);
}

static bool reach_from_outside(young *y) {
    bool done = true;
    overflow_add(y, -TALLY_OVERFLOW);
    for (size_t i = 0; i < y->count && done; i++) {
        tally_object *object = y->objects[i];
        uint8_t value = tally_side_mark_load(side_mark_of(object));
        if (value == REACHED) continue;
        uint64_t local = (uint64_t)tally_refcount_local(&object->refcount),
                 counted = value - CANDIDATE;
        if (TALLY_UNLIKELY(local < counted))
            tally_fatal(object, "more references to an object were visited than it has: "
                                "a traverse function is wrong");
        if (local != counted || !tally_refcount_is_unshared(&object->refcount))
            done = reach(y, object, REACHED);
    }
    overflow_add(y, TALLY_OVERFLOW);
    free(y->overflow.at);
    return done;
}

/* ---- the garbage ---------------------------------------------------------------------- */

static bool is_unreachable(tally_object *object) {
    _Atomic uint8_t *byte = candidate_mark(object);
    return byte && tally_side_mark_load(byte) == UNREACHABLE;
}

/* Leaves the unreachable objects in y->objects; the survivors, and what was kept, are behind them:
 * the byte is `rest`, or LEGACY. */
static void part(young *y, uint8_t rest, tally_young *found) {
    size_t count = 0;
    for (size_t i = 0; i < y->count; i++) {
        tally_object *object = y->objects[i];
        uint8_t value = tally_side_mark_load(side_mark_of(object));
        if (value == REACHED) {
            tally_side_mark_store(side_mark_of(object), rest);
            continue;
        }
        if (value != LEGACY) tally_side_mark_store(side_mark_of(object), UNREACHABLE);
        y->objects[count++] = object;
    }
    found->count = count;
    y->count = count;
}

/* Another thread may have a weak reference to it. Its list says less: a thread may get the object,
 * and drop the last weak reference. */
static bool has_to_be_closed(tally_object *object) {
    return tally_type_entry(object)->weak_offset && !tally_refcount_is_closed(&object->refcount);
}

static void open_referents(young *y) {
    for (size_t i = 0; i < y->count; i++)
        if (tally_type_entry(y->objects[i])->weak_offset)
            tally_refcount_expose(&y->objects[i]->refcount);
}

/* The caller holds these locks of weak references to the unreachable. NULL: their referents are
 * closed. Otherwise all are open, and another thread has got this one. */
static tally_object *close_referents(young *y, uint64_t locks) {
    for (size_t i = 0; i < y->count; i++) {
        tally_object *object = y->objects[i];
        /* Another lock: another thread has read it in one of these, which is no candidate now. */
        if (!has_to_be_closed(object) || !(locks & tally_weak_lock_bit(object))) continue;
        if (!tally_refcount_close(&object->refcount)) {
            open_referents(y);
            return object;
        }
        TALLY_FAILPOINT(young_close);
    }
    return NULL;
}

/* No other thread has used one of the objects. If one has, it may use what that object refers to,
 * or hold it borrowed. */
static bool are_candidates(young *y) {
    for (size_t i = 0; i < y->count; i++)
        if (!is_candidate(y->objects[i])) return false;
    return true;
}

/* Clears the weak references to the unreachable. False: given up. */
static bool clear_weakrefs(young *y, uint8_t rest, tally_young *found) {
    TALLY_FAILPOINT(young_found);
    for (;;) {
        uint64_t locks = 0;
        for (size_t i = 0; i < y->count; i++)
            if (has_to_be_closed(y->objects[i])) locks |= tally_weak_lock_bit(y->objects[i]);
        if (!locks) return true;
        tally_weak_lock_all(locks);
        TALLY_FAILPOINT(young_locked);
        tally_object *alive = close_referents(y, locks);
        TALLY_FAILPOINT(young_closed);
        bool given_up = !alive && !are_candidates(y);
        if (given_up) open_referents(y);
        for (size_t i = 0; i < y->count && !alive && !given_up; i++)
            if (tally_has_weakrefs(y->objects[i]))
                tally_weakrefs_clear_locked(y->objects[i], &found->calls, is_unreachable);
        tally_weak_unlock_all(locks);
        if (given_up || !alive) return !given_up;
        if (!reach(y, alive, REACHED)) return false;
        part(y, rest, found);
    }
}

/* Python 2: an object with a finalizer, and all that it refers to, is kept, behind the others. */
static bool set_legacy_apart(young *y, tally_young *found) {
    for (size_t i = 0; i < y->count; i++)
        if (tally_gc_has_finalizer(y->objects[i]) && !reach(y, y->objects[i], LEGACY)) return false;
    found->legacy_at = found->count;
    for (size_t i = 0; i < found->legacy_at;) {
        tally_object *object = y->objects[i];
        if (tally_side_mark_load(side_mark_of(object)) != LEGACY) {
            i++;
            continue;
        }
        y->objects[i] = y->objects[--found->legacy_at];
        y->objects[found->legacy_at] = object;
        found->legacy++;
    }
    y->count = found->count = found->legacy_at;
    return true;
}

static bool find(young *y, uint8_t rest, tally_young *found) {
    if (!count_references(y)) return false;
    TALLY_FAILPOINT(young_counted);
    if (!reach_from_outside(y)) return false;
    part(y, rest, found);
    if (!y->count) return true;
    if (tally_process.options.uncollectable_finalizers && !set_legacy_apart(y, found)) return false;
    for (size_t i = 0; i < y->count && !found->finalizers; i++)
        found->finalizers = tally_gc_has_finalizer(y->objects[i]);
    /* With finalizers it is not known yet which objects die. */
    return found->finalizers || clear_weakrefs(y, rest, found);
}

void tally_young_end(void) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    if (self->room <= MOST_ROOM) return;
    free(self->young);
    self->young = NULL;
    self->room = 0;
}

tally_young tally_young_find(int generation, tally_gc_info *info) {
    tally_thread_state *thread = tally_thread_current();
    uint8_t rest = generation == 0 ? TALLY_SIDE_MARK_MIDDLE : 0;
    young y = {.objects = thread->collector.young};
    look_at_pools(&y, generation);
    if (y.native) {
        for (size_t i = 0; i < y.count; i++)
            tally_side_mark_store(side_mark_of(y.objects[i]), TALLY_SIDE_MARK_YOUNG);
        tally_stop_the_world();
        info->stop = tally_now() - info->began;
        y.count = 0; /* another thread may have stopped the world first */
        look_at_pools(&y, generation);
    }
    settle_pools(generation);
    y.stack = y.objects + thread->collector.room;
    tally_young found = {.examined = y.count, .early = y.early};
    if (!find(&y, rest, &found)) {
        found = (tally_young){.examined = found.examined, .early = y.early};
    }
    found.objects = y.objects;
    /* Each that has another byte is still among these. */
    for (size_t i = 0; i < found.examined; i++)
        tally_side_mark_store(side_mark_of(y.objects[i]), rest);
    found.stopped = y.native;
    return found;
}

#endif
