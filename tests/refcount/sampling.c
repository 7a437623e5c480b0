/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampling.c: objects follow the threads that count them, to one that adopts them or to per-thread
 * refcounts. Their counts stay exact, and they die.
 */
#include "suite.h"

enum { MOST = 4, BURST = 200, TAKEN = 1000, MANY = 1000 };

static int samples(void) { return backend_is("biased"); }
#define SAMPLING_TEST(name) TEST_IF(samples, name)

static int is_per_thread(tally_object *object) {
#if TALLY_REFCOUNT_HAVE_OWNERS
    return tally_owner_is_per_thread(tally_owned_load(&object->refcount));
#else
    return object == NULL;
#endif
}
/* By the calling thread. */
static int is_own(tally_object *object) {
#if TALLY_REFCOUNT_HAVE_OWNERS
    return (uint16_t)tally_owned_load(&object->refcount) == tally_self.id;
#else
    return object == NULL;
#endif
}

static tally_object *new_mortal(void) {
    tally_object *class_ = mortal_class(), *object = tally_instance_new(class_);
    tally_decref(class_);
    check(object != NULL);
    return object;
}

static void count(tally_object *object) {
    for (int i = 0; i < BURST; i++) {
        tally_incref(object);
        tally_decref(object);
    }
    tally_safepoint();
}

static void use_until_own(void *argument) {
    tally_object *object = argument;
    for (double end = now() + SUITE_PATIENCE_SECONDS; !is_own(object) && now() < end;)
        count(object);
    check(is_own(object));
    ptrdiff_t before = tally_refcount(object);
    for (int i = 0; i < TAKEN; i++) tally_incref(object);
    check_int(tally_refcount(object), before + TAKEN);
    for (int i = 0; i < TAKEN; i++) tally_decref(object);
    check_int(tally_refcount(object), before);
}

SAMPLING_TEST(the_object_of_a_blocked_owner_goes_to_its_user) {
    tally_object *object = new_mortal();
    run_threads(1, use_until_own, object, 0);
    check_int(stats_now().adopted, 1);
    check(!is_own(object));
    check_int(tally_refcount(object), 1);
    check_int(deaths(), 0);
    tally_decref(object);
    check_int(deaths(), 1);
}

static void make(void *place) { *(tally_object **)place = new_mortal(); }

SAMPLING_TEST(the_object_of_an_owner_that_is_gone_goes_to_its_user) {
    tally_object *object = NULL;
    run_threads(1, make, &object, 0);
    use_until_own(object);
    check_int(stats_now().adopted, 1);
    tally_decref(object);
    check_int(deaths(), 1);
}

static void drop_one(void *object) { tally_decref(object); }

SAMPLING_TEST(an_object_without_an_owner_goes_to_its_user) {
    tally_object *object = new_mortal();
    /* Merged: the thread drops the reference that this one counted. */
    tally_incref(object);
    run_threads(1, drop_one, object, 0);
    use_until_own(object);
    tally_decref(object);
    check_int(deaths(), 1);
}

SAMPLING_TEST(references_of_the_old_owner_are_dropped_by_whoever_has_them) {
    tally_object *object = new_mortal();
    for (int i = 0; i < 3; i++) tally_incref(object);
    run_threads(1, use_until_own, object, 0);
    tally_decref(object); /* to the queue of the thread that is gone, or merged by this one */
    run_threads(1, drop_one, object, 0);
    check_int(tally_refcount(object), 2);
    drop(object, object);
    check_int(deaths(), 1);
}

typedef struct meeting {
    tally_object *first, *second, *third;
    _Atomic int met, leave;
} meeting;

/* What it meets right after a stop it remembers until the next. */
static void meet_second(void *argument) {
    meeting *m = argument;
    use_until_own(m->first);
    count(m->second);
    tally_blocking_begin();
    atomic_store_explicit(&m->met, 1, memory_order_release);
    while (!atomic_load_explicit(&m->leave, memory_order_acquire)) usleep(200);
    tally_blocking_end();
    use_until_own(m->third);
}

