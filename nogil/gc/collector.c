/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * collector.c: the stop-the-world cycle collector (PEP 703). It has one generation, and finds
 * containers by a walk over the allocator's pools.
 *
 * The world is stopped while unreachable objects are found (mark.c) and their weak references are
 * cleared. Each is noted with a reference, and adopted by this thread, so that it is destroyed
 * without atomics. Then the world runs, and so do callbacks and finalizers. If any ran, the world
 * stops once more for the recheck of what they resurrected (recheck.c). The rest is cleared and
 * dies.
 *
 * When a collection starts by itself: births (containers made less freed since the last one) exceed
 * the first threshold and a quarter of the containers that survived it, tracked or not. So the work
 * of all collections while a heap grows to n is at most n (1 + 1/1.25 + ...) = 5 n. Any thread that
 * finds one due asks for it, so the others do not run on while the first to ask is not scheduled.
 * Threads that ask together share one collection. Its thread frees the garbage, and the next
 * collection may start meanwhile: threads that make more garbage than one thread can free do their
 * share of the work. A thread counts its births itself and flushes the count every 64. A collection
 * counts anew, so nothing is counted twice, and reading the counts changes nothing.
 *
 * Invariants:
 *  - Collections of several threads may overlap while the world runs. Each holds the garbage that
 *    it has noted, so that is alive to the others. A thread in a collection begins no other.
 *  - A thread that asks while another is stopping the world for a collection shares that one: it
 *    finds all that was garbage at that time.
 */
#include "internal.h"
#include "mark.h"
#include "processors.h"

