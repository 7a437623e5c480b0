/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* start.c: the run time starts and ends, and the process forks. */
#include "gc/collector.h"

struct tally_process tally_process = {.thread_list = PTHREAD_MUTEX_INITIALIZER};

static int phase(void) { return tally_load_relaxed(&tally_process.phase); }
/* The thread-list lock is held. */
static void set_phase(enum tally_phase phase) { tally_store_relaxed(&tally_process.phase, phase); }

/* ---- fork ---------------------------------------------------------------- */

/*
 * The child has the calling thread only. If no other thread was attached, the run time is whole
 * there: it is locked before the fork, so that no other thread is inside, and unlocked in both
 * processes. Otherwise locks may be held and objects half changed for ever, and the child cannot
 * use it. The child often runs exec next, so it gets a message only when it calls.
 */
static bool forks_alone;

static void before_fork(void) {
    bool attached = tally_thread_is_attached();
    if (attached && tally_thread_runs(tally_thread_current()))
        tally_thread_list_lock();
    else
        pthread_mutex_lock(&tally_process.thread_list);
    uint32_t threads = tally_load_relaxed(&tally_process.attached);
    forks_alone =
        phase() == TALLY_OFF || (threads == attached && (attached || phase() == TALLY_ON));
}
static void after_fork(bool child) {
    if (child && forks_alone && phase() != TALLY_OFF) tally_locking_after_fork();
    if (child && !forks_alone) {
        tally_store_relaxed(&tally_process.orphaned, true);
        tally_thread_forget();
        tally_locking_orphan();
    }
    pthread_mutex_unlock(&tally_process.thread_list);
}
static void after_fork_in_parent(void) { after_fork(false); }
static void after_fork_in_child(void) { after_fork(true); }

/* Once per process: handlers cannot be removed. */
static int watch_forks(void) {
    static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static bool watched;
    pthread_mutex_lock(&mutex);
    watched =
        watched || pthread_atfork(before_fork, after_fork_in_parent, after_fork_in_child) == 0;
    bool result = watched;
    pthread_mutex_unlock(&mutex);
    return result ? 0 : -1;
}

/* ---- start and end ------------------------------------------------------ */

static void is_off(void) {
    pthread_mutex_lock(&tally_process.thread_list);
    set_phase(TALLY_OFF);
    pthread_mutex_unlock(&tally_process.thread_list);
}

/* No thread is attached or can attach. All that tally_init has made is freed, the slots too: their
 * heaps know pools that are gone. */
static void dealloc_all(void) {
    tally_heap_profile_end();
    tally_contention_end();
    tally_trace_end_all();
    tally_locking_end();
    tally_interned_end();
    tally_types_end();
    tally_collector_end();
    tally_memory_end();
    uint32_t used = tally_load_relaxed(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_load_relaxed(&tally_process.slots[id]);
        tally_class_refcounts_free(thread);
        free(thread);
        tally_store_relaxed(&tally_process.slots[id], NULL);
    }
    tally_store_relaxed(&tally_process.slots_used, 0);
    TALLY_FAILPOINT(ended);
    is_off();
}

/* The thread-list lock makes one of two threads that start the run time fail. */
static int begin_start(void) {
    if (watch_forks() != 0) return tally_no_memory();
    pthread_mutex_lock(&tally_process.thread_list);
    int is = phase();
    bool may = is == TALLY_OFF && !tally_load_relaxed(&tally_process.orphaned);
    if (may) set_phase(TALLY_STARTING);
    pthread_mutex_unlock(&tally_process.thread_list);
    return may ? 0 : tally_wrong_phase(is);
}

int tally_init(const tally_options *options) {
    if (begin_start() < 0) return -1;
    tally_process.options = options ? *options : (tally_options){0};
    if (tally_memory_start() != 0) {
        is_off();
        return tally_no_memory();
    }
    tally_contention_start();
    if (tally_locking_start() != 0) {
        tally_contention_end();
        tally_memory_end();
        is_off();
        return tally_no_memory();
    }
    if (tally_collector_start() == 0 && tally_attach(TALLY_STARTING) == 0) {
        if (tally_types_start() == 0 && tally_gc_start() == 0) {
            pthread_mutex_lock(&tally_process.thread_list);
            set_phase(TALLY_ON);
            pthread_mutex_unlock(&tally_process.thread_list);
            return 0;
        }
        tally_thread_detach();
    }
    dealloc_all();
    return tally_no_memory();
}

static void count_object(tally_object *object, void *count) {
    if (!tally_is_immortal(object) && !tally_class_is_unused(object)) ++*(ptrdiff_t *)count;
}

/* From a success on no thread can attach. */
static int begin_end(tally_thread_state *self) {
    const char *where = !tally_thread_runs(self) ? "a blocked region"
                        : self->collecting       ? "a collection"
                        : self->critical         ? "a critical section"
                        : self->dealloc_depth    ? "a finalizer or a callback"
                                                 : NULL;
    if (where) return tally_fail(TALLY_RUNTIME_ERROR, "the run time cannot end in %s", where);
    tally_thread_list_lock();
    uint32_t others = tally_load_relaxed(&tally_process.attached) - 1;
    int is = phase();
    if (is == TALLY_ON && !others) set_phase(TALLY_ENDING);
    pthread_mutex_unlock(&tally_process.thread_list);
    if (is != TALLY_ON) return tally_wrong_phase(is);
    if (others) tally_error_set(TALLY_RUNTIME_ERROR, "%u other threads are still attached", others);
    return others ? -1 : 0;
}

ptrdiff_t tally_finish(void) {
    tally_thread_require();
    tally_thread_state *self = tally_thread_current();
    if (begin_end(self) < 0) return -1;
    TALLY_FAILPOINT(ending);
    ptrdiff_t live = 0;
    tally_drop_kept(self);
    tally_gc_end();
    tally_locking_drain(self);
    /* Classes hold attributes, which may hold classes: repeat until no more are freed. */
    while (tally_classes_sweep()) tally_locking_drain(self);
    tally_interned_keep(); /* not counted */
    tally_memory_each_object(count_object, &live);
    if (live) TALLY_DEBUG_ONLY(tally_debug_report_leaks());
    tally_thread_detach();
    dealloc_all();
    return live;
}

const char *tally_backend(void) { return TALLY_BACKEND_NAME; }
size_t tally_header_size(bool container) {
    return container ? sizeof(tally_container) : sizeof(tally_object);
}
