/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * contention.c: differences of two lists, and the names of places, which addr2line of the binutils
 * knows; without it they stay addresses.
 */
#define _GNU_SOURCE
#include "contention.h"

#include <dlfcn.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "workload.h"

enum { MOST_ROWS = 32, PLACE = 192 };

static void read_rows(contention *contention) {
    if (tally_contention(&contention->rows, &contention->count) != 0)
        workload_fail("cannot list contention: %s", tally_error_message());
}

static bool is_counting(void) {
    tally_stats_result stats;
    tally_stats(&stats);
    return stats.detailed;
}

void contention_begin(contention *contention) {
    *contention = (struct contention){.rows = NULL};
    if (is_counting()) read_rows(contention);
}

static bool is_same(const tally_contention_row *a, const tally_contention_row *b) {
    return a->site == b->site && a->owner == b->owner && strcmp(a->type, b->type) == 0;
}

static uint64_t total_of(const tally_contention_row *row) {
    return row->lost_cas + row->lock_waits + row->lock_revocations + row->merges +
           row->shared_counts;
}

static void take_off(tally_contention_row *row, const tally_contention_row *before) {
    row->lost_cas -= before->lost_cas;
    row->lock_waits -= before->lock_waits;
    row->lock_handovers -= before->lock_handovers;
    row->lock_revocations -= before->lock_revocations;
    row->merges -= before->merges;
    row->shared_counts -= before->shared_counts;
}

static int most_first(const void *a, const void *b) {
    uint64_t x = total_of(a), y = total_of(b);
    return x > y ? -1 : x < y;
}

void contention_end(contention *contention) {
    struct contention before = *contention;
    uint64_t all = 0;
    if (before.rows == NULL) return;
    read_rows(contention);
    for (size_t i = 0; i < contention->count; i++) {
        for (size_t k = 0; k < before.count; k++)
            if (is_same(&contention->rows[i], &before.rows[k]))
                take_off(&contention->rows[i], &before.rows[k]);
        all += total_of(&contention->rows[i]);
    }
    qsort(contention->rows, contention->count, sizeof *contention->rows, most_first);
    while (contention->count > 0 && total_of(&contention->rows[contention->count - 1]) == 0)
        contention->count--;
    for (size_t i = 0; i < contention->count; i++)
        contention->rows[i].share = (double)total_of(&contention->rows[i]) / (double)all;
    free(before.rows);
}

/* ---- places --------------------------------------------------------------- */

/* Two lines an address: the function, and file:line. False: it is not known. */
static bool read_place(FILE *answers, char *place) {
    char *function = NULL, *line = NULL;
    size_t room = 0, room2 = 0;
    bool good = getline(&function, &room, answers) > 0 && getline(&line, &room2, answers) > 0 &&
                *function != '?';
    if (good) {
        function[strcspn(function, "\n")] = '\0';
        line[strcspn(line, " \n")] = '\0'; /* a discriminator may follow */
        snprintf(place, PLACE, "%s%s%s", function, *line != '?' ? " at " : "",
                 *line != '?' ? basename(line) : "");
    }
    free(function);
    free(line);
    return good;
}

/* One call for all of this program's own code, which is not moved by more than its base. The
 * address is where the call returns to, so the byte before it is the call's. */
static void name_places(const contention *contention, size_t count, char (*places)[PLACE]) {
    char command[64 + MOST_ROWS * 20];
    int used = snprintf(command, sizeof command, "addr2line -f -e /proc/%ld/exe", (long)getpid());
    Dl_info self, about;

    if (dladdr((const void *)&name_places, &self) == 0) return;
    for (size_t i = 0; i < count; i++) {
        const char *site = contention->rows[i].site;
        bool own = site != NULL && dladdr(site, &about) != 0 && about.dli_fbase == self.dli_fbase;
        used += snprintf(command + used, sizeof command - (size_t)used, " %zx",
                         own ? (size_t)(site - (const char *)self.dli_fbase) - 1 : 0);
    }
    snprintf(command + used, sizeof command - (size_t)used, " 2>/dev/null");
    FILE *answers = popen(command, "re");
    for (size_t i = 0; answers != NULL && i < count; i++) read_place(answers, places[i]);
    if (answers != NULL) pclose(answers);
}

json_t *contention_to_json(const contention *contention) {
    char places[MOST_ROWS][PLACE];
    size_t count = contention->count < MOST_ROWS ? contention->count : MOST_ROWS;
    json_t *result = json_array();
    for (size_t i = 0; i < count; i++) snprintf(places[i], PLACE, "%s", contention->rows[i].place);
    if (count > 0) name_places(contention, count, places);
    for (size_t i = 0; i < count; i++) {
        const tally_contention_row *row = &contention->rows[i];
        json_array_append_new(
            result,
            json_pack("{s:s, s:i, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:f}", "type", row->type,
                      "owner", (int)row->owner, "place", places[i], "lost_cas",
                      (json_int_t)row->lost_cas, "lock_waits", (json_int_t)row->lock_waits,
                      "handovers", (json_int_t)row->lock_handovers, "revocations",
                      (json_int_t)row->lock_revocations, "merges", (json_int_t)row->merges,
                      "shared_counts", (json_int_t)row->shared_counts, "share", row->share));
    }
    return result;
}

void contention_free(contention *contention) {
    free(contention->rows);
    contention->rows = NULL;
}
