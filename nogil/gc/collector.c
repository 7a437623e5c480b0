/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collector.c: the stop-the-world cycle collector (PEP 703), which finds containers by a walk over
 * the allocator's pools. Where refcounts have owners it is for the old: each thread collects its
 * own young objects while the others run (young_collection.c). births.c tells when a collection
 * starts.
 *
 * The world is stopped while unreachable objects are found (mark.c) and their weak references are
 * cleared. Each is noted with a reference, and adopted by this thread, so that it is destroyed
 * without atomics. Then the world runs, and so do callbacks and finalizers. If any ran, the world
 * stops once more for the recheck of what they resurrected (recheck.c). The rest is cleared and
 * dies.
 *
 * Invariants:
 *  - Collections of several threads may overlap while the world runs. Each holds the garbage that
 *    it has noted, so that is alive to the others. A thread in a collection begins no other.
 *  - A thread that asks while another is stopping the world for a collection shares that one: it
 *    finds all that was garbage at that time.
 */
#include "births.h"
#include "internal.h"
#include "mark.h"
#include "processors.h"
#include "young_collection.h"

static struct {
    _Atomic size_t pending; /* garbage that collections have noted and not freed yet */
    uint64_t marks;         /* collections that have marked; world stopped */
    _Atomic uint64_t marks_seen;
    ptrdiff_t last_found; /* world stopped */
} collector;

typedef struct garbage {
    tally_object **objects; /* first those to be freed, `count` of them */
    size_t count;
    size_t legacy_at, legacy; /* behind them: kept, as Python 2 did */
    size_t classes;
    tally_weakref *calls; /* cleared references whose callbacks are still to be called */
    bool finalizers;      /* some objects have one that is to run */
    bool weak;            /* some objects may have weak references */
    bool no_memory;
} garbage;

static bool is_marked_aside(uint8_t flags) {
    return flags & TALLY_FLAG_COLLECTING;
} /* by a collection */
static bool is_garbage(tally_object *object) {
    return tally_is_candidate(tally_flags_of(object)) && !tally_mark_reached(object);
}
/* In a recheck. Other collections have flags of their own on their objects. */
static bool is_garbage_still(tally_object *object) {
    return tally_mark_in_recheck(object) && !(tally_flags_of(object) & TALLY_FLAG_MARKED);
}

/* ---- with the world stopped ------------------------------------------------------- */

static void for_each(void (*visit)(tally_object *, void *), void *context) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));)
        for (char *block = at.first; block < pool->bump; block += pool->block_size)
            if (tally_flags_of((tally_object *)block) & TALLY_FLAG_TRACKED)
                visit((tally_object *)block, context);
    tally_large_walk large = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));)
        if (tally_flags_of(object) & TALLY_FLAG_TRACKED) visit(object, context);
}

static void note(tally_object *object, void *context) {
    garbage *g = context;
    if (!is_garbage(object)) return;
    g->objects[g->count++] = object;
    g->finalizers |= tally_gc_has_finalizer(object);
    g->weak |= tally_type_entry(object)->weak_offset != 0;
    g->classes += object->type == TALLY_TYPE_TYPE;
}

static void swap(tally_object **objects, size_t a, size_t b) {
    tally_object *object = objects[a];
    objects[a] = objects[b];
    objects[b] = object;
}

/* Python 2: keeps objects with a finalizer, and what they reach, behind the others. */
static void set_legacy_apart(garbage *g) {
    for (size_t i = 0; i < g->count; i++)
        if (is_garbage(g->objects[i]) && tally_gc_has_finalizer(g->objects[i]))
            tally_mark_more(g->objects[i]);
    for (size_t i = 0; i < g->count;) {
        if (is_garbage(g->objects[i])) {
            i++;
            continue;
        }
        swap(g->objects, i, --g->count);
        g->legacy++;
    }
    g->legacy_at = g->count;
    g->finalizers = false;
}

/* Clears the references to all objects that die, before foreign code runs again. spare: tells
 * whether a weak reference is garbage itself. */
