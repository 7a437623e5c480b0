/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * server.c: the process. The main thread makes the standing population and starts
 * the workers. Until a signal or the end of the time it accepts connections and deals
 * them out in turn: each worker gets the descriptors through a pipe and runs an HTTP
 * daemon of its own for them. (With one listening socket in all daemons, one worker
 * would accept most of what comes at once.) A worker is attached all its life and in
 * a blocked region but for the work on objects (routes.c), so that it waits,
 * receives, parses and sends without the GIL.
 *
 * Counters are their worker's own and read after it has ended.
 */
#define _GNU_SOURCE /* accept4, pipe2 */
#include "collections.h"
#include "memory.h"
#include "program.h"
#include "routes.h"
#include "store.h"

#include <argp.h>
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <microhttpd.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <time.h>
#include <unistd.h>

enum { MOST_WORKERS = 256, SUBTASKS_OF_A_TASK = 3, LOOK_MS = 50, STATUSES = 600 };

struct options {
    unsigned threads, port, version, seconds, tasks, idle;
    bool timeline;
};

struct worker {
    tally_thread thread;
    struct MHD_Daemon *daemon;
    int mailbox[2]; /* descriptors of new connections */
    uint64_t requests[ROUTES], statuses[STATUSES];
} __attribute__((aligned(64)));

static struct worker workers[MOST_WORKERS];
static atomic_bool stopping;

/* ---- a request ------------------------------------------------------------ */

struct upload {
    size_t length;
    bool too_large, no_memory;
    char *body;
};

/* Of a request without a body so far, and of one whose body there is no memory for: nobody writes
 * to them. */
static struct upload nothing, no_room = {.no_memory = true};

/* Answers that take no memory, made at the start: to what is out of memory, and to what was done
 * although there is no memory to tell more of it. */
static struct MHD_Response *out_of_memory, *without_text;

static struct MHD_Response *constant_response(const char *text) {
    struct MHD_Response *response = MHD_create_response_from_buffer(
        strlen(text), (void *)(uintptr_t)text, MHD_RESPMEM_PERSISTENT);

    if (!response ||
        MHD_add_response_header(response, "Content-Type", "application/json") != MHD_YES)
        program_fail("no memory for answers");
    return response;
}

static void forget(void *context, struct MHD_Connection *connection, void **state,
                   enum MHD_RequestTerminationCode how) {
    struct upload *upload = *state;

    (void)context, (void)connection, (void)how;
    if (!upload || upload == &nothing || upload == &no_room) return;
    free(upload->body);
    free(upload);
}

static struct upload *receive(struct upload *upload, const char *data, size_t size) {
    char *body;

    if (upload == &nothing) upload = calloc(1, sizeof *upload);
    if (!upload) return &no_room;
    if (upload->too_large || upload->no_memory) return upload;
    if (size > LARGEST_BODY - upload->length) {
        upload->too_large = true;
        return upload;
    }
    body = realloc(upload->body, upload->length + size);
    upload->no_memory = !body;
    if (!body) return upload;
    memcpy(body + upload->length, data, size);
    upload->body = body;
    upload->length += size;
    return upload;
}

static struct MHD_Response *response_of(const struct answer *answer) {
    struct MHD_Response *response =
        answer->text ? MHD_create_response_from_buffer(strlen(answer->text), answer->text,
                                                       MHD_RESPMEM_MUST_FREE)
                     : NULL;

    if (response) {
        MHD_add_response_header(response, "Content-Type", "application/json");
        if (answer->allow) MHD_add_response_header(response, "Allow", answer->allow);
        return response;
    }
    free(answer->text);
    return answer->status < 300 ? without_text : out_of_memory;
}

/* Called when the header is there, for each piece of the body, and at the end. A body is read to
 * its end also where the line alone is wrong, or memory is short, so that the connection can be
 * used again. */
