/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * convoy.c: how long a thread that waits for a socket has to wait for the GIL as
 * well. A server thread answers single bytes after a little work on objects, beside
 * threads that never wait. The client, a thread that is not attached, sends a
 * byte, waits for its answer, notes how long that took, and pauses.
 *
 * The pauses are random, so that requests keep no step with the switch interval.
 * The server sends the answer in the same blocked region in which it then waits,
 * so a request needs the GIL once.
 */
#define _GNU_SOURCE
#include "harness/switching.h"
#include "program.h"

#include <argp.h>
#include <jansson.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { MOST_BUSY = 64, ITEMS = 64, WARM_UP = 10 };

struct options {
    unsigned busy, requests, interval, pause, work;
    bool realtime, list;
    tally_options runtime;
};

static struct options options = {
    .busy = 2, .requests = 500, .interval = 5000, .pause = 10000, .work = 10};
static int sockets[2]; /* the client's, the server's */
static atomic_bool stopping;
static _Atomic uint64_t busy_operations;

/* Before the fair scheduler's threads, whose load is not what is measured. */
static void go_first(void) {
    struct sched_param parameters = {.sched_priority = 1};

    if (options.realtime && pthread_setschedparam(pthread_self(), SCHED_FIFO, &parameters) != 0)
        program_fail("no right to a real-time priority (CAP_SYS_NICE)");
}

/* Makes a tuple of two and drops it: a list's old item. */
static void operate(tally_object *list, unsigned i) {
    tally_object *number = program_object(tally_int_new((int64_t)i + 1000)),
                 *items[2] = {number, number};
    tally_object *pair = program_object(tally_tuple_new(items, 2));

    if (tally_list_set(list, (ptrdiff_t)(i % ITEMS), pair) != 0)
        program_fail(tally_error_message());
    tally_decref(pair);
    tally_decref(number);
}

static tally_object *make_list(void) {
    tally_object *list = program_object(tally_list_new(ITEMS));

    for (unsigned i = 0; i < ITEMS; i++)
        if (tally_list_append(list, tally_none) != 0) program_fail(tally_error_message());
    return list;
}

static void be_busy(void *argument) {
    tally_object *list = make_list();
    uint64_t done = 0;

    (void)argument;
    /* relaxed: nothing is read because of it */
    for (; !atomic_load_explicit(&stopping, memory_order_relaxed); done++) {
        operate(list, (unsigned)done);
        tally_safepoint();
    }
    tally_decref(list);
    atomic_fetch_add_explicit(&busy_operations, done, memory_order_relaxed);
}

static void serve(void *argument) {
    tally_object *list = make_list();
    char byte;

    (void)argument;
    go_first();
    tally_blocking_begin();
    while (TEMP_FAILURE_RETRY(read(sockets[1], &byte, 1)) == 1) {
        tally_blocking_end();
        for (unsigned i = 0; i < options.work; i++) {
            operate(list, i);
            tally_safepoint();
        }
        tally_blocking_begin();
        if (TEMP_FAILURE_RETRY(write(sockets[1], &byte, 1)) != 1)
            program_fail("the server cannot send");
    }
    tally_blocking_end();
    tally_decref(list);
}

/* ---- the client ----------------------------------------------------------- */

/* xorshift; Marsaglia (2003) */
static uint64_t draw(void) {
    static uint64_t state = 88172645463325252;

    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return state;
}

static void *ask(void *argument) {
    uint64_t *times = argument;

    go_first();
    for (unsigned i = 0; i < WARM_UP + options.requests; i++) {
        uint64_t pause = 1000 * (options.pause + (options.pause ? draw() % options.pause : 0)),
                 began;
        uint64_t end = program_now() + pause;
        struct timespec time = {(time_t)(end / 1000000000), (long)(end % 1000000000)};
        char byte = 0;

        /* To a time, not for one: signals neither shorten nor prolong it. */
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &time, NULL) == EINTR)
            ;
        began = program_now();
        if (TEMP_FAILURE_RETRY(write(sockets[0], &byte, 1)) != 1 ||
            TEMP_FAILURE_RETRY(read(sockets[0], &byte, 1)) != 1)
            program_fail("no answer");
        if (i >= WARM_UP) times[i - WARM_UP] = program_now() - began;
    }
    return NULL;
}

/* ---- results -------------------------------------------------------------- */

/* Milliseconds. */
static double time_at(const uint64_t *times, double share) {
    return (double)program_quantile(times, options.requests, share) / 1e6;
}

static json_t *list_times(const uint64_t *times) {
    json_t *list = json_array();

    for (unsigned i = 0; list && i < options.requests; i++)
        if (json_array_append_new(list, json_real((double)times[i] / 1e6)) != 0)
            program_fail("no memory for the results");
    return list;
}

