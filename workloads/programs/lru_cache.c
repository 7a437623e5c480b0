/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * lru-cache: a cache of 1024 results that all threads share, and that forgets what was not used for
 * the longest time: a dict from keys to nodes, and the nodes in a circle of instances, the last
 * used at its end, all under a mutex. It stands for memoised functions and page caches, where every
 * read also writes. The circle is garbage that only the cycle collector could find, so a thread
 * that removes a node takes it out of the circle first.
 *
 * A miss computes its value outside the mutex, so two threads may compute the same; the first is
 * kept. With one worker the hits are those that the same cache in plain C has, for the same seed.
 */
#include "workload.h"

enum { KEYS = 4096, CAPACITY = 1024, REQUESTS = 1024, PER_SAFEPOINT = 32 };
enum { KEY, VALUE, PREVIOUS, NEXT };

static const char *const slots[] = {"key", "value", "previous", "next", NULL};

struct shared {
    tally_object *class_;
    tally_object *keys[KEYS];                 /* ints past the small ones */
    alignas(WORKLOAD_LINE) tally_mutex mutex; /* guards all below, and the nodes */
    tally_object *nodes;                      /* the dict */
    tally_object *root;                       /* next: the oldest node, previous: the newest */
    uint64_t inserted, evicted;
    /* Of all workers. Relaxed: plain sums, read when all are joined. */
    atomic_uint_fast64_t missed, twice;
};

struct local {
    uint64_t seed, first_seed;
    uint64_t requests, hits;
    uint64_t twice; /* computed, but another thread was faster */
};

/* Few keys are asked for often: the product of two even draws. */
static unsigned draw(uint64_t *seed) {
    uint64_t random = workload_random(seed);
    return (unsigned)((random & 0xffff) * (random >> 32 & 0xffff) * KEYS >> 32);
}

/* ---- the circle --------------------------------------------------------- */

static tally_object *get(tally_object *node, ptrdiff_t slot) {
    return workload_object(tally_slot_get(node, slot));
}

static void join(tally_object *node, tally_object *next) {
    workload_done(tally_slot_set(node, NEXT, next));
    workload_done(tally_slot_set(next, PREVIOUS, node));
}

/* Only the caller's reference, and the dict's, are left then. */
static void take_out(tally_object *node) {
    tally_object *previous = get(node, PREVIOUS), *next = get(node, NEXT);
    join(previous, next);
    workload_done(tally_slot_set(node, PREVIOUS, NULL));
    workload_done(tally_slot_set(node, NEXT, NULL));
    tally_decref(next);
    tally_decref(previous);
}

static void put_last(tally_object *root, tally_object *node) {
    tally_object *newest = get(root, PREVIOUS);
    join(newest, node);
    join(node, root);
    tally_decref(newest);
}

/* ---- the cache ---------------------------------------------------------- */

/* The value as a new reference, its node now the newest; NULL: a miss. The mutex is held. */
static tally_object *find(struct shared *shared, tally_object *key) {
    tally_object *node = tally_dict_get(shared->nodes, key);
    if (node == NULL) {
        if (tally_error_kind() != TALLY_NO_ERROR)
            workload_fail("cannot look up a key: %s", tally_error_message());
        return NULL;
    }
    tally_object *value = get(node, VALUE);
    take_out(node);
    put_last(shared->root, node);
    tally_decref(node);
    return value;
}

/* The oldest node, out of circle and dict; the mutex is held. */
static tally_object *evict(struct shared *shared) {
    tally_object *oldest = get(shared->root, NEXT), *key = get(oldest, KEY);
    take_out(oldest);
    workload_done(tally_dict_delete(shared->nodes, key));
    tally_decref(key);
    shared->evicted++;
    return oldest;
}

/* What the cache saves: here a tuple of the key and its square. */
static tally_object *compute(tally_object *key) {
    tally_object *square = workload_object(tally_multiply(key, key));
    tally_object *value = workload_object(tally_tuple_new((tally_object *[]){key, square}, 2));
    tally_decref(square);
    return value;
}

static void remember(struct shared *shared, struct local *local, tally_object *key,
                     tally_object *value) {
    tally_object *node = workload_object(tally_instance_new(shared->class_)), *old = NULL;
    workload_done(tally_slot_set(node, KEY, key));
    workload_done(tally_slot_set(node, VALUE, value));
    tally_mutex_lock(&shared->mutex);
    if (workload_done(tally_dict_contains(shared->nodes, key)) == 1) {
        local->twice++;
    } else {
        if (tally_dict_length(shared->nodes) == CAPACITY) old = evict(shared);
        workload_done(tally_dict_set(shared->nodes, key, node));
        put_last(shared->root, node);
        shared->inserted++;
    }
    tally_mutex_unlock(&shared->mutex);
    tally_xdecref(old); /* its value is freed outside the mutex */
    tally_decref(node);
}

static void check(tally_object *key, tally_object *value) {
    tally_object *named = workload_object(tally_tuple_get(value, 0));
    tally_object *square = workload_object(tally_tuple_get(value, 1));
    if (named != key || tally_int_value(square) != tally_int_value(key) * tally_int_value(key))
        workload_fail("key %lld has a wrong value", (long long)tally_int_value(key));
    tally_decref(square);
    tally_decref(named);
}