static enum MHD_Result handle(void *context, struct MHD_Connection *connection, const char *path,
                              const char *method, const char *protocol, const char *data,
                              size_t *size, void **state) {
    struct worker *worker = context;
    struct upload *upload = *state;
    struct MHD_Response *response;
    struct answer answer;
    enum MHD_Result result;

    (void)protocol;
    if (!upload) {
        *state = &nothing;
        return MHD_YES;
    }
    if (*size) {
        *state = receive(upload, data, *size);
        *size = 0;
        return MHD_YES;
    }
    answer = route_answer(method, path,
                          MHD_lookup_connection_value(connection, MHD_GET_ARGUMENT_KIND, "limit"),
                          upload->body, upload->length, upload->too_large, upload->no_memory);
    worker->requests[answer.route]++;
    worker->statuses[answer.status]++;
    response = response_of(&answer);
    result = MHD_queue_response(connection, answer.status, response);
    if (response != out_of_memory && response != without_text) MHD_destroy_response(response);
    return result;
}

/* ---- messages ------------------------------------------------------------- */

/* What clients do wrong is told, a few lines in a while; the rest is counted, so that no client
 * fills the log. */
static struct {
    pthread_mutex_t lock;
    uint64_t began, lines, left_out;
} messages = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Of what was left out before. Under the lock. */
static void tell_left_out(void) {
    if (messages.left_out)
        fprintf(stderr, "task-server: %llu more messages are left out\n",
                (unsigned long long)messages.left_out);
    messages.left_out = 0;
}

static __attribute__((format(printf, 2, 0))) void tell(void *context, const char *format,
                                                       va_list arguments) {
    enum { MOST_LINES = 10, WHILE_S = 10 };
    uint64_t time = program_now();
    char line[200];

    (void)context;
    vsnprintf(line, sizeof line, format, arguments);
    line[strcspn(line, "\r\n")] = 0;
    pthread_mutex_lock(&messages.lock);
    if (!messages.began || time - messages.began > WHILE_S * UINT64_C(1000000000)) {
        tell_left_out();
        messages.began = time;
        messages.lines = 0;
    }
    if (messages.lines++ < MOST_LINES)
        fprintf(stderr, "task-server: %s\n", line);
    else
        messages.left_out++;
    pthread_mutex_unlock(&messages.lock);
}

/* ---- workers -------------------------------------------------------------- */

static void take_connections(struct worker *worker) {
    struct sockaddr_in address;
    int connection;

    while (read(worker->mailbox[0], &connection, sizeof connection) == sizeof connection) {
        socklen_t length = sizeof address;

        /* Fails where the client has gone already, or there is no memory: then it closes the
         * descriptor. */
        if (getpeername(connection, (struct sockaddr *)&address, &length) != 0)
            close(connection);
        else
            MHD_add_connection(worker->daemon, connection, (struct sockaddr *)&address, length);
    }
}

static void work(void *argument) {
    struct worker *worker = argument;
    struct pollfd waits[2] = {
        {.fd = MHD_get_daemon_info(worker->daemon, MHD_DAEMON_INFO_EPOLL_FD)->epoll_fd,
         .events = POLLIN},
        {.fd = worker->mailbox[0], .events = POLLIN},
    };

    tally_blocking_begin();
    /* relaxed: nothing is read because of it */
    while (!atomic_load_explicit(&stopping, memory_order_relaxed)) {
        MHD_UNSIGNED_LONG_LONG ms;

        if (MHD_get_timeout(worker->daemon, &ms) != MHD_YES || ms > LOOK_MS) ms = LOOK_MS;
        poll(waits, 2, (int)ms);
        if (waits[1].revents) take_connections(worker);
        if (MHD_run(worker->daemon) != MHD_YES) program_fail("the HTTP daemon does not run");
    }
    tally_blocking_end();
}

static int listen_on(unsigned *port) {
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)*port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof address;
    int on = 1, listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

    if (listener < 0) program_fail("no socket");
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) != 0 ||
        listen(listener, 1024) != 0) {
        fprintf(stderr, "task-server: cannot listen on port %u: %s\n", *port, strerror(errno));
        exit(1);
    }
    getsockname(listener, (struct sockaddr *)&address, &length);
    *port = ntohs(address.sin_port);
    return listener;
}

static void start_workers(const struct options *options) {
    for (unsigned i = 0; i < options->threads; i++) {
        if (pipe2(workers[i].mailbox, O_CLOEXEC | O_NONBLOCK) != 0) program_fail("no pipe");
        workers[i].daemon =
            MHD_start_daemon(MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_USE_ERROR_LOG, 0, NULL,
                             NULL, handle, &workers[i], MHD_OPTION_EXTERNAL_LOGGER,
                             (MHD_LogCallback)tell, NULL, MHD_OPTION_NOTIFY_COMPLETED, forget, NULL,
                             MHD_OPTION_CONNECTION_TIMEOUT, options->idle, MHD_OPTION_END);
        if (!workers[i].daemon) program_fail("no HTTP daemon");
        if (tally_thread_start(&workers[i].thread, work, &workers[i]) != 0)
            program_fail(tally_error_message());
    }
}

