/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * classes.c: what all threads use by its nature is counted in a table of numbers of
 * each thread, so that it is no contended cache line: the references of instances to their
 * classes; with biased counts all others to a class, too, and to what tally_defer_count names:
 * such an object is *spread* (nogil/biased/tally_counts.h has the invariants of its counts).
 *
 * A class's place in the tables is its index in the table of types; those of other spread
 * objects are behind. A thread's number may be negative (it dropped what another took); the
 * sum over the threads is exact while the world is stopped.
 *
 * The table of types holds one reference to each class, the table of places one to each other
 * spread object: so none dies by its count alone. A sweep drops it when nothing else is left. With
 * the world stopped it takes the numbers together into the object's own count, and
 * nobody has a way to a class then, since its weak references are cleared as well. To another spread
 * object a weak reference may lead: who gets it keeps it, and it is an ordinary object from then on.
 *
 * When places or memory for a table of numbers run out: an object that finds no place stays as it was; a
 * thread without a table counts spread objects in their own count, with atomics. So does one that has only taken
 * references: its first drop, or instance, allocates the table.
 */
#include "backend.h"

enum { FIRST_SWEEP = 64 };
static _Atomic size_t born, sweep_at = FIRST_SWEEP;

/* Of spread objects that are no classes. Changed with the world stopped; each held. */
enum { PLACES = 16384 };
static struct { _Atomic(tally_object *) at[PLACES]; _Atomic uint32_t used; } places;

static tally_object *at_place(uint32_t i) { return atomic_load_explicit(&places.at[i], memory_order_relaxed); }
static uint32_t places_used(void) { return atomic_load_explicit(&places.used, memory_order_relaxed); }

static uint16_t class_index(tally_object *class_) { return ((tally_type_object *)class_)->index; }

void tally_numbers_start(void) {
    for (uint32_t i = 0; i < places_used(); i++) atomic_store_explicit(&places.at[i], NULL, memory_order_relaxed);
    atomic_store_explicit(&places.used, 0, memory_order_relaxed);
}

bool tally_numbers_allocate(void) {
    _Atomic int64_t *numbers = calloc(TALLY_MAX_TYPES + PLACES, sizeof *numbers); /* touched only where used */
    /* release: pairs with sum_of */
    if (numbers) atomic_store_explicit(&tally_self.thread->numbers, numbers, memory_order_release);
    return numbers;
}

int tally_class_incref_slow(tally_object *class_) {
    return tally_numbers_allocate() && tally_class_count(tally_self.thread, class_index(class_), 1) ? 0 : tally_no_memory();
}

void tally_class_decref_slow(tally_object *class_) {
    if (tally_numbers_allocate()) { tally_class_count(tally_self.thread, class_index(class_), -1); return; }
    /* No memory for a table of its own: another thread's, while that one stands still. */
    tally_world_stop();
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++)
        if (tally_class_count(&tally_thread_slot(id)->head, class_index(class_), -1)) break;
    tally_world_start();
}

void tally_class_born(tally_object *class_) {
    tally_incref(class_); /* the table's */
    tally_lock_unbias(class_);
    tally_counts_spread(&class_->counts, class_index(class_));
    /* relaxed: only says when it is time to look */
    if (atomic_fetch_add_explicit(&born, 1, memory_order_relaxed) + 1 >= atomic_load_explicit(&sweep_at, memory_order_relaxed)) tally_classes_sweep();
}

/* Read while threads run it is a snapshot; each thread's number is its own to write. */
static int64_t sum_of(uint32_t place) {
    int64_t sum = 0;
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_acquire); id++) {
        /* acquire: pairs with the release of tally_numbers_allocate */
        _Atomic int64_t *numbers = atomic_load_explicit(&tally_thread_slot(id)->head.numbers, memory_order_acquire);
        if (numbers) sum += atomic_load_explicit(&numbers[place], memory_order_relaxed);
    }
    return sum;
}

/* World stopped: the object is counted like others from now on; nobody but its table's reference may hold it. */
static void gather(tally_object *object, uint32_t place) {
    int64_t sum = sum_of(place);
    for (uint32_t id = 1; id <= atomic_load_explicit(&tally_process.slots_used, memory_order_relaxed); id++) {
        _Atomic int64_t *numbers = atomic_load_explicit(&tally_thread_slot(id)->head.numbers, memory_order_relaxed);
        if (numbers) atomic_store_explicit(&numbers[place], 0, memory_order_relaxed);
    }
    if (tally_counts_place(&object->counts) == place) tally_counts_gather(&object->counts, sum);
}

static bool is_class(tally_object *object) {
    return object->type == TALLY_TYPE_TYPE && tally_types[((tally_type_object *)object)->index].class_;
}

