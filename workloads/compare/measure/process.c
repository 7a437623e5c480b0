// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Runs one driver process; see process.h.  The stop signals are blocked except
// inside ppoll, so none is lost between the look at the flag and the wait.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "process.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// How long a child may take to end after Ctrl-C; with the report this stays
// within a second.
static const double GRACE_SECONDS = 0.35;

// How long a child that gave no answer may take to show the stacks of its threads.
static const double STACKS_SECONDS = 10;

static volatile sig_atomic_t stop_asked;
static sigset_t open_mask;

static void ask_stop(int signal) {
    (void)signal;
    stop_asked = 1;
}

void process_catch_signals(void) {
    static const int signals[] = {SIGINT, SIGTERM, SIGHUP};
    sigset_t blocked;
    struct sigaction action = {.sa_handler = ask_stop};
    sigemptyset(&action.sa_mask);
    sigemptyset(&blocked);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) {
        sigaction(signals[i], &action, NULL);
        sigaddset(&blocked, signals[i]);
    }
    // A write past the limit of a file's size fails then, as on a full disk.
    signal(SIGXFSZ, SIG_IGN);
    sigprocmask(SIG_BLOCK, &blocked, &open_mask);
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++) sigdelset(&open_mask, signals[i]);
}

bool process_pause(double seconds) {
    const struct timespec pause = {.tv_sec = (time_t)seconds,
                                   .tv_nsec = (long)((seconds - (double)(time_t)seconds) * 1e9)};
    ppoll(NULL, 0, &pause, &open_mask); // lets a pending signal in
    return stop_asked;
}

bool process_stop_asked(void) { return process_pause(0); }

double clock_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static _Noreturn void become(char *const argv[], char *const environment[], int output, int errors,
                             pid_t parent) {
    setpgid(0, 0);
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) _exit(127);
    int nothing = open("/dev/null", O_RDONLY);
    if (nothing >= 0) dup2(nothing, 0);
    dup2(output, 1);
    dup2(errors, 2);
    signal(SIGINT, SIG_DFL);
    signal(SIGTERM, SIG_DFL);
    signal(SIGHUP, SIG_DFL);
    signal(SIGPIPE, SIG_DFL);
    signal(SIGXFSZ, SIG_DFL);
    sigprocmask(SIG_SETMASK, &open_mask, NULL);
    int personality_now = personality(0xffffffff);
    if (personality_now >= 0 && (personality_now & ADDR_NO_RANDOMIZE))
        personality((unsigned long)personality_now & ~(unsigned long)ADDR_NO_RANDOMIZE);
    for (size_t i = 0; environment && environment[i]; i++) putenv(environment[i]);
    execvp(argv[0], argv);
    dprintf(2, "cannot start %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

// Returns false at the end of the stream.
static bool drain(int file, struct text *text) {
    char buffer[16384];
    ssize_t got = read(file, buffer, sizeof buffer);
    if (got > 0) text_add_bytes(text, buffer, (size_t)got);
    return got > 0 || (got < 0 && (errno == EINTR || errno == EAGAIN));
}

static void collect(pid_t child, int output, int errors, double timeout,
                    struct process_result *result) {
    struct pollfd files[2] = {{.fd = output, .events = POLLIN}, {.fd = errors, .events = POLLIN}};
    double deadline = clock_seconds() + timeout;
    bool told = false, asked = false;
    int late = 0; // reads after the deadline
    enum { MOST_LATE = 4096 };
    while (files[0].fd >= 0 || files[1].fd >= 0) {
        if (stop_asked && !told) {
            kill(child, SIGINT);
            told = true;
            deadline = clock_seconds() + GRACE_SECONDS;
        }
        // What is there is read before the time is judged: this program may have been stopped
        // meanwhile (Ctrl-Z).
        double left = deadline - clock_seconds();
        if (left < 0) left = 0;
        struct timespec wait = {.tv_sec = (time_t)left,
                                .tv_nsec = (long)((left - (double)(time_t)left) * 1e9)};
        int ready = ppoll(files, 2, &wait, &open_mask);
        if (ready > 0 && left == 0 && late++ >= MOST_LATE) ready = 0; // it prints for ever
        if (ready <= 0 && left == 0 && !told && !asked) {
            kill(-child, SIGQUIT); // a driver shows its stacks then, and ends
            result->timed_out = asked = true;
            deadline += STACKS_SECONDS;
        } else if (ready <= 0 && left == 0 && (told || asked) && clock_seconds() >= deadline) {
            kill(-child, SIGKILL);
            kill(child, SIGKILL);
            return;
        }
        if (ready <= 0) continue;
        if (files[0].revents && !drain(output, &result->output)) files[0].fd = -1;
        if (files[1].revents && !drain(errors, &result->errors)) files[1].fd = -1;
    }
}

// A child that has closed what it prints to may go on all the same; not past its time.
static void reap(pid_t child, double end, int *status, struct process_result *result) {
    const struct timespec pause = {.tv_nsec = 5000000};
    pid_t reaped;
    while ((reaped = waitpid(child, status, result->timed_out ? 0 : WNOHANG)) != child) {
        if (reaped < 0 && errno != EINTR) return;
        if (reaped == 0 && (clock_seconds() > end || stop_asked)) {
            kill(-child, SIGKILL);
            kill(child, SIGKILL);
            result->timed_out = true;
        } else if (reaped == 0) {
            ppoll(NULL, 0, &pause, &open_mask);
        }
    }
}

struct process_result process_run(char *const argv[], char *const environment[],
                                  double timeout_seconds) {
    struct process_result result = {.status = 127};
    int output[2] = {-1, -1}, errors[2] = {-1, -1};
    pid_t parent = getpid(), child = -1;
    if (pipe2(output, O_CLOEXEC) == 0 && pipe2(errors, O_CLOEXEC) == 0) child = fork();
    if (child == 0) become(argv, environment, output[1], errors[1], parent);
    if (child < 0) text_add(&result.errors, "cannot start a process: %s", strerror(errno));
    if (output[1] >= 0) close(output[1]);
    if (errors[1] >= 0) close(errors[1]);
    if (child > 0) {
        int status = 0;
        double end = clock_seconds() + timeout_seconds;
        collect(child, output[0], errors[0], timeout_seconds, &result);
        reap(child, end, &status, &result);
        result.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    }
    if (output[0] >= 0) close(output[0]);
    if (errors[0] >= 0) close(errors[0]);
    return result;
}

json_t *process_ask(char *const argv[], int *status, char **errors) {
    struct process_result result = process_run(argv, NULL, 20);
    json_t *answer = json_loads(text_string(&result.output), 0, NULL);
    *status = result.status;
    *errors = checked_strdup(text_string(&result.errors));
    if (result.status != 0) {
        json_decref(answer);
        answer = NULL;
    }
    text_free(&result.output);
    text_free(&result.errors);
    return answer;
}
