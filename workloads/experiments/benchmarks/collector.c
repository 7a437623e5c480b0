// SPDX-License-Identifier: LGPL-2.1-or-later
//
// collector-benchmark: how fast the world of one backend stops and starts again.
//
//   stop     threads run, more than there are cores perhaps; the main thread asks
//            for a collection again and again. Measured: from the request until
//            the world stood still.
//   reentry  the main thread collects again and again, over live objects; another one is
//            in a blocked region and leaves it once in each collection, up to 100
//            µs after its beginning. Measured: its wait, also in pauses.
//   young    one thread makes cycles and collects its young in a loop; the main thread goes from
//            safepoint to safepoint. Measured: how long that takes it, beside the same where
//            the other thread breaks its cycles itself and collects nothing. The two take turns,
//            a pair for each of the collections asked for.
//
// With a GIL the request is the wait for the lock, and a pause a whole collection.
// Exit status: 0, 1 where something failed, 2 for bad input.
#include "harness/histogram.h"
#include "program.h"

#include <argp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_THREADS = 256, MOST_SAMPLES = 1 << 20, REFERENCES_A_SAFEPOINT = 32 };

struct settings {
    const char *what;
    unsigned threads, collections, nodes;
};

struct samples {
    uint64_t *values;
    size_t count;
};

static atomic_bool over, collecting; // relaxed: neither orders anything; the second by the callback
static tally_gc_info last;           // of the main thread's last collection
static struct samples waits;         // of the thread that re-enters

static void add(struct samples *samples, uint64_t value) {
    if (samples->count < MOST_SAMPLES) samples->values[samples->count++] = value;
}

static struct samples samples_make(void) {
    struct samples samples = {.values = malloc(MOST_SAMPLES * sizeof(uint64_t))};
    if (!samples.values) program_fail("no memory for samples");
    return samples;
}

static double at_share(const struct samples *samples, double share) {
    return (double)program_quantile(samples->values, samples->count, share);
}

static void print(const char *what, struct samples *samples) {
    program_sort(samples->values, samples->count);
    printf("%-28s %8zu  median %9.1f µs  99 %% %9.1f µs  longest %9.1f µs\n", what, samples->count,
           at_share(samples, 0.5) / 1e3, at_share(samples, 0.99) / 1e3, at_share(samples, 1) / 1e3);
}

static void note(const tally_gc_info *info, void *context) {
    (void)context;
    if (info->finished) last = *info;
    atomic_store_explicit(&collecting, !info->finished, memory_order_relaxed);
}

static void sleep_a_millisecond(void) { nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL); }

// Work as any program's: references of an own object, and safepoints.
static void work(void *argument) {
    tally_object *own = tally_list_new(0);
    (void)argument;
    if (!own) program_fail("no list");
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        for (int i = 0; i < REFERENCES_A_SAFEPOINT; i++)
            if (tally_list_append(own, tally_none) < 0) program_fail("cannot append");
        if (tally_list_clear(own) < 0) program_fail("cannot clear");
        tally_safepoint();
    }
    tally_decref(own);
}

// Until a collection is under way, or is not; false: it is over.
static bool await(bool wanted) {
    while (atomic_load_explicit(&collecting, memory_order_relaxed) != wanted)
        if (atomic_load_explicit(&over, memory_order_relaxed)) return false;
    return true;
}

static void reenter(void *argument) {
    (void)argument;
    for (uint64_t round = 0; !atomic_load_explicit(&over, memory_order_relaxed); round++) {
        tally_blocking_begin();
        bool good = await(false) && await(true);
        uint64_t began = program_now(), until = began + round % 100 * 1000;
        while (good && program_now() < until) continue;
        good = good && atomic_load_explicit(&collecting, memory_order_relaxed);
        began = program_now();
        tally_blocking_end();
        if (good) add(&waits, program_now() - began);
    }
}

