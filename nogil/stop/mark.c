/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * mark.c: finds what only unreachable objects hold, by trial deletion on the
 * counts themselves (Lins 1992; Bacon and Rajan 2001 give the synchronous form),
 * so that no memory is needed for each object:
 *   1. each tracked object takes its references off its children's counts; what is
 *      left of a count are the references from outside;
 *   2. what has some left is marked; what is marked puts its references back on its
 *      children, and marks them;
 *   3. the unmarked are unreachable; they put theirs back, too (collector.c).
 *
 * An instance's reference to its class is in no count of the class (a thread's
 * table has it), so it is not taken off: the instances seen are counted instead,
 * and compared with the tables'.
 *
 * Parked threads help. Every pool, and so every object in it, belongs to one
 * helper for the whole time, and only that one touches count and flags: no
 * atomic read-modify-write, which would cost more than the rest of a visit. A
 * child that belongs to another helper is sent there, in chunks of pointers: an
 * inbox is a stack that anybody pushes to and its helper takes whole, so there is
 * no ABA; an emptied chunk goes back to who filled it in the same way. Who has no
 * chunk left empties its own inbox while it waits for one, so that somebody
 * always can go on.
 *
 * `work` counts the helpers that have something to do, and the chunks under way.
 * A helper at rest that finds a chunk counts itself before it counts the chunk
 * off; so once `work` is 0 it stays so, and the phase is over.
 *
 * Invariants:
 *  - Everything here happens with the world stopped; a helper touches the counts
 *    and flags of its own pools' objects only.
 *  - A mark stack that cannot grow leaves the flag PENDING on the object; its
 *    helper walks over its pools again until there is none.
 */
#include "mark.h"
#include <sched.h>
#include <unistd.h>

enum { MAX_HELPERS = 8, CHUNK = 510, CHUNKS = 64 /* a helper's, at most */ };
enum { AHEAD = 8 };
enum { ALONE_BELOW = 40000 }; /* objects last time: waking threads costs more than they save */

typedef struct chunk { struct chunk *next; unsigned count; unsigned home; tally_object *at[CHUNK]; } chunk;

typedef struct helper {
    _Alignas(64) _Atomic(chunk *) inbox;
    _Alignas(64) _Atomic(chunk *) returned;
    _Alignas(64) chunk *spare;
    chunk *out[MAX_HELPERS];
    unsigned number, chunks;
    tally_object **stack;
    size_t depth, capacity;
    bool overflow;
    tally_ring ring;
    size_t examined, reached, blocks;
    int32_t *instances;          /* seen, by type */
} helper;

static struct {
    helper helpers[MAX_HELPERS];
    unsigned mask;               /* helpers - 1; a power of two */
    _Alignas(64) _Atomic unsigned work;
    _Atomic unsigned at_barrier[2];
    size_t examined_last;
} mark;
static int32_t instances[MAX_HELPERS][TALLY_MAX_TYPES]; /* touched only where used */

static bool candidate(uint8_t flags) { return (flags & (TALLY_FLAG_TRACKED | TALLY_FLAG_FROZEN)) == TALLY_FLAG_TRACKED; }
/* Not COLLECTING: what other collections have noted has that, too. */
static bool candidate_again(uint8_t flags) { return flags & TALLY_FLAG_AGAIN; }
TALLY_INLINE uint8_t flags_of(tally_object *object) { return atomic_load_explicit(&object->flags, memory_order_relaxed); }
TALLY_INLINE void set_flags(tally_object *object, uint8_t flags) { atomic_store_explicit(&object->flags, flags, memory_order_relaxed); }

TALLY_INLINE unsigned part_of(const tally_object *object) {
    size_t at = (size_t)((const char *)object - tally_region);
    return (unsigned)(at < tally_region_size ? at >> TALLY_POOL_SHIFT : at >> 8) & mark.mask;
}

/* ---- chunks --------------------------------------------------------------- */

static void push_chunk(_Atomic(chunk *) *stack, chunk *c) {
    chunk *head = atomic_load_explicit(stack, memory_order_relaxed);
    do {
        c->next = head;
        /* release: pairs with the acquire of take_chunks */
    } while (!atomic_compare_exchange_weak_explicit(stack, &head, c, memory_order_release, memory_order_relaxed));
}
static chunk *take_chunks(_Atomic(chunk *) *stack) {
    if (!atomic_load_explicit(stack, memory_order_relaxed)) return NULL;
    /* acquire: pairs with the release of push_chunk */
    return atomic_exchange_explicit(stack, NULL, memory_order_acquire);
}

