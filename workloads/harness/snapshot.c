/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snapshot.c: a heap snapshot during a run; snapshot.h. */
#include "snapshot.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { POLL_MS = 100 };

static struct {
    const char *file; /* NULL: none is wanted, or it was taken */
    int when;
    double due; /* SNAPSHOT_AFTER: by the monotonic clock */
    sigset_t call;
} snapshot;

bool snapshot_parse(options *options, const char *text) {
    const char *colon = strchr(text, ':');
    char *end;
    if (colon == NULL || colon[1] == '\0') return false;
    options->snapshot = colon + 1;
    size_t length = (size_t)(colon - text);
    if (length == 3 && strncmp(text, "end", 3) == 0) {
        options->snapshot_when = SNAPSHOT_END;
    } else if (length == 6 && strncmp(text, "signal", 6) == 0) {
        options->snapshot_when = SNAPSHOT_SIGNAL;
    } else {
        options->snapshot_when = SNAPSHOT_AFTER;
        options->snapshot_seconds = strtod(text, &end);
        return text[0] >= '0' && text[0] <= '9' && end == colon &&
               options->snapshot_seconds <= 86400;
    }
    return true;
}

void snapshot_check(const options *options) {
    if (options->processes)
        options_fail("--snapshot shows the heap of one process; it does not go with --processes");
    options_check_output("--snapshot takes WHEN:FILE", options->snapshot);
    sigemptyset(&snapshot.call);
    sigaddset(&snapshot.call, SIGUSR2);
    if (options->snapshot_when == SNAPSHOT_SIGNAL) pthread_sigmask(SIG_BLOCK, &snapshot.call, NULL);
}

static double now(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + 1e-9 * (double)time.tv_nsec;
}

void snapshot_begin(const options *options) {
    snapshot.file = options->snapshot;
    snapshot.when = options->snapshot_when;
    snapshot.due = now() + options->snapshot_seconds;
}

unsigned snapshot_wait(unsigned most) {
    unsigned wait = most;
    if (snapshot.file == NULL || snapshot.when == SNAPSHOT_END) return most;
    if (snapshot.when == SNAPSHOT_SIGNAL) return most < POLL_MS ? most : POLL_MS;
    double left = (snapshot.due - now()) * 1e3;
    if (left < most) wait = left > 1 ? (unsigned)left : 1;
    return wait;
}

static void take(void) {
    tally_heap_result result;
    tally_blocking_end();
    if (tally_heap_snapshot(snapshot.file, &result) != 0)
        workload_fail("%s", tally_error_message());
    tally_blocking_begin();
    fprintf(stderr, "tally-%s: %s has %zu objects; the others were stopped for %.1f ms\n",
            tally_backend(), snapshot.file, result.objects, (double)result.pause / 1e6);
    if (snapshot.when != SNAPSHOT_SIGNAL) snapshot.file = NULL;
}

void snapshot_poll(void) {
    static const struct timespec at_once = {0};
    if (snapshot.file == NULL) return;
    if (snapshot.when == SNAPSHOT_SIGNAL && sigtimedwait(&snapshot.call, NULL, &at_once) == SIGUSR2)
        take();
    else if (snapshot.when == SNAPSHOT_AFTER && now() >= snapshot.due)
        take();
}

void snapshot_end(void) {
    snapshot_poll();
    if (snapshot.file == NULL || snapshot.when == SNAPSHOT_SIGNAL) return;
    if (snapshot.when == SNAPSHOT_AFTER)
        fprintf(stderr, "tally-%s: the samples ended before the snapshot's time\n",
                tally_backend());
    take();
}