SAMPLING_TEST(what_is_met_and_dies_leaves_a_new_object_in_its_place_alone) {
    for (int i = 0; i < 20; i++) {
        meeting m = {.first = new_mortal(), .second = new_mortal(), .third = new_mortal()};
        tally_thread thread;
        check_int(tally_thread_start(&thread, meet_second, &m), 0);
        check(wait_for(&m.met, 1));
        tally_decref(m.second);
        check_int(deaths(), 4 * i + 1);
        tally_object *other = new_mortal(); /* where the second was, unless that had been adopted */
        atomic_store_explicit(&m.leave, 1, memory_order_release);
        check_int(tally_thread_join(&thread), 0);
        check(is_own(other));
        check_int(tally_refcount(m.first) + tally_refcount(m.third) + tally_refcount(other), 3);
        drop(m.first, m.third, other);
        check_int(deaths(), 4 * i + 4);
    }
}

static void use_all_until_own(void *argument) {
    tally_object **objects = argument;
    for (int left = 1; left;) {
        left = 0;
        for (int i = 0; i < MANY; i++) {
            count(objects[i]);
            left += !is_own(objects[i]);
        }
    }
}

SAMPLING_TEST(many_objects_go_to_their_user) {
    static tally_object *objects[MANY];
    for (int i = 0; i < MANY; i++) objects[i] = new_mortal();
    run_threads(1, use_all_until_own, objects, 0);
    check_int(stats_now().adopted, MANY);
    for (int i = 0; i < MANY; i++) {
        check_int(tally_refcount(objects[i]), 1);
        tally_decref(objects[i]);
    }
    check_int(deaths(), MANY);
}

/* ---- several threads ---- */

typedef struct crew {
    tally_object *object;
    int threads;
    int (*until)(tally_object *);
    tally_thread handles[MOST];
    _Atomic int there, leave;
} crew;

static void use(void *argument) {
    crew *c = argument;
    for (double end = now() + SUITE_PATIENCE_SECONDS; !c->until(c->object) && now() < end;)
        count(c->object);
    check(c->until(c->object));
    count(c->object);
    tally_blocking_begin();
    atomic_fetch_add_explicit(&c->there, 1, memory_order_release);
    while (!atomic_load_explicit(&c->leave, memory_order_acquire)) usleep(200);
    tally_blocking_end();
}

/* Threads count the object until it is so, and wait then. */
static void start(crew *c, tally_object *object, int threads, int (*until)(tally_object *)) {
    *c = (crew){.object = object, .threads = threads, .until = until};
    for (int i = 0; i < threads; i++) check_int(tally_thread_start(&c->handles[i], use, c), 0);
    check(wait_for(&c->there, threads));
}
static void finish(crew *c) {
    atomic_store_explicit(&c->leave, 1, memory_order_release);
    for (int i = 0; i < c->threads; i++) check_int(tally_thread_join(&c->handles[i]), 0);
}

SAMPLING_TEST(what_several_threads_count_is_counted_per_thread) {
    for (int threads = 2; threads <= MOST; threads++) {
        tally_object *object = tally_int_new(INT64_C(1) << 40);
        crew c;
        start(&c, object, threads, is_per_thread);
        check_int(tally_refcount(object), 1);
        for (int i = 0; i < TAKEN; i++) tally_incref(object);
        check_int(tally_refcount(object), 1 + TAKEN);
        finish(&c);
        check_int(tally_refcount(object), 1 + TAKEN);
        for (int i = 0; i < TAKEN; i++) tally_decref(object);
        check_int(tally_int_value(object), INT64_C(1) << 40);
        tally_decref(object);
    }
    check(stats_now().made_per_thread >= MOST - 1);
}

/* A list without a finalizer that holds an object with one. */
static tally_object *holder_of_mortal(void) {
    tally_object *list = tally_list_new(0);
    append_new(list, new_mortal());
    return list;
}

SAMPLING_TEST(what_nobody_refers_to_dies_by_a_collection) {
    tally_object *list = holder_of_mortal();
    crew c;
    start(&c, list, 2, is_per_thread);
    tally_decref(list);
    tally_gc_collect(2);
    check_int(deaths(), 1);
    finish(&c);
}

static void exit_at_once(void *nothing) {}

