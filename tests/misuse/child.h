/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* child.h: a call in a process of its own, which may end by a signal. */
#ifndef TALLY_TESTS_CHILD_H
#define TALLY_TESTS_CHILD_H

#include "suite.h"

#include <errno.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

typedef struct child_end {
    int status;      /* as waitpid has it */
    char said[8192]; /* on standard error */
} child_end;

SUITE_HELPER int wait_for_child(pid_t child) {
    int status = 0;
    while (waitpid(child, &status, 0) < 0 && errno == EINTR) {}
    return status;
}

/* prepare may print; what call prints is kept. The child exits by 1 where a check failed. */
SUITE_HELPER child_end run_child(void (*prepare)(void), void (*call)(void)) {
    child_end end = {0};
    size_t length = 0;
    ssize_t got;
    int pipe_[2];
    if (pipe(pipe_) < 0) abort();
    fflush(stdout);
    pid_t child = fork();
    if (child == 0) {
        setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        alarm(60);
        if (prepare) prepare();
        dup2(pipe_[1], 2);
        close(pipe_[0]);
        close(pipe_[1]);
        call();
        _exit(check_failures() != 0);
    }
    close(pipe_[1]);
    while (length < sizeof end.said - 1 &&
           ((got = read(pipe_[0], end.said + length, sizeof end.said - 1 - length)) > 0 ||
            (got < 0 && errno == EINTR)))
        if (got > 0) length += (size_t)got;
    close(pipe_[0]);
    end.status = wait_for_child(child);
    return end;
}

/* It ended by an abort with a message of the run time. */
SUITE_HELPER int aborted(const child_end *end) {
    return WIFSIGNALED(end->status) && WTERMSIG(end->status) == SIGABRT &&
           strncmp(end->said, "tally: ", 7) == 0;
}

/* How it ended, for a message. */
#define CHILD_END(end)                                                                     \
    WIFSIGNALED((end)->status) ? "signal" : "exit",                                        \
        WIFSIGNALED((end)->status) ? WTERMSIG((end)->status) : WEXITSTATUS((end)->status), \
        (end)->said

#endif
