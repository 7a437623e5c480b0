/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hot.c: objects become hot and cold. hot.h has the invariants.
 *
 * Becoming hot: a thread that has lost TALLY_HOT_LOST compare-and-swaps on an object
 * takes a reference for the request, and at its next safepoint (or before it blocks or
 * exits) stops the world, merges all queues, and makes hot what any thread has asked for.
 * Such stops take a twentieth of the time at most: who asks sooner is put off.
 *
 * Becoming cold: in each collection all; in each stop to make something hot, those that nobody
 * refers to, and those that fewer than two threads have counted, or all of them
 * seldom, since they were looked at last (JUDGE_NS ago or more); in a stop by
 * a thread that exits while there are hot objects, the same at once. And at the end of the run
 * time.
 */
#include "objects/object.h"

#if TALLY_HOT_COUNTS

enum { SEVERAL = TALLY_OWNER_UNATTACHED, SELDOM = 256, REFUSED = 1 };
static const uint64_t JUDGE_NS = 100000000;

typedef struct place {
    tally_object *object; /* NULL: free */
    uint64_t counted;     /* ups and downs since it was judged last */
    uint64_t since;       /* when that was, nanoseconds */
    uint32_t by;          /* 0: nobody; a thread; SEVERAL */
} place;

static struct {
    place at[TALLY_HOT_ROOM];    /* world stopped */
    _Atomic unsigned used;       /* changed with the world stopped */
    _Atomic uint64_t not_before; /* no stop is asked for before that, nanoseconds */
} hot;

static uint32_t slots_used(void) {
    return atomic_load_explicit(&tally_process.slots_used, memory_order_acquire);
}

ptrdiff_t tally_hot_sum(unsigned place) {
    uint64_t sum = 0;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        tally_thread_head *head = &tally_thread_slot(id)->head;
        sum += atomic_load_explicit(&head->hot[place].up, memory_order_relaxed) -
               atomic_load_explicit(&head->hot[place].down, memory_order_relaxed);
    }
    return (ptrdiff_t)sum - 1;
}

/* ---- with the world stopped ------------------------------------------------- */

/* The threads' numbers go to the shared half, and to what is known of the place. */
static void fold(unsigned index) {
    place *at = &hot.at[index];
    uint64_t sum = 0;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        tally_thread_head *head = &tally_thread_slot(id)->head;
        uint64_t up = atomic_load_explicit(&head->hot[index].up, memory_order_relaxed);
        uint64_t down = atomic_load_explicit(&head->hot[index].down, memory_order_relaxed);
        if (up + down == 0) continue;
        atomic_store_explicit(&head->hot[index].up, 0, memory_order_relaxed);
        atomic_store_explicit(&head->hot[index].down, 0, memory_order_relaxed);
        sum += up - down;
        at->counted += up + down;
        at->by = at->by == 0 || at->by == id ? id : SEVERAL;
    }
    tally_refcount_fold(&at->object->counts, (int64_t)sum);
}

static bool is_hot(tally_object *object) {
    return (uint16_t)tally_owned_load(&object->counts) == TALLY_OWNER_HOT;
}
static int32_t references(tally_object *object) {
    return tally_shared_count(atomic_load_explicit(&object->counts.shared, memory_order_relaxed));
}

/* Folded already. */
static void cool(unsigned index, tally_hot_cooled *cooled) {
    tally_object *object = hot.at[index].object;
    hot.at[index].object = NULL;
    atomic_fetch_sub_explicit(&hot.used, 1, memory_order_relaxed);
    TALLY_EVENT(made_cold);
    if (!is_hot(object)) return; /* made immortal meanwhile */
    tally_owned_store(&object->counts, TALLY_OWNER_NONE);
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(&object->counts))) return; /* its count is full */
    if (TALLY_UNLIKELY(references(object) < 1))
        tally_fatal(object, "more references were dropped than there were");
    if (references(object) > 1)
        tally_refcount_trial_add(&object->counts, -1);
    else
        cooled->objects[cooled->count++] = object; /* it would die: once the world runs */
}

void tally_hot_cool_all(tally_hot_cooled *cooled) {
    cooled->count = 0;
    for (unsigned i = 0; i < TALLY_HOT_ROOM; i++) {
        if (!hot.at[i].object) continue;
        fold(i);
        cool(i, cooled);
    }
}

static void look(bool judge_all, uint64_t now, tally_hot_cooled *cooled) {
    for (unsigned i = 0; i < TALLY_HOT_ROOM; i++) {
        place *at = &hot.at[i];
        if (!at->object) continue;
        fold(i);
        bool judged = judge_all || now - at->since >= JUDGE_NS;
        if (!is_hot(at->object) || references(at->object) == 1 ||
            (judged && (at->by != SEVERAL || at->counted < SELDOM))) {
            cool(i, cooled);
        } else if (judged) {
            at->counted = 0;
            at->by = 0;
            at->since = now;
        }
    }
}

