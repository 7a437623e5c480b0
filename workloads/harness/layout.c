/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * layout.c: moves the heap's start, and tells of the layout.
 */
#define _GNU_SOURCE 1 /* sbrk */

#include "layout.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <unistd.h>

#include "options.h"

static long offset;

void layout_shift(void) {
    const char *text = getenv("TALLY_HEAP_OFFSET");
    char *end;
    if (text == NULL) return;
    errno = 0;
    offset = strtol(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0' || errno != 0 || offset > 1 << 20)
        options_fail("TALLY_HEAP_OFFSET must be a whole number from 0 to 1048576, not '%s'", text);
    /* Never given back; where the heap cannot grow it starts where it did. */
    if (sbrk(offset) == (void *)-1) offset = 0;
}

/* 2: the heap's start too; 1: all but that; 0: nothing. */
static bool kernel_randomises(void) {
    FILE *file = fopen("/proc/sys/kernel/randomize_va_space", "re");
    int value = 0;
    if (file == NULL) return false;
    if (fscanf(file, "%d", &value) != 1) value = 0;
    fclose(file);
    return value > 0;
}

void layout_to_json(json_t *result) {
    int now = personality(0xffffffff);
    json_object_set_new(result, "heap_offset", json_integer(offset));
    json_object_set_new(
        result, "addresses_randomised",
        json_boolean(kernel_randomises() && now >= 0 && !(now & ADDR_NO_RANDOMIZE)));
}
