/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hot.c: objects under fire get hot and cold again; their counts stay exact, and they die.
 *
 * How often a thread loses a compare-and-swap is chance; where a test needs that something gets
 * hot, it makes a thread lose: lose_swaps changes the word between the load and the swap
 * (core/instrument/failpoint.h).
 */
#include "instrument/failpoint.h"
#include "suite.h"
#ifndef TALLY_HOT_ROOM
#    define TALLY_HOT_ROOM 256 /* not of this backend: nothing here applies to it */
#endif

enum { MOST = 4, BURST = 500, BURSTS_BEFORE_FORCE = 2000 };
enum {
    LOSER = 1,
    LOSSES = 1024 /* several times what hot.h asks for, as another address may have the place in
                     `heat` */
};
enum { FIRE, REST, END };

typedef struct battle {
    tally_object *object;
    int threads;
    tally_thread handles[MOST];
    _Atomic int command, resting;
} battle;

static _Thread_local tally_object *losing;
static _Thread_local int losses;

/* Between the load and the swap of a drop. */
static void lose_swap(void *nothing) {
    if (losses == 0) return;
    losses--;
    tally_incref(losing);
}

/* By a thread of role LOSER, which holds a reference and does not own the object: it loses LOSSES
 * swaps; none if the object is hot. */
static void lose_swaps(tally_object *object) {
    tally_incref(object);
    losing = object;
    losses = LOSSES;
    tally_decref(object);
    int lost = LOSSES - losses;
    losses = 0;
    while (lost--) tally_decref(object);
}

/* Objects get hot on this backend alone. */
static int has_hot_objects(void) { return backend_is("biased-hot"); }
static void run_with_losers(void (*body)(void)) {
    tally_failpoint_reset();
    tally_failpoint_call_always(LOSER, "decref_shared", lose_swap, NULL);
    suite_run(body);
}
#define HOT_TEST(name) RUNNER_TEST(name, has_hot_objects, run_with_losers)

/* The word changes with the world stopped only. */
static int is_hot(tally_object *object) {
#if TALLY_HOT_COUNTS
    return tally_owner_is_hot(tally_owned_load(&object->refcount));
#else
    return 0;
#endif
}

/* As lose_swaps, until it is hot; requests may be put off for a while. */
static void force_hot(tally_object *object) {
    for (double end = now() + SUITE_PATIENCE_SECONDS; !is_hot(object) && now() < end;) {
        lose_swaps(object);
        tally_safepoint();
    }
    check(is_hot(object));
}

static tally_stats_result stats(void) {
    tally_stats_result result = stats_now();
    return result;
}

static void wait_a_little(void) {
    tally_blocking_begin();
    usleep(200);
    tally_blocking_end();
}

static void soldier(void *argument) {
    battle *b = argument;
    int bursts = 0;
    tally_failpoint_role(LOSER);
    for (int command; (command = atomic_load_explicit(&b->command, memory_order_acquire)) != END;) {
        if (command == FIRE) {
            if (++bursts % BURSTS_BEFORE_FORCE == 0) lose_swaps(b->object);
            for (int i = 0; i < BURST; i++) {
                tally_incref(b->object);
                tally_decref(b->object);
            }
            tally_safepoint();
            continue;
        }
        tally_blocking_begin();
        atomic_fetch_add_explicit(&b->resting, 1, memory_order_release);
        while (atomic_load_explicit(&b->command, memory_order_acquire) == REST) usleep(200);
        tally_blocking_end();
    }
}

/* Threads count the object until it is hot, and rest then: nothing counts it. */
static void fight(battle *b, tally_object *object, int threads) {
    uint64_t before = stats().made_hot;
    *b = (battle){.object = object, .threads = threads};
    for (int i = 0; i < threads; i++) check_int(tally_thread_start(&b->handles[i], soldier, b), 0);
    double end = now() + SUITE_PATIENCE_SECONDS;
    while (stats().made_hot == before && now() < end) wait_a_little();
    check(stats().made_hot > before);
    atomic_store_explicit(&b->command, REST, memory_order_release);
    while (atomic_load_explicit(&b->resting, memory_order_acquire) < threads) wait_a_little();
}

