/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classes.c: what all threads use by its nature is counted in a table of numbers of
 * each thread, so that it is no contended cache line: the references of instances to their
 * classes; with biased counts all others to a class, too, and to what tally_defer_count names:
 * such an object is *spread* (nogil/biased/tally_refcount.h has the invariants of its counts).
 *
 * A class's place in the tables is its index in the table of types; those of other spread
 * objects are behind. A thread's number may be negative (it dropped what another took); the
 * sum over the threads is exact while the world is stopped.
 *
 * The table of types holds one reference to each class, the table of places one to each other
 * spread object: so none dies by its count alone. A sweep drops it when nothing else is left. With
 * the world stopped it takes the numbers together into the object's own count, and
 * nobody has a way to a class then, since its weak references are cleared as well. To another
 * spread object a weak reference may lead: who gets it keeps it, and it is an ordinary object from
 * then on.
 *
 * When places or memory for a table of numbers run out: an object that finds no place stays as it
 * was; a thread without a table counts spread objects in their own count, with atomics. So does one
 * that has only taken references: its first drop, or instance, allocates the table.
 */
#include "gc/collector.h"
#include "internal.h"

enum { FIRST_SWEEP = 64 };
static _Atomic size_t born, sweep_at = FIRST_SWEEP;

/*
 * Of spread objects that are no classes; each held. A place is taken by compare-and-swap from NULL,
 * and given back with the world stopped, when its numbers are 0 again.
 */
enum { PLACES = 16384 };
static struct {
    _Atomic(tally_object *) at[PLACES];
    _Atomic uint32_t used;       /* no place from here on has ever been taken */
    _Atomic uint32_t taken;      /* how many are */
    _Atomic uint32_t maybe_free; /* where to begin looking for a free one: no place below is free */
} places;

static tally_object *at_place(uint32_t i) { return tally_load_relaxed(&places.at[i]); }
static uint32_t indices_used(void) { return tally_load_relaxed(&places.used); }

static uint16_t class_index(tally_object *class_) { return ((tally_type_object *)class_)->index; }

void tally_per_thread_start(void) {
    for (uint32_t i = 0; i < indices_used(); i++) tally_store_relaxed(&places.at[i], NULL);
    tally_store_relaxed(&places.used, 0);
    tally_store_relaxed(&places.taken, 0);
    tally_store_relaxed(&places.maybe_free, 0);
}

bool tally_per_thread_allocate(void) {
    _Atomic int64_t *numbers =
        calloc(TALLY_MAX_TYPES + PLACES, sizeof *numbers); /* touched only where used */
    /* release: pairs with sum_of */
    if (numbers) tally_store_release(&tally_self.thread->refcount.per_thread, numbers);
    return numbers;
}

int tally_class_incref_slow(tally_object *class_) {
    return tally_per_thread_allocate() &&
                   tally_class_count(tally_self.thread, class_index(class_), 1)
               ? 0
               : tally_no_memory();
}

void tally_class_decref_slow(tally_object *class_) {
    if (tally_per_thread_allocate()) {
        tally_class_count(tally_self.thread, class_index(class_), -1);
        return;
    }
    /* No memory for a table of its own: another thread's, while that one stands still. There is
     * one: the thread that made the instance counted it in a table, and a slot keeps its table. */
    bool counted = false;
    tally_stop_the_world();
    for (uint32_t id = 1; id <= tally_load_relaxed(&tally_process.slots_used) && !counted; id++)
        counted = tally_class_count(&tally_thread_slot(id)->head, class_index(class_), -1);
    tally_resume_the_world();
    if (!counted) tally_fatal(class_, "an instance died that no thread had counted");
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the table's */
    tally_lock_unbias(class_);
    tally_refcount_make_per_thread(&class_->refcount, class_index(class_), 0);
    /* relaxed: only says when it is time to look */
    if (tally_add_relaxed(&born, 1) + 1 < tally_load_relaxed(&sweep_at)) return;
    /* It runs foreign code, so it is put off like an automatic collection: until the next class is
     * made. */
    tally_thread_state *thread = tally_thread_current();
    if (!thread->critical && !tally_gc_put_off(thread)) tally_classes_sweep();
}