static void clear_weakrefs(garbage *g, bool (*spare)(tally_object *reference)) {
    for (size_t i = 0; i < g->count; i++)
        if (tally_type_entry(g->objects[i])->weak_offset)
            tally_weakrefs_clear(g->objects[i], &g->calls, spare);
}

/* A reference to an object that is to be freed, which is marked as noted. */
static void hold(tally_object *object) {
    tally_incref(object);
    tally_store_relaxed(&object->flags,
                        (tally_flags_of(object) & ~TALLY_FLAG_MARKED) | TALLY_FLAG_COLLECTING);
}

/* Notes the unreachable objects, and holds each. Without memory all is as it was. */
static void take_garbage(garbage *g, tally_found *found) {
    size_t total = found->examined - found->reached;
    if (!total) return;
    g->objects = malloc(total * sizeof *g->objects);
    g->no_memory = !g->objects;
    if (g->no_memory) return;
    for_each(note, g);
    if (tally_process.options.uncollectable_finalizers) set_legacy_apart(g);
    /* With finalizers it is not known yet which objects die. */
    if (g->weak && !g->finalizers) clear_weakrefs(g, is_garbage);
    for (size_t i = 0; i < total; i++) {
        tally_refcount_adopt(&g->objects[i]->refcount);
        if (i < g->count)
            hold(g->objects[i]);
        else
            tally_incref(g->objects[i]);
    }
}

/* ---- a collection ---------------------------------------------------------- */

/* Foreign code may have resurrected objects: a short stop. Drops the objects that live on. clear:
 * also clears the weak references to the others. */
static void move_resurrected(garbage *g, bool clear, tally_gc_info *info) {
    uint64_t began = tally_now();
    tally_stop_the_world();
    /* An object that another thread got and has dropped again is not to look alive. */
    tally_refcount_dead dead = tally_refcount_merge_stopped();
    size_t alive = tally_mark_recheck(g->objects, g->count), kept = 0;
    for (size_t i = 0; i < g->count; i++)
        if (tally_flags_of(g->objects[i]) & TALLY_FLAG_MARKED)
            tally_and_relaxed(&g->objects[i]->flags, (uint8_t)~TALLY_FLAG_COLLECTING);
        else
            swap(g->objects, i, kept++);
    /* Before the world runs: another collection would mark anew. */
    size_t all = g->count;
    g->count = kept;
    if (clear) clear_weakrefs(g, is_garbage_still);
    tally_mark_recheck_end(g->objects, all);
    tally_resume_the_world();
    uint64_t check = tally_now() - began;
    info->check += check;
    if (check > info->pause) info->pause = check;
    tally_refcount_destroy(dead);
    info->collected -= (ptrdiff_t)alive;
    for (size_t i = kept; i < all; i++) tally_decref(g->objects[i]);
}

/* The reference of the collection is the last one. No slot, weak reference or borrow leads to the
 * object any more, so no other thread can get at it, and it dies with its reference: a death clears
 * the flags. References to a class are counted elsewhere, too. Relaxed: the decref that follows
 * sees what other threads did before theirs. */
static bool is_last_reference(tally_object *object) {
#if TALLY_REFCOUNT_HAVE_OWNERS
    bool last = tally_refcount_is_unshared(&object->refcount) &&
                tally_refcount_local(&object->refcount) == 1;
#else
    bool last = tally_refcount_total(&object->refcount) == 1;
#endif
    return last && object->type != TALLY_TYPE_TYPE;
}

