/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * timer_signal.c: preloaded into a program, it sends that program a signal every 0.3 ms, whose
 * handler does nothing and has interrupted calls fail (no SA_RESTART), as a profiler or a debugger
 * may.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/time.h>

static void nothing(int signal) {}

__attribute__((constructor)) static void begin(void) {
    const struct sigaction action = {.sa_handler = nothing};
    const struct itimerval often = {{0, 300}, {0, 300}};

    sigaction(SIGALRM, &action, NULL);
    setitimer(ITIMER_REAL, &often, NULL);
}
