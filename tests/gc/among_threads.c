/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* among_threads.c: collections while threads run, come and go; collections that start by
 * themselves. */
#include "cycles.h"

/* ---- threads --------------------------------------------------------------- */

enum { THREADS = 8 };

static void make_and_leave(void *argument) {
    for (int i = 0; i < 100; i++) {
        drop_ring(node_type, 4);
        tally_object *list = tally_list_new(0);
        append_new(list, pair(list, list));
        tally_decref(list);
    }
}

CYCLE_TEST(cycles_of_threads_that_have_exited_are_found) {
    for (int round = 1; round <= 3; round++) {
        run_threads(THREADS, make_and_leave, NULL, 0);
        check_int(tally_gc_collect(2), THREADS * 100 * 6);
        check_int(freed(), round * THREADS * 400);
    }
}

static tally_object *handed[100];
static _Atomic int gates[4];

static void open_gate(int gate) { atomic_store_explicit(&gates[gate], 1, memory_order_release); }
static void close_gates(void) {
    for (int i = 0; i < 4; i++) atomic_store(&gates[i], 0);
}

static void make_and_stay(void *argument) {
    for (int i = 0; i < 100; i++) handed[i] = ring_of(node_type, 3);
    open_gate(0);
    check(wait_for(&gates[1], 1));
}

CYCLE_TEST(references_to_others_objects_that_were_dropped_are_not_counted) {
    for (int round = 1; round <= 20; round++) {
        close_gates();
        tally_thread thread;
        check_int(tally_thread_start(&thread, make_and_stay, NULL), 0);
        check(wait_for(&gates[0], 1));
        for (int i = 0; i < 100; i++)
            tally_decref(handed[i]); /* with biased refcounts: queued for the owner */
        check_int(tally_gc_collect(2), 300);
        check_int(freed(), round * 300);
        open_gate(1);
        check_int(tally_thread_join(&thread), 0);
    }
}

static void make_and_block(void *argument) {
    for (int i = 0; i < 100; i++) handed[i] = ring_of(node_type, 3);
    open_gate(0);
    tally_blocking_begin();
    while (!atomic_load_explicit(&gates[1], memory_order_acquire)) usleep(100);
    tally_blocking_end();
}

CYCLE_TEST(a_thread_in_a_blocked_region_delays_no_collection) {
    close_gates();
    tally_thread thread;
    check_int(tally_thread_start(&thread, make_and_block, NULL), 0);
    check(wait_for(&gates[0], 1));
    /* It stays blocked until all this is done. */
    for (int i = 0; i < 10; i++) check_int(tally_gc_collect(2), 0);
    for (int i = 0; i < 100; i++) tally_decref(handed[i]);
    check_int(tally_gc_collect(2), 300);
    check_int(freed(), 300);
    open_gate(1);
    check_int(tally_thread_join(&thread), 0);
}

static void collect_until_told(void *argument) {
    _Atomic int *told = argument;
    while (!atomic_load_explicit(told, memory_order_acquire)) {
        check(tally_gc_collect(2) >= 0);
        tally_safepoint();
    }
}

static void make_a_little(void *argument) { drop_ring(node_type, 3); }

TEST(threads_may_come_and_go_during_collections) {
    /* With a GIL each that comes waits for it, beside a thread that is never done: the default
     * interval would be most of the test's time. */
    restart(&(tally_options){.switch_interval_us = 100});
    begin_cycles();
    close_gates();
    tally_thread collecting;
    check_int(tally_thread_start(&collecting, collect_until_told, &gates[0]), 0);
    for (int i = 0; i < SUITE_LONG(500); i++) run_threads(4, make_a_little, NULL, 0);
    open_gate(0);
    check_int(tally_thread_join(&collecting), 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), SUITE_LONG(500) * 12);
    end_cycles();
    restart(NULL);
}

/* Lists in a ring, each with the next in a tuple; threads put more cycles into them and take out
 * others. */
enum { RING = 64 };
static tally_object *members[RING];

static void change_the_cycle(void *argument) {
    unsigned at = *(unsigned *)argument * 7;
    for (int i = 0; i < SUITE_LONG(20000); i++, at++) {
        tally_object *from = members[at % RING], *to = members[(at * 31 + 5) % RING];
        tally_object *fresh = tally_list_new(2);
        tally_list_append(fresh, to);
        tally_list_append(fresh, from);
        tally_list_append(from, fresh); /* now it is a cycle with from and to */
        tally_object *dict = tally_dict_new();
        tally_dict_set(dict, field, fresh);
        tally_list_append(fresh, dict);
        drop(dict, fresh);
        tally_xdecref(tally_list_pop(from, -1)); /* this or another's: it may be garbage now */
        tally_error_clear();
        tally_safepoint();
    }
}

