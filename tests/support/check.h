/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * check.h: the assertions of all tests. A check that fails is printed and counted, from any
 * thread, and the test goes on. This header knows nothing of Tally, so that the tests of the
 * comparison use it too.
 */
#ifndef TALLY_TESTS_CHECK_H
#define TALLY_TESTS_CHECK_H

#include <stdint.h>

/* Prints "FILE:LINE: TEXT" and counts the failure. Only the first 20 failures are printed. */
void check_failed(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4), cold));
int check_failures(void);
/* What a failure prints behind its text; NULL: nothing. suite.c shows the pending error. */
extern const char *(*check_context)(void);

void check_int_is(const char *file, int line, const char *what, int64_t got, int64_t wanted);

#define check(expression) \
    ((expression) ? (void)0 : check_failed(__FILE__, __LINE__, "not so: %s", #expression))
/* With what was measured instead, as printf. */
#define check_that(expression, format, ...) \
    ((expression)                           \
         ? (void)0                          \
         : check_failed(__FILE__, __LINE__, "not so: %s: " format, #expression, ##__VA_ARGS__))
#define check_int(got, wanted) \
    check_int_is(__FILE__, __LINE__, #got, (int64_t)(got), (int64_t)(wanted))

#endif
