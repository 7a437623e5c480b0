/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * ledger.c: the ledger over the time of a run; ledger.h.
 *
 * Readings are due on a grid of times. One that comes late, since the reader waits for the GIL or
 * for a stop, is followed by the next time of the grid that has not passed.
 */
#include "ledger.h"

#include <stdlib.h>

static const uint64_t millisecond = 1000000;

static struct {
    uint64_t interval, began, due; /* nanoseconds; interval 0: no readings are wanted */
    struct reading {
        uint64_t at; /* nanoseconds since the first reading */
        tally_ledger_result rows;
    } * readings;
    size_t count, room;
} ledger;

void ledger_check(const options *options) {
    if (options->processes)
        options_fail("--ledger-ms reads the ledger of one process; it does not go with "
                     "--processes");
    if (!options->json) options_fail("--ledger-ms puts its readings into what --json prints");
}

static void take(void) {
    if (ledger.count == ledger.room) {
        ledger.room = ledger.room > 0 ? 2 * ledger.room : 64;
        ledger.readings = realloc(ledger.readings, ledger.room * sizeof *ledger.readings);
        if (ledger.readings == NULL) workload_fail("no memory for a reading of the ledger");
    }
    struct reading *reading = &ledger.readings[ledger.count++];
    tally_blocking_end();
    reading->at = workload_clock() - ledger.began;
    if (tally_heap_ledger(&reading->rows) != 0) workload_fail("%s", tally_error_message());
    tally_blocking_begin();
    uint64_t passed = (workload_clock() - ledger.began) / ledger.interval;
    ledger.due = ledger.began + (passed + 1) * ledger.interval;
}

void ledger_begin(const options *options) {
    ledger.interval = options->ledger_ms * millisecond;
    ledger.began = workload_clock();
    if (ledger.interval > 0) take();
}

unsigned ledger_wait(unsigned most) {
    uint64_t now = workload_clock();
    if (ledger.interval == 0 || ledger.due >= now + most * millisecond) return most;
    return ledger.due > now + millisecond ? (unsigned)((ledger.due - now) / millisecond) : 1;
}

void ledger_poll(void) {
    if (ledger.interval > 0 && workload_clock() >= ledger.due) take();
}

void ledger_end(void) {
    if (ledger.interval > 0) take();
}

static json_t *reading_to_json(const struct reading *reading) {
    const tally_ledger_result *rows = &reading->rows;
    json_t *result =
        json_pack("{s:f, s:I, s:I}", "seconds", (double)reading->at / 1e9, "pause_ns",
                  (json_int_t)rows->pause, "resident_bytes", (json_int_t)rows->resident);
#define FIELD(name) \
    json_object_set_new(result, #name "_bytes", json_integer((json_int_t)rows->name));
    TALLY_LEDGER_ROWS(FIELD)
#undef FIELD
    return result;
}

json_t *ledger_to_json(void) {
    if (ledger.count == 0) return NULL;
    json_t *result = json_array();
    for (size_t i = 0; i < ledger.count; i++)
        json_array_append_new(result, reading_to_json(&ledger.readings[i]));
    free(ledger.readings);
    ledger.readings = NULL;
    ledger.count = ledger.room = 0;
    return result;
}