static void finish_fight(battle *b) {
    atomic_store_explicit(&b->command, END, memory_order_release);
    for (int i = 0; i < b->threads; i++) check_int(tally_thread_join(&b->handles[i]), 0);
}

static tally_object *new_mortal(void) {
    tally_object *class_ = mortal_class(), *object = tally_instance_new(class_);
    tally_decref(class_);
    check(object != NULL);
    return object;
}

static int hot_now(void) { return (int)(stats().made_hot - stats().made_cold); }

HOT_TEST(gets_hot_under_fire_and_its_count_is_exact) {
    for (int threads = 2; threads <= MOST; threads++) {
        tally_object *object = tally_int_new(INT64_C(1) << 40);
        battle b;
        fight(&b, object, threads);
        check_int(hot_now(), 1);
        check_int(tally_refcount(object), 1);
        for (int i = 0; i < 100; i++) tally_incref(object);
        check_int(tally_refcount(object), 101);
        finish_fight(&b);
        check_int(tally_refcount(object), 101);
        /* Who exits looks: nobody but this thread has counted it since. */
        check_int(hot_now(), 0);
        for (int i = 0; i < 100; i++) tally_decref(object);
        check_int(tally_refcount(object), 1);
        check_int(tally_int_value(object), INT64_C(1) << 40);
        tally_decref(object);
    }
}

HOT_TEST(what_nobody_refers_to_dies_by_a_collection) {
    tally_object *object = new_mortal();
    battle b;
    fight(&b, object, 2);
    check_int(hot_now(), 1);
    tally_decref(object);
    check_int(deaths(), 0);
    tally_gc_collect(2);
    check_int(deaths(), 1);
    check_int(hot_now(), 0);
    finish_fight(&b);
}

HOT_TEST(what_nobody_refers_to_dies_when_a_thread_exits) {
    tally_object *object = new_mortal();
    battle b;
    fight(&b, object, 3);
    tally_decref(object);
    finish_fight(&b);
    check_int(deaths(), 1);
}

static void count_call(tally_object *reference, void *context) { ++*(int *)context; }

HOT_TEST(weak_references_give_it_until_it_dies) {
    static const char *const slots[] = {"a", "__weakref__", NULL};
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){.name = "Weak", .slots = slots, .finalize = suite_count_death});
    tally_object *object = tally_instance_new(class_);
    int calls = 0;
    tally_object *weak = tally_weakref_new(object, count_call, &calls);
    battle b;
    fight(&b, object, 2);
    tally_object *got = tally_weakref_get(weak);
    check(got == object);
    check_int(tally_refcount(object), 2);
    drop(object, got);
    /* It has not died: nobody has looked. */
    got = tally_weakref_get(weak);
    check(got == object);
    tally_gc_collect(2);
    check_int(deaths(), 0);
    check_int(hot_now(), 0);
    tally_xdecref(got); /* cold: at once */
    check_int(deaths(), 1);
    check_int(calls, 1);
    got = tally_weakref_get(weak);
    check(!got || got == tally_none);
    tally_xdecref(got);
    finish_fight(&b);
    drop(weak, class_);
}

static tally_object *kept;
static void keep(tally_object *self) {
    suite_count_death(self);
    tally_incref(self);
    kept = self;
}

HOT_TEST(a_finalizer_brings_it_back) {
    tally_object *class_ = class_finalized("Phoenix", keep);
    tally_object *object = tally_instance_new(class_);
    battle b;
    fight(&b, object, 2);
    tally_decref(object);
    tally_gc_collect(2);
    check_int(deaths(), 1);
    check(kept == object);
    finish_fight(&b);
    check_int(tally_refcount(object), 1);
    fight(&b, object, 2); /* and again */
    tally_decref(kept);
    tally_gc_collect(2);
    finish_fight(&b);
    check_int(deaths(), 1);
    tally_decref(class_);
}

enum { TAKEN = 1000 };
typedef struct taker {
    tally_object *object;
    int by;
} taker;
static void take(void *argument) {
    taker *t = argument;
    for (int i = 0; i < TAKEN; i++) {
        if (t->by > 0)
            tally_incref(t->object);
        else
            tally_decref(t->object);
    }
}