/* Read while threads run it is a snapshot; each thread's number is its own to write. */
static int64_t sum_of(uint32_t place) {
    int64_t sum = 0;
    for (uint32_t id = 1; id <= tally_load_acquire(&tally_process.slots_used); id++) {
        /* acquire: pairs with the release of tally_per_thread_allocate */
        _Atomic int64_t *numbers =
            tally_load_acquire(&tally_thread_slot(id)->head.refcount.per_thread);
        if (numbers) sum += tally_load_relaxed(&numbers[place]);
    }
    return sum;
}

/* World stopped: the object is counted like others from now on; nobody but its table's reference
 * may hold it. */
static void gather(tally_object *object, uint32_t place) {
    int64_t sum = sum_of(place);
    for (uint32_t id = 1; id <= tally_load_relaxed(&tally_process.slots_used); id++) {
        _Atomic int64_t *numbers =
            tally_load_relaxed(&tally_thread_slot(id)->head.refcount.per_thread);
        if (numbers) tally_store_relaxed(&numbers[place], 0);
    }
    if (tally_refcount_per_thread_index(&object->refcount) == place)
        tally_refcount_end_per_thread(&object->refcount, sum);
}

static bool is_class(tally_object *object) {
    return object->type == TALLY_TYPE_TYPE &&
           tally_types[((tally_type_object *)object)->index].class_;
}

/* Less the table's own reference. */
ptrdiff_t tally_class_instances(tally_object *object) {
    uint32_t place =
        is_class(object) ? class_index(object) : tally_refcount_per_thread_index(&object->refcount);
    if (!place) return 0;
    return (ptrdiff_t)sum_of(place) - 1;
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    return is_class(object) && !(tally_load_relaxed(&object->flags) & TALLY_FLAG_FINALIZED) &&
           tally_refcount(object) == 0;
}

/* ---- the sweep ---------------------------------------------------------------- */

/*
 * One stop, unless there is no memory to note all that is unused: then one for each FEW of them.
 * Classes are found in the table of types, so that a sweep does not depend on the size of the heap.
 */
enum { FEW = 64 };
typedef struct sweep {
    tally_object *few[FEW], **unused;
    size_t room, count, classes, classes_unused;
    tally_weakref *calls;
} sweep;

static bool has_room(sweep *s) { return s->count < s->room; }

static void sweep_class(sweep *s, tally_object *object) {
    /* One that is being made still is not tracked; nor is one that is being freed. */
    if (!tally_is_tracked(object) || tally_is_immortal(object)) return;
    s->classes++;
    if (!has_room(s) || !tally_class_is_unused(object)) return;
    /* A weak reference could bring it back after this look. */
    tally_weakrefs_clear(object, &s->calls, NULL);
    /* Its last reference may wait in a merge queue: no collection is to find it meanwhile. */
    tally_untrack(object);
    tally_or_relaxed(&object->flags, TALLY_FLAG_FINALIZED);
    if (tally_refcount_per_thread_index(&object->refcount)) gather(object, class_index(object));
    s->unused[s->count++] = object;
    s->classes_unused++;
}
static void sweep_classes(sweep *s) {
    for (uint32_t i = TALLY_TYPE_FIRST_FREE; i < tally_types_used(); i++)
        if (tally_types[i].class_) sweep_class(s, tally_types[i].object);
}

static void give_index_back(uint32_t i) {
    tally_store_relaxed(&places.at[i], NULL);
    tally_sub_relaxed(&places.taken, 1);
    if (i < tally_load_relaxed(&places.maybe_free)) tally_store_relaxed(&places.maybe_free, i);
}
static void sweep_indices(sweep *s) {
    for (uint32_t i = 0; i < indices_used(); i++) {
        tally_object *object = at_place(i);
        if (!object) continue;
        bool immortal = tally_is_immortal(object); /* made so since; its place is free */
        if (!immortal && (tally_refcount(object) != 0 || !has_room(s))) continue;
        gather(object, TALLY_MAX_TYPES + i);
        give_index_back(i);
        if (!immortal) s->unused[s->count++] = object;
    }
}

