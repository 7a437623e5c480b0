/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* trace.c: records the timeline, and writes it in Chrome's trace format (for Perfetto and
 * chrome://tracing). */
#include "instrument/files.h"
#include "objects/object.h"
#include <errno.h>
#include <time.h>

_Atomic bool tally_tracing;
static _Atomic size_t capacity;
static _Atomic uint64_t started;
/* Events that had no memory for a ring. */
static _Atomic uint64_t lost;
static _Atomic ptrdiff_t dropped; /* of the trace written last */

static uint64_t read_clock(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}
uint64_t tally_now(void) { return read_clock(CLOCK_MONOTONIC); }
uint64_t tally_now_coarse(void) { return read_clock(CLOCK_MONOTONIC_COARSE); }

static void add(tally_trace_event event) {
    /* Its trace may have been written. Relaxed, since it changes with the world stopped. */
    if (!tally_load_relaxed(&tally_tracing)) return;
    uint64_t first = tally_load_relaxed(&started);
    if (event.end <= first) return;
    tally_thread_state *thread = tally_thread_current();
    tally_trace_ring *ring = thread->trace;
    if (!ring) {
        size_t room = tally_load_relaxed(&capacity);
        ring = malloc(sizeof *ring + room * sizeof ring->events[0]);
        if (!ring) {
            tally_add_relaxed(&lost, 1);
            return;
        }
        ring->thread = thread->head.id;
        ring->capacity = room;
        ring->written = 0;
        thread->trace = ring;
    }
    if (event.begin < first) event.begin = first;
    ring->events[ring->written++ % ring->capacity] = event;
}

void tally_trace_add(unsigned track, const char *name, uint64_t begin, uint64_t end) {
    add((tally_trace_event){name, begin, end, track, .generation = -1});
}

void tally_trace_add_collection(const tally_gc_info *info) {
    add((tally_trace_event){info->generation < 2 ? "young collection" : "collection", info->began,
                            tally_now(), TALLY_TRACK_THREAD, info->generation, info->examined,
                            (size_t)info->collected});
}

/* World stopped: takes the rings of all threads, as a list. */
static tally_trace_ring *take_rings(void) {
    tally_trace_ring *rings = NULL, **last = &rings;
    tally_each_thread(thread) {
        if (!thread->trace) continue;
        *last = thread->trace;
        last = &thread->trace->next;
        thread->trace = NULL;
    }
    *last = NULL;
    return rings;
}

static void free_rings(tally_trace_ring *rings) {
    while (rings) {
        tally_trace_ring *next = rings->next;
        free(rings);
        rings = next;
    }
}

int tally_trace_start(ptrdiff_t events) {
    tally_thread_require();
    if (events < 0) return tally_fail(TALLY_VALUE_ERROR, "a trace of %td events", events);
    tally_stop_the_world();
    tally_trace_ring *old = take_rings();
    tally_store_relaxed(&capacity, events ? (size_t)events : 65536);
    tally_store_relaxed(&lost, 0);
    tally_store_relaxed(&started, tally_now());
    tally_store_relaxed(&tally_tracing, true);
    tally_resume_the_world();
    free_rings(old);
    /* The caller gives up the GIL, so that its next hold begins in the trace. */
    tally_blocking_begin();
    tally_blocking_end();
    return 0;
}

/* ---- writing ------------------------------------------------------------- */

typedef struct line {
    const tally_trace_event *event;
    uint32_t thread;
} line;

/* By track, then by time; an event that contains another comes first. */
static int in_order(const void *a, const void *b) {
    const line *x = a, *y = b;
    if (x->event->track != y->event->track) return x->event->track < y->event->track ? -1 : 1;
    if (x->event->track == TALLY_TRACK_THREAD && x->thread != y->thread)
        return x->thread < y->thread ? -1 : 1;
    if (x->event->begin != y->event->begin) return x->event->begin < y->event->begin ? -1 : 1;
    return x->event->end > y->event->end ? -1 : x->event->end < y->event->end;
}

static size_t kept(const tally_trace_ring *ring) {
    return ring->written < ring->capacity ? ring->written : ring->capacity;
}

/* The events of all rings in order; NULL: no memory. */
static line *lines_of(const tally_trace_ring *rings, size_t *count) {
    size_t n = 0;
    for (const tally_trace_ring *ring = rings; ring; ring = ring->next) n += kept(ring);
    line *lines = malloc((n + 1) * sizeof *lines);
    *count = 0;
    for (const tally_trace_ring *ring = rings; lines && ring; ring = ring->next)
        for (size_t i = 0; i < kept(ring); i++)
            lines[(*count)++] = (line){&ring->events[i], ring->thread};
    if (lines) qsort(lines, n, sizeof *lines, in_order);
    return lines;
}

