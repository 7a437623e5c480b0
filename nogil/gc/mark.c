/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mark.c: finds what only unreachable objects hold. The world stands still.
 *   1. Each tracked object is walked over, and each reference it has is counted at
 *      what it leads to. What an object's count has more are references from outside.
 *   2. Each is walked over again: what has some is scanned: what it holds is reached,
 *      and is scanned, too.
 * What is not reached then is unreachable. Nothing is written to an object.
 *
 * What is known of an object is in its note, a byte beside the heap (core/memory):
 *   0 ... MOST   not reached; references that were counted in 1
 *   GRAY         reached, not scanned
 *   BLACK        reached and scanned
 *   IGNORED      reached, but not tracked, or frozen
 * Gray objects wait in chunks of pointers, or, if their pool is still to be walked
 * over in 2, for that: so most are scanned in the order of their addresses, which
 * is the fastest there is. A last walk counts the black ones and looks for gray ones
 * that nobody has, and is repeated until there are none; such a one waited for a walk
 * that was past it already, or there was no memory for a chunk.
 *
 * An instance's reference to its class is in no count of the class (a thread's
 * table has it): the instances seen are counted, and compared with the tables'.
 *
 * Parked threads help. Groups of pools are handed out by a counter, full chunks by a
 * list. In 1 each helper counts in bytes of its own, which are added up in 2; the
 * first helper's are the notes. In 2 several may reach an object at once: they store
 * the same. It may be scanned twice; scanning again changes nothing. So there is no
 * atomic read-modify-write on an object or a note, and no order is needed but that
 * of the barriers between walks.
 *
 * Invariants:
 *  - A helper that has a gray object, in a chunk or in its ring, is counted in `busy`;
 *    once that is 0 and no chunk is in the list, nobody has any.
 *  - An object that is not reached has its counts of all helpers in the bytes and in
 *    `overflow` until 2 is over.
 */
#include "mark.h"
#include <sched.h>
#include <sys/mman.h>

enum {
    MAX_HELPERS = TALLY_LARGE_SIDE_MARKS,
    CHUNK = 510,
    GROUP = 8 /* pools that are handed out together */
};
enum { AHEAD = 8, BYTES_AHEAD = 768 };
enum { ALONE_BELOW = 40000 }; /* objects last time: waking threads costs more than they save */
enum { MOST = 0x7f, IGNORED = 0xfd, GRAY = 0xfe, BLACK = TALLY_SIDE_MARK_REACHED };

typedef struct chunk {
    struct chunk *next;
    unsigned count;
    tally_object *at[CHUNK];
} chunk;

typedef struct helper {
    _Alignas(64) unsigned number;
    _Atomic uint8_t *side_marks; /* as tally_side_marks; the first helper's are those */
    size_t counts_size;
    chunk *out, *spare; /* out: being filled */
    tally_prefetch_buffer ring;
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
    _Atomic bool missed;              /* a gray object was found that nobody had, or left behind */
    _Alignas(64) _Atomic size_t next; /* pools from here on have not been handed out */
    _Alignas(64) _Atomic unsigned arrived, round;
} mark = {.lock = PTHREAD_MUTEX_INITIALIZER};
static int32_t instances[MAX_HELPERS][TALLY_MAX_TYPES]; /* touched only where used */
static chunk first_chunks[MAX_HELPERS]; /* without memory for more there is progress: a walk scans
                                           what fits, and what that leads to */

static bool candidate(uint8_t flags) {
    return (flags & (TALLY_FLAG_TRACKED | TALLY_FLAG_FROZEN)) == TALLY_FLAG_TRACKED;
}
TALLY_INLINE uint8_t flags_of(tally_object *object) { return tally_load_relaxed(&object->flags); }
TALLY_INLINE void set_flags(tally_object *object, uint8_t flags) {
    tally_store_relaxed(&object->flags, flags);
}
TALLY_INLINE _Atomic uint8_t *side_mark_of(tally_object *object) {
    return tally_side_mark_of(tally_side_marks, 0, object);
}

/* ---- 1: references are counted -------------------------------------------- */

TALLY_INLINE void count(helper *h, _Atomic uint8_t *note) {
    uint8_t value = tally_side_mark_load(note);
    if (TALLY_UNLIKELY(value == MOST)) {
        if (!tally_overflow_entry(
                &h->overflow,
                tally_side_mark_object(h->side_marks, h->counts_size, h->number, note)))
            return;
        value -= TALLY_OVERFLOW;
    }
    tally_side_mark_store(note, value + 1u);
}
static inline void visit_count(tally_object *child, void *helper_) {
    helper *h = helper_;
    _Atomic uint8_t *note = tally_side_mark_in(h->side_marks, h->number, child);
    if (!note || !(note = tally_ring_swap(&h->ring, note))) return;
    count(h, note);
}
TALLY_INLINE void count_children(helper *h, tally_object *object) {
    if (!candidate(flags_of(object))) return;
    tally_type *type = tally_type_entry(object);
    h->examined++;
    if (type->class_) h->instances[object->type]++;
    tally_children(object, type, visit_count, h);
}
static void count_late(helper *h) {
    for (_Atomic uint8_t *note; (note = tally_ring_take(&h->ring));) count(h, note);
}