static void stop_workers(unsigned count) {
    atomic_store_explicit(&stopping, true, memory_order_relaxed);
    for (unsigned i = 0; i < count; i++) {
        tally_thread_join(&workers[i].thread);
        take_connections(&workers[i]); /* so that the daemon closes them */
        MHD_stop_daemon(workers[i].daemon);
        close(workers[i].mailbox[0]);
        close(workers[i].mailbox[1]);
    }
}

/* Task task-I has the subtasks task-I.0 to task-I.2. */
static void populate(unsigned tasks) {
    for (unsigned i = 0; i < tasks; i++) {
        char name[32], subtasks[SUBTASKS_OF_A_TASK][40];
        const char *names[SUBTASKS_OF_A_TASK];
        json_t *answer;

        snprintf(name, sizeof name, "task-%u", i);
        for (unsigned k = 0; k < SUBTASKS_OF_A_TASK; k++) {
            snprintf(subtasks[k], sizeof subtasks[k], "%s.%u", name, k);
            names[k] = subtasks[k];
        }
        if (store_put_task(name, "standing", names, SUBTASKS_OF_A_TASK, &answer) != STORE_CREATED)
            program_fail("no memory for the standing population");
        json_decref(answer);
    }
}

/* ---- statistics ----------------------------------------------------------- */

static void print_statistics(const struct options *options, double seconds, size_t left) {
    json_t *requests = json_object(), *statuses = json_object(), *threads = json_array(), *whole;
    json_int_t total = 0;
    struct rusage usage;

    getrusage(RUSAGE_SELF, &usage);
    for (unsigned r = 0; r < ROUTES; r++) {
        uint64_t sum = 0;

        for (unsigned i = 0; i < options->threads; i++) sum += workers[i].requests[r];
        total += (json_int_t)sum;
        json_object_set_new(requests, route_names[r], json_integer((json_int_t)sum));
    }
    for (unsigned s = 0; s < STATUSES; s++) {
        uint64_t sum = 0;
        char name[8];

        for (unsigned i = 0; i < options->threads; i++) sum += workers[i].statuses[s];
        snprintf(name, sizeof name, "%u", s);
        if (sum) json_object_set_new(statuses, name, json_integer((json_int_t)sum));
    }
    for (unsigned i = 0; i < options->threads; i++) {
        uint64_t sum = 0;

        for (unsigned r = 0; r < ROUTES; r++) sum += workers[i].requests[r];
        json_array_append_new(threads, json_integer((json_int_t)sum));
    }
    whole = json_pack("{s:s, s:i, s:i, s:i, s:f, s:I, s:o, s:o, s:o, s:o, s:I, s:I}", "backend",
                      tally_backend(), "version", (int)options->version, "threads",
                      (int)options->threads, "tasks", (int)options->tasks, "seconds", seconds,
                      "requests", total, "by_route", requests, "by_status", statuses, "by_thread",
                      threads, "collections", collections_end(), "peak_memory_bytes",
                      (json_int_t)usage.ru_maxrss * 1024, "objects_left", (json_int_t)left);
    program_print(whole);
}

/* ---- command line --------------------------------------------------------- */

static const struct argp_option option_list[] = {
    {"threads", 't', "N", 0, "Worker threads, 1 to 256 (default: 2)", 0},
    {"port", 'p', "PORT", 0,
     "Listen on this port of 127.0.0.1; 0: any that is free (default); printed first", 0},
    {"version", 'v', "1|2", 0, "How a subtask refers to its task: 1 plainly (default), 2 weakly",
     0},
    {"tasks", 'n', "N", 0, "Tasks that are there from the start, up to 10000000 (default: 1000)",
     0},
    {"idle", 'i', "N", 0,
     "Close a connection on which nothing came for so many seconds; 0: never (default: 60)", 0},
    {"timeline", 'l', NULL, 0, "Print the times and counts of each collection too", 0},
    {"seconds", 's', "N", 0, "End after so long (default: 0, at SIGINT or SIGTERM)", 0},
    {0},
};

