// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Kinds of workloads; see groups.h.
#include "groups.h"

#include "text.h"

#include <stdlib.h>
#include <string.h>

enum { PROGRAMS, OWN_OBJECTS, SHARED_OBJECTS, BORROWED, SINGLE, COLLECTOR };

static const struct {
    const char *name, *meaning;
    const char *const workloads[16];
} kinds[GROUPS] = {
    [PROGRAMS] = {"Programs",
                  "work like that of a whole program",
                  {"binary-trees", "wordcount", "json", "nbody", "queens", "pipeline", "key-value",
                   "lru-cache", "tasks-cycle", "tasks-weakref"}},
    [OWN_OBJECTS] = {"Own objects", "loops in which each thread uses objects of its own", {0}},
    [SHARED_OBJECTS] = {"Shared objects", "loops in which all threads use the same objects", {0}},
    [BORROWED] = {"Borrowed reads",
                  "the same reads of shared objects without counts, which CPython does not have",
                  {"list-shared-borrow", "list-hot-borrow", "cells-borrow", "dict-shared-borrow"}},
    [SINGLE] = {"Single operations",
                "the patterns of CPython's scaling benchmark",
                {"object-cfunction", "cmodule-function", "mult-constant", "pymethod",
                 "create-pyobject", "create-dict", "load-string-const", "load-tuple-const",
                 "thread-local-read"}},
    [COLLECTOR] = {"Cycle collector",
                   "much garbage in cycles, or many live objects to examine",
                   {"gc-churn", "gc-growth", "gc-live", "gc-garbage"}},
};

static bool is_shared(const struct analysis *analysis, const char *workload) {
    for (size_t i = 0; i < analysis->cell_count; i++)
        if (strcmp(analysis->cells[i].workload, workload) == 0) return analysis->cells[i].shared;
    return false;
}

static size_t group_of(const struct analysis *analysis, const char *workload) {
    for (size_t g = 0; g < GROUPS; g++)
        for (size_t i = 0;
             i < sizeof kinds[g].workloads / sizeof *kinds[g].workloads && kinds[g].workloads[i];
             i++)
            if (strcmp(kinds[g].workloads[i], workload) == 0) return g;
    return is_shared(analysis, workload) ? SHARED_OBJECTS : OWN_OBJECTS;
}

void groups_make(const struct analysis *analysis, struct group *groups) {
    for (size_t g = 0; g < GROUPS; g++)
        groups[g] = (struct group){.name = kinds[g].name, .meaning = kinds[g].meaning};
    for (size_t w = 0; w < analysis->workload_count; w++) {
        struct group *group = &groups[group_of(analysis, analysis->workloads[w])];
        group->workloads =
            checked_realloc(group->workloads, (group->count + 1) * sizeof *group->workloads);
        group->workloads[group->count++] = analysis->workloads[w];
    }
}

void groups_free(struct group *groups) {
    for (size_t g = 0; g < GROUPS; g++) free(groups[g].workloads);
}