HOT_TEST(the_counts_of_a_thread_that_is_gone_stay) {
    tally_object *object = new_mortal();
    battle b;
    fight(&b, object, 2);
    taker takers[] = {{object, 1}, {object, 1}, {object, -1}};
    run_threads(2, take, takers, sizeof *takers);
    check_int(tally_refcount(object), 1 + 2 * TAKEN);
    run_threads(1, take, &takers[2], sizeof *takers);
    check_int(tally_refcount(object), 1 + TAKEN);
    finish_fight(&b);
    check_int(tally_refcount(object), 1 + TAKEN);
    for (int i = 0; i < TAKEN; i++) tally_decref(object);
    check_int(deaths(), 0);
    tally_decref(object);
    tally_gc_collect(2);
    check_int(deaths(), 1);
}

static void make(void *place) { *(tally_object **)place = new_mortal(); }

HOT_TEST(the_owner_is_gone) {
    tally_object *object = NULL;
    run_threads(1, make, &object, 0);
    battle b;
    fight(&b, object, 3); /* one of them has the owner's slot, and is the owner */
    check_int(tally_refcount(object), 1);
    tally_decref(object);
    tally_gc_collect(2);
    check_int(deaths(), 1);
    finish_fight(&b);
}

HOT_TEST(one_collection_finds_it_in_a_cycle) {
    tally_object *object = new_mortal(), *list = tally_list_new(0);
    check_int(tally_list_append(list, list), 0);
    append_new(list, object);
    battle b;
    fight(&b, list, 2);
    check_int(tally_refcount(list), 2);
    tally_decref(list);
    check_int(tally_gc_collect(2), 3); /* and the class */
    check_int(deaths(), 1);
    finish_fight(&b);
}

HOT_TEST(what_is_hot_within_a_live_structure_lives) {
    tally_object *object = new_mortal(), *list = tally_list_new(0);
    append_new(list, object);
    battle b;
    fight(&b, object, 2);
    check_int(tally_gc_collect(2), 0);
    check_int(tally_refcount(object), 1);
    check_int(deaths(), 0);
    finish_fight(&b);
    tally_decref(list);
    check_int(deaths(), 1);
}

HOT_TEST(what_is_counted_no_more_gets_cold_when_another_gets_hot) {
    tally_object *object = new_mortal(),
                 *others[] = {tally_int_new(INT64_C(1) << 40), tally_int_new(INT64_C(1) << 41)};
    battle a, b[2];
    fight(&a, object, 2);
    check_int(stats().made_cold, 0);
    /* The first finds that it has been counted, the second that it has not been since. */
    for (int i = 0; i < 2; i++) {
        usleep(150000);
        fight(&b[i], others[i], 2);
    }
    check(stats().made_cold > 0);
    check_int(tally_refcount(object), 1);
    check_int(deaths(), 0);
    tally_decref(object); /* cold: dies at once */
    check_int(deaths(), 1);
    finish_fight(&a);
    for (int i = 0; i < 2; i++) {
        finish_fight(&b[i]);
        tally_decref(others[i]);
    }
}

HOT_TEST(what_is_hot_at_the_end_is_freed) {
    tally_object *list = list_of(1000, 1100);
    battle b;
    fight(&b, list, 2);
    finish_fight(&b);
    /* Once more, with nobody to look after: the threads that exit count it to the end. */
    fight(&b, list, 2);
    atomic_store_explicit(&b.command, FIRE, memory_order_release);
    usleep(1000);
    finish_fight(&b);
    tally_decref(list);
}

HOT_TEST(a_hot_object_is_made_immortal) {
    tally_object *list = list_of(1000, 1003);
    battle b;
    fight(&b, list, 2);
    tally_gc_immortalize_heap();
    check_int(tally_is_immortal(list), 1);
    atomic_store_explicit(&b.command, FIRE, memory_order_release);
    usleep(1000);
    finish_fight(&b);
    tally_gc_collect(2);
    check_int(hot_now(), 0);
    check_int(tally_is_immortal(list), 1);
    tally_decref(list);
}

