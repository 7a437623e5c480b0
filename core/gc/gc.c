/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* gc.c: the gc interface on any collector: settings, callbacks, statistics, debug output; and the
 * steps of a collection that run foreign code. */
#include "collector.h"
#include <limits.h>
#include <stdio.h>

struct tally_gc tally_gc;

/*
 * Callbacks are read and changed under the lock and called without it, so a callback may add and
 * remove callbacks, itself included. The array is in the order of serial numbers. A round of calls
 * goes by number, not by index: it calls the callbacks that were there when it began and are there
 * when their turn comes.
 */
typedef struct registered {
    tally_gc_callback callback;
    void *context;
    uint64_t serial;
} registered;
static struct {
    pthread_mutex_t lock;
    registered at[16];
    unsigned count;
    uint64_t last_serial;
} callbacks = {.lock = PTHREAD_MUTEX_INITIALIZER};

int tally_gc_start(void) {
    static const int thresholds[3] = {700, 10, 10};
    for (int i = 0; i < 3; i++) {
        tally_store_relaxed(&tally_gc.threshold[i], thresholds[i]);
        tally_store_relaxed(&tally_gc.collections[i], 0);
        tally_store_relaxed(&tally_gc.collected[i], 0);
        tally_store_relaxed(&tally_gc.uncollectable[i], 0);
    }
    tally_store_relaxed(&tally_gc.debug, 0);
    callbacks.count = 0;
    if (!(tally_gc.garbage = tally_list_new(0))) return -1;
    tally_untrack(tally_gc.garbage);
    tally_store_relaxed(&tally_gc.enabled, true);
    tally_collector_settings();
    return 0;
}

/* Comes before the objects that are left are counted. */
void tally_gc_end(void) {
    tally_gc_disable();
    /* A finalizer of an object in it may ask for the list. */
    tally_object *garbage = tally_gc.garbage;
    tally_gc.garbage = NULL;
    tally_xdecref(garbage);
}

/* ---- collections --------------------------------------------------------- */

/* The first callback with a serial number above `after` and up to `last`; false: there is none. */
static bool next_callback(uint64_t after, uint64_t last, registered *next) {
    bool found = false;
    pthread_mutex_lock(&callbacks.lock);
    for (unsigned i = 0; i < callbacks.count && !found; i++) {
        *next = callbacks.at[i];
        found = next->serial > after && next->serial <= last;
    }
    pthread_mutex_unlock(&callbacks.lock);
    return found;
}

static void call_back(const tally_gc_info *info) {
    pthread_mutex_lock(&callbacks.lock);
    uint64_t last = callbacks.last_serial;
    pthread_mutex_unlock(&callbacks.lock);
    registered next = {.serial = 0};
    while (next_callback(next.serial, last, &next)) {
        TALLY_CHECKED(tally_check_may_run_foreign_code());
        next.callback(info, next.context);
        if (tally_error_kind())
            fprintf(stderr, "tally: error ignored in a gc callback: %s\n", tally_error_message());
        tally_error_clear();
    }
}

static void tell(const tally_gc_info *info) {
    if (!tally_gc_debugging(TALLY_GC_DEBUG_STATS)) return;
    fprintf(stderr,
            "tally: gc: generation %d: %td unreachable, %td uncollectable, %zu examined, paused "
            "%.4f ms (stop %.4f, mark %.4f), finalize %.4f ms, free %.4f ms\n",
            info->generation, info->collected + info->uncollectable, info->uncollectable,
            info->examined, (double)info->pause / 1e6, (double)info->stop / 1e6,
            (double)info->mark / 1e6, (double)info->finalize / 1e6, (double)info->free / 1e6);
}

static void trace(const tally_gc_info *info) {
    if (!tally_load_relaxed(&tally_tracing)) return;
    uint64_t stopped = info->began + info->stop, marked = stopped + info->mark,
             finalized = marked + info->finalize;
    tally_trace_add_collection(info);
    tally_trace_add(TALLY_TRACK_THREAD, "mark", stopped, marked);
    tally_trace_add(TALLY_TRACK_THREAD, "finalize", marked, finalized);
    if (info->check)
        tally_trace_add(TALLY_TRACK_THREAD, "recheck", finalized, finalized + info->check);
    tally_trace_add(TALLY_TRACK_THREAD, "free", finalized + info->check,
                    finalized + info->check + info->free);
}

static void add(_Atomic uint64_t *to, ptrdiff_t n) { tally_add_relaxed(to, (uint64_t)n); }

