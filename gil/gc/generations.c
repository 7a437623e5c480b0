/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * generations.c: the generational cycle collector of CPython up to 3.13, under a GIL (Neil
 * Schemenauer 2000; the forms of the talks in docs/design/collectors.md).
 *
 * A collection of generation g merges the younger generations into g, finds the unreachable ones
 * among these young objects (young_collection.c), and moves the survivors to the next generation.
 * Then it finalizes and destroys the garbage.
 *
 * Collections of several threads may overlap, since finalizers and callbacks may let go of the GIL:
 * a collection that waits in one must not keep the others from theirs. The garbage of a collection
 * is in lists of its own, which are in no generation. So other collections take references from
 * there as external ones.
 *
 * Invariants:
 *  - Outside the search for unreachable objects all side mark bytes are 0, but for the unreachable
 *    objects' until adopt.
 *  - A thread that is in a collection begins no other.
 */
#include "lists.h"

tally_container tally_heads[TALLY_LISTS];
struct tally_births tally_births = {0, INT32_MAX};

typedef tally_collector_thread lists; /* of one collection */
enum { LISTS = sizeof(lists) / sizeof(uint32_t), FIRST_OF_COLLECTION = TALLY_LIST_FROZEN + 1 };
_Static_assert((int)FIRST_OF_COLLECTION + (int)LISTS == (int)TALLY_LISTS,
               "static heads for one collection");
_Static_assert((int)TALLY_LISTS <= (int)TALLY_FIXED_HANDLES, "a handle for each head");

static struct {
    bool static_lists_taken;
    bool nudged;               /* a collection is due for another reason than births */
    int count[3];              /* [0] unused: tally_births */
    size_t long_lived_total;   /* survivors of the last full collection */
    size_t long_lived_pending; /* those of generation 1 since */
} collector;

static uint32_t generation_list(int generation) { return TALLY_LINK_HEAD(generation); }
#define FROZEN_LIST TALLY_LINK_HEAD(TALLY_LIST_FROZEN)

/* ---- the lists of a collection -------------------------------------------- */

/* The first of the collections that overlap has static heads; each other one allocates its heads.
 * They are blocks of the allocator that are never published, so their refcounts are those of dead
 * objects: a walk over the heap does not find them. False: no memory. */
