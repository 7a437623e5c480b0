/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * sampling.c: objects follow the threads that count them. An object that one thread made and others
 * use would be counted with atomics for good, however long its maker has been asleep, and all that
 * count it would contend for its line. So each thread looks at every TALLY_SAMPLE_EVERY-th
 * reference that it drops in a shared half. It stops the world for objects that it meets again
 * soon, and moves them:
 *  - to itself, if the owner is in a blocked region, waits for its turn or is gone, or if there is
 *    none: it adopts the object, and all references become its half;
 *  - else to per-thread refcounts (per_thread.c), since several threads count it: each in an array
 *    of its own.
 *
 * Invariants:
 *  - Owners change with the world stopped only. No thread is between a look at the owner and the
 *    count then, since there is no safepoint between the two. All merge queues are merged before.
 *    An object that a thread has in hand to queue it keeps its owner, since the thread that merges
 *    the entry merges for the old owner.
 *  - A moved object lives: the thread holds the reference that it is about to drop, or finds a live
 *    object where it has met one before. A drop may run finalizers anyway, so it may stop the
 *    world.
 *  - An object in its finalizer stays where it is: the end of that counts in the shared half.
 *  - An object with a finalizer or weak references is adopted, but never counted per thread, since
 *    nobody sees at once that its last reference is gone.
 *
 * These stops take a twentieth of the time at most, and are given up after a millisecond: a drop is
 * not to wait for a thread that comes to no safepoint. Objects that are counted per thread and that
 * nobody refers to are looked for beside them, and when a thread begins a blocked region, ten
 * times a second at most; and when a thread exits, and in every collection.
 */
#include "merge_queue.h"

#if TALLY_SAMPLING
#    include "internal.h"

static const uint64_t LOOK_NS = 100000000, PATIENCE_NS = 1000000;
/* Nanoseconds. Relaxed, all of it: an old value makes a stop or a look come a little early or late.
 */
static _Atomic uint64_t not_before, look_at;

/* The second sample of it of late. */
static bool seen_before(tally_sampling *self, const tally_refcounts *refcount) {
    uint64_t address = (uint64_t)(uintptr_t)refcount >> 4;
    uint32_t *seen = &self->seen[address * UINT64_C(0x9e3779b97f4a7c15) >> 54];
    _Static_assert(TALLY_SAMPLES_SEEN == 1 << (64 - 54), "the hash gives an index of seen");
    if (*seen == (uint32_t)address) return true;
    *seen = (uint32_t)address;
    return false;
}

/* World stopped, here and below. A thread was stopped between its drop of the object and the push
 * to the owner's queue. */
static bool is_in_hand(tally_object *object) {
    tally_each_thread(thread)
        if (thread->refcount.in_hand == object) return true;
    return false;
}

/* The owner is in a blocked region or waits for its turn, or its slot has no thread. */
static bool is_away(uint32_t owner) {
    return owner == TALLY_OWNER_NONE || tally_thread_slot(owner)->away ||
           tally_load_relaxed(&tally_thread_slot(owner)->status) == TALLY_VACANT;
}

/* The object is alive. */
static bool move(tally_object *object) {
    tally_refcounts *refcount = &object->refcount;
    if (tally_refcount_is_immortal(refcount) || tally_refcount_per_thread_index(refcount) ||
        tally_load_relaxed(&object->flags) & TALLY_FLAG_FINALIZED || is_in_hand(object))
        return false;
    uint32_t owner = tally_refcount_owner(refcount);
    if (is_away(owner)) {
        tally_refcount_take_over(refcount);
        TALLY_EVENT(adopted);
    } else if (!tally_refcount_owned(refcount)) {
        if (!tally_per_thread_move(object)) return false;
        TALLY_EVENT(made_per_thread);
    }
    return true;
}

static void note_met(tally_sampling *self, const tally_refcounts *refcount) {
    if (tally_is_small(refcount))
        self->met[self->met_count++ % TALLY_SAMPLES_MET] =
            (uint32_t)((size_t)((const char *)refcount - tally_region) >> 4);
}
/* They may be dead, or other objects by now. A new object that only its owner has used stays. While
 * a collection is under way all stay: nobody may refer to them, and the collector is to free them.
 */
static void move_met(tally_sampling *self) {
    tally_each_thread(thread)
        if (thread->collecting) return;
    for (uint32_t i = 0; i < self->met_count && i < TALLY_SAMPLES_MET; i++) {
        tally_object *object = tally_memory_object_at(tally_region + ((size_t)self->met[i] << 4));
        if (object && (tally_load_relaxed(&object->refcount.shared) & TALLY_SHARED_STATE) !=
                          TALLY_SHARED_PRIVATE)
            move(object);
    }
    self->met_count = 0;
}

/* Objects that are counted per thread, and that nobody refers to. */
static void look(void) {
    tally_store_relaxed(&look_at, tally_now() + LOOK_NS);
    if (tally_per_thread_seem_unused()) tally_per_thread_sweep(PATIENCE_NS);
}

bool tally_sample(tally_refcounts *refcount) {
    tally_thread_state *thread = tally_thread_current();
    thread->refcount.sampling.countdown = TALLY_SAMPLE_EVERY;
    tally_turns_contended(TALLY_SAMPLE_EVERY);
    if (!seen_before(&thread->refcount.sampling, refcount) || thread->world_stopped ||
        tally_refcount_total(refcount) < 2)
        return false;
    note_met(&thread->refcount.sampling, refcount);
    uint64_t began = tally_now();
    if (began < tally_load_relaxed(&not_before)) return false;
    bool moved = false;
    if (tally_try_stop_the_world(PATIENCE_NS)) {
        TALLY_FAILPOINT(sample_stopped);
        tally_refcount_dead dead = tally_refcount_merge_stopped();
        moved = move((tally_object *)refcount);
        move_met(&thread->refcount.sampling);
        tally_resume_the_world();
        TALLY_FAILPOINT(sample_moved);
        tally_merge_defer(dead);
    }
    uint64_t now = tally_now();
    tally_store_relaxed(&not_before, now + 20 * (now - began));
    if (now >= tally_load_relaxed(&look_at)) {
        thread->refcount.sampling.due = true;
        tally_breaker_set(thread, TALLY_BREAK_MERGE);
    }
    return moved;
}

/* Also at the beginning of a blocked region: without drops by others there are no samples. */
void tally_sampling_safepoint(tally_thread_state *thread) {
    tally_sampling *self = &thread->refcount.sampling;
    if (!self->due && !(tally_per_thread_used() && tally_now() >= tally_load_relaxed(&look_at)))
        return;
    self->due = false;
    look();
}

void tally_sampling_attach(tally_thread_state *thread) {
    tally_sampling *self = &thread->refcount.sampling;
    self->countdown = TALLY_SAMPLE_EVERY;
    self->due = self->looked = false;
    self->met_count = 0;
}

bool tally_sampling_detach(tally_thread_state *thread) {
    tally_sampling *self = &thread->refcount.sampling;
    if (self->looked || !tally_per_thread_used()) return true;
    self->due = self->looked = true;
    return false;
}

#endif
