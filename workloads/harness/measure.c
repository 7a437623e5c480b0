/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * measure.c: the samples. All workers wait at a gate, the main thread opens it, sleeps for the
 * length of the sample, and sets a flag that each worker looks at between two calls of `run`. A
 * sample's time is that from the first start to the last end, and its rate all operations over this
 * time: a worker that waits for the GIL when the sample ends does its run later, and both the run
 * and the wait count.
 *
 * Where a sample is a total of operations, the workers take them from one pot, and the worker that
 * takes the last one sets the flag. There is one pot, not a part each: another worker does what one
 * leaves undone, and workers that wait for each other, or stand by, need no rule of their own. A
 * run is never cut short, so somewhat more than the total is done; the sample says how much.
 *
 * Invariant: a worker that sleeps is in a blocked region. The main thread is in one from the first
 * gate on, except while it asks for statistics or wakes workers, so that it never holds a GIL that
 * is being measured.
 */
#define _GNU_SOURCE 1 /* pthread_setname_np, TEMP_FAILURE_RETRY */

#include "measure.h"

#include <errno.h>
#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "fail.h"
#include "gate.h"
#include "ledger.h"
#include "perf.h"
#include "pinning.h"
#include "profile.h"
#include "snapshot.h"
#include "state.h"
#include "stop.h"
#include "switching.h"
#include "trace.h"
#include "watch.h"

struct measurement;

struct worker {
    alignas(WORKLOAD_LINE) struct measurement *measurement;
    tally_thread thread;
    unsigned index;
    bool pinned;
    /* Of the last sample; the gate's mutex hands them to the main thread. */
    uint64_t operations;
    double began, ended, seconds; /* seconds: in run */
    perf_set perf;
    thread_time time; /* of all samples */
    shared_state own; /* set up by the worker, where each has a shared state of its own */
};

struct measurement {
    const options *options;
    workload_context context;
    pinning pinning;
    gate gate;
    shared_state shared;
    struct worker *workers;
    histogram *latencies; /* one per worker; NULL: not measured */
    bool from_pot;        /* of this sample; handed over by the gate's mutex */
    /* All are relaxed: the gate orders everything else, and a worker that sees the flag a little
     * later only works a little longer. */
    alignas(WORKLOAD_LINE) atomic_bool stop;
    alignas(WORKLOAD_LINE) atomic_bool over; /* no more samples */
    atomic_bool counted; /* relaxed: the samples have begun, perf events are counted */
    alignas(WORKLOAD_LINE) atomic_int_fast64_t pot; /* operations left */
};

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

/* ---- a worker ----------------------------------------------------------- */

/* Without sharing each worker sets up, as if it were the only one: so its objects are its own. */
static void enter(struct worker *worker, local_state *state) {
    struct measurement *all = worker->measurement;
    const tally_workload *workload = all->options->workload;
    workload_context context = all->context;
    shared_state *shared = &all->shared;
    if (all->latencies != NULL) context.latency = &all->latencies[worker->index];
    if (all->options->without == CAUSE_SHARING) {
        context.workers = 1;
        context.seed += worker->index;
        shared = &worker->own;
        state_set_up(shared, workload, &context);
    } else {
        context.worker = worker->index;
    }
    state_enter(state, shared, workload, &context);
}

/* The name shows in the stacks of a run that hangs. */
static void name_thread(unsigned index) {
    char name[16];
    snprintf(name, sizeof name, "worker %u", index + 1);
    pthread_setname_np(pthread_self(), name);
}

static void take_from_pot(struct measurement *all, uint64_t operations) {
    int64_t done = (int64_t)operations;
    int64_t left = atomic_fetch_sub_explicit(&all->pot, done, memory_order_relaxed);
    if (left > 0 && left <= done) {
        atomic_store_explicit(&all->stop, true, memory_order_relaxed);
        stop_rouse();
    }
}

static void work(void *argument) {
    struct worker *worker = argument;
    struct measurement *all = worker->measurement;
    const tally_workload *workload = all->options->workload;
    bool prepares = workload->prepare != NULL;
    local_state state = {.local = NULL};
    name_thread(worker->index);
    worker->pinned = pinning_bind(&all->pinning, all->options->index + worker->index);
    enter(worker, &state);
    struct shared *shared = state.over->shared;
    struct local *local = state.local;
    perf_open(&worker->perf, all->options->perf);
    for (;;) {
        uint64_t operations = 0;
        double in_run = 0;
        tally_blocking_begin();
        gate_wait(&all->gate);
        bool counted = atomic_load_explicit(&all->counted, memory_order_relaxed);
        thread_time before = thread_time_now();
        if (counted) perf_start(&worker->perf);
        double start = worker->began =
            now(); /* before the end: to wait for the GIL is part of the price */
        tally_blocking_end();
        if (atomic_load_explicit(&all->over, memory_order_relaxed)) break;
        /* Once at least: on a busy machine a worker may leave the gate after a short sample is
         * over, and one that did nothing has no rate. */
        do {
            if (prepares) {
                workload->prepare(shared, local, &state.context);
                start = now();
            }
            uint64_t done = workload->run(shared, local, &state.context);
            operations += done;
            if (prepares) in_run += now() - start;
            if (all->from_pot) take_from_pot(all, done);
        } while (!atomic_load_explicit(&all->stop, memory_order_relaxed));
        worker->ended = now();
        worker->seconds = prepares ? in_run : worker->ended - start;
        worker->operations = operations;
        if (counted) perf_stop(&worker->perf);
        if (counted && !prepares) thread_time_add(&worker->time, &before);
    }
    perf_close(&worker->perf);
    state_leave(&state, workload);
    if (state.over == &worker->own) state_tear_down(&worker->own, workload);
}

