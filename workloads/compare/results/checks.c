// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Checks what programs other than the drivers print; see results.h.
#include "results.h"

#include <math.h>

bool convoy_check(const json_t *run, const char **why) {
    const json_t *times = json_object_get(run, "times_ms"), *time;
    double before = 0;
    size_t index;
    *why = "a convoy names no backend or scheme, or its number of busy threads is wrong";
    if (!*object_string(run, "backend", "") || !*object_string(run, "scheme", "") ||
        object_number(run, "busy", -1) < 0)
        return false;
    *why = "a convoy's times are missing or in no order";
    if (json_array_size(times) == 0 ||
        (double)json_array_size(times) != object_number(run, "requests", 0))
        return false;
    json_array_foreach(times, index, time) {
        if (!json_is_number(time) || json_number_value(time) < before) return false;
        before = json_number_value(time);
    }
    return true;
}

bool server_check(const json_t *run, const char **why) {
    const json_t *load = json_object_get(run, "load"), *times = json_object_get(load, "latency_us");
    *why = "a task server names no backend, version or threads";
    if (!*object_string(run, "backend", "") || object_number(run, "version", 0) < 1 ||
        object_number(run, "threads", 0) < 1)
        return false;
    *why = "a task server's load or statistics are missing";
    if (!(object_number(load, "requests_per_second", 0) > 0) ||
        !json_is_object(json_object_get(run, "server")))
        return false;
    *why = "a task server's latencies are missing or in no order";
    double p50 = object_number(times, "p50", -1), p99 = object_number(times, "p99", -1),
           longest = object_number(times, "max", -1);
    return p50 >= 0 && p99 >= p50 && longest >= p99;
}

bool findings_check(const json_t *run, const char **why) {
    const json_t *figures = json_object_get(run, "figures"), *value;
    const char *name;
    *why = "an experiment names no backend, or not itself";
    if (!*object_string(run, "backend", "") || !*object_string(run, "experiment", "") ||
        !json_is_string(json_object_get(run, "variant")))
        return false;
    *why = "an experiment's figures are missing or wrong";
    json_object_foreach((json_t *)figures, name, value) {
        if (!json_is_number(value) || !isfinite(json_number_value(value))) return false;
    }
    return json_object_size(figures) > 0;
}
