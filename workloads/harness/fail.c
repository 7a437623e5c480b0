/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail.c: what workloads call besides Tally: the loud end, and memory of its
 * own cache lines.
 */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *current = "";

void fail_name(const char *workload)
{
    current = workload;
}

void workload_fail(const char *format, ...)
{
    va_list arguments;
    char message[1024];

    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    fprintf(stderr, "tally-%s: %s: %s\n", tally_backend(), current, message);
    /* Not exit: other threads run, and what they use must not be torn down. */
    _Exit(EXIT_FAILURE);
}

void *workload_allocate(size_t bytes)
{
    size_t lines = (bytes + WORKLOAD_LINE - 1) / WORKLOAD_LINE;
    size_t whole = (lines > 0 ? lines : 1) * WORKLOAD_LINE;
    void *memory = aligned_alloc(WORKLOAD_LINE, whole);

    if (memory == NULL)
        workload_fail("no memory for %zu bytes", bytes);
    return memset(memory, 0, whole);
}
