/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * thread_status.c: whether a thread is running, blocked, or claimed by another thread while it is
 * blocked. A thread in a blocked region never comes to a safepoint; its status lets others merge
 * for it and stop the world without it.
 *
 *            blocked region, or a safepoint while the world is to stop
 *   RUNNING ---------------------------------------------------------> BLOCKED
 *           <---------------------------------------------------------   |  ^
 *            the thread itself, not while the world is to stop           v  |
 *                                                                      CLAIMED
 *            by a thread that merges for it (short), or that stops the world
 *
 * Invariants:
 *  - A thread leaves RUNNING and BLOCKED by itself only. The claimer ends CLAIMED.
 *  - An attached thread that waits for anything is BLOCKED meanwhile.
 */
#define _GNU_SOURCE
#include "world.h"
#include <sched.h>

/* seq_cst, all of it: the thread stores its status, then reads the queue and `stopping`; others
 * store those, then read the status. One of the two sees the other. */
void tally_become_blocked(tally_thread_state *thread, const char *doing) {
    TALLY_CHECKED(tally_check_may_wait());
    tally_turns_leave(thread);
    tally_reclaim_offline(thread);
    tally_store_relaxed(&thread->locking.doing, doing);
    thread->locking.left_at = tally_trace_begin();
    TALLY_FAILPOINT(blocking);
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
    TALLY_FAILPOINT(blocked);
    if (tally_load_seq_cst(&tally_world.stopping)) {
        pthread_mutex_lock(&tally_world.mutex);
        pthread_cond_broadcast(&tally_world.parked);
        pthread_mutex_unlock(&tally_world.mutex);
    }
}

static void become_running(tally_thread_state *thread, bool parked) {
    bool waited = false; /* at most once: the next stop waits for this thread */
    for (;;) {
        if (!waited && tally_world_has_to_wait(parked))
            waited = tally_world_wait_for_resume(parked);
        int expected = TALLY_BLOCKED;
        TALLY_FAILPOINT(running);
        /* seq_cst: acquire pairs with the end of a claim */
        if (tally_cas_seq_cst(&thread->status, &expected, TALLY_RUNNING)) break;
        TALLY_FAILPOINT(running_claimed);
        sched_yield(); /* a claim to merge is short */
    }
    if (waited) tally_world_has_resumed();
    tally_trace_end(TALLY_TRACK_THREAD, tally_load_relaxed(&thread->locking.doing),
                    thread->locking.left_at);
    tally_reclaim_online(thread);
}
void tally_become_running(tally_thread_state *thread) { become_running(thread, false); }

bool tally_claim(tally_thread_state *thread) {
    int expected = TALLY_BLOCKED;
    /* seq_cst: acquire pairs with the thread's store of blocked */
    return tally_cas_seq_cst(&thread->status, &expected, TALLY_CLAIMED);
}
void tally_claim_end(tally_thread_state *thread) {
    /* seq_cst: release pairs with become_running */
    tally_store_seq_cst(&thread->status, TALLY_BLOCKED);
}

/* ---- waits --------------------------------------------------------------- */

/* Objects that died in the queue are destroyed at the thread's next safepoint. */
void tally_wait_begin(tally_thread_state *thread, const char *doing) {
    tally_reclaim_flush(thread);
    for (;;) {
        tally_refcount_merge_later(thread);
        tally_become_blocked(thread, doing);
        if (!tally_refcount_pending(thread)) return;
        tally_become_running(thread);
    }
}
void tally_wait_end(void) { tally_become_running(tally_thread_current()); }

/* Critical sections are suspended last: finalizers that run here may have sections of their own,
 * the ends of which resume the program's sections. */
void tally_blocking_begin(void) {
    tally_thread_require();
    tally_thread_state *thread = tally_thread_current();
    if (TALLY_UNLIKELY(tally_load_relaxed(&thread->status) != TALLY_RUNNING))
        tally_fatal(NULL, "a blocked region was begun inside another");
    TALLY_ENDS_BORROWS();
    for (;;) {
        do {
            tally_drop_kept(thread);
            tally_reclaim_before_blocking(thread);
            tally_refcount_safepoint(thread);
        } while (tally_keeps_any(thread) || tally_refcount_dealloc_pending(thread));
        tally_critical_suspend(thread);
        tally_reclaim_flush(thread);
        thread->away = true;
        thread->away_since = tally_now_coarse();
        TALLY_DEBUG_ONLY(thread->region_begun = tally_debug_stack());
        tally_become_blocked(thread, "in a blocked region");
        if (!tally_refcount_pending(thread)) return;
        tally_become_running(thread);
        thread->away = false;
    }
}
void tally_blocking_end(void) {
    tally_thread_require();
    if (TALLY_UNLIKELY(tally_load_relaxed(&tally_thread_current()->status) == TALLY_RUNNING))
        tally_fatal(NULL, "a blocked region was ended that was not begun");
    tally_wait_end();
    tally_thread_current()->away = false;
    tally_critical_resume(tally_thread_current());
}

void tally_thread_list_lock(void) {
    if (pthread_mutex_trylock(&tally_process.thread_list) == 0) return;
    tally_thread_state *thread = tally_thread_current();
    tally_become_blocked(thread, "waiting to attach, detach or merge");
    pthread_mutex_lock(&tally_process.thread_list);
    tally_become_running(thread);
}

const char tally_parked[] = "parked at a safepoint";

/* ---- hooks of a thread and of the run time -------------------------------- */

void tally_locking_safepoint(tally_thread_state *thread) {
    /* What it has dropped is pushed first: it may be so much that the thread has to wait here. */
    if (tally_load_relaxed(&thread->head.breaker) & TALLY_BREAK_MERGE) tally_refcount_push(thread);
    if (tally_world_has_to_wait(true)) {
        tally_become_blocked(thread, tally_parked);
        become_running(thread, true);
    }
    tally_turns_safepoint(thread);
    tally_reclaim_safepoint(thread);
}

void tally_locking_attach(tally_thread_state *thread) {
    tally_locks_attach(&thread->locking);
    tally_reclaim_attach(thread);
    tally_breaker_set(thread, TALLY_BREAK_QUIESCE); /* a grace period may be under way */
}
void tally_locking_detach(tally_thread_state *thread) {
    tally_kept_locks_give_up(thread); /* while the objects' memory cannot go */
    tally_reclaim_detach(thread);
    tally_store_relaxed(&thread->locking.contended_at, 0);
    tally_turns_leave(thread);
}

int tally_locking_start(void) {
    tally_locks_start();
    tally_per_thread_start();
    tally_turns_start();
    return 0;
}
void tally_locking_end(void) { tally_reclaim_end(); }
void tally_locking_after_fork(void) {
    tally_turns_start();
    tally_locks_start(); /* membarrier is registered per process */
}

/* By the last thread, before the end: frees the whole backlog. */
void tally_locking_drain(tally_thread_state *thread) { tally_reclaim_drain(thread); }
