/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * per_thread.c: per-thread refcounts: an object that all threads use, like a class or a function,
 * would be a contended cache line. So each thread counts its references in an array of its own, at
 * the object's index (CPython: _PyObject_MergePerThreadRefcounts). Per-thread are the references of
 * instances to their classes; with biased refcounts also all others to a class, and to an object
 * that tally_defer_count names (nogil/refcount/biased/tally_refcount.h has the invariants).
 *
 * The index of a class is that in the table of types; those of other objects are behind. A thread's
 * count may be negative (it dropped a reference that another thread took). The sum over the threads
 * is exact while the world is stopped.
 *
 * Invariants:
 *  - The table of types holds one reference to each class, the table of indices one to each other
 *    object. So no object dies by its refcount alone. A sweep drops that reference when it is the
 *    last: with the world stopped it folds the arrays into the object's own count. No thread has a
 *    way to a class then, since its weak references are cleared as well. A weak reference may lead
 *    to another object; the thread that gets it keeps it, and it is an ordinary object then.
 *  - An object that finds no free index keeps its shared count. A thread without an array counts in
 *    the object's own count, with atomics. So does a thread that has only taken references: its
 *    first drop, or its first instance, allocates the array.
 */
#include "gc/collector.h"
#include "internal.h"

enum { FIRST_SWEEP = 64 };
static _Atomic size_t born, sweep_at = FIRST_SWEEP;

/* Of objects that are no classes; each held. An index is taken by compare-and-swap from NULL, and
 * given back with the world stopped, when its counts are 0 again. */
enum { INDICES = 16384 };
static struct {
    _Atomic(tally_object *) at[INDICES];
    _Atomic uint32_t used;       /* no index from here on was ever taken */
    _Atomic uint32_t taken;      /* how many are */
    _Atomic uint32_t maybe_free; /* no index below is free */
} indices;

static tally_object *at_index(uint32_t i) { return tally_load_relaxed(&indices.at[i]); }
static uint32_t indices_used(void) { return tally_load_relaxed(&indices.used); }

static uint16_t class_index(tally_object *class_) { return ((tally_type_object *)class_)->index; }

void tally_per_thread_start(void) {
    for (uint32_t i = 0; i < indices_used(); i++) tally_store_relaxed(&indices.at[i], NULL);
    tally_store_relaxed(&indices.used, 0);
    tally_store_relaxed(&indices.taken, 0);
    tally_store_relaxed(&indices.maybe_free, 0);
}

bool tally_per_thread_allocate(void) {
    tally_per_thread_count *counts =
        calloc(TALLY_MAX_TYPES + INDICES, sizeof *counts); /* touched only where used */
    /* release: pairs with array_of */
    if (counts) tally_store_release(&tally_self.thread->refcount.per_thread, counts);
    tally_self.refcount.per_thread = counts;
    return counts;
}

int tally_class_incref_slow(tally_object *class_) {
    return tally_per_thread_allocate() ? tally_class_incref(class_) : tally_no_memory();
}

/* acquire: pairs with the release of tally_per_thread_allocate */
static tally_per_thread_count *array_of(tally_thread_state *thread) {
    return tally_load_acquire(&thread->head.refcount.per_thread);
}

void tally_class_decref_slow(tally_object *class_) {
    if (tally_per_thread_allocate()) {
        tally_class_decref(class_);
        return;
    }
    /* No memory for an array: counts in another thread's, with the world stopped. There is one: the
     * thread that made the instance counted it in an array, and a slot keeps its array. */
    bool counted = false;
    tally_stop_the_world();
    tally_each_thread(thread) {
        tally_per_thread_count *counts = array_of(thread);
        if (counts) tally_count_own(&counts[class_index(class_)].dropped);
        if ((counted = counts)) break;
    }
    tally_resume_the_world();
    if (!counted) tally_fatal(class_, "an instance died that no thread had counted");
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the type table's */
    tally_lock_unbias(class_);
    tally_refcount_make_per_thread(&class_->refcount, class_index(class_), 0);
    /* relaxed: only says when it is time to look */
    if (tally_add_relaxed(&born, 1) + 1 < tally_load_relaxed(&sweep_at)) return;
    /* A sweep runs foreign code: put off like a collection, until the next new class. */
    tally_thread_state *thread = tally_thread_current();
    if (!thread->critical && !tally_gc_put_off(thread)) tally_classes_sweep();
}

static int64_t taken_less_dropped(tally_per_thread_count *count) {
    return tally_load_relaxed(&count->taken) - tally_load_relaxed(&count->dropped);
}