/* The request's reference becomes the table's. False: refused; the request keeps it. */
static bool make_hot(tally_object *object, uint64_t now) {
    uint64_t owned = tally_owned_load(&object->counts);
    if ((uint16_t)owned == TALLY_OWNER_IMMORTAL || tally_owner_is_per_thread(owned)) return false;
    if ((uint16_t)owned == TALLY_OWNER_HOT) { /* asked for by several: the table has a reference */
        tally_refcount_trial_add(&object->counts, -1);
        return true;
    }
    uint32_t shared = atomic_load_explicit(&object->counts.shared, memory_order_relaxed);
    unsigned index = 0;
    while (index < TALLY_HOT_ROOM && hot.at[index].object) index++;
    if (index == TALLY_HOT_ROOM) return false;
    uint64_t local = (uint16_t)owned == TALLY_OWNER_NONE ? 0 : owned / TALLY_OWNED_ONE;
    int64_t count = tally_shared_count(shared) + (int64_t)local;
    if (TALLY_UNLIKELY(tally_shared_is_full(shared) || count >= TALLY_SHARED_FULL_FROM))
        return false;
    if (TALLY_UNLIKELY(count < 1))
        tally_fatal(object, "more references were dropped than there were");
    hot.at[index] = (place){.object = object, .since = now};
    atomic_fetch_add_explicit(&hot.used, 1, memory_order_relaxed);
    tally_lock_unbias(object);
    /* relaxed: threads see both by the end of the stop */
    atomic_store_explicit(&object->counts.shared, (uint32_t)count << 2 | TALLY_SHARED_MERGED,
                          memory_order_relaxed);
    tally_owned_store(&object->counts, (uint64_t)index << 16 | TALLY_OWNER_HOT);
    TALLY_EVENT(made_hot);
    return true;
}

/* True: something was refused. */
static bool answer_all(uint64_t now) {
    bool refused = false;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        _Atomic uintptr_t *request = &tally_thread_slot(id)->counts.hot.request;
        uintptr_t asked = atomic_load_explicit(request, memory_order_relaxed);
        if (!asked || asked & REFUSED) continue;
        bool made = make_hot((tally_object *)asked, now);
        refused |= !made;
        atomic_store_explicit(request, made ? 0 : asked | REFUSED, memory_order_relaxed);
    }
    return refused;
}

/* ---- by a thread ------------------------------------------------------------ */

void tally_hot_drop(tally_hot_cooled *cooled) {
    for (unsigned i = 0; i < cooled->count; i++) tally_decref(cooled->objects[i]);
}

void tally_hot_note(tally_refcounts *counts, unsigned lost) {
    tally_thread_state *thread = tally_thread_current();
    tally_hot_thread *self = &thread->counts.hot;
    uintptr_t address = (uintptr_t)counts;
    unsigned i = (unsigned)((address >> 4) * UINT64_C(0x9e3779b97f4a7c15) >> 56);
    _Static_assert(TALLY_HOT_HEAT == 1 << (64 - 56), "the hash gives an index of heat");
    if (self->heat[i].address != address) {
        if (self->heat[i].lost > lost) {
            self->heat[i].lost -= lost;
            return;
        }
        self->heat[i].address = address;
        self->heat[i].lost = 0;
    }
    self->heat[i].lost += lost;
    if (TALLY_LIKELY(self->heat[i].lost < TALLY_HOT_LOST)) return;
    self->heat[i].lost = TALLY_HOT_LOST / 2;
    if (self->asking || atomic_load_explicit(&self->request, memory_order_relaxed)) return;
    if (tally_now() < atomic_load_explicit(&hot.not_before, memory_order_relaxed)) return;
    /* relaxed: the caller's own reference keeps it alive */
    atomic_fetch_add_explicit(&counts->shared, TALLY_SHARED_ONE, memory_order_relaxed);
    atomic_store_explicit(&self->request, address, memory_order_relaxed);
    tally_breaker_set(thread, TALLY_BREAK_MERGE);
}

static void stop_and_recheck(tally_hot_thread *self, bool judge_all) {
    tally_refcount_dead dead;
    dead.cooled.count = 0;
    self->asking = true;
    uint64_t began = tally_now();
    tally_stop_the_world();
    TALLY_FAILPOINT(hot_stopped);
    dead.entries = tally_refcount_merge_queues();
    uint64_t now = tally_now();
    look(judge_all, now, &dead.cooled);
    bool refused = answer_all(now);
    tally_resume_the_world();
    TALLY_FAILPOINT(hot_started);
    now = tally_now();
    /* Where there is no room, that is so for a while. */
    atomic_store_explicit(&hot.not_before, now + (refused ? JUDGE_NS : 0) + 20 * (now - began),
                          memory_order_relaxed);
    self->asking = false;
    tally_refcount_destroy(dead);
}

void tally_hot_safepoint(tally_thread_state *thread) {
    tally_hot_thread *self = &thread->counts.hot;
    if (self->asking) return;
    uintptr_t asked = atomic_load_explicit(&self->request, memory_order_relaxed);
    if (self->leaving || (asked && !(asked & REFUSED))) {
        bool leaving = self->leaving;
        self->leaving = false;
        self->looked |= leaving;
        stop_and_recheck(self, leaving);
        asked = atomic_load_explicit(&self->request, memory_order_relaxed);
    }
    if (!(asked & REFUSED)) return;
    atomic_store_explicit(&self->request, 0, memory_order_relaxed);
    tally_decref((tally_object *)(asked & ~(uintptr_t)REFUSED));
}

bool tally_hot_pending(tally_thread_state *thread) {
    return !thread->counts.hot.asking &&
           atomic_load_explicit(&thread->counts.hot.request, memory_order_relaxed);
}

void tally_hot_attach(tally_thread_state *thread) {
    thread->counts.hot.asking = thread->counts.hot.leaving = thread->counts.hot.looked = false;
    memset(thread->counts.hot.heat, 0, sizeof thread->counts.hot.heat);
}

bool tally_hot_detach(tally_thread_state *thread) {
    tally_hot_thread *self = &thread->counts.hot;
    if (atomic_load_explicit(&self->request, memory_order_relaxed)) return false;
    if (self->looked || !atomic_load_explicit(&hot.used, memory_order_relaxed)) return true;
    self->leaving = true;
    return false;
}

#endif
