/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mark.c: the mark phase: finds the containers that only unreachable objects hold, while the world
 * is stopped. Threads that are parked help.
 *   1. A pass over all tracked objects counts, per object, the references that come from tracked
 *      objects. The refcount minus that number is the external references (CPython's gc_refs).
 *   2. A second pass scans each object that has external references: its children are reached, and
 *      are scanned, too.
 * An object that is not reached then is unreachable. Nothing is written to an object.
 *
 * The state of an object is in its side mark byte, beside the heap (core/memory):
 *   0 ... MOST   not reached; the references that pass 1 has counted
 *   GRAY         reached, not scanned
 *   BLACK        reached and scanned
 *   IGNORED      reached, but not tracked, or frozen
 * Gray objects wait in chunks of pointers. A gray object in a pool that pass 2 has not walked over
 * yet waits for that instead, so most objects are scanned in the order of their addresses, which is
 * fastest. A last pass counts the black ones and looks for gray ones that no helper has: such an
 * object waited for a walk that was past it already, or there was no memory for a chunk. The last
 * pass is repeated until it finds none.
 *
 * The refcount of a class does not hold the references of its instances (the threads' refcount
 * arrays do). So the instances seen are counted per class, and compared with the arrays.
 *
 * Helpers take groups of pools by a counter, and full chunks from a list. In pass 1 each helper
 * counts in bytes of its own, which pass 2 adds up; the first helper's are the side mark bytes. In
 * pass 2 several helpers may reach an object at once: they store the same. They may scan it twice;
 * scanning again changes nothing. So there is no atomic read-modify-write on an object or a byte,
 * and no order is needed but that of the barriers between passes.
 *
 * Invariants:
 *  - A helper that has a gray object, in a chunk or in its prefetch buffer, is counted in `busy`.
 *    Once `busy` is 0 and the list has no chunk, no helper has a gray object.
 *  - The counts of an object that is not reached are in all helpers' bytes and in `overflow` until
 *    pass 2 is over.
 */
#include "mark.h"
#include <sched.h>
#include <sys/mman.h>

enum {
    MAX_HELPERS = TALLY_LARGE_SIDE_MARKS,
    CHUNK = 510,
    GROUP = 8 /* pools that a helper takes at once */
};
enum { AHEAD = 8, BYTES_AHEAD = 768 };
enum { ALONE_BELOW = 40000 }; /* objects; for fewer, waking threads costs more than it saves */
enum { MOST = 0x7f, IGNORED = 0xfd, GRAY = 0xfe, BLACK = TALLY_SIDE_MARK_REACHED };

typedef struct chunk {
    struct chunk *next;
    unsigned count;
    tally_object *at[CHUNK];
} chunk;

typedef struct helper {
    _Alignas(64) unsigned number;
    _Atomic uint8_t *counts; /* as tally_side_marks; the first helper's are those */
    size_t counts_size;
    chunk *out, *spare; /* out: being filled */
    tally_prefetch_buffer buffer;
    tally_overflow overflow;
    size_t examined, reached, blocks;
    int32_t *instances; /* seen, by type */
} helper;

static struct {
    helper helpers[MAX_HELPERS];
    unsigned of;
    _Atomic size_t examined_last;
    pthread_mutex_t lock; /* full, and changes of busy */
    _Alignas(64) _Atomic(chunk *) full;
    _Atomic unsigned busy;
    _Atomic bool missed;              /* there may be a gray object that no helper has */
    _Alignas(64) _Atomic size_t next; /* pools from here on are not taken */
    _Alignas(64) _Atomic unsigned arrived, round;
} mark = {.lock = PTHREAD_MUTEX_INITIALIZER};
static int32_t instances[MAX_HELPERS][TALLY_MAX_TYPES]; /* touched only where used */
/* Without memory for more chunks there is progress: a pass scans what fits, and its children. */
static chunk first_chunks[MAX_HELPERS];

TALLY_INLINE _Atomic uint8_t *side_mark_of(tally_object *object) {
    return tally_side_mark_of(tally_side_marks, 0, object);
}

/* ---- pass 1: references are counted ------------------------------------------- */

TALLY_INLINE void count(helper *h, _Atomic uint8_t *byte) {
    uint8_t value = tally_side_mark_load(byte);
    if (TALLY_UNLIKELY(value == MOST)) {
        if (!tally_overflow_entry(
                &h->overflow, tally_side_mark_object(h->counts, h->counts_size, h->number, byte)))
            return;
        value -= TALLY_OVERFLOW;
    }
    tally_side_mark_store(byte, value + 1u);
}
static inline void visit_count(tally_object *child, void *helper_) {
    helper *h = helper_;
    _Atomic uint8_t *byte = tally_side_mark_in(h->counts, h->number, child);
    if (!byte || !(byte = tally_prefetch_swap(&h->buffer, byte))) return;
    count(h, byte);
}
TALLY_INLINE void count_children(helper *h, tally_object *object) {
    if (!tally_is_candidate(tally_flags_of(object))) return;
    tally_type *type = tally_type_entry(object);
    h->examined++;
    if (type->class_) h->instances[object->type]++;
    tally_children(object, type, visit_count, h);
}
static void count_late(helper *h) {
    for (_Atomic uint8_t *byte; (byte = tally_prefetch_take(&h->buffer));) count(h, byte);
}

/* The external references; counted: those that the first helper has counted. */
static ptrdiff_t external(tally_object *object, ptrdiff_t counted) {
    for (unsigned i = 1; i < mark.of; i++)
        counted += tally_side_mark_load(tally_side_mark_of(mark.helpers[i].counts, i, object));
    if (object->type == TALLY_TYPE_TYPE)
        for (unsigned i = 0; i < mark.of; i++)
            counted += instances[i][((tally_type_object *)object)->index];
    return tally_external_references(object, counted);
}

/* ---- pass 2: objects are reached --------------------------------------------------- */

static chunk *new_chunk(helper *h) {
    chunk *c = h->spare;
    if (c)
        h->spare = c->next;
    else if (!(c = malloc(sizeof *c)))
        return NULL;
    c->count = 0;
    return c;
}

/* The chunk is full, or there is none. */
static __attribute__((noinline)) bool change_chunk(helper *h) {
    if (h->out) {
        pthread_mutex_lock(&mark.lock);
        h->out->next = tally_load_relaxed(&mark.full);
        tally_store_relaxed(&mark.full, h->out);
        pthread_mutex_unlock(&mark.lock);
    }
    h->out = new_chunk(h);
    if (!h->out) tally_store_relaxed(&mark.missed, true);
    return h->out;
}

static chunk *take_full(void) {
    /* relaxed: looked at again under the lock */
    if (!tally_load_relaxed(&mark.full)) return NULL;
    pthread_mutex_lock(&mark.lock);
    chunk *c = tally_load_relaxed(&mark.full);
    if (c) tally_store_relaxed(&mark.full, c->next);
    pthread_mutex_unlock(&mark.lock);
    return c;
}

TALLY_INLINE void mark_reachable(helper *h, _Atomic uint8_t *byte) {
    if (tally_side_mark_load(byte) > MOST) return;
    tally_side_mark_store(byte, GRAY);
    size_t at = (size_t)(byte - tally_side_marks);
    /* relaxed: if the pool has been taken meanwhile, and walked over, the last pass finds the
     * object
     */
    if (at < tally_side_marks_size() &&
        at >> (TALLY_POOL_SHIFT - TALLY_SIDE_MARK_SHIFT) >= tally_load_relaxed(&mark.next))
        return;
    if (TALLY_UNLIKELY(!h->out || h->out->count == CHUNK) && !change_chunk(h)) return;
    h->out->at[h->out->count++] =
        tally_side_mark_object(tally_side_marks, tally_side_marks_size(), 0, byte);
}
static inline void visit_reach(tally_object *child, void *helper_) {
    helper *h = helper_;
    _Atomic uint8_t *byte = tally_side_mark_in(tally_side_marks, 0, child);
    if (!byte || !(byte = tally_prefetch_swap(&h->buffer, byte))) return;
    mark_reachable(h, byte);
}

/* The object was gray. */
TALLY_INLINE void scan(helper *h, tally_object *object, _Atomic uint8_t *byte) {
    if (!tally_is_candidate(tally_flags_of(object))) {
        tally_side_mark_store(byte, IGNORED);
        return;
    }
    tally_side_mark_store(byte, BLACK);
    h->reached++; /* not exact where several may scan it */
    tally_type *type = tally_type_entry(object);
    if (type->class_) mark_reachable(h, side_mark_of(type->object));
    tally_children(object, type, visit_reach, h);
}

/* Scans until this helper has no gray object, and the list no chunk. */
static void drain(helper *h) {
    for (;;) {
        chunk *c = h->out && h->out->count ? h->out : take_full();
        if (!c) {
            _Atomic uint8_t *late = tally_prefetch_take(&h->buffer);
            if (!late) return;
            mark_reachable(h, late);
            continue;
        }
        if (c == h->out) h->out = NULL;
        for (unsigned i = 0; i < c->count; i++) {
            if (i + AHEAD < c->count) __builtin_prefetch(c->at[i + AHEAD]);
            _Atomic uint8_t *byte = side_mark_of(c->at[i]);
            if (tally_side_mark_load(byte) == GRAY) scan(h, c->at[i], byte);
        }
        c->next = h->spare;
        h->spare = c;
    }
}

/* Own work is done: takes full chunks until all helpers are idle. */
static void help_others(helper *h) {
    for (;;) {
        drain(h);
        pthread_mutex_lock(&mark.lock);
        bool more = tally_load_relaxed(&mark.full);
        /* release: pairs with the acquire below */
        if (!more) tally_sub_release(&mark.busy, 1);
        pthread_mutex_unlock(&mark.lock);
        while (!more) {
            if (tally_load_relaxed(&mark.full)) {
                pthread_mutex_lock(&mark.lock);
                more = tally_load_relaxed(&mark.full);
                if (more) tally_add_relaxed(&mark.busy, 1);
                pthread_mutex_unlock(&mark.lock);
            } else {
                /* acquire: pairs with the release above */
                if (tally_load_acquire(&mark.busy) == 0) return;
                sched_yield();
            }
        }
    }
}

/* ---- passes ----------------------------------------------------------------- */

enum pass { PASS_COUNT, PASS_MARK, PASS_VERIFY };

TALLY_INLINE void visit_object(helper *h, tally_object *object, _Atomic uint8_t *byte,
                               enum pass pass) {
    if (pass == PASS_COUNT) {
        count_children(h, object);
        return;
    }
    uint8_t value = tally_side_mark_load(byte);
    if (value == GRAY) {
        if (pass == PASS_VERIFY) tally_store_relaxed(&mark.missed, true);
        scan(h, object, byte);
    } else if (pass == PASS_VERIFY) {
        h->reached += value == BLACK;
    } else if (value <= MOST && tally_is_candidate(tally_flags_of(object)) &&
               external(object, value) != 0) {
        scan(h, object, byte);
    }
}

TALLY_INLINE void walk_pool(helper *h, size_t number, enum pass pass) {
    char *first;
    if (tally_pool_kinds[number] != TALLY_CONTAINERS) return;
    tally_pool *pool = tally_memory_pool_at(number, TALLY_CONTAINERS, &first);
    if (!pool) return;
    if (pass == PASS_COUNT) h->blocks += pool->left + pool->notify;
    _Atomic uint8_t *byte = side_mark_of((tally_object *)first);
    for (char *block = first; block < pool->bump; block += pool->block_size, byte += pool->class_) {
        if (pass != PASS_VERIFY) __builtin_prefetch(block + BYTES_AHEAD);
        visit_object(h, (tally_object *)block, byte, pass);
    }
    if (pass != PASS_COUNT) drain(h);
}

TALLY_INLINE void walk_all(helper *h, enum pass pass) {
    size_t pools = tally_memory_pools();
    for (size_t from; (from = tally_add_relaxed(&mark.next, GROUP)) < pools;)
        for (size_t number = from; number < from + GROUP; number++) walk_pool(h, number, pass);
    if (h->number == 0) {
        tally_large_walk large = {0};
        for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));) {
            h->blocks += pass == PASS_COUNT;
            visit_object(h, object, side_mark_of(object), pass);
        }
    }
    if (pass == PASS_COUNT)
        count_late(h);
    else
        help_others(h);
}

