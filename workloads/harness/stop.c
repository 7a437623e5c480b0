/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop.c: waits for time or a signal, whichever is first.
 */
#include "stop.h"

#include <errno.h>
#include <stdint.h>
#include <time.h>
#include <unistd.h>

static sigset_t signals, call; /* call: SIGUSR1, of the driver to itself */

void stop_block(void) {
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigemptyset(&call);
    sigaddset(&call, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_sigmask(SIG_BLOCK, &call, NULL);
}

const sigset_t *stop_signals(void) { return &signals; }

static int64_t now_ns(void) {
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

bool stop_sleep(unsigned milliseconds) {
    const int64_t end = now_ns() + (int64_t)milliseconds * 1000000;
    int signal;
    /* Another signal, such as a profiler's, only has the sleep go on to the same end: one that
     * comes again and again does not put the end off. */
    do {
        int64_t left = end - now_ns();
        struct timespec time = {0};
        if (left > 0)
            time = (struct timespec){(time_t)(left / 1000000000), (long)(left % 1000000000)};
        signal = sigtimedwait(&signals, NULL, &time);
    } while (signal < 0 && errno == EINTR);
    return signal > 0;
}

bool stop_wait(void) {
    sigset_t either = signals;
    int signal;
    sigaddset(&either, SIGUSR1);
    do signal = sigwaitinfo(&either, NULL);
    while (signal < 0 && errno == EINTR);
    return signal != SIGUSR1;
}

void stop_rouse(void) { kill(getpid(), SIGUSR1); }

void stop_forget(void) {
    const struct timespec now = {0};
    while (sigtimedwait(&call, NULL, &now) == SIGUSR1)
        ;
}