static void request(struct shared *shared, struct local *local) {
    tally_object *key = shared->keys[draw(&local->seed)];
    tally_mutex_lock(&shared->mutex);
    tally_object *value = find(shared, key);
    tally_mutex_unlock(&shared->mutex);
    if (value != NULL) {
        local->hits++;
    } else {
        value = compute(key);
        remember(shared, local, key, value);
    }
    check(key, value);
    tally_decref(value);
    local->requests++;
}

/* ---- the same in plain C, to check against ------------------------------ */

/* How many of the requests hit: keys instead of references. */
static uint64_t plain_hits(uint64_t seed, uint64_t requests) {
    enum { ROOT = KEYS };
    struct {
        bool cached;
        unsigned previous, next;
    } nodes[KEYS + 1] = {0};
    unsigned length = 0;
    uint64_t hits = 0;
    nodes[ROOT].previous = nodes[ROOT].next = ROOT;
    for (uint64_t i = 0; i < requests; i++) {
        unsigned key = draw(&seed);
        unsigned out = nodes[key].cached ? key : length == CAPACITY ? nodes[ROOT].next : ROOT;
        hits += nodes[key].cached;
        length += out == ROOT;
        if (out != ROOT) {
            nodes[nodes[out].previous].next = nodes[out].next;
            nodes[nodes[out].next].previous = nodes[out].previous;
            nodes[out].cached = false;
        }
        nodes[key].cached = true;
        nodes[key].previous = nodes[ROOT].previous;
        nodes[key].next = ROOT;
        nodes[nodes[key].previous].next = key;
        nodes[ROOT].previous = key;
    }
    return hits;
}

/* ---- the workload ------------------------------------------------------- */

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Node", slots);
    for (unsigned i = 0; i < KEYS; i++)
        shared->keys[i] = workload_keep(context, tally_int_new(KEYS + i), ANY_HOLDERS);
    tally_mutex_init(&shared->mutex);
    shared->nodes = workload_keep(context, tally_dict_new(), 1);
    shared->root = workload_keep(context, tally_instance_new(shared->class_), 1);
    join(shared->root, shared->root);
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    local->seed = local->first_seed = workload_seed(context);
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    WORKLOAD_LOOP(REQUESTS, PER_SAFEPOINT) request(shared, local);
    return REQUESTS;
}

static void leave(struct shared *shared, struct local *local, const workload_context *context) {
    if (context->workers == 1) {
        uint64_t hits = plain_hits(local->first_seed, local->requests);
        if (hits != local->hits)
            workload_fail("%llu of %llu requests hit, not %llu", (unsigned long long)local->hits,
                          (unsigned long long)local->requests, (unsigned long long)hits);
    }
    atomic_fetch_add_explicit(&shared->missed, local->requests - local->hits, memory_order_relaxed);
    atomic_fetch_add_explicit(&shared->twice, local->twice, memory_order_relaxed);
}

/* Takes the circle apart from the oldest node on. Each was that of its key in the dict. */
static void check_circle(struct shared *shared) {
    ptrdiff_t length = tally_dict_length(shared->nodes);
    for (ptrdiff_t i = 0; i < length; i++) {
        tally_object *node = get(shared->root, NEXT);
        if (node == shared->root)
            workload_fail("the circle has %td nodes, but the dict %td", i, length);
        tally_object *key = get(node, KEY), *value = get(node, VALUE);
        tally_object *known = workload_object(tally_dict_get(shared->nodes, key));
        tally_object *previous = get(node, PREVIOUS);
        if (known != node || previous != shared->root)
            workload_fail("a node is not where it belongs");
        check(key, value);
        tally_decref(previous);
        tally_decref(known);
        tally_decref(value);
        tally_decref(key);
        take_out(node);
        workload_check_count(node, 2); /* the dict's, and this */
        tally_decref(node);
    }
    tally_object *end = get(shared->root, NEXT);
    if (end != shared->root) workload_fail("the circle has more nodes than the dict");
    tally_decref(end);
}

static void teardown(struct shared *shared, const workload_context *context) {
    uint64_t length = (uint64_t)tally_dict_length(shared->nodes);
    uint64_t missed = atomic_load_explicit(&shared->missed, memory_order_relaxed);
    uint64_t twice = atomic_load_explicit(&shared->twice, memory_order_relaxed);
    if (length > CAPACITY || shared->inserted - shared->evicted != length ||
        missed != shared->inserted + twice)
        workload_fail(
            "%llu misses, %llu computed twice, %llu inserted and %llu evicted, but %llu are left",
            (unsigned long long)missed, (unsigned long long)twice,
            (unsigned long long)shared->inserted, (unsigned long long)shared->evicted,
            (unsigned long long)length);
    check_circle(shared);
    workload_done(tally_slot_set(shared->root, PREVIOUS, NULL));
    workload_done(tally_slot_set(shared->root, NEXT, NULL));
}

WORKLOAD(lru_cache, .name = "lru-cache", .kind = PROGRAMS,
         .description = "A shared cache that forgets what was not used for longest: "
                        "memoised functions.",
         .unit = "requests", .shares = true, .not_quick = true, SHARED_STATE, LOCAL_STATE,
         .setup = setup, .enter = enter, .run = run, .leave = leave, .teardown = teardown);