/* ---- the mark phase ----------------------------------------------------------- */

/* Before a pass; by one helper while the others wait. */
static void begin_pass(void) {
    tally_store_relaxed(&mark.next, 0);
    tally_store_relaxed(&mark.busy, mark.of);
    tally_store_relaxed(&mark.missed, false);
}
static void begin_mark_pass(void) {
    for (unsigned i = 0; i < mark.of; i++)
        tally_overflow_add(&mark.helpers[i].overflow, -TALLY_OVERFLOW);
    begin_pass();
}
static void nothing(void) {}

/* Waits until all helpers are here, and the last one has called `then`. */
static void barrier(void (*then)(void)) {
    unsigned round = tally_load_relaxed(&mark.round); /* cannot change before this helper arrives */
    /* acq_rel: the last one sees what the others did before */
    if (tally_add_acq_rel(&mark.arrived, 1) + 1 == mark.of) {
        tally_store_relaxed(&mark.arrived, 0);
        then();
        /* release: pairs with the acquire below */
        tally_store_release(&mark.round, round + 1);
        return;
    }
    while (tally_load_acquire(&mark.round) == round) sched_yield();
}

/* A helper's counts are new and zero. Those that it will read are written first, or each page would
 * be mapped twice, with an interrupt of all processors. */
static void touch_counts(helper *h) {
    enum { POOL_MARKS = TALLY_POOL_SIZE >> TALLY_SIDE_MARK_SHIFT };
    for (size_t number = 0; number < h->counts_size / POOL_MARKS; number++)
        if (tally_pool_kinds[number] == TALLY_CONTAINERS)
            memset((void *)(h->counts + number * POOL_MARKS), 0, POOL_MARKS);
}