CYCLE_TEST(a_cycle_that_threads_change_meanwhile_stays_whole) {
    tally_object *anchors = tally_list_new(0);
    for (int i = 0; i < RING; i++) members[i] = tally_list_new(0);
    for (int i = 0; i < RING; i++) {
        tally_object *anchor = pair(members[i], members[(i + 1) % RING]);
        tally_list_append(members[i], anchor); /* until a thread removes it */
        append_new(anchors, anchor);
    }
    close_gates();
    tally_thread collecting;
    check_int(tally_thread_start(&collecting, collect_until_told, &gates[0]), 0);
    unsigned numbers[THREADS];
    for (unsigned i = 0; i < THREADS; i++) numbers[i] = i;
    run_threads(THREADS, change_the_cycle, numbers, sizeof numbers[0]);
    open_gate(0);
    check_int(tally_thread_join(&collecting), 0);
    check_int(tally_list_length(anchors), RING);
    for (int i = 0; i < RING; i++) {
        tally_object *anchor = tally_list_get(anchors, i), *first = tally_tuple_get(anchor, 0),
                     *second = tally_tuple_get(anchor, 1);
        check(first == members[i]);
        check(second == members[(i + 1) % RING]);
        check(tally_list_length(first) >= 0);
        drop(anchor, first, second);
    }
    tally_decref(anchors);
    for (int i = 0; i < RING; i++) tally_decref(members[i]);
    check(tally_gc_collect(2) >= 0);
}

static void make_and_collect(void *argument) {
    for (int i = 0; i < SUITE_LONG(200); i++) {
        drop_ring(node_type, 5);
        check(tally_gc_collect(i % 3) >= 0);
        tally_object *ring = ring_of(finalized_node_type, 3);
        check(tally_gc_collect(2) >= 0);
        check_int(ring_length(ring), 3);
        tally_decref(ring);
    }
}

/*
 * Two collections at the same time. One has found a; the other, which begins while a's
 * finalizer runs, has found a ring of x. The finalizer of a gives a away, that of x puts
 * x in a. Then the first rechecks its garbage, while the finalizer of x still runs.
 */
static tally_object *meeting_a, *_Atomic meeting_x;
static _Atomic int meeting;
enum { A_FOUND = 1, X_IN_A, LOOKED_AGAIN };

static void meet(tally_object *self) {
    if (self == meeting_a) {
        tally_incref(self);
        atomic_store_explicit(&meeting, A_FOUND, memory_order_release);
        check(wait_for(&meeting, X_IN_A));
    } else if (self == meeting_x) {
        node_set(meeting_a, 1, self);
        atomic_store_explicit(&meeting, X_IN_A, memory_order_release);
        check(wait_for(&meeting, LOOKED_AGAIN));
    }
}

static void collect_x(void *nothing) {
    check(wait_for(&meeting, A_FOUND));
    meeting_x = ring_of(finalized_node_type, 3);
    tally_decref(meeting_x);
    check_int(tally_gc_collect(2), 0); /* all found, none freed */
}

CYCLE_TEST(a_second_look_leaves_alone_what_another_collection_has_found) {
    atomic_store(&meeting, 0);
    meeting_x = NULL;
    atomic_store(&on_finalize, meet);
    tally_thread other;
    check_int(tally_thread_start(&other, collect_x, NULL), 0);
    meeting_a = ring_of(finalized_node_type, 1);
    tally_decref(meeting_a);
    check_int(tally_gc_collect(2), 0);
    atomic_store_explicit(&meeting, LOOKED_AGAIN, memory_order_release);
    check_int(tally_thread_join(&other), 0);
    check_int(freed(), 0);
    check_int(tally_refcount(meeting_a), 2);
    check_int(tally_refcount(meeting_x), 2);
    tally_decref(meeting_a);
    check_int(tally_gc_collect(2), 4);
    check_int(freed(), 4);
}

/* What a collection has noted is not for others to see until it lives on. */
static int seen_by_query;
static void query_objects(tally_object *self) {
    tally_object *all = tally_gc_get_objects(-1), *referrers = tally_gc_get_referrers(self);
    for (ptrdiff_t i = 0; i < tally_list_length(all); i++) {
        tally_object *item = tally_list_get(all, i);
        seen_by_query += item == self;
        tally_decref(item);
    }
    seen_by_query += (int)tally_list_length(referrers);
    drop(all, referrers);
}

CYCLE_TEST(queries_do_not_give_garbage) {
    seen_by_query = 0;
    atomic_store(&on_finalize, query_objects);
    drop_ring(finalized_node_type, 2);
    check_int(tally_gc_collect(2), 2);
    check_int(seen_by_query, 0);
    check_int(freed(), 2);
}

