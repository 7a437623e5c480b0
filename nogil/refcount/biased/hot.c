/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * hot.c: how objects become hot and cold. hot.h has the invariants.
 *
 * Hot: a thread that has lost TALLY_HOT_LOST compare-and-swaps on an object takes a reference for a
 * request. At its next safepoint, or before it blocks or exits, it stops the world, merges all
 * queues, and makes hot the objects that any thread has requested. Such stops take at most a
 * twentieth of the time: until then no request is accepted.
 *
 * Cold: a collection makes all objects cold, and so does the end of the run time. A stop for a
 * request makes cold the objects without another reference, and those that fewer than two threads
 * have counted, or all of them seldom, in the JUDGE_NS or more since they were last looked at. A
 * thread that exits while there are hot objects makes such a stop, too, and judges all of them.
 */
#include "merge_queue.h"

#if TALLY_HOT_COUNTS

enum { SEVERAL = TALLY_OWNER_UNATTACHED, SELDOM = 256, REFUSED = 1 };
static const uint64_t JUDGE_NS = 100000000;

typedef struct entry {
    tally_object *object; /* NULL: free */
    uint64_t counted;     /* increfs and decrefs since it was last judged */
    uint64_t since;       /* when that was, in nanoseconds */
    uint32_t by;          /* the thread that counted it since; 0: none; or SEVERAL */
} entry;

static struct {
    entry at[TALLY_HOT_ROOM];    /* world stopped */
    _Atomic unsigned used;       /* changed with the world stopped */
    _Atomic uint64_t not_before; /* no request is accepted before; nanoseconds */
} hot;

static uint32_t slots_used(void) { return tally_load_acquire(&tally_process.slots_used); }

ptrdiff_t tally_hot_sum(unsigned index) {
    uint64_t sum = 0;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        tally_thread_head *head = &tally_thread_slot(id)->head;
        sum += tally_load_relaxed(&head->refcount.hot[index].up) -
               tally_load_relaxed(&head->refcount.hot[index].down);
    }
    return (ptrdiff_t)sum - 1;
}

/* ---- with the world stopped ------------------------------------------------- */

/* Moves the threads' counts to the shared half, and notes which threads have counted. */
static void fold(unsigned index) {
    entry *at = &hot.at[index];
    uint64_t sum = 0;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        tally_thread_head *head = &tally_thread_slot(id)->head;
        uint64_t up = tally_load_relaxed(&head->refcount.hot[index].up);
        uint64_t down = tally_load_relaxed(&head->refcount.hot[index].down);
        if (up + down == 0) continue;
        tally_store_relaxed(&head->refcount.hot[index].up, 0);
        tally_store_relaxed(&head->refcount.hot[index].down, 0);
        sum += up - down;
        at->counted += up + down;
        at->by = at->by == 0 || at->by == id ? id : SEVERAL;
    }
    tally_refcount_fold(&at->object->refcount, (int64_t)sum);
}

static bool is_hot(tally_object *object) {
    return (uint16_t)tally_owned_load(&object->refcount) == TALLY_OWNER_HOT;
}
static int32_t references(tally_object *object) {
    return tally_shared_count(tally_load_relaxed(&object->refcount.shared));
}

/* The counts have been folded. */
static void cool(unsigned index, tally_hot_cooled *cooled) {
    tally_object *object = hot.at[index].object;
    hot.at[index].object = NULL;
    tally_sub_relaxed(&hot.used, 1);
    TALLY_EVENT(made_cold);
    if (!is_hot(object)) return; /* made immortal meanwhile */
    tally_owned_store(&object->refcount, TALLY_OWNER_NONE);
    if (TALLY_UNLIKELY(tally_refcount_is_immortal(&object->refcount)))
        return; /* the shared half is full */
    if (TALLY_UNLIKELY(references(object) < 1))
        tally_fatal(object, "more references were dropped than there were");
    if (references(object) > 1)
        tally_refcount_trial_add(&object->refcount, -1);
    else
        cooled->objects[cooled->count++] = object; /* dropped once the world runs */
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
        entry *at = &hot.at[i];
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
    uint64_t owned = tally_owned_load(&object->refcount);
    if ((uint16_t)owned == TALLY_OWNER_IMMORTAL || tally_owner_is_per_thread(owned)) return false;
    if ((uint16_t)owned == TALLY_OWNER_HOT) { /* several asked: the table has a reference already */
        tally_refcount_trial_add(&object->refcount, -1);
        return true;
    }
    uint32_t shared = tally_load_relaxed(&object->refcount.shared);
    unsigned index = 0;
    while (index < TALLY_HOT_ROOM && hot.at[index].object) index++;
    if (index == TALLY_HOT_ROOM) return false;
    uint64_t local = (uint16_t)owned == TALLY_OWNER_NONE ? 0 : owned / TALLY_OWNED_ONE;
    int64_t count = tally_shared_count(shared) + (int64_t)local;
    if (TALLY_UNLIKELY(tally_shared_is_full(shared) || count >= TALLY_SHARED_FULL_FROM))
        return false;
    if (TALLY_UNLIKELY(count < 1))
        tally_fatal(object, "more references were dropped than there were");
    hot.at[index] = (entry){.object = object, .since = now};
    tally_add_relaxed(&hot.used, 1);
    tally_lock_unbias(object);
    /* relaxed: threads see both by the end of the stop */
    tally_store_relaxed(&object->refcount.shared, (uint32_t)count << 2 | TALLY_SHARED_MERGED);
    tally_owned_store(&object->refcount, (uint64_t)index << 16 | TALLY_OWNER_HOT);
    TALLY_EVENT(made_hot);
    return true;
}

