/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * causes.c: what a workload says of itself, and what holds for all of a kind or for all on a
 * backend.
 */
#include "causes.h"

#include <string.h>

static const char *const names[CAUSES] = {
    [CAUSE_SHARING] = "sharing",
    [CAUSE_COUNTING] = "counting",
    [CAUSE_COLLECTOR] = "collector",
    [CAUSE_LOCKS] = "locks",
};

const char *cause_name(enum cause cause) { return names[cause]; }

int cause_find(const char *name) {
    for (int i = 0; i < CAUSES; i++)
        if (strcmp(names[i], name) == 0) return i;
    return -1;
}

const char *cause_kept(const tally_workload *workload, enum cause cause) {
    if (workload->needs[cause] != NULL) return workload->needs[cause];
    if (workload->kind == CYCLE_COLLECTOR) return "the collector is what it measures";
    switch (cause) {
    case CAUSE_SHARING:
    case CAUSE_COUNTING: return workload->setup == NULL ? "its threads share no objects" : NULL;
    case CAUSE_LOCKS:
#ifndef TALLY_DRIVER_OBJECT_LOCKS
        return "counts, allocator and collector rely on the one lock";
#endif
        return workload->read_only ? NULL : "its threads change what they share";
    default: return NULL;
    }
}

json_t *causes_to_json(const tally_workload *workload) {
    json_t *result = json_object();
    for (int i = 0; i < CAUSES; i++) {
        const char *kept = cause_kept(workload, i);
        json_object_set_new(result, names[i], kept != NULL ? json_string(kept) : json_null());
    }
    return result;
}