CYCLE_TEST(many_threads_may_collect_at_once) {
    run_threads(THREADS, make_and_collect, NULL, 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), THREADS * SUITE_LONG(200) * 8);
    check_int(finalized(), THREADS * SUITE_LONG(200) * 3);
}

/* ---- automatic collection ---------------------------------------------------- */

enum { CYCLES = SUITE_LONG(120000) };

/* Nodes: made in all; the most garbage that was alive at once, and while no full collection ran. */
static _Atomic int64_t nodes_made, most_alive, most_alone;
static _Atomic int full_now, full_at_once;

static void raise_to(_Atomic int64_t *most, int64_t value) {
    int64_t old = atomic_load(most);
    while (value > old && !atomic_compare_exchange_weak(most, &old, value)) {}
}

static void make_cycles(void *argument) {
    for (int i = 0; i < CYCLES; i++) {
        bool alone = !atomic_load(&full_now);
        drop_ring(node_type, 2);
        int64_t made = atomic_fetch_add(&nodes_made, 2) + 2, alive = made - freed();
        raise_to(&most_alive, alive);
        if (alone && !atomic_load(&full_now)) raise_to(&most_alone, alive);
        tally_safepoint();
    }
}

static void count_full(const tally_gc_info *info, void *context) {
    if (info->generation < 2) return;
    if (info->finished) {
        atomic_fetch_sub(&full_now, 1);
        return;
    }
    int now = atomic_fetch_add(&full_now, 1) + 1, most = atomic_load(&full_at_once);
    while (now > most && !atomic_compare_exchange_weak(&full_at_once, &most, now)) {}
}

/*
 * The most garbage that there can be, whichever thread loses its core, and however slow the build
 * is; with the objects that were alive at the start.
 *
 * Without a GIL and owners (nogil/gc/births.c) a collection is due when the flushed births are more
 * than limit = max(threshold, survivors / 4). Survivors are the objects that were alive, and a ring
 * or less of each thread.
 *  - Since the last mark, a thread that makes cycles adds at most BATCH births to the limit: a
 * thread that flushes when a collection is due asks for one (or shares another's) before it makes
 * more. It may have made up to BATCH - 1 births more that no count has, since they made up for
 * deaths at the end of a collection of its own. So with k threads that make cycles there are at
 * most limit + k (2 BATCH - 1).
 *  - A thread that collects frees the garbage that it found, and makes none meanwhile; the others
 * go on. When the j-th of the threads that free at the same time found its garbage, threads - j + 1
 * were making cycles; at least one makes some now. So the bound is the sum over k = 1 ... threads.
 *
 * With a GIL (gil/gc/generations.c) a thread collects by itself, between two safepoints,
 * so no other thread runs until all is freed. There are
 *  - threshold + 1 births in the youngest generation, and the ring just being made;
 *  - rings of which a part had been made when generation 0 was collected, which are in generation 1
 * then: a ring for each of threshold + 1 collections;
 *  - the same of generation 1 in generation 2, for each of threshold + 1 collections; and until
 * they are a quarter of what survived the last full collection.
 * Where refcounts have owners, the same is true of each thread, while no full collection runs. One
 * finds the garbage of all threads, and frees it while the others go on, as without owners. With
 * `full` of them at the same time, the j-th adds what threads - j threads make.
 */
static int64_t most_garbage(int threads, int64_t alive, int full) {
    enum { RING_NODES = 2, BIRTHS_BATCH = 64 };
    int64_t limits[3], sum = 0;
    int thresholds[3];
    alive += RING_NODES * threads;
    tally_gc_get_threshold(thresholds);
    for (int i = 0; i < 3; i++) limits[i] = thresholds[i];
    if (has_generations()) {
        int64_t middle = RING_NODES * (limits[1] + 1), old = RING_NODES * (limits[2] + 1),
                of_one = limits[0] + 1 + RING_NODES + middle + (old > alive / 4 ? old : alive / 4) +
                         RING_NODES;
        if (has_gil()) return of_one;
        for (int j = 0; j <= full && j < threads; j++) sum += (threads - j) * of_one;
        return sum;
    }
    int64_t limit = limits[0] > alive / 4 ? limits[0] : alive / 4;
    for (int k = 1; k <= threads; k++) sum += limit + k * (2 * BIRTHS_BATCH - 1);
    return sum;
}

