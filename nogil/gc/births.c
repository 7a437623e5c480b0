/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * births.c: when a collection starts by itself.
 *
 * Without owners: births (containers made less freed since the last collection) exceed the first
 * threshold and a quarter of the containers that survived it, tracked or not. So the work of all
 * collections while a heap grows to n is at most n (1 + 1/1.25 + ...) = 5 n. Any thread that finds
 * one due asks for it, so the others do not run on while the first to ask is not scheduled. Threads
 * that ask together share one collection. Its thread frees the garbage, and the next collection may
 * start meanwhile: threads that make more garbage than one thread can free do their share of the
 * work. A thread counts its births itself and flushes the count every 64. A collection counts anew,
 * so nothing is counted twice, and reading the counts changes nothing.
 *
 * With owners each thread counts its births, and collections of its generations, as a process does
 * with a GIL (gil/gc/generations.c), and its own births start those of its young objects. A full
 * one is due by the survivors of all. There are two differences:
 *  - A thread that frees what has survived may make as many containers again before it looks, as
 *    without owners. With a GIL a program that builds and drops trees examines each node twice.
 *  - Objects that other threads may use get old at once, whatever their age. So when these are many
 *    a full collection is due as without owners. What a thread cannot collect now, since it holds a
 *    mutex or has exited, counts the same.
 */
#include "births.h"
#include "gc/collector.h"

enum { MOST_CREDIT = 1 << 16 }; /* so many containers again */

static struct {
    _Atomic int64_t births;   /* flushed; without owners */
    _Atomic size_t survivors; /* containers after the last collection, but for pending ones */
    /* With owners, since the last full collection: its survivors; those of generation 1; objects
     * that got old because other threads may use them. */
    _Atomic size_t long_lived, promoted, early;
} state;

void tally_births_start(void) { memset(&state, 0, sizeof state); }

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
    if (TALLY_REFCOUNT_HAVE_OWNERS) {
        thread->collector.nudged = true;
        tally_births_store(&thread->collector.limit, INT32_MIN);
    } else {
        set_births(thread, births_of(thread), TALLY_BIRTHS_BATCH - 1);
    }
}

static bool births_due(int64_t births) {
    int threshold = tally_load_relaxed(&tally_gc.threshold[0]);
    if (!tally_gc_is_enabled() || threshold == 0) return false;
    if (tally_memory_due()) return true;
    return births > threshold && births > (int64_t)(tally_load_relaxed(&state.survivors) / 4);
}

void tally_births_flush(bool may_collect) {
    tally_thread_state *thread = tally_thread_current();
    int32_t n = births_of(thread);
    set_births(thread, 0, 0);
    /* A collection's garbage was counted off when it began. */
    if (n < 0 && thread->collecting) return;
    int64_t births = tally_add_relaxed(&state.births, n) + n;
    if (!may_collect || !births_due(births)) return;
    /* A finalizer may wait for a lock of this thread's critical sections, or for its mutexes. */
    if (!tally_gc_put_off(thread) && !thread->critical) tally_gc_automatic(2);
}

/* World stopped. */
void tally_births_forget(void) {
    tally_each_thread(thread) {
        set_births(thread, 0, 0);
        tally_births_store(&thread->collector.older, 0);
        thread->collector.count[1] = thread->collector.count[2] = 0;
        thread->collector.offered = 0;
        thread->collector.middle = 0;
    }
    tally_store_relaxed(&state.births, 0);
    tally_store_relaxed(&state.promoted, 0);
    tally_store_relaxed(&state.early, 0);
}

/* ---- births, where refcounts have owners ------------------------------------------ */

/* Containers made less freed since the last full collection. A snapshot. */
static int64_t births_of_all(void) {
    int64_t births = 0;
    tally_each_thread(thread)
        births += tally_births_load(&thread->collector.births) +
                  tally_births_load(&thread->collector.older);
    return births;
}

/* Much of what is old was never young, since other threads use it: as without owners. */
static bool early_due(void) {
    size_t early = tally_load_relaxed(&state.early);
    return early > (size_t)tally_load_relaxed(&tally_gc.threshold[0]) &&
           early > tally_load_relaxed(&state.long_lived) / 4 && births_due(births_of_all());
}
/* The oldest generation that is due; 0: none above the youngest is. */
static int older_due(tally_collector_thread *self) {
    if ((self->count[2] > tally_load_relaxed(&tally_gc.threshold[2]) &&
         tally_load_relaxed(&state.promoted) >= tally_load_relaxed(&state.long_lived) / 4) ||
        early_due())
        return 2;
    return self->count[1] > tally_load_relaxed(&tally_gc.threshold[1]);
}

