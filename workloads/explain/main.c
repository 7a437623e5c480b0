// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Reads the steps, hands each to its thread, and prints what came of it.
#include "explain.h"

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { THREADS = 8, LINE = 4096 };

struct step {
    unsigned thread;
    char **operations;
    size_t count;
};

_Thread_local unsigned explain_thread;
static struct step *steps;
static size_t step_count, at; // the step that is performed
static unsigned most_thread;
static json_t *collections;
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned turn; // the thread that may perform a step
    bool over;
} baton = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0, false};

static void print(json_t *object) {
    json_dumpf(object, stdout, JSON_COMPACT);
    putchar('\n');
    json_decref(object);
}

void explain_fail(const char *format, ...) {
    char message[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    print(json_pack("{siss}", "step", (int)at, "error", message));
    fflush(stdout);
    _exit(0);
}

static void read_steps(void) {
    char line[LINE];
    while (fgets(line, sizeof line, stdin)) {
        line[strcspn(line, "\n")] = '\0';
        if (strncmp(line, "step ", 5) == 0) {
            steps = realloc(steps, (step_count + 1) * sizeof *steps);
            if (!steps) explain_fail("no memory");
            steps[step_count++] = (struct step){.thread = (unsigned)(line[5] - 'A')};
            if (steps[step_count - 1].thread >= THREADS) explain_fail("threads are A to H");
            if (steps[step_count - 1].thread > most_thread)
                most_thread = steps[step_count - 1].thread;
            continue;
        }
        if (step_count == 0) explain_fail("no step");
        struct step *step = &steps[step_count - 1];
        step->operations = realloc(step->operations, (step->count + 1) * sizeof *step->operations);
        if (!step->operations || !(step->operations[step->count++] = strdup(line)))
            explain_fail("no memory");
    }
}

static void perform(const struct step *step) {
    for (size_t i = 0; i < step->count; i++) machine_run(step->operations[i]);
}
static bool needs_world(const struct step *step) {
    for (size_t i = 0; i < step->count; i++)
        if (machine_needs_world(step->operations[i])) return true;
    return strncmp(tally_backend(), "gil", 3) == 0;
}

// Before and after: how the heap was when the collection began and when it had ended.
static void collected(const tally_gc_info *info, void *context) {
    if (!info->finished) {
        json_array_append_new(collections, json_pack("{sisbsiso}", "generation", info->generation,
                                                     "automatic", info->automatic, "by",
                                                     explain_thread + 1, "before", photo_take()));
        return;
    }
    json_t *about = json_array_get(collections, json_array_size(collections) - 1);
    json_t *more =
        json_pack("{sIsIsbso}", "examined", (json_int_t)info->examined, "collected",
                  (json_int_t)info->collected, "stopped", info->pause > 0, "after", photo_take());
    json_object_update(about, more);
    json_decref(more);
}

// ---- threads ----------------------------------------------------------------------------------

static void hand_to(unsigned thread) {
    pthread_mutex_lock(&baton.mutex);
    baton.turn = thread;
    pthread_cond_broadcast(&baton.changed);
    pthread_mutex_unlock(&baton.mutex);
}
static void wait_for_turn(void) {
    pthread_mutex_lock(&baton.mutex);
    while (baton.turn != explain_thread && !baton.over)
        pthread_cond_wait(&baton.changed, &baton.mutex);
    pthread_mutex_unlock(&baton.mutex);
}
static bool has_turn(void) {
    pthread_mutex_lock(&baton.mutex);
    bool has = baton.turn == explain_thread || baton.over;
    pthread_mutex_unlock(&baton.mutex);
    return has;
}

// Hands over, and back. A thread that does not run is blocked before, so its state is the same in
// each play.
static void wait_between_steps(void) {
    if (machine_runs) {
        hand_to(0);
        while (!has_turn()) tally_safepoint();
        return;
    }
    tally_blocking_begin();
    hand_to(0);
    wait_for_turn();
    tally_blocking_end();
}

// B and later.
static void perform_own(void *number) {
    explain_thread = (unsigned)(uintptr_t)number;
    for (wait_between_steps(); !baton.over; wait_between_steps()) perform(&steps[at]);
}

// A: has a step performed by its thread.
static void have_performed(const struct step *step) {
    if (step->thread == 0) {
        perform(step);
        return;
    }
    bool blocked = needs_world(step);
    if (blocked) tally_blocking_begin();
    hand_to(step->thread);
    wait_for_turn();
    if (blocked) tally_blocking_end();
}

static void start_threads(tally_thread *threads) {
    for (unsigned i = 1; i <= most_thread; i++) {
        hand_to(i); // which hands back once it is blocked
        if (tally_thread_start(&threads[i], perform_own, (void *)(uintptr_t)i) < 0)
            explain_fail("%s", tally_error_message());
        tally_blocking_begin();
        wait_for_turn();
        tally_blocking_end();
    }
}
static void end_threads(tally_thread *threads) {
    pthread_mutex_lock(&baton.mutex);
    baton.over = true;
    pthread_cond_broadcast(&baton.changed);
    pthread_mutex_unlock(&baton.mutex);
    for (unsigned i = 1; i <= most_thread; i++) tally_thread_join(&threads[i]);
}

static void show(void) {
    json_t *photo = photo_take();
    print(json_pack("{sisososo}", "step", (int)at, "photo", photo, "dead", photo_dead(),
                    "collections", collections));
}

int main(void) {
    tally_thread threads[THREADS];
    read_steps();
    if (tally_init(NULL) < 0) explain_fail("%s", tally_error_message());
    tally_gc_disable();
    tally_gc_collect(2); // what the start has made is no news
    if (tally_gc_add_callback(collected, NULL) < 0) explain_fail("%s", tally_error_message());
    start_threads(threads);
    for (at = 0; at < step_count; at++) {
        collections = json_array();
        have_performed(&steps[at]);
        show();
    }
    tally_gc_remove_callback(collected, NULL);
    end_threads(threads);
    machine_end();
    tally_finish();
    for (size_t i = 0; i < step_count; i++) {
        for (size_t j = 0; j < steps[i].count; j++) free(steps[i].operations[j]);
        free(steps[i].operations);
    }
    free(steps);
    return fflush(stdout) == 0 ? 0 : 1;
}
