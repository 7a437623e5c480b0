/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * pipeline: items go through four stages joined by bounded queues, and each stage changes them. It
 * stands for programs that are built as producers, transformers and consumers: an item is an
 * instance that another thread made, whose fields hold objects of all threads that it came through.
 *
 * The threads are the stages: four threads make a line of one stage each. Fewer share the stages
 * out, and each runs its own in turn, a batch of items each; more make further lines. An operation
 * is an item handled by a stage, so that the work is the same for any number of threads.
 *
 * A queue has one stage that puts and one that takes. In a line a thread waits only for the stage
 * before its first and the one after its last, so no circle of waiting threads is possible. A
 * thread that waits because a queue is empty or full is woken when it is half full, so that not
 * every item is a call of the kernel; the items never end, so that the half always comes.
 */
#include "workload.h"

enum {
    STAGES = 4,
    BATCH = 64,
    QUEUE = 4 * BATCH,
    WAKE_AT = QUEUE / 2,
    ROUNDS_PER_RUN = 4,
    PER_SAFEPOINT = 32
};
enum { SEQUENCE, VALUE, TRAIL, FACTOR = 3 };

static const char *const slots[] = {"sequence", "value", "trail", NULL};

struct queue {
    tally_mutex mutex;       /* guards all below */
    tally_condition changed; /* half full: never waited for by both sides */
    unsigned count, first;
    tally_object *items[QUEUE];
};

/* Only its thread writes it; the queue is for the next stage. */
struct stage {
    alignas(WORKLOAD_LINE) tally_object *held; /* changed, but not yet in the queue; NULL: none */
    int64_t handled;
    alignas(WORKLOAD_LINE) struct queue queue;
};

struct line {
    struct stage stages[STAGES];
};

struct shared {
    tally_object *class_;
    unsigned line_count;
    struct line *lines;
};

struct local {
    struct line *line;
    unsigned begin, end;  /* its stages */
    unsigned stage, done; /* where it is: the stage, and items of the batch done there */
    const atomic_bool *stop;
};

static void setup(struct shared *shared, const workload_context *context) {
    shared->class_ = workload_keep_class(context, "Item", slots);
    shared->line_count = (context->workers + STAGES - 1) / STAGES;
    shared->lines = workload_memory(context, shared->line_count * sizeof *shared->lines);
    for (unsigned i = 0; i < shared->line_count * STAGES; i++) {
        struct queue *queue = &shared->lines[i / STAGES].stages[i % STAGES].queue;
        tally_mutex_init(&queue->mutex);
        tally_condition_init(&queue->changed);
    }
}

static void enter(struct shared *shared, struct local *local, const workload_context *context) {
    unsigned line = context->worker / STAGES, place = context->worker % STAGES;
    unsigned in_line = context->workers - line * STAGES;
    if (in_line > STAGES) in_line = STAGES;
    local->line = &shared->lines[line];
    local->begin = local->stage = place * STAGES / in_line;
    local->end = (place + 1) * STAGES / in_line;
    local->stop = context->stop;
}

/* ---- the queues --------------------------------------------------------- */

/* Waits, with the mutex held, while the queue has `count` items. False: the sample is over, and
 * the thread that was to change it may have stopped. */
static bool wait_while(const struct local *local, struct queue *queue, unsigned count) {
    while (queue->count == count) {
        /* Relaxed: wake() is called after the store and takes the mutex. */
        if (atomic_load_explicit(local->stop, memory_order_relaxed)) return false;
        tally_condition_wait(&queue->changed, &queue->mutex);
    }
    return true;
}

static bool put(const struct local *local, struct queue *queue, tally_object *item) {
    tally_mutex_lock(&queue->mutex);
    bool room = wait_while(local, queue, QUEUE);
    if (room) {
        queue->items[(queue->first + queue->count) % QUEUE] = item;
        if (++queue->count == WAKE_AT) tally_condition_signal(&queue->changed);
    }
    tally_mutex_unlock(&queue->mutex);
    return room;
}

static tally_object *take(const struct local *local, struct queue *queue) {
    tally_object *item = NULL;
    tally_mutex_lock(&queue->mutex);
    if (wait_while(local, queue, 0)) {
        item = queue->items[queue->first];
        queue->first = (queue->first + 1) % QUEUE;
        if (--queue->count == WAKE_AT) tally_condition_signal(&queue->changed);
    }
    tally_mutex_unlock(&queue->mutex);
    return item;
}

/* ---- the items ---------------------------------------------------------- */

static int64_t get_int(tally_object *item, ptrdiff_t slot) {
    tally_object *number = workload_object(tally_slot_get(item, slot));
    int64_t value = tally_int_value(number);
    tally_decref(number);
    return value;
}

static tally_object *make(tally_object *class_, int64_t sequence) {
    tally_object *item = workload_object(tally_instance_new(class_));
    workload_slot_put(item, SEQUENCE, tally_int_new(sequence));
    workload_slot_put(item, VALUE, tally_int_new(sequence));
    workload_slot_put(item, TRAIL, tally_list_new(STAGES));
    return item;
}