static size_t sweep_all(bool classes) {
    size_t freed = 0, left = 0;
    sweep s = {.room = tally_load_relaxed(&places.taken)};
    /* A guess: others may make more until the world is stopped. */
    if (classes) s.room += tally_load_relaxed(&born);
    tally_object **noted = s.room > FEW ? malloc(s.room * sizeof *noted) : NULL;
    s.unused = noted ? noted : s.few;
    if (!noted) s.room = FEW;
    do {
        s.count = s.classes = s.classes_unused = 0;
        s.calls = NULL;
        tally_stop_the_world();
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

size_t tally_classes_sweep(void) { return sweep_all(true); }
size_t tally_per_thread_sweep(void) { return sweep_all(false); }

/* ---- tally_defer_count ------------------------------------------------------ */

/*
 * Asked by every collection. The numbers are added up a run of places at a time, thread by thread,
 * so that each thread's table is read in order. No place changes before this thread's next
 * safepoint: what is in one is alive.
 */
bool tally_per_thread_seem_unused(void) {
    enum { RUN = 256 };
    if (!tally_load_relaxed(&places.taken)) return false;
    for (uint32_t from = 0; from < indices_used(); from += RUN) {
        int64_t sums[RUN] = {0};
        uint32_t run = indices_used() - from < RUN ? indices_used() - from : RUN;
        for (uint32_t id = 1; id <= tally_load_acquire(&tally_process.slots_used); id++) {
            /* acquire: pairs with the release of tally_per_thread_allocate */
            _Atomic int64_t *numbers =
                tally_load_acquire(&tally_thread_slot(id)->head.refcount.per_thread);
            for (uint32_t i = 0; numbers && i < run; i++)
                sums[i] += tally_load_relaxed(&numbers[TALLY_MAX_TYPES + from + i]);
        }
        for (uint32_t i = 0; i < run; i++) {
            /* acquire: pairs with the release of take_index, as the counts of the object are read
             */
            tally_object *object = tally_load_acquire(&places.at[from + i]);
            /* 1: the table's. */
            if (object && tally_refcount_total(&object->refcount) + sums[i] == 1) return true;
        }
    }
    return false;
}

#if TALLY_PER_THREAD_REFCOUNTS

/* A free place, which is the object's from now on; PLACES: there is none. */
static uint32_t take_index(tally_object *object) {
    uint32_t first = tally_load_relaxed(&places.maybe_free);
    for (uint32_t i = first; i < PLACES; i++) {
        tally_object *none = NULL;
        /* release: pairs with the acquire of who walks over the places while the world runs */
        if (at_place(i) || !tally_cas_release(&places.at[i], &none, object)) continue;
        tally_add_relaxed(&places.taken, 1);
        uint32_t used = indices_used();
        while (used <= i && !tally_cas_weak_relaxed(&places.used, &used, i + 1)) {}
        /* No place is given back before this thread's next safepoint, so all below stay taken. */
        uint32_t free_from = first;
        while (free_from <= i && !tally_cas_weak_relaxed(&places.maybe_free, &free_from, i + 1)) {}
        return i;
    }
    return PLACES;
}

enum { MOST_AT_START = 1 << 26 };

/* The caller holds a reference, and owns the object or has stopped the world. */
static bool spread(tally_object *object) {
    if (tally_is_immortal(object) || tally_refcount_is_queued(&object->refcount)) return false;
    if (tally_refcount_total(&object->refcount) > MOST_AT_START)
        return false; /* the shared half has no room for them */
    if (tally_refcount_per_thread_index(&object->refcount)) return true;
    uint32_t i = take_index(object);
    if (i == PLACES) return false;
    tally_lock_unbias(object);
    tally_refcount_make_per_thread(&object->refcount, TALLY_MAX_TYPES + i, 1 /* the table's */);
    return true;
}

int tally_defer_count(tally_object *object) {
    tally_thread_require();
    if (!object) return tally_expected("an object", NULL);
    if (tally_is_immortal(object)) return 0;
    if (tally_refcount_per_thread_index(&object->refcount)) return 1;
    /* The owner gives it up as in any merge: nobody has to stand still for that. */
    if (tally_refcount_owned(&object->refcount) && spread(object)) return 1;
    tally_stop_the_world();
    /* An entry in a queue refers to it by its owner, which goes. One in a pusher's hand is a reason
     * to leave it. */
    tally_refcount_dead dead = tally_refcount_merge_stopped();
    bool done = spread(object);
    tally_resume_the_world();
    tally_refcount_destroy(dead);
    return done;
}

#else

int tally_defer_count(tally_object *object) {
    (void)object;
    tally_thread_require();
    return 0;
}

#endif
