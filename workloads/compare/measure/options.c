// SPDX-License-Identifier: LGPL-2.1-or-later
//
// Completes the options of a run; see run.h.
#ifndef _GNU_SOURCE
#    define _GNU_SOURCE
#endif
#include "plan.h"

#include "files.h"
#include "machine.h"
#include "process.h"
#include "programs.h"
#include "results.h"
#include "text.h"
#include "what_if.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *driver_path(const struct run_options *options, const char *backend, bool counted) {
    return format("%s/tally-%s%s", options->drivers, backend, counted ? "-counted" : "");
}

size_t names_find(const struct names *names, const char *name) {
    size_t i = 0;
    while (i < names->count && strcmp(names->items[i], name) != 0) i++;
    return i;
}

bool names_have(const struct names *names, const char *name) {
    return names_find(names, name) < names->count;
}

void names_add(struct names *names, const char *name) {
    names->items[names->count++] = checked_strdup(name);
}

void names_free(struct names *names) {
    for (size_t i = 0; i < names->count; i++) free(names->items[i]);
    names->count = 0;
}

void run_free_options(struct run_options *options) {
    names_free(&options->workloads);
    names_free(&options->backends);
    names_free(&options->texts);
    names_free(&options->ablations);
    for (size_t p = 0; p < options->pythons.count; p++) {
        json_decref(options->interpreters[p].collector);
        json_decref(options->interpreters[p].patterns);
    }
    names_free(&options->pythons);
    names_free(&options->switching);
    json_t *const owned[] = {options->arguments, options->known_backends, options->descriptions,
                             options->left_out, options->causes};
    for (size_t i = 0; i < sizeof owned / sizeof *owned; i++) json_decref(owned[i]);
}

static void default_threads(struct run_options *options) {
    int cores = machine_cores();
    for (int n = 1; n < cores; n *= 2) options->threads[options->thread_count++] = n;
    options->threads[options->thread_count++] = cores;
    options->threads[options->thread_count++] = 2 * cores;
}

// Says which of the names is not known, if one is not.
static bool names_known(const struct names *names, const struct names *known, const char *what) {
    for (size_t i = 0; i < names->count; i++) {
        if (names_have(known, names->items[i])) continue;
        fprintf(stderr, "tally-compare: no %s '%s'; known are", what, names->items[i]);
        for (size_t k = 0; k < known->count; k++)
            fprintf(stderr, "%s %s", k ? "," : "", known->items[k]);
        fputc('\n', stderr);
        return false;
    }
    return true;
}

// Reads what the build wrote of its backends, and chooses those to be measured.
static bool choose_backends(struct run_options *options) {
    char *path = format("%s/backends.json", options->drivers);
    FILE *file = regular_open(path);
    json_t *list = options->known_backends = file ? json_loadf(file, 0, NULL) : NULL, *entry;
    struct names known = {0}, chosen = {0};
    size_t index;
    bool good = results_check_backends(list) && json_array_size(list) <= MAX_NAMES;
    if (!good)
        fprintf(stderr,
                "tally-compare: no list of backends in %s; name the build folder of the drivers "
                "with --drivers\n",
                path);
    free(path);
    if (file) fclose(file);
    json_array_foreach(list, index, entry) {
        if (!good) break;
        const char *name = object_string(entry, "name", "");
        names_add(&known, name);
        if (options->all_backends || strcmp(object_string(entry, "role", ""), "product") == 0)
            names_add(&chosen, name);
    }
    good = good && names_known(&options->backends, &known, "backend");
    names_free(&known);
    if (options->backends.count == 0)
        options->backends = chosen;
    else
        names_free(&chosen);
    return good;
}

// Takes the path over.
static bool driver_is_there(char *path, const char *backend) {
    bool found = access(path, X_OK) == 0;
    if (!found)
        fprintf(
            stderr,
            "tally-compare: no driver %s; build backend %s (cmake -DTALLY_BACKEND=all) or leave "
            "it out\n",
            path, backend);
    free(path);
    return found;
}

// Whether the drivers of the other build print for people unless they are told; their lists say so.
static bool other_takes_json(const struct run_options *options) {
    char *path = format("%s/tally-%s", options->against, options->backends.items[0]), *errors;
    char *argv[] = {path, "--list", "--json", NULL};
    int status;
    json_t *list = process_ask(argv, &status, &errors);
    bool takes = json_is_true(json_object_get(json_array_get(list, 0), "json_option"));
    json_decref(list);
    free(errors);
    free(path);
    return takes;
}

static bool find_backends(struct run_options *options) {
    if (!choose_backends(options)) return false;
    bool good = true;
    for (size_t i = 0; good && i < options->backends.count; i++) {
        const char *backend = options->backends.items[i];
        good = driver_is_there(driver_path(options, backend, false), backend) &&
               (!options->against ||
                driver_is_there(format("%s/tally-%s", options->against, backend), backend));
    }
    if (good && options->against) options->against_takes_json = other_takes_json(options);
    return good;
}