/* An exit looks, but waits only shortly for threads that run: another one may be needed. */
SAMPLING_TEST(what_nobody_refers_to_dies_when_a_thread_exits) {
    tally_object *list = holder_of_mortal();
    crew c;
    start(&c, list, 2, is_per_thread);
    tally_decref(list);
    check_int(deaths(), 0);
    finish(&c);
    for (double end = now() + SUITE_PATIENCE_SECONDS; deaths() == 0 && now() < end;)
        run_threads(1, exit_at_once, NULL, 0);
    check_int(deaths(), 1);
}

SAMPLING_TEST(one_collection_finds_it_in_a_cycle) {
    tally_object *list = holder_of_mortal();
    check_int(tally_list_append(list, list), 0);
    crew c;
    start(&c, list, 2, is_per_thread);
    check_int(tally_refcount(list), 2);
    tally_decref(list);
    tally_gc_collect(2);
    check_int(deaths(), 1);
    finish(&c);
}

SAMPLING_TEST(what_a_live_structure_holds_lives) {
    tally_object *inner = holder_of_mortal(), *outer = tally_list_new(0);
    append_new(outer, inner);
    crew c;
    start(&c, inner, 2, is_per_thread);
    tally_gc_collect(2);
    check_int(tally_refcount(inner), 1);
    check_int(deaths(), 0);
    finish(&c);
    tally_decref(outer);
    tally_gc_collect(2);
    check_int(deaths(), 1);
}

static int enough_was_adopted(tally_object *object) {
    check(!is_per_thread(object));
    return stats_now().adopted >= 1;
}

SAMPLING_TEST(what_has_a_finalizer_dies_by_its_last_drop) {
    tally_object *object = new_mortal();
    crew c;
    start(&c, object, 3, enough_was_adopted);
    for (int i = 0; i < 100; i++) count(object);
    check(!is_per_thread(object));
    check_int(tally_refcount(object), 1);
    tally_decref(object);
    check_int(deaths(), 1);
    finish(&c);
}

static void count_call(tally_object *reference, void *context) { ++*(int *)context; }

SAMPLING_TEST(what_has_a_weak_reference_dies_by_its_last_drop) {
    tally_object *class_ = class_with("Weak", "a", "__weakref__"),
                 *object = tally_instance_new(class_);
    int calls = 0;
    tally_object *weak = tally_weakref_new(object, count_call, &calls);
    crew c;
    start(&c, object, 3, enough_was_adopted);
    check(!is_per_thread(object));
    tally_decref(object);
    check_int(calls, 1);
    check_is(tally_weakref_get(weak), tally_none);
    finish(&c);
    drop(weak, class_);
}

/* Such a weak reference keeps what it got. */
SAMPLING_TEST(a_weak_reference_made_later_leads_to_it_until_it_dies) {
    tally_object *class_ = class_with("Weak", "a", "__weakref__"),
                 *object = tally_instance_new(class_);
    crew c;
    start(&c, object, 2, is_per_thread);
    tally_object *weak = tally_weakref_new(object, NULL, NULL), *got = tally_weakref_get(weak);
    check(got == object);
    drop(object, got);
    finish(&c);
    tally_gc_collect(2);
    got = tally_weakref_get(weak);
    if (got != tally_none) tally_decref(got), tally_gc_collect(2), got = tally_weakref_get(weak);
    check_is(got, tally_none);
    drop(weak, class_);
}

SAMPLING_TEST(what_is_counted_per_thread_is_made_immortal) {
    tally_object *list = list_of(1000, 1003);
    crew c;
    start(&c, list, 2, is_per_thread);
    tally_gc_immortalize_heap();
    check_int(tally_is_immortal(list), 1);
    finish(&c);
    tally_gc_collect(2);
    check_int(tally_is_immortal(list), 1);
    tally_decref(list);
}

/* ---- locks ---- */

enum { APPENDS = 3000 };
static void append_many(void *list) {
    for (int i = 0; i < APPENDS; i++) {
        check_int(tally_list_append(list, tally_none), 0);
        tally_safepoint();
    }
}
static void adopt_and_append(void *list) {
    use_until_own(list);
    append_many(list);
}

