/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * queues.c: what waits for whom, for a heap snapshot: objects in merge queues, and retired memory
 * until a grace period has passed.
 *
 * A queue knows when the oldest of what is in it came, not when each did. The coarse clock tells
 * that, so times are a few milliseconds off. The stop of the world has sent all threads to a
 * safepoint by now; the queues are as they were before, since a thread parks before it looks at
 * them.
 *
 * Invariant: nothing here changes a queue.
 */
#include "instrument/queues.h"
#include "objects/object.h"

typedef struct queues {
    void (*put)(void *context, uint64_t number);
    void *context;
    uint64_t now;
    size_t batches;
} queues;

static void put(queues *q, uint64_t number) { q->put(q->context, number); }

/* In nanoseconds, plus 1; 0: unknown. */
static void put_age(queues *q, uint64_t since) {
    put(q, since ? (q->now > since ? q->now - since : 0) + 1 : 0);
}
static void put_thread(queues *q, tally_thread_state *thread) {
    tally_waiting queue, list, throttled;
    tally_refcount_queue(thread, &queue);
    tally_reclaim_lists(thread, &list, &throttled);
    put(q, thread->head.id);
    put_age(q, thread->away ? thread->away_since : 0);
    put(q, queue.count);
    put(q, queue.bytes);
    put_age(q, queue.count ? queue.since : 0);
    put(q, list.bytes);
    put(q, throttled.bytes);
    put_age(q, throttled.bytes ? throttled.since : 0);
}

static void count_batch(const tally_waiting *about, uint64_t tick, void *context) {
    ((queues *)context)->batches++;
}
static void put_batch(const tally_waiting *about, uint64_t tick, void *context) {
    queues *q = context;
    size_t behind = 0;
    put(q, about->bytes);
    put_age(q, about->since);
    tally_each_thread(thread) behind += tally_reclaim_lags(thread, tick);
    put(q, behind);
    tally_each_thread(thread)
        if (tally_reclaim_lags(thread, tick)) put(q, thread->head.id);
}

void tally_queues_put(void (*to)(void *context, uint64_t number), void *context) {
    queues q = {.put = to, .context = context, .now = tally_now_coarse()};
    size_t threads = 0;
    tally_each_thread(thread) threads++;
    put(&q, threads);
    tally_each_thread(thread) put_thread(&q, thread);
    tally_reclaim_each_batch(count_batch, &q);
    put(&q, q.batches);
    tally_reclaim_each_batch(put_batch, &q);
}
