/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * routes.h: from a request to its answer. Knows the routes and what may stand in
 * them, and nothing of connections.
 */
#ifndef TASK_SERVER_ROUTES_H
#define TASK_SERVER_ROUTES_H

#include <stddef.h>

enum { LARGEST_BODY = 64 * 1024 };

enum route {
    LIST_TASKS,
    GET_TASK,
    PUT_TASK,
    DELETE_TASK,
    GET_SUBTASK,
    PUT_SUBTASK,
    DELETE_SUBTASK,
    NO_ROUTE, /* what gets 404, 405 or 413 by its line alone */
    ROUTES
};
extern const char *const route_names[ROUTES];

struct answer {
    enum route route;
    unsigned status;
    const char *allow; /* for 405, else NULL; static */
    char *text;        /* a line of JSON, to be free()d; NULL: there is no memory for it */
};

/* limit: the query argument of that name, or NULL. too_large: the body was larger than LARGEST_BODY
 * and is not there. no_memory: there was none for the body, which is not there. In an attached
 * thread in a blocked region, which is left while objects are at work. */
struct answer route_answer(const char *method, const char *path, const char *limit,
                           const char *body, size_t length, int too_large, int no_memory);

#endif