/* Tracks that all threads share have numbers that no thread has, and come first. */
static void name_track(FILE *file, uint32_t id, int place, const char *name, size_t overwritten) {
    fprintf(
        file,
        ",\n{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{\"name\":\"%s",
        id, name);
    if (!*name) fprintf(file, "thread %u", id);
    if (overwritten) fprintf(file, ", without its first %zu events", overwritten);
    fprintf(file,
            "\"}},\n{\"name\":\"thread_sort_index\",\"ph\":\"M\",\"pid\":1,\"tid\":%u,\"args\":{"
            "\"sort_index\":%d}}",
            id, place);
}

static uint32_t number_of(const line *line) {
    return line->event->track == TALLY_TRACK_THREAD ? line->thread
                                                    : TALLY_MAX_THREADS + line->event->track;
}

static void write_lines(FILE *file, const tally_trace_ring *rings, const line *lines,
                        size_t count) {
    static const char *const shared[TALLY_TRACKS] = {
        [TALLY_TRACK_GIL] = "who holds the GIL", [TALLY_TRACK_WORLD] = "stops of the world"};
    bool used[TALLY_TRACKS] = {false};
    fprintf(file,
            "{\"displayTimeUnit\":\"ms\",\"otherData\":{\"backend\":\"%s\",\"dropped "
            "events\":%td},\"traceEvents\":[\n"
            "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"args\":{\"name\":\"tally, %s\"}}",
            TALLY_BACKEND_NAME, tally_load_relaxed(&dropped), TALLY_BACKEND_NAME);
    for (const tally_trace_ring *ring = rings; ring; ring = ring->next)
        name_track(file, ring->thread, (int)ring->thread, "", ring->written - kept(ring));
    for (size_t i = 0; i < count; i++) {
        const tally_trace_event *event = lines[i].event;
        if (event->track != TALLY_TRACK_THREAD && !used[event->track]) {
            used[event->track] = true;
            name_track(file, number_of(&lines[i]), -(int)event->track, shared[event->track], 0);
        }
        fprintf(file, ",\n{\"name\":\"");
        if (event->track != TALLY_TRACK_THREAD) fprintf(file, "thread %u ", lines[i].thread);
        fprintf(file,
                "%s\",\"ph\":\"X\",\"ts\":%.3f,\"dur\":%.3f,\"pid\":1,\"tid\":%u,\"args\":{"
                "\"thread\":%u",
                event->name, (double)event->begin / 1e3, (double)(event->end - event->begin) / 1e3,
                number_of(&lines[i]), lines[i].thread);
        if (event->generation >= 0)
            fprintf(file, ",\"generation\":%d,\"examined\":%zu,\"collected\":%zu",
                    event->generation, event->examined, event->collected);
        fputs("}}", file);
    }
    fputs("\n]}\n", file);
}

typedef struct timeline {
    const tally_trace_ring *rings;
    const line *lines;
    size_t count;
} timeline;
static void write_timeline(FILE *file, void *context) {
    const timeline *t = context;
    write_lines(file, t->rings, t->lines, t->count);
}

int tally_trace_write(const char *path) {
    if (!path) return tally_fail(TALLY_VALUE_ERROR, "a trace needs a path");
    tally_thread_require();
    size_t count;
    char *temporary = tally_temporary_name(path);
    if (!temporary) return tally_no_memory();
    /* The caller gives up the GIL, so that its hold ends in the trace. */
    tally_blocking_begin();
    tally_blocking_end();
    tally_stop_the_world();
    tally_store_relaxed(&tally_tracing, false);
    tally_trace_ring *rings = take_rings();
    tally_resume_the_world();

    ptrdiff_t gone = (ptrdiff_t)tally_load_relaxed(&lost);
    for (tally_trace_ring *ring = rings; ring; ring = ring->next)
        gone += (ptrdiff_t)(ring->written - kept(ring));
    tally_store_relaxed(&dropped, gone);
    line *lines = lines_of(rings, &count);
    tally_blocking_begin();
    bool good = lines && tally_write_through(path, temporary, write_timeline,
                                             &(timeline){rings, lines, count});
    int why = errno;
    free_rings(rings);
    tally_blocking_end();
    if (!lines)
        tally_no_memory();
    else if (!good)
        tally_error_set(TALLY_RUNTIME_ERROR, "cannot write the trace to %.150s: %s", path,
                        strerror(why));
    free(lines);
    free(temporary);
    return good ? 0 : -1;
}

ptrdiff_t tally_trace_dropped(void) {
    TALLY_PLAIN_CALL();
    return tally_load_relaxed(&dropped);
}

void tally_trace_end_all(void) {
    tally_store_relaxed(&tally_tracing, false);
    free_rings(take_rings());
}
