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
 * liburcu 0.13, and a restart of the run time needs to know that it is idle.) While a batch is under way
 * every thread's safepoints take the slow path and announce a quiescent state,
 * so that the fast path is the one load of the breaker.
 *
 * Bound: past LIMIT_BYTES waiting, a thread that retires waits for a grace period
 * at its next safepoint, unless it is in a critical section.
 *
 * liburcu is not built with ThreadSanitizer: grace_period stands for its
 * synchronisation (release at each quiescent point, acquire after a period).
 */
#include "backend.h"
#include <urcu/urcu-qsbr.h>

#if defined(__SANITIZE_THREAD__)
#define HAVE_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define HAVE_TSAN 1
#endif
#endif
#ifdef HAVE_TSAN
void __tsan_acquire(void *address);
void __tsan_release(void *address);
static char grace_period;
#define QUIESCENT() __tsan_release(&grace_period)
#define GRACE_PERIOD_PASSED() __tsan_acquire(&grace_period)
#else
#define QUIESCENT() ((void)0)
#define GRACE_PERIOD_PASSED() ((void)0)
#endif

enum { BATCH_NODES = 64, BATCH_BYTES = 128 << 10, LIMIT_BYTES = 16 << 20 };

typedef struct batch {
    struct batch *next;
    tally_retired *first;
    size_t count, bytes;
} batch;

static struct {
    pthread_mutex_t mutex;        /* for the next four */
    pthread_cond_t changed;
    batch *queue;                 /* waiting for the next grace period */
    bool busy, ending;            /* a grace period is being waited for; the thread is to end */
    pthread_t thread;
    _Atomic(batch *) ripe;
    _Atomic size_t under_way;     /* batches handed over and not yet freed */
    _Atomic size_t waiting_bytes; /* in them */
} rcu = { .mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER };

/* A grace period for each load of batches; what is ripe is handed on, not freed here. */
static void *wait_for_grace_periods(void *nothing) {
    pthread_mutex_lock(&rcu.mutex);
    for (;;) {
        while (!rcu.queue && !rcu.ending) pthread_cond_wait(&rcu.changed, &rcu.mutex);
        if (!rcu.queue) break;
        batch *first = rcu.queue, *last = first;
        rcu.queue = NULL;
        rcu.busy = true;
        pthread_mutex_unlock(&rcu.mutex);
        urcu_qsbr_synchronize_rcu();
        GRACE_PERIOD_PASSED();
        while (last->next) last = last->next;
        batch *ripe = atomic_load_explicit(&rcu.ripe, memory_order_relaxed);
        do {
            last->next = ripe;
            /* release: pairs with the acquire of free_ripe */
        } while (!atomic_compare_exchange_weak_explicit(&rcu.ripe, &ripe, first, memory_order_release, memory_order_relaxed));
        pthread_mutex_lock(&rcu.mutex);
        rcu.busy = false;
        pthread_cond_broadcast(&rcu.changed);
    }
    pthread_mutex_unlock(&rcu.mutex);
    return nothing;
}

int tally_reclamation_start(void) {
    rcu.ending = rcu.busy = false;
    return pthread_create(&rcu.thread, NULL, wait_for_grace_periods, NULL) == 0 ? 0 : -1;
}

void tally_reclamation_attach(void) { urcu_qsbr_register_thread(); }
void tally_reclamation_offline(void) {
    QUIESCENT();
    urcu_qsbr_thread_offline();
}
void tally_reclamation_online(void) { urcu_qsbr_thread_online(); }

static void free_list(tally_retired *node) {
    for (tally_retired *next; node; node = next) {
        uintptr_t tagged = node->next;
        next = (tally_retired *)(tagged & ~(uintptr_t)TALLY_RETIRED_KIND);
        tally_reclaim(node, (unsigned)(tagged & TALLY_RETIRED_KIND));
        TALLY_EVENT(reclaimed);
    }
}

static void free_ripe(void) {
    if (!atomic_load_explicit(&rcu.ripe, memory_order_relaxed)) return;
    /* acquire: pairs with the release of wait_for_grace_periods */
    batch *b = atomic_exchange_explicit(&rcu.ripe, NULL, memory_order_acquire);
    for (batch *next; b; b = next) {
        next = b->next;
        atomic_fetch_sub_explicit(&rcu.waiting_bytes, b->bytes, memory_order_relaxed);
        /* seq_cst: pairs with quiesce_all, see tally_reclamation_safepoint */
        atomic_fetch_sub_explicit(&rcu.under_way, 1, memory_order_seq_cst);
        tally_retired *first = b->first;
        free(b);
        free_list(first);
    }
}

static void quiesce_all(void) {
    uint32_t used = atomic_load_explicit(&tally_process.slots_used, memory_order_acquire);
    for (uint32_t id = 1; id <= used; id++)
        if (tally_thread_slot(id)) tally_breaker_set(tally_thread_slot(id), TALLY_BREAK_QUIESCE);
}