static ptrdiff_t collect(int generation, bool automatic) {
    tally_thread_state *thread = tally_thread_current();
    if (thread->collecting || !tally_collector_begin()) return 0;
    thread->collecting = true;
    /* In a dealloc that runs foreign code: objects that die here are destroyed here. */
    bool destroying = thread->destroying;
    thread->destroying = false;
    tally_pending_error pending;
    tally_error_put_aside(&pending);

    tally_gc_info info = {.generation = generation, .automatic = automatic, .began = tally_now()};
    call_back(&info);
    TALLY_DEBUG_ONLY(tally_debug_collection(generation == 2 || !automatic));
    ptrdiff_t found = tally_collector_run(generation, &info);
    info.finished = true;
    TALLY_EVENT_ADD(TALLY_EVENT_gc_ns, tally_now() - info.began);
    if (found >= 0 && info.shared) {
        call_back(&info);
    } else if (found >= 0) {
        add(&tally_gc.collections[info.generation], 1);
        add(&tally_gc.collected[info.generation], info.collected);
        add(&tally_gc.uncollectable[info.generation], info.uncollectable);
        TALLY_EVENT(collections);
        TALLY_EVENT_ADD(TALLY_EVENT_gc_pause_ns, info.pause);
        TALLY_EVENT_ADD(TALLY_EVENT_gc_examined, info.examined);
        TALLY_EVENT_ADD(TALLY_EVENT_gc_found, found);
        tell(&info);
        trace(&info);
        call_back(&info);
    } else {
        tally_pending_error failure;
        tally_error_put_aside(&failure);
        call_back(&info);
        tally_error_put_back(&failure);
    }
    if (found >= 0 || automatic) tally_error_put_back(&pending);
    thread->destroying = destroying;
    thread->collecting = false;
    if (generation == 2) tally_memory_settle(!automatic);
    return found;
}

ptrdiff_t tally_gc_collect(int generation) {
    tally_thread_require();
    if (generation < 0 || generation > 2)
        return tally_fail(TALLY_VALUE_ERROR, "there are generations 0, 1 and 2, not %d",
                          generation);
    /* A borrow ends here, and its object is not to keep garbage alive. */
    tally_drop_kept(tally_thread_current());
    return collect(generation, false);
}

void tally_gc_automatic(int generation) { collect(generation, true); }

/* ---- steps --------------------------------------------------------------- */

bool tally_overflow_entry(tally_overflow *list, tally_object *object) {
    if (list->count == list->capacity) {
        size_t capacity = list->capacity ? list->capacity * 2 : 512;
        tally_object **at = realloc(list->at, capacity * sizeof *at);
        if (!at) return false;
        list->at = at;
        list->capacity = capacity;
    }
    list->at[list->count++] = object;
    return true;
}

bool tally_gc_finalize(tally_object *object) {
    if (!tally_gc_has_finalizer(object)) return false;
    tally_or_relaxed(&object->flags, TALLY_FLAG_FINALIZED);
    TALLY_CHECKED(tally_check_may_run_foreign_code());
    tally_type_entry(object)->finalize(object);
    tally_error_report("a finalizer", object);
    return true;
}

void tally_gc_clear(tally_object *object) {
    tally_type *type = tally_type_entry(object);
    switch (type->shape) {
    case TALLY_SHAPE_SLOTS:
        for (ptrdiff_t i = 0; i < type->slots; i++) tally_slot_set(object, i, NULL);
        break;
    case TALLY_SHAPE_LIST: tally_list_clear(object); break;
    case TALLY_SHAPE_TABLE: tally_table_clear(object, tally_table_place_in(object, type)); break;
    case TALLY_SHAPE_NATIVE:
        TALLY_CHECKED(tally_check_may_run_foreign_code());
        if (type->clear) type->clear(object);
        tally_error_report("a clear function", object);
        break;
    default: /* a cycle has at least one object that is no tuple */ break;
    }
}

void tally_gc_save(tally_object *object) {
    if (tally_gc.garbage && tally_list_append(tally_gc.garbage, object) < 0) {
        fprintf(stderr, "tally: gc: no memory to put an object of type %s in the list of garbage\n",
                tally_type_name(object));
        tally_error_clear();
    }
}

void tally_gc_tell(tally_object *object, bool uncollectable) {
    if (tally_gc_debugging(uncollectable ? TALLY_GC_DEBUG_UNCOLLECTABLE
                                         : TALLY_GC_DEBUG_COLLECTABLE))
        fprintf(stderr, "tally: gc: %s <%s %p>\n", uncollectable ? "uncollectable" : "collectable",
                tally_type_name(object), (void *)object);
}

/* ---- settings ------------------------------------------------------------ */

