/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * threads.c: threads attach to a slot and exit from it. layout/thread.h says what a slot is.
 *
 * Invariants:
 *  - A thread attaches under the thread-list lock, while the phase is TALLY_ON. tally_finish sets
 *    TALLY_ENDING under the same lock when no other thread is attached. From then on the ending
 *    thread is the only one, and no thread looks at memory that it frees. tally_init needs
 *    TALLY_OFF, which is set when all is freed.
 *  - A thread that is not attached comes to tally_thread_require before it touches anything that
 *    may be gone.
 */
#include "objects/object.h"
#include <stdio.h>

/* The state of all unattached threads. Every safepoint goes to the slow path, which reports the
 * missing attach; without a GIL every allocation does too, since no pool has a free block. */
static tally_thread_state unattached = {
    .head = {.breaker = TALLY_BREAK_UNATTACHED, .id = TALLY_OWNER_UNATTACHED}};
_Thread_local struct tally_self tally_self __attribute__((tls_model("initial-exec"))) = {
    .thread = &unattached.head, .id = TALLY_OWNER_UNATTACHED};
__attribute__((constructor)) static void start_unattached(void) {
    tally_heap_start(&unattached.heap, 0);
}

void tally_thread_forget(void) {
    tally_self.thread = &unattached.head;
    tally_self.id = TALLY_OWNER_UNATTACHED;
    memset(&tally_self.refcount, 0, sizeof tally_self.refcount);
}

void tally_fatal(tally_object *object, const char *what) {
    char thread[24] = "(not attached)";
    if (tally_self.id != TALLY_OWNER_UNATTACHED)
        snprintf(thread, sizeof thread, "%u", tally_self.id);
#ifdef TALLY_DEBUG
    const char *name = object ? tally_debug_type_name(object) : NULL;
#else
    const char *name = object ? tally_types[object->type].name : NULL;
#endif
    if (object)
        fprintf(stderr, "tally: %s: object %p of type %s, thread %s\n", what, (void *)object,
                name ? name : "(none)", thread);
    else
        fprintf(stderr, "tally: %s, thread %s\n", what, thread);
    TALLY_DEBUG_ONLY(tally_debug_describe(object));
    abort();
}

static const char forked[] =
    "this process was forked while other threads were attached, so it can't use the run time";

void tally_thread_require(void) {
    if (TALLY_LIKELY(tally_thread_is_attached())) return;
    if (tally_load_relaxed(&tally_process.orphaned)) tally_fatal(NULL, forked);
    int phase = tally_load_relaxed(&tally_process.phase);
    if (phase == TALLY_OFF)
        tally_fatal(NULL,
                    "a function of tally.h was called before tally_init or after tally_finish");
    tally_fatal(NULL, "a function of tally.h was called by a thread that is not attached");
}

int tally_wrong_phase(int is) {
    static const char *const why[] = {"is not started: call tally_init first", "is being started",
                                      "is started already", "is ending"};
    if (tally_load_relaxed(&tally_process.orphaned))
        return tally_fail(TALLY_RUNTIME_ERROR, "%s", forked);
    return tally_fail(TALLY_RUNTIME_ERROR, "the run time %s", why[is]);
}

void tally_check_may_wait(void) {
    if (tally_thread_current()->world_stopped)
        tally_fatal(NULL, "a thread that has stopped the world waits, or takes a lock");
}
void tally_check_may_run_foreign_code(void) {
    tally_check_may_wait();
    if (tally_thread_current()->plain_calls)
        tally_fatal(NULL, "foreign code starts in a call that runs none");
}

/* The thread-list lock is held: a vacant slot, the lowest first, since its heap may have memory. */
static tally_thread_state *slot_take(void) {
    tally_each_thread(vacant) {
        if (tally_load_relaxed(&vacant->status) == TALLY_VACANT) return vacant;
    }
    uint32_t used = tally_load_relaxed(&tally_process.slots_used);
    if (used + 1 >= TALLY_MAX_THREADS) return NULL;
    tally_thread_state *thread = aligned_alloc(64, (sizeof *thread + 63) & ~(size_t)63);
    if (!thread) return NULL;
    memset(thread, 0, sizeof *thread);
    thread->head.id = used + 1;
    tally_heap_start(&thread->heap, used + 1);
    /* release: pairs with tally_thread_slot */
    tally_store_release(&tally_process.slots[used + 1], thread);
    /* seq_cst: before the thread looks for work that is under way; pairs with threads that set a
     * bit in every slot */
    tally_store_seq_cst(&tally_process.slots_used, used + 1);
    return thread;
}

#ifdef TALLY_DEBUG
/* The destructor of this key runs in a thread that ends and has not detached. */
static pthread_key_t attached_key;
static void ended_attached(void *thread) {
    tally_fatal(NULL, "a thread has ended that is still attached: tally_thread_detach was due");
}
static void make_key(void) { pthread_key_create(&attached_key, ended_attached); }
static void note_attached(tally_thread_state *thread) {
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, make_key);
    pthread_setspecific(attached_key, thread);
}
#endif

