/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * perf.c: opens perf events for a worker, and says why where it cannot.
 *
 * Each event is opened by itself, so that one the machine lacks takes no other with it. Where the
 * kernel's part may not be counted (perf_event_paranoid), the worker's own part is; events that
 * only happen in the kernel then come from getrusage, which has two of them. All events of a thread
 * are switched by one call of prctl, just before a sample's first look at the clock and just after
 * its last.
 */
#define _GNU_SOURCE 1 /* RUSAGE_THREAD */

#include "perf.h"

#include <errno.h>
#include <linux/perf_event.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

enum usage { NOWHERE, SWITCHES, FAULTS };

static const struct event {
    const char *name;
    uint32_t type;
    uint64_t config;
    enum usage usage;
} events[PERF_EVENT_COUNT] = {
#define PERF_EVENT(name, type, config, usage) {#name, PERF_TYPE_##type, PERF_COUNT_##config, usage},
    PERF_EVENTS(PERF_EVENT)
#undef PERF_EVENT
};

static int open_event(const struct event *event, bool user_only) {
    struct perf_event_attr attributes = {
        .type = event->type,
        .config = event->config,
        .size = sizeof attributes,
        .disabled = 1,
        .exclude_kernel = user_only,
        .exclude_hv = user_only,
        .read_format = PERF_FORMAT_TOTAL_TIME_ENABLED | PERF_FORMAT_TOTAL_TIME_RUNNING,
    };

    return (int)syscall(SYS_perf_event_open, &attributes, 0, -1, -1, PERF_FLAG_FD_CLOEXEC);
}

void perf_open(perf_set *set, bool wanted) {
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++) {
        perf_count *count = &set->counts[i];
        *count = (perf_count){.error = wanted ? 0 : PERF_OFF};
        set->files[i] = wanted ? open_event(&events[i], false) : -1;
        if (wanted && set->files[i] < 0) {
            count->error = errno;
            if (events[i].type == PERF_TYPE_HARDWARE && (errno == EACCES || errno == EPERM)) {
                set->files[i] = open_event(&events[i], true);
                count->user_only = set->files[i] >= 0;
                count->error = count->user_only ? 0 : errno;
            }
        }
        if (set->files[i] < 0 && events[i].usage != NOWHERE) {
            count->usage = true;
            count->error = 0;
        }
    }
}

static uint64_t usage_of(enum usage which) {
    struct rusage usage;
    if (getrusage(RUSAGE_THREAD, &usage) != 0) return 0;
    return which == SWITCHES ? (uint64_t)(usage.ru_nvcsw + usage.ru_nivcsw)
                             : (uint64_t)(usage.ru_minflt + usage.ru_majflt);
}

void perf_start(perf_set *set) {
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++)
        if (set->counts[i].usage) set->before[i] = usage_of(events[i].usage);
    prctl(PR_TASK_PERF_EVENTS_ENABLE, 0, 0, 0, 0);
}

void perf_stop(perf_set *set) {
    prctl(PR_TASK_PERF_EVENTS_DISABLE, 0, 0, 0, 0);
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++)
        if (set->counts[i].usage)
            set->counts[i].count += usage_of(events[i].usage) - set->before[i];
}

static void read_event(perf_count *count, int file) {
    struct {
        uint64_t value, enabled, running;
    } got;

    if (read(file, &got, sizeof got) != (ssize_t)sizeof got) {
        count->error = EIO;
    } else if (got.enabled > 0 && got.running == 0) {
        count->error = EBUSY;
    } else {
        count->estimated = got.running < got.enabled;
        count->count =
            !count->estimated
                ? got.value
                : (uint64_t)((double)got.value * (double)got.enabled / (double)got.running);
    }
}

void perf_close(perf_set *set) {
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++) {
        if (set->files[i] < 0) continue;
        read_event(&set->counts[i], set->files[i]);
        close(set->files[i]);
        set->files[i] = -1;
    }
}

void perf_add(perf_count *all, const perf_count *one) {
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++) {
        if (all[i].error == 0) all[i].error = one[i].error;
        all[i].count += one[i].count;
        all[i].user_only |= one[i].user_only;
        all[i].estimated |= one[i].estimated;
        all[i].usage |= one[i].usage;
    }
}

/* ---- JSON ----------------------------------------------------------------- */

static json_t *reason(int error) {
    char text[160], paranoid[16] = "unknown";
    FILE *file;

    switch (error) {
    case PERF_OFF: return json_string("turned off by --no-perf");
    case ENOENT:
    case ENODEV:
    case EOPNOTSUPP:
        return json_sprintf("this machine has no such counter (%s)", strerrorname_np(error));
    case ENOSYS: return json_string("the kernel has no perf events (ENOSYS)");
    case EBUSY: return json_string("the counters were taken by others all the time (EBUSY)");
    case EACCES:
    case EPERM:
        if ((file = fopen("/proc/sys/kernel/perf_event_paranoid", "re")) != NULL) {
            if (fscanf(file, "%15s", paranoid) != 1) strcpy(paranoid, "unknown");
            fclose(file);
        }
        snprintf(text, sizeof text, "not allowed, kernel.perf_event_paranoid is %s (%s)", paranoid,
                 strerrorname_np(error));
        return json_string(text);
    default: return json_sprintf("%s", strerror(error));
    }
}

json_t *perf_to_json(const perf_count *counts) {
    json_t *known = json_object(), *unavailable = json_object(), *user_only = json_array();
    json_t *estimated = json_array(), *usage = json_array();
    for (unsigned i = 0; i < PERF_EVENT_COUNT; i++) {
        const char *name = events[i].name;
        if (counts[i].error != 0) {
            json_object_set_new(unavailable, name, reason(counts[i].error));
            continue;
        }
        json_object_set_new(known, name, json_integer((json_int_t)counts[i].count));
        if (counts[i].user_only) json_array_append_new(user_only, json_string(name));
        if (counts[i].estimated) json_array_append_new(estimated, json_string(name));
        if (counts[i].usage) json_array_append_new(usage, json_string(name));
    }
    return json_pack("{s:o, s:o, s:o, s:o, s:o}", "counts", known, "unavailable", unavailable,
                     "user_only", user_only, "estimated", estimated, "from_getrusage", usage);
}

void perf_merge(json_t *into, const json_t *from) {
    json_t *counts = json_object_get(into, "counts"),
           *reasons = json_object_get(from, "unavailable");
    json_t *other = json_object_get(from, "counts"), *value;
    const char *name;
    json_object_foreach(reasons, name, value) {
        json_object_del(counts, name);
        json_object_set(json_object_get(into, "unavailable"), name, value);
    }
    json_object_foreach(counts, name, value)
        json_integer_set(value, json_integer_value(value) +
                                    json_integer_value(json_object_get(other, name)));
}
