// SPDX-License-Identifier: LGPL-2.1-or-later
//
// The results file; see results.h.
#include "results.h"

#include "files.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

const char *object_string(const json_t *object, const char *key, const char *fallback) {
    const char *value = json_string_value(json_object_get(object, key));
    return value ? value : fallback;
}

double object_number(const json_t *object, const char *key, double fallback) {
    const json_t *value = json_object_get(object, key);
    return json_is_number(value) ? json_number_value(value) : fallback;
}

double sample_rate(const json_t *sample) {
    double rate = object_number(sample, "rate", 0);
    return rate > 0 && isfinite(rate)
               ? rate
               : object_number(sample, "operations", 0) / object_number(sample, "seconds", 1);
}

static bool sample_is_good(const json_t *sample) {
    double seconds = object_number(sample, "seconds", 0);
    double operations = object_number(sample, "operations", -1);
    return seconds > 0 && isfinite(seconds) && operations >= 0 && isfinite(operations);
}

// Its times go up, and nothing is less than nothing.
static bool ledger_is_good(const json_t *ledger) {
    double before = 0;
    size_t index;
    const json_t *reading, *value;
    const char *name;
    if (ledger && !json_is_array(ledger)) return false;
    json_array_foreach(ledger, index, reading) {
        double seconds = object_number(reading, "seconds", -1);
        if (!(seconds >= before) || !isfinite(seconds)) return false;
        before = seconds;
        json_object_foreach((json_t *)reading, name, value) {
            if (!(json_number_value(value) >= 0)) return false;
        }
    }
    return true;
}

bool results_check_run(const json_t *run, const char **why) {
    const json_t *samples = json_object_get(run, "samples");
    const json_t *threads = json_object_get(run, "threads");
    size_t index;
    const json_t *sample;
    // Drivers of another build may be older and call it a block.
    const char *format = object_string(run, "format", "");
    *why = "it is no tally-run of version 1";
    if ((strcmp(format, "tally-run") != 0 && strcmp(format, "tally-block") != 0) ||
        object_number(run, "version", 0) != 1)
        return false;
    *why = "it names no workload or backend";
    if (!*object_string(run, "workload", "") || !*object_string(run, "backend", "")) return false;
    *why = "its number of threads is wrong";
    if (!json_is_integer(threads) || json_integer_value(threads) < 1 ||
        json_integer_value(threads) > 1000000)
        return false;
    double round = object_number(run, "round", 0);
    *why = "its round is wrong";
    if (!(round >= 0 && round < MOST_ROUNDS)) return false;
    *why = "its samples are missing or wrong";
    if (!json_is_array(samples)) return false;
    json_array_foreach(samples, index, sample)
        if (!sample_is_good(sample)) return false;
    *why = "its readings of the ledger are wrong";
    return ledger_is_good(json_object_get(run, "ledger"));
}

bool results_check_backends(const json_t *list) {
    const json_t *entry;
    size_t index;
    json_array_foreach(list, index, entry)
        if (!*object_string(entry, "name", "") || !*object_string(entry, "role", "")) return false;
    return json_array_size(list) > 0;
}

static bool runs_are_good(const json_t *root, enum list list, const char **why) {
    static bool (*const checks[LISTS])(const json_t *,
                                       const char **) = {[LIST_CONVOY] = convoy_check,
                                                         [LIST_SERVERS] = server_check,
                                                         [LIST_FINDINGS] = findings_check};
    const json_t *runs = json_object_get(root, list_names[list]), *run;
    bool needed = list == LIST_TIMED || list == LIST_COUNTED || list == LIST_CONTROL;
    size_t index;
    *why = "its lists of runs are missing";
    if (runs ? !json_is_array(runs) : needed) return false;
    json_array_foreach(runs, index, run)
        if (!(checks[list] ? checks[list] : results_check_run)(run, why)) return false;
    return true;
}

static bool results_are_good(const json_t *root, const char **why) {
    *why = "its list of backends is missing or wrong";
    if (!results_check_backends(json_object_get(root, "backends"))) return false;
    *why = "it has no machine, build or list of failures";
    if (!json_is_object(json_object_get(root, "machine")) ||
        !json_is_object(json_object_get(root, "build")) ||
        !json_is_array(json_object_get(root, "failures")))
        return false;
    for (enum list list = 0; list < LISTS; list++)
        if (!runs_are_good(root, list, why)) return false;
    return true;
}

static bool begins_like_json(const char *path) {
    FILE *file = regular_open(path);
    char first = '{';
    if (file == NULL) return true;
    if (fscanf(file, " %c", &first) != 1) first = '{'; // empty: cut short
    fclose(file);
    return first == '{';
}

json_t *results_load(const char *path) {
    json_error_t error;
    const char *why = "";
    json_t *root = json_load_file(path, 0, &error);
    if (root == NULL && error.line < 0)
        fprintf(stderr, "tally-compare: %s; name the results.json of a tally report\n", error.text);
    else if (root == NULL && !begins_like_json(path))
        fprintf(stderr, "tally-compare: %s is no JSON; name the results.json of a tally report\n",
                path);
    else if (root == NULL)
        fprintf(stderr,
                "tally-compare: %s is cut short or damaged (line %d); name the results.json of a "
                "tally report\n",
                path, error.line);
    else if (strcmp(object_string(root, "format", ""), "tally-results") != 0)
        fprintf(
            stderr,
            "tally-compare: %s is no tally results file; name the results.json of a tally report\n",
            path);
    else if (object_number(root, "version", 0) != RESULTS_VERSION)
        fprintf(stderr,
                "tally-compare: %s has format version %g, this program reads version %d; use the "
                "program that wrote it\n",
                path, object_number(root, "version", 0), RESULTS_VERSION);
    else if (!results_are_good(root, &why))
        fprintf(stderr, "tally-compare: %s is damaged (%s); measure again with tally compare\n",
                path, why);
    else
        return root;
    json_decref(root);
    return NULL;
}