static int32_t births_limit(void) {
    int threshold = __atomic_load_n((int *)&tally_gc.threshold[0], __ATOMIC_SEQ_CST);
    return tally_gc_is_enabled() && threshold ? threshold : INT32_MAX - 1;
}
/* seq_cst: either this sees new settings, or their thread's store to the limit comes later. */
static void set_limit(tally_collector_thread *self) {
    int32_t limit;
    do {
        limit = births_limit();
        __atomic_store_n(&self->limit, limit, __ATOMIC_SEQ_CST);
    } while (limit != births_limit());
}

/* Its owner cannot collect its young now: they count as if they had got old, so that others do. */
static void offer(tally_collector_thread *self) {
    int32_t more = tally_births_load(&self->births) - self->offered;
    if (more <= 0) return;
    self->offered += more;
    tally_add_relaxed(&state.early, (size_t)more);
}
void tally_collector_detach(tally_thread_state *thread) {
    tally_collector_thread *self = &thread->collector;
    if (!TALLY_REFCOUNT_HAVE_OWNERS) return;
    offer(self);
    tally_add_relaxed(&state.early, self->middle);
    self->middle = 0;
}

/* Births are over the limit, or it was lowered: the thread was nudged, or settings changed. */
void tally_births_over(void) {
    tally_thread_state *thread = tally_thread_current();
    tally_collector_thread *self = &thread->collector;
    set_limit(self);
    if (tally_births_load(&self->limit) == INT32_MAX - 1) return;
    bool over = tally_births_load(&self->births) > tally_births_load(&self->limit);
    int due = !over && !self->nudged ? 0 : tally_memory_due() ? 2 : older_due(self);
    self->nudged = false;
    if (due == 0 && !over) return;
    if (!tally_gc_put_off(thread) && !thread->critical) {
        tally_gc_automatic(due);
    } else {
        offer(self);
        self->nudged = true;
        tally_births_store(&self->limit, tally_births_load(&self->births) + TALLY_BIRTHS_BATCH);
    }
}

void tally_births_survive(size_t survivors, size_t containers) {
    tally_store_relaxed(&state.long_lived, survivors);
    tally_store_relaxed(&state.survivors, containers);
}

void tally_births_begin_young(int generation) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    tally_births_add(&self->older, tally_births_load(&self->births));
    tally_births_store(&self->births, 0);
    self->offered = 0;
    for (int i = 1; i <= generation; i++) self->count[i] = 0;
    self->count[generation + 1]++;
}
void tally_births_end_young(int generation, size_t survivors, size_t early, bool automatic) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    if (early) tally_add_relaxed(&state.early, early);
    self->middle = generation == 0 ? self->middle + survivors : 0;
    size_t survived = (size_t)self->survived + survivors;
    self->survived = survived < MOST_CREDIT ? (int32_t)survived : MOST_CREDIT;
    if (generation == 1) tally_add_relaxed(&state.promoted, survivors);
    set_limit(self);
    /* A program that collects by hand has no births that would start a collection due above. */
    if (!automatic && older_due(self)) tally_collector_nudge();
}

/* ---- the contract ---------------------------------------------------------- */

void tally_collector_settings(void) {
    if (!TALLY_REFCOUNT_HAVE_OWNERS) return; /* read at each flush */
    tally_each_thread(thread)
        __atomic_store_n(&thread->collector.limit, INT32_MIN, __ATOMIC_SEQ_CST);
}

/* A snapshot: threads make and free meanwhile. Owners: of the calling thread. */
void tally_collector_count(int counts[3]) {
    tally_collector_thread *self = &tally_thread_current()->collector;
    int64_t births = tally_load_relaxed(&state.births);
    if (TALLY_REFCOUNT_HAVE_OWNERS)
        births = tally_births_load(&self->births);
    else
        tally_each_thread(thread) births += births_of(thread);
    counts[0] = births > 0 ? births < INT32_MAX ? (int)births : INT32_MAX : 0;
    counts[1] = self->count[1];
    counts[2] = self->count[2];
}