static void print_results(uint64_t *times, double seconds, const tally_stats_result *stats) {
    bool gil = switching_applies();
    json_t *whole;

    program_sort(times, options.requests);
    whole = json_pack("{s:s, s:s, s:i, s:i, s:i, s:f, s:f, s:f, s:f, s:f, s:I, s:I}", "backend",
                      tally_backend(), "scheme", gil ? switching_name(&options.runtime) : "none",
                      "busy", (int)options.busy, "requests", (int)options.requests, "interval_us",
                      gil && !options.runtime.switch_ticks ? (int)options.interval : 0, "p50_ms",
                      time_at(times, 0.5), "p90_ms", time_at(times, 0.9), "p99_ms",
                      time_at(times, 0.99), "max_ms", time_at(times, 1),
                      "busy_operations_per_second", (double)atomic_load(&busy_operations) / seconds,
                      "gil_requests", (json_int_t)stats->gil_requests, "gil_handovers",
                      (json_int_t)stats->gil_handovers);
    if (whole && options.list) json_object_set_new(whole, "times_ms", list_times(times));
    program_print(whole);
}

/* ---- command line --------------------------------------------------------- */

static const struct argp_option option_list[] = {
    {"scheme", 's', "NAME", 0,
     "With a GIL: cpython (default) or deadline, hand-over by interval; ticks, as before CPython "
     "3.2",
     0},
    {"busy", 'b', "N", 0, "Threads that never wait, 0 to 64 (default: 2)", 0},
    {"requests", 'n', "N", 0, "Requests that are measured, 1 to 1000000 (default: 500)", 0},
    {"interval", 'i', "US", 0, "Switch interval, 1 to 1000000 microseconds (default: 5000)", 0},
    {"pause", 'p', "US", 0,
     "The client pauses from this to twice as many microseconds, 0 to 1000000 (default: 10000)", 0},
    {"realtime", 'r', NULL, 0,
     "The server and the client, not the busy threads, get a real-time priority", 0},
    {"times", 't', NULL, 0, "Print every request's time too, in order of length", 0},
    {"work", 'w', "N", 0, "Tuples made for an answer, 0 to 1000000 (default: 10)", 0},
    {0},
};

static void set_scheme(const char *name) {
    options.runtime = (tally_options){0};
    if (switching_set(&options.runtime, name)) return;
    fprintf(stderr, "convoy: no scheme '%s'; there are cpython, deadline and ticks\n", name);
    exit(2);
}

static error_t parse(int key, char *argument, struct argp_state *state) {
    switch (key) {
    case ARGP_KEY_INIT: state->err_stream = NULL; return 0; /* getopt's one line says enough */
    case 's': set_scheme(argument); return 0;
    case 'b': options.busy = program_number("busy", argument, 0, MOST_BUSY); return 0;
    case 'n': options.requests = program_number("requests", argument, 1, 1000000); return 0;
    case 'i': options.interval = program_number("interval", argument, 1, 1000000); return 0;
    case 'p': options.pause = program_number("pause", argument, 0, 1000000); return 0;
    case 'w': options.work = program_number("work", argument, 0, 1000000); return 0;
    case 'r': options.realtime = true; return 0;
    case 't': options.list = true; return 0;
    case ARGP_KEY_ARG:
        fprintf(stderr, "convoy: unexpected argument %s; see --help\n", argument);
        exit(2);
    default: return ARGP_ERR_UNKNOWN;
    }
}

int main(int argc, char **argv) {
    const struct argp argp = {option_list,
                              parse,
                              NULL,
                              "Measures how long a thread that waits for a socket takes to answer "
                              "beside threads that never wait. Prints a line of JSON.",
                              NULL,
                              NULL,
                              NULL};
    tally_thread server, busy[MOST_BUSY];
    tally_stats_result stats;
    pthread_t client;
    uint64_t *times, began;
    double seconds;

    output_watch(program_invocation_short_name);
    if (argp_parse(&argp, argc, argv, 0, NULL, NULL) != 0) return 2;
    if (!options.runtime.switch_ticks) options.runtime.switch_interval_us = options.interval;
    times = calloc(options.requests, sizeof *times);
    if (!times || socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0)
        program_fail("no memory, or no sockets");
    if (tally_init(&options.runtime) != 0 || tally_thread_start(&server, serve, NULL) != 0)
        program_fail(tally_error_message());
    began = program_now();
    for (unsigned i = 0; i < options.busy; i++)
        if (tally_thread_start(&busy[i], be_busy, NULL) != 0) program_fail(tally_error_message());

    tally_blocking_begin();
    if (pthread_create(&client, NULL, ask, times) != 0) program_fail("no client");
    pthread_join(client, NULL);
    /* relaxed: as the readers' */
    atomic_store_explicit(&stopping, true, memory_order_relaxed);
    close(sockets[0]); /* ends the server's loop */
    tally_blocking_end();
    for (unsigned i = 0; i < options.busy; i++) tally_thread_join(&busy[i]);
    seconds = (double)(program_now() - began) / 1e9;
    tally_thread_join(&server);
    tally_stats(&stats);
    if (tally_finish() != 0) program_fail("objects were left at the end");
    print_results(times, seconds, &stats);
    free(times);
    return 0;
}