static error_t parse(int key, char *argument, struct argp_state *state) {
    struct options *options = state->input;

    switch (key) {
    case ARGP_KEY_INIT: state->err_stream = NULL; return 0; /* getopt's one line says enough */
    case 't': options->threads = program_number("threads", argument, 1, MOST_WORKERS); return 0;
    case 'p': options->port = program_number("port", argument, 0, 65535); return 0;
    case 'v': options->version = program_number("version", argument, 1, 2); return 0;
    case 'n': options->tasks = program_number("tasks", argument, 0, 10000000); return 0;
    case 'i': options->idle = program_number("idle", argument, 0, 1000000); return 0;
    case 's': options->seconds = program_number("seconds", argument, 0, 1000000); return 0;
    case 'l': options->timeline = true; return 0;
    case ARGP_KEY_ARG:
        fprintf(stderr, "task-server: unexpected argument %s; see --help\n", argument);
        exit(2);
    default: return ARGP_ERR_UNKNOWN;
    }
}

static double now(void) { return (double)program_now() / 1e9; }

/* Accepts what waits, and gives each worker its turn. */
static void deal_out(int listener, unsigned threads) {
    static unsigned turn;
    int connection;

    while ((connection = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK)) >= 0)
        if (write(workers[turn++ % threads].mailbox[1], &connection, sizeof connection) !=
            sizeof connection)
            close(connection); /* thousands wait in the pipe */
    if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
        usleep(1000 * LOOK_MS); /* until a connection ends */
}

/* In a blocked region: accepts connections until the end. */
static void serve(const struct options *options, int listener, int signals, double began) {
    struct pollfd waits[2] = {{.fd = signals, .events = POLLIN},
                              {.fd = listener, .events = POLLIN}};
    double left = 1;

    while (!waits[0].revents && left > 0) {
        poll(waits, 2, options->seconds ? (int)(left * 1000) + 1 : -1);
        if (waits[1].revents) deal_out(listener, options->threads);
        if (options->seconds) left = began + options->seconds - now();
    }
}

int main(int argc, char **argv) {
    struct options options = {.threads = 2, .version = 1, .tasks = 1000, .idle = 60};
    const struct argp argp = {
        .options = option_list,
        .parser = parse,
        .doc = "Serves tasks and subtasks over HTTP from a Tally run time. "
               "Prints where it listens, and statistics at the end, a line of JSON each."};
    sigset_t signals;
    int listener, signal_file;
    ptrdiff_t left;
    double began, seconds;

    output_watch("task-server");
    memory_watch_json();
    if (argp_parse(&argp, argc, argv, 0, NULL, &options) != 0) return 2;
    /* Blocked in all threads: the main one reads them. */
    sigemptyset(&signals);
    sigaddset(&signals, SIGINT);
    sigaddset(&signals, SIGTERM);
    pthread_sigmask(SIG_BLOCK, &signals, NULL);
    signal_file = signalfd(-1, &signals, SFD_CLOEXEC | SFD_NONBLOCK);
    if (signal_file < 0) program_fail("no descriptor for signals");
    listener = listen_on(&options.port);
    if (tally_init(NULL) != 0 || store_start((int)options.version) != 0)
        program_fail(tally_error_message());
    populate(options.tasks);
    collections_begin(options.timeline); /* not of what made the population */
    out_of_memory = constant_response("{\"error\":\"out of memory\"}\n");
    without_text = constant_response("{\"done\":true}\n");
    start_workers(&options);
    printf("{\"listening\":\"http://127.0.0.1:%u\"}\n", options.port);
    if (!output_written("nobody would know where it listens")) _exit(1);
    began = now();
    tally_blocking_begin();
    serve(&options, listener, signal_file, began);
    tally_blocking_end();
    stop_workers(options.threads);
    tell_left_out();
    MHD_destroy_response(out_of_memory);
    MHD_destroy_response(without_text);
    seconds = now() - began;
    close(listener);
    close(signal_file);

    collections_stop();
    store_finish();
    tally_gc_collect(2);
    left = tally_finish();
    if (left < 0) program_fail(tally_error_message());
    print_statistics(&options, seconds, (size_t)left);
    return 0;
}