enum phase { SUBTRACT, MARK, SUBTRACT_AGAIN, MARK_AGAIN };

TALLY_INLINE void handle(helper *h, tally_object *object, enum phase phase);

/* Empties the inbox; true if there was anything. Anything marked is on the stack afterwards. */
TALLY_INLINE bool empty_inbox(helper *h, enum phase phase) {
    chunk *c = take_chunks(&h->inbox);
    if (!c) return false;
    for (chunk *next; c; c = next) {
        next = c->next;
        for (unsigned i = 0; i < c->count; i++) {
            tally_object *old = tally_ring_swap(&h->ring, c->at[i]);
            if (old) handle(h, old, phase);
        }
        push_chunk(&mark.helpers[c->home].returned, c);
        atomic_fetch_sub_explicit(&mark.work, 1, memory_order_acq_rel); /* this helper is counted itself */
    }
    return true;
}

static chunk *new_chunk(helper *h) {
    chunk *c = h->spare ? h->spare : take_chunks(&h->returned);
    if (c) {
        h->spare = c->next;
    } else if (h->chunks < CHUNKS && (c = malloc(sizeof *c))) {
        h->chunks++;
        c->home = h->number;
    }
    if (c) c->count = 0;
    return c;
}

TALLY_INLINE void send_full(helper *h, unsigned to, enum phase phase) {
    /* Counted before it is seen; this helper is counted, so work is not 0. */
    atomic_fetch_add_explicit(&mark.work, 1, memory_order_relaxed);
    push_chunk(&mark.helpers[to].inbox, h->out[to]);
    /* As much is read as is sent: or the others would soon have all their chunks in this inbox, and stand. */
    empty_inbox(h, phase);
    while (!(h->out[to] = new_chunk(h)))
        if (!empty_inbox(h, phase)) sched_yield();
}

/* For the helper whose object it is. May come back to `handle` by way of the inbox. */
TALLY_INLINE void send(helper *h, unsigned to, tally_object *object, enum phase phase) {
    chunk *c = h->out[to];
    c->at[c->count++] = object;
    if (TALLY_UNLIKELY(c->count == CHUNK)) send_full(h, to, phase);
}

/* ---- an object ------------------------------------------------------------ */

static void push_slow(helper *h, tally_object *object) {
    size_t capacity = h->capacity ? h->capacity * 2 : 4096;
    tally_object **stack = realloc(h->stack, capacity * sizeof *stack);
    if (!stack) {
        set_flags(object, flags_of(object) | TALLY_FLAG_PENDING);
        h->overflow = true;
        return;
    }
    h->stack = stack;
    h->capacity = capacity;
    h->stack[h->depth++] = object;
}

TALLY_INLINE void mark_own(helper *h, tally_object *object, uint8_t flags) {
    set_flags(object, flags | TALLY_FLAG_MARKED);
    h->reached++;
    if (TALLY_LIKELY(h->depth < h->capacity)) h->stack[h->depth++] = object;
    else push_slow(h, object);
}

/* Own object, whose header has come. A reference to it is taken off, or put back. */
TALLY_INLINE void handle(helper *h, tally_object *object, enum phase phase) {
    /* The lowest bit: reached as the class of an instance, with no reference to put back. */
    bool as_class = (phase == MARK || phase == MARK_AGAIN) && (uintptr_t)object & 1;
    object = (tally_object *)((uintptr_t)object & ~(uintptr_t)1);
    uint8_t flags = flags_of(object);
    if (phase == SUBTRACT || phase == MARK ? !candidate(flags) : !candidate_again(flags)) return;
    if (phase == SUBTRACT || phase == SUBTRACT_AGAIN) {
        tally_counts_trial_add(&object->counts, -1);
    } else {
        if (!as_class) tally_counts_trial_add(&object->counts, 1);
        if (!(flags & TALLY_FLAG_MARKED)) mark_own(h, object, flags);
    }
}