/* References from outside. `counted`: by the first helper. */
static ptrdiff_t external(tally_object *object, uint8_t counted) {
    ptrdiff_t left = tally_refcount_total(&object->refcount) - counted;
    for (unsigned i = 1; i < mark.of; i++)
        left -= tally_side_mark_load(tally_side_mark_of(mark.helpers[i].side_marks, i, object));
    if (object->type == TALLY_TYPE_TYPE &&
        tally_types[((tally_type_object *)object)->index].class_) {
        left += tally_class_instances(object);
        for (unsigned i = 0; i < mark.of; i++)
            left -= instances[i][((tally_type_object *)object)->index];
    } else if (TALLY_UNLIKELY(tally_refcount_per_thread_index(&object->refcount))) {
        left += tally_class_instances(object);
    }
    if (TALLY_UNLIKELY(left < 0))
        tally_fatal(
            object,
            "more references to an object were visited than it has: a traverse function is wrong");
    return left;
}

/* ---- 2: what is reached ---------------------------------------------------- */

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

TALLY_INLINE void mark_reachable(helper *h, _Atomic uint8_t *note) {
    if (tally_side_mark_load(note) > MOST) return;
    tally_side_mark_store(note, GRAY);
    size_t at = (size_t)(note - tally_side_marks);
    /* relaxed: if it has been handed out meanwhile, and walked over, the last walk finds the object
     */
    if (at < tally_side_marks_size() &&
        at >> (TALLY_POOL_SHIFT - TALLY_SIDE_MARK_SHIFT) >= tally_load_relaxed(&mark.next))
        return;
    if (TALLY_UNLIKELY(!h->out || h->out->count == CHUNK) && !change_chunk(h)) return;
    h->out->at[h->out->count++] =
        tally_side_mark_object(tally_side_marks, tally_side_marks_size(), 0, note);
}
static inline void visit_reach(tally_object *child, void *helper_) {
    helper *h = helper_;
    _Atomic uint8_t *note = tally_side_mark_in(tally_side_marks, 0, child);
    if (!note || !(note = tally_ring_swap(&h->ring, note))) return;
    mark_reachable(h, note);
}

/* It was gray. */
TALLY_INLINE void scan(helper *h, tally_object *object, _Atomic uint8_t *note) {
    if (!candidate(flags_of(object))) {
        tally_side_mark_store(note, IGNORED);
        return;
    }
    tally_side_mark_store(note, BLACK);
    h->reached++; /* not exact where several may scan it */
    tally_type *type = tally_type_entry(object);
    if (type->class_) mark_reachable(h, side_mark_of(type->object));
    tally_children(object, type, visit_reach, h);
}

/* Until there is nothing left to do here, or in the list. */
static void drain(helper *h) {
    for (;;) {
        chunk *c = h->out && h->out->count ? h->out : take_full();
        if (!c) {
            _Atomic uint8_t *late = tally_ring_take(&h->ring);
            if (!late) return;
            mark_reachable(h, late);
            continue;
        }
        if (c == h->out) h->out = NULL;
        for (unsigned i = 0; i < c->count; i++) {
            if (i + AHEAD < c->count) __builtin_prefetch(c->at[i + AHEAD]);
            _Atomic uint8_t *note = side_mark_of(c->at[i]);
            if (tally_side_mark_load(note) == GRAY) scan(h, c->at[i], note);
        }
        c->next = h->spare;
        h->spare = c;
    }
}

/* Nothing is left of the own: works for others until nobody has anything. */
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

/* ---- walks ------------------------------------------------------------------ */

enum walk { PASS_COUNT, PASS_VERIFY, PASS_MARK };

TALLY_INLINE void walk_object(helper *h, tally_object *object, _Atomic uint8_t *note,
                              enum walk walk) {
    if (walk == PASS_COUNT) {
        count_children(h, object);
        return;
    }
    uint8_t value = tally_side_mark_load(note);
    if (value == GRAY) {
        if (walk == PASS_MARK) tally_store_relaxed(&mark.missed, true);
        scan(h, object, note);
    } else if (walk == PASS_MARK) {
        h->reached += value == BLACK;
    } else if (value <= MOST && candidate(flags_of(object)) && external(object, value) != 0) {
        scan(h, object, note);
    }
}