/* While threads run it is a snapshot: each thread's count is its own to write. */
static int64_t sum_of(uint32_t index) {
    int64_t sum = 0;
    tally_each_thread(thread)
        if (array_of(thread)) sum += taken_less_dropped(&array_of(thread)[index]);
    return sum;
}

/* World stopped: the object is counted like others from now on. It is held by its table at most. */
static void fold(tally_object *object, uint32_t index) {
    int64_t sum = sum_of(index);
    tally_each_thread(thread)
        if (array_of(thread)) array_of(thread)[index] = (tally_per_thread_count){0};
    if (tally_refcount_per_thread_index(&object->refcount) == index)
        tally_refcount_end_per_thread(&object->refcount, sum);
}

static bool is_class(tally_object *object) {
    return object->type == TALLY_TYPE_TYPE &&
           tally_types[((tally_type_object *)object)->index].class_;
}

/* Less the table's own reference. */
ptrdiff_t tally_class_instances(tally_object *object) {
    uint32_t index =
        is_class(object) ? class_index(object) : tally_refcount_per_thread_index(&object->refcount);
    return index ? (ptrdiff_t)sum_of(index) - 1 : 0;
}

/* World stopped: exact. */
static ptrdiff_t total_of(tally_object *object) {
    return tally_refcount_total(&object->refcount) + tally_class_instances(object);
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    return is_class(object) && !(tally_load_relaxed(&object->flags) & TALLY_FLAG_FINALIZED) &&
           total_of(object) == 0;
}

/* ---- the sweep ---------------------------------------------------------------- */

/* One stop; without memory to note all unused objects, one per FEW of them. Classes are found in
 * the table of types, so the time does not depend on the size of the heap. */
enum { FEW = 64 };
typedef struct sweep {
    tally_object *few[FEW], **unused;
    size_t room, count, classes, classes_unused;
    tally_weakref *calls;
} sweep;

static bool has_room(sweep *s) { return s->count < s->room; }

static void sweep_class(sweep *s, tally_object *object) {
    /* A class that is being made or freed is not tracked. */
    if (!tally_is_tracked(object) || tally_is_immortal(object)) return;
    s->classes++;
    if (!has_room(s) || !tally_class_is_unused(object)) return;
    /* A weak reference could resurrect it after this look. */
    tally_weakrefs_clear(object, &s->calls, NULL);
    /* No collection is to find it while its last reference waits in a merge queue. */
    tally_untrack(object);
    tally_or_relaxed(&object->flags, TALLY_FLAG_FINALIZED);
    if (tally_refcount_per_thread_index(&object->refcount)) fold(object, class_index(object));
    s->unused[s->count++] = object;
    s->classes_unused++;
}
static void sweep_classes(sweep *s) {
    for (uint32_t i = TALLY_TYPE_FIRST_FREE; i < tally_types_used(); i++)
        if (tally_types[i].class_) sweep_class(s, tally_types[i].object);
}

static void give_index_back(uint32_t i) {
    tally_store_relaxed(&indices.at[i], NULL);
    tally_sub_relaxed(&indices.taken, 1);
    if (i < tally_load_relaxed(&indices.maybe_free)) tally_store_relaxed(&indices.maybe_free, i);
}
static void sweep_indices(sweep *s) {
    for (uint32_t i = 0; i < indices_used(); i++) {
        tally_object *object = at_index(i);
        if (!object) continue;
        bool immortal = tally_is_immortal(object); /* made so since: its index is free */
        if (!immortal && (total_of(object) != 0 || !has_room(s))) continue;
        fold(object, TALLY_MAX_TYPES + i);
        give_index_back(i);
        if (!immortal) s->unused[s->count++] = object;
    }
}

/* patience: nanoseconds to wait for the other threads, and then nothing is freed; 0: no limit. */
static size_t sweep_all(bool classes, uint64_t patience) {
    size_t freed = 0, left = 0;
    sweep s = {.room = tally_load_relaxed(&indices.taken)};
    /* A guess: others may make more until the world is stopped. */
    if (classes) s.room += tally_load_relaxed(&born);
    tally_object **noted = s.room > FEW ? malloc(s.room * sizeof *noted) : NULL;
    s.unused = noted ? noted : s.few;
    if (!noted) s.room = FEW;
    do {
        s.count = s.classes = s.classes_unused = 0;
        s.calls = NULL;
        if (patience && !tally_try_stop_the_world(patience)) break;
        if (!patience) tally_stop_the_world();
        TALLY_FAILPOINT(sweep_stopped);
        if (classes) sweep_classes(&s);
        sweep_indices(&s);
        tally_resume_the_world();
        TALLY_FAILPOINT(sweep_started);
        tally_weakrefs_call(s.calls);
        for (size_t i = 0; i < s.count; i++) tally_decref(s.unused[i]);
        freed += s.count;
        left = s.classes - s.classes_unused;
    } while (!has_room(&s));
    free(noted);
    if (!classes) return freed;
    tally_store_relaxed(&born, left);
    tally_store_relaxed(&sweep_at, 2 * left + FIRST_SWEEP);
    return freed;
}

