/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * output.c: standard output that is looked after; see output.h.
 */
#define _GNU_SOURCE /* on_exit */
#include "output.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static struct {
    const char *program;
    bool closed; /* standard output, from the start */
    bool said;   /* that it was lost */
} output = {.program = "tally"};

static void close_stdout(int status, void *unused)
{
    (void)unused;
    bool good = output_written(NULL);
    /* Some file systems tell only now that there is no room. */
    if (good && fclose(stdout) != 0) {
        fprintf(stderr, "%s: cannot write to standard output: %s\n", output.program, strerror(errno));
        good = false;
    }
    if (!good && status == 0)
        _exit(EXIT_FAILURE);
}

void output_watch(const char *program)
{
    output.program = program;
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
        if (fcntl(file, F_GETFD) >= 0)
            continue;
        /* The lowest that is free, hence this one. What cannot be written to keeps its errors. */
        int taken = open("/dev/null", file == STDERR_FILENO ? O_RDWR : O_RDONLY);
        if (taken > file)
            close(taken);
        output.closed |= file == STDOUT_FILENO;
    }
    signal(SIGPIPE, SIG_IGN);
    on_exit(close_stdout, NULL);
}

bool output_written(const char *lost)
{
    errno = 0;
    bool good = fflush(stdout) == 0 && !ferror(stdout);
    const char *why = output.closed ? "it is closed" : errno ? strerror(errno) : "a write failed";

    if (!good && !output.said)
        fprintf(stderr, "%s: cannot write to standard output: %s%s%s\n", output.program, why, lost ? "; " : "",
                lost ? lost : "");
    output.said |= !good;
    return good;
}
