/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop.c: waits for time or a signal, whichever is first.
 */
#include "stop.h"

#include <errno.h>
#include <time.h>
#include <unistd.h>

static sigset_t signals, call; /* call: SIGUSR1, of the driver to itself */

void stop_block(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    sigemptyset(&call);
    sigaddset(&call, SIGUSR1);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    pthread_sigmask(SIG_BLOCK, &call, NULL);
}

const sigset_t *stop_signals(void)
{
    return &signals;
}

bool stop_sleep(unsigned milliseconds)
{
    struct timespec time = {milliseconds / 1000, milliseconds % 1000 * 1000000L};
    int signal;

    /* Another signal, such as a debugger's, starts the sleep anew. */
    do
        signal = sigtimedwait(&signals, NULL, &time);
    while (signal < 0 && errno == EINTR);
    return signal > 0;
}

bool stop_wait(void)
{
    sigset_t either = signals;
    int signal;

    sigaddset(&either, SIGUSR1);
    do
        signal = sigwaitinfo(&either, NULL);
    while (signal < 0 && errno == EINTR);
    return signal != SIGUSR1;
}

void stop_rouse(void)
{
    kill(getpid(), SIGUSR1);
}

void stop_forget(void)
{
    const struct timespec now = {0};

    while (sigtimedwait(&call, NULL, &now) == SIGUSR1)
        ;
}