/* value = value * FACTOR + stage, and the new value is added to the trail. */
static void change(tally_object *item, unsigned stage) {
    tally_object *old = workload_object(tally_slot_get(item, VALUE));
    tally_object *factor = workload_object(tally_int_new(FACTOR));
    tally_object *product = workload_object(tally_multiply(old, factor));
    tally_object *number = workload_object(tally_int_new(stage));
    tally_object *value = workload_object(tally_add(product, number));
    tally_object *trail = workload_object(tally_slot_get(item, TRAIL));
    workload_done(tally_slot_set(item, VALUE, value));
    workload_done(tally_list_append(trail, value));
    tally_decref(trail);
    tally_decref(value);
    tally_decref(number);
    tally_decref(product);
    tally_decref(factor);
    tally_decref(old);
}

/* It is the item of that number, and has been through so many stages. */
static void check(tally_object *item, int64_t sequence, unsigned stages) {
    tally_object *trail = workload_object(tally_slot_get(item, TRAIL));
    int64_t value = sequence;
    if (get_int(item, SEQUENCE) != sequence)
        workload_fail("item %lld came where %lld was due", (long long)get_int(item, SEQUENCE),
                      (long long)sequence);
    if (tally_list_length(trail) != stages)
        workload_fail("an item came through %td stages, not %u", tally_list_length(trail), stages);
    for (unsigned stage = 0; stage < stages; stage++) {
        tally_object *step = workload_object(tally_list_get(trail, stage));
        value = value * FACTOR + stage;
        if (tally_int_value(step) != value)
            workload_fail("stage %u made %lld, not %lld", stage, (long long)tally_int_value(step),
                          (long long)value);
        tally_decref(step);
    }
    if (get_int(item, VALUE) != value)
        workload_fail("an item has the value %lld, not %lld", (long long)get_int(item, VALUE),
                      (long long)value);
    tally_decref(trail);
}

/* ---- the stages --------------------------------------------------------- */

/* One item from the queue before to the one after, or as far as they let it. */
static bool handle(const struct shared *shared, const struct local *local) {
    struct stage *stage = &local->line->stages[local->stage];
    if (stage->held == NULL) {
        stage->held = local->stage == 0 ? make(shared->class_, stage->handled)
                                        : take(local, &stage[-1].queue);
        if (stage->held == NULL) return false;
        change(stage->held, local->stage);
    }
    if (local->stage + 1 < STAGES) {
        if (!put(local, &stage->queue, stage->held)) return false;
    } else {
        check(stage->held, stage->handled, STAGES);
        tally_decref(stage->held);
    }
    stage->held = NULL;
    stage->handled++;
    return true;
}

static uint64_t run(struct shared *shared, struct local *local, const workload_context *context) {
    unsigned batches = ROUNDS_PER_RUN * (local->end - local->begin);
    uint64_t handled = 0;
    while (handled < (uint64_t)batches * BATCH && handle(shared, local)) {
        handled++;
        if (++local->done == BATCH) {
            local->done = 0;
            local->stage = local->stage + 1 < local->end ? local->stage + 1 : local->begin;
        }
        if (handled % PER_SAFEPOINT == 0) tally_safepoint();
    }
    return handled;
}

static void wake(struct shared *shared, const workload_context *context) {
    for (unsigned i = 0; i < shared->line_count * STAGES; i++) {
        struct queue *queue = &shared->lines[i / STAGES].stages[i % STAGES].queue;
        tally_mutex_lock(&queue->mutex);
        tally_condition_broadcast(&queue->changed);
        tally_mutex_unlock(&queue->mutex);
    }
}

/* What did not arrive is still under way, in order: all that was made is found once. */
static void drain(struct line *line) {
    int64_t next = line->stages[STAGES - 1].handled;
    for (unsigned i = STAGES; i-- > 0;) {
        struct stage *stage = &line->stages[i];
        for (; stage->queue.count > 0; stage->queue.count--) {
            tally_object *item = stage->queue.items[stage->queue.first];
            check(item, next++, i + 1);
            workload_check_and_drop(&item, 1, 1);
            stage->queue.first = (stage->queue.first + 1) % QUEUE;
        }
        if (next != stage->handled)
            workload_fail("stage %u handled %lld items, but %lld are found", i,
                          (long long)stage->handled, (long long)next);
        if (stage->held != NULL) {
            check(stage->held, next++, i + 1);
            workload_check_and_drop(&stage->held, 1, 1);
        }
    }
}

static void teardown(struct shared *shared, const workload_context *context) {
    for (unsigned i = 0; i < shared->line_count; i++) drain(&shared->lines[i]);
}

WORKLOAD(pipeline, .name = "pipeline", .kind = PROGRAMS,
         .description = "Threads as stages that change items and pass them on in bounded "
                        "queues: data pipelines.",
         .unit = "items through a stage", .shares = true, .not_quick = true, SHARED_STATE,
         LOCAL_STATE, .setup = setup, .enter = enter, .run = run, .teardown = teardown,
         .wake = wake);