static void stays_bounded(int threads) {
    begin_cycles();
    tally_object *all = tally_gc_get_objects(-1);
    int64_t alive = tally_list_length(all) + 1, alone = most_garbage(threads, alive, 0);
    tally_decref(all);
    atomic_store(&nodes_made, 0);
    atomic_store(&most_alive, 0);
    atomic_store(&most_alone, 0);
    atomic_store(&full_now, 0);
    atomic_store(&full_at_once, 0);
    check_int(tally_gc_add_callback(count_full, NULL), 0);
    tally_gc_enable();
    run_threads(threads, make_cycles, NULL, 0);
    tally_gc_disable();
    check_int(tally_gc_remove_callback(count_full, NULL), 0);
    check_int(atomic_load(&nodes_made), (int64_t)threads * CYCLES * 2);
    int full = atomic_load(&full_at_once);
    int64_t bound = most_garbage(threads, alive, full);
    printf("%d threads: %" PRId64 " nodes of garbage at most, of %" PRId64
           " that there may be while no full collection runs; %" PRId64 ", of %" PRId64
           ", with up to %d of them\n",
           threads, atomic_load(&most_alone), alone, atomic_load(&most_alive), bound, full);
    check(atomic_load(&most_alone) <= alone);
    check(atomic_load(&most_alive) <= bound);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), atomic_load(&nodes_made));
    end_cycles();
}

TEST(the_garbage_of_one_thread_stays_bounded) { stays_bounded(1); }
TEST(the_garbage_of_many_threads_stays_bounded) { stays_bounded(THREADS); }

static void count_collections(const tally_gc_info *info, void *context) {
    if (info->finished && info->automatic)
        atomic_fetch_add_explicit((_Atomic int *)context, 1, memory_order_relaxed);
}

CYCLE_TEST(goes_on_by_itself_after_its_counts_were_read) {
    _Atomic int collections = 0;
    check_int(tally_gc_add_callback(count_collections, (void *)&collections), 0);
    tally_gc_enable();
    for (int i = 0; i < 20000; i++) {
        drop_ring(node_type, 2);
        int counts[3];
        tally_gc_get_count(counts);
    }
    tally_gc_disable();
    check(atomic_load(&collections) >= 20);
    check(freed() > 30000);
    check_int(tally_gc_remove_callback(count_collections, (void *)&collections), 0);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 40000);
}

typedef struct run_record {
    int count;
    size_t examined[64];
} run_record;

static void note_examined(const tally_gc_info *info, void *context) {
    run_record *record = context;
    if (info->finished && record->count < 64) record->examined[record->count++] = info->examined;
}

TEST(looks_at_as_much_in_every_run_over_the_same_heap) {
    enum { HEAP = SUITE_LONG(50000), RUNS = 50 };
    begin_cycles();
    tally_object *ring = ring_of(node_type, HEAP), *lists = tally_list_new(0);
    for (int i = 0; i < 1000; i++) append_new(lists, list_of(1, 10));
    check_int(tally_gc_collect(2), 0);
    run_record record = {0};
    check_int(tally_gc_add_callback(note_examined, &record), 0);
    for (int i = 0; i < RUNS; i++) check_int(tally_gc_collect(2), 0);
    check_int(tally_gc_remove_callback(note_examined, &record), 0);
    check_int(record.count, RUNS);
    for (int i = 0; i < RUNS; i++) {
        check(record.examined[i] == record.examined[0]);
        check(record.examined[i] >= HEAP + 1001);
    }
    drop(lists, ring);
    check_int(tally_gc_collect(2), HEAP);
    end_cycles();
}

/* ---- progress ------------------------------------------------------------------ */

static void block_again_and_again(void *argument) {
    _Atomic int *rounds = argument;
    for (int i = 0; i < 1000; i++) {
        tally_blocking_begin();
        tally_blocking_end();
        drop_ring(node_type, 2);
        atomic_fetch_add_explicit(rounds, 1, memory_order_release);
    }
}

/* That the test ends is what it shows: the loop goes on until the others are done. */
CYCLE_TEST(threads_that_come_back_go_on_while_another_collects_all_the_time) {
    _Atomic int rounds = 0;
    tally_object *heap = ring_of(node_type, 10000);
    tally_thread threads[3];
    for (int i = 0; i < 3; i++)
        check_int(tally_thread_start(&threads[i], block_again_and_again, (void *)&rounds), 0);
    int64_t collections = 0;
    do {
        check(tally_gc_collect(2) >= 0);
        tally_safepoint();
        collections++;
    } while (atomic_load_explicit(&rounds, memory_order_acquire) < 3000);
    check(collections > 0);
    for (int i = 0; i < 3; i++) check_int(tally_thread_join(&threads[i]), 0);
    tally_decref(heap);
    check(tally_gc_collect(2) >= 0);
    check_int(freed(), 10000 + 6000);
}
