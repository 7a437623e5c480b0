/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * processes.c: starts the processes, lets them begin every sample together, and merges what they
 * print.
 *
 * Each child has a socket to this parent. Before a sample it writes a byte; when all have, the
 * parent answers each with one. A closed socket tells a child to end with the samples it has. The
 * children are started by exec of this very program: a forked copy of a running one would share its
 * memory.
 *
 * Invariant: no child outlives its parent. The kernel kills a child whose parent dies
 * (PR_SET_PDEATHSIG), also in the middle of a sample. A parent that died before the child asked for
 * this is no longer the child's parent, which the child checks next.
 */
#define _GNU_SOURCE 1 /* pipe2, TEMP_FAILURE_RETRY */

#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "pinning.h"
#include "run.h"
#include "stop.h"

extern char **environ;

enum { CHILD_SOCKET = 3, INTERRUPTED = 130 };

struct child {
    pid_t process;
    int socket; /* -1: closed */
    int output; /* what it prints */
    json_t *run;
};

struct family {
    const options *options;
    struct child *children;
    unsigned count;
    int signals; /* a signalfd of SIGINT and SIGTERM */
    bool incomplete;
};

/* ---- starting ----------------------------------------------------------- */

/* The child's command line: this one, but as the worker of that index. Options given twice are
 * errors, so the count of processes is taken out. */
static char **child_arguments(int argc, char **argv, unsigned children, unsigned index) {
    size_t words = (size_t)argc + 6;
    char **result = workload_allocate(words * sizeof *result + 256);
    char *text = (char *)(result + words); /* freed with it */
    int count = 0;
    for (int i = 0; i < argc; i++) {
        /* argp takes unambiguous prefixes; only this option begins with "--pro". */
        if (strncmp(argv[i], "--pro", 5) == 0) {
            if (strchr(argv[i], '=') == NULL) i++;
            continue;
        }
        result[count++] = argv[i];
    }
    snprintf(text, 64, "--parent-socket=%d", CHILD_SOCKET);
    snprintf(text + 64, 64, "--process-index=%u", index);
    snprintf(text + 128, 64, "--process-count=%u", children);
    snprintf(text + 192, 64, "--parent-process=%d", (int)getpid());
    result[count++] = text;
    result[count++] = text + 64;
    result[count++] = text + 128;
    result[count++] = text + 192;
    return result;
}

static void start_child(struct child *child, int argc, char **argv, unsigned children,
                        unsigned index) {
    posix_spawn_file_actions_t actions;
    int sockets[2], output[2];
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, sockets) != 0 ||
        pipe2(output, O_CLOEXEC) != 0)
        workload_fail("cannot connect process %u: %s", index + 1, strerror(errno));
    char **arguments = child_arguments(argc, argv, children, index);
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, output[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, sockets[1], CHILD_SOCKET);
    int error = posix_spawn(&child->process, "/proc/self/exe", &actions, NULL, arguments, environ);
    if (error != 0) workload_fail("cannot start process %u: %s", index + 1, strerror(error));
    posix_spawn_file_actions_destroy(&actions);
    close(sockets[1]);
    close(output[1]);
    free(arguments);
    child->socket = sockets[0];
    child->output = output[0];
}

void processes_follow_parent(const options *options) {
    if (options->parent < 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != options->parent_process) _Exit(EXIT_FAILURE);
}

/* ---- running ------------------------------------------------------------ */

static void dismiss(struct family *family) {
    family->incomplete = true;
    for (unsigned i = 0; i < family->count; i++) {
        if (family->children[i].socket >= 0) close(family->children[i].socket);
        family->children[i].socket = -1;
    }
}

/* Waits until there is something to read, or the other end is closed. A signal meanwhile ends all
 * children early. */
static void await(struct family *family, int descriptor) {
    struct pollfd polled[2] = {{descriptor, POLLIN, 0}, {family->signals, POLLIN, 0}};
    while (poll(polled, 2, -1) < 0 || polled[0].revents == 0)
        if (polled[1].revents != 0) {
            struct signalfd_siginfo signal;
            if (TEMP_FAILURE_RETRY(read(family->signals, &signal, sizeof signal)) ==
                (ssize_t)sizeof signal)
                for (unsigned i = 0; i < family->count; i++)
                    kill(family->children[i].process, SIGTERM);
            dismiss(family);
            return;
        }
}