static struct {
    _Atomic int64_t births;   /* flushed */
    _Atomic size_t survivors; /* containers after the last collection, but for pending ones */
    _Atomic size_t pending;   /* garbage that collections have noted and not freed yet */
    uint64_t marks;           /* collections that have marked; world stopped */
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

/* ---- births ---------------------------------------------------------------- */

static int32_t births_of(tally_thread_state *thread) {
    /* Two loads: a read of another thread's births is off by a batch at most. */
    return tally_births_load(&thread->collector.births) -
           tally_births_load(&thread->collector.ahead);
}
/* The thread has so many births that are not flushed, and looks again at its birth number `at`. */
static void set_births(tally_thread_state *thread, int32_t births, int32_t at) {
    tally_births_store(&thread->collector.births, at);
    tally_births_store(&thread->collector.ahead, at - births);
}

void tally_collector_nudge(void) {
    tally_thread_state *thread = tally_thread_current();
    set_births(thread, births_of(thread), TALLY_BIRTHS_BATCH - 1);
}

static bool births_due(int64_t births) {
    int threshold = tally_load_relaxed(&tally_gc.threshold[0]);
    if (!tally_gc_is_enabled() || threshold == 0) return false;
    if (tally_memory_due()) return true;
    return births > threshold && births > (int64_t)(tally_load_relaxed(&collector.survivors) / 4);
}

void tally_births_flush(bool may_collect) {
    tally_thread_state *thread = tally_thread_current();
    int32_t n = births_of(thread);
    set_births(thread, 0, 0);
    /* A collection's garbage was counted off when it began. */
    if (n < 0 && thread->collecting) return;
    int64_t births = tally_add_relaxed(&collector.births, n) + n;
    if (!may_collect || !births_due(births)) return;
    /* A finalizer may wait for a lock of this thread's critical sections, or for its mutexes. */
    if (!tally_gc_put_off(thread) && !thread->critical) tally_gc_automatic(2);
}

/* World stopped. */
static void forget_births(void) {
    tally_each_thread(thread) set_births(thread, 0, 0);
    tally_store_relaxed(&collector.births, 0);
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
    if (is_garbage(object)) g->objects[g->count++] = object;
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
}

/* Clears the references to all objects that die, before foreign code runs again. spare: tells
 * whether a weak reference is garbage itself. */
static void clear_weakrefs(garbage *g, bool (*spare)(tally_object *reference)) {
    for (size_t i = 0; i < g->count; i++)
        if (tally_type_entry(g->objects[i])->weak_offset)
            tally_weakrefs_clear(g->objects[i], &g->calls, spare);
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
    for (size_t i = 0; i < g->count; i++) {
        g->finalizers |= tally_gc_has_finalizer(g->objects[i]);
        g->classes += g->objects[i]->type == TALLY_TYPE_TYPE;
    }
    /* With finalizers it is not known yet which objects die. */
    if (!g->finalizers) clear_weakrefs(g, is_garbage);
    for (size_t i = 0; i < total; i++) {
        tally_refcount_adopt(&g->objects[i]->refcount);
        tally_incref(g->objects[i]);
    }
    for (size_t i = 0; i < g->count; i++)
        tally_store_relaxed(&g->objects[i]->flags,
                            (tally_flags_of(g->objects[i]) & ~TALLY_FLAG_MARKED) |
                                TALLY_FLAG_COLLECTING);
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

static void free_all(garbage *g) {
    bool save = tally_gc_debugging(TALLY_GC_DEBUG_SAVEALL);
    for (size_t i = 0; i < g->count; i++) {
        tally_object *object = g->objects[i];
        tally_and_relaxed(&object->flags, (uint8_t)~TALLY_FLAG_COLLECTING);
        tally_gc_tell(object, false);
        if (save)
            tally_gc_save(object);
        else
            tally_gc_clear(object);
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
    forget_births();
    tally_memory_collected(true);
    tally_found found;
    tally_mark_all(processors, &found);
    take_garbage(g, &found);
    collector.last_found = (ptrdiff_t)(g->count + g->legacy);
    /* Nothing to share: the threads that waited make collections of their own. */
    if (g->no_memory) tally_store_relaxed(&collector.marks_seen, --collector.marks);
    size_t gone = g->count + tally_add_relaxed(&collector.pending, g->count);
    /* Containers that are not tracked any more count too: to walk past a million tuples of numbers,
     * which one list holds, takes time for each. */
    tally_store_relaxed(&collector.survivors, found.blocks > gone ? found.blocks - gone : 0);
    info->examined = found.examined;
    info->helpers = found.helpers;
    info->collected = (ptrdiff_t)g->count;
    info->uncollectable = (ptrdiff_t)g->legacy;
}

ptrdiff_t tally_collector_run(int generation, tally_gc_info *info) {
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
    size_t noted = g.count;
    uint64_t marked = tally_now();
    tally_resume_the_world();
    info->stop = stopped - info->began;
    info->mark = marked - stopped;
    info->pause = marked - info->began;
    tally_refcount_destroy(dead);
    tally_reclaim_free();

    uint64_t began = tally_now();
    if (g.finalizers) {
        for (size_t i = 0; i < g.count; i++) tally_gc_finalize(g.objects[i]);
        info->finalize = tally_now() - began;
        move_resurrected(&g, true, info);
    }
    if (g.calls) {
        began = tally_now();
        tally_weakrefs_call(g.calls);
        info->finalize += tally_now() - began;
        if (g.count) move_resurrected(&g, false, info);
    }
    began = tally_now();
    free_all(&g);
    tally_sub_relaxed(&collector.pending, noted);
    free(g.objects);
    tally_memory_collected(false);
    info->free = tally_now() - began;
    info->reentry = tally_last_resume_ns();
    if (!g.no_memory) return info->collected + info->uncollectable;
    tally_no_memory();
    return -1;
}

/* ---- the contract ---------------------------------------------------------- */

int tally_collector_start(void) {
    memset(&collector, 0, sizeof collector);
    return 0;
}
void tally_collector_end(void) {}
void tally_collector_settings(void) {} /* read at each flush */

typedef struct each_visit {
    void (*visit)(tally_object *, void *);
    void *context;
} each_visit;
/* Not noted objects: a query would resurrect them behind the back of the recheck. */
static void visit_each(tally_object *object, void *context) {
    each_visit *e = context;
    if (!is_marked_aside(tally_flags_of(object))) e->visit(object, e->context);
}
static void visit_unfrozen(tally_object *object, void *context) {
    if (!(tally_flags_of(object) & TALLY_FLAG_FROZEN)) visit_each(object, context);
}
void tally_collector_each(int generation, void (*visit)(tally_object *, void *), void *context) {
    each_visit e = {visit, context};
    if (generation == -1)
        for_each(visit_each, &e);
    else if (generation == 2)
        for_each(visit_unfrozen, &e);
}

/* A noted object is in no generation. */
static void freeze(tally_object *object, void *count) {
    if (is_marked_aside(tally_flags_of(object))) return;
    tally_store_relaxed(&object->flags, tally_flags_of(object) | TALLY_FLAG_FROZEN);
}
static void unfreeze(tally_object *object, void *count) {
    tally_store_relaxed(&object->flags, tally_flags_of(object) & ~TALLY_FLAG_FROZEN);
}
static void count_frozen(tally_object *object, void *count) {
    *(size_t *)count += (tally_flags_of(object) & TALLY_FLAG_FROZEN) != 0;
}

void tally_collector_freeze(void) {
    for_each(freeze, NULL);
    forget_births();
}
void tally_collector_unfreeze(void) { for_each(unfreeze, NULL); }
size_t tally_collector_frozen(void) {
    size_t count = 0;
    for_each(count_frozen, &count);
    return count;
}

/* A snapshot: threads make and free meanwhile. */
void tally_collector_count(int counts[3]) {
    int64_t births = tally_load_relaxed(&collector.births);
    tally_each_thread(thread) births += births_of(thread);
    counts[0] = births > 0 ? births < INT32_MAX ? (int)births : INT32_MAX : 0;
    counts[1] = counts[2] = 0;
}