TALLY_INLINE void visit(tally_object *child, helper *h, enum phase phase, bool alone) {
    if (tally_is_plain_block(child)) return;
    if (!alone) {
        unsigned part = part_of(child);
        if (part != h->number) { send(h, part, child, phase); return; }
    }
    tally_object *old = tally_ring_swap(&h->ring, child);
    if (TALLY_LIKELY(old != NULL)) handle(h, old, phase);
}
static inline void subtract_alone(tally_object *child, void *h) { visit(child, h, SUBTRACT, true); }
static inline void subtract_shared(tally_object *child, void *h) { visit(child, h, SUBTRACT, false); }
static inline void mark_alone(tally_object *child, void *h) { visit(child, h, MARK, true); }
static inline void mark_shared(tally_object *child, void *h) { visit(child, h, MARK, false); }
static inline void subtract_again(tally_object *child, void *h) { visit(child, h, SUBTRACT_AGAIN, true); }
static inline void mark_again(tally_object *child, void *h) { visit(child, h, MARK_AGAIN, true); }

TALLY_INLINE void visit_class(tally_object *class_, helper *h, enum phase phase, bool alone) {
    if (flags_of(class_) & TALLY_FLAG_MARKED) return;
    tally_object *tagged = (tally_object *)((uintptr_t)class_ | 1);
    if (!alone && part_of(class_) != h->number) send(h, part_of(class_), tagged, phase);
    else handle(h, tagged, phase);
}

TALLY_INLINE void children(helper *h, tally_object *object, enum phase phase, bool alone) {
    tally_type *type = tally_type_entry(object);
    if (type->class_) {
        if (phase == SUBTRACT || phase == SUBTRACT_AGAIN) h->instances[object->type]++;
        else visit_class(type->object, h, phase, alone);
    }
    switch (phase) {
    case SUBTRACT: tally_children(object, type, alone ? subtract_alone : subtract_shared, h); break;
    case MARK: tally_children(object, type, alone ? mark_alone : mark_shared, h); break;
    case SUBTRACT_AGAIN: tally_children(object, type, subtract_again, h); break;
    case MARK_AGAIN: tally_children(object, type, mark_again, h); break;
    }
}

/* Until nothing is left to do here: the stack, then what waits in the ring. */
TALLY_INLINE void drain(helper *h, enum phase phase, bool alone) {
    for (;;) {
        while (h->depth) {
            /* What was pushed long ago has left the cache. */
            if (h->depth > AHEAD) __builtin_prefetch(h->stack[h->depth - AHEAD]);
            children(h, h->stack[--h->depth], phase, alone);
        }
        tally_object *late = tally_ring_take(&h->ring);
        if (!late) return;
        handle(h, late, phase);
    }
}

/* References from outside that are left after subtraction. */
static ptrdiff_t external(tally_object *object) {
    ptrdiff_t left = tally_counts_total(&object->counts);
    if (object->type == TALLY_TYPE_TYPE && tally_types[((tally_type_object *)object)->index].class_) {
        left += tally_class_instances(object);
        for (unsigned i = 0; i <= mark.mask; i++) left -= instances[i][((tally_type_object *)object)->index];
    } else if (TALLY_UNLIKELY(tally_counts_place(&object->counts))) {
        left += tally_class_instances(object);
    }
    if (TALLY_UNLIKELY(left < 0)) tally_fatal(object, "more references to an object were visited than it has: a traverse function is wrong");
    return left;
}

/* ---- walks over the helper's pools ---------------------------------------- */

TALLY_INLINE void take_off(helper *h, tally_object *object, bool alone) {
    uint8_t flags = flags_of(object);
    if (!candidate(flags)) return;
    if (flags & TALLY_FLAG_MARKED) set_flags(object, flags & ~TALLY_FLAG_MARKED);
    h->examined++;
    children(h, object, SUBTRACT, alone);
}
TALLY_INLINE void look(helper *h, tally_object *object, bool alone) {
    uint8_t flags = flags_of(object);
    if (!candidate(flags) || flags & TALLY_FLAG_MARKED || external(object) == 0) return;
    mark_own(h, object, flags);
    drain(h, MARK, alone);
}
TALLY_INLINE void look_pending(helper *h, tally_object *object, bool alone) {
    uint8_t flags = flags_of(object);
    if (!candidate(flags) || !(flags & TALLY_FLAG_PENDING)) return;
    set_flags(object, flags & ~TALLY_FLAG_PENDING);
    children(h, object, MARK, alone);
    drain(h, MARK, alone);
}

enum walk { WALK_TAKE_OFF, WALK_LOOK, WALK_PENDING };

TALLY_INLINE void walk_object(helper *h, tally_object *object, enum walk walk, bool alone) {
    switch (walk) {
    case WALK_TAKE_OFF: take_off(h, object, alone); break;
    case WALK_LOOK: look(h, object, alone); break;
    case WALK_PENDING: look_pending(h, object, alone); break;
    }
}