int tally_attach(enum tally_phase wanted) {
    if (tally_thread_is_attached())
        return tally_fail(TALLY_RUNTIME_ERROR, "this thread is attached already");
    TALLY_FAILPOINT(attach);
    pthread_mutex_lock(&tally_process.thread_list);
    int is = tally_load_relaxed(&tally_process.phase);
    if (is != (int)wanted || tally_load_relaxed(&tally_process.orphaned)) {
        pthread_mutex_unlock(&tally_process.thread_list);
        return tally_wrong_phase(is);
    }
    tally_thread_state *thread = slot_take();
    if (thread) {
        /* Only bits that a part clears: one that stays sends every safepoint to the slow path. */
        tally_store_relaxed(&thread->head.breaker,
                            TALLY_REFCOUNT_HAVE_OWNERS ? TALLY_BREAK_MERGE : 0);
        thread->critical = NULL;
        thread->stack = __builtin_frame_address(0);
        thread->mutexes_held = 0;
        thread->collection_put_off = false;
        tally_refcount_attach(thread);
        tally_heap_attach(&thread->heap);
        tally_self.thread = &thread->head;
        tally_self.id = (uint16_t)thread->head.id;
        tally_class_refcounts_attach(thread);
        /* seq_cst: as every change of a status */
        tally_store_seq_cst(&thread->status, TALLY_RUNNING);
        tally_add_relaxed(&tally_process.attached, 1);
    }
    pthread_mutex_unlock(&tally_process.thread_list);
    if (!thread) return tally_fail(TALLY_MEMORY_ERROR, "no room for another thread");
    TALLY_FAILPOINT(attached);
    TALLY_DEBUG_ONLY(note_attached(thread));
    tally_locking_attach(thread);
    return 0;
}

int tally_thread_attach(void) { return tally_attach(TALLY_ON); }

void tally_thread_detach(void) {
    tally_thread_require();
    tally_thread_state *thread = tally_thread_current();
    if (!tally_thread_runs(thread)) tally_fatal(NULL, "a thread detached in a blocked region");
    if (thread->collecting) tally_fatal(NULL, "a thread detached inside a collection");
    if (thread->dealloc_depth)
        tally_fatal(NULL, "a thread detached in a finalizer or a callback of a weak reference");
    if (thread->critical)
        tally_fatal(thread->critical->first, "a thread detached inside a critical section");
    /* Without a GIL memory that it has retired may have to wait, however little it is: the next
     * thread in the slot would retire as much again. */
    if (TALLY_LOCK_FREE_READS) {
        tally_blocking_begin();
        tally_blocking_end();
    } else {
        tally_safepoint();
    }
    for (;;) {
        do {
            tally_drop_kept(thread);
            tally_refcount_safepoint(thread); /* finalizers may queue more */
        } while (tally_keeps_any(thread));
        TALLY_FAILPOINT(detach);
        /* here, where no thread waits for the thread-list lock */
        if (tally_heap_current() == &thread->heap) tally_heap_drain(&thread->heap);
        tally_thread_list_lock();
        TALLY_FAILPOINT(queue_close);
        if (tally_refcount_detach(thread)) break;
        pthread_mutex_unlock(&tally_process.thread_list);
    }
    if (tally_heap_current() == &thread->heap) tally_heap_detach(&thread->heap);
    tally_collector_detach(thread);
    tally_locking_detach(thread);
    tally_store_seq_cst(&thread->status, TALLY_VACANT);
    TALLY_DEBUG_ONLY(note_attached(NULL));
    tally_thread_forget();
    tally_sub_relaxed(&tally_process.attached, 1);
    pthread_mutex_unlock(&tally_process.thread_list);
}

typedef struct start {
    tally_thread *thread;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int result;
    /* Why it could not attach. */
    tally_pending_error error;
} start;

static void *thread_main(void *argument) {
    start *s = argument;
    tally_thread *thread = s->thread;
    int result = tally_thread_attach() == 0 ? 1 : -1;
    pthread_mutex_lock(&s->mutex);
    s->result = result;
    if (result < 0) tally_error_put_aside(&s->error);
    pthread_cond_signal(&s->done);
    pthread_mutex_unlock(&s->mutex);
    if (result == 1) {
        thread->run(thread->argument);
        tally_thread_detach();
    }
    return NULL;
}

/* Returns once the thread is attached, so a failure to attach is this call's error. */
int tally_thread_start(tally_thread *thread, void (*run)(void *), void *argument) {
    tally_thread_require();
    if (!thread || !run)
        return tally_fail(TALLY_VALUE_ERROR, "a thread needs a place and a function");
    start s = {
        .thread = thread, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    thread->run = run;
    thread->argument = argument;
    int failed = pthread_create(&thread->handle, NULL, thread_main, &s);
    if (failed) return tally_fail(TALLY_RUNTIME_ERROR, "no thread to be had: %s", strerror(failed));
    tally_blocking_begin();
    pthread_mutex_lock(&s.mutex);
    while (s.result == 0) pthread_cond_wait(&s.done, &s.mutex);
    pthread_mutex_unlock(&s.mutex);
    if (s.result < 0) pthread_join(thread->handle, NULL);
    tally_blocking_end();
    if (s.result < 0) {
        tally_error_put_back(&s.error);
        return -1;
    }
    return 0;
}

int tally_thread_join(tally_thread *thread) {
    tally_thread_require();
    if (!thread) return tally_fail(TALLY_VALUE_ERROR, "no thread to join");
    tally_blocking_begin();
    int failed = pthread_join(thread->handle, NULL);
    tally_blocking_end();
    if (failed) return tally_fail(TALLY_RUNTIME_ERROR, "cannot join: %s", strerror(failed));
    return 0;
}

void tally_safepoint_slow(void) {
    tally_thread_require();
    tally_thread_state *thread = tally_thread_current();
    TALLY_FAILPOINT(safepoint);
    TALLY_ENDS_BORROWS();
    tally_drop_kept(thread);
    uint64_t begin = tally_trace_begin();
    tally_locking_safepoint(thread);
    if (tally_load_relaxed(&thread->head.breaker) & TALLY_BREAK_MERGE)
        tally_refcount_safepoint(thread);
    tally_trace_end(TALLY_TRACK_THREAD, "safepoint", begin);
}
