/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * state.c: the states of workloads, what is kept for them, and what they make and check alike.
 *
 * A list of kept things is written by one thread: the one that sets up, or the worker.
 */
#include "state.h"

#include <stdio.h>
#include <string.h>

bool workload_immortal;

enum { AN_EMPTY_CLASS = -2, NO_OBJECT = -3 };

/* How long a check waits before it fails. */
static const uint64_t PATIENCE_NS = 5000000000;

struct kept_entry {
    void *thing;       /* an object, or memory to be freed */
    ptrdiff_t holders; /* how many the object must have, or one of the constants */
};

void *workload_allocate(size_t bytes) {
    size_t lines = (bytes + WORKLOAD_LINE - 1) / WORKLOAD_LINE;
    size_t whole = (lines > 0 ? lines : 1) * WORKLOAD_LINE;
    void *memory = aligned_alloc(WORKLOAD_LINE, whole);
    if (memory == NULL) workload_fail("no memory for %zu bytes", bytes);
    return memset(memory, 0, whole);
}

/* ---- what is kept ----------------------------------------------------------------- */

static void *keep(struct workload_kept *kept, void *thing, ptrdiff_t holders) {
    if (kept->count == kept->room) {
        kept->room = 2 * kept->room + 16;
        kept->entries = realloc(kept->entries, kept->room * sizeof *kept->entries);
        if (kept->entries == NULL) workload_fail("no memory for %zu objects", kept->room);
    }
    kept->entries[kept->count++] = (struct kept_entry){thing, holders};
    return thing;
}

/*
 * The references to the object as soon as there are no more than expected, or after the patience.
 * With `biased` an object that several threads counted dies without being freed (README.md, "When
 * an object is freed"), and holds its class and its items. A collection frees it, unless the sweep
 * of another thread has found it and is about to free it. A collection of the youngest generation
 * is enough. Backends without owners free at once or after a grace period: there a check only
 * waits.
 */
static ptrdiff_t count_when_dead_are_freed(tally_object *object, ptrdiff_t expected) {
    const uint64_t end = workload_clock() + PATIENCE_NS;
    const bool sweeps = strncmp(tally_backend(), "biased", strlen("biased")) == 0;
    ptrdiff_t count = tally_refcount(object);
    while (count > expected && count != PTRDIFF_MAX && workload_clock() < end) {
        if (sweeps && tally_gc_collect(0) < 0)
            workload_fail("cannot collect: %s", tally_error_message());
        count = tally_refcount(object);
        if (count <= expected) break;
        tally_blocking_begin();
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        tally_blocking_end();
    }
    return count;
}

void workload_check_count_slow(tally_object *object, ptrdiff_t expected) {
    if (workload_immortal && tally_is_immortal(object)) return;
    ptrdiff_t count = count_when_dead_are_freed(object, expected);
    if (count != expected) workload_fail("an object has %td references, not %td", count, expected);
}

/* The harness's reference is the only one, and each instance adds one. */
static void check_class(tally_object *class_) {
    ptrdiff_t before = count_when_dead_are_freed(class_, 1);
    if (before > 1 && before != PTRDIFF_MAX)
        workload_fail("a class has %td references, not 1: is there an instance?", before);
    tally_object *one = workload_object(tally_instance_new(class_));
    workload_check_count(class_, before == PTRDIFF_MAX ? before : before + 1); /* immortal: as is */
    tally_decref(one);
}

static void drop_kept(struct workload_kept *kept) {
    while (kept->count > 0) {
        struct kept_entry last = kept->entries[--kept->count];
        if (last.holders == NO_OBJECT) {
            free(last.thing);
            continue;
        }
        if (last.holders == AN_EMPTY_CLASS)
            check_class(last.thing);
        else if (last.holders != ANY_HOLDERS)
            workload_check_count(last.thing, last.holders);
        tally_decref(last.thing);
    }
    free(kept->entries);
}

tally_object *workload_keep(const workload_context *context, tally_object *object,
                            ptrdiff_t holders) {
    return keep(context->kept, workload_object(object), holders);
}

tally_object *workload_keep_class(const workload_context *context, const char *name,
                                  const char *const *slots) {
    return workload_keep(context,
                         tally_class_new(&(tally_class_spec){.name = name, .slots = slots}),
                         AN_EMPTY_CLASS);
}

void workload_keep_floats(const workload_context *context, tally_object **objects, size_t count,
                          double first, ptrdiff_t holders) {
    for (size_t i = 0; i < count; i++)
        objects[i] = workload_keep(context, tally_float_new(first + (double)i), holders);
}

void *workload_memory(const workload_context *context, size_t bytes) {
    return keep(context->kept, workload_allocate(bytes), NO_OBJECT);
}

/* ---- the states -------------------------------------------------------------------- */

void state_set_up(shared_state *state, const tally_workload *workload,
                  const workload_context *context) {
    state->context = *context;
    state->context.kept = &state->kept;
    if (workload->shared_size > 0) state->shared = workload_allocate(workload->shared_size);
    if (workload->setup != NULL) workload->setup(state->shared, &state->context);
}

void state_tear_down(shared_state *state, const tally_workload *workload) {
    if (workload->teardown != NULL) workload->teardown(state->shared, &state->context);
    drop_kept(&state->kept);
    free(state->shared);
}

void state_enter(local_state *state, shared_state *over, const tally_workload *workload,
                 const workload_context *context) {
    state->over = over;
    state->context = *context;
    state->context.kept = &state->kept;
    if (workload->local_size > 0) state->local = workload_allocate(workload->local_size);
    if (workload->enter != NULL) workload->enter(over->shared, state->local, &state->context);
}

void state_leave(local_state *state, const tally_workload *workload) {
    if (workload->leave != NULL)
        workload->leave(state->over->shared, state->local, &state->context);
    drop_kept(&state->kept);
    free(state->local);
}

/* ---- what workloads make and check alike -------------------------------------------- */

uint64_t workload_stand_by(void) {
    uint64_t end = workload_clock() + 100000;
    do
        for (unsigned i = 0; i < 256; i++) tally_safepoint();
    while (workload_clock() < end);
    return 0;
}

tally_object *workload_key(unsigned number) {
    char name[32];
    snprintf(name, sizeof name, "key-%u", number);
    return workload_object(tally_str_new(name, -1));
}

tally_object *workload_name(const char *text) {
    tally_object *str = workload_object(tally_str_new(text, -1));
    tally_object *name = workload_object(tally_str_intern(str));
    tally_immortalize(name);
    tally_decref(str);
    return name;
}

void workload_check_and_drop(tally_object *const *objects, size_t count, ptrdiff_t holders) {
    for (size_t i = 0; i < count; i++) {
        workload_check_count(objects[i], holders);
        tally_decref(objects[i]);
    }
}

bool workload_is_dead(tally_object *reference) {
    tally_object *referent = workload_object(tally_weakref_get(reference));
    bool dead = referent == tally_none;
    tally_decref(referent);
    return dead;
}

void workload_watch(tally_object **canary, tally_object *object) {
    if (*canary != NULL && !workload_is_dead(*canary)) return;
    tally_xdecref(*canary);
    *canary = workload_object(tally_weakref_new(object, NULL, NULL));
}

void workload_check_canaries(tally_object **canaries, unsigned count) {
    if (tally_gc_collect(2) < 0)
        workload_fail("the last collection failed: %s", tally_error_message());
    for (unsigned i = 0; i < count; i++) {
        if (canaries[i] != NULL && !workload_is_dead(canaries[i]))
            workload_fail("what was dropped is still alive after a full collection");
        tally_xdecref(canaries[i]);
    }
}
