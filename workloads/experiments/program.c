/* SPDX-License-Identifier: LGPL-2.1-or-later */
#define _GNU_SOURCE /* program_invocation_short_name */
#include "program.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

_Noreturn void program_fail(const char *what) {
    fprintf(stderr, "%s: %s\n", program_invocation_short_name, what);
    exit(1);
}

tally_object *program_object(tally_object *object) {
    if (!object) program_fail(tally_error_message());
    return object;
}

void program_done(int result) {
    if (result != 0) program_fail(tally_error_message());
}

unsigned program_number(const char *name, const char *text, unsigned least, unsigned most) {
    char *end;
    unsigned long value;

    errno = 0;
    value = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : (end = "x", 0);
    if (errno || *end || value < least || value > most) {
        fprintf(stderr, "%s: --%s takes a number from %u to %u\n", program_invocation_short_name,
                name, least, most);
        exit(2);
    }
    return (unsigned)value;
}

uint64_t program_now(void) {
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (uint64_t)time.tv_sec * 1000000000 + (uint64_t)time.tv_nsec;
}

static int compare_times(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

    return (x > y) - (x < y);
}

void program_sort(uint64_t *times, size_t count) {
    if (count) qsort(times, count, sizeof *times, compare_times);
}

uint64_t program_quantile(const uint64_t *times, size_t count, double share) {
    size_t rank = (size_t)(share * (double)count);

    return !count ? 0 : times[rank < count ? rank : count - 1];
}

void program_print(json_t *results) {
    if (!results) program_fail("no memory for the results");
    json_dumpf(results, stdout, JSON_COMPACT | JSON_REAL_PRECISION(9));
    putchar('\n');
    json_decref(results);
}