/* One barrier; false: a process does not come any more. */
static bool let_all_begin(struct family *family) {
    char byte;
    for (unsigned i = 0; i < family->count; i++) {
        await(family, family->children[i].socket);
        if (family->incomplete ||
            TEMP_FAILURE_RETRY(read(family->children[i].socket, &byte, 1)) != 1)
            return false;
    }
    for (unsigned i = 0; i < family->count; i++)
        if (TEMP_FAILURE_RETRY(send(family->children[i].socket, &byte, 1, MSG_NOSIGNAL)) != 1)
            return false;
    return true;
}

/* The parser does not notice when it has no memory for a token: it never sees that. */
static void *allocate_json(size_t size) {
    void *memory = malloc(size > 0 ? size : 1);
    if (memory == NULL) workload_fail("no memory for the results");
    return memory;
}

static json_t *read_run(struct family *family, const struct child *child) {
    char *text = NULL;
    size_t size = 0;
    FILE *whole = open_memstream(&text, &size);
    char buffer[4096];
    for (;;) {
        await(family, child->output);
        ssize_t got = TEMP_FAILURE_RETRY(read(child->output, buffer, sizeof buffer));
        if (got <= 0) break;
        fwrite(buffer, 1, (size_t)got, whole);
    }
    fclose(whole);
    json_t *run = json_loadb(text, size, 0, NULL);
    free(text);
    return run;
}

static void finish_child(struct family *family, struct child *child, unsigned index) {
    int status;
    child->run = read_run(family, child);
    close(child->output);
    if (TEMP_FAILURE_RETRY(waitpid(child->process, &status, 0)) < 0)
        workload_fail("cannot wait for process %u: %s", index + 1, strerror(errno));
    if (WIFSIGNALED(status))
        workload_fail("process %u was killed by signal %d (%s)", index + 1, WTERMSIG(status),
                      strsignal(WTERMSIG(status)));
    if (WEXITSTATUS(status) == INTERRUPTED)
        family->incomplete = true;
    else if (WEXITSTATUS(status) != 0)
        _Exit(WEXITSTATUS(status)); /* it has said why; its siblings see our socket close */
    if (child->run == NULL) workload_fail("process %u printed no result", index + 1);
}

/* ---- merging ------------------------------------------------------------ */

static void add_number(json_t *into, json_t *from, const char *key) {
    json_t *sum = json_object_get(into, key), *value = json_object_get(from, key);
    if (json_is_integer(sum))
        json_integer_set(sum, json_integer_value(sum) + json_integer_value(value));
    else
        json_real_set(sum, json_real_value(sum) + json_real_value(value));
}

static void keep_longest(json_t *into, json_t *from) {
    json_t *longest = json_object_get(into, "seconds");
    json_real_set(
        longest, fmax(json_real_value(longest), json_real_value(json_object_get(from, "seconds"))));
}

/* Makes the first child's samples those of all; cut to those that every child took. They began
 * together, so the time is that until the last is done. */
static void merge_samples(json_t *into, json_t *from) {
    while (json_array_size(into) > json_array_size(from))
        json_array_remove(into, json_array_size(into) - 1);
    for (size_t i = 0; i < json_array_size(into); i++) {
        json_t *sum = json_array_get(into, i), *sample = json_array_get(from, i);
        keep_longest(sum, sample);
        add_number(sum, sample, "operations");
        json_array_extend(json_object_get(sum, "per_thread"),
                          json_object_get(sample, "per_thread"));
        json_array_extend(json_object_get(sum, "per_thread_seconds"),
                          json_object_get(sample, "per_thread_seconds"));
    }
}