TALLY_INLINE void walk_all(helper *h, enum walk walk, bool alone) {
    enum phase phase = walk == WALK_TAKE_OFF ? SUBTRACT : MARK;
    tally_pool_walk at = { 0 };
    for (tally_pool *pool; (pool = tally_memory_next_pool(&at, TALLY_CONTAINERS));) {
        if (!alone && part_of((tally_object *)at.first) != h->number) continue;
        if (walk == WALK_TAKE_OFF) h->blocks += pool->left + pool->notify;
        for (char *block = at.first; block < pool->carved; block += pool->block_size) walk_object(h, (tally_object *)block, walk, alone);
        if (!alone && atomic_load_explicit(&h->inbox, memory_order_relaxed)) {
            empty_inbox(h, phase);
            drain(h, phase, false);
        }
    }
    tally_large_walk large = { 0 };
    for (tally_object *object; (object = tally_memory_next_large(&large, TALLY_CONTAINERS));)
        if (alone || part_of(object) == h->number) {
            if (walk == WALK_TAKE_OFF) h->blocks++;
            walk_object(h, object, walk, alone);
        }
    drain(h, phase, alone);
}

/* ---- phases ---------------------------------------------------------------- */

/* The helper has nothing left of its own: sends what it has begun to fill, and works for others until all rest. */
TALLY_INLINE void rest(helper *h, enum phase phase) {
    for (;;) {
        for (;;) {
            for (unsigned to = 0; to <= mark.mask; to++)
                if (to != h->number && h->out[to]->count) send_full(h, to, phase);
            drain(h, phase, false);
            if (phase == MARK && h->overflow) {
                h->overflow = false;
                walk_all(h, WALK_PENDING, false);
                continue;
            }
            bool more = empty_inbox(h, phase);
            drain(h, phase, false);
            for (unsigned to = 0; to <= mark.mask; to++) more |= to != h->number && h->out[to]->count;
            if (!more) break;
        }
        /* acq_rel: who sees 0 sees all that was done */
        atomic_fetch_sub_explicit(&mark.work, 1, memory_order_acq_rel);
        for (;;) {
            /* acquire: pairs with the decrement above */
            if (atomic_load_explicit(&mark.work, memory_order_acquire) == 0) return;
            if (atomic_load_explicit(&h->inbox, memory_order_relaxed)) break;
            sched_yield();
        }
        atomic_fetch_add_explicit(&mark.work, 1, memory_order_relaxed); /* before the chunk is counted off */
    }
}

/* All helpers have come here; `work` is as many again. */
static void barrier(unsigned which, unsigned of) {
    /* acq_rel: each sees what the others did before */
    if (atomic_fetch_add_explicit(&mark.at_barrier[which], 1, memory_order_acq_rel) + 1 == of) {
        atomic_store_explicit(&mark.work, of, memory_order_relaxed);
        atomic_fetch_add_explicit(&mark.at_barrier[which], 1, memory_order_release);
        return;
    }
    while (atomic_load_explicit(&mark.at_barrier[which], memory_order_acquire) <= of) sched_yield();
}

static void run_alone(helper *h) {
    walk_all(h, WALK_TAKE_OFF, true);
    walk_all(h, WALK_LOOK, true);
    while (h->overflow) {
        h->overflow = false;
        walk_all(h, WALK_PENDING, true);
    }
}

static void run_shared(unsigned number, unsigned of, void *context) {
    (void)context;
    helper *h = &mark.helpers[number];
    walk_all(h, WALK_TAKE_OFF, false);
    rest(h, SUBTRACT);
    barrier(0, of);
    walk_all(h, WALK_LOOK, false);
    rest(h, MARK);
    barrier(1, of);
}

static void helper_start(unsigned number) {
    helper *h = &mark.helpers[number];
    memset(h, 0, sizeof *h);
    h->number = number;
    h->instances = instances[number];
    memset(h->instances, 0, tally_types_used() * sizeof *h->instances);
}
static void free_chunks(chunk *c) {
    for (chunk *next; c; c = next) {
        next = c->next;
        free(c);
    }
}
static void helper_end(unsigned number) {
    helper *h = &mark.helpers[number];
    for (unsigned i = 0; i < MAX_HELPERS; i++) free(h->out[i]);
    free_chunks(h->spare);
    free_chunks(h->returned);
    free(h->stack);
    h->stack = NULL;
    h->capacity = 0;
}

