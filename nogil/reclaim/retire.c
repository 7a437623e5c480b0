/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * retire.c: memory that lock-free readers may still see is retired: it waits for a grace period
 * (grace_period.c) and is freed afterwards.
 *
 * A thread collects retired memory in a list. A full list becomes a batch, which the thread frees
 * at a safepoint after the grace period, or leaves to the others when it goes offline.
 *
 * Bound of the backlog: a thread that retires more while the backlog is past TALLY_WAITING_LIMIT is
 * throttled: it waits for a grace period itself at its next safepoint, or before it blocks. A
 * critical section does not prevent that: it is suspended for the wait and resumed before the
 * safepoint returns. (If its lock were held, other threads might wait for it without ever coming to
 * a safepoint, and the grace period for them.) So the backlog is at most the limit and two lists
 * per thread: one that the thread waits for itself, one of objects that it merged before that. A
 * list is 128 KiB, or what the thread retires between two such points. Expired batches are freed
 * first. A stop of the world by the collector is a grace period too.
 */
#include "reclaim_internal.h"

enum { BATCH_NODES = 64, BATCH_BYTES = TALLY_WAITING_LIST };

static struct {
    _Atomic size_t bytes;      /* in batches, and in the lists of threads that wait themselves */
    _Atomic size_t most_bytes; /* of the largest backlog, with the lists of all threads */
} backlog;

static void free_list(tally_retired *node) {
    for (tally_retired *next; node; node = next) {
        uintptr_t tagged = node->next;
        next = (tally_retired *)(tagged & ~(uintptr_t)TALLY_RETIRED_KIND);
        tally_reclaim(node, (unsigned)(tagged & TALLY_RETIRED_KIND));
        TALLY_EVENT(reclaimed);
        tally_reclaim_throttle(); /* a key that dies here may retire memory in turn */
    }
}

/* Objects of a native type are cleared here: foreign code may run. */
static void free_dead(tally_dead_list dead) {
    for (tally_object *object; (object = tally_dead_pop(&dead));) {
        TALLY_EVENT(reclaimed);
        tally_object_free_borrowable(object);
        tally_reclaim_throttle();
    }
}

void tally_reclaim_free(void) {
    tally_batch *b = tally_grace_period_take_expired(tally_thread_current());
    for (tally_batch *next; b; b = next) {
        next = b->next;
        tally_sub_relaxed(&backlog.bytes, b->about.bytes);
        /* seq_cst: pairs with the announcement, see tally_reclaim_safepoint */
        tally_sub_seq_cst(&tally_grace_periods_under_way, 1);
        tally_retired *first = b->first;
        tally_dead_list dead = b->dead;
        free(b);
        free_list(first);
        free_dead(dead);
    }
}

/* ---- the backlog, in bytes ---------------------------------------------- */

/* Written by its thread, or with the world stopped. */
static size_t bytes_of(tally_locking_thread *self) {
    return tally_load_relaxed(&self->retired_bytes);
}
static void set_bytes(tally_locking_thread *self, size_t bytes) {
    tally_store_relaxed(&self->retired_bytes, bytes);
}
static bool is_full(tally_locking_thread *self) {
    return self->retired_count >= BATCH_NODES || bytes_of(self) >= BATCH_BYTES;
}
static bool retired_any(const tally_locking_thread *self) {
    return self->retired || tally_dead_any(&self->retired_dead);
}
/* The backlog and this thread's list are past the limit. */
static bool is_too_much(tally_locking_thread *self) {
    return tally_load_relaxed(&backlog.bytes) + bytes_of(self) > TALLY_WAITING_LIMIT;
}

static size_t record_backlog(void) {
    size_t bytes = tally_load_relaxed(&backlog.bytes);
    tally_each_thread(thread) bytes += bytes_of(&thread->locking);
    size_t most = tally_load_relaxed(&backlog.most_bytes);
    while (most < bytes && !tally_cas_weak_relaxed(&backlog.most_bytes, &most, bytes)) {}
    return bytes;
}

void tally_reclaim_backlog(size_t *bytes, size_t *most) {
    *bytes = record_backlog();
    *most = tally_load_relaxed(&backlog.most_bytes);
}

/* ---- retiring ------------------------------------------------------------ */

static void count_retired(tally_thread_state *thread, size_t bytes) {
    tally_locking_thread *self = &thread->locking;
    set_bytes(self, bytes_of(self) + bytes);
    TALLY_EVENT(retired);
    if (!is_full(self)) return;
    record_backlog();
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE); /* flushed at the next safepoint */
}

void tally_retire(tally_retired *node, unsigned what, size_t bytes) {
    tally_thread_state *thread = tally_thread_current();
    node->next = (uintptr_t)thread->locking.retired | what;
    thread->locking.retired = node;
    thread->locking.retired_count++;
    count_retired(thread, bytes);
}