static void run(unsigned number, unsigned of, void *context) {
    helper *h = &mark.helpers[number];
    if (number == 0)
        tally_side_marks_clear_pools();
    else
        touch_counts(h);
    walk_all(h, PASS_COUNT);
    barrier(begin_mark_pass);
    walk_all(h, PASS_MARK);
    if (mark.of == 1 && !tally_load_relaxed(&mark.missed))
        return; /* no helper can have missed one */
    do {
        barrier(begin_pass);
        h->reached = 0; /* the last pass counts all of them anew */
        walk_all(h, PASS_VERIFY);
        barrier(nothing);
    } while (tally_load_relaxed(&mark.missed));
}

static size_t counts_size(void) {
    return tally_memory_pools() * (TALLY_POOL_SIZE >> TALLY_SIDE_MARK_SHIFT);
}

static bool helper_start(unsigned number) {
    helper *h = &mark.helpers[number];
    memset(h, 0, sizeof *h);
    h->number = number;
    h->counts = tally_side_marks;
    h->counts_size = tally_side_marks_size();
    if (number > 0) {
        void *counts = mmap(NULL, counts_size(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (counts == MAP_FAILED) return false;
        madvise(counts, counts_size(), MADV_HUGEPAGE);
        h->counts = counts;
        h->counts_size = counts_size();
    }
    h->instances = instances[number];
    h->spare = &first_chunks[number];
    h->spare->next = NULL;
    memset(h->instances, 0, tally_types_used() * sizeof *h->instances);
    return true;
}
static void free_chunks(helper *h) {
    if (h->out) h->out->next = h->spare, h->spare = h->out;
    h->out = NULL;
    for (chunk *c; (c = h->spare);) {
        h->spare = c->next;
        if (c < first_chunks || c >= first_chunks + MAX_HELPERS) free(c);
    }
}
static void helper_end(unsigned number) {
    helper *h = &mark.helpers[number];
    if (number > 0) munmap((void *)h->counts, h->counts_size);
    free_chunks(h);
    tally_overflow_add(&h->overflow, TALLY_OVERFLOW);
    free(h->overflow.at);
    h->overflow = (tally_overflow){0};
}

bool tally_mark_is_short(void) { return tally_load_relaxed(&mark.examined_last) < ALONE_BELOW; }

void tally_mark_all(unsigned processors, tally_found *found) {
    unsigned most = 1;
    while (most < MAX_HELPERS && most * 2 <= processors) most *= 2;
    if (tally_mark_is_short()) most = 1;
    unsigned here = most > 1 ? tally_helpers_gather(most) : 1; /* a power of two */
    mark.of = 0;
    while (mark.of < here && helper_start(mark.of)) mark.of++;
    for (; mark.of < here && mark.of > 1; mark.of--) helper_end(mark.of - 1); /* no memory: alone */
    tally_side_marks_clear_large();
    begin_pass();
    if (mark.of > 1)
        tally_helpers_run(run, NULL);
    else
        run(0, 1, NULL);
    if (here > 1) tally_helpers_dismiss();
    *found = (tally_found){.helpers = mark.of - 1};
    for (unsigned i = 0; i < mark.of; i++) {
        found->examined += mark.helpers[i].examined;
        found->reached += mark.helpers[i].reached;
        found->blocks += mark.helpers[i].blocks;
        helper_end(i);
    }
    tally_store_relaxed(&mark.examined_last, found->examined);
}

void tally_mark_more(tally_object *object) {
    helper *h = &mark.helpers[0];
    scan(h, object, side_mark_of(object));
    drain(h);
    while (tally_load_relaxed(&mark.missed)) {
        mark.of = 1;
        begin_pass();
        walk_all(h, PASS_VERIFY);
    }
    free_chunks(h);
}

/* Old is what is left: no byte says young. */
void tally_mark_end(void) {
    if (TALLY_REFCOUNT_HAVE_OWNERS) tally_side_marks_clear_pools();
}
