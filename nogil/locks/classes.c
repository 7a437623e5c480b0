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

static tally_object *at_place(uint32_t i) {
    return atomic_load_explicit(&places.at[i], memory_order_relaxed);
}
static uint32_t indices_used(void) {
    return atomic_load_explicit(&places.used, memory_order_relaxed);
}

static uint16_t class_index(tally_object *class_) { return ((tally_type_object *)class_)->index; }

void tally_per_thread_start(void) {
    for (uint32_t i = 0; i < indices_used(); i++)
        atomic_store_explicit(&places.at[i], NULL, memory_order_relaxed);
    atomic_store_explicit(&places.used, 0, memory_order_relaxed);
    atomic_store_explicit(&places.taken, 0, memory_order_relaxed);
    atomic_store_explicit(&places.maybe_free, 0, memory_order_relaxed);
}

bool tally_per_thread_allocate(void) {
    _Atomic int64_t *numbers =
        calloc(TALLY_MAX_TYPES + PLACES, sizeof *numbers); /* touched only where used */
    /* release: pairs with sum_of */
    if (numbers) atomic_store_explicit(&tally_self.thread->refcount.per_thread, numbers, memory_order_release);
    return numbers;
}

int tally_class_incref_slow(tally_object *class_) {
    return tally_per_thread_allocate() && tally_class_count(tally_self.thread, class_index(class_), 1)
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
    for (uint32_t id = 1;
         id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed) && !counted;
         id++)
        counted = tally_class_count(&tally_thread_slot(id)->head, class_index(class_), -1);
    tally_resume_the_world();
    if (!counted) tally_fatal(class_, "an instance died that no thread had counted");
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the table's */
    tally_lock_unbias(class_);
    tally_refcount_make_per_thread(&class_->counts, class_index(class_), 0);
    /* relaxed: only says when it is time to look */
    if (atomic_fetch_add_explicit(&born, 1, memory_order_relaxed) + 1 <
        atomic_load_explicit(&sweep_at, memory_order_relaxed))
        return;
    /* It runs foreign code, so it is put off like an automatic collection: until the next class is
     * made. */
    tally_thread_state *thread = tally_thread_current();
    if (!thread->critical && !tally_gc_put_off(thread)) tally_classes_sweep();
}

/* Read while threads run it is a snapshot; each thread's number is its own to write. */
static int64_t sum_of(uint32_t place) {
    int64_t sum = 0;
    for (uint32_t id = 1;
         id <= atomic_load_explicit(&tally_process.slots_used, memory_order_acquire); id++) {
        /* acquire: pairs with the release of tally_per_thread_allocate */
        _Atomic int64_t *numbers =
            atomic_load_explicit(&tally_thread_slot(id)->head.refcount.per_thread, memory_order_acquire);
        if (numbers) sum += atomic_load_explicit(&numbers[place], memory_order_relaxed);
    }
    return sum;
}

/* World stopped: the object is counted like others from now on; nobody but its table's reference
 * may hold it. */
static void gather(tally_object *object, uint32_t place) {
    int64_t sum = sum_of(place);
    for (uint32_t id = 1;
         id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++) {
        _Atomic int64_t *numbers =
            atomic_load_explicit(&tally_thread_slot(id)->head.refcount.per_thread, memory_order_relaxed);
        if (numbers) atomic_store_explicit(&numbers[place], 0, memory_order_relaxed);
    }
    if (tally_refcount_per_thread_index(&object->counts) == place) tally_refcount_end_per_thread(&object->counts, sum);
}

static bool is_class(tally_object *object) {
    return object->type == TALLY_TYPE_TYPE &&
           tally_types[((tally_type_object *)object)->index].class_;
}

/* Less the table's own reference. */
ptrdiff_t tally_class_instances(tally_object *object) {
    uint32_t place = is_class(object) ? class_index(object) : tally_refcount_per_thread_index(&object->counts);
    if (!place) return 0;
    return (ptrdiff_t)sum_of(place) - 1;
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    return is_class(object) &&
           !(atomic_load_explicit(&object->flags, memory_order_relaxed) & TALLY_FLAG_FINALIZED) &&
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
    atomic_fetch_or_explicit(&object->flags, TALLY_FLAG_FINALIZED, memory_order_relaxed);
    if (tally_refcount_per_thread_index(&object->counts)) gather(object, class_index(object));
    s->unused[s->count++] = object;
    s->classes_unused++;
}
static void sweep_classes(sweep *s) {
    for (uint32_t i = TALLY_TYPE_FIRST_FREE; i < tally_types_used(); i++)
        if (tally_types[i].class_) sweep_class(s, tally_types[i].object);
}