size_t tally_classes_sweep(void) { return sweep_all(true, 0); }
size_t tally_per_thread_sweep(uint64_t patience) { return sweep_all(false, patience); }

bool tally_per_thread_used(void) { return tally_load_relaxed(&indices.taken) != 0; }

/*
 * Asked by every collection. Adds up a run of indices at a time, thread by thread, so that each
 * array is read in order. An object with an index is alive until this thread's next safepoint.
 */
bool tally_per_thread_seem_unused(void) {
    enum { RUN = 256 };
    if (!tally_load_relaxed(&indices.taken)) return false;
    for (uint32_t from = 0; from < indices_used(); from += RUN) {
        int64_t sums[RUN] = {0};
        uint32_t run = indices_used() - from < RUN ? indices_used() - from : RUN;
        tally_each_thread(thread) {
            tally_per_thread_count *counts = array_of(thread);
            for (uint32_t i = 0; counts && i < run; i++)
                sums[i] += taken_less_dropped(&counts[TALLY_MAX_TYPES + from + i]);
        }
        for (uint32_t i = 0; i < run; i++) {
            /* acquire: pairs with the release of take_index, as the object's counts are read */
            tally_object *object = tally_load_acquire(&indices.at[from + i]);
            if (object && tally_refcount_total(&object->refcount) + sums[i] == 1 /* the table's */)
                return true;
        }
    }
    return false;
}

/* ---- tally_defer_count ------------------------------------------------------ */

#if TALLY_PER_THREAD_REFCOUNTS
/* A free index, which is the object's from now on; INDICES: there is none. */
static uint32_t take_index(tally_object *object) {
    uint32_t first = tally_load_relaxed(&indices.maybe_free);
    for (uint32_t i = first; i < INDICES; i++) {
        tally_object *none = NULL;
        /* release: pairs with the acquire of tally_per_thread_seem_unused */
        if (at_index(i) || !tally_cas_release(&indices.at[i], &none, object)) continue;
        tally_add_relaxed(&indices.taken, 1);
        uint32_t used = indices_used();
        while (used <= i && !tally_cas_weak_relaxed(&indices.used, &used, i + 1)) {}
        /* No index is given back before this thread's next safepoint, so all below stay taken. */
        uint32_t free_from = first;
        while (free_from <= i && !tally_cas_weak_relaxed(&indices.maybe_free, &free_from, i + 1)) {}
        return i;
    }
    return INDICES;
}

enum { MOST_AT_START = 1 << 26 }; /* references; the shared half has no room for more */

/* The caller holds a reference, and owns the object or has stopped the world. */
static bool make_per_thread(tally_object *object) {
    if (tally_is_immortal(object) || tally_refcount_is_queued(&object->refcount)) return false;
    if (tally_refcount_total(&object->refcount) > MOST_AT_START) return false;
    if (tally_refcount_per_thread_index(&object->refcount)) return true;
    uint32_t i = take_index(object);
    if (i == INDICES) return false;
    tally_lock_unbias(object);
    tally_refcount_make_per_thread(&object->refcount, TALLY_MAX_TYPES + i, 1 /* the table's */);
    return true;
}

bool tally_per_thread_move(tally_object *object) {
    return !tally_types[object->type].finalize && !tally_has_weakrefs(object) &&
           make_per_thread(object);
}

int tally_defer_count(tally_object *object) {
    tally_thread_require();
    if (!object) return tally_expected("an object", NULL);
    if (tally_is_immortal(object)) return 0;
    if (tally_refcount_per_thread_index(&object->refcount)) return 1;
    /* The owner gives it up as in any merge: the world need not stop. */
    if (tally_refcount_owned(&object->refcount) && make_per_thread(object)) return 1;
    tally_stop_the_world();
    /* An entry in a queue refers to it by its owner, which goes: the queues are merged first. An
     * entry in a pusher's hand is a reason to leave the object as it is. */
    tally_refcount_dead dead = tally_refcount_merge_stopped();
    bool done = make_per_thread(object);
    tally_resume_the_world();
    tally_refcount_destroy(dead);
    return done;
}

#else

int tally_defer_count(tally_object *object) {
    tally_thread_require();
    return 0;
}

#endif