/* Quantiles of one process and another make none of both: each keeps its own. */
static void keep_apart(json_t *into, json_t *from) {
    static const char *const own[] = {"collector", "latency", "contention"};
    json_t *each = json_object_get(into, "each_process");
    if (each == NULL) {
        each = json_array();
        json_object_set_new(into, "each_process", each);
    }
    json_t *kept = json_object();
    for (size_t i = 0; i < sizeof own / sizeof *own; i++)
        if (json_object_get(from, own[i]) != NULL) {
            json_object_set(kept, own[i], json_object_get(from, own[i]));
            json_object_del(from, own[i]);
        }
    json_array_append_new(each, kept);
}

static void merge(json_t *into, json_t *from) {
    static const char *const sums[] = {"peak_rss_kib",
                                       "baseline_rss_kib",
                                       "setup_peak_rss_kib",
                                       "pss_kib",
                                       "live_at_finish",
                                       "waiting_bytes",
                                       "waiting_most_bytes",
                                       "merge_waiting_bytes",
                                       "merge_waiting_most_bytes"};
    json_t *stats = json_object_get(into, "stats"), *times = json_object_get(into, "time"), *value;
    const char *name;
    merge_samples(json_object_get(into, "samples"), json_object_get(from, "samples"));
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++) add_number(into, from, sums[i]);
    json_object_foreach(stats, name, value) add_number(stats, json_object_get(from, "stats"), name);
    json_object_foreach(times, name, value) add_number(times, json_object_get(from, "time"), name);
    perf_merge(json_object_get(into, "perf"), json_object_get(from, "perf"));
    if (!json_is_true(json_object_get(from, "pinned")))
        json_object_set_new(into, "pinned", json_false());
    if (json_is_true(json_object_get(from, "few_turns")))
        json_object_set_new(into, "few_turns", json_true());
}

static void set_rate(json_t *sample) {
    double operations = (double)json_integer_value(json_object_get(sample, "operations"));
    json_object_set_new(
        sample, "rate",
        json_real(operations / json_real_value(json_object_get(sample, "seconds"))));
}

static json_t *merge_all(struct family *family) {
    json_t *result = family->children[0].run, *sample;
    pinning pinning;
    size_t i;
    keep_apart(result, result);
    for (unsigned child = 1; child < family->count; child++) {
        keep_apart(result, family->children[child].run);
        merge(result, family->children[child].run);
        json_decref(family->children[child].run);
    }
    json_array_foreach(json_object_get(result, "samples"), i, sample) set_rate(sample);
    if (family->options->total > 0)
        json_object_set_new(result, "total", json_integer((json_int_t)family->options->total));
    pinning_load(&pinning);
    json_object_set_new(result, "mode", json_string("processes"));
    json_object_set_new(result, "threads", json_integer(family->count));
    json_object_set_new(result, "oversubscribed", json_boolean(family->count > pinning.count));
    json_object_set_new(result, "incomplete", json_boolean(family->incomplete));
    pinning_free(&pinning);
    return result;
}

json_t *processes_run(const options *options, int argc, char **argv, bool *incomplete) {
    sigset_t quit;
    struct family family = {.options = options, .count = options->workers};
    unsigned barriers =
        options->samples + (options->warmup_ms > 0) + 2; /* before and after weighing */
    json_set_alloc_funcs(allocate_json, free);
    family.children = workload_allocate(family.count * sizeof *family.children);
    /* Sent to the whole group, it makes the children show their stacks and end. */
    sigemptyset(&quit);
    sigaddset(&quit, SIGQUIT);
    sigprocmask(SIG_BLOCK, &quit, NULL);
    family.signals = signalfd(-1, stop_signals(), SFD_CLOEXEC);
    for (unsigned i = 0; i < family.count; i++)
        start_child(&family.children[i], argc, argv, family.count, i);
    for (unsigned i = 0; i < barriers; i++)
        if (!let_all_begin(&family)) {
            dismiss(&family);
            break;
        }
    for (unsigned i = 0; i < family.count; i++) finish_child(&family, &family.children[i], i);
    json_t *result = merge_all(&family);
    dismiss(&(struct family){.children = family.children, .count = family.count});
    close(family.signals);
    free(family.children);
    *incomplete = family.incomplete;
    return result;
}