// ---- young: a thread beside one that collects its young ------------------------------

enum { CYCLES = 500, TURN_NS = 20000000 }; // fewer than start a collection

static atomic_bool collects; // relaxed: which of the two the other thread does
static atomic_uint_fast64_t young_collections;

static void make_cycles(void *argument) {
    (void)argument;
    tally_gc_disable(); // only those that are asked for
    while (!atomic_load_explicit(&over, memory_order_relaxed)) {
        bool collect_them = atomic_load_explicit(&collects, memory_order_relaxed);
        for (unsigned i = 0; i < CYCLES; i++) {
            tally_object *list = tally_list_new(1);
            if (!list || tally_list_append(list, list) < 0) program_fail("cannot make a cycle");
            if (!collect_them && tally_list_clear(list) < 0) program_fail("cannot break a cycle");
            tally_decref(list);
        }
        if (collect_them && tally_gc_collect(0) < 0) program_fail("a collection failed");
        atomic_fetch_add_explicit(&young_collections, collect_them, memory_order_relaxed);
        tally_safepoint();
    }
    tally_gc_enable();
}

static void print_gaps(const char *what, const histogram *gaps) {
    printf("%-28s %9llu  median %6.3f µs  99 %% %6.3f µs  99.99 %% %8.3f µs  longest %9.1f µs\n",
           what, (unsigned long long)gaps->count, (double)histogram_quantile(gaps, 0.5) / 1e3,
           (double)histogram_quantile(gaps, 0.99) / 1e3,
           (double)histogram_quantile(gaps, 0.9999) / 1e3, (double)gaps->longest / 1e3);
}

static void measure_young(const struct settings *settings) {
    static histogram gaps[2];
    tally_thread other;
    if (tally_thread_start(&other, make_cycles, NULL) < 0) program_fail("cannot start a thread");
    for (unsigned turn = 0; turn < 2 * settings->collections; turn++) {
        bool collect_them = turn % 2;
        atomic_store_explicit(&collects, collect_them, memory_order_relaxed);
        uint64_t last_at = program_now(), until = last_at + TURN_NS, begin = last_at + TURN_NS / 10;
        for (uint64_t at; last_at < until; last_at = at) {
            tally_safepoint();
            at = program_now();
            // The other thread has seen which of the two it is to do.
            if (at > begin) histogram_add(&gaps[collect_them], at - last_at);
        }
    }
    atomic_store_explicit(&over, true, memory_order_relaxed);
    if (tally_thread_join(&other) < 0) program_fail("cannot join a thread");
    printf("%s: young, from safepoint to safepoint beside a thread that makes cycles\n",
           tally_backend());
    print_gaps("breaks its cycles itself", &gaps[false]);
    print_gaps("collects its young", &gaps[true]);
    printf("%llu collections of %u cycles\n",
           (unsigned long long)atomic_load_explicit(&young_collections, memory_order_relaxed),
           CYCLES);
}

static size_t start(tally_thread *threads, size_t count, void (*run)(void *)) {
    for (size_t i = 0; i < count; i++)
        if (tally_thread_start(&threads[i], run, NULL) < 0) program_fail("cannot start a thread");
    return count;
}

static void finish(tally_thread *threads, size_t count) {
    atomic_store_explicit(&over, true, memory_order_relaxed);
    for (size_t i = 0; i < count; i++)
        if (tally_thread_join(&threads[i]) < 0) program_fail("cannot join a thread");
}

static tally_object *make_list(unsigned nodes) {
    tally_object *list = tally_list_new((ptrdiff_t)nodes);
    for (unsigned i = 0; list && i < nodes; i++) {
        tally_object *node = tally_list_new(0);
        if (!node || tally_list_append(list, node) < 0) program_fail("cannot make the list");
        tally_decref(node);
    }
    if (!list) program_fail("no list");
    return list;
}

