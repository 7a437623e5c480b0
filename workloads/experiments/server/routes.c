/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * routes.c: a request's line and body are judged and read, then the store is asked,
 * then its answer is written. Only the second step is out of the blocked region:
 * JSON is read and written beside other threads with a GIL too.
 *
 * Invariant: a task that is there can be deleted, also where all memory is taken. A
 * DELETE needs none on its way, and its answer may go without a text.
 */
#define _GNU_SOURCE /* CLOCK_MONOTONIC_COARSE */
#include "routes.h"
#include "memory.h"
#include "store.h"
#include "tally.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { LONGEST_NAME = 64, MOST_SUBTASKS = 1000, LIST_LIMIT = 100, MOST_LISTED = 1000 };

const char *const route_names[ROUTES] = {
    [LIST_TASKS] = "GET /tasks/",
    [GET_TASK] = "GET /tasks/{task}/",
    [PUT_TASK] = "PUT /tasks/{task}/",
    [DELETE_TASK] = "DELETE /tasks/{task}/",
    [GET_SUBTASK] = "GET /subtasks/{subtask}/",
    [PUT_SUBTASK] = "PUT /subtasks/{task}/{subtask}/",
    [DELETE_SUBTASK] = "DELETE /subtasks/{subtask}/",
    [NO_ROUTE] = "other",
};

struct request {
    const char *names[2]; /* the task's or the subtask's, as the route has them */
    const char *title;
    const char *subtasks[MOST_SUBTASKS];
    size_t subtask_count, limit;
    json_t *body; /* what title and subtasks point into */
};

static char *line_of(json_t *json) {
    size_t length = json ? json_dumpb(json, NULL, 0, JSON_COMPACT) : 0;
    char *text = length ? malloc(length + 2) : NULL;

    if (text && json_dumpb(json, text, length, JSON_COMPACT) == length) {
        text[length] = '\n';
        text[length + 1] = 0;
    } else {
        free(text);
        text = NULL;
    }
    return text;
}

static __attribute__((format(printf, 3, 4))) void wrong(struct answer *answer, unsigned status,
                                                        const char *format, ...) {
    char text[200];
    va_list arguments;
    json_t *json;

    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    json = json_object();
    answer->status = status;
    answer->text =
        json_object_set_new(json, "error", json_string(text)) == 0 ? line_of(json) : NULL;
    json_decref(json);
}

/* ---- the line ------------------------------------------------------------- */

static int is_name(const char *text) {
    size_t length =
        strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~");

    return length >= 1 && length <= LONGEST_NAME && !text[length];
}

/* Cuts the path at its slashes. How many parts, one at the end may be missing its slash; -1: more
 * than three, or an empty one. */
static int cut(char *path, const char *parts[3]) {
    int count = 0;

    if (*path++ != '/') return -1;
    while (*path) {
        if (count == 3 || *path == '/') return -1;
        parts[count++] = path;
        path += strcspn(path, "/");
        if (*path) *path++ = 0;
    }
    return count;
}

static const struct {
    const char *collection;
    int parts;
    const char *method;
    enum route route;
    const char *allow; /* of all methods of this path */
} table[] = {
    {"tasks", 1, "GET", LIST_TASKS, "GET"},
    {"tasks", 2, "GET", GET_TASK, "GET, PUT, DELETE"},
    {"tasks", 2, "PUT", PUT_TASK, "GET, PUT, DELETE"},
    {"tasks", 2, "DELETE", DELETE_TASK, "GET, PUT, DELETE"},
    {"subtasks", 2, "GET", GET_SUBTASK, "GET, DELETE"},
    {"subtasks", 2, "DELETE", DELETE_SUBTASK, "GET, DELETE"},
    {"subtasks", 3, "PUT", PUT_SUBTASK, "PUT"},
};

/* Sets the route, or status and text. */
static void find_route(struct answer *answer, const char *method, char *path,
                       struct request *request) {
    const char *parts[3] = {0};
    int count = cut(path, parts);

    for (size_t i = 0; count > 0 && i < sizeof table / sizeof *table; i++)
        if (count == table[i].parts && !strcmp(parts[0], table[i].collection)) {
            answer->allow = table[i].allow;
            if (!strcmp(method, table[i].method)) {
                answer->route = table[i].route;
                answer->allow = NULL;
                break;
            }
        }
    if (answer->allow)
        wrong(answer, 405, "this path takes %s", answer->allow);
    else if (answer->route == NO_ROUTE)
        wrong(answer, 404,
              "there are /tasks/, /tasks/{task}/, /subtasks/{subtask}/ and "
              "/subtasks/{task}/{subtask}/");
    for (int i = 1; i < count && !answer->status; i++) {
        request->names[i - 1] = parts[i];
        if (!is_name(parts[i]))
            wrong(answer, 400, "a name has 1 to %d letters, digits or any of -._~", LONGEST_NAME);
    }
}

static void read_limit(struct answer *answer, const char *text, struct request *request) {
    size_t digits = text ? strspn(text, "0123456789") : 0;

    request->limit = LIST_LIMIT;
    if (!text) return;
    request->limit = strtoul(text, NULL, 10);
    if (!digits || digits > 4 || text[digits] || request->limit > MOST_LISTED)
        wrong(answer, 400, "limit is a number from 0 to %d", MOST_LISTED);
}

/* ---- the body ------------------------------------------------------------- */

