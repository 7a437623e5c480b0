/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * cycles.h: what the suites about the collector share: nodes of a native type
 * whose finalizing and freeing can be seen, cycles of them, and what was written
 * on standard error.
 */
#ifndef TALLY_TESTS_CYCLES_H
#define TALLY_TESTS_CYCLES_H

#include "suite.h"

/* ---- nodes ---- */

typedef struct node {
    tally_object *child[2];
    int64_t id;
} node;

static tally_object *node_type, *finalized_node_type;
static _Atomic int nodes_freed, nodes_finalized;
/* What a finalized node does beside being counted; NULL: nothing. */
static void (*_Atomic on_finalize)(tally_object *self);

SUITE_HELPER node *node_of(tally_object *object) { return tally_object_data(object); }

SUITE_HELPER void node_traverse(tally_object *self, tally_visit visit, void *context) {
    for (int i = 0; i < 2; i++)
        if (node_of(self)->child[i]) visit(node_of(self)->child[i], context);
}

/* Puts a reference of its own there; NULL empties the place. */
SUITE_HELPER void node_set(tally_object *self, int place, tally_object *child) {
    tally_object *old = node_of(self)->child[place];
    tally_xincref(child);
    node_of(self)->child[place] = child;
    tally_xdecref(old);
}

SUITE_HELPER void node_clear(tally_object *self) {
    node_set(self, 0, NULL);
    node_set(self, 1, NULL);
}

SUITE_HELPER void node_dealloc(tally_object *self) {
    (void)self;
    atomic_fetch_add_explicit(&nodes_freed, 1, memory_order_release);
}

SUITE_HELPER void node_finalize(tally_object *self) {
    atomic_fetch_add_explicit(&nodes_finalized, 1, memory_order_release);
    void (*also)(tally_object *) = atomic_load_explicit(&on_finalize, memory_order_acquire);
    if (also) also(self);
}

SUITE_HELPER int freed(void) { return atomic_load_explicit(&nodes_freed, memory_order_acquire); }
SUITE_HELPER int finalized(void) {
    return atomic_load_explicit(&nodes_finalized, memory_order_acquire);
}

/* At the start of a test: the types, counts of nothing, automatic collection off, nothing to
 * collect. */
SUITE_HELPER void begin_nodes(void) {
    tally_type_spec spec = {.name = "node",
                            .size = sizeof(node),
                            .flags = TALLY_TYPE_CONTAINER | TALLY_TYPE_WEAKLY_REFERENCABLE,
                            .traverse = node_traverse,
                            .clear = node_clear,
                            .dealloc = node_dealloc};
    node_type = tally_type_new(&spec);
    spec.name = "finalized node";
    spec.finalize = node_finalize;
    finalized_node_type = tally_type_new(&spec);
    atomic_store_explicit(&nodes_freed, 0, memory_order_relaxed);
    atomic_store_explicit(&nodes_finalized, 0, memory_order_relaxed);
    atomic_store_explicit(&on_finalize, NULL, memory_order_relaxed);
    tally_gc_disable();
    check(tally_gc_collect(2) >= 0);
}

SUITE_HELPER tally_object *node_new(tally_object *type) { return tally_object_new(type, 0); }

/* A ring of length nodes, linked by child 0; a reference to the first, which has id 0. */
SUITE_HELPER tally_object *ring_of(tally_object *type, int length) {
    tally_object *start = node_new(type), *last = start;
    for (int i = 1; i < length; i++) {
        tally_object *next = node_new(type);
        node_of(next)->id = i;
        node_of(last)->child[0] = next;
        last = next;
    }
    node_set(last, 0, start);
    return start;
}

SUITE_HELPER void drop_ring(tally_object *type, int length) { tally_decref(ring_of(type, length)); }

/* A ring as ring_of makes it, with every id in its place: its length; -1: it is not. */
SUITE_HELPER int ring_length(tally_object *start) {
    int length = 0;
    tally_object *at = start;
    do {
        if (!at || node_of(at)->id != length) return -1;
        length++;
        at = node_of(at)->child[0];
    } while (at != start);
    return length;
}

/* ---- what a thread with a small C stack does ---- */

typedef struct small_stack_job {
    void (*run)(void *);
    void *argument;
} small_stack_job;

SUITE_HELPER void *small_stack_main(void *argument) {
    small_stack_job *job = argument;
    check_int(tally_thread_attach(), 0);
    job->run(job->argument);
    tally_thread_detach();
    return NULL;
}

SUITE_HELPER void run_with_a_small_stack(void (*run)(void *), void *argument) {
    small_stack_job job = {run, argument};
    pthread_attr_t attributes;
    pthread_t thread;
    pthread_attr_init(&attributes);
    check_int(pthread_attr_setstacksize(&attributes, 256 * 1024), 0);
    check_int(pthread_create(&thread, &attributes, small_stack_main, &job), 0);
    tally_blocking_begin();
    pthread_join(thread, NULL);
    tally_blocking_end();
    pthread_attr_destroy(&attributes);
}

/* ---- standard error ---- */

static FILE *capture_file;
static int capture_saved = -1;

SUITE_HELPER void capture_begin(void) {
    fflush(stderr);
    capture_file = tmpfile();
    check(capture_file != NULL);
    capture_saved = dup(2);
    check(dup2(fileno(capture_file), 2) == 2);
}

/* What was written since capture_begin, until the next call. */
SUITE_HELPER const char *capture_end(void) {
    static char written[65536];
    fflush(stderr);
    dup2(capture_saved, 2);
    close(capture_saved);
    rewind(capture_file);
    size_t length = fread(written, 1, sizeof written - 1, capture_file);
    written[length] = '\0';
    fclose(capture_file);
    return written;
}

SUITE_HELPER int occurrences(const char *text, const char *word) {
    int count = 0;
    for (const char *at = text; (at = strstr(at, word)); at += strlen(word)) count++;
    return count;
}

SUITE_HELPER int starts_with(const char *text, const char *start) {
    return strncmp(text, start, strlen(start)) == 0;
}

#endif