/* Less the table's own reference. */
ptrdiff_t tally_class_instances(tally_object *object) {
    uint32_t place = is_class(object) ? class_index(object) : tally_counts_place(&object->counts);
    if (!place) return 0;
    return (ptrdiff_t)sum_of(place) - 1;
}

/* A class being freed has the flag FINALIZED: its last reference may still be in a merge queue. */
bool tally_class_is_unused(tally_object *object) {
    return is_class(object) && !(atomic_load_explicit(&object->flags, memory_order_relaxed) & TALLY_FLAG_FINALIZED) && tally_refcount(object) == 0;
}

typedef struct sweep { tally_object *unused[64]; size_t count, classes, classes_unused; tally_weakref *calls; } sweep;

static bool has_room(sweep *s) { return s->count < sizeof s->unused / sizeof *s->unused; }

static void sweep_visit(tally_object *object, void *context) {
    sweep *s = context;
    if (object->type != TALLY_TYPE_TYPE || tally_is_immortal(object)) return;
    s->classes++;
    if (has_room(s) && tally_class_is_unused(object)) {
        /* A weak reference could bring it back after this look. */
        tally_weakrefs_clear(object, &s->calls, NULL);
        /* Its last reference may wait in a merge queue: no collection is to find it meanwhile. */
        if (tally_is_tracked(object)) tally_untrack(object);
        atomic_fetch_or_explicit(&object->flags, TALLY_FLAG_FINALIZED, memory_order_relaxed);
        if (tally_counts_place(&object->counts)) gather(object, class_index(object));
        s->unused[s->count++] = object;
        s->classes_unused++;
    }
}

static void sweep_places(sweep *s) {
    for (uint32_t i = 0; i < places_used(); i++) {
        tally_object *object = at_place(i);
        if (!object) continue;
        bool immortal = tally_is_immortal(object); /* made so since; its place is free */
        if (!immortal && (tally_refcount(object) != 0 || !has_room(s))) continue;
        gather(object, TALLY_MAX_TYPES + i);
        atomic_store_explicit(&places.at[i], NULL, memory_order_relaxed);
        if (!immortal) s->unused[s->count++] = object;
    }
}

static size_t sweep_all(bool classes) {
    size_t freed = 0;
    sweep s;
    do {
        s = (sweep){ 0 };
        tally_world_stop();
        TALLY_POINT(sweep_stopped);
        if (classes) tally_memory_each_object(TALLY_CONTAINERS, sweep_visit, &s);
        sweep_places(&s);
        tally_world_start();
        TALLY_POINT(sweep_started);
        tally_weakrefs_call(s.calls);
        for (size_t i = 0; i < s.count; i++) tally_decref(s.unused[i]);
        freed += s.count;
    } while (!has_room(&s));
    if (!classes) return freed;
    size_t left = s.classes - s.classes_unused;
    atomic_store_explicit(&born, left, memory_order_relaxed);
    atomic_store_explicit(&sweep_at, 2 * left + FIRST_SWEEP, memory_order_relaxed);
    return freed;
}

size_t tally_classes_sweep(void) { return sweep_all(true); }
size_t tally_places_sweep(void) { return sweep_all(false); }

/* ---- tally_defer_count ------------------------------------------------------ */

/* No place changes before this thread's next safepoint: what is in one is alive. */
bool tally_numbers_waiting(void) {
    for (uint32_t i = 0; i < places_used(); i++)
        if (at_place(i) && tally_refcount(at_place(i)) == 0) return true;
    return false;
}

#if TALLY_SPREAD_COUNTS

/* World stopped; the caller holds a reference. */
static bool spread(tally_object *object) {
    if (tally_is_immortal(object)) return false;
    if (tally_counts_place(&object->counts)) return true;
    uint32_t i = 0;
    while (i < places_used() && at_place(i)) i++;
    if (i == PLACES) return false;
    tally_lock_unbias(object);
    if (!tally_counts_spread(&object->counts, TALLY_MAX_TYPES + i)) return false;
    tally_counts_trial_add(&object->counts, 1); /* the table's */
    atomic_store_explicit(&places.at[i], object, memory_order_relaxed);
    if (i == places_used()) atomic_store_explicit(&places.used, i + 1, memory_order_relaxed);
    return true;
}

int tally_defer_count(tally_object *object) {
    tally_thread_require();
    if (!object) return tally_expected("an object", NULL);
    if (tally_is_immortal(object)) return 0;
    if (tally_counts_place(&object->counts)) return 1;
    tally_world_stop();
    /* An entry in a queue refers to it by its owner, which goes. One in a pusher's hand is a reason to leave it. */
    tally_counts_dead dead = tally_counts_merge_stopped();
    bool done = spread(object);
    tally_world_start();
    tally_counts_destroy(dead);
    return done;
}

#else

int tally_defer_count(tally_object *object) {
    (void)object;
    tally_thread_require();
    return 0;
}

#endif