static void free_all(garbage *g) {
    bool save = tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL),
         tell = tally_gc_debugging(TALLY_GC_DEBUG_COLLECTABLE);
    for (size_t i = 0; i < g->count; i++) {
        tally_object *object = g->objects[i];
        if (tell) tally_gc_tell(object, false);
        if (save)
            tally_gc_save(object);
        else
            tally_gc_clear(object);
        if (!is_last_reference(object))
            tally_and_relaxed(&object->flags, (uint8_t)~TALLY_FLAG_COLLECTING);
        tally_decref(object);
    }
    for (size_t i = g->legacy_at; i < g->legacy_at + g->legacy; i++) {
        tally_gc_tell(g->objects[i], true);
        if (save || tally_gc_has_finalizer(g->objects[i])) tally_gc_save(g->objects[i]);
        tally_decref(g->objects[i]);
    }
    /* Classes that only the type table holds, and the garbage's per-thread counted objects. */
    if (g->classes && !save) tally_classes_sweep();
    while (tally_per_thread_seem_unused() && tally_per_thread_sweep(0)) {}
}

bool tally_collector_begin(void) { return true; } /* only the pauses exclude each other */

/* World stopped: finds and notes the garbage. */
static void find_garbage(garbage *g, unsigned processors, tally_gc_info *info) {
    tally_store_relaxed(&collector.marks_seen, ++collector.marks);
    tally_last_stop(&info->last_thread, &info->last_was);
    tally_reclaim_stopped();
    tally_births_forget();
    tally_memory_collected(true);
    tally_found found;
    tally_mark_all(processors, &found);
    take_garbage(g, &found);
    tally_mark_end();
    collector.last_found = (ptrdiff_t)(g->count + g->legacy);
    /* Nothing to share: the threads that waited make collections of their own. */
    if (g->no_memory) tally_store_relaxed(&collector.marks_seen, --collector.marks);
    size_t gone = g->count + tally_add_relaxed(&collector.pending, g->count);
    /* Containers that are not tracked any more count too: to walk past a million tuples of numbers,
     * which one list holds, takes time for each. */
    tally_births_survive(found.reached, found.blocks > gone ? found.blocks - gone : 0);
    info->examined = found.examined;
    info->helpers = found.helpers;
    info->collected = (ptrdiff_t)g->count;
    info->uncollectable = (ptrdiff_t)g->legacy;
}

/* The world runs: finalizers, callbacks, and the end of the garbage. */
static ptrdiff_t finish(garbage *g, tally_gc_info *info) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    size_t noted = g->count;
    uint64_t began = tally_now();
    self->floor = 0; /* the garbage is part of `older` */
    if (g->finalizers) {
        for (size_t i = 0; i < g->count; i++) tally_gc_finalize(g->objects[i]);
        info->finalize = tally_now() - began;
        move_resurrected(g, true, info);
    }
    if (g->calls) {
        began = tally_now();
        tally_weakrefs_call(g->calls);
        info->finalize += tally_now() - began;
        if (g->count) move_resurrected(g, false, info);
    }
    began = tally_now();
    free_all(g);
    tally_sub_relaxed(&collector.pending, noted);
    info->free = tally_now() - began;
    self->floor = -self->survived;
    return info->collected + info->uncollectable;
}

static ptrdiff_t collect_all(tally_gc_info *info) {
    info->generation = 2;
    uint64_t before = tally_load_relaxed(&collector.marks_seen);
    unsigned processors = tally_mark_is_short() ? 1 : tally_processors();
    tally_stop_the_world();
    uint64_t stopped = tally_now();
    if (collector.marks != before) {
        ptrdiff_t found = collector.last_found;
        tally_resume_the_world();
        info->shared = true;
        return found;
    }
    garbage g = {0};
    tally_refcount_dead dead = tally_refcount_merge_stopped();
    find_garbage(&g, processors, info);
    uint64_t marked = tally_now();
    tally_resume_the_world();
    info->stop = stopped - info->began;
    info->mark = marked - stopped;
    info->pause = marked - info->began;
    tally_refcount_destroy(dead);
    tally_reclaim_free();

    finish(&g, info);
    free(g.objects);
    tally_memory_collected(false);
    info->reentry = tally_last_resume_ns();
    if (!g.no_memory) return info->collected + info->uncollectable;
    tally_no_memory();
    return -1;
}