static void collect(struct samples *stops, struct samples *pauses) {
    uint64_t asked = program_now();
    tally_blocking_end(); // with a GIL the wait for it
    uint64_t running = program_now();
    if (tally_gc_collect(2) < 0) program_fail("a collection failed");
    tally_blocking_begin();
    if (last.shared) return;
    add(stops, running - asked + last.stop);
    add(pauses, last.pause);
}

static void measure(const struct settings *settings, bool stop) {
    tally_thread threads[MOST_THREADS];
    struct samples stops = samples_make(), pauses = samples_make();
    waits = samples_make();
    tally_gc_disable();
    if (tally_gc_add_callback(note, NULL) < 0) program_fail("no callback");
    tally_object *list = make_list(settings->nodes);
    size_t count = stop ? start(threads, settings->threads, work) : start(threads, 1, reenter);
    tally_blocking_begin();
    for (unsigned i = 0; i < settings->collections; i++) {
        sleep_a_millisecond(); // in which the others run
        collect(&stops, &pauses);
    }
    tally_blocking_end();
    finish(threads, count);
    printf("%s: %s, %u nodes, %zu threads beside the one that collects\n", tally_backend(),
           settings->what, settings->nodes, count);
    print("request until stopped", &stops);
    print("pause", &pauses);
    if (!stop) {
        print("wait of a thread that comes back", &waits);
        printf("99th percentile of the wait: %.2f median pauses\n",
               at_share(&waits, 0.99) / (at_share(&pauses, 0.5) > 0 ? at_share(&pauses, 0.5) : 1));
    }
    if (tally_gc_remove_callback(note, NULL) < 0) program_fail("the callback is gone");
    tally_decref(list);
    free(stops.values);
    free(pauses.values);
    free(waits.values);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct settings *settings = state->input;
    switch (key) {
    case ARGP_KEY_INIT: state->err_stream = NULL; return 0; // getopt's one line says enough
    case 't': settings->threads = program_number("threads", argument, 1, MOST_THREADS); return 0;
    case 'c':
        settings->collections = program_number("collections", argument, 1, MOST_SAMPLES);
        return 0;
    case 'n': settings->nodes = program_number("nodes", argument, 1, 100000000); return 0;
    case ARGP_KEY_ARG:
        if (settings->what) {
            fprintf(stderr, "collector-benchmark: unexpected argument %s; see --help\n", argument);
            exit(2);
        }
        settings->what = argument;
        return 0;
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    static const struct argp_option options[] = {
        {"threads", 't', "N", 0, "stop: threads that run, 1 to 256 (default: 8)", 0},
        {"collections", 'c', "N", 0,
         "Collections; young: turns of 20 ms with and without (default: 200)", 0},
        {"nodes", 'n', "N", 0, "Live objects (default: 1000 for stop, 100000 for reentry)", 0},
        {0},
    };
    static const struct argp argp = {options,
                                     parse,
                                     "stop|reentry|young",
                                     "Measures how fast the world stops and starts again, and what "
                                     "young collections cost others.",
                                     NULL,
                                     NULL,
                                     NULL};
    struct settings settings = {.threads = 8, .collections = 200};
    output_watch("collector-benchmark");
    if (argp_parse(&argp, argc, argv, 0, NULL, &settings) != 0) return 2;
    bool stop = settings.what && strcmp(settings.what, "stop") == 0;
    bool young = settings.what && strcmp(settings.what, "young") == 0;
    if (!settings.what || (!stop && !young && strcmp(settings.what, "reentry") != 0)) {
        fputs("collector-benchmark: say what to measure, stop, reentry or young\n", stderr);
        return 2;
    }
    if (!settings.nodes) settings.nodes = stop ? 1000 : 100000;
    if (tally_init(NULL) < 0) program_fail("cannot start the run time");
    if (young)
        measure_young(&settings);
    else
        measure(&settings, stop);
    return tally_finish() == 0 ? 0 : 1;
}
