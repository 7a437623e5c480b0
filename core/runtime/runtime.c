/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * runtime.c: the run time starts and ends; threads attach to a slot and leave
 * it; the process forks; statistics are summed. runtime.h states what a slot is.
 *
 * Invariants:
 *  - A thread attaches under the registration lock, while the phase is TALLY_ON. tally_finish sets
 * TALLY_ENDING under the same lock when no other thread is attached. So from then on the ending
 * thread is the only one, and what it frees is looked at by nobody. tally_init needs TALLY_OFF,
 * which is set when all is gone.
 *  - A thread that is not attached comes to tally_thread_require before it touches anything that
 * may be gone.
 */
#include "gc/collector.h"
#include <stdio.h>

struct tally_process tally_process = {.thread_list = PTHREAD_MUTEX_INITIALIZER};

/* What unattached threads have: every safepoint goes to the slow path, which says so;
 * without a GIL every allocation too, since no pool has a free block. */
static tally_thread_state unattached = {
    .head = {.breaker = TALLY_BREAK_UNATTACHED, .id = TALLY_OWNER_UNATTACHED}};
_Thread_local struct tally_self tally_self
    __attribute__((tls_model("initial-exec"))) = {&unattached.head, TALLY_OWNER_UNATTACHED};
__attribute__((constructor)) static void start_unattached(void) {
    tally_heap_start(&unattached.heap, 0);
}

tally_object tally_singletons[3] = {
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_NONE, 0, 0},
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_BOOL, 0, 0},
    {TALLY_REFCOUNT_IMMORTAL, TALLY_TYPE_BOOL, 0, 0},
};

void tally_fatal(tally_object *object, const char *what) {
    char thread[24] = "(not attached)";
    if (tally_self.id != TALLY_OWNER_UNATTACHED)
        snprintf(thread, sizeof thread, "%u", tally_self.id);
    if (object)
        fprintf(stderr, "tally: %s: object %p of type %s, thread %s\n", what, (void *)object,
                tally_types[object->type].name ? tally_types[object->type].name : "(none)", thread);
    else
        fprintf(stderr, "tally: %s, thread %s\n", what, thread);
    abort();
}

static const char forked[] =
    "this process was forked while other threads were attached, so it can't use the run time";

void tally_thread_require(void) {
    if (TALLY_LIKELY(tally_self.thread != &unattached.head)) return;
    if (tally_load_relaxed(&tally_process.orphaned)) tally_fatal(NULL, forked);
    tally_fatal(NULL, "a function of tally.h was called by a thread that is not attached");
}

static int phase(void) { return tally_load_relaxed(&tally_process.phase); }
/* Registration lock held. */
static void set_phase(enum tally_phase phase) { tally_store_relaxed(&tally_process.phase, phase); }