TALLY_INLINE void walk_pool(helper *h, size_t number, enum walk walk) {
    char *first;
    if (tally_pool_kinds[number] != TALLY_CONTAINERS) return;
    tally_pool *pool = tally_memory_pool_at(number, TALLY_CONTAINERS, &first);
    if (!pool) return;
    if (walk == PASS_COUNT) h->blocks += pool->left + pool->notify;
    _Atomic uint8_t *note = side_mark_of((tally_object *)first);
    for (char *block = first; block < pool->bump; block += pool->block_size, note += pool->class_) {
        if (walk != PASS_MARK) __builtin_prefetch(block + BYTES_AHEAD);
        walk_object(h, (tally_object *)block, note, walk);
    }
    if (walk != PASS_COUNT) drain(h);
}

TALLY_INLINE void walk_all(helper *h, enum walk walk) {
    size_t pools = tally_memory_pools();
    for (size_t from; (from = tally_add_relaxed(&mark.next, GROUP)) < pools;)
        for (size_t number = from; number < from + GROUP; number++) walk_pool(h, number, walk);
    if (h->number == 0) {
        tally_large_walk large = {0};
        for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));) {
            h->blocks += walk == PASS_COUNT;
            walk_object(h, object, side_mark_of(object), walk);
        }
    }
    if (walk == PASS_COUNT)
        count_late(h);
    else
        help_others(h);
}

/* What is there from the last collection. The first helper's: the others have new memory. */
static void clear_side_marks(void) {
    tally_pool_walk at = {0};
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));)
        memset((void *)side_mark_of((tally_object *)at.first), 0,
               (size_t)(pool->bump - at.first) >> TALLY_SIDE_MARK_SHIFT);
}
static void clear_large_side_marks(void) {
    tally_large_walk large = {0};
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));)
        for (unsigned i = 0; i < TALLY_LARGE_SIDE_MARKS; i++)
            tally_side_mark_store(&tally_large_side_marks(object)[i], 0);
}

/* ---- all of it -------------------------------------------------------------- */

/* Before a walk; by one helper while the others wait. */
static void begin_walk(void) {
    tally_store_relaxed(&mark.next, 0);
    tally_store_relaxed(&mark.busy, mark.of);
    tally_store_relaxed(&mark.missed, false);
}
static void begin_recheck(void) {
    for (unsigned i = 0; i < mark.of; i++)
        tally_overflow_add(&mark.helpers[i].overflow, -TALLY_OVERFLOW);
    begin_walk();
}
static void nothing(void) {}