static bool lists_allocate(lists *l) {
    uint32_t *list = &l->unreachable;
    for (int i = 0; i < LISTS; i++) {
        tally_container *block = tally_memory_alloc(TALLY_CONTAINERS, sizeof *block);
        if (!block) {
            while (i > 0) tally_memory_free(TALLY_CONTAINERS, gc_list_head(list[--i]));
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
    for (int i = 0; i < LISTS; i++) gc_list_clear(list[i]);
    return true;
}
static void lists_give_back(lists *l) {
    uint32_t *list = &l->unreachable;
    if (list[0] == TALLY_LINK_HEAD(FIRST_OF_COLLECTION)) {
        collector.static_lists_taken = false;
        return;
    }
    for (int i = 0; i < LISTS; i++) tally_memory_free(TALLY_CONTAINERS, gc_list_head(list[i]));
}

/* ---- garbage ---------------------------------------------------------------- */

static void legacy_reach(tally_object *child, void *list) {
    _Atomic uint8_t *byte = tally_side_mark_in(tally_side_marks, 0, child);
    if (!byte || tally_side_mark_load(byte) != TALLY_SIDE_MARK_UNREACHABLE) return;
    tally_side_mark_store(byte, 0);
    gc_list_move(*(uint32_t *)list, (tally_container *)child);
}

/* Python 2: an object with a finalizer, and what it reaches, is not freed. Returns how many. */
static ptrdiff_t move_legacy_finalizers(lists *l) {
    ptrdiff_t count = 0;
    if (!tally_process.options.uncollectable_finalizers) return 0;
    for (tally_container *o = gc_list_first(l->unreachable), *next;
         o != gc_list_head(l->unreachable); o = next) {
        next = gc_list_next(o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        legacy_reach(&o->base, &l->legacy);
    }
    gc_list_each(o, l->legacy) {
        count++;
        tally_type *type = tally_type_entry(&o->base);
        if (type->class_) legacy_reach(type->object, &l->legacy);
        tally_children(&o->base, type, legacy_reach, &l->legacy);
    }
    return count;
}

static void keep_legacy(lists *l, uint32_t old) {
    while (!gc_list_is_empty(l->legacy)) {
        tally_container *o = gc_list_first(l->legacy);
        tally_gc_tell(&o->base, true);
        gc_list_move(old, o);
        if (tally_gc_has_finalizer(&o->base) || tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL))
            tally_gc_save(&o->base);
    }
}

static bool is_garbage(tally_object *object) {
    _Atomic uint8_t *byte = tally_side_mark_in(tally_side_marks, 0, object);
    return byte && tally_side_mark_load(byte) == TALLY_SIDE_MARK_UNREACHABLE;
}

/* Whether some have a finalizer that is to run, or a word for weak references. */
static void look_for(uint32_t garbage, bool *finalizers, bool *weak) {
    *finalizers = *weak = false;
    gc_list_each(o, garbage) {
        *finalizers |= tally_gc_has_finalizer(&o->base);
        *weak |= tally_type_entry(&o->base)->weak_offset != 0;
        if (*finalizers && *weak) return;
    }
}

/* The objects' side mark bytes still say UNREACHABLE. Clears the weak references to them. */
static void clear_weakrefs(uint32_t garbage, tally_weakref **calls) {
    gc_list_each(o, garbage)
        if (tally_type_entry(&o->base)->weak_offset)
            tally_weakrefs_clear(&o->base, calls, is_garbage);
}

/* This thread becomes the owner of the objects. Clears their bytes. Returns how many there are. */
static ptrdiff_t adopt(uint32_t garbage) {
    ptrdiff_t count = 0;
    gc_list_each(o, garbage) {
        count++;
        tally_refcount_adopt(&o->base.refcount);
        tally_side_mark_store(tally_side_mark_of_container(o), 0);
    }
    return count;
}

/* A finalizer may take any object out of the list: the object dies, or becomes immortal. */
static void finalize_all(lists *l, ptrdiff_t *immortal) {
    while (!gc_list_is_empty(l->unreachable)) {
        tally_container *o = gc_list_first(l->unreachable);
        gc_list_move(l->seen, o);
        if (!tally_gc_has_finalizer(&o->base)) continue;
        tally_incref(&o->base);
        tally_gc_finalize(&o->base);
        *immortal += tally_is_immortal(&o->base);
        tally_decref(&o->base);
    }
    gc_list_merge(l->unreachable, l->seen);
}

static void free_all(uint32_t garbage, uint32_t old) {
    /* Before any is cleared, since most die when the object that holds them is. */
    if (tally_gc_debugging(TALLY_GC_DEBUG_COLLECTABLE))
        gc_list_each(o, garbage) tally_gc_tell(&o->base, false);
    while (!gc_list_is_empty(garbage)) {
        tally_container *o = gc_list_first(garbage);
        if (tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL)) {
            gc_list_move(old, o);
            tally_gc_save(&o->base);
            continue;
        }
        tally_incref(&o->base);
        tally_gc_clear(&o->base);
        if (gc_list_first(garbage) == o) gc_list_move(old, o); /* another reference keeps it */
        tally_decref(&o->base);
    }
}

/* ---- a collection -------------------------------------------------------- */

bool tally_collector_begin(void) { return lists_take(&tally_thread_current()->collector); }

/* The oldest generation that is due; 0: none above the youngest is. */
static int older_due(void) {
    for (int i = 2; i > 0; i--) {
        if (collector.count[i] <= tally_load_relaxed(&tally_gc.threshold[i])) continue;
        if (i == 2 && collector.long_lived_pending < collector.long_lived_total / 4) continue;
        return i;
    }
    return 0;
}

/* After finalizers or callbacks: leaves in `garbage` the objects that are still garbage, and moves
 * the resurrected ones to `old`. Returns how many these are. */
static ptrdiff_t recheck(lists *l, uint32_t *garbage, uint32_t old) {
    uint32_t other = *garbage == l->unreachable ? l->still : l->unreachable;
    size_t resurrected = tally_deduce_unreachable(*garbage, other, false);
    gc_list_merge(old, *garbage);
    *garbage = other;
    return (ptrdiff_t)resurrected;
}

/* The young survive into `old`, or become the lists' garbage. Returns how many survive. */
static size_t collect_young(lists *l, int generation, uint32_t old) {
    uint32_t young = generation_list(generation);
    tally_births.count = 0;
    for (int i = 1; i <= generation; i++) collector.count[i] = 0;
    if (generation < 2) collector.count[generation + 1]++;
    for (int i = 0; i < generation; i++) gc_list_merge(young, generation_list(i));
    size_t survivors = tally_deduce_unreachable(young, l->unreachable, generation == 2);
    if (generation == 1) collector.long_lived_pending += survivors;
    if (generation == 2) {
        collector.long_lived_pending = 0;
        collector.long_lived_total = survivors;
        tally_memory_collected(true);
    }
    if (old != young) gc_list_merge(old, young);
    return survivors;
}

/* Finalizers, callbacks, and the rechecks after them. Leaves in `garbage` what is to be freed. */
static void run_foreign_code(lists *l, uint32_t *garbage, uint32_t old, bool finalizers,
                             tally_weakref *calls, tally_gc_info *info) {
    if (finalizers) {
        uint64_t began = tally_now();
        ptrdiff_t immortal = 0;
        finalize_all(l, &immortal);
        info->collected -= immortal;
        uint64_t finalized = tally_now();
        info->finalize = finalized - began;
        info->collected -= recheck(l, garbage, old);
        clear_weakrefs(*garbage, &calls);
        adopt(*garbage);
        info->check = tally_now() - finalized;
    }
    if (calls) {
        uint64_t began = tally_now();
        tally_weakrefs_call(calls);
        uint64_t called = tally_now();
        info->finalize += called - began;
        info->collected -= recheck(l, garbage, old);
        adopt(*garbage);
        info->check += tally_now() - called;
    }
}

ptrdiff_t tally_collector_run(int generation, tally_gc_info *info) {
    tally_thread_state *thread = tally_thread_current();
    lists *l = &thread->collector;
    uint32_t old = generation_list(generation < 2 ? generation + 1 : generation);
    uint32_t garbage = l->unreachable;
    /* A reference that waits in a merge queue would look external. */
    tally_refcount_safepoint(thread);
    tally_each_thread(other) tally_refcount_merge_blocked(other);
    uint64_t began = info->began;

    size_t survivors = collect_young(l, generation, old);
    /* A program that collects by hand has no births that would start a collection due above. */
    collector.nudged = !info->automatic && older_due();
    tally_collector_settings();
    ptrdiff_t uncollectable = move_legacy_finalizers(l);
    tally_weakref *calls = NULL;
    bool finalizers, weak;
    look_for(garbage, &finalizers, &weak);
    if (weak && !finalizers) clear_weakrefs(garbage, &calls);
    ptrdiff_t found = adopt(garbage);
    if (generation == 2) { /* references to frozen and to untracked containers were counted, too */
        tally_side_marks_clear_pools();
        tally_side_marks_clear_large();
    }
    info->examined = survivors + (size_t)(found + uncollectable);
    info->collected = found;
    info->uncollectable = uncollectable;
    info->mark = tally_now() - began;

    run_foreign_code(l, &garbage, old, finalizers, calls, info);
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

/* Births are over the limit, or the limit was lowered. */
void tally_collect_births(void) {
    if (!tally_gc_is_enabled() || tally_gc_put_off(tally_thread_current())) return;
    int due = tally_memory_due() ? 2 : older_due();
    if (due == 0 && tally_births.count <= tally_load_relaxed(&tally_gc.threshold[0])) {
        /* Another collection has done what the nudge was for. */
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
        gc_list_clear(TALLY_LINK_HEAD(i));
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
    gc_list_each(o, list) visit(&o->base, context);
}
static void set_frozen(uint32_t list, bool frozen) {
    gc_list_each(o, list) {
        uint8_t flags = tally_load_relaxed(&o->base.flags);
        tally_store_relaxed(&o->base.flags,
                            frozen ? flags | TALLY_FLAG_FROZEN : flags & ~TALLY_FLAG_FROZEN);
    }
}
void tally_collector_each(int generation, void (*visit)(tally_object *, void *), void *context) {
    for (int i = 0; i < 3; i++)
        if (generation == -1 || generation == i) each(generation_list(i), visit, context);
    if (generation == -1) each(FROZEN_LIST, visit, context);
}

void tally_collector_freeze(void) {
    for (int i = 0; i < 3; i++) {
        set_frozen(generation_list(i), true);
        gc_list_merge(FROZEN_LIST, generation_list(i));
    }
    tally_births.count = collector.count[1] = collector.count[2] = 0;
}
void tally_collector_unfreeze(void) {
    set_frozen(FROZEN_LIST, false);
    gc_list_merge(generation_list(2), FROZEN_LIST);
}
size_t tally_collector_frozen(void) {
    size_t count = 0;
    gc_list_each(o, FROZEN_LIST) count++;
    return count;
}
void tally_collector_count(int counts[3]) {
    counts[0] = tally_births.count;
    counts[1] = collector.count[1];
    counts[2] = collector.count[2];
}