#if TALLY_REFCOUNT_HAVE_OWNERS
/* Of the calling thread, while the world runs. */
static ptrdiff_t collect_young(int generation, tally_gc_info *info) {
    tally_births_begin_young(generation);
    tally_young found = tally_young_find(generation, info);
    garbage g = {.objects = found.objects,
                 .count = found.count,
                 .legacy_at = found.legacy_at,
                 .legacy = found.legacy,
                 .calls = found.calls,
                 .finalizers = found.finalizers};
    for (size_t i = 0; i < g.count; i++) hold(g.objects[i]);
    for (size_t i = 0; i < g.legacy; i++) tally_incref(g.objects[g.legacy_at + i]);
    tally_add_relaxed(&collector.pending, g.count);
    tally_births_end_young(generation, found.examined - g.count - g.legacy, found.early,
                           info->automatic);
    info->examined = found.examined;
    info->collected = (ptrdiff_t)g.count;
    info->uncollectable = (ptrdiff_t)g.legacy;
    uint64_t marked = tally_now() - info->began;
    info->mark = marked - info->stop;
    if (found.stopped) {
        tally_resume_the_world();
        info->pause = marked;
    }
    ptrdiff_t all = finish(&g, info);
    tally_young_end();
    return all;
}
#else
static ptrdiff_t collect_young(int generation, tally_gc_info *info) { return collect_all(info); }
#endif

ptrdiff_t tally_collector_run(int generation, tally_gc_info *info) {
    return generation == 2 ? collect_all(info) : collect_young(generation, info);
}

/* ---- the contract ---------------------------------------------------------- */

int tally_collector_start(void) {
    memset(&collector, 0, sizeof collector);
    tally_births_start();
    return 0;
}
void tally_collector_end(void) {
    tally_each_thread(thread) {
        free(thread->collector.young);
        thread->collector.young = NULL;
        thread->collector.room = 0;
    }
}
typedef struct each_visit {
    void (*visit)(tally_object *, void *);
    void *context;
    int generation;
} each_visit;
static int generation_of(tally_object *object) {
    if (!TALLY_REFCOUNT_HAVE_OWNERS || !tally_is_small(object)) return 2;
    uint8_t byte = tally_side_mark_load(tally_side_mark_of(tally_side_marks, 0, object));
    return byte == TALLY_SIDE_MARK_YOUNG ? 0 : byte == TALLY_SIDE_MARK_MIDDLE ? 1 : 2;
}
/* Not noted objects: a query would resurrect them behind the back of the recheck. */
static void visit_each(tally_object *object, void *context) {
    each_visit *e = context;
    uint8_t flags = tally_flags_of(object);
    if (is_marked_aside(flags)) return;
    if (e->generation == -1 ||
        (!(flags & TALLY_FLAG_FROZEN) && generation_of(object) == e->generation))
        e->visit(object, e->context);
}
void tally_collector_each(int generation, void (*visit)(tally_object *, void *), void *context) {
    each_visit e = {visit, context, generation};
    for_each(visit_each, &e);
}

/* A noted object is in no generation. */
static void freeze(tally_object *object, void *count) {
    if (is_marked_aside(tally_flags_of(object))) return;
    tally_store_relaxed(&object->flags, tally_flags_of(object) | TALLY_FLAG_FROZEN);
    if (TALLY_REFCOUNT_HAVE_OWNERS && tally_is_small(object))
        tally_side_mark_store(tally_side_mark_of(tally_side_marks, 0, object), 0);
}
static void unfreeze(tally_object *object, void *count) {
    tally_store_relaxed(&object->flags, tally_flags_of(object) & ~TALLY_FLAG_FROZEN);
}
static void count_frozen(tally_object *object, void *count) {
    *(size_t *)count += (tally_flags_of(object) & TALLY_FLAG_FROZEN) != 0;
}

void tally_collector_freeze(void) {
    for_each(freeze, NULL);
    tally_births_forget();
}
void tally_collector_unfreeze(void) { for_each(unfreeze, NULL); }
size_t tally_collector_frozen(void) {
    size_t count = 0;
    for_each(count_frozen, &count);
    return count;
}
