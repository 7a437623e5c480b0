/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* collections.c: notes collections as they end. Without a GIL the ends of two may overlap, so the
 * notes have a lock. What no memory is left for is counted. */
#include "collections.h"

#include "program.h"

#include <pthread.h>
#include <stdlib.h>
#include <tally.h>

static struct {
    pthread_mutex_t lock;
    uint64_t *pauses, count, lost, total, collected;
    size_t room;
    uint64_t by_generation[3];
    json_t *each; /* NULL: not wanted */
} collections = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Times are of CLOCK_MONOTONIC, which clients have too. Under the lock. */
static void note_times(const tally_gc_info *info) {
    json_t *times =
        json_pack("{s:i, s:I, s:I, s:I, s:I, s:I}", "generation", info->generation, "began_ns",
                  (json_int_t)info->began, "ended_ns", (json_int_t)program_now(), "pause_ns",
                  (json_int_t)info->pause, "examined", (json_int_t)info->examined, "collected",
                  (json_int_t)info->collected);

    if (json_array_append_new(collections.each, times) != 0) collections.lost++;
}

static void note(const tally_gc_info *info, void *context) {
    (void)context;
    if (!info->finished || info->shared) return;
    pthread_mutex_lock(&collections.lock);
    if (collections.each) note_times(info);
    if (collections.count == collections.room) {
        size_t room = collections.room ? 2 * collections.room : 1024;
        uint64_t *pauses = realloc(collections.pauses, room * sizeof *pauses);

        if (pauses) {
            collections.pauses = pauses;
            collections.room = room;
        }
    }
    if (collections.count < collections.room) {
        collections.pauses[collections.count++] = info->pause;
        collections.total += info->pause;
        collections.collected += (uint64_t)info->collected;
        collections.by_generation[info->generation]++;
    } else {
        collections.lost++;
    }
    pthread_mutex_unlock(&collections.lock);
}

void collections_begin(bool timeline) {
    if (timeline && !(collections.each = json_array())) program_fail("no memory for a timeline");
    if (tally_gc_add_callback(note, NULL) != 0) program_fail(tally_error_message());
}

void collections_stop(void) { tally_gc_remove_callback(note, NULL); }

/* Nearest rank, milliseconds. */
static double pause_at(double share) {
    return (double)program_quantile(collections.pauses, collections.count, share) / 1e6;
}

json_t *collections_end(void) {
    json_t *whole;

    program_sort(collections.pauses, collections.count);
    whole = json_pack(
        "{s:I, s:[I, I, I], s:I, s:f, s:f, s:f, s:f}", "count", (json_int_t)collections.count,
        "by_generation", (json_int_t)collections.by_generation[0],
        (json_int_t)collections.by_generation[1], (json_int_t)collections.by_generation[2],
        "collected", (json_int_t)collections.collected, "pause_ms_total",
        (double)collections.total / 1e6, "pause_ms_p50", pause_at(0.5), "pause_ms_p99",
        pause_at(0.99), "pause_ms_max", pause_at(1));
    if (whole && collections.each) json_object_set_new(whole, "each", collections.each);
    if (whole && collections.lost)
        json_object_set_new(whole, "pauses_lost", json_integer((json_int_t)collections.lost));
    free(collections.pauses);
    return whole;
}