static int compare_texts(const void *a, const void *b) {
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static void read_subtasks(struct answer *answer, json_t *list, struct request *request) {
    const char *sorted[MOST_SUBTASKS];
    size_t count = json_array_size(list);

    if (!json_is_array(list) || count > MOST_SUBTASKS) {
        wrong(answer, 400, "subtasks is a list of at most %d names", MOST_SUBTASKS);
        return;
    }
    for (size_t i = 0; i < count; i++) {
        const char *name = json_string_value(json_array_get(list, i));

        if (!name || !is_name(name)) {
            wrong(answer, 400, "subtask %zu is no name: 1 to %d letters, digits or any of -._~", i,
                  LONGEST_NAME);
            return;
        }
        request->subtasks[i] = sorted[i] = name;
    }
    qsort(sorted, count, sizeof *sorted, compare_texts);
    for (size_t i = 1; i < count; i++)
        if (!strcmp(sorted[i - 1], sorted[i])) {
            wrong(answer, 400, "subtask %s is named twice", sorted[i]);
            return;
        }
    request->subtask_count = count;
}

/* An empty body is one without members. */
static void read_body(struct answer *answer, const char *body, size_t length,
                      struct request *request) {
    json_error_t error;
    const char *key;
    json_t *value;
    bool no_memory;

    request->title = "";
    if (!length) return;
    request->body = memory_load_json(body, length, &error, &no_memory);
    if (no_memory)
        wrong(answer, 503, "out of memory");
    else if (!request->body)
        wrong(answer, 400, "no JSON: %s, line %d, column %d", error.text, error.line, error.column);
    else if (!json_is_object(request->body))
        wrong(answer, 400, "the body is an object");
    else
        json_object_foreach(request->body, key, value) {
            if (!strcmp(key, "title") && json_is_string(value))
                request->title = json_string_value(value);
            else if (!strcmp(key, "title"))
                wrong(answer, 400, "title is a string");
            else if (!strcmp(key, "subtasks") && answer->route == PUT_TASK)
                read_subtasks(answer, value, request);
            else
                wrong(answer, 400,
                      answer->route == PUT_TASK ? "the body has title and subtasks, nothing else"
                                                : "the body has title, nothing else");
            if (answer->status) return;
        }
}

/* ---- the store ------------------------------------------------------------ */

static store_result ask(enum route route, const struct request *request, json_t **answer) {
    const char *const *names = request->names;

    switch (route) {
    case LIST_TASKS: return store_list(request->limit, answer);
    case GET_TASK: return store_get_task(names[0], answer);
    case PUT_TASK:
        return store_put_task(names[0], request->title, request->subtasks, request->subtask_count,
                              answer);
    case DELETE_TASK: return store_delete_task(names[0], answer);
    case GET_SUBTASK: return store_get_subtask(names[0], answer);
    case PUT_SUBTASK: return store_put_subtask(names[0], names[1], request->title, answer);
    case DELETE_SUBTASK: return store_delete_subtask(names[0], answer);
    default: abort();
    }
}

/* Without memory: deleted objects in cycles may have some. At most one full collection per
 * WHILE_S, whichever thread asks. */
static int relieve(void) {
    enum { WHILE_S = 1 };
    static _Atomic int64_t last;
    struct timespec time;
    int64_t before = atomic_load_explicit(&last, memory_order_relaxed);

    clock_gettime(CLOCK_MONOTONIC_COARSE, &time);
    /* relaxed: nothing is read because of it */
    if ((before && time.tv_sec - before < WHILE_S) ||
        !atomic_compare_exchange_strong_explicit(&last, &before, time.tv_sec, memory_order_relaxed,
                                                 memory_order_relaxed))
        return 0;
    if (tally_gc_collect(2) < 0) tally_error_clear();
    return 1;
}

static void write_answer(struct answer *answer, store_result result, json_t *json,
                         const struct request *request) {
    switch (result) {
    case STORE_DONE:
    case STORE_CREATED:
        answer->status = result == STORE_CREATED ? 201 : 200;
        answer->text = line_of(json);
        /* What was changed was changed; what was asked for is not there. */
        if (!answer->text && (answer->route == LIST_TASKS || answer->route == GET_TASK ||
                              answer->route == GET_SUBTASK))
            answer->status = 503;
        break;
    case STORE_DELETED: answer->status = 200; break; /* without a text */
    case STORE_NO_TASK: wrong(answer, 404, "no task %s", request->names[0]); break;
    case STORE_NO_SUBTASK: wrong(answer, 404, "no subtask %s", request->names[0]); break;
    case STORE_TAKEN: wrong(answer, 409, "a subtask of this name belongs to another task"); break;
    case STORE_NO_MEMORY: wrong(answer, 503, "out of memory"); break;
    }
}

struct answer route_answer(const char *method, const char *path, const char *limit,
                           const char *body, size_t length, int too_large, int no_memory) {
    struct answer answer = {.route = NO_ROUTE};
    struct request request;
    char of_usual_length[4 * LONGEST_NAME], *copy = of_usual_length;
    json_t *json = NULL;
    store_result result;

    request.body = NULL;
    request.subtask_count = 0;
    if (strlen(path) < sizeof of_usual_length)
        strcpy(copy, path); /* takes no memory */
    else
        copy = strdup(path);
    if (!copy || no_memory)
        wrong(&answer, 503, "out of memory");
    else
        find_route(&answer, method, copy, &request);
    if (!answer.status && answer.route == LIST_TASKS) read_limit(&answer, limit, &request);
    if (!answer.status && too_large)
        wrong(&answer, 413, "a body has at most %d bytes", LARGEST_BODY);
    if (!answer.status && (answer.route == PUT_TASK || answer.route == PUT_SUBTASK))
        read_body(&answer, body, length, &request);
    if (!answer.status) {
        tally_blocking_end();
        result = ask(answer.route, &request, &json);
        if (result == STORE_NO_MEMORY && relieve()) result = ask(answer.route, &request, &json);
        tally_blocking_begin();
        write_answer(&answer, result, json, &request);
    }
    json_decref(json);
    json_decref(request.body);
    if (copy != of_usual_length) free(copy);
    return answer;
}