// What a driver says of its workloads, and of options that it is to judge; NULL after one line on
// stderr.
json_t *ask_driver(const struct run_options *options, const char *backend) {
    char *path = driver_path(options, backend, false), *errors;
    char *argv[8] = {path, "--list", "--json"};
    int status;
    for (size_t i = 0; i < options->switching.count && i < 4; i++)
        argv[3 + i] = options->switching.items[i];
    json_t *list = process_ask(argv, &status, &errors);
    if (json_array_size(list) == 0) {
        if (status == 2)
            fputs(errors, stderr);
        else
            fprintf(stderr, "tally-compare: %s --list named no workloads; build it again\n", path);
        json_decref(list);
        list = NULL;
    }
    free(errors);
    free(path);
    return list;
}

// The workloads that there are, or that belong to a quick run if none is named.
static bool list_workloads(struct run_options *options, struct names *known) {
    const json_t *workload;
    size_t index;
    known->count = 0;
    options->descriptions = ask_driver(options, options->backends.items[0]);
    if (json_array_size(options->descriptions) > MAX_NAMES - PROGRAMS) {
        fprintf(stderr, "tally-compare: the drivers have more than %d workloads\n",
                MAX_NAMES - PROGRAMS);
        return false;
    }
    json_array_foreach(options->descriptions, index, workload) {
        if (options->effort != QUICK || options->workloads.count ||
            json_is_true(json_object_get(workload, "in_quick")))
            names_add(known, object_string(workload, "name", ""));
    }
    return known->count > 0;
}

static bool find_workloads(struct run_options *options) {
    struct names known;
    if (!list_workloads(options, &known)) return false;
    if (options->no_drivers) {
        names_free(&known);
        return true;
    }
    if (options->workloads.count == 0) {
        options->workloads = known;
        return true;
    }
    for (size_t p = 0; p < PROGRAMS; p++) // to be told of
        names_add(&known, program_names[p]);
    bool good = names_known(&options->workloads, &known, "workload");
    names_free(&known);
    return good;
}

enum { OLDEST_PYTHON = 7 }; // 3.7

// Whether it is Python 3, and not older than the scripts need; a line on stderr where it is not.
static bool python_is_good(const char *python) {
    char *argv[] = {
        (char *)python, "-c",
        "import sys; print('{\"version\": \"%d.%d.%d\", \"number\": %d}' % (sys.version_info[:3] + "
        "(sys.version_info[0] * 100 + sys.version_info[1],)))",
        NULL};
    char *errors;
    int status;
    json_t *about = process_ask(argv, &status, &errors);
    double number = object_number(about, "number", 0);
    free(errors);
    if (number == 0)
        fprintf(stderr,
                "tally-compare: '%s' is no Python interpreter that runs here; name one with "
                "--with-python\n",
                python);
    else if (number < 300 + OLDEST_PYTHON)
        fprintf(stderr,
                "tally-compare: '%s' is Python %s, which is too old; --with-python takes 3.%d or "
                "later\n",
                python, object_string(about, "version", "?"), OLDEST_PYTHON);
    json_decref(about);
    return number >= 300 + OLDEST_PYTHON;
}

// Asks a script what the interpreter is, and which workloads it has; NULL after one line on
// stderr.
static json_t *ask_python(const char *python, const char *script) {
    char *argv[] = {(char *)python, "-B", (char *)script, "--list", NULL}, *errors;
    int status;
    json_t *about = process_ask(argv, &status, &errors);
    free(errors);
    if (*object_string(about, "name", "")) return about;
    fprintf(stderr,
            "tally-compare: '%s' does not run %s; name another interpreter with --with-python\n",
            python, script);
    json_decref(about);
    return NULL;
}

bool run_check_pythons(const struct run_options *options) {
    for (size_t p = 0; p < options->pythons.count; p++)
        if (!python_is_good(options->pythons.items[p])) return false;
    return true;
}

const char *interpreter_name(const struct run_options *options, size_t index) {
    return object_string(options->interpreters[index].collector, "name", "Python");
}

static bool find_pythons(struct run_options *options) {
    if (!run_check_pythons(options)) return false;
    for (size_t p = 0; p < options->pythons.count; p++) {
        const char *python = options->pythons.items[p];
        struct interpreter *one = &options->interpreters[p];
        one->collector = ask_python(python, options->python_script);
        if (one->collector && options->patterns_script)
            one->patterns = ask_python(python, options->patterns_script);
        if (!one->collector || (options->patterns_script && !one->patterns)) return false;
        for (size_t other = 0; other < p; other++) {
            if (strcmp(interpreter_name(options, other), interpreter_name(options, p)) != 0)
                continue;
            fprintf(stderr, "tally-compare: '%s' is %s, as '%s' is; give one of them\n", python,
                    interpreter_name(options, p), options->pythons.items[other]);
            return false;
        }
    }
    return true;
}

bool run_complete_options(struct run_options *options) {
    programs_choose(options);
    if (options->thread_count == 0) default_threads(options);
    return find_backends(options) && find_workloads(options) && find_pythons(options) &&
           programs_find(options) && what_if_find(options);
}

const json_t *workload_description(const struct run_options *options, const char *workload) {
    const json_t *entry;
    size_t index;
    json_array_foreach(options->descriptions, index, entry)
        if (strcmp(object_string(entry, "name", ""), workload) == 0) return entry;
    return NULL;
}
