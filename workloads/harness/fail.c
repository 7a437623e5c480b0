/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * fail.c: the loud end of a driver, one line on stderr.
 */
#include "fail.h"

#include <stdarg.h>
#include <stdio.h>
#include <unistd.h>

static const char *current = "";
static const char *unfinished; /* a file; NULL: none */

void fail_name(const char *workload) { current = workload; }

const char *fail_workload(void) { return current; }

void fail_remove(const char *file) { unfinished = file; }

void fail_clean_up(void) {
    if (unfinished != NULL) unlink(unfinished);
}

void fail_end(int status, const char *format, va_list arguments) {
    char message[2048];
    vsnprintf(message, sizeof message, format, arguments);
    fprintf(stderr, "tally-%s: %s%s%s\n", tally_backend(), current, *current ? ": " : "", message);
    fail_clean_up();
    /* Not exit: other threads run, and what they use must not be torn down. */
    _Exit(status);
}

void workload_fail(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    fail_end(EXIT_FAILURE, format, arguments);
}