/* Dead objects make a list full by their bytes, not by their number: their finalizers have run, so
 * delay costs only memory. */
void tally_retire_object(tally_object *object, size_t bytes) {
    tally_thread_state *thread = tally_thread_current();
    TALLY_DEBUG_ONLY(tally_debug_dropped(object));
    tally_dead_push(&thread->locking.retired_dead, object);
    count_retired(thread, bytes);
}

static tally_retired *take_list(tally_locking_thread *self, tally_dead_list *dead) {
    tally_retired *first = self->retired;
    *dead = self->retired_dead;
    self->retired = NULL;
    self->retired_dead = (tally_dead_list){0};
    self->retired_count = 0;
    set_bytes(self, 0);
    return first;
}

/* The list of the slot becomes a batch, under way from now on. NULL: no memory; the list stays. */
static tally_batch *make_batch(tally_locking_thread *self) {
    tally_batch *b = malloc(sizeof *b);
    if (!b) return NULL;
    *b = (tally_batch){.about = {0, bytes_of(self), tally_now_coarse()}};
    tally_add_seq_cst(&tally_grace_periods_under_way, 1);
    tally_add_relaxed(&backlog.bytes, b->about.bytes);
    b->first = take_list(self, &b->dead);
    return b;
}

/* Flushes the list of any slot to the caller's batches. Without memory the list stays for the next
 * flush or throttle. */
static void flush_batch(tally_locking_thread *self) {
    record_backlog();
    tally_batch *b = make_batch(self);
    if (b) tally_grace_period_queue(b);
}

void tally_reclaim_flush(tally_thread_state *thread) {
    if (retired_any(&thread->locking) && !is_too_much(&thread->locking))
        flush_batch(&thread->locking);
}

/* ---- throttling ------------------------------------------------------------ */