/* The lock is biased to the old owner, then perhaps to the new one, which appends beside it. */
SAMPLING_TEST(the_lock_of_an_adopted_list_excludes) {
    for (int by_bias = 0; by_bias < 2; by_bias++) {
        tally_object *list = tally_list_new(0);
        if (by_bias) check_int(tally_list_append(list, tally_none), 0);
        run_threads(1, use_until_own, list, 0);
        tally_thread thread;
        check_int(tally_thread_start(&thread, adopt_and_append, list), 0);
        append_many(list);
        tally_object *item = tally_list_get(list, 0);
        tally_xdecref(item);
        check_int(tally_thread_join(&thread), 0);
        check_int(tally_list_length(list), 2 * APPENDS + by_bias);
        tally_decref(list);
    }
}

/* ---- all at once ---- */

enum { PLACES = 4, ROUNDS = 60000 };
static _Atomic int made;

typedef struct mixer {
    tally_object *list, *class_;
    uint32_t seed;
} mixer;

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525 + 1013904223) >> 8; }

static void put_new(mixer *m, tally_object *item) {
    tally_object *object = tally_instance_new(m->class_), *box = tally_list_new(1);
    check_int(tally_slot_set(object, 0, next(&m->seed) % 2 ? box : item), 0);
    append_new(box, object);
    atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
    check_int(tally_list_set(m->list, next(&m->seed) % PLACES, box), 0);
    tally_decref(box);
}

/* Boxes, which may be counted per thread, hold objects with a finalizer; some in cycles. */
static void mix(void *argument) {
    mixer *m = argument;
    tally_object *weak = NULL;
    for (int i = 0; i < SUITE_LONG(ROUNDS); i++) {
        tally_object *box = tally_list_get(m->list, next(&m->seed) % PLACES),
                     *item = tally_list_get(box, 0);
        for (int j = 0; j < 20; j++) {
            tally_incref(item);
            tally_incref(box);
            drop(item, box);
        }
        uint32_t dice = next(&m->seed) % 4096;
        if (dice < 4) {
            put_new(m, box);
        } else if (dice < 8) {
            tally_xdecref(weak);
            weak = tally_weakref_new(item, NULL, NULL);
        } else if (dice < 16 && weak) {
            tally_decref(tally_weakref_get(weak));
        } else if (dice == 16) {
            tally_gc_collect(2);
        } else if (dice < 24) {
            rest();
        } else if (dice < 28) {
            check_int(tally_list_append(m->list, box), 0);
        }
        drop(item, box);
        if (i % 8 == 0) tally_safepoint();
    }
    tally_xdecref(weak);
}

/* No other thread, no sample, no collection: the thread that dropped the last reference rests. */
SAMPLING_TEST(what_is_counted_per_thread_dies_once_a_thread_blocks) {
    tally_object *list = tally_list_new(1), *mortal = new_mortal();
    append_new(list, mortal);
    check_int(tally_defer_count(list), 1);
    tally_decref(list);
    check(wait_for(&suite_deaths, 1));
}

TEST(all_that_was_moved_dies_once) {
    static const char *const slots[] = {"a", "__weakref__", NULL};
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){.name = "Mixed", .slots = slots, .finalize = suite_count_death});
    tally_object *list = tally_list_new(0);
    atomic_store_explicit(&made, PLACES, memory_order_relaxed);
    for (int i = 0; i < PLACES; i++) {
        tally_object *box = tally_list_new(1);
        append_new(box, tally_instance_new(class_));
        append_new(list, box);
    }
    mixer mixers[MOST];
    for (uint32_t i = 0; i < MOST; i++) mixers[i] = (mixer){list, class_, i};
    for (int round = 0; round < 2; round++) run_threads(MOST, mix, mixers, sizeof *mixers);
    printf("%d made, %" PRIu64 " adopted, %" PRIu64 " counted per thread\n",
           atomic_load_explicit(&made, memory_order_relaxed), stats_now().adopted,
           stats_now().made_per_thread);
    tally_decref(list);
    for (int i = 0; i < 3; i++) tally_gc_collect(2);
    check_int(deaths(), atomic_load_explicit(&made, memory_order_relaxed));
    tally_decref(class_);
}