/* True: a request was refused. */
static bool answer_all(uint64_t now) {
    bool refused = false;
    for (uint32_t id = 1; id <= slots_used(); id++) {
        _Atomic uintptr_t *request = &tally_thread_slot(id)->refcount.hot.request;
        uintptr_t asked = tally_load_relaxed(request);
        if (!asked || asked & REFUSED) continue;
        bool made = make_hot((tally_object *)asked, now);
        refused |= !made;
        tally_store_relaxed(request, made ? 0 : asked | REFUSED);
    }
    return refused;
}

/* ---- by a thread ------------------------------------------------------------ */

void tally_hot_drop(tally_hot_cooled *cooled) {
    for (unsigned i = 0; i < cooled->count; i++) tally_decref(cooled->objects[i]);
}

void tally_hot_note(tally_refcounts *refcount, unsigned lost) {
    tally_thread_state *thread = tally_thread_current();
    tally_hot_thread *self = &thread->refcount.hot;
    uintptr_t address = (uintptr_t)refcount;
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
    if (self->asking || tally_load_relaxed(&self->request)) return;
    if (tally_now() < tally_load_relaxed(&hot.not_before)) return;
    /* relaxed: the caller's own reference keeps it alive */
    tally_add_relaxed(&refcount->shared, TALLY_SHARED_ONE);
    tally_store_relaxed(&self->request, address);
    tally_breaker_set(thread, TALLY_BREAK_MERGE);
}

static void stop_and_recheck(tally_hot_thread *self, bool judge_all) {
    tally_refcount_dead dead;
    dead.cooled.count = 0;
    self->asking = true;
    uint64_t began = tally_now();
    tally_stop_the_world();
    TALLY_FAILPOINT(hot_stopped);
    dead.entries = tally_merge_queues();
    uint64_t now = tally_now();
    look(judge_all, now, &dead.cooled);
    bool refused = answer_all(now);
    tally_resume_the_world();
    TALLY_FAILPOINT(hot_started);
    now = tally_now();
    /* A table without room stays so for a while. */
    tally_store_relaxed(&hot.not_before, now + (refused ? JUDGE_NS : 0) + 20 * (now - began));
    self->asking = false;
    tally_refcount_destroy(dead);
}

void tally_hot_safepoint(tally_thread_state *thread) {
    tally_hot_thread *self = &thread->refcount.hot;
    if (self->asking) return;
    uintptr_t asked = tally_load_relaxed(&self->request);
    if (self->leaving || (asked && !(asked & REFUSED))) {
        bool leaving = self->leaving;
        self->leaving = false;
        self->looked |= leaving;
        stop_and_recheck(self, leaving);
        asked = tally_load_relaxed(&self->request);
    }
    if (!(asked & REFUSED)) return;
    tally_store_relaxed(&self->request, 0);
    tally_decref((tally_object *)(asked & ~(uintptr_t)REFUSED));
}

bool tally_hot_pending(tally_thread_state *thread) {
    return !thread->refcount.hot.asking && tally_load_relaxed(&thread->refcount.hot.request);
}

void tally_hot_attach(tally_thread_state *thread) {
    thread->refcount.hot.asking = thread->refcount.hot.leaving = thread->refcount.hot.looked =
        false;
    memset(thread->refcount.hot.heat, 0, sizeof thread->refcount.hot.heat);
}

bool tally_hot_detach(tally_thread_state *thread) {
    tally_hot_thread *self = &thread->refcount.hot;
    if (tally_load_relaxed(&self->request)) return false;
    if (self->looked || !tally_load_relaxed(&hot.used)) return true;
    self->leaving = true;
    return false;
}

#endif