void tally_reclaim_request_throttle(void) {
    tally_thread_state *thread = tally_thread_current();
    thread->locking.throttle_requested = true;
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* Waits for a grace period, then frees the list of `self`. */
static void throttle(tally_thread_state *thread, tally_locking_thread *self) {
    size_t bytes = bytes_of(self);
    thread->locking.throttled = true; /* a merge before it blocks does not throttle again on top */
    self->throttle_requested = false;
    tally_add_relaxed(&backlog.bytes, bytes);
    tally_dead_list dead;
    tally_retired *first = take_list(self, &dead);
    thread->locking.throttled_list = first;
    thread->locking.throttled_dead = dead;
    thread->locking.throttled_about = (tally_waiting){0, bytes, tally_now_coarse()};
    record_backlog();
    tally_grace_period_wait(thread);
    thread->locking.throttled_list = NULL;
    thread->locking.throttled_dead = (tally_dead_list){0};
    thread->locking.throttled_about = (tally_waiting){0};
    thread->locking.throttled = false;
    TALLY_EVENT(grace_throttled);
    tally_sub_relaxed(&backlog.bytes, bytes);
    free_list(first);
    free_dead(dead);
}

static bool has_to_throttle(tally_thread_state *thread) {
    tally_locking_thread *self = &thread->locking;
    return !self->throttled &&
           (self->throttle_requested || (retired_any(self) && is_too_much(self)));
}

static void flush_or_throttle(tally_thread_state *thread, bool safepoint) {
    tally_locking_thread *self = &thread->locking;
    if (!self->throttle_requested && !is_full(self)) return;
    if (has_to_throttle(thread) && (safepoint || !thread->critical)) {
        bool held = tally_critical_suspend(thread);
        throttle(thread, self);
        if (held) tally_critical_resume(thread);
    } else if (is_full(self)) {
        tally_reclaim_flush(thread);
    }
}
/* In the middle of an operation, where sections are not suspended. */
bool tally_reclaim_throttle(void) {
    tally_thread_state *thread = tally_thread_current();
    flush_or_throttle(thread, false);
    return !(thread->locking.throttled && is_full(&thread->locking));
}

/* ---- for the ledger ---------------------------------------------------------- */

static void each_of(tally_retired *node, tally_dead_list dead,
                    const tally_reclaim_visitor *visitor) {
    while (node) {
        visitor->memory(node, (unsigned)(node->next & TALLY_RETIRED_KIND), visitor->context);
        node = (tally_retired *)(node->next & ~(uintptr_t)TALLY_RETIRED_KIND);
    }
    while (dead.small) {
        tally_object *object = (tally_object *)(tally_region + ((size_t)dead.small << 4));
        visitor->object(object, visitor->context);
        dead.small = tally_refcount_link(&object->refcount);
    }
    for (; dead.large; dead.large = *tally_large_link(dead.large))
        visitor->object(dead.large, visitor->context);
}

static void each_in(const tally_batch *batch, const tally_reclaim_visitor *visitor) {
    for (; batch; batch = batch->next) each_of(batch->first, batch->dead, visitor);
}

void tally_reclaim_each(const tally_reclaim_visitor *visitor) {
    tally_each_thread(thread) {
        each_of(thread->locking.retired, thread->locking.retired_dead, visitor);
        each_of(thread->locking.throttled_list, thread->locking.throttled_dead, visitor);
        each_in(thread->locking.batches, visitor);
    }
    each_in(tally_grace_period_left(), visitor);
}

static void visit_batches(const tally_batch *batch,
                          void (*visit)(const tally_waiting *, uint64_t, void *), void *context) {
    for (; batch; batch = batch->next) visit(&batch->about, batch->tick, context);
}
void tally_reclaim_each_batch(void (*visit)(const tally_waiting *batch, uint64_t tick,
                                            void *context),
                              void *context) {
    tally_each_thread(thread) visit_batches(thread->locking.batches, visit, context);
    visit_batches(tally_grace_period_left(), visit, context);
}

void tally_reclaim_lists(tally_thread_state *thread, tally_waiting *list,
                         tally_waiting *throttled) {
    *list = (tally_waiting){.bytes = bytes_of(&thread->locking)};
    *throttled = thread->locking.throttled_about;
}

/* ---- hooks ------------------------------------------------------------------ */

void tally_reclaim_safepoint(tally_thread_state *thread) {
    TALLY_FAILPOINT(quiescent);
    tally_grace_period_quiescent(thread);
    tally_locking_thread *self = &thread->locking;
    tally_reclaim_free(); /* that may shrink the backlog enough */
    flush_or_throttle(thread, true);
    if (self->batches) { /* where no other thread runs, they are free now */
        tally_grace_period_quiescent(thread);
        tally_reclaim_free();
    }
    /* seq_cst: the bit goes first, then the count is read; a thread that flushes counts first and
     * then sets the bit */
    tally_breaker_clear(thread, TALLY_BREAK_QUIESCE);
    if (tally_heap_is_behind(&thread->heap)) tally_heap_drain(&thread->heap);
    if (tally_load_seq_cst(&tally_grace_periods_under_way) || self->throttle_requested ||
        is_full(self))
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* A thread that only ever blocks passes no safepoint: it frees and is throttled here. */
void tally_reclaim_before_blocking(tally_thread_state *thread) {
    tally_heap_rest(&thread->heap);
    tally_reclaim_free();
    if (has_to_throttle(thread)) {
        tally_critical_suspend(thread); /* until the blocked region ends */
        throttle(thread, &thread->locking);
    }
    while (tally_refcount_dealloc_pending(thread)) tally_refcount_safepoint(thread);
}

/*
 * World stopped: the other threads are offline, and this one holds no lock-free reference to
 * retired memory. So a grace period has passed for all lists and batches; they are freed once the
 * world runs. A list for which there is no memory waits as before.
 */
void tally_reclaim_stopped(void) {
    tally_grace_period_quiescent(tally_thread_current()); /* none waits for another thread */
    tally_grace_period_expire_all();
    tally_each_thread(thread)
        if (retired_any(&thread->locking)) tally_grace_period_expire(make_batch(&thread->locking));
}

/* Flushes also past the limit, since no other thread may ever come to the slot. Without memory the
 * list goes with the slot to the next thread there. */
void tally_reclaim_detach(tally_thread_state *thread) {
    if (retired_any(&thread->locking)) flush_batch(&thread->locking);
    thread->locking.throttle_requested = false;
    tally_grace_period_detach(thread);
}

/* By the last thread: frees the whole backlog, and what that retires. */
void tally_reclaim_drain(tally_thread_state *thread) {
    for (;;) {
        bool any = false;
        tally_each_thread(slot) {
            if (!retired_any(&slot->locking)) continue;
            any = true;
            flush_batch(&slot->locking);
            if (retired_any(&slot->locking)) throttle(thread, &slot->locking);
        }
        if (!any && !tally_load_seq_cst(&tally_grace_periods_under_way)) return;
        tally_grace_period_quiescent(thread);
        tally_reclaim_free();
        tally_refcount_safepoint(thread);
    }
}

/* No thread is attached. The last detach retired only pools and blocks, which go with the region.
 */
void tally_reclaim_end(void) {
    tally_batch *b = tally_grace_period_take_all();
    for (tally_batch *next; b; b = next) {
        next = b->next;
        free(b);
    }
    tally_store_relaxed(&tally_grace_periods_under_way, 0);
    tally_store_relaxed(&backlog.bytes, 0);
    tally_store_relaxed(&backlog.most_bytes, 0);
}