static void set_enabled(bool enabled) {
    tally_thread_require();
    tally_store_relaxed(&tally_gc.enabled, enabled);
    tally_collector_settings();
}
void tally_gc_enable(void) {
    TALLY_PLAIN_CALL();
    set_enabled(true);
}
void tally_gc_disable(void) {
    TALLY_PLAIN_CALL();
    set_enabled(false);
}
int tally_gc_is_enabled(void) {
    TALLY_PLAIN_CALL();
    return tally_load_relaxed(&tally_gc.enabled);
}

/* A void function has no error to return. */
static void require(const void *given, const char *what) {
    tally_thread_require();
    if (!given) tally_fatal(NULL, what);
}

void tally_gc_get_threshold(int thresholds[3]) {
    TALLY_PLAIN_CALL();
    require(thresholds, "tally_gc_get_threshold: NULL, where a place is due");
    for (int i = 0; i < 3; i++) thresholds[i] = tally_load_relaxed(&tally_gc.threshold[i]);
}
int tally_gc_set_threshold(const int thresholds[3]) {
    TALLY_PLAIN_CALL();
    if (!thresholds) return tally_fail(TALLY_VALUE_ERROR, "no thresholds");
    tally_thread_require();
    for (int i = 0; i < 3; i++)
        if (thresholds[i] < 0) return tally_fail(TALLY_VALUE_ERROR, "a threshold is negative");
    for (int i = 0; i < 3; i++) tally_store_relaxed(&tally_gc.threshold[i], thresholds[i]);
    tally_collector_settings();
    return 0;
}
void tally_gc_get_count(int counts[3]) {
    require(counts, "tally_gc_get_count: NULL, where a place is due");
    tally_thread_require();
    TALLY_PLAIN_CALL();
    tally_collector_count(counts);
}
void tally_gc_get_stats(tally_gc_generation_stats stats[3]) {
    TALLY_PLAIN_CALL();
    require(stats, "tally_gc_get_stats: NULL, where a place is due");
    for (int i = 0; i < 3; i++) {
        stats[i].collections = tally_load_relaxed(&tally_gc.collections[i]);
        stats[i].collected = tally_load_relaxed(&tally_gc.collected[i]);
        stats[i].uncollectable = tally_load_relaxed(&tally_gc.uncollectable[i]);
    }
}
void tally_gc_set_debug(unsigned flags) {
    TALLY_PLAIN_CALL();
    tally_store_relaxed(&tally_gc.debug, flags);
}
unsigned tally_gc_get_debug(void) {
    TALLY_PLAIN_CALL();
    return tally_load_relaxed(&tally_gc.debug);
}
tally_object *tally_gc_garbage(void) {
    TALLY_PLAIN_CALL();
    tally_thread_require();
    if (!tally_gc.garbage)
        return tally_fail_null(TALLY_RUNTIME_ERROR,
                               "the run time ends: there is no list of garbage any more");
    tally_incref(tally_gc.garbage);
    return tally_gc.garbage;
}

int tally_gc_add_callback(tally_gc_callback callback, void *context) {
    TALLY_PLAIN_CALL();
    if (!callback) return tally_fail(TALLY_VALUE_ERROR, "no callback");
    pthread_mutex_lock(&callbacks.lock);
    bool room = callbacks.count < sizeof callbacks.at / sizeof *callbacks.at;
    if (room)
        callbacks.at[callbacks.count++] = (registered){callback, context, ++callbacks.last_serial};
    pthread_mutex_unlock(&callbacks.lock);
    if (!room)
        return tally_fail(TALLY_RUNTIME_ERROR, "no more than %zu gc callbacks",
                          sizeof callbacks.at / sizeof *callbacks.at);
    return 0;
}
int tally_gc_remove_callback(tally_gc_callback callback, void *context) {
    TALLY_PLAIN_CALL();
    bool found = false;
    pthread_mutex_lock(&callbacks.lock);
    for (unsigned i = 0; i < callbacks.count && !found; i++) {
        if (callbacks.at[i].callback != callback || callbacks.at[i].context != context) continue;
        found = true;
        callbacks.count--;
        for (unsigned j = i; j < callbacks.count; j++) callbacks.at[j] = callbacks.at[j + 1];
    }
    pthread_mutex_unlock(&callbacks.lock);
    if (!found) return tally_fail(TALLY_VALUE_ERROR, "there is no such gc callback");
    return 0;
}

/* ---- side mark bytes ------------------------------------------------------ */

void tally_side_marks_clear_pools(void) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));)
        memset((void *)tally_side_mark_of(tally_side_marks, 0, (tally_object *)at.first), 0,
               (size_t)(pool->bump - at.first) >> TALLY_SIDE_MARK_SHIFT);
}
void tally_side_marks_clear_large(void) {
    tally_large_walk large = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));)
        for (unsigned i = 0; i < TALLY_LARGE_SIDE_MARKS; i++)
            tally_side_mark_store(&tally_large_side_marks(object)[i], 0);
}