/* Chunks for helpers 0 ... of - 1 to begin with; false: no memory. */
static bool helpers_equip(unsigned of) {
    for (unsigned i = 0; i < of; i++)
        for (unsigned to = 0; to < of; to++)
            if (to != i && !(mark.helpers[i].out[to] = new_chunk(&mark.helpers[i]))) return false;
    return true;
}

void tally_mark_all(tally_found *found) {
    long cores = sysconf(_SC_NPROCESSORS_ONLN);
    unsigned most = 1;
    while (most < MAX_HELPERS && most * 2 <= (unsigned)cores) most *= 2;
    if (mark.examined_last < ALONE_BELOW) most = 1;
    unsigned of = most > 1 ? tally_world_gather(most) : 1; /* how many are here, a power of two */
    for (unsigned i = 0; i < of; i++) helper_start(i);
    mark.mask = of - 1;
    if (of > 1 && !helpers_equip(of)) {
        for (unsigned i = 0; i < of; i++) helper_end(i);
        mark.mask = 0;
        helper_start(0);
    }
    for (unsigned i = 0; i < 2; i++) atomic_store_explicit(&mark.at_barrier[i], 0, memory_order_relaxed);
    atomic_store_explicit(&mark.work, of, memory_order_relaxed);
    if (mark.mask) tally_world_help(run_shared, NULL);
    else run_alone(&mark.helpers[0]);
    if (of > 1) tally_world_dismiss();
    *found = (tally_found){ .helpers = mark.mask };
    for (unsigned i = 0; i <= mark.mask; i++) {
        found->examined += mark.helpers[i].examined;
        found->reached += mark.helpers[i].reached;
        found->blocks += mark.helpers[i].blocks;
        helper_end(i);
    }
    mark.examined_last = found->examined;
}

/* ---- by the collector alone ------------------------------------------------ */

void tally_mark_more(tally_object *object, tally_found *found) {
    helper *h = &mark.helpers[0];
    unsigned mask = mark.mask;
    mark.mask = 0;
    h->reached = 0;
    mark_own(h, object, flags_of(object));
    do {
        drain(h, MARK, true);
        if (!h->overflow) break;
        h->overflow = false;
        walk_all(h, WALK_PENDING, true);
    } while (1);
    found->reached += h->reached;
    mark.mask = mask;
    free(h->stack);
    h->stack = NULL;
    h->capacity = 0;
}

static void restore(tally_object *child, void *context) {
    (void)context;
    if (!tally_is_plain_block(child) && candidate(flags_of(child))) tally_counts_trial_add(&child->counts, 1);
}
void tally_mark_restore(tally_object *object) { tally_children(object, tally_type_entry(object), restore, NULL); }

static void restore_again(tally_object *child, void *context) {
    (void)context;
    if (!tally_is_plain_block(child) && candidate_again(flags_of(child))) tally_counts_trial_add(&child->counts, 1);
}

size_t tally_mark_again(tally_object **objects, size_t count) {
    helper *h = &mark.helpers[0];
    mark.mask = 0;
    helper_start(0);
    for (size_t i = 0; i < count; i++) set_flags(objects[i], (flags_of(objects[i]) & ~TALLY_FLAG_MARKED) | TALLY_FLAG_AGAIN);
    for (size_t i = 0; i < count; i++) children(h, objects[i], SUBTRACT_AGAIN, true);
    drain(h, SUBTRACT_AGAIN, true);
    for (size_t i = 0; i < count; i++) {
        uint8_t flags = flags_of(objects[i]);
        if (flags & TALLY_FLAG_MARKED || external(objects[i]) == 1) continue; /* the caller's */
        mark_own(h, objects[i], flags);
        drain(h, MARK_AGAIN, true);
    }
    while (h->overflow) {
        h->overflow = false;
        for (size_t i = 0; i < count; i++) {
            if (!(flags_of(objects[i]) & TALLY_FLAG_PENDING)) continue;
            set_flags(objects[i], flags_of(objects[i]) & ~TALLY_FLAG_PENDING);
            children(h, objects[i], MARK_AGAIN, true);
            drain(h, MARK_AGAIN, true);
        }
    }
    for (size_t i = 0; i < count; i++)
        if (!(flags_of(objects[i]) & TALLY_FLAG_MARKED)) tally_children(objects[i], tally_type_entry(objects[i]), restore_again, NULL);
    for (size_t i = 0; i < count; i++) set_flags(objects[i], flags_of(objects[i]) & ~TALLY_FLAG_AGAIN);
    helper_end(0);
    return h->reached;
}
