/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * reclaim.c: memory that readers without a lock may still see waits for a grace
 * period of liburcu's QSBR flavour. A running thread is in a read-side section
 * from one safepoint to the next; a blocked one is offline.
 *
 * A thread collects what it retires in a list; a full list goes as one batch to a
 * thread of our own, which waits for a grace period (one for all the batches it
 * finds) and moves them to `ripe`; an attached thread takes them from there at a
 * safepoint and frees them. (Not call_rcu: its thread cannot be joined in
 * liburcu 0.13, and a restart of the run time needs to know that it is idle.) While a batch is
 * under way every thread's safepoints take the slow path and announce a quiescent state, so that
 * the fast path is the one load of the breaker.
 *
 * Bound: past TALLY_BACKLOG_LIMIT a thread that retires hands nothing over, but waits
 * for a grace period itself at its next safepoint, or before it blocks. A critical section
 * is no obstacle: it is suspended for the wait, as at any safepoint where its thread waits, and its
 * objects are locked again before the safepoint returns. (With its lock held, others might
 * wait for it without ever coming to a safepoint, and the grace period for them.) So at most
 * this limit waits, and of each thread two lists: one it
 * waits for itself, one of what it merged before it did; each 128 KiB, or what it
 * retires between two such points. What is ripe is freed first. Its grace period is under
 * way like that of a batch: the others announce their quiescent states meanwhile.
 * A stop of the world by the collector is a grace period too.
 *
 * After a fork the thread that waits for grace periods is not there. Before it, the forking thread
 * waits until that one is idle, so that nothing is lost with it. In the child the first batch
 * starts it anew; as long as that fails, each thread waits for its own full lists as if too much
 * were waiting.
 *
 * liburcu is not built with ThreadSanitizer: grace_period stands for its
 * synchronisation (release at each quiescent point, acquire after a period).
 */
#include "internal.h"
#include "objects/object.h"
#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#    define HAVE_TSAN 1
#elif defined(__has_feature)
#    if __has_feature(thread_sanitizer)
#        define HAVE_TSAN 1
#    endif
#endif
#ifdef HAVE_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace_period;
#    define QUIESCENT()           __tsan_release(&grace_period)
#    define GRACE_PERIOD_PASSED() __tsan_acquire(&grace_period)
#else
#    define QUIESCENT()           ((void)0)
#    define GRACE_PERIOD_PASSED() ((void)0)
#endif

enum { BATCH_NODES = 64, BATCH_BYTES = TALLY_BACKLOG_BATCH };

typedef struct batch {
    struct batch *next;
    tally_retired *first;
    tally_dead_list dead; /* objects that were handed out */
    size_t count, bytes;
} batch;

static struct {
    pthread_mutex_t mutex; /* for the next four */
    pthread_cond_t changed;
    batch *queue;        /* waiting for the next grace period */
    bool busy, ending;   /* a grace period is being waited for; the thread is to end */
    _Atomic bool forked; /* in a child, whose thread has to be started yet */
    pthread_t thread;
    _Atomic(batch *) ripe;
    _Atomic size_t
        under_way; /* batches handed over and not yet freed, and threads that wait themselves */
    _Atomic size_t waiting_bytes; /* in them, and in the lists of those that wait themselves */
    _Atomic size_t most_bytes;    /* that ever waited, with the lists of all threads */
} rcu = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};

static void ripens(batch *first) {
    batch *last = first, *ripe = tally_load_relaxed(&rcu.ripe);
    while (last->next) last = last->next;
    do {
        last->next = ripe;
        /* release: pairs with the acquire of tally_reclaim_free */
    } while (!tally_cas_weak_release(&rcu.ripe, &ripe, first));
}

/* A grace period for each load of batches; what is ripe is handed on, not freed here. */
static void *wait_for_grace_periods(void *nothing) {
    pthread_mutex_lock(&rcu.mutex);
    for (;;) {
        while (!rcu.queue && !rcu.ending) pthread_cond_wait(&rcu.changed, &rcu.mutex);
        if (!rcu.queue) break;
        batch *first = rcu.queue;
        rcu.queue = NULL;
        rcu.busy = true;
        pthread_mutex_unlock(&rcu.mutex);
        urcu_qsbr_synchronize_rcu();
        GRACE_PERIOD_PASSED();
        ripens(first);
        pthread_mutex_lock(&rcu.mutex);
        rcu.busy = false;
        pthread_cond_broadcast(&rcu.changed);
    }
    pthread_mutex_unlock(&rcu.mutex);
    return nothing;
}

static bool start_thread(void) {
    return pthread_create(&rcu.thread, NULL, wait_for_grace_periods, NULL) == 0;
}

int tally_reclaim_start(void) {
    rcu.ending = rcu.busy = false;
    rcu.forked = false;
    return start_thread() ? 0 : -1;
}