/* All helpers have come here, and the last one has done `then`. */
static void barrier(void (*then)(void)) {
    unsigned round =
        tally_load_relaxed(&mark.round); /* stays as it is until this helper has arrived */
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

static void run(unsigned number, unsigned of, void *context) {
    (void)of, (void)context;
    helper *h = &mark.helpers[number];
    if (number == 0) clear_side_marks();
    walk_all(h, PASS_COUNT);
    barrier(begin_recheck);
    walk_all(h, PASS_VERIFY);
    if (mark.of == 1 && !tally_load_relaxed(&mark.missed)) return; /* there is none */
    do {
        barrier(begin_walk);
        h->reached = 0; /* those that are not scanned in this walk: all of them, in the last one */
        walk_all(h, PASS_MARK);
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
    h->side_marks = tally_side_marks;
    h->counts_size = tally_side_marks_size();
    if (number > 0) {
        void *counts = mmap(NULL, counts_size(), PROT_READ | PROT_WRITE,
                            MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
        if (counts == MAP_FAILED) return false;
        madvise(counts, counts_size(), MADV_HUGEPAGE);
        h->side_marks = counts;
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
    if (number > 0) munmap((void *)h->side_marks, h->counts_size);
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
    unsigned here =
        most > 1 ? tally_helpers_gather(most) : 1; /* how many are here, a power of two */
    mark.of = 0;
    while (mark.of < here && helper_start(mark.of)) mark.of++;
    for (; mark.of < here && mark.of > 1; mark.of--) helper_end(mark.of - 1); /* no memory: alone */
    clear_large_side_marks();
    begin_walk();
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
        begin_walk();
        walk_all(h, PASS_MARK);
    }
    free_chunks(h);
}

/* ---- the second look: among few, on the counts themselves ------------------- */

/*
 * Trial deletion (Lins 1992; Bacon and Rajan 2001 give the synchronous form): each object given
 * takes its references off its children's counts; what is left of a count are the references
 * from outside. What has some left puts its references back, and marks what they lead to.
 * A mark stack that cannot grow leaves the flag PENDING on the object. It has room for some at
 * first, so that each of those is scanned when its turn comes. What has become immortal meanwhile
 * lives, and what it holds does: it takes nothing off.
 */
enum { RECHECK_FIRST = 64 };
typedef struct again {
    tally_object **stack;
    size_t depth, capacity, reached;
    bool overflow;
    tally_object *first[RECHECK_FIRST];
} again;

/* Not COLLECTING: what other collections have noted has that, too. */
static bool in_recheck(tally_object *object) {
    return !tally_is_plain_block(object) && flags_of(object) & TALLY_FLAG_RECHECK;
}
bool tally_mark_in_recheck(tally_object *object) { return in_recheck(object); }

static void recheck_mark(again *a, tally_object *object) {
    set_flags(object, flags_of(object) | TALLY_FLAG_MARKED);
    a->reached++;
    if (a->depth == a->capacity) {
        size_t capacity = a->capacity * 8;
        tally_object **stack =
            realloc(a->stack == a->first ? NULL : a->stack, capacity * sizeof *stack);
        if (!stack) {
            set_flags(object, flags_of(object) | TALLY_FLAG_PENDING);
            a->overflow = true;
            return;
        }
        if (a->stack == a->first) memcpy(stack, a->first, sizeof a->first);
        a->stack = stack;
        a->capacity = capacity;
    }
    a->stack[a->depth++] = object;
}
static void recheck_subtract(tally_object *child, void *nothing_) {
    (void)nothing_;
    if (in_recheck(child)) tally_refcount_trial_add(&child->refcount, -1);
}
static void recheck_restore(tally_object *child, void *nothing_) {
    (void)nothing_;
    if (in_recheck(child)) tally_refcount_trial_add(&child->refcount, 1);
}
static void recheck_put_back(tally_object *child, void *a) {
    if (!in_recheck(child)) return;
    tally_refcount_trial_add(&child->refcount, 1);
    if (!(flags_of(child) & TALLY_FLAG_MARKED)) recheck_mark(a, child);
}
static void recheck_drain(again *a) {
    while (a->depth) {
        tally_object *object = a->stack[--a->depth];
        tally_type *type = tally_type_entry(object);
        if (type->class_ && in_recheck(type->object) &&
            !(flags_of(type->object) & TALLY_FLAG_MARKED))
            recheck_mark(a, type->object);
        tally_children(object, type, recheck_put_back, a);
    }
}

size_t tally_mark_recheck(tally_object **objects, size_t count) {
    again a;
    a.stack = a.first;
    a.depth = a.reached = 0;
    a.capacity = RECHECK_FIRST;
    a.overflow = false;
    mark.of = 1;
    memset(instances[0], 0, tally_types_used() * sizeof instances[0][0]);
    for (size_t i = 0; i < count; i++) {
        bool immortal = tally_refcount_is_immortal(&objects[i]->refcount);
        set_flags(objects[i],
                  immortal ? flags_of(objects[i]) | TALLY_FLAG_MARKED
                           : (flags_of(objects[i]) & ~TALLY_FLAG_MARKED) | TALLY_FLAG_RECHECK);
        a.reached += immortal;
    }
    for (size_t i = 0; i < count; i++) {
        if (!in_recheck(objects[i])) continue;
        tally_type *type = tally_type_entry(objects[i]);
        if (type->class_) instances[0][objects[i]->type]++;
        tally_children(objects[i], type, recheck_subtract, NULL);
    }
    for (size_t i = 0; i < count; i++) {
        if (flags_of(objects[i]) & TALLY_FLAG_MARKED || external(objects[i], 0) == 1)
            continue; /* the caller's */
        recheck_mark(&a, objects[i]);
        recheck_drain(&a);
    }
    while (a.overflow) {
        a.overflow = false;
        for (size_t i = 0; i < count; i++) {
            if (!(flags_of(objects[i]) & TALLY_FLAG_PENDING)) continue;
            set_flags(objects[i], flags_of(objects[i]) & ~(TALLY_FLAG_PENDING | TALLY_FLAG_MARKED));
            a.reached--;
            recheck_mark(&a, objects[i]);
            recheck_drain(&a);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!(flags_of(objects[i]) & TALLY_FLAG_MARKED))
            tally_children(objects[i], tally_type_entry(objects[i]), recheck_restore, NULL);
    if (a.stack != a.first) free(a.stack);
    return a.reached;
}

void tally_mark_recheck_end(tally_object **objects, size_t count) {
    for (size_t i = 0; i < count; i++)
        set_flags(objects[i], flags_of(objects[i]) & ~TALLY_FLAG_RECHECK);
}