static void start_workers(struct measurement *all) {
    unsigned count = all->context.workers;
    all->workers = workload_allocate(count * sizeof *all->workers);
    gate_init(&all->gate, count);
    for (unsigned i = 0; i < count; i++) {
        struct worker *worker = &all->workers[i];
        worker->measurement = all;
        worker->index = i;
        if (tally_thread_start(&worker->thread, work, worker) != 0)
            workload_fail("cannot start thread %u of %u: %s", i + 1, count, tally_error_message());
    }
}

static void end_workers(struct measurement *all) {
    atomic_store_explicit(&all->over, true, memory_order_relaxed);
    gate_open(&all->gate);
    tally_blocking_end();
    for (unsigned i = 0; i < all->context.workers; i++)
        if (tally_thread_join(&all->workers[i].thread) != 0)
            workload_fail("cannot join thread %u: %s", i + 1, tally_error_message());
}

/* ---- the main thread ---------------------------------------------------- */

/* One worker of many processes: waits until all others are ready too. False: the parent has given
 * up. */
static bool meet_other_processes(const options *options) {
    char byte = 0;
    watch_rest();
    return options->parent < 0 ||
           (TEMP_FAILURE_RETRY(send(options->parent, &byte, 1, MSG_NOSIGNAL)) == 1 &&
            TEMP_FAILURE_RETRY(read(options->parent, &byte, 1)) == 1);
}

static void wake(const struct measurement *all) {
    const tally_workload *workload = all->options->workload;
    bool own = all->options->without == CAUSE_SHARING;
    for (unsigned i = 0; i < (own ? all->context.workers : 1); i++) {
        const shared_state *state = own ? &all->workers[i].own : &all->shared;
        workload->wake(state->shared, &state->context);
    }
}

/* True at once if the driver is to end. What is read meanwhile is in the time. */
static bool sleep_for(unsigned milliseconds) {
    static const uint64_t millisecond = 1000000;
    const uint64_t end = workload_clock() + milliseconds * millisecond;
    bool asked_to_end = false;
    for (uint64_t time; !asked_to_end && (time = workload_clock()) < end;) {
        unsigned left = (unsigned)((end - time + millisecond - 1) / millisecond);
        asked_to_end = stop_sleep(ledger_wait(snapshot_wait(left)));
        snapshot_poll();
        ledger_poll();
    }
    return asked_to_end;
}

/* Lets all workers run for so long, or until they have done `total` operations if that is not 0;
 * false if the driver is to end. */
static bool run_for(struct measurement *all, const char *step, unsigned milliseconds,
                    uint64_t total) {
    if (!meet_other_processes(all->options)) return false;
    watch_step(step, total > 0 ? 0 : milliseconds);
    stop_forget();
    all->from_pot = total > 0;
    atomic_store_explicit(&all->pot, (int64_t)total, memory_order_relaxed);
    atomic_store_explicit(&all->stop, false, memory_order_relaxed);
    gate_open(&all->gate);
    bool asked_to_end = total > 0 ? stop_wait() : sleep_for(milliseconds);
    atomic_store_explicit(&all->stop, true, memory_order_relaxed);
    if (all->options->workload->wake != NULL) {
        tally_blocking_end();
        wake(all);
        tally_blocking_begin();
    }
    gate_collect(&all->gate);
    if (total > 0) {
        snapshot_poll();
        ledger_poll();
    }
    return !asked_to_end;
}

static void record(const struct measurement *all, run *run) {
    double longest = 0, began = INFINITY, ended = 0;
    uint64_t operations = 0;
    unsigned sample = run->samples++;
    for (unsigned i = 0; i < run->workers; i++) {
        const struct worker *worker = &all->workers[i];
        run->operations[(size_t)sample * run->workers + i] = worker->operations;
        run->worker_seconds[(size_t)sample * run->workers + i] = worker->seconds;
        operations += worker->operations;
        if (worker->operations > 0) { /* a worker that stands by keeps no other waiting */
            began = fmin(began, worker->began);
            ended = fmax(ended, worker->ended);
            longest = fmax(longest, worker->seconds);
        }
    }
    /* Preparing is not measured, and each worker does it by itself. */
    double seconds = all->options->workload->prepare != NULL ? longest : ended - began;
    run->seconds[sample] = seconds;
    run->rates[sample] = (double)operations / seconds;
    double turns = 10.0 * run->workers * switching_turn_seconds(&all->options->runtime);
    run->few_turns |= run->workers > 1 && seconds < turns;
}