/* rcu.mutex held: there is a thread that waits for grace periods. (ThreadSanitizer lets no child of
 * a process with several threads start one.) */
static bool has_thread(void) {
#ifndef HAVE_TSAN
    if (rcu.forked && start_thread()) rcu.forked = false;
#endif
    return !rcu.forked;
}

/* ---- fork: the caller is the only attached thread, and holds the registration lock ---- */

void tally_reclaim_before_fork(bool reader) {
    if (reader) tally_reclaim_offline(); /* or the grace period would wait for this thread */
    pthread_mutex_lock(&rcu.mutex);
    while (!rcu.forked && (rcu.queue || rcu.busy)) pthread_cond_wait(&rcu.changed, &rcu.mutex);
}
void tally_reclaim_after_fork(bool reader, bool child) {
    if (child) {
        rcu.forked = true;
        pthread_cond_init(&rcu.changed, NULL); /* the thread waited for it */
    }
    pthread_mutex_unlock(&rcu.mutex);
    if (reader) tally_reclaim_online();
}

void tally_reclaim_attach(void) { urcu_qsbr_register_thread(); }
void tally_reclaim_offline(void) {
    QUIESCENT();
    urcu_qsbr_thread_offline();
}
void tally_reclaim_online(void) {
    urcu_qsbr_thread_online();
    TALLY_FAILPOINT(online);
    /* seq_cst, after the status: pairs with quiesce_all, which leaves out who is blocked. What came
     * under way before it saw this thread run is seen here. */
    if (tally_load_seq_cst(&rcu.under_way))
        tally_breaker_set(tally_thread_current(), TALLY_BREAK_QUIESCE);
}

static void free_list(tally_retired *node) {
    for (tally_retired *next; node; node = next) {
        uintptr_t tagged = node->next;
        next = (tally_retired *)(tagged & ~(uintptr_t)TALLY_RETIRED_KIND);
        tally_reclaim(node, (unsigned)(tagged & TALLY_RETIRED_KIND));
        TALLY_EVENT(reclaimed);
        tally_reclaim_throttle(); /* the last reference to a key, whose memory has to wait in turn
                                   */
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

static bool retired_any(const tally_locking_thread *self) {
    return self->retired || tally_dead_any(&self->retired_dead);
}

void tally_reclaim_free(void) {
    if (!tally_load_relaxed(&rcu.ripe)) return;
    /* acquire: pairs with the release of ripens */
    batch *b = tally_swap_acquire(&rcu.ripe, NULL);
    for (batch *next; b; b = next) {
        next = b->next;
        tally_sub_relaxed(&rcu.waiting_bytes, b->bytes);
        /* seq_cst: pairs with quiesce_all, see tally_reclaim_safepoint */
        tally_sub_seq_cst(&rcu.under_way, 1);
        tally_retired *first = b->first;
        tally_dead_list dead = b->dead;
        free(b);
        free_list(first);
        free_dead(dead);
    }
}

/* A thread that is blocked hinders no grace period, and looks itself when it comes back: it costs a
 * load here. */
static void quiesce_all(void) {
    /* seq_cst: after the count of what is under way; pairs with slot_take: a slot that is not seen
     * here belongs to a thread whose safepoints see the count */
    uint32_t used = tally_load_seq_cst(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_thread_slot(id);
        /* seq_cst, after the count; pairs with tally_reclaim_online */
        if (tally_load_seq_cst(&thread->status) == TALLY_RUNNING)
            tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
    }
}

/* ---- what waits, in bytes ----------------------------------------------- */

/* Its thread alone writes it, or who stopped the world. */
static size_t bytes_of(tally_locking_thread *self) {
    return tally_load_relaxed(&self->retired_bytes);
}
static void set_bytes(tally_locking_thread *self, size_t bytes) {
    tally_store_relaxed(&self->retired_bytes, bytes);
}
static bool is_full(tally_locking_thread *self) {
    return self->retired_count >= BATCH_NODES || bytes_of(self) >= BATCH_BYTES;
}

static size_t waiting(void) {
    size_t bytes = tally_load_relaxed(&rcu.waiting_bytes);
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) bytes += bytes_of(&tally_thread_slot(id)->locking);
    return bytes;
}

static void side_mark_level(void) {
    size_t bytes = waiting(), most = tally_load_relaxed(&rcu.most_bytes);
    while (most < bytes && !tally_cas_weak_relaxed(&rcu.most_bytes, &most, bytes)) {}
}

void tally_reclaim_backlog(size_t *bytes, size_t *most) {
    *bytes = waiting();
    *most = tally_load_relaxed(&rcu.most_bytes);
    if (*most < *bytes) *most = *bytes;
}

/* With this thread's list too much would wait. */
static bool is_too_much(tally_locking_thread *self) {
    return tally_load_relaxed(&rcu.waiting_bytes) + bytes_of(self) > TALLY_BACKLOG_LIMIT;
}

/* ---- handing over, or helping ------------------------------------------- */

static tally_retired *take_list(tally_locking_thread *self, tally_dead_list *dead) {
    tally_retired *first = self->retired;
    *dead = self->retired_dead;
    self->retired = NULL;
    self->retired_dead = (tally_dead_list){0};
    self->retired_count = 0;
    set_bytes(self, 0);
    return first;
}

/* Hands over what this thread has retired. Without memory, or a thread for it, it stays: the next
 * try, or help, gets it. */
static void flush_batch(tally_locking_thread *self) {
    side_mark_level();
    batch *b = malloc(sizeof *b);
    if (!b) return;
    pthread_mutex_lock(&rcu.mutex);
    if (TALLY_UNLIKELY(!has_thread())) {
        pthread_mutex_unlock(&rcu.mutex);
        free(b);
        return;
    }
    *b = (batch){.count = self->retired_count, .bytes = bytes_of(self)};
    tally_add_seq_cst(&rcu.under_way, 1);
    tally_add_relaxed(&rcu.waiting_bytes, b->bytes);
    b->first = take_list(self, &b->dead);
    b->next = rcu.queue;
    rcu.queue = b;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    quiesce_all();
}

/* Before it blocks: what it has is handed over, unless too much waits: then it keeps its list. */
void tally_reclaim_flush(tally_thread_state *thread) {
    if (retired_any(&thread->locking) && !is_too_much(&thread->locking))
        flush_batch(&thread->locking);
}

static void count_retired(tally_thread_state *thread, size_t bytes) {
    tally_locking_thread *self = &thread->locking;
    set_bytes(self, bytes_of(self) + bytes);
    TALLY_EVENT(retired);
    if (!is_full(self)) return;
    side_mark_level();
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE); /* handed over at the next safepoint */
}