static void give_index_back(uint32_t i) {
    atomic_store_explicit(&places.at[i], NULL, memory_order_relaxed);
    atomic_fetch_sub_explicit(&places.taken, 1, memory_order_relaxed);
    if (i < atomic_load_explicit(&places.maybe_free, memory_order_relaxed))
        atomic_store_explicit(&places.maybe_free, i, memory_order_relaxed);
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
    sweep s = {.room = atomic_load_explicit(&places.taken, memory_order_relaxed)};
    /* A guess: others may make more until the world is stopped. */
    if (classes) s.room += atomic_load_explicit(&born, memory_order_relaxed);
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
    atomic_store_explicit(&born, left, memory_order_relaxed);
    atomic_store_explicit(&sweep_at, 2 * left + FIRST_SWEEP, memory_order_relaxed);
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
    if (!atomic_load_explicit(&places.taken, memory_order_relaxed)) return false;
    for (uint32_t from = 0; from < indices_used(); from += RUN) {
        int64_t sums[RUN] = {0};
        uint32_t run = indices_used() - from < RUN ? indices_used() - from : RUN;
        for (uint32_t id = 1;
             id <= atomic_load_explicit(&tally_process.slots_used, memory_order_acquire); id++) {
            /* acquire: pairs with the release of tally_per_thread_allocate */
            _Atomic int64_t *numbers =
                atomic_load_explicit(&tally_thread_slot(id)->head.refcount.per_thread, memory_order_acquire);
            for (uint32_t i = 0; numbers && i < run; i++)
                sums[i] += atomic_load_explicit(&numbers[TALLY_MAX_TYPES + from + i],
                                                memory_order_relaxed);
        }
        for (uint32_t i = 0; i < run; i++) {
            /* acquire: pairs with the release of take_index, as the counts of the object are read
             */
            tally_object *object = atomic_load_explicit(&places.at[from + i], memory_order_acquire);
            /* 1: the table's. */
            if (object && tally_refcount_total(&object->counts) + sums[i] == 1) return true;
        }
    }
    return false;
}

#if TALLY_PER_THREAD_REFCOUNTS

/* A free place, which is the object's from now on; PLACES: there is none. */
static uint32_t take_index(tally_object *object) {
    uint32_t first = atomic_load_explicit(&places.maybe_free, memory_order_relaxed);
    for (uint32_t i = first; i < PLACES; i++) {
        tally_object *none = NULL;
        /* release: pairs with the acquire of who walks over the places while the world runs */
        if (at_place(i) ||
            !atomic_compare_exchange_strong_explicit(&places.at[i], &none, object,
                                                     memory_order_release, memory_order_relaxed))
            continue;
        atomic_fetch_add_explicit(&places.taken, 1, memory_order_relaxed);
        uint32_t used = indices_used();
        while (used <= i && !atomic_compare_exchange_weak_explicit(&places.used, &used, i + 1,
                                                                   memory_order_relaxed,
                                                                   memory_order_relaxed)) {}
        /* No place is given back before this thread's next safepoint, so all below stay taken. */
        uint32_t free_from = first;
        while (free_from <= i &&
               !atomic_compare_exchange_weak_explicit(&places.maybe_free, &free_from, i + 1,
                                                      memory_order_relaxed, memory_order_relaxed)) {
        }
        return i;
    }
    return PLACES;
}

enum { MOST_AT_START = 1 << 26 };

/* The caller holds a reference, and owns the object or has stopped the world. */
static bool spread(tally_object *object) {
    if (tally_is_immortal(object) || tally_refcount_is_queued(&object->counts)) return false;
    if (tally_refcount_total(&object->counts) > MOST_AT_START)
        return false; /* the shared half has no room for them */
    if (tally_refcount_per_thread_index(&object->counts)) return true;
    uint32_t i = take_index(object);
    if (i == PLACES) return false;
    tally_lock_unbias(object);
    tally_refcount_make_per_thread(&object->counts, TALLY_MAX_TYPES + i, 1 /* the table's */);
    return true;
}

int tally_defer_count(tally_object *object) {
    tally_thread_require();
    if (!object) return tally_expected("an object", NULL);
    if (tally_is_immortal(object)) return 0;
    if (tally_refcount_per_thread_index(&object->counts)) return 1;
    /* The owner gives it up as in any merge: nobody has to stand still for that. */
    if (tally_refcount_owned(&object->counts) && spread(object)) return 1;
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
