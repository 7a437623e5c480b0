/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c: records the timeline and writes it in Chrome's trace format (opens in Perfetto, chrome://tracing). */
#include <errno.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>
#include "backend.h"

_Atomic bool tally_tracing;
static _Atomic size_t capacity;
static _Atomic uint64_t lost; /* no memory for a ring */

uint64_t tally_now(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

void tally_trace_add(const char *name, uint64_t begin, uint64_t end) {
    tally_thread_state *thread = tally_thread_current();
    tally_trace_ring *ring = thread->trace;
    if (!ring) {
        size_t room = atomic_load_explicit(&capacity, memory_order_relaxed);
        ring = malloc(sizeof *ring + room * sizeof ring->events[0]);
        if (!ring) { atomic_fetch_add_explicit(&lost, 1, memory_order_relaxed); return; }
        ring->capacity = room;
        ring->written = 0;
        thread->trace = ring;
    }
    ring->events[ring->written++ % ring->capacity] = (tally_trace_event){ name, begin, end };
}

static void each_ring(void (*visit)(tally_thread_state *, FILE *), FILE *file) {
    uint32_t used = atomic_load_explicit(&tally_process.slots_used, memory_order_acquire);
    for (uint32_t id = 1; id <= used; id++)
        if (tally_thread_slot(id) && tally_thread_slot(id)->trace) visit(tally_thread_slot(id), file);
}
static void forget(tally_thread_state *thread, FILE *file) {
    (void)file;
    free(thread->trace);
    thread->trace = NULL;
}

int tally_trace_start(ptrdiff_t events) {
    tally_thread_require();
    if (events < 0) { tally_error_set(TALLY_VALUE_ERROR, "a trace of %td events", events); return -1; }
    tally_world_stop();
    each_ring(forget, NULL);
    atomic_store_explicit(&capacity, events ? (size_t)events : 65536, memory_order_relaxed);
    atomic_store_explicit(&lost, 0, memory_order_relaxed);
    atomic_store_explicit(&tally_tracing, true, memory_order_relaxed);
    tally_world_start();
    return 0;
}

static void write_ring(tally_thread_state *thread, FILE *file) {
    tally_trace_ring *ring = thread->trace;
    size_t from = ring->written > ring->capacity ? ring->written - ring->capacity : 0;
    fprintf(file, ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"thread %u%s\"}}",
            thread->head.id, thread->head.id, from ? ", its earliest events were dropped" : "");
    for (size_t i = from; i < ring->written; i++) {
        tally_trace_event *event = &ring->events[i % ring->capacity];
        fprintf(file, ",\n{\"name\":\"%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":1,\"tid\":%u}", event->name,
                (double)event->begin / 1e3, (double)(event->end - event->begin) / 1e3, thread->head.id);
    }
}

int tally_trace_write(const char *path) {
    tally_thread_require();
    size_t length = strlen(path);
    char *temporary = malloc(length + 5);
    if (!temporary) return tally_no_memory();
    memcpy(temporary, path, length);
    memcpy(temporary + length, ".tmp", 5);
    FILE *file = fopen(temporary, "w");
    bool good = file != NULL;
    tally_world_stop();
    atomic_store_explicit(&tally_tracing, false, memory_order_relaxed);
    if (good) {
        fprintf(file, "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"backend\":\"%s\",\"threads without a ring\":%llu},\"traceEvents\":[\n"
                "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"tally, %s\"}}", TALLY_BACKEND_NAME,
                (unsigned long long)atomic_load_explicit(&lost, memory_order_relaxed), TALLY_BACKEND_NAME);
        each_ring(write_ring, file);
        fputs("\n]}\n", file);
    }
    each_ring(forget, NULL);
    tally_world_start();
    if (good) {
        good = !ferror(file);
        good = fclose(file) == 0 && good && rename(temporary, path) == 0;
    }
    if (!good) {
        tally_error_set(TALLY_RUNTIME_ERROR, "cannot write the trace to %.150s: %s", path, strerror(errno));
        if (file) unlink(temporary);
    }
    free(temporary);
    return good ? 0 : -1;
}

void tally_trace_end_all(void) {
    atomic_store_explicit(&tally_tracing, false, memory_order_relaxed);
    each_ring(forget, NULL);
}