void tally_retire(tally_retired *node, unsigned what, size_t bytes) {
    tally_thread_state *thread = tally_thread_current();
    node->next = (uintptr_t)thread->locking.retired | what;
    thread->locking.retired = node;
    thread->locking.retired_count++;
    count_retired(thread, bytes);
}

/* Its finalizer has run and it refers to nothing that counts: there is no hurry, only bytes make a
 * list of these full. */
void tally_retire_object(tally_object *object, size_t bytes) {
    tally_thread_state *thread = tally_thread_current();
    tally_dead_push(&thread->locking.retired_dead, object);
    count_retired(thread, bytes);
}

void tally_reclaim_request_throttle(void) {
    tally_thread_state *thread = tally_thread_current();
    thread->locking.throttle_requested = true;
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* Waits for a grace period of its own, then frees what `self` had not handed over. Blocked
 * meanwhile: who stops the world is in a read-side section while it waits for the others. */
static void help(tally_thread_state *thread, tally_locking_thread *self) {
    size_t bytes = bytes_of(self);
    thread->locking.helping = true; /* what is merged before it blocks cannot help again on top */
    self->throttle_requested = false;
    tally_add_relaxed(&rcu.waiting_bytes, bytes);
    tally_dead_list dead;
    tally_retired *first = take_list(self, &dead);
    side_mark_level();
    /* seq_cst: pairs with tally_reclaim_safepoint. Nothing else may be under way: the others
     * have to be told. */
    tally_add_seq_cst(&rcu.under_way, 1);
    quiesce_all();
    tally_wait_begin(thread, "waiting for a grace period");
    TALLY_FAILPOINT(grace_wait);
    urcu_qsbr_synchronize_rcu();
    GRACE_PERIOD_PASSED();
    tally_wait_end();
    thread->locking.helping = false;
    TALLY_EVENT(grace_throttled);
    tally_sub_seq_cst(&rcu.under_way, 1);
    tally_sub_relaxed(&rcu.waiting_bytes, bytes);
    free_list(first);
    free_dead(dead);
}

static bool has_to_help(tally_thread_state *thread) {
    tally_locking_thread *self = &thread->locking;
    return !self->helping &&
           (self->throttle_requested ||
            (retired_any(self) && (is_too_much(self) || (rcu.forked && is_full(self)))));
}

/* Critical sections stay suspended afterwards if they were before. */
static bool suspend_for_help(tally_thread_state *thread) {
    bool held = false;
    for (tally_critical *section = thread->critical; section; section = section->outer)
        held |= section->held;
    if (held) tally_critical_suspend(thread);
    return held;
}

static void relieve(tally_thread_state *thread, bool safepoint) {
    tally_locking_thread *self = &thread->locking;
    if (!self->throttle_requested && !is_full(self)) return;
    if (has_to_help(thread) && (safepoint || !thread->critical)) {
        bool held = suspend_for_help(thread);
        help(thread, self);
        if (held) tally_critical_resume(thread);
    } else if (is_full(self)) {
        tally_reclaim_flush(thread);
    }
}
/* In the middle of an operation, in which a section is not let go. */
bool tally_reclaim_throttle(void) {
    tally_thread_state *thread = tally_thread_current();
    relieve(thread, false);
    return !(thread->locking.helping && is_full(&thread->locking));
}

void tally_reclaim_safepoint(tally_thread_state *thread) {
    TALLY_FAILPOINT(quiescent);
    QUIESCENT();
    urcu_qsbr_quiescent_state();
    tally_locking_thread *self = &thread->locking;
    tally_reclaim_free(); /* that may be all the help that is needed */
    relieve(thread, true);
    /* seq_cst: the bit goes first, then the count is read; who hands over counts first and then
     * sets the bit */
    tally_breaker_clear(thread, TALLY_BREAK_QUIESCE);
    if (tally_heap_is_behind(&thread->heap)) tally_heap_drain(&thread->heap);
    if (tally_load_seq_cst(&rcu.under_way) || self->throttle_requested || is_full(self))
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* A thread that only ever blocks passes no safepoint: it frees and helps here. */
void tally_reclaim_before_blocking(tally_thread_state *thread) {
    tally_heap_rest(&thread->heap);
    tally_reclaim_free();
    if (has_to_help(thread)) {
        suspend_for_help(thread); /* until the blocking region ends */
        help(thread, &thread->locking);
    }
    while (tally_refcount_dealloc_pending(thread)) tally_refcount_safepoint(thread);
}

/*
 * World stopped: the others are offline, and who stopped it looks at nothing that
 * was retired, so a grace period has passed for all lists and batches. They are
 * ripe; to be freed once the world runs. Without memory they wait as before.
 */
void tally_reclaim_stopped(void) {
    QUIESCENT();
    urcu_qsbr_quiescent_state(); /* the period under way, if there is one, waits for nobody else */
    pthread_mutex_lock(&rcu.mutex);
    batch *first = rcu.queue;
    rcu.queue = NULL;
    pthread_mutex_unlock(&rcu.mutex);
    if (first) ripens(first);
    for (uint32_t id = 1; id <= tally_load_relaxed(&tally_process.slots_used); id++) {
        tally_locking_thread *slot = &tally_thread_slot(id)->locking;
        batch *b = retired_any(slot) ? malloc(sizeof *b) : NULL;
        if (!b) continue;
        *b = (batch){.count = slot->retired_count, .bytes = bytes_of(slot)};
        tally_add_seq_cst(&rcu.under_way, 1);
        tally_add_relaxed(&rcu.waiting_bytes, b->bytes);
        b->first = take_list(slot, &b->dead);
        ripens(b);
    }
}

/* Even if too much waits: nobody might come to the slot. Without memory it goes with the slot to
 * the next thread there. */
void tally_reclaim_detach(tally_thread_state *thread) {
    if (retired_any(&thread->locking)) flush_batch(&thread->locking);
    thread->locking.throttle_requested = false;
    QUIESCENT();
    urcu_qsbr_unregister_thread();
}

/* The last thread: frees everything that waits, and what that retires. */
void tally_reclaim_drain(tally_thread_state *thread) {
    for (;;) {
        uint32_t used = tally_load_acquire(&tally_process.slots_used);
        bool any = false;
        for (uint32_t id = 1; id <= used; id++) {
            tally_thread_state *slot = tally_thread_slot(id);
            if (!slot || !retired_any(&slot->locking)) continue;
            any = true;
            flush_batch(&slot->locking);
            if (retired_any(&slot->locking)) help(thread, &slot->locking);
        }
        if (!any && !tally_load_seq_cst(&rcu.under_way)) return;
        tally_reclaim_offline(); /* or the grace period would wait for this thread */
        pthread_mutex_lock(&rcu.mutex);
        while (rcu.queue || rcu.busy) pthread_cond_wait(&rcu.changed, &rcu.mutex);
        pthread_mutex_unlock(&rcu.mutex);
        tally_reclaim_online();
        tally_reclaim_free();
        tally_refcount_safepoint(thread);
    }
}

/* Nobody is attached. What the last detach retired is pools and blocks, which go with the region.
 */
void tally_reclaim_end(void) {
    pthread_mutex_lock(&rcu.mutex);
    rcu.ending = true;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    if (!rcu.forked) pthread_join(rcu.thread, NULL);
    /* acquire: pairs with the release of ripens */
    batch *b = tally_swap_acquire(&rcu.ripe, NULL);
    for (batch *next; b; b = next) {
        next = b->next;
        free(b);
    }
    tally_store_relaxed(&rcu.under_way, 0);
    tally_store_relaxed(&rcu.waiting_bytes, 0);
    tally_store_relaxed(&rcu.most_bytes, 0);
}
