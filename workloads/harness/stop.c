/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * stop.c: waits for time or a signal, whichever is first.
 */
#include "stop.h"

#include <errno.h>
#include <time.h>

static sigset_t signals;

void stop_block(void)
{
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
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