/* ---- a list whose lock was biased ------------------------------------------- */

enum { APPENDS = 3000 };
static void append_many(void *list) {
    for (int i = 0; i < APPENDS; i++) {
        check_int(tally_list_append(list, tally_none), 0);
        tally_safepoint();
    }
}

HOT_TEST(the_owners_bias_on_the_lock_is_given_up) {
    tally_object *list = tally_list_new(0);
    check_int(tally_list_append(list, tally_none), 0); /* by bias */
    battle b;
    fight(&b, list, 2);
    tally_thread thread;
    check_int(tally_thread_start(&thread, append_many, list), 0);
    append_many(list);
    check_int(tally_thread_join(&thread), 0);
    check_int(tally_list_length(list), 2 * APPENDS + 1);
    finish_fight(&b);
    tally_decref(list);
    tally_gc_collect(2);
}

/* ---- more than there is room for -------------------------------------------- */

enum { CROWD = TALLY_HOT_ROOM + 1, ASKED_AGAIN = 5 };
typedef struct crowd {
    tally_object *objects[CROWD];
    _Atomic int next, asked, go, answered, again, done, leave;
} crowd;

static void await(_Atomic int *count, int wanted) {
    while (atomic_load_explicit(count, memory_order_acquire) < wanted) wait_a_little();
}

/* Blocked, and so without a request, when it is counted. */
static void stay_at_rest(_Atomic int *resting, _Atomic int *until) {
    tally_blocking_begin();
    atomic_fetch_add_explicit(resting, 1, memory_order_release);
    while (!atomic_load_explicit(until, memory_order_acquire)) usleep(200);
    tally_blocking_end();
}

static void count_both(tally_object *a, tally_object *b) {
    for (int i = 0; i < BURST; i++) {
        tally_incref(a);
        tally_incref(b);
    }
    for (int i = 0; i < BURST; i++) {
        drop(b, a);
    }
}

/* All others are blocked. How many are hot; each has one reference. */
static int look_at_all(crowd *c) {
    int hot = 0;
    for (int i = 0; i < CROWD; i++) {
        hot += is_hot(c->objects[i]);
        check_int(tally_refcount(c->objects[i]), 1);
    }
    check_int(hot, hot_now());
    return hot;
}

/* Asks for one object, without a safepoint; so nothing is answered before all have asked, and all
 * are by one stop. */
static void ask_for_one(void *argument) {
    crowd *c = argument;
    int at = atomic_fetch_add_explicit(&c->next, 1, memory_order_relaxed);
    tally_object *own = c->objects[at], *other = c->objects[(at + 1) % CROWD];
    tally_failpoint_role(LOSER);
    /* The request's reference shows that it has asked. */
    for (double end = now() + SUITE_PATIENCE_SECONDS; tally_refcount(own) == 1 && now() < end;
         usleep(1000))
        lose_swaps(own);
    check_int(tally_refcount(own), 2);
    atomic_fetch_add_explicit(&c->asked, 1, memory_order_release);
    while (!atomic_load_explicit(&c->go, memory_order_acquire)) usleep(200);
    tally_safepoint();
    stay_at_rest(&c->answered, &c->again);
    /* All count while who has no place asks for one, and gets what another one gives up. */
    for (int i = 0; i < ASKED_AGAIN; i++) {
        count_both(own, other);
        lose_swaps(own);
        tally_safepoint();
    }
    stay_at_rest(&c->done, &c->leave);
}

