/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * output.c: standard output that is looked after; see output.h.
 *
 * The stream has a write function of its own: where a signal interrupts a write to a full pipe, the
 * C library's would drop what it had to write.
 */
#define _GNU_SOURCE /* on_exit, fopencookie, TEMP_FAILURE_RETRY */
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
    int error;   /* of the first write that failed */
    bool said;   /* that it was lost */
} output = {.program = "tally"};

/* All of it, or 0 with an error. */
static ssize_t write_whole(void *unused, const char *data, size_t size) {
    for (size_t done = 0; done < size;) {
        ssize_t wrote = TEMP_FAILURE_RETRY(write(STDOUT_FILENO, data + done, size - done));
        if (wrote <= 0) {
            output.error = output.error ? output.error : errno;
            return 0;
        }
        done += (size_t)wrote;
    }
    return (ssize_t)size;
}

static void take_over_stdout(void) {
    FILE *stream = fopencookie(NULL, "w", (cookie_io_functions_t){.write = write_whole});

    if (stream == NULL) return; /* the library's will do */
    setvbuf(stream, NULL, isatty(STDOUT_FILENO) ? _IOLBF : _IOFBF, BUFSIZ);
    stdout = stream;
}

static void close_stdout(int status, void *unused) {
    bool good = output_written(NULL);
    /* Some file systems tell only now that there is no room. */
    if (good && close(STDOUT_FILENO) != 0) {
        fprintf(stderr, "%s: cannot write to standard output: %s\n", output.program,
                strerror(errno));
        good = false;
    }
    if (!good && status == 0) _exit(EXIT_FAILURE);
}

void output_watch(const char *program) {
    output.program = program;
    for (int file = STDIN_FILENO; file <= STDERR_FILENO; file++) {
        if (fcntl(file, F_GETFD) >= 0) continue;
        /* The lowest that is free, hence this one. What cannot be written to keeps its errors. */
        int taken = open("/dev/null", file == STDERR_FILENO ? O_RDWR : O_RDONLY);
        if (taken > file) close(taken);
        output.closed |= file == STDOUT_FILENO;
    }
    take_over_stdout();
    signal(SIGPIPE, SIG_IGN);
    on_exit(close_stdout, NULL);
}

bool output_written(const char *lost) {
    bool good = fflush(stdout) == 0 && !ferror(stdout);
    const char *why = output.closed  ? "it is closed"
                      : output.error ? strerror(output.error)
                                     : "a write failed";
    if (!good && !output.said)
        fprintf(stderr, "%s: cannot write to standard output: %s%s%s\n", output.program, why,
                lost ? "; " : "", lost ? lost : "");
    output.said |= !good;
    return good;
}
