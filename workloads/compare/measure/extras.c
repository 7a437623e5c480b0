// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Workloads with programs of their own; see extras.h.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "extras.h"

#include "results.h"
#include "text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

// Whether it was there; then it is not any more.
static bool take_name(struct names *names, const char *name) {
    for (size_t i = 0; i < names->count; i++)
        if (strcmp(names->items[i], name) == 0) {
            free(names->items[i]);
            memmove(&names->items[i], &names->items[i + 1],
                    (--names->count - i) * sizeof *names->items);
            return true;
        }
    return false;
}

void extras_choose(struct run_options *options) {
    options->extras_named = options->workloads.count > 0;
    options->convoy = take_name(&options->workloads, "convoy");
    options->servers = take_name(&options->workloads, "task-server");
    options->no_drivers = options->extras_named && options->workloads.count == 0;
    if (!options->extras_named) {
        options->convoy = true;
        options->servers = options->effort == FULL;
    }
}

bool extras_backend_has_gil(const struct run_options *options, const char *backend) {
    const json_t *entry;
    size_t index;
    json_array_foreach(options->known_backends, index, entry)
        if (strcmp(object_string(entry, "name", ""), backend) == 0)
            return strncmp(object_string(entry, "locking", ""), "gil", 3) == 0;
    return false;
}

char *extras_program(const struct run_options *options, const char *name, const char *backend) {
    return format("%s/workloads/experiments/%s/%s-%s", options->drivers,
                  strcmp(name, "task-server") == 0 ? "server" : name, name, backend);
}

static char *missing_program(const struct run_options *options, const char *name,
                             const char *remedy) {
    for (size_t i = 0; i < options->backends.count; i++) {
        char *path = extras_program(options, name, options->backends.items[i]);
        if (access(path, X_OK) != 0) {
            char *why = format("there is no program %s; %s", path, remedy);
            free(path);
            return why;
        }
        free(path);
    }
    return NULL;
}

static bool on_path(const char *program) {
    char *folders = checked_strdup(getenv("PATH") ? getenv("PATH") : ""), *rest = NULL;
    bool found = false;
    for (char *folder = strtok_r(folders, ":", &rest); folder && !found;
         folder = strtok_r(NULL, ":", &rest)) {
        char *path = format("%s/%s", folder, program);
        found = access(path, X_OK) == 0;
        free(path);
    }
    free(folders);
    return found;
}

static char *server_lacks(const struct run_options *options) {
    if (!options->server_script)
        return format("it needs --server-script, workloads/experiments/server/measure.py");
    if (!on_path("wrk"))
        return format("it needs wrk, which is not installed (Debian: apt-get install wrk)");
    return missing_program(
        options, "task-server",
        "build it, with libmicrohttpd (Debian: apt-get install libmicrohttpd-dev)");
}

// Takes `why` over.  Whether the run can go on.
static bool leave_out(struct run_options *options, const char *name, bool *chosen, char *why) {
    if (!why) return true;
    fprintf(stderr, "tally-compare: %s%s: %s\n", options->extras_named ? "" : "leaves out ", name,
            why);
    if (!options->left_out) options->left_out = json_array();
    json_array_append_new(options->left_out, json_pack("{s:s, s:s}", "workload", name, "why", why));
    *chosen = false;
    free(why);
    return !options->extras_named;
}

bool extras_find(struct run_options *options) {
    return (!options->convoy || leave_out(options, "convoy", &options->convoy,
                                          missing_program(options, "convoy", "build it"))) &&
           (!options->servers ||
            leave_out(options, "task-server", &options->servers, server_lacks(options)));
}