HOT_TEST(where_the_table_is_full_one_is_refused_and_all_die_once) {
    static crowd c;
    static tally_thread threads[CROWD];
    memset(&c, 0, sizeof c);
    tally_object *class_ = mortal_class();
    for (int i = 0; i < CROWD; i++) c.objects[i] = tally_instance_new(class_);
    uint64_t before = stats().made_hot;
    for (int i = 0; i < CROWD; i++) check_int(tally_thread_start(&threads[i], ask_for_one, &c), 0);
    await(&c.asked, CROWD);
    check_int(stats().made_hot, before);
    atomic_store_explicit(&c.go, 1, memory_order_release);
    await(&c.answered, CROWD);
    check_int(stats().made_hot - before, TALLY_HOT_ROOM);
    look_at_all(&c); /* a later stop may have made some cold again */
    atomic_store_explicit(&c.again, 1, memory_order_release);
    await(&c.done, CROWD);
    int hot = look_at_all(&c);
    check(hot <= TALLY_HOT_ROOM);
    for (int i = 0; i < CROWD; i++) tally_decref(c.objects[i]);
    check_int(deaths(), CROWD - hot);
    atomic_store_explicit(&c.leave, 1, memory_order_release);
    for (int i = 0; i < CROWD; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_gc_collect(2);
    check_int(hot_now(), 0);
    check_int(deaths(), CROWD);
    tally_decref(class_);
}

/* ---- all at once ------------------------------------------------------------- */

enum { PLACES = 4, ROUNDS = 60000 };
static _Atomic int made;

/* given: made by another thread. */
typedef struct mixer {
    tally_object *list, *class_, *given;
    uint32_t seed;
} mixer;

static uint32_t next(uint32_t *seed) { return (*seed = *seed * 1664525 + 1013904223) >> 8; }

static void mix(void *argument) {
    mixer *m = argument;
    tally_object *weak = NULL;
    tally_failpoint_role(LOSER);
    force_hot(m->given);
    check_int(tally_list_set(m->list, next(&m->seed) % PLACES, m->given), 0);
    tally_decref(m->given);
    for (int i = 0; i < SUITE_LONG(ROUNDS); i++) {
        tally_object *item = tally_list_get(m->list, next(&m->seed) % PLACES);
        for (int j = 0; j < 20; j++) {
            tally_incref(item);
            tally_decref(item);
        }
        uint32_t dice = next(&m->seed) % 4096;
        if (dice < 4) {
            tally_object *object = tally_instance_new(m->class_);
            check_int(tally_slot_set(object, 0, dice % 2 ? object : item), 0);
            atomic_fetch_add_explicit(&made, 1, memory_order_relaxed);
            check_int(tally_list_set(m->list, next(&m->seed) % PLACES, object), 0);
            tally_decref(object);
        } else if (dice < 8) {
            tally_xdecref(weak);
            weak = tally_weakref_new(item, NULL, NULL);
        } else if (dice < 16 && weak) {
            tally_object *got = tally_weakref_get(weak);
            tally_xdecref(got);
        } else if (dice == 16) {
            tally_gc_collect(2);
        } else if (dice < 20) {
            check_int(tally_list_append(m->list, item), 0);
        } else if (dice < 24) {
            lose_swaps(item);
        }
        tally_decref(item);
        if (i % 8 == 0) tally_safepoint();
    }
    tally_xdecref(weak);
}

HOT_TEST(all_that_was_hot_dies_once) {
    static const char *const slots[] = {"a", "__weakref__", NULL};
    tally_object *class_ = tally_class_new(
        &(tally_class_spec){.name = "Mixed", .slots = slots, .finalize = suite_count_death});
    tally_object *list = tally_list_new(0);
    for (int i = 0; i < PLACES; i++) append_new(list, tally_instance_new(class_));
    atomic_store_explicit(&made, PLACES, memory_order_relaxed);
    for (int round = 0; round < 2; round++) {
        mixer mixers[MOST];
        uint64_t before = stats().made_hot;
        for (uint32_t i = 0; i < MOST; i++)
            mixers[i] = (mixer){list, class_, tally_instance_new(class_), i + 17 * (uint32_t)round};
        atomic_fetch_add_explicit(&made, MOST, memory_order_relaxed);
        run_threads(MOST, mix, mixers, sizeof *mixers);
        check(stats().made_hot >= before + MOST);
    }
    printf("%d made, %" PRIu64 " times hot\n", atomic_load_explicit(&made, memory_order_relaxed),
           stats().made_hot);
    tally_decref(list);
    tally_gc_collect(2);
    tally_gc_collect(2);
    check_int(deaths(), atomic_load_explicit(&made, memory_order_relaxed));
    tally_decref(class_);
}