static void read_stats(tally_stats_result *stats, contention *contention,
                       void (*list)(struct contention *)) {
    tally_blocking_end();
    tally_stats(stats);
    list(contention);
    tally_blocking_begin();
}

/* A page's share depends on the other processes that have it: none may have ended, or still be
 * running, while one of them looks. */
static long weigh_among_processes(const options *options) {
    meet_other_processes(options);
    long kib = footprint_proportional();
    meet_other_processes(options);
    return kib;
}

static void take_samples(struct measurement *all, run *run) {
    const options *options = all->options;
    tally_stats_result before, after;
    ledger_begin(options);
    bool go_on = options->warmup_ms == 0 || run_for(all, "the warm-up", options->warmup_ms, 0);
    /* All workers are at the gate: nobody collects, or adds to a latency. */
    if (run->latencies != NULL) memset(run->latencies, 0, run->workers * sizeof *run->latencies);
    atomic_store_explicit(&all->counted, true, memory_order_relaxed);
    pauses_begin(run->pauses);
    watch_step("reading the statistics", 0);
    read_stats(&before, &run->contention, contention_begin);
    for (unsigned i = 0; go_on && i < options->samples; i++)
        if ((go_on = run_for(all, "a sample", options->sample_ms, options->total)))
            record(all, run);
    watch_step("reading the statistics", 0);
    read_stats(&after, &run->contention, contention_end);
    pauses_end(run->pauses);
    ledger_end();
    run->pss_kib = weigh_among_processes(options);
    run->incomplete = !go_on;

    run->stats.detailed = after.detailed;
#define FIELD(name) run->stats.name = after.name - before.name;
    TALLY_STATS_CHEAP(FIELD)
    TALLY_STATS_DETAILED(FIELD)
#undef FIELD
#define FIELD(name) run->stats.name = after.name;
    TALLY_STATS_LEVELS(FIELD)
#undef FIELD
}

static void run_workload(struct measurement *all, run *run) {
    const tally_workload *workload = all->options->workload;
    watch_step("setup", 0);
    profile_begin(all->options);
    bool shared = all->options->without != CAUSE_SHARING;
    if (shared) state_set_up(&all->shared, workload, &all->context);
    if (all->options->without == CAUSE_COUNTING) {
        workload_immortal = true;
        tally_gc_immortalize_heap();
    }
    watch_step("the workers' start", 0);
    snapshot_begin(all->options);
    start_workers(all);
    tally_blocking_begin();
    gate_collect(&all->gate);
    run->setup_peak_rss_kib = footprint_peak();
    take_samples(all, run);
    snapshot_end();
    profile_end(all->options);
    watch_step("the workers' end", 0);
    end_workers(all); /* ends the region */
    watch_step("teardown", 0);
    if (shared) state_tear_down(&all->shared, workload);
}

static uint64_t clock_cost(void) {
    enum { LOOKS = 10000 };
    uint64_t began = workload_clock(), last = began;
    for (unsigned i = 1; i < LOOKS; i++) last = workload_clock();
    return (last - began) / (LOOKS - 1);
}

void measure(const options *options, run *run) {
    struct measurement *all = workload_allocate(sizeof *all);
    unsigned workers = options->processes ? 1 : options->workers;
    all->options = options;
    all->context = (workload_context){
        .workers = workers,
        .seed = options->seed + options->index,
        .texts = options->texts,
        .text_count = options->text_count,
        .text_bytes = options->text_bytes,
        .stop = &all->stop,
        .parameters = options->parameters,
    };
    run_init(run, workers, options->samples);
    if (options->workload->latency) {
        run->clock_ns = clock_cost();
        run->latencies = workload_allocate(workers * sizeof *run->latencies);
        all->latencies = run->latencies;
    }
    pinning_load(&all->pinning);
    if (tally_init(&options->runtime) != 0)
        workload_fail("cannot start the run time: %s", tally_error_message());
    pauses_watch(run->pauses);
    footprint_measure_kinds(run->kinds);
    /* The classes that were weighed are dead, and not to be found by what is measured. */
    if (tally_gc_collect(2) < 0) workload_fail("cannot collect: %s", tally_error_message());
    if (options->without == CAUSE_COLLECTOR) tally_gc_disable();
    run->baseline_rss_kib = footprint_resident();
    trace_begin(options);
    run_workload(all, run);
    watch_step("the end of the run time", 0);
    trace_end(options);
    run->peak_rss_kib = footprint_peak();
    run->live_at_finish = tally_finish();
    if (run->live_at_finish < 0)
        workload_fail("cannot end the run time: %s", tally_error_message());

    run->oversubscribed = workers > all->pinning.count;
    run->pinned = true;
    for (unsigned i = 0; i < workers; i++) run->pinned &= all->workers[i].pinned;
    for (unsigned i = 0; i < workers; i++) perf_add(run->perf, all->workers[i].perf.counts);
    for (unsigned i = 0; i < workers; i++) thread_time_merge(&run->time, &all->workers[i].time);
    pinning_free(&all->pinning);
    free(all->workers);
    free(all);
}