/* Hands over what this thread has retired. Without memory it stays: the next try, or help, gets it. */
void tally_reclamation_flush(tally_thread_state *thread) {
    tally_exclusion_thread *self = &thread->exclusion;
    if (!self->retired) return;
    batch *b = malloc(sizeof *b);
    if (!b) return;
    *b = (batch){ .first = self->retired, .count = self->retired_count, .bytes = self->retired_bytes };
    self->retired = NULL;
    self->retired_count = self->retired_bytes = 0;
    atomic_fetch_add_explicit(&rcu.under_way, 1, memory_order_seq_cst);
    atomic_fetch_add_explicit(&rcu.waiting_bytes, b->bytes, memory_order_relaxed);
    pthread_mutex_lock(&rcu.mutex);
    b->next = rcu.queue;
    rcu.queue = b;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    quiesce_all();
}

void tally_retire(tally_retired *node, unsigned what, size_t bytes) {
    tally_thread_state *thread = tally_thread_current();
    tally_exclusion_thread *self = &thread->exclusion;
    node->next = (uintptr_t)self->retired | what;
    self->retired = node;
    self->retired_bytes += bytes;
    TALLY_EVENT(retired);
    if (++self->retired_count >= BATCH_NODES || self->retired_bytes >= BATCH_BYTES)
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE); /* handed over at the next safepoint */
}

/* Waits for a grace period of its own, then frees what it had not handed over. */
static void help(tally_thread_state *thread) {
    tally_retired *first = thread->exclusion.retired;
    thread->exclusion.retired = NULL;
    thread->exclusion.retired_count = thread->exclusion.retired_bytes = 0;
    QUIESCENT();
    urcu_qsbr_synchronize_rcu();
    GRACE_PERIOD_PASSED();
    TALLY_EVENT(grace_helped);
    free_list(first);
}

void tally_reclamation_safepoint(tally_thread_state *thread) {
    TALLY_POINT(quiescent);
    QUIESCENT();
    urcu_qsbr_quiescent_state();
    tally_exclusion_thread *self = &thread->exclusion;
    bool full = self->retired_count >= BATCH_NODES || self->retired_bytes >= BATCH_BYTES;
    if (full && atomic_load_explicit(&rcu.waiting_bytes, memory_order_relaxed) + self->retired_bytes > LIMIT_BYTES && !thread->critical)
        help(thread);
    else if (full)
        tally_reclamation_flush(thread);
    free_ripe();
    /* seq_cst: the bit goes first, then the count is read; who hands over counts first and then sets the bit */
    tally_breaker_clear(thread, TALLY_BREAK_QUIESCE);
    if (atomic_load_explicit(&rcu.under_way, memory_order_seq_cst) ||
        self->retired_count >= BATCH_NODES || self->retired_bytes >= BATCH_BYTES)
        tally_breaker_set(thread, TALLY_BREAK_QUIESCE);
}

/* What is left in the slot goes with it to the next thread there. */
void tally_reclamation_detach(tally_thread_state *thread) {
    tally_reclamation_flush(thread);
    QUIESCENT();
    urcu_qsbr_unregister_thread();
}

/* The last thread: frees everything that waits, and what that retires. */
void tally_reclamation_drain(tally_thread_state *thread) {
    for (;;) {
        uint32_t used = atomic_load_explicit(&tally_process.slots_used, memory_order_acquire);
        bool any = false;
        for (uint32_t id = 1; id <= used; id++) {
            tally_thread_state *slot = tally_thread_slot(id);
            if (!slot || !slot->exclusion.retired) continue;
            any = true;
            tally_reclamation_flush(slot);
            if (slot->exclusion.retired) help(slot);
        }
        if (!any && !atomic_load_explicit(&rcu.under_way, memory_order_seq_cst)) return;
        tally_reclamation_offline(); /* or the grace period would wait for this thread */
        pthread_mutex_lock(&rcu.mutex);
        while (rcu.queue || rcu.busy) pthread_cond_wait(&rcu.changed, &rcu.mutex);
        pthread_mutex_unlock(&rcu.mutex);
        tally_reclamation_online();
        free_ripe();
        tally_counts_safepoint(thread);
    }
}

/* Nobody is attached. What the last detach retired is pools and blocks, which go with the region. */
void tally_reclamation_end(void) {
    pthread_mutex_lock(&rcu.mutex);
    rcu.ending = true;
    pthread_cond_broadcast(&rcu.changed);
    pthread_mutex_unlock(&rcu.mutex);
    pthread_join(rcu.thread, NULL);
    /* acquire: pairs with wait_for_grace_periods */
    batch *b = atomic_exchange_explicit(&rcu.ripe, NULL, memory_order_acquire);
    for (batch *next; b; b = next) {
        next = b->next;
        free(b);
    }
    atomic_store_explicit(&rcu.under_way, 0, memory_order_relaxed);
    atomic_store_explicit(&rcu.waiting_bytes, 0, memory_order_relaxed);
}