/* Sets the error of who wanted another phase; -1. */
static int wrong_phase(int is) {
    static const char *const why[] = {"is not started: call tally_init first", "is being started",
                                      "is started already", "is ending"};
    if (tally_load_relaxed(&tally_process.orphaned))
        tally_error_set(TALLY_RUNTIME_ERROR, "%s", forked);
    else
        tally_error_set(TALLY_RUNTIME_ERROR, "the run time %s", why[is]);
    return -1;
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

/* ---- attach and detach -------------------------------------------------- */

/* Registration lock held: a vacant slot, the lowest first, since its heap may have memory. */
static tally_thread_state *slot_take(void) {
    uint32_t used = tally_load_relaxed(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_thread_slot(id);
        if (tally_load_relaxed(&thread->status) == TALLY_VACANT) return thread;
    }
    if (used + 1 >= TALLY_MAX_THREADS) return NULL;
    tally_thread_state *thread = aligned_alloc(64, (sizeof *thread + 63) & ~(size_t)63);
    if (!thread) return NULL;
    memset(thread, 0, sizeof *thread);
    thread->head.id = used + 1;
    tally_heap_start(&thread->heap, used + 1);
    /* release: pairs with tally_thread_slot */
    tally_store_release(&tally_process.slots[used + 1], thread);
    /* seq_cst: before it looks at what is under way; pairs with those who set a bit in every slot
     */
    tally_store_seq_cst(&tally_process.slots_used, used + 1);
    return thread;
}

/* By a thread of its own, or by the one that starts the run time. */
static int attach(enum tally_phase wanted) {
    if (tally_self.thread != &unattached.head) {
        tally_error_set(TALLY_RUNTIME_ERROR, "this thread is attached already");
        return -1;
    }
    TALLY_FAILPOINT(attach);
    pthread_mutex_lock(&tally_process.thread_list);
    int is = phase();
    if (is != (int)wanted || tally_load_relaxed(&tally_process.orphaned)) {
        pthread_mutex_unlock(&tally_process.thread_list);
        return wrong_phase(is);
    }
    tally_thread_state *thread = slot_take();
    if (thread) {
        /* Only what a part will clear again: a bit that stays sends every safepoint to the slow
         * path. */
        tally_store_relaxed(&thread->head.breaker,
                            TALLY_REFCOUNT_HAVE_OWNERS ? TALLY_BREAK_MERGE : 0);
        thread->critical = NULL;
        thread->mutexes_held = 0;
        thread->collection_put_off = false;
        tally_refcount_attach(thread);
        tally_heap_attach(&thread->heap);
        tally_self.thread = &thread->head;
        tally_self.id = (uint16_t)thread->head.id;
        /* seq_cst: as every change of a status */
        tally_store_seq_cst(&thread->status, TALLY_RUNNING);
        tally_add_relaxed(&tally_process.attached, 1);
    }
    pthread_mutex_unlock(&tally_process.thread_list);
    if (!thread) {
        tally_error_set(TALLY_MEMORY_ERROR, "no room for another thread");
        return -1;
    }
    TALLY_FAILPOINT(attached);
    tally_locking_attach(thread);
    return 0;
}

int tally_thread_attach(void) { return attach(TALLY_ON); }

static bool runs(tally_thread_state *thread) {
    return tally_load_relaxed(&thread->status) == TALLY_RUNNING;
}

void tally_thread_detach(void) {
    tally_thread_require();
    tally_thread_state *thread = tally_thread_current();
    if (!runs(thread)) tally_fatal(NULL, "a thread detached in a blocking region");
    if (thread->collecting) tally_fatal(NULL, "a thread detached inside a collection");
    if (thread->dealloc_depth)
        tally_fatal(NULL, "a thread detached in a finalizer or a callback of a weak reference");
    if (thread->critical)
        tally_fatal(thread->critical->first, "a thread detached inside a critical section");
    tally_safepoint(); /* what it has retired */
    for (;;) {
        do {
            tally_drop_kept(thread);
            tally_refcount_safepoint(thread); /* may run finalizers, which may queue more */
        } while (tally_keeps_any(thread));
        TALLY_FAILPOINT(detach);
        if (tally_heap_current() == &thread->heap)
            tally_heap_drain(&thread->heap); /* here, where nobody waits for the lock */
        tally_thread_list_lock();
        TALLY_FAILPOINT(queue_close);
        if (tally_refcount_detach(thread)) break;
        pthread_mutex_unlock(&tally_process.thread_list);
    }
    if (tally_heap_current() == &thread->heap) tally_heap_detach(&thread->heap);
    tally_locking_detach(thread);
    tally_store_seq_cst(&thread->status, TALLY_VACANT);
    tally_self.thread = &unattached.head;
    tally_self.id = TALLY_OWNER_UNATTACHED;
    tally_sub_relaxed(&tally_process.attached, 1);
    pthread_mutex_unlock(&tally_process.thread_list);
}

typedef struct start {
    tally_thread *thread;
    pthread_mutex_t mutex;
    pthread_cond_t done;
    int result;
    tally_pending_error error; /* why it could not attach */
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

/* Returns once the thread is attached, so that a failure to attach is this call's. */
int tally_thread_start(tally_thread *thread, void (*run)(void *), void *argument) {
    tally_thread_require();
    if (!thread || !run) {
        tally_error_set(TALLY_VALUE_ERROR, "a thread needs a place and a function");
        return -1;
    }
    start s = {
        .thread = thread, .mutex = PTHREAD_MUTEX_INITIALIZER, .done = PTHREAD_COND_INITIALIZER};
    thread->run = run;
    thread->argument = argument;
    int failed = pthread_create(&thread->handle, NULL, thread_main, &s);
    if (failed) {
        tally_error_set(TALLY_RUNTIME_ERROR, "no thread to be had: %s", strerror(failed));
        return -1;
    }
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
    if (!thread) {
        tally_error_set(TALLY_VALUE_ERROR, "no thread to join");
        return -1;
    }
    tally_blocking_begin();
    int failed = pthread_join(thread->handle, NULL);
    tally_blocking_end();
    if (failed) {
        tally_error_set(TALLY_RUNTIME_ERROR, "cannot join: %s", strerror(failed));
        return -1;
    }
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

/* ---- fork ---------------------------------------------------------------- */

/*
 * The child has the calling thread only. If that was the only one attached (or none was), the run
 * time is whole: it is locked before, so that no other thread is inside, and unlocked in both
 * processes. If not, locks may be held and objects half changed for ever: the child cannot use it.
 * What the child runs next is up to the program, often exec; so that is said when it calls.
 */
static struct { bool alone, reader; } fork_;

static void before_fork(void) {
    bool attached = tally_self.thread != &unattached.head;
    fork_.reader = attached && runs(tally_thread_current());
    if (fork_.reader)
        tally_thread_list_lock();
    else
        pthread_mutex_lock(&tally_process.thread_list);
    uint32_t threads = tally_load_relaxed(&tally_process.attached);
    fork_.alone =
        phase() == TALLY_OFF || (threads == attached && (attached || phase() == TALLY_ON));
    if (fork_.alone && phase() != TALLY_OFF) tally_locking_before_fork(fork_.reader);
}
static void after_fork(bool child) {
    if (fork_.alone && phase() != TALLY_OFF) tally_locking_after_fork(fork_.reader, child);
    if (child && !fork_.alone) {
        tally_store_relaxed(&tally_process.orphaned, true);
        tally_self.thread = &unattached.head;
        tally_self.id = TALLY_OWNER_UNATTACHED;
        tally_locking_orphan();
    }
    pthread_mutex_unlock(&tally_process.thread_list);
}
static void after_fork_in_parent(void) { after_fork(false); }
static void after_fork_in_child(void) { after_fork(true); }

/* Once a process; handlers can't be taken back. */
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

/* Nobody is attached, nor can attach: all that tally_init has made goes. The slots too: their heaps
 * know pools that are gone. */
static void dealloc_all(void) {
    tally_contention_end();
    tally_trace_end_all();
    tally_locking_end();
    tally_interned_end();
    tally_values_end();
    tally_types_end();
    tally_collector_end();
    tally_memory_end();
    uint32_t used = tally_load_relaxed(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_state *thread = tally_load_relaxed(&tally_process.slots[id]);
        free((void *)tally_load_relaxed(&thread->head.refcount.per_thread));
        free(thread);
        tally_store_relaxed(&tally_process.slots[id], NULL);
    }
    tally_store_relaxed(&tally_process.slots_used, 0);
    TALLY_FAILPOINT(ended);
    is_off();
}

/* Registration lock held meanwhile, so that of two that start it one gets an error. */
static int begin_start(void) {
    if (watch_forks() != 0) return tally_no_memory();
    pthread_mutex_lock(&tally_process.thread_list);
    int is = phase();
    bool may = is == TALLY_OFF && !tally_load_relaxed(&tally_process.orphaned);
    if (may) set_phase(TALLY_STARTING);
    pthread_mutex_unlock(&tally_process.thread_list);
    return may ? 0 : wrong_phase(is);
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
    if (tally_collector_start() == 0 && attach(TALLY_STARTING) == 0) {
        if (tally_types_start() == 0 && tally_values_start() == 0 && tally_gc_start() == 0) {
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

/* From a success on nobody can attach. */
static int begin_end(tally_thread_state *self) {
    const char *where = !runs(self)           ? "a blocking region"
                        : self->collecting    ? "a collection"
                        : self->critical      ? "a critical section"
                        : self->dealloc_depth ? "a finalizer or a callback"
                                              : NULL;
    if (where) {
        tally_error_set(TALLY_RUNTIME_ERROR, "the run time cannot end in %s", where);
        return -1;
    }
    tally_thread_list_lock();
    uint32_t others = tally_load_relaxed(&tally_process.attached) - 1;
    int is = phase();
    if (is == TALLY_ON && !others) set_phase(TALLY_ENDING);
    pthread_mutex_unlock(&tally_process.thread_list);
    if (is != TALLY_ON) return wrong_phase(is);
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
    /* Classes hold attributes, which may hold classes: until nothing more goes. */
    while (tally_classes_sweep()) tally_locking_drain(self);
    tally_interned_keep(); /* not counted */
    tally_memory_each_object(TALLY_PLAIN, count_object, &live);
    tally_memory_each_object(TALLY_CONTAINERS, count_object, &live);
    tally_thread_detach();
    dealloc_all();
    return live;
}

const char *tally_backend(void) { return TALLY_BACKEND_NAME; }
size_t tally_header_size(bool container) {
    return container ? sizeof(tally_container) : sizeof(tally_object);
}

/* ---- statistics --------------------------------------------------------- */

static void require(const void *place, const char *function) {
    tally_thread_require();
    if (!place) tally_fatal(NULL, function);
}

void tally_stats(tally_stats_result *result) {
    require(result, "tally_stats: NULL, where a place for the result is due");
    memset(result, 0, sizeof *result);
#ifdef TALLY_COUNT_EVENTS
    result->detailed = true;
#endif
    uint32_t used = tally_load_acquire(&tally_process.slots_used);
    for (uint32_t id = 1; id <= used; id++) {
        tally_thread_head *head = &tally_thread_slot(id)->head;
#define SUM(name) result->name += tally_load_relaxed(&head->events[TALLY_EVENT_##name]);
        TALLY_STATS_CHEAP(SUM)
        TALLY_STATS_DETAILED(SUM)
#undef SUM
    }
    size_t waiting, waiting_most, merge_queued, merge_queued_most;
    tally_reclaim_backlog(&waiting, &waiting_most);
    tally_refcount_queued_bytes(&merge_queued, &merge_queued_most);
    result->waiting = waiting;
    result->waiting_most = waiting_most;
    result->merge_queued = merge_queued;
    result->merge_queued_most = merge_queued_most;
}

/*
 * Rows are found by a hash of type and owner, so that a census takes time in proportion to the
 * objects, however many types there are. Nothing is allocated while the world is stopped: a census
 * that has too little room is taken again with more. `at` has twice as many places as there may be
 * rows: a row's number, counted from 1; 0: none.
 */
typedef struct census {
    tally_census_row *rows;
    uint64_t *keys;
    uint32_t *at;
    size_t count, room;
    bool full;
} census;

static void census_visit(tally_object *object, void *context) {
    census *c = context;
    if (c->full || tally_is_immortal(object)) return;
    unsigned owner = tally_refcount_owner(&object->refcount);
    uint64_t key = (uint64_t)object->type << 32 | owner;
    size_t mask = 2 * c->room - 1, i = (size_t)((key * UINT64_C(0x9e3779b97f4a7c15)) >> 32) & mask;
    while (c->at[i] && c->keys[c->at[i] - 1] != key) i = (i + 1) & mask;
    if (!c->at[i]) {
        c->full = c->count == c->room;
        if (c->full) return;
        c->keys[c->count] = key;
        c->rows[c->count] =
            (tally_census_row){.type = tally_type_entry(object)->name, .owner = owner};
        c->at[i] = (uint32_t)++c->count;
    }
    tally_census_row *row = &c->rows[c->at[i] - 1];
    row->objects++;
    row->bytes += tally_size_locked(object);
}

static void census_free(census *c) {
    free(c->rows);
    free(c->keys);
    free(c->at);
}
/* room: a power of two. False: no memory. */
static bool census_take(census *c, size_t room) {
    *c = (census){.room = room};
    c->rows = malloc(room * sizeof *c->rows);
    c->keys = malloc(room * sizeof *c->keys);
    c->at = calloc(2 * room, sizeof *c->at);
    if (!c->rows || !c->keys || !c->at) {
        census_free(c);
        return false;
    }
    tally_stop_the_world();
    tally_memory_each_object(TALLY_PLAIN, census_visit, c);
    tally_memory_each_object(TALLY_CONTAINERS, census_visit, c);
    tally_resume_the_world();
    return true;
}

int tally_heap_census(tally_census_row **rows, size_t *count) {
    tally_thread_require();
    if (!rows || !count) {
        tally_error_set(TALLY_VALUE_ERROR, "a census needs places for its rows and their number");
        return -1;
    }
    census c;
    for (size_t room = 1024;; room *= 4) {
        if (!census_take(&c, room)) return tally_no_memory();
        if (!c.full) break;
        census_free(&c);
    }
    *rows = c.rows;
    *count = c.count;
    c.rows = NULL;
    census_free(&c);
    return 0;
}

/* ---- mutex and condition ------------------------------------------------ */

static void require_mutex(const void *mutex) {
    if (!mutex) tally_fatal(NULL, "NULL, where a mutex or condition is due");
}

void tally_mutex_init(tally_mutex *mutex) {
    require_mutex(mutex);
    pthread_mutex_init(&mutex->handle, NULL);
}
/*
 * Held mutexes are counted, since a finalizer may want one that its own thread holds: no automatic
 * collection starts meanwhile. Waiting for a condition changes nothing: the mutex is held before
 * and after, and in between the thread is blocked. Unattached threads have no state of their own to
 * count in.
 */
static void count_mutex(int by) {
    if (TALLY_UNLIKELY(tally_self.thread == &unattached.head)) return;
    tally_thread_state *thread = tally_thread_current();
    /* Not below 0: it may have been locked before the thread attached. */
    if (by > 0 || thread->mutexes_held) thread->mutexes_held += (unsigned)by;
    if (TALLY_LIKELY(!thread->collection_put_off) || thread->mutexes_held) return;
    thread->collection_put_off = false;
    tally_collector_nudge();
}
void tally_mutex_lock(tally_mutex *mutex) {
    require_mutex(mutex);
    TALLY_ENDS_BORROWS();
    if (pthread_mutex_trylock(&mutex->handle) != 0) {
        tally_blocking_begin();
        pthread_mutex_lock(&mutex->handle);
        /* Before the region ends: what runs there runs with the mutex held. */
        count_mutex(1);
        tally_blocking_end();
        return;
    }
    count_mutex(1);
}
void tally_mutex_unlock(tally_mutex *mutex) {
    require_mutex(mutex);
    pthread_mutex_unlock(&mutex->handle);
    count_mutex(-1);
}
void tally_condition_init(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_init(&condition->handle, NULL);
}
void tally_condition_wait(tally_condition *condition, tally_mutex *mutex) {
    require_mutex(condition);
    require_mutex(mutex);
    tally_blocking_begin();
    pthread_cond_wait(&condition->handle, &mutex->handle);
    tally_blocking_end();
}
void tally_condition_signal(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_signal(&condition->handle);
}
void tally_condition_broadcast(tally_condition *condition) {
    require_mutex(condition);
    pthread_cond_broadcast(&condition->handle);
}
