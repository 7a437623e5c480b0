/* SPDX-License-Identifier: LGPL-2.1-or-later */
#include "check.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>

enum { MOST_PRINTED = 20 };

/* Relaxed: a check orders no memory, so that ThreadSanitizer sees the orders of what is tested. */
static _Atomic int failures;
const char *(*check_context)(void);

int check_failures(void) { return atomic_load_explicit(&failures, memory_order_relaxed); }

void check_failed(const char *file, int line, const char *format, ...) {
    char text[1024];
    va_list arguments;
    if (atomic_fetch_add_explicit(&failures, 1, memory_order_relaxed) >= MOST_PRINTED) return;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    fprintf(stderr, "%s:%d: %s%s\n", file, line, text, check_context ? check_context() : "");
}

void check_int_is(const char *file, int line, const char *what, int64_t got, int64_t wanted) {
    if (got != wanted)
        check_failed(file, line, "%s is %" PRId64 ", not %" PRId64, what, got, wanted);
}
